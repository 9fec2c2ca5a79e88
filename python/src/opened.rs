//! A result that was found: what is known of it, and ways to read it.

use coldframe::{Scan, Value};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::reference::Reference;
use crate::runtime::Waiting;
use crate::schema::Schema;
use crate::table::{Batches, Table};

/// A result whose reference is known, and whose data is not read yet.
#[pyclass(frozen, module = "coldframe._coldframe")]
pub(crate) struct Opened(pub(crate) coldframe::Opened);

/// Which columns and rows.
#[derive(FromPyObject)]
pub(crate) struct Selection {
    columns: Option<Vec<String>>,
    #[pyo3(attribute("where"))]
    condition: Option<String>,
    offset: u64,
    limit: Option<u64>,
    tail: Option<u64>,
    batch_rows: Option<usize>,
    check: bool,
}

impl Opened {
    fn scan(&self, selection: Selection) -> Scan {
        let mut scan = self.0.scan().check(selection.check);
        if let Some(columns) = selection.columns {
            scan = scan.columns(columns);
        }
        if let Some(condition) = selection.condition {
            scan = scan.filter(condition);
        }
        if let Some(rows) = selection.batch_rows {
            scan = scan.batch_rows(rows);
        }
        match (selection.tail, selection.limit) {
            (Some(rows), _) => scan.tail(rows),
            (None, Some(limit)) => scan.offset(selection.offset).limit(limit),
            (None, None) => scan.offset(selection.offset),
        }
    }
}

#[pymethods]
impl Opened {
    /// The full reference.
    #[getter]
    fn reference(&self) -> Reference {
        Reference(self.0.reference().clone())
    }

    /// What it holds: `table`, `json`, `bytes` or `literal`.
    #[getter]
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    /// The schema, if it is a table.
    #[getter]
    fn schema(&self) -> Option<Schema> {
        self.0.schema().map(Schema)
    }

    /// The rows, if it is a table.
    #[getter]
    fn rows(&self) -> Option<u64> {
        self.0.rows()
    }

    /// The batches of some columns and rows, which are read as they are taken.
    fn batches(&self, py: Python<'_>, selection: Selection) -> PyResult<Batches> {
        let scan = self.scan(selection);
        let batches = Waiting::new(None).run(py, scan.batches())?;
        Batches::new(py, batches)
    }

    /// Some columns and rows, in memory.
    #[pyo3(signature = (selection, tick = None))]
    fn collect(&self, py: Python<'_>, selection: Selection, tick: Option<Py<PyAny>>) -> PyResult<Table> {
        let waiting = Waiting::new(tick);
        let scan = self.scan(selection).progress(waiting.progress.clone());
        waiting.run(py, scan.collect()).map(Table)
    }

    /// The JSON value, as text.
    fn json(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let opened = self.0.clone();
        match Waiting::new(None).run(py, async move { opened.value().await })? {
            Value::Json(value) => Ok(Some(value.to_string())),
            _ => Ok(None),
        }
    }

    /// The bytes.
    fn bytes<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let opened = self.0.clone();
        match Waiting::new(None).run(py, async move { opened.value().await })? {
            Value::Bytes(bytes) => Ok(Some(PyBytes::new(py, &bytes))),
            _ => Ok(None),
        }
    }

    /// Name, stored bytes, nulls, least and greatest value of each column, from the footers alone.
    #[expect(clippy::type_complexity, reason = "a row of five, as Python sees it")]
    fn columns(
        &self,
        py: Python<'_>,
    ) -> PyResult<Option<Vec<(String, Option<u64>, Option<u64>, Option<String>, Option<String>)>>> {
        let opened = self.0.clone();
        let found = Waiting::new(None).run(py, async move { opened.column_statistics().await })?;
        Ok(found.map(|columns| {
            let told = columns.into_iter().map(|column| {
                let (least, greatest) = (column.display_min(), column.display_max());
                (column.name, Some(column.bytes), column.nulls, least, greatest)
            });
            told.collect()
        }))
    }
}
