//! Files in memory, for tests: what an encoder wrote, for a decoder to read.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;

use super::{EncodedPart, Encoder, Output, Piece, Sink, Source};
use crate::checksum::Checksum;
use crate::error::Result;
use crate::reference::Part;

/// A file of which is counted how often it is read.
#[derive(Debug)]
pub(super) struct MemoryFile {
    pub(super) part: Part,
    pub(super) bytes: Bytes,
    pub(super) reads: AtomicUsize,
    /// Whether its bytes need no check.
    is_checked: bool,
}

impl MemoryFile {
    /// A file of which only its bytes are known, and which needs no check.
    pub(super) fn unknown(bytes: Vec<u8>) -> Arc<Self> {
        let mut file = Self::of(bytes);
        file.is_checked = true;
        Arc::new(file)
    }

    /// A file of which only its bytes and their checksum are known.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        let (size, checksum, other) = (bytes.len() as u64, Checksum::long(&bytes), serde_json::Map::new());
        let part =
            Part { path: "x".into(), size, rows: None, checksum, footer: None, index: None, extents: None, other };
        Self { part, bytes: bytes.into(), reads: AtomicUsize::new(0), is_checked: false }
    }

    /// What an encoder makes of some pieces.
    pub(super) fn written(encoder: impl Encoder + 'static, pieces: impl IntoIterator<Item = Piece>) -> Self {
        Self::written_by(Box::new(encoder), pieces)
    }

    /// The same, of an encoder of whatever kind.
    pub(super) fn written_by(mut encoder: Box<dyn Encoder>, pieces: impl IntoIterator<Item = Piece>) -> Self {
        let written = Written::default();
        let mut sink = Sink::new(written.clone());
        pieces.into_iter().for_each(|piece| encoder.write(piece, &mut sink).unwrap());
        encoder.finish(&mut sink).unwrap();
        let (bytes, part) = std::mem::take(&mut *written.0.lock().unwrap());
        let EncodedPart { rows, footer, index, .. } = part.unwrap();
        let mut file = Self::of(bytes);
        file.part = Part { rows, footer, index, ..file.part };
        file
    }
}

#[async_trait]
impl Source for MemoryFile {
    fn part(&self) -> &Part {
        &self.part
    }

    fn is_checked(&self) -> bool {
        self.is_checked
    }

    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(ranges.iter().map(|range| self.bytes.slice(range.start as usize..range.end as usize)).collect())
    }
}

/// The bytes of the only part, and what was said of it.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<(Vec<u8>, Option<EncodedPart>)>>);

impl Output for Written {
    fn bytes(&mut self, bytes: Bytes) -> Result<()> {
        self.0.lock().unwrap().0.extend_from_slice(&bytes);
        Ok(())
    }

    fn end_part(&mut self, part: EncodedPart) -> Result<()> {
        assert!(self.0.lock().unwrap().1.replace(part).is_none(), "there is more than one part");
        Ok(())
    }
}
