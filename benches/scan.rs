//! Scans TPC-H lineitem, whole and two columns of it, beside what `ParquetRecordBatchReader` alone takes.
//!
//! A scan also checks every byte that it reads. The baseline reads the very file that the put wrote.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has to stop")]

mod data;

use std::fs::{self, File};

use bytes::Bytes;
use coldframe::{Configuration, ResultReference, ResultStore};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use futures::TryStreamExt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;
use tempfile::tempdir;
use tokio::runtime::Runtime;

const SERIALIZERS: [&str; 4] = ["parquet", "parquet/lz4", "arrow", "arrow/lz4"];
const TWO_COLUMNS: [&str; 2] = ["l_extendedprice", "l_shipdate"];
/// What a scan gives at most, so that the baseline gives the same.
const BATCH_ROWS: usize = 64 * 1024;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    scan(&mut criterion);
    criterion.final_summary();
}

fn scan(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (table, bytes) = data::lineitem(usize::MAX, 16);
    let folder = tempdir().unwrap();
    let open = |location| {
        let builder = ResultStore::builder().location(location).durable(false).configuration(Configuration::empty());
        runtime.block_on(builder.open()).unwrap()
    };
    let stores = [("local", open(folder.path().to_str().unwrap())), ("memory", open("memory://"))];
    let put = |store: &ResultStore, serializer| {
        runtime.block_on(store.put("bench/lineitem", &table).serializer(serializer).into_future()).unwrap()
    };
    let written = stores
        .each_ref()
        .map(|(place, store)| (*place, store, SERIALIZERS.map(|serializer| (serializer, put(store, serializer)))));
    let file = folder.path().join(&written[0].2[0].1.written().unwrap().parts[0].path);

    // Of two columns, too, the rate is that of the whole table: it says how fast one gets through it.
    for (name, columns) in [("scan", None), ("scan two columns", Some(TWO_COLUMNS))] {
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(bytes));
        for (place, store, references) in &written {
            for (serializer, reference) in references {
                group.bench_function(BenchmarkId::new(*serializer, place), |bencher| {
                    bencher.to_async(&runtime).iter(|| rows_of(store, reference, columns));
                });
            }
        }
        baseline(&mut group, "local", columns, || File::open(&file).unwrap());
        let content = Bytes::from(fs::read(&file).unwrap());
        baseline(&mut group, "memory", columns, || content.clone());
        group.finish();
    }
}

async fn rows_of(store: &ResultStore, reference: &ResultReference, columns: Option<[&str; 2]>) -> usize {
    let scan = store.scan(reference);
    let scan = match columns {
        Some(columns) => scan.columns(columns),
        None => scan,
    };
    scan.batches().await.unwrap().try_fold(0, async |rows, batch| Ok(rows + batch.num_rows())).await.unwrap()
}

fn baseline<R: ChunkReader + 'static>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    place: &str,
    columns: Option<[&str; 2]>,
    open: impl Fn() -> R,
) {
    group.bench_function(BenchmarkId::new("arrow-rs", place), |bencher| {
        bencher.iter(|| {
            let builder = ParquetRecordBatchReaderBuilder::try_new(open()).unwrap().with_batch_size(BATCH_ROWS);
            let builder = match columns {
                Some(columns) => {
                    let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
                    builder.with_projection(mask)
                }
                None => builder,
            };
            builder.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>()
        });
    });
}
