//! A table's schema, which every Arrow library can take over.

use arrow::datatypes::SchemaRef;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::PySchema;

/// A table's schema.
#[pyclass(frozen, module = "coldframe._coldframe")]
pub(crate) struct Schema(pub(crate) SchemaRef);

#[pymethods]
impl Schema {
    /// The schema of an object that has `__arrow_c_schema__`.
    #[new]
    fn new(schema: PySchema) -> Self {
        Self(schema.into_inner())
    }

    /// Name, type and nullability of each column.
    fn fields(&self) -> Vec<(String, String, bool)> {
        let fields = self.0.fields().iter();
        fields.map(|field| (field.name().clone(), field.data_type().to_string(), field.is_nullable())).collect()
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(pyo3_arrow::ffi::to_schema_pycapsule(py, self.0.as_ref())?)
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
