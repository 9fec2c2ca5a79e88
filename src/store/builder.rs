//! Opens a store: settings as data, components as objects.

use std::fmt;
use std::sync::Arc;

use object_store::ObjectStore;
use tokio::sync::OnceCell;

use super::{DEFAULT_MEMORY, Inner, ResultStore};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::serializer::Registry;
use crate::storage::disk_cache::DiskCache;
use crate::storage::{CacheSettings, Configuration, Location, ObjectCache, Storage};

/// The least that a put or scan can work with.
const LEAST_MEMORY: usize = 16 * 1024 * 1024;

/// Opens a [`ResultStore`] step by step.
#[derive(Default)]
#[must_use = "a builder does nothing until `open`"]
pub struct StoreBuilder {
    location: Option<String>,
    object_store: Option<(Arc<dyn ObjectStore>, String)>,
    options: Vec<(String, String)>,
    durable: Option<bool>,
    memory: Option<usize>,
    cache: Option<CacheSettings>,
    cached_as: Option<String>,
    registry: Registry,
    clock: Option<Arc<dyn Clock>>,
    configuration: Option<Configuration>,
}

/// Options and the query of a URL may hold secrets: only the options' names are shown.
impl fmt::Debug for StoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.options.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("StoreBuilder")
            .field("location", &self.location.as_deref().map(crate::storage::without_secrets))
            .field("options", &names)
            .field("durable", &self.durable)
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

impl StoreBuilder {
    /// A URL, a path or the name of a profile; where absent, what is configured, else `./.coldframe`.
    pub fn location(self, location: impl Into<String>) -> Self {
        Self { location: Some(location.into()), ..self }
    }

    /// An object store that the caller made, and the store's root in it, in place of a location; references to it carry
    /// no URL.
    pub fn object_store(self, store: Arc<dyn ObjectStore>, root: impl Into<String>) -> Self {
        Self { object_store: Some((store, root.into())), ..self }
    }

    /// An option of the storage, such as `region`; stronger than those of the URL, the profile and the environment.
    ///
    /// The names are those of object_store's `AmazonS3ConfigKey`, `GoogleConfigKey` and `AzureConfigKey`, and
    /// `max_retries` and `retry_timeout`.
    pub fn option(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push((key.into(), value.into()));
        self
    }

    /// Whether a put on a local disk survives a power loss; it does unless told otherwise.
    pub fn durable(self, durable: bool) -> Self {
        Self { durable: Some(durable), ..self }
    }

    /// How many bytes one put or scan may hold; 192 MiB where absent.
    pub fn memory(self, bytes: usize) -> Self {
        Self { memory: Some(bytes), ..self }
    }

    /// The cache on the local disk of data that is read from a remote storage (S3, GCS, Azure); as configured where
    /// absent.
    pub fn cache(self, cache: CacheSettings) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// Lets the cache keep data of any storage, such as a folder on a slow network drive, or an object store that the
    /// caller made. `name` tells the storage from all others that the same cache serves.
    pub fn cached_as(self, name: impl Into<String>) -> Self {
        Self { cached_as: Some(name.into()), ..self }
    }

    /// The serializers that the store knows.
    pub fn registry(self, registry: Registry) -> Self {
        Self { registry, ..self }
    }

    /// The clock.
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// What is configured outside the program; read from the environment and `coldframe.toml` where absent.
    pub fn configuration(self, configuration: Configuration) -> Self {
        Self { configuration: Some(configuration), ..self }
    }

    /// Opens the store. Nothing is read or written on the storage yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), also for a profile that is not there,
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a URL.
    pub async fn open(mut self) -> Result<ResultStore> {
        let configuration = match self.configuration.take() {
            Some(configuration) => configuration,
            None => Configuration::ambient()?,
        };
        if let Some((store, root)) = self.object_store.take() {
            return self.build(Storage::with_object_store(store, &root)?, configuration);
        }
        let location = self.location.clone().unwrap_or_else(|| configuration.store());
        let storage = Location::resolve(&location, &self.options, &configuration)
            .and_then(|location| Storage::open(&location, self.durable.unwrap_or(true)))
            .map_err(|error| error.during("open", crate::storage::without_secrets(&location)))?;
        self.build(storage, configuration)
    }

    pub(super) fn build(self, storage: Storage, configuration: Configuration) -> Result<ResultStore> {
        let memory = match self.memory {
            Some(memory) => memory,
            None => configuration.memory()?.unwrap_or(DEFAULT_MEMORY),
        };
        if memory < LEAST_MEMORY {
            return Err(Error::invalid(format!("a memory budget of {memory} bytes is too small"))
                .with_hint(format!("give at least {} MiB", LEAST_MEMORY >> 20)));
        }
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let settings = match self.cache {
            Some(settings) => settings,
            None => configuration.cache()?,
        };
        let named = self.cached_as.or_else(|| storage.url().filter(|_| storage.is_remote()).map(str::to_owned));
        let cache = match (settings, named) {
            (CacheSettings::On { folder, limit }, Some(name)) => {
                let disk = DiskCache::new(folder, limit, clock.clone());
                Some(ObjectCache::new(disk, name, storage.cleaning().clone()))
            }
            _ => None,
        };
        let inner =
            Inner { storage, cache, configuration, registry: self.registry, clock, memory, proven: OnceCell::new() };
        Ok(ResultStore { inner: Arc::new(inner) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::error::ErrorKind;

    #[tokio::test]
    async fn remote_storages_are_cached_and_others_if_they_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        let configured = |limit: &str| {
            let settings = [("COLDFRAME_CACHE_FOLDER", path.as_str()), ("COLDFRAME_CACHE", limit)];
            let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
            Configuration::read(BTreeMap::from(settings), None, None).unwrap()
        };
        let builder = |limit: &str| ResultStore::builder().configuration(configured(limit));
        for url in ["s3://bucket/results", "gs://bucket/results", "az://container/results"] {
            let with = |limit: &str| builder(limit).option("region", "eu-west-1").location(url);
            let with = |limit: &str| if url.starts_with("s3") { with(limit) } else { builder(limit).location(url) };
            match with("1GiB").open().await {
                Ok(store) => assert!(store.inner.cache.is_some(), "{url}"),
                // Built without it, or without the account that it needs.
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Configuration), "{error:?}");
                    continue;
                }
            }
            assert!(with("off").open().await.unwrap().inner.cache.is_none(), "{url}");
            assert!(with("1GiB").cache(CacheSettings::Off).open().await.unwrap().inner.cache.is_none(), "{url}");
        }
        for location in ["memory://", &path] {
            assert!(builder("1GiB").location(location).open().await.unwrap().inner.cache.is_none());
            assert!(builder("1GiB").location(location).cached_as("x").open().await.unwrap().inner.cache.is_some());
            assert!(builder("off").location(location).cached_as("x").open().await.unwrap().inner.cache.is_none());
        }
        let error = builder("much").location("memory://").open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let objects = Arc::new(object_store::memory::InMemory::new());
        assert!(ResultStore::with_object_store(objects, "").unwrap().inner.cache.is_none());
    }
}
