//! One row group: some of its columns, decoded as far as a selection of its rows wants them.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, RowGroups, RowSelection};
use parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels};
use parquet::column::page::{PageIterator, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use super::chunk::{self, FlatColumn, Part};
use super::pages::{ChunkPages, Refusal};
use crate::error::{Error, Result, recover};
use crate::serializer::guarded;

/// Top-level columns that are decoded together.
#[derive(Debug)]
pub(super) struct Columns(Vec<Column>);

#[derive(Debug)]
enum Column {
    /// By its only leaf.
    Flat {
        leaf: usize,
        data_type: DataType,
    },
    Library(FieldLevels),
}

impl Columns {
    /// The columns at these positions, ascending.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the file's two schemas do not fit each other.
    pub(super) fn new(metadata: &ArrowReaderMetadata, positions: &[usize]) -> Result<Self> {
        let descriptor = metadata.parquet_schema();
        let mut leaves: Vec<Vec<usize>> = vec![Vec::new(); metadata.schema().fields().len()];
        for leaf in 0..descriptor.num_columns() {
            if let Some(leaves) = leaves.get_mut(descriptor.get_column_root_idx(leaf)) {
                leaves.push(leaf);
            }
        }
        let column = |position: &usize| {
            let field = metadata.schema().fields().get(*position);
            if let (Some(field), Some([leaf])) = (field, leaves.get(*position).map(Vec::as_slice)) {
                let (leaf, column) = (*leaf, descriptor.column(*leaf));
                let levels = (column.max_def_level(), column.max_rep_level());
                if chunk::knows(field.data_type(), column.physical_type(), levels) {
                    return Ok(Column::Flat { leaf, data_type: field.data_type().clone() });
                }
            }
            let mask = ProjectionMask::roots(descriptor, [*position]);
            let levels = parquet_to_arrow_field_levels(descriptor, mask, Some(metadata.schema().fields()));
            levels.map(Column::Library).map_err(decode_error)
        };
        positions.iter().map(column).collect::<Result<_>>().map(Self)
    }
}

/// A row group with the bytes of the column chunks that are wanted of it.
#[derive(Debug)]
pub(super) struct Group {
    metadata: Arc<ParquetMetaData>,
    number: usize,
    /// By the positions of the leaves, ascending.
    chunks: Vec<(usize, Bytes)>,
    /// A page may take so many bytes once decompressed.
    limit: usize,
}

impl Group {
    /// Row group `number`, with whole column chunks by the positions of their leaves, ascending.
    pub(super) fn new(
        metadata: Arc<ParquetMetaData>,
        number: usize,
        chunks: Vec<(usize, Bytes)>,
        limit: usize,
    ) -> Self {
        Self { metadata, number, chunks, limit }
    }

    /// Decodes the rows of a selection, of all rows of the group, in batches of `batch_rows`; only the last is shorter.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the columns cannot be decoded.
    pub(super) fn decode(&self, columns: &Columns, selection: RowSelection, batch_rows: usize) -> Result<Decoded> {
        let refusal = Refusal::default();
        let decoder = |column: &Column| match column {
            Column::Flat { leaf, data_type } => self.flat(*leaf, data_type, selection.clone(), &refusal),
            Column::Library(levels) => {
                let chunks = Chunks { group: self, refusal: refusal.clone() };
                let selection = Some(selection.clone());
                ParquetRecordBatchReader::try_new_with_row_groups(levels, &chunks, batch_rows, selection)
                    .map(Decoder::Library)
            }
        };
        let decoders = guarded(|| columns.0.iter().map(decoder).collect::<ParquetResult<_>>().map_err(decode_error));
        Ok(Decoded { decoders: decoders?, batch_rows, refusal })
    }

    fn flat(
        &self,
        leaf: usize,
        data_type: &DataType,
        selection: RowSelection,
        refusal: &Refusal,
    ) -> ParquetResult<Decoder> {
        let (pages, metadata) = self.pages(leaf, refusal)?;
        let column = metadata.column_descr();
        let bytes = metadata.unencoded_byte_array_data_bytes().map_or(0, i64::unsigned_abs);
        let row_bytes = bytes / metadata.num_values().max(1).unsigned_abs() + 1;
        let part = Part {
            pages,
            selection,
            nullable: column.max_def_level() > 0,
            row_bytes: usize::try_from(row_bytes).unwrap_or(usize::MAX),
            limit: self.limit,
        };
        Ok(Decoder::Flat(chunk::decode(data_type, column.physical_type(), part)))
    }

    /// The pages of a leaf's chunk, and what the footer says of it.
    fn pages(&self, leaf: usize, refusal: &Refusal) -> ParquetResult<(ChunkPages, &ColumnChunkMetaData)> {
        let found = self.chunks.binary_search_by_key(&leaf, |(leaf, _)| *leaf);
        let found = found.ok().and_then(|place| self.chunks.get(place));
        let metadata = self.metadata().and_then(|group| group.columns().get(leaf));
        let (Some((_, bytes)), Some(metadata)) = (found, metadata) else {
            return Err(ParquetError::General("a column chunk was not read".into()));
        };
        Ok((ChunkPages::new(bytes.clone(), metadata, self.limit, refusal.clone()), metadata))
    }

    fn metadata(&self) -> Option<&RowGroupMetaData> {
        self.metadata.row_groups().get(self.number)
    }
}

/// The batches of some columns of a row group, decoded one after the other.
pub(super) struct Decoded {
    decoders: Vec<Decoder>,
    batch_rows: usize,
    refusal: Refusal,
}

enum Decoder {
    Flat(Box<dyn FlatColumn>),
    Library(ParquetRecordBatchReader),
}

impl Decoder {
    /// The next rows; none after the last.
    fn next(&mut self, rows: usize) -> Result<Option<ArrayRef>> {
        match self {
            Self::Flat(column) => column.next(rows),
            Self::Library(reader) => {
                let batch = reader.next().transpose().map_err(|error| decode_error(ParquetError::from(error)))?;
                Ok(batch.and_then(|batch| batch.columns().first().cloned()))
            }
        }
    }
}

impl Decoded {
    /// The columns of the next batch; none after the last.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if they cannot be decoded,
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if coldframe does not write such pages.
    pub(super) fn next(&mut self) -> Result<Option<Vec<ArrayRef>>> {
        let rows = self.batch_rows;
        let next = guarded(|| self.decoders.iter_mut().map(|decoder| decoder.next(rows)).collect());
        next.map_err(|error| self.refusal.take().unwrap_or(error))
    }
}

pub(super) fn decode_error(error: ParquetError) -> Error {
    recover(Box::new(error)).unwrap_or_else(|error| {
        Error::damaged(format!("the Parquet file cannot be decoded: {error}")).with_source(error)
    })
}

/// A row group as the library asks for it.
struct Chunks<'a> {
    group: &'a Group,
    refusal: Refusal,
}

impl RowGroups for Chunks<'_> {
    fn num_rows(&self) -> usize {
        self.group.metadata().and_then(|group| usize::try_from(group.num_rows()).ok()).unwrap_or(0)
    }

    fn column_chunks(&self, leaf: usize) -> ParquetResult<Box<dyn PageIterator>> {
        let (pages, _) = self.group.pages(leaf, &self.refusal)?;
        Ok(Box::new(OneChunk(Some(pages))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.group.metadata().into_iter())
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.group.metadata
    }
}

/// The pages of the one column chunk that a row group has of a column.
struct OneChunk(Option<ChunkPages>);

impl Iterator for OneChunk {
    type Item = ParquetResult<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(|pages| Ok(Box::new(pages) as Box<dyn PageReader>))
    }
}

impl PageIterator for OneChunk {}
