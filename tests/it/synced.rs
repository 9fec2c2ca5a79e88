//! Whole stores that were copied by other tools, object by object: they read, and go on.

use std::sync::Arc;
use std::time::Duration;

use coldframe::storage::LocalFolder;
use coldframe::{Configuration, ErrorKind, Literal, ResultReference, ResultStore, Value, Version};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::json;

use crate::faults::{live, table};
use crate::support::{local, local_in, numbers, small};

/// A store with some of everything, and the references handed out.
async fn fill(store: &ResultStore) -> Vec<(ResultReference, Value)> {
    let table = Value::Table(numbers(700).into());
    let mut kept = Vec::new();
    for serializer in ["parquet", "arrow/lz4", "compressed(zstd)/arrow"] {
        let reference = store.put("a b/ż%", table.clone()).serializer(serializer).await.unwrap();
        kept.push((reference, table.clone()));
    }
    let tree = json!({"a": [1, null]});
    kept.push((store.put("tree", tree.clone()).title("A tree").await.unwrap(), Value::Json(tree)));
    kept.push((store.put("bytes", vec![7_u8; 3000]).await.unwrap(), Value::Bytes(vec![7; 3000].into())));
    kept.push((store.put("null", Literal::Null).await.unwrap(), Value::Json(json!(null))));
    let expiring = store.put("expiring", json!(1)).expires_in(Duration::from_secs(86_400)).await.unwrap();
    kept.push((expiring, Value::Json(json!(1))));
    store.put("deleted", small()).await.unwrap();
    store.delete("deleted").reason("a test").await.unwrap();
    store.settled().await;
    kept
}

/// Everything is there, under the references that the original handed out, and the store goes on.
async fn assert_goes_on(store: &ResultStore, kept: &[(ResultReference, Value)]) {
    for (reference, value) in kept {
        for reference in [reference, &reference.compact()] {
            assert_eq!(store.get(reference).await.unwrap(), *value, "{reference}");
        }
        assert_eq!(store.get(reference.to_string().as_str()).await.unwrap(), *value, "{reference}");
        assert_eq!(store.reference(reference).await.unwrap().storage(), store.url());
    }
    let error = store.get("deleted").await.unwrap_err();
    assert!(error.kind() == ErrorKind::Gone && error.to_string().contains("a test"), "{error:?}");
    let found = store.verify("", None).await.unwrap();
    assert_eq!((found.versions, found.problems, found.notes), (kept.len() as u64, vec![], vec![]));
    assert_eq!(store.put("a b/ż%", small()).await.unwrap().version().get(), 4);
    assert_eq!(store.put("deleted", small()).await.unwrap().version().get(), 2);
    store.delete("a b/ż%").version(Version::FIRST).await.unwrap();
    assert_eq!(live(store, "a b/ż%").await, [4, 3, 2]);
    assert_eq!(table(store, "deleted").await, small());
    let found = store.verify("", None).await.unwrap();
    assert_eq!((found.problems, found.notes), (vec![], vec![]));
}

async fn paths(objects: &dyn ObjectStore) -> Vec<Path> {
    objects.list(None).map_ok(|meta| meta.location).try_collect().await.unwrap()
}

async fn carry(from: &dyn ObjectStore, to: &dyn ObjectStore, paths: &[Path]) {
    for path in paths {
        let bytes = from.get(path).await.unwrap().bytes().await.unwrap();
        to.put(path, bytes.into()).await.unwrap();
    }
}

/// The same paths in another order, which is the same each time.
fn shuffled(mut paths: Vec<Path>, seed: usize) -> Vec<Path> {
    paths.sort();
    let mut state = seed;
    for last in (1..paths.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        paths.swap(last, (state >> 33) % (last + 1));
    }
    paths
}

async fn open(objects: &Arc<dyn ObjectStore>, root: &str) -> ResultStore {
    let builder = ResultStore::builder().configuration(Configuration::empty());
    builder.object_store(objects.clone(), root).open().await.unwrap()
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_copied_with_cp_is_a_store() {
    let (folder, store) = local().await;
    let kept = fill(&store).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("the copy");
    let status = std::process::Command::new("cp").arg("-r").args([folder.path(), &copy]).status().unwrap();
    assert!(status.success());
    drop(folder);
    assert_goes_on(&local_in(&copy).await, &kept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_were_carried_in_any_order_to_another_root_are_a_store() {
    for seed in 0..4 {
        let (folder, store) = local().await;
        let kept = fill(&store).await;
        let disk = LocalFolder::new(folder.path().to_owned(), false);
        let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let below = PrefixStore::new(memory.clone(), "backups/of today");
        carry(&disk, &below, &shuffled(paths(&disk).await, seed)).await;
        // And back to a disk.
        let restored = tempfile::tempdir().unwrap();
        let other_disk = LocalFolder::new(restored.path().to_owned(), false);
        carry(&below, &other_disk, &shuffled(paths(&below).await, seed + 1)).await;
        drop(folder);
        assert_goes_on(&open(&memory, "backups/of today").await, &kept).await;
        assert_goes_on(&local_in(restored.path()).await, &kept).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_carried_half_way_says_what_is_missing() {
    let (folder, store) = local().await;
    let kept = fill(&store).await;
    let disk = LocalFolder::new(folder.path().to_owned(), false);
    let all = paths(&disk).await;
    let (data, others): (Vec<Path>, Vec<Path>) = all.into_iter().partition(|path| path.as_ref().starts_with("data/"));
    // The references first, and no data yet.
    let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    carry(&disk, &memory, &others).await;
    let copy = open(&memory, "").await;
    for (reference, value) in &kept {
        let Some(part) = reference.written().unwrap().parts.first() else {
            assert_eq!(copy.get(reference).await.unwrap(), *value);
            continue;
        };
        let error = copy.get(&reference.compact()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error:?}");
        assert!(error.to_string().contains(&part.path) && error.hint().is_some(), "{error:?}");
    }
    let found = copy.verify("", None).await.unwrap();
    assert_eq!(found.problems.len(), data.len(), "{found:?}");
    assert!(found.problems.iter().all(|problem| problem.kind == "dangling"), "{found:?}");
    carry(&disk, &memory, &data).await;
    assert_goes_on(&copy, &kept).await;
    // The data first: nothing is visible, and nothing is wrong.
    let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    carry(&disk, &memory, &data).await;
    let copy = open(&memory, "").await;
    assert_eq!(copy.list("").await.unwrap().entries, []);
    let found = copy.verify("", None).await.unwrap();
    assert_eq!((found.problems.len(), found.notes.len()), (0, data.len()));
    carry(&disk, &memory, &others).await;
    assert_goes_on(&copy, &kept).await;
}

#[tokio::test]
async fn a_copy_finds_in_a_carried_store_what_is_there() {
    let (folder, store) = local().await;
    fill(&store).await;
    let disk = LocalFolder::new(folder.path().to_owned(), false);
    let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    carry(&disk, &memory, &paths(&disk).await).await;
    let copy = open(&memory, "").await;
    let copied = store.copy("tree", &copy).await.unwrap();
    assert!(copied.already_there);
    // From then on each goes its own way, and the numbers are each store's own.
    store.put("tree", json!([2])).await.unwrap();
    copy.put("tree", json!([3])).await.unwrap();
    let copied = store.copy("tree", &copy).await.unwrap();
    assert_eq!((copied.original.version().get(), copied.reference.version().get()), (2, 3));
    assert_eq!(copy.get("tree").await.unwrap(), Value::Json(json!([2])));
}
