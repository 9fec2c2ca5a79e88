//! What can be said of a condition for rows of which only bounds are known.

use super::predicate::{Comparison, Predicate, Test, Value};

/// What is known of some rows of one column.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Bounds {
    /// No value is less; absent where that is not known. NaN and null are no values.
    pub(crate) min: Option<Value>,
    /// No value is greater.
    pub(crate) max: Option<Value>,
    /// How many rows are null.
    pub(crate) nulls: Option<u64>,
    /// How many rows there are.
    pub(crate) rows: u64,
}

/// What a condition may be for some rows: there may be less to it than is said here, but never more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcomes {
    /// It may be true for a row.
    pub(crate) yes: bool,
    /// It may be false for a row.
    pub(crate) no: bool,
    /// It may be unknown for a row.
    pub(crate) unknown: bool,
}

impl Outcomes {
    const ANY: Self = Self { yes: true, no: true, unknown: true };

    fn only(value: Option<bool>) -> Self {
        Self { yes: value == Some(true), no: value == Some(false), unknown: value.is_none() }
    }
}

impl Predicate {
    /// What it may be for rows of which `bounds` gives what is known of each column.
    pub(super) fn outcomes(&self, bounds: &dyn Fn(usize) -> Option<Bounds>) -> Outcomes {
        match self {
            Self::All(parts) => {
                let parts: Vec<Outcomes> = parts.iter().map(|part| part.outcomes(bounds)).collect();
                let (yes, no) = (parts.iter().all(|part| part.yes), parts.iter().any(|part| part.no));
                // Each part must be able to be other than false.
                let unknown =
                    parts.iter().any(|part| part.unknown) && parts.iter().all(|part| part.yes || part.unknown);
                Outcomes { yes, no, unknown }
            }
            Self::Any(parts) => {
                let parts: Vec<Outcomes> = parts.iter().map(|part| part.outcomes(bounds)).collect();
                let (yes, no) = (parts.iter().any(|part| part.yes), parts.iter().all(|part| part.no));
                let unknown = parts.iter().any(|part| part.unknown) && parts.iter().all(|part| part.no || part.unknown);
                Outcomes { yes, no, unknown }
            }
            Self::Not(inner) => {
                let Outcomes { yes, no, unknown } = inner.outcomes(bounds);
                Outcomes { yes: no, no: yes, unknown }
            }
            Self::Constant(value) => Outcomes::only(*value),
            Self::IsNull(column) => match bounds(*column) {
                Some(Bounds { nulls: Some(nulls), rows, .. }) => {
                    Outcomes { yes: nulls > 0, no: nulls < rows, unknown: false }
                }
                _ => Outcomes { unknown: false, ..Outcomes::ANY },
            },
            Self::Is(inner, wanted) => {
                let inner = inner.outcomes(bounds);
                let (yes, no) = match wanted {
                    Some(true) => (inner.yes, inner.no || inner.unknown),
                    Some(false) => (inner.no, inner.yes || inner.unknown),
                    None => (inner.unknown, inner.yes || inner.no),
                };
                Outcomes { yes, no, unknown: false }
            }
            Self::Test(column, test) => bounds(*column).map_or(Outcomes::ANY, |bounds| test.outcomes(&bounds)),
        }
    }

    /// Whether it may be true for rows among which `lacks` knows a column to have no such value.
    pub(super) fn may_find(&self, lacks: &dyn Fn(usize, &Value) -> bool) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.may_find(lacks)),
            Self::Any(parts) => parts.iter().any(|part| part.may_find(lacks)),
            Self::Is(inner, Some(true)) => inner.may_find(lacks),
            Self::Test(column, Test::Compare(Comparison::Equal, value)) => !lacks(*column, value),
            Self::Test(column, Test::In(values)) => values.iter().any(|value| !lacks(*column, value)),
            _ => true,
        }
    }
}

impl Test {
    fn outcomes(&self, bounds: &Bounds) -> Outcomes {
        let unknown = bounds.nulls != Some(0);
        if bounds.nulls.is_some_and(|nulls| nulls >= bounds.rows) {
            return Outcomes { yes: false, no: false, unknown };
        }
        let (Some(min), Some(max)) = (&bounds.min, &bounds.max) else {
            return Outcomes { unknown, ..self.unbounded() };
        };
        let (mut yes, mut no) = match self {
            Self::Always(value) => (*value, !*value),
            Self::Compare(comparison, value) => between(*comparison, value, min, max),
            Self::In(values) => {
                let yes = values.iter().any(|value| min <= value && value <= max);
                (yes, !(min == max && values.contains(min)))
            }
            Self::Like(pattern) => (reaches(pattern.prefix.as_bytes(), min, max), true),
        };
        // Bounds do not count NaN, which is unequal to everything, and nothing else.
        if matches!(min, Value::Float(_)) {
            match self {
                Self::Always(_) => {}
                Self::Compare(Comparison::NotEqual, _) => yes = true,
                _ => no = true,
            }
        }
        Outcomes { yes, no, unknown }
    }

    fn unbounded(&self) -> Outcomes {
        match self {
            Self::Always(value) => Outcomes::only(Some(*value)),
            _ => Outcomes::ANY,
        }
    }
}

/// Whether a comparison may hold, and may not hold, for a value between two others.
fn between(comparison: Comparison, value: &Value, min: &Value, max: &Value) -> (bool, bool) {
    match comparison {
        Comparison::Equal => (min <= value && value <= max, !(min == value && value == max)),
        Comparison::NotEqual => (!(min == value && value == max), min <= value && value <= max),
        Comparison::Less => (min < value, max >= value),
        Comparison::LessOrEqual => (min <= value, max > value),
        Comparison::Greater => (max > value, min <= value),
        Comparison::GreaterOrEqual => (max >= value, min < value),
    }
}

/// Whether a text between two others may begin with a prefix.
fn reaches(prefix: &[u8], min: &Value, max: &Value) -> bool {
    let (Value::Bytes(min), Value::Bytes(max)) = (min, max) else { return true };
    let head = min.get(..prefix.len()).unwrap_or(min);
    max.as_slice() >= prefix && head <= prefix
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::i256;

    use super::super::predicate::Pattern;
    use super::*;

    fn integer(value: i128) -> Value {
        Value::Integer(i256::from_i128(value))
    }

    fn bounds(min: Value, max: Value, nulls: Option<u64>) -> Bounds {
        Bounds { min: Some(min), max: Some(max), nulls, rows: 10 }
    }

    fn outcomes(test: Test, known: &Bounds) -> (bool, bool, bool) {
        let known = known.clone();
        let Outcomes { yes, no, unknown } = Predicate::Test(0, test).outcomes(&move |_| Some(known.clone()));
        (yes, no, unknown)
    }

    #[test]
    fn comparisons_are_told_by_bounds() {
        use Comparison::*;
        let known = bounds(integer(3), integer(7), Some(0));
        for (comparison, value, yes, no) in [
            (Equal, 2, false, true),
            (Equal, 3, true, true),
            (NotEqual, 8, true, false),
            (Less, 3, false, true),
            (Less, 4, true, true),
            (Less, 8, true, false),
            (LessOrEqual, 7, true, false),
            (LessOrEqual, 2, false, true),
            (Greater, 7, false, true),
            (Greater, 2, true, false),
            (GreaterOrEqual, 3, true, false),
            (GreaterOrEqual, 8, false, true),
        ] {
            assert_eq!(
                outcomes(Test::Compare(comparison, integer(value)), &known),
                (yes, no, false),
                "{comparison:?} {value}"
            );
        }
        let one = bounds(integer(5), integer(5), Some(0));
        assert_eq!(outcomes(Test::Compare(Equal, integer(5)), &one), (true, false, false));
        assert_eq!(outcomes(Test::Compare(NotEqual, integer(5)), &one), (false, true, false));
        assert_eq!(outcomes(Test::In(vec![integer(4), integer(5)]), &one), (true, false, false));
        assert_eq!(outcomes(Test::In(vec![integer(2), integer(8)]), &known), (false, true, false));
    }

    #[test]
    fn what_is_not_known_is_possible() {
        let test = || Test::Compare(Comparison::Equal, integer(5));
        assert_eq!(outcomes(test(), &Bounds { rows: 3, ..Bounds::default() }), (true, true, true));
        assert_eq!(outcomes(test(), &Bounds { rows: 3, nulls: Some(0), ..Bounds::default() }), (true, true, false));
        assert_eq!(outcomes(test(), &Bounds { rows: 3, nulls: Some(3), ..Bounds::default() }), (false, false, true));
        assert_eq!(Predicate::Test(0, test()).outcomes(&|_| None), Outcomes::ANY);
        assert_eq!(outcomes(Test::Always(false), &Bounds { rows: 3, ..Bounds::default() }), (false, true, true));
    }

    #[test]
    fn nan_hides_from_bounds() {
        let known = bounds(Value::Float(1.0), Value::Float(2.0), Some(0));
        assert_eq!(outcomes(Test::Compare(Comparison::Less, Value::Float(9.0)), &known), (true, true, false));
        assert_eq!(outcomes(Test::Compare(Comparison::Less, Value::Float(1.0)), &known), (false, true, false));
        let one = bounds(Value::Float(0.0), Value::Float(-0.0), Some(0));
        assert_eq!(outcomes(Test::Compare(Comparison::NotEqual, Value::Float(0.0)), &one), (true, true, false));
    }

    #[test]
    fn prefixes_are_looked_for_between_bounds() {
        let text = |text: &str| Value::Bytes(text.into());
        let like = |prefix: &str| Test::Like(Pattern { escaped: format!("{prefix}%"), prefix: prefix.into() });
        let known = bounds(text("abc"), text("abx"), Some(0));
        for (prefix, yes) in [
            ("", true),
            ("a", true),
            ("ab", true),
            ("abb", false),
            ("abc", true),
            ("abcz", true),
            ("abx", true),
            ("abxa", false),
            ("aby", false),
            ("b", false),
        ] {
            assert_eq!(outcomes(like(prefix), &known), (yes, true, false), "{prefix}");
        }
    }

    #[test]
    fn conditions_are_put_together_by_three_values() {
        let none = bounds(integer(1), integer(2), Some(0));
        let some = bounds(integer(1), integer(2), Some(4));
        let all = Bounds { nulls: Some(10), rows: 10, ..Bounds::default() };
        let known = move |column: usize| [none.clone(), some.clone(), all.clone()].get(column).cloned();
        let below = |column| Predicate::Test(column, Test::Compare(Comparison::Less, integer(0)));
        let said = |predicate: Predicate| {
            let Outcomes { yes, no, unknown } = predicate.outcomes(&known);
            (yes, no, unknown)
        };
        assert_eq!(said(Predicate::All(vec![below(0), below(2)])), (false, true, false));
        assert_eq!(said(Predicate::Any(vec![Predicate::Not(below(0).into()), below(2)])), (true, false, false));
        assert_eq!(said(Predicate::Not(below(1).into())), (true, false, true));
        assert_eq!(said(Predicate::Is(below(2).into(), None)), (true, false, false));
        assert_eq!(said(Predicate::Is(below(1).into(), Some(true))), (false, true, false));
        assert_eq!(said(Predicate::IsNull(0)), (false, true, false));
        assert_eq!(said(Predicate::IsNull(1)), (true, true, false));
        assert_eq!(said(Predicate::IsNull(2)), (true, false, false));
        assert_eq!(said(Predicate::IsNull(3)), (true, true, false));
        assert_eq!(said(Predicate::Constant(None)), (false, false, true));
    }
}
