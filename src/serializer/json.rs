//! `json`: a JSON value as UTF-8 text.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value as Json;

use super::{CheckedSource, Encoder, Ending, Piece, Readable, Serializer, Sink, Source, wrong_piece, wrong_shape};
use crate::error::{Error, Result};
use crate::reference::Descriptor;
use crate::value::Shape;

/// Holds JSON values as compact UTF-8 text; the order of an object's names is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JsonText;

#[async_trait]
impl Serializer for JsonText {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("json")
    }

    fn extension(&self) -> String {
        "json".into()
    }

    fn check(&self, shape: &Shape) -> Result<()> {
        match shape {
            Shape::Json => Ok(()),
            other => Err(wrong_shape("json", "JSON values", other, "use `parquet` for tables, `bytes` for bytes")),
        }
    }

    fn encoder(&self, shape: &Shape, _memory: usize) -> Result<Box<dyn Encoder>> {
        self.check(shape)?;
        Ok(Box::new(JsonEncoder))
    }

    async fn open(&self, source: Arc<dyn Source>, _memory: usize) -> Result<Readable> {
        let size = source.part().size;
        let bytes = CheckedSource::whole(source)?.read_range(0..size).await?;
        let value: Json = serde_json::from_slice(&bytes)
            .map_err(|error| Error::damaged(format!("the file holds no JSON value: {error}")))?;
        Ok(Readable::Json(value))
    }
}

struct JsonEncoder;

impl Encoder for JsonEncoder {
    fn write(&mut self, piece: Piece, sink: &mut Sink) -> Result<()> {
        match piece {
            Piece::Json(value) => serde_json::to_writer(sink, &value)
                .map_err(|error| Error::invalid(format!("the value is no JSON: {error}")).with_source(error)),
            other => Err(wrong_piece(&other)),
        }
    }

    fn finish(&mut self, sink: &mut Sink) -> Result<()> {
        sink.end_part(Ending { extents_in_reference: true, ..Ending::default() })
    }
}
