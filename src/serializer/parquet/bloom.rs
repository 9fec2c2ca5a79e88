//! What the bloom filters of a row group say of the values that a filter looks for.

use bytes::Bytes;
use parquet::basic::Type;
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use crate::error::{Error, Result};
use crate::query::filter::Value;

/// The bytes directly before the footer, which hold bloom filters and the page index.
#[derive(Debug, Clone)]
pub(super) struct Index {
    pub(super) bytes: Bytes,
    /// Where they begin in the file.
    pub(super) start: u64,
}

/// The bloom filter of a column chunk.
pub(super) struct Bloom {
    physical: Type,
    values: Sbbf,
}

impl Bloom {
    /// That of a leaf of a row group, if it has one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if it is malformed.
    pub(super) fn of(group: &RowGroupMetaData, leaf: usize, index: &Index) -> Result<Option<Self>> {
        let malformed = || Error::damaged("a bloom filter of the Parquet file is malformed");
        let Some(chunk) = group.columns().get(leaf) else { return Ok(None) };
        let Some((offset, length)) = chunk.bloom_filter_offset().zip(chunk.bloom_filter_length()) else {
            return Ok(None);
        };
        let from = u64::try_from(offset).ok().and_then(|offset| offset.checked_sub(index.start));
        let from = from.and_then(|from| usize::try_from(from).ok()).ok_or_else(malformed)?;
        let until = usize::try_from(length).ok().and_then(|length| from.checked_add(length)).ok_or_else(malformed)?;
        let bytes = index.bytes.get(from..until).ok_or_else(malformed)?;
        let values = Sbbf::from_bytes(bytes).ok().filter(|values| values.num_blocks() > 0).ok_or_else(malformed)?;
        Ok(Some(Self { physical: ColumnChunkMetaData::column_type(chunk), values }))
    }

    /// Whether the chunk has no such value, for certain.
    pub(super) fn lacks(&self, value: &Value) -> bool {
        let found = match (value, self.physical) {
            (Value::Bytes(bytes), Type::BYTE_ARRAY) => Some(self.values.check(bytes.as_slice())),
            // The lowest bits are those of the value as it is stored, whether or not it has a sign.
            (Value::Integer(value), Type::INT32) => value.to_i128().map(|value| self.values.check(&(value as i32))),
            (Value::Integer(value), Type::INT64) => value.to_i128().map(|value| self.values.check(&(value as i64))),
            // Zeros are equal, and have different bits.
            (Value::Float(value), _) if *value == 0.0 => None,
            (Value::Float(value), Type::FLOAT) => {
                let narrow = *value as f32;
                (f64::from(narrow) == *value).then(|| self.values.check(&narrow))
            }
            (Value::Float(value), Type::DOUBLE) => Some(self.values.check(value)),
            _ => None,
        };
        found == Some(false)
    }
}
