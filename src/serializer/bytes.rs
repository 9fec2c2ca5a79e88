//! `bytes`: raw bytes with a media type.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};

use super::ahead::{AHEAD_SHARE, ReadAhead};
use super::{Encoder, Ending, Piece, Readable, Serializer, Sink, Source, wrong_piece, wrong_shape};
use crate::error::Result;
use crate::reference::Descriptor;
use crate::value::Shape;

/// How many bytes of a stored file are read at once.
const READ_BYTES: u64 = 8 * 1024 * 1024;

/// Holds raw bytes; says what they are by a media type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawBytes {
    /// The media type, such as `text/csv`.
    pub media_type: Option<String>,
}

impl RawBytes {
    pub(super) fn from_descriptor(descriptor: &Descriptor) -> Result<Self> {
        descriptor.only(&["media_type"])?;
        let media_type = descriptor.text("media_type")?.map(str::to_owned);
        if let Some(media_type) = &media_type
            && !(media_type.contains('/') && media_type.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '))
        {
            return Err(descriptor.refuse("media_type", &format!("`{}` is no media type", media_type.escape_debug())));
        }
        Ok(Self { media_type })
    }
}

#[async_trait]
impl Serializer for RawBytes {
    fn descriptor(&self) -> Descriptor {
        let descriptor = Descriptor::new("bytes");
        match &self.media_type {
            Some(media_type) => descriptor.with("media_type", media_type.as_str()),
            None => descriptor,
        }
    }

    fn extension(&self) -> String {
        "bin".into()
    }

    fn check(&self, shape: &Shape) -> Result<()> {
        match shape {
            Shape::Bytes => Ok(()),
            other => Err(wrong_shape("bytes", "bytes", other, "use `parquet` for tables, `json` for JSON values")),
        }
    }

    fn encoder(&self, shape: &Shape, _memory: usize) -> Result<Box<dyn Encoder>> {
        self.check(shape)?;
        Ok(Box::new(BytesEncoder))
    }

    async fn open(&self, source: Arc<dyn Source>, memory: usize) -> Result<Readable> {
        let ahead = ReadAhead::whole(source, READ_BYTES, memory / AHEAD_SHARE)?;
        let pieces = stream::try_unfold(ahead, |mut ahead| async move {
            let read = ahead.next().await?;
            Ok(read.and_then(|mut read| read.pop()).map(|piece| (piece, ahead)))
        });
        Ok(Readable::Bytes(pieces.boxed()))
    }
}

struct BytesEncoder;

impl Encoder for BytesEncoder {
    fn write(&mut self, piece: Piece, sink: &mut Sink) -> Result<()> {
        match piece {
            Piece::Bytes(bytes) => sink.push(bytes),
            other => Err(wrong_piece(&other)),
        }
    }

    fn finish(&mut self, sink: &mut Sink) -> Result<()> {
        sink.end_part(Ending { extents_in_reference: true, ..Ending::default() })
    }
}
