//! Unions and run ends inside other columns, laid out so that the Arrow library writes what it will read.
//!
//! Of a slice, its writer takes a nested union's type ids and not the children, so that other values would be read. Of
//! nested run ends without rows, it writes one run that ends at 0, which its reader refuses.

use arrow::array::{ArrayData, ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array, make_array, new_empty_array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use crate::error::{Error, Result};
use crate::serializer::compact::any_type;

fn is_fragile(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Union(..) | DataType::RunEndEncoded(..))
}

fn is_run_end_encoded(data_type: &DataType) -> bool {
    matches!(data_type, DataType::RunEndEncoded(..))
}

/// Whether a column has one inside; one that is a column itself is sliced with its children.
fn holds(data_type: &DataType) -> bool {
    match data_type {
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| any_type(field.data_type(), &is_fragile)),
        DataType::RunEndEncoded(_, values) => any_type(values.data_type(), &is_fragile),
        other => any_type(other, &is_fragile),
    }
}

/// The same batch; columns that hold such a nesting are copied.
pub(super) fn straightened(batch: RecordBatch) -> Result<RecordBatch> {
    if !batch.schema_ref().fields().iter().any(|field| holds(field.data_type())) {
        return Ok(batch);
    }
    let rows = UInt64Array::from_iter_values(0..batch.num_rows() as u64);
    let copied = || -> Result<RecordBatch, ArrowError> {
        let columns = batch.columns().iter().map(|column| match holds(column.data_type()) {
            true => copy(column, &rows),
            false => Ok(column.clone()),
        });
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(batch.schema(), columns.collect::<Result<_, _>>()?, &options)
    };
    copied().map_err(|error| Error::internal(format!("a nested column cannot be copied: {error}")))
}

fn copy(column: &ArrayRef, rows: &UInt64Array) -> Result<ArrayRef, ArrowError> {
    let copied = take(column, rows, None)?;
    if any_type(copied.data_type(), &is_run_end_encoded) {
        Ok(make_array(emptied(&copied.to_data())?))
    } else {
        Ok(copied)
    }
}

/// Run ends without rows become run ends without runs.
fn emptied(data: &ArrayData) -> Result<ArrayData, ArrowError> {
    if is_run_end_encoded(data.data_type()) && data.is_empty() {
        return Ok(new_empty_array(data.data_type()).to_data());
    }
    if !data.child_data().iter().any(|child| any_type(child.data_type(), &is_run_end_encoded)) {
        return Ok(data.clone());
    }
    let children = data.child_data().iter().map(emptied).collect::<Result<Vec<_>, _>>()?;
    data.clone().into_builder().child_data(children).build()
}
