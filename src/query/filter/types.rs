//! Which types of columns can be compared, and with what.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, TimeUnit, i256};

use super::instant::DAY;
use super::number::Float;

/// Calls a macro with the Arrow type of a column of integers of at most 128 bits, dates, times and decimals included.
macro_rules! integer_type {
    ($data_type:expr, $with:ident, $otherwise:expr) => {{
        use arrow::datatypes as arrow_types;
        use arrow_types::TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        match $data_type {
            arrow_types::DataType::Int8 => $with!(arrow_types::Int8Type),
            arrow_types::DataType::Int16 => $with!(arrow_types::Int16Type),
            arrow_types::DataType::Int32 => $with!(arrow_types::Int32Type),
            arrow_types::DataType::Int64 => $with!(arrow_types::Int64Type),
            arrow_types::DataType::UInt8 => $with!(arrow_types::UInt8Type),
            arrow_types::DataType::UInt16 => $with!(arrow_types::UInt16Type),
            arrow_types::DataType::UInt32 => $with!(arrow_types::UInt32Type),
            arrow_types::DataType::UInt64 => $with!(arrow_types::UInt64Type),
            arrow_types::DataType::Date32 => $with!(arrow_types::Date32Type),
            arrow_types::DataType::Date64 => $with!(arrow_types::Date64Type),
            arrow_types::DataType::Time32(Second) => $with!(arrow_types::Time32SecondType),
            arrow_types::DataType::Time32(Millisecond) => $with!(arrow_types::Time32MillisecondType),
            arrow_types::DataType::Time64(Microsecond) => $with!(arrow_types::Time64MicrosecondType),
            arrow_types::DataType::Time64(Nanosecond) => $with!(arrow_types::Time64NanosecondType),
            arrow_types::DataType::Timestamp(Second, _) => $with!(arrow_types::TimestampSecondType),
            arrow_types::DataType::Timestamp(Millisecond, _) => $with!(arrow_types::TimestampMillisecondType),
            arrow_types::DataType::Timestamp(Microsecond, _) => $with!(arrow_types::TimestampMicrosecondType),
            arrow_types::DataType::Timestamp(Nanosecond, _) => $with!(arrow_types::TimestampNanosecondType),
            arrow_types::DataType::Decimal32(..) => $with!(arrow_types::Decimal32Type),
            arrow_types::DataType::Decimal64(..) => $with!(arrow_types::Decimal64Type),
            arrow_types::DataType::Decimal128(..) => $with!(arrow_types::Decimal128Type),
            _ => $otherwise,
        }
    }};
}
pub(super) use integer_type;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Domain {
    /// None: each row is null.
    Nothing,
    Boolean,
    /// Numbers, each an integer divided by ten to the power of `scale`.
    Number {
        scale: i32,
    },
    Float(Float),
    /// Nanoseconds since 1970, each a multiple of `unit`.
    Instant {
        unit: i128,
        zoned: bool,
    },
    /// Nanoseconds since midnight, each a multiple of `unit`.
    Time {
        unit: i128,
    },
    Text,
    Bytes,
}

impl Domain {
    /// That of a column, a dictionary's being that of its values; none where its values cannot be compared.
    pub(super) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Dictionary(_, values) if !matches!(values.as_ref(), DataType::Dictionary(..)) => {
                Self::of(values)?
            }
            DataType::Null => Self::Nothing,
            DataType::Boolean => Self::Boolean,
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale)
            | DataType::Decimal256(_, scale) => Self::Number { scale: (*scale).into() },
            _ if data_type.is_integer() => Self::Number { scale: 0 },
            DataType::Float16 => Self::Float(Float::Half),
            DataType::Float32 => Self::Float(Float::Single),
            DataType::Float64 => Self::Float(Float::Double),
            DataType::Date32 => Self::Instant { unit: DAY, zoned: false },
            DataType::Date64 => Self::Instant { unit: nanoseconds(TimeUnit::Millisecond), zoned: false },
            DataType::Timestamp(unit, zone) => Self::Instant { unit: nanoseconds(*unit), zoned: zone.is_some() },
            DataType::Time32(unit) | DataType::Time64(unit) => Self::Time { unit: nanoseconds(*unit) },
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self::Bytes
            }
            _ => return None,
        })
    }
}

fn nanoseconds(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// The least and the greatest integer that Arrow's type for a column has.
pub(super) fn range(data_type: &DataType) -> (i256, i256) {
    macro_rules! ends {
        ($type:ty) => {{
            type Native = <$type as arrow::datatypes::ArrowPrimitiveType>::Native;
            (i256::from_i128(Native::MIN.into()), i256::from_i128(Native::MAX.into()))
        }};
    }
    match data_type {
        DataType::Dictionary(_, values) => range(values),
        _ => integer_type!(data_type, ends, (i256::MIN, i256::MAX)),
    }
}

/// The bytes of a row of text or binary values.
pub(super) fn bytes(array: &dyn Array, row: usize) -> Option<&[u8]> {
    Some(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).as_bytes(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).as_bytes(),
        DataType::Utf8View => array.as_string_view().value(row).as_bytes(),
        DataType::Binary => array.as_binary::<i32>().value(row),
        DataType::LargeBinary => array.as_binary::<i64>().value(row),
        DataType::BinaryView => array.as_binary_view().value(row),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary().value(row),
        _ => return None,
    })
}
