//! The header of a page.

use parquet::basic::Encoding;
use parquet::column::page::PageMetadata;

use super::thrift::{MAX_DEPTH, Taken, Walk};
use crate::error::{Error, ErrorKind, Result};

/// What a page header says, its numbers being what they may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageHeader {
    /// The bytes of the page once decompressed, levels included.
    pub(super) plain: usize,
    /// The bytes of the page as it is stored.
    pub(super) stored: usize,
    pub(super) kind: PageKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PageKind {
    Dictionary {
        values: u32,
        encoding: Encoding,
        is_sorted: bool,
    },
    Data {
        values: u32,
        encoding: Encoding,
        definition: Encoding,
        repetition: Encoding,
    },
    DataV2(DataV2),
    /// What has no values: an index.
    Other,
}

/// What the header of a data page of the second version says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DataV2 {
    pub(super) values: u32,
    pub(super) nulls: u32,
    pub(super) rows: u32,
    pub(super) encoding: Encoding,
    pub(super) definition_bytes: u32,
    pub(super) repetition_bytes: u32,
    pub(super) is_compressed: bool,
}

impl PageHeader {
    /// The header that `bytes` begin with, and how many bytes it takes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`] if it is none, [`ErrorKind::Unsupported`] if coldframe writes no such page.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let mut walk = Walk { bytes };
        let fields = Fields::read(&mut walk).ok_or_else(malformed)?;
        Ok((fields.header()?, bytes.len() - walk.bytes.len()))
    }

    /// What the library asks about a page before it decides to read or to skip it; none for a page without values.
    pub(super) fn metadata(&self) -> Option<PageMetadata> {
        let wide = |count: u32| usize::try_from(count).ok();
        match &self.kind {
            PageKind::Dictionary { .. } => Some(PageMetadata { num_rows: None, num_levels: None, is_dict: true }),
            PageKind::Data { values, .. } => {
                Some(PageMetadata { num_rows: None, num_levels: wide(*values), is_dict: false })
            }
            PageKind::DataV2(page) => {
                Some(PageMetadata { num_rows: wide(page.rows), num_levels: wide(page.values), is_dict: false })
            }
            PageKind::Other => None,
        }
    }
}

/// The numbers as they stand there; of the one structure that says what kind of page it is, by their field.
#[derive(Default)]
struct Fields {
    kind: i64,
    plain: i64,
    stored: i64,
    /// The field of the structure, and its numbers by their own fields.
    about: Option<(i64, [Option<i64>; 8])>,
}

impl Fields {
    fn read(walk: &mut Walk<'_>) -> Option<Self> {
        let mut fields = Self::default();
        walk.structure(MAX_DEPTH, |walk, number, kind| {
            match (number, kind) {
                (1, _) => fields.kind = walk.integer(kind)?,
                (2, _) => fields.plain = walk.integer(kind)?,
                (3, _) => fields.stored = walk.integer(kind)?,
                (5 | 7 | 8, 12) => fields.about = Some((number, numbers(walk)?)),
                (5 | 7 | 8, _) => return None,
                _ => return Some(Taken::Left),
            }
            Some(Taken::Read)
        })?;
        Some(fields)
    }

    fn header(self) -> Result<PageHeader> {
        let size = |size: i64| usize::try_from(size).map_err(|_| malformed());
        let kind = match (self.kind, &self.about) {
            (0, Some((5, about))) => PageKind::Data {
                values: count(about, 1)?,
                encoding: data_encoding(about, 2)?,
                definition: level_encoding(about, 3)?,
                repetition: level_encoding(about, 4)?,
            },
            (2, Some((7, about))) => PageKind::Dictionary {
                values: count(about, 1)?,
                encoding: dictionary_encoding(about, 2)?,
                is_sorted: truth(about, 3).unwrap_or(false),
            },
            (3, Some((8, about))) => PageKind::DataV2(DataV2 {
                values: count(about, 1)?,
                nulls: count(about, 2)?,
                rows: count(about, 3)?,
                encoding: data_encoding(about, 4)?,
                definition_bytes: count(about, 5)?,
                repetition_bytes: count(about, 6)?,
                is_compressed: truth(about, 7).unwrap_or(true),
            }),
            (1, _) => PageKind::Other,
            _ => return Err(malformed()),
        };
        Ok(PageHeader { plain: size(self.plain)?, stored: size(self.stored)?, kind })
    }
}

/// The numbers and truths of a structure, by their fields.
fn numbers(walk: &mut Walk<'_>) -> Option<[Option<i64>; 8]> {
    let mut found = [None; 8];
    walk.structure(MAX_DEPTH, |walk, number, kind| {
        let Some(place) = usize::try_from(number).ok().and_then(|number| found.get_mut(number)) else {
            return Some(Taken::Left);
        };
        match kind {
            1 | 2 => *place = Some(i64::from(kind == 1)),
            4..=6 => *place = Some(walk.integer(kind)?),
            _ => return Some(Taken::Left),
        }
        Some(Taken::Read)
    })?;
    Some(found)
}

fn number(about: &[Option<i64>; 8], field: usize) -> Result<i64> {
    about.get(field).copied().flatten().ok_or_else(malformed)
}

fn count(about: &[Option<i64>; 8], field: usize) -> Result<u32> {
    u32::try_from(number(about, field)?).map_err(|_| malformed())
}

fn truth(about: &[Option<i64>; 8], field: usize) -> Option<bool> {
    about.get(field).copied().flatten().map(|truth| truth == 1)
}

fn data_encoding(about: &[Option<i64>; 8], field: usize) -> Result<Encoding> {
    match number(about, field)? {
        5 => Ok(Encoding::DELTA_BINARY_PACKED),
        6 => Ok(Encoding::DELTA_LENGTH_BYTE_ARRAY),
        9 => Ok(Encoding::BYTE_STREAM_SPLIT),
        _ => dictionary_encoding(about, field),
    }
}

fn dictionary_encoding(about: &[Option<i64>; 8], field: usize) -> Result<Encoding> {
    match number(about, field)? {
        0 => Ok(Encoding::PLAIN),
        2 => Ok(Encoding::PLAIN_DICTIONARY),
        3 => Ok(Encoding::RLE),
        8 => Ok(Encoding::RLE_DICTIONARY),
        other => Err(Error::new(
            ErrorKind::Unsupported,
            format!("a Parquet page has encoding {other}, which coldframe does not write"),
        )),
    }
}

fn level_encoding(about: &[Option<i64>; 8], field: usize) -> Result<Encoding> {
    match number(about, field)? {
        3 => Ok(Encoding::RLE),
        #[expect(deprecated, reason = "some writers name it where there are no levels")]
        4 => Ok(Encoding::BIT_PACKED),
        _ => Err(malformed()),
    }
}

/// The error for a page header that is none.
pub(super) fn malformed() -> Error {
    Error::damaged("a Parquet page header is malformed")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A structure of numbers, each with the number of its field.
    fn structure(numbers: &[(u8, i64)]) -> Vec<u8> {
        let (mut bytes, mut last) = (Vec::new(), 0);
        for (field, number) in numbers {
            bytes.push((field - last) << 4 | 5);
            let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
            while left > 0x7f {
                bytes.push((left & 0x7f) as u8 | 0x80);
                left >>= 7;
            }
            bytes.push(left as u8);
            last = *field;
        }
        bytes
    }

    /// A header of this kind of page, with what its own structure, of this field, says.
    fn header(kind: i64, field: u8, about: &[u8]) -> Vec<u8> {
        let mut bytes = structure(&[(1, kind), (2, 100), (3, 40)]);
        bytes.push((field - 3) << 4 | 12);
        bytes.extend_from_slice(about);
        bytes.extend([0, 0]);
        bytes
    }

    #[test]
    fn headers_say_what_pages_are() {
        let mut second = structure(&[(1, 9), (2, 2), (3, 5), (4, 6), (5, 3), (6, 4)]);
        let compressed = second.clone();
        second.push(0x12);
        let v2 = |is_compressed| {
            PageKind::DataV2(DataV2 {
                values: 9,
                nulls: 2,
                rows: 5,
                encoding: Encoding::DELTA_LENGTH_BYTE_ARRAY,
                definition_bytes: 3,
                repetition_bytes: 4,
                is_compressed,
            })
        };
        let (definition, repetition) = (Encoding::RLE, Encoding::RLE);
        let first = PageKind::Data { values: 7, encoding: Encoding::BYTE_STREAM_SPLIT, definition, repetition };
        let mut sorted = structure(&[(1, 8), (2, 0)]);
        sorted.push(0x11);
        for (bytes, kind) in [
            (header(3, 8, &second), v2(false)),
            (header(3, 8, &compressed), v2(true)),
            (header(0, 5, &structure(&[(1, 7), (2, 9), (3, 3), (4, 3)])), first),
            (header(2, 7, &sorted), PageKind::Dictionary { values: 8, encoding: Encoding::PLAIN, is_sorted: true }),
            (header(1, 6, &[]), PageKind::Other),
        ] {
            let wanted = PageHeader { plain: 100, stored: 40, kind };
            let length = bytes.len();
            let behind = [bytes, vec![1, 2, 3]].concat();
            assert_eq!(PageHeader::parse(&behind).unwrap(), (wanted, length));
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (bytes, kind) in [
            (header(0, 5, &structure(&[(1, 7), (2, 7), (3, 3), (4, 3)])), ErrorKind::Unsupported),
            (header(2, 7, &structure(&[(1, 7), (2, 5)])), ErrorKind::Unsupported),
            (header(0, 5, &structure(&[(1, -1), (2, 0), (3, 3), (4, 3)])), ErrorKind::Damaged),
            (header(0, 5, &structure(&[(1, 1 << 32), (2, 0), (3, 3), (4, 3)])), ErrorKind::Damaged),
            (header(0, 5, &structure(&[(2, 0), (3, 3), (4, 3)])), ErrorKind::Damaged),
            (header(0, 5, &structure(&[(1, 7), (2, 0), (3, 8), (4, 3)])), ErrorKind::Damaged),
            (header(0, 7, &structure(&[(1, 7), (2, 0)])), ErrorKind::Damaged),
            (header(9, 5, &structure(&[(1, 7), (2, 0), (3, 3), (4, 3)])), ErrorKind::Damaged),
            (structure(&[(1, 0), (2, -5)]), ErrorKind::Damaged),
            (vec![], ErrorKind::Damaged),
        ] {
            assert_eq!(PageHeader::parse(&bytes).unwrap_err().kind(), kind, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_a_panic(bytes: Vec<u8>, kind in 0_i64..4, field in 5_u8..9) {
            let _ = PageHeader::parse(&bytes);
            let _ = PageHeader::parse(&header(kind, field, &bytes));
        }
    }
}
