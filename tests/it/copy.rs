//! Versions copied between stores: the same bytes, checked, once; or nothing at all.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::*;
use arrow::datatypes::Int8Type;
use bytes::Bytes;
use coldframe::clock::{Clock, ManualClock};
use coldframe::{
    Copied, ErrorKind, Key, Literal, Progress, ResultReference, ResultStore, Target, Value, Version, Written,
};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use serde_json::{Value as Json, json};

use crate::faults::{live, table};
use crate::faulty::{Faulty, Op, TestClock, store_on};
use crate::support::{batch_of, every_type, local, memory, numbers, small};

mod damage;
mod faults;
mod races;
mod servers;

const HOUR: Duration = Duration::from_secs(3600);

/// Batches with dictionaries of their own, which do not fit one file.
fn parted() -> Vec<RecordBatch> {
    let batch = |number: usize| {
        let words: Vec<String> = (0..100).map(|row| format!("{number}-{row}")).collect();
        let words: DictionaryArray<Int8Type> = words.iter().map(|word| Some(word.as_str())).collect();
        RecordBatch::try_from_iter([("word", Arc::new(words) as ArrayRef)]).unwrap()
    };
    (0..3).map(batch).collect()
}

/// One value for each serializer, and the sizes that are special.
fn values() -> Vec<(&'static str, Value)> {
    let tables = ["parquet", "parquet/lz4", "arrow", "compressed(lz4)/arrow", "compressed(zstd)/parquet"];
    let mut values: Vec<_> = tables.into_iter().map(|name| (name, Value::Table(numbers(700).into()))).collect();
    values.push(("arrow/zstd", Value::Table(batch_of(every_type()).into())));
    values.push(("parquet", Value::Table(small().slice(0, 0).into())));
    let tree = json!({"a": [1, 2.5, null], "b": {"c": "text"}});
    values.extend(["json", "compressed(xz)/json"].map(|name| (name, Value::Json(tree.clone()))));
    for size in [0, 1, 3_000, 9_000_000] {
        let bytes: Bytes = (0..size).map(|at: u32| (at * 7 % 251) as u8).collect::<Vec<_>>().into();
        values.push(("bytes(image/png)", Value::Bytes(bytes.clone())));
        values.push(("compressed(gzip)/bytes", Value::Bytes(bytes)));
    }
    values
}

fn same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Table(found), Value::Table(expected)) => match (found.to_batch(), expected.to_batch()) {
            (Ok(rows), Ok(others)) => found.schema() == expected.schema() && rows == others,
            // Dictionaries that do not fit one batch come back batch by batch.
            _ => found == expected,
        },
        _ => found == expected,
    }
}

/// Nothing damaged, and nothing left over.
async fn assert_whole(store: &ResultStore) {
    store.settled().await;
    let found = store.verify("", None).await.unwrap();
    assert_eq!((found.problems, found.notes), (vec![], vec![]));
}

/// The bytes of a reference's data objects, as they lie on its store.
async fn objects(store: &ResultStore, reference: &ResultReference) -> Vec<Bytes> {
    let opened = store.open_result(reference).await.unwrap();
    let folder = std::path::PathBuf::from(store.url().unwrap().trim_start_matches("file://"));
    let paths = opened.reference().written().unwrap().parts.iter().map(|part| folder.join(&part.path));
    paths.map(|path| std::fs::read(path).unwrap().into()).collect()
}

/// What must be the same in a copy.
fn kept(written: &Written) -> Written {
    let mut kept = written.clone();
    kept.created = Default::default();
    kept.copied_from = None;
    kept.parts.iter_mut().for_each(|part| part.path.clear());
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_goes_to_another_store_and_on_to_a_third() {
    let (_folder, here) = local().await;
    let there = memory().await;
    let (_other_folder, third) = local().await;
    for (number, (serializer, value)) in values().into_iter().enumerate() {
        let key = format!("value/{number}");
        let original = here.put(key.as_str(), value.clone()).serializer(serializer).await.unwrap();
        let copied = here.copy(&original, &there).await.unwrap();
        assert!(!copied.already_there && copied.original == original, "{serializer}");
        let again = there.copy(&key, &third).await.unwrap();
        for (store, reference) in [(&there, &copied.reference), (&third, &again.reference)] {
            assert!(same(&store.get(reference).await.unwrap(), &value), "{serializer}");
            assert!(same(&store.get(&reference.compact()).await.unwrap(), &value), "{serializer}");
            assert_eq!(store.reference(&key).await.unwrap(), *reference);
            assert_eq!(kept(reference.written().unwrap()), kept(original.written().unwrap()), "{serializer}");
            assert_eq!(reference.storage(), store.url());
            let origin = reference.written().unwrap().copied_from.clone().unwrap();
            assert_eq!(
                (origin.key, origin.version, origin.write),
                (key.parse().unwrap(), Version::FIRST, original.write())
            );
            assert_eq!(origin.created, original.written().unwrap().created);
            assert_ne!(reference.write(), original.write());
        }
        assert_eq!(objects(&here, &original).await, objects(&third, &again.reference).await, "{serializer}");
    }
    assert_whole(&there).await;
    assert_whole(&third).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_in_several_files_and_literals_are_copied() {
    let (here, (_folder, there)) = (memory().await, local().await);
    let original = here.put("parts", parted()).serializer("arrow").await.unwrap();
    let files = original.written().unwrap().parts.len();
    assert!(files > 1, "it takes {files} files");
    let progress = Arc::new(Progress::default());
    let copied = here.copy("parts", &there).progress(progress.clone()).await.unwrap();
    assert_eq!(there.get("parts").await.unwrap(), here.get("parts").await.unwrap());
    let written = copied.reference.written().unwrap();
    assert_eq!(written.parts.len(), files);
    for (number, part) in written.parts.iter().enumerate() {
        let write = copied.reference.write();
        let suffix = if number == 0 { String::new() } else { format!("-{number:04}") };
        assert_eq!(part.path, format!("data/parts/{write}{suffix}.arrow"));
    }
    assert_eq!(progress.rows.load(Ordering::Relaxed), 300);
    assert_eq!(progress.bytes.load(Ordering::Relaxed), written.size);
    for literal in [Literal::Null, Literal::Bool(true), Literal::Bool(false)] {
        here.put("literal", literal).await.unwrap();
        let copied = here.copy("literal", &there).await.unwrap();
        assert_eq!(there.get(&copied.reference.compact()).await.unwrap(), Value::Json(literal.to_json()));
    }
    assert_eq!(live(&there, "literal").await, [3, 2, 1]);
    assert_whole(&there).await;
}

#[tokio::test]
async fn a_copy_keeps_what_was_said_and_has_a_time_and_a_number_of_its_own() {
    let clock = ManualClock::default();
    let sources = Faulty::new();
    let here = sources.store(clock.clone()).await;
    let targets = Faulty::new();
    let there = targets.store(clock.clone()).await;
    let before = there.put("k", json!(["older"])).await.unwrap();
    clock.advance(HOUR);
    let metadata = json!({"flow": "train"}).as_object().cloned().unwrap();
    let put = here.put("k", small()).title("Title").description("Two\nlines").metadata(metadata);
    let put = put.source(json!({"library": "pandas", "kind": "DataFrame"})).expires_in(10 * HOUR);
    let original = put.await.unwrap();
    let between = clock.now();
    clock.advance(HOUR);
    let copied = here.copy(&original.compact(), &there).await.unwrap();
    assert_eq!(copied.original, original);
    assert_eq!(copied.reference.version().get(), 2);
    let written = copied.reference.written().unwrap();
    assert_eq!(kept(written), kept(original.written().unwrap()));
    assert_eq!(written.created, clock.now());
    // At that time it had been put, and was not here yet.
    let as_of = there.reference(Target::AsOf("k".parse().unwrap(), between)).await.unwrap();
    assert_eq!(as_of, before);
    let (_, due) = targets.find("due/", "-expiry.json").await;
    let due: Json = serde_json::from_slice(&due).unwrap();
    assert_eq!(due["write"], json!(copied.reference.write()));
    assert_eq!(due["key"], "k");
    clock.advance(9 * HOUR);
    assert_eq!(there.get("k@2").await.unwrap_err().kind(), ErrorKind::Gone);
    assert_eq!(here.copy("k", &there).await.unwrap_err().kind(), ErrorKind::Gone);
}

#[tokio::test]
async fn what_is_expired_by_the_clock_of_either_store_is_not_copied() {
    let expires = ManualClock::default().now() + HOUR;
    for late in 0..2 {
        let clocks = [ManualClock::default(), ManualClock::default()];
        let (sources, targets) = (Faulty::new(), Faulty::new());
        let (here, there) = (sources.store(clocks[0].clone()).await, targets.store(clocks[1].clone()).await);
        here.put("k", small()).expires_at(expires).await.unwrap();
        clocks[late].advance(HOUR);
        let error = here.copy("k", &there).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Gone, "{error:?}");
        assert_eq!(error.message().starts_with("into the object store: "), late == 1, "{error}");
        assert_eq!(targets.requests(), 0);
    }
}

#[tokio::test]
async fn what_is_there_already_is_not_copied_again() {
    let (here, targets) = (memory().await, Faulty::new());
    let there = targets.store(TestClock::default()).await;
    let original = here.put("k", small()).await.unwrap();
    let first = here.copy("k", &there).await.unwrap().reference;
    there.put("k", numbers(3)).await.unwrap();
    let expect_found = async |copied: coldframe::Result<Copied>, expected: &ResultReference| {
        let copied = copied.unwrap();
        assert!(copied.already_there);
        assert_eq!(copied.reference, *expected);
    };
    targets.script(|request| {
        assert!(matches!(request.op, Op::List | Op::Get), "{request:?}");
        None
    });
    for _ in 0..2 {
        expect_found(here.copy("k", &there).await, &first).await;
        expect_found(here.copy(&original, &there).await, &first).await;
    }
    targets.heal();
    // Back where it came from, and through a third store.
    expect_found(there.copy("k@1", &here).await, &original).await;
    let third = memory().await;
    let in_third = there.copy("k@1", &third).await.unwrap().reference;
    expect_found(here.copy("k", &third).await, &in_third).await;
    expect_found(third.copy("k", &there).await, &first).await;
    // Within one store.
    expect_found(here.copy("k", &here).await, &original).await;
    assert_eq!(live(&here, "k").await, [1]);
    let renamed = here.copy("k", &here).key("other/k").await.unwrap();
    assert!(!renamed.already_there);
    expect_found(here.copy("k", &here).key("other/k").await, &renamed.reference).await;
    assert_whole(&here).await;
}

#[tokio::test]
async fn a_copy_that_was_deleted_is_made_again_and_its_data_stays() {
    let (here, targets) = (memory().await, Faulty::new());
    let there = targets.store(TestClock::default()).await;
    here.put("k", small()).await.unwrap();
    let first = here.copy("k", &there).await.unwrap().reference;
    there.delete("k").await.unwrap();
    let second = here.copy("k", &there).await.unwrap();
    assert!(!second.already_there);
    assert_eq!(second.reference.version().get(), 2);
    // The purge of the first one, whenever it comes, finds nothing of the second.
    assert_ne!(second.reference.write(), first.write());
    let names = |reference: &ResultReference| reference.written().unwrap().parts[0].path.clone();
    assert_ne!(names(&second.reference), names(&first));
    assert_eq!(table(&there, "k").await, small());
    assert_whole(&there).await;
}

#[tokio::test]
async fn a_copy_may_have_another_key() {
    let (here, there) = (memory().await, memory().await);
    here.put("a b/k", small()).await.unwrap();
    here.put("a b/k", numbers(5)).await.unwrap();
    let key: Key = "other/ż%".parse().unwrap();
    let copied = here.copy((&"a b/k".parse::<Key>().unwrap(), Version::FIRST), &there).key(&key).await.unwrap();
    assert_eq!((copied.original.to_string(), copied.reference.to_string()), ("a b/k@1".into(), "other/ż%@1".into()));
    assert!(copied.reference.written().unwrap().parts[0].path.starts_with("data/other/ż%25/"));
    assert_eq!(copied.reference.written().unwrap().copied_from.as_ref().unwrap().key.as_str(), "a b/k");
    assert_eq!(table(&there, "other/ż%").await, small());
    assert_eq!(there.get("a b/k").await.unwrap_err().kind(), ErrorKind::NotFound);
    let error = here.copy("a b/k", &there).key("a//b").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_whole(&there).await;
}

#[tokio::test]
async fn what_this_version_does_not_know_is_copied_as_it_is() {
    let sources = Faulty::new();
    let here = sources.store(TestClock::default()).await;
    here.put("k", json!({"a": 1})).await.unwrap();
    let (path, bytes) = sources.find("refs/", ".json").await;
    let mut reference: Json = serde_json::from_slice(&bytes).unwrap();
    // A serializer that neither store has, and fields of a later version.
    reference["serializer"] = json!({"type": "somebodys", "setting": 1});
    reference["later"] = json!({"field": [1]});
    reference["parts"][0]["later"] = json!("too");
    sources.inner().put(&path, PutPayload::from(reference.to_string())).await.unwrap();
    let there = memory().await;
    let copied = here.copy("k", &there).await.unwrap().reference;
    let copied: Json = serde_json::from_str(&copied.to_json()).unwrap();
    for field in ["/serializer", "/later", "/parts/0/later", "/parts/0/checksum", "/parts/0/extents"] {
        assert!(copied.pointer(field).is_some(), "{field}");
        assert_eq!(copied.pointer(field), reference.pointer(field), "{field}");
    }
    assert_whole(&there).await;
}
