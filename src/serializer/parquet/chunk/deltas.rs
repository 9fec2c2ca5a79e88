//! `DELTA_BINARY_PACKED`: integers by the steps from one to the next.

use bytes::Bytes;

use super::malformed;
use super::unpack::{PACK, pack_bytes, unpack_wide};
use crate::error::Result;
use crate::serializer::parquet::thrift::Walk;

/// An integer that steps lead to.
pub(super) trait Reached: Copy {
    /// The lowest bits of a sum of steps.
    fn reached(sum: i64) -> Self;
}

impl Reached for i32 {
    fn reached(sum: i64) -> Self {
        sum as i32
    }
}

impl Reached for i64 {
    fn reached(sum: i64) -> Self {
        sum
    }
}

/// Reads integers, in their order.
pub(super) struct Deltas {
    bytes: Bytes,
    at: usize,
    minis: usize,
    /// How many steps a miniblock has; whole packs of them.
    mini: usize,
    /// How many values are still to be read, the held ones included.
    left: usize,
    /// Whether the first value is still to be read; it is `last`.
    first: bool,
    last: i64,
    least: i64,
    /// The widths of the block's miniblocks that are not begun.
    widths: std::ops::Range<usize>,
    width: u32,
    /// How many steps of the miniblock are still packed.
    packed: usize,
    /// Steps that were taken apart, of which those from `next` on were not taken yet.
    steps: [u64; PACK],
    next: usize,
}

impl Deltas {
    /// Reads `bytes`, whose header was looked at before.
    pub(super) fn new(bytes: Bytes) -> Result<Self> {
        let mut walk = Walk { bytes: &bytes };
        let mut number = || walk.varint().and_then(|number| usize::try_from(number).ok()).ok_or_else(ended);
        let (block, minis, left) = (number()?, number()?, number()?);
        let last = unzigzag(walk.varint().ok_or_else(ended)?);
        let at = bytes.len() - walk.bytes.len();
        let mini = block.checked_div(minis).filter(|mini| *mini > 0 && mini % PACK == 0);
        let mini = mini.ok_or_else(|| malformed("has deltas in blocks that are none"))?;
        Ok(Self {
            bytes,
            at,
            minis,
            mini,
            left,
            first: true,
            last,
            least: 0,
            widths: 0..0,
            width: 0,
            packed: 0,
            steps: [0; PACK],
            next: PACK,
        })
    }

    /// How many values are left.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Where the bytes behind the last value begin, once all were read.
    pub(super) fn end(&self) -> usize {
        // What is left of the last miniblock is only there to fill it.
        self.at + self.packed / PACK * pack_bytes(self.width)
    }

    /// Appends the next values.
    pub(super) fn take<T: Reached>(&mut self, mut count: usize, out: &mut Vec<T>) -> Result<()> {
        if count > self.left {
            return Err(ended());
        }
        self.left -= count;
        if count > 0 && std::mem::take(&mut self.first) {
            out.push(T::reached(self.last));
            count -= 1;
        }
        while count > 0 {
            if self.next == PACK {
                self.refill()?;
            }
            let end = PACK.min(self.next + count);
            let steps = self.steps.get(self.next..end).unwrap_or_default();
            let (least, mut last) = (self.least, self.last);
            out.extend(steps.iter().map(|step| {
                last = last.wrapping_add(least).wrapping_add(step.cast_signed());
                T::reached(last)
            }));
            self.last = last;
            count -= steps.len();
            self.next = end;
        }
        Ok(())
    }

    fn refill(&mut self) -> Result<()> {
        if self.packed == 0 {
            self.next_mini()?;
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = pack_bytes(self.width);
        if rest.len() < length {
            return Err(ended());
        }
        unpack_wide(rest, self.width, &mut self.steps);
        self.at += length;
        self.packed -= PACK;
        self.next = 0;
        Ok(())
    }

    fn next_mini(&mut self) -> Result<()> {
        if self.widths.is_empty() {
            let mut walk = Walk { bytes: self.bytes.get(self.at..).unwrap_or_default() };
            self.least = unzigzag(walk.varint().ok_or_else(ended)?);
            let start = self.bytes.len() - walk.bytes.len();
            self.widths = start..start + self.minis;
            self.at = start + self.minis;
        }
        let width = self.widths.next().and_then(|place| self.bytes.get(place)).ok_or_else(ended)?;
        if *width > 64 {
            return Err(malformed("has deltas that are too wide"));
        }
        (self.width, self.packed) = ((*width).into(), self.mini);
        Ok(())
    }
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn ended() -> crate::Error {
    malformed("has fewer deltas than it says")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::column::encode_deltas;
    use super::*;

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(
            mut values in prop::collection::vec(any::<i64>(), 0..600), shift in 0_u32..64, cuts in prop::collection::vec(1_usize..300, 1..9),
        ) {
            values.iter_mut().for_each(|value| *value >>= shift);
            let narrow: Vec<i32> = values.iter().map(|value| *value as i32).collect();
            let (mut bytes, mut short) = (Vec::new(), Vec::new());
            encode_deltas(values.iter().copied(), &mut bytes);
            encode_deltas(narrow.iter().copied(), &mut short);
            let (length, mut found, mut found_narrow) = (bytes.len(), Vec::new(), Vec::new());
            bytes.extend_from_slice(b"behind");
            let mut wide = Deltas::new(bytes.into()).unwrap();
            let mut short = Deltas::new(short.into()).unwrap();
            for cut in cuts.iter().cycle() {
                let count = (*cut).min(wide.left());
                wide.take(count, &mut found).unwrap();
                short.take(count, &mut found_narrow).unwrap();
                if wide.left() == 0 {
                    break;
                }
            }
            prop_assert_eq!((&found, &found_narrow), (&values, &narrow));
            prop_assert_eq!(wide.end(), length);
            prop_assert!(wide.take(1, &mut found).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, minis in 1_u8..5) {
            for bytes in [bytes.clone(), [&[32 * minis, minis, 0x70], bytes.as_slice()].concat()] {
                if let Ok(mut deltas) = Deltas::new(bytes.into()) {
                    let _ = deltas.take(deltas.left().min(1_000), &mut Vec::<i64>::new());
                }
            }
        }
    }
}
