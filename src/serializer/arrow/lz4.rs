//! LZ4 frames: put together out of blocks, looked over before they are decompressed, and taken apart again.

use std::io::Read;

use arrow::buffer::Buffer;
use lz4_flex::block::decompress_into;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use crate::error::{Error, Result};

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
const END: [u8; 4] = [0; 4];
/// Set in the size of a block that is not compressed.
const RAW: u32 = 0x8000_0000;
/// Flags of a frame.
const INDEPENDENT_BLOCKS: u8 = 0x20;
const BLOCK_CHECKSUMS: u8 = 0x10;
const CONTENT_SIZE: u8 = 0x08;
const CONTENT_CHECKSUM: u8 = 0x04;
const DICTIONARY: u8 = 0x01;

/// How large the blocks are into which a buffer is cut: large enough to compress well, and small enough to be spread over
/// threads.
pub(super) fn block_bytes(buffer: usize) -> usize {
    sizes(buffer).0
}

fn sizes(buffer: usize) -> (usize, BlockSize) {
    match buffer {
        0..=0x1_0000 => (64 << 10, BlockSize::Max64KB),
        0x1_0001..=0x4_0000 => (256 << 10, BlockSize::Max256KB),
        _ => (1 << 20, BlockSize::Max1MB),
    }
}

/// The frame of a buffer that was cut into `raw` blocks, each of which was compressed by itself; in pieces, so that
/// nothing is copied.
pub(super) fn frame(raw: &[Buffer], compressed: Vec<Vec<u8>>) -> Result<Vec<Buffer>> {
    let total = raw.iter().map(|block| block.len()).sum();
    let failed = |error| Error::internal(format!("an LZ4 frame cannot be written: {error}"));
    let info = FrameInfo::new().block_size(sizes(total).1).block_mode(BlockMode::Independent);
    let mut between = FrameEncoder::with_frame_info(info, Vec::new()).finish().map_err(failed)?;
    between.truncate(between.len().saturating_sub(END.len()));
    let mut pieces = Vec::with_capacity(2 * raw.len() + 1);
    for (raw, compressed) in raw.iter().zip(compressed) {
        let smaller = compressed.len() < raw.len();
        let (flag, block) = if smaller { (0, Buffer::from_vec(compressed)) } else { (RAW, raw.clone()) };
        let size = u32::try_from(block.len()).map_err(|_| Error::internal("an LZ4 block is too large"))?;
        between.extend_from_slice(&(size | flag).to_le_bytes());
        pieces.extend([Buffer::from_vec(std::mem::take(&mut between)), block]);
    }
    between.extend_from_slice(&END);
    pieces.push(Buffer::from_vec(between));
    Ok(pieces)
}

/// Whether a frame decompresses to about the `claimed` bytes at most: all of its blocks but the last are full.
pub(super) fn fits(frame: &[u8], claimed: usize) -> bool {
    Frame::parse(frame).is_some_and(|frame| frame.blocks.len() <= claimed.div_ceil(frame.block_bytes) + 1)
}

struct Frame<'a> {
    flags: u8,
    /// How large each block may be once decompressed.
    block_bytes: usize,
    /// The blocks, and whether each is compressed.
    blocks: Vec<(&'a [u8], bool)>,
}

impl<'a> Frame<'a> {
    fn parse(frame: &'a [u8]) -> Option<Self> {
        let rest = frame.strip_prefix(&MAGIC)?;
        let [flags, descriptor, ..] = *rest else { return None };
        let block_bytes = match descriptor >> 4 & 7 {
            4 => 64 << 10,
            5 => 256 << 10,
            6 => 1 << 20,
            7 => 4 << 20,
            _ => return None,
        };
        let has = |flag: u8, bytes: usize| if flags & flag == 0 { 0 } else { bytes };
        let mut rest = rest.get(3 + has(CONTENT_SIZE, 8) + has(DICTIONARY, 4)..)?;
        let mut blocks = Vec::new();
        loop {
            let (size, after) = rest.split_first_chunk::<4>()?;
            let size = u32::from_le_bytes(*size);
            let bytes = usize::try_from(size & !RAW).ok()?;
            if bytes == 0 {
                return Some(Self { flags, block_bytes, blocks });
            }
            blocks.push((after.get(..bytes)?, size & RAW == 0));
            rest = after.get(bytes.checked_add(has(BLOCK_CHECKSUMS, 4))?..)?;
        }
    }
}

/// Decompresses a frame into `room`, which it must fill.
pub(super) fn decompress(bytes: &[u8], room: &mut [u8]) -> Result<()> {
    let damaged = |why: &str| Error::damaged(format!("an LZ4 frame of the Arrow file cannot be decompressed: {why}"));
    let frame = Frame::parse(bytes).ok_or_else(|| damaged("it is cut short"))?;
    let plain = frame.flags & (INDEPENDENT_BLOCKS | BLOCK_CHECKSUMS | CONTENT_CHECKSUM | DICTIONARY);
    if plain != INDEPENDENT_BLOCKS {
        // What other writers may put into a frame, the library knows.
        let read = FrameDecoder::new(bytes).read_exact(room);
        return read.map_err(|error| damaged(&error.to_string()));
    }
    let mut rest = room;
    for (block, compressed) in frame.blocks {
        let (room, _) = rest.split_at_mut(frame.block_bytes.min(rest.len()));
        let length = if compressed {
            decompress_into(block, room).map_err(|error| damaged(&error.to_string()))?
        } else {
            let room = room.get_mut(..block.len()).ok_or_else(|| damaged("a block is too long"))?;
            room.copy_from_slice(block);
            block.len()
        };
        rest = rest.split_at_mut_checked(length).ok_or_else(|| damaged("a block is too long"))?.1;
    }
    if rest.is_empty() { Ok(()) } else { Err(damaged("it is shorter than it claims")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(bytes: &[u8]) -> Vec<u8> {
        let raw: Vec<Buffer> = bytes.chunks(block_bytes(bytes.len())).map(Buffer::from).collect();
        let compressed: Vec<Vec<u8>> = raw.iter().map(|block| lz4_flex::block::compress(block)).collect();
        frame(&raw, compressed).unwrap().iter().flat_map(|piece| piece.to_vec()).collect()
    }

    fn mixed(length: usize) -> Vec<u8> {
        let noise = (0..length as u64).map(|at| xxhash_rust::xxh3::xxh3_64(&at.to_le_bytes()) as u8);
        noise.enumerate().map(|(at, byte)| if at / 700_000 % 2 == 0 { (at / 100) as u8 } else { byte }).collect()
    }

    #[test]
    fn frames_come_back_here_and_in_the_library() {
        for length in [1, 100, 65_536, 65_537, 300_000, 1 << 20, 3_500_000] {
            let bytes = mixed(length);
            let framed = framed(&bytes);
            assert!(fits(&framed, length));
            let mut room = vec![0; length];
            decompress(&framed, &mut room).unwrap();
            assert_eq!(room, bytes);
            let mut read = Vec::new();
            FrameDecoder::new(&framed[..]).read_to_end(&mut read).unwrap();
            assert_eq!(read, bytes);
            assert!(decompress(&framed, &mut vec![0; length + 1]).is_err());
            assert!(decompress(&framed, &mut vec![0; length - 1]).is_err());
            assert!(decompress(&framed[..framed.len() - 1], &mut room).is_err());
        }
    }

    #[test]
    fn frames_of_other_writers_are_read() {
        use std::io::Write;
        let bytes = mixed(900_000);
        for mode in [BlockMode::Independent, BlockMode::Linked] {
            for checksums in [false, true] {
                let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(mode);
                let info = info.block_checksums(checksums).content_checksum(checksums);
                let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(&bytes).unwrap();
                let framed = encoder.finish().unwrap();
                let mut room = vec![0; bytes.len()];
                decompress(&framed, &mut room).unwrap();
                assert_eq!(room, bytes);
            }
        }
    }
}
