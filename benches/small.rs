//! Puts and gets a small table: what a put and a get cost beside the data.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has to stop")]

mod data;

use coldframe::{Configuration, ResultStore};
use criterion::{BenchmarkId, Criterion, Throughput};
use tempfile::tempdir;
use tokio::runtime::Runtime;

const ROWS: usize = 1_000;
const COLUMNS: usize = 8;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    small(&mut criterion);
    criterion.final_summary();
}

fn small(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (table, _) = data::lineitem(ROWS, COLUMNS);
    let folders = [tempdir().unwrap(), tempdir().unwrap()];
    let open = |location, durable| {
        let builder = ResultStore::builder().location(location).durable(durable).configuration(Configuration::empty());
        runtime.block_on(builder.open()).unwrap()
    };
    let stores: [(&str, ResultStore); 3] = [
        ("local, durable", open(folders[0].path().to_str().unwrap(), true)),
        ("local", open(folders[1].path().to_str().unwrap(), false)),
        ("memory", open("memory://", true)),
    ];

    let mut group = criterion.benchmark_group("small");
    group.throughput(Throughput::Elements(1));
    for (place, store) in &stores {
        // A key of its own for each put, as tasks have: so that the thousandth put finds no thousand versions.
        let mut keys = (0_u64..).map(|number| format!("puts/{number}"));
        group.bench_function(BenchmarkId::new("put", place), |bencher| {
            bencher.to_async(&runtime).iter(|| {
                let key = keys.next().unwrap();
                store.put(key.as_str(), &table).into_future()
            });
        });
    }
    for (place, store) in stores.iter().filter(|(place, _)| *place != "local, durable") {
        let reference = runtime.block_on(store.put("gets/table", &table).into_future()).unwrap();
        let compact = reference.compact();
        group.bench_function(BenchmarkId::new("get by key", place), |bencher| {
            bencher.to_async(&runtime).iter(|| store.get("gets/table"));
        });
        group.bench_function(BenchmarkId::new("get by reference", place), |bencher| {
            bencher.to_async(&runtime).iter(|| store.get(&reference));
        });
        group.bench_function(BenchmarkId::new("get by compact reference", place), |bencher| {
            bencher.to_async(&runtime).iter(|| store.get(&compact));
        });
    }
    group.finish();
}
