//! One row group: some of its columns, decoded as far as a selection of its rows wants them.

use std::sync::Arc;

use arrow::array::ArrayRef;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, RowGroups, RowSelection};
use parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels};
use parquet::column::page::{PageIterator, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::pages::{ChunkPages, Refusal};
use crate::error::{Error, Result, recover};
use crate::serializer::guarded;

/// Top-level columns that are decoded together.
#[derive(Debug)]
pub(super) struct Columns {
    levels: FieldLevels,
}

impl Columns {
    /// The columns at these positions, ascending.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the file's two schemas do not fit each other.
    pub(super) fn new(metadata: &ArrowReaderMetadata, positions: &[usize]) -> Result<Self> {
        let mask = ProjectionMask::roots(metadata.parquet_schema(), positions.iter().copied());
        let fields = metadata.schema().fields();
        let levels = parquet_to_arrow_field_levels(metadata.parquet_schema(), mask, Some(fields));
        Ok(Self { levels: levels.map_err(decode_error)? })
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
        let chunks = Chunks { group: self, refusal: refusal.clone() };
        let reader = guarded(|| {
            ParquetRecordBatchReader::try_new_with_row_groups(&columns.levels, &chunks, batch_rows, Some(selection))
                .map_err(decode_error)
        })?;
        Ok(Decoded { reader, refusal })
    }

    fn metadata(&self) -> Option<&RowGroupMetaData> {
        self.metadata.row_groups().get(self.number)
    }
}

/// The batches of some columns of a row group, decoded one after the other.
pub(super) struct Decoded {
    reader: ParquetRecordBatchReader,
    refusal: Refusal,
}

impl Decoded {
    /// The columns of the next batch; none after the last.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if they cannot be decoded,
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if coldframe does not write such pages.
    pub(super) fn next(&mut self) -> Result<Option<Vec<ArrayRef>>> {
        let next = guarded(|| {
            let batch = self.reader.next().transpose().map_err(|error| decode_error(ParquetError::from(error)))?;
            Ok(batch.map(|batch| batch.columns().to_vec()))
        });
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

impl Chunks<'_> {
    fn missing() -> ParquetError {
        ParquetError::General("a column chunk was not read".into())
    }
}

impl RowGroups for Chunks<'_> {
    fn num_rows(&self) -> usize {
        self.group.metadata().and_then(|group| usize::try_from(group.num_rows()).ok()).unwrap_or(0)
    }

    fn column_chunks(&self, leaf: usize) -> ParquetResult<Box<dyn PageIterator>> {
        let chunks = &self.group.chunks;
        let found = chunks.binary_search_by_key(&leaf, |(leaf, _)| *leaf).ok().and_then(|place| chunks.get(place));
        let metadata = self.group.metadata().and_then(|group| group.columns().get(leaf));
        let (Some((_, bytes)), Some(metadata)) = (found, metadata) else { return Err(Self::missing()) };
        let pages = ChunkPages::new(bytes.clone(), metadata, self.group.limit, self.refusal.clone());
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
