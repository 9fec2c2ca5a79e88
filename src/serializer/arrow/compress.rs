//! The buffers of messages, compressed on all cores.
//!
//! Each buffer is its length, and then a frame of the codec; one that would not become smaller is -1, and then itself.
//! Whatever the number of threads, the bytes are the same: what is compressed at once depends on the buffers alone.

use arrow::buffer::Buffer;
use arrow::ipc::CompressionType;
use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use zstd::bulk::Compressor;

use super::lz4;
use super::message::{Message, padding, parsed, restated};
use crate::error::{Error, Result};
use crate::serializer::parallel::on_threads;

/// How buffers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Lz4,
    /// With its level.
    Zstd(i32),
}

impl Codec {
    fn name(self) -> CompressionType {
        match self {
            Self::Lz4 => CompressionType::LZ4_FRAME,
            Self::Zstd(_) => CompressionType::ZSTD,
        }
    }

    /// What is compressed at one go: blocks of LZ4 know nothing of each other.
    fn cut(self, buffer: &Buffer) -> Vec<Buffer> {
        let step = match self {
            Self::Lz4 => lz4::block_bytes(buffer.len()),
            Self::Zstd(_) => buffer.len().max(1),
        };
        let starts = (0..buffer.len()).step_by(step);
        starts.map(|start| buffer.slice_with_length(start, step.min(buffer.len() - start))).collect()
    }
}

/// What a thread keeps from one buffer to the next.
enum Tool {
    Lz4(CompressTable, Vec<u8>),
    Zstd(Compressor<'static>),
}

impl Tool {
    fn new(codec: Codec) -> Result<Self> {
        Ok(match codec {
            Codec::Lz4 => Self::Lz4(CompressTable::large(), Vec::new()),
            Codec::Zstd(level) => Self::Zstd(Compressor::new(level).map_err(failed)?),
        })
    }

    fn compress(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Lz4(table, room) => {
                room.resize(room.len().max(get_maximum_output_size(bytes.len())), 0);
                let length = compress_into_with_table(bytes, room, table).map_err(failed)?;
                Ok(room.get(..length).unwrap_or_default().to_vec())
            }
            Self::Zstd(compressor) => compressor.compress(bytes).map_err(failed),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("a buffer cannot be compressed: {error}"))
}

/// The same messages, their buffers compressed on `threads` threads.
pub(super) fn compressed(messages: Vec<Message>, codec: Codec, threads: usize) -> Result<Vec<Message>> {
    let raw = messages.iter().map(Message::buffers).collect::<Result<Vec<_>>>()?;
    let jobs: Vec<Buffer> = raw.iter().flatten().flat_map(|buffer| codec.cut(buffer)).collect();
    let mut done = on_threads(&jobs, threads, || Tool::new(codec), |tool, bytes| tool.compress(bytes))?.into_iter();
    let mut rebuilt = Vec::with_capacity(messages.len());
    for (message, buffers) in messages.into_iter().zip(raw) {
        let (mut places, mut body, mut at) = (Vec::with_capacity(buffers.len()), Vec::new(), 0);
        for buffer in buffers {
            let cut = codec.cut(&buffer);
            let pieces: Vec<Vec<u8>> = done.by_ref().take(cut.len()).collect();
            let stored = match codec {
                Codec::Lz4 => stored(buffer, lz4::frame(&cut, pieces)?),
                Codec::Zstd(_) => stored(buffer, pieces.into_iter().map(Buffer::from_vec).collect()),
            };
            let length: usize = stored.iter().map(|piece| piece.len()).sum();
            places.push(place(at, length)?);
            body.extend(stored);
            let padding = padding(length);
            if !padding.is_empty() {
                body.push(Buffer::from(padding));
            }
            at += length + padding.len();
        }
        let head = restated(&parsed(&message.head)?, &places, Some(codec.name()), at)?;
        rebuilt.push(Message { kind: message.kind, head, body });
    }
    Ok(rebuilt)
}

fn place(at: usize, length: usize) -> Result<arrow::ipc::Buffer> {
    let number = |bytes| i64::try_from(bytes).map_err(|_| Error::internal("an Arrow message is too large"));
    Ok(arrow::ipc::Buffer::new(number(at)?, number(length)?))
}

/// What stands in the file for a buffer; nothing for one without bytes.
fn stored(buffer: Buffer, frame: Vec<Buffer>) -> Vec<Buffer> {
    let length: usize = frame.iter().map(|piece| piece.len()).sum();
    let told = |length: i64| Buffer::from(length.to_le_bytes().as_slice());
    match buffer.len() {
        0 => Vec::new(),
        raw if length < raw => std::iter::once(told(raw as i64)).chain(frame).collect(),
        _ => vec![told(-1), buffer],
    }
}
