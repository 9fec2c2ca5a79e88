//! Where a copy comes from, as its reference tells.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Key, Version, WriteId};

/// The version that a copy was first made from, however often it was copied since.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Its key.
    pub key: Key,
    /// Its number among the versions of that key, in its own store.
    pub version: Version,
    /// The put that wrote it: the same in every copy, so that a copy is known again.
    pub write: WriteId,
    /// When it was put, by its writer's clock.
    #[serde(serialize_with = "serialize_instant")]
    pub created: DateTime<Utc>,
    /// What a newer version wrote and this one does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A time as references spell it: UTC, to the microsecond.
pub(super) fn printed(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn serialize_instant<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&printed(*time))
}
