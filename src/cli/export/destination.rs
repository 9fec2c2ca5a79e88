//! Where an output goes: standard output, or a file that appears when it is complete.

use std::fs;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempPath;

use super::super::failure::{Failure, Outcome, file_error};
use super::super::terminal::Harmless;
use crate::error::{Error, Result};

const BUFFER_BYTES: usize = 256 * 1024;

/// What an encoder writes to.
pub(super) type Writer = Box<dyn Write + Send>;

/// A file, or standard output.
#[derive(Debug)]
pub(in crate::cli) struct Destination {
    path: Option<PathBuf>,
}

impl Destination {
    /// The file `path`, or standard output where there is none.
    pub(in crate::cli) fn new(path: Option<&Path>) -> Self {
        Self { path: path.filter(|path| path.as_os_str() != "-").map(Path::to_owned) }
    }

    /// Refuses to send what is no text to a terminal.
    pub(super) fn refuse_terminal(&self) -> Result<()> {
        if self.path.is_none() && io::stdout().is_terminal() {
            return Err(Error::invalid("this format is no text, which a terminal cannot show")
                .with_hint("write it to a file with `-o FILE`, or into a pipe"));
        }
        Ok(())
    }

    /// Opens it, and gives what writes to it.
    pub(super) fn open(self) -> Result<(Opened, Writer)> {
        let complaint = Complaint::default();
        let (place, writer): (Place, Writer) = match self.path {
            None if io::stdout().is_terminal() => (Place::Standard, Box::new(Harmless::new(io::stdout()))),
            None => (Place::Standard, Box::new(io::stdout())),
            Some(path) => {
                let (place, file) = open_file(&path)
                    .map_err(|error| file_error(&error, format_args!("cannot write {}", path.display())))?;
                (place, Box::new(file))
            }
        };
        let watched = Watched { writer, complaint: complaint.clone() };
        Ok((Opened { place, complaint }, Box::new(BufWriter::with_capacity(BUFFER_BYTES, watched))))
    }

    /// Writes text that is at hand.
    pub(in crate::cli) async fn text(self, text: String) -> Outcome {
        let (opened, mut writer) = self.open()?;
        let mut write = move || writer.write_all(text.as_bytes()).and_then(|()| writer.flush());
        super::blocking(move || write().map_err(super::encode::failed)).await.map_err(|error| opened.explain(error))?;
        opened.complete()
    }
}

/// A file beside `path` that can take its place; or `path` itself where it is no regular file, such as `/dev/null`.
fn open_file(path: &Path) -> io::Result<(Place, fs::File)> {
    // Through a link, the file it leads to is replaced, and the link stays.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(&path) {
        Ok(found) if found.is_dir() => return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")),
        Ok(found) if !found.is_file() => {
            let file = fs::OpenOptions::new().write(true).open(&path)?;
            return Ok((Place::Direct(path), file));
        }
        _ => {}
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".coldframe-").suffix(".part");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let (file, temporary) = builder.tempfile_in(folder)?.into_parts();
    Ok((Place::Replaced { temporary, path }, file))
}

enum Place {
    Standard,
    Direct(PathBuf),
    Replaced { temporary: TempPath, path: PathBuf },
}

/// A destination that is being written; dropping it removes what was written to a file so far.
pub(super) struct Opened {
    place: Place,
    complaint: Complaint,
}

impl Opened {
    /// Whether a file is written, rather than a stream.
    pub(super) fn is_file(&self) -> bool {
        !matches!(self.place, Place::Standard)
    }

    /// Why an encoder failed: because of what it was given, or because its bytes could not be written.
    pub(super) fn explain(&self, error: Error) -> Failure {
        let complaint = self.complaint.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (complaint, &self.place) {
            (None, _) => error.into(),
            (Some(complaint), Place::Standard) => Failure::writing(&complaint),
            (Some(complaint), Place::Direct(path) | Place::Replaced { path, .. }) => {
                file_error(&complaint, format_args!("cannot write {}", path.display())).into()
            }
        }
    }

    /// Lets a file appear under its name.
    pub(super) fn complete(self) -> Outcome {
        if let Place::Replaced { temporary, path } = self.place {
            temporary
                .persist(&path)
                .map_err(|failed| file_error(&failed.error, format_args!("cannot write {}", path.display())))?;
        }
        Ok(())
    }
}

/// The first error of a writer: encoders on top of it pass on its text only, not its kind.
#[derive(Debug, Clone, Default)]
struct Complaint(Arc<Mutex<Option<io::Error>>>);

struct Watched {
    writer: Writer,
    complaint: Complaint,
}

impl Watched {
    fn watch<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.map_err(|error| {
            let again = io::Error::new(error.kind(), error.to_string());
            if error.kind() != io::ErrorKind::Interrupted {
                self.complaint.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
            again
        })
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes);
        self.watch(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.writer.flush();
        self.watch(flushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        fs::write(&path, "before").unwrap();
        let (opened, mut writer) = Destination::new(Some(&path)).open().unwrap();
        writer.write_all(b"after").unwrap();
        writer.flush().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        assert!(matches!(opened.complete(), Ok(())));
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        assert_eq!(names(folder.path()), ["table.csv"]);
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        let (opened, mut writer) = Destination::new(Some(&path)).open().unwrap();
        writer.write_all(b"half").unwrap();
        drop(opened);
        drop(writer);
        assert!(names(folder.path()).is_empty());
        assert!(Destination::new(Some(folder.path())).open().is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_is_written_not_replaced() {
        let (opened, mut writer) = Destination::new(Some(Path::new("/dev/full"))).open().unwrap();
        let failed = writer.write_all(&[0; 1 << 20]).unwrap_err();
        let failure = opened.explain(super::super::encode::failed(failed));
        assert!(matches!(failure, Failure::Error(error) if error.kind() == crate::error::ErrorKind::StorageFull));
        assert!(fs::metadata("/dev/full").is_ok_and(|found| !found.is_file()));
    }
}
