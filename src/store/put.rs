//! Persists a value: encode and upload at the same time, within the budget, then commit.

use std::future::IntoFuture;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow::datatypes::Schema;
use bytes::Bytes;
use chrono::{DateTime, SubsecRound, Utc};
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, TryStreamExt};
use object_store::PutPayload;
use object_store::path::Path;
use serde_json::{Map, Value as Json, json};
use tokio::sync::mpsc;

use super::commit::{Condition, Listing, check_condition, commit, prove, remove};
use super::layout::{self, Due};
use super::lifetime::{Lifetime, RENEWED_EVERY};
use super::{Inner, schema};
use crate::error::{Error, ErrorKind, Result};
use crate::literal::Literal;
use crate::reference::{Descriptor, Key, Part, ResultReference, Version, WriteId, Written};
use crate::serializer::{
    EncodedPart, Encoder, IntoSerializer, Output, Piece, Serializer, SerializerChoice, Sink, parquet,
};
use crate::storage::Upload;
use crate::value::{Batches, Content, Shape};

const LONGEST_METADATA: usize = 16 * 1024;
/// Keys that coldframe's own files have.
const RESERVED: [&str; 2] = [parquet::EXTENTS_KEY, parquet::ROWS_KEY];
const MOST_PARTS: usize = 1_000;
/// What an encoder hands on at once, so that a large column chunk does not arrive in one piece.
const STEP_BYTES: usize = 1024 * 1024;

/// Counters that a put or scan keeps up to date, to be watched from elsewhere.
#[derive(Debug, Default)]
pub struct Progress {
    /// Rows taken from the input, or handed to the reader.
    pub rows: AtomicU64,
    /// Bytes handed to the storage by a put, or taken from it by a verification; a scan counts its batches in memory.
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
        let write = WriteId::draw(now);
        let lifetime = Lifetime::start(&store, write);
        let mut uncommitted = Uncommitted { store: store.clone(), paths: Vec::new(), lifetime };
        let prepared = self.prepare(key, write, content, written, &mut uncommitted).await;
        let (reference, listing) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                uncommitted.clean_up().await;
                store.storage.cleaning().settled().await;
                return Err(error);
            }
        };
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let condition = self.condition;
        // Spawned, so that whoever drops this future cannot stop a commit halfway.
        tokio::spawn(async move {
            // From here on what was written stays, however this task ends, unless it is certain that nothing names it.
            let mut held = uncommitted.hold();
            let outcome = commit(&store, reference, condition, &held.lifetime, Some(listing)).await;
            let answer = match outcome {
                Ok(committed) => {
                    held.lifetime.end(&store).await;
                    Ok(store.handed_out(committed))
                }
                Err(failed) => {
                    // A commit that may still land needs its data, and the pin that keeps it from the sweep.
                    if failed.nothing_committed {
                        held.clean_up(&store).await;
                    }
                    Err(failed.error)
                }
            };
            let _ = sender.send(answer);
        });
        receiver.await.map_err(|_| Error::internal("the commit ended without an answer"))?
    }

    /// Everything up to the commit.
    async fn prepare(
        &self,
        key: Key,
        write: WriteId,
        content: Content,
        written: Written,
        uncommitted: &mut Uncommitted,
    ) -> Result<(ResultReference, Listing)> {
        let store = &self.store;
        if let Some(serializer) = self.chosen_serializer(&content)? {
            return self.write_data(key, write, content, serializer, written, uncommitted).await;
        }
        let written = Written { serializer: literal_descriptor(&content)?, ..written };
        let ((), listing) = tokio::try_join!(prove(store), self.first_look(store, &key))?;
        write_due(store, &key, write, written.expires, uncommitted).await?;
        Ok((ResultReference::new(key, Version::FIRST, write, written), listing))
    }

    /// Data, expiry entry, marker and listing at the same time; then the reference that is to be committed.
    async fn write_data(
        &self,
        key: Key,
        write: WriteId,
        content: Content,
        serializer: Arc<dyn Serializer>,
        written: Written,
        uncommitted: &mut Uncommitted,
    ) -> Result<(ResultReference, Listing)> {
        let store = &self.store;
        let shape = content.shape();
        serializer.check(&shape)?;
        let encoder = serializer.encoder(&shape, store.memory)?;
        let schema = shape.schema().and_then(schema::encode);
        let lossy = serializer.losses(&shape);
        write_due(store, &key, write, written.expires, uncommitted).await?;
        let Uncommitted { paths, lifetime, .. } = uncommitted;
        let extension = serializer.extension();
        let parts =
            PartWriter { store: store.clone(), key: key.clone(), write, extension, progress: self.progress.clone() };
        let stream = self.stream(content, encoder, parts, paths);
        let working = async { tokio::try_join!(stream, prove(store), self.first_look(store, &key)) };
        let (parts, (), listing) = tokio::select! {
            done = working => done?,
            ended = keep_alive(store, lifetime) => return Err(ended),
        };
        let size = parts.iter().map(|part| part.size).sum();
        let rows = parts.iter().map(|part| part.rows).sum::<Option<u64>>().filter(|_| matches!(shape, Shape::Table(_)));
        let written = Written { serializer: serializer.descriptor(), parts, rows, size, schema, lossy, ..written };
        Ok((ResultReference::new(key, Version::FIRST, write, written), listing))
    }

    /// The listing that the commit needs; a condition that cannot hold ends the put before its data is written.
    async fn first_look(&self, store: &Inner, key: &Key) -> Result<Listing> {
        let listing = Listing::take(store, key).await?;
        check_condition(store, key, &listing, self.condition).await?;
        Ok(listing)
    }

    /// Input, encoder and upload, one behind the other, all at work.
    async fn stream(
        &self,
        content: Content,
        encoder: Box<dyn Encoder>,
        writer: PartWriter,
        uncommitted: &mut Vec<Path>,
    ) -> Result<Vec<Part>> {
        let (pieces, feed) = mpsc::channel(1);
        let (steps, output) = mpsc::channel(4);
        let encoding = async {
            let encoded = tokio::task::spawn_blocking(move || encode(encoder, feed, steps)).await;
            encoded.map_err(|error| Error::internal(format!("the encoder gave up: {error}")))?
        };
        let ((), (), parts) =
            tokio::try_join!(take_in(content, pieces, &self.progress), encoding, writer.write(output, uncommitted))?;
        if parts.is_empty() { Err(unended()) } else { Ok(parts) }
    }

    fn chosen_serializer(&self, content: &Content) -> Result<Option<Arc<dyn Serializer>>> {
        let registry = &self.store.registry;
        if let Some(choice) = &self.serializer {
            return choice.resolve(registry).map(Some);
        }
        let default = match content {
            Content::Json(value) if Literal::from_json(value).is_some() => return Ok(None),
            Content::Json(_) => "json".to_owned(),
            Content::Bytes(_) => "bytes".to_owned(),
            Content::Table(_) => self.store.configuration.serializer().unwrap_or_else(|| "parquet".to_owned()),
        };
        registry.parse(&default).map(Some)
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
            lossy: Vec::new(),
            created,
            expires,
            title: self.title.take(),
            description: self.description.take(),
            metadata: std::mem::take(&mut self.metadata),
        })
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

/// What falls due must be known before the version is.
async fn write_due(
    store: &Inner,
    key: &Key,
    write: WriteId,
    expires: Option<DateTime<Utc>>,
    uncommitted: &mut Uncommitted,
) -> Result<()> {
    let Some(expires) = expires else { return Ok(()) };
    let path = layout::due(expires, write, Due::Expiry)?;
    let entry = json!({"type": "expiry", "format": 1, "key": key, "write": write, "due": expires.to_rfc3339()});
    uncommitted.paths.push(path.clone());
    let (objects, payload) = (store.storage.store().clone(), PutPayload::from(entry.to_string()));
    let cleaning = store.storage.cleaning();
    cleaning.put(objects, path, payload).await
}

/// Pins the put while it works; comes back only when it must end.
async fn keep_alive(store: &Inner, lifetime: &mut Lifetime) -> Error {
    loop {
        store.clock.sleep(RENEWED_EVERY).await;
        if let Err(error) = lifetime.renew(store).await {
            return error;
        }
    }
}

enum Feed {
    Piece(Piece),
    End,
}

/// Takes the content piece by piece; waits while the encoder is busy.
async fn take_in(content: Content, pieces: mpsc::Sender<Feed>, progress: &Progress) -> Result<()> {
    // Where the encoder is gone, its own error tells why.
    match content {
        Content::Table(mut batches) => {
            while let Some(batch) = next_of(&mut batches).await? {
                progress.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                if pieces.send(Feed::Piece(Piece::Batch(batch))).await.is_err() {
                    return Ok(());
                }
            }
        }
        Content::Bytes(mut stream) => {
            while let Some(bytes) = next_of(&mut stream).await? {
                if pieces.send(Feed::Piece(Piece::Bytes(bytes))).await.is_err() {
                    return Ok(());
                }
            }
        }
        Content::Json(value) => {
            if pieces.send(Feed::Piece(Piece::Json(value))).await.is_err() {
                return Ok(());
            }
        }
    }
    let _ = pieces.send(Feed::End).await;
    Ok(())
}

/// The next item of the caller's stream; one that panics has failed like any other.
async fn next_of<T>(stream: &mut (impl Stream<Item = Result<T>> + Unpin)) -> Result<Option<T>> {
    match AssertUnwindSafe(stream.try_next()).catch_unwind().await {
        Ok(next) => next,
        Err(_) => Err(Error::new(ErrorKind::Input, "the stream of data panicked")
            .with_hint("nothing was stored: mend whatever produces the data")),
    }
}

enum Step {
    Bytes(Bytes),
    EndPart(Box<EncodedPart>),
}

fn encode(mut encoder: Box<dyn Encoder>, mut feed: mpsc::Receiver<Feed>, steps: mpsc::Sender<Step>) -> Result<()> {
    let mut sink = Sink::new(Steps(steps));
    loop {
        match feed.blocking_recv() {
            Some(Feed::Piece(piece)) => encoder.write(piece, &mut sink)?,
            Some(Feed::End) => {
                encoder.finish(&mut sink)?;
                return if sink.position() == 0 { Ok(()) } else { Err(unended()) };
            }
            None => return Err(abandoned()),
        }
    }
}

fn unended() -> Error {
    Error::internal("the serializer did not end its last part")
}

fn abandoned() -> Error {
    Error::new(ErrorKind::Cancelled, "the put was given up")
}

struct Steps(mpsc::Sender<Step>);

impl Output for Steps {
    fn bytes(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let step = bytes.split_to(STEP_BYTES.min(bytes.len()));
            self.0.blocking_send(Step::Bytes(step)).map_err(|_| abandoned())?;
        }
        Ok(())
    }

    fn end_part(&mut self, part: EncodedPart) -> Result<()> {
        self.0.blocking_send(Step::EndPart(Box::new(part))).map_err(|_| abandoned())
    }
}

/// Uploads the parts of one put.
struct PartWriter {
    store: Arc<Inner>,
    key: Key,
    write: WriteId,
    extension: String,
    progress: Arc<Progress>,
}

impl PartWriter {
    async fn write(self, mut steps: mpsc::Receiver<Step>, uncommitted: &mut Vec<Path>) -> Result<Vec<Part>> {
        let mut parts: Vec<Part> = Vec::new();
        let mut open: Option<Upload> = None;
        while let Some(step) = steps.recv().await {
            let path = layout::data(&self.key, self.write, parts.len(), &self.extension)?;
            let upload = open.get_or_insert_with(|| {
                uncommitted.push(path.clone());
                Upload::new(&self.store.storage, path.clone(), self.store.memory / 4)
            });
            match step {
                Step::Bytes(bytes) => {
                    self.progress.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    upload.push(bytes).await?;
                }
                Step::EndPart(part) => {
                    if let Some(upload) = open.take() {
                        upload.finish().await?;
                    }
                    parts.push(described(*part, path.to_string()));
                    if parts.len() > MOST_PARTS {
                        return Err(Error::new(
                            ErrorKind::Unsupported,
                            format!("the table takes more than {MOST_PARTS} parts"),
                        )
                        .with_hint(
                            "its dictionaries differ too much for their key type: use a wider one, or plain text",
                        ));
                    }
                }
            }
        }
        Ok(parts)
    }
}

fn described(part: EncodedPart, path: String) -> Part {
    let extents = part.extents.map(|extents| extents.encode());
    let EncodedPart { size, checksum, rows, footer, index, .. } = part;
    Part { path, size, rows, checksum, footer, index, extents, other: Map::new() }
}

/// What a put has written that nothing names yet; removed when the put ends without a commit.
struct Uncommitted {
    store: Arc<Inner>,
    paths: Vec<Path>,
    lifetime: Lifetime,
}

impl Uncommitted {
    /// Takes over what was written: it is no longer removed by itself.
    fn hold(&mut self) -> Held {
        Held { paths: std::mem::take(&mut self.paths), lifetime: self.lifetime.take() }
    }

    async fn clean_up(mut self) {
        self.hold().clean_up(&self.store).await;
    }
}

impl Drop for Uncommitted {
    fn drop(&mut self) {
        if !self.paths.is_empty() || self.lifetime.is_pinned() {
            let (store, held) = (self.store.clone(), self.hold());
            self.store.storage.cleaning().start(async move { held.clean_up(&store).await });
        }
    }
}

/// What a put has written, once its commit decides what becomes of it.
struct Held {
    paths: Vec<Path>,
    lifetime: Lifetime,
}

impl Held {
    async fn clean_up(mut self, store: &Inner) {
        for path in &self.paths {
            remove(store, path).await;
        }
        self.lifetime.end(store).await;
    }
}
