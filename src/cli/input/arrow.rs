//! Arrow files and streams as inputs.
//!
//! Both are read message by message. A message is checked before it is decoded, because the decoder takes its word for
//! how much memory it needs.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use ::arrow::array::RecordBatch;
use ::arrow::buffer::Buffer;
use ::arrow::datatypes::Schema;
use ::arrow::error::ArrowError;
use ::arrow::ipc::convert::fb_to_schema;
use ::arrow::ipc::reader::{FileDecoder, StreamDecoder};
use ::arrow::ipc::{Block, Message, root_as_footer, root_as_message};

use super::guarded_reader::{Guarded, as_input};
use super::malformed;
use crate::error::Result;
use crate::serializer::guarded;
use crate::value::Batches;

const MAGIC: &[u8] = b"ARROW1";
const CONTINUATION: [u8; 4] = [0xff; 4];
/// What a stream says at its end.
const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
/// A batch is decoded whole; one that claims to be larger than this is not taken.
const BATCH_LIMIT: i64 = 2 << 30;

/// The table of an Arrow file.
pub(super) fn file(file: File) -> Result<Batches> {
    guarded(|| {
        let (reader, schema) = FileBatches::open(file).map_err(|error| malformed("an Arrow file", error))?;
        Ok(Batches::from_reader(Guarded { reader, schema, format: "an Arrow file" }))
    })
    .map_err(as_input)
}

/// The table of an Arrow stream.
pub(super) fn stream(reader: Box<dyn Read + Send>) -> Result<Batches> {
    guarded(|| {
        let mut reader = StreamBatches { reader, decoder: StreamDecoder::new(), held: VecDeque::new(), ended: false };
        while reader.decoder.schema().is_none() && !reader.ended {
            reader.step().map_err(|error| malformed("an Arrow stream", error))?;
        }
        match reader.decoder.schema() {
            Some(schema) => Ok(Batches::from_reader(Guarded { reader, schema, format: "an Arrow stream" })),
            None => Err(malformed("an Arrow stream", "it has no schema")),
        }
    })
    .map_err(as_input)
}

struct StreamBatches {
    reader: Box<dyn Read + Send>,
    decoder: StreamDecoder,
    held: VecDeque<RecordBatch>,
    ended: bool,
}

impl StreamBatches {
    /// Takes in the next message, or the end.
    fn step(&mut self) -> Result<(), ArrowError> {
        match self.message()? {
            Some((header, body)) => {
                self.decode(header)?;
                self.decode(body)
            }
            None => {
                self.ended = true;
                // A message without a body is only taken in when something follows it.
                self.decode(Buffer::from(END_OF_STREAM))
            }
        }
    }

    fn decode(&mut self, mut bytes: Buffer) -> Result<(), ArrowError> {
        while !bytes.is_empty() {
            self.held.extend(self.decoder.decode(&mut bytes)?);
        }
        Ok(())
    }

    /// The next message as it is framed, and its body; nothing at the end of the stream.
    fn message(&mut self) -> Result<Option<(Buffer, Buffer)>, ArrowError> {
        let mut framed = self.some(4)?;
        if framed.is_empty() {
            return Ok(None);
        }
        if framed == CONTINUATION {
            framed.extend(self.some(4)?);
        }
        let length = framed.last_chunk::<4>().map(|length| i32::from_le_bytes(*length));
        let length = length.and_then(|length| u64::try_from(length).ok()).ok_or_else(cut)?;
        if length == 0 {
            return Ok(None);
        }
        let header = self.exactly(length)?;
        let message = message(&header)?;
        let body = self.exactly(u64::try_from(message.bodyLength()).map_err(|_| cut())?)?;
        check(&message, &body)?;
        framed.extend(header);
        Ok(Some((Buffer::from_vec(framed), Buffer::from_vec(body))))
    }

    fn exactly(&mut self, length: u64) -> Result<Vec<u8>, ArrowError> {
        let bytes = self.some(length)?;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(cut()) }
    }

    /// Up to `length` bytes; memory grows with what comes, and not with what is claimed.
    fn some(&mut self, length: u64) -> Result<Vec<u8>, ArrowError> {
        let mut bytes = Vec::new();
        (&mut self.reader).take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Iterator for StreamBatches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.held.is_empty() && !self.ended {
            if let Err(error) = self.step() {
                self.ended = true;
                return Some(Err(error));
            }
        }
        self.held.pop_front().map(Ok)
    }
}

struct FileBatches {
    file: File,
    data_end: u64,
    decoder: FileDecoder,
    batches: VecDeque<Block>,
}

impl FileBatches {
    fn open(mut file: File) -> Result<(Self, Arc<Schema>), ArrowError> {
        let size = file.seek(SeekFrom::End(0))?;
        let ending = read(&mut file, size.checked_sub(10).ok_or_else(cut)?, 10)?;
        let Some((length, MAGIC)) = ending.split_first_chunk::<4>() else { return Err(cut()) };
        let length = u64::try_from(i32::from_le_bytes(*length)).map_err(|_| cut())?;
        let data_end = size.checked_sub(10 + length).ok_or_else(cut)?;
        let bytes = read(&mut file, data_end, length)?;
        let footer = root_as_footer(&bytes).map_err(|_| cut())?;
        let schema = footer.schema().ok_or_else(cut)?;
        check_endianness(&schema)?;
        let schema = Arc::new(fb_to_schema(schema));
        let decoder = FileDecoder::new(schema.clone(), footer.version());
        let batches = footer.recordBatches().into_iter().flatten().copied().collect();
        let mut opened = Self { file, data_end, decoder, batches };
        for block in footer.dictionaries().into_iter().flatten() {
            let bytes = opened.block(block)?;
            opened.decoder.read_dictionary(block, &bytes)?;
        }
        Ok((opened, schema))
    }

    /// The bytes of a message, checked.
    fn block(&mut self, block: &Block) -> Result<Buffer, ArrowError> {
        let lengths = [block.offset(), i64::from(block.metaDataLength()), block.bodyLength()].map(u64::try_from);
        let [Ok(offset), Ok(header), Ok(body)] = lengths else { return Err(cut()) };
        let length = header.checked_add(body).ok_or_else(cut)?;
        if offset.checked_add(length).is_none_or(|end| end > self.data_end) {
            return Err(cut());
        }
        let bytes = read(&mut self.file, offset, length)?;
        let (header, body) = bytes.split_at_checked(usize::try_from(header).map_err(|_| cut())?).ok_or_else(cut)?;
        let header = header.strip_prefix(&CONTINUATION).unwrap_or(header);
        check(&message(header.get(4..).ok_or_else(cut)?)?, body)?;
        Ok(Buffer::from_vec(bytes))
    }
}

impl Iterator for FileBatches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = self.batches.pop_front()?;
        let batch = self.block(&block).and_then(|bytes| self.decoder.read_record_batch(&block, &bytes));
        batch.transpose()
    }
}

fn read(file: &mut File, start: u64, length: u64) -> Result<Vec<u8>, ArrowError> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(cut()) }
}

fn cut() -> ArrowError {
    ArrowError::IpcError("it is cut off or damaged".into())
}

fn message(bytes: &[u8]) -> Result<Message<'_>, ArrowError> {
    root_as_message(bytes).map_err(|error| ArrowError::IpcError(format!("a message is damaged: {error}")))
}

/// Refuses a message whose buffers lie outside its body, or claim too much once they are decompressed.
fn check(message: &Message<'_>, body: &[u8]) -> Result<(), ArrowError> {
    if let Some(schema) = message.header_as_schema() {
        return check_endianness(&schema);
    }
    let dictionary = message.header_as_dictionary_batch();
    let batch = dictionary.map_or_else(|| message.header_as_record_batch(), |dictionary| dictionary.data());
    let Some(batch) = batch else { return Ok(()) };
    let mut claimed = 0_i64;
    for buffer in batch.buffers().into_iter().flatten() {
        let from = usize::try_from(buffer.offset()).map_err(|_| cut())?;
        let length = usize::try_from(buffer.length()).map_err(|_| cut())?;
        let bytes = from.checked_add(length).and_then(|to| body.get(from..to)).ok_or_else(cut)?;
        if batch.compression().is_some() && !bytes.is_empty() {
            let claim = i64::from_le_bytes(*bytes.first_chunk::<8>().ok_or_else(cut)?);
            claimed = claimed.checked_add(claim.max(0)).ok_or_else(cut)?;
        }
    }
    if claimed > BATCH_LIMIT {
        return Err(ArrowError::IpcError("a batch claims more than 2 GiB; write it again in smaller batches".into()));
    }
    Ok(())
}

fn check_endianness(schema: &::arrow::ipc::Schema<'_>) -> Result<(), ArrowError> {
    if schema.endianness().equals_to_target_endianness() {
        return Ok(());
    }
    Err(ArrowError::IpcError("it was written by a machine of the other byte order".into()))
}
