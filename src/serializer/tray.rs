//! A writer that libraries can own, whose bytes are taken out again.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that a library's file writer put down, to be carried on to a [`Sink`](super::Sink).
#[derive(Debug, Clone, Default)]
pub(super) struct Tray(Arc<Mutex<Vec<u8>>>);

impl Tray {
    /// Takes what lies there.
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl io::Write for Tray {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
