//! What a filter means for the columns of one schema: every literal is a value of its column's type.

use std::cmp::Ordering;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Decimal256Type, Float16Type, Float32Type, Float64Type, i256};

use super::number::Place;
use super::types;

/// A condition that is true, false or unknown for each row. Columns are positions in the filter's own list.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Predicate {
    All(Vec<Predicate>),
    Any(Vec<Predicate>),
    Not(Box<Predicate>),
    /// The same for each row; unknown where absent.
    Constant(Option<bool>),
    IsNull(usize),
    /// Whether a condition is true, false or, where absent, unknown; never unknown itself.
    Is(Box<Predicate>, Option<bool>),
    /// A test of a column's values; unknown where the row is null.
    Test(usize, Test),
}

/// What is asked of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// The same for every value.
    Always(bool),
    Compare(Comparison, Value),
    /// Whether it is one of these, which are in their order.
    In(Vec<Value>),
    Like(Pattern),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A value in the order of its type. Dates, times and decimals are the integers that Arrow has for them.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(crate) enum Value {
    Boolean(bool),
    Integer(i256),
    Float(f64),
    Bytes(Vec<u8>),
}

/// The pattern of a LIKE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// As Arrow takes it: what a backslash stands before is meant as it is.
    pub(super) escaped: String,
    /// What every match begins with.
    pub(super) prefix: String,
}

impl Comparison {
    /// What the comparison is with its sides exchanged.
    pub(super) fn reversed(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }

    /// Whether it holds for sides in this order; what has no order is unequal, and nothing else.
    pub(super) fn holds(self, order: Option<Ordering>) -> bool {
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

impl Test {
    /// The comparison of a column's values with a literal at `place` among them.
    pub(super) fn compare(comparison: Comparison, place: Place<Value>) -> Self {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        match (place, comparison) {
            (Place::At(value), comparison) => Self::Compare(comparison, value),
            (_, Equal) => Self::Always(false),
            (_, NotEqual) => Self::Always(true),
            (Place::After(value), Less | LessOrEqual) => Self::Compare(LessOrEqual, value),
            (Place::After(value), Greater | GreaterOrEqual) => Self::Compare(Greater, value),
            (Place::Below, Less | LessOrEqual) => Self::Always(false),
            (Place::Below, Greater | GreaterOrEqual) => Self::Always(true),
        }
    }

    /// Whether it holds for a value, if that can be told without reading text.
    pub(super) fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Always(holds) => *holds,
            Self::Compare(comparison, with) => comparison.holds(value.partial_cmp(with)),
            Self::In(values) => values.contains(value),
            Self::Like(_) => false,
        }
    }

    /// Whether a value is one of those at `places`.
    pub(super) fn among(places: Vec<Place<Value>>) -> Self {
        let exact = places.into_iter().filter_map(|place| match place {
            Place::At(value) => Some(value),
            _ => None,
        });
        let mut values: Vec<Value> = exact.collect();
        values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
        values.dedup();
        if values.is_empty() { Self::Always(false) } else { Self::In(values) }
    }
}

impl Value {
    /// A row's value; none where it is null, NaN, or of a type without such values.
    pub(crate) fn of(array: &dyn Array, row: usize) -> Option<Self> {
        if row >= array.len() || array.is_null(row) {
            return None;
        }
        macro_rules! number {
            ($type:ty) => {
                Some(Self::Integer(i256::from_i128(array.as_primitive::<$type>().value(row).into())))
            };
        }
        let data_type = array.data_type();
        match data_type {
            DataType::Boolean => Some(Self::Boolean(array.as_boolean().value(row))),
            DataType::Float16 => Self::of_float(array.as_primitive::<Float16Type>().value(row).to_f64()),
            DataType::Float32 => Self::of_float(array.as_primitive::<Float32Type>().value(row).into()),
            DataType::Float64 => Self::of_float(array.as_primitive::<Float64Type>().value(row)),
            DataType::Decimal256(..) => Some(Self::Integer(array.as_primitive::<Decimal256Type>().value(row))),
            _ => {
                types::integer_type!(data_type, number, types::bytes(array, row).map(|bytes| Self::Bytes(bytes.into())))
            }
        }
    }

    fn of_float(value: f64) -> Option<Self> {
        (!value.is_nan()).then_some(Self::Float(value))
    }

    /// As a floating point number.
    pub(super) fn float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// As a number of 256 bits.
    pub(super) fn wide(&self) -> Option<i256> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// As bytes.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(value) => Some(value),
            _ => None,
        }
    }

    /// As a number of at most 128 bits.
    pub(super) fn integer(&self) -> Option<i128> {
        match self {
            Self::Integer(value) => value.to_i128(),
            _ => None,
        }
    }
}
