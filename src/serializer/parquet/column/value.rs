//! The values that a column chunk holds, as far as encoding them differs from type to type.

use parquet::basic::{Encoding, Type};
use parquet::bloom_filter::Sbbf;
use parquet::data_type::ByteArray;
use parquet::file::statistics::{Statistics, ValueStatistics};

use super::delta;
use super::dictionary::{Builder, BytesBuilder, FixedBuilder};

/// Longer least and greatest texts are cut in the statistics.
const BOUND_BYTES: usize = 64;

/// A value as Parquet stores it.
pub(super) trait Value: Copy {
    /// Builds the dictionary of a chunk.
    type Dictionary: Builder<Self>;

    const PHYSICAL: Type;
    /// The encodings that may suit it besides plain and a dictionary.
    const ENCODINGS: &'static [Encoding];

    /// Whether a dictionary is built sooner where the bounds are known.
    const RANGED: bool;

    /// Its bytes when encoded plainly.
    fn plain_bytes(self) -> usize;

    /// Appends values, one behind the other.
    fn plain(values: &[Self], out: &mut Vec<u8>);

    /// Appends values in one of [`Value::ENCODINGS`], or plainly.
    fn encode(values: &[Self], encoding: Encoding, out: &mut Vec<u8>);

    /// The least and the greatest; none of no values, nor of values that have no order.
    fn bounds(values: &[Self]) -> Option<(Self, Self)>;

    /// [`Value::bounds`] of values that are at these `places` of a dictionary of `distinct` values.
    fn bounds_of(values: &[Self], _places: &[u32], _distinct: usize) -> Option<(Self, Self)> {
        Self::bounds(values)
    }

    /// The least of two, and the greatest of two.
    fn wider(a: (Self, Self), b: (Self, Self)) -> (Self, Self);

    /// Whether `a` comes before `b`.
    fn before(a: Self, b: Self) -> bool;

    /// Bounds as the page index has them; those of text may be wider than the values.
    fn index_bounds(bounds: (Self, Self)) -> (Vec<u8>, Vec<u8>);

    /// Statistics of a chunk.
    fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics;

    /// Tells a bloom filter that it is there.
    fn enter(self, bloom: &mut Sbbf);
}

macro_rules! fixed {
    ($type:ty, $physical:ident, $encodings:expr, $statistics:path, $as:ty, $encode:expr) => {
        impl Value for $type {
            type Dictionary = FixedBuilder<Self>;

            const PHYSICAL: Type = Type::$physical;
            const ENCODINGS: &'static [Encoding] = $encodings;
            const RANGED: bool = matches!(Self::PHYSICAL, Type::INT32 | Type::INT64);

            fn plain_bytes(self) -> usize {
                size_of::<Self>()
            }

            fn plain(values: &[Self], out: &mut Vec<u8>) {
                out.reserve(size_of_val(values));
                values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
            }

            fn encode(values: &[Self], encoding: Encoding, out: &mut Vec<u8>) {
                let encode: fn(&[Self], Encoding, &mut Vec<u8>) = $encode;
                if encoding == Encoding::PLAIN { Self::plain(values, out) } else { encode(values, encoding, out) }
            }

            fn bounds(values: &[Self]) -> Option<(Self, Self)> {
                Ordered::bounds(values)
            }

            fn wider(a: (Self, Self), b: (Self, Self)) -> (Self, Self) {
                (Ordered::least(a.0, b.0), Ordered::greatest(a.1, b.1))
            }

            fn before(a: Self, b: Self) -> bool {
                a < b
            }

            fn index_bounds((least, greatest): (Self, Self)) -> (Vec<u8>, Vec<u8>) {
                (least.to_le_bytes().to_vec(), greatest.to_le_bytes().to_vec())
            }

            fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics {
                let (least, greatest) = bounds.unzip();
                $statistics(
                    least.map(|value| value as $as),
                    greatest.map(|value| value as $as),
                    None,
                    Some(nulls),
                    false,
                )
            }

            fn enter(self, bloom: &mut Sbbf) {
                bloom.insert(&(self as $as));
            }
        }
    };
}

const STEPS: &[Encoding] = &[Encoding::DELTA_BINARY_PACKED];
const STREAMS: &[Encoding] = &[Encoding::BYTE_STREAM_SPLIT];

fixed!(i32, INT32, STEPS, Statistics::int32, i32, |values, _, out| delta::encode(values.iter().copied(), out));
fixed!(i64, INT64, STEPS, Statistics::int64, i64, |values, _, out| delta::encode(values.iter().copied(), out));
fixed!(u32, INT32, STEPS, Statistics::int32, i32, |values, _, out| {
    delta::encode(values.iter().map(|value| value.cast_signed()), out);
});
fixed!(u64, INT64, STEPS, Statistics::int64, i64, |values, _, out| {
    delta::encode(values.iter().map(|value| value.cast_signed()), out);
});
fixed!(f32, FLOAT, STREAMS, Statistics::float, f32, |values, _, out| split(values, |value| value.to_le_bytes(), out));
fixed!(f64, DOUBLE, STREAMS, Statistics::double, f64, |values, _, out| split(values, |value| value.to_le_bytes(), out));

/// The order that the statistics of a type have.
trait Ordered: Copy + PartialOrd {
    fn least(a: Self, b: Self) -> Self;
    fn greatest(a: Self, b: Self) -> Self;
    fn bounds(values: &[Self]) -> Option<(Self, Self)>;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Ordered for $type {
            fn least(a: Self, b: Self) -> Self {
                a.min(b)
            }

            fn greatest(a: Self, b: Self) -> Self {
                a.max(b)
            }

            fn bounds(values: &[Self]) -> Option<(Self, Self)> {
                let first = *values.first()?;
                let wider = |(least, greatest): (Self, Self), value: &Self| (least.min(*value), greatest.max(*value));
                Some(values.iter().fold((first, first), wider))
            }
        }
    )*};
}
integers!(i32, i64, u32, u64);

macro_rules! floats {
    ($($type:ty),*) => {$(
        impl Ordered for $type {
            fn least(a: Self, b: Self) -> Self {
                if b < a { b } else { a }
            }

            fn greatest(a: Self, b: Self) -> Self {
                if b > a { b } else { a }
            }

            /// Values that are no numbers have no order, and both zeros are the same.
            fn bounds(values: &[Self]) -> Option<(Self, Self)> {
                let none = (Self::INFINITY, Self::NEG_INFINITY);
                let wider = |(least, greatest): (Self, Self), value: &Self| {
                    (if *value < least { *value } else { least }, if *value > greatest { *value } else { greatest })
                };
                let (least, greatest) = values.iter().fold(none, wider);
                if least > greatest {
                    // Either nothing has an order, or infinities are all there is.
                    let mut ordered = values.iter().copied().filter(|value| !value.is_nan());
                    let first = ordered.next()?;
                    return Some(ordered.fold((first, first), |bounds, value| wider(bounds, &value)));
                }
                Some((if least == 0.0 { -0.0 } else { least }, if greatest == 0.0 { 0.0 } else { greatest }))
            }
        }
    )*};
}
floats!(f32, f64);

/// Appends the first bytes of all values, then all their second bytes, and so on.
fn split<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + values.len() * N, 0);
    let streams = out.get_mut(start..).unwrap_or_default();
    // A few values at a time, so that all the streams stay near.
    for (number, value) in values.iter().enumerate() {
        for (stream, byte) in bytes(*value).into_iter().enumerate() {
            if let Some(place) = streams.get_mut(stream * values.len() + number) {
                *place = byte;
            }
        }
    }
}

impl Value for &[u8] {
    type Dictionary = BytesBuilder;

    const PHYSICAL: Type = Type::BYTE_ARRAY;
    const ENCODINGS: &'static [Encoding] = &[Encoding::DELTA_LENGTH_BYTE_ARRAY];
    const RANGED: bool = false;

    fn plain_bytes(self) -> usize {
        4 + self.len()
    }

    fn plain(values: &[Self], out: &mut Vec<u8>) {
        out.reserve(values.iter().map(|value| value.plain_bytes()).sum());
        for value in values {
            out.extend_from_slice(&(value.len() as u32).to_le_bytes());
            out.extend_from_slice(value);
        }
    }

    fn encode(values: &[Self], encoding: Encoding, out: &mut Vec<u8>) {
        if encoding == Encoding::PLAIN {
            return Self::plain(values, out);
        }
        delta::encode(values.iter().map(|value| (value.len() as u32).cast_signed()), out);
        out.reserve(values.iter().map(|value| value.len()).sum());
        values.iter().for_each(|value| out.extend_from_slice(value));
    }

    fn bounds(values: &[Self]) -> Option<(Self, Self)> {
        let first = *values.first()?;
        let (mut least, mut greatest) = ((head(first), first), (head(first), first));
        for value in values {
            let found = (head(value), *value);
            if found < least {
                least = found;
            } else if found > greatest {
                greatest = found;
            }
        }
        Some((least.1, greatest.1))
    }

    fn bounds_of(values: &[Self], places: &[u32], distinct: usize) -> Option<(Self, Self)> {
        let mut met = vec![false; distinct];
        let first = |place: &u32| met.get_mut(*place as usize).is_some_and(|met| !std::mem::replace(met, true));
        let mut first = first;
        let once: Vec<Self> =
            values.iter().zip(places).filter(|(_, place)| first(place)).map(|(value, _)| *value).collect();
        Self::bounds(&once)
    }

    fn wider(a: (Self, Self), b: (Self, Self)) -> (Self, Self) {
        (a.0.min(b.0), a.1.max(b.1))
    }

    fn before(a: Self, b: Self) -> bool {
        a < b
    }

    fn index_bounds((least, greatest): (Self, Self)) -> (Vec<u8>, Vec<u8>) {
        (cut(least).to_vec(), above(greatest).unwrap_or_else(|| greatest.to_vec()))
    }

    fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics {
        let (least, greatest) = bounds.unzip();
        let upper = greatest.map(|greatest| above(greatest).unwrap_or_else(|| greatest.to_vec()));
        let exact = |whole: Option<Self>, told: Option<usize>| whole.map(<[u8]>::len) == told;
        let least_exact = exact(least, least.map(|least| cut(least).len()));
        let greatest_exact = greatest.map(<[u8]>::to_vec) == upper;
        let lower = least.map(|least| ByteArray::from(cut(least).to_vec()));
        let statistics = ValueStatistics::new(lower, upper.map(ByteArray::from), None, Some(nulls), false);
        Statistics::ByteArray(statistics.with_min_is_exact(least_exact).with_max_is_exact(greatest_exact))
    }

    fn enter(self, bloom: &mut Sbbf) {
        bloom.insert(self);
    }
}

/// The first eight bytes as a number of the same order.
fn head(value: &[u8]) -> u64 {
    match value.first_chunk::<8>() {
        Some(head) => u64::from_be_bytes(*head),
        None => {
            let mut head = [0; 8];
            head.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
            u64::from_be_bytes(head)
        }
    }
}

/// A beginning of `value`, whole characters where it is text.
fn cut(value: &[u8]) -> &[u8] {
    if value.len() <= BOUND_BYTES {
        return value;
    }
    let length = match std::str::from_utf8(value) {
        Ok(text) => text.floor_char_boundary(BOUND_BYTES),
        Err(_) => BOUND_BYTES,
    };
    value.get(..length).unwrap_or(value)
}

/// `value`, or something short that comes after it; none where nothing short does.
fn above(value: &[u8]) -> Option<Vec<u8>> {
    let beginning = cut(value);
    if beginning.len() == value.len() {
        return Some(value.to_vec());
    }
    match std::str::from_utf8(value) {
        Ok(_) => std::str::from_utf8(beginning).ok().and_then(next_text),
        Err(_) => next_bytes(beginning),
    }
}

fn next_bytes(value: &[u8]) -> Option<Vec<u8>> {
    let last = value.iter().rposition(|byte| *byte < 0xff)?;
    let mut next = value.get(..=last)?.to_vec();
    *next.last_mut()? += 1;
    Some(next)
}

fn next_text(text: &str) -> Option<Vec<u8>> {
    let following = |last: char| match u32::from(last) {
        0xd7ff => Some('\u{e000}'),
        code => char::from_u32(code + 1),
    };
    text.char_indices().rev().find_map(|(at, last)| {
        let mut next = text.get(..at)?.to_owned();
        next.push(following(last)?);
        Some(next.into_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_leave_out_what_has_no_order() {
        assert_eq!(<f64 as Value>::bounds(&[f64::NAN, 2.0, -1.0, f64::NAN]), Some((-1.0, 2.0)));
        assert_eq!(<f64 as Value>::bounds(&[f64::NAN]), None);
        assert_eq!(<f64 as Value>::bounds(&[f64::INFINITY]), Some((f64::INFINITY, f64::INFINITY)));
        assert_eq!(
            <f64 as Value>::bounds(&[f64::NEG_INFINITY, f64::NAN]),
            Some((f64::NEG_INFINITY, f64::NEG_INFINITY))
        );
        let (least, greatest) = <f32 as Value>::bounds(&[0.0, -0.0]).unwrap();
        assert!(least.is_sign_negative() && greatest.is_sign_positive());
    }

    #[test]
    fn long_bounds_are_cut_to_something_beyond_the_value() {
        let long = "ä".repeat(40);
        let (least, greatest) = <&[u8]>::index_bounds((long.as_bytes(), long.as_bytes()));
        assert!(least.len() <= 64 && greatest.len() <= 66);
        assert!(least.as_slice() < long.as_bytes() && greatest.as_slice() > long.as_bytes());
        assert!(std::str::from_utf8(&least).is_ok() && std::str::from_utf8(&greatest).is_ok());
        assert_eq!(above(&[0xff; 80]), None);
        let last = "\u{10ffff}".repeat(30);
        assert_eq!(above(last.as_bytes()), None);
        assert_eq!(<&[u8]>::index_bounds((b"a", last.as_bytes())).1, last.as_bytes());
    }

    #[test]
    fn text_is_ordered_by_its_bytes() {
        let values: Vec<&[u8]> = vec![b"b", b"", b"bb\0", b"a\xff", b"bb"];
        assert_eq!(<&[u8]>::bounds(&values), Some((&b""[..], &b"bb\0"[..])));
    }
}
