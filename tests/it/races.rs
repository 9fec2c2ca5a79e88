//! Many writers, readers and deletes at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use coldframe::storage::sequence;
use coldframe::storage::{Location, Storage};
use coldframe::{Configuration, Error, ErrorKind, ResultReference, ResultStore, Value, VersionState};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{PutMode, PutOptions};
use serde_json::json;

use crate::faults::{assert_sound, live, table};
use crate::faulty::{TestClock, store_on};
use crate::servers::Server;
use crate::support::{local_in, numbers, small};

/// A table that tells who wrote it.
fn of(writer: i64) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values([writer; 20]));
    RecordBatch::try_from_iter([("writer", column)]).unwrap()
}

/// A storage to race on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
    Memory,
    Disk,
    On(Server),
}

/// What its stores need as long as they are used.
enum Site {
    Memory(Arc<InMemory>),
    Disk(tempfile::TempDir),
    On(Server, String),
}

impl Ground {
    fn prepare(self) -> Site {
        match self {
            Self::Memory => Site::Memory(Arc::default()),
            Self::Disk => Site::Disk(tempfile::tempdir().unwrap()),
            Self::On(server) => Site::On(server, server.fresh()),
        }
    }

    /// `few` where a request is dear.
    fn choose<T>(self, many: T, few: T) -> T {
        if matches!(self, Self::On(_)) { few } else { many }
    }

    /// How many race. Google's dialect is served by the server of S3, which has shown what it can.
    fn racers(self) -> i64 {
        if self == Self::On(Server::Gcs) { 8 } else { 32 }
    }
}

impl Site {
    async fn open(&self) -> ResultStore {
        match self {
            Self::Memory(memory) => store_on(memory.clone(), Arc::new(TestClock::default())).await,
            Self::Disk(folder) => local_in(folder.path()).await,
            Self::On(server, location) => server.builder(&server.url().unwrap(), location).open().await.unwrap(),
        }
    }

    async fn pair(&self) -> [ResultStore; 2] {
        [self.open().await, self.open().await]
    }

    /// The storage below a store, for what needs no store.
    fn storage(&self) -> Storage {
        match self {
            Self::Memory(memory) => Storage::with_object_store(memory.clone(), "").unwrap(),
            Self::Disk(folder) => opened(folder.path().to_str().unwrap(), &[]),
            Self::On(server, location) => {
                let options = server.options(&server.url().unwrap()).into_iter();
                opened(location, &options.map(|(key, value)| (key.to_owned(), value)).collect::<Vec<_>>())
            }
        }
    }
}

fn opened(location: &str, options: &[(String, String)]) -> Storage {
    let location = Location::resolve(location, options, &Configuration::empty()).unwrap();
    Storage::open(&location, false).unwrap()
}

/// Makes each race, an `async fn(Ground)`, into one test for each storage.
macro_rules! on_every_storage {
    ($($test:ident),* $(,)?) => {
        on_every_storage!(@ in_memory, Ground::Memory, true, $($test)*);
        on_every_storage!(@ on_disk, Ground::Disk, true, $($test)*);
        on_every_storage!(@ on_s3, Ground::On(Server::S3), Server::S3.url().is_some(), $($test)*);
        on_every_storage!(@ on_gcs, Ground::On(Server::Gcs), Server::Gcs.url().is_some(), $($test)*);
        on_every_storage!(@ on_azure, Ground::On(Server::Azure), Server::Azure.url().is_some(), $($test)*);
    };
    (@ $module:ident, $ground:expr, $there:expr, $($test:ident)*) => {
        mod $module {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                if $there {
                    Box::pin(super::$test($ground)).await;
                }
            })*
        }
    };
}

on_every_storage! {
    writers_of_one_key_all_succeed_and_each_number_has_one_winner,
    of_conditional_writers_exactly_one_wins_and_the_others_leave_no_data,
    of_writers_after_one_version_exactly_one_wins_each_round,
    of_creates_of_a_name_exactly_one_wins_each_time,
    deletes_racing_with_puts_lose_no_put_and_reuse_no_number,
    deletes_racing_with_each_other_all_succeed,
    a_reader_racing_with_a_delete_gets_all_or_is_told_that_it_is_gone,
    first_puts_racing_on_an_empty_storage_all_succeed,
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

async fn writers_of_one_key_all_succeed_and_each_number_has_one_winner(ground: Ground) {
    let site = ground.prepare();
    let stores = site.pair().await;
    let over = Arc::new(AtomicBool::new(false));
    let readers =
        stores.clone().map(|store| tokio::spawn(read_whole_tables(store, ground.choose(usize::MAX, 20), over.clone())));
    let put = |writer: i64| stores[writer as usize % 2].put("a/k", of(writer)).into_future();
    let references: Vec<ResultReference> =
        race(ground.racers(), put).await.into_iter().collect::<Result<_, _>>().unwrap();
    over.store(true, Ordering::SeqCst);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    let numbers: BTreeSet<u64> = references.iter().map(|reference| reference.version().get()).collect();
    assert_eq!(numbers, (1..=references.len() as u64).collect());
    assert_eq!(references.len() as i64, ground.racers());
    for (writer, reference) in references.iter().enumerate() {
        assert_eq!(table(&stores[0], &reference.to_string()).await, of(writer as i64));
        assert_eq!(
            stores[1].get(reference).await.unwrap().into_table().unwrap().to_batch().unwrap(),
            of(writer as i64)
        );
    }
    assert_eq!(live(&stores[1], "a/k").await, numbers.into_iter().rev().collect::<Vec<_>>());
    assert_whole(&stores[0]).await;
}

/// Reads the newest version again and again, at most so often, which must be all of one writer; how often it was there.
async fn read_whole_tables(store: ResultStore, most: usize, over: Arc<AtomicBool>) -> usize {
    let mut read = 0;
    loop {
        let last = over.load(Ordering::SeqCst);
        match store.get("a/k").await {
            Ok(value) => {
                let batch = value.into_table().unwrap().to_batch().unwrap();
                let writer = batch.column(0).as_primitive::<Int64Type>().value(0);
                assert_eq!(batch, of(writer));
                read += 1;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}"),
        }
        if last || read == most {
            return read;
        }
        tokio::task::yield_now().await;
    }
}

/// Literals, since nothing but the commit is looked at.
async fn of_writers_after_one_version_exactly_one_wins_each_round(ground: Ground) {
    let site = ground.prepare();
    let stores = site.pair().await;
    let rounds = ground.choose(100, 5);
    for version in 0..rounds {
        let put =
            |writer: i64| stores[writer as usize % 2].put("k", json!(writer % 3 == 0)).after(version).into_future();
        let (writer, reference) = only_winner(race(ground.racers(), put).await);
        assert_eq!(reference.version().get(), version + 1);
        assert_eq!(stores[1].reference("k").await.unwrap().write(), reference.write());
        assert_eq!(stores[0].get("k").await.unwrap(), Value::Json(json!(writer % 3 == 0)));
    }
    assert_eq!(live(&stores[0], "k").await, (1..=rounds).rev().collect::<Vec<_>>());
    assert_whole(&stores[1]).await;
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

async fn of_conditional_writers_exactly_one_wins_and_the_others_leave_no_data(ground: Ground) {
    let site = ground.prepare();
    let stores = site.pair().await;
    let absent = |writer: i64| stores[writer as usize % 2].put("k", of(writer)).if_absent().into_future();
    let (writer, reference) = only_winner(race(ground.racers(), absent).await);
    assert_eq!(table(&stores[0], "k").await, of(writer as i64));
    assert_eq!(reference.version().get(), 1);
    assert_whole(&stores[0]).await;
    assert_whole(&stores[1]).await;
    for version in 1..ground.choose(4_u64, 2) {
        let after = |writer: i64| stores[writer as usize % 2].put("k", of(writer)).after(version).into_future();
        let (writer, reference) = only_winner(race(ground.racers(), after).await);
        assert_eq!(reference.version().get(), version + 1);
        assert_eq!(table(&stores[1], "k").await, of(writer as i64));
    }
    assert_whole(&stores[0]).await;
    assert_whole(&stores[1]).await;
    assert_eq!(live(&stores[0], "k").await.len() as u64, ground.choose(4, 2));
}

async fn deletes_racing_with_puts_lose_no_put_and_reuse_no_number(ground: Ground) {
    let site = ground.prepare();
    let stores = site.pair().await;
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
        race(ground.racers(), work).await.into_iter().collect::<Result<_, _>>().unwrap();
    let versions = stores[0].versions("k").await.unwrap();
    let numbers: Vec<u64> = versions.iter().map(|entry| entry.version.get()).collect();
    let puts = done.iter().flatten().count() as u64;
    assert_eq!(numbers, (1..=puts + 1).rev().collect::<Vec<_>>());
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

async fn deletes_racing_with_each_other_all_succeed(ground: Ground) {
    let site = ground.prepare();
    let stores = site.pair().await;
    for _ in 0..2 {
        stores[0].put("k", small()).await.unwrap();
    }
    let version = stores[0].reference("k").await.unwrap().version();
    let delete = |number: i64| stores[number as usize % 2].delete("k").version(version).into_future();
    for outcome in race(ground.racers(), delete).await {
        outcome.unwrap();
    }
    // Once more, since the answer of the first time may have been lost.
    assert_eq!(stores[0].delete("k").version(version).await.unwrap(), []);
    assert_eq!(live(&stores[1], "k").await, [1]);
    assert_eq!(table(&stores[0], "k").await, small());
    assert_whole(&stores[1]).await;
}

async fn a_reader_racing_with_a_delete_gets_all_or_is_told_that_it_is_gone(ground: Ground) {
    let site = ground.prepare();
    let stores = site.pair().await;
    for round in 0..ground.choose(10, 3) {
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

async fn first_puts_racing_on_an_empty_storage_all_succeed(ground: Ground) {
    for _ in 0..ground.choose(5, 2) {
        let site = ground.prepare();
        let mut stores = Vec::new();
        for _ in 0..8 {
            stores.push(site.open().await);
        }
        let put = |writer: i64| stores[writer as usize].put(format!("k/{writer}"), of(writer)).into_future();
        for outcome in race(8, put).await {
            outcome.unwrap();
        }
        assert_whole(&stores[0]).await;
    }
}

/// Rounds of the one request that a commit is, and of nothing else.
async fn of_creates_of_a_name_exactly_one_wins_each_time(ground: Ground) {
    let site = ground.prepare();
    let storages: Vec<Storage> = (0..2).map(|_| site.storage()).collect();
    // Nor does Google's dialect need as many rounds.
    for round in 0..if ground == Ground::On(Server::Gcs) { 25 } else { 100 } {
        let path = Path::from(format!("names/{round}"));
        let create = |writer: i64| {
            let (storage, path) = (storages[writer as usize % 2].clone(), path.clone());
            async move {
                let options = PutOptions::from(PutMode::Create);
                storage.creates().put_opts(&path, writer.to_string().into(), options).await
            }
        };
        let mut winners = Vec::new();
        for (writer, ended) in race(ground.racers(), create).await.into_iter().enumerate() {
            match ended {
                Ok(_) => winners.push(writer),
                Err(object_store::Error::AlreadyExists { .. }) => {}
                Err(other) => panic!("round {round}: {other:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        let found = sequence::read(&storages[0], &path).await.unwrap();
        assert_eq!(found, Some(winners[0].to_string().into()), "round {round}");
    }
}
