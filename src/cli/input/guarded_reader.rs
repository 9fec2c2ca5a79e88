//! Readers of files that may have been made to break their decoder.

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::malformed;
use crate::error::{Error, ErrorKind};
use crate::serializer::guarded;

/// A reader whose panics, on files made to provoke them, are errors; and the schema that the file declares.
pub(super) struct Guarded<R> {
    /// The reader.
    pub(super) reader: R,
    /// The schema, with the file's metadata.
    pub(super) schema: SchemaRef,
    /// What the file cannot be read as, when it cannot.
    pub(super) format: &'static str,
}

impl<R: Iterator<Item = Result<RecordBatch, ArrowError>>> Iterator for Guarded<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = guarded(|| self.reader.next().transpose().map_err(|error| malformed(self.format, error)));
        next.map_err(|error| as_input(error).into()).transpose()
    }
}

impl<R: Iterator<Item = Result<RecordBatch, ArrowError>>> RecordBatchReader for Guarded<R> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// What is damaged here is the user's file, not the store.
pub(super) fn as_input(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Damaged => error.with_kind(ErrorKind::Input),
        _ => error,
    }
}
