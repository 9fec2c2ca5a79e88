//! Looks over an LZ4 frame before the library decompresses it, which it does to the end, whatever was claimed.

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// Whether a frame decompresses to about the `claimed` bytes at most: all of its blocks but the last are full.
pub(super) fn fits(frame: &[u8], claimed: usize) -> bool {
    blocks(frame).is_some_and(|(blocks, block_bytes)| blocks <= claimed.div_ceil(block_bytes) + 1)
}

/// How many blocks a frame has, and how large each may be once decompressed.
fn blocks(frame: &[u8]) -> Option<(usize, usize)> {
    let rest = frame.strip_prefix(&MAGIC)?;
    let [flags, descriptor, ..] = rest else { return None };
    let block_bytes = match descriptor >> 4 & 7 {
        4 => 64 << 10,
        5 => 256 << 10,
        6 => 1 << 20,
        7 => 4 << 20,
        _ => return None,
    };
    let header = 3 + if flags & 0x08 == 0 { 0 } else { 8 } + if flags & 0x01 == 0 { 0 } else { 4 };
    let checksum = if flags & 0x10 == 0 { 0 } else { 4 };
    let mut rest = rest.get(header..)?;
    for blocks in 0.. {
        let (size, after) = rest.split_first_chunk::<4>()?;
        let size = usize::try_from(u32::from_le_bytes(*size) & 0x7fff_ffff).ok()?;
        if size == 0 {
            return Some((blocks, block_bytes));
        }
        rest = after.get(size.checked_add(checksum)?..)?;
    }
    None
}
