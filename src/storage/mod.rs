//! Where results lie: a URL, path or profile becomes an object store.
//!
//! Everything above sees a [`Storage`]: an object store whose names start at the store's root, a second one that never
//! repeats a request by itself (for commits), and what is known about both.

pub(crate) mod address;
mod answer;
mod cache_settings;
mod cached;
mod cleaning;
mod cloud;
pub mod configuration;
pub(crate) mod disk_cache;
mod failure;
mod local;
mod location;
mod mapped;
mod meaning;
mod object;
mod options;
mod retries;
pub mod sequence;
mod unfinished;
mod upload;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;

pub use self::cache_settings::CacheSettings;
pub(crate) use self::cached::{CachedObject, ObjectCache};
pub(crate) use self::cleaning::Cleaning;
pub use self::configuration::{Configuration, Setting};
pub use self::disk_cache::{Usage as CacheUsage, clear as clear_cache, usage as cache_usage};
pub(crate) use self::failure::{failure, is_absent};
pub use self::local::LocalFolder;
pub(crate) use self::local::STAGING;
pub use self::location::Location;
pub(crate) use self::object::Object;
pub(crate) use self::unfinished::UnfinishedUpload;
use self::unfinished::Uploads;
pub(crate) use self::upload::Upload;

use crate::error::{Error, Result};

/// An object store whose names start at a store's root.
#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    creates: Arc<dyn ObjectStore>,
    url: Option<String>,
    profile: Option<String>,
    folder: Option<PathBuf>,
    lists_in_order: bool,
    cleaning: Cleaning,
    /// What lists the uploads that were started, and where in its bucket the store lies.
    uploads: Option<(Arc<dyn Uploads>, Path)>,
}

impl Storage {
    /// Opens a URL, path or profile. Nothing is read or written yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) or
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound), naming the profile or setting.
    pub fn open(location: &Location, durable: bool) -> Result<Self> {
        let profile = location.profile.clone();
        let storage = match (location.address.provider, location.address.url.scheme()) {
            (None, "file") => {
                location.without_options("a folder")?;
                let folder = location.folder()?;
                let store: Arc<dyn ObjectStore> = Arc::new(LocalFolder::new(folder.clone(), durable));
                Self { folder: Some(folder), ..Self::of(store.clone(), store) }
            }
            (None, _) => {
                location.without_options("memory")?;
                let url = &location.address.url;
                let store = rooted(memory(url.host_str().unwrap_or_default()), url.path())?;
                Self::of(store.clone(), store)
            }
            (Some(provider), _) => {
                let bucket = cloud::open(location, provider)?;
                let express = location.address.url.host_str().is_some_and(|bucket| bucket.ends_with("--x-s3"));
                let root = parse_root(&bucket.root)?;
                let storage = Self::of(rooted(bucket.store, &bucket.root)?, rooted(bucket.creates, &bucket.root)?);
                let uploads = bucket.uploads.map(|uploads| (uploads, root));
                Self { lists_in_order: !express, uploads, ..storage }
            }
        };
        Ok(Self { url: Some(location.printed()), profile, ..storage })
    }

    /// A store that the caller made; references to it carry no URL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if `root` is no path in it.
    pub fn with_object_store(store: Arc<dyn ObjectStore>, root: &str) -> Result<Self> {
        let store = rooted(store, root)?;
        Ok(Self { lists_in_order: false, ..Self::of(store.clone(), store) })
    }

    fn of(store: Arc<dyn ObjectStore>, creates: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            creates,
            url: None,
            profile: None,
            folder: None,
            lists_in_order: true,
            cleaning: Cleaning::default(),
            uploads: None,
        }
    }

    /// The object store.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The same object store, which sends every request once.
    pub fn creates(&self) -> &Arc<dyn ObjectStore> {
        &self.creates
    }

    /// Clean-up that is under way.
    pub(crate) fn cleaning(&self) -> &Cleaning {
        &self.cleaning
    }

    /// Where it lies, without credentials; absent for a store that the caller made.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The profile by which it was opened.
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// The folder, if it lies on the local disk.
    pub fn folder(&self) -> Option<&std::path::Path> {
        self.folder.as_deref()
    }

    /// The uploads in parts below `folder` that were started and did not end; none where the storage has no list of them.
    pub(crate) async fn unfinished(&self, folder: &Path) -> Result<Option<Vec<UnfinishedUpload>>> {
        let Some((uploads, root)) = &self.uploads else { return Ok(None) };
        let folder: Path = root.parts().chain(folder.parts()).collect();
        let listed = uploads.list(&format!("{folder}/")).await?.into_iter().filter_map(|upload| {
            let path = upload.path.prefix_match(root)?.collect();
            Some(UnfinishedUpload { path, ..upload })
        });
        Ok(Some(listed.collect()))
    }

    /// Ends one of [`Storage::unfinished`], and removes what was uploaded of it.
    pub(crate) async fn abort(&self, upload: &UnfinishedUpload) -> Result<()> {
        let Some((uploads, root)) = &self.uploads else { return Ok(()) };
        let path = root.parts().chain(upload.path.parts()).collect();
        uploads.abort(&UnfinishedUpload { path, ..upload.clone() }).await
    }

    /// Whether reading it goes over a network, as far as its URL says.
    pub fn is_remote(&self) -> bool {
        self.url().is_some_and(|url| !url.starts_with("file:") && !url.starts_with("memory:"))
    }

    /// Whether listings come in the order of names, so that the first page is enough to find the newest version.
    pub fn lists_in_order(&self) -> bool {
        self.lists_in_order
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").field("url", &self.url).field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.folder, &self.url) {
            (Some(folder), _) => write!(f, "{}", folder.display()),
            (None, Some(url)) => f.write_str(url),
            (None, None) => f.write_str("the object store"),
        }
    }
}

fn rooted(store: Arc<dyn ObjectStore>, root: &str) -> Result<Arc<dyn ObjectStore>> {
    let root = parse_root(root)?;
    Ok(if root.as_ref().is_empty() { store } else { Arc::new(PrefixStore::new(store, root)) })
}

fn parse_root(root: &str) -> Result<Path> {
    Path::parse(root.trim_matches('/'))
        .map_err(|error| Error::invalid(format!("`{}` cannot be the root of a store: {error}", root.escape_debug())))
}

/// The store in this process's memory of that name; it lives as long as somebody has it open.
fn memory(name: &str) -> Arc<dyn ObjectStore> {
    type Named = std::collections::BTreeMap<String, Weak<InMemory>>;
    static OPEN: Mutex<Named> = Mutex::new(Named::new());
    if name.is_empty() {
        return Arc::new(InMemory::new());
    }
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|_, store| store.strong_count() > 0);
    if let Some(store) = open.get(name).and_then(Weak::upgrade) {
        return store;
    }
    let store = Arc::new(InMemory::new());
    open.insert(name.to_owned(), Arc::downgrade(&store));
    store
}

/// A location as it may be shown: without the credentials that somebody may have written into it.
pub(crate) fn without_secrets(location: &str) -> String {
    address::without_secrets(location)
}
