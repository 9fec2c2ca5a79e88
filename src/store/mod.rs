//! The store: put, get, open, scan, list, versions, delete, exists, copy, verify.
//!
//! ```text
//! put:   content ─▶ encoder (a blocking thread) ─▶ upload (in parts) ─▶ commit ─▶ ResultReference
//! scan:  reference ─▶ open (footers) ─▶ checked ranges ─▶ decoder ─▶ Batches
//! ```

mod builder;
mod commit;
mod copy;
mod delete;
mod filtered;
mod hashing;
mod layout;
mod lifetime;
mod list;
mod names;
mod open;
mod pending;
mod pipeline;
mod put;
mod scan;
mod schema;
mod target;
mod unfinished;
mod verify;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use object_store::ObjectStore;
use serde_json::Value as Json;
use tokio::sync::OnceCell;

pub use self::builder::StoreBuilder;
pub use self::commit::Condition;
pub use self::copy::{Copied, Copying};
pub use self::delete::{Delete, Deletion};
pub use self::hashing::fingerprint_of;
pub use self::list::{List, Page, VersionEntry, VersionState};
pub use self::open::Opened;
pub use self::put::{Progress, Put};
pub use self::scan::Scan;
pub use self::target::{IntoTarget, Target};
use self::verify::Depth;
pub use self::verify::{Finding, Verification};

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::reference::{Key, ResultReference, Version};
use crate::serializer::{Registry, SerializerChoice};
use crate::storage::{Configuration, ObjectCache, Storage, sequence};
use crate::value::{IntoContent, Shape, Value};

/// How many bytes one put or scan may hold, unless told otherwise.
pub const DEFAULT_MEMORY: usize = 192 * 1024 * 1024;

/// Keeps results under keys, in versions, on one storage.
///
/// Opening one is cheap, and so is cloning it.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{Int64Array, RecordBatch};
/// use coldframe::ResultStore;
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let store = ResultStore::open("memory://").await?;
/// let fares = RecordBatch::try_from_iter([("fare", Arc::new(Int64Array::from(vec![12, 7])) as _)])?;
/// let reference = store.put("etl/trips", fares.clone()).await?;
/// assert_eq!(reference.to_string(), "etl/trips@1");
/// assert_eq!(store.get(&reference).await?.into_table()?.batches(), [fares]);
/// # Ok::<(), coldframe::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ResultStore {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) storage: Storage,
    /// Of the data objects, which never change; references and markers are always read from the storage.
    pub(crate) cache: Option<ObjectCache>,
    pub(crate) configuration: Configuration,
    pub(crate) registry: Registry,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) memory: usize,
    proven: OnceCell<()>,
}

impl ResultStore {
    /// Opens a URL, a path or a profile, with what the environment and `coldframe.toml` say.
    ///
    /// Nothing is read or written yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`], also for a profile that is not there, [`ErrorKind::InvalidInput`] for a URL.
    pub async fn open(location: &str) -> Result<Self> {
        Self::builder().location(location).open().await
    }

    /// Opens a store step by step.
    pub fn builder() -> StoreBuilder {
        StoreBuilder::default()
    }

    /// A store on an object store that the caller made; references to it carry no URL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if `root` is no path in it.
    pub fn with_object_store(store: Arc<dyn ObjectStore>, root: &str) -> Result<Self> {
        Self::builder().build(Storage::with_object_store(store, root)?, Configuration::empty())
    }

    /// Where the store lies, without credentials; absent for an object store that the caller made.
    pub fn url(&self) -> Option<&str> {
        self.inner.storage.url()
    }

    /// The profile by which it was opened, if it was by one.
    pub fn profile(&self) -> Option<&str> {
        self.inner.storage.profile()
    }

    /// What is configured outside the program.
    pub fn configuration(&self) -> &Configuration {
        &self.inner.configuration
    }

    /// The serializers that it knows.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Persists a value as the next version of a key; await the returned [`Put`].
    pub fn put<K>(&self, key: K, content: impl IntoContent) -> Put
    where
        K: TryInto<Key, Error: Into<Error>>,
    {
        Put::new(self.inner.clone(), key.try_into().map_err(Into::into), content.into_content())
    }

    /// What a put of a value of this shape would lose for certain, with this serializer or the usual one; nothing is put.
    ///
    /// Each is an object that says in `loses` what is lost, and in `column` of which column, if it is of one. What
    /// depends on the data is not among it: a [`Put::strict`] refuses that, too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] if the serializer does not hold such a value at all, [`ErrorKind::InvalidInput`] or
    /// [`ErrorKind::Unsupported`] if there is no such serializer.
    ///
    /// ```
    /// use coldframe::{ResultStore, Shape};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let store = ResultStore::open("memory://").await?;
    /// assert!(store.losses(&Shape::Bytes, None)?.is_empty());
    /// # Ok::<(), coldframe::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn losses(&self, shape: &Shape, serializer: Option<SerializerChoice>) -> Result<Vec<Json>> {
        put::losses(&self.inner, shape, serializer.as_ref()).map_err(|error| error.during("losses", ""))
    }

    /// Reads a whole result into memory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], [`ErrorKind::Gone`] with when and why, [`ErrorKind::Damaged`], or what the storage
    /// fails with.
    pub async fn get(&self, what: impl IntoTarget) -> Result<Value> {
        self.open_result(what).await?.value().await
    }

    /// Opens a result: its reference is read, and its data not yet.
    ///
    /// # Errors
    ///
    /// As [`ResultStore::get`].
    pub async fn open_result(&self, what: impl IntoTarget) -> Result<Opened> {
        let target = what.into_target()?;
        let name = target.to_string();
        Opened::open(self.inner.clone(), target).await.map_err(|error| error.during("get", name))
    }

    /// Reads some columns and rows of a table; see [`Scan`].
    pub fn scan(&self, what: impl IntoTarget) -> Scan {
        Scan::new(self.inner.clone(), what.into_target())
    }

    /// The full reference of a version, as it lies on the storage.
    ///
    /// # Errors
    ///
    /// As [`ResultStore::get`].
    pub async fn reference(&self, what: impl IntoTarget) -> Result<ResultReference> {
        Ok(self.open_result(what).await?.reference().clone())
    }

    /// Whether there is such a version that is neither deleted nor expired.
    ///
    /// # Errors
    ///
    /// What the storage fails with.
    pub async fn exists(&self, what: impl IntoTarget) -> Result<bool> {
        let target = what.into_target()?;
        let name = target.to_string();
        open::exists(&self.inner, &target).await.map_err(|error| error.during("exists", name))
    }

    /// The bytes of a result that holds bytes, as a stream.
    ///
    /// # Errors
    ///
    /// As [`ResultStore::get`], and [`ErrorKind::InvalidInput`] if the result is something else.
    pub async fn bytes(&self, what: impl IntoTarget) -> Result<BoxStream<'static, Result<bytes::Bytes>>> {
        self.open_result(what).await?.bytes().await
    }

    /// Deletes versions of a key; await the returned [`Delete`].
    pub fn delete<K>(&self, key: K) -> Delete
    where
        K: TryInto<Key, Error: Into<Error>>,
    {
        Delete::new(self.inner.clone(), key.try_into().map_err(Into::into))
    }

    /// Copies a version to another store as the next version of its key there; await the returned [`Copying`].
    ///
    /// The copy holds the same bytes, each of them checked, and says in [`Written::copied_from`] what it is a copy of.
    /// It fails as [`ResultStore::get`] does where the original cannot be read, and as a put does where the copy cannot
    /// be written; the message then says into which store. What failed leaves nothing behind.
    ///
    /// A store that has such a copy already, and has not deleted it, keeps it, and nothing is transferred.
    ///
    /// ```
    /// use coldframe::ResultStore;
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let (here, there) = (ResultStore::open("memory://").await?, ResultStore::open("memory://").await?);
    /// here.put("etl/seeds", b"poppy".to_vec()).await?;
    /// let copied = here.copy("etl/seeds", &there).await?;
    /// assert_eq!(copied.reference.to_string(), "etl/seeds@1");
    /// assert!(here.copy("etl/seeds", &there).await?.already_there);
    /// # Ok::<(), coldframe::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`Written::copied_from`]: crate::reference::Written::copied_from
    pub fn copy(&self, what: impl IntoTarget, to: &Self) -> Copying {
        Copying::new(self.inner.clone(), to.inner.clone(), what.into_target())
    }

    /// The newest version of each key that begins with `prefix`, in pages; await the returned [`List`].
    pub fn list(&self, prefix: &str) -> List {
        List::new(self.inner.clone(), prefix)
    }

    /// Every version of a key, the newest first, deleted ones too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if the key never had one, or what the storage fails with.
    pub async fn versions<K>(&self, key: K) -> Result<Vec<VersionEntry>>
    where
        K: TryInto<Key, Error: Into<Error>>,
    {
        let key = key.try_into().map_err(Into::into)?;
        list::versions(&self.inner, &key).await.map_err(|error| error.during("versions", key))
    }

    /// Up to three keys of the store that look like `key`.
    ///
    /// # Errors
    ///
    /// What the storage fails with.
    pub async fn similar_keys(&self, key: &str) -> Result<Vec<String>> {
        list::similar_keys(&self.inner, key).await
    }

    /// Reads every version of the keys that begin with `prefix`, and compares it with what was written.
    ///
    /// # Errors
    ///
    /// What the storage fails with; what is wrong with a version is in the [`Verification`].
    pub async fn verify(&self, prefix: &str, progress: Option<Arc<Progress>>) -> Result<Verification> {
        self.verified(prefix, progress, Depth::Bytes).await
    }

    /// As [`ResultStore::verify`]; and then decodes each table and JSON value that has a fingerprint, and compares that.
    ///
    /// It finds what checksums cannot: bytes that are as they were written, and yet not what was put. A table takes no
    /// more memory than a scan of it.
    ///
    /// # Errors
    ///
    /// What the storage fails with; what is wrong with a version is in the [`Verification`].
    pub async fn verify_contents(&self, prefix: &str, progress: Option<Arc<Progress>>) -> Result<Verification> {
        self.verified(prefix, progress, Depth::Contents).await
    }

    async fn verified(&self, prefix: &str, progress: Option<Arc<Progress>>, depth: Depth) -> Result<Verification> {
        let verifying = verify::verify(&self.inner, prefix, progress, depth);
        verifying.await.map_err(|error| error.during("verify", prefix))
    }

    /// Ends uploads in parts that were started below `prefix` longer than `grace` ago and whose put is no longer alive;
    /// the objects that they would have become. On a local disk, removes staged files of that age, if `prefix` is empty.
    ///
    /// S3 and Google Cloud Storage keep the parts of such an upload for ever; [`ResultStore::verify`] notes them. A put
    /// shows that it is alive after five minutes at the latest: with a grace of less than an hour, nobody else may be
    /// putting.
    ///
    /// # Errors
    ///
    /// What the storage fails with; [`ErrorKind::Denied`] if it lets nobody see its uploads.
    pub async fn abort_unfinished(&self, prefix: &str, grace: Duration) -> Result<Vec<String>> {
        let aborting = unfinished::abort(&self.inner, prefix, grace);
        aborting.await.map_err(|error| error.during("abort unfinished", prefix))
    }

    /// Waits until the clean-up of puts that were given up has ended, and what was read is in the cache; for programs
    /// that are about to exit.
    pub async fn settled(&self) {
        self.inner.storage.cleaning().settled().await;
    }

    pub(crate) fn from_inner(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

impl Inner {
    /// Reads the reference of one version, and checks that it is that of the key and version asked for.
    pub(crate) async fn load(&self, key: &Key, version: Version) -> Result<ResultReference> {
        let path = layout::version(key, version, layout::NameKind::Reference)?;
        let bytes = sequence::read(&self.storage, &path).await?.ok_or_else(|| missing_version(key, version))?;
        let reference = std::str::from_utf8(&bytes)
            .map_err(|_| Error::damaged("it is no text"))
            .and_then(ResultReference::from_json)
            .map_err(|error| match error.kind() {
                ErrorKind::Unsupported => error,
                _ => error.within(format!("the reference {path} is damaged")).with_kind(ErrorKind::Damaged),
            })?;
        if reference.key() != key && reference.key().as_str().to_lowercase() == key.as_str().to_lowercase() {
            return Err(Error::new(ErrorKind::NotFound, format!("the file system takes it for `{}`", reference.key()))
                .with_hint("this disk does not tell upper from lower case: choose another key"));
        }
        if reference.key() != key || reference.version() != version || reference.written().is_none() {
            return Err(Error::damaged(format!("the reference {path} is that of {reference}")));
        }
        Ok(reference)
    }

    /// The reference as it is handed out: it says where it lies, and resolves itself.
    pub(crate) fn handed_out(self: &Arc<Self>, reference: ResultReference) -> ResultReference {
        let (url, profile) = (self.storage.url().map(str::to_owned), self.storage.profile().map(str::to_owned));
        reference.located(url, profile).bound(self.clone())
    }
}

fn missing_version(key: &Key, version: Version) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no version {version}"))
        .with_hint(format!("`coldframe versions {key}` shows which there are"))
}

impl fmt::Debug for ResultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResultStore").field("storage", &self.inner.storage).finish_non_exhaustive()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("storage", &self.storage).finish_non_exhaustive()
    }
}
