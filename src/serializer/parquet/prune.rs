//! Which row groups of a Parquet file a filter wants, by the statistics in the footer.

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::statistics::leaves;
use crate::error::{Error, Result};
use crate::query::Filter;
use crate::query::filter::{Bounds, Value};

/// The positions of the row groups that may hold rows for which `filter` is true.
///
/// `schema` is that of the table, in which columns may be dictionaries that are plain in the file.
///
/// # Errors
///
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the statistics cannot be made sense of.
pub(super) fn row_groups(metadata: &ParquetMetaData, schema: &Schema, filter: &Filter) -> Result<Vec<usize>> {
    let leaves = leaves(metadata, schema.fields().len());
    let mut known = Vec::with_capacity(filter.columns().len());
    for column in filter.columns() {
        let leaf = leaves.get(*column).copied().flatten();
        let found = schema.fields().get(*column).zip(leaf).filter(|(field, _)| !field.data_type().is_nested());
        known.push((*column, found.map(|(field, leaf)| Column::read(metadata, field, leaf)).transpose()?));
    }
    let may_hold = |(position, group): (usize, &RowGroupMetaData)| {
        let bounds = |column: usize| {
            let (_, column) = known.iter().find(|(known, _)| *known == column)?;
            Some(column.as_ref()?.bounds(position, group))
        };
        filter.outcomes(&bounds).yes.then_some(position)
    };
    Ok(metadata.row_groups().iter().enumerate().filter_map(may_hold).collect())
}

/// What the footer says of one column, row group by row group.
struct Column {
    leaf: usize,
    mins: ArrayRef,
    maxes: ArrayRef,
    nulls: UInt64Array,
}

impl Column {
    fn read(metadata: &ParquetMetaData, field: &Field, leaf: usize) -> Result<Self> {
        let failed = |error: ParquetError| {
            Error::damaged(format!("the statistics of column `{}` cannot be read: {error}", field.name()))
        };
        let values = match field.data_type() {
            DataType::Dictionary(_, values) => field.clone().with_data_type(values.as_ref().clone()),
            _ => field.clone(),
        };
        let groups = metadata.row_groups();
        let descriptor = metadata.file_metadata().schema_descr();
        let converter = StatisticsConverter::from_column_index(leaf, &values, descriptor)
            .map_err(failed)?
            .with_missing_null_counts_as_zero(false);
        Ok(Self {
            leaf,
            mins: converter.row_group_mins(groups).map_err(failed)?,
            maxes: converter.row_group_maxes(groups).map_err(failed)?,
            nulls: converter.row_group_null_counts(groups).map_err(failed)?,
        })
    }

    fn bounds(&self, position: usize, group: &RowGroupMetaData) -> Bounds {
        let statistics = group.columns().get(self.leaf).and_then(|chunk| chunk.statistics());
        // Under their old names, min and max are in no order that could be relied on.
        let ordered = statistics.is_some_and(|statistics| !statistics.is_min_max_deprecated());
        let value = |values: &ArrayRef| Value::of(values, position).filter(|_| ordered);
        let nulls = (position < self.nulls.len() && self.nulls.is_valid(position)).then(|| self.nulls.value(position));
        Bounds { min: value(&self.mins), max: value(&self.maxes), nulls, rows: group.num_rows().unsigned_abs() }
    }
}
