//! Running hashes of bytes, and a buffer before each, since XXH3 is slow on a few bytes at a time.

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// What a buffer holds before it is hashed: measured, from 4 KiB on the hash runs at its full speed.
const BUFFER_BYTES: usize = 16 * 1024;
/// From this length on, bytes are hashed where they lie.
const DIRECT_BYTES: usize = 1024;

/// One of a node's streams: its length so far, and its hash.
#[derive(Default)]
pub(super) struct Stream {
    length: u64,
    /// Made for the first byte: most columns have no nulls, and wide tables have many columns.
    hash: Option<Box<Xxh3>>,
}

impl Stream {
    /// Where a pass over an array writes; `buffer` is empty before it and after it.
    pub(super) fn writer<'a>(&'a mut self, buffer: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { stream: self, buffer }
    }

    fn update(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.length += bytes.len() as u64;
            self.hash.get_or_insert_default().update(bytes);
        }
    }

    /// Adds length and digest to the record of the node.
    pub(super) fn describe(&self, record: &mut Record) {
        record.number(self.length);
        record.digest(self.hash.as_ref().map_or_else(|| xxh3_128(&[]), |hash| hash.digest128()));
    }
}

/// Writes to a stream through a buffer; what is left is hashed when it is dropped.
pub(super) struct Writer<'a> {
    stream: &'a mut Stream,
    buffer: &'a mut Vec<u8>,
}

impl Writer<'_> {
    /// Takes bytes, of any length.
    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if bytes.len() >= DIRECT_BYTES {
            self.flush();
            self.stream.update(bytes);
            return;
        }
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush();
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the first `length` of 12 bytes: to copy all and leave some is faster than to copy a few.
    #[inline]
    pub(super) fn inline(&mut self, bytes: &[u8; 12], length: usize) {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush();
        }
        let end = self.buffer.len() + length;
        self.buffer.extend_from_slice(bytes);
        self.buffer.truncate(end);
    }

    /// Takes a number.
    #[inline]
    pub(super) fn number(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    fn flush(&mut self) {
        self.stream.update(self.buffer);
        self.buffer.clear();
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The record of a node, column or table: what its digest is the hash of.
#[derive(Default)]
pub(super) struct Record(Vec<u8>);

impl Record {
    pub(super) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Text with its length before it.
    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.raw(text.as_bytes());
    }

    /// A digest in its canonical form, which is big-endian.
    pub(super) fn digest(&mut self, digest: u128) {
        self.raw(&digest.to_be_bytes());
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn finish(self) -> u128 {
        xxh3_128(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_does_not_depend_on_how_its_bytes_came() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|place| (place % 251) as u8).collect();
        let of = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let (mut stream, mut buffer, mut record) = (Stream::default(), Vec::new(), Record::default());
            let mut writer = stream.writer(&mut buffer);
            pieces.for_each(|piece| writer.write(piece));
            drop(writer);
            assert!(buffer.is_empty());
            stream.describe(&mut record);
            record.0
        };
        let mut expected = 100_000_u64.to_le_bytes().to_vec();
        expected.extend(xxh3_128(&bytes).to_be_bytes());
        for length in [1, 7, 1023, 1024, 16_384, 99_999, 100_000] {
            assert_eq!(of(&mut bytes.chunks(length)), expected, "{length}");
        }
    }

    #[test]
    fn an_empty_stream_has_the_hash_of_no_bytes() {
        let mut record = Record::default();
        Stream::default().describe(&mut record);
        let mut expected = vec![0; 8];
        expected.extend(0x99aa_06d3_0147_98d8_6001_c324_468d_497f_u128.to_be_bytes());
        assert_eq!(record.0, expected);
    }
}
