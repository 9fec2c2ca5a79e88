//! A local file that is mapped into memory: what is read of it is not copied.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;

/// One local file, mapped whole. It lives as long as any bytes that were read of it.
#[derive(Debug)]
pub(super) struct MappedFile {
    file: Arc<File>,
    map: Arc<Mmap>,
    bytes: Bytes,
    own: bool,
}

/// What owns the bytes.
struct Owner(Arc<Mmap>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl MappedFile {
    /// Maps a file that has `size` bytes.
    ///
    /// # Errors
    ///
    /// What the system says; `UnexpectedEof` if the file has become shorter.
    pub(super) fn new(file: Arc<File>, size: usize) -> io::Result<Self> {
        at_least(&file, size)?;
        #[expect(
            unsafe_code,
            reason = "data objects never change once they are written; who truncates one from outside gets a SIGBUS"
        )]
        let map = unsafe { memmap2::MmapOptions::new().len(size).map(&*file)? };
        let map = Arc::new(map);
        let own = is_own(&file.metadata()?);
        Ok(Self { own, file, bytes: Bytes::from_owner(Owner(map.clone())), map })
    }

    /// All its bytes. What was not read yet comes from the disk when it is touched.
    pub(super) fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// Whether the file belongs to the user of this process, and nobody else may write to it, by its mode.
    pub(super) fn is_own(&self) -> bool {
        self.own
    }

    /// The bytes of each range, as they lie in the mapping. Blocks until they were read from the disk.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file has become shorter, or a range lies outside.
    pub(super) fn read(&self, ranges: &[Range<usize>]) -> io::Result<Vec<Bytes>> {
        // An error now is better than a signal later.
        at_least(&self.file, self.bytes.len())?;
        let read = |range: &Range<usize>| {
            if range.start > range.end || range.end > self.bytes.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.populate(range);
            Ok(self.bytes.slice(range.clone()))
        };
        ranges.iter().map(read).collect()
    }

    /// Reads what is not in memory yet here and at once, instead of page by page where it is first touched.
    #[cfg(target_os = "linux")]
    fn populate(&self, range: &Range<usize>) {
        // Kernels before 5.14 do not know it; then the pages come as they are touched.
        let _ = self.map.advise_range(memmap2::Advice::PopulateRead, range.start, range.end - range.start);
    }

    #[cfg(not(target_os = "linux"))]
    fn populate(&self, range: &Range<usize>) {
        let _ = self.map.get(range.clone());
    }
}

#[cfg(unix)]
fn is_own(file: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;

    // Where an access list lets others write, the group's bits say so too.
    file.uid() == rustix::process::geteuid().as_raw() && file.mode() & 0o022 == 0
}

#[cfg(not(unix))]
fn is_own(_file: &Metadata) -> bool {
    false
}

fn at_least(file: &File, size: usize) -> io::Result<()> {
    if file.metadata()?.len() >= size as u64 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(content: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Arc::new(file)
    }

    #[test]
    fn bytes_outlive_the_file_and_the_mapping() {
        let content: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
        // A temporary file has no name: it is deleted already.
        let mapped = MappedFile::new(file(&content), content.len()).unwrap();
        let read = mapped.read(&[5..9_000, 50_000..100_000]).unwrap();
        let start = mapped.bytes.as_ptr();
        assert_eq!(read[0].as_ptr(), start.wrapping_add(5));
        drop(mapped);
        assert_eq!((&read[0][..], &read[1][..]), (&content[5..9_000], &content[50_000..]));
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let short = file(&[7; 10_000]);
        assert_eq!(MappedFile::new(short.clone(), 10_001).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let mapped = MappedFile::new(short.clone(), 10_000).unwrap();
        let read = |range: Range<usize>| mapped.read(std::slice::from_ref(&range));
        assert!(read(0..10_000).is_ok() && read(0..10_001).is_err());
        short.set_len(5_000).unwrap();
        assert_eq!(read(0..10).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
