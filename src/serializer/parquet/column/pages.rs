//! The pages of a column chunk, and what the footer says of them.

use std::collections::VecDeque;
use std::io::Read;

use bytes::{Buf, Bytes};
use parquet::basic::{BoundaryOrder, Compression, Encoding, Type};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::compression::Codecs;
use super::gather::Presence;
use super::hybrid;
use super::value::Value;
use crate::error::{Error, Result};

/// A column chunk as it goes into the file.
pub(in super::super) struct EncodedChunk {
    pub(in super::super) pages: ChunkPages,
    pub(in super::super) close: ColumnCloseResult,
}

/// The pages of a chunk, headers included.
pub(in super::super) struct ChunkPages(Vec<Bytes>);

impl Length for ChunkPages {
    fn len(&self) -> u64 {
        self.0.iter().map(|page| page.len() as u64).sum()
    }
}

impl ChunkReader for ChunkPages {
    type T = Reading;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let mut reading = Reading(self.0.clone().into());
        std::io::copy(&mut reading.by_ref().take(start), &mut std::io::sink())?;
        Ok(reading)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let mut bytes = Vec::with_capacity(length);
        self.get_read(start)?.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// What is left to read of some pages.
pub(in super::super) struct Reading(VecDeque<Bytes>);

impl Read for Reading {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.0.front().is_some_and(Bytes::is_empty) {
            self.0.pop_front();
        }
        let Some(page) = self.0.front_mut() else { return Ok(0) };
        let length = page.len().min(out.len());
        page.copy_to_slice(out.get_mut(..length).unwrap_or_default());
        Ok(length)
    }
}

/// A page's header takes about so much.
const HEADER_BYTES: usize = 64;

fn refused(error: ParquetError) -> Error {
    Error::internal(format!("the Parquet library refused a page: {error}")).with_source(error)
}

/// What is known of the values of a page.
#[derive(Clone, Copy)]
pub(super) struct Told<V> {
    pub(super) bounds: Option<(V, V)>,
    /// Their bytes without lengths, where they are texts.
    pub(super) text: usize,
}

/// Gathers the pages of one chunk.
pub(super) struct Pages<V> {
    descriptor: ColumnDescPtr,
    compression: Compression,
    /// Whether pages are described one by one.
    indexed: bool,
    written: Vec<Bytes>,
    /// Of all pages so far.
    bytes: usize,
    uncompressed: usize,
    dictionary: Option<i64>,
    first: Option<i64>,
    rows: u64,
    nulls: u64,
    bounds: Option<(V, V)>,
    encodings: Vec<Encoding>,
    columns: ColumnIndexBuilder,
    offsets: OffsetIndexBuilder,
    order: Order<V>,
    /// The bytes of all texts.
    text: Option<i64>,
    page: Vec<u8>,
}

impl<V: Value> Pages<V> {
    pub(super) fn new(descriptor: ColumnDescPtr, compression: Compression, indexed: bool) -> Self {
        Self {
            descriptor,
            compression,
            indexed,
            written: Vec::new(),
            bytes: 0,
            uncompressed: 0,
            dictionary: None,
            first: None,
            rows: 0,
            nulls: 0,
            bounds: None,
            encodings: Vec::new(),
            columns: ColumnIndexBuilder::new(V::PHYSICAL),
            offsets: OffsetIndexBuilder::new(),
            order: Order::default(),
            text: None,
            page: Vec::new(),
        }
    }

    /// Writes the dictionary, before any page.
    pub(super) fn dictionary(
        &mut self,
        values: usize,
        codecs: &mut Codecs,
        plain: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        self.page.clear();
        plain(&mut self.page);
        let buf = Bytes::copy_from_slice(codecs.compress(self.compression, &self.page)?);
        let page = Page::DictionaryPage { buf, num_values: values as u32, encoding: Encoding::PLAIN, is_sorted: false };
        self.dictionary = Some(self.write(page)?.0);
        self.encoded(Encoding::PLAIN);
        Ok(())
    }

    /// Writes a page of these rows, whose values `encode` appends.
    pub(super) fn data(
        &mut self,
        told: &Told<V>,
        presence: &Presence,
        encoding: Encoding,
        codecs: &mut Codecs,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        self.page.clear();
        if self.descriptor.max_def_level() > 0 {
            self.levels(presence);
        }
        encode(&mut self.page);
        let buf = Bytes::copy_from_slice(codecs.compress(self.compression, &self.page)?);
        let page = Page::DataPage {
            buf,
            num_values: presence.rows as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let (offset, size) = self.write(page)?;
        self.first.get_or_insert(offset);
        self.encoded(Encoding::RLE);
        self.encoded(encoding);
        self.describe(told, presence, offset, size);
        Ok(())
    }

    fn levels(&mut self, presence: &Presence) {
        let start = self.page.len();
        self.page.extend_from_slice(&[0; 4]);
        match presence.values {
            0 => hybrid::alike(false, presence.rows, &mut self.page),
            all if all == presence.rows => hybrid::alike(true, presence.rows, &mut self.page),
            _ => hybrid::presence(presence.there(), presence.rows, &mut self.page),
        }
        let length = (self.page.len() - start - 4) as u32;
        if let Some(place) = self.page.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }

    fn write(&mut self, page: Page) -> Result<(i64, usize)> {
        // One buffer for each page: one for the whole chunk would be copied whenever it grows.
        let mut file = TrackedWrite::new(Vec::with_capacity(page.buffer().len() + HEADER_BYTES));
        let written = SerializedPageWriter::new(&mut file)
            .write_page(CompressedPage::new(page, self.page.len()))
            .map_err(refused)?;
        let offset = self.bytes as i64;
        self.uncompressed += written.uncompressed_size;
        self.bytes += written.compressed_size;
        self.written.push(file.into_inner().map_err(refused)?.into());
        Ok((offset, written.compressed_size))
    }

    fn encoded(&mut self, encoding: Encoding) {
        if !self.encodings.contains(&encoding) {
            self.encodings.push(encoding);
        }
    }

    fn describe(&mut self, told: &Told<V>, presence: &Presence, offset: i64, size: usize) {
        self.rows += presence.rows as u64;
        self.nulls += presence.nulls() as u64;
        self.bounds = match (self.bounds, told.bounds) {
            (Some(known), Some(new)) => Some(V::wider(known, new)),
            (known, new) => known.or(new),
        };
        let text = (V::PHYSICAL == Type::BYTE_ARRAY).then_some(told.text as i64);
        if let Some(bytes) = text {
            *self.text.get_or_insert(0) += bytes;
        }
        if !self.indexed {
            return;
        }
        self.offsets.append_row_count(presence.rows as i64);
        self.offsets.append_offset_and_size(offset, size as i32);
        self.offsets.append_unencoded_byte_array_data_bytes(text);
        match told.bounds {
            Some(bounds) => {
                let (least, greatest) = V::index_bounds(bounds);
                self.columns.append(false, least, greatest, presence.nulls() as i64);
                self.order.next(bounds);
            }
            None if presence.values == 0 => self.columns.append(true, Vec::new(), Vec::new(), presence.nulls() as i64),
            // There are values, and they have no order.
            None => self.columns.to_invalid(),
        }
    }

    pub(super) fn finish(mut self) -> Result<EncodedChunk> {
        let bytes = self.bytes;
        let statistics = V::statistics(self.bounds, self.nulls);
        self.columns.set_boundary_order(self.order.found());
        let metadata = ColumnChunkMetaData::builder(self.descriptor)
            .set_compression(self.compression)
            .set_encodings(self.encodings)
            .set_total_compressed_size(bytes as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_num_values(self.rows as i64)
            .set_data_page_offset(self.first.unwrap_or_default())
            .set_dictionary_page_offset(self.dictionary)
            .set_statistics(statistics)
            .set_unencoded_byte_array_data_bytes(self.text)
            .build()
            .map_err(refused)?;
        let index =
            if self.indexed && self.columns.valid() { Some(self.columns.build().map_err(refused)?) } else { None };
        let close = ColumnCloseResult {
            bytes_written: bytes as u64,
            rows_written: self.rows,
            metadata,
            bloom_filter: None,
            column_index: index,
            offset_index: self.indexed.then(|| self.offsets.build()),
        };
        Ok(EncodedChunk { pages: ChunkPages(self.written), close })
    }
}

/// Whether the bounds of the pages rise or fall.
struct Order<V> {
    last: Option<(V, V)>,
    rising: bool,
    falling: bool,
}

impl<V> Default for Order<V> {
    fn default() -> Self {
        Self { last: None, rising: true, falling: true }
    }
}

impl<V: Value> Order<V> {
    fn next(&mut self, bounds: (V, V)) {
        if let Some(last) = self.last.replace(bounds) {
            self.rising &= !V::before(bounds.0, last.0) && !V::before(bounds.1, last.1);
            self.falling &= !V::before(last.0, bounds.0) && !V::before(last.1, bounds.1);
        }
    }

    fn found(&self) -> BoundaryOrder {
        match self {
            Self { rising: true, .. } => BoundaryOrder::ASCENDING,
            Self { falling: true, .. } => BoundaryOrder::DESCENDING,
            _ => BoundaryOrder::UNORDERED,
        }
    }
}
