//! Rows of a column, taken out of however many arrays they lie in.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBufferBuilder};
use arrow::buffer::NullBuffer;

/// Appends the values of some rows, none of which is null.
pub(super) type Take<'a, V> = fn(&'a dyn Array, Range<usize>, &mut Vec<V>);

/// All rows of a column in a row group.
pub(super) struct Leaf<'a, V> {
    pieces: Vec<Piece<'a>>,
    rows: usize,
    take: Take<'a, V>,
}

struct Piece<'a> {
    array: &'a dyn Array,
    /// Its first row, counted in the column.
    start: usize,
    nulls: Option<NullBuffer>,
}

/// Which of some rows have a value.
pub(super) struct Presence {
    pub(super) rows: usize,
    pub(super) values: usize,
    there: BooleanBufferBuilder,
}

impl Presence {
    pub(super) fn new() -> Self {
        Self { rows: 0, values: 0, there: BooleanBufferBuilder::new(0) }
    }

    pub(super) fn nulls(&self) -> usize {
        self.rows - self.values
    }

    /// A bit for each row, where some have a value and some have not.
    pub(super) fn there(&self) -> &[u8] {
        self.there.as_slice()
    }
}

impl<'a, V> Leaf<'a, V> {
    pub(super) fn new(arrays: &'a [ArrayRef], take: Take<'a, V>) -> Self {
        let mut rows = 0;
        let pieces = arrays.iter().map(|array| {
            let start = rows;
            rows += array.len();
            let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
            Piece { array: array.as_ref(), start, nulls }
        });
        let pieces = pieces.collect();
        Self { pieces, rows, take }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Whether a row is not null.
    pub(super) fn has_values(&self) -> bool {
        let values = |piece: &Piece<'_>| piece.array.len() - piece.nulls.as_ref().map_or(0, NullBuffer::null_count);
        self.pieces.iter().any(|piece| values(piece) > 0)
    }

    /// Replaces `values` with those of these rows, without the nulls.
    pub(super) fn values(&self, rows: Range<usize>, values: &mut Vec<V>) {
        values.clear();
        for (piece, rows) in self.within(rows) {
            match &piece.nulls {
                None => (self.take)(piece.array, rows, values),
                Some(nulls) => {
                    let runs = nulls.slice(rows.start, rows.len());
                    let runs = runs.valid_slices().map(|(from, to)| rows.start + from..rows.start + to);
                    runs.for_each(|run| (self.take)(piece.array, run, values));
                }
            }
        }
    }

    /// Replaces what `presence` holds with these rows.
    pub(super) fn presence(&self, rows: Range<usize>, presence: &mut Presence) {
        let nulls = |(piece, rows): (&Piece<'_>, Range<usize>)| {
            piece.nulls.as_ref().map_or(0, |nulls| nulls.slice(rows.start, rows.len()).null_count())
        };
        presence.rows = rows.len();
        presence.values = presence.rows - self.within(rows.clone()).map(nulls).sum::<usize>();
        presence.there.truncate(0);
        if presence.values == presence.rows || presence.values == 0 {
            return;
        }
        for (piece, rows) in self.within(rows) {
            match &piece.nulls {
                Some(nulls) => presence.there.append_buffer(&nulls.inner().slice(rows.start, rows.len())),
                None => presence.there.append_n(rows.len(), true),
            }
        }
    }

    /// The pieces that hold some rows, and which of each piece's own rows.
    fn within(&self, rows: Range<usize>) -> impl Iterator<Item = (&Piece<'a>, Range<usize>)> {
        let first = self.pieces.partition_point(|piece| piece.start <= rows.start).saturating_sub(1);
        let Range { start, end } = rows;
        let behind = self.pieces.iter().skip(first).take_while(move |piece| piece.start < end);
        let own = move |piece: &'_ Piece<'a>| {
            let length = piece.array.len();
            start.saturating_sub(piece.start).min(length)..(end - piece.start).min(length)
        };
        behind.map(move |piece| (piece, own(piece))).filter(|(_, rows)| !rows.is_empty())
    }
}

macro_rules! take_primitive {
    ($name:ident, $arrow:ty => $value:ty, $convert:expr) => {
        pub(in super::super) fn $name(array: &dyn Array, rows: Range<usize>, out: &mut Vec<$value>) {
            let Some(array) = array.as_primitive_opt::<$arrow>() else { return };
            let values: &[_] = array.values();
            out.extend(values.get(rows).unwrap_or_default().iter().map($convert));
        }
    };
}

/// One function for each Arrow type, named by it.
pub(super) mod take {
    use arrow::array::{
        BinaryArray, BinaryViewArray, LargeBinaryArray, LargeStringArray, StringArray, StringViewArray,
    };
    use arrow::datatypes::*;

    use super::*;

    take_primitive!(int8, Int8Type => i32, |value| i32::from(*value));
    take_primitive!(int16, Int16Type => i32, |value| i32::from(*value));
    take_primitive!(int32, Int32Type => i32, |value| *value);
    take_primitive!(int64, Int64Type => i64, |value| *value);
    take_primitive!(uint8, UInt8Type => u32, |value| u32::from(*value));
    take_primitive!(uint16, UInt16Type => u32, |value| u32::from(*value));
    take_primitive!(uint32, UInt32Type => u32, |value| *value);
    take_primitive!(uint64, UInt64Type => u64, |value| *value);
    take_primitive!(float32, Float32Type => f32, |value| *value);
    take_primitive!(float64, Float64Type => f64, |value| *value);
    take_primitive!(date32, Date32Type => i32, |value| *value);
    take_primitive!(time32_second, Time32SecondType => i32, |value| *value);
    take_primitive!(time32_millisecond, Time32MillisecondType => i32, |value| *value);
    take_primitive!(time64_microsecond, Time64MicrosecondType => i64, |value| *value);
    take_primitive!(time64_nanosecond, Time64NanosecondType => i64, |value| *value);
    take_primitive!(timestamp_second, TimestampSecondType => i64, |value| *value);
    take_primitive!(timestamp_millisecond, TimestampMillisecondType => i64, |value| *value);
    take_primitive!(timestamp_microsecond, TimestampMicrosecondType => i64, |value| *value);
    take_primitive!(timestamp_nanosecond, TimestampNanosecondType => i64, |value| *value);
    take_primitive!(duration_second, DurationSecondType => i64, |value| *value);
    take_primitive!(duration_millisecond, DurationMillisecondType => i64, |value| *value);
    take_primitive!(duration_microsecond, DurationMicrosecondType => i64, |value| *value);
    take_primitive!(duration_nanosecond, DurationNanosecondType => i64, |value| *value);
    // The schema says that the values have no more digits than fit.
    take_primitive!(decimal_in_32_bits, Decimal128Type => i32, |value| *value as i32);
    take_primitive!(decimal_in_64_bits, Decimal128Type => i64, |value| *value as i64);

    macro_rules! take_bytes {
        ($name:ident, $array:ty) => {
            pub(in super::super) fn $name<'a>(array: &'a dyn Array, rows: Range<usize>, out: &mut Vec<&'a [u8]>) {
                let Some(array) = array.as_any().downcast_ref::<$array>() else { return };
                let (offsets, bytes) = (array.value_offsets(), array.value_data());
                let bounds = offsets.get(rows.start..=rows.end).unwrap_or_default();
                let value = |bounds: &[_; 2]| bytes.get(bounds[0] as usize..bounds[1] as usize).unwrap_or_default();
                out.extend(bounds.array_windows::<2>().map(value));
            }
        };
    }
    take_bytes!(utf8, StringArray);
    take_bytes!(large_utf8, LargeStringArray);
    take_bytes!(binary, BinaryArray);
    take_bytes!(large_binary, LargeBinaryArray);

    pub(in super::super) fn utf8_view<'a>(array: &'a dyn Array, rows: Range<usize>, out: &mut Vec<&'a [u8]>) {
        let Some(array) = array.as_any().downcast_ref::<StringViewArray>() else { return };
        out.extend(rows.map(|row| array.value(row).as_bytes()));
    }

    pub(in super::super) fn binary_view<'a>(array: &'a dyn Array, rows: Range<usize>, out: &mut Vec<&'a [u8]>) {
        let Some(array) = array.as_any().downcast_ref::<BinaryViewArray>() else { return };
        out.extend(rows.map(|row| array.value(row)));
    }
}
