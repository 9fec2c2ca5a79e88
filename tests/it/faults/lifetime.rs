//! The 15-minute rule: a put that stood still must not commit, since its data may have been swept away.

use std::sync::Arc;
use std::time::Duration;

use coldframe::{Batches, ErrorKind, ResultStore};
use futures::StreamExt;
use tokio::sync::{mpsc, watch};

use super::{assert_clean, assert_sound, live, table};
use crate::faulty::{Fault, Faulty, Landed, Op, Place, Request, TestClock, everywhere};
use crate::support::small;

everywhere! {
    a_clock_that_jumps_between_upload_and_commit_ends_the_put,
    a_suspension_between_two_sendings_of_the_commit_leaves_its_outcome_open,
    a_slow_put_pins_itself_and_renews_its_pin_and_removes_it,
    a_put_whose_pin_cannot_be_written_for_fifteen_minutes_ends,
    a_pinned_put_that_fails_or_is_dropped_removes_its_pin,
    a_pin_stays_while_the_outcome_is_unknown,
}

const MINUTE: Duration = Duration::from_secs(60);

/// A table whose next batch comes when the test sends one.
fn slow() -> (mpsc::Sender<coldframe::Result<arrow::array::RecordBatch>>, Batches) {
    let (sender, receiver) = mpsc::channel(1);
    let batches = futures::stream::unfold(receiver, |mut receiver: mpsc::Receiver<_>| async {
        receiver.recv().await.map(|batch| (batch, receiver))
    });
    (sender, Batches::new(small().schema(), batches.boxed()))
}

/// Counts the writes of pins, and lets `fault` happen to them.
fn watch_pins(faulty: &Faulty, fault: Option<Fault>) -> watch::Receiver<usize> {
    let (sender, receiver) = watch::channel(0);
    let sender = Arc::new(sender);
    faulty.script(move |request| {
        let pin = request.op == Op::Put && request.path.starts_with("pins/");
        if pin {
            sender.send_modify(|pins| *pins += 1);
        }
        fault.filter(|_| pin)
    });
    receiver
}

/// How many pins there are.
async fn pins(faulty: &Faulty) -> usize {
    faulty.paths().await.iter().filter(|path| path.starts_with("pins/")).count()
}

async fn a_clock_that_jumps_between_upload_and_commit_ends_the_put(place: Place) {
    for (minutes, ends) in [(14, false), (16, true)] {
        let faulty = place.faulty().await;
        let clock = TestClock::default();
        let store = faulty.store(clock.clone()).await;
        // The machine is suspended while the last request before the commit is under way.
        faulty.on(1, Fault::Block, |request| request.op == Op::List);
        let put = tokio::spawn(store.put("k", small()).into_future());
        faulty.blocked(1).await;
        clock.advance(MINUTE * minutes);
        faulty.release();
        let outcome = put.await.unwrap();
        store.settled().await;
        assert_eq!(outcome.is_err(), ends, "{outcome:?}");
        if let Err(error) = outcome {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
            assert!(error.message().contains("16 minutes"), "{error}");
            assert_eq!(live(&store, "k").await, [] as [u64; 0]);
            assert_clean(&faulty).await;
        }
    }
}

async fn a_suspension_between_two_sendings_of_the_commit_leaves_its_outcome_open(place: Place) {
    let faulty = place.faulty().await;
    let clock = TestClock::default();
    let store = faulty.store(clock.clone()).await;
    let mut commits = 0;
    faulty.script(move |request| {
        commits += usize::from(request.is_commit());
        match (commits, request.is_commit()) {
            (1, true) => Some(Fault::LandLater),
            (1, false) => Some(Fault::Block),
            _ => None,
        }
    });
    let put = tokio::spawn(store.put("k", small()).into_future());
    faulty.blocked(1).await;
    clock.advance(MINUTE * 16);
    faulty.release();
    assert_eq!(put.await.unwrap().unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(faulty.land().await, [Landed::Done]);
    assert_eq!(table(&store, "k").await, small());
}

/// Twenty minutes of a put, in steps of one, each of which brings a batch.
async fn twenty_minutes(store: &ResultStore, clock: &TestClock) -> coldframe::Result<coldframe::ResultReference> {
    let (input, batches) = slow();
    let mut put = tokio::spawn(store.put("k", batches).into_future());
    for minute in 1..=20 {
        tokio::select! {
            // Whatever the last minute made it do is done.
            () = clock.slept(minute) => {}
            ended = &mut put => return ended.unwrap(),
        }
        clock.advance(MINUTE);
        if input.send(Ok(small())).await.is_err() {
            break;
        }
    }
    tokio::select! {
        () = clock.slept(21) => {}
        ended = &mut put => return ended.unwrap(),
    }
    drop(input);
    put.await.unwrap()
}

async fn a_slow_put_pins_itself_and_renews_its_pin_and_removes_it(place: Place) {
    let faulty = place.faulty().await;
    let clock = TestClock::default();
    let store = faulty.store(clock.clone()).await;
    let renewed = watch_pins(&faulty, None);
    let reference = twenty_minutes(&store, &clock).await.unwrap();
    assert_eq!(reference.written().unwrap().rows, Some(60));
    let renewed = *renewed.borrow();
    assert!((14..=16).contains(&renewed), "the pin was written {renewed} times");
    assert_eq!(pins(&faulty).await, 0);
    assert_eq!(live(&store, "k").await, [1]);
    assert_sound(&store).await;
}

async fn a_put_whose_pin_cannot_be_written_for_fifteen_minutes_ends(place: Place) {
    let faulty = place.faulty().await;
    let clock = TestClock::default();
    let store = faulty.hasty(clock.clone()).await;
    let tried = watch_pins(&faulty, Some(Fault::Fail));
    let error = twenty_minutes(&store, &clock).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.hint().is_some());
    assert!(*tried.borrow() > 5);
    store.settled().await;
    assert_clean(&faulty).await;
    assert_eq!(live(&store, "k").await, [] as [u64; 0]);
}

async fn a_pinned_put_that_fails_or_is_dropped_removes_its_pin(place: Place) {
    for dropped in [false, true] {
        let faulty = place.faulty().await;
        let clock = TestClock::default();
        let store = faulty.store(clock.clone()).await;
        let renewed = watch_pins(&faulty, None);
        let (input, batches) = slow();
        let mut put = store.put("k", batches).into_future();
        let minutes = async {
            for minute in 1..=8 {
                clock.slept(minute).await;
                clock.advance(MINUTE);
                input.send(Ok(small())).await.unwrap();
            }
            clock.slept(9).await;
            assert!(*renewed.borrow() > 0);
        };
        tokio::select! {
            done = &mut put => panic!("it ended: {done:?}"),
            () = minutes => {}
        }
        assert_eq!(pins(&faulty).await, 1);
        if dropped {
            drop(put);
        } else {
            let broken = input.send(Err(coldframe::Error::new(ErrorKind::Input, "the source broke")));
            let (_, outcome) = tokio::join!(broken, put);
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Input);
        }
        store.settled().await;
        assert_clean(&faulty).await;
    }
}

async fn a_pin_stays_while_the_outcome_is_unknown(place: Place) {
    let faulty = place.faulty().await;
    let clock = TestClock::default();
    let store = faulty.store(clock.clone()).await;
    faulty.on(usize::MAX, Fault::LandLater, Request::is_commit);
    assert_eq!(twenty_minutes(&store, &clock).await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    store.settled().await;
    // Without it a sweep could take the data before the commit lands.
    assert_eq!(pins(&faulty).await, 1);
    faulty.land().await;
    assert_eq!(live(&store, "k").await, [1]);
    assert_sound(&store).await;
}
