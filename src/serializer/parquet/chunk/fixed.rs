//! Integers and floats.

use std::sync::Arc;

use arrow::array::{ArrayData, ArrayRef, PrimitiveArray, make_array};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Decimal128Type, Int8Type, Int16Type, UInt8Type, UInt16Type};
use bytes::Bytes;
use parquet::basic::Encoding;

use super::deltas::{Deltas, Reached};
use super::presence::Presence;
use super::runs::{Places, Runs};
use super::{Values, malformed, unsupported};
use crate::error::{Error, Result};
use crate::serializer::parquet::finish::misfit;

/// A number as Parquet stores it.
pub(super) trait Number: Copy + Default + Send + Sync + arrow::datatypes::ArrowNativeType {
    /// Takes numbers out of bytes, the least significant byte of each first.
    fn plain(bytes: &[u8], out: &mut Vec<Self>);

    /// Takes the numbers `from..to` out of streams, of which each has one byte of every number.
    fn split(bytes: &[u8], from: usize, to: usize, out: &mut Vec<Self>);

    /// The next values of deltas, if deltas can lead to such numbers.
    fn reached(deltas: &mut Deltas, count: usize, out: &mut Vec<Self>) -> Result<()>;

    /// As an array of a type whose values are not as they are stored.
    fn converted(values: &[Self], data_type: &DataType, nulls: Option<NullBuffer>) -> Result<ArrayRef>;
}

macro_rules! number {
    ($type:ty, $size:literal, $reached:expr, $converted:expr) => {
        impl Number for $type {
            fn plain(bytes: &[u8], out: &mut Vec<Self>) {
                out.extend(bytes.as_chunks::<$size>().0.iter().map(|bytes| Self::from_le_bytes(*bytes)));
            }

            fn split(bytes: &[u8], from: usize, to: usize, out: &mut Vec<Self>) {
                let count = bytes.len() / $size;
                let stream = |number: usize| bytes.get(number * count + from..number * count + to).unwrap_or_default();
                let streams: [&[u8]; $size] = std::array::from_fn(stream);
                let length = streams.iter().map(|stream| stream.len()).min().unwrap_or_default();
                let streams = streams.map(|stream| &stream[..length]);
                out.extend(
                    (0..length).map(|at| Self::from_le_bytes(std::array::from_fn(|number| streams[number][at]))),
                );
            }

            fn reached(deltas: &mut Deltas, count: usize, out: &mut Vec<Self>) -> Result<()> {
                let reached: fn(&mut Deltas, usize, &mut Vec<Self>) -> Result<()> = $reached;
                reached(deltas, count, out)
            }

            fn converted(values: &[Self], data_type: &DataType, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
                let converted: fn(&[Self], &DataType, Option<NullBuffer>) -> Result<ArrayRef> = $converted;
                converted(values, data_type, nulls)
            }
        }
    };
}

fn deltas<T: Reached>(deltas: &mut Deltas, count: usize, out: &mut Vec<T>) -> Result<()> {
    deltas.take(count, out)
}

fn no_deltas<T>(_: &mut Deltas, _: usize, _: &mut Vec<T>) -> Result<()> {
    Err(unsupported(Encoding::DELTA_BINARY_PACKED))
}

fn strange<T>(_: &[T], data_type: &DataType, _: Option<NullBuffer>) -> Result<ArrayRef> {
    Err(Error::internal(format!("a column of {data_type} is not stored as such numbers")))
}

number!(i32, 4, deltas, |values, data_type, nulls| Ok(match data_type {
    DataType::Int8 => primitive::<Int8Type, _>(values, data_type, nulls, |value| value as i8),
    DataType::Int16 => primitive::<Int16Type, _>(values, data_type, nulls, |value| value as i16),
    DataType::UInt8 => primitive::<UInt8Type, _>(values, data_type, nulls, |value| value as u8),
    DataType::UInt16 => primitive::<UInt16Type, _>(values, data_type, nulls, |value| value as u16),
    _ => primitive::<Decimal128Type, _>(values, data_type, nulls, i128::from),
}));
number!(i64, 8, deltas, |values, data_type, nulls| {
    Ok(primitive::<Decimal128Type, _>(values, data_type, nulls, i128::from))
});
number!(f32, 4, no_deltas, strange);
number!(f64, 8, no_deltas, strange);

fn primitive<T: ArrowPrimitiveType, V: Copy>(
    values: &[V],
    data_type: &DataType,
    nulls: Option<NullBuffer>,
    convert: impl Fn(V) -> T::Native,
) -> ArrayRef {
    let values: Vec<T::Native> = values.iter().map(|value| convert(*value)).collect();
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(data_type.clone()))
}

/// The numbers of a chunk, as far as they were decoded for a batch.
pub(super) struct Numbers<T> {
    data_type: DataType,
    dictionary: Vec<T>,
    values: Vec<T>,
}

/// The numbers of a page that are still to be read.
pub(super) enum NumberPage {
    Plain { bytes: Bytes, at: usize },
    Split { bytes: Bytes, at: usize },
    Deltas(Box<Deltas>),
    Places(Box<Runs>),
}

impl<T: Number> Numbers<T> {
    pub(super) fn new(data_type: DataType) -> Self {
        Self { data_type, dictionary: Vec::new(), values: Vec::new() }
    }
}

impl<T: Number> Values for Numbers<T> {
    type Page = NumberPage;

    fn dictionary(&mut self, bytes: &Bytes, count: usize) -> Result<()> {
        self.dictionary.clear();
        T::plain(bytes.get(..count.saturating_mul(size_of::<T>())).ok_or_else(short)?, &mut self.dictionary);
        Ok(())
    }

    fn open(&self, encoding: Encoding, bytes: Bytes) -> Result<NumberPage> {
        Ok(match encoding {
            Encoding::PLAIN => NumberPage::Plain { bytes, at: 0 },
            Encoding::BYTE_STREAM_SPLIT => NumberPage::Split { bytes, at: 0 },
            Encoding::DELTA_BINARY_PACKED => NumberPage::Deltas(Box::new(Deltas::new(bytes)?)),
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => NumberPage::Places(Box::new(Runs::new(bytes)?)),
            other => return Err(unsupported(other)),
        })
    }

    fn expect(&mut self, rows: usize) {
        self.values.reserve_exact(rows);
    }

    fn take(&mut self, page: &mut NumberPage, count: usize) -> Result<()> {
        let (before, size) = (self.values.len(), size_of::<T>());
        match page {
            NumberPage::Plain { bytes, at } => {
                let end = *at + count * size;
                T::plain(bytes.get(*at..end).ok_or_else(short)?, &mut self.values);
                *at = end;
            }
            NumberPage::Split { bytes, at } => {
                T::split(bytes, *at, *at + count, &mut self.values);
                *at += count;
            }
            NumberPage::Deltas(deltas) => T::reached(deltas, count, &mut self.values)?,
            NumberPage::Places(runs) => {
                let mut left = count;
                while left > 0 {
                    left -= gather(runs.next(left)?, &self.dictionary, &mut self.values)?;
                }
            }
        }
        if self.values.len() - before == count { Ok(()) } else { Err(short()) }
    }

    fn skip(&mut self, page: &mut NumberPage, count: usize) -> Result<()> {
        match page {
            NumberPage::Plain { at, .. } => *at += count * size_of::<T>(),
            NumberPage::Split { at, .. } => *at += count,
            NumberPage::Deltas(deltas) => T::reached(deltas, count, &mut Vec::with_capacity(count))?,
            NumberPage::Places(runs) => runs.skip(count)?,
        }
        Ok(())
    }

    fn finish(&mut self, presence: &mut Presence) -> Result<ArrayRef> {
        let (mut values, rows) = (std::mem::take(&mut self.values), presence.rows());
        presence.spread(&mut values, |_| T::default());
        let nulls = presence.finish();
        if matches!(self.data_type, DataType::Decimal128(..))
            || self.data_type.primitive_width() != Some(size_of::<T>())
        {
            return T::converted(&values, &self.data_type, nulls);
        }
        let data =
            ArrayData::builder(self.data_type.clone()).len(rows).add_buffer(Buffer::from_vec(values)).nulls(nulls);
        Ok(make_array(data.build().map_err(misfit)?))
    }
}

fn gather<T: Copy>(places: Places<'_>, dictionary: &[T], values: &mut Vec<T>) -> Result<usize> {
    let before = values.len();
    match places {
        Places::Same(place, count) => {
            let value = dictionary.get(place as usize).copied().ok_or_else(outside)?;
            values.resize(before + count, value);
        }
        Places::Each(places) => {
            let least = places.iter().copied().max().unwrap_or_default() as usize;
            let dictionary = dictionary.get(..=least).ok_or_else(outside)?;
            values.extend(places.iter().map(|place| dictionary[*place as usize]));
        }
    }
    Ok(values.len() - before)
}

/// A place where the dictionary has none.
pub(super) fn outside() -> Error {
    malformed("has a place outside its dictionary")
}

fn short() -> Error {
    malformed("has fewer values than it says")
}
