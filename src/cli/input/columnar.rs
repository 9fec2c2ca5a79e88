//! Parquet and Arrow as inputs.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamDecoder};
use arrow::ipc::root_as_footer;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ParquetMetaData;

use super::{BATCH_BYTES, BATCH_ROWS, malformed};
use crate::error::{Error, Result};
use crate::serializer::guarded;
use crate::value::Batches;

const READ_BYTES: usize = 256 * 1024;
/// What an Arrow stream says at its end.
const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// The table of a Parquet file, and how many rows it has.
pub(super) fn parquet(file: File) -> Result<(Batches, u64)> {
    guarded(|| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| malformed("Parquet", error))?;
        let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
        // The reader's own schema has lost the file's metadata, such as what pandas needs to restore an index.
        let schema = builder.schema().clone();
        let batch_rows = rows_a_batch(builder.metadata());
        let reader = builder.with_batch_size(batch_rows).build().map_err(|error| malformed("Parquet", error))?;
        Ok((Batches::from_reader(Guarded { reader, schema, format: "Parquet" }), rows))
    })
    .map_err(as_input)
}

fn rows_a_batch(metadata: &ParquetMetaData) -> usize {
    let most = metadata.row_groups().iter().map(|group| group.total_byte_size() / group.num_rows().max(1)).max();
    let row_bytes = usize::try_from(most.unwrap_or(1)).unwrap_or(1).max(1);
    (BATCH_BYTES / row_bytes).clamp(1, BATCH_ROWS)
}

/// The table of an Arrow file.
pub(super) fn arrow_file(mut file: File) -> Result<Batches> {
    guarded(|| {
        check_blocks(&mut file)?;
        let reader = FileReader::try_new(file, None).map_err(|error| malformed("an Arrow file", error))?;
        let schema = reader.schema();
        Ok(Batches::from_reader(Guarded { reader, schema, format: "an Arrow file" }))
    })
    .map_err(as_input)
}

/// Refuses blocks that lie outside the file: the reader would ask for as much memory as they claim.
fn check_blocks(file: &mut File) -> Result<()> {
    let cut = || malformed("an Arrow file", "it is cut off or damaged at its end");
    let size = file.seek(SeekFrom::End(0)).map_err(|error| super::reading(&error))?;
    let mut ending = [0; 10];
    file.seek(SeekFrom::Start(size.checked_sub(10).ok_or_else(cut)?)).map_err(|error| super::reading(&error))?;
    file.read_exact(&mut ending).map_err(|error| super::reading(&error))?;
    let [a, b, c, d, magic @ ..] = ending;
    let footer_size = u64::try_from(i32::from_le_bytes([a, b, c, d])).map_err(|_| cut())?;
    if &magic != b"ARROW1" {
        return Err(cut());
    }
    let start = size.checked_sub(10 + footer_size).ok_or_else(cut)?;
    file.seek(SeekFrom::Start(start)).map_err(|error| super::reading(&error))?;
    let mut footer = Vec::new();
    file.take(footer_size).read_to_end(&mut footer).map_err(|error| super::reading(&error))?;
    let footer = root_as_footer(&footer).map_err(|_| cut())?;
    for block in footer.dictionaries().iter().flatten().chain(footer.recordBatches().iter().flatten()) {
        let parts = [block.offset(), i64::from(block.metaDataLength()), block.bodyLength()].map(u64::try_from);
        let [Ok(offset), Ok(metadata), Ok(body)] = parts else { return Err(cut()) };
        if offset.checked_add(metadata).and_then(|end| end.checked_add(body)).is_none_or(|end| end > start) {
            return Err(cut());
        }
    }
    file.seek(SeekFrom::Start(0)).map_err(|error| super::reading(&error))?;
    Ok(())
}

/// The table of an Arrow stream.
pub(super) fn arrow_stream(reader: Box<dyn Read + Send>) -> Result<Batches> {
    guarded(|| {
        let mut stream = StreamBatches {
            reader,
            decoder: StreamDecoder::new(),
            buffer: Buffer::default(),
            held: None,
            ended: false,
        };
        while stream.decoder.schema().is_none() && !stream.ended {
            stream.held = stream.step().map_err(|error| malformed("an Arrow stream", error))?;
        }
        match stream.decoder.schema() {
            Some(schema) => Ok(Batches::from_reader(Guarded { reader: stream, schema, format: "an Arrow stream" })),
            None => Err(malformed("an Arrow stream", "it has no schema")),
        }
    })
    .map_err(as_input)
}

/// Decodes piece by piece, so that memory grows with what was read, and not with what a length claims.
struct StreamBatches {
    reader: Box<dyn Read + Send>,
    decoder: StreamDecoder,
    buffer: Buffer,
    held: Option<RecordBatch>,
    ended: bool,
}

impl StreamBatches {
    /// The next batch, if the next piece completes one.
    fn step(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.buffer.is_empty() {
            let mut piece = Vec::with_capacity(READ_BYTES);
            (&mut self.reader).take(READ_BYTES as u64).read_to_end(&mut piece)?;
            if piece.is_empty() {
                self.ended = true;
                return self.end();
            }
            self.buffer = Buffer::from_vec(piece);
        }
        self.decoder.decode(&mut self.buffer)
    }

    fn end(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        // A schema at the very end of the stream is only taken in when something follows it.
        if self.decoder.schema().is_none() {
            self.decoder.decode(&mut Buffer::from(END_OF_STREAM))?;
        }
        self.decoder.finish().map(|()| None).map_err(|_| ArrowError::IpcError("it is cut off".into()))
    }
}

impl Iterator for StreamBatches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(batch) = self.held.take() {
            return Some(Ok(batch));
        }
        while !self.ended {
            match self.step() {
                Ok(None) => {}
                Ok(Some(batch)) => return Some(Ok(batch)),
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// A reader whose panics, on files made to provoke them, are errors; and the schema that the file declares.
struct Guarded<R> {
    reader: R,
    schema: SchemaRef,
    format: &'static str,
}

impl<R: Iterator<Item = Result<RecordBatch, ArrowError>>> Iterator for Guarded<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = guarded(|| self.reader.next().transpose().map_err(|error| malformed(self.format, error)));
        next.map_err(|error| as_input(error).into()).transpose()
    }
}

impl<R: Iterator<Item = Result<RecordBatch, ArrowError>>> RecordBatchReader for Guarded<R> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// What is damaged here is the user's file, not the store.
fn as_input(error: Error) -> Error {
    match error.kind() {
        crate::error::ErrorKind::Damaged => error.with_kind(crate::error::ErrorKind::Input),
        _ => error,
    }
}
