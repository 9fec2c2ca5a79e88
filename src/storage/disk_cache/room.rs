//! How much the cache holds, what has to go, and how it is emptied.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::name::{Entry, is_object, is_shard};
use super::{INCOMING, MARKER};

/// A file system gives room in blocks; many small files would take more than their bytes say.
const BLOCK_BYTES: u64 = 4096;
/// A file that is this long on its way was left by a process that died.
const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);

/// What a cache holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The room that its files take on the disk.
    pub bytes: u64,
    /// How many ranges of bytes it holds.
    pub entries: u64,
    /// Of how many objects they are.
    pub objects: u64,
}

/// The room that a file of `size` bytes takes.
pub(super) fn room(size: u64) -> u64 {
    size.next_multiple_of(BLOCK_BYTES)
}

struct Held {
    used: SystemTime,
    room: u64,
    path: PathBuf,
}

/// What the cache in `root` holds now.
pub(super) fn usage(root: &Path) -> Usage {
    let mut usage = Usage::default();
    for object in objects(root) {
        let held = held(&object);
        usage.objects += u64::from(!held.is_empty());
        usage.entries += held.len() as u64;
        usage.bytes += held.iter().map(|file| file.room).sum::<u64>();
    }
    usage
}

/// Removes what was used least recently until the rest takes at most `target` bytes, and what died on its way.
pub(super) fn sweep(root: &Path, target: u64, now: SystemTime) {
    let mut files: Vec<Held> = objects(root).iter().flat_map(|object| held(object)).collect();
    let mut total: u64 = files.iter().map(|file| file.room).sum();
    files.sort_by_key(|file| file.used);
    for file in files {
        if total <= target {
            break;
        }
        discard(&file.path);
        total = total.saturating_sub(file.room);
        if let Some(object) = file.path.parent() {
            // It stays while something is in it.
            let _ = fs::remove_dir(object);
        }
    }
    for (path, metadata) in children(&root.join(INCOMING)) {
        let age = metadata.modified().ok().and_then(|modified| now.duration_since(modified).ok());
        if age.is_some_and(|age| age > ABANDONED_AFTER) {
            discard(&path);
        }
    }
}

/// Removes everything that is the cache's, and nothing else.
pub(super) fn clear(root: &Path) -> io::Result<()> {
    for shard in shards(root) {
        for (object, _) in children(&shard).into_iter().filter(|(path, _)| is_object(name_of(path))) {
            removed(fs::remove_dir_all(object))?;
        }
        // It stays where somebody put something else into it, or a reader writes to it again.
        let _ = fs::remove_dir(shard);
    }
    removed(fs::remove_dir_all(root.join(INCOMING)))
}

/// Whether `root` is a cache: it bears the mark of one.
pub(super) fn is_marked(root: &Path) -> bool {
    root.join(MARKER).is_file()
}

/// Whether nothing is there, or nothing in it.
pub(super) fn is_empty(root: &Path) -> io::Result<bool> {
    match fs::read_dir(root) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Removes a file, or whatever took its place.
pub(super) fn discard(path: &Path) {
    if fs::remove_file(path).is_err()
        && let Err(error) = fs::remove_dir_all(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(%error, path = %path.display(), "a file of the cache cannot be removed");
    }
}

/// An outcome of removing, where what is gone already counts as removed.
pub(super) fn removed(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The folders of all objects.
fn objects(root: &Path) -> Vec<PathBuf> {
    let objects = shards(root).into_iter().flat_map(|shard| children(&shard));
    let objects = objects.filter(|(path, metadata)| metadata.is_dir() && is_object(name_of(path)));
    objects.map(|(path, _)| path).collect()
}

fn shards(root: &Path) -> Vec<PathBuf> {
    let shards = children(root).into_iter().filter(|(path, metadata)| metadata.is_dir() && is_shard(name_of(path)));
    shards.map(|(path, _)| path).collect()
}

fn held(object: &Path) -> Vec<Held> {
    let files = children(object).into_iter().filter(|(path, _)| Entry::parse(name_of(path)).is_some());
    let held = files.filter_map(|(path, metadata)| {
        Some(Held { used: metadata.modified().ok()?, room: room(metadata.len()), path })
    });
    held.collect()
}

/// What lies in a folder; links are not followed, and what vanishes meanwhile is left out.
fn children(folder: &Path) -> Vec<(PathBuf, fs::Metadata)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?))).collect()
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
