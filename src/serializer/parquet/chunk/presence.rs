//! Which rows have a value: the definition levels of a flat column.

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::NullBuffer;
use bytes::Bytes;

use super::malformed;
use crate::error::Result;
use crate::serializer::parquet::thrift::Walk;

/// The levels of a page, 0 or 1 for each row, in runs and bit-packed groups by turns.
pub(super) struct Levels {
    bytes: Bytes,
    at: usize,
    run: Run,
}

enum Run {
    Same(bool, usize),
    /// So many are packed, and how many of them were read.
    Packed(usize, usize),
    /// Every row of the page has a value.
    Required,
}

impl Levels {
    /// Of a column that has no nulls.
    pub(super) fn required() -> Self {
        Self { bytes: Bytes::new(), at: 0, run: Run::Required }
    }

    pub(super) fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0, run: Run::Same(true, 0) }
    }

    /// Adds the next rows to what is known; gives how many of them have a value.
    pub(super) fn take(&mut self, rows: usize, presence: &mut Presence) -> Result<usize> {
        let before = presence.values;
        self.each(rows, |found| match found {
            Found::Same(there, rows) => presence.add_run(there, rows),
            Found::Bits(bits, from, rows) => presence.add_bits(bits, from, rows),
        })?;
        Ok(presence.values - before)
    }

    /// Leaves out the next rows; gives how many of them have a value.
    pub(super) fn skip(&mut self, rows: usize) -> Result<usize> {
        let mut values = 0;
        self.each(rows, |found| {
            values += match found {
                Found::Same(there, rows) => rows * usize::from(there),
                Found::Bits(bits, from, rows) => ones(bits, from, rows),
            };
        })?;
        Ok(values)
    }

    fn each(&mut self, mut rows: usize, mut found: impl FnMut(Found<'_>)) -> Result<()> {
        while rows > 0 {
            match &mut self.run {
                Run::Required => {
                    found(Found::Same(true, rows));
                    rows = 0;
                }
                Run::Same(_, 0) => self.next_run()?,
                Run::Packed(all, read) if read == all => self.next_run()?,
                Run::Same(there, left) => {
                    let count = rows.min(*left);
                    found(Found::Same(*there, count));
                    *left -= count;
                    rows -= count;
                }
                Run::Packed(all, read) => {
                    let count = rows.min(*all - *read);
                    let start = self.at - *all / 8;
                    found(Found::Bits(self.bytes.get(start..self.at).unwrap_or_default(), *read, count));
                    *read += count;
                    rows -= count;
                }
            }
        }
        Ok(())
    }

    fn next_run(&mut self) -> Result<()> {
        let mut walk = Walk { bytes: self.bytes.get(self.at..).unwrap_or_default() };
        let header = walk.varint().ok_or_else(ended)?;
        let count = usize::try_from(header >> 1).ok().filter(|count| *count <= usize::MAX / 8).ok_or_else(ended)?;
        self.at = self.bytes.len() - walk.bytes.len();
        if header & 1 == 1 {
            self.at = self.at.checked_add(count).filter(|end| *end <= self.bytes.len()).ok_or_else(ended)?;
            self.run = Run::Packed(count * 8, 0);
        } else {
            let level = *self.bytes.get(self.at).ok_or_else(ended)?;
            self.at += 1;
            self.run = Run::Same(level & 1 == 1, count);
        }
        Ok(())
    }
}

fn ended() -> crate::Error {
    malformed("has fewer levels than rows")
}

enum Found<'a> {
    Same(bool, usize),
    /// These bits, from a place on, so many of them.
    Bits(&'a [u8], usize, usize),
}

fn ones(bits: &[u8], from: usize, rows: usize) -> usize {
    arrow::util::bit_chunk_iterator::UnalignedBitChunk::new(bits, from, rows).count_ones()
}

/// Which rows of a batch have a value.
#[derive(Default)]
pub(super) struct Presence {
    rows: usize,
    values: usize,
    /// From the first null on: a bit for each row so far.
    there: Option<BooleanBufferBuilder>,
}

impl Presence {
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    fn there(&mut self) -> &mut BooleanBufferBuilder {
        let rows = self.rows;
        self.there.get_or_insert_with(|| {
            let mut there = BooleanBufferBuilder::new(rows);
            there.append_n(rows, true);
            there
        })
    }

    fn add_run(&mut self, there: bool, rows: usize) {
        if !there || self.there.is_some() {
            self.there().append_n(rows, there);
        }
        self.rows += rows;
        self.values += rows * usize::from(there);
    }

    fn add_bits(&mut self, bits: &[u8], from: usize, rows: usize) {
        let values = ones(bits, from, rows);
        if values < rows || self.there.is_some() {
            self.there().append_packed_range(from..from + rows, bits);
        }
        self.rows += rows;
        self.values += values;
    }

    /// Puts values that stand side by side where the rows are that have one; `null` is what the others get, told from the
    /// values before them.
    pub(super) fn spread<T: Copy>(&self, values: &mut Vec<T>, null: impl Fn(Option<T>) -> T) {
        let Some(there) = self.there.as_ref().map(BooleanBufferBuilder::as_slice) else { return };
        // From behind, so that each is moved before its place is taken.
        let mut left = values.len();
        values.resize(self.rows, null(None));
        let mut end = self.rows;
        while end > left {
            let start = (end - 1) / 64 * 64;
            let word = word(there, start / 64) & (u64::MAX >> (64 - (end - start)));
            let count = word.count_ones() as usize;
            if count == end - start && count <= left {
                values.copy_within(left - count..left, start);
                left -= count;
            } else {
                for row in (start..end).rev() {
                    let before = left.checked_sub(1).and_then(|place| values.get(place)).copied();
                    let is_there = word >> (row - start) & 1 == 1;
                    let value = match before {
                        Some(value) if is_there => value,
                        before => null(before),
                    };
                    if let Some(place) = values.get_mut(row) {
                        *place = value;
                    }
                    left -= usize::from(is_there && before.is_some());
                }
            }
            end = start;
        }
    }

    /// What an array has, where it has nulls; the next batch begins with nothing.
    pub(super) fn finish(&mut self) -> Option<NullBuffer> {
        let there = self.there.take();
        *self = Self::default();
        there.map(|mut there| NullBuffer::new(there.finish()))
    }
}

fn word(bits: &[u8], number: usize) -> u64 {
    let mut word = [0; 8];
    let bytes = bits.get(number * 8..).unwrap_or_default();
    match bytes.first_chunk::<8>() {
        Some(whole) => word = *whole,
        None => word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from),
    }
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::column::{encode_presence, pack};
    use super::*;

    proptest! {
        #[test]
        fn values_come_where_they_belong(runs in prop::collection::vec((any::<bool>(), 1_usize..200), 1..12), cuts in prop::collection::vec(1_usize..150, 1..5)) {
            let rows: Vec<bool> = runs.into_iter().flat_map(|(there, length)| std::iter::repeat_n(there, length)).collect();
            let (mut bits, mut bytes) = (Vec::new(), Vec::new());
            pack(&rows.iter().map(|there| u32::from(*there)).collect::<Vec<_>>(), 1, &mut bits);
            encode_presence(&bits, rows.len(), &mut bytes);
            let (mut levels, mut presence, mut at, mut values) = (Levels::new(bytes.into()), Presence::default(), 0, 0);
            for cut in cuts.iter().cycle() {
                let count = (*cut).min(rows.len() - at);
                values += levels.take(count, &mut presence).unwrap();
                at += count;
                if at == rows.len() {
                    break;
                }
            }
            prop_assert_eq!(values, rows.iter().filter(|there| **there).count());
            let mut spread: Vec<usize> = (1..=values).collect();
            presence.spread(&mut spread, |before| 1_000_000 + before.unwrap_or(0));
            let mut last = 0;
            let expected = rows.iter().map(|there| {
                last += usize::from(*there);
                if *there { last } else { 1_000_000 + last }
            });
            if values < rows.len() {
                prop_assert_eq!(spread, expected.collect::<Vec<_>>());
            }
            let nulls = presence.finish();
            prop_assert_eq!(nulls.map_or(0, |nulls| nulls.null_count()), rows.len() - values);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, rows in 0_usize..2_000) {
            let _ = Levels::new(bytes.clone().into()).take(rows, &mut Presence::default());
            let _ = Levels::new(bytes.into()).skip(rows);
        }
    }
}
