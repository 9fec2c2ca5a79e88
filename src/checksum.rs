//! XXH3 checksums: of whole parts, of footers, and of 1 MiB extents.
//!
//! They find damage: flipped bits, truncation, another file under the same name. They do not stop an attacker, who can
//! compute them as well.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_128};

use crate::error::{Error, Result};

/// How many bytes one extent covers; the last one of its run may be shorter.
pub const EXTENT_BYTES: u64 = 1024 * 1024;

/// A checksum as it stands in a reference: `xxh3-128:` and 32 hexadecimal digits, or `xxh3-64:` and 16.
///
/// ```
/// use coldframe::checksum::Checksum;
///
/// let checksum = Checksum::long(b"seedlings");
/// assert_eq!(checksum.to_string().parse::<Checksum>()?, checksum);
/// assert!(checksum.matches(b"seedlings") && !checksum.matches(b"seedling"));
/// # Ok::<(), coldframe::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Checksum {
    /// XXH3 with 64 bits, seed 0.
    Short(u64),
    /// XXH3 with 128 bits, seed 0.
    Long(u128),
}

impl Checksum {
    /// The 64-bit checksum of `bytes`.
    pub fn short(bytes: &[u8]) -> Self {
        Self::Short(xxh3_64(bytes))
    }

    /// The 128-bit checksum of `bytes`.
    pub fn long(bytes: &[u8]) -> Self {
        Self::Long(xxh3_128(bytes))
    }

    /// Whether `bytes` have this checksum.
    pub fn matches(self, bytes: &[u8]) -> bool {
        match self {
            Self::Short(value) => xxh3_64(bytes) == value,
            Self::Long(value) => xxh3_128(bytes) == value,
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(value) => write!(f, "xxh3-64:{value:016x}"),
            Self::Long(value) => write!(f, "xxh3-128:{value:032x}"),
        }
    }
}

impl FromStr for Checksum {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = match text.split_once(':') {
            Some(("xxh3-64", digits)) if digits.len() == 16 => u64::from_str_radix(digits, 16).ok().map(Self::Short),
            Some(("xxh3-128", digits)) if digits.len() == 32 => u128::from_str_radix(digits, 16).ok().map(Self::Long),
            _ => None,
        };
        parsed.ok_or_else(|| {
            Error::damaged(format!("`{text}` is no checksum that this version knows"))
                .with_hint("checksums look like xxh3-128:<32 hex digits> or xxh3-64:<16 hex digits>")
        })
    }
}

impl TryFrom<String> for Checksum {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        checksum.to_string()
    }
}

/// The 128-bit checksum of bytes that come in pieces.
#[derive(Clone, Default)]
pub struct Running(Xxh3);

impl Running {
    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of everything taken so far.
    pub fn checksum(&self) -> Checksum {
        Checksum::Long(self.0.digest128())
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Running({})", self.checksum())
    }
}

/// The checksums of consecutive runs of bytes, each cut into extents of [`EXTENT_BYTES`] from its own start.
///
/// What a run is, the serializer says: a Parquet column chunk, the messages of an Arrow record batch, a whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extents(Vec<u64>);

impl Extents {
    /// The checksums, in the order of the bytes.
    pub fn checksums(&self) -> &[u64] {
        &self.0
    }

    /// Base64 of the little-endian checksums.
    pub fn encode(&self) -> String {
        let bytes: Vec<u8> = self.0.iter().flat_map(|checksum| checksum.to_le_bytes()).collect();
        STANDARD.encode(bytes)
    }

    /// Reads what [`Extents::encode`] wrote.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the text is not that.
    pub fn decode(text: &str) -> Result<Self> {
        let bytes = STANDARD.decode(text).unwrap_or_default();
        let (checksums, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() || (bytes.is_empty() && !text.is_empty()) {
            return Err(Error::damaged("the list of extent checksums cannot be read"));
        }
        Ok(Self(checksums.iter().map(|checksum| u64::from_le_bytes(*checksum)).collect()))
    }
}

/// Builds [`Extents`] while the bytes go by.
#[derive(Default)]
pub struct ExtentsBuilder {
    done: Vec<u64>,
    open: Xxh3,
    held: u64,
}

impl ExtentsBuilder {
    /// Takes the next bytes of the current run.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(EXTENT_BYTES - self.held).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.open.update(now);
            self.held += now.len() as u64;
            if self.held == EXTENT_BYTES {
                self.end_run();
            }
            bytes = later;
        }
    }

    /// Ends the current run: the next byte starts a new extent.
    pub fn end_run(&mut self) {
        if self.held > 0 {
            self.done.push(self.open.digest());
            self.open.reset();
            self.held = 0;
        }
    }

    /// The checksums of all bytes taken.
    pub fn finish(mut self) -> Extents {
        self.end_run();
        Extents(self.done)
    }
}

impl fmt::Debug for ExtentsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtentsBuilder").field("done", &self.done.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_do_not_depend_on_how_the_bytes_came() {
        let bytes: Vec<u8> = (0..5 * 1024 * 1024 / 2).map(|i| (i % 251) as u8).collect();
        let mut whole = ExtentsBuilder::default();
        whole.update(&bytes);
        let whole = whole.finish();
        assert_eq!(whole.checksums().len(), 3);
        for piece in [1_000, 65_537, 1024 * 1024, 2_000_000] {
            let mut builder = ExtentsBuilder::default();
            bytes.chunks(piece).for_each(|chunk| builder.update(chunk));
            assert_eq!(builder.finish(), whole);
        }
        assert_eq!(whole.checksums()[0], xxh3_64(&bytes[..1024 * 1024]));
        assert_eq!(Extents::decode(&whole.encode()).unwrap(), whole);
    }

    #[test]
    fn malformed_lists_are_refused() {
        for text in ["?", "AAAA", "AAAAAAAAAA"] {
            assert!(Extents::decode(text).is_err(), "{text}");
        }
        assert_eq!(Extents::decode("").unwrap(), Extents::default());
    }
}
