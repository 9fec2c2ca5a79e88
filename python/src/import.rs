//! Arrow's C interface on the way in: streams and arrays of other libraries become record batches.
//!
//! Taken over here and not by the Arrow library's own reader, because that slices a struct inside a sliced struct twice.

use std::ffi::CStr;
use std::sync::Arc;

use arrow::array::{ArrayData, RecordBatch, RecordBatchOptions, RecordBatchReader, StructArray};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi_and_data_type};
use arrow::ffi_stream::FFI_ArrowArrayStream;
use coldframe::Error;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::ending::{Visit, ended};
use crate::repair::repair;

/// Why the pointers below may be followed.
macro_rules! unsafe_interface {
    ($what:expr) => {{
        #[expect(unsafe_code, reason = "a capsule of that name holds that struct, which the C interface lets us take")]
        unsafe {
            $what
        }
    }};
}

/// A stream of record batches of another library; its callbacks take the GIL themselves where they need it.
pub(crate) struct Stream {
    stream: FFI_ArrowArrayStream,
    schema: SchemaRef,
}

impl Stream {
    /// Takes over what `__arrow_c_stream__` gives.
    pub(crate) fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let capsule = value.call_method0("__arrow_c_stream__")?.cast_into::<PyCapsule>()?;
        let pointer = capsule.pointer_checked(Some(c"arrow_array_stream"))?.cast::<FFI_ArrowArrayStream>();
        let mut stream = unsafe_interface!(FFI_ArrowArrayStream::from_raw(pointer.as_ptr()));
        let get_schema =
            stream.get_schema.ok_or_else(|| PyValueError::new_err("the Arrow stream was taken already"))?;
        let mut schema = FFI_ArrowSchema::empty();
        if unsafe_interface!(get_schema(&raw mut stream, &raw mut schema)) != 0 {
            return Err(PyValueError::new_err(last_error(&mut stream)));
        }
        let schema = Schema::try_from(&schema).map_err(|failure| PyTypeError::new_err(failure.to_string()))?;
        Ok(Self { stream, schema: Arc::new(schema) })
    }
}

impl Iterator for Stream {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(_visit) = Visit::begin() else { return Some(Err(ended().into())) };
        let mut array = FFI_ArrowArray::empty();
        let get_next = self.stream.get_next?;
        if unsafe_interface!(get_next(&raw mut self.stream, &raw mut array)) != 0 {
            return Some(Err(ArrowError::CDataInterface(last_error(&mut self.stream))));
        }
        (!array.is_released()).then(|| batch_of(array, self.schema.clone()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let stream = std::mem::replace(&mut self.stream, FFI_ArrowArrayStream::empty());
        match Visit::begin() {
            Some(_visit) => drop(stream),
            // Releasing it may need the GIL.
            None => std::mem::forget(stream),
        }
    }
}

impl RecordBatchReader for Stream {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

fn last_error(stream: &mut FFI_ArrowArrayStream) -> String {
    let Some(get_last_error) = stream.get_last_error else { return "no reason was given".to_owned() };
    let text = unsafe_interface!(get_last_error(&raw mut *stream));
    if text.is_null() {
        return "no reason was given".to_owned();
    }
    unsafe_interface!(CStr::from_ptr(text)).to_string_lossy().into_owned()
}

/// The batches of one item of an iterator: a record batch, or a small table.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`](coldframe::ErrorKind::InvalidInput) if it is neither.
pub(crate) fn batches(item: &Bound<'_, PyAny>) -> Result<Vec<RecordBatch>, Error> {
    let is_batch = item.hasattr("__arrow_c_array__").unwrap_or(false);
    let taken = if is_batch {
        batch(item).map(|batch| vec![batch])
    } else {
        Stream::take(item).and_then(|stream| {
            // Its own threads may need the GIL.
            let batches = item.py().detach(|| stream.collect::<Result<Vec<_>, _>>());
            batches.map_err(|failure| PyValueError::new_err(failure.to_string()))
        })
    };
    taken.map_err(|failure| {
        let kind = item.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
        Error::invalid(format!("the iterator gave a {kind} where a record batch was expected: {failure}"))
            .with_hint("give pyarrow.RecordBatch, or what else has `__arrow_c_array__`")
    })
}

/// The record batch that `__arrow_c_array__` gives.
fn batch(value: &Bound<'_, PyAny>) -> PyResult<RecordBatch> {
    let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) =
        value.call_method0("__arrow_c_array__")?.extract()?;
    let schema = schema.pointer_checked(Some(c"arrow_schema"))?.cast::<FFI_ArrowSchema>();
    let schema = unsafe_interface!(schema.as_ref());
    let array = array.pointer_checked(Some(c"arrow_array"))?.cast::<FFI_ArrowArray>();
    if unsafe_interface!(array.as_ref()).is_released() {
        return Err(PyValueError::new_err("the Arrow array was taken already"));
    }
    let schema = Schema::try_from(schema).map_err(|failure| PyTypeError::new_err(failure.to_string()))?;
    let array = unsafe_interface!(FFI_ArrowArray::from_raw(array.as_ptr()));
    batch_of(array, Arc::new(schema)).map_err(|failure| PyValueError::new_err(failure.to_string()))
}

fn batch_of(mut array: FFI_ArrowArray, schema: SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| field.data_type()).collect::<Vec<_>>();
    repair(&mut array, &columns);
    let data = unsafe_interface!(from_ffi_and_data_type(array, DataType::Struct(schema.fields().clone())))?;
    if data.nulls().is_some_and(|nulls| nulls.null_count() > 0) {
        return Err(ArrowError::InvalidArgumentError(
            "some rows are null themselves, and only values of columns can be: make the structs a column of a table"
                .into(),
        ));
    }
    let data = if is_cut(&data) { cut(&data, 0, data.len()) } else { data };
    let options = RecordBatchOptions::new().with_row_count(Some(data.len()));
    let columns = if data.child_data().is_empty() { vec![] } else { StructArray::from(data).into_parts().1 };
    RecordBatch::try_new_with_options(schema, columns, &options)
}

/// Whether something that slices its children starts anywhere but at their beginning.
fn is_cut(data: &ArrayData) -> bool {
    let slices = matches!(data.data_type(), DataType::Struct(_) | DataType::FixedSizeList(..));
    (slices && data.offset() != 0) || data.child_data().iter().any(is_cut)
}

/// `length` rows from `offset` on; where children are sliced with their parent, it starts at their beginning.
fn cut(data: &ArrayData, offset: usize, length: usize) -> ArrayData {
    let start = data.offset() + offset;
    let children: Vec<ArrayData> = match data.data_type() {
        DataType::Struct(_) => data.child_data().iter().map(|child| cut(child, start, length)).collect(),
        DataType::FixedSizeList(_, size) => {
            let size = usize::try_from(*size).unwrap_or_default();
            data.child_data().iter().map(|child| cut(child, start * size, length * size)).collect()
        }
        _ if data.child_data().is_empty() => return data.slice(offset, length),
        _ => data.child_data().iter().map(|child| cut(child, 0, child.len())).collect(),
    };
    let slices = matches!(data.data_type(), DataType::Struct(_) | DataType::FixedSizeList(..));
    let builder = data.clone().into_builder().child_data(children).len(length);
    let builder = builder.nulls(data.nulls().map(|nulls| nulls.slice(offset, length)));
    let builder = builder.offset(if slices { 0 } else { start });
    unsafe_interface!(builder.build_unchecked())
}
