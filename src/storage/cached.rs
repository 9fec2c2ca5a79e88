//! An object that is read through the cache on the local disk.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use object_store::path::Path;
use tokio::task::spawn_blocking;

use super::disk_cache::{DiskCache, ObjectId};
use super::{Cleaning, Object};
use crate::checksum::Checksum;
use crate::error::{Error, Result};

/// Where more than this waits to be written, what else is read is not kept: reading goes first.
const WAITING_BYTES: usize = 16 * 1024 * 1024;

/// The cache of one storage's objects.
#[derive(Debug, Clone)]
pub(crate) struct ObjectCache {
    disk: DiskCache,
    /// One write after the other: those that wait need no thread.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// What tells the storage from others.
    storage: String,
    cleaning: Cleaning,
}

impl ObjectCache {
    pub(crate) fn new(disk: DiskCache, storage: String, cleaning: Cleaning) -> Self {
        Self { disk, turn: Arc::default(), storage, cleaning }
    }

    fn id(&self, path: &Path, size: u64, checksum: Checksum) -> ObjectId {
        ObjectId::new(&self.storage, path.as_ref(), size, &checksum.to_string())
    }

    /// Forgets an object.
    pub(crate) async fn evict(&self, path: &Path, size: u64, checksum: Checksum) {
        let (disk, id) = (self.disk.clone(), self.id(path, size, checksum));
        // Fails only where the runtime shuts down.
        let _ = spawn_blocking(move || disk.evict(id)).await;
    }
}

/// One object: what is in the cache comes from there, all else from the storage.
#[derive(Debug)]
pub(crate) struct CachedObject {
    object: Object,
    cache: Option<Cached>,
}

#[derive(Debug)]
struct Cached {
    cache: ObjectCache,
    id: ObjectId,
    /// Whether some of what was read came from the cache.
    served: AtomicBool,
    /// Whether what was read turned out to be damaged: from then on the cache is neither asked nor filled.
    distrusted: Arc<AtomicBool>,
}

impl CachedObject {
    /// The object by itself.
    pub(crate) fn new(object: Object) -> Self {
        Self { object, cache: None }
    }

    /// The same, whose content has that checksum, read through `cache`.
    pub(crate) fn through(self, cache: &ObjectCache, checksum: Checksum) -> Self {
        let cached = Cached {
            id: cache.id(self.object.path(), self.object.size(), checksum),
            cache: cache.clone(),
            served: AtomicBool::new(false),
            distrusted: Arc::default(),
        };
        Self { cache: Some(cached), ..self }
    }

    /// The object as it lies on the storage.
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    /// The bytes of each range, in the order asked; see [`Object::read`].
    pub(crate) async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let trusted = self.cache.as_ref().filter(|cached| !cached.distrusted.load(Ordering::Acquire));
        let Some(cached) = trusted.filter(|_| self.object.size() > 0) else {
            return self.object.read(ranges).await;
        };
        let mut found = cached.look_up(ranges).await;
        let missing: Vec<Range<u64>> =
            ranges.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(range, _)| range.clone()).collect();
        if !missing.is_empty() {
            let read = self.object.read(&missing).await?;
            cached.keep(&missing, &read);
            for (slot, bytes) in found.iter_mut().filter(|slot| slot.is_none()).zip(read) {
                *slot = Some(bytes);
            }
        }
        let whole: Option<Vec<Bytes>> = found.into_iter().collect();
        whole.ok_or_else(|| Error::internal("a read through the cache lost a range"))
    }

    /// A local file as it is mapped; see [`Object::mapped`]. What is read through the cache is not mapped.
    pub(crate) async fn mapped(&self) -> Option<(Bytes, bool)> {
        if self.cache.is_some() { None } else { self.object.mapped().await }
    }

    /// Told that what was read is not what was written: forgets what the cache has of it, so that every later read
    /// comes from the storage. Whether something had come from the cache, so that reading again is worth it.
    pub(crate) async fn distrust(&self) -> bool {
        let Some(cached) = &self.cache else { return false };
        cached.distrusted.store(true, Ordering::Release);
        let (disk, id) = (cached.cache.disk.clone(), cached.id);
        let _ = spawn_blocking(move || disk.evict(id)).await;
        cached.served.load(Ordering::Acquire)
    }
}

impl Cached {
    async fn look_up(&self, ranges: &[Range<u64>]) -> Vec<Option<Bytes>> {
        let (disk, id, wanted) = (self.cache.disk.clone(), self.id, ranges.to_vec());
        let found = spawn_blocking(move || disk.read(id, &wanted)).await;
        let found = found.unwrap_or_else(|_| vec![None; ranges.len()]);
        if found.iter().any(Option::is_some) {
            self.served.store(true, Ordering::Release);
        }
        found
    }

    /// Writes what was read, while the reader goes on.
    fn keep(&self, ranges: &[Range<u64>], read: &[Bytes]) {
        let total = read.iter().map(Bytes::len).sum();
        let Some(waiting) = self.cache.disk.wait_in_line(total, WAITING_BYTES) else { return };
        let pieces = ranges.iter().map(|range| range.start).zip(read.iter().cloned()).collect();
        let (disk, id, distrusted) = (self.cache.disk.clone(), self.id, self.distrusted.clone());
        let turn = self.cache.turn.clone();
        self.cache.cleaning.start(async move {
            let _turn = turn.lock_owned().await;
            let write = move || {
                disk.write(id, pieces, || !distrusted.load(Ordering::Acquire));
                drop(waiting);
            };
            let _ = spawn_blocking(write).await;
        });
    }
}
