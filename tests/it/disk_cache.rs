//! What is read from a remote storage is read from the local disk the second time, and nobody can tell the difference.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use bytes::Bytes;
use coldframe::checksum::Checksum;
use coldframe::{CacheSettings, Configuration, ErrorKind, ResultReference, ResultStore, Value};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::faults::noise;
use crate::faulty::{Faulty, Op};
use crate::support::{numbers, small};

const PLENTY: u64 = 1 << 30;

/// A store on `objects` that reads through the cache in `folder`; a new one for every call, as in another process.
async fn cached(objects: Arc<dyn ObjectStore>, folder: &Path, limit: u64) -> ResultStore {
    let builder = ResultStore::builder().configuration(Configuration::empty()).object_store(objects, "");
    let cache = CacheSettings::On { folder: folder.to_path_buf(), limit };
    builder.cached_as("test").cache(cache).open().await.unwrap()
}

/// A storage that counts the requests for data.
struct Counted {
    faulty: Faulty,
    data: Arc<AtomicUsize>,
    folder: tempfile::TempDir,
}

impl Counted {
    fn new() -> Self {
        let (faulty, data) = (Faulty::new(), Arc::new(AtomicUsize::new(0)));
        let count = data.clone();
        faulty.script(move |request| {
            count.fetch_add(usize::from(request.op == Op::Get && request.path.starts_with("data/")), Ordering::SeqCst);
            None
        });
        Self { faulty, data, folder: tempfile::tempdir().unwrap() }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    async fn store(&self) -> ResultStore {
        cached(self.faulty.objects(), &self.cache(), PLENTY).await
    }

    /// How many requests for data were made since the last time.
    fn data_requests(&self) -> usize {
        self.data.swap(0, Ordering::SeqCst)
    }

    /// The files in the cache.
    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.cache(), &mut found);
        found.retain(|path| !path.ends_with("coldframe-cache.json"));
        found.sort();
        found
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() { walk(&entry.path(), found) } else { found.push(entry.path()) }
    }
}

async fn read(store: &ResultStore, reference: &ResultReference) -> Value {
    let value = store.get(reference).await.unwrap();
    store.settled().await;
    value
}

/// A value with what it is for each kind of serializer.
async fn put_all(store: &ResultStore) -> Vec<(ResultReference, Value)> {
    let mut all = Vec::new();
    for serializer in ["parquet", "arrow", "arrow/zstd", "compressed/arrow"] {
        let key = format!("table/{}", serializer.replace('/', "-"));
        let reference = store.put(key.as_str(), numbers(200_000)).serializer(serializer).await;
        all.push(reference.unwrap());
    }
    for serializer in ["json", "compressed(gzip)/json"] {
        let key = format!("json/{}", serializer.len());
        all.push(
            store.put(key.as_str(), serde_json::json!({"rows": [1, 2.5, "x"]})).serializer(serializer).await.unwrap(),
        );
    }
    for serializer in ["bytes", "compressed/bytes"] {
        let content: Bytes = (0..3_000_000_u32).map(|byte| (byte % 253) as u8).collect();
        let key = format!("bytes/{}", serializer.len());
        all.push(store.put(key.as_str(), content).serializer(serializer).await.unwrap());
    }
    let mut expected = Vec::new();
    for reference in all {
        let value = store.get(&reference).await.unwrap();
        expected.push((reference, value));
    }
    expected
}

fn assert_same(left: &Value, right: &Value, what: &dyn std::fmt::Display) {
    match (left, right) {
        (Value::Table(left), Value::Table(right)) => {
            assert_eq!(left.to_batch().unwrap(), right.to_batch().unwrap(), "{what}");
        }
        (Value::Json(left), Value::Json(right)) => assert_eq!(left, right, "{what}"),
        (Value::Bytes(left), Value::Bytes(right)) => assert_eq!(left, right, "{what}"),
        _ => panic!("{what} is of another kind"),
    }
}

#[tokio::test]
async fn the_second_read_asks_the_storage_for_nothing() {
    let counted = Counted::new();
    let plain = counted.faulty.store(crate::faulty::TestClock::default()).await;
    for (reference, expected) in put_all(&plain).await {
        counted.data_requests();
        assert_same(&read(&counted.store().await, &reference).await, &expected, &reference);
        assert!(counted.data_requests() > 0, "{reference}");
        counted.faulty.script(|request| panic!("{request:?}"));
        assert_same(&read(&counted.store().await, &reference).await, &expected, &reference);
        let count = counted.data.clone();
        counted.faulty.script(move |request| {
            count.fetch_add(usize::from(request.path.starts_with("data/")), Ordering::SeqCst);
            None
        });
        let again = counted.store().await;
        assert_same(&again.get(reference.key()).await.unwrap(), &expected, &reference);
        assert_eq!(counted.data_requests(), 0, "{reference}: its reference is read, its data is not");
    }
}

#[tokio::test]
async fn a_projection_serves_the_columns_that_it_has() {
    let counted = Counted::new();
    for serializer in ["parquet", "arrow"] {
        let reference = counted.store().await.put(serializer, numbers(300_000)).serializer(serializer).await.unwrap();
        let columns = |names: &'static [&'static str]| {
            let (counted, reference) = (&counted, &reference);
            async move {
                counted.data_requests();
                let store = counted.store().await;
                let table = store.scan(reference).columns(names.iter().copied()).collect().await.unwrap();
                store.settled().await;
                (table.to_batch().unwrap(), counted.data_requests())
            }
        };
        let whole = numbers(300_000);
        let (id, first) = columns(&["id"]).await;
        assert_eq!(id, whole.project(&[0]).unwrap());
        assert!(first > 0);
        assert_eq!(columns(&["id"]).await, (whole.project(&[0]).unwrap(), 0), "{serializer}");
        assert_eq!(columns(&["name"]).await.0, whole.project(&[1]).unwrap(), "{serializer}");
        assert_eq!(columns(&["name", "id"]).await, (whole.project(&[1, 0]).unwrap(), 0), "{serializer}");
        let store = counted.store().await;
        let some = store.scan(&reference).columns(["name"]).offset(150_000).limit(10).collect().await.unwrap();
        assert_eq!(some.to_batch().unwrap(), whole.project(&[1]).unwrap().slice(150_000, 10), "{serializer}");
    }
}

#[tokio::test]
async fn a_damaged_file_is_fetched_again_and_repaired() {
    let counted = Counted::new();
    let reference = counted.store().await.put("k", numbers(100_000)).await.unwrap();
    let expected = read(&counted.store().await, &reference).await;
    let damages: [fn(&Path); 4] = [
        |path| {
            let mut content = std::fs::read(path).unwrap();
            let middle = content.len() / 2;
            content[middle] ^= 1;
            std::fs::write(path, content).unwrap();
        },
        |path| std::fs::write(path, &std::fs::read(path).unwrap()[1..]).unwrap(),
        |path| std::fs::write(path, b"").unwrap(),
        |path| {
            std::fs::remove_file(path).unwrap();
            std::fs::create_dir(path).unwrap();
        },
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let files = counted.files();
        assert!(!files.is_empty());
        files.iter().for_each(|path| damage(path));
        counted.data_requests();
        assert_same(&read(&counted.store().await, &reference).await, &expected, &number);
        assert!(counted.data_requests() > 0, "damage {number} was noticed");
        assert_eq!(counted.files(), files, "damage {number} was repaired");
        assert_same(&read(&counted.store().await, &reference).await, &expected, &number);
        assert_eq!(counted.data_requests(), 0, "damage {number}");
    }
}

#[tokio::test]
async fn wrong_bytes_in_a_file_that_looks_right_are_fetched_again() {
    let counted = Counted::new();
    for serializer in ["parquet", "arrow", "compressed/arrow"] {
        let reference = counted.store().await.put(serializer, numbers(100_000)).serializer(serializer).await.unwrap();
        let expected = read(&counted.store().await, &reference).await;
        for path in counted.files() {
            // As if the storage had once given these bytes, and they had been kept before anybody looked at them.
            let mut content = std::fs::read(&path).unwrap();
            content[0] ^= 1;
            let name = path.file_name().unwrap().to_str().unwrap();
            let range = name.rsplit_once('-').unwrap().0;
            let checksum = Checksum::long(&content).to_string();
            let digits = checksum.split_once(':').unwrap().1;
            std::fs::remove_file(&path).unwrap();
            std::fs::write(path.with_file_name(format!("{range}-{digits}")), content).unwrap();
        }
        counted.data_requests();
        assert_same(&read(&counted.store().await, &reference).await, &expected, &serializer);
        assert!(counted.data_requests() > 0);
        // That read left the cache alone; the next one fills it again.
        assert_same(&read(&counted.store().await, &reference).await, &expected, &serializer);
        counted.data_requests();
        assert_same(&read(&counted.store().await, &reference).await, &expected, &serializer);
        assert_eq!(counted.data_requests(), 0, "{serializer}");
    }
}

#[tokio::test]
async fn damage_on_the_storage_is_not_kept() {
    let counted = Counted::new();
    let reference = counted.store().await.put("k", numbers(100_000)).await.unwrap();
    let (path, sound) = counted.faulty.find("data/", ".parquet").await;
    let mut damaged = sound.to_vec();
    damaged[8] ^= 1;
    counted.faulty.inner().put(&path, PutPayload::from(damaged)).await.unwrap();
    for _ in 0..2 {
        let store = counted.store().await;
        assert_eq!(store.get(&reference).await.unwrap_err().kind(), ErrorKind::Damaged);
        store.settled().await;
        assert_eq!(counted.files(), [] as [PathBuf; 0]);
    }
    counted.faulty.inner().put(&path, PutPayload::from(sound)).await.unwrap();
    let value = read(&counted.store().await, &reference).await;
    assert_eq!(value.into_table().unwrap().to_batch().unwrap(), numbers(100_000));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_fails_no_read() {
    let counted = Counted::new();
    std::fs::write(counted.cache(), b"a file").unwrap();
    let store = counted.store().await;
    let reference = store.put("k", numbers(1_000)).await.unwrap();
    for _ in 0..2 {
        counted.data_requests();
        let value = read(&store, &reference).await;
        assert_eq!(value.into_table().unwrap().to_batch().unwrap(), numbers(1_000));
        assert!(counted.data_requests() > 0);
    }
    assert_eq!(std::fs::read(counted.cache()).unwrap(), b"a file");
}

#[tokio::test]
async fn verify_reads_the_storage_itself() {
    let counted = Counted::new();
    let store = counted.store().await;
    let reference = store.put("k", numbers(10_000)).await.unwrap();
    read(&store, &reference).await;
    counted.data_requests();
    assert_eq!(store.verify("", None).await.unwrap().problems, []);
    assert!(counted.data_requests() > 0);
    let (path, sound) = counted.faulty.find("data/", ".parquet").await;
    let mut damaged = sound.to_vec();
    damaged[8] ^= 1;
    counted.faulty.inner().put(&path, PutPayload::from(damaged)).await.unwrap();
    assert_eq!(store.verify("", None).await.unwrap().problems.len(), 1);
}

#[tokio::test]
async fn a_delete_takes_the_data_out_of_the_cache() {
    let counted = Counted::new();
    let store = counted.store().await;
    let mine = store.put("mine", numbers(10_000)).await.unwrap();
    let theirs = store.put("theirs", numbers(10_000)).await.unwrap();
    read(&store, &mine).await;
    let kept = counted.files();
    read(&store, &theirs).await;
    assert!(counted.files().len() > kept.len());
    store.delete("theirs").await.unwrap();
    assert_eq!(counted.files(), kept);
    assert_eq!(store.get(&theirs).await.unwrap_err().kind(), ErrorKind::Gone);
    // Somebody else's delete reaches whoever asks the storage; a full reference needs nothing from it.
    counted.faulty.sound().await.delete("mine").await.unwrap();
    assert_eq!(store.get("mine").await.unwrap_err().kind(), ErrorKind::Gone);
    assert_eq!(store.get(&mine.compact()).await.unwrap_err().kind(), ErrorKind::Gone);
    let value = read(&store, &mine).await;
    assert_eq!(value.into_table().unwrap().to_batch().unwrap(), numbers(10_000));
}

#[tokio::test]
async fn stores_with_the_same_keys_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second): (Arc<dyn ObjectStore>, Arc<dyn ObjectStore>) =
        (Arc::new(InMemory::new()), Arc::new(InMemory::new()));
    let one = cached(first, folder.path(), PLENTY).await;
    let other = cached(second.clone(), folder.path(), PLENTY).await;
    one.put("k", noise(1, 10_000)).await.unwrap();
    other.put("k", noise(2, 10_000)).await.unwrap();
    for _ in 0..2 {
        for (store, expected) in [(&one, noise(1, 10_000)), (&other, noise(2, 10_000))] {
            let value = store.get("k").await.unwrap();
            store.settled().await;
            assert_eq!(value.into_table().unwrap().to_batch().unwrap(), expected);
        }
    }
}

#[tokio::test]
async fn what_is_near_is_not_cached() {
    let (folder, near) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cache = folder.path().join("cache");
    let settings = CacheSettings::On { folder: cache.clone(), limit: PLENTY };
    for location in ["memory://", near.path().to_str().unwrap()] {
        let builder = ResultStore::builder().configuration(Configuration::empty()).cache(settings.clone());
        let store = builder.location(location).durable(false).open().await.unwrap();
        let reference = store.put("k", small()).await.unwrap();
        read(&store, &reference).await;
        assert!(!cache.exists(), "{location}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_tiny_cache_that_many_fight_over_gives_right_data() {
    let (objects, folder) = (Arc::new(InMemory::new()), tempfile::tempdir().unwrap());
    let limit = 150_000;
    let writer = cached(objects.clone(), folder.path(), limit).await;
    let mut references = Vec::new();
    for seed in 0..6 {
        let key = format!("k/{seed}");
        references.push(writer.put(key.as_str(), noise(seed, 4_000)).serializer("parquet/none").await.unwrap());
    }
    let references = Arc::new(references);
    let expected: Arc<Vec<RecordBatch>> = Arc::new((0..6).map(|seed| noise(seed, 4_000)).collect());
    let stores = [cached(objects.clone(), folder.path(), limit).await, cached(objects, folder.path(), limit).await];
    let mut tasks = Vec::new();
    for task in 0..16_usize {
        let (store, references, expected) = (stores[task % 2].clone(), references.clone(), expected.clone());
        tasks.push(tokio::spawn(async move {
            for round in 0..20 {
                let which = (task * 7 + round * 5) % references.len();
                let value = store.get(&references[which]).await.unwrap();
                assert_eq!(value.into_table().unwrap().to_batch().unwrap(), expected[which], "{task} {round}");
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    for store in &stores {
        store.settled().await;
    }
    let mut files = Vec::new();
    walk(folder.path(), &mut files);
    files.retain(|path| !path.ends_with("coldframe-cache.json"));
    let held: u64 = files.iter().map(|path| path.metadata().unwrap().len().next_multiple_of(4096)).sum();
    // Both may have made room and then written at the same moment: one entry, of up to a quarter, too many.
    assert!(held > 0 && held <= limit + limit / 4, "{held}");
}
