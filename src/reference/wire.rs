//! A reference as JSON: field order, what may be absent, and what makes it unreadable.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::origin::{Origin, printed};
use super::{Descriptor, FORMAT, Held, Key, Part, ResultReference, Version, WriteId, Written};
use crate::error::{Error, ErrorKind, Result};

/// The fields in the order they are written.
#[derive(Serialize, Deserialize)]
pub(super) struct Wire {
    #[serde(rename = "type")]
    kind: String,
    format: u64,
    key: Key,
    version: Version,
    write: WriteId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    storage: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    needs: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    serializer: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parts: Option<Vec<Part>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    rows: Option<Option<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    schema: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lossy: Option<Vec<Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    copied_from: Option<Origin>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    expires: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    title: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// Tells a field that is null from one that is not there.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Wire {
    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        let hint = "a reference is the JSON that a put returns; `coldframe put --json` prints it";
        let value: Value = serde_json::from_slice(text)
            .map_err(|error| Error::invalid(format!("this is no JSON: {error}")).with_hint(hint))?;
        if let Some(format) = value.get("format").and_then(Value::as_u64)
            && format > FORMAT
        {
            return Err(newer(format!("it has format {format}, this version reads up to {FORMAT}")));
        }
        serde_json::from_value(value)
            .map_err(|error| Error::invalid(format!("this is no reference: {error}")).with_hint(hint))
    }
}

fn newer(why: String) -> Error {
    Error::new(ErrorKind::Unsupported, format!("a newer coldframe wrote this reference: {why}"))
        .with_hint("read it with a newer version of coldframe")
}

fn instant(text: &str, field: &str) -> Result<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.with_timezone(&Utc))
        .map_err(|_| Error::invalid(format!("the reference's `{field}` is no time: `{}`", text.escape_debug())))
}

fn required<T>(value: Option<T>, field: &str) -> Result<T> {
    value.ok_or_else(|| {
        Error::invalid(format!("the reference says how it was serialized, but its `{field}` is missing"))
    })
}

impl TryFrom<Wire> for ResultReference {
    type Error = Error;

    fn try_from(wire: Wire) -> Result<Self> {
        if wire.kind != "reference" {
            return Err(Error::invalid(format!("this is a `{}`, not a reference", wire.kind.escape_debug())));
        }
        if wire.format != FORMAT {
            return Err(newer(format!("it has format {}, this version reads {FORMAT}", wire.format)));
        }
        if let Some(need) = wire.needs.first() {
            return Err(newer(format!("it needs `{}`", need.escape_debug())));
        }
        let written = match wire.serializer {
            None => None,
            Some(serializer) => Some(Box::new(Written {
                serializer,
                parts: required(wire.parts, "parts")?,
                rows: wire.rows.flatten(),
                size: required(wire.size, "size")?,
                schema: wire.schema.flatten(),
                fingerprint: wire.fingerprint,
                source: wire.source,
                lossy: wire.lossy.unwrap_or_default(),
                created: instant(&required(wire.created, "created")?, "created")?,
                copied_from: wire.copied_from,
                expires: wire.expires.flatten().map(|text| instant(&text, "expires")).transpose()?,
                title: wire.title.flatten(),
                description: wire.description,
                metadata: wire.metadata.unwrap_or_default(),
            })),
        };
        Ok(Self {
            key: wire.key,
            version: wire.version,
            write: wire.write,
            storage: wire.storage,
            profile: wire.profile,
            written,
            other: wire.other,
            held: Held::default(),
        })
    }
}

impl From<ResultReference> for Wire {
    fn from(reference: ResultReference) -> Self {
        let mut wire = Self {
            kind: "reference".into(),
            format: FORMAT,
            key: reference.key,
            version: reference.version,
            write: reference.write,
            storage: reference.storage,
            profile: reference.profile,
            needs: Vec::new(),
            serializer: None,
            parts: None,
            rows: None,
            size: None,
            schema: None,
            fingerprint: None,
            source: None,
            lossy: None,
            created: None,
            copied_from: None,
            expires: None,
            title: None,
            description: None,
            metadata: None,
            other: reference.other,
        };
        if let Some(written) = reference.written {
            wire.serializer = Some(written.serializer);
            wire.parts = Some(written.parts);
            wire.rows = Some(written.rows);
            wire.size = Some(written.size);
            wire.schema = Some(written.schema);
            wire.fingerprint = written.fingerprint;
            wire.source = written.source;
            wire.lossy = Some(written.lossy);
            wire.created = Some(printed(written.created));
            wire.copied_from = written.copied_from;
            wire.expires = Some(written.expires.map(printed));
            wire.title = Some(written.title);
            wire.description = written.description;
            wire.metadata = Some(written.metadata);
        }
        wire
    }
}
