//! Commits at once: several writers on one key, who must agree on numbers, and on keys of their own, who need not.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has to stop")]

mod data;

use coldframe::{Configuration, ResultStore, Table};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use futures::future::join_all;
use tokio::runtime::Runtime;

const WRITERS: [u64; 3] = [1, 8, 32];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    contention(&mut criterion);
    criterion.final_summary();
}

fn contention(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (table, _) = data::lineitem(10, 2);
    let mut group = criterion.benchmark_group("contention");
    for writers in WRITERS {
        group.throughput(Throughput::Elements(writers));
        for keys in ["one key", "own keys"] {
            group.bench_function(BenchmarkId::new(keys, writers), |bencher| {
                let routine = async |()| {
                    let store = memory().await;
                    let key =
                        |writer| if keys == "one key" { "bench/key".to_owned() } else { format!("bench/{writer}") };
                    join_all(
                        (0..writers).map(|writer| tokio::spawn(commit(store.clone(), key(writer), table.clone()))),
                    )
                    .await;
                    store
                };
                bencher.to_async(&runtime).iter_batched(|| (), routine, BatchSize::PerIteration);
            });
        }
    }
    group.finish();
}

async fn memory() -> ResultStore {
    let builder = ResultStore::builder().location("memory://").configuration(Configuration::empty());
    builder.open().await.unwrap()
}

async fn commit(store: ResultStore, key: String, table: Table) {
    store.put(key.as_str(), table).await.unwrap();
}
