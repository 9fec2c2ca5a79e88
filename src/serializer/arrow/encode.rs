//! Record batches into an Arrow IPC file.
//!
//! What the library encodes is not copied: the buffers of the batches are handed on as they lie in memory.

use std::collections::{HashMap, HashSet};

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::convert::{IpcSchemaEncoder, metadata_to_fb};
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions, StreamEncoder, write_message};
use arrow::ipc::{Block, FooterBuilder, MessageHeader, MetadataVersion};
use bytes::Bytes;
use flatbuffers::FlatBufferBuilder;

use super::compress::{Codec, compressed};
use super::dictionaries::{Dictionaries, Merged};
use super::message::{Message, padding, parsed};
use super::{EXTENTS_KEY, HEADS_KEY, nested};
use crate::checksum::{Extents, ExtentsBuilder};
use crate::error::{Error, ErrorKind, Result, recover};
use crate::reference::Section;
use crate::serializer::compact::{any_type, batch_bytes, compacted};
use crate::serializer::{Encoder, Ending, Piece, Sink, wrong_piece};

/// A record batch in the file takes at most about this, so that a reader's memory is bounded too.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
const BATCH_ROWS: usize = 1024 * 1024;
/// Cuts lie where no bit of a bitmap has to be moved.
const STEP_ROWS: usize = 64;
const MAGIC: &[u8] = b"ARROW1";
const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

pub(super) struct ArrowEncoder {
    schema: SchemaRef,
    options: IpcWriteOptions,
    codec: Option<Codec>,
    threads: usize,
    batch_bytes: usize,
    dictionary_bytes: usize,
    dictionaries: Dictionaries,
    part: Option<OpenPart>,
}

struct OpenPart {
    encoder: StreamEncoder,
    /// What waits to be compressed together, and how many bytes it has.
    waiting: (Vec<Message>, usize),
    /// Where the messages lie.
    dictionaries: Vec<Block>,
    batches: Vec<Block>,
    heads: ExtentsBuilder,
    /// The dictionaries that were begun; a file cannot begin one twice.
    begun: HashSet<i64>,
    rows: u64,
}

fn encode_error(error: ArrowError) -> Error {
    recover(Box::new(error)).unwrap_or_else(|error| {
        Error::new(ErrorKind::Unsupported, format!("the table cannot be encoded as Arrow: {error}")).with_source(error)
    })
}

impl ArrowEncoder {
    /// Compresses with `codec`, on `threads` threads; `options` themselves ask for no compression.
    pub(super) fn new(
        schema: SchemaRef,
        options: IpcWriteOptions,
        codec: Option<Codec>,
        memory: usize,
        threads: usize,
    ) -> Self {
        let dictionaries = Dictionaries::new(&schema);
        let batch_bytes = BATCH_BYTES.min(memory / 8).max(1);
        let dictionary_bytes = (memory / 8).max(1);
        Self { schema, options, codec, threads, batch_bytes, dictionary_bytes, dictionaries, part: None }
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
        let limit = self.batch_bytes;
        let (codec, threads) = (self.codec, self.threads);
        let part = self.open_part(sink)?;
        part.rows += batch.num_rows() as u64;
        let encoded = part.encoder.encode(&batch).map_err(encode_error)?;
        // The schema stands at the start of the file already.
        let messages = Message::split(encoded)?.into_iter().filter(|message| message.kind != MessageHeader::Schema);
        let Some(codec) = codec else { return messages.into_iter().try_for_each(|message| part.put(message, sink)) };
        for message in messages {
            part.waiting.1 += message.body_bytes();
            part.waiting.0.push(message);
        }
        if part.waiting.1 >= limit { part.compress(codec, threads, sink) } else { Ok(()) }
    }

    fn open_part(&mut self, sink: &mut Sink) -> Result<&mut OpenPart> {
        if self.part.is_none() {
            let encoder = StreamEncoder::try_new_with_options(&self.schema, self.options.clone());
            self.part = Some(OpenPart {
                encoder: encoder.map_err(encode_error)?,
                waiting: (Vec::new(), 0),
                dictionaries: Vec::new(),
                batches: Vec::new(),
                heads: ExtentsBuilder::default(),
                begun: HashSet::new(),
                rows: 0,
            });
            sink.copy(MAGIC)?;
            sink.copy(padding(MAGIC.len()))?;
            let mut tracker = DictionaryTracker::new(true);
            let schema = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(
                &self.schema,
                &mut tracker,
                &self.options,
            );
            let mut message = Vec::new();
            write_message(&mut message, schema, &self.options).map_err(encode_error)?;
            sink.copy(&message)?;
            // The schema message is repeated in the footer, which has a checksum of its own.
            sink.take_extents();
        }
        self.part.as_mut().ok_or_else(|| Error::internal("a part did not open"))
    }

    fn end_part(&mut self, sink: &mut Sink) -> Result<()> {
        let Some(mut part) = self.part.take() else { return Ok(()) };
        if let Some(codec) = self.codec {
            part.compress(codec, self.threads, sink)?;
        }
        let (extents, heads) = (sink.take_extents(), std::mem::take(&mut part.heads).finish());
        sink.copy(&END_OF_STREAM)?;
        let footer = footer(&self.schema, &part, &extents, &heads)?;
        sink.copy(&footer)?;
        sink.end_part(Ending { rows: Some(part.rows), footer: Some(Section::of(&footer)), ..Ending::default() })
    }
}

impl OpenPart {
    /// Compresses what waits for it.
    fn compress(&mut self, codec: Codec, threads: usize, sink: &mut Sink) -> Result<()> {
        let (waiting, _) = std::mem::take(&mut self.waiting);
        compressed(waiting, codec, threads)?.into_iter().try_for_each(|message| self.put(message, sink))
    }

    fn put(&mut self, message: Message, sink: &mut Sink) -> Result<()> {
        let too_large = |_| Error::internal("an Arrow message is too large");
        let head = i32::try_from(message.head.len()).map_err(too_large)?;
        let body = i64::try_from(message.body_bytes()).map_err(too_large)?;
        let block = Block::new(i64::try_from(sink.position()).map_err(too_large)?, head, body);
        let dictionary = parsed(&message.head)?.header_as_dictionary_batch().map(|found| (found.id(), found.isDelta()));
        if dictionary.is_some_and(|(id, grows)| !grows && !self.begun.insert(id)) {
            return Err(Error::internal("a dictionary was to be replaced, which an Arrow file cannot say"));
        }
        self.heads.update(&message.head);
        self.heads.end_run();
        sink.copy(&message.head)?;
        message.body.into_iter().try_for_each(|buffer| sink.push(Bytes::from_owner(Owner(buffer))))?;
        if message.kind == MessageHeader::RecordBatch {
            self.batches.push(block);
            sink.end_run();
        } else {
            self.dictionaries.push(block);
        }
        Ok(())
    }
}

/// A buffer that is handed on as it lies.
struct Owner(Buffer);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Encoder for ArrowEncoder {
    fn write(&mut self, piece: Piece, sink: &mut Sink) -> Result<()> {
        let Piece::Batch(batch) = piece else { return Err(wrong_piece(&piece)) };
        slices(batch, self.batch_bytes).try_for_each(|slice| self.write_batch(compacted(slice)?, sink))
    }

    fn finish(&mut self, sink: &mut Sink) -> Result<()> {
        self.open_part(sink)?;
        self.end_part(sink)
    }
}

/// Cuts a batch into slices of about `bytes` at most, but at least a row each.
fn slices(batch: RecordBatch, bytes: usize) -> impl Iterator<Item = RecordBatch> {
    let total = batch.num_rows();
    let per_row = batch_bytes(&batch) / total.max(1);
    let step = (bytes / per_row.max(1)).clamp(1, BATCH_ROWS);
    let step = if step > STEP_ROWS { step - step % STEP_ROWS } else { step };
    let empty = (total == 0).then(|| batch.clone());
    (0..total).step_by(step).map(move |start| batch.slice(start, step.min(total - start))).chain(empty)
}

/// The end of the file from the footer on: its flatbuffer, its length and the magic.
fn footer(schema: &SchemaRef, part: &OpenPart, extents: &Extents, heads: &Extents) -> Result<Vec<u8>> {
    let mut builder = FlatBufferBuilder::new();
    let dictionaries = builder.create_vector(&part.dictionaries);
    let batches = builder.create_vector(&part.batches);
    let mut tracker = DictionaryTracker::new(true);
    let schema =
        IpcSchemaEncoder::new().with_dictionary_tracker(&mut tracker).schema_to_fb_offset(&mut builder, schema);
    let lists = [(EXTENTS_KEY, extents), (HEADS_KEY, heads)];
    let lists: HashMap<String, String> = lists.map(|(key, list)| (key.to_owned(), list.encode())).into();
    let lists = metadata_to_fb(&mut builder, &lists);
    let mut footer = FooterBuilder::new(&mut builder);
    footer.add_version(MetadataVersion::V5);
    footer.add_schema(schema);
    footer.add_dictionaries(dictionaries);
    footer.add_recordBatches(batches);
    footer.add_custom_metadata(lists);
    let root = footer.finish();
    builder.finish(root, None);
    let flatbuffer = builder.finished_data();
    let length = i32::try_from(flatbuffer.len()).map_err(|_| Error::internal("the Arrow footer is too large"))?;
    Ok([flatbuffer, &length.to_le_bytes(), MAGIC].concat())
}
