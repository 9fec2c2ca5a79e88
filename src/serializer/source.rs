//! Ranged reads of one part, and the checks on what comes back.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::checksum::{EXTENT_BYTES, Extents};
use crate::error::{Error, Result};
use crate::reference::{Part, Section};

/// A local file that is mapped into memory whole.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// All its bytes. Nothing of them is checked, or read from the disk yet.
    pub bytes: Bytes,
    /// Whether the file belongs to the user of this process, and nobody else may write to it.
    pub own: bool,
}

/// Ranged reads of one part.
#[async_trait]
pub trait Source: Debug + Send + Sync {
    /// What the reference says about the part.
    fn part(&self) -> &Part;

    /// Whether the bytes were checked already, so that the part carries no checksums to check them by.
    fn is_checked(&self) -> bool {
        false
    }

    /// The bytes of each range, in the order asked; all lie inside the part.
    ///
    /// # Errors
    ///
    /// What the storage fails with; [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the part is shorter.
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>>;

    /// The whole part as a local file that is mapped into memory, if it is one that was opened by an earlier read. What
    /// is read from then on are slices of the mapping, which copy nothing.
    async fn mapped(&self) -> Option<Mapping> {
        None
    }

    /// Told that bytes which it gave are not what was written. Whether they may have come from a copy, which it will
    /// not read from any more: then reading them again is worth it.
    async fn distrust(&self) -> bool {
        false
    }
}

/// Reads one range.
///
/// # Errors
///
/// As [`Source::read`].
pub async fn read_range(source: &dyn Source, range: Range<u64>) -> Result<Bytes> {
    source.read(&[range]).await?.pop().ok_or_else(|| Error::internal("a read returned no range"))
}

/// A footer of the widest table takes some megabytes; one that claims more than this is not read into memory.
const LARGEST_SECTION: u64 = 256 * 1024 * 1024;

/// Reads the section that ends at `end`, and checks it.
///
/// # Errors
///
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if it is not what was written.
pub async fn read_section(source: &dyn Source, section: &Section, end: u64, what: &str) -> Result<Bytes> {
    if section.size > LARGEST_SECTION {
        return Err(Error::damaged(format!("the reference claims a {what} of {} bytes", section.size)));
    }
    let start = end
        .checked_sub(section.size)
        .ok_or_else(|| Error::damaged(format!("the {what} would be larger than the file")))?;
    let fits = |bytes: &Bytes| source.is_checked() || section.checksum.matches(bytes);
    let mut bytes = read_range(source, start..end).await?;
    if !fits(&bytes) && source.distrust().await {
        bytes = read_range(source, start..end).await?;
    }
    if fits(&bytes) {
        Ok(bytes)
    } else {
        Err(Error::damaged(format!("the {what} is not what was written: its checksum differs")))
    }
}

/// A source whose reads are checked: ranges are rounded out to whole extents, and every extent is hashed.
#[derive(Debug)]
pub struct CheckedSource {
    source: Arc<dyn Source>,
    /// Sorted by start; empty where the source's bytes were checked already.
    extents: Vec<Extent>,
}

#[derive(Debug, Clone, Copy)]
struct Extent {
    start: u64,
    end: u64,
    checksum: u64,
}

impl CheckedSource {
    /// Checks reads of `source` by the checksums of `runs`, each of which starts a new extent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the runs overlap, or there are not as many checksums as
    /// the runs have extents.
    pub fn new(source: Arc<dyn Source>, runs: &[Range<u64>], checksums: Option<&Extents>) -> Result<Self> {
        let mismatch = || Error::damaged("the list of extent checksums does not fit the file");
        // Also where there are none: what overlaps would be read, and held, many times over.
        let mut end = 0;
        for run in runs {
            if run.start > run.end || run.start < end || run.end > source.part().size {
                return Err(mismatch());
            }
            end = run.end;
        }
        if source.is_checked() {
            return Ok(Self { source, extents: Vec::new() });
        }
        let mut checksums =
            checksums.ok_or_else(|| Error::damaged("the list of extent checksums is missing"))?.checksums().iter();
        let mut extents: Vec<Extent> = Vec::with_capacity(checksums.len());
        for run in runs {
            let mut start = run.start;
            while start < run.end {
                let end = (start + EXTENT_BYTES).min(run.end);
                extents.push(Extent { start, end, checksum: *checksums.next().ok_or_else(mismatch)? });
                start = end;
            }
        }
        if checksums.next().is_some() {
            return Err(mismatch());
        }
        Ok(Self { source, extents })
    }

    /// Checks reads of a whole file that has no footer, by the checksums that the reference holds.
    ///
    /// # Errors
    ///
    /// As [`CheckedSource::new`].
    pub fn whole(source: Arc<dyn Source>) -> Result<Self> {
        let extents = source.part().extents.as_deref().map(Extents::decode).transpose()?;
        let whole = 0..source.part().size;
        Self::new(source, std::slice::from_ref(&whole), extents.as_ref())
    }

    /// What the reference says about the part.
    pub(crate) fn part(&self) -> &Part {
        self.source.part()
    }

    /// The section that ends at `end`, checked by its own checksum.
    ///
    /// # Errors
    ///
    /// As [`read_section`].
    pub(crate) async fn read_section(&self, section: &Section, end: u64, what: &str) -> Result<Bytes> {
        read_section(&*self.source, section, end, what).await
    }

    /// The bytes of one range, checked.
    ///
    /// # Errors
    ///
    /// As [`CheckedSource::read`].
    pub async fn read_range(&self, range: Range<u64>) -> Result<Bytes> {
        let bytes = self.read(std::slice::from_ref(&range)).await?.pop();
        bytes.ok_or_else(|| Error::internal("a checked read returned no range"))
    }

    /// The bytes of each range, checked.
    ///
    /// # Errors
    ///
    /// As [`Source::read`], and [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where a checksum differs.
    pub async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if self.source.is_checked() {
            return self.source.read(ranges).await;
        }
        let covering = ranges.iter().map(|range| self.covering(range)).collect::<Result<Vec<_>>>()?;
        let wanted = merged(&covering);
        let fetches: Vec<Range<u64>> = wanted.iter().map(|run| self.bytes_of(run)).collect();
        let mut fetched = self.source.read(&fetches).await?;
        if let Err(damage) = self.check_all(&wanted, &fetched) {
            if !self.source.distrust().await {
                return Err(damage);
            }
            fetched = self.source.read(&fetches).await?;
            self.check_all(&wanted, &fetched)?;
        }
        let cut = ranges.iter().zip(&covering).map(|(range, extents)| {
            if range.is_empty() {
                return Ok(Bytes::new());
            }
            let found = wanted.partition_point(|run| run.end <= extents.start);
            let (Some(fetch), Some(bytes)) = (fetches.get(found), fetched.get(found)) else {
                return Err(Error::internal("a checked read lost a range"));
            };
            Ok(bytes.slice(position(range.start - fetch.start)..position(range.end - fetch.start)))
        });
        cut.collect()
    }

    /// The positions of the extents that cover `range` without a gap.
    fn covering(&self, range: &Range<u64>) -> Result<Range<usize>> {
        if range.is_empty() {
            return Ok(0..0);
        }
        let first = self.extents.partition_point(|extent| extent.end <= range.start);
        let last = self.extents.partition_point(|extent| extent.start < range.end);
        let covered = self.extents.get(first..last).is_some_and(|extents| {
            extents.first().is_some_and(|extent| extent.start <= range.start)
                && extents.last().is_some_and(|extent| extent.end >= range.end)
                && extents.windows(2).all(|pair| matches!(pair, [a, b] if a.end == b.start))
        });
        if covered {
            Ok(first..last)
        } else {
            Err(Error::damaged(format!("bytes {}..{} are not covered by any checksum", range.start, range.end)))
        }
    }

    fn bytes_of(&self, run: &Range<usize>) -> Range<u64> {
        match self.extents.get(run.clone()) {
            Some([first, .., last]) => first.start..last.end,
            Some([only]) => only.start..only.end,
            _ => 0..0,
        }
    }

    fn check_all(&self, runs: &[Range<usize>], fetched: &[Bytes]) -> Result<()> {
        runs.iter().zip(fetched).try_for_each(|(run, bytes)| self.check(run, bytes))
    }

    fn check(&self, run: &Range<usize>, bytes: &Bytes) -> Result<()> {
        let extents = self.extents.get(run.clone()).unwrap_or_default();
        let base = extents.first().map_or(0, |extent| extent.start);
        for extent in extents {
            let range = position(extent.start - base)..position(extent.end - base);
            if bytes.get(range).map(xxh3_64) != Some(extent.checksum) {
                let (start, end) = (extent.start, extent.end);
                return Err(Error::damaged(format!(
                    "bytes {start}..{end} are not what was written: their checksum differs"
                )));
            }
        }
        Ok(())
    }
}

/// The positions wanted, sorted, each once, neighbours joined.
fn merged(covering: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut sorted: Vec<Range<usize>> = covering.iter().filter(|run| !run.is_empty()).cloned().collect();
    sorted.sort_by_key(|run| run.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(sorted.len());
    for run in sorted {
        match merged.last_mut() {
            // Overlapping runs are joined; neighbours are too only when they touch, so that nothing unwanted is read.
            Some(last) if run.start < last.end => last.end = last.end.max(run.end),
            _ => merged.push(run),
        }
    }
    merged
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::checksum::ExtentsBuilder;
    use crate::serializer::memory_file::MemoryFile;

    fn source(bytes: Vec<u8>) -> Arc<dyn Source> {
        Arc::new(MemoryFile::of(bytes))
    }

    fn extents(bytes: &[u8], runs: &[Range<u64>]) -> Extents {
        let mut builder = ExtentsBuilder::default();
        for run in runs {
            builder.update(&bytes[run.start as usize..run.end as usize]);
            builder.end_run();
        }
        builder.finish()
    }

    async fn read(checked: &CheckedSource, range: Range<u64>) -> Result<Vec<Bytes>> {
        checked.read(std::slice::from_ref(&range)).await
    }

    #[tokio::test]
    async fn a_flipped_bit_is_found_only_where_it_is_read() {
        let mut bytes: Vec<u8> = (0..3_500_000_u32).map(|i| (i % 253) as u8).collect();
        let runs = [0..1_500_000, 1_500_000..3_500_000];
        let sums = extents(&bytes, &runs);
        bytes[2_900_000] ^= 1;
        let checked = CheckedSource::new(source(bytes), &runs, Some(&sums)).unwrap();
        assert_eq!(read(&checked, 10..20).await.unwrap()[0].len(), 10);
        let error = checked.read(&[10..20, 3_000_000..3_000_001]).await.unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Damaged);
    }

    #[tokio::test]
    async fn what_no_checksum_covers_is_not_read() {
        let bytes = vec![7_u8; 5_000];
        let runs = [0..1_000, 2_000..3_000];
        let sums = extents(&bytes, &runs);
        let checked = CheckedSource::new(source(bytes.clone()), &runs, Some(&sums)).unwrap();
        assert!(read(&checked, 900..2_100).await.is_err());
        assert!(read(&checked, 4_000..4_001).await.is_err());
        assert!(CheckedSource::new(source(bytes.clone()), &runs[..1], Some(&sums)).is_err());
        assert!(CheckedSource::new(source(bytes), &[0..1_000, 2_000..9_000], Some(&sums)).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_ranges_come_back_as_they_are(cuts in prop::collection::vec(0_u64..3_000_000, 0..5), wanted in prop::collection::vec((0_u64..3_000_000, 0_u64..900_000), 1..6)) {
            let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 249) as u8).collect();
            let mut bounds = cuts;
            bounds.extend([0, 3_000_000]);
            bounds.sort_unstable();
            let runs: Vec<Range<u64>> = bounds.windows(2).map(|pair| pair[0]..pair[1]).collect();
            let checked = CheckedSource::new(source(bytes.clone()), &runs, Some(&extents(&bytes, &runs))).unwrap();
            let ranges: Vec<Range<u64>> = wanted.iter().map(|(start, len)| *start..(start + len).min(3_000_000)).collect();
            let read = futures::executor::block_on(checked.read(&ranges)).unwrap();
            for (range, read) in ranges.iter().zip(read) {
                prop_assert_eq!(&read[..], &bytes[range.start as usize..range.end as usize]);
            }
        }
    }
}
