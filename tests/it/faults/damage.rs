//! Data and references that are not what was written: an error that names the path, or exactly what was written.

use bytes::Bytes;
use coldframe::{Configuration, ErrorKind, ResultReference, ResultStore, Value};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use serde_json::json;

use super::{LARGE, noise};
use crate::faulty::{Faulty, Place, TestClock, everywhere};
use crate::support::{batch_of, every_type, local, numbers, small};

everywhere! {
    a_flipped_bit_of_the_data_is_found_or_does_no_harm,
    data_cut_short_or_lengthened_or_emptied_or_gone_is_found,
    a_flipped_bit_of_a_reference_never_gives_another_value,
    a_reference_that_is_cut_short_or_emptied_is_damaged_and_named,
    data_that_is_replaced_in_the_middle_of_a_scan_is_damage,
}

/// One value for each serializer.
fn values() -> Vec<(&'static str, Value)> {
    let tables = ["parquet", "parquet/none", "parquet/lz4", "arrow", "arrow/lz4", "compressed(lz4)/arrow"];
    let mut values: Vec<_> = tables.into_iter().map(|name| (name, Value::Table(numbers(700).into()))).collect();
    let types = every_type().into_iter().filter(|(name, _)| ["list", "utf8", "decimal128"].contains(&name.as_str()));
    values.push(("parquet/snappy", Value::Table(batch_of(types.collect()).into())));
    values.push(("arrow/zstd", Value::Table(batch_of(every_type()).into())));
    let tree = json!({"a": [1, 2.5, null], "b": {"c": "text"}});
    values.extend(["json", "compressed/json"].map(|name| (name, Value::Json(tree.clone()))));
    let bytes = Bytes::from((0..3000_u32).map(|i| (i * 7 % 251) as u8).collect::<Vec<_>>());
    let codecs = ["bytes", "compressed(gzip)/bytes", "compressed(bzip2)/bytes", "compressed(xz)/bytes"];
    values.extend(codecs.map(|name| (name, Value::Bytes(bytes.clone()))));
    values
}

fn same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Table(found), Value::Table(expected)) => {
            found.schema() == expected.schema() && found.to_batch().unwrap() == expected.to_batch().unwrap()
        }
        _ => found == expected,
    }
}

/// One value for each serializer, or where each request takes its time, of the most different ones.
fn values_for(place: Place) -> Vec<(&'static str, Value)> {
    let few = ["parquet", "arrow/lz4", "json", "bytes", "compressed(lz4)/arrow"];
    values().into_iter().filter(|(name, _)| place.choose(true, few.contains(name))).collect()
}

/// A value that was put, and where its data lies.
struct Stored {
    faulty: Faulty,
    store: ResultStore,
    reference: ResultReference,
    data: (Path, Bytes),
}

impl Stored {
    async fn put(place: Place, serializer: &str, value: &Value) -> Self {
        let faulty = place.faulty().await;
        let store = faulty.store(TestClock::default()).await;
        let reference = store.put("k", value.clone()).serializer(serializer).await.unwrap();
        let data = faulty.find("data/", "").await;
        Self { faulty, store, reference, data }
    }

    async fn write(&self, path: &Path, bytes: impl Into<PutPayload>) {
        self.faulty.inner().put(path, bytes.into()).await.unwrap();
    }

    /// Damage to the data is found by every read that comes across it, and by `verify`.
    async fn assert_damaged(&self, what: &str, expected: &Value, certain: bool, kind: &str) {
        let reads = [self.store.get("k").await, self.store.get(&self.reference).await];
        for read in reads {
            match read {
                Ok(found) => assert!(!certain && same(&found, expected), "{what}: another value came out: {found:?}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error:?}");
                    assert!(error.to_string().contains(self.data.0.as_ref()), "{what}: no path in {error}");
                }
            }
        }
        let found = self.store.verify("", None).await.unwrap();
        assert_eq!(found.problems.len(), 1, "{what}: {found:?}");
        assert_eq!(found.problems[0].kind, kind, "{what}: {found:?}");
        assert!(found.problems[0].subject.contains("k@1"), "{what}: {found:?}");
    }
}

async fn a_flipped_bit_of_the_data_is_found_or_does_no_harm(place: Place) {
    for (serializer, value) in values_for(place) {
        let stored = Stored::put(place, serializer, &value).await;
        let (path, bytes) = &stored.data;
        let step = (bytes.len() / place.choose(150, 4)).max(1);
        for position in
            (0..bytes.len()).step_by(step).chain(bytes.len().saturating_sub(place.choose(40, 2))..bytes.len())
        {
            let mut flipped = bytes.to_vec();
            flipped[position] ^= 1 << (position % 8);
            stored.write(path, flipped).await;
            let what = format!("{serializer}, byte {position} of {}", bytes.len());
            stored.assert_damaged(&what, &value, false, "damaged").await;
        }
        stored.write(path, bytes.clone()).await;
        assert!(same(&stored.store.get("k").await.unwrap(), &value), "{serializer}");
    }
}

async fn data_cut_short_or_lengthened_or_emptied_or_gone_is_found(place: Place) {
    for (serializer, value) in values_for(place) {
        let stored = Stored::put(place, serializer, &value).await;
        let (path, bytes) = &stored.data;
        for length in [0, 1, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
            stored.write(path, bytes.slice(..length)).await;
            let what = format!("{serializer}, cut to {length} of {}", bytes.len());
            stored.assert_damaged(&what, &value, true, "damaged").await;
        }
        let longer = [bytes.as_ref(), b"more"].concat();
        stored.write(path, longer).await;
        stored.assert_damaged(&format!("{serializer}, lengthened"), &value, true, "damaged").await;
        stored.faulty.inner().delete(path).await.unwrap();
        stored.assert_damaged(&format!("{serializer}, gone"), &value, true, "dangling").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_on_a_disk_is_found_too() {
    for (serializer, value) in values() {
        let (folder, store) = local().await;
        let reference = store.put("k", value.clone()).serializer(serializer).await.unwrap();
        let path = reference.written().unwrap().parts[0].path.clone();
        let file = folder.path().join(&path);
        let bytes = std::fs::read(&file).unwrap();
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 16;
        let broken = [flipped, Vec::new(), bytes[..bytes.len() / 2].to_vec(), bytes[..bytes.len() - 1].to_vec()];
        for (number, bytes) in broken.into_iter().enumerate() {
            std::fs::write(&file, bytes).unwrap();
            match store.get("k").await {
                Ok(found) => assert!(number == 0 && same(&found, &value), "{serializer}, {number}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Damaged, "{serializer}, {number}: {error:?}");
                    assert!(error.to_string().contains(&path), "{error}");
                }
            }
            let found = store.verify("", None).await.unwrap();
            assert_eq!(found.problems.len(), 1, "{serializer}, {number}: {found:?}");
            assert_eq!(found.problems[0].kind, "damaged");
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(store.get("k").await.unwrap_err().kind(), ErrorKind::Damaged);
        assert_eq!(store.verify("", None).await.unwrap().problems[0].kind, "dangling");
    }
}

async fn a_flipped_bit_of_a_reference_never_gives_another_value(place: Place) {
    let chosen = ["parquet", "arrow", "json", "bytes", "compressed(lz4)/arrow"];
    for (serializer, value) in values_for(place).into_iter().filter(|(serializer, _)| chosen.contains(serializer)) {
        let stored = Stored::put(place, serializer, &value).await;
        let (path, bytes) = stored.faulty.find("refs/", ".json").await;
        for position in (0..bytes.len()).step_by(place.choose(1, 61)) {
            let mut flipped = bytes.to_vec();
            flipped[position] ^= 1 << (position % 7);
            stored.write(&path, flipped.clone()).await;
            let text = String::from_utf8_lossy(&flipped).into_owned();
            match stored.store.get("k").await {
                Ok(found) => assert!(same(&found, &value), "byte {position} of {text}: {found:?}"),
                Err(error) => assert_ne!(error.kind(), ErrorKind::Internal, "byte {position} of {text}: {error:?}"),
            }
            let _ = stored.store.versions("k").await.unwrap();
            let _ = stored.store.verify("", None).await.unwrap();
            let _ = stored.store.list("").await.unwrap();
        }
    }
}

async fn a_reference_that_is_cut_short_or_emptied_is_damaged_and_named(place: Place) {
    let stored = Stored::put(place, "parquet", &Value::Table(small().into())).await;
    let (path, bytes) = stored.faulty.find("refs/", ".json").await;
    let other_key = String::from_utf8(bytes.to_vec()).unwrap().replace("\"key\":\"k\"", "\"key\":\"other\"");
    let other_version = String::from_utf8(bytes.to_vec()).unwrap().replace("\"version\":1", "\"version\":2");
    let broken = [
        Bytes::new(),
        bytes.slice(..bytes.len() / 2),
        bytes.slice(..bytes.len() - 1),
        Bytes::from_static(b"\xff\xfe"),
        Bytes::from_static(b"{\"type\":\"none\",\"format\":1}"),
        other_key.into(),
        other_version.into(),
    ];
    for bytes in broken {
        stored.write(&path, bytes.clone()).await;
        let error = stored.store.get("k").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{bytes:?}: {error:?}");
        assert!(error.to_string().contains(path.as_ref()), "{error}");
        let found = stored.store.verify("", None).await.unwrap();
        assert!(found.problems.iter().any(|problem| problem.kind == "damaged"), "{bytes:?}: {found:?}");
        // A damaged version can still be deleted, and does not stand in the way of the next.
        assert_eq!(stored.store.versions("k").await.unwrap().len(), 1);
    }
    stored.store.delete("k").await.unwrap();
    assert_eq!(stored.store.put("k", small()).await.unwrap().version().get(), 2);
}

/// So little memory that a scan cannot have read all of a large table ahead.
const LITTLE: usize = 16 << 20;

async fn data_that_is_replaced_in_the_middle_of_a_scan_is_damage(place: Place) {
    for serializer in ["parquet", "arrow"] {
        let faulty = place.faulty().await;
        let store = faulty.builder().memory(LITTLE).open().await.unwrap();
        store.put("k", noise(7, LARGE)).serializer(serializer).await.unwrap();
        let (path, bytes) = faulty.find("data/", "").await;
        let mut batches = store.scan("k").batch_rows(10_000).batches().await.unwrap();
        batches.try_next().await.unwrap().unwrap();
        let mut replaced = bytes.to_vec();
        replaced.rotate_left(1000);
        faulty.inner().put(&path, replaced.into()).await.unwrap();
        let error = batches.try_for_each(|_| async { Ok(()) }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error:?}");
        assert!(error.to_string().contains(path.as_ref()), "{error}");
        assert!(error.to_string().contains("replaced while it was read"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_overwritten_in_the_middle_of_a_scan_is_damage() {
    for serializer in ["parquet", "arrow"] {
        let folder = tempfile::tempdir().unwrap();
        let builder = ResultStore::builder().configuration(Configuration::empty()).memory(LITTLE).durable(false);
        let store = builder.location(folder.path().to_str().unwrap()).open().await.unwrap();
        let reference = store.put("k", noise(8, LARGE)).serializer(serializer).await.unwrap();
        let path = reference.written().unwrap().parts[0].path.clone();
        let mut batches = store.scan("k").batch_rows(10_000).batches().await.unwrap();
        batches.try_next().await.unwrap().unwrap();
        let bytes = std::fs::read(folder.path().join(&path)).unwrap();
        std::fs::write(folder.path().join(&path), vec![0; bytes.len()]).unwrap();
        let error = batches.try_for_each(|_| async { Ok(()) }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error:?}");
        assert!(error.to_string().contains(&path), "{error}");
    }
}
