//! Every request of a put, a get and a delete failing in turn.

use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::Bytes;
use coldframe::{Content, ErrorKind, IntoContent, ResultStore, Value};
use serde_json::json;

use super::{LARGE, assert_clean, assert_sound, live, noise, table};
use crate::faulty::{Fault, Faulty, TestClock};
use crate::support::small;

const HOUR: Duration = Duration::from_secs(3600);

/// Puts while the request `number` meets `fault`, and checks what is there then; tells whether any request did.
async fn put_with_a_fault(number: usize, fault: Fault, batch: &RecordBatch, before: u64) -> bool {
    let faulty = Faulty::new();
    for _ in 0..before {
        faulty.sound().await.put("k", small()).await.unwrap();
    }
    let kept = faulty.leftovers().await;
    let store = faulty.store(TestClock::default()).await;
    faulty.nth(number, fault);
    let outcome = store.put("k", batch).serializer("arrow").expires_in(HOUR).await;
    store.settled().await;
    let sound = faulty.sound().await;
    let mut expected: Vec<u64> = (1..=before).rev().collect();
    match outcome {
        Ok(reference) => {
            assert_eq!(reference.version().get(), before + 1);
            assert_eq!(table(&sound, "k").await, *batch, "request {number}, {fault:?}");
            expected.insert(0, before + 1);
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "request {number}, {fault:?}: {error:?}");
            let mut left = faulty.leftovers().await;
            left.retain(|path| !kept.contains(path));
            assert!(left.is_empty(), "request {number}, {fault:?}: left behind {left:?}");
        }
    }
    assert_eq!(live(&sound, "k").await, expected, "request {number}, {fault:?}");
    let found = sound.verify("", None).await.unwrap();
    assert_eq!((found.problems, found.notes), (vec![], vec![]), "request {number}, {fault:?}");
    faulty.fired() > 0
}

async fn each_request_of_a_put(batch: &RecordBatch, before: u64, least: usize) {
    for fault in [Fault::Fail, Fault::LoseReply] {
        let mut number = 0;
        while put_with_a_fault(number, fault, batch, before).await {
            number += 1;
        }
        assert!(number >= least, "a put made only {number} requests");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_request_fails_is_done_or_leaves_nothing() {
    each_request_of_a_put(&small(), 0, 7).await;
    each_request_of_a_put(&small(), 2, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_in_parts_whose_request_fails_is_done_or_leaves_nothing() {
    each_request_of_a_put(&noise(1, LARGE), 0, 11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_storage_goes_away_leaves_nothing_damaged() {
    for large in [false, true] {
        let batch = if large { noise(2, LARGE) } else { small() };
        for from in 0.. {
            let faulty = Faulty::new();
            let store = faulty.store(TestClock::default()).await;
            faulty.script(move |request| (request.number >= from).then_some(Fault::Fail));
            let outcome = store.put("k", &batch).serializer("arrow").await;
            store.settled().await;
            if faulty.fired() == 0 {
                outcome.unwrap();
                break;
            }
            faulty.heal();
            let sound = faulty.sound().await;
            assert_sound(&sound).await;
            match outcome {
                Ok(_) => assert_eq!(table(&sound, "k").await, batch),
                Err(error) => {
                    let kinds = [ErrorKind::Unavailable, ErrorKind::OutcomeUnknown];
                    assert!(kinds.contains(&error.kind()), "from {from}: {error:?}");
                    assert_eq!(live(&sound, "k").await, [] as [u64; 0], "from {from}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_whose_request_fails_says_so_or_gives_the_value() {
    let values: [(&str, Value); 7] = [
        ("parquet", Value::Table(noise(3, 300_000).into())),
        ("arrow", Value::Table(noise(3, 300_000).into())),
        ("arrow/zstd", Value::Table(small().into())),
        ("json", Value::Json(json!({"a": [1, 2, 3]}))),
        ("bytes", Value::Bytes(Bytes::from(vec![7; 2_000_000]))),
        ("compressed/json", Value::Json(json!(["b"]))),
        ("compressed(lz4)/arrow", Value::Table(small().into())),
    ];
    for (serializer, value) in values {
        let faulty = Faulty::new();
        let store = faulty.store(TestClock::default()).await;
        let reference = store.put("k", value.clone()).serializer(serializer).await.unwrap();
        for fault in [Fault::Fail, Fault::LoseReply, Fault::Deny] {
            for number in 0.. {
                faulty.nth(number, fault);
                let outcome = match number % 2 {
                    0 => store.get("k").await,
                    _ => store.get(&reference.compact()).await,
                };
                match outcome {
                    Ok(found) => assert_same(found, &value),
                    Err(error) => {
                        let kind = if fault == Fault::Deny { ErrorKind::Denied } else { ErrorKind::Unavailable };
                        // Only reads and listings are made, and a denied one of them keeps its meaning.
                        assert_eq!(error.kind(), kind, "{serializer}, request {number}: {error:?}");
                        assert!(error.operation().is_some() && error.subject().is_some(), "{error:?}");
                    }
                }
                if faulty.fired() == 0 {
                    assert!(number >= 3, "{serializer}: a get made only {number} requests");
                    break;
                }
            }
        }
    }
}

fn assert_same(found: Value, expected: &Value) {
    match (found, expected) {
        (Value::Table(found), Value::Table(expected)) => {
            assert_eq!(found.to_batch().unwrap(), expected.to_batch().unwrap())
        }
        (found, expected) => assert_eq!(found, *expected),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_whose_request_fails_is_done_or_changes_nothing() {
    for force in [false, true] {
        for fault in [Fault::Fail, Fault::LoseReply] {
            for number in 0.. {
                let faulty = Faulty::new();
                let store = faulty.store(TestClock::default()).await;
                store.put("k", small()).await.unwrap();
                faulty.nth(number, fault);
                let outcome = delete(&store, force).await;
                let fired = faulty.fired();
                faulty.heal();
                assert_sound(&store).await;
                match &outcome {
                    Ok(()) => assert_eq!(store.get("k").await.unwrap_err().kind(), ErrorKind::Gone),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Unavailable, "request {number}: {error:?}");
                        assert_eq!(table(&store, "k").await, small(), "request {number}, {fault:?}");
                    }
                }
                delete(&store, force).await.unwrap();
                assert_eq!(store.get("k").await.unwrap_err().kind(), ErrorKind::Gone);
                assert_sound(&store).await;
                assert_eq!(store.put("k", small()).await.unwrap().version().get(), 2);
                if fired == 0 {
                    outcome.unwrap();
                    assert!(number >= 6, "a delete made only {number} requests");
                    break;
                }
            }
        }
    }
}

async fn delete(store: &ResultStore, force: bool) -> coldframe::Result<()> {
    let delete = store.delete("k").reason("a test");
    if force { delete.force().await.map(drop) } else { delete.await.map(drop) }
}

#[tokio::test]
async fn a_put_that_is_refused_or_finds_no_room_says_so_at_once_and_leaves_nothing() {
    for (fault, kind) in [(Fault::Full, ErrorKind::StorageFull), (Fault::Deny, ErrorKind::Denied)] {
        for number in 0.. {
            let faulty = Faulty::new();
            let store = faulty.store(TestClock::default()).await;
            faulty.nth(number, fault);
            let outcome = store.put("k", small()).await;
            if faulty.fired() == 0 {
                break;
            }
            if let Err(error) = outcome {
                assert_eq!(error.kind(), kind, "request {number}: {error:?}");
                assert!(error.hint().is_some(), "{error:?}");
                assert_clean(&faulty).await;
                assert_eq!(live(&faulty.sound().await, "k").await, [] as [u64; 0]);
            }
            assert!(faulty.requests() < 20, "it tried {} times", faulty.requests());
        }
    }
}

#[tokio::test]
async fn literals_keep_the_promise_too() {
    for number in 0.. {
        let faulty = Faulty::new();
        let store = faulty.store(TestClock::default()).await;
        faulty.nth(number, Fault::LoseReply);
        let content: Content = json!(null).into_content().unwrap();
        let outcome = store.put("k", content).expires_in(HOUR).await;
        let fired = faulty.fired();
        let sound = faulty.sound().await;
        match outcome {
            Ok(_) => assert_eq!(sound.get("k").await.unwrap(), Value::Json(json!(null))),
            Err(_) => assert_clean(&faulty).await,
        }
        if fired == 0 {
            break;
        }
    }
}
