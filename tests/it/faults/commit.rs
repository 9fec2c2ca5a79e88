//! The one request that is the commit: unclear answers, conflicts, and being given up.

use std::time::Duration;

use coldframe::ErrorKind;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use super::{LARGE, PARTED, assert_clean, assert_sound, live, noise, table};
use crate::faulty::{Fault, Landed, Op, Place, Request, TestClock, everywhere, on_server};
use crate::support::{numbers, small};

everywhere! {
    a_commit_whose_reply_is_lost_succeeds_exactly_once,
    a_commit_that_lands_after_it_was_read_back_as_absent_makes_one_version,
    a_commit_that_lands_between_two_attempts_is_ours,
    a_name_said_to_be_taken_that_is_not_is_created_again,
    no_clear_answer_for_a_minute_is_an_unknown_outcome_and_the_data_stays,
    a_storage_that_cannot_be_read_back_leaves_the_outcome_unknown,
    a_number_that_another_writer_took_is_followed_by_the_next,
    a_conditional_put_that_loses_reports_a_conflict_and_leaves_no_data,
    a_put_dropped_before_its_commit_leaves_nothing,
    a_put_dropped_during_its_commit_comes_to_its_end,
    a_storage_that_overwrites_is_refused_before_anything_is_committed,
    a_store_of_an_unknown_format_is_refused,
}

on_server!(on_gcs, Gcs, a_storage_that_overwrites_is_refused_before_anything_is_committed);

async fn a_commit_whose_reply_is_lost_succeeds_exactly_once(place: Place) {
    let faulty = place.faulty().await;
    let store = faulty.store(TestClock::default()).await;
    faulty.on(1, Fault::LoseReply, Request::is_commit);
    assert_eq!(store.put("k", small()).await.unwrap().version().get(), 1);
    assert_eq!(faulty.fired(), 1);
    assert_eq!(live(&store, "k").await, [1]);
    assert_eq!(table(&store, "k").await, small());
}

async fn a_commit_that_lands_after_it_was_read_back_as_absent_makes_one_version(place: Place) {
    let faulty = place.faulty().await;
    let store = faulty.store(TestClock::default()).await;
    faulty.on(1, Fault::LandLater, Request::is_commit);
    let reference = store.put("k", small()).await.unwrap();
    assert_eq!(faulty.fired(), 1);
    // The same name was created again, so the first request finds it taken.
    let late = faulty.land().await;
    assert_eq!(late, [Landed::Taken]);
    assert_eq!(live(&store, "k").await, [1]);
    assert_eq!(store.reference("k").await.unwrap().write(), reference.write());
}

async fn a_commit_that_lands_between_two_attempts_is_ours(place: Place) {
    let faulty = place.faulty().await;
    let store = faulty.store(TestClock::default()).await;
    let mut commits = 0;
    // The first create is held back; the second waits until the test has let the first land.
    faulty.script(move |request| {
        commits += usize::from(request.is_commit());
        match commits {
            1 if request.is_commit() => Some(Fault::LandLater),
            2 if request.is_commit() => Some(Fault::Block),
            _ => None,
        }
    });
    let put = tokio::spawn(store.put("k", small()).into_future());
    faulty.blocked(1).await;
    assert_eq!(faulty.land().await, [Landed::Done]);
    faulty.release();
    assert_eq!(put.await.unwrap().unwrap().version().get(), 1);
    assert_eq!(live(&store, "k").await, [1]);
}

async fn a_name_said_to_be_taken_that_is_not_is_created_again(place: Place) {
    let faulty = place.faulty().await;
    let store = faulty.store(TestClock::default()).await;
    faulty.on(5, Fault::PretendExists, |request| request.op == Op::Create);
    assert_eq!(store.put("k", small()).await.unwrap().version().get(), 1);
    assert_eq!(faulty.fired(), 5);
    assert_eq!(live(&store, "k").await, [1]);
    assert_eq!(table(&store, "k").await, small());
}

async fn no_clear_answer_for_a_minute_is_an_unknown_outcome_and_the_data_stays(place: Place) {
    for fault in [Fault::LandLater, Fault::PretendExists] {
        let faulty = place.faulty().await;
        let store = faulty.store(TestClock::default()).await;
        let expiring = store.put("k", small()).expires_in(Duration::from_secs(86_400));
        faulty.on(usize::MAX, fault, Request::is_commit);
        let error = expiring.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
        assert!(faulty.fired() > 3, "it tried only {} times", faulty.fired());
        let left = faulty.leftovers().await;
        let write = left.iter().find_map(|path| path.strip_prefix("data/k/")?.strip_suffix(".parquet")).unwrap();
        assert!(error.message().contains(write), "{error} does not name {write}");
        assert!(error.message().contains("version 1"), "{error}");
        assert!(left.iter().any(|path| path.starts_with("due/")), "{left:?}");
        assert_eq!(live(&store, "k").await, [] as [u64; 0]);
        let late = faulty.land().await;
        if fault == Fault::LandLater {
            assert_eq!(late.iter().filter(|landed| **landed == Landed::Done).count(), 1, "{late:?}");
            assert_eq!(table(&store, "k").await, small());
            assert_eq!(live(&store, "k").await, [1]);
        }
        faulty.heal();
        assert_sound(&store).await;
    }
}

async fn a_storage_that_cannot_be_read_back_leaves_the_outcome_unknown(place: Place) {
    let faulty = place.faulty().await;
    let store = faulty.hasty(TestClock::default()).await;
    let mut sent = false;
    faulty.script(move |request| {
        sent |= request.is_commit();
        sent.then_some(if request.is_commit() { Fault::LoseReply } else { Fault::Fail })
    });
    assert_eq!(store.put("k", small()).await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    faulty.heal();
    assert_eq!(table(&store, "k").await, small());
    assert_sound(&store).await;
}

async fn a_number_that_another_writer_took_is_followed_by_the_next(place: Place) {
    // Both where the answer says so, and where the answer is lost and the name is read back.
    for fault in [Fault::Block, Fault::LandLater] {
        let faulty = place.faulty().await;
        let store = faulty.store(TestClock::default()).await;
        let other = faulty.sound().await;
        let mut commits = 0;
        faulty.script(move |request| {
            commits += usize::from(request.is_commit());
            match (request.is_commit(), commits) {
                (true, 1) => Some(fault),
                // The one that finds out what became of it.
                (false, 1) if fault == Fault::LandLater => Some(Fault::Block),
                _ => None,
            }
        });
        let put = tokio::spawn(store.put("k", small()).into_future());
        faulty.blocked(1).await;
        assert_eq!(other.put("k", numbers(10)).await.unwrap().version().get(), 1);
        faulty.release();
        assert_eq!(put.await.unwrap().unwrap().version().get(), 2);
        // A name that is taken stays with its owner, even when the first request lands after all.
        faulty.land().await;
        assert_eq!(table(&other, "k@1").await, numbers(10));
        assert_eq!(table(&other, "k@2").await, small());
        assert_sound(&other).await;
    }
}

async fn a_conditional_put_that_loses_reports_a_conflict_and_leaves_no_data(place: Place) {
    for after in [false, true] {
        let faulty = place.faulty().await;
        let store = faulty.store(TestClock::default()).await;
        faulty.on(1, Fault::Block, Request::is_commit);
        let put = store.put("k", small());
        let put = if after { put.after(0) } else { put.if_absent() };
        let put = tokio::spawn(put.into_future());
        faulty.blocked(1).await;
        let winner = faulty.sound().await.put("k", numbers(10)).await.unwrap();
        faulty.release();
        assert_eq!(put.await.unwrap().unwrap_err().kind(), ErrorKind::Conflict);
        let data = faulty.leftovers().await;
        assert_eq!(data, [winner.written().unwrap().parts[0].path.clone()]);
    }
}

async fn a_put_dropped_before_its_commit_leaves_nothing(place: Place) {
    let (rows, least) = place.choose((LARGE, 10), (PARTED, 8));
    let batch = noise(4, rows);
    for number in 0.. {
        let faulty = place.faulty().await;
        let store = faulty.store(TestClock::default()).await;
        faulty.script(move |request| (request.number == number && !request.is_commit()).then_some(Fault::Block));
        let mut put = store.put("k", &batch).serializer("arrow").expires_in(Duration::from_secs(3600)).into_future();
        let stuck = tokio::select! {
            biased;
            () = faulty.blocked(1) => true,
            done = &mut put => { done.unwrap(); false }
        };
        if !stuck {
            assert!(number >= least, "a put made only {number} requests before its commit");
            break;
        }
        drop(put);
        faulty.release();
        store.settled().await;
        assert_clean(&faulty).await;
        assert_eq!(live(&faulty.sound().await, "k").await, [] as [u64; 0], "request {number}");
    }
}

async fn a_put_dropped_during_its_commit_comes_to_its_end(place: Place) {
    for fault in [Fault::Block, Fault::LoseReply] {
        let faulty = place.faulty().await;
        let store = faulty.store(TestClock::default()).await;
        let mut sent = false;
        faulty.script(move |request| {
            let before = sent;
            sent |= request.is_commit();
            match (before, fault) {
                (false, _) => request.is_commit().then_some(fault),
                // The one that finds out what became of it.
                (true, Fault::LoseReply) => Some(Fault::Block),
                (true, _) => None,
            }
        });
        let mut put = store.put("k", small()).into_future();
        tokio::select! {
            biased;
            () = faulty.blocked(1) => {}
            done = &mut put => panic!("it ended: {done:?}"),
        }
        drop(put);
        faulty.release();
        while live(&faulty.sound().await, "k").await.is_empty() {
            tokio::task::yield_now().await;
        }
        store.settled().await;
        assert_eq!(table(&store, "k").await, small());
        assert_sound(&store).await;
    }
}

async fn a_storage_that_overwrites_is_refused_before_anything_is_committed(place: Place) {
    let faulty = place.faulty().await;
    let store = faulty.store(TestClock::default()).await;
    faulty.on(usize::MAX, Fault::Overwrite, |request| request.op == Op::Create);
    for _ in 0..2 {
        let error = store.put("k", small()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.hint().is_some());
        assert_clean(&faulty).await;
        assert_eq!(live(&store, "k").await, [] as [u64; 0]);
    }
}

async fn a_store_of_an_unknown_format_is_refused(place: Place) {
    for marker in ["{\"type\":\"store\",\"format\":2}\n", "", "not ours"] {
        let faulty = place.faulty().await;
        let path = Path::parse("coldframe.json").unwrap();
        faulty.inner().put(&path, PutPayload::from(marker.as_bytes().to_vec())).await.unwrap();
        let store = faulty.store(TestClock::default()).await;
        let error = store.put("k", small()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.message().contains("coldframe.json"), "{error}");
        assert_clean(&faulty).await;
        assert_eq!(faulty.find("coldframe", "").await.1, marker.as_bytes());
    }
}
