//! The serializer's name and settings as JSON: enough to build it again anywhere.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// A serializer's name and settings, as JSON: `{"type":"parquet","compression":"zstd","level":1}`.
///
/// ```
/// use coldframe::Descriptor;
///
/// let descriptor = Descriptor::new("parquet").with("compression", "zstd").with("level", 1);
/// assert_eq!(descriptor.to_string(), r#"{"type":"parquet","compression":"zstd","level":1}"#);
/// assert_eq!(descriptor.name(), "parquet");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    #[serde(rename = "type")]
    name: String,
    #[serde(flatten)]
    settings: Map<String, Value>,
}

impl Descriptor {
    /// A descriptor without settings.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), settings: Map::new() }
    }

    /// Adds a setting.
    #[must_use]
    pub fn with(mut self, setting: &str, value: impl Into<Value>) -> Self {
        self.settings.insert(setting.to_owned(), value.into());
        self
    }

    /// The serializer's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One setting.
    pub fn get(&self, setting: &str) -> Option<&Value> {
        self.settings.get(setting)
    }

    /// All settings.
    pub fn settings(&self) -> &Map<String, Value> {
        &self.settings
    }

    /// One setting as text, if it is there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if it is something else.
    pub fn text(&self, setting: &str) -> Result<Option<&str>> {
        match self.settings.get(setting) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.refuse(setting, &format!("`{other}` is not text"))),
        }
    }

    /// One setting as a list of texts, empty where it is not there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if it is something else.
    pub fn texts(&self, setting: &str) -> Result<Vec<&str>> {
        match self.settings.get(setting) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
                Ok(items.iter().filter_map(Value::as_str).collect())
            }
            Some(other) => Err(self.refuse(setting, &format!("`{other}` is not a list of texts"))),
        }
    }

    /// One setting as a whole number, if it is there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if it is something else.
    pub fn integer(&self, setting: &str) -> Result<Option<i64>> {
        match self.settings.get(setting) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_i64() {
                Some(integer) => Ok(Some(integer)),
                None => Err(self.refuse(setting, &format!("`{value}` is not a whole number"))),
            },
        }
    }

    /// Refuses settings other than `known`, so that a misspelt one is not silently ignored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) naming the setting.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        match self.settings.keys().find(|setting| !known.contains(&setting.as_str())) {
            None => Ok(()),
            Some(setting) => Err(self.refuse(setting, "there is no such setting").with_hint(if known.is_empty() {
                format!("serializer `{}` has no settings", self.name)
            } else {
                format!("its settings are: {}", known.join(", "))
            })),
        }
    }

    /// An error about one setting of this descriptor.
    pub fn refuse(&self, setting: &str, why: &str) -> Error {
        Error::invalid(format!("serializer `{}`, setting `{setting}`: {why}", self.name))
    }
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}
