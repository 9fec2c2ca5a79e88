//! The data objects of a result, as a reference describes them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::checksum::Checksum;

/// One data object of a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Where it lies, relative to the store's root.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its rows; absent where the value is no table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The checksum of all its bytes.
    pub checksum: Checksum,
    /// The end of a Parquet or Arrow file: what a reader needs to know before it reads data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<Section>,
    /// The page index of a Parquet file: it lies directly before the footer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Section>,
    /// Base64 of the little-endian XXH3-64 checksums of each MiB, for files that have no footer to hold them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extents: Option<String>,
    /// What a newer version wrote and this one does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A stretch of bytes at the end of a part, with its checksum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Its size in bytes.
    pub size: u64,
    /// The checksum of its bytes.
    pub checksum: Checksum,
}

impl Section {
    /// The section that `bytes` are.
    pub fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, checksum: Checksum::short(bytes) }
    }
}
