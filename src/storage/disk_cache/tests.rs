//! What one folder does, without any storage.

#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::clock::ManualClock;

const BLOCK: usize = 4096;

fn object(name: &str) -> ObjectId {
    ObjectId::new("s3://bucket", name, 1, "xxh3-128:0")
}

fn cache(folder: &Path, limit: u64, clock: &ManualClock) -> DiskCache {
    DiskCache::new(folder.to_path_buf(), limit, Arc::new(clock.clone()))
}

/// `length` bytes that are others for each seed.
fn bytes(seed: u8, length: usize) -> Bytes {
    (0..length).map(|position| seed.wrapping_add((position % 251) as u8)).collect()
}

fn keep(cache: &DiskCache, object: ObjectId, start: u64, bytes: &Bytes) {
    cache.write(object, vec![(start, bytes.clone())], || true);
}

fn one(cache: &DiskCache, object: ObjectId, range: Range<u64>) -> Option<Bytes> {
    cache.read(object, &[range]).pop().unwrap()
}

/// The one file of an object.
fn only_file(cache: &DiskCache, object: ObjectId) -> PathBuf {
    let folder = object.folder(&cache.inner.folder);
    let files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[test]
fn what_lies_inside_an_entry_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path(), 1 << 30, &ManualClock::default());
    let whole = bytes(1, 1_000_000);
    keep(&cache, object("a"), 500, &whole);
    assert_eq!(one(&cache, object("a"), 500..1_000_500), Some(whole.clone()));
    let found = cache.read(object("a"), &[600_000..600_010, 0..10, 500..500, 500..501, 1_000_499..1_000_501]);
    let expected = [Some(whole.slice(599_500..599_510)), None, None, Some(whole.slice(..1)), None];
    assert_eq!(found, expected);
    assert_eq!(one(&cache, object("b"), 500..501), None);
}

#[test]
fn small_neighbours_share_a_file_and_a_larger_entry_replaces_what_it_covers() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path(), 1 << 30, &ManualClock::default());
    let whole = bytes(1, 3_000);
    let pieces = [(2_000, 3_000), (0, 1_000), (1_000, 2_000)].map(|(from, to)| (from as u64, whole.slice(from..to)));
    cache.write(object("a"), pieces.into(), || true);
    only_file(&cache, object("a"));
    assert_eq!(one(&cache, object("a"), 500..2_500), Some(whole.slice(500..2_500)));
    let larger = bytes(1, 5_000);
    keep(&cache, object("a"), 0, &larger);
    assert!(only_file(&cache, object("a")).file_name().unwrap().to_str().unwrap().starts_with("0-5000-"));
    assert_eq!(usage(folder.path()), Usage { bytes: 8192, entries: 1, objects: 1 });
}

#[test]
fn a_damaged_file_is_a_miss_and_goes() {
    let whole = bytes(1, 5_000);
    let damages: [fn(&Path); 5] = [
        |path| {
            let mut content = fs::read(path).unwrap();
            content[4_999] ^= 1;
            fs::write(path, content).unwrap();
        },
        |path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(4_999).unwrap(),
        |path| fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"x").unwrap(),
        |path| fs::write(path, b"").unwrap(),
        |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
            fs::write(path.join("something"), b"else").unwrap();
        },
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 1 << 30, &ManualClock::default());
        keep(&cache, object("a"), 0, &whole);
        let path = only_file(&cache, object("a"));
        damage(&path);
        // Even where the bytes that are wanted are not the damaged ones.
        assert_eq!(one(&cache, object("a"), 0..10), None, "damage {number}");
        assert!(!path.exists(), "damage {number}");
        keep(&cache, object("a"), 0, &whole);
        assert_eq!(one(&cache, object("a"), 0..10), Some(whole.slice(..10)), "damage {number}");
    }
}

#[test]
fn behind_a_damaged_file_another_one_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path(), 1 << 30, &ManualClock::default());
    let whole = bytes(1, 2 * BLOCK);
    keep(&cache, object("a"), 0, &whole);
    let large = only_file(&cache, object("a"));
    // As another process would have written it, that did not see the larger one.
    let small = large.with_file_name(Entry::of(0, &whole[..100]).name());
    fs::write(&small, [0; 100]).unwrap();
    assert_eq!(one(&cache, object("a"), 0..10), Some(whole.slice(..10)));
    assert!(large.exists() && !small.exists());
}

#[test]
fn the_least_recently_used_goes_first_and_the_bound_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::default();
    let limit = 16 * BLOCK as u64;
    let cache = cache(folder.path(), limit, &clock);
    let names: Vec<String> = (0..14).map(|number| number.to_string()).collect();
    for (seed, name) in names.iter().enumerate() {
        clock.advance(Duration::from_secs(1));
        keep(&cache, object(name), 0, &bytes(seed as u8, BLOCK));
    }
    assert_eq!(usage(folder.path()).entries, 14);
    clock.advance(Duration::from_secs(1));
    assert!(one(&cache, object("0"), 0..1).is_some());
    clock.advance(Duration::from_secs(1));
    keep(&cache, object("new"), 0, &bytes(99, BLOCK));
    let left = |name: &str| one(&cache, object(name), 0..1).is_some();
    assert!(left("0") && left("new") && left("13") && left("2"));
    assert!(!left("1"), "it was used least recently");
    for seed in 0..200 {
        clock.advance(Duration::from_secs(1));
        keep(&cache, object(&format!("more {seed}")), 0, &bytes(seed, 1 + usize::from(seed) * 80));
        assert!(usage(folder.path()).bytes <= limit, "{:?}", usage(folder.path()));
    }
    assert!(usage(folder.path()).entries >= 3);
    keep(&cache, object("large"), 0, &bytes(1, 4 * BLOCK + 1));
    assert!(one(&cache, object("large"), 0..1).is_none(), "more than a quarter of the limit");
}

#[test]
fn what_another_process_left_counts_and_the_dead_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::default();
    let limit = 16 * BLOCK as u64;
    let first = cache(folder.path(), 1 << 30, &clock);
    for number in 0..40 {
        keep(&first, object(&number.to_string()), 0, &bytes(number, BLOCK));
    }
    let incoming = folder.path().join(INCOMING);
    let now = SystemTime::from(clock.now());
    for (name, age) in [("dead", 3_601), ("alive", 3_599)] {
        File::create(incoming.join(name)).unwrap().set_modified(now - Duration::from_secs(age)).unwrap();
    }
    let second = cache(folder.path(), limit, &clock);
    keep(&second, object("new"), 0, &bytes(99, BLOCK));
    assert!(usage(folder.path()).bytes <= limit, "{:?}", usage(folder.path()));
    assert!(one(&second, object("new"), 0..1).is_some());
    assert!(incoming.join("alive").exists() && !incoming.join("dead").exists());
}

#[test]
fn only_the_owner_may_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("some/cache");
    let cache = cache(&root, 1 << 30, &ManualClock::default());
    keep(&cache, object("a"), 0, &bytes(1, 10));
    let file = only_file(&cache, object("a"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(&root.join(MARKER))), (0o600, 0o600));
    let folders = [&root, &root.join(INCOMING), file.parent().unwrap(), file.parent().unwrap().parent().unwrap()];
    assert_eq!(folders.map(mode), [0o700; 4]);
}

#[test]
fn a_folder_that_cannot_be_written_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::default();
    let file = folder.path().join("file");
    fs::write(&file, b"not a folder").unwrap();
    let theirs = folder.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    fs::write(theirs.join("letter"), b"dear").unwrap();
    for root in [&file, &file.join("below"), &theirs] {
        let cache = cache(root, 1 << 30, &clock);
        assert!(cache.wait_in_line(1, 1).is_some());
        keep(&cache, object("a"), 0, &bytes(1, 10));
        assert_eq!(one(&cache, object("a"), 0..10), None);
        assert!(cache.wait_in_line(1, 1).is_none(), "it tries no more");
    }
    assert_eq!(fs::read(&file).unwrap(), b"not a folder");
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 1);
}

#[test]
fn what_waits_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path(), 1 << 30, &ManualClock::default());
    let first = cache.wait_in_line(100, 50).unwrap();
    assert!(cache.wait_in_line(1, 50).is_none());
    drop(first);
    assert!(cache.wait_in_line(1, 50).is_some());
}

#[test]
fn clearing_removes_what_is_the_caches() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path(), 1 << 30, &ManualClock::default());
    keep(&cache, object("a"), 0, &bytes(1, 10));
    keep(&cache, object("b"), 0, &bytes(2, BLOCK + 1));
    fs::write(only_file(&cache, object("a")).with_file_name("unknown"), b"x").unwrap();
    fs::write(folder.path().join(INCOMING).join("half"), b"x").unwrap();
    fs::write(folder.path().join("letter"), b"dear").unwrap();
    assert_eq!(clear(folder.path()).unwrap(), Usage { bytes: 3 * BLOCK as u64, entries: 2, objects: 2 });
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [MARKER, "letter"]);
    assert_eq!(clear(folder.path()).unwrap(), Usage::default());
    keep(&cache, object("a"), 0, &bytes(1, 10));
    assert!(one(&cache, object("a"), 0..10).is_some(), "a cache that was cleared goes on");
}

#[test]
fn a_cache_that_somebody_removed_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("cache");
    let cache = cache(&root, 1 << 30, &ManualClock::default());
    keep(&cache, object("a"), 0, &bytes(1, 10));
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(one(&cache, object("a"), 0..10), None);
    keep(&cache, object("a"), 0, &bytes(1, 10));
    assert!(one(&cache, object("a"), 0..10).is_some());
    assert_eq!(clear(&root).unwrap().entries, 1);
}

#[test]
fn a_folder_without_the_mark_is_not_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = folder.path().join("ab/0123456789abcdef0123456789abcdef/0-1-x");
    fs::create_dir_all(&theirs).unwrap();
    assert_eq!(clear(folder.path()).unwrap_err().kind(), ErrorKind::Configuration);
    assert!(theirs.exists());
    assert_eq!(usage(folder.path()), Usage::default());
    assert_eq!(clear(&folder.path().join("nowhere")).unwrap(), Usage::default());
}

#[test]
fn links_are_not_followed_out_of_the_cache() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cache = cache(folder.path(), 1 << 30, &ManualClock::default());
    keep(&cache, object("a"), 0, &bytes(1, 10));
    let letter = outside.path().join("letter");
    fs::write(&letter, b"dear").unwrap();
    let inside = object("a").folder(folder.path());
    std::os::unix::fs::symlink(outside.path(), inside.join("link")).unwrap();
    std::os::unix::fs::symlink(outside.path(), inside.with_file_name("0".repeat(32))).unwrap();
    cache.evict(object("a"));
    assert!(letter.exists() && !inside.exists());
    let _ = clear(folder.path());
    assert!(letter.exists());
}
