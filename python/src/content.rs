//! What is put: a stream of Arrow batches, batches of a Python iterator, JSON, or bytes.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;
use coldframe::{Batches, Error, IntoContent, Shape};
use futures::stream::{self, StreamExt, TryStreamExt};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyIterator;
use pyo3_arrow::PySchema;
use serde_json::json;

use crate::ending::visit;
use crate::error::{OrRaise, exception};
use crate::import;
use crate::repair::children_of;
use crate::runtime::{Asker, Raised, Waiting, next_item};
use crate::schema::Schema;

/// What is put; a put takes it out.
#[pyclass(frozen, module = "coldframe._coldframe")]
pub(crate) struct Content {
    schema: Option<SchemaRef>,
    kind: Mutex<Option<Kind>>,
}

enum Kind {
    Stream { reader: Box<dyn RecordBatchReader + Send>, one_shot: bool },
    Iterator { schema: SchemaRef, items: Py<PyIterator>, by_caller: bool },
    Json(serde_json::Value),
    Bytes(Bytes),
}

impl Content {
    fn new(schema: Option<SchemaRef>, kind: Kind) -> Self {
        Self { schema, kind: Mutex::new(Some(kind)) }
    }

    /// What kind of value it is, if it is a table.
    pub(crate) fn shape(&self) -> Option<Shape> {
        self.schema.clone().map(Shape::Table)
    }

    /// What Arrow's C interface will not tell whoever reads it from Python.
    pub(crate) fn forgotten(&self) -> Vec<serde_json::Value> {
        fn has_sorted_keys(data_type: &DataType) -> bool {
            matches!(data_type, DataType::Map(_, true)) || children_of(data_type).into_iter().any(has_sorted_keys)
        }
        let fields = self.schema.iter().flat_map(|schema| schema.fields().iter());
        let sorted = fields.filter(|field| has_sorted_keys(field.data_type()));
        let loses = "that the keys of its maps are sorted, when it is read in Python";
        sorted.map(|field| json!({"column": field.name(), "loses": loses})).collect()
    }

    /// The content; items of a Python iterator are pulled by whoever waits.
    pub(crate) fn take(&self, py: Python<'_>, waiting: &mut Waiting) -> PyResult<coldframe::Content> {
        let kind = self.kind.lock().unwrap_or_else(PoisonError::into_inner).take();
        let content = match kind {
            None => Err(Error::internal("the content was put already")),
            Some(Kind::Json(value)) => value.into_content(),
            Some(Kind::Bytes(bytes)) => bytes.into_content(),
            Some(Kind::Stream { reader, one_shot }) => {
                confirmed(refuse_drained(Batches::from_reader(reader), one_shot), waiting.asker()).into_content()
            }
            Some(Kind::Iterator { schema, items, by_caller: true }) => {
                pulled(schema, waiting.pull_from(items)).into_content()
            }
            Some(Kind::Iterator { schema, items, by_caller: false }) => {
                let (raised, queue) = (waiting.raised.clone(), VecDeque::new());
                confirmed(Batches::from_reader(Items { schema, items, raised, queue }), waiting.asker()).into_content()
            }
        };
        content.or_raise(py)
    }
}

#[pymethods]
impl Content {
    /// The batches of an object that has `__arrow_c_stream__`, which are taken on a thread of the runtime. A `one_shot`
    /// reader without a single batch was probably read before, which is an error.
    #[staticmethod]
    #[pyo3(signature = (stream, *, one_shot = false))]
    fn from_stream(stream: &Bound<'_, PyAny>, one_shot: bool) -> PyResult<Self> {
        let stream = import::Stream::take(stream)?;
        Ok(Self::new(Some(stream.schema()), Kind::Stream { reader: Box::new(stream), one_shot }))
    }

    /// The items of an iterator, which have `__arrow_c_array__` or `__arrow_c_stream__`. They are pulled on the thread
    /// that puts, or on one of the runtime, so that the caller can be interrupted meanwhile.
    #[staticmethod]
    #[pyo3(signature = (schema, batches, *, by_caller = true))]
    fn from_batches(schema: PySchema, batches: &Bound<'_, PyAny>, by_caller: bool) -> PyResult<Self> {
        let (schema, items) = (schema.into_inner(), batches.try_iter()?.unbind());
        Ok(Self::new(Some(schema.clone()), Kind::Iterator { schema, items, by_caller }))
    }

    /// A JSON value.
    #[staticmethod]
    fn from_json(py: Python<'_>, text: &str) -> PyResult<Self> {
        match serde_json::from_str(text) {
            Ok(value) => Ok(Self::new(None, Kind::Json(value))),
            Err(failure) => Err(exception(py, &Error::invalid(format!("this is no JSON: {failure}")))),
        }
    }

    /// Raw bytes, which are not copied.
    #[staticmethod]
    fn from_bytes(data: PyBackedBytes) -> Self {
        Self::new(None, Kind::Bytes(Bytes::from_owner(data)))
    }

    /// The schema, if it is a table.
    #[getter]
    fn schema(&self) -> Option<Schema> {
        self.schema.clone().map(Schema)
    }
}

/// An end before any batch is an error of a reader that can be read only once.
fn refuse_drained(batches: Batches, one_shot: bool) -> Batches {
    if !one_shot {
        return batches;
    }
    let schema = batches.schema();
    let checked = stream::unfold((batches, false), |(mut batches, seen)| async move {
        match batches.next().await {
            Some(batch) => Some((batch, (batches, true))),
            None if seen => None,
            None => Some((Err(drained()), (batches, true))),
        }
    });
    Batches::new(schema, checked)
}

/// Ends where the batches end, unless a signal ended them.
fn confirmed(batches: Batches, asker: Asker) -> Batches {
    let schema = batches.schema();
    let end = stream::once(async move { asker.ended().await.map(|()| None) });
    let confirmed = batches.map_ok(Some).chain(end).try_filter_map(|batch| async { Ok(batch) });
    Batches::new(schema, confirmed)
}

fn drained() -> Error {
    Error::invalid("the reader has no batches: it was probably read before, and can be read only once")
        .with_hint("make a new reader; to put a table without rows, put `reader.schema.empty_table()`")
}

/// What the waiting thread pulls from a Python iterator.
fn pulled(schema: SchemaRef, asker: Asker) -> Batches {
    let items = stream::try_unfold(asker, |asker| async move {
        let Some(batches) = asker.next().await? else { return Ok::<_, Error>(None) };
        Ok(Some((stream::iter(batches.into_iter().map(Ok::<_, Error>)), asker)))
    });
    Batches::new(schema, items.try_flatten())
}

/// Items of a Python iterator, pulled by whoever reads.
struct Items {
    schema: SchemaRef,
    items: Py<PyIterator>,
    raised: Raised,
    queue: VecDeque<RecordBatch>,
}

impl Iterator for Items {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.queue.is_empty() {
            match visit(|py| next_item(py, &self.items, &self.raised)) {
                Ok(Some(batches)) => self.queue.extend(batches),
                Ok(None) => return None,
                Err(error) => return Some(Err(error.into())),
            }
        }
        self.queue.pop_front().map(Ok)
    }
}

impl RecordBatchReader for Items {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
