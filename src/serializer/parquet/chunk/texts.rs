//! Texts and binary values.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, GenericByteArray, OffsetSizeTrait};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowNativeType, ByteArrayType, DataType};
use bytes::Bytes;
use parquet::basic::Encoding;

use super::deltas::Deltas;
use super::fixed::outside;
use super::presence::Presence;
use super::runs::Runs;
use super::{Values, malformed, unsupported};
use crate::error::{Error, Result};
use crate::serializer::parquet::finish::misfit;

/// Values that are no longer are moved as one block of this length.
const BLOCK: usize = 16;

/// The values of a chunk, as far as they were decoded for a batch.
pub(super) struct Texts<T: ByteArrayType> {
    dictionary: Dictionary,
    /// Of the values that are being taken.
    places: Vec<u32>,
    /// Where each value ends.
    ends: Vec<T::Offset>,
    bytes: Vec<u8>,
    /// About how many bytes a row has.
    row_bytes: usize,
    /// A batch may have so many bytes.
    limit: usize,
    is_text: bool,
    kind: PhantomData<T>,
}

#[derive(Default)]
struct Dictionary {
    bytes: Vec<u8>,
    values: Vec<Entry>,
    /// Whether none is longer than a block.
    is_short: bool,
}

/// A value of the dictionary.
struct Entry {
    /// How it begins, and zeros.
    block: [u8; BLOCK],
    start: usize,
    length: u32,
}

impl Entry {
    fn length(&self) -> usize {
        self.length as usize
    }
}

/// The values of a page that are still to be read.
pub(super) enum TextPage {
    /// Each value has its length before it.
    Plain {
        bytes: Bytes,
        at: usize,
    },
    /// All lengths come before all values.
    Lengths {
        lengths: Vec<i32>,
        next: usize,
        bytes: Bytes,
        at: usize,
    },
    Places(Box<Runs>),
}

impl<T: ByteArrayType> Texts<T> {
    /// Values of about `row_bytes` each, at most `limit` bytes of them at once.
    pub(super) fn new(row_bytes: usize, limit: usize) -> Self {
        let limit = limit.min(T::Offset::MAX_OFFSET);
        Self {
            dictionary: Dictionary::default(),
            places: Vec::new(),
            ends: Vec::new(),
            bytes: Vec::new(),
            row_bytes,
            limit,
            is_text: matches!(T::DATA_TYPE, DataType::Utf8 | DataType::LargeUtf8),
            kind: PhantomData,
        }
    }

    fn has_room(&self, bytes: usize) -> Result<()> {
        if self.bytes.len().saturating_add(bytes) <= self.limit {
            return Ok(());
        }
        let limit = self.limit;
        Err(Error::damaged(format!("a batch of a Parquet column would take more than {limit} bytes"))
            .with_hint("raise the memory budget if the file is trusted"))
    }

    fn end(&self) -> T::Offset {
        T::Offset::usize_as(self.bytes.len())
    }

    /// Appends these bytes, which hold values of these lengths.
    fn add(&mut self, lengths: &[i32], bytes: &[u8]) -> Result<()> {
        self.has_room(bytes.len())?;
        if self.is_text && !bytes.is_ascii() {
            let text = std::str::from_utf8(bytes).map_err(|_| no_text())?;
            if !cut_between_characters(text, lengths) {
                return Err(no_text());
            }
        }
        let mut at = self.bytes.len();
        self.ends.extend(lengths.iter().map(|length| {
            at += length.cast_unsigned() as usize;
            T::Offset::usize_as(at)
        }));
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends the values of the dictionary at the next places.
    fn gather(&mut self, count: usize, runs: &mut Runs) -> Result<()> {
        self.places.clear();
        runs.take(count, &mut self.places)?;
        let (values, mut total) = (self.dictionary.values.as_slice(), 0_usize);
        for place in &self.places {
            total = total.saturating_add(values.get(*place as usize).ok_or_else(outside)?.length());
        }
        self.has_room(total)?;
        let mut at = self.bytes.len();
        // A block may be moved that is longer than its value; what is behind the last is cut off.
        self.bytes.resize(at + total + BLOCK, 0);
        let (places, bytes, dictionary) = (self.places.iter(), &mut self.bytes, &self.dictionary.bytes);
        if self.dictionary.is_short {
            self.ends.extend(places.map(|place| {
                let value = &values[*place as usize];
                bytes[at..at + BLOCK].copy_from_slice(&value.block);
                at += value.length();
                T::Offset::usize_as(at)
            }));
        } else {
            self.ends.extend(places.map(|place| {
                let value = &values[*place as usize];
                let end = at + value.length();
                bytes[at..end].copy_from_slice(&dictionary[value.start..value.start + value.length()]);
                at = end;
                T::Offset::usize_as(at)
            }));
        }
        self.bytes.truncate(at);
        Ok(())
    }
}

impl<T: ByteArrayType> Values for Texts<T> {
    type Page = TextPage;

    fn dictionary(&mut self, bytes: &Bytes, count: usize) -> Result<()> {
        let mut found = Dictionary { is_short: true, ..Dictionary::default() };
        let mut at = 0;
        for _ in 0..count {
            let value = value(bytes, &mut at)?;
            if self.is_text && std::str::from_utf8(value).is_err() {
                return Err(no_text());
            }
            let mut block = [0; BLOCK];
            block.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
            found.values.push(Entry { block, start: found.bytes.len(), length: value.len() as u32 });
            found.bytes.extend_from_slice(value);
            found.is_short &= value.len() <= BLOCK;
        }
        self.dictionary = found;
        Ok(())
    }

    fn open(&self, encoding: Encoding, bytes: Bytes) -> Result<TextPage> {
        Ok(match encoding {
            Encoding::PLAIN => TextPage::Plain { bytes, at: 0 },
            Encoding::DELTA_LENGTH_BYTE_ARRAY => {
                let (mut deltas, mut lengths) = (Deltas::new(bytes.clone())?, Vec::new());
                lengths.reserve_exact(deltas.left());
                deltas.take(deltas.left(), &mut lengths)?;
                if lengths.iter().any(|length| *length < 0) {
                    return Err(malformed("has values of a negative length"));
                }
                TextPage::Lengths { lengths, next: 0, at: deltas.end(), bytes }
            }
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => TextPage::Places(Box::new(Runs::new(bytes)?)),
            other => return Err(unsupported(other)),
        })
    }

    fn expect(&mut self, rows: usize) {
        self.ends.reserve_exact(rows + 1);
        self.bytes.reserve(rows.saturating_mul(self.row_bytes).min(self.limit) + BLOCK);
    }

    fn take(&mut self, page: &mut TextPage, count: usize) -> Result<()> {
        match page {
            TextPage::Plain { bytes, at } => {
                for _ in 0..count {
                    let value = value(bytes, at)?;
                    self.has_room(value.len())?;
                    if self.is_text && std::str::from_utf8(value).is_err() {
                        return Err(no_text());
                    }
                    self.bytes.extend_from_slice(value);
                    self.ends.push(self.end());
                }
                Ok(())
            }
            TextPage::Lengths { lengths, next, bytes, at } => {
                let (lengths, end) = next_lengths(lengths, next, *at, count)?;
                let values = bytes.get(*at..end).ok_or_else(short)?;
                *at = end;
                self.add(lengths, values)
            }
            TextPage::Places(runs) => self.gather(count, runs),
        }
    }

    fn skip(&mut self, page: &mut TextPage, count: usize) -> Result<()> {
        match page {
            TextPage::Plain { bytes, at } => (0..count).try_for_each(|_| value(bytes, at).map(drop)),
            TextPage::Lengths { lengths, next, at, .. } => {
                *at = next_lengths(lengths, next, *at, count)?.1;
                Ok(())
            }
            TextPage::Places(runs) => runs.skip(count),
        }
    }

    fn finish(&mut self, presence: &mut Presence) -> Result<ArrayRef> {
        let (mut ends, mut bytes) = (std::mem::take(&mut self.ends), std::mem::take(&mut self.bytes));
        let zero = T::Offset::usize_as(0);
        presence.spread(&mut ends, |before| before.unwrap_or(zero));
        ends.insert(0, zero);
        if bytes.capacity() / 8 * 7 > bytes.len() {
            bytes.shrink_to_fit();
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        let (bytes, nulls) = (Buffer::from_vec(bytes), presence.finish());
        if !self.is_text {
            let array = GenericByteArray::<T>::try_new(offsets, bytes, nulls);
            return Ok(Arc::new(array.map_err(misfit)?));
        }
        // SAFETY: the bytes are values of dictionaries and pages, one behind the other, each of which was found to be UTF-8
        // by itself before it was taken; where taking one failed, the error was returned and this is not reached. The
        // offsets are 0 and the ends of these values in their order, that before it for a null, and fit their type.
        #[expect(unsafe_code, reason = "every value was found to be text when it was taken")]
        let array = unsafe { GenericByteArray::<T>::new_unchecked(offsets, bytes, nulls) };
        Ok(Arc::new(array))
    }
}

/// The lengths of the next values, and where they end.
fn next_lengths<'a>(lengths: &'a [i32], next: &mut usize, at: usize, count: usize) -> Result<(&'a [i32], usize)> {
    let lengths = lengths.get(*next..*next + count).ok_or_else(short)?;
    *next += count;
    let end = lengths.iter().try_fold(at, |end, length| end.checked_add(length.cast_unsigned() as usize));
    Ok((lengths, end.ok_or_else(short)?))
}

/// Whether values of these lengths, side by side, end where a character does.
fn cut_between_characters(text: &str, lengths: &[i32]) -> bool {
    let mut at = 0;
    lengths.iter().all(|length| {
        at += length.cast_unsigned() as usize;
        text.is_char_boundary(at)
    })
}

/// The value at a place of a plain page, its length before it.
fn value<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a [u8]> {
    let rest = bytes.get(*at..).ok_or_else(short)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let length = u32::from_le_bytes(*length) as usize;
    *at += 4 + length;
    rest.get(..length).ok_or_else(short)
}

fn no_text() -> Error {
    Error::damaged("a text of a Parquet column is no UTF-8")
}

fn short() -> Error {
    malformed("has fewer values than it says")
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{BinaryType, Utf8Type};

    use super::*;
    use crate::error::ErrorKind;

    fn plain(values: &[&[u8]]) -> Bytes {
        values
            .iter()
            .flat_map(|value| [&(value.len() as u32).to_le_bytes(), *value].concat())
            .collect::<Vec<u8>>()
            .into()
    }

    #[test]
    fn a_batch_that_outgrows_its_limit_is_refused_before_it_is_made() {
        let mut texts = Texts::<Utf8Type>::new(6, 11);
        texts.dictionary(&plain(&[b"sixsix"]), 1).unwrap();
        // A run of two times the first place, of one bit.
        let mut page = texts.open(Encoding::RLE_DICTIONARY, Bytes::from_static(&[1, 2 << 1, 0])).unwrap();
        texts.take(&mut page, 1).unwrap();
        let error = texts.take(&mut page, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.to_string().contains("11 bytes"), "{error}");
    }

    #[test]
    fn what_is_no_text_is_refused_and_may_be_binary() {
        let halves: [&[u8]; 2] = [b"\xc3", b"\xa9"];
        let lengths = || {
            let mut page = Vec::new();
            super::super::super::column::encode_deltas([1_i32, 1].into_iter(), &mut page);
            page.extend_from_slice("é".as_bytes());
            Bytes::from(page)
        };
        let taken = |texts: &mut dyn Values<Page = TextPage>, encoding, bytes| {
            let mut page = texts.open(encoding, bytes)?;
            texts.take(&mut page, 2)
        };
        for (encoding, bytes) in [(Encoding::PLAIN, plain(&halves)), (Encoding::DELTA_LENGTH_BYTE_ARRAY, lengths())] {
            let error = taken(&mut Texts::<Utf8Type>::new(1, 100), encoding, bytes.clone()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{encoding}");
            taken(&mut Texts::<BinaryType>::new(1, 100), encoding, bytes).unwrap();
        }
        assert!(Texts::<Utf8Type>::new(1, 100).dictionary(&plain(&halves), 2).is_err());
    }
}
