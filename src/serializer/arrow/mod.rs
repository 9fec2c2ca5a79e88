//! `arrow`: tables as Arrow IPC files, with every Arrow type exactly as it went in.
//!
//! Batches are written as they come, cut to at most 16 MiB, and not copied on the way. Where a later batch brings another
//! dictionary, the known one grows by what is new in it (an IPC file cannot replace a dictionary), or a new part begins.
//! The checksums of the messages lie in the file's own footer, under `coldframe.extents`, and those of their heads under
//! `coldframe.heads`.

mod check;
mod chosen;
mod compress;
mod decode;
mod decompress;
mod dictionaries;
mod encode;
mod lz4;
mod message;
mod nested;
mod send;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ::arrow::ipc::CompressionType;
use ::arrow::ipc::MetadataVersion;
use ::arrow::ipc::writer::{DictionaryHandling, IpcWriteOptions};
use async_trait::async_trait;

use self::compress::Codec;
use super::{Encoder, Readable, Serializer, Source, cores, wrong_shape};
use crate::error::{Error, Result};
use crate::reference::Descriptor;
use crate::value::Shape;

/// The file's own list of extent checksums: of the messages of every record batch, dictionaries before it included.
pub const EXTENTS_KEY: &str = "coldframe.extents";

/// The checksums of the heads of all messages, in the order of the file; where a file is trusted, only they are compared.
pub const HEADS_KEY: &str = "coldframe.heads";

const CODECS: &str = "none, lz4 and zstd(1..22)";

/// Holds tables as Arrow IPC files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrow {
    compression: Option<CompressionType>,
    level: Option<i32>,
}

impl Arrow {
    /// With a codec and a level; not compressed where absent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if there is no such codec or level.
    pub fn with_codec(codec: Option<&str>, level: Option<i64>) -> Result<Self> {
        let refuse = |why: String| Error::invalid(why).with_hint(format!("the codecs of `arrow` are {CODECS}"));
        let codec = codec.unwrap_or("none");
        match (codec, level) {
            ("none", None) => Ok(Self::default()),
            ("lz4", None) => Ok(Self { compression: Some(CompressionType::LZ4_FRAME), level: None }),
            ("none" | "lz4", Some(_)) => Err(refuse(format!("`{codec}` has no levels"))),
            ("zstd", level) => {
                let level = level.unwrap_or(1);
                let zstd = i32::try_from(level).ok().filter(|level| (1..=22).contains(level));
                let zstd = zstd.ok_or_else(|| refuse(format!("{level} is no level of `zstd`")))?;
                Ok(Self { compression: Some(CompressionType::ZSTD), level: Some(zstd) })
            }
            (other, _) => Err(refuse(format!("`{}` is no codec of `arrow`", other.escape_debug()))),
        }
    }

    pub(super) fn from_descriptor(descriptor: &Descriptor) -> Result<Self> {
        descriptor.only(&["compression", "level"])?;
        Self::with_codec(descriptor.text("compression")?, descriptor.integer("level")?)
    }

    fn codec(&self) -> Option<Codec> {
        self.compression.map(|codec| match codec {
            CompressionType::ZSTD => Codec::Zstd(self.level.unwrap_or(1)),
            _ => Codec::Lz4,
        })
    }

    fn options() -> Result<IpcWriteOptions> {
        IpcWriteOptions::try_new(64, false, MetadataVersion::V5)
            .map(|options| options.with_dictionary_handling(DictionaryHandling::Delta))
            .map_err(|error| Error::internal(format!("the Arrow writer refused its options: {error}")))
    }
}

#[async_trait]
impl Serializer for Arrow {
    fn descriptor(&self) -> Descriptor {
        let named = |codec: &str| Descriptor::new("arrow").with("compression", codec);
        match (self.compression, self.level) {
            (None, _) => named("none"),
            (Some(CompressionType::ZSTD), level) => named("zstd").with("level", level.unwrap_or(1)),
            (Some(_), _) => named("lz4"),
        }
    }

    fn extension(&self) -> String {
        "arrow".into()
    }

    fn check(&self, shape: &Shape) -> Result<()> {
        match shape {
            Shape::Table(schema) => check::check_schema(schema),
            other => Err(wrong_shape("arrow", "tables", other, "use `json` for JSON values, `bytes` for bytes")),
        }
    }

    fn encoder(&self, shape: &Shape, memory: usize) -> Result<Box<dyn Encoder>> {
        match shape {
            Shape::Table(schema) => {
                let (schema, options) = (schema.clone(), Self::options()?);
                Ok(Box::new(encode::ArrowEncoder::new(schema, options, self.codec(), memory, cores())))
            }
            other => Err(wrong_shape("arrow", "tables", other, "use `json` or `bytes`")),
        }
    }

    async fn open(&self, source: Arc<dyn Source>, memory: usize) -> Result<Readable> {
        Ok(Readable::Table(Arc::new(
            decode::ArrowTable::open(source, self.compression.is_none(), memory, cores()).await?,
        )))
    }
}
