//! Where an encoder's bytes go: hashed once, cut into parts, handed on in pieces.

use std::io;

use bytes::Bytes;

use crate::checksum::{Checksum, Extents, ExtentsBuilder, Running};
use crate::error::Result;
use crate::reference::Section;

/// Pieces up to this size are joined before they are handed on.
const JOINED_BYTES: usize = 64 * 1024;
/// So much goes through one hash and then the other.
const HASHED_BYTES: usize = 32 * 1024;

/// Takes the bytes of parts, one part after the other.
pub trait Output: Send {
    /// Takes the next bytes of the current part.
    ///
    /// # Errors
    ///
    /// Whatever keeps the bytes from being stored; the encoder then gives up.
    fn bytes(&mut self, bytes: Bytes) -> Result<()>;

    /// Ends the current part.
    ///
    /// # Errors
    ///
    /// As [`Output::bytes`].
    fn end_part(&mut self, part: EncodedPart) -> Result<()>;
}

/// What an encoder knows about a part that it has written.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedPart {
    /// Its size in bytes.
    pub size: u64,
    /// The checksum of all its bytes.
    pub checksum: Checksum,
    /// Its rows, if it holds a table.
    pub rows: Option<u64>,
    /// The end of the file that a reader needs first.
    pub footer: Option<Section>,
    /// What lies directly before the footer and is only read to skip data.
    pub index: Option<Section>,
    /// The checksums of its extents, where the file itself does not hold them.
    pub extents: Option<Extents>,
}

/// What an encoder says about a part when it ends it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ending {
    /// The part's rows, if it holds a table.
    pub rows: Option<u64>,
    /// The end of the file that a reader needs first.
    pub footer: Option<Section>,
    /// What lies directly before the footer.
    pub index: Option<Section>,
    /// Whether the reference must hold the extent checksums, because the file does not.
    pub extents_in_reference: bool,
}

/// Takes an encoder's bytes, hashes them once, and hands them on in pieces.
pub struct Sink {
    output: Box<dyn Output>,
    joined: Vec<u8>,
    position: u64,
    hash: Running,
    extents: ExtentsBuilder,
}

impl Sink {
    /// A sink that hands its bytes to `output`.
    pub fn new(output: impl Output + 'static) -> Self {
        Self {
            output: Box::new(output),
            joined: Vec::new(),
            position: 0,
            hash: Running::default(),
            extents: ExtentsBuilder::default(),
        }
    }

    /// How many bytes the current part has.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Takes bytes without copying them, unless they are few.
    ///
    /// # Errors
    ///
    /// What the storage fails with.
    pub fn push(&mut self, bytes: Bytes) -> Result<()> {
        if bytes.len() < JOINED_BYTES {
            return self.copy(&bytes);
        }
        self.count(&bytes);
        self.flush_joined()?;
        self.output.bytes(bytes)
    }

    /// Takes a copy of bytes.
    ///
    /// # Errors
    ///
    /// What the storage fails with.
    pub fn copy(&mut self, bytes: &[u8]) -> Result<()> {
        self.count(bytes);
        self.joined.extend_from_slice(bytes);
        if self.joined.len() >= JOINED_BYTES { self.flush_joined() } else { Ok(()) }
    }

    /// Ends a run of extents: the next byte starts a new one.
    pub fn end_run(&mut self) {
        self.extents.end_run();
    }

    /// The checksums of the extents so far; for formats that hold them in their footer.
    pub fn take_extents(&mut self) -> Extents {
        std::mem::take(&mut self.extents).finish()
    }

    /// Ends the current part; the next byte belongs to another.
    ///
    /// # Errors
    ///
    /// What the storage fails with.
    pub fn end_part(&mut self, ending: Ending) -> Result<()> {
        self.flush_joined()?;
        let extents = self.take_extents();
        let part = EncodedPart {
            size: std::mem::take(&mut self.position),
            checksum: std::mem::take(&mut self.hash).checksum(),
            rows: ending.rows,
            footer: ending.footer,
            index: ending.index,
            extents: ending.extents_in_reference.then_some(extents),
        };
        self.output.end_part(part)
    }

    fn count(&mut self, bytes: &[u8]) {
        self.position += bytes.len() as u64;
        // The second hash finds in the cache what the first has read.
        for block in bytes.chunks(HASHED_BYTES) {
            self.hash.update(block);
            self.extents.update(block);
        }
    }

    fn flush_joined(&mut self) -> Result<()> {
        if self.joined.is_empty() { Ok(()) } else { self.output.bytes(std::mem::take(&mut self.joined).into()) }
    }
}

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.copy(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("position", &self.position).finish_non_exhaustive()
    }
}
