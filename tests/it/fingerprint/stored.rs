//! Fingerprints on their way through a store.

use std::sync::Arc;

use arrow::array::*;
use coldframe::fingerprint::{of_batches, of_json};
use coldframe::{Configuration, Literal, ResultReference, ResultStore};
use proptest::prelude::*;
use serde_json::json;
use tempfile::tempdir;

use crate::generate::table;
use crate::support::every_type;

async fn memory() -> ResultStore {
    let builder = ResultStore::builder().location("memory://").configuration(Configuration::empty());
    builder.open().await.unwrap()
}

fn told(reference: &ResultReference) -> Option<String> {
    reference.written().unwrap().fingerprint.clone()
}

fn fares() -> RecordBatch {
    let fares = Float64Array::from_iter((0..5_000).map(|row| (row % 7 > 0).then_some(f64::from(row) / 8.0)));
    let towns = StringArray::from_iter((0..5_000).map(|row| (row % 11 > 0).then(|| format!("town {}", row % 40))));
    RecordBatch::try_from_iter_with_nullable([
        ("fare", Arc::new(fares) as ArrayRef, true),
        ("town", Arc::new(towns), true),
    ])
    .unwrap()
}

#[tokio::test]
async fn a_put_computes_it_unless_memory_is_handed_over() {
    let store = memory().await;
    let expected = of_batches(&fares().schema(), [&fares()]).unwrap().to_string();
    for serializer in ["parquet", "parquet/lz4", "arrow/lz4", "arrow/zstd", "compressed(zstd)/arrow"] {
        let reference = store.put("fares", fares()).serializer(serializer).await.unwrap();
        assert_eq!(told(&reference).as_ref(), Some(&expected), "{serializer}");
        assert_eq!(told(&store.reference("fares").await.unwrap()).as_ref(), Some(&expected), "{serializer}");
        let without = store.put("fares", fares()).serializer(serializer).fingerprint(false).await.unwrap();
        assert_eq!(told(&without), None);
        assert!(!without.to_json().contains("fingerprint"));
    }
    let handed = store.put("fares", fares()).serializer("arrow").await.unwrap();
    assert_eq!(told(&handed), None);
    let asked = store.put("fares", fares()).serializer("arrow").fingerprint(true).await.unwrap();
    assert_eq!(told(&asked), Some(expected.clone()));
    let pieces: Vec<RecordBatch> = (0..50).map(|piece| fares().slice(piece * 100, 100)).collect();
    assert_eq!(told(&store.put("fares", pieces).await.unwrap()), Some(expected));
}

#[tokio::test]
async fn json_values_and_literals_have_one_and_bytes_have_none() {
    let store = memory().await;
    let value = json!({"rate": 0.5, "names": ["ż", "b"]});
    let reference = store.put("settings", value.clone()).await.unwrap();
    assert_eq!(told(&reference), Some(of_json(&value).unwrap().to_string()));
    assert_eq!(told(&store.put("settings", value).fingerprint(false).await.unwrap()), None);
    let reference = store.put("settings", Literal::Bool(true)).await.unwrap();
    assert_eq!(told(&reference), Some(of_json(&json!(true)).unwrap().to_string()));
    assert_eq!(told(&store.put("settings", json!([u64::MAX])).await.unwrap()), None);
    assert_eq!(told(&store.put("bytes", vec![1, 2, 3]).fingerprint(true).await.unwrap()), None);
    assert!(store.verify_contents("", None).await.unwrap().problems.is_empty());
}

#[tokio::test]
async fn a_copy_keeps_it() {
    let (from, to) = (memory().await, memory().await);
    let reference = from.put("fares", fares()).await.unwrap();
    from.copy(&reference, &to).await.unwrap();
    let copy = to.reference("fares").await.unwrap();
    assert!(told(&copy).is_some());
    assert_eq!(told(&copy), told(&reference));
}

#[tokio::test]
async fn verification_of_contents_finds_what_was_not_put() {
    let folder = tempdir().unwrap();
    let builder = ResultStore::builder().location(folder.path().to_str().unwrap()).durable(false);
    let store = builder.configuration(Configuration::empty()).open().await.unwrap();
    store.put("sound", fares()).await.unwrap();
    store.put("value", json!([1, 2])).await.unwrap();
    store.put("plain", fares()).fingerprint(false).await.unwrap();
    for key in ["fares", "json"] {
        let reference = match key {
            "fares" => store.put(key, fares()).await.unwrap(),
            _ => store.put(key, json!({"a": 1})).await.unwrap(),
        };
        let other = of_json(&json!("another")).unwrap().to_string();
        let path = folder.path().join(format!("refs/{key}/@/999999999998-v1.json"));
        let text = std::fs::read_to_string(&path).unwrap();
        let changed = text.replace(&told(&reference).unwrap(), &other);
        assert_ne!(text, changed);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, changed).unwrap();
    }
    assert!(store.verify("", None).await.unwrap().problems.is_empty());
    let found = store.verify_contents("", None).await.unwrap();
    let subjects: Vec<&str> = found.problems.iter().map(|problem| problem.subject.as_str()).collect();
    assert_eq!(subjects, ["fares@1", "json@1"]);
    assert!(found.problems.iter().all(|problem| problem.kind == "damaged"));
    assert!(found.problems[0].message.contains("it is not what was put"), "{:?}", found.problems[0]);
}

#[tokio::test]
async fn every_type_comes_back_with_its_fingerprint() {
    let store = memory().await;
    for (name, array) in every_type() {
        let batch = RecordBatch::try_from_iter_with_nullable([("c", array, true)]).unwrap();
        let expected = of_batches(&batch.schema(), [&batch]).unwrap();
        let mut stored = 0;
        for serializer in ["parquet", "arrow/lz4", "arrow"] {
            let Ok(reference) = store.put(&name, &batch).serializer(serializer).fingerprint(true).await else {
                continue;
            };
            stored += 1;
            assert_eq!(told(&reference), Some(expected.to_string()), "{name} through {serializer}");
            let table = store.get(&reference).await.unwrap().into_table().unwrap();
            assert_eq!(of_batches(&table.schema(), table.batches()).unwrap(), expected, "{name} through {serializer}");
        }
        assert!(stored > 1, "{name}");
    }
    let found = store.verify_contents("", None).await.unwrap();
    assert_eq!((found.problems, found.notes), (vec![], vec![]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_table_comes_back_with_its_fingerprint(table in table()) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let store = memory().await;
            for serializer in ["parquet", "arrow"] {
                let content = coldframe::Batches::from_batches(table.schema.clone(), table.batches.clone());
                let put = store.put("any", content).serializer(serializer).fingerprint(true).await;
                let Ok(reference) = put else { continue };
                let expected = of_batches(&table.schema, &table.batches).unwrap().to_string();
                prop_assert_eq!(told(&reference), Some(expected));
            }
            let found = store.verify_contents("", None).await.unwrap();
            prop_assert_eq!(found.problems, vec![]);
            Ok(())
        })?;
    }
}
