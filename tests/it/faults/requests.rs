//! Every request of a put, a get and a delete failing in turn.

use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::Bytes;
use coldframe::{Content, ErrorKind, IntoContent, ResultStore, Value};
use serde_json::json;

use super::{LARGE, PARTED, assert_clean, assert_sound, live, noise, table};
use crate::faulty::{Fault, Op, Place, TestClock, everywhere};
use crate::support::small;

everywhere! {
    a_put_whose_request_fails_is_done_or_leaves_nothing,
    a_put_in_parts_whose_request_fails_is_done_or_leaves_nothing,
    a_put_whose_storage_goes_away_leaves_nothing_damaged,
    a_get_whose_request_fails_says_so_or_gives_the_value,
    a_delete_whose_request_fails_is_done_or_changes_nothing,
    a_put_that_is_refused_or_finds_no_room_says_so_at_once_and_leaves_nothing,
    literals_keep_the_promise_too,
}

const HOUR: Duration = Duration::from_secs(3600);

/// Puts while the request `number` meets `fault`, and checks what is there then; tells whether any request did.
async fn put_with_a_fault(place: Place, number: usize, fault: Fault, batch: &RecordBatch, before: u64) -> bool {
    let faulty = place.faulty().await;
    for _ in 0..before {
        faulty.sound().await.put("k", small()).await.unwrap();
    }
    let kept = faulty.leftovers().await;
    let clock = TestClock::default();
    // Both where the client sends a request again that failed, and where it does not.
    let store = if before == 0 { faulty.store(clock).await } else { faulty.hasty(clock).await };
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
            assert_eq!(error.kind(), kind_of(fault), "request {number}, {fault:?}: {error:?}");
            let mut left = faulty.leftovers().await;
            left.retain(|path| !kept.contains(path));
            assert!(left.is_empty(), "request {number}, {fault:?}: left behind {left:?}");
        }
    }
    assert_eq!(live(&sound, "k").await, expected, "request {number}, {fault:?}");
    let found = sound.verify("", None).await.unwrap();
    assert_eq!(found.problems, [], "request {number}, {fault:?}");
    // The client starts an upload again whose answer was lost; the first has no name to abort it by.
    let started = faulty.failed().iter().any(|request| request.op == Op::Start) && fault == Fault::LoseReply;
    let notes: Vec<_> = found.notes.iter().filter(|note| !(started && note.kind == "unfinished")).collect();
    assert!(notes.is_empty() && found.notes.len() <= 1, "request {number}, {fault:?}: {:?}", found.notes);
    faulty.fired() > 0
}

/// What a request says that met `fault` and was not sent again.
fn kind_of(fault: Fault) -> ErrorKind {
    if fault == Fault::Deny { ErrorKind::Denied } else { ErrorKind::Unavailable }
}

async fn each_request_of_a_put(place: Place, batch: &RecordBatch, before: u64, least: usize) {
    for fault in [Fault::Fail, Fault::LoseReply, Fault::Deny] {
        let mut number = 0;
        while put_with_a_fault(place, number, fault, batch, before).await {
            number += 1;
        }
        assert!(number >= least, "a put made only {number} requests");
    }
}

async fn a_put_whose_request_fails_is_done_or_leaves_nothing(place: Place) {
    each_request_of_a_put(place, &small(), 0, 7).await;
    each_request_of_a_put(place, &small(), 2, 6).await;
}

async fn a_put_in_parts_whose_request_fails_is_done_or_leaves_nothing(place: Place) {
    let (rows, least) = place.choose((LARGE, 11), (PARTED, 9));
    each_request_of_a_put(place, &noise(1, rows), 0, least).await;
}

async fn a_put_whose_storage_goes_away_leaves_nothing_damaged(place: Place) {
    for large in [false, true] {
        let batch = if large { noise(2, place.choose(LARGE, PARTED)) } else { small() };
        for from in 0.. {
            let faulty = place.faulty().await;
            let store = faulty.hasty(TestClock::default()).await;
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

async fn a_get_whose_request_fails_says_so_or_gives_the_value(place: Place) {
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
        let faulty = place.faulty().await;
        let store = faulty.store(TestClock::default()).await;
        let reference = store.put("k", value.clone()).serializer(serializer).await.unwrap();
        for fault in [Fault::Fail, Fault::LoseReply, Fault::CutBody, Fault::Deny] {
            for number in 0.. {
                faulty.nth(number, fault);
                let outcome = match number % 2 {
                    0 => store.get("k").await,
                    _ => store.get(&reference.compact()).await,
                };
                match outcome {
                    Ok(found) => assert_same(found, &value),
                    Err(error) => {
                        // Only reads and listings are made, and a denied one of them keeps its meaning.
                        assert_eq!(error.kind(), kind_of(fault), "request {number}, {fault:?}: {error:?}");
                        // A client sends again what broke, but not for the rest of a listing or of a refusal.
                        let again = fault != Fault::CutBody || faulty.failed()[0].path.starts_with("data/");
                        let lasting = place == Place::Memory || fault == Fault::Deny;
                        assert!(lasting || !again, "{fault:?}: {error:?}");
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

async fn a_delete_whose_request_fails_is_done_or_changes_nothing(place: Place) {
    for force in [false, true] {
        for fault in place.choose(vec![Fault::Fail, Fault::LoseReply, Fault::Deny], vec![Fault::LoseReply, Fault::Deny])
        {
            for number in 0.. {
                let faulty = place.faulty().await;
                let store = faulty.hasty(TestClock::default()).await;
                store.put("k", small()).await.unwrap();
                faulty.nth(number, fault);
                let outcome = delete(&store, force).await;
                let fired = faulty.fired();
                if let Err(error) = &outcome {
                    assert_eq!(error.kind(), kind_of(fault), "request {number}, {fault:?}: {error:?}");
                }
                faulty.heal();
                assert_sound(&store).await;
                match &outcome {
                    Ok(()) => assert_eq!(store.get("k").await.unwrap_err().kind(), ErrorKind::Gone),
                    Err(_) => {
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

async fn a_put_that_is_refused_or_finds_no_room_says_so_at_once_and_leaves_nothing(place: Place) {
    // No server says that it is full, but a disk does.
    let full = (place == Place::Memory).then_some((Fault::Full, ErrorKind::StorageFull));
    for (fault, kind) in full.into_iter().chain([(Fault::Deny, ErrorKind::Denied)]) {
        for number in 0.. {
            let faulty = place.faulty().await;
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

async fn literals_keep_the_promise_too(place: Place) {
    for number in 0.. {
        let faulty = place.faulty().await;
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
