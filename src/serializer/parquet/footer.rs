//! Looks over a footer before the Parquet library parses it.

use crate::error::{Error, Result};

/// How deep structures may nest; Parquet's own nest fewer than ten.
const MAX_DEPTH: usize = 32;

/// Refuses a footer in which a list claims more elements than there are bytes left.
///
/// The library reserves memory for the number of elements that a list claims; a footer made to break it could claim
/// billions, and a failed reservation ends the process.
pub(super) fn check_lists(footer: &[u8]) -> Result<()> {
    let mut walk = Walk { bytes: footer };
    walk.fields(MAX_DEPTH).ok_or_else(|| Error::damaged("the Parquet footer is malformed"))
}

/// Thrift's compact protocol, as far as skipping over it needs.
struct Walk<'a> {
    bytes: &'a [u8],
}

impl Walk<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.bytes = self.bytes.get(count..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn fields(&mut self, depth: usize) -> Option<()> {
        depth.checked_sub(1)?;
        loop {
            let header = self.byte()?;
            if header == 0 {
                return Some(());
            }
            if header >> 4 == 0 {
                self.varint()?;
            }
            match header & 0x0f {
                // A boolean field has its value in the header.
                1 | 2 => {}
                kind => self.value(kind, depth)?,
            }
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            1..=3 => self.skip(1),
            4..=6 => self.varint().map(drop),
            7 => self.skip(8),
            8 => {
                let length = self.varint()?;
                self.skip(usize::try_from(length).ok()?)
            }
            9 | 10 => self.list(depth - 1),
            11 => self.map(depth - 1),
            12 => self.fields(depth - 1),
            13 => self.skip(16),
            _ => None,
        }
    }

    fn list(&mut self, depth: usize) -> Option<()> {
        depth.checked_sub(1)?;
        let header = self.byte()?;
        let count = match header >> 4 {
            15 => usize::try_from(self.varint()?).ok()?,
            few => usize::from(few),
        };
        if count > self.bytes.len() {
            return None;
        }
        (0..count).try_for_each(|_| self.value(header & 0x0f, depth))
    }

    fn map(&mut self, depth: usize) -> Option<()> {
        depth.checked_sub(1)?;
        let count = usize::try_from(self.varint()?).ok()?;
        if count > self.bytes.len() {
            return None;
        }
        if count == 0 {
            return Some(());
        }
        let kinds = self.byte()?;
        (0..count).try_for_each(|_| {
            self.value(kinds >> 4, depth)?;
            self.value(kinds & 0x0f, depth)
        })
    }
}
