//! The distinct values of a column chunk, numbered in the order in which they come.

use xxhash_rust::xxh3::xxh3_64;

use super::value::Value;

/// Numbers values. Values are the same if their bits are.
pub(super) trait Builder<V> {
    /// Without any values, which will lie between these bounds, if any are given.
    fn new(bounds: Option<(V, V)>) -> Self;

    /// Appends the place of each value.
    fn places(&mut self, values: &[V], places: &mut Vec<u32>);

    /// How many distinct values there are.
    fn len(&self) -> usize;

    /// Their bytes when encoded plainly.
    fn bytes(&self) -> usize;

    /// Appends them, encoded plainly.
    fn plain(&self, out: &mut Vec<u8>);
}

/// An integer or float by its bits.
pub(super) trait Bits: Value {
    fn bits(self) -> u64;
    /// How far it lies from `least`, if that can be told by subtraction.
    fn above_least(self, least: Self) -> Option<u64>;
}

macro_rules! bits {
    ($($type:ty: $bits:expr, $distance:expr;)*) => {$(
        impl Bits for $type {
            fn bits(self) -> u64 {
                let bits: fn(Self) -> u64 = $bits;
                bits(self)
            }

            fn above_least(self, least: Self) -> Option<u64> {
                let distance: fn(Self, Self) -> Option<u64> = $distance;
                distance(self, least)
            }
        }
    )*};
}

bits! {
    i32: |value| value.cast_unsigned().into(), |value, least| Some(value.wrapping_sub(least).cast_unsigned().into());
    u32: |value| value.into(), |value, least| Some(value.wrapping_sub(least).into());
    i64: |value| value.cast_unsigned(), |value, least| Some(value.wrapping_sub(least).cast_unsigned());
    u64: |value| value, |value, least| Some(value.wrapping_sub(least));
    f32: |value| value.to_bits().into(), |_, _| None;
    f64: |value| value.to_bits(), |_, _| None;
}

/// Integers that lie in so narrow a range are found by a table of the range.
const DIRECT: u64 = 1 << 16;
const EMPTY: u32 = u32::MAX;

/// Where values are in a dictionary, by their hashes.
#[derive(Default)]
struct Places(Vec<u32>);

impl Places {
    /// The place of a value; if none of those `known` is the `same`, it is entered behind them, and there is none.
    fn find(
        &mut self,
        hash: u64,
        known: usize,
        same: impl Fn(usize) -> bool,
        hash_of: impl Fn(usize) -> u64,
    ) -> Option<u32> {
        if (known + 1) * 2 > self.0.len() {
            self.0 = vec![EMPTY; (self.0.len() * 2).max(256)];
            (0..known).for_each(|place| self.settle(hash_of(place), place as u32));
        }
        let mask = self.0.len() - 1;
        let mut slot = hash as usize & mask;
        while let Some(taken) = self.0.get_mut(slot) {
            match *taken {
                EMPTY => {
                    *taken = known as u32;
                    return None;
                }
                place if same(place as usize) => return Some(place),
                _ => slot = (slot + 1) & mask,
            }
        }
        None
    }

    /// Puts a place that is not there where its hash belongs.
    fn settle(&mut self, hash: u64, place: u32) {
        let mask = self.0.len() - 1;
        let mut slot = hash as usize & mask;
        while let Some(taken) = self.0.get_mut(slot) {
            if *taken == EMPTY {
                *taken = place;
                return;
            }
            slot = (slot + 1) & mask;
        }
    }
}

/// The dictionary of values of a fixed width.
pub(super) struct FixedBuilder<V> {
    values: Vec<V>,
    direct: Option<(V, Vec<u32>)>,
    table: Places,
}

impl<V: Bits> FixedBuilder<V> {
    fn find(&mut self, value: V) -> u32 {
        let (bits, known) = (value.bits(), &self.values);
        let same = |place: usize| known.get(place).is_some_and(|known| known.bits() == bits);
        let hash_of = |place: usize| known.get(place).map_or(0, |known| spread(known.bits()));
        let found = self.table.find(spread(bits), known.len(), same, hash_of);
        found.unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() as u32 - 1
        })
    }
}

/// Spreads the bits of a value over all bits of its hash.
fn spread(bits: u64) -> u64 {
    let mixed = u128::from(bits ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93_u128;
    (mixed >> 64) as u64 ^ mixed as u64
}

impl<V: Bits> Builder<V> for FixedBuilder<V> {
    fn new(bounds: Option<(V, V)>) -> Self {
        let direct = bounds.and_then(|(least, greatest)| {
            let range = greatest.above_least(least).filter(|range| *range < DIRECT)?;
            Some((least, vec![EMPTY; range as usize + 1]))
        });
        Self { values: Vec::new(), direct, table: Places::default() }
    }

    fn places(&mut self, values: &[V], places: &mut Vec<u32>) {
        if let Some((least, mut table)) = self.direct.take() {
            for value in values {
                let at = value.above_least(least).unwrap_or_default() as usize;
                let Some(place) = table.get_mut(at) else { continue };
                if *place == EMPTY {
                    *place = self.values.len() as u32;
                    self.values.push(*value);
                }
                places.push(*place);
            }
            self.direct = Some((least, table));
            return;
        }
        let mut last: Option<(u64, u32)> = None;
        for value in values {
            let place = match last {
                Some((bits, place)) if bits == value.bits() => place,
                _ => self.find(*value),
            };
            last = Some((value.bits(), place));
            places.push(place);
        }
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn bytes(&self) -> usize {
        size_of_val(self.values.as_slice())
    }

    fn plain(&self, out: &mut Vec<u8>) {
        V::plain(&self.values, out);
    }
}

/// The dictionary of texts and binary values.
#[derive(Default)]
pub(super) struct BytesBuilder {
    known: KnownBytes,
    table: Places,
}

#[derive(Default)]
struct KnownBytes {
    /// All values, one behind the other.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    hashes: Vec<u64>,
}

impl KnownBytes {
    fn value(&self, place: usize) -> &[u8] {
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        self.ends.get(place).and_then(|end| self.bytes.get(start..*end)).unwrap_or_default()
    }

    fn push(&mut self, value: &[u8], hash: u64) -> u32 {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
        self.hashes.push(hash);
        self.ends.len() as u32 - 1
    }
}

impl BytesBuilder {
    fn find(&mut self, value: &[u8]) -> u32 {
        let (hash, known) = (hash(value), &self.known);
        let hash_of = |place: usize| known.hashes.get(place).copied().unwrap_or_default();
        let same = |place: usize| hash_of(place) == hash && known.value(place) == value;
        let found = self.table.find(hash, known.ends.len(), same, hash_of);
        found.unwrap_or_else(|| self.known.push(value, hash))
    }
}

/// Short values, which are most, by two overlapping words.
fn hash(value: &[u8]) -> u64 {
    let length = value.len() as u64;
    match (value.first_chunk::<8>(), value.last_chunk::<8>()) {
        (Some(first), Some(last)) if value.len() <= 16 => {
            spread(u64::from_le_bytes(*first) ^ spread(u64::from_le_bytes(*last) ^ length))
        }
        (Some(_), Some(_)) => xxh3_64(value),
        _ => match (value.first_chunk::<4>(), value.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
                spread((u64::from(first) << 32 | u64::from(last)) ^ length << 29)
            }
            _ => spread(value.iter().fold(length, |bits, byte| bits << 8 | u64::from(*byte))),
        },
    }
}

impl<'a> Builder<&'a [u8]> for BytesBuilder {
    fn new(_bounds: Option<(&'a [u8], &'a [u8])>) -> Self {
        Self::default()
    }

    fn places(&mut self, values: &[&'a [u8]], places: &mut Vec<u32>) {
        let mut last: Option<(&[u8], u32)> = None;
        for value in values {
            let place = match last {
                Some((bytes, place)) if bytes == *value => place,
                _ => self.find(value),
            };
            last = Some((value, place));
            places.push(place);
        }
    }

    fn len(&self) -> usize {
        self.known.ends.len()
    }

    fn bytes(&self) -> usize {
        self.known.bytes.len() + 4 * self.known.ends.len()
    }

    fn plain(&self, out: &mut Vec<u8>) {
        let values: Vec<&[u8]> = (0..self.len()).map(|place| self.known.value(place)).collect();
        <&[u8]>::plain(&values, out);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn check<V: Value, K: std::hash::Hash + Eq>(values: &[V], bounds: Option<(V, V)>, key: impl Fn(V) -> K) {
        let (mut builder, mut places) = (V::Dictionary::new(bounds), Vec::new());
        let (first, second) = values.split_at(values.len() / 2);
        builder.places(first, &mut places);
        builder.places(second, &mut places);
        let mut known = HashMap::new();
        let expected: Vec<u32> = values
            .iter()
            .map(|value| {
                let next = known.len() as u32;
                *known.entry(key(*value)).or_insert(next)
            })
            .collect();
        assert_eq!(places, expected);
        assert_eq!(builder.len(), known.len());
        let mut plain = Vec::new();
        builder.plain(&mut plain);
        assert_eq!(plain.len(), builder.bytes());
    }

    proptest! {
        #[test]
        fn values_are_numbered_as_they_come(
            small in prop::collection::vec(-50_i64..50, 0..400),
            wide in prop::collection::vec(any::<i32>(), 0..1_000),
            floats in prop::collection::vec(prop::sample::select(vec![0.0, -0.0, f64::NAN, -f64::NAN, 1.5, f64::INFINITY]), 0..60),
            texts in prop::collection::vec(prop::collection::vec(0_u8..3, 0..20), 0..600),
        ) {
            check(&small, <i64 as Value>::bounds(&small), |value| value);
            check(&small, None, |value| value);
            check(&wide, <i32 as Value>::bounds(&wide), |value| value);
            check(&floats, <f64 as Value>::bounds(&floats), f64::to_bits);
            let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            check(&texts, None, <[u8]>::to_vec);
        }
    }
}
