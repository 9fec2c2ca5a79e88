//! Conditions on batches of rows.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayAccessor, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, Scalar, StringArray,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::boolean::{and_kleene, is_not_null, is_null, not, or_kleene};
use arrow::compute::kernels::comparison::like;
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Decimal256Type, Float32Type, Float64Type};
use arrow::error::ArrowError;

use super::predicate::{Comparison, Pattern, Predicate, Test, Value};
use super::types;
use crate::error::{Error, Result};

impl Predicate {
    /// For each of `rows` rows whether the condition is true, false, or unknown (null).
    pub(super) fn evaluate(&self, columns: &[ArrayRef], rows: usize) -> Result<BooleanArray> {
        match self {
            Self::All(parts) => combined(parts, columns, rows, and_kleene, true),
            Self::Any(parts) => combined(parts, columns, rows, or_kleene, false),
            Self::Not(inner) => Ok(not(&inner.evaluate(columns, rows)?)?),
            Self::Constant(value) => Ok(constant(*value, rows)),
            Self::IsNull(column) => Ok(is_null(picked(columns, *column)?)?),
            Self::Is(inner, wanted) => {
                let found = inner.evaluate(columns, rows)?;
                let Some(wanted) = wanted else { return Ok(is_null(&found)?) };
                let values = if *wanted { found.values().clone() } else { !found.values() };
                let known = is_not_null(&found)?;
                Ok(BooleanArray::new(&values & known.values(), None))
            }
            Self::Test(column, test) => test_column(picked(columns, *column)?, test),
        }
    }
}

fn picked(columns: &[ArrayRef], column: usize) -> Result<&ArrayRef> {
    columns.get(column).ok_or_else(|| Error::internal("a filter was handed too few columns"))
}

fn constant(value: Option<bool>, rows: usize) -> BooleanArray {
    match value {
        Some(true) => BooleanArray::new(BooleanBuffer::new_set(rows), None),
        Some(false) => BooleanArray::new(BooleanBuffer::new_unset(rows), None),
        None => BooleanArray::new_null(rows),
    }
}

type Connective = fn(&BooleanArray, &BooleanArray) -> Result<BooleanArray, ArrowError>;

/// The parts one after the other, as long as they leave something open.
fn combined(
    parts: &[Predicate],
    columns: &[ArrayRef],
    rows: usize,
    with: Connective,
    neutral: bool,
) -> Result<BooleanArray> {
    let mut sum = constant(Some(neutral), rows);
    for part in parts {
        sum = with(&sum, &part.evaluate(columns, rows)?)?;
        let decided = sum.null_count() == 0 && sum.values().count_set_bits() == if neutral { 0 } else { rows };
        if decided {
            break;
        }
    }
    Ok(sum)
}

/// The test of each row; unknown where it is null.
fn test_column(array: &ArrayRef, test: &Test) -> Result<BooleanArray> {
    if let Test::Always(value) = test {
        let value = constant(Some(*value), array.len());
        return Ok(BooleanArray::new(value.values().clone(), array.logical_nulls()));
    }
    let Some(dictionary) = array.as_any_dictionary_opt() else { return test_values(array, test) };
    let (keys, values) = (dictionary.keys(), dictionary.values());
    if values.len() > keys.len() {
        // The values of the rows are fewer than those of the dictionary.
        return test_values(&take(values, keys, None)?, test);
    }
    let found: ArrayRef = Arc::new(test_values(values, test)?);
    Ok(take(&found, keys, None)?.as_boolean().clone())
}

fn test_values(array: &ArrayRef, test: &Test) -> Result<BooleanArray> {
    macro_rules! integers {
        ($type:ty) => {
            primitive::<$type>(array, test, |value| value.integer().and_then(|value| value.try_into().ok()))
        };
    }
    let data_type = array.data_type();
    let tested = match data_type {
        DataType::Null => Some(BooleanArray::new_null(array.len())),
        DataType::Boolean => Some(booleans(array.as_boolean(), test)),
        DataType::Float16 => return test_values(&cast(array, &DataType::Float32)?, test),
        #[expect(clippy::cast_possible_truncation, reason = "it is a value of this type")]
        DataType::Float32 => primitive::<Float32Type>(array, test, |value| value.float().map(|value| value as f32)),
        DataType::Float64 => primitive::<Float64Type>(array, test, Value::float),
        DataType::Decimal256(..) => primitive::<Decimal256Type>(array, test, Value::wide),
        _ => types::integer_type!(data_type, integers, return bytes(array, test)),
    };
    tested.ok_or_else(|| misfit(array))
}

fn misfit(array: &dyn Array) -> Error {
    Error::internal(format!("a filter tests values of type {} as if they were others", array.data_type()))
}

fn booleans(array: &BooleanArray, test: &Test) -> BooleanArray {
    let (no, yes) = (test.holds(&Value::Boolean(false)), test.holds(&Value::Boolean(true)));
    let values = match (no, yes) {
        (false, false) => BooleanBuffer::new_unset(array.len()),
        (false, true) => array.values().clone(),
        (true, false) => !array.values(),
        (true, true) => BooleanBuffer::new_set(array.len()),
    };
    BooleanArray::new(values, array.nulls().cloned())
}

/// Compares as IEEE 754 says where the values are floats: NaN is unequal to all, and -0.0 equal to 0.0.
fn primitive<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    test: &Test,
    native: impl Fn(&Value) -> Option<T::Native>,
) -> Option<BooleanArray> {
    let array: &PrimitiveArray<T> = array.as_primitive_opt()?;
    match test {
        Test::Compare(comparison, value) => Some(compared(array, *comparison, native(value)?)),
        Test::In(values) => {
            let values = values.iter().map(native).collect::<Option<Vec<_>>>()?;
            Some(BooleanArray::from_unary(array, |value| {
                values.binary_search_by(|other| other.partial_cmp(&value).unwrap_or(std::cmp::Ordering::Less)).is_ok()
            }))
        }
        Test::Always(_) | Test::Like(_) => None,
    }
}

/// Compares each value of an array with another.
fn compared<A: ArrayAccessor<Item: PartialOrd>>(array: A, comparison: Comparison, with: A::Item) -> BooleanArray {
    match comparison {
        Comparison::Equal => BooleanArray::from_unary(array, |value| value == with),
        Comparison::NotEqual => BooleanArray::from_unary(array, |value| value != with),
        Comparison::Less => BooleanArray::from_unary(array, |value| value < with),
        Comparison::LessOrEqual => BooleanArray::from_unary(array, |value| value <= with),
        Comparison::Greater => BooleanArray::from_unary(array, |value| value > with),
        Comparison::GreaterOrEqual => BooleanArray::from_unary(array, |value| value >= with),
    }
}

fn bytes(array: &ArrayRef, test: &Test) -> Result<BooleanArray> {
    if let Test::Like(pattern) = test {
        return matched(array, pattern);
    }
    let tested = match array.data_type() {
        DataType::Utf8 => among(array.as_string::<i32>(), test, |value| value.as_bytes()),
        DataType::LargeUtf8 => among(array.as_string::<i64>(), test, |value| value.as_bytes()),
        DataType::Utf8View => among(array.as_string_view(), test, |value| value.as_bytes()),
        DataType::Binary => among(array.as_binary::<i32>(), test, |value| value),
        DataType::LargeBinary => among(array.as_binary::<i64>(), test, |value| value),
        DataType::BinaryView => among(array.as_binary_view(), test, |value| value),
        DataType::FixedSizeBinary(_) => among(array.as_fixed_size_binary(), test, |value| value),
        _ => None,
    };
    tested.ok_or_else(|| misfit(array))
}

fn among<'a, A: ArrayAccessor>(array: A, test: &Test, bytes: impl Fn(A::Item) -> &'a [u8]) -> Option<BooleanArray> {
    match test {
        Test::Compare(comparison, Value::Bytes(with)) => {
            let with = with.as_slice();
            Some(match comparison {
                // Most values are told apart by their length.
                Comparison::Equal => BooleanArray::from_unary(array, |value| bytes(value) == with),
                Comparison::NotEqual => BooleanArray::from_unary(array, |value| bytes(value) != with),
                other => BooleanArray::from_unary(array, |value| other.holds(Some(bytes(value).cmp(with)))),
            })
        }
        Test::In(values) => {
            let values = values.iter().map(Value::bytes).collect::<Option<Vec<&[u8]>>>()?;
            Some(BooleanArray::from_unary(array, |value| values.binary_search(&bytes(value)).is_ok()))
        }
        _ => None,
    }
}

/// Whether each text matches a pattern.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if the pattern is too large to be compiled.
pub(super) fn matched(array: &dyn Array, pattern: &Pattern) -> Result<BooleanArray> {
    let escaped = cast(&StringArray::from(vec![pattern.escaped.as_str()]), array.data_type())?;
    like(&array, &Scalar::new(&escaped))
        .map_err(|error| Error::invalid(format!("the pattern of a LIKE is too large: {error}")))
}
