//! The statistics of a Parquet file's columns, from its footer.

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::{Field, SchemaRef};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::{Compression, Encoding};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use serde::Deserialize;

use super::CHOICES_KEY;
use crate::error::{Error, Result};
use crate::serializer::ColumnStatistics;

/// The statistics of every top-level column, over all row groups.
pub(super) fn column_statistics(
    metadata: &ParquetMetaData,
    schema: &SchemaRef,
    bytes: &[u64],
) -> Result<Vec<ColumnStatistics>> {
    let leaves = leaves(metadata, schema.fields().len());
    let reasons = reasons(metadata);
    let columns = schema.fields().iter().zip(leaves).enumerate().map(|(position, (field, leaf))| {
        let bytes = bytes.get(position).copied().unwrap_or_default();
        let encoding = leaf.and_then(|leaf| encoding(metadata, leaf));
        let why = reasons.iter().find(|reason| reason.column == position).map(|reason| reason.why.clone());
        match leaf.filter(|_| !field.data_type().is_nested()) {
            Some(leaf) => {
                let groups = of_groups(metadata, field, leaf)?;
                Ok(ColumnStatistics { bytes, encoding, why, ..ColumnStatistics::merged(field.name(), &groups)? })
            }
            None => Ok(ColumnStatistics { encoding, why, ..unknown(field, bytes) }),
        }
    });
    columns.collect()
}

/// Why a column is encoded as it is, as it stands under [`CHOICES_KEY`].
#[derive(Debug, Deserialize)]
struct Reason {
    column: usize,
    why: String,
}

/// The reasons that the file gives; none that cannot be read, since nothing depends on them.
fn reasons(metadata: &ParquetMetaData) -> Vec<Reason> {
    let pairs = metadata.file_metadata().key_value_metadata().map(Vec::as_slice).unwrap_or_default();
    let text = pairs.iter().find(|pair| pair.key == CHOICES_KEY).and_then(|pair| pair.value.as_deref());
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// How a column's chunks are encoded and compressed, each way once.
fn encoding(metadata: &ParquetMetaData, leaf: usize) -> Option<String> {
    let mut ways: Vec<String> = Vec::new();
    for chunk in metadata.row_groups().iter().filter_map(|group| group.columns().get(leaf)) {
        let layouts = chunk.encodings().filter_map(|encoding| match encoding {
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => Some("dictionary"),
            Encoding::DELTA_BINARY_PACKED => Some("delta"),
            Encoding::DELTA_LENGTH_BYTE_ARRAY => Some("delta length"),
            Encoding::BYTE_STREAM_SPLIT => Some("byte stream split"),
            _ => None,
        });
        let layout = layouts.last().unwrap_or("plain");
        let way = match chunk.compression() {
            Compression::UNCOMPRESSED => layout.to_owned(),
            Compression::ZSTD(_) => format!("{layout}, zstd"),
            Compression::LZ4_RAW => format!("{layout}, lz4"),
            Compression::SNAPPY => format!("{layout}, snappy"),
            Compression::GZIP(_) => format!("{layout}, gzip"),
            _ => format!("{layout}, another codec"),
        };
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    (!ways.is_empty()).then(|| ways.join("; "))
}

/// The position of each top-level column's only leaf; none where it has several.
pub(super) fn leaves(metadata: &ParquetMetaData, roots: usize) -> Vec<Option<usize>> {
    let descriptor = metadata.file_metadata().schema_descr();
    let mut first: Vec<Option<usize>> = vec![None; roots];
    let mut count = vec![0_usize; roots];
    for leaf in 0..descriptor.num_columns() {
        let root = descriptor.get_column_root_idx(leaf);
        if let (Some(first), Some(count)) = (first.get_mut(root), count.get_mut(root)) {
            first.get_or_insert(leaf);
            *count += 1;
        }
    }
    first.into_iter().zip(count).map(|(leaf, count)| leaf.filter(|_| count == 1)).collect()
}

fn unknown(field: &Field, bytes: u64) -> ColumnStatistics {
    ColumnStatistics {
        name: field.name().clone(),
        bytes,
        nulls: None,
        min: None,
        max: None,
        exact: false,
        encoding: None,
        why: None,
    }
}

/// What each row group says of a column, with the number of its rows.
fn of_groups(metadata: &ParquetMetaData, field: &Field, leaf: usize) -> Result<Vec<(u64, ColumnStatistics)>> {
    let failed = |error: ParquetError| {
        Error::damaged(format!("the statistics of column `{}` cannot be read: {error}", field.name()))
    };
    let groups = metadata.row_groups();
    let converter = StatisticsConverter::from_column_index(leaf, field, metadata.file_metadata().schema_descr())
        .map_err(failed)?
        .with_missing_null_counts_as_zero(false);
    let mins = typed(&converter.row_group_mins(groups).map_err(failed)?, field);
    let maxes = typed(&converter.row_group_maxes(groups).map_err(failed)?, field);
    let nulls = converter.row_group_null_counts(groups).map_err(failed)?;
    let of_group = |(position, group): (usize, &RowGroupMetaData)| {
        // Under their old names, min and max are in no order that could be relied on.
        let ordered = group.column(leaf).statistics().is_some_and(|statistics| !statistics.is_min_max_deprecated());
        let element = |array: &Option<ArrayRef>| {
            let array = array.as_ref().filter(|array| ordered && array.is_valid(position))?;
            Some(array.slice(position, 1))
        };
        let exact = group.column(leaf).statistics().is_some_and(|found| found.min_is_exact() && found.max_is_exact());
        let statistics = ColumnStatistics {
            nulls: nulls.is_valid(position).then(|| nulls.value(position)),
            min: element(&mins),
            max: element(&maxes),
            exact,
            ..unknown(field, 0)
        };
        (group.num_rows().unsigned_abs(), statistics)
    };
    Ok(groups.iter().enumerate().map(of_group).collect())
}

/// The values in the column's own type; those of a dictionary come as what it stands for.
fn typed(values: &ArrayRef, field: &Field) -> Option<ArrayRef> {
    if values.data_type() == field.data_type() {
        return Some(values.clone());
    }
    let cast = cast(values, field.data_type()).ok()?;
    (cast.null_count() == values.null_count()).then_some(cast)
}
