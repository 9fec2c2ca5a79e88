//! What a batch takes in bytes, and batches that hold no more than they use.

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, make_array};
use arrow::datatypes::DataType;

use crate::error::{Error, Result};

/// A view array is copied when its buffers hold more than this many times the bytes it uses.
const SLACK: usize = 2;
const WORTH_A_COPY: usize = 64 * 1024;

/// The bytes that the rows of `array` take, whatever larger buffers they are slices of.
pub(super) fn array_bytes(array: &dyn Array) -> usize {
    match array.data_type() {
        DataType::Utf8View => array.len() * 16 + array.as_string_view().total_buffer_bytes_used(),
        DataType::BinaryView => array.len() * 16 + array.as_binary_view().total_buffer_bytes_used(),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            dictionary.keys().to_data().get_slice_memory_size().unwrap_or(0)
                + dictionary.values().get_array_memory_size()
        }
        _ => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()),
    }
}

/// The bytes that the rows of `batch` take.
pub(super) fn batch_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| array_bytes(column)).sum()
}

/// Cuts a batch into slices of about `bytes` at most, but at least one row each.
pub(super) fn slices(batch: RecordBatch, bytes: usize, rows: usize) -> impl Iterator<Item = RecordBatch> {
    let total = batch.num_rows();
    let per_row = batch_bytes(&batch) / total.max(1);
    let step = (bytes / per_row.max(1)).clamp(1, rows.max(1));
    let empty = (total == 0).then(|| batch.clone());
    (0..total).step_by(step).map(move |start| batch.slice(start, step.min(total - start))).chain(empty)
}

/// The same batch, whose views no longer hold large buffers for a few bytes in them.
pub(super) fn compacted(batch: RecordBatch) -> Result<RecordBatch> {
    if !batch.schema_ref().fields().iter().any(|field| holds_views(field.data_type())) {
        return Ok(batch);
    }
    let columns = batch.columns().iter().map(compact_array).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &options)
        .map_err(|error| Error::internal(format!("a compacted batch is invalid: {error}")))
}

fn compact_array(array: &ArrayRef) -> Result<ArrayRef> {
    let wasteful = |used: usize, held: usize| held > WORTH_A_COPY && held > used.saturating_mul(SLACK);
    Ok(match array.data_type() {
        DataType::Utf8View => {
            let views = array.as_string_view();
            let held = views.data_buffers().iter().map(|buffer| buffer.len()).sum();
            if wasteful(views.total_buffer_bytes_used(), held) {
                std::sync::Arc::new(views.gc())
            } else {
                array.clone()
            }
        }
        DataType::BinaryView => {
            let views = array.as_binary_view();
            let held = views.data_buffers().iter().map(|buffer| buffer.len()).sum();
            if wasteful(views.total_buffer_bytes_used(), held) {
                std::sync::Arc::new(views.gc())
            } else {
                array.clone()
            }
        }
        other if holds_views(other) => {
            let data = array.to_data();
            let children = data
                .child_data()
                .iter()
                .map(|child| compact_array(&make_array(child.clone())).map(|child| child.to_data()));
            let children: Vec<ArrayData> = children.collect::<Result<_>>()?;
            let rebuilt = data.into_builder().child_data(children).build();
            make_array(rebuilt.map_err(|error| Error::internal(format!("a compacted array is invalid: {error}")))?)
        }
        _ => array.clone(),
    })
}

fn holds_views(data_type: &DataType) -> bool {
    any_type(data_type, &|data_type| matches!(data_type, DataType::Utf8View | DataType::BinaryView))
}

/// Whether `wanted` holds for a type or for one inside it.
pub(super) fn any_type(data_type: &DataType, wanted: &dyn Fn(&DataType) -> bool) -> bool {
    wanted(data_type)
        || match data_type {
            DataType::List(field)
            | DataType::LargeList(field)
            | DataType::ListView(field)
            | DataType::LargeListView(field)
            | DataType::FixedSizeList(field, _)
            | DataType::Map(field, _) => any_type(field.data_type(), wanted),
            DataType::Struct(fields) => fields.iter().any(|field| any_type(field.data_type(), wanted)),
            DataType::Union(fields, _) => fields.iter().any(|(_, field)| any_type(field.data_type(), wanted)),
            DataType::Dictionary(_, values) => any_type(values, wanted),
            DataType::RunEndEncoded(_, values) => any_type(values.data_type(), wanted),
            _ => false,
        }
}
