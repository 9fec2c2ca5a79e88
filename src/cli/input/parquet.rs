//! Parquet as an input.

use std::fs::File;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::file::metadata::ParquetMetaData;

use super::guarded_reader::{Guarded, as_input};
use super::{BATCH_BYTES, BATCH_ROWS, malformed};
use crate::error::Result;
use crate::serializer::guarded;
use crate::value::Batches;

/// The table of a Parquet file, and how many rows it has.
pub(super) fn open(file: File) -> Result<(Batches, u64)> {
    guarded(|| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| malformed("Parquet", error))?;
        let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
        // The reader's own schema has lost the file's metadata, such as what pandas needs to restore an index.
        let schema = builder.schema().clone();
        let batch_rows = rows_a_batch(builder.metadata());
        let reader = builder.with_batch_size(batch_rows).build().map_err(|error| malformed("Parquet", error))?;
        Ok((Batches::from_reader(Guarded { reader, schema, format: "Parquet" }), rows))
    })
    .map_err(as_input)
}

fn rows_a_batch(metadata: &ParquetMetaData) -> usize {
    let most = metadata.row_groups().iter().map(|group| group.total_byte_size() / group.num_rows().max(1)).max();
    let row_bytes = usize::try_from(most.unwrap_or(1)).unwrap_or(1).max(1);
    (BATCH_BYTES / row_bytes).clamp(1, BATCH_ROWS)
}
