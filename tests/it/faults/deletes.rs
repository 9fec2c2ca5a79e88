//! Deletes: what protects a version, what a deleted one leaves, and who is told.

use coldframe::{ErrorKind, ResultStore, Version, VersionState};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use serde_json::json;

use super::{LARGE, assert_sound, live, noise, table};
use crate::faulty::{Fault, Faulty, Op, Place, TestClock, everywhere};
use crate::support::{local, small};

everywhere! {
    a_tagged_version_is_deleted_only_by_force,
    a_tag_that_cannot_be_read_protects_everything,
    a_number_is_never_given_twice,
    a_delete_says_when_by_whom_and_why_and_is_no_error_twice,
    a_scan_of_a_version_that_is_deleted_finishes_or_says_so,
    a_delete_that_stands_still_for_fifteen_minutes_withdraws,
}

async fn tag(faulty: &Faulty, key: &str, version: u64) {
    let path = Path::parse("tags/golden/@/999999999998.json").unwrap();
    let entry = json!({"key": key, "version": version}).to_string();
    faulty.inner().put(&path, PutPayload::from(entry)).await.unwrap();
}

async fn announcements(faulty: &Faulty) -> Vec<String> {
    let mut paths = faulty.paths().await;
    paths.retain(|path| path.contains(".going-"));
    paths
}

async fn a_tagged_version_is_deleted_only_by_force(place: Place) {
    let faulty = place.faulty().await;
    let store = faulty.store(TestClock::default()).await;
    for _ in 0..2 {
        store.put("k", small()).await.unwrap();
    }
    tag(&faulty, "k", 1).await;
    let error = store.delete("k").version(Version::FIRST).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert!(error.message().contains("golden"), "{error}");
    assert!(error.hint().is_some());
    assert_eq!(announcements(&faulty).await, [] as [String; 0]);
    assert_eq!(live(&store, "k").await, [2, 1]);
    assert_eq!(table(&store, "k@1").await, small());
    store.delete("k").version(Version::new(2).unwrap()).await.unwrap();
    store.delete("k").version(Version::FIRST).force().await.unwrap();
    assert_eq!(live(&store, "k").await, [] as [u64; 0]);
    assert_eq!(announcements(&faulty).await, [] as [String; 0]);
    assert_sound(&store).await;
}

async fn a_tag_that_cannot_be_read_protects_everything(place: Place) {
    let faulty = place.faulty().await;
    let store = faulty.store(TestClock::default()).await;
    store.put("k", small()).await.unwrap();
    let path = Path::parse("tags/golden/@/999999999998.json").unwrap();
    faulty.inner().put(&path, PutPayload::from_static(b"{\"key\":")).await.unwrap();
    assert_eq!(store.delete("k").await.unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(announcements(&faulty).await, [] as [String; 0]);
    assert_eq!(live(&store, "k").await, [1]);
    store.delete("k").force().await.unwrap();
}

async fn a_number_is_never_given_twice(place: Place) {
    let faulty = place.faulty().await;
    let store = faulty.store(TestClock::default()).await;
    for expected in 1..=3 {
        assert_eq!(store.put("k", small()).await.unwrap().version().get(), expected);
    }
    assert_eq!(store.delete("k").await.unwrap().len(), 3);
    let old = store.versions("k").await.unwrap();
    assert!(old.iter().all(|entry| matches!(entry.state, VersionState::Deleted(_))), "{old:?}");
    assert_eq!(store.put("k", small()).if_absent().await.unwrap().version().get(), 4);
    assert_eq!(faulty.sound().await.put("k", small()).after(4).await.unwrap().version().get(), 5);
    assert_eq!(live(&store, "k").await, [5, 4]);
}

async fn a_delete_says_when_by_whom_and_why_and_is_no_error_twice(place: Place) {
    let faulty = place.faulty().await;
    let store = faulty.store(TestClock::default()).await;
    let reference = store.put("k", small()).await.unwrap();
    assert_eq!(store.delete("k").reason("too old").await.unwrap(), [Version::FIRST]);
    assert_eq!(store.delete("k").version(Version::FIRST).await.unwrap(), []);
    assert_eq!(store.delete("k").await.unwrap(), []);
    let VersionState::Deleted(deletion) = store.versions("k").await.unwrap()[0].state.clone() else { panic!() };
    for error in [store.get("k").await.unwrap_err(), store.get(&reference.compact()).await.unwrap_err()] {
        assert_gone(&error, &deletion);
        assert!(error.message().contains("too old"), "{error}");
    }
    assert!(!faulty.paths().await.iter().any(|path| path.starts_with("data/")));
    for missing in [store.delete("nothing").await, store.delete("k").version(Version::MAX).await] {
        assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(live(&store, "nothing").await, [] as [u64; 0]);
}

fn assert_gone(error: &coldframe::Error, deletion: &coldframe::Deletion) {
    assert_eq!(error.kind(), ErrorKind::Gone, "{error:?}");
    let when = deletion.at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    assert!(error.message().contains(&when) && error.message().contains(&deletion.by), "{error}");
}

#[tokio::test]
async fn many_announcements_do_not_hide_an_older_version() {
    let (folder, on_disk) = local().await;
    for store in [on_disk] {
        store.put("k", small()).await.unwrap();
        store.put("k", small()).await.unwrap();
        store.delete("k").version(Version::new(2).unwrap()).await.unwrap();
        let versions = folder.path().join("refs/k/@");
        for number in 0..30 {
            let name = format!("999999999997-v2.going-01JD00000000000000000000{number:02}");
            std::fs::write(versions.join(name), "{}").unwrap();
        }
        assert_eq!(table(&store, "k").await, small());
        assert_eq!(store.reference("k").await.unwrap().version(), Version::FIRST);
        assert_eq!(store.put("k", small()).await.unwrap().version().get(), 3);
    }
}

/// Deletes a version while a scan of it has read its first batch, and reads on.
async fn scan_across_a_delete(store: &ResultStore, serializer: &str) {
    let rows = LARGE / 2;
    let batch = noise(6, rows);
    store.put("k", &batch).serializer(serializer).await.unwrap();
    let mut batches = store.scan("k").batch_rows(10_000).batches().await.unwrap();
    let first = batches.try_next().await.unwrap().unwrap();
    let version = store.reference("k").await.unwrap().version();
    store.delete("k").reason("in the middle").await.unwrap();
    let mut read = vec![first];
    let outcome = loop {
        match batches.try_next().await {
            Ok(Some(batch)) => read.push(batch),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let got = arrow::compute::concat_batches(&batch.schema(), &read).unwrap();
    assert_eq!(got, batch.slice(0, got.num_rows()));
    match outcome {
        Ok(()) => assert_eq!(got.num_rows() as u64, rows),
        Err(error) => {
            let versions = store.versions("k").await.unwrap();
            let entry = versions.iter().find(|entry| entry.version == version).unwrap();
            let VersionState::Deleted(deletion) = &entry.state else { panic!("{entry:?}") };
            assert_gone(&error, deletion);
            assert!(error.message().contains("in the middle"), "{error}");
        }
    }
}

async fn a_scan_of_a_version_that_is_deleted_finishes_or_says_so(place: Place) {
    let faulty = place.faulty().await;
    let store = faulty.store(TestClock::default()).await;
    for serializer in ["parquet", "arrow"] {
        scan_across_a_delete(&store, serializer).await;
    }
}

#[tokio::test]
async fn a_scan_of_files_that_are_deleted_finishes_or_says_so() {
    let (_folder, on_disk) = local().await;
    for serializer in ["parquet", "arrow"] {
        scan_across_a_delete(&on_disk, serializer).await;
    }
}

async fn a_delete_that_stands_still_for_fifteen_minutes_withdraws(place: Place) {
    let faulty = place.faulty().await;
    let clock = TestClock::default();
    let store = faulty.store(clock.clone()).await;
    store.put("k", small()).await.unwrap();
    faulty.on(1, Fault::Block, |request| request.op == Op::Put && request.path.ends_with("-purge.json"));
    let delete = tokio::spawn(store.delete("k").into_future());
    faulty.blocked(1).await;
    clock.advance(std::time::Duration::from_secs(16 * 60));
    faulty.release();
    assert_eq!(delete.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(announcements(&faulty).await, [] as [String; 0]);
    assert_eq!(table(&store, "k").await, small());
    store.delete("k").await.unwrap();
}
