//! Tables on their way out: whole, batch by batch, or as an Arrow stream that another library takes over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{RecordBatch, RecordBatchIterator, RecordBatchReader, StructArray};
use arrow::datatypes::{Field, SchemaRef};
use arrow::error::ArrowError;
use coldframe::{Error, ErrorKind};
use futures::StreamExt;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};
use pyo3_arrow::PyRecordBatchReader;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::error::exception;
use crate::runtime::{Waiting, runtime};
use crate::schema::Schema;

fn exported<'py>(
    py: Python<'py>,
    reader: Box<dyn RecordBatchReader + Send>,
    requested: Option<Bound<'py, PyCapsule>>,
) -> PyResult<Bound<'py, PyCapsule>> {
    Bound::new(py, PyRecordBatchReader::new(reader))?
        .call_method1("__arrow_c_stream__", (requested,))?
        .cast_into()
        .map_err(Into::into)
}

/// A table in memory.
#[pyclass(frozen, module = "coldframe._coldframe")]
pub(crate) struct Table(pub(crate) coldframe::Table);

#[pymethods]
impl Table {
    #[getter]
    fn schema(&self) -> Schema {
        Schema(self.0.schema())
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let batches = self.0.batches().to_vec().into_iter().map(Ok);
        exported(py, Box::new(RecordBatchIterator::new(batches, self.0.schema())), requested_schema)
    }
}

/// A record batch.
#[pyclass(frozen, module = "coldframe._coldframe")]
pub(crate) struct Batch(RecordBatch);

#[pymethods]
impl Batch {
    #[getter]
    fn rows(&self) -> usize {
        self.0.num_rows()
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let field = Field::new_struct("", self.0.schema_ref().fields().clone(), false)
            .with_metadata(self.0.schema_ref().metadata().clone());
        let array = StructArray::from(self.0.clone());
        Ok(pyo3_arrow::ffi::to_array_pycapsules(py, Arc::new(field), &array, requested_schema)?)
    }
}

/// Batches that are read one ahead of whoever takes them, from when the first is taken.
struct Feed {
    runtime: &'static Runtime,
    /// Whose runtime it is.
    process: u32,
    batches: Option<coldframe::Batches>,
    received: Option<mpsc::Receiver<coldframe::Result<RecordBatch>>>,
}

impl Feed {
    /// Where the batches come; none after they were all taken over.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] after a fork: the thread that would read them is the parent's.
    fn received(&mut self) -> coldframe::Result<Option<&mut mpsc::Receiver<coldframe::Result<RecordBatch>>>> {
        if self.process != std::process::id() {
            let error = Error::new(ErrorKind::Unsupported, "this read was begun before a fork, by the parent process");
            return Err(error.with_hint("scan again in the child"));
        }
        if let Some(mut batches) = self.batches.take() {
            let (sender, receiver) = mpsc::channel(1);
            self.runtime.spawn(async move {
                while let Some(batch) = batches.next().await {
                    if sender.send(batch).await.is_err() {
                        break;
                    }
                }
            });
            self.received = Some(receiver);
        }
        Ok(self.received.as_mut())
    }
}

/// Batches of a scan that is under way; each is given once.
#[pyclass(frozen, module = "coldframe._coldframe")]
pub(crate) struct Batches {
    schema: SchemaRef,
    feed: Mutex<Option<Arc<tokio::sync::Mutex<Feed>>>>,
}

impl Batches {
    pub(crate) fn new(py: Python<'_>, batches: coldframe::Batches) -> PyResult<Self> {
        let schema = batches.schema();
        let feed = Feed { runtime: runtime(py)?, process: std::process::id(), batches: Some(batches), received: None };
        Ok(Self { schema, feed: Mutex::new(Some(Arc::new(tokio::sync::Mutex::new(feed)))) })
    }
}

#[pymethods]
impl Batches {
    #[getter]
    fn schema(&self) -> Schema {
        Schema(self.schema.clone())
    }

    /// The next batch, or None.
    fn next(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        let feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(feed) = feed else { return Ok(None) };
        let next = async move {
            match feed.lock().await.received()? {
                Some(received) => received.recv().await.transpose(),
                None => Ok(None),
            }
        };
        Ok(Waiting::new(None).run(py, next)?.map(Batch))
    }

    /// The batches that are left, as a stream; they are gone from here then.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let feed = feed.and_then(Arc::into_inner).map(tokio::sync::Mutex::into_inner);
        let taken = || exception(py, &Error::invalid("these batches were taken already").with_hint("scan again"));
        let reader = Reader { schema: self.schema.clone(), feed: feed.ok_or_else(taken)? };
        exported(py, Box::new(reader), requested_schema)
    }
}

/// Waits for batches on the thread of whoever reads; the GIL is not needed.
struct Reader {
    schema: SchemaRef,
    feed: Feed,
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        // The text becomes a C string.
        let told = |error: Error| {
            let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            ArrowError::IpcError(format!("{error}{hint}").replace('\0', "\\0"))
        };
        // A panic must not leave through the C interface.
        let taken = catch_unwind(AssertUnwindSafe(|| match self.feed.received() {
            Ok(received) => received.and_then(mpsc::Receiver::blocking_recv),
            Err(error) => Some(Err(error)),
        }));
        let batch = taken.unwrap_or_else(|_| Some(Err(Error::internal("the read broke off"))));
        batch.map(|batch| batch.map_err(told))
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
