//! Parquet into record batches: the footer first, then the row groups, whose column chunks are read whole and checked.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, new_empty_array};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelector};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};

use super::finish::{Finishing, misfit};
use super::group::{Columns, decode_error};
use super::parallel::{Decoding, Unit, Wanted, units};
use super::restore::Dictionary;
use super::sieve::Sieve;
use super::stored::declared_schema;
use super::{CHOICES_KEY, DICTIONARIES_KEY, EXTENTS_KEY, ROWS_KEY, TYPES_KEY, dictionaries, footer, prune, statistics};
use crate::checksum::Extents;
use crate::error::{Error, Result};
use crate::query::Filter;
use crate::serializer::ahead::{AHEAD_SHARE, Step};
use crate::serializer::{
    CheckedSource, ColumnStatistics, ReadPlan, Source, TableReader, cores, guarded, read_range, read_section,
};

/// The four bytes that a Parquet file begins and ends with.
const MAGIC: &[u8] = b"PAR1";
/// A page, or one row without its values, may take so many times the memory budget once it is decoded.
const EXPANSION: usize = 8;
/// Which share of the memory budget is for what is decoded, or being decoded, and not handed out yet.
const DECODED_SHARE: usize = 2;
/// However little a file says that its values take, each of them is counted with so many bytes.
const LEAST_VALUE_BYTES: u64 = 8;

pub(super) struct ParquetTable {
    source: Arc<CheckedSource>,
    metadata: ArrowReaderMetadata,
    schema: SchemaRef,
    rows: u64,
    /// The dictionaries that were kept, by the positions of their columns.
    dictionaries: BTreeMap<usize, Arc<Dictionary>>,
    memory: usize,
    threads: usize,
}

impl ParquetTable {
    pub(super) async fn open(source: Arc<dyn Source>, memory: usize) -> Result<Self> {
        let (tail, data_end) = read_tail(&*source).await?;
        let metadata = guarded(|| parse(&tail))?;
        let file = metadata.metadata().file_metadata();
        let value = |key: &str| {
            let pairs = file.key_value_metadata().map(Vec::as_slice).unwrap_or_default();
            pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone())
        };
        let extents = value(EXTENTS_KEY).as_deref().map(Extents::decode).transpose()?;
        let runs = chunk_ranges(metadata.metadata(), data_end)?;
        let schema = schema_of(&metadata);
        let schema = match value(TYPES_KEY) {
            Some(text) => Arc::new(guarded(|| declared_schema(&schema, &text))?),
            None => schema,
        };
        let kept = value(DICTIONARIES_KEY).map(|text| guarded(|| dictionaries::decode(&text, &schema))).transpose()?;
        let kept = kept.unwrap_or_default().into_iter();
        let dictionaries = kept.map(|(column, values)| (column, Arc::new(Dictionary::new(values)))).collect();
        let limit = memory.saturating_mul(EXPANSION);
        if let Some(field) = metadata.schema().fields().iter().find(|field| row_bytes(field.data_type()) > limit) {
            return Err(Error::damaged(format!("a row of column `{}` would not fit the memory budget", field.name()))
                .with_hint("raise the memory budget if the file is trusted"));
        }
        let rows = match value(ROWS_KEY) {
            Some(rows) if schema.fields().is_empty() => rows.parse().ok(),
            _ => group_rows(metadata.metadata()),
        };
        let rows = rows.filter(|rows| source.part().rows.is_none_or(|expected| expected == *rows));
        let rows =
            rows.ok_or_else(|| Error::damaged("the Parquet file has another number of rows than was written"))?;
        let source = Arc::new(CheckedSource::new(source, &runs, extents.as_ref())?);
        Ok(Self { source, metadata, schema, rows, dictionaries, memory, threads: cores() })
    }

    /// The dictionaries of the planned columns, column by column.
    fn kept(&self, plan: &ReadPlan) -> Vec<Option<Arc<Dictionary>>> {
        let kept = |column| self.dictionaries.get(&column).cloned();
        match &plan.columns {
            Some(columns) => columns.iter().copied().map(kept).collect(),
            None => (0..self.schema.fields().len()).map(kept).collect(),
        }
    }

    /// How the rows and columns of a plan are decoded.
    fn decoding(&self, plan: &ReadPlan, schema: SchemaRef, kept: &[Option<Arc<Dictionary>>]) -> Result<Decoding> {
        let metadata = self.metadata.metadata();
        let mut groups = groups_for(metadata.row_groups(), &plan.rows);
        // Of some rows alone, it would matter how many are left out before them.
        let sieve = plan.filter.as_ref().filter(|_| plan.rows == (0..self.rows));
        if let Some(filter) = sieve {
            let kept = prune::row_groups(metadata, &self.schema, filter)?;
            groups.retain(|(number, _)| kept.contains(number));
        }
        let sieve = sieve.filter(|_| !groups.is_empty()).map(|filter| self.sieve(filter, plan)).transpose()?;
        let numbers: Vec<usize> = groups.iter().map(|(number, _)| *number).collect();
        let batch_rows = self.batch_rows(plan, &numbers);
        let descriptor = metadata.file_metadata().schema_descr();
        let planned = |leaf: &usize| plan.has(descriptor.get_column_root_idx(*leaf));
        let leaves: Vec<usize> = (0..descriptor.num_columns()).filter(planned).collect();
        let wanted = groups.into_iter().filter_map(|(number, rows)| {
            let group = metadata.row_groups().get(number)?;
            let count = rows.end - rows.start;
            let selection = vec![RowSelector::skip(narrow(rows.start)), RowSelector::select(narrow(count))];
            let estimate = group_bytes(group, plan, self.metadata.schema()) / group.num_rows().max(1).unsigned_abs();
            let least = leaves.len() as u64 * LEAST_VALUE_BYTES;
            let row_bytes = estimate.max(least);
            let chunks = self.chunks(number, &leaves);
            Some(Wanted { number, selection: selection.into(), rows: count, row_bytes, chunks })
        });
        Ok(Decoding {
            metadata: metadata.clone(),
            sieve,
            units: self.units(plan, &schema, kept)?,
            groups: wanted.collect(),
            source: self.source.clone(),
            ahead: self.memory / AHEAD_SHARE,
            schema,
            leaves,
            batch_rows,
            limit: self.memory.saturating_mul(EXPANSION),
            threads: self.threads,
            room: self.memory / DECODED_SHARE,
        })
    }

    /// What tells the rows that a filter wants.
    fn sieve(&self, filter: &Arc<Filter>, plan: &ReadPlan) -> Result<Sieve> {
        let mut columns = filter.columns().to_vec();
        columns.sort_unstable();
        columns.dedup();
        let fields = columns.iter().filter_map(|column| self.schema.fields().get(*column).cloned());
        let kept = columns.iter().map(|column| self.dictionaries.get(column).cloned()).collect();
        let others = (0..self.schema.fields().len()).any(|column| plan.has(column) && !columns.contains(&column));
        let unit = Unit {
            columns: Columns::new(&self.metadata, &columns)?,
            finishing: Finishing::new(fields.collect(), kept),
        };
        let place = |column: &usize| columns.binary_search(column).unwrap_or(usize::MAX);
        let part = self.source.part();
        let footer = part.footer.as_ref().map(|footer| part.size.saturating_sub(footer.size));
        Ok(Sieve {
            filter: filter.clone(),
            schema: self.schema.clone(),
            places: filter.columns().iter().map(place).collect(),
            unit: (others && !columns.is_empty()).then_some(unit),
            source: self.source.clone(),
            index: part.index.clone().zip(footer),
        })
    }

    /// The planned columns, in units that are decoded by themselves.
    fn units(&self, plan: &ReadPlan, schema: &Schema, kept: &[Option<Arc<Dictionary>>]) -> Result<Vec<Unit>> {
        let positions: Vec<usize> = (0..self.schema.fields().len()).filter(|position| plan.has(*position)).collect();
        let all = self.plain_bytes();
        let bytes: Vec<u64> = positions.iter().map(|position| all.get(*position).copied().unwrap_or(0)).collect();
        let unit = |range: Range<usize>| {
            let part = |range: &Range<usize>| Some((positions.get(range.clone())?, kept.get(range.clone())?));
            let (positions, kept) = part(&range).ok_or_else(|| Error::internal("a planned column is none"))?;
            let fields = schema.fields().get(range).unwrap_or_default().to_vec().into();
            Ok(Unit {
                columns: Columns::new(&self.metadata, positions)?,
                finishing: Finishing::new(fields, kept.to_vec()),
            })
        };
        units(&bytes, self.threads).into_iter().map(unit).collect()
    }

    /// About what the decoding of each column costs, over all row groups.
    fn plain_bytes(&self) -> Vec<u64> {
        let mut bytes = vec![0_u64; self.schema.fields().len()];
        for group in self.metadata.metadata().row_groups() {
            for (leaf, chunk) in group.columns().iter().enumerate() {
                let root = self.metadata.parquet_schema().get_column_root_idx(leaf);
                if let Some(bytes) = bytes.get_mut(root) {
                    let plain =
                        chunk.uncompressed_size().unsigned_abs().saturating_add(chunk.num_values().unsigned_abs());
                    *bytes = bytes.saturating_add(plain);
                }
            }
        }
        bytes
    }

    /// The column chunks of these leaves.
    fn chunks(&self, group: usize, leaves: &[usize]) -> Step {
        let group = self.metadata.metadata().row_groups().get(group);
        let chunk = |leaf: &usize| group.and_then(|group| group.columns().get(*leaf)).and_then(chunk_range);
        Step::new(leaves.iter().filter_map(chunk).collect())
    }

    /// So many rows that a batch stays within the plan's bytes, by what the row groups say of their values.
    fn batch_rows(&self, plan: &ReadPlan, groups: &[usize]) -> usize {
        let widest = groups.iter().filter_map(|group| {
            let group = self.metadata.metadata().row_groups().get(*group)?;
            Some(group_bytes(group, plan, self.metadata.schema()) / group.num_rows().max(1).unsigned_abs())
        });
        let fields = self.metadata.schema().fields().iter().enumerate().filter(|(position, _)| plan.has(*position));
        let fixed: usize = fields.map(|(_, field)| row_bytes(field.data_type())).sum();
        let per_row = narrow(widest.max().unwrap_or(1)).max(fixed).max(1);
        (plan.batch_bytes / per_row).clamp(1, plan.batch_rows.max(1))
    }
}

impl TableReader for ParquetTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn column_bytes(&self) -> Option<Vec<u64>> {
        let mut bytes = vec![0; self.schema.fields().len()];
        for group in self.metadata.metadata().row_groups() {
            for (leaf, chunk) in group.columns().iter().enumerate() {
                let root = self.metadata.parquet_schema().get_column_root_idx(leaf);
                if let Some(bytes) = bytes.get_mut(root) {
                    *bytes += chunk.compressed_size().unsigned_abs();
                }
            }
        }
        Some(bytes)
    }

    fn column_statistics(&self) -> Result<Option<Vec<ColumnStatistics>>> {
        let bytes = self.column_bytes().unwrap_or_default();
        guarded(|| statistics::column_statistics(self.metadata.metadata(), &self.schema, &bytes)).map(Some)
    }

    fn leaves_out_rows(&self) -> bool {
        true
    }

    fn batches(&self, plan: ReadPlan) -> BoxStream<'static, Result<RecordBatch>> {
        let schema = match &plan.columns {
            Some(columns) => self.schema.project(columns).map(Arc::new).unwrap_or_else(|_| self.schema.clone()),
            None => self.schema.clone(),
        };
        if schema.fields().is_empty() {
            return counted(schema, plan);
        }
        let kept = self.kept(&plan);
        if plan.rows.is_empty() {
            return no_rows(&schema, &kept);
        }
        match guarded(|| self.decoding(&plan, schema, &kept)) {
            Ok(decoding) => decoding.start(),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }
}

/// A batch without rows that shows the dictionaries; none where there are none to show.
fn no_rows(schema: &SchemaRef, kept: &[Option<Arc<Dictionary>>]) -> BoxStream<'static, Result<RecordBatch>> {
    let empty = |(field, kept): (&FieldRef, &Option<Arc<Dictionary>>)| match kept {
        Some(dictionary) => dictionary.empty(field.data_type()),
        None => new_empty_array(field.data_type()),
    };
    let shows = kept.iter().any(Option::is_some);
    let batch = shows.then(|| {
        let columns = schema.fields().iter().zip(kept).map(empty).collect();
        RecordBatch::try_new(schema.clone(), columns).map_err(misfit)
    });
    futures::stream::iter(batch).boxed()
}

/// The footer, and where the data before it and the page index ends.
async fn read_tail(source: &dyn Source) -> Result<(Bytes, u64)> {
    let part = source.part();
    if let Some(footer) = &part.footer {
        let tail = read_section(source, footer, part.size, "Parquet footer").await?;
        let index = part.index.as_ref().map_or(0, |index| index.size);
        return Ok((tail, part.size.saturating_sub(footer.size).saturating_sub(index)));
    }
    if !source.is_checked() {
        return Err(Error::damaged("the reference does not say where the Parquet footer is"));
    }
    let end = read_range(source, part.size.saturating_sub(8)..part.size).await?;
    let length = end.get(..4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(u32::from_le_bytes);
    let start = length.and_then(|length| part.size.checked_sub(u64::from(length) + 8));
    let start = start.ok_or_else(|| Error::damaged("the file is no Parquet file"))?;
    Ok((read_range(source, start..part.size).await?, start))
}

fn parse(tail: &[u8]) -> Result<ArrowReaderMetadata> {
    let thrift = tail.len().checked_sub(8).and_then(|end| tail.get(..end));
    let thrift =
        thrift.filter(|_| tail.ends_with(MAGIC)).ok_or_else(|| Error::damaged("the file is no Parquet file"))?;
    footer::check_lists(thrift)?;
    let metadata = ParquetMetaDataReader::decode_metadata(thrift).map_err(decode_error)?;
    ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new()).map_err(decode_error)
}

/// The bytes of every column chunk, in the order of the file.
fn chunk_ranges(metadata: &ParquetMetaData, end: u64) -> Result<Vec<Range<u64>>> {
    let chunks = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    let chunks = chunks.map(|chunk| chunk_range(chunk).filter(|range| range.end <= end));
    chunks.collect::<Option<_>>().ok_or_else(|| Error::damaged("the Parquet footer points outside the file's data"))
}

fn chunk_range(chunk: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let start = chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset());
    let start = u64::try_from(start).ok()?;
    let size = u64::try_from(chunk.compressed_size()).ok()?;
    Some(start..start.checked_add(size)?)
}

fn group_rows(metadata: &ParquetMetaData) -> Option<u64> {
    let rows = metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()).ok());
    rows.sum::<Option<u64>>()
}

fn schema_of(metadata: &ArrowReaderMetadata) -> SchemaRef {
    let schema = metadata.schema();
    let mut kept = schema.metadata().clone();
    kept.retain(|key, _| ![CHOICES_KEY, EXTENTS_KEY, ROWS_KEY, DICTIONARIES_KEY, TYPES_KEY].contains(&key.as_str()));
    Arc::new(Schema::new_with_metadata(schema.fields().clone(), kept))
}

/// The row groups that hold some of `rows`, and which of their own rows these are.
fn groups_for(groups: &[RowGroupMetaData], rows: &Range<u64>) -> Vec<(usize, Range<u64>)> {
    let (mut start, mut wanted) = (0_u64, Vec::new());
    for (number, group) in groups.iter().enumerate() {
        let end = start.saturating_add(group.num_rows().unsigned_abs());
        let (from, to) = (rows.start.max(start), rows.end.min(end));
        if from < to {
            wanted.push((number, from - start..to - start));
        }
        start = end;
    }
    wanted
}

/// About how many bytes the planned columns of a group take once decoded.
fn group_bytes(group: &RowGroupMetaData, plan: &ReadPlan, schema: &Schema) -> u64 {
    let descriptor = group.schema_descr();
    let planned = |leaf: &usize| plan.has(descriptor.get_column_root_idx(*leaf));
    let chunks = group.columns().iter().enumerate().filter(|(leaf, _)| planned(leaf));
    let bytes = chunks.map(|(leaf, chunk)| {
        let values = chunk.num_values().unsigned_abs();
        let root = schema.fields().get(descriptor.get_column_root_idx(leaf)).map(|field| field.data_type());
        match (root, chunk.unencoded_byte_array_data_bytes()) {
            (Some(DataType::Dictionary(..)), _) => values * 4,
            (Some(flat), _) if flat.primitive_width().is_some() => {
                values * flat.primitive_width().map_or(0, |bytes| bytes as u64) + values / 8
            }
            (_, Some(bytes)) => bytes.unsigned_abs() + values * 16,
            (_, None) => values * 16,
        }
    });
    bytes.sum()
}

/// The bytes that a row of a type takes even where it is null.
fn row_bytes(data_type: &DataType) -> usize {
    match data_type {
        DataType::Null => 0,
        DataType::FixedSizeBinary(bytes) => usize::try_from(*bytes).unwrap_or(usize::MAX),
        DataType::FixedSizeList(field, size) => {
            usize::try_from(*size).unwrap_or(usize::MAX).saturating_mul(row_bytes(field.data_type()))
        }
        DataType::Struct(fields) => {
            fields.iter().fold(0, |sum: usize, field| sum.saturating_add(row_bytes(field.data_type())))
        }
        _ => 1,
    }
}

/// Batches of a table without columns, which is nothing but a number of rows.
fn counted(schema: SchemaRef, plan: ReadPlan) -> BoxStream<'static, Result<RecordBatch>> {
    let step = plan.batch_rows.max(1);
    let batches = plan.rows.clone().step_by(step).map(move |start| {
        let rows = narrow((plan.rows.end - start).min(step as u64));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(schema.clone(), vec![], &options)
            .map_err(|error| Error::internal(error.to_string()))
    });
    futures::stream::iter(batches).boxed()
}

fn narrow(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
