//! Types of JSON columns, told from the first rows.

use arrow::datatypes::{DataType, Field};
use serde_json::{Map, Value as Json};

use super::super::overrides::Overrides;
use crate::error::{Error, ErrorKind, Result};

/// Beyond it, a float does not hold every integer.
const EXACT_IN_A_FLOAT: u64 = 1 << 53;

/// What the rows so far have in common.
pub(super) struct Guess<'a> {
    overrides: &'a Overrides,
    columns: Vec<(String, Type)>,
}

/// The narrowest type that holds the values seen.
#[derive(Debug, Clone, PartialEq)]
enum Type {
    Null,
    Bool,
    /// Integers: whether one is negative, whether one needs 64 bits unsigned, whether one is inexact as a float.
    Integer {
        negative: bool,
        unsigned: bool,
        wide: bool,
    },
    Float,
    Text,
    List(Box<Type>),
    Struct(Vec<(String, Type)>),
}

impl<'a> Guess<'a> {
    /// Nothing is known but what the user says.
    pub(super) fn new(overrides: &'a Overrides) -> Self {
        Self { overrides, columns: Vec::new() }
    }

    /// Takes a row into account.
    pub(super) fn add(&mut self, row: &[u8], line: u64) -> Result<()> {
        let refuse = |why: String| Error::new(ErrorKind::Input, format!("line {line}{why}"));
        let row: Map<String, Json> = serde_json::from_slice(row).map_err(|error| refuse(format!(": {error}")))?;
        for (name, value) in &row {
            if self.overrides.get(name).is_some() {
                continue;
            }
            let result = type_of(value).and_then(|found| merge_field(&mut self.columns, name, found));
            result.map_err(|why| {
                refuse(format!(", column `{name}`: {why}"))
                    .with_hint("`--schema` gives the column a type: --schema column:utf8 keeps everything as text")
            })?;
        }
        Ok(())
    }

    /// The columns, in the order in which they were first seen, then those that only the user has named.
    pub(super) fn fields(&self) -> Vec<Field> {
        let seen = self.columns.iter().map(|(name, found)| Field::new(name, found.data_type(), true));
        let named = self.overrides.columns().iter().map(|(name, kind)| Field::new(name, kind.clone(), true));
        named.chain(seen).collect()
    }
}

fn type_of(value: &Json) -> Result<Type, String> {
    Ok(match value {
        Json::Null => Type::Null,
        Json::Bool(_) => Type::Bool,
        Json::String(_) => Type::Text,
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Type::Integer {
                negative: integer < 0,
                unsigned: false,
                wide: integer.unsigned_abs() > EXACT_IN_A_FLOAT,
            },
            (None, Some(_)) => Type::Integer { negative: false, unsigned: true, wide: true },
            (None, None) => Type::Float,
        },
        Json::Array(items) => {
            let mut common = Type::Null;
            for item in items {
                common = merge(common, type_of(item)?)?;
            }
            Type::List(Box::new(common))
        }
        Json::Object(fields) => {
            let mut found = Vec::with_capacity(fields.len());
            for (name, value) in fields {
                found.push((name.clone(), type_of(value)?));
            }
            Type::Struct(found)
        }
    })
}

fn merge_field(fields: &mut Vec<(String, Type)>, name: &str, found: Type) -> Result<(), String> {
    match fields.iter_mut().find(|(other, _)| other == name) {
        None => fields.push((name.to_owned(), found)),
        Some((_, before)) if *before == found => {}
        Some((_, before)) => *before = merge(std::mem::replace(before, Type::Null), found)?,
    }
    Ok(())
}

fn merge(before: Type, found: Type) -> Result<Type, String> {
    Ok(match (before, found) {
        (Type::Null, other) | (other, Type::Null) => other,
        (
            Type::Integer { negative, unsigned, wide },
            Type::Integer { negative: also_negative, unsigned: also_unsigned, wide: also_wide },
        ) => {
            let (negative, unsigned) = (negative || also_negative, unsigned || also_unsigned);
            if negative && unsigned {
                return Err("no integer type of 64 bits holds its smallest and its largest value".into());
            }
            Type::Integer { negative, unsigned, wide: wide || also_wide }
        }
        (Type::Integer { wide: true, .. }, Type::Float) | (Type::Float, Type::Integer { wide: true, .. }) => {
            return Err("it has fractions, and integers that a float does not hold exactly".into());
        }
        (Type::Integer { .. } | Type::Float, Type::Float) | (Type::Float, Type::Integer { .. }) => Type::Float,
        (Type::List(before), Type::List(found)) => Type::List(Box::new(merge(*before, *found)?)),
        (Type::Struct(mut fields), Type::Struct(found)) => {
            for (name, found) in found {
                merge_field(&mut fields, &name, found).map_err(|why| format!("in `{name}`, {why}"))?;
            }
            Type::Struct(fields)
        }
        (before, found) if before == found => before,
        (before, found) => return Err(format!("it is {} here, and {} before", found.name(), before.name())),
    })
}

impl Type {
    fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a truth value",
            Self::Integer { .. } => "an integer",
            Self::Float => "a number",
            Self::Text => "text",
            Self::List(_) => "a list",
            Self::Struct(_) => "an object",
        }
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Null => DataType::Null,
            Self::Bool => DataType::Boolean,
            Self::Integer { unsigned: true, .. } => DataType::UInt64,
            Self::Integer { .. } => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::List(item) => DataType::new_list(item.data_type(), true),
            Self::Struct(fields) => {
                let fields = fields.iter().map(|(name, found)| Field::new(name, found.data_type(), true));
                DataType::Struct(fields.collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(rows: &[&str]) -> Result<Vec<(String, DataType)>> {
        let overrides = Overrides::default();
        let mut guess = Guess::new(&overrides);
        for (line, row) in rows.iter().enumerate() {
            guess.add(row.as_bytes(), line as u64 + 1)?;
        }
        Ok(guess.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect())
    }

    #[test]
    fn the_narrowest_type_in_the_order_seen() {
        let found = guess(&[
            r#"{"z":1,"a":null,"l":[1,null],"s":{"x":1}}"#,
            r#"{"a":"t","z":2.5,"l":[],"s":{"y":true},"u":18446744073709551615,"n":null}"#,
        ])
        .unwrap();
        let structure = DataType::Struct(
            vec![Field::new("x", DataType::Int64, true), Field::new("y", DataType::Boolean, true)].into(),
        );
        let expected = [
            ("z", DataType::Float64),
            ("a", DataType::Utf8),
            ("l", DataType::new_list(DataType::Int64, true)),
            ("s", structure),
            ("u", DataType::UInt64),
            ("n", DataType::Null),
        ];
        assert_eq!(found, expected.map(|(name, data_type)| (name.to_owned(), data_type)));
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        for (rows, why) in [
            (&[r#"{"a":1}"#, r#"{"a":"x"}"#][..], "line 2, column `a`: it is text here, and an integer before"),
            (&[r#"{"a":9007199254740993}"#, r#"{"a":0.5}"#], "does not hold exactly"),
            (&[r#"{"a":18446744073709551615}"#, r#"{"a":-1}"#], "no integer type"),
            (&[r#"{"s":{"x":1}}"#, r#"{"s":{"x":[]}}"#], "in `x`, it is a list"),
            (&[r#"{"a":}"#], "line 1: "),
        ] {
            let error = guess(rows).unwrap_err();
            assert!(error.message().contains(why), "{error}");
        }
    }
}
