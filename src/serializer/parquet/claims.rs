//! Looks into a decompressed page where it says how many values it has before it has them.

use parquet::basic::Encoding;

use super::thrift::Walk;
use crate::error::{Error, Result};

/// No writer makes larger blocks of deltas; their usual size is 128 or 256.
const LARGEST_BLOCK: u64 = 65_536;

/// How many levels the values of a column may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Levels {
    pub(super) definition: i16,
    pub(super) repetition: i16,
}

/// Refuses deltas whose header claims more values than the page has, or blocks that no writer makes.
///
/// The library reserves memory for so many, and decodes as many as the header says. At most `most` values are let pass,
/// however many the page itself claims.
///
/// # Errors
///
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) for what is refused.
pub(super) fn check_deltas(encoding: Encoding, values: &[u8], count: u32, most: usize) -> Result<()> {
    if !matches!(encoding, Encoding::DELTA_BINARY_PACKED | Encoding::DELTA_LENGTH_BYTE_ARRAY) || values.is_empty() {
        return Ok(());
    }
    let malformed = || Error::damaged("the deltas in a Parquet page are malformed");
    let mut walk = Walk { bytes: values };
    let mut number = || walk.varint().ok_or_else(malformed);
    let (block, pieces, total) = (number()?, number()?, number()?);
    let piece = block.checked_div(pieces).filter(|piece| piece * pieces == block && *piece > 0 && piece % 32 == 0);
    if piece.is_none() || block > LARGEST_BLOCK {
        return Err(malformed());
    }
    if total > u64::from(count) {
        return Err(Error::damaged(format!("a Parquet page of {count} values claims {total} deltas")));
    }
    if usize::try_from(total).map_or(true, |total| total > most) {
        return Err(Error::damaged(format!("a Parquet page claims {total} values"))
            .with_hint("raise the memory budget if the file is trusted"));
    }
    Ok(())
}

/// What is behind the levels in a data page of the first version.
///
/// # Errors
///
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the levels do not end inside the page.
pub(super) fn behind_levels(page: &[u8], levels: Levels, encodings: (Encoding, Encoding), count: u32) -> Result<&[u8]> {
    let cut = || Error::damaged("the levels of a Parquet page are malformed");
    let page = behind(page, levels.repetition, encodings.0, count).ok_or_else(cut)?;
    behind(page, levels.definition, encodings.1, count).ok_or_else(cut)
}

fn behind(page: &[u8], highest: i16, encoding: Encoding, count: u32) -> Option<&[u8]> {
    if highest <= 0 {
        return Some(page);
    }
    if encoding == Encoding::RLE {
        let (length, rest) = page.split_first_chunk()?;
        return rest.get(usize::try_from(u32::from_le_bytes(*length)).ok()?..);
    }
    let bits = u64::from(16 - highest.cast_unsigned().leading_zeros()) * u64::from(count);
    page.get(usize::try_from(bits.div_ceil(8)).ok()?..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(numbers: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in numbers {
            let mut left = *number;
            while left > 0x7f {
                bytes.push((left & 0x7f) as u8 | 0x80);
                left >>= 7;
            }
            bytes.push(left as u8);
        }
        bytes
    }

    #[test]
    fn deltas_may_claim_what_the_page_has() {
        let check = |numbers: &[u64], count, most| {
            check_deltas(Encoding::DELTA_LENGTH_BYTE_ARRAY, &header(numbers), count, most).is_ok()
        };
        assert!(check(&[128, 4, 300, 0], 300, 300) && check(&[256, 2, 0, 0], 0, 0));
        assert!(check_deltas(Encoding::PLAIN, &header(&[0]), 0, 0).is_ok());
        for (numbers, count, most) in [
            (vec![128, 4, 301, 0], 300, 1_000),
            (vec![128, 4, 300, 0], 300, 299),
            (vec![0, 4, 3, 0], 300, 300),
            (vec![128, 0, 3, 0], 300, 300),
            (vec![128, 3, 3, 0], 300, 300),
            (vec![128, 8, 3, 0], 300, 300),
            (vec![1 << 20, 4, 3, 0], 300, 300),
            (vec![u64::MAX, u64::MAX, u64::MAX], u32::MAX, usize::MAX),
            (vec![128, 4], 300, 300),
        ] {
            assert!(!check(&numbers, count, most), "{numbers:?}");
        }
    }

    #[test]
    fn levels_are_skipped_as_they_are_written() {
        let page = [2, 0, 0, 0, 7, 7, 1, 0, 0, 0, 9, 5, 6];
        let levels = Levels { definition: 1, repetition: 1 };
        let rle = (Encoding::RLE, Encoding::RLE);
        assert_eq!(behind_levels(&page, levels, rle, 3).unwrap(), [5, 6]);
        let flat = Levels { definition: 0, repetition: 0 };
        assert_eq!(behind_levels(&page, flat, rle, 3).unwrap(), page);
        assert!(behind_levels(&page[..8], levels, rle, 3).is_err());
        assert!(behind_levels(&[0xff; 9], levels, rle, 3).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_without_a_panic(page: Vec<u8>, count: u32, definition: i16, repetition: i16) {
            let levels = Levels { definition, repetition };
            let _ = check_deltas(Encoding::DELTA_BINARY_PACKED, &page, count, 1_000);
            #[expect(deprecated, reason = "read though never written")]
            let packed = Encoding::BIT_PACKED;
            for encoding in [Encoding::RLE, packed] {
                let _ = behind_levels(&page, levels, (encoding, encoding), count);
            }
        }
    }
}
