//! Checks every row against the columns' types, because the decoder would round and drop silently: a fraction in a
//! column of integers would lose it.

use std::cell::RefCell;
use std::fmt;

use arrow::datatypes::{DataType, Fields, Schema};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::TYPED_ROWS;
use crate::error::{Error, ErrorKind, Result};

/// What each column takes.
pub(super) struct Check {
    row: Expected,
    coerce: bool,
}

/// What a value must be; each with the column that it stands in.
enum Expected {
    Bool(String),
    Integer {
        column: String,
        name: String,
        least: i128,
        most: i128,
    },
    Number(String),
    Text(String),
    /// Any value that is neither list nor object: the decoder parses it, and complains.
    Scalar(String),
    Null(String),
    List(String, Box<Expected>),
    Struct(String, Vec<(String, Expected)>),
    Any,
}

impl Check {
    /// The check of rows under this schema; where `coerce`, text columns take numbers and truth values.
    pub(super) fn new(schema: &Schema, coerce: bool) -> Self {
        Self { row: Expected::Struct(String::new(), members("", schema.fields())), coerce }
    }

    /// Checks one row, which begins on `line`.
    pub(super) fn row(&self, row: &[u8], line: u64) -> Result<()> {
        let misfit = RefCell::new(None);
        let mut deserializer = serde_json::Deserializer::from_slice(row);
        let walk = Walk { expected: &self.row, coerce: self.coerce, misfit: &misfit };
        let outcome = walk.deserialize(&mut deserializer);
        let Err(error) = outcome else { return Ok(()) };
        Err(match misfit.into_inner() {
            None => Error::new(ErrorKind::Input, format!("line {line}: {error}")),
            Some((column, why)) => Error::new(ErrorKind::Input, format!("line {line}, column `{column}`: {why}"))
                .with_hint(format!("types are told from the first {TYPED_ROWS} rows; `--schema` overrides them")),
        })
    }
}

fn members(prefix: &str, fields: &Fields) -> Vec<(String, Expected)> {
    fields
        .iter()
        .map(|field| {
            let column = if prefix.is_empty() { field.name().clone() } else { format!("{prefix}.{}", field.name()) };
            (field.name().clone(), expected(column, field.data_type()))
        })
        .collect()
}

fn expected(column: String, data_type: &DataType) -> Expected {
    let integer = |column, least: i128, most: i128| Expected::Integer {
        column,
        name: data_type.to_string().to_lowercase(),
        least,
        most,
    };
    match data_type {
        DataType::Null => Expected::Null(column),
        DataType::Boolean => Expected::Bool(column),
        DataType::Int8 => integer(column, i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => integer(column, i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => integer(column, i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => integer(column, i64::MIN.into(), i64::MAX.into()),
        DataType::UInt8 => integer(column, 0, u8::MAX.into()),
        DataType::UInt16 => integer(column, 0, u16::MAX.into()),
        DataType::UInt32 => integer(column, 0, u32::MAX.into()),
        DataType::UInt64 => integer(column, 0, u64::MAX.into()),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Expected::Number(column),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Expected::Text(column),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            let inner = expected(column.clone(), item.data_type());
            Expected::List(column, Box::new(inner))
        }
        DataType::Struct(fields) => {
            let members = members(&column, fields);
            Expected::Struct(column, members)
        }
        other if other.is_nested() => Expected::Any,
        _ => Expected::Scalar(column),
    }
}

impl Expected {
    fn column(&self) -> &str {
        match self {
            Self::Bool(column) | Self::Number(column) | Self::Text(column) | Self::Scalar(column) => column,
            Self::Null(column) | Self::List(column, _) | Self::Struct(column, _) => column,
            Self::Integer { column, .. } => column,
            Self::Any => "",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Bool(_) => "truth value",
            Self::Integer { name, .. } => name,
            Self::Number(_) => "number",
            Self::Text(_) => "text",
            Self::Scalar(_) => "single value",
            Self::Null(_) => "null, as all before it",
            Self::List(..) => "list",
            Self::Struct(..) => "object",
            Self::Any => "value",
        }
    }
}

type Misfit = RefCell<Option<(String, String)>>;

/// Walks one value beside what it must be.
#[derive(Clone, Copy)]
struct Walk<'a> {
    expected: &'a Expected,
    coerce: bool,
    misfit: &'a Misfit,
}

impl Walk<'_> {
    fn refuse<E: serde::de::Error>(&self, column: &str, why: String) -> E {
        self.misfit.borrow_mut().get_or_insert((column.to_owned(), why));
        E::custom("")
    }

    fn is_no<E: serde::de::Error>(&self, value: impl fmt::Display) -> E {
        let shown: String = value.to_string().chars().take(80).collect();
        self.refuse(self.expected.column(), format!("`{shown}` is no {}", self.expected.name()))
    }

    fn integer<E: serde::de::Error>(&self, value: i128) -> Result<(), E> {
        match self.expected {
            Expected::Integer { least, most, .. } if (*least..=*most).contains(&value) => Ok(()),
            Expected::Number(_) | Expected::Scalar(_) | Expected::Any => Ok(()),
            Expected::Text(_) if self.coerce => Ok(()),
            _ => Err(self.is_no(value)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected.name())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        match self.expected {
            Expected::Bool(_) | Expected::Scalar(_) | Expected::Any => Ok(()),
            Expected::Text(_) if self.coerce => Ok(()),
            _ => Err(self.is_no(value)),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.integer(value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.integer(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        match self.expected {
            // Such as 1e3; below 2^53 the decoder reads it exactly.
            Expected::Integer { .. } if value.fract() == 0.0 && value.abs() < 9e15 => self.integer(value as i128),
            Expected::Number(_) | Expected::Scalar(_) | Expected::Any => Ok(()),
            Expected::Text(_) if self.coerce => Ok(()),
            _ => Err(self.is_no(value)),
        }
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        match self.expected {
            Expected::Text(_) | Expected::Scalar(_) | Expected::Any => Ok(()),
            _ => Err(self.is_no(format_args!("\"{value}\""))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        match self.expected {
            Expected::List(_, item) => {
                let walk = Walk { expected: item, ..self };
                while items.next_element_seed(walk)?.is_some() {}
                Ok(())
            }
            Expected::Any => {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(())
            }
            _ => Err(self.is_no("[…]")),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Expected::Struct(column, members) = self.expected else {
            if matches!(self.expected, Expected::Any) {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(());
            }
            return Err(self.is_no("{…}"));
        };
        // Rows mostly name their columns in the same order.
        let mut next = 0;
        while let Some(name) = fields.next_key::<std::borrow::Cow<'_, str>>()? {
            let position = match members.get(next) {
                Some((member, _)) if *member == name => Some(next),
                _ => members.iter().position(|(member, _)| *member == name),
            };
            let Some(position) = position else {
                let column = if column.is_empty() { name.to_string() } else { format!("{column}.{name}") };
                return Err(self.refuse(&column, format!("there is no such column in the first {TYPED_ROWS} rows")));
            };
            next = position + 1;
            let (_, expected) = &members[position];
            fields.next_value_seed(Walk { expected, ..self })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, TimeUnit};

    use super::*;

    fn check(row: &str, coerce: bool) -> Result<()> {
        let item = Field::new("x", DataType::Int8, true);
        let schema = Schema::new(vec![
            Field::new("i", DataType::Int64, true),
            Field::new("f", DataType::Float64, true),
            Field::new("t", DataType::Utf8, true),
            Field::new("d", DataType::Timestamp(TimeUnit::Second, None), true),
            Field::new("l", DataType::new_list(DataType::UInt8, true), true),
            Field::new("s", DataType::Struct(vec![item].into()), true),
        ]);
        Check::new(&schema, coerce).row(row.as_bytes(), 7)
    }

    #[test]
    fn rows_that_fit() {
        check(r#"{"i":1,"f":2,"t":"x","d":"2026-01-01T00:00:00","l":[1,null],"s":{"x":-128}}"#, false).unwrap();
        check(r#"{"s":null,"i":1e3}"#, false).unwrap();
        check(r#"{"t":1.5}"#, true).unwrap();
        check("{}", false).unwrap();
    }

    #[test]
    fn rows_that_do_not_fit_name_line_and_column() {
        for (row, why) in [
            (r#"{"i":1.5}"#, "line 7, column `i`: `1.5` is no int64"),
            (r#"{"i":9223372036854775808}"#, "column `i`: `9223372036854775808` is no int64"),
            (r#"{"i":99999999999999999999}"#, "column `i`"),
            (r#"{"f":"x"}"#, "column `f`: `\"x\"` is no number"),
            (r#"{"t":1}"#, "column `t`: `1` is no text"),
            (r#"{"l":[1,300]}"#, "column `l`: `300` is no uint8"),
            (r#"{"s":{"x":200}}"#, "column `s.x`"),
            (r#"{"s":{"y":1}}"#, "column `s.y`: there is no such column"),
            (r#"{"z":1}"#, "column `z`"),
            (r#"{"i":}"#, "line 7: "),
        ] {
            let error = check(row, false).unwrap_err();
            assert!(error.message().contains(why), "{error}");
        }
    }
}
