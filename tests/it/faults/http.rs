//! What only a server does: it asks for patience, and its answers break off in the middle.

use std::collections::BTreeSet;

use bytes::Bytes;
use coldframe::{ErrorKind, Value};

use super::{PARTED, assert_clean, assert_sound, live, noise, table};
use crate::faulty::{Fault, Op, Place, Request, TestClock, on_server};
use crate::proxy::Exchange;
use crate::servers::Server;
use crate::support::small;

on_server!(
    on_s3,
    S3,
    each_request_is_known_for_what_it_is,
    a_server_that_asks_for_patience_is_asked_again,
    a_completed_upload_whose_answer_is_lost_is_known,
    an_answer_that_breaks_off_is_read_on_from_there,
    a_commit_is_never_sent_again_before_it_was_read_back,
    a_commit_that_is_denied_is_sent_once_and_leaves_nothing
);
on_server!(
    on_gcs,
    Gcs,
    each_request_is_known_for_what_it_is,
    a_server_that_asks_for_patience_is_asked_again,
    a_completed_upload_whose_answer_is_lost_is_known,
    an_answer_that_breaks_off_is_read_on_from_there,
    a_commit_is_never_sent_again_before_it_was_read_back,
    a_commit_that_is_denied_is_sent_once_and_leaves_nothing
);
on_server!(
    on_azure,
    Azure,
    each_request_is_known_for_what_it_is,
    a_server_that_asks_for_patience_is_asked_again,
    a_completed_upload_whose_answer_is_lost_is_known,
    an_answer_that_breaks_off_is_read_on_from_there,
    a_commit_is_never_sent_again_before_it_was_read_back,
    a_commit_that_is_denied_is_sent_once_and_leaves_nothing
);

/// Otherwise a fault would meet another request than its test means.
async fn each_request_is_known_for_what_it_is(place: Place) {
    let faulty = place.faulty().await;
    let store = faulty.store(TestClock::default()).await;
    store.put("a b/k%", noise(10, PARTED)).serializer("arrow").await.unwrap();
    store.delete("a b/k%").await.unwrap();
    faulty.proxy().unwrap().idle().await;
    let folder_of = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let mut found: Vec<(Op, String)> =
        faulty.proxy().unwrap().log().iter().map(|exchange| (exchange.op, folder_of(&exchange.path))).collect();
    // How often depends on whether the marker is read before it is there.
    for op in [Op::Create, Op::Get] {
        let before = found.len();
        found.retain(|found| *found != (op, "coldframe.json".to_owned()));
        assert!(found.len() < before, "{op:?}: {found:?}");
    }
    let started = if place == Place::On(Server::Azure) { vec![] } else { vec![(Op::Start, "data")] };
    let expected = [
        (Op::Part, "data"),
        (Op::Part, "data"),
        (Op::Complete, "data"),
        (Op::List, "refs"),
        (Op::Create, "refs"),
        // The delete: versions, announcement, its time, tags, reference, purge entry, marker, data, announcement.
        (Op::List, "refs"),
        (Op::Put, "refs"),
        (Op::Get, "refs"),
        (Op::List, "tags"),
        (Op::Get, "refs"),
        (Op::Put, "due"),
        (Op::Create, "refs"),
        (Op::Delete, "data"),
        (Op::Delete, "refs"),
    ];
    for (op, folder) in expected.into_iter().chain(started) {
        let at = found.iter().position(|found| *found == (op, folder.to_owned()));
        found.remove(at.unwrap_or_else(|| panic!("{op:?} in {folder} is not among {found:?}")));
    }
    assert_eq!(found, []);
    let data = faulty.proxy().unwrap().log().into_iter().filter(|exchange| exchange.path.starts_with("data/"));
    assert!(data.map(|exchange| exchange.path).all(|path| path.starts_with("data/a b/k%25/")));
}

async fn a_server_that_asks_for_patience_is_asked_again(place: Place) {
    for fault in [Fault::SlowDown, Fault::TooMany] {
        let faulty = place.faulty().await;
        let store = faulty.store(TestClock::default()).await;
        let mut seen = BTreeSet::new();
        // The first of each request.
        faulty.script(move |request| seen.insert(format!("{:?} {}", request.op, request.path)).then_some(fault));
        let batch = noise(11, PARTED);
        store.put("k", &batch).serializer("arrow").await.unwrap();
        assert_eq!(table(&store, "k").await, batch);
        store.delete("k").await.unwrap();
        assert!(faulty.fired() >= 14, "{:?}", faulty.failed());
        faulty.heal();
        store.settled().await;
        assert_eq!(store.get("k").await.unwrap_err().kind(), ErrorKind::Gone);
        assert_sound(&store).await;
    }
}

async fn a_completed_upload_whose_answer_is_lost_is_known(place: Place) {
    let faulty = place.faulty().await;
    let store = faulty.store(TestClock::default()).await;
    faulty.on(1, Fault::LoseReply, |request| request.op == Op::Complete);
    let batch = noise(12, PARTED);
    store.put("k", &batch).serializer("arrow").await.unwrap();
    assert_eq!(faulty.fired(), 1);
    assert_eq!(table(&store, "k").await, batch);
    assert_eq!(faulty.leftovers().await.len(), 1);
    assert_sound(&store).await;
}

/// The reads of data, in their order.
fn data_reads(log: Vec<Exchange>) -> Vec<Exchange> {
    log.into_iter().filter(|exchange| exchange.method == "GET" && exchange.path.starts_with("data/")).collect()
}

/// The first byte that a read asked for.
fn first_byte(read: &Exchange) -> u64 {
    let range = read.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok());
    range.unwrap_or(0)
}

async fn an_answer_that_breaks_off_is_read_on_from_there(place: Place) {
    let bytes = Bytes::from(noise(13, PARTED).column(0).to_data().buffers()[0].as_slice().to_vec());
    let values = [
        ("parquet", Value::Table(noise(13, PARTED).into())),
        ("arrow", Value::Table(noise(13, PARTED).into())),
        ("bytes", Value::Bytes(bytes)),
        ("json", Value::Json(serde_json::json!({"a": "b".repeat(100_000)}))),
    ];
    for (serializer, value) in values {
        let faulty = place.faulty().await;
        let store = faulty.store(TestClock::default()).await;
        store.put("k", value.clone()).serializer(serializer).await.unwrap();
        let before = faulty.proxy().unwrap().log().len();
        faulty.on(3, Fault::CutBody, |request| request.op == Op::Get && request.path.starts_with("data/"));
        let found = store.get("k").await.unwrap();
        match (found, &value) {
            (Value::Table(found), Value::Table(value)) => {
                assert_eq!(found.to_batch().unwrap(), value.to_batch().unwrap());
            }
            (found, value) => assert_eq!(found, *value),
        }
        assert!(faulty.fired() > 0, "{serializer}");
        let reads = data_reads(faulty.proxy().unwrap().log().split_off(before));
        let starts: BTreeSet<u64> = reads.iter().map(first_byte).collect();
        // None is asked for again from its beginning.
        assert_eq!(starts.len(), reads.len(), "{serializer}: {reads:?}");
        assert!(reads.len() > faulty.fired(), "{serializer}: {reads:?}");
    }
}

async fn a_commit_is_never_sent_again_before_it_was_read_back(place: Place) {
    for fault in [Fault::Fail, Fault::LandLater, Fault::SlowDown, Fault::PretendExists] {
        let faulty = place.faulty().await;
        let store = faulty.store(TestClock::default()).await;
        faulty.on(3, fault, Request::is_commit);
        let reference = store.put("k", small()).await.unwrap();
        assert_eq!(faulty.fired(), 3, "{fault:?}");
        faulty.land().await;
        assert_eq!(live(&store, "k").await, [1], "{fault:?}");
        assert_eq!(store.reference("k").await.unwrap().write(), reference.write());
        let log = faulty.proxy().unwrap().log();
        let commits = log.iter().filter(|exchange| exchange.path.ends_with("-v1.json"));
        let order: Vec<Op> = commits.take(7).map(|exchange| exchange.op).collect();
        assert_eq!(order, [Op::Create, Op::Get, Op::Create, Op::Get, Op::Create, Op::Get, Op::Create], "{fault:?}");
        // One after another.
        let commits: Vec<&Exchange> = log.iter().filter(|exchange| exchange.op == Op::Create).collect();
        assert!(commits.windows(2).all(|pair| pair[0].ended.is_some_and(|ended| ended < pair[1].begun)), "{log:?}");
    }
}

async fn a_commit_that_is_denied_is_sent_once_and_leaves_nothing(place: Place) {
    let faulty = place.faulty().await;
    let store = faulty.store(TestClock::default()).await;
    faulty.on(usize::MAX, Fault::Deny, Request::is_commit);
    let error = store.put("k", small()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    assert_eq!(faulty.fired(), 1);
    assert_clean(&faulty).await;
    assert_eq!(live(&store, "k").await, [] as [u64; 0]);
}
