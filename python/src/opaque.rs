//! Serializers that only Python knows: here their results are bytes with a descriptor.

use std::sync::Arc;

use async_trait::async_trait;
use coldframe::serializer::{Codec, Compressed, Encoder, RawBytes, Readable, Serializer, Source};
use coldframe::{Descriptor, Error, Registry, Shape};

/// The serializers of a store: those of the core, and any other as bytes, for Python to say whether it knows it.
pub(crate) fn registry() -> Registry {
    let registry = Registry::default();
    registry.fall_back_to(|descriptor| serializer(descriptor.clone(), "bin".to_owned()));
    registry
}

/// Bytes that a Python serializer made.
#[derive(Debug)]
struct Opaque {
    descriptor: Descriptor,
    extension: String,
    bytes: RawBytes,
}

#[async_trait]
impl Serializer for Opaque {
    fn descriptor(&self) -> Descriptor {
        self.descriptor.clone()
    }

    fn extension(&self) -> String {
        self.extension.clone()
    }

    fn check(&self, shape: &Shape) -> coldframe::Result<()> {
        self.bytes.check(shape)
    }

    fn encoder(&self, shape: &Shape, memory: usize) -> coldframe::Result<Box<dyn Encoder>> {
        self.bytes.encoder(shape, memory)
    }

    async fn open(&self, source: Arc<dyn Source>, memory: usize) -> coldframe::Result<Readable> {
        self.bytes.open(source, memory).await
    }
}

/// The serializer of bytes that Python made, by its descriptor; the core compresses them where it says so.
pub(crate) fn serializer(descriptor: Descriptor, extension: String) -> coldframe::Result<Arc<dyn Serializer>> {
    if descriptor.name() != "compressed" {
        return Ok(Arc::new(Opaque { descriptor, extension, bytes: RawBytes::default() }));
    }
    let inner = descriptor.get("inner").cloned().unwrap_or_default();
    let inner: Descriptor = serde_json::from_value(inner)
        .map_err(|failure| Error::invalid(format!("serializer `compressed`, setting `inner`: {failure}")))?;
    let codec = Codec::parse(descriptor.text("codec")?.unwrap_or("zstd"), descriptor.integer("level")?)?;
    Ok(Arc::new(Compressed::new(serializer(inner, extension)?, codec)))
}
