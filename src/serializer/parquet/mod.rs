//! `parquet`: tables as plain Parquet files that any reader opens.
//!
//! Rows are gathered into row groups of at most a quarter of the memory budget, and each group is encoded column by
//! column on as many threads as there are cores; so memory depends neither on how long the stream is nor on how many
//! columns it has. They are decoded in parallel as well, some batches at a time. The exact Arrow schema lies in the file's `ARROW:schema`, the checksums of the column chunks in
//! `coldframe.extents`, and dictionaries as they came in `coldframe.dictionaries`. What Parquet holds no dictionary of is
//! stored as plain rows, with the types in `coldframe.types`, and read as the dictionary that it was.

mod bloom;
mod check;
mod chunk;
mod claims;
mod column;
mod cut;
mod decode;
mod decompress;
mod dictionaries;
mod encode;
mod finish;
mod footer;
mod group;
mod mend;
mod narrow;
mod page_header;
mod pages;
mod parallel;
mod prune;
mod restore;
mod rows;
mod sieve;
mod statistics;
mod stored;
#[cfg(test)]
mod tests;
mod thrift;
mod values;

use std::sync::Arc;

use async_trait::async_trait;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use serde_json::Value as Json;

use self::column::Taste;
use super::{Encoder, Readable, Serializer, Source, cores, wrong_shape};
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
/// Why columns are encoded as they are.
pub const CHOICES_KEY: &str = "coldframe.choices";

const CODECS: &str = "none, snappy, lz4, zstd(1..22) and gzip(0..9)";

const PRESETS: &str = "fast, default and small";

/// What is more dear: time or bytes. Codec and encoding are then chosen for each column from its own rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Preset {
    /// Time: what gains little is not compressed, the rest with `lz4`.
    Fast,
    /// Both: what gains by it is compressed, with `lz4` or `zstd(1)`.
    #[default]
    Default,
    /// Bytes: `zstd(3)` for whatever gains by it.
    Small,
}

impl Preset {
    /// The preset of this name; the default where none is named.
    pub(super) fn named(name: Option<&str>) -> Result<Self> {
        match name {
            None | Some("default") => Ok(Self::Default),
            Some("fast") => Ok(Self::Fast),
            Some("small") => Ok(Self::Small),
            Some(other) => Err(Error::invalid(format!("`{}` is no preset of `parquet`", other.escape_debug()))
                .with_hint(format!("the presets are {PRESETS}"))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Default => "default",
            Self::Small => "small",
        }
    }
}

/// How columns are encoded and compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Compressing {
    preset: Preset,
    /// Of all columns alike, because somebody said so.
    codec: Option<Compression>,
}

fn zstd(level: i32) -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default())
}

impl Compressing {
    /// The codec of columns for which none is chosen.
    fn usual(self) -> Compression {
        self.codec.unwrap_or(match self.preset {
            Preset::Fast => Compression::LZ4_RAW,
            Preset::Default => zstd(1),
            Preset::Small => zstd(3),
        })
    }

    fn taste(self) -> Taste {
        let none = Compression::UNCOMPRESSED;
        let (byte, codecs) = match self.preset {
            Preset::Fast => (4.0, vec![none, Compression::LZ4_RAW]),
            Preset::Default => (32.0, vec![none, Compression::LZ4_RAW, zstd(1)]),
            Preset::Small => (200.0, vec![none, zstd(3)]),
        };
        Taste { byte, codecs: self.codec.map_or(codecs, |codec| vec![codec]) }
    }
}

/// Holds tables as Parquet.
///
/// ```
/// use coldframe::serializer::{Parquet, Preset, Serializer};
///
/// assert_eq!(Parquet::default().descriptor().to_string(), r#"{"type":"parquet"}"#);
/// assert_eq!(Parquet::with_preset(Preset::Small).descriptor().to_string(), r#"{"type":"parquet","preset":"small"}"#);
/// assert_eq!(
///     Parquet::with_codec(Some("lz4"), None)?.descriptor().to_string(),
///     r#"{"type":"parquet","compression":"lz4"}"#,
/// );
/// # Ok::<(), coldframe::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parquet {
    compressing: Compressing,
    /// The names of columns.
    bloom_filters: Vec<String>,
}

impl Parquet {
    /// With encodings and codecs chosen for each column, as the preset has it.
    pub fn with_preset(preset: Preset) -> Self {
        Self { compressing: Compressing { preset, codec: None }, bloom_filters: Vec::new() }
    }

    /// With a bloom filter of these columns in every row group, which tells in which of them a value is not: worth its
    /// bytes, about ten bits for each distinct value, where rows are looked up by keys that come in no order.
    ///
    /// ```
    /// use coldframe::serializer::{Parquet, Serializer};
    ///
    /// let parquet = Parquet::default().with_bloom_filters(["order"]);
    /// assert_eq!(parquet.descriptor().to_string(), r#"{"type":"parquet","bloom_filters":["order"]}"#);
    /// ```
    pub fn with_bloom_filters(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        for column in columns.into_iter().map(Into::into) {
            if !self.bloom_filters.contains(&column) {
                self.bloom_filters.push(column);
            }
        }
        self
    }

    /// With this codec and level for all columns; `zstd` where the codec is absent. Encodings are chosen for each.
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
        Ok(Self {
            compressing: Compressing { preset: Preset::Default, codec: Some(compression) },
            bloom_filters: Vec::new(),
        })
    }

    pub(super) fn from_descriptor(descriptor: &Descriptor) -> Result<Self> {
        descriptor.only(&["preset", "compression", "level", "bloom_filters"])?;
        let preset = Preset::named(descriptor.text("preset")?)?;
        let parquet = Self::from_parts(preset, descriptor.text("compression")?, descriptor.integer("level")?)?;
        Ok(parquet.with_bloom_filters(descriptor.texts("bloom_filters")?))
    }

    /// With a codec for all columns only if one is named, or a level is.
    pub(super) fn from_parts(preset: Preset, codec: Option<&str>, level: Option<i64>) -> Result<Self> {
        if codec.is_none() && level.is_none() {
            return Ok(Self::with_preset(preset));
        }
        let codec = Self::with_codec(codec, level)?.compressing.codec;
        Ok(Self { compressing: Compressing { preset, codec }, bloom_filters: Vec::new() })
    }
}

#[async_trait]
impl Serializer for Parquet {
    fn descriptor(&self) -> Descriptor {
        let Compressing { preset, codec } = self.compressing;
        let parquet = Descriptor::new("parquet");
        let parquet = if preset == Preset::Default { parquet } else { parquet.with("preset", preset.name()) };
        let named = |codec: &str| parquet.clone().with("compression", codec);
        let parquet = match codec {
            None => parquet.clone(),
            Some(Compression::SNAPPY) => named("snappy"),
            Some(Compression::LZ4_RAW) => named("lz4"),
            Some(Compression::ZSTD(level)) => named("zstd").with("level", level.compression_level()),
            Some(Compression::GZIP(level)) => named("gzip").with("level", level.compression_level()),
            Some(_) => named("none"),
        };
        if self.bloom_filters.is_empty() { parquet } else { parquet.with("bloom_filters", self.bloom_filters.clone()) }
    }

    fn extension(&self) -> String {
        "parquet".into()
    }

    fn check(&self, shape: &Shape) -> Result<()> {
        match shape {
            Shape::Table(schema) => {
                check::check_schema(schema)?;
                check::check_bloom_filters(schema, &self.bloom_filters)
            }
            other => Err(wrong_shape("parquet", "tables", other, "use `json` for JSON values, `bytes` for bytes")),
        }
    }

    fn losses(&self, shape: &Shape) -> Vec<Json> {
        shape.schema().map(check::losses).unwrap_or_default()
    }

    fn encoder(&self, shape: &Shape, memory: usize) -> Result<Box<dyn Encoder>> {
        self.check(shape)?;
        match shape {
            Shape::Table(schema) => Ok(Box::new(encode::ParquetEncoder::try_new(schema, self, memory, cores())?)),
            other => Err(wrong_shape("parquet", "tables", other, "use `json` or `bytes`")),
        }
    }

    async fn open(&self, source: Arc<dyn Source>, memory: usize) -> Result<Readable> {
        Ok(Readable::Table(Arc::new(decode::ParquetTable::open(source, memory).await?)))
    }
}
