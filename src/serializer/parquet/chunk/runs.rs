//! Runs and bit-packed groups by turns: the places of a dictionary.

use bytes::Bytes;

use super::malformed;
use super::unpack::{PACK, pack_bytes, unpack};
use crate::error::Result;

/// So many packs are taken apart at once.
const HELD: usize = 8;

/// Some places, one after the other.
pub(super) enum Places<'a> {
    /// The same place so many times.
    Same(u32, usize),
    Each(&'a [u32]),
}

/// Reads places, in their order.
pub(super) struct Runs {
    bytes: Bytes,
    at: usize,
    width: u32,
    run: Run,
    /// Places that were taken apart, and which of them are still to be read.
    held: [[u32; PACK]; HELD],
    from: usize,
    to: usize,
}

enum Run {
    Same(u32, usize),
    /// So many places are still packed.
    Packed(usize),
}

impl Runs {
    /// Reads `bytes`, whose first byte says how many bits a place has.
    pub(super) fn new(bytes: Bytes) -> Result<Self> {
        // A page of nulls alone may have no bytes at all.
        let width = bytes.first().copied().unwrap_or(0).into();
        if width > 32 {
            return Err(malformed("has places of a dictionary that are too wide"));
        }
        Ok(Self { bytes, at: 1, width, run: Run::Packed(0), held: [[0; PACK]; HELD], from: 0, to: 0 })
    }

    /// The next places, at most `most` of them, and at least one.
    pub(super) fn next(&mut self, most: usize) -> Result<Places<'_>> {
        if self.from == self.to {
            self.refill()?;
        }
        if self.from < self.to {
            let from = self.from;
            self.from = self.to.min(from + most);
            return Ok(Places::Each(self.held.as_flattened().get(from..self.from).unwrap_or_default()));
        }
        let Run::Same(place, left) = &mut self.run else { return Err(ended()) };
        let count = most.min(*left);
        *left -= count;
        Ok(Places::Same(*place, count))
    }

    /// Appends the next places.
    pub(super) fn take(&mut self, mut count: usize, out: &mut Vec<u32>) -> Result<()> {
        while count > 0 {
            match self.next(count)? {
                Places::Same(place, times) => {
                    out.resize(out.len() + times, place);
                    count -= times;
                }
                Places::Each(places) => {
                    out.extend_from_slice(places);
                    count -= places.len();
                }
            }
        }
        Ok(())
    }

    /// Leaves out the next places.
    pub(super) fn skip(&mut self, mut count: usize) -> Result<()> {
        while count > 0 {
            count -= match self.next(count)? {
                Places::Same(_, count) => count,
                Places::Each(places) => places.len(),
            };
        }
        Ok(())
    }

    fn refill(&mut self) -> Result<()> {
        while let Run::Same(_, 0) | Run::Packed(0) = self.run {
            self.next_run()?;
        }
        if let Run::Packed(left) = &mut self.run {
            (self.from, self.to) = (0, (PACK * HELD).min(*left));
            let length = self.to / 8 * self.width as usize;
            let mut rest = self.bytes.get(self.at..).filter(|rest| rest.len() >= length).ok_or_else(ended)?;
            for pack in self.held.iter_mut().take(self.to.div_ceil(PACK)) {
                unpack(rest, self.width, pack);
                rest = rest.get(pack_bytes(self.width)..).unwrap_or_default();
            }
            *left -= self.to;
            self.at += length;
        }
        Ok(())
    }

    fn next_run(&mut self) -> Result<()> {
        let (mut header, mut shift) = (0_u64, 0);
        loop {
            let byte = *self.bytes.get(self.at).ok_or_else(ended)?;
            self.at += 1;
            header |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
            if shift > 35 {
                return Err(malformed("has a run without an end"));
            }
        }
        let count = usize::try_from(header >> 1).map_err(|_| ended())?;
        self.run = if header & 1 == 1 {
            Run::Packed(count * 8)
        } else {
            let length = self.width.div_ceil(8) as usize;
            let bytes = self.bytes.get(self.at..self.at + length).ok_or_else(ended)?;
            self.at += length;
            let mut place = [0; 4];
            place.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            Run::Same(u32::from_le_bytes(place), count)
        };
        Ok(())
    }
}

fn ended() -> crate::Error {
    malformed("has fewer values than it says")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::column::encode_runs;
    use super::*;

    fn all(runs: &mut Runs, count: usize, most: usize) -> Vec<u32> {
        let mut found = Vec::new();
        while found.len() < count {
            match runs.next(most.min(count - found.len())).unwrap() {
                Places::Same(place, count) => found.extend(std::iter::repeat_n(place, count)),
                Places::Each(places) => found.extend_from_slice(places),
            }
        }
        found
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(
            runs in prop::collection::vec((0_u32..40, 1_usize..90), 1..30), most in 1_usize..100, skipped in 0_usize..200,
        ) {
            let values: Vec<u32> = runs.into_iter().flat_map(|(value, length)| std::iter::repeat_n(value, length)).collect();
            let skipped = skipped.min(values.len());
            for width in [6_u32, 7, 32] {
                let mut bytes = vec![width as u8];
                encode_runs(&values, width, &mut bytes);
                let mut runs = Runs::new(bytes.into()).unwrap();
                runs.skip(skipped).unwrap();
                prop_assert_eq!(&all(&mut runs, values.len() - skipped, most), &values[skipped..]);
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, most in 1_usize..100) {
            if let Ok(mut runs) = Runs::new(bytes.into()) {
                for _ in 0..1_000 {
                    if runs.next(most).is_err() {
                        break;
                    }
                }
            }
        }
    }
}
