//! Record batches into Parquet: gather a row group, encode its columns in parallel, append them in order.
//!
//! The same rows give the same file, however they come in batches and however many threads encode them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::Compression;
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{BloomFilterPosition, EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::TypePtr;
use serde_json::Value as Json;

use super::column::{Codecs, ColumnEncoder, EncodedChunk, Taste};
use super::cut::{bytes, even, rows_bytes, rows_within};
use super::dictionaries::KeptDictionaries;
use super::narrow::{NarrowDictionaries, is_narrow};
use super::stored::{Storing, declared_types};
use super::{CHOICES_KEY, DICTIONARIES_KEY, EXTENTS_KEY, Parquet, ROWS_KEY, TYPES_KEY};
use crate::error::{Error, ErrorKind, Result, recover};
use crate::reference::Section;
use crate::serializer::compact::{compacted, slices};
use crate::serializer::parallel::on_threads;
use crate::serializer::tray::Tray;
use crate::serializer::{Encoder, Ending, Piece, Sink, wrong_piece};

/// A row group is never longer, however narrow the table.
const GROUP_ROWS: usize = 1024 * 1024;
/// A part has at most so many column chunks, so that its footer stays within a few MiB.
const PART_CHUNKS: usize = 30_000;
/// Above so many columns, statistics are kept by column chunk only, and there is no page index.
const PAGE_INDEX_COLUMNS: usize = 1_000;
/// What is less is encoded sooner than another thread begins.
const ALONE_BYTES: usize = 256 * 1024;
/// A block of a bloom filter.
const BLOCK_BYTES: usize = 32;
/// Such a share of the memory budget is for the bloom filters of a part.
const BLOOM_SHARE: usize = 8;
const SLICE_BYTES: usize = 4 * 1024 * 1024;

pub(super) struct ParquetEncoder {
    root: TypePtr,
    properties: WriterPropertiesPtr,
    columns: Vec<Column>,
    leaves: usize,
    group_bytes: usize,
    /// A part has at most about so many bytes of bloom filters, which are held until its end.
    bloom_bytes: usize,
    threads: usize,
    gathered: Gathered,
    narrow: NarrowDictionaries,
    kept: KeptDictionaries,
    storing: Storing,
    /// What the columns were declared as, where the file's own schema does not say it.
    types: Option<String>,
    part: Option<OpenPart>,
}

/// One field, with an encoder of its own: a group's columns are encoded one by one, not all at once.
struct Column {
    field: FieldRef,
    /// Where the column is flat.
    flat: Option<Mutex<ColumnEncoder>>,
    library: Library,
}

/// The library's encoder of a field.
struct Library {
    factory: ArrowRowGroupWriterFactory,
    /// For groups in which the column's dictionary is full.
    plain: Option<ArrowRowGroupWriterFactory>,
}

/// A column chunk by either encoder.
enum Chunk {
    Flat(EncodedChunk),
    Library(ArrowColumnChunk),
}

#[derive(Default)]
struct Gathered {
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

struct OpenPart {
    writer: SerializedFileWriter<Tray>,
    tray: Tray,
    rows: u64,
    chunks: usize,
    /// The bytes of the bloom filters so far.
    blooms: usize,
}

fn encode_error(error: ParquetError) -> Error {
    recover(Box::new(error)).unwrap_or_else(|error| {
        Error::new(ErrorKind::Unsupported, format!("the table cannot be encoded as Parquet: {error}"))
            .with_hint("the serializer `arrow` holds every Arrow type")
            .with_source(error)
    })
}

impl ParquetEncoder {
    pub(super) fn try_new(schema: &SchemaRef, parquet: &Parquet, memory: usize, threads: usize) -> Result<Self> {
        let compressing = parquet.compressing;
        let storing = Storing::new(schema);
        let stored = storing.schema();
        let descriptor = ArrowSchemaConverter::new().with_coerce_types(false).convert(stored).map_err(encode_error)?;
        let properties = properties(stored, compressing.usual(), descriptor.num_columns());
        let (taste, indexed) = (compressing.taste(), descriptor.num_columns() <= PAGE_INDEX_COLUMNS);
        let column = |field: &FieldRef| {
            Column::try_new(field, &properties, &taste, (indexed, parquet.bloom_filters.contains(field.name())))
        };
        let columns = stored.fields().iter().map(column).collect::<Result<_>>()?;
        Ok(Self {
            root: descriptor.root_schema_ptr(),
            properties,
            columns,
            leaves: descriptor.num_columns(),
            group_bytes: (memory / 4).max(1),
            bloom_bytes: memory / BLOOM_SHARE,
            threads: threads.max(1),
            gathered: Gathered::default(),
            narrow: NarrowDictionaries::new(schema),
            kept: KeptDictionaries::new(schema, memory),
            storing,
            types: declared_types(schema)?,
            part: None,
        })
    }

    fn gather(&mut self, batch: RecordBatch, sink: &mut Sink) -> Result<()> {
        let mut stored = compacted(self.storing.stored(batch.clone())?)?;
        if !self.narrow.take(&batch) {
            self.write_group(sink)?;
            self.narrow.take(&batch);
        }
        while stored.num_rows() > 0 {
            let room = self.group_bytes.saturating_sub(self.gathered.bytes);
            let fits = rows_within(&stored, room).min(GROUP_ROWS - self.gathered.rows);
            // A row that is larger than a group has one of its own.
            let rows = if self.gathered.rows == 0 { fits.max(1) } else { fits };
            if rows > 0 {
                let next = stored.slice(0, rows);
                self.gathered.rows += rows;
                self.gathered.bytes += rows_bytes(&next, 0..rows);
                self.gathered.batches.push(next);
                stored = stored.slice(rows, stored.num_rows() - rows);
            }
            if stored.num_rows() > 0 {
                self.write_group(sink)?;
                self.narrow.take(&batch);
            }
        }
        Ok(())
    }

    fn write_group(&mut self, sink: &mut Sink) -> Result<()> {
        let gathered = std::mem::take(&mut self.gathered);
        let plain = self.narrow.full();
        self.narrow.start_group();
        let full = |part: &OpenPart| part.chunks + self.leaves > PART_CHUNKS || part.blooms > self.bloom_bytes;
        if self.part.as_ref().is_some_and(|part| part.chunks > 0 && full(part)) {
            self.end_part(sink)?;
        }
        let part = self.open_part(sink)?;
        if part.rows == 0 && gathered.rows == 0 {
            return Ok(());
        }
        part.rows += gathered.rows as u64;
        if self.columns.is_empty() || gathered.rows == 0 {
            return Ok(());
        }
        let threads = if gathered.bytes < ALONE_BYTES { 1 } else { self.threads };
        let encoded = encode_columns(&self.columns, &plain, &gathered.batches, threads)?;
        drop(gathered);
        let Some(part) = self.part.as_mut() else { return Err(Error::internal("a part closed by itself")) };
        part.chunks += self.leaves;
        let mut group = part.writer.next_row_group().map_err(encode_error)?;
        // The library buffers what it writes, so a chunk's last bytes arrive behind the start of the next.
        let mut runs = Runs::default();
        for chunk in encoded {
            match chunk {
                Chunk::Flat(chunk) => {
                    let blocks = chunk.close.bloom_filter.as_ref().map_or(0, Sbbf::num_blocks);
                    part.blooms += blocks * BLOCK_BYTES;
                    runs.0.push_back(chunk.close.metadata.compressed_size().unsigned_abs());
                    group.append_column(&chunk.pages, chunk.close).map_err(encode_error)?;
                }
                Chunk::Library(chunk) => {
                    runs.0.push_back(chunk.close().metadata.compressed_size().unsigned_abs());
                    chunk.append_to_row_group(&mut group).map_err(encode_error)?;
                }
            }
            runs.carry(part.tray.take().into(), sink)?;
        }
        group.close().map_err(encode_error)?;
        part.writer.flush().map_err(ParquetError::from).map_err(encode_error)?;
        runs.carry(part.tray.take().into(), sink)?;
        if runs.0.is_empty() { Ok(()) } else { Err(Error::internal("the Parquet writer kept a part of a column")) }
    }

    fn open_part(&mut self, sink: &mut Sink) -> Result<&mut OpenPart> {
        if self.part.is_none() {
            let tray = Tray::default();
            let writer = SerializedFileWriter::new(tray.clone(), self.root.clone(), self.properties.clone());
            let mut writer = writer.map_err(encode_error)?;
            writer.flush().map_err(ParquetError::from).map_err(encode_error)?;
            self.part = Some(OpenPart { writer, tray: tray.clone(), rows: 0, chunks: 0, blooms: 0 });
            // The magic at the start belongs to no column chunk.
            sink.copy(&tray.take())?;
            sink.take_extents();
        }
        self.part.as_mut().ok_or_else(|| Error::internal("a part did not open"))
    }

    fn end_part(&mut self, sink: &mut Sink) -> Result<()> {
        let Some(mut part) = self.part.take() else { return Ok(()) };
        let mut tell =
            |key: &str, value: String| part.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        tell(EXTENTS_KEY, sink.take_extents().encode());
        if self.columns.is_empty() {
            tell(ROWS_KEY, part.rows.to_string());
        }
        if let Some(types) = &self.types {
            tell(TYPES_KEY, types.clone());
        }
        if let Some(choices) = choices(&self.columns) {
            tell(CHOICES_KEY, choices);
        }
        // Each part has those of all batches so far: what the next part's rows add to them does no harm here.
        if let Some(dictionaries) = self.kept.encode()? {
            tell(DICTIONARIES_KEY, dictionaries);
        }
        part.writer.finish().map_err(encode_error)?;
        let tail = part.tray.take();
        let (index, footer) = split_tail(&tail)?;
        let index = (!index.is_empty()).then(|| Section::of(index));
        let footer = Some(Section::of(footer));
        sink.copy(&tail)?;
        sink.end_part(Ending { rows: Some(part.rows), footer, index, extents_in_reference: false })
    }
}

impl Encoder for ParquetEncoder {
    fn write(&mut self, piece: Piece, sink: &mut Sink) -> Result<()> {
        let Piece::Batch(batch) = piece else { return Err(wrong_piece(&piece)) };
        if self.columns.is_empty() {
            self.gathered.rows += batch.num_rows();
            return self.write_group(sink);
        }
        self.kept.take(&batch)?;
        let bytes = SLICE_BYTES.min(self.group_bytes);
        for slice in slices(batch, bytes, GROUP_ROWS.min(self.storing.rows_within(bytes))) {
            self.gather(slice, sink)?;
        }
        Ok(())
    }

    fn finish(&mut self, sink: &mut Sink) -> Result<()> {
        if self.gathered.rows > 0 {
            self.write_group(sink)?;
        }
        self.open_part(sink)?;
        self.end_part(sink)
    }

    fn losses(&self) -> Vec<Json> {
        self.kept.losses()
    }
}

/// The lengths of the column chunks that are on their way to the sink.
#[derive(Default)]
struct Runs(VecDeque<u64>);

impl Runs {
    fn carry(&mut self, mut bytes: Bytes, sink: &mut Sink) -> Result<()> {
        while !bytes.is_empty() {
            let left = self.0.front_mut().ok_or_else(|| Error::internal("the Parquet writer wrote between columns"))?;
            let length = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
            sink.push(bytes.split_to(length))?;
            *left -= length as u64;
            if *left == 0 {
                self.0.pop_front();
                sink.end_run();
            }
        }
        Ok(())
    }
}

impl Column {
    fn try_new(field: &FieldRef, properties: &WriterPropertiesPtr, taste: &Taste, told: (bool, bool)) -> Result<Self> {
        let schema = Arc::new(Schema::new(vec![field.clone()]));
        let descriptor = ArrowSchemaConverter::new().with_coerce_types(false).convert(&schema).map_err(encode_error)?;
        let factory = |properties: &WriterPropertiesPtr| {
            let writer = SerializedFileWriter::new(Vec::new(), descriptor.root_schema_ptr(), properties.clone());
            writer.map(|writer| ArrowRowGroupWriterFactory::new(&writer, schema.clone())).map_err(encode_error)
        };
        let without = || properties.as_ref().clone().into_builder().set_dictionary_enabled(false).build();
        let plain = is_narrow(field.data_type()).then(|| factory(&Arc::new(without()))).transpose()?;
        let flat = match descriptor.columns() {
            [leaf] => ColumnEncoder::for_column(field.data_type(), leaf, taste, told).map(Mutex::new),
            _ => None,
        };
        Ok(Self { field: field.clone(), flat, library: Library { factory: factory(properties)?, plain } })
    }

    fn encode(&self, position: usize, batches: &[RecordBatch], plain: bool, codecs: &mut Codecs) -> Result<Vec<Chunk>> {
        let arrays: Vec<ArrayRef> = batches.iter().map(|batch| batch.column(position).clone()).collect();
        match &self.flat {
            Some(flat) => {
                let mut encoder = flat.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(vec![Chunk::Flat(encoder.encode(&arrays, codecs)?)])
            }
            None => self.library.encode(&self.field, even(arrays)?, plain),
        }
    }
}

impl Library {
    fn encode(&self, field: &FieldRef, arrays: Vec<ArrayRef>, plain: bool) -> Result<Vec<Chunk>> {
        let factory = self.plain.as_ref().filter(|_| plain).unwrap_or(&self.factory);
        let mut writers = factory.create_column_writers(0).map_err(encode_error)?;
        for array in arrays {
            let leaves = compute_leaves(field, &array).map_err(encode_error)?;
            for (writer, leaf) in writers.iter_mut().zip(&leaves) {
                writer.write(leaf).map_err(encode_error)?;
            }
        }
        writers.into_iter().map(|writer| writer.close().map(Chunk::Library).map_err(encode_error)).collect()
    }
}

/// The columns of a group in the order in which they are begun: the largest first, so that no thread is left with it.
fn largest_first(columns: usize, batches: &[RecordBatch]) -> Vec<usize> {
    let size = |position: &usize| {
        batches.iter().map(|batch| bytes(batch.column(*position), 0..batch.num_rows())).sum::<usize>()
    };
    let mut order: Vec<usize> = (0..columns).collect();
    order.sort_by_cached_key(|position| std::cmp::Reverse(size(position)));
    order
}

/// Encodes every column of a group on `threads` threads; the chunks come in the order of the columns.
fn encode_columns(columns: &[Column], plain: &[bool], batches: &[RecordBatch], threads: usize) -> Result<Vec<Chunk>> {
    let order = largest_first(columns.len(), batches);
    let encode = |codecs: &mut Codecs, position: &usize| {
        let column = columns.get(*position).ok_or_else(|| Error::internal("a column vanished"))?;
        let plain = plain.get(*position).copied().unwrap_or(false);
        let chunks = column.encode(*position, batches, plain, codecs);
        chunks.map_err(|error| error.within(format!("column `{}`", column.field.name())))
    };
    let encoded = on_threads(&order, threads, || Ok(Codecs::default()), encode)?;
    let mut encoded: Vec<(usize, Vec<Chunk>)> = order.into_iter().zip(encoded).collect();
    encoded.sort_unstable_by_key(|(position, _)| *position);
    Ok(encoded.into_iter().flat_map(|(_, chunks)| chunks).collect())
}

/// Why each column is encoded as it is, where that was chosen; nothing about very wide tables.
fn choices(columns: &[Column]) -> Option<String> {
    if columns.len() > PAGE_INDEX_COLUMNS {
        return None;
    }
    let choices = columns.iter().enumerate().filter_map(|(position, column)| {
        let encoder = column.flat.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        encoder.why().map(|why| serde_json::json!({"column": position, "why": why}))
    });
    let choices: Vec<Json> = choices.collect();
    (!choices.is_empty()).then(|| Json::Array(choices).to_string())
}

fn properties(schema: &Schema, compression: Compression, leaves: usize) -> WriterPropertiesPtr {
    let wide = leaves > PAGE_INDEX_COLUMNS;
    // Readers that do not know ARROW:schema look for the pandas index among the file's own keys.
    let pandas = schema.metadata().get("pandas").map(|value| vec![KeyValue::new("pandas".to_owned(), value.clone())]);
    let mut properties = WriterProperties::builder()
        .set_compression(compression)
        .set_statistics_enabled(if wide { EnabledStatistics::Chunk } else { EnabledStatistics::Page })
        .set_offset_index_disabled(wide)
        .set_bloom_filter_position(BloomFilterPosition::End)
        .set_key_value_metadata(pandas)
        .build();
    add_encoded_arrow_schema_to_metadata(schema, &mut properties);
    Arc::new(properties)
}

/// Cuts the end of a Parquet file into its page index and its footer.
fn split_tail(tail: &[u8]) -> Result<(&[u8], &[u8])> {
    let length = tail.len().checked_sub(8).and_then(|start| tail.get(start..start + 4));
    let length = length.and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(u32::from_le_bytes);
    length
        .and_then(|length| tail.len().checked_sub(usize::try_from(length).ok()? + 8))
        .and_then(|footer| tail.split_at_checked(footer))
        .ok_or_else(|| Error::internal("the Parquet writer wrote no footer"))
}
