//! `DELTA_BINARY_PACKED`: the steps from one integer to the next, in as few bits as those of a block need.

use super::bits::{pack, varint, width, zigzag};

const BLOCK: usize = 128;
const MINIBLOCKS: usize = 4;
const MINIBLOCK: usize = BLOCK / MINIBLOCKS;

/// An integer whose steps may wrap around.
pub(in super::super) trait Step: Copy {
    /// From `last` to `self`.
    fn since(self, last: Self) -> Self;
    /// As a signed integer.
    fn signed(self) -> i64;
    /// How far above `least` it is.
    fn above(self, least: i64) -> u64;
}

impl Step for i32 {
    fn since(self, last: Self) -> Self {
        self.wrapping_sub(last)
    }

    fn signed(self) -> i64 {
        self.into()
    }

    fn above(self, least: i64) -> u64 {
        // What lies between two integers of 32 bits fits 32 bits without a sign.
        i64::from(self).wrapping_sub(least).cast_unsigned()
    }
}

impl Step for i64 {
    fn since(self, last: Self) -> Self {
        self.wrapping_sub(last)
    }

    fn signed(self) -> i64 {
        self
    }

    fn above(self, least: i64) -> u64 {
        self.wrapping_sub(least).cast_unsigned()
    }
}

/// Appends `values`.
pub(in super::super) fn encode<T: Step>(values: impl ExactSizeIterator<Item = T>, out: &mut Vec<u8>) {
    let mut values = values;
    varint(BLOCK as u64, out);
    varint(MINIBLOCKS as u64, out);
    varint(values.len() as u64, out);
    let Some(mut last) = values.next() else {
        zigzag(0, out);
        return;
    };
    zigzag(last.signed(), out);
    let (mut steps, mut count) = ([0_i64; BLOCK], 0);
    for value in values {
        if let Some(step) = steps.get_mut(count) {
            *step = value.since(last).signed();
        }
        last = value;
        count += 1;
        if count == BLOCK {
            block(&steps, out);
            count = 0;
        }
    }
    if count > 0 {
        block(steps.get(..count).unwrap_or_default(), out);
    }
}

fn block(steps: &[i64], out: &mut Vec<u8>) {
    let least = steps.iter().copied().min().unwrap_or_default();
    zigzag(least, out);
    let widths = out.len();
    out.extend_from_slice(&[0; MINIBLOCKS]);
    let mut above = [0_u64; MINIBLOCK];
    for (number, mini) in steps.chunks(MINIBLOCK).enumerate() {
        // A block that is not full is filled up with its least step, which takes no bits.
        above.fill(0);
        let mut all = 0;
        for (above, step) in above.iter_mut().zip(mini) {
            *above = step.above(least);
            all |= *above;
        }
        let bits = width(all);
        if let Some(place) = out.get_mut(widths + number) {
            *place = bits as u8;
        }
        pack(&above, bits, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_are_the_same_take_no_bits() {
        let mut out = Vec::new();
        encode((0..129_i32).map(|value| value * 7), &mut out);
        assert_eq!(out, [0x80, 1, 4, 0x81, 1, 0, 14, 0, 0, 0, 0]);
    }

    #[test]
    fn steps_wrap_around() {
        let mut out = Vec::new();
        encode([i32::MIN, i32::MAX, 0].into_iter(), &mut out);
        // From the least to the greatest is one step back; the next step is more than half way round.
        assert_eq!(out.len(), 4 + 5 + 5 + 4 + 32 * 31 / 8);
    }
}
