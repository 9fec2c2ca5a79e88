//! A folder of bytes that were read before: bounded, least recently used out, open to many processes at once.
//!
//! ```text
//! <folder>/
//!   coldframe-cache.json                     says that the folder is a cache
//!   incoming/                                files that are not whole yet
//!   <2 hex digits>/<object>/<start>-<end>-<xxh3-128 of the bytes>
//! ```
//!
//! Nothing here is locked. A file appears by being renamed, and is checked by its own name; what has vanished or does
//! not fit its name is as if it had never been there. A file's modification time says when it was used last. What goes
//! wrong is noted for whoever listens, and never fails a read: the storage has the bytes as well.

mod name;
mod room;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use self::name::Entry;
pub(crate) use self::name::ObjectId;
pub use self::room::Usage;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

const MARKER: &str = "coldframe-cache.json";
const MARK: &[u8] = b"{\"type\":\"cache\",\"format\":1}\n";
const INCOMING: &str = "incoming";
/// Neighbours are kept in one file up to this size, so that a wide table does not become thousands of files.
const JOINED_BYTES: usize = 1024 * 1024;
/// What is read of a file at once.
const PIECE_BYTES: usize = 256 * 1024;

/// A range that is wanted, and which one of those that were asked for it is.
type Slot = (usize, Range<u64>);

/// The cache in one folder.
#[derive(Debug, Clone)]
pub(crate) struct DiskCache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    limit: u64,
    clock: Arc<dyn Clock>,
    writer: Mutex<Writer>,
    /// Set once writing failed: a full disk will be full for the next file as well.
    given_up: AtomicBool,
    /// How many bytes wait in memory to be written.
    waiting: AtomicUsize,
}

/// One file is written at a time.
#[derive(Debug, Default)]
struct Writer {
    /// How much was written since the last sweep; absent before the first.
    written: Option<u64>,
}

/// Bytes that wait to be written; they count until it is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    cache: DiskCache,
    bytes: usize,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.cache.inner.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl DiskCache {
    /// The cache in `folder` that takes at most `limit` bytes. Nothing is made yet.
    pub(crate) fn new(folder: PathBuf, limit: u64, clock: Arc<dyn Clock>) -> Self {
        let (writer, given_up, waiting) = (Mutex::default(), AtomicBool::new(false), AtomicUsize::new(0));
        Self { inner: Arc::new(Inner { folder, limit, clock, writer, given_up, waiting }) }
    }

    /// The bytes of each range, where they are here; blocks.
    pub(crate) fn read(&self, object: ObjectId, wanted: &[Range<u64>]) -> Vec<Option<Bytes>> {
        let folder = object.folder(&self.inner.folder);
        let mut entries = entries(&folder);
        let mut found = vec![None; wanted.len()];
        // A damaged file is removed, and another one may hold the same range: look again until nothing is damaged.
        loop {
            let mut damaged = Vec::new();
            for (entry, ranges) in chosen(&entries, wanted, &found) {
                let start = ranges.iter().map(|(_, range)| range.start).min().unwrap_or_default();
                let end = ranges.iter().map(|(_, range)| range.end).max().unwrap_or_default();
                let path = folder.join(entry.name());
                let Some(bytes) = self.load(&path, entry, &(start..end)) else {
                    damaged.push(entry.clone());
                    continue;
                };
                for (slot, range) in ranges {
                    if let Some(slot) = found.get_mut(slot) {
                        *slot = Some(bytes.slice(position(range.start - start)..position(range.end - start)));
                    }
                }
            }
            if damaged.is_empty() {
                return found;
            }
            entries.retain(|entry| !damaged.contains(entry));
        }
    }

    /// Some bytes of a file, if all of it is what its name says.
    fn load(&self, path: &Path, entry: &Entry, wanted: &Range<u64>) -> Option<Bytes> {
        let read = File::open(path).and_then(|mut file| {
            let bytes = checked(&mut file, entry, wanted)?;
            // Without the time of its use it goes a little earlier, which harms nobody.
            let _ = file.set_modified(self.now());
            Ok(bytes)
        });
        match read {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                tracing::debug!(%error, path = %path.display(), "a cached file cannot be used");
                // A process that has too many files open finds sound ones unreadable.
                if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) || path.is_dir() {
                    room::discard(path);
                }
                None
            }
        }
    }

    /// Counts bytes that wait to be written; none if too many wait already, or writing has failed.
    pub(crate) fn wait_in_line(&self, bytes: usize, most: usize) -> Option<Waiting> {
        if self.inner.given_up.load(Ordering::Relaxed) || self.inner.waiting.load(Ordering::Relaxed) > most {
            return None;
        }
        self.inner.waiting.fetch_add(bytes, Ordering::Relaxed);
        Some(Waiting { cache: self.clone(), bytes })
    }

    /// Keeps pieces of an object, each with its start, for as long as `wanted` says so; blocks.
    pub(crate) fn write(&self, object: ObjectId, pieces: Vec<(u64, Bytes)>, wanted: impl Fn() -> bool) {
        for (start, bytes) in joined(pieces) {
            let mut writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
            if self.inner.given_up.load(Ordering::Relaxed) || !wanted() {
                return;
            }
            if let Err(error) = self.write_one(&mut writer, object, start, &bytes) {
                let folder = self.inner.folder.display();
                tracing::debug!(%error, %folder, "nothing more is written to the cache: it cannot be written to");
                self.inner.given_up.store(true, Ordering::Relaxed);
            }
        }
    }

    fn write_one(&self, writer: &mut Writer, object: ObjectId, start: u64, bytes: &[u8]) -> io::Result<()> {
        let room = room::room(bytes.len() as u64);
        if bytes.is_empty() || room > self.inner.limit / 4 {
            return Ok(());
        }
        let folder = object.folder(&self.inner.folder);
        let entry = Entry::of(start, bytes);
        let known = entries(&folder);
        if known.iter().any(|known| known.covers(&entry.range)) {
            return Ok(());
        }
        // Each time, since somebody may have removed the whole folder: without its mark it would be no cache any more.
        mark(&self.inner.folder)?;
        self.make_room(writer, room);
        let path = folder.join(entry.name());
        for attempt in 0..2 {
            match self.place(&folder, &path, bytes) {
                // Somebody removed the folder between two steps: an eviction, or a clear.
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt == 0 => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                placed => {
                    placed?;
                    break;
                }
            }
        }
        writer.written = Some(writer.written.unwrap_or_default() + room);
        for covered in known.iter().filter(|known| entry.covers(&known.range)) {
            room::discard(&folder.join(covered.name()));
        }
        Ok(())
    }

    /// Sweeps before the first file of all, and when this one would take what was written past a sixteenth.
    fn make_room(&self, writer: &mut Writer, room: u64) {
        let limit = self.inner.limit;
        if writer.written.is_some_and(|written| written + room <= limit / 16) {
            return;
        }
        room::sweep(&self.inner.folder, (limit / 10 * 9).saturating_sub(room), self.now());
        writer.written = Some(0);
    }

    /// Writes a file beside the others, and gives it its name when it is whole.
    fn place(&self, folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let incoming = self.inner.folder.join(INCOMING);
        make_folder(&incoming)?;
        make_folder(folder)?;
        // Only its owner may read it: that is how this library makes files.
        let mut file = tempfile::Builder::new().tempfile_in(&incoming)?;
        file.write_all(bytes)?;
        file.as_file().set_modified(self.now())?;
        file.persist(path).map(drop).map_err(|error| error.error)
    }

    /// Forgets an object; blocks.
    pub(crate) fn evict(&self, object: ObjectId) {
        let folder = object.folder(&self.inner.folder);
        // No file of it is placed after this that was on its way before.
        let _writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = room::removed(fs::remove_dir_all(&folder)) {
            tracing::debug!(%error, folder = %folder.display(), "an object cannot be removed from the cache");
        }
    }

    fn now(&self) -> SystemTime {
        SystemTime::from(self.inner.clock.now())
    }
}

/// What the cache in `folder` holds; nothing where there is no such folder.
pub fn usage(folder: &Path) -> Usage {
    if room::is_marked(folder) { room::usage(folder) } else { Usage::default() }
}

/// Empties the cache in `folder`, and says what it held.
///
/// # Errors
///
/// [`ErrorKind::Configuration`] if the folder is no cache, [`ErrorKind::Denied`] or [`ErrorKind::Unavailable`] if a file
/// cannot be removed.
pub fn clear(folder: &Path) -> Result<Usage> {
    let failed = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
            io::ErrorKind::NotADirectory => ErrorKind::Configuration,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, format!("the cache in {} cannot be cleared: {error}", folder.display()))
            .with_hint("remove the folder yourself, or choose another one with COLDFRAME_CACHE_FOLDER")
            .with_source(error)
    };
    if !room::is_marked(folder) {
        if room::is_empty(folder).map_err(failed)? {
            return Ok(Usage::default());
        }
        return Err(Error::new(
            ErrorKind::Configuration,
            format!("{} is no cache: it holds other things, and no {MARKER}", folder.display()),
        )
        .with_hint("choose a folder for the cache alone, with `cache_folder` or COLDFRAME_CACHE_FOLDER"));
    }
    let usage = room::usage(folder);
    room::clear(folder).map_err(failed)?;
    Ok(usage)
}

/// Makes the folder a cache, if it is none yet; one that holds other things is left alone.
fn mark(folder: &Path) -> io::Result<()> {
    if room::is_marked(folder) {
        return Ok(());
    }
    make_folder(folder)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    if !room::is_empty(folder)? && !room::is_marked(folder) {
        return Err(io::Error::other(format!("the folder holds other things, and no {MARKER}")));
    }
    match options.open(folder.join(MARKER)) {
        Ok(mut marker) => marker.write_all(MARK),
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// What an object's folder holds; names that are not the cache's are left out.
fn entries(folder: &Path) -> Vec<Entry> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| Entry::parse(file.file_name().to_str()?)).collect()
}

/// For each range that is not found yet, the smallest entry that holds it; grouped, so that each file is read once.
fn chosen<'entries>(
    entries: &'entries [Entry],
    wanted: &[Range<u64>],
    found: &[Option<Bytes>],
) -> Vec<(&'entries Entry, Vec<Slot>)> {
    let mut groups: Vec<(&Entry, Vec<Slot>)> = entries.iter().map(|entry| (entry, Vec::new())).collect();
    groups.sort_by_key(|(entry, _)| entry.size());
    for (slot, (range, _)) in wanted.iter().zip(found).enumerate().filter(|(_, (_, found))| found.is_none()) {
        if range.is_empty() {
            continue;
        }
        if let Some((_, ranges)) = groups.iter_mut().find(|(entry, _)| entry.covers(range)) {
            ranges.push((slot, range.clone()));
        }
    }
    groups.retain(|(_, ranges)| !ranges.is_empty());
    groups
}

/// The wanted bytes of a file whose whole content fits its name; no more than those is held.
fn checked(file: &mut File, entry: &Entry, wanted: &Range<u64>) -> io::Result<Bytes> {
    let damaged = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    if file.metadata()?.len() != entry.size() {
        return Err(damaged("it has another size than its name says"));
    }
    let (mut hash, mut at) = (Xxh3::new(), entry.range.start);
    let mut bytes = Vec::with_capacity(position(wanted.end - wanted.start));
    let mut buffer = vec![0; PIECE_BYTES.min(position(entry.size()))];
    while at < entry.range.end {
        let length = match file.read(&mut buffer) {
            Ok(0) => return Err(damaged("it ends early")),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let piece = buffer.get(..length).unwrap_or_default();
        hash.update(piece);
        let end = at + length as u64;
        let (from, to) = (wanted.start.clamp(at, end) - at, wanted.end.clamp(at, end) - at);
        bytes.extend_from_slice(piece.get(position(from)..position(to)).unwrap_or_default());
        at = end;
    }
    if hash.digest128() == entry.checksum { Ok(bytes.into()) } else { Err(damaged("its checksum differs")) }
}

/// The pieces in their order; small ones that touch become one.
fn joined(mut pieces: Vec<(u64, Bytes)>) -> Vec<(u64, Bytes)> {
    pieces.sort_by_key(|(start, _)| *start);
    let mut runs: Vec<(u64, Vec<Bytes>, usize)> = Vec::with_capacity(pieces.len());
    for (start, bytes) in pieces {
        match runs.last_mut() {
            Some((first, run, length)) if *first + *length as u64 == start && *length + bytes.len() <= JOINED_BYTES => {
                *length += bytes.len();
                run.push(bytes);
            }
            _ => runs.push((start, vec![bytes.clone()], bytes.len())),
        }
    }
    let runs = runs.into_iter().map(|(start, mut run, _)| match run.pop() {
        Some(only) if run.is_empty() => (start, only),
        last => {
            run.extend(last);
            (start, run.concat().into())
        }
    });
    runs.collect()
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
