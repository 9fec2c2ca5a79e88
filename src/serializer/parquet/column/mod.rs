//! Our own encoder of flat columns: it chooses an encoding and a codec for each, and cuts pages at fixed rows.
//!
//! What a chunk looks like depends on its rows and on what was chosen alone, never on how the rows came in batches or
//! which thread encodes them. Nested columns, dictionaries and rare types are left to the library's encoder.

mod bits;
mod choice;
mod compression;
mod delta;
mod dictionary;
mod gather;
mod hybrid;
mod pages;
mod value;

use std::ops::Range;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, TimeUnit};
use parquet::basic::{Encoding, Type};
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescPtr;

#[cfg(test)]
pub(super) use self::bits::pack;
pub(super) use self::choice::Taste;
use self::choice::{Choice, DICTIONARY_BYTES, Layout};
pub(super) use self::compression::Codecs;
#[cfg(test)]
pub(super) use self::delta::encode as encode_deltas;
use self::dictionary::Builder;
use self::gather::{Leaf, Presence, Take, take};
#[cfg(test)]
pub(super) use self::hybrid::{encode as encode_runs, presence as encode_presence};
pub(super) use self::pages::EncodedChunk;
use self::pages::{Pages, Told};
use self::value::Value;
use crate::error::{Error, Result};

/// A page has at most so many rows, and about so many bytes.
const PAGE_ROWS: usize = 32 * 1024;
const PAGE_BYTES: usize = 1024 * 1024;
/// Of so many values that are not there, a bloom filter says that they may be.
const FALSE_POSITIVES: f64 = 0.01;
/// A chunk that takes so much more or less for each row than the one that was chosen for is chosen for anew.
const DRIFT: f64 = 1.25;

/// Encodes one flat column, row group by row group.
pub(super) struct ColumnEncoder {
    data_type: DataType,
    descriptor: ColumnDescPtr,
    taste: Taste,
    indexed: bool,
    /// Whether a bloom filter of each group's values is made.
    bloom: bool,
    chosen: Option<Chosen>,
    /// Whether a dictionary is still worth a thought.
    dictionary: bool,
    /// What was chosen first, and why.
    told: Option<Choice>,
}

struct Chosen {
    choice: Choice,
    /// What a row took in the group it was chosen for.
    row_bytes: f64,
}

impl ColumnEncoder {
    /// For a column of this type, if it is one that this encoder knows.
    pub(super) fn for_column(
        data_type: &DataType,
        descriptor: &ColumnDescPtr,
        taste: &Taste,
        (indexed, bloom): (bool, bool),
    ) -> Option<Self> {
        let flat = descriptor.max_rep_level() == 0 && descriptor.max_def_level() <= 1;
        let known = flat && flat_type(data_type) == Some(descriptor.physical_type());
        known.then(|| Self {
            data_type: data_type.clone(),
            descriptor: descriptor.clone(),
            taste: taste.clone(),
            indexed,
            bloom,
            chosen: None,
            dictionary: true,
            told: None,
        })
    }

    /// Why the first group is encoded as it is, if a sample told.
    pub(super) fn why(&self) -> Option<&str> {
        self.told.as_ref().and_then(|choice| choice.why.as_deref())
    }

    /// Encodes the rows of a group.
    pub(super) fn encode(&mut self, arrays: &[ArrayRef], codecs: &mut Codecs) -> Result<EncodedChunk> {
        use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        match (&self.data_type, self.descriptor.physical_type()) {
            (DataType::Int8, _) => self.typed(arrays, take::int8, codecs),
            (DataType::Int16, _) => self.typed(arrays, take::int16, codecs),
            (DataType::Int32, _) => self.typed(arrays, take::int32, codecs),
            (DataType::Int64, _) => self.typed(arrays, take::int64, codecs),
            (DataType::UInt8, _) => self.typed(arrays, take::uint8, codecs),
            (DataType::UInt16, _) => self.typed(arrays, take::uint16, codecs),
            (DataType::UInt32, _) => self.typed(arrays, take::uint32, codecs),
            (DataType::UInt64, _) => self.typed(arrays, take::uint64, codecs),
            (DataType::Float32, _) => self.typed(arrays, take::float32, codecs),
            (DataType::Float64, _) => self.typed(arrays, take::float64, codecs),
            (DataType::Date32, _) => self.typed(arrays, take::date32, codecs),
            (DataType::Time32(Second), _) => self.typed(arrays, take::time32_second, codecs),
            (DataType::Time32(_), _) => self.typed(arrays, take::time32_millisecond, codecs),
            (DataType::Time64(Nanosecond), _) => self.typed(arrays, take::time64_nanosecond, codecs),
            (DataType::Time64(_), _) => self.typed(arrays, take::time64_microsecond, codecs),
            (DataType::Timestamp(Second, _), _) => self.typed(arrays, take::timestamp_second, codecs),
            (DataType::Timestamp(Millisecond, _), _) => self.typed(arrays, take::timestamp_millisecond, codecs),
            (DataType::Timestamp(Microsecond, _), _) => self.typed(arrays, take::timestamp_microsecond, codecs),
            (DataType::Timestamp(Nanosecond, _), _) => self.typed(arrays, take::timestamp_nanosecond, codecs),
            (DataType::Duration(Second), _) => self.typed(arrays, take::duration_second, codecs),
            (DataType::Duration(Millisecond), _) => self.typed(arrays, take::duration_millisecond, codecs),
            (DataType::Duration(Microsecond), _) => self.typed(arrays, take::duration_microsecond, codecs),
            (DataType::Duration(Nanosecond), _) => self.typed(arrays, take::duration_nanosecond, codecs),
            (DataType::Decimal128(..), Type::INT32) => self.typed(arrays, take::decimal_in_32_bits, codecs),
            (DataType::Decimal128(..), _) => self.typed(arrays, take::decimal_in_64_bits, codecs),
            (DataType::Utf8, _) => self.typed(arrays, take::utf8, codecs),
            (DataType::LargeUtf8, _) => self.typed(arrays, take::large_utf8, codecs),
            (DataType::Utf8View, _) => self.typed(arrays, take::utf8_view, codecs),
            (DataType::Binary, _) => self.typed(arrays, take::binary, codecs),
            (DataType::LargeBinary, _) => self.typed(arrays, take::large_binary, codecs),
            _ => self.typed(arrays, take::binary_view, codecs),
        }
    }

    fn typed<'a, V: Value>(
        &mut self,
        arrays: &'a [ArrayRef],
        take: Take<'a, V>,
        codecs: &mut Codecs,
    ) -> Result<EncodedChunk> {
        let leaf = Leaf::new(arrays, take);
        let (choice, expected) = match self.chosen.take() {
            Some(chosen) => (chosen.choice, Some(chosen.row_bytes)),
            None => (choice::choose(&leaf, &self.taste, self.dictionary, codecs)?, None),
        };
        let pages = |compression| Pages::new(self.descriptor.clone(), compression, self.indexed);
        let mut chunk = None;
        // The dictionary of no values is a page without bytes, and some readers take no compressed block of none.
        if choice.layout == Layout::Dictionary && leaf.has_values() {
            chunk = by_dictionary(&leaf, pages(choice.compression), codecs)?;
            self.dictionary = chunk.is_some();
        }
        let fits = chunk.is_some();
        let mut chunk = match (chunk, choice.layout) {
            (Some(chunk), _) => chunk,
            (None, Layout::Values(encoding)) => one_by_one(&leaf, pages(choice.compression), encoding, codecs)?,
            (None, Layout::Dictionary) => one_by_one(&leaf, pages(choice.otherwise.1), choice.otherwise.0, codecs)?,
        };
        if self.bloom {
            chunk.close.bloom_filter = Some(bloom_filter(&leaf)?);
        }
        self.told.get_or_insert_with(|| choice.clone());
        let row_bytes = chunk.close.bytes_written as f64 / leaf.rows().max(1) as f64;
        let drifted = expected.is_some_and(|expected| row_bytes > expected * DRIFT || row_bytes * DRIFT < expected);
        if !drifted && (fits || choice.layout != Layout::Dictionary) {
            self.chosen = Some(Chosen { choice, row_bytes: expected.unwrap_or(row_bytes) });
        }
        Ok(chunk)
    }
}

/// What the values of a flat column are stored as, if its type is one that we encode and decode.
pub(super) fn flat_type(data_type: &DataType) -> Option<Type> {
    Some(match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 => Type::INT32,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => Type::INT32,
        DataType::Date32 | DataType::Time32(_) => Type::INT32,
        DataType::Int64 | DataType::UInt64 | DataType::Time64(_) => Type::INT64,
        DataType::Timestamp(..) | DataType::Duration(_) => Type::INT64,
        DataType::Float32 => Type::FLOAT,
        DataType::Float64 => Type::DOUBLE,
        DataType::Decimal128(1..=9, _) => Type::INT32,
        DataType::Decimal128(10..=18, _) => Type::INT64,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Type::BYTE_ARRAY,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Type::BYTE_ARRAY,
        _ => return None,
    })
}

/// Of all values of a group.
fn bloom_filter<V: Value>(leaf: &Leaf<'_, V>) -> Result<Sbbf> {
    let refused = |error: ParquetError| Error::internal(format!("there is no such bloom filter: {error}"));
    let mut bloom = Sbbf::new_with_ndv_fpp(leaf.rows() as u64, FALSE_POSITIVES).map_err(refused)?;
    let mut values = Vec::new();
    for start in (0..leaf.rows()).step_by(PAGE_ROWS) {
        leaf.values(start..(start + PAGE_ROWS).min(leaf.rows()), &mut values);
        values.iter().for_each(|value| value.enter(&mut bloom));
    }
    // How many of them are distinct is only known now.
    bloom.fold_to_target_fpp(FALSE_POSITIVES);
    Ok(bloom)
}

/// The next page's rows, from `start` on; `values` holds theirs afterwards.
fn page<V: Value>(leaf: &Leaf<'_, V>, start: usize, values: &mut Vec<V>) -> (Range<usize>, usize) {
    let mut rows = (leaf.rows() - start).min(PAGE_ROWS);
    loop {
        leaf.values(start..start + rows, values);
        let bytes = values.iter().map(|value| value.plain_bytes()).sum();
        if bytes <= PAGE_BYTES || rows <= 1 {
            return (start..start + rows, bytes);
        }
        rows /= 2;
    }
}

fn text_bytes<V: Value>(values: &[V], bytes: usize) -> usize {
    bytes.saturating_sub(4 * values.len())
}

fn one_by_one<V: Value>(
    leaf: &Leaf<'_, V>,
    mut pages: Pages<V>,
    encoding: Encoding,
    codecs: &mut Codecs,
) -> Result<EncodedChunk> {
    let (mut values, mut presence, mut start) = (Vec::new(), Presence::new(), 0);
    while start < leaf.rows() {
        let (rows, bytes) = page(leaf, start, &mut values);
        start = rows.end;
        leaf.presence(rows, &mut presence);
        let told = Told { bounds: V::bounds(&values), text: text_bytes(&values, bytes) };
        pages.data(&told, &presence, encoding, codecs, |out| V::encode(&values, encoding, out))?;
    }
    pages.finish()
}

/// None if the values have more distinct ones among them than a dictionary is worth.
fn by_dictionary<V: Value>(
    leaf: &Leaf<'_, V>,
    mut pages: Pages<V>,
    codecs: &mut Codecs,
) -> Result<Option<EncodedChunk>> {
    let Some(found) = Distinct::of(leaf) else { return Ok(None) };
    let width = bits::width(found.builder.len().saturating_sub(1) as u64).max(1);
    pages.dictionary(found.builder.len(), codecs, |out| found.builder.plain(out))?;
    let (mut presence, mut start) = (Presence::new(), 0);
    for (rows, told, end) in &found.pages {
        leaf.presence(rows.clone(), &mut presence);
        let places = found.places.get(start..*end).unwrap_or_default();
        pages.data(told, &presence, Encoding::RLE_DICTIONARY, codecs, |out| {
            out.push(width as u8);
            hybrid::encode(places, width, out);
        })?;
        start = *end;
    }
    pages.finish().map(Some)
}

/// The distinct values of a chunk, and its pages.
struct Distinct<V: Value> {
    builder: V::Dictionary,
    places: Vec<u32>,
    /// Their rows, what is known of their values, and where their places end.
    pages: Vec<(Range<usize>, Told<V>, usize)>,
}

impl<V: Value> Distinct<V> {
    fn of(leaf: &Leaf<'_, V>) -> Option<Self> {
        let (mut values, mut places, mut pages) = (Vec::new(), Vec::with_capacity(leaf.rows()), Vec::new());
        let mut builder = V::Dictionary::new(bounds(leaf, &mut values));
        let (mut start, mut plain) = (0, 0);
        while start < leaf.rows() {
            let (rows, bytes) = page(leaf, start, &mut values);
            start = rows.end;
            plain += bytes;
            let from = places.len();
            builder.places(&values, &mut places);
            let all = places.len();
            if builder.bytes() > DICTIONARY_BYTES || (builder.len() > 256 && builder.bytes() > plain / 2) {
                return None;
            }
            let bounds = V::bounds_of(&values, places.get(from..all).unwrap_or_default(), builder.len());
            pages.push((rows, Told { bounds, text: text_bytes(&values, bytes) }, all));
        }
        Some(Self { builder, places, pages })
    }
}

/// The bounds of all values, where a dictionary is quicker with them.
fn bounds<V: Value>(leaf: &Leaf<'_, V>, values: &mut Vec<V>) -> Option<(V, V)> {
    if !V::RANGED {
        return None;
    }
    let mut bounds: Option<(V, V)> = None;
    for start in (0..leaf.rows()).step_by(PAGE_ROWS) {
        leaf.values(start..(start + PAGE_ROWS).min(leaf.rows()), values);
        bounds = match (bounds, V::bounds(values)) {
            (Some(known), Some(new)) => Some(V::wider(known, new)),
            (known, new) => known.or(new),
        };
    }
    bounds
}
