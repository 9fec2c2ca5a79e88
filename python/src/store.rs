//! The store and its verbs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::datatypes::Schema;
use chrono::{DateTime, Utc};
use coldframe::serializer::SerializerChoice;
use coldframe::{
    CacheSettings, Error, ErrorKind, Key, Put, ResultReference, ResultStore, Shape, StoreBuilder, Target, Version,
    VersionEntry, VersionState,
};
use pyo3::prelude::*;

use crate::content::Content;
use crate::error::{OrRaise, exception};
use crate::opaque;
use crate::opened::Opened;
use crate::reference::Reference;
use crate::runtime::Waiting;

/// How a store is opened: again in every process that a fork makes, since connections belong to a runtime.
#[derive(FromPyObject, Clone)]
struct Settings {
    location: Option<String>,
    options: BTreeMap<String, String>,
    durable: bool,
    memory: Option<usize>,
    /// `off`, or nothing for what is configured.
    cache: Option<bool>,
}

impl Settings {
    fn builder(&self) -> StoreBuilder {
        let mut builder = ResultStore::builder().registry(opaque::registry()).durable(self.durable);
        if let Some(location) = &self.location {
            builder = builder.location(location);
        }
        for (name, value) in &self.options {
            builder = builder.option(name, value);
        }
        if let Some(bytes) = self.memory {
            builder = builder.memory(bytes);
        }
        match self.cache {
            Some(false) => builder.cache(CacheSettings::Off),
            _ => builder,
        }
    }

    fn open(&self, py: Python<'_>) -> PyResult<ResultStore> {
        let builder = self.builder();
        Waiting::new(None).run(py, async move { builder.open().await })
    }
}

/// From what a store is opened, and opened again in a process that a fork made.
enum Origin {
    Settings(Settings),
    /// A reference from anybody, which opens only what is configured.
    Reference(ResultReference),
}

impl Origin {
    fn open(&self, py: Python<'_>) -> PyResult<ResultStore> {
        match self {
            Self::Settings(settings) => settings.open(py),
            Self::Reference(reference) => {
                // Without the store that it may hold, which belongs to another process.
                let reference = ResultReference::from_json(&reference.to_json()).or_raise(py)?;
                Waiting::new(None).run(py, async move { reference.store().await })
            }
        }
    }
}

/// Keeps results under keys, in versions, on one storage.
#[pyclass(frozen, module = "coldframe._coldframe")]
pub(crate) struct Store {
    origin: Origin,
    /// The process that opened it, and the store. Only locked with the GIL, as a fork is.
    opened: Mutex<(u32, ResultStore)>,
}

impl Store {
    fn open_from(py: Python<'_>, origin: Origin) -> PyResult<Self> {
        let store = origin.open(py)?;
        Ok(Self { origin, opened: Mutex::new((std::process::id(), store)) })
    }

    pub(crate) fn get(&self, py: Python<'_>) -> PyResult<ResultStore> {
        let process = std::process::id();
        let (owner, store) = self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let in_memory = store.url().is_some_and(|url| url.starts_with("memory:"));
        if owner == process {
            return Ok(store);
        }
        if in_memory {
            // Its locks may be held by threads that the fork did not take along.
            let error = Error::new(ErrorKind::Unsupported, "a store in memory belongs to the process that opened it");
            return Err(exception(py, &error.with_hint("open another one after the fork, or use a folder")));
        }
        let store = self.origin.open(py)?;
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = (process, store.clone());
        Ok(store)
    }
}

/// What a call reads: `KEY`, `KEY@N`, or a reference; at an instant, if one is given.
#[derive(FromPyObject)]
pub(crate) enum What {
    Reference(Reference),
    Text(String),
}

impl What {
    fn target(self, py: Python<'_>, as_of: Option<&str>) -> PyResult<Target> {
        match (self, as_of) {
            (Self::Reference(reference), _) => Ok(Target::Reference(Box::new(reference.0))),
            (Self::Text(text), None) => Target::parse(&text).or_raise(py),
            (Self::Text(text), Some(at)) => Ok(Target::AsOf(Key::parse(&text).or_raise(py)?, time(py, at)?)),
        }
    }
}

/// How a put is to be done.
#[derive(FromPyObject)]
pub(crate) struct Wanted {
    /// A short form, or a descriptor as JSON.
    serializer: Option<String>,
    /// Of the files, where Python makes the bytes.
    extension: Option<String>,
    if_absent: bool,
    after: Option<u64>,
    expires_in: Option<f64>,
    expires_at: Option<String>,
    title: Option<String>,
    description: Option<String>,
    /// JSON objects.
    metadata: Option<String>,
    source: Option<String>,
    /// What the conversion loses, a JSON array.
    lossy: Option<String>,
    strict: bool,
    /// Nothing for what is usual with the serializer.
    fingerprint: Option<bool>,
}

impl Wanted {
    /// The same put, done so.
    pub(crate) fn apply(self, py: Python<'_>, mut put: Put) -> PyResult<Put> {
        put = match (self.serializer, self.extension) {
            (None, _) => put,
            (Some(text), None) => put.serializer(text),
            (Some(text), Some(extension)) => {
                let serializer = opaque::serializer(json(py, &text)?, extension).or_raise(py)?;
                put.serializer(SerializerChoice::Instance(serializer))
            }
        };
        if self.if_absent {
            put = put.if_absent();
        }
        if let Some(version) = self.after {
            put = put.after(version);
        }
        if let Some(seconds) = self.expires_in {
            let duration = Duration::try_from_secs_f64(seconds).map_err(|_| {
                exception(py, &Error::invalid(format!("`expires` of {seconds} seconds is no time to come")))
            })?;
            put = put.expires_in(duration);
        }
        if let Some(at) = &self.expires_at {
            put = put.expires_at(time(py, at)?);
        }
        if let Some(title) = self.title {
            put = put.title(title);
        }
        if let Some(description) = self.description {
            put = put.description(description);
        }
        if let Some(metadata) = &self.metadata {
            put = put.metadata(json(py, metadata)?);
        }
        if let Some(source) = &self.source {
            put = put.source(json(py, source)?);
        }
        if let Some(lossy) = &self.lossy {
            put = put.lossy(json(py, lossy)?);
        }
        if let Some(computed) = self.fingerprint {
            put = put.fingerprint(computed);
        }
        Ok(if self.strict { put.strict() } else { put })
    }
}

/// What a put of this table would lose for certain, as a JSON array.
pub(crate) fn losses(
    py: Python<'_>,
    store: &ResultStore,
    content: &Content,
    serializer: Option<String>,
) -> PyResult<String> {
    let Some(shape) = content.shape() else { return Ok("[]".to_owned()) };
    let mut losses = store.losses(&shape, serializer.map(SerializerChoice::Text)).or_raise(py)?;
    losses.extend(content.forgotten());
    Ok(serde_json::Value::Array(losses).to_string())
}

/// Refuses a serializer of tables that there is not; without one, the store's own.
pub(crate) fn check_serializer(py: Python<'_>, store: &ResultStore, serializer: Option<String>) -> PyResult<()> {
    let empty = Shape::Table(Arc::new(Schema::empty()));
    store.losses(&empty, serializer.map(SerializerChoice::Text)).map(drop).or_raise(py)
}

fn json<T: serde::de::DeserializeOwned>(py: Python<'_>, text: &str) -> PyResult<T> {
    serde_json::from_str(text).map_err(|failure| exception(py, &Error::invalid(format!("`{text}`: {failure}"))))
}

fn time(py: Python<'_>, text: &str) -> PyResult<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.with_timezone(&Utc))
        .map_err(|failure| exception(py, &Error::invalid(format!("`{text}` is no time: {failure}"))))
}

/// One version of a key: number, state, why it cannot be read, and the reference where it is known.
type Listed = (u64, &'static str, Option<String>, Option<Reference>);

fn listed(entry: VersionEntry) -> Listed {
    let (state, why) = match entry.state {
        VersionState::Live => ("live", None),
        VersionState::Expired => ("expired", None),
        VersionState::Deleted(deletion) => {
            let reason = deletion.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            ("deleted", Some(format!("{} by {}{reason}", deletion.at.format("%Y-%m-%d %H:%M UTC"), deletion.by)))
        }
        VersionState::Damaged(why) => ("damaged", Some(why)),
    };
    (entry.version.get(), state, why, entry.reference.map(Reference))
}

#[pymethods]
impl Store {
    /// Opens a store by its settings.
    #[new]
    fn new(py: Python<'_>, settings: Settings) -> PyResult<Self> {
        Self::open_from(py, Origin::Settings(settings))
    }

    /// The store that a reference from anybody may be read from: a configured profile's, or the configured default one.
    #[staticmethod]
    fn of(py: Python<'_>, reference: &Reference) -> PyResult<Self> {
        Self::open_from(py, Origin::Reference(reference.0.clone()))
    }

    /// Where it lies, without credentials.
    #[getter]
    fn url(&self) -> Option<String> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).1.url().map(str::to_owned)
    }

    /// The profile by which it was opened.
    #[getter]
    fn profile(&self) -> Option<String> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).1.profile().map(str::to_owned)
    }

    #[pyo3(signature = (key, content, wanted, tick = None))]
    fn put(
        &self,
        py: Python<'_>,
        key: &str,
        content: &Content,
        wanted: Wanted,
        tick: Option<Py<PyAny>>,
    ) -> PyResult<Reference> {
        let store = self.get(py)?;
        let mut waiting = Waiting::new(tick);
        let content = content.take(py, &mut waiting)?;
        let put = wanted.apply(py, store.put(key, content))?.progress(waiting.progress.clone());
        waiting.settling(store).run(py, async move { put.await }).map(Reference)
    }

    /// What a put of this table would lose for certain, as a JSON array.
    #[pyo3(signature = (content, serializer = None))]
    fn losses(&self, py: Python<'_>, content: &Content, serializer: Option<String>) -> PyResult<String> {
        losses(py, &self.get(py)?, content, serializer)
    }

    /// Refuses a serializer of tables that there is not; without one, the store's own.
    #[pyo3(signature = (serializer = None))]
    fn check_serializer(&self, py: Python<'_>, serializer: Option<String>) -> PyResult<()> {
        check_serializer(py, &self.get(py)?, serializer)
    }

    #[pyo3(signature = (what, as_of = None))]
    fn open(&self, py: Python<'_>, what: What, as_of: Option<&str>) -> PyResult<Opened> {
        let (store, target) = (self.get(py)?, what.target(py, as_of)?);
        Waiting::new(None).run(py, async move { store.open_result(target).await }).map(Opened)
    }

    fn exists(&self, py: Python<'_>, what: What) -> PyResult<bool> {
        let (store, target) = (self.get(py)?, what.target(py, None)?);
        Waiting::new(None).run(py, async move { store.exists(target).await })
    }

    #[pyo3(signature = (key, version = None, force = false, reason = None))]
    fn delete(
        &self,
        py: Python<'_>,
        key: &str,
        version: Option<u64>,
        force: bool,
        reason: Option<String>,
    ) -> PyResult<Vec<u64>> {
        let mut delete = self.get(py)?.delete(key);
        if let Some(version) = version {
            delete = delete.version(Version::new(version).or_raise(py)?);
        }
        if force {
            delete = delete.force();
        }
        if let Some(reason) = reason {
            delete = delete.reason(reason);
        }
        let deleted = Waiting::new(None).run(py, async move { delete.await })?;
        Ok(deleted.into_iter().map(Version::get).collect())
    }

    fn versions(&self, py: Python<'_>, key: String) -> PyResult<Vec<Listed>> {
        let store = self.get(py)?;
        let entries = Waiting::new(None).run(py, async move { store.versions(key.as_str()).await })?;
        Ok(entries.into_iter().map(listed).collect())
    }

    /// One page: entries, unreadable keys with the reason, and where the next page begins.
    #[pyo3(signature = (prefix, search = None, size = 100, after = None))]
    #[expect(clippy::type_complexity, reason = "a page of three, as Python sees it")]
    fn list(
        &self,
        py: Python<'_>,
        prefix: &str,
        search: Option<String>,
        size: usize,
        after: Option<String>,
    ) -> PyResult<(Vec<Reference>, Vec<(String, String)>, Option<String>)> {
        let mut list = self.get(py)?.list(prefix).page_size(size);
        if let Some(text) = search {
            list = list.search(text);
        }
        if let Some(token) = after {
            list = list.after(token);
        }
        let page = Waiting::new(None).run(py, async move { list.await })?;
        let unreadable = page.unreadable.into_iter().map(|(key, why)| (key.to_string(), why)).collect();
        Ok((page.entries.into_iter().map(Reference).collect(), unreadable, page.next))
    }

    /// Versions, bytes, problems and notes; the last two as kind, subject and message.
    #[pyo3(signature = (prefix, contents = false, tick = None))]
    #[expect(clippy::type_complexity, reason = "a report of four, as Python sees it")]
    fn verify(
        &self,
        py: Python<'_>,
        prefix: String,
        contents: bool,
        tick: Option<Py<PyAny>>,
    ) -> PyResult<(u64, u64, Vec<(&'static str, String, String)>, Vec<(&'static str, String, String)>)> {
        let (store, waiting) = (self.get(py)?, Waiting::new(tick));
        let progress = waiting.progress.clone();
        let found = waiting.run(py, async move {
            match contents {
                true => store.verify_contents(&prefix, Some(progress)).await,
                false => store.verify(&prefix, Some(progress)).await,
            }
        })?;
        let told = |findings: Vec<coldframe::Finding>| {
            findings.into_iter().map(|finding| (finding.kind, finding.subject, finding.message)).collect()
        };
        Ok((found.versions, found.bytes, told(found.problems), told(found.notes)))
    }

    /// The copy's reference, and whether it was there already.
    #[pyo3(signature = (what, to, key = None, tick = None))]
    fn copy(
        &self,
        py: Python<'_>,
        what: What,
        to: &Self,
        key: Option<&str>,
        tick: Option<Py<PyAny>>,
    ) -> PyResult<(Reference, bool)> {
        let (from, to, target) = (self.get(py)?, to.get(py)?, what.target(py, None)?);
        let waiting = Waiting::new(tick);
        let mut copying = from.copy(target, &to).progress(waiting.progress.clone());
        if let Some(key) = key {
            copying = copying.key(key);
        }
        let copied = waiting.settling(to).run(py, async move { copying.await })?;
        Ok((Reference(copied.reference), copied.already_there))
    }

    /// Up to three keys that look like this one.
    fn similar_keys(&self, py: Python<'_>, key: String) -> PyResult<Vec<String>> {
        let store = self.get(py)?;
        Waiting::new(None).run(py, async move { store.similar_keys(&key).await })
    }
}
