//! The input as it comes: a file, or a stream that can be read only once.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::SpooledTempFile;

use super::super::failure::file_error;
use super::super::progress::Total;
use super::detect::BYTE_ORDER_MARK;
use super::reading;
use crate::error::{Error, Result};

/// So much of the beginning is looked at to tell what it is.
const SAMPLE_BYTES: u64 = 256 * 1024;
/// What is read twice is kept in memory up to this size, and in a temporary file beyond.
const SPOOL_BYTES: usize = 4 << 20;

/// An input of which the beginning may have been looked at.
pub(super) struct Source {
    name: String,
    seen: Vec<u8>,
    rest: Rest,
    read: Arc<AtomicU64>,
}

enum Rest {
    File(File, u64),
    Stream(Box<dyn Read + Send>),
}

impl Source {
    /// Opens a file, or standard input where it is called `-`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::from_stream("standard input", Box::new(io::stdin())));
        }
        let name = path.display().to_string();
        let cannot = |error: io::Error| file_error(&error, format_args!("cannot open {name}"));
        let found = std::fs::metadata(path).map_err(cannot)?;
        if found.is_dir() {
            return Err(Error::invalid(format!("{name} is a folder")).with_hint("put its files one by one"));
        }
        let file = File::open(path).map_err(cannot)?;
        if !found.is_file() {
            return Ok(Self::from_stream(&name, Box::new(file)));
        }
        Ok(Self { name, seen: Vec::new(), rest: Rest::File(file, found.len()), read: Arc::default() })
    }

    /// A stream that people call `name`.
    pub(super) fn from_stream(name: &str, stream: Box<dyn Read + Send>) -> Self {
        Self { name: name.to_owned(), seen: Vec::new(), rest: Rest::Stream(stream), read: Arc::default() }
    }

    /// What people call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How much it is, for the progress bar.
    pub(super) fn total(&self) -> Total {
        match self.rest {
            Rest::File(_, size) => Total::Read { of: size, read: self.read.clone() },
            Rest::Stream(_) => Total::Unknown,
        }
    }

    /// Looks at the beginning; says whether that was all of it.
    pub(super) fn sample(&mut self) -> Result<bool> {
        let wanted = SAMPLE_BYTES.saturating_sub(self.seen.len() as u64);
        let rest: &mut dyn Read = match &mut self.rest {
            Rest::File(file, _) => file,
            Rest::Stream(stream) => stream,
        };
        let got = rest.take(wanted).read_to_end(&mut self.seen).map_err(|error| reading(&error))?;
        Ok((got as u64) < wanted)
    }

    /// The beginning, as far as it was looked at.
    pub(super) fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// Leaves out the mark that some programs put before text in UTF-8.
    pub(super) fn skip_mark(&mut self) {
        if self.seen.starts_with(BYTE_ORDER_MARK) {
            self.seen.drain(..BYTE_ORDER_MARK.len());
        }
    }

    /// All of it, from the beginning.
    pub(super) fn into_reader(self) -> Box<dyn Read + Send> {
        let rest: Box<dyn Read + Send> = match self.rest {
            Rest::File(file, _) => Box::new(file),
            Rest::Stream(stream) => stream,
        };
        Box::new(Counted { reader: Cursor::new(self.seen).chain(rest), read: self.read })
    }

    /// All of it as a file, for formats that are read from their end: a stream goes into an anonymous one first.
    pub(super) fn into_file(self) -> Result<File> {
        match self.rest {
            Rest::File(mut file, _) => {
                file.rewind().map_err(|error| reading(&error))?;
                Ok(file)
            }
            Rest::Stream(_) => {
                let spooled = tempfile::tempfile().and_then(|mut file| {
                    io::copy(&mut self.into_reader(), &mut file)?;
                    file.rewind()?;
                    Ok(file)
                });
                spooled.map_err(|error| file_error(&error, "it cannot be kept in a temporary file"))
            }
        }
    }
}

struct Counted<R> {
    reader: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.reader.read(buffer)?;
        self.read.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

/// Keeps what is read, so that it can be read again.
pub(super) struct Spooling<R> {
    reader: R,
    kept: SpooledTempFile,
}

impl<R: Read> Spooling<R> {
    /// Reads from `reader`.
    pub(super) fn new(reader: R) -> Self {
        Self { reader, kept: tempfile::spooled_tempfile(SPOOL_BYTES) }
    }

    /// What was read so far, from its beginning.
    pub(super) fn again(&mut self) -> Result<&mut SpooledTempFile> {
        self.kept.rewind().map_err(|error| reading(&error))?;
        Ok(&mut self.kept)
    }

    /// All of it, from the beginning.
    pub(super) fn rewound(mut self) -> Result<impl Read + use<R>> {
        self.kept.rewind().map_err(|error| reading(&error))?;
        Ok(self.kept.chain(self.reader))
    }
}

impl<R: Read> Read for Spooling<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.reader.read(buffer)?;
        self.kept.write_all(&buffer[..got])?;
        Ok(got)
    }
}
