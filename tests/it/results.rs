//! Task results, references that resolve themselves, and expiry.

use std::sync::Arc;
use std::time::Duration;

use coldframe::clock::ManualClock;
use coldframe::{
    Configuration, ErrorKind, Producer, ResultRecord, ResultReference, ResultStore, Table, TaskResult, TaskResults,
    Value,
};
use serde_json::json;

use crate::support::{local, memory, numbers, small};

fn table() -> Value {
    Value::Table(Table::from(small()))
}

#[tokio::test]
async fn serializing_leaves_the_original_and_is_idempotent() {
    let store = memory().await;
    let producer = Producer::new(&store, "flow/a".parse().unwrap()).serializer("arrow/lz4");
    let original = TaskResult::new(table(), producer);
    let serialized = original.serialize().await.unwrap();
    assert!(!original.is_serialized() && serialized.is_serialized());
    let again = serialized.serialize().await.unwrap();
    assert_eq!(again.record(), serialized.record());
    let reference = serialized.record().and_then(ResultRecord::reference).unwrap();
    assert_eq!((reference.to_string().as_str(), reference.written().unwrap().serializer.name()), ("flow/a@1", "arrow"));
    let back = serialized.deserialize().await.unwrap();
    assert_eq!(back.value(), original.value());
    assert_eq!(back.deserialize().await.unwrap().value(), original.value());
}

#[tokio::test]
async fn inputs_travel_in_one_call_and_are_read_when_asked() {
    let store = memory().await;
    let mut inputs = TaskResults::default();
    let of = |key: &str| Producer::new(&store, key.parse().unwrap());
    inputs.insert("a", TaskResult::new(table(), of("flow/a").serializer("parquet/snappy")));
    inputs.insert("b", TaskResult::new(Value::Json(json!({"x": 1})), of("flow/b")));
    inputs.insert("none", TaskResult::new(Value::Json(json!(null)), of("flow/none")));
    assert_eq!(inputs.to_json().unwrap_err().kind(), ErrorKind::InvalidInput);
    let json = inputs.serialize().await.unwrap().to_json().unwrap();
    assert!(!store.exists("flow/none").await.unwrap(), "a literal needs no version");
    let loaded = TaskResults::from_json(&json, &store).unwrap();
    // Loading reads nothing: what is deleted now is only missed when it is asked for.
    store.delete("flow/b").await.unwrap();
    let value = loaded.get("a").unwrap().deserialize().await.unwrap();
    assert_eq!(value.value(), Some(&table()));
    assert_eq!(loaded.get("none").unwrap().deserialize().await.unwrap().value(), Some(&Value::Json(json!(null))));
    assert_eq!(loaded.get("b").unwrap().deserialize().await.unwrap_err().kind(), ErrorKind::Gone);
}

#[tokio::test]
async fn a_state_has_no_result_until_there_is_one() {
    let none = TaskResult::default();
    assert!(none.is_no_result() && none.is_serialized());
    assert_eq!(none.serialize().await.unwrap().record(), Some(&ResultRecord::default()));
    assert_eq!(none.deserialize().await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_reference_keeps_its_value_until_it_is_released() {
    let (folder, store) = local().await;
    let reference = store.put("kept", numbers(100)).await.unwrap();
    assert!(!reference.is_resolved());
    let first = reference.get().await.unwrap();
    std::fs::remove_dir_all(folder.path().join("data")).unwrap();
    let second = reference.get().await.unwrap();
    assert!(Arc::ptr_eq(&first, &second) && reference.is_resolved());
    assert!(!reference.to_json().contains("row "), "a value is never serialized");
    assert!(!reference.clone().is_resolved(), "a clone is another object");
    reference.release();
    assert_eq!(reference.get().await.unwrap_err().kind(), ErrorKind::Damaged);
}

#[tokio::test]
async fn a_reference_from_anywhere_does_not_open_a_strange_storage() {
    let (_folder, store) = local().await;
    let reference = store.put("there", small()).await.unwrap();
    let stranger = ResultReference::from_json(&reference.to_json()).unwrap();
    assert_eq!(stranger, reference);
    let error = stranger.get().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    assert_eq!(*stranger.bind(&store).get().await.unwrap(), table());
}

#[tokio::test]
async fn what_has_expired_is_refused_and_was_announced() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::default();
    let builder = ResultStore::builder().configuration(Configuration::empty()).clock(Arc::new(clock.clone()));
    let store = builder.location(folder.path().to_str().unwrap()).durable(false).open().await.unwrap();
    let reference = store.put("short", small()).expires_in(Duration::from_secs(3600)).await.unwrap();
    let hour = reference.written().unwrap().expires.unwrap().format("%Y-%m-%dT%H").to_string();
    let due = folder.path().join("due").join(hour).join(format!("{}-expiry.json", reference.write()));
    assert!(due.is_file(), "{}", due.display());
    store.get("short").await.unwrap();
    clock.advance(Duration::from_secs(3601));
    for outcome in [store.get("short").await, store.get(&reference).await] {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Gone);
        assert!(error.message().contains("expired at"), "{error}");
    }
    assert!(!store.exists("short").await.unwrap());
    assert!(store.list("").await.unwrap().entries.is_empty());
}
