//! What all values of a column come to, as another program can work it out too.
//!
//! The digest of no rows is 0. Each row takes it on by one or several parts of 32 bits: a null by [`NULL`], a number by the
//! lower and the upper half of its 64 bits, text by the count of its bytes and then each byte. Exact in every part: two
//! columns that differ in one have different digests.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, UInt64Type};
use serde_json::{Value, json};

const NULL: u32 = 0x6e75_6c6c;
/// Of all that are not numbers: what their other bits are, some languages do not keep.
const NOT_A_NUMBER: u32 = 0x7ff8_0000;

fn step(digest: u32, part: u32) -> u32 {
    (digest ^ part).wrapping_mul(16_777_619)
}

fn number(digest: u32, bits: u64) -> u32 {
    step(step(digest, bits as u32), (bits >> 32) as u32)
}

fn float(digest: u32, value: f64) -> u32 {
    if value.is_nan() { step(digest, NOT_A_NUMBER) } else { number(digest, value.to_bits()) }
}

fn bytes(digest: u32, value: &[u8]) -> u32 {
    value.iter().fold(step(digest, value.len() as u32), |digest, byte| step(digest, (*byte).into()))
}

fn fold<T>(values: impl Iterator<Item = Option<T>>, take: impl Fn(u32, T) -> u32) -> u32 {
    values.fold(0, |digest, value| match value {
        Some(value) => take(digest, value),
        None => step(digest, NULL),
    })
}

/// What a reader without Arrow's types takes the values of a column for.
pub(crate) fn kind(data_type: &DataType) -> Value {
    match data_type {
        DataType::Boolean => json!("boolean"),
        DataType::Float32 | DataType::Float64 => json!("float"),
        DataType::Decimal128(..) => json!("decimal"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => json!("text"),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => json!("bytes"),
        _ => json!("integer"),
    }
}

/// Of the values of a column, in their order.
pub(crate) fn digest(column: &ArrayRef) -> u32 {
    let casted = |to: &DataType| cast(column, to).unwrap();
    match column.data_type() {
        DataType::UInt64 => fold(column.as_primitive::<UInt64Type>().iter(), number),
        DataType::Decimal128(..) => {
            fold(column.as_primitive::<Decimal128Type>().iter(), |digest, value| number(digest, value as u64))
        }
        // What is only longer keeps its value.
        DataType::Float32 | DataType::Float64 => {
            fold(casted(&DataType::Float64).as_primitive::<Float64Type>().iter(), float)
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            fold(casted(&DataType::LargeUtf8).as_string::<i64>().iter(), |digest, text| bytes(digest, text.as_bytes()))
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            fold(casted(&DataType::LargeBinary).as_binary::<i64>().iter(), bytes)
        }
        DataType::Date32 | DataType::Time32(_) => {
            let numbers = cast(&casted(&DataType::Int32), &DataType::Int64).unwrap();
            fold(numbers.as_primitive::<Int64Type>().iter(), |digest, value| number(digest, value.cast_unsigned()))
        }
        _ => fold(casted(&DataType::Int64).as_primitive::<Int64Type>().iter(), |digest, value| {
            number(digest, value.cast_unsigned())
        }),
    }
}
