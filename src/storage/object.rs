//! Ranged reads of one object that stays the same object: one open file, or one ETag.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, GetResultPayload, ObjectStore, ObjectStoreExt};

use super::failure::may_be_too_short;
use super::mapped::MappedFile;
use super::{failure, is_absent};
use crate::error::{Error, ErrorKind, Result};

/// Ranges that are closer than this are read in one request: a round trip takes longer than so many unwanted bytes.
const GAP_BYTES: u64 = 1024 * 1024;
/// The same on a local disk, where a request costs next to nothing.
const FILE_GAP_BYTES: u64 = 64 * 1024;
/// A longer range is fetched in pieces at the same time: one connection is slower than the line.
const PIECE_BYTES: usize = 8 * 1024 * 1024;
/// How many requests one read has under way at once.
const REQUESTS: usize = 16;
/// An object up to this size is fetched whole by its first read, and no other is needed.
const WHOLE_BYTES: u64 = 1024 * 1024;
/// A smaller file is copied faster than it is mapped.
const MAPPED_BYTES: u64 = 64 * 1024;
/// How many pieces are read at once by whoever reads everything.
const PIECES: usize = 2;

/// One object, opened by its first read; every later read sees the same bytes or fails.
#[derive(Debug)]
pub(crate) struct Object {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// The size that it was written with.
    size: u64,
    whole_bytes: u64,
    opened: Mutex<Opened>,
}

#[derive(Debug, Clone, Default)]
enum Opened {
    #[default]
    Not,
    Whole(Bytes),
    File(Arc<File>),
    Mapped(Arc<MappedFile>),
    Tagged(Option<String>),
}

impl Object {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, path: Path, size: u64) -> Self {
        Self { store, path, size, whole_bytes: WHOLE_BYTES, opened: Mutex::default() }
    }

    /// Keeps at most so many bytes in memory where the object is small enough to be fetched whole.
    pub(crate) fn holding_at_most(self, bytes: u64) -> Self {
        Self { whole_bytes: WHOLE_BYTES.min(bytes), ..self }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
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
        if ranges.iter().all(Range::is_empty) && self.size > 0 {
            return Ok(vec![Bytes::new(); ranges.len()]);
        }
        if matches!(self.opened(), Opened::Not) && self.size <= self.whole_bytes {
            self.open_whole().await?;
        }
        let (requests, fetched) = match self.opened() {
            Opened::Whole(bytes) => {
                let whole = 0..self.size;
                (vec![whole], vec![bytes])
            }
            Opened::File(file) => {
                let requests = coalesced(ranges, FILE_GAP_BYTES);
                let fetched = self.read_file(file, requests.clone()).await?;
                (requests, fetched)
            }
            Opened::Mapped(mapped) => return self.read_mapped(mapped, ranges).await,
            Opened::Tagged(tag) => {
                let requests = coalesced(ranges, GAP_BYTES);
                let fetched = self.fetch_in_pieces(tag, &requests).await?;
                (requests, fetched)
            }
            Opened::Not => {
                let requests = coalesced(ranges, GAP_BYTES);
                let fetched = stream::iter(requests.clone()).map(|range| self.fetch_first(range)).buffered(REQUESTS);
                (requests, fetched.try_collect().await?)
            }
        };
        cut(ranges, &requests, &fetched)
    }

    /// The object mapped into memory, if it is a local file that was opened by an earlier read; every later read gives
    /// slices of the mapping, and copies nothing. Also whether nobody but the user of this process may have written it.
    pub(crate) async fn mapped(&self) -> Option<(Bytes, bool)> {
        let file = match self.opened() {
            Opened::Mapped(mapped) => return Some((mapped.bytes(), mapped.is_own())),
            // Elsewhere a mapped file cannot be deleted.
            Opened::File(file) if self.size >= MAPPED_BYTES && cfg!(unix) => file,
            _ => return None,
        };
        let size = position(self.size);
        // What cannot be mapped can still be read, or says then why not.
        let mapped = tokio::task::spawn_blocking(move || MappedFile::new(file, size)).await.ok()?.ok()?;
        let found = (mapped.bytes(), mapped.is_own());
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Opened::Mapped(Arc::new(mapped));
        Some(found)
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

    /// The first answer decides which bytes all later reads see; another one must be about the same object.
    fn keep(&self, opened: Opened) -> Result<()> {
        let mut first = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*first, &opened) {
            (Opened::Not, _) => *first = opened,
            // Some servers take no notice of If-Match.
            (Opened::Tagged(Some(first)), Opened::Tagged(Some(now))) if first != now => return Err(self.replaced()),
            _ => {}
        }
        Ok(())
    }

    async fn open_whole(&self) -> Result<()> {
        let answer = self.answer(GetOptions::default()).await?;
        if let GetResultPayload::Stream(_) = answer.payload {
            let bytes = answer.bytes().await.map_err(failure)?;
            self.check_length(bytes.len(), &(0..self.size))?;
            *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Opened::Whole(bytes);
        }
        Ok(())
    }

    /// Fetches a range of an object that was not seen before: memory is taken only for what it proves to have.
    async fn fetch_first(&self, range: Range<u64>) -> Result<Bytes> {
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let bytes = self.answer(options).await?.bytes().await.map_err(failure)?;
        self.check_length(bytes.len(), &range)?;
        Ok(bytes)
    }

    /// Fetches ranges of an object that is known to have them.
    async fn fetch_in_pieces(&self, tag: Option<String>, requests: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let pieces = requests.iter().flat_map(|range| {
            let mut rest = BytesMut::zeroed(position(range.end - range.start));
            let mut start = range.start;
            std::iter::from_fn(move || {
                let piece = rest.split_to(rest.len().min(PIECE_BYTES));
                let at = start;
                start += piece.len() as u64;
                (!piece.is_empty()).then_some((at, piece))
            })
        });
        let pieces: Vec<(u64, BytesMut)> = pieces.collect();
        let filling = stream::iter(pieces).map(|(start, piece)| self.fill(tag.clone(), start, piece));
        let mut filled = filling.buffered(REQUESTS).try_collect::<Vec<BytesMut>>().await?.into_iter();
        let joined = requests.iter().map(|range| {
            let mut whole = filled.next().unwrap_or_default();
            while (whole.len() as u64) < range.end - range.start
                && let Some(next) = filled.next()
            {
                // They lie side by side in one allocation.
                whole.unsplit(next);
            }
            whole.freeze()
        });
        Ok(joined.collect())
    }

    async fn fill(&self, tag: Option<String>, start: u64, mut piece: BytesMut) -> Result<BytesMut> {
        let range = start..start + piece.len() as u64;
        let options =
            GetOptions { if_match: tag, range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let mut stream = self.answer(options).await?.into_stream();
        let mut at = 0;
        while let Some(bytes) = stream.try_next().await.map_err(failure)? {
            let end = at + bytes.len();
            match piece.get_mut(at..end) {
                Some(place) => place.copy_from_slice(&bytes),
                None => self.check_length(end, &range)?,
            }
            at = end;
        }
        self.check_length(at, &range)?;
        Ok(piece)
    }

    /// Sends one request, and makes sure that the answer is about the object that was written.
    async fn answer(&self, options: GetOptions) -> Result<GetResult> {
        let answer = match self.store.get_opts(&self.path, options).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.refused(error).await),
        };
        if answer.meta.size != self.size {
            return Err(self.changed(&format!("it has {} bytes, {} were written", answer.meta.size, self.size)));
        }
        match &answer.payload {
            GetResultPayload::File(file, _) => {
                if let Ok(file) = file.try_clone() {
                    self.keep(Opened::File(Arc::new(file)))?;
                }
            }
            GetResultPayload::Stream(_) => self.keep(Opened::Tagged(answer.meta.e_tag.clone()))?,
        }
        Ok(answer)
    }

    fn check_length(&self, found: usize, range: &Range<u64>) -> Result<()> {
        let wanted = range.end - range.start;
        if found as u64 == wanted {
            return Ok(());
        }
        Err(self.changed(&format!("a read of {wanted} bytes gave {found}")))
    }

    /// Why a request failed; each storage has its own words for a range that lies outside an object cut short.
    async fn refused(&self, error: object_store::Error) -> Error {
        match error {
            object_store::Error::Precondition { .. } => self.replaced(),
            absent if is_absent(&absent) => {
                Error::new(ErrorKind::NotFound, format!("the data object {} is not there", self.path))
            }
            other if !may_be_too_short(&other) => failure(other),
            other => match self.probe().await {
                Err(cut) if cut.kind() == ErrorKind::Damaged => cut,
                _ => failure(other),
            },
        }
    }

    async fn read_file(&self, file: Arc<File>, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>> {
        self.blocking(move || ranges.iter().map(|range| read_at(&file, range)).collect()).await
    }

    async fn read_mapped(&self, mapped: Arc<MappedFile>, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let ranges: Vec<_> = ranges.iter().map(|range| position(range.start)..position(range.end)).collect();
        self.blocking(move || mapped.read(&ranges)).await
    }

    /// Reads a local file on a thread that may wait.
    async fn blocking(&self, read: impl FnOnce() -> io::Result<Vec<Bytes>> + Send + 'static) -> Result<Vec<Bytes>> {
        let read = tokio::task::spawn_blocking(read).await;
        let read = read.map_err(|error| Error::internal(format!("a read ended early: {error}")))?;
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.changed("it was cut short while it was read"),
            _ => {
                Error::new(ErrorKind::Unavailable, format!("{} cannot be read: {error}", self.path)).with_source(error)
            }
        })
    }

    fn replaced(&self) -> Error {
        self.changed("it was replaced while it was read")
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

/// The requests for `ranges`: sorted, those at most `gap` apart joined.
fn coalesced(ranges: &[Range<u64>], gap: u64) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
    sorted.sort_by_key(|range| range.start);
    let mut requests: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match requests.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(gap) => last.end = last.end.max(range.end),
            _ => requests.push(range),
        }
    }
    requests
}

/// The bytes of each of `ranges` out of those of the requests that cover them.
fn cut(ranges: &[Range<u64>], requests: &[Range<u64>], fetched: &[Bytes]) -> Result<Vec<Bytes>> {
    let wanted: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let held: u64 = fetched.iter().map(|bytes| bytes.len() as u64).sum();
    // Slices would keep all of what was fetched in memory, gaps as well.
    let copied = held > 2 * wanted && held > WHOLE_BYTES;
    let cut = ranges.iter().map(|range| {
        let found = requests.partition_point(|request| request.end <= range.start);
        match (requests.get(found), fetched.get(found)) {
            _ if range.is_empty() => Ok(Bytes::new()),
            (Some(request), Some(bytes)) if request.start <= range.start && range.end <= request.end => {
                let slice = bytes.slice(position(range.start - request.start)..position(range.end - request.start));
                Ok(if copied { Bytes::copy_from_slice(&slice) } else { slice })
            }
            _ => Err(Error::internal("a read lost a range")),
        }
    });
    cut.collect()
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
