//! An Arrow IPC file into record batches: the footer first, then message by message, each checked.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::FileDecoder;
use arrow::ipc::{Block, CompressionType, Footer, MetadataVersion, root_as_footer};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use tokio::sync::mpsc;

use super::decompress::{buffers_of, decompressed, decompressed_bytes};
use super::message::{contents, malformed, parsed};
use super::{EXTENTS_KEY, HEADS_KEY, chosen, lz4, send};
use crate::checksum::Extents;
use crate::error::{Error, Result, recover};
use crate::serializer::ahead::{AHEAD_SHARE, ReadAhead, Step};
use crate::serializer::{CheckedSource, Mapping, ReadPlan, Source, TableReader, guarded, read_range, read_section};

const MAGIC: &[u8] = b"ARROW1";
/// A message's buffers may take so many times the memory budget once they are decompressed.
const EXPANSION: usize = 8;
/// Record batches are read together up to so many bytes.
const STEP_BYTES: u64 = 8 * 1024 * 1024;
/// A message has at most so many rows: columns of nulls take no bytes, however many rows they claim. The writer stays
/// well below.
const MESSAGE_ROWS: u64 = 16 * 1024 * 1024;

pub(super) struct ArrowTable {
    file: Arc<File>,
    rows: u64,
}

pub(super) struct File {
    pub(super) source: Arc<CheckedSource>,
    /// The whole file, not checked, where it is mapped.
    map: Option<Mapping>,
    /// The heads of all messages; older files do not have their checksums.
    heads: Option<CheckedSource>,
    pub(super) schema: SchemaRef,
    version: MetadataVersion,
    dictionaries: Vec<Block>,
    pub(super) batches: Vec<Block>,
    pub(super) memory: usize,
    limit: usize,
    /// How many messages are decoded at once.
    pub(super) threads: usize,
}

fn decode_error(error: ArrowError) -> Error {
    recover(Box::new(error))
        .unwrap_or_else(|error| Error::damaged(format!("the Arrow file cannot be decoded: {error}")).with_source(error))
}

pub(super) fn too_many_rows() -> Error {
    Error::damaged("the Arrow file has more rows than was written")
}

/// Refuses a file that ends after `rows` rows where more were written, and asked for.
pub(super) fn check_end(rows: u64, total: u64, plan: &ReadPlan) -> Result<()> {
    if rows < total && plan.rows.end == total {
        return Err(Error::damaged(format!("the Arrow file has {rows} rows, {total} were written")));
    }
    Ok(())
}

impl ArrowTable {
    /// Opens a part; where its messages are `plain`, which is not compressed, batches may be slices of a mapped file.
    pub(super) async fn open(source: Arc<dyn Source>, plain: bool, memory: usize, threads: usize) -> Result<Self> {
        let (footer, data_end) = read_footer(&*source).await?;
        let map = if plain { source.mapped().await } else { None };
        let parsed = guarded(|| Parsed::try_new(&footer, data_end))?;
        let checked = CheckedSource::new(source.clone(), &parsed.runs, parsed.extents.as_ref())?;
        let heads = match (&parsed.heads, &map) {
            (Some(heads), Some(_)) => Some(CheckedSource::new(source.clone(), &parsed.head_ranges()?, Some(heads))?),
            _ => None,
        };
        let file = File {
            source: Arc::new(checked),
            map,
            heads,
            schema: parsed.schema,
            version: parsed.version,
            dictionaries: parsed.dictionaries,
            batches: parsed.batches,
            memory,
            limit: memory.saturating_mul(EXPANSION),
            threads,
        };
        let rows = match source.part().rows {
            Some(rows) => rows,
            None => file.count_rows().await?,
        };
        Ok(Self { file: Arc::new(file), rows })
    }
}

/// What a footer says.
struct Parsed {
    schema: SchemaRef,
    version: MetadataVersion,
    dictionaries: Vec<Block>,
    batches: Vec<Block>,
    /// The messages of each record batch, with the dictionaries before it: what one list of extents covers.
    runs: Vec<Range<u64>>,
    extents: Option<Extents>,
    heads: Option<Extents>,
}

impl Parsed {
    /// Where the heads of all messages lie, in the order of the file.
    fn head_ranges(&self) -> Result<Vec<Range<u64>>> {
        let ranges = self.dictionaries.iter().chain(&self.batches).map(|block| head_range(block).ok_or_else(malformed));
        let mut ranges = ranges.collect::<Result<Vec<_>>>()?;
        ranges.sort_by_key(|range| range.start);
        Ok(ranges)
    }

    fn try_new(footer: &[u8], data_end: u64) -> Result<Self> {
        let footer: Footer<'_> = root_as_footer(footer)
            .map_err(|error| Error::damaged(format!("the Arrow footer cannot be read: {error}")))?;
        let list = |key: &str| {
            let mut pairs = footer.custom_metadata().into_iter().flatten();
            let found = pairs.find(|pair| pair.key() == Some(key)).and_then(|pair| pair.value());
            found.map(Extents::decode).transpose()
        };
        let (extents, heads) = (list(EXTENTS_KEY)?, list(HEADS_KEY)?);
        let schema: Schema = fb_to_schema(footer.schema().ok_or_else(malformed)?);
        let dictionaries: Vec<Block> = footer.dictionaries().into_iter().flatten().copied().collect();
        let batches: Vec<Block> = footer.recordBatches().into_iter().flatten().copied().collect();
        let runs = runs(&dictionaries, &batches, data_end).ok_or_else(malformed)?;
        Ok(Self { schema: Arc::new(schema), version: footer.version(), dictionaries, batches, runs, extents, heads })
    }
}

/// From the end of one record batch to the end of the next, starting at its first message.
fn runs(dictionaries: &[Block], batches: &[Block], data_end: u64) -> Option<Vec<Range<u64>>> {
    let mut blocks: Vec<(Range<u64>, bool)> = Vec::with_capacity(dictionaries.len() + batches.len());
    blocks.extend(dictionaries.iter().map(|block| Some((block_range(block)?, false))).collect::<Option<Vec<_>>>()?);
    blocks.extend(batches.iter().map(|block| Some((block_range(block)?, true))).collect::<Option<Vec<_>>>()?);
    blocks.sort_by_key(|(range, _)| range.start);
    let mut runs = Vec::with_capacity(batches.len());
    let mut start = None;
    for (range, ends_a_run) in blocks {
        if range.end > data_end {
            return None;
        }
        let first = *start.get_or_insert(range.start);
        if ends_a_run {
            runs.push(first..range.end);
            start = None;
        }
    }
    start.is_none().then_some(runs)
}

pub(super) fn block_range(block: &Block) -> Option<Range<u64>> {
    let start = u64::try_from(block.offset()).ok()?;
    let header = u64::try_from(block.metaDataLength()).ok()?;
    let body = u64::try_from(block.bodyLength()).ok()?;
    Some(start..start.checked_add(header)?.checked_add(body)?)
}

/// The head of a message: all before its buffers.
pub(super) fn head_range(block: &Block) -> Option<Range<u64>> {
    let start = u64::try_from(block.offset()).ok()?;
    Some(start..start.checked_add(u64::try_from(block.metaDataLength()).ok()?)?)
}

impl File {
    /// Blocks that lie side by side, gathered into steps; those that begin before `certain` are read ahead.
    pub(super) fn steps(blocks: &[Block], certain: u64) -> Result<Vec<Step>> {
        let mut steps: Vec<Step> = Vec::new();
        for block in blocks {
            let range = block_range(block).ok_or_else(malformed)?;
            let bytes = range.end - range.start;
            let ahead = range.start < certain;
            match steps.last_mut() {
                Some(step) if ahead && step.bytes() + bytes <= STEP_BYTES => step.ranges.push(range),
                _ => steps.push(Step { ranges: vec![range], ahead }),
            }
        }
        Ok(steps)
    }

    pub(super) fn read_ahead(&self, steps: Vec<Step>) -> ReadAhead {
        ReadAhead::new(self.source.clone(), steps, self.memory / AHEAD_SHARE)
    }

    pub(super) async fn decoder(&self, columns: Option<&Vec<usize>>) -> Result<FileDecoder> {
        let mut decoder = FileDecoder::new(self.schema.clone(), self.version);
        if let Some(columns) = columns {
            decoder = decoder.with_projection(columns.clone());
        }
        let mut ahead = self.read_ahead(Self::steps(&self.dictionaries, u64::MAX)?);
        let mut blocks = self.dictionaries.iter();
        while let Some(read) = ahead.next().await? {
            for (buffer, block) in read.into_iter().map(aligned).zip(&mut blocks) {
                guarded(|| {
                    check_message(&buffer, block, self.limit)?;
                    if !is_compressed(&buffer)? {
                        return decoder.read_dictionary(block, &buffer).map_err(decode_error);
                    }
                    let (buffer, block) = decompressed(&buffer, block, None)?;
                    decoder.read_dictionary(&block, &buffer).map_err(decode_error)
                })?;
            }
        }
        Ok(decoder)
    }

    /// About where the last of the wanted rows lies, if every record batch has as many rows for its bytes.
    pub(super) fn certain_end(&self, plan: &ReadPlan, total: u64) -> u64 {
        let mut ranges = self.batches.iter().filter_map(block_range);
        let Some(first) = ranges.next() else { return 0 };
        let end = ranges.next_back().map_or(first.end, |last| last.end);
        if plan.rows.end >= total {
            return u64::MAX;
        }
        let bytes = u128::from(end.saturating_sub(first.start)) * u128::from(plan.rows.end) / u128::from(total.max(1));
        first.start.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    async fn count_rows(&self) -> Result<u64> {
        let mut rows = 0;
        for block in &self.batches {
            let bytes = self.source.read(&[head_range(block).ok_or_else(malformed)?]).await?.pop().unwrap_or_default();
            rows += guarded(|| header_rows(&bytes))?;
        }
        Ok(rows)
    }

    /// The record batch of a message; of a compressed one, only `columns` are decompressed.
    pub(super) fn decode(
        &self,
        decoder: &FileDecoder,
        block: &Block,
        buffer: &Buffer,
        columns: Option<&[usize]>,
    ) -> Result<RecordBatch> {
        check_message(buffer, block, self.limit)?;
        if !is_compressed(buffer)? {
            return decoder.read_record_batch(block, buffer).map_err(decode_error)?.ok_or_else(malformed);
        }
        let wanted = columns.map(|columns| buffers_of(&self.schema, columns, buffer)).transpose()?;
        let (buffer, block) = decompressed(buffer, block, wanted.as_deref())?;
        decoder.read_record_batch(&block, &buffer).map_err(decode_error)?.ok_or_else(malformed)
    }

    /// How many bytes a message takes while it is decoded, with what comes out of it.
    pub(super) fn decoded_bytes(&self, block: &Block, buffer: &Buffer, columns: Option<&[usize]>) -> Result<usize> {
        if !is_compressed(buffer)? {
            return Ok(buffer.len());
        }
        let wanted = columns.map(|columns| buffers_of(&self.schema, columns, buffer)).transpose()?;
        Ok(decompressed_bytes(buffer, block, wanted.as_deref())?.saturating_add(buffer.len()))
    }
}

impl TableReader for ArrowTable {
    fn schema(&self) -> SchemaRef {
        self.file.schema.clone()
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn batches(&self, plan: ReadPlan) -> BoxStream<'static, Result<RecordBatch>> {
        let (sender, receiver) = mpsc::channel(1);
        let (file, total) = (self.file.clone(), self.rows);
        tokio::spawn(async move {
            let map = file.map.as_ref().filter(|_| !plan.rows.is_empty());
            let sent = match (map, &file.heads) {
                (Some(map), Some(heads)) if map.own && !plan.check => {
                    send::trusted(&file, &map.bytes, heads, &plan, total, &sender).await
                }
                (Some(map), _) if chosen::pays(&file, &plan) => {
                    chosen::send(&file, &map.bytes, &plan, total, &sender).await
                }
                _ => send::checked(&file, &plan, total, &sender).await,
            };
            if let Err(error) = sent {
                let _ = sender.send(Err(error)).await;
            }
        });
        futures::stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|item| (item, receiver)) })
            .boxed()
    }
}

/// The footer's flatbuffer, and where the messages end.
async fn read_footer(source: &dyn Source) -> Result<(Bytes, u64)> {
    let part = source.part();
    let tail = match &part.footer {
        Some(footer) => read_section(source, footer, part.size, "Arrow footer").await?,
        None if source.is_checked() => {
            let end = read_range(source, part.size.saturating_sub(10)..part.size).await?;
            let length = end.get(..4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(u32::from_le_bytes);
            let start = length.and_then(|length| part.size.checked_sub(u64::from(length) + 10));
            read_range(source, start.ok_or_else(malformed)?..part.size).await?
        }
        None => return Err(Error::damaged("the reference does not say where the Arrow footer is")),
    };
    let footer = tail.len().checked_sub(10).filter(|_| tail.ends_with(MAGIC)).map(|end| tail.slice(..end));
    Ok((footer.ok_or_else(malformed)?, part.size.saturating_sub(tail.len() as u64)))
}

/// The bytes of a block, where numbers of any width may lie: what comes over a network begins anywhere, and the Arrow
/// library moves all such buffers to where they may lie but the offsets of unions, at which it panics.
pub(super) fn aligned(bytes: Bytes) -> Buffer {
    let aligned = bytes.as_ptr().addr().is_multiple_of(align_of::<i128>());
    if aligned { Buffer::from(bytes) } else { Buffer::from(&*bytes) }
}

fn is_compressed(buffer: &[u8]) -> Result<bool> {
    Ok(contents(&parsed(buffer)?)?.compression().is_some())
}

pub(super) fn header_rows(buffer: &[u8]) -> Result<u64> {
    let rows = parsed(buffer)?.header_as_record_batch().map(|batch| batch.length());
    rows.and_then(|rows| u64::try_from(rows).ok()).filter(|rows| *rows <= MESSAGE_ROWS).ok_or_else(malformed)
}

/// Refuses a message whose buffers lie outside it, or claim to be larger than the budget allows once decompressed.
fn check_message(buffer: &Buffer, block: &Block, limit: usize) -> Result<()> {
    let message = parsed(buffer)?;
    let batch = contents(&message)?;
    let start = usize::try_from(block.metaDataLength()).map_err(|_| malformed())?;
    let body = buffer.as_slice().get(start..).ok_or_else(malformed)?;
    let mut total = 0_usize;
    for described in batch.buffers().into_iter().flatten() {
        let from = usize::try_from(described.offset()).map_err(|_| malformed())?;
        let length = usize::try_from(described.length()).map_err(|_| malformed())?;
        let bytes = from.checked_add(length).and_then(|to| body.get(from..to)).ok_or_else(malformed)?;
        if batch.compression().is_some() && length > 0 {
            let claimed = bytes.get(..8).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()).map(i64::from_le_bytes);
            match claimed {
                Some(-1) => {}
                Some(claimed) => {
                    let claimed = usize::try_from(claimed).map_err(|_| malformed())?;
                    let lz4 = batch.compression().is_some_and(|codec| codec.codec() == CompressionType::LZ4_FRAME);
                    if lz4 && claimed > 0 && !lz4::fits(bytes.get(8..).unwrap_or_default(), claimed) {
                        return Err(malformed());
                    }
                    total = total.saturating_add(claimed);
                }
                None => return Err(malformed()),
            }
        }
    }
    if total > limit {
        return Err(Error::damaged(format!("an Arrow message claims {total} bytes once decompressed"))
            .with_hint("raise the memory budget if the file is trusted"));
    }
    Ok(())
}

/// The rows of `batch`, which starts at row `start`, that are wanted.
pub(super) fn cut(batch: RecordBatch, start: u64, wanted: &Range<u64>) -> RecordBatch {
    let rows = batch.num_rows();
    let from = usize::try_from(wanted.start.saturating_sub(start)).unwrap_or(rows).min(rows);
    let to = usize::try_from(wanted.end - start).unwrap_or(rows).clamp(from, rows);
    if (from, to) == (0, rows) { batch } else { batch.slice(from, to - from) }
}

pub(super) fn pieces(batch: &RecordBatch, plan: &ReadPlan) -> Vec<RecordBatch> {
    let rows = batch.num_rows();
    let step = plan.batch_rows.max(1);
    if rows <= step {
        return vec![batch.clone()];
    }
    (0..rows).step_by(step).map(|start| batch.slice(start, step.min(rows - start))).collect()
}
