//! `parquet`: tables as plain Parquet files that any reader opens.
//!
//! Rows are gathered into row groups of at most a quarter of the memory budget, and each group is encoded column by
//! column on as many threads as there are cores; so memory depends neither on how long the stream is nor on how many
//! columns it has. The exact Arrow schema lies in the file's `ARROW:schema`, the checksums of the column chunks in
//! `coldframe.extents`, and dictionaries as they came in `coldframe.dictionaries`. What Parquet holds no dictionary of is
//! stored as plain rows, with the types in `coldframe.types`, and read as the dictionary that it was.

mod check;
mod decode;
mod dictionaries;
mod encode;
mod finish;
mod footer;
mod mend;
mod narrow;
mod prune;
mod restore;
mod rows;
mod statistics;
mod stored;
mod values;

use std::sync::Arc;

use async_trait::async_trait;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use serde_json::Value as Json;

use super::{Encoder, Readable, Serializer, Source, wrong_shape};
use crate::error::{Error, Result};
use crate::reference::Descriptor;
use crate::value::Shape;

/// The file's own list of extent checksums: of every column chunk, in the order of the file.
pub const EXTENTS_KEY: &str = "coldframe.extents";
/// The dictionaries of the columns that are dictionaries, in their own order, unused values included.
pub const DICTIONARIES_KEY: &str = "coldframe.dictionaries";
/// What columns are that were dictionaries and are stored as something else.
pub const TYPES_KEY: &str = "coldframe.types";
/// How many rows a file without columns has.
pub const ROWS_KEY: &str = "coldframe.rows";

const CODECS: &str = "none, snappy, lz4, zstd(1..22) and gzip(0..9)";

/// Holds tables as Parquet.
///
/// ```
/// use coldframe::serializer::{Parquet, Serializer};
///
/// assert_eq!(Parquet::default().descriptor().to_string(), r#"{"type":"parquet","compression":"zstd","level":1}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parquet {
    compression: Compression,
}

impl Default for Parquet {
    fn default() -> Self {
        Self { compression: Compression::ZSTD(ZstdLevel::default()) }
    }
}

impl Parquet {
    /// With a codec and a level, each the default where absent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if there is no such codec or level.
    pub fn with_codec(codec: Option<&str>, level: Option<i64>) -> Result<Self> {
        let refuse = |why: String| Error::invalid(why).with_hint(format!("the codecs of `parquet` are {CODECS}"));
        let codec = codec.unwrap_or("zstd");
        let no_level = |compression| match level {
            None => Ok(compression),
            Some(_) => Err(refuse(format!("`{codec}` has no levels"))),
        };
        let wrong_level = |level: i64| refuse(format!("{level} is no level of `{codec}`"));
        let compression = match codec {
            "none" => no_level(Compression::UNCOMPRESSED)?,
            "snappy" => no_level(Compression::SNAPPY)?,
            "lz4" => no_level(Compression::LZ4_RAW)?,
            "zstd" => {
                let level = level.unwrap_or(1);
                let zstd = i32::try_from(level).ok().and_then(|level| ZstdLevel::try_new(level).ok());
                Compression::ZSTD(zstd.ok_or_else(|| wrong_level(level))?)
            }
            "gzip" => {
                let level = level.unwrap_or(6);
                let gzip = u32::try_from(level).ok().and_then(|level| GzipLevel::try_new(level).ok());
                Compression::GZIP(gzip.ok_or_else(|| wrong_level(level))?)
            }
            other => return Err(refuse(format!("`{}` is no codec of `parquet`", other.escape_debug()))),
        };
        Ok(Self { compression })
    }

    pub(super) fn from_descriptor(descriptor: &Descriptor) -> Result<Self> {
        descriptor.only(&["compression", "level"])?;
        Self::with_codec(descriptor.text("compression")?, descriptor.integer("level")?)
    }
}

#[async_trait]
impl Serializer for Parquet {
    fn descriptor(&self) -> Descriptor {
        let named = |codec: &str| Descriptor::new("parquet").with("compression", codec);
        match self.compression {
            Compression::SNAPPY => named("snappy"),
            Compression::LZ4_RAW => named("lz4"),
            Compression::ZSTD(level) => named("zstd").with("level", level.compression_level()),
            Compression::GZIP(level) => named("gzip").with("level", level.compression_level()),
            _ => named("none"),
        }
    }

    fn extension(&self) -> String {
        "parquet".into()
    }

    fn check(&self, shape: &Shape) -> Result<()> {
        match shape {
            Shape::Table(schema) => check::check_schema(schema),
            other => Err(wrong_shape("parquet", "tables", other, "use `json` for JSON values, `bytes` for bytes")),
        }
    }

    fn losses(&self, shape: &Shape) -> Vec<Json> {
        shape.schema().map(check::losses).unwrap_or_default()
    }

    fn encoder(&self, shape: &Shape, memory: usize) -> Result<Box<dyn Encoder>> {
        self.check(shape)?;
        match shape {
            Shape::Table(schema) => Ok(Box::new(encode::ParquetEncoder::try_new(schema, self.compression, memory)?)),
            other => Err(wrong_shape("parquet", "tables", other, "use `json` or `bytes`")),
        }
    }

    async fn open(&self, source: Arc<dyn Source>, memory: usize) -> Result<Readable> {
        Ok(Readable::Table(Arc::new(decode::ParquetTable::open(source, memory).await?)))
    }
}
