//! References as Python holds them: parsed once, compared by value.

use coldframe::ResultReference;
use pyo3::prelude::*;

use crate::error::OrRaise;

/// A reference: key, version, storage and serializer of a result.
#[pyclass(frozen, eq, from_py_object, module = "coldframe._coldframe")]
#[derive(Clone, PartialEq)]
pub(crate) struct Reference(pub(crate) ResultReference);

#[pymethods]
impl Reference {
    /// Reads a reference, full or compact.
    #[new]
    fn new(py: Python<'_>, text: &str) -> PyResult<Self> {
        ResultReference::from_json(text).or_raise(py).map(Self)
    }

    /// The reference as JSON.
    fn json(&self) -> String {
        self.0.to_json()
    }

    /// The same reference without what was written.
    fn compact(&self) -> Self {
        Self(self.0.compact())
    }

    /// Whether it is without what was written.
    #[getter]
    fn is_compact(&self) -> bool {
        self.0.written().is_none()
    }

    /// The key.
    #[getter]
    fn key(&self) -> &str {
        self.0.key().as_str()
    }

    /// The version.
    #[getter]
    fn version(&self) -> u64 {
        self.0.version().get()
    }

    /// The identity of the put that wrote it.
    #[getter]
    fn write(&self) -> String {
        self.0.write().to_string()
    }

    /// Where the store lies, without credentials.
    #[getter]
    fn storage(&self) -> Option<&str> {
        self.0.storage()
    }

    /// The rows of a table.
    #[getter]
    fn rows(&self) -> Option<u64> {
        self.0.written().and_then(|written| written.rows)
    }

    /// Code that reads its files without coldframe: the language, and the code.
    fn snippets(&self) -> Vec<(&'static str, String)> {
        coldframe::snippet::snippets(&self.0).into_iter().map(|snippet| (snippet.language, snippet.code)).collect()
    }
}
