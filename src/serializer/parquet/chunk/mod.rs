//! Our own decoder of flat columns: straight into the buffers that are handed out.
//!
//! Nested columns and rare types are left to the library's decoder.

mod deltas;
mod fixed;
mod presence;
mod runs;
mod texts;
mod unpack;

use std::collections::VecDeque;

use arrow::array::ArrayRef;
use arrow::datatypes::{BinaryType, DataType, LargeBinaryType, LargeUtf8Type, Utf8Type};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use parquet::basic::{Encoding, Type};
use parquet::column::page::Page;

use self::fixed::Numbers;
use self::presence::{Levels, Presence};
use self::texts::Texts;
use super::column::flat_type;
use super::pages::ChunkPages;
use crate::error::{Error, ErrorKind, Result};

fn malformed(what: &str) -> Error {
    Error::damaged(format!("a Parquet page {what}"))
}

fn unsupported(encoding: Encoding) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("a Parquet column is encoded as {encoding}, which coldframe does not write"),
    )
}

/// Values of one type, as they are taken out of pages.
trait Values: Send {
    /// The values of a page that are still to be read.
    type Page: Send;

    /// Learns the values of the dictionary.
    fn dictionary(&mut self, bytes: &Bytes, count: usize) -> Result<()>;

    /// Begins a page whose values are encoded so.
    fn open(&self, encoding: Encoding, bytes: Bytes) -> Result<Self::Page>;

    /// Makes room for so many rows.
    fn expect(&mut self, rows: usize);

    /// Takes the next values out of a page.
    fn take(&mut self, page: &mut Self::Page, count: usize) -> Result<()>;

    /// Leaves out the next values of a page.
    fn skip(&mut self, page: &mut Self::Page, count: usize) -> Result<()>;

    /// The array of what was taken, with nulls where no value was; then begins anew.
    fn finish(&mut self, presence: &mut Presence) -> Result<ArrayRef>;
}

/// The rows of a column chunk that a selection wants, batch by batch.
pub(super) trait FlatColumn: Send {
    /// The next `rows` rows that are wanted, fewer at the end, and none behind it.
    fn next(&mut self, rows: usize) -> Result<Option<ArrayRef>>;
}

/// Whether columns of this type, which are stored so, are decoded here.
pub(super) fn knows(data_type: &DataType, physical: Type, levels: (i16, i16)) -> bool {
    levels.0 <= 1
        && levels.1 == 0
        && flat_type(data_type) == Some(physical)
        && !matches!(data_type, DataType::Utf8View | DataType::BinaryView)
}

/// What is decoded of a chunk.
pub(super) struct Part {
    pub(super) pages: ChunkPages,
    pub(super) selection: RowSelection,
    pub(super) nullable: bool,
    /// About how many bytes the values of a row take, where they are texts.
    pub(super) row_bytes: usize,
    /// A batch may take so many bytes.
    pub(super) limit: usize,
}

/// Decodes a column that this module [knows].
pub(super) fn decode(data_type: &DataType, physical: Type, part: Part) -> Box<dyn FlatColumn> {
    let (row_bytes, limit) = (part.row_bytes, part.limit);
    match (data_type, physical) {
        (DataType::Utf8, _) => part.column(Texts::<Utf8Type>::new(row_bytes, limit)),
        (DataType::LargeUtf8, _) => part.column(Texts::<LargeUtf8Type>::new(row_bytes, limit)),
        (DataType::Binary, _) => part.column(Texts::<BinaryType>::new(row_bytes, limit)),
        (DataType::LargeBinary, _) => part.column(Texts::<LargeBinaryType>::new(row_bytes, limit)),
        (_, Type::INT32) => part.column(Numbers::<i32>::new(data_type.clone())),
        (_, Type::FLOAT) => part.column(Numbers::<f32>::new(data_type.clone())),
        (_, Type::DOUBLE) => part.column(Numbers::<f64>::new(data_type.clone())),
        _ => part.column(Numbers::<i64>::new(data_type.clone())),
    }
}

impl Part {
    fn column<V: Values + 'static>(self, values: V) -> Box<dyn FlatColumn> {
        let left = self.selection.row_count();
        let selectors: Vec<RowSelector> = self.selection.into();
        Box::new(Column {
            pages: self.pages,
            nullable: self.nullable,
            selectors: selectors.into(),
            left,
            page: None,
            values,
            presence: Presence::default(),
        })
    }
}

struct Column<V: Values> {
    pages: ChunkPages,
    nullable: bool,
    selectors: VecDeque<RowSelector>,
    /// How many rows are still wanted.
    left: usize,
    page: Option<Open<V::Page>>,
    values: V,
    presence: Presence,
}

/// A page of which some rows are still to be read.
struct Open<P> {
    rows: usize,
    levels: Levels,
    values: P,
}

impl<V: Values> FlatColumn for Column<V> {
    fn next(&mut self, rows: usize) -> Result<Option<ArrayRef>> {
        let mut wanted = rows.min(self.left);
        if wanted == 0 {
            return Ok(None);
        }
        self.left -= wanted;
        self.values.expect(wanted);
        while wanted > 0 {
            let Some(selector) = self.selectors.pop_front() else { return Err(ended()) };
            if selector.skip {
                self.skip(selector.row_count)?;
                continue;
            }
            let count = selector.row_count.min(wanted);
            self.take(count)?;
            wanted -= count;
            if count < selector.row_count {
                self.selectors.push_front(RowSelector::select(selector.row_count - count));
            }
        }
        self.values.finish(&mut self.presence).map(Some)
    }
}

impl<V: Values> Column<V> {
    fn take(&mut self, mut rows: usize) -> Result<()> {
        while rows > 0 {
            self.open()?;
            let Some(page) = &mut self.page else { return Err(ended()) };
            let count = rows.min(page.rows);
            let values = page.levels.take(count, &mut self.presence)?;
            self.values.take(&mut page.values, values)?;
            page.rows -= count;
            rows -= count;
        }
        Ok(())
    }

    fn skip(&mut self, mut rows: usize) -> Result<()> {
        while rows > 0 {
            if self.page.as_ref().is_none_or(|page| page.rows == 0) {
                // Whole pages need not be decompressed.
                if let Some(all) = self.pages.next_rows()?
                    && all <= rows
                {
                    self.pages.leave_out()?;
                    rows -= all;
                    continue;
                }
                self.open()?;
            }
            let Some(page) = &mut self.page else { return Err(ended()) };
            let count = rows.min(page.rows);
            let values = page.levels.skip(count)?;
            self.values.skip(&mut page.values, values)?;
            page.rows -= count;
            rows -= count;
        }
        Ok(())
    }

    /// Opens the next page where the last was read to its end.
    fn open(&mut self) -> Result<()> {
        while self.page.as_ref().is_none_or(|page| page.rows == 0) {
            let page = self.pages.page()?.ok_or_else(ended)?;
            let (rows, encoding, levels, values) = match page {
                Page::DictionaryPage { buf, num_values, .. } => {
                    self.values.dictionary(&buf, num_values as usize)?;
                    continue;
                }
                Page::DataPage { buf, num_values, encoding, def_level_encoding, .. } => {
                    let (levels, values) =
                        if self.nullable { first(buf, def_level_encoding)? } else { (Bytes::new(), buf) };
                    (num_values, encoding, levels, values)
                }
                Page::DataPageV2 { buf, num_rows, encoding, rep_levels_byte_len, def_levels_byte_len, .. } => {
                    let (from, to) = (rep_levels_byte_len as usize, def_levels_byte_len as usize);
                    let whole = from.checked_add(to).filter(|end| *end <= buf.len()).ok_or_else(ended)?;
                    (num_rows, encoding, buf.slice(from..whole), buf.slice(whole..))
                }
            };
            let levels = if self.nullable { Levels::new(levels) } else { Levels::required() };
            self.page = Some(Open { rows: rows as usize, levels, values: self.values.open(encoding, values)? });
        }
        Ok(())
    }
}

/// Cuts a page of the first version into its levels and its values.
fn first(page: Bytes, levels: Encoding) -> Result<(Bytes, Bytes)> {
    if levels != Encoding::RLE {
        return Err(unsupported(levels));
    }
    let (length, rest) = page.split_first_chunk::<4>().ok_or_else(ended)?;
    let end = (u32::from_le_bytes(*length) as usize).checked_add(4).filter(|end| *end - 4 <= rest.len());
    let end = end.ok_or_else(ended)?;
    Ok((page.slice(4..end), page.slice(end..)))
}

fn ended() -> Error {
    malformed("has fewer rows than its row group")
}
