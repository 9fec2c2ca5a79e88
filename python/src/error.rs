//! Errors on their way out: each kind becomes an exception class of `coldframe.errors`.

use coldframe::Error;
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// The exception for an error of the library.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    static RAISED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let mut causes = Vec::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    let made = RAISED
        .get_or_try_init(py, || py.import("coldframe.errors")?.getattr("from_kind").map(Bound::unbind))
        .and_then(|make| {
            let told = (error.kind().name(), error.operation(), error.subject(), error.message(), error.hint(), causes);
            make.bind(py).call1(told)
        });
    match made.and_then(|made| Ok(made.cast_into::<PyBaseException>()?)) {
        Ok(made) => PyErr::from_value(made.into_any()),
        Err(failure) => failure,
    }
}

/// `map_err` for what needs no waiting.
pub(crate) trait OrRaise<T> {
    /// The value, or the exception.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for coldframe::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| exception(py, &error))
    }
}
