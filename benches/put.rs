//! Puts TPC-H lineitem with each serializer, beside what `ArrowWriter` alone takes for the same table.
//!
//! A put also hashes, uploads and commits; and it encodes the columns of a row group in parallel, which `ArrowWriter`
//! does not. So the ratio of `put/parquet/…` to `put/arrow-rs/…` says what coldframe costs, or saves.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has to stop")]

mod data;

use std::fs::File;
use std::io::Write;

use coldframe::{Configuration, ResultReference, ResultStore, Table};
use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tempfile::{TempDir, tempdir};
use tokio::runtime::Runtime;

const SERIALIZERS: [&str; 4] = ["parquet", "parquet/lz4", "arrow", "arrow/lz4"];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    put(&mut criterion);
    criterion.final_summary();
}

fn put(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (table, bytes) = data::lineitem(usize::MAX, 16);
    let mut group = criterion.benchmark_group("put");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(bytes));

    // Each put has a store of its own, which goes when the time was taken: no put finds the disk fuller than another.
    for serializer in SERIALIZERS {
        group.bench_function(BenchmarkId::new(serializer, "local"), |bencher| {
            let routine = async |folder| put_local(folder, &table, serializer).await;
            bencher.to_async(&runtime).iter_batched(|| tempdir().unwrap(), routine, BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new(serializer, "memory"), |bencher| {
            let routine = async |()| put_memory(&table, serializer).await;
            bencher.to_async(&runtime).iter_batched(|| (), routine, BatchSize::PerIteration);
        });
    }
    group.bench_function(BenchmarkId::new("arrow-rs", "local"), |bencher| {
        let routine = |folder: TempDir| {
            write(File::create(folder.path().join("lineitem.parquet")).unwrap(), &table);
            folder
        };
        bencher.iter_batched(|| tempdir().unwrap(), routine, BatchSize::PerIteration);
    });
    group.bench_function(BenchmarkId::new("arrow-rs", "memory"), |bencher| {
        bencher.iter_with_large_drop(|| write(Vec::new(), &table));
    });
    group.finish();
}

async fn put_local(folder: TempDir, table: &Table, serializer: &str) -> (TempDir, ResultReference) {
    let builder = ResultStore::builder().location(folder.path().to_str().unwrap()).durable(false);
    let store = builder.configuration(Configuration::empty()).open().await.unwrap();
    (folder, store.put("bench/lineitem", table).serializer(serializer).await.unwrap())
}

/// The reference keeps the store, and so the memory, until the time was taken.
async fn put_memory(table: &Table, serializer: &str) -> ResultReference {
    let builder = ResultStore::builder().location("memory://");
    let store = builder.configuration(Configuration::empty()).open().await.unwrap();
    store.put("bench/lineitem", table).serializer(serializer).await.unwrap()
}

/// The baseline: one thread, the default serializer's codec and level, nothing else.
fn write<W: Write + Send>(to: W, table: &Table) -> W {
    let codec = Compression::ZSTD(ZstdLevel::try_new(1).unwrap());
    let properties = WriterProperties::builder().set_compression(codec).build();
    let mut writer = ArrowWriter::try_new(to, table.schema(), Some(properties)).unwrap();
    table.batches().iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}
