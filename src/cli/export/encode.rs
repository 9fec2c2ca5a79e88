//! A table as bytes: one encoder for each format that `get` writes.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::{ArrayWriter, LineDelimitedWriter, WriterBuilder};
use bytes::Bytes;

use super::super::args::OutputFormat;
use super::destination::Writer;
use crate::error::{Error, ErrorKind, Result, recover};
use crate::serializer::{Arrow, EncodedPart, Encoder, Output, Parquet, Piece, Serializer, Sink};
use crate::value::Shape;

/// What an encoder of files may hold in memory.
const MEMORY: usize = 96 << 20;

/// An encoder, and what it writes to.
pub(super) enum Encoding {
    /// An Arrow stream.
    Stream(Box<StreamWriter<Writer>>),
    /// A file as the store would write it.
    File {
        /// The encoder of the serializer.
        encoder: Box<dyn Encoder>,
        /// Where its bytes go.
        sink: Box<Sink>,
    },
    /// Comma separated values.
    Csv(Box<csv::Writer<Writer>>),
    /// JSON objects, a line each.
    Lines(Box<LineDelimitedWriter<Writer>>),
    /// A JSON array of objects.
    Array(Box<ArrayWriter<Writer>>),
}

impl Encoding {
    /// Starts to encode a table of this schema.
    pub(super) fn start(format: OutputFormat, schema: SchemaRef, to_file: bool, writer: Writer) -> Result<Self> {
        Ok(match format {
            OutputFormat::Arrow if !to_file => {
                Self::Stream(Box::new(StreamWriter::try_new(writer, &schema).map_err(failed)?))
            }
            OutputFormat::Arrow => Self::file(&Arrow::default(), schema, writer)?,
            OutputFormat::Parquet => Self::file(&Parquet::default(), schema, writer)?,
            OutputFormat::Csv => {
                refuse_nested(&schema)?;
                let mut csv = csv::WriterBuilder::new().with_header(true).build(writer);
                // So that a table without rows has its header, too.
                csv.write(&RecordBatch::new_empty(schema)).map_err(failed)?;
                Self::Csv(Box::new(csv))
            }
            OutputFormat::Ndjson => {
                refuse_twins(&schema)?;
                Self::Lines(Box::new(WriterBuilder::new().with_explicit_nulls(true).build(writer)))
            }
            OutputFormat::Json => {
                refuse_twins(&schema)?;
                Self::Array(Box::new(WriterBuilder::new().with_explicit_nulls(true).build(writer)))
            }
            OutputFormat::Table | OutputFormat::Raw => return Err(Error::internal("this format has no encoder")),
        })
    }

    fn file(serializer: &dyn Serializer, schema: SchemaRef, writer: Writer) -> Result<Self> {
        let shape = Shape::Table(schema);
        serializer.check(&shape)?;
        let encoder = serializer.encoder(&shape, MEMORY)?;
        Ok(Self::File { encoder, sink: Box::new(Sink::new(OneFile { writer, complete: false })) })
    }

    /// Encodes the next rows.
    pub(super) fn write(&mut self, batch: RecordBatch) -> Result<()> {
        match self {
            Self::Stream(writer) => writer.write(&batch).map_err(failed),
            Self::File { encoder, sink } => encoder.write(Piece::Batch(batch), sink),
            Self::Csv(writer) => writer.write(&batch).map_err(failed),
            Self::Lines(writer) => writer.write(&batch).map_err(failed),
            Self::Array(writer) => writer.write(&batch).map_err(failed),
        }
    }

    /// Writes what is left.
    pub(super) fn finish(self) -> Result<()> {
        match self {
            Self::Stream(mut writer) => {
                writer.finish().map_err(failed)?;
                writer.get_mut().flush().map_err(failed)
            }
            Self::File { mut encoder, mut sink } => encoder.finish(&mut sink),
            Self::Csv(writer) => writer.into_inner().flush().map_err(failed),
            Self::Lines(mut writer) => {
                writer.finish().map_err(failed)?;
                writer.into_inner().flush().map_err(failed)
            }
            Self::Array(mut writer) => {
                writer.finish().map_err(failed)?;
                let mut writer = writer.into_inner();
                writer.write_all(b"\n").and_then(|()| writer.flush()).map_err(failed)
            }
        }
    }
}

/// Takes the bytes of exactly one part.
struct OneFile {
    writer: Writer,
    complete: bool,
}

impl Output for OneFile {
    fn bytes(&mut self, bytes: Bytes) -> Result<()> {
        if self.complete {
            return Err(Error::new(ErrorKind::Unsupported, "this table is too large for one file of this format")
                .with_hint("choose fewer `--columns`, or `--format arrow` into a pipe"));
        }
        self.writer.write_all(&bytes).map_err(failed)
    }

    fn end_part(&mut self, _part: EncodedPart) -> Result<()> {
        self.complete = true;
        self.writer.flush().map_err(failed)
    }
}

/// An encoder's error; whether its output was the reason, the destination knows.
pub(super) fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    recover(error.into()).unwrap_or_else(|error| {
        Error::new(ErrorKind::Unsupported, format!("the table cannot be written so: {error}"))
            .with_hint("`--format arrow` writes every table")
            .with_source(error)
    })
}

fn refuse_nested(schema: &SchemaRef) -> Result<()> {
    let nested = |data_type: &DataType| data_type.is_nested() && !matches!(data_type, DataType::RunEndEncoded(..));
    match schema.fields().iter().find(|field| nested(field.data_type())) {
        None => Ok(()),
        Some(field) => {
            let why = format!("CSV cannot hold column `{}` of type {}", field.name(), field.data_type());
            Err(Error::new(ErrorKind::Unsupported, why)
                .with_hint("use `--format ndjson`, or leave it out of `--columns`"))
        }
    }
}

/// JSON objects with a name twice would lose one of the two when they are read.
fn refuse_twins(schema: &SchemaRef) -> Result<()> {
    let mut names = std::collections::HashSet::new();
    match schema.fields().iter().find(|field| !names.insert(Arc::clone(field).name().clone())) {
        None => Ok(()),
        Some(field) => {
            let why = format!("JSON cannot hold two columns `{}`", field.name());
            Err(Error::new(ErrorKind::Unsupported, why).with_hint("use `--format csv` or `--format arrow`"))
        }
    }
}
