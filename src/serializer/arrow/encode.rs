//! Record batches into an Arrow IPC file.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};

use super::EXTENTS_KEY;
use super::dictionaries::{Dictionaries, Merged};
use super::nested;
use crate::error::{Error, ErrorKind, Result, recover};
use crate::reference::Section;
use crate::serializer::compact::{any_type, compacted, slices};
use crate::serializer::tray::Tray;
use crate::serializer::{Encoder, Ending, Piece, Sink, wrong_piece};

/// A record batch in the file takes at most about this, so that a reader's memory is bounded too.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
const BATCH_ROWS: usize = 1024 * 1024;

pub(super) struct ArrowEncoder {
    schema: SchemaRef,
    options: IpcWriteOptions,
    batch_bytes: usize,
    dictionary_bytes: usize,
    dictionaries: Dictionaries,
    part: Option<OpenPart>,
}

struct OpenPart {
    writer: FileWriter<Tray>,
    tray: Tray,
    rows: u64,
}

fn encode_error(error: ArrowError) -> Error {
    recover(Box::new(error)).unwrap_or_else(|error| {
        Error::new(ErrorKind::Unsupported, format!("the table cannot be encoded as Arrow: {error}")).with_source(error)
    })
}

impl ArrowEncoder {
    pub(super) fn new(schema: SchemaRef, options: IpcWriteOptions, memory: usize) -> Self {
        let dictionaries = Dictionaries::new(&schema);
        let batch_bytes = BATCH_BYTES.min(memory / 8).max(1);
        Self { schema, options, batch_bytes, dictionary_bytes: (memory / 8).max(1), dictionaries, part: None }
    }

    fn write_batch(&mut self, batch: RecordBatch, sink: &mut Sink) -> Result<()> {
        // The library writes run ends of no rows that it refuses to read.
        let run_ends = |data_type: &DataType| matches!(data_type, DataType::RunEndEncoded(..));
        if batch.num_rows() == 0 && self.schema.fields().iter().any(|field| any_type(field.data_type(), &run_ends)) {
            return Ok(());
        }
        let batch = nested::straightened(batch)?;
        let batch = match self.dictionaries.merge(&batch, self.dictionary_bytes)? {
            Merged::Batch(batch) => batch,
            Merged::NewPart => {
                self.end_part(sink)?;
                self.dictionaries = Dictionaries::new(&self.schema);
                match self.dictionaries.merge(&batch, usize::MAX)? {
                    Merged::Batch(batch) => batch,
                    Merged::NewPart => return Err(Error::internal("a new part did not take a dictionary")),
                }
            }
        };
        let part = self.open_part(sink)?;
        part.writer.write(&batch).map_err(encode_error)?;
        part.rows += batch.num_rows() as u64;
        sink.push(part.tray.take().into())?;
        sink.end_run();
        Ok(())
    }

    fn open_part(&mut self, sink: &mut Sink) -> Result<&mut OpenPart> {
        if self.part.is_none() {
            let tray = Tray::default();
            let writer = FileWriter::try_new_with_options(tray.clone(), &self.schema, self.options.clone());
            self.part = Some(OpenPart { writer: writer.map_err(encode_error)?, tray: tray.clone(), rows: 0 });
            // The schema message is repeated in the footer, which has a checksum of its own.
            sink.copy(&tray.take())?;
            sink.take_extents();
        }
        self.part.as_mut().ok_or_else(|| Error::internal("a part did not open"))
    }

    fn end_part(&mut self, sink: &mut Sink) -> Result<()> {
        let Some(mut part) = self.part.take() else { return Ok(()) };
        part.writer.write_metadata(EXTENTS_KEY, sink.take_extents().encode());
        part.writer.finish().map_err(encode_error)?;
        let tail = part.tray.take();
        sink.copy(&tail)?;
        sink.end_part(Ending { rows: Some(part.rows), footer: Some(footer_of(&tail)?), ..Ending::default() })
    }
}

impl Encoder for ArrowEncoder {
    fn write(&mut self, piece: Piece, sink: &mut Sink) -> Result<()> {
        let Piece::Batch(batch) = piece else { return Err(wrong_piece(&piece)) };
        slices(batch, self.batch_bytes, BATCH_ROWS).try_for_each(|slice| self.write_batch(compacted(slice)?, sink))
    }

    fn finish(&mut self, sink: &mut Sink) -> Result<()> {
        self.open_part(sink)?;
        self.end_part(sink)
    }
}

/// The footer at the end of what the writer wrote last: its bytes, its length and the magic.
fn footer_of(tail: &[u8]) -> Result<Section> {
    let length = tail.len().checked_sub(10).and_then(|start| tail.get(start..start + 4));
    length
        .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok())
        .and_then(|bytes| usize::try_from(u32::from_le_bytes(bytes)).ok())
        .and_then(|length| tail.len().checked_sub(length + 10))
        .and_then(|start| tail.get(start..))
        .map(Section::of)
        .ok_or_else(|| Error::internal("the Arrow writer wrote no footer"))
}
