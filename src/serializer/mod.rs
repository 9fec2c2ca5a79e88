//! Serializers turn a value into bytes and back.
//!
//! A serializer never sees an object store: an [`Encoder`] is handed pieces of the value and writes bytes into a
//! [`Sink`]; reading starts from a [`Source`] of ranged reads. So each of them can be tested in memory, and a user can
//! add one with a hundred lines (see the example `custom_serializer`).
//!
//! | short form | extension | holds |
//! |---|---|---|
//! | `parquet[(fast\|small)][/codec[(level)]]` | `.parquet` | tables; codecs `none snappy lz4 zstd gzip`, chosen for each column where none is named |
//! | `arrow[/codec[(level)]]` | `.arrow` | tables, every Arrow type; codecs `none lz4 zstd`, default `none` |
//! | `json` | `.json` | JSON values |
//! | `bytes[(media/type)]` | `.bin` | raw bytes |
//! | `compressed[(codec[(level)])]/<inner>` | inner and the codec's | what the inner one holds; codecs `lz4 zstd gzip bzip2 xz` |

mod ahead;
pub mod arrow;
mod bytes;
mod compact;
mod compressed;
mod guard;
mod json;
#[cfg(test)]
mod memory_file;
mod parallel;
pub mod parquet;
mod pool;
mod registry;
mod same;
mod short_form;
mod sink;
mod source;
mod statistics;
mod tray;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use ::arrow::array::RecordBatch;
use ::arrow::datatypes::SchemaRef;
use ::bytes::Bytes;
use async_trait::async_trait;
use futures::stream::BoxStream;
use serde_json::Value as Json;

pub use self::arrow::Arrow;
pub use self::bytes::RawBytes;
pub use self::compressed::{Codec, Compressed};
pub use self::guard::{guarded, is_guarded};
pub use self::json::JsonText;
pub(crate) use self::parallel::cores;
pub use self::parquet::{Parquet, Preset};
pub use self::registry::{Factory, IntoSerializer, Registry, SerializerChoice};
pub use self::sink::{EncodedPart, Ending, Output, Sink};
pub use self::source::{CheckedSource, Mapping, Source, read_range, read_section};
pub use self::statistics::ColumnStatistics;

use crate::error::{Error, ErrorKind, Result};
use crate::query::Filter;
use crate::reference::Descriptor;
use crate::value::{Shape, Table};

/// Turns values into bytes and back.
#[async_trait]
pub trait Serializer: Debug + Send + Sync {
    /// Its name and settings: enough to build it again anywhere.
    fn descriptor(&self) -> Descriptor;

    /// The extension of its files, without a dot in front.
    fn extension(&self) -> String;

    /// Refuses a value that it could not give back exactly, before a byte is written.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`], naming the column and a serializer that can.
    fn check(&self, shape: &Shape) -> Result<()>;

    /// What a value that it accepts loses for certain on the way and back, named beforehand; nothing, if nothing is
    /// said. What depends on the data, [`Encoder::losses`] names afterwards.
    ///
    /// Each is an object that says in `loses` what is lost, and in `column` of which column, if it is of one.
    fn losses(&self, _shape: &Shape) -> Vec<Json> {
        Vec::new()
    }

    /// Starts to encode a value that [`Serializer::check`] accepts, holding at most about `memory` bytes.
    ///
    /// # Errors
    ///
    /// As [`Serializer::check`].
    fn encoder(&self, shape: &Shape, memory: usize) -> Result<Box<dyn Encoder>>;

    /// Opens one part, reading what describes it, and no data yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`] if the part is not what was written.
    async fn open(&self, source: Arc<dyn Source>, memory: usize) -> Result<Readable>;
}

/// One piece of a value on its way to an encoder.
#[derive(Debug, Clone)]
pub enum Piece {
    /// The next rows of a table.
    Batch(RecordBatch),
    /// A JSON value, whole.
    Json(Json),
    /// The next raw bytes.
    Bytes(Bytes),
}

/// Encodes one value, piece by piece, on a blocking thread.
pub trait Encoder: Send {
    /// Takes the next piece.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] if the piece cannot be encoded, or what the sink fails with.
    fn write(&mut self, piece: Piece, sink: &mut Sink) -> Result<()>;

    /// Writes the rest, and ends the last part.
    ///
    /// # Errors
    ///
    /// As [`Encoder::write`].
    fn finish(&mut self, sink: &mut Sink) -> Result<()>;

    /// What the value lost, beyond what [`Serializer::losses`] names; asked after [`Encoder::finish`].
    fn losses(&self) -> Vec<Json> {
        Vec::new()
    }
}

/// One part, opened.
pub enum Readable {
    /// A table; no row was read yet.
    Table(Arc<dyn TableReader>),
    /// A JSON value.
    Json(Json),
    /// Raw bytes.
    Bytes(BoxStream<'static, Result<Bytes>>),
}

impl Debug for Readable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Table(_) => "Readable::Table",
            Self::Json(_) => "Readable::Json",
            Self::Bytes(_) => "Readable::Bytes",
        })
    }
}

/// What to read of a table's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPlan {
    /// The positions of the columns, ascending; all where absent.
    pub columns: Option<Vec<usize>>,
    /// The rows.
    pub rows: Range<u64>,
    /// What holds for the rows that are wanted of these; its columns are positions in the part, and are all among
    /// `columns`. Who reads may leave out rows for which it is not true, and need not; see
    /// [`TableReader::leaves_out_rows`].
    pub filter: Option<Arc<Filter>>,
    /// At most so many rows a batch.
    pub batch_rows: usize,
    /// A batch should not take more bytes than about this.
    pub batch_bytes: usize,
    /// Whether all that is read is compared with its checksums, and looked over, even where it lies in a mapped file that
    /// only this user can have written.
    pub check: bool,
}

impl ReadPlan {
    /// Whether it wants the column at this position.
    pub fn has(&self, column: usize) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.binary_search(&column).is_ok())
    }
}

/// Reads the rows of one part.
pub trait TableReader: Send + Sync {
    /// The schema, with its metadata.
    fn schema(&self) -> SchemaRef;

    /// How many rows the part has.
    fn rows(&self) -> u64;

    /// The stored bytes of each column, where the format keeps columns apart.
    fn column_bytes(&self) -> Option<Vec<u64>> {
        None
    }

    /// The statistics of each top-level column, where the format keeps some; reads no data.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`] if they cannot be made sense of.
    fn column_statistics(&self) -> Result<Option<Vec<ColumnStatistics>>> {
        Ok(None)
    }

    /// Whether [`TableReader::batches`] may leave out rows for which [`ReadPlan::filter`] is not true. Of a reader that
    /// does not, each scan checks that it gives all rows.
    fn leaves_out_rows(&self) -> bool {
        false
    }

    /// The rows and columns of `plan`, in the part's order; the batches' schema is the part's, projected.
    fn batches(&self, plan: ReadPlan) -> BoxStream<'static, Result<RecordBatch>>;
}

/// A reader of a table that a serializer had to decode whole.
#[derive(Debug)]
pub struct InMemory(Table);

impl InMemory {
    /// A reader of `table`.
    pub fn new(table: Table) -> Self {
        Self(table)
    }
}

impl TableReader for InMemory {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn rows(&self) -> u64 {
        self.0.rows() as u64
    }

    fn batches(&self, plan: ReadPlan) -> BoxStream<'static, Result<RecordBatch>> {
        let mut start = 0_u64;
        let mut picked = Vec::new();
        for batch in self.0.batches() {
            let end = start + batch.num_rows() as u64;
            let (from, to) = (plan.rows.start.clamp(start, end), plan.rows.end.clamp(start, end));
            let mut at = from;
            while at < to {
                let rows = (to - at).min(plan.batch_rows.max(1) as u64);
                let slice = batch.slice(usize::try_from(at - start).unwrap_or(0), usize::try_from(rows).unwrap_or(0));
                picked.push(match &plan.columns {
                    Some(columns) => slice.project(columns).map_err(|error| Error::internal(error.to_string())),
                    None => Ok(slice),
                });
                at += rows;
            }
            start = end;
        }
        Box::pin(futures::stream::iter(picked))
    }
}

/// The error for a value that a serializer does not hold at all.
pub(crate) fn wrong_shape(serializer: &str, holds: &str, shape: &Shape, hint: &str) -> Error {
    let message = format!("serializer `{serializer}` holds {holds}, and this is {}", shape.name());
    Error::new(ErrorKind::Unsupported, message).with_hint(hint)
}

/// The error for a piece that does not belong to the value the encoder was made for.
pub(crate) fn wrong_piece(piece: &Piece) -> Error {
    let kind = match piece {
        Piece::Batch(_) => "a batch",
        Piece::Json(_) => "a JSON value",
        Piece::Bytes(_) => "bytes",
    };
    Error::internal(format!("an encoder was handed {kind} that it did not ask for"))
}
