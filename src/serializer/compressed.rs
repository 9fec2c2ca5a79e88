//! `compressed`: another serializer's bytes through a codec.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value as Json;
use tempfile::SpooledTempFile;

use super::ahead::{AHEAD_SHARE, ReadAhead};
use super::{EncodedPart, Encoder, Ending, Output, Piece, Readable, Registry, Serializer, Sink, Source, tray::Tray};
use crate::error::{Error, ErrorKind, Result};
use crate::reference::{Descriptor, Part};
use crate::value::Shape;

/// How much of a decompressed file stays in memory; the rest goes to an unnamed temporary file.
const SPOOL_BYTES: usize = 16 * 1024 * 1024;
const READ_BYTES: u64 = 4 * 1024 * 1024;

/// A codec for whole files, with its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// LZ4 frames.
    Lz4,
    /// Zstandard, level 1 to 22.
    Zstd(i32),
    /// Gzip, level 0 to 9.
    Gzip(u32),
    /// Bzip2, level 1 to 9.
    Bzip2(u32),
    /// XZ, level 0 to 9.
    Xz(u32),
}

impl Codec {
    /// The codec of that name, at that level or its usual one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if there is none.
    pub fn parse(name: &str, level: Option<i64>) -> Result<Self> {
        let ranged = |range: std::ops::RangeInclusive<i64>, default: i64| {
            let level = level.unwrap_or(default);
            if range.contains(&level) {
                Ok(level)
            } else {
                Err(Error::invalid(format!("{level} is no level of `{name}`")).with_hint(format!(
                    "its levels go from {} to {}",
                    range.start(),
                    range.end()
                )))
            }
        };
        let small = |level: i64| u32::try_from(level).unwrap_or(1);
        match name {
            "lz4" if level.is_none() => Ok(Self::Lz4),
            "lz4" => Err(Error::invalid("`lz4` has no levels")),
            "zstd" => Ok(Self::Zstd(i32::try_from(ranged(1..=22, 3)?).unwrap_or(3))),
            "gzip" => Ok(Self::Gzip(small(ranged(0..=9, 6)?))),
            "bzip2" => Ok(Self::Bzip2(small(ranged(1..=9, 6)?))),
            "xz" => Ok(Self::Xz(small(ranged(0..=9, 6)?))),
            other => Err(Error::invalid(format!("`{}` is no codec", other.escape_debug()))
                .with_hint("the codecs of `compressed` are lz4, zstd, gzip, bzip2 and xz")),
        }
    }

    fn name_and_level(self) -> (&'static str, Option<i64>) {
        match self {
            Self::Lz4 => ("lz4", None),
            Self::Zstd(level) => ("zstd", Some(level.into())),
            Self::Gzip(level) => ("gzip", Some(level.into())),
            Self::Bzip2(level) => ("bzip2", Some(level.into())),
            Self::Xz(level) => ("xz", Some(level.into())),
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Lz4 => "lz4",
            Self::Zstd(_) => "zst",
            Self::Gzip(_) => "gz",
            Self::Bzip2(_) => "bz2",
            Self::Xz(_) => "xz",
        }
    }

    fn compressor(self, output: Tray) -> Result<Compressor> {
        Ok(match self {
            Self::Lz4 => Compressor::Lz4(Box::new(lz4_flex::frame::FrameEncoder::new(output))),
            Self::Zstd(level) => Compressor::Zstd(zstd::Encoder::new(output, level).map_err(codec_error)?),
            Self::Gzip(level) => {
                Compressor::Gzip(flate2::write::GzEncoder::new(output, flate2::Compression::new(level)))
            }
            Self::Bzip2(level) => {
                Compressor::Bzip2(bzip2::write::BzEncoder::new(output, bzip2::Compression::new(level)))
            }
            Self::Xz(level) => Compressor::Xz(liblzma::write::XzEncoder::new(output, level)),
        })
    }

    fn decompressor<R: Read + Send + 'static>(self, input: R) -> Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(input)),
            Self::Zstd(_) => Box::new(zstd::Decoder::new(input).map_err(codec_error)?),
            Self::Gzip(_) => Box::new(flate2::read::MultiGzDecoder::new(input)),
            Self::Bzip2(_) => Box::new(bzip2::read::MultiBzDecoder::new(input)),
            Self::Xz(_) => Box::new(liblzma::read::XzDecoder::new_multi_decoder(input)),
        })
    }
}

fn codec_error(error: io::Error) -> Error {
    Error::internal(format!("a codec could not be started: {error}")).with_source(error)
}

enum Compressor {
    Lz4(Box<lz4_flex::frame::FrameEncoder<Tray>>),
    Zstd(zstd::Encoder<'static, Tray>),
    Gzip(flate2::write::GzEncoder<Tray>),
    Bzip2(bzip2::write::BzEncoder<Tray>),
    Xz(liblzma::write::XzEncoder<Tray>),
}

impl Compressor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Lz4(encoder) => encoder.write_all(bytes),
            Self::Zstd(encoder) => encoder.write_all(bytes),
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Bzip2(encoder) => encoder.write_all(bytes),
            Self::Xz(encoder) => encoder.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Lz4(encoder) => encoder.finish().map(drop).map_err(io::Error::other),
            Self::Zstd(encoder) => encoder.finish().map(drop),
            Self::Gzip(encoder) => encoder.finish().map(drop),
            Self::Bzip2(encoder) => encoder.finish().map(drop),
            Self::Xz(encoder) => encoder.finish().map(drop),
        }
    }
}

/// Holds what another serializer holds, compressed as a whole file.
///
/// A table in it can only be read after decompressing the file, so `parquet/zstd` is the better choice for tables;
/// this one is for JSON and bytes, and for files that other programs expect compressed.
#[derive(Debug, Clone)]
pub struct Compressed {
    inner: Arc<dyn Serializer>,
    codec: Codec,
}

impl Compressed {
    /// Compresses the files of `inner`.
    pub fn new(inner: Arc<dyn Serializer>, codec: Codec) -> Self {
        Self { inner, codec }
    }

    pub(super) fn from_descriptor(descriptor: &Descriptor, registry: &Registry) -> Result<Self> {
        descriptor.only(&["codec", "level", "inner"])?;
        let codec = Codec::parse(descriptor.text("codec")?.unwrap_or("zstd"), descriptor.integer("level")?)?;
        let inner = descriptor.get("inner").ok_or_else(|| descriptor.refuse("inner", "it is missing"))?;
        let inner: Descriptor = serde_json::from_value(inner.clone())
            .map_err(|error| descriptor.refuse("inner", &format!("it is no serializer: {error}")))?;
        if inner.name() == "compressed" {
            return Err(descriptor.refuse("inner", "compressing twice gains nothing"));
        }
        Ok(Self { inner: registry.build(&inner)?, codec })
    }
}

#[async_trait]
impl Serializer for Compressed {
    fn descriptor(&self) -> Descriptor {
        let (name, level) = self.codec.name_and_level();
        let descriptor = Descriptor::new("compressed").with("codec", name);
        let descriptor = level.into_iter().fold(descriptor, |descriptor, level| descriptor.with("level", level));
        descriptor.with("inner", serde_json::to_value(self.inner.descriptor()).unwrap_or_default())
    }

    fn extension(&self) -> String {
        format!("{}.{}", self.inner.extension(), self.codec.extension())
    }

    fn check(&self, shape: &Shape) -> Result<()> {
        self.inner.check(shape)
    }

    fn losses(&self, shape: &Shape) -> Vec<Json> {
        self.inner.losses(shape)
    }

    fn encoder(&self, shape: &Shape, memory: usize) -> Result<Box<dyn Encoder>> {
        let inner = self.inner.encoder(shape, memory)?;
        let state = Arc::new(Mutex::new(Compressing {
            codec: self.codec,
            open: None,
            done: Vec::new(),
            tray: Tray::default(),
        }));
        Ok(Box::new(CompressedEncoder { inner, plain: Sink::new(Plain(state.clone())), state }))
    }

    async fn open(&self, source: Arc<dyn Source>, memory: usize) -> Result<Readable> {
        let part = source.part().clone();
        let spool = self.decompress(source, memory).await?;
        let spooled = Spooled {
            part: Part { size: spool.1, footer: None, index: None, extents: None, ..part },
            file: Mutex::new(spool.0).into(),
        };
        self.inner.open(Arc::new(spooled), memory).await
    }
}

/// How many files are decompressed at once, each by a thread that waits for its data.
static SPOOLS: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(64);

impl Compressed {
    async fn decompress(&self, source: Arc<dyn Source>, memory: usize) -> Result<(SpooledTempFile, u64)> {
        // Before the thread is taken: as many of them wait for data as there are, and reading needs some, too.
        let _turn = SPOOLS.acquire().await.map_err(|error| Error::internal(error.to_string()))?;
        let mut ahead = ReadAhead::whole(source, READ_BYTES, memory / AHEAD_SHARE)?;
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes>>(1);
        let codec = self.codec;
        let spooling =
            tokio::task::spawn_blocking(move || spool(codec, Incoming { receiver, now: Bytes::new() }, memory));
        while let Some(piece) = ahead.next().await.transpose() {
            let piece = piece.map(|mut read| read.pop().unwrap_or_default());
            let failed = piece.is_err();
            if sender.send(piece).await.is_err() || failed {
                break;
            }
        }
        drop(sender);
        spooling.await.map_err(|error| Error::internal(format!("decompression ended early: {error}")))?
    }
}

fn spool(codec: Codec, incoming: Incoming, memory: usize) -> Result<(SpooledTempFile, u64)> {
    let mut file = SpooledTempFile::new(SPOOL_BYTES.min(memory));
    let damaged = |error: io::Error| {
        crate::error::recover(Box::new(error)).unwrap_or_else(|error| {
            Error::damaged(format!("the compressed file cannot be decompressed: {error}")).with_source(error)
        })
    };
    let mut decompressor = codec.decompressor(incoming)?;
    let mut buffer = vec![0; 256 * 1024];
    let mut size = 0;
    loop {
        let read = decompressor.read(&mut buffer).map_err(damaged)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok((file, size));
        };
        file.write_all(bytes).map_err(|error| {
            Error::new(ErrorKind::StorageFull, format!("the temporary file cannot take the decompressed data: {error}"))
                .with_hint("the folder for temporary files is set by TMPDIR")
                .with_source(error)
        })?;
        size += read as u64;
    }
}

/// Checked pieces of the compressed file as a blocking reader.
struct Incoming {
    receiver: tokio::sync::mpsc::Receiver<Result<Bytes>>,
    now: Bytes,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.now = piece?,
                None => return Ok(0),
            }
        }
        let taken = self.now.split_to(buffer.len().min(self.now.len()));
        buffer.iter_mut().zip(&taken).for_each(|(to, from)| *to = *from);
        Ok(taken.len())
    }
}

/// A decompressed file; its bytes were checked before they were decompressed.
#[derive(Debug)]
struct Spooled {
    part: Part,
    file: Arc<Mutex<SpooledTempFile>>,
}

#[async_trait]
impl Source for Spooled {
    fn part(&self) -> &Part {
        &self.part
    }

    fn is_checked(&self) -> bool {
        true
    }

    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (file, ranges) = (self.file.clone(), ranges.to_vec());
        let reading = tokio::task::spawn_blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let read = |range: &Range<u64>| -> io::Result<Bytes> {
                file.seek(SeekFrom::Start(range.start))?;
                let mut bytes = vec![0; usize::try_from(range.end - range.start).map_err(io::Error::other)?];
                file.read_exact(&mut bytes)?;
                Ok(bytes.into())
            };
            ranges.iter().map(read).collect::<io::Result<Vec<_>>>()
        });
        let read = reading.await.map_err(|error| Error::internal(format!("a read ended early: {error}")))?;
        read.map_err(|error| Error::damaged(format!("the decompressed file is too short: {error}")).with_source(error))
    }
}

/// The compressed form of one part after the other.
struct Compressing {
    codec: Codec,
    open: Option<Compressor>,
    done: Vec<Step>,
    tray: Tray,
}

enum Step {
    Bytes(Bytes),
    EndPart(Ending),
}

impl Compressing {
    fn compressor(&mut self) -> Result<&mut Compressor> {
        let opened = match self.open.take() {
            Some(open) => open,
            None => self.codec.compressor(self.tray.clone())?,
        };
        Ok(self.open.insert(opened))
    }

    fn carry(&mut self) {
        let bytes = self.tray.take();
        if !bytes.is_empty() {
            self.done.push(Step::Bytes(bytes.into()));
        }
    }
}

/// Takes the inner encoder's plain bytes.
struct Plain(Arc<Mutex<Compressing>>);

impl Output for Plain {
    fn bytes(&mut self, bytes: Bytes) -> Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.compressor()?.write(&bytes).map_err(codec_error)?;
        state.carry();
        Ok(())
    }

    fn end_part(&mut self, part: EncodedPart) -> Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.compressor()?;
        if let Some(open) = state.open.take() {
            open.finish().map_err(codec_error)?;
        }
        state.carry();
        state.done.push(Step::EndPart(Ending { rows: part.rows, extents_in_reference: true, ..Ending::default() }));
        Ok(())
    }
}

struct CompressedEncoder {
    inner: Box<dyn Encoder>,
    plain: Sink,
    state: Arc<Mutex<Compressing>>,
}

impl CompressedEncoder {
    fn carry_on(&self, sink: &mut Sink) -> Result<()> {
        let steps = std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).done);
        steps.into_iter().try_for_each(|step| match step {
            Step::Bytes(bytes) => sink.push(bytes),
            Step::EndPart(ending) => sink.end_part(ending),
        })
    }
}

impl Encoder for CompressedEncoder {
    fn write(&mut self, piece: Piece, sink: &mut Sink) -> Result<()> {
        self.inner.write(piece, &mut self.plain)?;
        self.carry_on(sink)
    }

    fn finish(&mut self, sink: &mut Sink) -> Result<()> {
        self.inner.finish(&mut self.plain)?;
        self.carry_on(sink)
    }

    fn losses(&self) -> Vec<Json> {
        self.inner.losses()
    }
}
