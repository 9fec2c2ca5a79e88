//! Keeps a file that was made to break a decoder from breaking the process.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Result};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder over bytes from a storage; where it gives up by panicking, the file is damaged.
///
/// # Errors
///
/// What `decode` returns, or [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if it panicked.
pub fn guarded<T>(decode: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(decode));
    GUARDED.set(before);
    outcome.unwrap_or_else(|panic| {
        let why = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        Err(Error::damaged(format!("the file cannot be decoded: {why}")))
    })
}

/// Whether this thread is decoding a file now, so that a panic will come out as an error; for panic hooks.
pub fn is_guarded() -> bool {
    GUARDED.get()
}
