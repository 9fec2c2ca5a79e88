//! The pages of a column chunk: what each claims is checked before memory is reserved for it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ColumnChunkMetaData;

use super::claims::{Levels, behind_levels, check_deltas};
use super::decompress::decompressed;
use super::page_header::{DataV2, PageHeader, PageKind, malformed};
use crate::error::{Error, Result};

/// A value that a page only claims takes at most so many bytes before it is seen.
const CLAIMED_BYTES: usize = 16;

/// Where a reader of pages leaves the error that the library would turn into text.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusal(Arc<Mutex<Option<Error>>>);

impl Refusal {
    /// The first error that was left, if one was.
    pub(super) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn leave(&self, error: Error) -> ParquetError {
        let told = ParquetError::General(error.to_string());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        told
    }
}

/// The pages of one column chunk, in their order.
#[derive(Debug)]
pub(super) struct ChunkPages {
    /// What is left of the chunk, from the next header on; behind it where that was looked at already.
    rest: Bytes,
    next: Option<PageHeader>,
    codec: Compression,
    levels: Levels,
    /// A page may take so many bytes once decompressed.
    limit: usize,
    refusal: Refusal,
}

impl ChunkPages {
    pub(super) fn new(bytes: Bytes, chunk: &ColumnChunkMetaData, limit: usize, refusal: Refusal) -> Self {
        let column = chunk.column_descr();
        let levels = Levels { definition: column.max_def_level(), repetition: column.max_rep_level() };
        Self { rest: bytes, next: None, codec: chunk.compression(), levels, limit, refusal }
    }

    /// The header of the next page that has values; none after the last.
    fn header(&mut self) -> Result<Option<&PageHeader>> {
        while self.next.is_none() && !self.rest.is_empty() {
            let (header, length) = PageHeader::parse(&self.rest)?;
            if header.plain > self.limit {
                let claimed = header.plain;
                return Err(Error::damaged(format!("a Parquet page claims {claimed} bytes once decompressed"))
                    .with_hint("raise the memory budget if the file is trusted"));
            }
            let behind = length.checked_add(header.stored).ok_or_else(malformed)?;
            if behind > self.rest.len() {
                return Err(malformed());
            }
            if header.kind == PageKind::Other {
                self.rest = self.rest.slice(behind..);
            } else {
                self.rest = self.rest.slice(length..);
                self.next = Some(header);
            }
        }
        Ok(self.next.as_ref())
    }

    /// The header of the next page and its bytes as stored, which are behind it then.
    fn take(&mut self) -> Result<Option<(PageHeader, Bytes)>> {
        self.header()?;
        let Some(header) = self.next.take() else { return Ok(None) };
        Ok(Some((header.clone(), self.rest.split_to(header.stored))))
    }

    /// How many rows the next page of a flat column has; none where it has no rows at all, or is none.
    pub(super) fn next_rows(&mut self) -> Result<Option<usize>> {
        let rows = self.header()?.and_then(|header| match &header.kind {
            PageKind::Data { values, .. } => Some(*values),
            PageKind::DataV2(page) => Some(page.rows),
            PageKind::Dictionary { .. } | PageKind::Other => None,
        });
        Ok(rows.map(|rows| rows as usize))
    }

    /// Leaves out the next page.
    pub(super) fn leave_out(&mut self) -> Result<()> {
        self.take().map(drop)
    }

    /// The next page, decompressed; none after the last.
    pub(super) fn page(&mut self) -> Result<Option<Page>> {
        let Some((header, stored)) = self.take()? else { return Ok(None) };
        let plain = header.plain;
        Ok(Some(match header.kind {
            PageKind::Dictionary { values, encoding, is_sorted } => {
                if usize::try_from(values).map_or(true, |values| values > plain + 1) {
                    return Err(malformed());
                }
                Page::DictionaryPage { buf: self.plain(stored, 0, plain)?, num_values: values, encoding, is_sorted }
            }
            PageKind::Data { values, encoding, definition, repetition } => {
                let buf = self.plain(stored, 0, plain)?;
                let behind = behind_levels(&buf, self.levels, (repetition, definition), values)?;
                check_deltas(encoding, behind, values, self.limit / CLAIMED_BYTES)?;
                Page::DataPage {
                    buf,
                    num_values: values,
                    encoding,
                    def_level_encoding: definition,
                    rep_level_encoding: repetition,
                    statistics: None,
                }
            }
            PageKind::DataV2(page) => self.second(&page, stored, plain)?,
            PageKind::Other => return Err(malformed()),
        }))
    }

    fn second(&self, page: &DataV2, stored: Bytes, plain: usize) -> Result<Page> {
        let levels = page.repetition_bytes.checked_add(page.definition_bytes).ok_or_else(malformed)?;
        let prefix = usize::try_from(levels).map_err(|_| malformed())?;
        let buf = if page.is_compressed { self.plain(stored, prefix, plain)? } else { stored };
        let behind = buf.get(prefix..).ok_or_else(malformed)?;
        check_deltas(page.encoding, behind, page.values, self.limit / CLAIMED_BYTES)?;
        Ok(Page::DataPageV2 {
            buf,
            num_values: page.values,
            encoding: page.encoding,
            num_nulls: page.nulls,
            num_rows: page.rows,
            def_levels_byte_len: page.definition_bytes,
            rep_levels_byte_len: page.repetition_bytes,
            is_compressed: page.is_compressed,
            statistics: None,
        })
    }

    fn plain(&self, stored: Bytes, prefix: usize, size: usize) -> Result<Bytes> {
        if self.codec == Compression::UNCOMPRESSED {
            return Ok(stored);
        }
        decompressed(self.codec, &stored, prefix, size).map(Bytes::from)
    }
}

impl Iterator for ChunkPages {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for ChunkPages {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        self.page().map_err(|error| self.refusal.leave(error))
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        match self.header() {
            Ok(header) => Ok(header.and_then(PageHeader::metadata)),
            Err(error) => Err(self.refusal.leave(error)),
        }
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.leave_out().map_err(|error| self.refusal.leave(error))
    }
}
