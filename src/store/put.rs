//! Persists a value: encode and upload at the same time, within the budget, then commit.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arrow::datatypes::Schema;
use chrono::{DateTime, SubsecRound, Utc};
use futures::future::BoxFuture;
use serde_json::{Map, Value as Json};

use super::commit::{Condition, Demand, Listing, prove};
use super::pending::Pending;
use super::pipeline::{self, PartWriter, Streamed};
use super::{Inner, schema};
use crate::error::{Error, ErrorKind, Result};
use crate::fingerprint;
use crate::literal::Literal;
use crate::reference::{Descriptor, Key, ResultReference, Version, Written};
use crate::serializer::{IntoSerializer, Serializer, SerializerChoice, parquet};
use crate::value::{Batches, Content, Shape};

const LONGEST_METADATA: usize = 16 * 1024;
/// Keys that coldframe's own files have.
const RESERVED: [&str; 4] = [parquet::EXTENTS_KEY, parquet::ROWS_KEY, parquet::DICTIONARIES_KEY, parquet::TYPES_KEY];

/// Counters that a put, scan, copy or verification keeps up to date, to be watched from elsewhere.
#[derive(Debug, Default)]
pub struct Progress {
    /// Rows taken from the input, handed to the reader, or copied.
    pub rows: AtomicU64,
    /// Bytes handed to the storage by a put or copy, or taken from it by a verification; a scan counts its batches in
    /// memory.
    pub bytes: AtomicU64,
}

/// A put on its way; await it to get the [`ResultReference`].
///
/// Dropped before its commit was sent, it leaves nothing visible and cleans up; dropped later, the commit still
/// comes to its end.
#[must_use = "a put does nothing until it is awaited"]
pub struct Put {
    key: Result<Key>,
    content: Result<Content>,
    wanted: Wanted,
}

/// A put without its content, which is taken out to be streamed.
struct Wanted {
    store: Arc<Inner>,
    serializer: Option<SerializerChoice>,
    condition: Condition,
    expires: Option<Expires>,
    title: Option<String>,
    description: Option<String>,
    metadata: Map<String, Json>,
    source: Option<Json>,
    lossy: Vec<Json>,
    strict: bool,
    fingerprint: Option<bool>,
    progress: Arc<Progress>,
}

#[derive(Debug, Clone, Copy)]
enum Expires {
    In(Duration),
    At(DateTime<Utc>),
}

impl Put {
    pub(super) fn new(store: Arc<Inner>, key: Result<Key>, content: Result<Content>) -> Self {
        let wanted = Wanted {
            store,
            serializer: None,
            condition: Condition::None,
            expires: None,
            title: None,
            description: None,
            metadata: Map::new(),
            source: None,
            lossy: Vec::new(),
            strict: false,
            fingerprint: None,
            progress: Arc::default(),
        };
        Self { key, content, wanted }
    }

    fn with(mut self, change: impl FnOnce(&mut Wanted)) -> Self {
        change(&mut self.wanted);
        self
    }

    /// By which serializer; where absent, `parquet` (or what is configured) for tables, `json`, `bytes`, or none for
    /// literals.
    pub fn serializer(self, serializer: impl IntoSerializer) -> Self {
        self.with(|wanted| wanted.serializer = Some(serializer.into_choice()))
    }

    /// Only if there is no version that is neither deleted nor expired.
    pub fn if_absent(self) -> Self {
        self.with(|wanted| wanted.condition = Condition::Absent)
    }

    /// Only if the newest version is `version`; 0 for none.
    pub fn after(self, version: u64) -> Self {
        self.with(|wanted| wanted.condition = Condition::After(version))
    }

    /// Refused after so long, and then removed.
    pub fn expires_in(self, duration: Duration) -> Self {
        self.with(|wanted| wanted.expires = Some(Expires::In(duration)))
    }

    /// Refused from then on, and then removed.
    pub fn expires_at(self, at: DateTime<Utc>) -> Self {
        self.with(|wanted| wanted.expires = Some(Expires::At(at)))
    }

    /// One line for people.
    pub fn title(self, title: impl Into<String>) -> Self {
        self.with(|wanted| wanted.title = Some(title.into()))
    }

    /// Some lines for people.
    pub fn description(self, description: impl Into<String>) -> Self {
        self.with(|wanted| wanted.description = Some(description.into()))
    }

    /// What the user attaches: at most 16 KiB as JSON.
    pub fn metadata(self, metadata: Map<String, Json>) -> Self {
        self.with(|wanted| wanted.metadata = metadata)
    }

    /// The library and kind of frame that the table came from.
    pub fn source(self, source: Json) -> Self {
        self.with(|wanted| wanted.source = Some(source))
    }

    /// What was lost already, in making the content out of something else: it comes first in the reference's `lossy`.
    ///
    /// Each is an object that says in `loses` what is lost, and in `column` of which column, if it is of one.
    pub fn lossy(self, losses: Vec<Json>) -> Self {
        self.with(|wanted| wanted.lossy = losses)
    }

    /// Only if nothing is lost: neither in making the content ([`Put::lossy`]) nor by the serializer.
    ///
    /// Otherwise the put fails with [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), which names every column
    /// and what it loses, and leaves nothing behind. What is lost for certain ends it before a byte is written, what
    /// depends on the data before the commit.
    pub fn strict(self) -> Self {
        self.with(|wanted| wanted.strict = true)
    }

    /// Whether the [`Fingerprint`](crate::Fingerprint) of a table or JSON value is computed and kept in the reference.
    ///
    /// Unless told otherwise it is; but not where the serializer is uncompressed `arrow`, which hands a table over at the
    /// speed of memory. Bytes have none, and neither have JSON values with whole numbers that no double is.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use arrow::array::{Int64Array, RecordBatch};
    /// # use coldframe::ResultStore;
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let store = ResultStore::open("memory://").await?;
    /// let fares = RecordBatch::try_from_iter([("fare", Arc::new(Int64Array::from(vec![12, 7])) as _)])?;
    /// let reference = store.put("etl/trips", &fares).await?;
    /// let fingerprint = reference.written().and_then(|written| written.fingerprint.clone());
    /// assert_eq!(fingerprint, Some(coldframe::fingerprint::of_batches(&fares.schema(), [&fares])?.to_string()));
    ///
    /// let reference = store.put("etl/trips", &fares).fingerprint(false).await?;
    /// assert_eq!(reference.written().and_then(|written| written.fingerprint.clone()), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fingerprint(self, computed: bool) -> Self {
        self.with(|wanted| wanted.fingerprint = Some(computed))
    }

    /// Counters to watch.
    pub fn progress(self, progress: Arc<Progress>) -> Self {
        self.with(|wanted| wanted.progress = progress)
    }
}

impl IntoFuture for Put {
    type Output = Result<ResultReference>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { key, content, wanted } = self;
        Box::pin(async move {
            let key = key.map_err(|error| error.during("put", ""))?;
            let name = key.clone();
            wanted.persist(key, content).await.map_err(|error| error.during("put", name))
        })
    }
}

impl std::fmt::Debug for Put {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Put").field("key", &self.key).field("content", &self.content).finish_non_exhaustive()
    }
}

impl Wanted {
    async fn persist(mut self, key: Key, content: Result<Content>) -> Result<ResultReference> {
        let content = without_reserved(content?);
        let store = self.store.clone();
        let now = store.clock.now().trunc_subsecs(6);
        let expires = self.expiry(now)?;
        let written = self.describe(now, expires)?;
        let mut pending = Pending::start(&store);
        match self.prepare(key, content, written, &mut pending).await {
            Ok((reference, listing)) => {
                let committed = pending.commit(reference, Demand::Condition(self.condition), listing).await?;
                Ok(store.handed_out(committed.into_reference()))
            }
            Err(error) => Err(pending.give_up(error).await),
        }
    }

    /// Everything up to the commit.
    async fn prepare(
        &self,
        key: Key,
        content: Content,
        written: Written,
        pending: &mut Pending,
    ) -> Result<(ResultReference, Listing)> {
        let store = &self.store;
        if let Some(serializer) = self.chosen_serializer(&content)? {
            return self.write_data(key, content, serializer, written, pending).await;
        }
        self.allow(&written.lossy)?;
        let written =
            Written { serializer: literal_descriptor(&content)?, fingerprint: self.of_literal(&content), ..written };
        let ((), listing) = tokio::try_join!(prove(store), self.first_look(store, &key))?;
        pending.write_due(&key, written.expires).await?;
        Ok((ResultReference::new(key, Version::FIRST, pending.write(), written), listing))
    }

    /// Data, expiry entry, marker and listing at the same time; then the reference that is to be committed.
    async fn write_data(
        &self,
        key: Key,
        content: Content,
        serializer: Arc<dyn Serializer>,
        written: Written,
        pending: &mut Pending,
    ) -> Result<(ResultReference, Listing)> {
        let store = &self.store;
        let shape = content.shape();
        serializer.check(&shape)?;
        let encoder = serializer.encoder(&shape, store.memory)?;
        let schema = shape.schema().and_then(schema::encode);
        let lossy = joined(written.lossy, serializer.losses(&shape));
        self.allow(&lossy)?;
        pending.write_due(&key, written.expires).await?;
        let (write, extension) = (pending.write(), serializer.extension());
        let writer =
            PartWriter { store: store.clone(), key: key.clone(), write, extension, progress: self.progress.clone() };
        let (mut stored, outlived) = pending.at_work();
        let descriptor = serializer.descriptor();
        let hashed = self.fingerprint.unwrap_or(!hands_over(&descriptor));
        let stream = pipeline::stream(content, encoder, writer, hashed, &mut stored);
        let working = async { tokio::try_join!(stream, prove(store), self.first_look(store, &key)) };
        let (streamed, (), listing) = tokio::select! {
            done = working => done?,
            ended = outlived => return Err(ended),
        };
        let Streamed { parts, losses, fingerprint } = streamed;
        let lossy = joined(lossy, losses);
        self.allow(&lossy)?;
        let fingerprint = fingerprint.map(|fingerprint| fingerprint.to_string());
        let size = parts.iter().map(|part| part.size).sum();
        let rows = parts.iter().map(|part| part.rows).sum::<Option<u64>>().filter(|_| matches!(shape, Shape::Table(_)));
        let written = Written { serializer: descriptor, parts, rows, size, schema, fingerprint, lossy, ..written };
        Ok((ResultReference::new(key, Version::FIRST, write, written), listing))
    }

    fn of_literal(&self, content: &Content) -> Option<String> {
        match content {
            Content::Json(value) if self.fingerprint != Some(false) => {
                fingerprint::of_json(value).ok().map(|fingerprint| fingerprint.to_string())
            }
            _ => None,
        }
    }

    /// Refuses losses where the put is strict.
    fn allow(&self, losses: &[Json]) -> Result<()> {
        if !self.strict || losses.is_empty() {
            return Ok(());
        }
        let hint = if losses.len() == self.lossy.len() {
            "it was lost before the put: make the table in another way, or leave `strict` out"
        } else {
            "the serializer `arrow` keeps dictionaries as they are: choose it, or leave `strict` out"
        };
        let losses: Vec<String> = losses.iter().map(told).collect();
        Err(Error::new(ErrorKind::Unsupported, format!("the put is strict, and {}", losses.join("; "))).with_hint(hint))
    }

    /// The listing that the commit needs; a condition that cannot hold ends the put before its data is written.
    async fn first_look(&self, store: &Inner, key: &Key) -> Result<Listing> {
        Demand::Condition(self.condition).look(store, key).await.map(|(listing, _)| listing)
    }

    fn chosen_serializer(&self, content: &Content) -> Result<Option<Arc<dyn Serializer>>> {
        match (content, &self.serializer) {
            (Content::Json(value), None) if Literal::from_json(value).is_some() => Ok(None),
            (_, choice) => serializer_for(&self.store, &content.shape(), choice.as_ref()).map(Some),
        }
    }

    fn expiry(&self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
        let at = match self.expires {
            None => return Ok(None),
            Some(Expires::At(at)) => Some(at),
            Some(Expires::In(duration)) => {
                chrono::Duration::from_std(duration).ok().and_then(|duration| now.checked_add_signed(duration))
            }
        };
        let at = at.filter(|at| at.timestamp() < 253_402_300_800).ok_or_else(|| {
            Error::invalid("the expiry lies too far in the future")
                .with_hint("leave it out to keep the result for ever")
        })?;
        if at <= now {
            return Err(Error::invalid(format!("the expiry {at} has passed already")));
        }
        Ok(Some(at.trunc_subsecs(6)))
    }

    fn describe(&mut self, created: DateTime<Utc>, expires: Option<DateTime<Utc>>) -> Result<Written> {
        let texts = [self.title.as_deref(), self.description.as_deref()];
        let metadata = serde_json::to_string(&self.metadata).unwrap_or_default().len();
        let size = metadata + texts.iter().flatten().map(|text| text.len()).sum::<usize>();
        if size > LONGEST_METADATA {
            return Err(Error::invalid(format!("title, description and metadata take {size} bytes"))
                .with_hint(format!("{LONGEST_METADATA} are allowed: put larger things under a key of their own")));
        }
        Ok(Written {
            serializer: Descriptor::new("literal"),
            parts: Vec::new(),
            rows: None,
            size: 0,
            schema: None,
            fingerprint: None,
            source: self.source.take(),
            lossy: self.lossy.clone(),
            created,
            copied_from: None,
            expires,
            title: self.title.take(),
            description: self.description.take(),
            metadata: std::mem::take(&mut self.metadata),
        })
    }
}

/// The serializer that is chosen, or the usual one for such a value.
fn serializer_for(store: &Inner, shape: &Shape, choice: Option<&SerializerChoice>) -> Result<Arc<dyn Serializer>> {
    if let Some(choice) = choice {
        return choice.resolve(&store.registry);
    }
    let default = match shape {
        Shape::Json => "json".to_owned(),
        Shape::Bytes => "bytes".to_owned(),
        Shape::Table(_) => store.configuration.serializer().unwrap_or_else(|| "parquet".to_owned()),
    };
    store.registry.parse(&default)
}

/// Whether a table is handed over as it lies in memory, which takes less time than to hash it.
fn hands_over(descriptor: &Descriptor) -> bool {
    descriptor.name() == "arrow" && descriptor.get("compression").and_then(Json::as_str) == Some("none")
}

/// What a put of such a value loses for certain.
pub(super) fn losses(store: &Inner, shape: &Shape, choice: Option<&SerializerChoice>) -> Result<Vec<Json>> {
    let serializer = serializer_for(store, shape, choice)?;
    serializer.check(shape)?;
    Ok(serializer.losses(shape))
}

/// Losses and further ones, each once.
fn joined(mut losses: Vec<Json>, more: Vec<Json>) -> Vec<Json> {
    for loss in more {
        if !losses.contains(&loss) {
            losses.push(loss);
        }
    }
    losses
}

/// A loss in words.
fn told(loss: &Json) -> String {
    let text = |name: &str| loss.get(name).and_then(Json::as_str);
    match (text("column"), text("loses")) {
        (Some(column), Some(loses)) => format!("column `{column}` loses {loses}"),
        (None, Some(loses)) => format!("the value loses {loses}"),
        _ => format!("something is lost: {loss}"),
    }
}

/// The table without what an earlier coldframe file left in its schema's metadata: it describes that file.
fn without_reserved(content: Content) -> Content {
    let Content::Table(batches) = content else { return content };
    let schema = batches.schema();
    if !schema.metadata().keys().any(|key| RESERVED.contains(&key.as_str())) {
        return Content::Table(batches);
    }
    let mut metadata = schema.metadata().clone();
    metadata.retain(|key, _| !RESERVED.contains(&key.as_str()));
    let schema = Arc::new(Schema::new_with_metadata(schema.fields().clone(), metadata));
    Content::Table(Batches::new(schema, batches))
}

fn literal_descriptor(content: &Content) -> Result<Descriptor> {
    match content {
        Content::Json(value) => Ok(Descriptor::new("literal").with("value", value.clone())),
        other => Err(Error::internal(format!("{} is no literal", other.shape().name()))),
    }
}
