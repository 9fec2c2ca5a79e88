//! The end of the interpreter: threads of the runtime must not be inside Python then.
//!
//! While Python shuts down, a thread that takes the GIL is ended on the spot, below the feet of the Rust that called it,
//! and the process aborts. So threads of ours announce each visit; at the end no more are let in, and Python waits for
//! those that are inside.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use coldframe::{Error, ErrorKind};
use pyo3::prelude::*;

static ENDING: AtomicBool = AtomicBool::new(false);
/// The process that counts, and how many are inside: a fork takes the number along, and not the threads.
static INSIDE: AtomicU64 = AtomicU64::new(0);
/// The thread in which Python ends.
static LAST: OnceLock<ThreadId> = OnceLock::new();

/// How often, and at most how many times, Python looks whether somebody is still inside.
const LOOK: Duration = Duration::from_millis(5);
const LOOKS: usize = 1_000;

/// A thread of ours that may be inside Python.
pub(crate) struct Visit;

/// The number of this process where [`INSIDE`] has it.
fn own() -> u64 {
    u64::from(std::process::id()) << 32
}

/// How many are inside, of this process.
fn inside(state: u64) -> u64 {
    if state >> 32 << 32 == own() { state & u64::from(u32::MAX) } else { 0 }
}

impl Visit {
    /// None if Python is ending.
    pub(crate) fn begin() -> Option<Self> {
        INSIDE.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| Some(own() | (inside(state) + 1))).ok()?;
        let visit = Self;
        (!ENDING.load(Ordering::SeqCst)).then_some(visit)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let left = |state| Some(own() | inside(state).saturating_sub(1));
        let _ = INSIDE.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left);
    }
}

/// Calls Python from a thread of the runtime.
///
/// # Errors
///
/// [`ErrorKind::Cancelled`] if Python is ending.
pub(crate) fn visit<T>(work: impl FnOnce(Python<'_>) -> Result<T, Error>) -> Result<T, Error> {
    match Visit::begin() {
        Some(_visit) => Python::attach(work),
        None => Err(ended()),
    }
}

/// The error of work that Python's end cut short.
pub(crate) fn ended() -> Error {
    Error::new(ErrorKind::Cancelled, "the interpreter is ending")
}

/// Never returns if Python is ending and this is another thread, which must not take the GIL again.
pub(crate) fn stay_outside() {
    if ENDING.load(Ordering::SeqCst) && LAST.get() != Some(&thread::current().id()) {
        loop {
            thread::park();
        }
    }
}

/// What Python calls when it ends.
#[pyfunction]
fn end(py: Python<'_>) {
    let _ = LAST.set(thread::current().id());
    ENDING.store(true, Ordering::SeqCst);
    py.detach(|| {
        for _ in 0..LOOKS {
            if inside(INSIDE.load(Ordering::SeqCst)) == 0 {
                return;
            }
            thread::sleep(LOOK);
        }
    });
}

/// Lets Python say when it ends.
pub(crate) fn register(py: Python<'_>) -> PyResult<()> {
    let end = pyo3::wrap_pyfunction!(end, py)?;
    py.import("atexit")?.call_method1("register", (end,)).map(|_| ())
}
