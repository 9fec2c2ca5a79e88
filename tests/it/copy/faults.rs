//! Requests of a copy that fail, on either side, and copies that are given up: all is done, or nothing is.

use super::*;
use crate::faults::{LARGE, assert_clean, noise};
use crate::faulty::{Fault, Landed};

const MINUTE: Duration = Duration::from_secs(60);

/// The values that take different ways: in one request, in parts, in several files, in none.
fn ways() -> [(&'static str, Value); 4] {
    let files = coldframe::Table::try_new(parted()[0].schema(), parted()).unwrap();
    [
        ("parquet", Value::Table(small().into())),
        ("arrow", Value::Table(noise(1, LARGE).into())),
        ("arrow", Value::Table(files)),
        ("", Value::Json(json!(null))),
    ]
}

async fn stored(serializer: &str, value: &Value) -> (Faulty, ResultStore) {
    let sources = Faulty::new();
    let here = sources.store(TestClock::default()).await;
    let put = here.put("k", value.clone()).expires_in(HOUR);
    let put = if serializer.is_empty() { put } else { put.serializer(serializer) };
    put.await.unwrap();
    (sources, here)
}

/// What a copy came to that met a fault, judged by what is in the target then.
async fn assert_all_or_nothing(outcome: coldframe::Result<Copied>, targets: &Faulty, value: &Value, what: &str) {
    let sound = targets.sound().await;
    match outcome {
        Ok(copied) => {
            assert!(!copied.already_there, "{what}");
            assert!(same(&sound.get("k").await.unwrap(), value), "{what}");
            assert_eq!(live(&sound, "k").await, [1], "{what}");
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{what}: {error:?}");
            assert!(error.to_string().starts_with("copy k"), "{what}: {error}");
            assert_eq!(live(&sound, "k").await, [] as [u64; 0], "{what}");
            assert_clean(targets).await;
        }
    }
    assert_whole(&sound).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_request_to_the_target_fails_is_done_or_leaves_nothing() {
    for (way, (serializer, value)) in ways().into_iter().enumerate() {
        let (_, here) = stored(serializer, &value).await;
        for fault in [Fault::Fail, Fault::LoseReply] {
            for number in 0.. {
                let targets = Faulty::new();
                let there = targets.store(TestClock::default()).await;
                targets.nth(number, fault);
                let outcome = here.copy("k", &there).await;
                there.settled().await;
                if targets.fired() == 0 {
                    outcome.unwrap();
                    let least = [7, 11, 9, 6][way];
                    assert!(number >= least, "way {way} made only {number} requests");
                    break;
                }
                assert_all_or_nothing(outcome, &targets, &value, &format!("way {way}, {fault:?} of {number}")).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_request_to_the_source_fails_is_done_or_leaves_nothing() {
    for (way, (serializer, value)) in ways().into_iter().enumerate() {
        let (sources, here) = stored(serializer, &value).await;
        for fault in [Fault::Fail, Fault::LoseReply] {
            for number in 0.. {
                let targets = Faulty::new();
                let there = targets.store(TestClock::default()).await;
                sources.nth(number, fault);
                let outcome = here.copy("k", &there).await;
                there.settled().await;
                if sources.fired() == 0 {
                    outcome.unwrap();
                    assert!(number >= [3, 5, 5, 2][way], "way {way} made only {number} requests");
                    break;
                }
                assert_all_or_nothing(outcome, &targets, &value, &format!("way {way}, {fault:?} of {number}")).await;
            }
        }
    }
}

#[tokio::test]
async fn the_error_says_which_store_refused() {
    let (sources, here) = stored("parquet", &Value::Table(small().into())).await;
    for (fault, kind) in [(Fault::Deny, ErrorKind::Denied), (Fault::Full, ErrorKind::StorageFull)] {
        let targets = Faulty::new();
        let there = targets.store(TestClock::default()).await;
        targets.on(usize::MAX, fault, |request| request.path.starts_with("data/") && request.op == Op::Put);
        let error = here.copy("k", &there).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.to_string().starts_with("copy k@1: into the object store: "), "{error}");
        assert_clean(&targets).await;
    }
    let there = memory().await;
    sources.on(usize::MAX, Fault::Deny, |request| request.path.starts_with("data/"));
    let error = here.copy("k", &there).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    assert!(!error.to_string().contains("into"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_dropped_before_its_commit_leaves_nothing() {
    let (_, here) = stored("arrow", &Value::Table(noise(4, LARGE).into())).await;
    for number in 0.. {
        let targets = Faulty::new();
        let there = targets.store(TestClock::default()).await;
        targets.script(move |request| (request.number == number && !request.is_commit()).then_some(Fault::Block));
        let mut copy = here.copy("k", &there).into_future();
        let stuck = tokio::select! {
            biased;
            () = targets.blocked(1) => true,
            done = &mut copy => { done.unwrap(); false }
        };
        if !stuck {
            assert!(number >= 10, "a copy made only {number} requests before its commit");
            break;
        }
        drop(copy);
        targets.release();
        there.settled().await;
        assert_clean(&targets).await;
        assert_eq!(live(&targets.sound().await, "k").await, [] as [u64; 0], "request {number}");
    }
}

#[tokio::test]
async fn a_copy_dropped_during_its_commit_comes_to_its_end() {
    let (_, here) = stored("parquet", &Value::Table(small().into())).await;
    let targets = Faulty::new();
    let there = targets.store(TestClock::default()).await;
    targets.on(1, Fault::Block, crate::faulty::Request::is_commit);
    let mut copy = here.copy("k", &there).into_future();
    tokio::select! {
        biased;
        () = targets.blocked(1) => {}
        done = &mut copy => panic!("it ended: {done:?}"),
    }
    drop(copy);
    targets.release();
    while live(&targets.sound().await, "k").await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(table(&there, "k").await, small());
    assert_whole(&there).await;
}

#[tokio::test]
async fn an_unknown_outcome_keeps_the_data() {
    let (_, here) = stored("parquet", &Value::Table(small().into())).await;
    let targets = Faulty::new();
    let there = targets.store(TestClock::default()).await;
    targets.on(usize::MAX, Fault::LandLater, crate::faulty::Request::is_commit);
    let error = here.copy("k", &there).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
    assert_eq!(targets.land().await[0], Landed::Done);
    targets.heal();
    assert_eq!(table(&there, "k").await, small());
    assert!(here.copy("k", &there).await.unwrap().already_there);
    assert_whole(&there).await;
}

/// Lets the copy do what it can do without time passing.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

async fn pins(targets: &Faulty) -> usize {
    targets.paths().await.iter().filter(|path| path.starts_with("pins/")).count()
}

#[tokio::test]
async fn a_slow_copy_is_pinned_and_removes_its_pin() {
    for dropped in [false, true] {
        let (sources, here) = stored("parquet", &Value::Table(small().into())).await;
        let (targets, clock) = (Faulty::new(), TestClock::default());
        let there = targets.store(clock.clone()).await;
        // The source takes its time to hand the data over.
        sources.on(1, Fault::Block, |request| request.path.starts_with("data/"));
        let mut copy = here.copy("k", &there).into_future();
        let minutes = async {
            sources.blocked(1).await;
            for _ in 0..20 {
                settle().await;
                clock.advance(MINUTE);
            }
            settle().await;
        };
        tokio::select! {
            done = &mut copy => panic!("it ended: {done:?}"),
            () = minutes => {}
        }
        assert_eq!(pins(&targets).await, 1);
        if dropped {
            drop(copy);
            sources.release();
            there.settled().await;
            assert_clean(&targets).await;
        } else {
            sources.release();
            copy.await.unwrap();
            assert_eq!(pins(&targets).await, 0);
            assert_eq!(table(&there, "k").await, small());
        }
    }
}

#[tokio::test]
async fn a_copy_that_stood_still_too_long_is_not_committed() {
    for (minutes, ends) in [(14, false), (16, true)] {
        let (_, here) = stored("parquet", &Value::Table(small().into())).await;
        let (targets, clock) = (Faulty::new(), TestClock::default());
        let there = targets.store(clock.clone()).await;
        // The machine is suspended while the data is on its way.
        targets.on(1, Fault::Block, |request| request.path.starts_with("data/"));
        let copy = tokio::spawn(here.copy("k", &there).into_future());
        targets.blocked(1).await;
        clock.advance(MINUTE * minutes);
        targets.release();
        let outcome = copy.await.unwrap();
        there.settled().await;
        assert_eq!(outcome.is_err(), ends, "{outcome:?}");
        if let Err(error) = outcome {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
            assert!(error.message().contains("16 minutes"), "{error}");
            assert_eq!(live(&there, "k").await, [] as [u64; 0]);
            assert_clean(&targets).await;
        }
    }
}
