//! Looks over a footer and page headers before the Parquet library parses them.

use crate::error::{Error, ErrorKind, Result};

/// How deep structures may nest; Parquet's own nest fewer than ten.
const MAX_DEPTH: usize = 32;
/// How deep columns may nest: the library goes down them by recursion.
const MAX_NESTING: usize = 256;
/// The encodings that are written: `PLAIN`, `PLAIN_DICTIONARY`, `RLE` and `RLE_DICTIONARY`. In the others, a page says
/// how many values it has before it has them, and the library reserves memory for so many.
const ENCODINGS: [i64; 4] = [0, 2, 3, 8];

/// Refuses a footer in which a list claims more elements than there are bytes left, or columns nest too deep.
///
/// The library reserves memory for the number of elements that a list claims; a footer made to break it could claim
/// billions, and a failed reservation ends the process.
pub(super) fn check_lists(footer: &[u8]) -> Result<()> {
    let mut walk = Walk { bytes: footer };
    walk.file().ok_or_else(|| Error::damaged("the Parquet footer is malformed"))
}

/// Refuses a structure in which a list claims more elements than there are bytes left.
pub(super) fn check_structure(bytes: &[u8]) -> Result<()> {
    let mut walk = Walk { bytes };
    walk.fields(MAX_DEPTH).ok_or_else(|| Error::damaged("the Parquet page index is malformed"))
}

/// Refuses a column chunk in which a page claims more than `limit` bytes once decompressed, or a dictionary more values
/// than it has bytes: the library reserves memory for both.
pub(super) fn check_pages(chunk: &[u8], limit: usize) -> Result<()> {
    let mut walk = Walk { bytes: chunk };
    let malformed = || Error::damaged("a Parquet page header is malformed");
    while !walk.bytes.is_empty() {
        let page = walk.page().ok_or_else(malformed)?;
        let size = |size: i64| usize::try_from(size).map_err(|_| malformed());
        let plain = size(page.plain)?;
        if plain > limit {
            return Err(Error::damaged(format!("a Parquet page claims {plain} bytes once decompressed"))
                .with_hint("raise the memory budget if the file is trusted"));
        }
        if size(page.dictionary_values)? > plain + 1 {
            return Err(malformed());
        }
        if !ENCODINGS.contains(&page.encoding) {
            let message = format!("a Parquet page has encoding {}, which coldframe does not write", page.encoding);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        walk.skip(size(page.stored)?).ok_or_else(malformed)?;
    }
    Ok(())
}

/// What a page header says.
#[derive(Default)]
struct Page {
    plain: i64,
    stored: i64,
    dictionary_values: i64,
    encoding: i64,
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

    fn integer(&mut self, kind: u8) -> Option<i64> {
        if !(4..=6).contains(&kind) {
            return None;
        }
        let value = self.varint()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// The number and kind of the next field; the kind is 0 at the end of a structure.
    fn field(&mut self, last: i64) -> Option<(i64, u8)> {
        let header = self.byte()?;
        match (header & 0x0f, header >> 4) {
            (0, 0) => Some((0, 0)),
            (0, _) => None,
            (kind, 0) => Some((self.integer(4)?, kind)),
            (kind, delta) => Some((last.checked_add(delta.into())?, kind)),
        }
    }

    /// A structure whose field `number`, if it is there, is a number that is wanted.
    fn number_in(&mut self, number: i64, depth: usize) -> Option<i64> {
        let (mut last, mut found) = (0, 0);
        loop {
            match self.field(last)? {
                (_, 0) => return Some(found),
                (at, kind) => {
                    if at == number {
                        found = self.integer(kind)?;
                    } else if kind > 2 {
                        self.value(kind, depth)?;
                    }
                    last = at;
                }
            }
        }
    }

    /// The footer: as any structure, but its second field is the tree of columns.
    fn file(&mut self) -> Option<()> {
        let mut last = 0;
        loop {
            let (number, kind) = self.field(last)?;
            match (number, kind) {
                (_, 0) => return Some(()),
                (_, 1 | 2) => {}
                (2, 9) => self.columns()?,
                _ => self.value(kind, MAX_DEPTH - 1)?,
            }
            last = number;
        }
    }

    /// The tree of columns as a list: each says how many of those that follow are its children.
    fn columns(&mut self) -> Option<()> {
        let (count, kind) = self.list_header()?;
        let mut open: Vec<i64> = Vec::new();
        for _ in 0..count {
            if kind != 12 {
                return None;
            }
            let children = self.number_in(5, MAX_DEPTH - 2)?;
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            open.push(children);
            while open.last().is_some_and(|left| *left <= 0) {
                open.pop();
            }
            if open.len() > MAX_NESTING {
                return None;
            }
        }
        Some(())
    }

    fn page(&mut self) -> Option<Page> {
        let (mut page, mut last) = (Page::default(), 0);
        loop {
            let (number, kind) = self.field(last)?;
            match (number, kind) {
                (_, 0) => return Some(page),
                (2, _) => page.plain = self.integer(kind)?,
                (3, _) => page.stored = self.integer(kind)?,
                (5, 12) => page.encoding = self.number_in(2, MAX_DEPTH)?,
                (7, 12) => page.dictionary_values = self.number_in(1, MAX_DEPTH)?,
                (8, 12) => page.encoding = self.number_in(4, MAX_DEPTH)?,
                (5 | 7 | 8, _) => return None,
                (_, 1 | 2) => {}
                _ => self.value(kind, MAX_DEPTH)?,
            }
            last = number;
        }
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
        let (count, kind) = self.list_header()?;
        (0..count).try_for_each(|_| self.value(kind, depth))
    }

    fn list_header(&mut self) -> Option<(usize, u8)> {
        let header = self.byte()?;
        let count = match header >> 4 {
            15 => usize::try_from(self.varint()?).ok()?,
            few => usize::from(few),
        };
        (count <= self.bytes.len()).then_some((count, header & 0x0f))
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
