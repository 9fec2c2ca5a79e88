//! Some columns of a mapped file: only the pages that they need are touched.
//!
//! A checksum covers a stretch of a message, whatever columns lie in it, so what a column needs is known only once the
//! message is decoded. That costs nothing here, for nothing is copied: so its head is checked, it is decoded, then every
//! extent under the buffers that came out is checked, and only then is the batch handed out. The decoder trusts no
//! file, checked or not.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayData, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::DataType;
use arrow::ipc::Block;
use arrow::ipc::reader::FileDecoder;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::decode::{self, File};
use super::message::malformed;
use crate::error::{Error, Result};
use crate::serializer::{ReadPlan, guarded};

/// A message of which something is wanted.
struct Chosen {
    rows: u64,
    /// None where its rows are not wanted.
    batch: Option<RecordBatch>,
    /// The bytes of the file that it was made from, the head of the message aside.
    needed: Vec<Range<u64>>,
}

/// Sends the rows and columns of `plan`, out of the file's mapping `map`.
pub(super) async fn send(
    file: &Arc<File>,
    map: &Bytes,
    plan: &ReadPlan,
    total: u64,
    sender: &mpsc::Sender<Result<RecordBatch>>,
) -> Result<()> {
    let decoder = Arc::new(file.decoder(plan.columns.as_ref()).await?);
    let mut start = 0;
    for block in &file.batches {
        if start >= plan.rows.end {
            break;
        }
        let chosen = tokio::select! {
            chosen = checked(file, &decoder, map, *block, start..total, &plan.rows) => chosen?,
            () = sender.closed() => return Ok(()),
        };
        if let Some(batch) = chosen.batch {
            for slice in decode::pieces(&decode::cut(batch, start, &plan.rows), plan) {
                if sender.send(Ok(slice)).await.is_err() {
                    return Ok(());
                }
            }
        }
        start += chosen.rows;
    }
    decode::check_end(start, total, plan)
}

/// What is wanted of the message in `block`, all of it checked.
async fn checked(
    file: &Arc<File>,
    decoder: &Arc<FileDecoder>,
    map: &Bytes,
    block: Block,
    left: Range<u64>,
    wanted: &Range<u64>,
) -> Result<Chosen> {
    let range = decode::block_range(&block).ok_or_else(malformed)?;
    let header = u64::try_from(block.metaDataLength()).map_err(|_| malformed())?;
    let header = range.start..range.start + header;
    // Also finds out whether the file still has its size, before anything of the mapping is touched.
    file.source.read(std::slice::from_ref(&header)).await?;
    let (decoding, decoder, map, wanted) = (file.clone(), decoder.clone(), map.clone(), wanted.clone());
    let choosing = move || guarded(|| choose(&decoding, &decoder, &map, &block, &left, &wanted));
    let chosen = tokio::task::spawn_blocking(choosing).await;
    match chosen.map_err(|error| Error::internal(format!("decoding ended early: {error}")))? {
        Ok(chosen) => file.source.read(&chosen.needed).await.map(|_| chosen),
        Err(error) => {
            // If the bytes are not what was written, that is what there is to say.
            file.source.read(std::slice::from_ref(&range)).await?;
            Err(error)
        }
    }
}

/// Decodes the message in `block`, whose first row is the first of `left`, if some of its rows are `wanted`.
fn choose(
    file: &File,
    decoder: &FileDecoder,
    map: &Bytes,
    block: &Block,
    left: &Range<u64>,
    wanted: &Range<u64>,
) -> Result<Chosen> {
    let range = decode::block_range(block).ok_or_else(malformed)?;
    let place = |at: u64| usize::try_from(at).ok().filter(|at| *at <= map.len()).ok_or_else(malformed);
    let buffer = decode::aligned(map.slice(place(range.start)?..place(range.end)?));
    let rows = decode::header_rows(&buffer)?;
    if rows > left.end - left.start {
        return Err(decode::too_many_rows());
    }
    if left.start + rows <= wanted.start {
        return Ok(Chosen { rows, batch: None, needed: Vec::new() });
    }
    let batch = file.decode(decoder, block, &buffer, None)?;
    let (mut needed, mut within) = (Vec::new(), true);
    for column in batch.columns() {
        within &= gather(&column.to_data(), &buffer, range.start, &mut needed);
    }
    if !within {
        // What was copied on the way may come from anywhere in the message.
        needed = Vec::from([range]);
    }
    Ok(Chosen { rows, batch: Some(batch), needed })
}

/// Adds where in the file the buffers of an array lie, given the message that it was decoded from; whether all do.
fn gather(data: &ArrayData, message: &Buffer, start: u64, needed: &mut Vec<Range<u64>>) -> bool {
    let nulls = data.nulls().map(|nulls| nulls.buffer());
    let mut within = true;
    for buffer in data.buffers().iter().chain(nulls).filter(|buffer| !buffer.is_empty()) {
        match buffer.as_ptr().addr().checked_sub(message.as_ptr().addr()) {
            Some(from) if from.saturating_add(buffer.len()) <= message.len() => {
                needed.push(start + from as u64..start + (from + buffer.len()) as u64);
            }
            _ => within = false,
        }
    }
    // The values of a dictionary come from messages of their own, which were checked whole.
    let is_dictionary = matches!(data.data_type(), DataType::Dictionary(..));
    let children = data.child_data().iter().filter(|_| !is_dictionary);
    children.fold(within, |within, child| gather(child, message, start, needed) && within)
}

/// Whether so few columns are wanted that it pays to leave the others untouched: messages are then not read ahead.
pub(super) fn pays(file: &File, plan: &ReadPlan) -> bool {
    plan.columns.as_ref().is_some_and(|columns| columns.len() * 2 <= file.schema.fields().len())
}
