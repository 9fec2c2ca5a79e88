//! From names and literals to the columns and values of one schema.

use arrow::array::new_empty_array;
use arrow::datatypes::{DataType, Field, Schema};

use super::evaluate::matched;
use super::instant::{DAY, Instant, instant, time};
use super::number::Place;
use super::parse::{Condition, Like, Literal, Operand};
use super::predicate::{Comparison, Predicate, Test, Value};
use super::types::{Domain, range};
use crate::error::{Error, ErrorKind, Result};
use crate::query::project;

/// Finds the columns of a condition, and collects them.
pub(super) struct Binder<'a> {
    schema: &'a Schema,
    /// The positions of the columns in the schema; predicates have positions in this list.
    pub(super) columns: Vec<usize>,
}

impl<'a> Binder<'a> {
    pub(super) fn new(schema: &'a Schema) -> Self {
        Self { schema, columns: Vec::new() }
    }

    /// The predicate that a condition is on this schema.
    pub(super) fn bind(&mut self, condition: &Condition) -> Result<Predicate> {
        let all =
            |binder: &mut Self, parts: &[Condition]| parts.iter().map(|part| binder.bind(part)).collect::<Result<_>>();
        Ok(match condition {
            Condition::All(parts) => Predicate::All(all(self, parts)?),
            Condition::Any(parts) => Predicate::Any(all(self, parts)?),
            Condition::Not(inner) => Predicate::Not(Box::new(self.bind(inner)?)),
            Condition::Is(inner, truth) => Predicate::Is(Box::new(self.bind(inner)?), *truth),
            Condition::IsNull(name) => Predicate::IsNull(self.column(name)?.0),
            Condition::Bare(operand) => self.bare(operand)?,
            Condition::Compare(Operand::Column(name), comparison, Operand::Literal(literal)) => {
                self.compare(name, *comparison, literal)?
            }
            Condition::Compare(Operand::Literal(literal), comparison, Operand::Column(name)) => {
                self.compare(name, comparison.reversed(), literal)?
            }
            Condition::Compare(Operand::Column(left), _, Operand::Column(right)) => {
                return Err(two_columns(left, right));
            }
            Condition::Compare(Operand::Literal(left), _, Operand::Literal(right)) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("the filter compares {left} with {right}, and no column"),
                )
                .with_hint("TRUE keeps all rows, FALSE none"));
            }
            Condition::In(name, list) => self.among(name, list)?,
            Condition::Like(name, like) => self.like(name, like)?,
        })
    }

    fn column(&mut self, name: &str) -> Result<(usize, &'a Field)> {
        let position = project(self.schema, &[name.to_owned()])?.first().copied().unwrap_or_default();
        let known = self.columns.iter().position(|column| *column == position);
        let place = known.unwrap_or_else(|| {
            self.columns.push(position);
            self.columns.len() - 1
        });
        Ok((place, self.schema.field(position)))
    }

    fn comparable(&mut self, name: &str) -> Result<(usize, &'a Field, Domain)> {
        let (place, field) = self.column(name)?;
        let domain = Domain::of(field.data_type()).ok_or_else(|| {
            let message =
                format!("column `{name}` has values of type {}, which a filter cannot compare", field.data_type());
            Error::new(ErrorKind::Unsupported, message)
                .with_hint(format!("it can only be asked whether they are null: {} IS NULL", quoted(name)))
        })?;
        Ok((place, field, domain))
    }

    fn bare(&mut self, operand: &Operand) -> Result<Predicate> {
        match operand {
            Operand::Literal(Literal::Boolean(value)) => Ok(Predicate::Constant(Some(*value))),
            Operand::Literal(Literal::Null) => Ok(Predicate::Constant(None)),
            Operand::Literal(literal) => Err(Error::invalid(format!("{literal} is neither true nor false"))
                .with_hint("compare a column with it, as in fare > 10")),
            Operand::Column(name) => {
                let (place, field, domain) = self.comparable(name)?;
                match domain {
                    Domain::Boolean => {
                        Ok(Predicate::Test(place, Test::Compare(Comparison::Equal, Value::Boolean(true))))
                    }
                    Domain::Nothing => Ok(Predicate::Constant(None)),
                    _ => Err(Error::invalid(format!(
                        "column `{name}` has {}, and is neither true nor false",
                        kind(domain, field)
                    ))
                    .with_hint("compare it with a literal, as in fare > 10")),
                }
            }
        }
    }

    fn compare(&mut self, name: &str, comparison: Comparison, literal: &Literal) -> Result<Predicate> {
        let (place, field, domain) = self.comparable(name)?;
        Ok(match value(field, domain, literal)? {
            Some(value) => Predicate::Test(place, Test::compare(comparison, value)),
            None => Predicate::Constant(None),
        })
    }

    fn among(&mut self, name: &str, list: &[Literal]) -> Result<Predicate> {
        let (place, field, domain) = self.comparable(name)?;
        let values = list.iter().map(|literal| value(field, domain, literal)).collect::<Result<Vec<_>>>()?;
        let has_null = values.iter().any(Option::is_none);
        let test = Predicate::Test(place, Test::among(values.into_iter().flatten().collect()));
        Ok(if has_null { Predicate::Any(vec![test, Predicate::Constant(None)]) } else { test })
    }

    fn like(&mut self, name: &str, like: &Like) -> Result<Predicate> {
        let (place, field, domain) = self.comparable(name)?;
        match (domain, like) {
            (Domain::Nothing, _) | (Domain::Text, Like::Unknown) => Ok(Predicate::Constant(None)),
            (Domain::Text, Like::Exactly(text)) => {
                Ok(Predicate::Test(place, Test::Compare(Comparison::Equal, Value::Bytes(text.as_bytes().into()))))
            }
            (Domain::Text, Like::Pattern(pattern)) => {
                matched(&new_empty_array(&DataType::Utf8), pattern)?;
                Ok(Predicate::Test(place, Test::Like(pattern.clone())))
            }
            _ => Err(Error::invalid(format!("column `{name}` has {}, and LIKE is for text", kind(domain, field)))
                .with_hint(format!("compare it with {}", fitting(domain)))),
        }
    }
}

fn two_columns(left: &str, right: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the filter compares two columns, `{left}` and `{right}`"))
        .with_hint("a filter compares columns with literals; text stands in single quotes, double quotes name columns")
}

/// The place of a literal among a column's values; none if it is unknown whether it equals any.
fn value(field: &Field, domain: Domain, literal: &Literal) -> Result<Option<Place<Value>>> {
    let (least, greatest) = range(field.data_type());
    let integer = |place: Place<_>| place.within(least, greatest).map(Value::Integer);
    Ok(Some(match (domain, literal) {
        (_, Literal::Null) | (Domain::Nothing, _) => return Ok(None),
        (Domain::Boolean, Literal::Boolean(value)) => Place::At(Value::Boolean(*value)),
        (Domain::Number { scale }, Literal::Number(number)) => integer(number.scaled(scale)),
        (Domain::Float(float), Literal::Number(number)) => number.floating(float).map(Value::Float),
        (Domain::Text, Literal::Text(text)) => Place::At(Value::Bytes(text.as_bytes().into())),
        (Domain::Bytes, Literal::Bytes(bytes)) => Place::At(Value::Bytes(bytes.clone())),
        (Domain::Instant { unit, zoned }, Literal::Text(text)) => {
            let instant = instant(text).ok_or_else(|| unfit(field, domain, literal))?;
            integer(units(of_column(field, zoned, instant, text)?, unit))
        }
        (Domain::Time { unit }, Literal::Text(text)) => {
            integer(units(time(text).ok_or_else(|| unfit(field, domain, literal))?, unit))
        }
        _ => return Err(unfit(field, domain, literal)),
    }))
}

/// The nanoseconds of an instant, unless it has an offset and the column's have none.
fn of_column(field: &Field, zoned: bool, instant: Instant, text: &str) -> Result<i128> {
    if instant.zoned && !zoned {
        let message = format!(
            "column `{}` has {} without a time zone, and '{text}' has an offset",
            field.name(),
            spoken_type(field)
        );
        return Err(Error::invalid(message).with_hint("leave the offset out, and say the time as the column has it"));
    }
    Ok(instant.nanoseconds)
}

fn units(nanoseconds: i128, unit: i128) -> Place<arrow::datatypes::i256> {
    let whole = arrow::datatypes::i256::from_i128(nanoseconds.div_euclid(unit));
    if nanoseconds.rem_euclid(unit) == 0 { Place::At(whole) } else { Place::After(whole) }
}

fn unfit(field: &Field, domain: Domain, literal: &Literal) -> Error {
    let message =
        format!("column `{}` has {}, and cannot be compared with {literal}", field.name(), kind(domain, field));
    Error::invalid(message).with_hint(format!("compare it with {}", fitting(domain)))
}

fn spoken_type(field: &Field) -> String {
    field.data_type().to_string()
}

fn kind(domain: Domain, field: &Field) -> String {
    let kind = match domain {
        Domain::Nothing => "nothing but nulls",
        Domain::Boolean => "booleans",
        Domain::Number { .. } | Domain::Float(_) => "numbers",
        Domain::Instant { unit: DAY, .. } => "dates",
        Domain::Instant { .. } => "timestamps",
        Domain::Time { .. } => "times of day",
        Domain::Text => "text",
        Domain::Bytes => "binary values",
    };
    format!("{kind} ({})", spoken_type(field))
}

fn fitting(domain: Domain) -> &'static str {
    match domain {
        Domain::Nothing => "anything",
        Domain::Boolean => "TRUE or FALSE",
        Domain::Number { .. } | Domain::Float(_) => "a number, such as 12 or -0.5",
        Domain::Instant { zoned: true, .. } => {
            "an instant, such as '2026-11-20T12:00:00+01:00'; without an offset it is in UTC"
        }
        Domain::Instant { unit: DAY, .. } => "a date, such as '2026-11-20'",
        Domain::Instant { .. } => "a date and time, such as '2026-11-20 12:00:00'",
        Domain::Time { .. } => "a time, such as '12:00:00'",
        Domain::Text => "text in single quotes, such as 'abc'",
        Domain::Bytes => "hexadecimal digits, such as X'00FF'",
    }
}

/// A name as a filter has it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
