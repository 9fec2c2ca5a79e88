//! Fingerprints and checksums: how many bytes a second one thread hashes, by the type of a column.
//!
//! The fingerprint of lineitem beside its checksum says what there is to pay besides hashing the same bytes.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has to stop")]

mod data;

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::*;
use coldframe::checksum::{Checksum, ExtentsBuilder};
use coldframe::fingerprint::of_batches;
use criterion::{BenchmarkId, Criterion, Throughput};

const ROWS: usize = 1_000_000;
/// As many rows as a batch has on its way.
const BATCH_ROWS: usize = 64 * 1024;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    lineitem(&mut criterion);
    types(&mut criterion);
    criterion.final_summary();
}

/// The whole of lineitem, and as many bytes of a file.
fn lineitem(criterion: &mut Criterion) {
    let (table, bytes) = data::lineitem(usize::MAX, 16);
    let mut group = criterion.benchmark_group("hash");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    group.bench_function(BenchmarkId::new("fingerprint", "lineitem"), |bencher| {
        bencher.iter(|| of_batches(&table.schema(), table.batches()).unwrap());
    });
    let file: Vec<u8> = (0..bytes).map(|place| (place % 251) as u8).collect();
    group.bench_function(BenchmarkId::new("checksum", "whole"), |bencher| bencher.iter(|| Checksum::long(&file)));
    group.bench_function(BenchmarkId::new("checksum", "extents"), |bencher| {
        bencher.iter(|| {
            let mut extents = ExtentsBuilder::default();
            file.chunks(BATCH_ROWS).for_each(|piece| extents.update(piece));
            extents.finish()
        });
    });
    group.finish();
}

/// One column of each kind, a million rows in batches.
fn types(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash/fingerprint");
    group.sample_size(20);
    for (name, column) in columns() {
        let batch = RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap();
        let batches: Vec<RecordBatch> =
            (0..ROWS).step_by(BATCH_ROWS).map(|start| batch.slice(start, BATCH_ROWS.min(ROWS - start))).collect();
        let bytes = batch.columns()[0].get_buffer_memory_size() as u64;
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function(name, |bencher| bencher.iter(|| of_batches(&batch.schema(), &batches).unwrap()));
    }
    group.finish();
}

fn columns() -> Vec<(&'static str, ArrayRef)> {
    let numbers = || (0..ROWS as i64).map(|row| row.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64));
    let some = |share: usize| NullBuffer::from_iter((0..ROWS).map(move |row| row % share != 0));
    let int64 = Int64Array::from_iter_values(numbers());
    let holes = |share| Int64Array::new(int64.values().clone(), Some(some(share)));
    let floats = Float64Array::from_iter_values(numbers().map(|number| number as f64 / 3.0));
    let with_nans = Float64Array::from_iter_values(
        numbers().map(|number| if number % 100 == 0 { f64::NAN } else { number as f64 / 3.0 }),
    );
    let words = StringArray::from_iter_values(numbers().map(|number| format!("word {}", number.rem_euclid(100_000))));
    let words_with_nulls = StringArray::new(words.offsets().clone(), words.values().clone(), Some(some(10)));
    let long = StringArray::from_iter_values((0..ROWS).map(|row| format!("{row:050}")));
    let kinds: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..ROWS).map(|row| ["AIR", "RAIL", "SHIP"][row % 3])));
    let dictionary = |array: &ArrayRef| {
        let values = Box::new(array.data_type().clone());
        cast(array, &DataType::Dictionary(Box::new(DataType::Int32), values)).unwrap()
    };
    let tens: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers().map(|number| number.rem_euclid(10))));
    let item = Arc::new(Field::new_list_field(DataType::Int64, true));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths((0..ROWS).map(|row| row % 3));
    let items = Int64Array::from_iter_values((0..*offsets.last().unwrap()).map(i64::from));
    let lists = ListArray::new(item, offsets, Arc::new(items), None);
    let views = |array: &StringArray| cast(array, &DataType::Utf8View).unwrap();
    vec![
        ("int64", Arc::new(int64.clone()) as ArrayRef),
        ("int64, a tenth null", Arc::new(holes(10))),
        ("int64, half null", Arc::new(holes(2))),
        ("int8", cast(&tens, &DataType::Int8).unwrap()),
        ("float64", Arc::new(floats)),
        ("float64 with NaNs", Arc::new(with_nans)),
        ("decimal", cast(&tens, &DataType::Decimal128(12, 2)).unwrap()),
        ("boolean", Arc::new(BooleanArray::from_iter((0..ROWS).map(|row| Some(row % 3 == 0))))),
        ("short text", Arc::new(words.clone())),
        ("short text, a tenth null", Arc::new(words_with_nulls)),
        ("long text", Arc::new(long.clone())),
        ("short views", views(&words)),
        ("long views", views(&long)),
        ("dictionary of text", dictionary(&kinds)),
        ("dictionary of int64", dictionary(&tens)),
        ("lists of int64", Arc::new(lists)),
    ]
}
