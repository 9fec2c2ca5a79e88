//! Many writers, readers and deletes at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use coldframe::{Error, ErrorKind, ResultReference, ResultStore, VersionState};
use object_store::memory::InMemory;

use crate::faults::{assert_sound, live, table};
use crate::faulty::{TestClock, store_on};
use crate::support::{local_in, numbers, small};

const WRITERS: i64 = 32;

/// A table that tells who wrote it.
fn of(writer: i64) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values([writer; 20]));
    RecordBatch::try_from_iter([("writer", column)]).unwrap()
}

/// Two stores each on the same storage: one in memory, one in a folder.
async fn pairs() -> (tempfile::TempDir, [[ResultStore; 2]; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let memory = Arc::new(InMemory::new());
    let in_memory = [
        store_on(memory.clone(), Arc::new(TestClock::default())).await,
        store_on(memory, Arc::new(TestClock::default())).await,
    ];
    let on_disk = [local_in(folder.path()).await, local_in(folder.path()).await];
    (folder, [in_memory, on_disk])
}

async fn race<T, F>(count: i64, mut start: impl FnMut(i64) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|number| tokio::spawn(start(number))).collect();
    let mut ended = Vec::new();
    for task in tasks {
        ended.push(task.await.unwrap());
    }
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_writers_of_one_key_all_succeed_and_each_number_has_one_winner() {
    let (_folder, pairs) = pairs().await;
    for stores in pairs {
        let put = |writer: i64| stores[writer as usize % 2].put("a/k", of(writer)).into_future();
        let references: Vec<ResultReference> = race(WRITERS, put).await.into_iter().collect::<Result<_, _>>().unwrap();
        let numbers: BTreeSet<u64> = references.iter().map(|reference| reference.version().get()).collect();
        assert_eq!(numbers, (1..=32).collect());
        for (writer, reference) in references.iter().enumerate() {
            assert_eq!(table(&stores[0], &reference.to_string()).await, of(writer as i64));
            assert_eq!(
                stores[1].get(reference).await.unwrap().into_table().unwrap().to_batch().unwrap(),
                of(writer as i64)
            );
        }
        assert_eq!(live(&stores[1], "a/k").await, (1..=32).rev().collect::<Vec<_>>());
        assert_whole(&stores[0]).await;
    }
}

/// Nothing damaged, and nothing left over.
async fn assert_whole(store: &ResultStore) {
    store.settled().await;
    let found = store.verify("", None).await.unwrap();
    assert_eq!((found.problems, found.notes), (vec![], vec![]));
}

fn only_winner(outcomes: Vec<Result<ResultReference, Error>>) -> (usize, ResultReference) {
    let mut winners = Vec::new();
    for (writer, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(reference) => winners.push((writer, reference)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}"),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    winners.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_thirty_two_conditional_writers_exactly_one_wins_and_the_others_leave_no_data() {
    let (_folder, pairs) = pairs().await;
    for stores in pairs {
        let absent = |writer: i64| stores[writer as usize % 2].put("k", of(writer)).if_absent().into_future();
        let (writer, reference) = only_winner(race(WRITERS, absent).await);
        assert_eq!(table(&stores[0], "k").await, of(writer as i64));
        assert_eq!(reference.version().get(), 1);
        assert_whole(&stores[0]).await;
        assert_whole(&stores[1]).await;
        for version in 1..4_u64 {
            let after = |writer: i64| stores[writer as usize % 2].put("k", of(writer)).after(version).into_future();
            let (writer, reference) = only_winner(race(WRITERS, after).await);
            assert_eq!(reference.version().get(), version + 1);
            assert_eq!(table(&stores[1], "k").await, of(writer as i64));
        }
        assert_whole(&stores[0]).await;
        assert_whole(&stores[1]).await;
        assert_eq!(live(&stores[0], "k").await, [4, 3, 2, 1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_racing_with_puts_lose_no_put_and_reuse_no_number() {
    let (_folder, pairs) = pairs().await;
    for stores in pairs {
        stores[0].put("k", of(-1)).await.unwrap();
        let work = |number: i64| {
            let store = stores[number as usize % 2].clone();
            async move {
                if number % 4 == 3 {
                    store.delete("k").await.map(|_| None)
                } else {
                    store.put("k", of(number)).await.map(Some)
                }
            }
        };
        let done: Vec<Option<ResultReference>> =
            race(WRITERS, work).await.into_iter().collect::<Result<_, _>>().unwrap();
        let versions = stores[0].versions("k").await.unwrap();
        let numbers: Vec<u64> = versions.iter().map(|entry| entry.version.get()).collect();
        assert_eq!(numbers, (1..=25).rev().collect::<Vec<_>>());
        for (number, reference) in done.iter().enumerate() {
            let Some(reference) = reference else { continue };
            let entry = versions.iter().find(|entry| entry.version == reference.version()).unwrap();
            assert_eq!(entry.reference.as_ref().unwrap().write(), reference.write());
            let read = stores[1].get(&reference.compact()).await;
            match &entry.state {
                VersionState::Live => {
                    assert_eq!(read.unwrap().into_table().unwrap().to_batch().unwrap(), of(number as i64))
                }
                VersionState::Deleted(_) => assert_eq!(read.unwrap_err().kind(), ErrorKind::Gone),
                other => panic!("{other:?}"),
            }
        }
        assert_whole(&stores[0]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_racing_with_each_other_all_succeed() {
    let (_folder, pairs) = pairs().await;
    for stores in pairs {
        for _ in 0..2 {
            stores[0].put("k", small()).await.unwrap();
        }
        let version = stores[0].reference("k").await.unwrap().version();
        let delete = |number: i64| stores[number as usize % 2].delete("k").version(version).into_future();
        for outcome in race(WRITERS, delete).await {
            outcome.unwrap();
        }
        // Once more, since the answer of the first time may have been lost.
        assert_eq!(stores[0].delete("k").version(version).await.unwrap(), []);
        assert_eq!(live(&stores[1], "k").await, [1]);
        assert_eq!(table(&stores[0], "k").await, small());
        assert_whole(&stores[1]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_racing_with_a_delete_gets_all_or_is_told_that_it_is_gone() {
    let (_folder, pairs) = pairs().await;
    for stores in pairs {
        for round in 0..10 {
            let reference = stores[0].put("k", numbers(2000)).await.unwrap();
            let work = |number: i64| {
                let (store, reference) = (stores[number as usize % 2].clone(), reference.clone());
                async move {
                    if number == 5 {
                        store.delete("k").await.map(|_| None)
                    } else if number % 2 == 0 {
                        store.get(&reference).await.map(Some)
                    } else {
                        store.get("k").await.map(Some)
                    }
                }
            };
            for outcome in race(12, work).await {
                match outcome {
                    Ok(Some(value)) => {
                        assert_eq!(value.into_table().unwrap().to_batch().unwrap(), numbers(2000))
                    }
                    Ok(None) => {}
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Gone, "round {round}: {error:?}"),
                }
            }
            assert_sound(&stores[0]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn first_puts_racing_in_an_empty_folder_all_succeed() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("made/by/the/first");
        let mut stores = Vec::new();
        for _ in 0..8 {
            stores.push(local_in(&root).await);
        }
        let put = |writer: i64| stores[writer as usize].put(format!("k/{writer}"), of(writer)).into_future();
        for outcome in race(8, put).await {
            outcome.unwrap();
        }
        assert_whole(&stores[0]).await;
    }
}
