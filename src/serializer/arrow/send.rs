//! The rows that are wanted of an Arrow file, sent to whoever takes them.
//!
//! Messages are read ahead, and decoded on several threads: batches come in the order of the file all the same, and what
//! was decoded but not taken yet keeps within a share of the memory budget.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, FieldRef};
use arrow::ipc::Block;
use arrow::ipc::reader::FileDecoder;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::decode::{File, aligned, block_range, check_end, cut, head_range, header_rows, pieces, too_many_rows};
use super::message::malformed;
use crate::error::{Error, Result};
use crate::serializer::ahead::ReadAhead;
use crate::serializer::pool::Pool;
use crate::serializer::{CheckedSource, ReadPlan, guarded};

/// Which share of the memory budget is being decoded, or is decoded and waits to be taken.
const DECODING_SHARE: usize = 3;

type Sender = mpsc::Sender<Result<RecordBatch>>;

/// For each thread so many batches are under way, so that none waits for the oldest to be taken.
const AHEAD: usize = 2;

/// Batches that are being decoded, in the order of the file.
struct Decoding {
    under_way: VecDeque<(usize, oneshot::Receiver<Result<RecordBatch>>)>,
    pool: Pool,
    bytes: usize,
    batches: usize,
    budget: usize,
}

impl Decoding {
    fn has_room(&self, bytes: usize) -> bool {
        let fits = self.under_way.len() < self.batches && self.bytes.saturating_add(bytes) <= self.budget;
        self.under_way.is_empty() || fits
    }

    fn start(&mut self, bytes: usize, decode: impl FnOnce() -> Result<RecordBatch> + Send + 'static) {
        let (answer, decoded) = oneshot::channel();
        self.pool.add(0, move || {
            if !answer.is_closed() {
                let _ = answer.send(guarded(decode));
            }
        });
        self.bytes += bytes;
        self.under_way.push_back((bytes, decoded));
    }

    /// The batch that comes next. Nothing is lost where this is given up.
    async fn next(&mut self) -> Result<RecordBatch> {
        let Some((bytes, decoding)) = self.under_way.front_mut() else {
            return Err(Error::internal("nothing is being decoded"));
        };
        let decoded = decoding.await;
        self.bytes -= *bytes;
        self.under_way.pop_front();
        decoded.map_err(|_| Error::internal("decoding ended early"))?
    }
}

/// Messages that were read and wait for their turn, and those that are still to be read.
struct Feed {
    ahead: ReadAhead,
    blocks: std::vec::IntoIter<Block>,
    waiting: VecDeque<(Block, Buffer)>,
    /// The first row of the message that comes next.
    start: u64,
    /// Why no more is read, if that is an error: it comes behind the batches before it.
    ended: Option<Result<()>>,
}

impl Feed {
    fn take(&mut self, read: Result<Option<Vec<Bytes>>>) {
        match read {
            Ok(Some(read)) => self.waiting.extend((&mut self.blocks).zip(read.into_iter().map(aligned))),
            Ok(None) => self.end(Ok(())),
            Err(error) => self.end(Err(error)),
        }
    }

    fn end(&mut self, outcome: Result<()>) {
        self.waiting.clear();
        self.ended.get_or_insert(outcome);
    }

    /// Has the messages decoded whose turn it is, as long as there is room.
    fn decode(&mut self, file: &Arc<File>, decoder: &Arc<FileDecoder>, decoding: &mut Decoding, wanted: &Wanted) {
        while let Some((block, buffer)) = self.waiting.front() {
            let rows = match guarded(|| header_rows(buffer)) {
                Ok(rows) if self.start + rows > wanted.total => return self.end(Err(too_many_rows())),
                Ok(rows) => rows,
                Err(error) => return self.end(Err(error)),
            };
            let is_wanted = self.start + rows > wanted.rows.start && self.start < wanted.rows.end;
            if is_wanted {
                let bytes = match guarded(|| file.decoded_bytes(block, buffer, wanted.columns.as_deref())) {
                    Ok(bytes) => bytes,
                    Err(error) => return self.end(Err(error)),
                };
                if !decoding.has_room(bytes) {
                    return;
                }
                let (file, decoder, block, buffer) = (file.clone(), decoder.clone(), *block, buffer.clone());
                let (start, wanted) = (self.start, wanted.clone());
                decoding.start(bytes, move || {
                    let batch = file.decode(&decoder, &block, &buffer, wanted.columns.as_deref())?;
                    Ok(cut(batch, start, &wanted.rows))
                });
            }
            self.start += rows;
            self.waiting.pop_front();
        }
        if self.start >= wanted.rows.end {
            self.end(Ok(()));
        }
    }
}

#[derive(Clone)]
struct Wanted {
    columns: Option<Vec<usize>>,
    rows: Range<u64>,
    /// How many rows the file has.
    total: u64,
}

/// Sends what `plan` wants of a file of `total` rows, all of it checked.
pub(super) async fn checked(file: &Arc<File>, plan: &ReadPlan, total: u64, sender: &Sender) -> Result<()> {
    let decoder = Arc::new(file.decoder(plan.columns.as_ref()).await?);
    if plan.rows.is_empty() {
        return no_rows(file, &decoder, plan, sender).await;
    }
    let wanted = Wanted { columns: plan.columns.clone(), rows: plan.rows.clone(), total };
    let mut feed = Feed {
        ahead: file.read_ahead(File::steps(&file.batches, file.certain_end(plan, total))?),
        blocks: file.batches.clone().into_iter(),
        waiting: VecDeque::new(),
        start: 0,
        ended: None,
    };
    let mut decoding = Decoding {
        under_way: VecDeque::new(),
        pool: Pool::new(file.threads),
        bytes: 0,
        batches: file.threads.max(1) * AHEAD,
        budget: file.memory / DECODING_SHARE,
    };
    loop {
        if feed.ended.is_none() {
            feed.decode(file, &decoder, &mut decoding, &wanted);
        }
        if feed.ended.is_some() && decoding.under_way.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            () = sender.closed() => return Ok(()),
            batch = decoding.next(), if !decoding.under_way.is_empty() => {
                if !hand_over(&batch?, plan, sender).await {
                    return Ok(());
                }
            }
            read = feed.ahead.next(), if feed.ended.is_none() && feed.waiting.is_empty() => feed.take(read),
        }
    }
    feed.ended.unwrap_or(Ok(()))?;
    check_end(feed.start, total, plan)
}

/// Whether the batch was taken.
async fn hand_over(batch: &RecordBatch, plan: &ReadPlan, sender: &Sender) -> bool {
    for slice in pieces(batch, plan) {
        if sender.send(Ok(slice)).await.is_err() {
            return false;
        }
    }
    true
}

/// A batch without rows that shows the dictionaries; nothing where no column is one.
async fn no_rows(file: &Arc<File>, decoder: &FileDecoder, plan: &ReadPlan, sender: &Sender) -> Result<()> {
    let dictionary = |field: &FieldRef| matches!(field.data_type(), DataType::Dictionary(..));
    let Some(block) = file.batches.first().filter(|_| file.schema.fields().iter().any(dictionary)) else {
        return Ok(());
    };
    let range = block_range(block).ok_or_else(malformed)?;
    let read = file.source.read(&[range]).await?.pop().unwrap_or_default();
    let batch = guarded(|| file.decode(decoder, block, &aligned(read), plan.columns.as_deref()))?;
    // Whoever does not take it any more does not miss it.
    let _ = sender.send(Ok(batch.slice(0, 0))).await;
    Ok(())
}

/// Sends what `plan` wants of a file that is mapped into memory, and that nobody but this user can have changed. The
/// `heads` of the messages are checked, and the dictionaries; the pages of all else are not touched.
pub(super) async fn trusted(
    file: &Arc<File>,
    map: &Bytes,
    heads: &CheckedSource,
    plan: &ReadPlan,
    total: u64,
    sender: &Sender,
) -> Result<()> {
    let decoder = file.decoder(plan.columns.as_ref()).await?;
    // SAFETY: the arrays are as valid as when this user wrote them. The file belongs to the user of this process and
    // nobody else may write to it, it has the size that the reference says, and its footer the checksum. The footer holds
    // the checksums of the heads, which are compared below before anything is decoded by them, so lengths, counts of nulls
    // and places of buffers are those of the arrays that were put; every place is compared with the bounds of the file
    // besides. What remains is the word of this user that no process of theirs, and no disk, altered the content since,
    // on which a mapping rests in any case: it could be altered after a check as well. `Scan::check` does without it.
    #[expect(unsafe_code, reason = "a file of this user, whose structure was checked, holds what this user wrote")]
    let decoder = unsafe { decoder.with_skip_validation(true) };
    let ranges = file.batches.iter().map(|block| head_range(block).ok_or_else(malformed));
    // Also finds out whether the file still has its size.
    heads.read(&ranges.collect::<Result<Vec<_>>>()?).await?;
    let mut start = 0;
    for block in &file.batches {
        if start >= plan.rows.end || sender.is_closed() {
            break;
        }
        let range = block_range(block).ok_or_else(malformed)?;
        let place = |at: u64| usize::try_from(at).ok().filter(|at| *at <= map.len()).ok_or_else(malformed);
        let buffer = aligned(map.slice(place(range.start)?..place(range.end)?));
        let end = start + guarded(|| header_rows(&buffer))?;
        if end > total {
            return Err(too_many_rows());
        }
        if end > plan.rows.start {
            let batch = guarded(|| file.decode(&decoder, block, &buffer, None))?;
            if !hand_over(&cut(batch, start, &plan.rows), plan, sender).await {
                return Ok(());
            }
        }
        start = end;
    }
    check_end(start, total, plan)
}
