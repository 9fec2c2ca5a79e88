//! Records: what an orchestrator keeps of a task's result in its database.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::reference::{FORMAT, ResultReference};

/// A value that is kept inside the record itself: no object is written for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Literal {
    /// `null`: a value, unlike [`NoResult`].
    Null,
    /// `true` or `false`.
    Bool(bool),
}

impl Literal {
    /// The literal that a JSON value is, if it is one.
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::Null),
            Value::Bool(value) => Some(Self::Bool(*value)),
            _ => None,
        }
    }

    /// The literal as a JSON value.
    pub fn to_json(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_json().fmt(f)
    }
}

/// A literal as a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResultLiteral(pub Literal);

/// Nothing was ever returned; not the same as a returned `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct NoResult;

/// A reference, a literal, or no result, as tagged JSON.
///
/// ```
/// use coldframe::{Literal, NoResult, ResultLiteral, ResultRecord};
///
/// let record = ResultRecord::from(ResultLiteral(Literal::Null));
/// assert_eq!(record.to_json(), r#"{"type":"literal","format":1,"value":null}"#);
/// assert_ne!(record, ResultRecord::from(NoResult));
/// assert_eq!(ResultRecord::default(), ResultRecord::from(NoResult));
/// assert_eq!(ResultRecord::from_json(&record.to_json())?, record);
/// # Ok::<(), coldframe::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum ResultRecord {
    /// `{"type":"reference", …}`
    Reference(Box<ResultReference>),
    /// `{"type":"literal","format":1,"value":…}`
    Literal(ResultLiteral),
    /// `{"type":"none","format":1}`
    None(NoResult),
}

impl ResultRecord {
    /// Reads a record.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the text is none, [`ErrorKind::Unsupported`] if a newer version wrote it.
    pub fn from_json(text: &str) -> Result<Self> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| Error::invalid(format!("this is no JSON: {error}")))?;
        match value.get("type").and_then(Value::as_str) {
            Some("reference") => ResultReference::from_json(text).map(Self::from),
            Some("literal") => {
                format_of(&value)?;
                let literal = value.get("value").and_then(Literal::from_json);
                literal
                    .map(|literal| ResultLiteral(literal).into())
                    .ok_or_else(|| Error::invalid("the `value` of a literal is null, true or false, and must be there"))
            }
            Some("none") => {
                format_of(&value)?;
                Ok(NoResult.into())
            }
            Some(other) => Err(Error::invalid(format!("`{}` is no type of record", other.escape_debug()))
                .with_hint("records are of type reference, literal or none")),
            None => Err(Error::invalid("this is no record: it has no `type`")),
        }
    }

    /// The record as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The reference, if it is one.
    pub fn reference(&self) -> Option<&ResultReference> {
        match self {
            Self::Reference(reference) => Some(reference),
            _ => None,
        }
    }
}

fn format_of(value: &Value) -> Result<()> {
    match value.get("format").and_then(Value::as_u64) {
        Some(FORMAT) => Ok(()),
        Some(format) => Err(Error::new(ErrorKind::Unsupported, format!("this record has format {format}"))
            .with_hint(format!("this version of coldframe reads format {FORMAT}"))),
        None => Err(Error::invalid("this is no record: it has no `format`")),
    }
}

impl Default for ResultRecord {
    fn default() -> Self {
        Self::None(NoResult)
    }
}

impl Serialize for ResultRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Reference(reference) => reference.serialize(serializer),
            Self::Literal(ResultLiteral(literal)) => {
                json!({"type": "literal", "format": FORMAT, "value": literal.to_json()}).serialize(serializer)
            }
            Self::None(NoResult) => json!({"type": "none", "format": FORMAT}).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ResultRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_json(&value.to_string()).map_err(serde::de::Error::custom)
    }
}

impl From<ResultReference> for ResultRecord {
    fn from(reference: ResultReference) -> Self {
        Self::Reference(Box::new(reference))
    }
}

impl From<ResultLiteral> for ResultRecord {
    fn from(literal: ResultLiteral) -> Self {
        Self::Literal(literal)
    }
}

impl From<NoResult> for ResultRecord {
    fn from(none: NoResult) -> Self {
        Self::None(none)
    }
}
