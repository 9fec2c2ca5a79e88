//! The native part of the Python package `coldframe`: its verbs over the public API of the Rust library.
//!
//! Python's own side (which library a frame belongs to, how a result draws itself) is in `coldframe/*.py`. Here is what
//! has to be Rust: the runtime and its life across forks, signals and the interpreter's end (`runtime`, `ending`), the
//! store (`store`), files without one (`inline`), streams of batches in and out (`content`, `import`, `repair`, `table`),
//! and errors (`error`).

mod content;
mod ending;
mod error;
mod import;
mod inline;
mod opaque;
mod opened;
mod reference;
mod repair;
mod runtime;
mod schema;
mod store;
mod table;

use pyo3::prelude::*;

/// The native part of `coldframe`.
#[pymodule]
mod _coldframe {
    use std::ffi::OsString;

    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::content::Content;
    #[pymodule_export]
    use crate::inline::{check_serializer, decode, encode, fingerprint, losses};
    #[pymodule_export]
    use crate::opened::Opened;
    #[pymodule_export]
    use crate::reference::Reference;
    #[pymodule_export]
    use crate::schema::Schema;
    #[pymodule_export]
    use crate::store::Store;
    #[pymodule_export]
    use crate::table::{Batch, Batches, Table};

    /// Runs the `coldframe` command with these arguments, the program's name first, and returns its exit code.
    #[pyfunction]
    fn run_command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
        py.detach(|| coldframe::cli::run(arguments))
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::ending::register(module.py())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
