//! From what a call means to an opened result: the reference, checked, and a reader of each part.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use tokio::sync::OnceCell;

use super::names::Names;
use super::{Inner, Scan, Target, delete, layout, schema};
use crate::error::{Error, ErrorKind, Result};
use crate::literal::Literal;
use crate::reference::{Descriptor, Key, Part, ResultReference, Version};
use crate::serializer::{ColumnStatistics, Mapping, Readable, Serializer, Source, TableReader};
use crate::storage::{CachedObject, Object};
use crate::value::Value;

/// A result, opened: its reference is known, and each part's footer is read once it is needed.
#[derive(Clone)]
pub struct Opened {
    pub(super) store: Arc<Inner>,
    reference: ResultReference,
    literal: Option<Literal>,
    serializer: Option<Arc<dyn Serializer>>,
    parts: Arc<[OpenPart]>,
    schema: Option<SchemaRef>,
}

struct OpenPart {
    source: Arc<PartSource>,
    table: OnceCell<Arc<dyn TableReader>>,
}

impl Opened {
    pub(super) async fn open(store: Arc<Inner>, target: Target) -> Result<Self> {
        let reference = resolve(&store, target).await?;
        refuse_expired(&store, &reference)?;
        Self::of(store, reference, PartSource::cached).await
    }

    /// Opens it without the cache: what lies on the storage is what is wanted.
    pub(super) async fn open_uncached(store: Arc<Inner>, reference: ResultReference) -> Result<Self> {
        Self::of(store, reference, |source| source).await
    }

    async fn of(
        store: Arc<Inner>,
        reference: ResultReference,
        prepare: impl Fn(PartSource) -> PartSource,
    ) -> Result<Self> {
        let paths = layout::check_parts(&reference)?;
        let written = reference.written().ok_or_else(|| Error::internal("a full reference is compact"))?;
        let (serializer, literal) = match written.serializer.name() {
            "literal" => (None, written.serializer.get("value").and_then(Literal::from_json)),
            _ => (Some(store.registry.build(&written.serializer)?), None),
        };
        if serializer.is_none() && literal.is_none() {
            return Err(Error::damaged("the reference's literal has no value"));
        }
        // What small parts keep in memory is bounded together.
        let held = (store.memory / 4 / written.parts.len().max(1)) as u64;
        let parts = written.parts.iter().zip(paths).map(|(part, path)| OpenPart {
            source: Arc::new(prepare(PartSource::new(&store, &reference, part, path, held))),
            table: OnceCell::new(),
        });
        let parts: Arc<[OpenPart]> = parts.collect();
        let mut opened = Self { reference, literal, serializer, parts, schema: None, store };
        if opened.reference.written().is_some_and(|written| written.rows.is_some()) {
            opened.schema = Some(opened.table_schema().await?);
        }
        opened.reference = opened.store.handed_out(opened.reference);
        Ok(opened)
    }

    async fn table_schema(&self) -> Result<SchemaRef> {
        match self.reference.written().and_then(|written| written.schema.as_deref()) {
            Some(text) => schema::decode(text).map(Arc::new),
            None => Ok(self.table(0).await?.schema()),
        }
    }

    /// The full reference.
    pub fn reference(&self) -> &ResultReference {
        &self.reference
    }

    /// What it holds: `table`, `json`, `bytes` or `literal`.
    pub fn kind(&self) -> &'static str {
        let descriptor = self.reference.written().map(|written| &written.serializer);
        let inner =
            descriptor.and_then(|descriptor| descriptor.get("inner")).and_then(|inner| inner.get("type")?.as_str());
        match inner.or_else(|| descriptor.map(Descriptor::name)) {
            _ if self.schema.is_some() => "table",
            Some("literal") => "literal",
            Some("json") => "json",
            _ => "bytes",
        }
    }

    /// The schema, if it is a table.
    pub fn schema(&self) -> Option<SchemaRef> {
        self.schema.clone()
    }

    /// The rows, if it is a table.
    pub fn rows(&self) -> Option<u64> {
        self.reference.written().and_then(|written| written.rows)
    }

    /// The stored bytes of each column, where the format keeps columns apart; reads the footers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`], or what the storage fails with.
    pub async fn column_bytes(&self) -> Result<Option<Vec<u64>>> {
        if self.schema.is_none() {
            return Ok(None);
        }
        let mut total: Option<Vec<u64>> = None;
        for part in 0..self.parts.len() {
            let Some(bytes) = self.table(part).await?.column_bytes() else { return Ok(None) };
            total = Some(match total {
                None => bytes,
                Some(total) => total.iter().zip(&bytes).map(|(total, bytes)| total + bytes).collect(),
            });
        }
        Ok(total)
    }

    /// Nulls, least and greatest value of each top-level column, over all parts; none for what is no table, and where
    /// the format keeps no statistics, as Arrow files do not. Reads the footers, and no data.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`], or what the storage fails with.
    pub async fn column_statistics(&self) -> Result<Option<Vec<ColumnStatistics>>> {
        let read = async {
            let Some(schema) = &self.schema else { return Ok(None) };
            let mut columns: Vec<Vec<(u64, ColumnStatistics)>> = vec![Vec::new(); schema.fields().len()];
            for part in 0..self.parts.len() {
                let table = self.table(part).await?;
                let path = self.parts().nth(part).map(|part| part.path.clone()).unwrap_or_default();
                let Some(statistics) = table.column_statistics().map_err(naming(path))? else { return Ok(None) };
                for (column, statistics) in columns.iter_mut().zip(statistics) {
                    column.push((table.rows(), statistics));
                }
            }
            let fields = schema.fields().iter().zip(&columns);
            let merged = fields.map(|(field, pieces)| ColumnStatistics::merged(field.name(), pieces));
            merged.collect::<Result<Vec<_>>>().map(Some)
        };
        read.await.map_err(|error| error.during("statistics", &self.reference))
    }

    /// Reads some columns and rows of a table; see [`Scan`].
    pub fn scan(&self) -> Scan {
        Scan::of(self.clone())
    }

    /// Reads the whole value into memory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`], or what the storage fails with.
    pub async fn value(&self) -> Result<Value> {
        let read = async {
            if let Some(literal) = self.literal {
                return Ok(Value::Json(literal.to_json()));
            }
            if self.schema.is_some() {
                return self.scan().named("get").collect().await.map(Value::Table);
            }
            match self.readable(0).await? {
                Readable::Json(value) => Ok(Value::Json(value)),
                Readable::Bytes(mut pieces) => {
                    let mut bytes = BytesMut::new();
                    while let Some(piece) = pieces.try_next().await? {
                        bytes.extend_from_slice(&piece);
                    }
                    Ok(Value::Bytes(bytes.freeze()))
                }
                Readable::Table(_) => Err(Error::damaged("the reference does not say how many rows its table has")),
            }
        };
        read.await.map_err(|error| error.during("get", &self.reference))
    }

    /// The bytes of a result that holds bytes, as a stream.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if it holds something else, [`ErrorKind::Damaged`], or what the storage fails with.
    pub async fn bytes(&self) -> Result<BoxStream<'static, Result<Bytes>>> {
        let name = self.reference.to_string();
        if self.schema.is_none()
            && self.literal.is_none()
            && let Readable::Bytes(bytes) = self.readable(0).await.map_err(|error| error.during("get", &name))?
        {
            return Ok(bytes.map_err(move |error| error.during("get", &name)).boxed());
        }
        Err(Error::invalid(format!("this result is not bytes but a {}", self.kind())).during("get", name))
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().map(|part| &part.source.part)
    }

    /// The reader of one part of a table; its footer is read once.
    pub(super) async fn table(&self, part: usize) -> Result<Arc<dyn TableReader>> {
        let open = self.parts.get(part).ok_or_else(|| Error::damaged("the reference has no part with its table"))?;
        let table = open.table.get_or_try_init(|| async {
            match self.readable(part).await? {
                Readable::Table(table) if self.schema.as_ref().is_none_or(|schema| *schema == table.schema()) => {
                    Ok(table)
                }
                Readable::Table(_) => Err(Error::damaged("the part does not have the schema that its reference says")),
                _ => Err(Error::damaged("the reference says it is a table, and its part is none")),
            }
        });
        table.await.cloned()
    }

    async fn readable(&self, part: usize) -> Result<Readable> {
        let (Some(open), Some(serializer)) = (self.parts.get(part), &self.serializer) else {
            return Err(Error::damaged("the reference has no parts"));
        };
        let naming = naming(open.source.part.path.clone());
        Ok(match serializer.open(open.source.clone(), self.store.memory).await.map_err(&naming)? {
            Readable::Bytes(bytes) => Readable::Bytes(bytes.map_err(naming).boxed()),
            other => other,
        })
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("reference", &self.reference.to_string()).finish_non_exhaustive()
    }
}

/// Lets an error about a part's data say which file it is about.
pub(super) fn naming(path: String) -> impl Fn(Error) -> Error + Send + 'static {
    move |error| if error.message().contains(&path) { error } else { error.within(&path) }
}

/// Whether a version stands, with as little reading as can be.
pub(super) async fn exists(store: &Arc<Inner>, target: &Target) -> Result<bool> {
    let found = async {
        let reference = resolve(store, target.clone().compacted()).await?;
        refuse_expired(store, &reference)
    };
    match found.await {
        Ok(()) => Ok(true),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error),
    }
}

impl Target {
    /// Without what a full reference says of its parts: whether it still stands, only the storage knows.
    pub(super) fn compacted(self) -> Self {
        match self {
            Self::Reference(reference) => Self::Reference(Box::new(reference.compact())),
            other => other,
        }
    }
}

/// The full reference of what is meant.
pub(super) async fn resolve(store: &Arc<Inner>, target: Target) -> Result<ResultReference> {
    match target {
        Target::Reference(reference) if reference.written().is_some() => Ok(*reference),
        Target::Reference(reference) => {
            let found = version(store, reference.key(), reference.version()).await?;
            if found.write() == reference.write() {
                return Ok(found);
            }
            let (key, version) = (reference.key(), reference.version());
            Err(Error::new(
                ErrorKind::NotFound,
                format!("version {version} was written by another put than the reference says"),
            )
            .with_hint(format!("the reference belongs to another store; {key}@{version} is what is here")))
        }
        Target::Version(key, number) => version(store, &key, number).await,
        Target::Newest(key) => {
            let names = Names::newest(store, &key).await?;
            match names.newest_shown() {
                Some(listed) => store.load(&key, listed.version).await,
                None => Err(absent(store, &key, names.highest()).await),
            }
        }
        Target::AsOf(key, at) => {
            let names = Names::all(store, &key).await?;
            for listed in names.versions.iter().filter(|listed| listed.written.is_some()) {
                let reference = store.load(&key, listed.version).await?;
                if reference.written().is_some_and(|written| written.created <= at) {
                    return if listed.deleted {
                        Err(delete::gone(store, &key, listed.version).await)
                    } else {
                        Ok(reference)
                    };
                }
            }
            Err(Error::new(ErrorKind::NotFound, format!("no version was there at {at}"))
                .with_hint(format!("`coldframe versions {key}` shows when each was created")))
        }
    }
}

async fn version(store: &Arc<Inner>, key: &Key, version: Version) -> Result<ResultReference> {
    let (loaded, deletion) = tokio::join!(store.load(key, version), delete::find(store, key, version));
    match deletion? {
        Some(deletion) => Err(delete::explained(version, &deletion)),
        None => loaded,
    }
}

async fn absent(store: &Inner, key: &Key, highest: Option<Version>) -> Error {
    match highest {
        Some(version) => delete::gone(store, key, version).await,
        None => Error::new(ErrorKind::NotFound, format!("there is no such key in {}", store.storage))
            .with_hint("`coldframe ls` shows the keys of a store"),
    }
}

pub(super) fn refuse_expired(store: &Inner, reference: &ResultReference) -> Result<()> {
    match reference.written().and_then(|written| written.expires) {
        Some(expires) if expires <= store.clock.now() => {
            Err(Error::new(ErrorKind::Gone, format!("version {} expired at {expires}", reference.version()))
                .with_hint("compute the result again"))
        }
        _ => Ok(()),
    }
}

/// Ranged reads of one part of a result.
pub(super) struct PartSource {
    store: Arc<Inner>,
    part: Part,
    object: CachedObject,
    key: Key,
    version: Version,
    /// Where the reference says that it lies, if that is another store.
    elsewhere: Option<String>,
}

#[async_trait]
impl Source for PartSource {
    fn part(&self) -> &Part {
        &self.part
    }

    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match self.object.read(ranges).await {
            Err(error) => Err(self.explained(error).await),
            read => read,
        }
    }

    async fn mapped(&self) -> Option<Mapping> {
        self.object.mapped().await.map(|(bytes, own)| Mapping { bytes, own })
    }

    async fn distrust(&self) -> bool {
        self.object.distrust().await
    }
}

impl PartSource {
    /// A part of `reference`, of which at most `held` bytes are kept in memory.
    pub(super) fn new(store: &Arc<Inner>, reference: &ResultReference, part: &Part, path: Path, held: u64) -> Self {
        let object = Object::new(store.storage.store().clone(), path, part.size).holding_at_most(held);
        Self {
            store: store.clone(),
            part: part.clone(),
            object: CachedObject::new(object),
            key: reference.key().clone(),
            version: reference.version(),
            elsewhere: reference.storage().filter(|url| Some(*url) != store.storage.url()).map(str::to_owned),
        }
    }

    /// The same, read through the store's cache if it has one.
    fn cached(self) -> Self {
        match &self.store.cache {
            Some(cache) => Self { object: self.object.through(cache, self.part.checksum), ..self },
            None => self,
        }
    }

    /// All bytes of the part as they lie on the storage, in pieces, and not compared with any checksum yet.
    pub(super) fn pieces(&self, step: u64) -> BoxStream<'_, Result<Bytes>> {
        let explain = |error| async { Err(naming(self.part.path.clone())(self.explained(error).await)) };
        self.object.object().pieces(step).or_else(explain).boxed()
    }

    /// A missing data object was deleted with its version, or it is damage.
    async fn explained(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::NotFound {
            return error;
        }
        match delete::find(&self.store, &self.key, self.version).await {
            Ok(Some(deletion)) => delete::explained(self.version, &deletion),
            _ => match &self.elsewhere {
                Some(url) => error
                    .with_hint(format!("the reference was handed out for {url}, and this is {}", self.store.storage)),
                None => error.with_kind(ErrorKind::Damaged).with_hint(
                    "the reference stands and its data does not: restore the file, or compute the result again",
                ),
            },
        }
    }
}

impl fmt::Debug for PartSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartSource").field("path", &self.part.path).finish_non_exhaustive()
    }
}
