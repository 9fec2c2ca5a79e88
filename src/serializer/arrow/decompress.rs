//! Compressed messages into messages that are not.
//!
//! All buffers of a message that are wanted are decompressed into one allocation, one behind the other and with a head
//! before them, so that the library takes the message as it takes any, and copies nothing.

use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Schema, UnionMode};
use arrow::ipc::{Block, CompressionType};
use zstd::bulk::Decompressor;

use super::lz4;
use super::message::{contents, malformed, padding, parsed, restated};
use crate::error::{Error, Result};

/// A buffer in a compressed message.
struct Stored<'a> {
    bytes: &'a [u8],
    /// How many bytes it has decompressed; none if it is not compressed.
    claimed: Option<usize>,
}

impl<'a> Stored<'a> {
    /// The buffer that lies at `described` in `body`.
    fn new(body: &'a [u8], described: &arrow::ipc::Buffer) -> Result<Self> {
        let from = usize::try_from(described.offset()).map_err(|_| malformed())?;
        let length = usize::try_from(described.length()).map_err(|_| malformed())?;
        let bytes = from.checked_add(length).and_then(|to| body.get(from..to)).ok_or_else(malformed)?;
        if bytes.is_empty() {
            return Ok(Self { bytes, claimed: None });
        }
        let (claimed, bytes) = bytes.split_first_chunk::<8>().ok_or_else(malformed)?;
        match i64::from_le_bytes(*claimed) {
            -1 => Ok(Self { bytes, claimed: None }),
            claimed => Ok(Self { bytes, claimed: Some(usize::try_from(claimed).map_err(|_| malformed())?) }),
        }
    }

    fn length(&self) -> usize {
        self.claimed.unwrap_or(self.bytes.len())
    }
}

/// How many bytes the buffers of the message at the start of `bytes` take, of which only those of `wanted` are counted.
pub(super) fn decompressed_bytes(bytes: &[u8], block: &Block, wanted: Option<&[bool]>) -> Result<usize> {
    let message = parsed(bytes)?;
    let start = usize::try_from(block.metaDataLength()).map_err(|_| malformed())?;
    let body = bytes.get(start..).ok_or_else(malformed)?;
    let buffers = contents(&message)?.buffers().into_iter().flatten().enumerate();
    let mut wanted = buffers.filter(|(at, _)| is_wanted(wanted, *at));
    wanted.try_fold(0_usize, |total, (_, described)| Ok(total.saturating_add(Stored::new(body, described)?.length())))
}

fn is_wanted(wanted: Option<&[bool]>, buffer: usize) -> bool {
    wanted.is_none_or(|wanted| wanted.get(buffer).copied().unwrap_or(false))
}

/// The message at the start of `bytes` without compression, and where its parts lie in it. Only buffers that are `wanted`
/// have their bytes; what was looked over before claims no more than may be had.
pub(super) fn decompressed(bytes: &[u8], block: &Block, wanted: Option<&[bool]>) -> Result<(Buffer, Block)> {
    let message = parsed(bytes)?;
    let start = usize::try_from(block.metaDataLength()).map_err(|_| malformed())?;
    let body = bytes.get(start..).ok_or_else(malformed)?;
    let old = contents(&message)?;
    let codec = old.compression().ok_or_else(malformed)?.codec();
    let (mut stored, mut places, mut end) = (Vec::new(), Vec::new(), 0_usize);
    for (at, described) in old.buffers().into_iter().flatten().enumerate() {
        let found = Stored::new(body, described)?;
        let length = if is_wanted(wanted, at) { found.length() } else { 0 };
        places.push(arrow::ipc::Buffer::new(number(end)?, number(length)?));
        if length > 0 {
            stored.push((found, end));
            end = end.checked_add(length).and_then(|end| end.checked_add(padding(end).len())).ok_or_else(malformed)?;
        }
    }
    let head = restated(&message, &places, None, end)?;
    let mut room = vec![0; head.len().checked_add(end).ok_or_else(malformed)?];
    let (front, mut rest) = room.split_at_mut(head.len());
    front.copy_from_slice(&head);
    let (mut zstd, mut done) = (None, 0);
    for (buffer, place) in stored {
        let (_, after) = rest.split_at_mut(place - done);
        let (here, later) = after.split_at_mut(buffer.length());
        match (buffer.claimed, codec) {
            (None, _) => here.copy_from_slice(buffer.bytes),
            (Some(_), CompressionType::LZ4_FRAME) => lz4::decompress(buffer.bytes, here)?,
            (Some(_), CompressionType::ZSTD) => decompress_zstd(&mut zstd, buffer.bytes, here)?,
            _ => return Err(Error::damaged("an Arrow message is compressed with an unknown codec")),
        }
        done = place + buffer.length();
        rest = later;
    }
    let length = i32::try_from(head.len()).map_err(|_| malformed())?;
    Ok((Buffer::from_vec(room), Block::new(0, length, number(end)?)))
}

fn number(bytes: usize) -> Result<i64> {
    i64::try_from(bytes).map_err(|_| malformed())
}

fn decompress_zstd(tool: &mut Option<Decompressor<'static>>, bytes: &[u8], room: &mut [u8]) -> Result<()> {
    let failed = |why: String| Error::damaged(format!("a buffer of the Arrow file cannot be decompressed: {why}"));
    let tool = match tool {
        Some(tool) => tool,
        None => tool.insert(Decompressor::new().map_err(|error| failed(error.to_string()))?),
    };
    let length = tool.decompress_to_buffer(bytes, room).map_err(|error| failed(error.to_string()))?;
    if length == room.len() { Ok(()) } else { Err(failed(format!("it has {length} bytes, and claims {}", room.len()))) }
}

/// Which buffers of a message belong to some `columns`; as many as the message has, if it fits the schema.
pub(super) fn buffers_of(schema: &Schema, columns: &[usize], message: &[u8]) -> Result<Vec<bool>> {
    let message = parsed(message)?;
    let batch = contents(&message)?;
    let variadic: Vec<i64> = batch.variadicBufferCounts().into_iter().flatten().collect();
    let mut variadic = variadic.into_iter();
    let mut wanted = Vec::new();
    for (position, field) in schema.fields().iter().enumerate() {
        let buffers = count(field.data_type(), &mut variadic).ok_or_else(malformed)?;
        wanted.resize(wanted.len() + buffers, columns.contains(&position));
    }
    let total = batch.buffers().map_or(0, |buffers| buffers.len());
    if wanted.len() == total { Ok(wanted) } else { Err(malformed()) }
}

/// How many buffers a column of a type has in a message; a dictionary's values lie elsewhere.
fn count(data_type: &DataType, variadic: &mut impl Iterator<Item = i64>) -> Option<usize> {
    Some(match data_type {
        DataType::Null => 0,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => 3,
        DataType::Utf8View | DataType::BinaryView => {
            2_usize.checked_add(usize::try_from(variadic.next()?).ok().filter(|count| *count < 1 << 24)?)?
        }
        DataType::List(field) | DataType::LargeList(field) | DataType::Map(field, _) => {
            2 + count(field.data_type(), variadic)?
        }
        DataType::ListView(field) | DataType::LargeListView(field) => 3 + count(field.data_type(), variadic)?,
        DataType::FixedSizeList(field, _) => 1 + count(field.data_type(), variadic)?,
        DataType::Struct(fields) => {
            fields.iter().try_fold(1, |total, field| Some(total + count(field.data_type(), variadic)?))?
        }
        DataType::Union(fields, mode) => {
            let own = if *mode == UnionMode::Dense { 2 } else { 1 };
            fields.iter().try_fold(own, |total, (_, field)| Some(total + count(field.data_type(), variadic)?))?
        }
        DataType::RunEndEncoded(run_ends, values) => {
            count(run_ends.data_type(), variadic)? + count(values.data_type(), variadic)?
        }
        _ => 2,
    })
}
