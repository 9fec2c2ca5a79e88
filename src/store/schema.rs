//! A table's schema inside a reference: base64 of an Arrow IPC schema message.

use arrow::datatypes::Schema;
use arrow::ipc::convert::try_schema_from_ipc_buffer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parquet::arrow::encode_arrow_schema;

use crate::error::{Error, Result};
use crate::serializer::guarded;

/// A longer one is left out of the reference; it is in the footers.
const LONGEST: usize = 16 * 1024;

pub(crate) fn encode(schema: &Schema) -> Option<String> {
    Some(encode_arrow_schema(schema)).filter(|text| text.len() <= LONGEST)
}

pub(crate) fn decode(text: &str) -> Result<Schema> {
    let bytes = STANDARD.decode(text).map_err(|_| Error::damaged("the reference's schema is no base64"))?;
    guarded(|| {
        try_schema_from_ipc_buffer(&bytes)
            .map_err(|error| Error::damaged(format!("the reference's schema cannot be read: {error}")))
    })
}
