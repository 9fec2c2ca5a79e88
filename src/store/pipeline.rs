//! From content to data objects: input, encoder and upload, one behind the other, all at work.
//!
//! ```text
//! content ─▶ pieces ─▶ encoder (a blocking thread) ─▶ steps ─▶ upload (in parts)
//!               └────▶ fingerprint (threads of its own)
//! ```

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::{FutureExt, Stream, TryStreamExt};
use serde_json::{Map, Value as Json};
use tokio::sync::mpsc;

use super::hashing::Lanes;
use super::pending::Stored;
use super::{Inner, Progress, layout};
use crate::error::{Error, ErrorKind, Result};
use crate::fingerprint::{self, Fingerprint};
use crate::reference::{Key, Part, WriteId};
use crate::serializer::{EncodedPart, Encoder, Output, Piece, Sink};
use crate::storage::Upload;
use crate::value::Content;

const MOST_PARTS: usize = 1_000;
/// What an encoder hands on at once, so that a large column chunk does not arrive in one piece.
const STEP_BYTES: usize = 1024 * 1024;

/// What was written.
pub(super) struct Streamed {
    pub(super) parts: Vec<Part>,
    /// What the encoder says was lost.
    pub(super) losses: Vec<Json>,
    pub(super) fingerprint: Option<Fingerprint>,
}

/// Encodes and uploads the content; `stored` notes what it has begun to write. Computes its fingerprint if `hashed`.
pub(super) async fn stream(
    content: Content,
    encoder: Box<dyn Encoder>,
    writer: PartWriter,
    hashed: bool,
    stored: &mut Stored<'_>,
) -> Result<Streamed> {
    let (pieces, feed) = mpsc::channel(1);
    let (steps, output) = mpsc::channel(4);
    let progress = writer.progress.clone();
    let encoding = async {
        let encoded = tokio::task::spawn_blocking(move || encode(encoder, feed, steps)).await;
        encoded.map_err(|error| Error::internal(format!("the encoder gave up: {error}")))?
    };
    let (fingerprint, losses, parts) =
        tokio::try_join!(take_in(content, pieces, hashed, &progress), encoding, writer.write(output, stored))?;
    if parts.is_empty() { Err(unended()) } else { Ok(Streamed { parts, losses, fingerprint }) }
}

enum Feed {
    Piece(Piece),
    End,
}

/// Takes the content piece by piece; waits while the encoder is busy. Gives the fingerprint of what has one.
async fn take_in(
    content: Content,
    pieces: mpsc::Sender<Feed>,
    hashed: bool,
    progress: &Progress,
) -> Result<Option<Fingerprint>> {
    // Where the encoder is gone, its own error tells why.
    let mut found = None;
    match content {
        Content::Table(mut batches) => {
            let (lanes, fingerprint) = hashed.then(|| Lanes::start(&batches.schema())).unzip();
            while let Some(batch) = next_of(&mut batches).await? {
                progress.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                if pieces.send(Feed::Piece(Piece::Batch(batch.clone()))).await.is_err() {
                    return Ok(None);
                }
                if let Some(lanes) = &lanes {
                    lanes.take(&batch).await;
                }
            }
            // The encoder need not wait for the last columns to be hashed.
            let _ = pieces.send(Feed::End).await;
            drop(lanes);
            if let Some(fingerprint) = fingerprint {
                found = Some(fingerprint.await?);
            }
            return Ok(found);
        }
        Content::Bytes(mut stream) => {
            while let Some(bytes) = next_of(&mut stream).await? {
                if pieces.send(Feed::Piece(Piece::Bytes(bytes))).await.is_err() {
                    return Ok(None);
                }
            }
        }
        Content::Json(mut value) => {
            if hashed {
                (value, found) = of_json(value).await?;
            }
            if pieces.send(Feed::Piece(Piece::Json(value))).await.is_err() {
                return Ok(None);
            }
        }
    }
    let _ = pieces.send(Feed::End).await;
    Ok(found)
}

/// The value again, and its fingerprint if it has one.
async fn of_json(value: Json) -> Result<(Json, Option<Fingerprint>)> {
    let hashing = tokio::task::spawn_blocking(move || {
        let fingerprint = fingerprint::of_json(&value).ok();
        (value, fingerprint)
    });
    hashing.await.map_err(|error| Error::internal(format!("the fingerprint could not be computed: {error}")))
}

/// The next item of the caller's stream; one that panics has failed like any other.
async fn next_of<T>(stream: &mut (impl Stream<Item = Result<T>> + Unpin)) -> Result<Option<T>> {
    match AssertUnwindSafe(stream.try_next()).catch_unwind().await {
        Ok(next) => next,
        Err(_) => Err(Error::new(ErrorKind::Input, "the stream of data panicked")
            .with_hint("nothing was stored: mend whatever produces the data")),
    }
}

enum Step {
    Bytes(Bytes),
    EndPart(Box<EncodedPart>),
}

fn encode(
    mut encoder: Box<dyn Encoder>,
    mut feed: mpsc::Receiver<Feed>,
    steps: mpsc::Sender<Step>,
) -> Result<Vec<Json>> {
    let mut sink = Sink::new(Steps(steps));
    loop {
        match feed.blocking_recv() {
            Some(Feed::Piece(piece)) => encoder.write(piece, &mut sink)?,
            Some(Feed::End) => {
                encoder.finish(&mut sink)?;
                return if sink.position() == 0 { Ok(encoder.losses()) } else { Err(unended()) };
            }
            None => return Err(abandoned()),
        }
    }
}

fn unended() -> Error {
    Error::internal("the serializer did not end its last part")
}

fn abandoned() -> Error {
    Error::new(ErrorKind::Cancelled, "the put was given up")
}

struct Steps(mpsc::Sender<Step>);

impl Output for Steps {
    fn bytes(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let step = bytes.split_to(STEP_BYTES.min(bytes.len()));
            self.0.blocking_send(Step::Bytes(step)).map_err(|_| abandoned())?;
        }
        Ok(())
    }

    fn end_part(&mut self, part: EncodedPart) -> Result<()> {
        self.0.blocking_send(Step::EndPart(Box::new(part))).map_err(|_| abandoned())
    }
}

/// Uploads the parts of one put.
pub(super) struct PartWriter {
    pub(super) store: Arc<Inner>,
    pub(super) key: Key,
    pub(super) write: WriteId,
    pub(super) extension: String,
    pub(super) progress: Arc<Progress>,
}

impl PartWriter {
    async fn write(self, mut steps: mpsc::Receiver<Step>, stored: &mut Stored<'_>) -> Result<Vec<Part>> {
        let mut parts: Vec<Part> = Vec::new();
        let mut open: Option<Upload> = None;
        while let Some(step) = steps.recv().await {
            let path = layout::data(&self.key, self.write, parts.len(), &self.extension)?;
            let upload = open.get_or_insert_with(|| stored.upload(path.clone(), self.store.memory / 4));
            match step {
                Step::Bytes(bytes) => {
                    self.progress.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    upload.push(bytes).await?;
                }
                Step::EndPart(part) => {
                    if let Some(upload) = open.take() {
                        upload.finish().await?;
                    }
                    parts.push(described(*part, path.to_string()));
                    if parts.len() > MOST_PARTS {
                        return Err(Error::new(
                            ErrorKind::Unsupported,
                            format!("the table takes more than {MOST_PARTS} parts"),
                        )
                        .with_hint(
                            "its dictionaries differ too much for their key type: use a wider one, or plain text",
                        ));
                    }
                }
            }
        }
        Ok(parts)
    }
}

fn described(part: EncodedPart, path: String) -> Part {
    let extents = part.extents.map(|extents| extents.encode());
    let EncodedPart { size, checksum, rows, footer, index, .. } = part;
    Part { path, size, rows, checksum, footer, index, extents, other: Map::new() }
}
