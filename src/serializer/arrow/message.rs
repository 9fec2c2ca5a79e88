//! The messages of an Arrow IPC file. Each has a head, a flatbuffer that says where its buffers lie, and a body, which is
//! the buffers one behind the other.

use arrow::buffer::Buffer;
use arrow::ipc::{
    BodyCompressionBuilder, BodyCompressionMethod, CompressionType, DictionaryBatchBuilder, FieldNode, MessageBuilder,
    MessageHeader, RecordBatch, RecordBatchBuilder, root_as_message,
};
use flatbuffers::FlatBufferBuilder;

use crate::error::{Error, Result};

/// Where a head and each buffer begins, and ends with its padding.
pub(super) const ALIGNMENT: usize = 64;
const MARKER: [u8; 4] = [0xff; 4];
/// The marker and the length before the flatbuffer.
const PREFIX: usize = 8;
const ZEROS: [u8; ALIGNMENT] = [0; ALIGNMENT];

/// One message on its way into a file.
pub(super) struct Message {
    pub(super) kind: MessageHeader,
    /// From the marker to the start of the body.
    pub(super) head: Vec<u8>,
    /// What the body is made of, one behind the other, with what lies between.
    pub(super) body: Vec<Buffer>,
}

pub(super) fn malformed() -> Error {
    Error::damaged("the Arrow footer is malformed")
}

fn strange() -> Error {
    Error::internal("the Arrow writer wrote what is no message")
}

/// How many bytes are missing to the next place where a buffer may begin.
pub(super) fn padding(length: usize) -> &'static [u8] {
    let missing = length.next_multiple_of(ALIGNMENT) - length;
    ZEROS.get(..missing).unwrap_or_default()
}

/// The message at the start of `bytes`.
pub(super) fn parsed(bytes: &[u8]) -> Result<arrow::ipc::Message<'_>> {
    let start = if bytes.starts_with(&MARKER) { PREFIX } else { 4 };
    let flatbuffer = bytes.get(start..).ok_or_else(malformed)?;
    root_as_message(flatbuffer).map_err(|error| Error::damaged(format!("an Arrow message cannot be read: {error}")))
}

/// The rows and buffers that a message of data is about.
pub(super) fn contents<'a>(message: &arrow::ipc::Message<'a>) -> Result<RecordBatch<'a>> {
    let contents = match message.header_as_dictionary_batch() {
        Some(dictionary) => dictionary.data(),
        None => message.header_as_record_batch(),
    };
    contents.ok_or_else(malformed)
}

impl Message {
    /// Cuts what the library's encoder gave into its messages.
    pub(super) fn split(buffers: Vec<Buffer>) -> Result<Vec<Self>> {
        let mut messages = Vec::new();
        let mut buffers = buffers.into_iter().filter(|buffer| !buffer.is_empty());
        while let Some(prefix) = buffers.next() {
            let length = prefix.strip_prefix(&MARKER).and_then(|length| <[u8; 4]>::try_from(length).ok());
            let length = length.and_then(|length| usize::try_from(i32::from_le_bytes(length)).ok());
            let bytes = PREFIX + length.ok_or_else(strange)?;
            let mut head = Vec::with_capacity(bytes);
            head.extend_from_slice(&prefix);
            while head.len() < bytes {
                head.extend_from_slice(&buffers.next().ok_or_else(strange)?);
            }
            let message = parsed(&head)?;
            let kind = message.header_type();
            let mut left = usize::try_from(message.bodyLength()).map_err(|_| strange())?;
            let mut body = Vec::new();
            while left > 0 {
                let buffer = buffers.next().ok_or_else(strange)?;
                left = left.checked_sub(buffer.len()).ok_or_else(strange)?;
                body.push(buffer);
            }
            if head.len() != bytes {
                return Err(strange());
            }
            messages.push(Self { kind, head, body });
        }
        Ok(messages)
    }

    /// How many bytes the body has.
    pub(super) fn body_bytes(&self) -> usize {
        self.body.iter().map(|buffer| buffer.len()).sum()
    }

    /// Each buffer that the head names, without what lies between.
    pub(super) fn buffers(&self) -> Result<Vec<Buffer>> {
        let message = parsed(&self.head)?;
        let mut pieces = self.body.iter();
        let (mut piece, mut start) = (pieces.next(), 0);
        let described = contents(&message)?.buffers();
        let buffers = described.into_iter().flatten().map(|described| {
            let from = usize::try_from(described.offset()).map_err(|_| strange())?;
            let length = usize::try_from(described.length()).map_err(|_| strange())?;
            if length == 0 {
                return Ok(Buffer::default());
            }
            while let Some(passed) = piece.filter(|piece| start + piece.len() <= from) {
                start += passed.len();
                piece = pieces.next();
            }
            let inside = from.checked_sub(start).ok_or_else(strange)?;
            let piece = piece.filter(|piece| inside + length <= piece.len()).ok_or_else(strange)?;
            Ok(piece.slice_with_length(inside, length))
        });
        buffers.collect()
    }
}

/// The head of `message`, but with its buffers at other `places` of a body of `body_bytes`, compressed or not.
pub(super) fn restated(
    message: &arrow::ipc::Message<'_>,
    places: &[arrow::ipc::Buffer],
    compression: Option<CompressionType>,
    body_bytes: usize,
) -> Result<Vec<u8>> {
    let old = contents(message)?;
    let mut builder = FlatBufferBuilder::new();
    let compression = compression.map(|codec| {
        let mut body = BodyCompressionBuilder::new(&mut builder);
        body.add_method(BodyCompressionMethod::BUFFER);
        body.add_codec(codec);
        body.finish()
    });
    let buffers = builder.create_vector(places);
    let nodes: Vec<FieldNode> = old.nodes().into_iter().flatten().copied().collect();
    let nodes = builder.create_vector(&nodes);
    let variadic: Option<Vec<i64>> = old.variadicBufferCounts().map(|counts| counts.iter().collect());
    let variadic = variadic.map(|counts| builder.create_vector(&counts));
    let mut batch = RecordBatchBuilder::new(&mut builder);
    batch.add_length(old.length());
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    if let Some(compression) = compression {
        batch.add_compression(compression);
    }
    if let Some(variadic) = variadic {
        batch.add_variadicBufferCounts(variadic);
    }
    let batch = batch.finish();
    let header = match message.header_as_dictionary_batch() {
        Some(old) => {
            let mut dictionary = DictionaryBatchBuilder::new(&mut builder);
            dictionary.add_id(old.id());
            dictionary.add_data(batch);
            dictionary.add_isDelta(old.isDelta());
            dictionary.finish().as_union_value()
        }
        None => batch.as_union_value(),
    };
    let mut restated = MessageBuilder::new(&mut builder);
    restated.add_version(message.version());
    restated.add_header_type(message.header_type());
    restated.add_bodyLength(i64::try_from(body_bytes).map_err(|_| malformed())?);
    restated.add_header(header);
    let root = restated.finish();
    builder.finish(root, None);
    framed(builder.finished_data())
}

/// A flatbuffer as the head of a message: marked, measured, and filled up.
fn framed(flatbuffer: &[u8]) -> Result<Vec<u8>> {
    let padding = padding(PREFIX + flatbuffer.len());
    let length = i32::try_from(flatbuffer.len() + padding.len());
    let length = length.map_err(|_| Error::internal("the head of an Arrow message is too large"))?;
    Ok([&MARKER, length.to_le_bytes().as_slice(), flatbuffer, padding].concat())
}
