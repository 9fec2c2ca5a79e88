//! The names of the cache: an object's folder says which object it is, a file's name which bytes it holds.

use std::ops::Range;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

/// Which object: a hash of everything that tells it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObjectId(u128);

impl ObjectId {
    /// The object that lies under `path` in the store `store`, with that size and checksum.
    pub(crate) fn new(store: &str, path: &str, size: u64, checksum: &str) -> Self {
        // None of them holds a line feed, so that no two objects give the same text.
        Self(xxh3_128(format!("{store}\n{path}\n{size}\n{checksum}").as_bytes()))
    }

    /// Its folder in a cache.
    pub(super) fn folder(self, root: &Path) -> PathBuf {
        let name = format!("{:032x}", self.0);
        root.join(name.get(..2).unwrap_or_default()).join(name)
    }
}

/// Whether `name` is that of a folder with the folders of objects in it.
pub(super) fn is_shard(name: &str) -> bool {
    name.len() == 2 && is_hexadecimal(name)
}

/// Whether `name` is that of an object's folder.
pub(super) fn is_object(name: &str) -> bool {
    name.len() == 32 && is_hexadecimal(name)
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// One file: which bytes of its object it holds, and their checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) range: Range<u64>,
    pub(super) checksum: u128,
}

impl Entry {
    /// The entry that `bytes`, which start at `start`, make.
    pub(super) fn of(start: u64, bytes: &[u8]) -> Self {
        Self { range: start..start + bytes.len() as u64, checksum: xxh3_128(bytes) }
    }

    pub(super) fn name(&self) -> String {
        format!("{}-{}-{:032x}", self.range.start, self.range.end, self.checksum)
    }

    /// Reads what [`Entry::name`] wrote, and nothing else.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (range, checksum) = name.rsplit_once('-')?;
        let (start, end) = range.split_once('-')?;
        let entry =
            Self { range: start.parse().ok()?..end.parse().ok()?, checksum: u128::from_str_radix(checksum, 16).ok()? };
        (entry.range.start < entry.range.end && entry.name() == name).then_some(entry)
    }

    pub(super) fn size(&self) -> u64 {
        self.range.end - self.range.start
    }

    pub(super) fn covers(&self, range: &Range<u64>) -> bool {
        self.range.start <= range.start && range.end <= self.range.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_others_are_none() {
        let entry = Entry::of(7, b"seedlings");
        assert_eq!(Entry::parse(&entry.name()), Some(entry.clone()));
        assert!(entry.covers(&(8..16)) && !entry.covers(&(6..8)) && !entry.covers(&(15..17)));
        let digits = "0".repeat(32);
        for name in ["", "1-2", "a-b-c", "2-1-0", &format!("07-9-{digits}"), &format!("3-3-{digits}"), "1-2-+1"] {
            assert_eq!(Entry::parse(name), None, "{name}");
        }
        assert!(Entry::parse(&format!("0-1-{digits}")).is_some());
    }

    #[test]
    fn everything_that_tells_objects_apart_counts() {
        let id = ObjectId::new("s3://a", "data/k/1.parquet", 10, "xxh3-128:0");
        for other in [
            ObjectId::new("s3://b", "data/k/1.parquet", 10, "xxh3-128:0"),
            ObjectId::new("s3://a", "data/k/2.parquet", 10, "xxh3-128:0"),
            ObjectId::new("s3://a", "data/k/1.parquet", 11, "xxh3-128:0"),
            ObjectId::new("s3://a", "data/k/1.parquet", 10, "xxh3-128:1"),
        ] {
            assert_ne!(id, other);
        }
        let folder = id.folder(Path::new("/c"));
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert!(is_object(name) && is_shard(folder.parent().unwrap().file_name().unwrap().to_str().unwrap()));
        assert!(!is_object("data") && !is_shard("AB") && !is_shard("."));
    }
}
