//! Ranged reads of one object that stays the same object: one open file, or one ETag.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStore, ObjectStoreExt};

use super::failure;
use crate::error::{Error, ErrorKind, Result};

/// Ranges that are closer than this are read in one request.
const GAP_BYTES: u64 = 256 * 1024;
/// How many requests one read has under way at once.
const REQUESTS: usize = 8;
/// How many pieces are read at once by whoever reads everything.
const PIECES: usize = 2;

/// One object, opened by its first read; every later read sees the same bytes or fails.
#[derive(Debug)]
pub(crate) struct Object {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// The size that it was written with.
    size: u64,
    opened: Mutex<Opened>,
}

#[derive(Debug, Clone, Default)]
enum Opened {
    #[default]
    Not,
    File(Arc<File>),
    Tagged(Option<String>),
}

impl Object {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, path: Path, size: u64) -> Self {
        Self { store, path, size, opened: Mutex::default() }
    }

    /// The bytes of each range, in the order asked.
    pub(crate) async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if let Some(range) = ranges.iter().find(|range| range.start > range.end || range.end > self.size) {
            let (start, end) = (range.start, range.end);
            return Err(Error::damaged(format!(
                "bytes {start}..{end} lie outside the {} bytes of {}",
                self.size, self.path
            )));
        }
        let fetches = coalesced(ranges);
        let fetched: Vec<Bytes> =
            stream::iter(fetches.clone()).map(|range| self.fetch(range)).buffered(REQUESTS).try_collect().await?;
        let cut = ranges.iter().map(|range| {
            let found = fetches.partition_point(|fetch| fetch.end <= range.start).min(fetches.len().saturating_sub(1));
            match (fetches.get(found), fetched.get(found)) {
                _ if range.is_empty() => Ok(Bytes::new()),
                (Some(fetch), Some(bytes)) => {
                    Ok(bytes.slice(position(range.start - fetch.start)..position(range.end - fetch.start)))
                }
                _ => Err(Error::internal("a read lost a range")),
            }
        });
        cut.collect()
    }

    /// All its bytes, in pieces of `step` bytes; of an empty object one piece without any.
    pub(crate) fn pieces(&self, step: u64) -> BoxStream<'_, Result<Bytes>> {
        if self.size == 0 {
            return stream::once(async { self.probe().await.map(|()| Bytes::new()) }).boxed();
        }
        let step = step.max(1);
        let starts = (0..self.size.div_ceil(step)).map(move |number| number * step);
        let ranges = starts.map(move |start| start..start.saturating_add(step).min(self.size));
        let read =
            |range| async { self.read(&[range]).await.map(|pieces| pieces.into_iter().next().unwrap_or_default()) };
        stream::iter(ranges).map(read).buffered(PIECES).boxed()
    }

    /// Makes sure that the object is there and has its size, without reading it.
    pub(crate) async fn probe(&self) -> Result<()> {
        let meta = self.store.head(&self.path).await.map_err(failure)?;
        if meta.size == self.size {
            return Ok(());
        }
        Err(self.changed(&format!("it has {} bytes, {} were written", meta.size, self.size)))
    }

    fn opened(&self) -> Opened {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first read decides which bytes all later ones see.
    fn keep(&self, opened: Opened) {
        let mut first = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*first, Opened::Not) {
            *first = opened;
        }
    }

    async fn fetch(&self, range: Range<u64>) -> Result<Bytes> {
        let bytes = match self.opened() {
            Opened::File(file) => self.read_file(file, range.clone()).await?,
            Opened::Tagged(tag) => self.request(tag, range.clone()).await?,
            Opened::Not => self.request(None, range.clone()).await?,
        };
        if bytes.len() as u64 == range.end - range.start {
            Ok(bytes)
        } else {
            Err(self.changed(&format!("a read of {} bytes gave {}", range.end - range.start, bytes.len())))
        }
    }

    async fn request(&self, tag: Option<String>, range: Range<u64>) -> Result<Bytes> {
        let range_option = Some(GetRange::Bounded(range.clone()));
        let options = GetOptions { if_match: tag, range: range_option, ..GetOptions::default() };
        let result = match self.store.get_opts(&self.path, options).await {
            Ok(result) => result,
            Err(error) => return Err(self.refused(error).await),
        };
        if result.meta.size != self.size {
            return Err(self.changed(&format!("it has {} bytes, {} were written", result.meta.size, self.size)));
        }
        let opened = match &result.payload {
            GetResultPayload::File(file, _) => file.try_clone().map(|file| Opened::File(Arc::new(file))).ok(),
            GetResultPayload::Stream(_) => Some(Opened::Tagged(result.meta.e_tag.clone())),
        };
        if let Some(opened) = opened {
            self.keep(opened);
        }
        result.bytes().await.map_err(failure)
    }

    /// Why a request failed; each storage has its own words for a range that lies outside an object cut short.
    async fn refused(&self, error: object_store::Error) -> Error {
        match error {
            object_store::Error::Precondition { .. } => self.changed("it was replaced while it was read"),
            object_store::Error::NotFound { .. } => {
                Error::new(ErrorKind::NotFound, format!("the data object {} is not there", self.path))
            }
            other => match self.probe().await {
                Err(cut) if cut.kind() == ErrorKind::Damaged => cut,
                _ => failure(other),
            },
        }
    }

    async fn read_file(&self, file: Arc<File>, range: Range<u64>) -> Result<Bytes> {
        let read = tokio::task::spawn_blocking(move || read_at(&file, &range)).await;
        let read = read.map_err(|error| Error::internal(format!("a read ended early: {error}")))?;
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.changed("it was cut short while it was read"),
            _ => {
                Error::new(ErrorKind::Unavailable, format!("{} cannot be read: {error}", self.path)).with_source(error)
            }
        })
    }

    fn changed(&self, why: &str) -> Error {
        Error::damaged(format!("the data object {} is not what was written: {why}", self.path))
            .with_hint("restore the file, or compute the result again")
    }
}

#[cfg(unix)]
fn read_at(file: &File, range: &Range<u64>) -> io::Result<Bytes> {
    use std::os::unix::fs::FileExt;

    let mut bytes = vec![0; position(range.end - range.start)];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes.into())
}

#[cfg(not(unix))]
fn read_at(file: &File, range: &Range<u64>) -> io::Result<Bytes> {
    use std::io::{Read, Seek, SeekFrom};

    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(range.start))?;
    let mut bytes = vec![0; position(range.end - range.start)];
    file.read_exact(&mut bytes)?;
    Ok(bytes.into())
}

/// The requests for `ranges`: sorted, near ones joined.
fn coalesced(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
    sorted.sort_by_key(|range| range.start);
    let mut requests: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match requests.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP_BYTES) => last.end = last.end.max(range.end),
            _ => requests.push(range),
        }
    }
    requests
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
