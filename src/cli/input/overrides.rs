//! `--schema`: the types that the user gives to columns, where they would be guessed wrong.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde_json::{Map, Value as Json};

use super::super::failure::file_error;
use crate::error::{Error, Result};

const HINT: &str = "it looks like name:utf8,fare:float64,day:date32,when:timestamp(us,UTC),price:decimal(10,2), or like \
                    {\"name\":\"utf8\"}";

/// Types by the names of their columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Overrides {
    columns: Vec<(String, DataType)>,
}

impl Overrides {
    /// Reads `name:type,…` or a JSON object, or a file with either.
    pub(super) fn parse(text: &str) -> Result<Self> {
        if !text.trim_start().starts_with('{') && Path::new(text).is_file() {
            let content = std::fs::read_to_string(text)
                .map_err(|error| file_error(&error, format_args!("cannot read the schema in {text}")))?;
            return Self::from_text(&content).map_err(|error| error.within(text));
        }
        Self::from_text(text)
    }

    fn from_text(text: &str) -> Result<Self> {
        let text = text.trim();
        let mut columns: Vec<(String, DataType)> = Vec::new();
        for (name, kind) in if text.starts_with('{') { from_json(text)? } else { from_list(text)? } {
            if columns.iter().any(|(other, _)| *other == name) {
                return Err(refuse(&format!("column `{name}` is there twice")));
            }
            let data_type =
                data_type(&kind).ok_or_else(|| refuse(&format!("`{kind}` is no type, of column `{name}`")))?;
            columns.push((name, data_type));
        }
        if columns.is_empty() {
            return Err(refuse("it names no column"));
        }
        Ok(Self { columns })
    }

    /// Whether no type is given.
    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The columns and their types.
    pub(super) fn columns(&self) -> &[(String, DataType)] {
        &self.columns
    }

    /// The type of one column, if it is given.
    pub(super) fn get(&self, name: &str) -> Option<&DataType> {
        self.columns.iter().find(|(column, _)| column == name).map(|(_, data_type)| data_type)
    }

    /// The schema with these types instead of its own.
    pub(super) fn apply(&self, schema: &Schema) -> Result<SchemaRef> {
        for (name, _) in &self.columns {
            let found = schema.fields().iter().filter(|field| field.name() == name).count();
            if found != 1 {
                let why = if found == 0 { "there is no such column" } else { "more than one column has this name" };
                let names: Vec<&str> = schema.fields().iter().take(20).map(|field| field.name().as_str()).collect();
                return Err(Error::invalid(format!("`--schema` names column `{name}`: {why}"))
                    .with_hint(format!("the columns are: {}", names.join(", "))));
            }
        }
        let fields = schema.fields().iter().map(|field| match self.get(field.name()) {
            Some(data_type) => Arc::new(Field::new(field.name(), data_type.clone(), true)),
            None => field.clone(),
        });
        Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
    }
}

fn refuse(why: &str) -> Error {
    Error::invalid(format!("`--schema`: {why}")).with_hint(HINT)
}

fn from_json(text: &str) -> Result<Vec<(String, String)>> {
    let columns: Map<String, Json> = serde_json::from_str(text).map_err(|error| refuse(&error.to_string()))?;
    let columns = columns.into_iter().map(|(name, kind)| match kind {
        Json::String(kind) => Ok((name, kind)),
        other => Err(refuse(&format!("`{other}` is no type, of column `{name}`"))),
    });
    columns.collect()
}

fn from_list(text: &str) -> Result<Vec<(String, String)>> {
    let mut columns = Vec::new();
    let mut depth = 0_usize;
    let items = text.split(|character: char| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        (character == ',' || character == '\n') && depth == 0
    });
    for item in items.map(str::trim).filter(|item| !item.is_empty()) {
        // A zone such as +01:00 has a colon, too, but stands in brackets.
        let before = item.find('(').unwrap_or(item.len());
        let colon = item[..before].rfind(':').ok_or_else(|| refuse(&format!("`{item}` has no type")))?;
        columns.push((item[..colon].trim().to_owned(), item[colon + 1..].trim().to_owned()));
    }
    Ok(columns)
}

/// The type that a text names: by the short names that people use, or as Arrow prints it.
fn data_type(text: &str) -> Option<DataType> {
    let lower = text.to_lowercase();
    let (name, arguments) = match lower.split_once('(') {
        Some((name, rest)) => (name.trim(), rest.strip_suffix(')')?.split(',').map(str::trim).collect()),
        None => (lower.as_str(), Vec::new()),
    };
    plain(name)
        .filter(|_| arguments.is_empty())
        .or_else(|| with_arguments(name, &arguments, text))
        .or_else(|| DataType::from_str(text).ok())
}

fn plain(name: &str) -> Option<DataType> {
    Some(match name {
        "bool" | "boolean" => DataType::Boolean,
        "int8" => DataType::Int8,
        "int16" => DataType::Int16,
        "int32" | "int" => DataType::Int32,
        "int64" | "long" => DataType::Int64,
        "uint8" => DataType::UInt8,
        "uint16" => DataType::UInt16,
        "uint32" => DataType::UInt32,
        "uint64" => DataType::UInt64,
        "float32" | "float" => DataType::Float32,
        "float64" | "double" => DataType::Float64,
        "utf8" | "string" | "str" | "text" => DataType::Utf8,
        "large_utf8" | "large_string" => DataType::LargeUtf8,
        "utf8_view" | "string_view" => DataType::Utf8View,
        "date32" | "date" => DataType::Date32,
        "date64" => DataType::Date64,
        "time" => DataType::Time64(TimeUnit::Microsecond),
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "null" => DataType::Null,
        _ => return None,
    })
}

fn with_arguments(name: &str, arguments: &[&str], text: &str) -> Option<DataType> {
    let unit = match arguments.first().copied() {
        Some("s") => Some(TimeUnit::Second),
        Some("ms") => Some(TimeUnit::Millisecond),
        Some("us") => Some(TimeUnit::Microsecond),
        Some("ns") => Some(TimeUnit::Nanosecond),
        _ => None,
    };
    match (name, arguments) {
        ("timestamp", [_]) => Some(DataType::Timestamp(unit?, None)),
        ("timestamp", [_, _]) => {
            // The zone as it was typed: names of zones have capitals.
            let zone = text.rsplit_once(',')?.1.trim().strip_suffix(')')?.trim();
            Some(DataType::Timestamp(unit?, Some(zone.into())))
        }
        ("time", [_]) => match unit? {
            unit @ (TimeUnit::Second | TimeUnit::Millisecond) => Some(DataType::Time32(unit)),
            unit => Some(DataType::Time64(unit)),
        },
        ("decimal" | "decimal128", [precision, scale]) => {
            let precision = precision.parse().ok().filter(|precision| (1..=38).contains(precision))?;
            Some(DataType::Decimal128(precision, scale.parse().ok()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_json_and_files_say_the_same() {
        let list = "name:utf8, a:b:float64,when:timestamp(us,Europe/Paris),at:timestamp(ms,+01:00),p:decimal(10,2)";
        let overrides = Overrides::parse(list).unwrap();
        assert_eq!(overrides.get("a:b"), Some(&DataType::Float64));
        let paris = DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Paris".into()));
        assert_eq!(overrides.get("when"), Some(&paris));
        assert_eq!(overrides.get("at"), Some(&DataType::Timestamp(TimeUnit::Millisecond, Some("+01:00".into()))));
        assert_eq!(overrides.get("p"), Some(&DataType::Decimal128(10, 2)));
        let json = r#"{"name":"string","a:b":"double","when":"timestamp(us,Europe/Paris)","at":"timestamp(ms,+01:00)","p":"decimal(10, 2)"}"#;
        assert_eq!(Overrides::parse(json).unwrap(), overrides);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schema");
        std::fs::write(&path, "name:utf8\na:int8\n").unwrap();
        assert_eq!(Overrides::parse(path.to_str().unwrap()).unwrap().get("a"), Some(&DataType::Int8));
    }

    #[test]
    fn arrows_own_spelling_is_understood() {
        assert_eq!(data_type("Int64"), Some(DataType::Int64));
        assert!(matches!(data_type("Timestamp(Second, None)"), Some(DataType::Timestamp(TimeUnit::Second, None))));
        assert!(matches!(data_type("List(Int64)"), None | Some(DataType::List(_))));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            ("", "no column"),
            ("name", "has no type"),
            ("name:nope", "`nope` is no type"),
            ("a:utf8,a:int8", "twice"),
            ("{\"a\":1}", "`1` is no type"),
            ("{\"a\"", "EOF"),
            ("p:decimal(99,1)", "no type"),
        ] {
            let error = Overrides::parse(text).unwrap_err();
            assert!(error.message().contains(why), "{error}");
        }
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        assert!(Overrides::parse("b:utf8").unwrap().apply(&schema).is_err());
        let schema = Overrides::parse("a:utf8").unwrap().apply(&schema).unwrap();
        assert_eq!(schema.field(0).data_type(), &DataType::Utf8);
    }
}
