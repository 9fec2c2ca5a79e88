//! The encoder, beside the library's own reader: what goes in comes out, and the same rows give the same file.

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::concat_batches;
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use proptest::prelude::*;

use super::encode::ParquetEncoder;
use super::{Parquet, Preset};
use crate::serializer::Piece;
use crate::serializer::memory_file::MemoryFile;

const MEMORY: usize = 64 * 1024 * 1024;

fn encoded(batches: &[RecordBatch], parquet: &Parquet, memory: usize, threads: usize) -> Bytes {
    let encoder = ParquetEncoder::try_new(&batches[0].schema(), parquet, memory, threads).unwrap();
    MemoryFile::written(encoder, batches.iter().cloned().map(Piece::Batch)).bytes
}

fn metadata(file: &Bytes) -> Arc<ParquetMetaData> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options).unwrap().metadata().clone()
}

fn decoded(file: &Bytes) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(|batch| batch.unwrap()).collect();
    concat_batches(&schema, &batches).unwrap().with_schema(schema).unwrap()
}

fn parquets() -> Vec<Parquet> {
    let codec = |codec| Parquet::with_codec(Some(codec), None).unwrap();
    let mut all: Vec<Parquet> = [Preset::Fast, Preset::Default, Preset::Small].map(Parquet::with_preset).to_vec();
    all.extend(["none", "snappy", "lz4", "zstd", "gzip"].map(codec));
    all
}

/// Cuts a batch into pieces of these lengths, over and over.
fn cut(batch: &RecordBatch, lengths: &[usize]) -> Vec<RecordBatch> {
    let (mut at, mut pieces) = (0, Vec::new());
    for length in lengths.iter().cycle() {
        if at == batch.num_rows() {
            break;
        }
        let length = (*length).clamp(1, batch.num_rows() - at);
        pieces.push(batch.slice(at, length));
        at += length;
    }
    pieces
}

/// A table of every type that is encoded here, and some that the library encodes.
fn table(rows: usize, seed: u64) -> RecordBatch {
    let number = |row: usize, most: u64| {
        let mixed = (row as u64 ^ seed.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29) % most
    };
    let null = |row: usize| number(row, 11) == 0;
    let some = |row: usize, most: u64| (!null(row)).then(|| number(row, most));
    let each = 0..rows;
    let text = |row: usize| some(row, 40).map(|n| format!("text {n}"));
    let long = |row: usize| some(row, u64::MAX).map(|n| format!("{n:x}").repeat(1 + (n % 4) as usize));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("sorted", Arc::new(each.clone().map(|row| row as i64 * 3 + (row % 4) as i64).collect::<Int64Array>())),
        ("few", Arc::new(each.clone().map(|row| some(row, 7).map(|n| n as i32)).collect::<Int32Array>())),
        ("bytes", Arc::new(each.clone().map(|row| number(row, 200) as i8).collect::<Int8Array>())),
        ("shorts", Arc::new(each.clone().map(|row| some(row, 60_000).map(|n| n as u16)).collect::<UInt16Array>())),
        ("words", Arc::new(each.clone().map(|row| number(row, u64::MAX) as u32).collect::<UInt32Array>())),
        ("longs", Arc::new(each.clone().map(|row| some(row, u64::MAX)).collect::<UInt64Array>())),
        (
            "floats",
            Arc::new(each.clone().map(|row| some(row, 9_000).map(|n| n as f32 / 8.0)).collect::<Float32Array>()),
        ),
        ("doubles", Arc::new(each.clone().map(|row| f64::from_bits(number(row, u64::MAX))).collect::<Float64Array>())),
        ("dates", Arc::new(each.clone().map(|row| some(row, 3_000).map(|n| n as i32)).collect::<Date32Array>())),
        (
            "times",
            Arc::new(
                each.clone()
                    .map(|row| Some(1_600_000_000_000_000 + row as i64 * 1_000_000))
                    .collect::<PrimitiveArray<TimestampMicrosecondType>>()
                    .with_timezone("UTC"),
            ),
        ),
        (
            "money",
            Arc::new(
                each.clone()
                    .map(|row| some(row, 100_000).map(i128::from))
                    .collect::<Decimal128Array>()
                    .with_precision_and_scale(12, 2)
                    .unwrap(),
            ),
        ),
        ("texts", Arc::new(each.clone().map(text).collect::<StringArray>())),
        ("large", Arc::new(each.clone().map(long).collect::<LargeStringArray>())),
        ("views", Arc::new(each.clone().map(text).collect::<StringViewArray>())),
        ("binary", Arc::new(each.clone().map(|row| long(row).map(String::into_bytes)).collect::<BinaryArray>())),
        ("truths", Arc::new(each.clone().map(|row| some(row, 2).map(|n| n == 1)).collect::<BooleanArray>())),
        ("nothing", Arc::new(Int64Array::from(vec![None; rows]))),
        (
            "lists",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(
                each.map(|row| (!null(row)).then(|| (0..row % 3).map(|n| Some(n as i32)).collect::<Vec<_>>())),
            )),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn every_type_comes_back_with_every_codec() {
    let batch = table(20_000, 1);
    for parquet in parquets() {
        let file = encoded(&cut(&batch, &[3_000, 7, 9_000]), &parquet, MEMORY, 2);
        let back = decoded(&file);
        assert_eq!(back.num_rows(), batch.num_rows());
        for (name, (found, expected)) in
            back.schema().fields().iter().map(|f| f.name().clone()).zip(back.columns().iter().zip(batch.columns()))
        {
            assert_eq!(
                &found.to_data(),
                &expected.to_data(),
                "{name} by {}",
                serde_json::json!(format!("{parquet:?}"))
            );
        }
    }
}

#[test]
fn the_same_rows_give_the_same_file() {
    let batch = table(150_000, 2);
    for (parquet, memory) in [(Parquet::default(), MEMORY), (Parquet::with_preset(Preset::Fast), MEMORY / 8)] {
        let whole = encoded(std::slice::from_ref(&batch), &parquet, memory, 2);
        assert!(metadata(&whole).num_row_groups() > 1 || memory == MEMORY);
        for (threads, lengths) in [(1, &[1_024][..]), (2, &[65_536, 1]), (8, &[40_000, 33, 999]), (8, &[149_999])] {
            let other = encoded(&cut(&batch, lengths), &parquet, memory, threads);
            assert!(other == whole, "{threads} threads, batches of {lengths:?} rows");
        }
    }
}

#[test]
fn what_lies_under_a_null_does_not_show() {
    let texts = |under: &str| {
        let bytes: String = format!("a{under}b").repeat(10_000);
        let offsets = (0..30_001).scan(0, |at, row| {
            let here = *at;
            *at += if row % 3 == 1 { under.len() as i32 } else { 1 };
            Some(here)
        });
        let nulls = (0..30_000).map(|row| row % 3 != 1).collect::<Vec<bool>>();
        let offsets = arrow::buffer::OffsetBuffer::new(offsets.collect::<Vec<i32>>().into());
        let array = StringArray::new(offsets, bytes.into_bytes().into(), Some(nulls.into()));
        RecordBatch::try_from_iter([("a", Arc::new(array) as ArrayRef)]).unwrap()
    };
    let file = |under| encoded(&[texts(under)], &Parquet::default(), MEMORY / 512, 1);
    assert!(file("") == file("something else entirely"));
}

#[test]
fn encodings_suit_what_columns_hold() {
    let rows = 100_000_usize;
    let scattered = |row: usize| (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let random = |row: usize| xxhash_rust::xxh3::xxh3_64(&row.to_le_bytes());
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("sorted", Arc::new((0..rows).map(|row| row as i64 * 5 + (scattered(row) % 4) as i64).collect::<Int64Array>())),
        ("few", Arc::new((0..rows).map(|row| (scattered(row) >> 32) as i64 % 9 * 1_000_003).collect::<Int64Array>())),
        ("random", Arc::new((0..rows).map(random).collect::<UInt64Array>())),
        ("names", Arc::new((0..rows).map(|row| Some(format!("n{}", scattered(row) >> 60))).collect::<StringArray>())),
        ("texts", Arc::new((0..rows).map(|row| Some(format!("{:x}", random(row)))).collect::<StringArray>())),
    ];
    let file = encoded(&[RecordBatch::try_from_iter(columns).unwrap()], &Parquet::default(), MEMORY, 2);
    let metadata = metadata(&file);
    let group = metadata.row_group(0);
    let has = |column: usize, encoding| group.column(column).encodings().any(|found| found == encoding);
    assert!(has(0, Encoding::DELTA_BINARY_PACKED) && !has(0, Encoding::RLE_DICTIONARY));
    assert!(has(1, Encoding::RLE_DICTIONARY) && has(3, Encoding::RLE_DICTIONARY));
    assert!(has(2, Encoding::PLAIN) && group.column(2).compression() == Compression::UNCOMPRESSED);
    assert!(has(4, Encoding::DELTA_LENGTH_BYTE_ARRAY));
}

#[test]
fn a_dictionary_that_overflows_leaves_nothing_behind() {
    // Few values where samples are taken, and ever new ones between them.
    let value = |row: usize| if row % 30_000 < 5_000 { row % 3 } else { row };
    let rows: StringArray = (0..60_000).map(|row| Some(format!("a value of some length {}", value(row)))).collect();
    let batch = RecordBatch::try_from_iter([("a", Arc::new(rows) as ArrayRef)]).unwrap();
    let file = encoded(std::slice::from_ref(&batch), &Parquet::default(), MEMORY, 1);
    assert_eq!(decoded(&file).column(0).to_data(), batch.column(0).to_data());
    let chunk = metadata(&file).row_group(0).column(0).clone();
    assert!(chunk.dictionary_page_offset().is_none());
}

#[test]
fn the_page_index_says_what_pages_hold() {
    let values: Int64Array = (0..100_000).map(|row| if row < 32_768 { None } else { Some(row) }).collect();
    let batch = RecordBatch::try_from_iter([("a", Arc::new(values) as ArrayRef)]).unwrap();
    let metadata = metadata(&encoded(&[batch], &Parquet::default(), MEMORY, 1));
    let index = &metadata.column_index().unwrap()[0][0];
    let locations = &metadata.offset_index().unwrap()[0][0].page_locations;
    assert_eq!(locations.iter().map(|page| page.first_row_index).collect::<Vec<_>>(), [0, 32_768, 65_536, 98_304]);
    assert!(index.is_null_page(0) && !index.is_null_page(1));
    assert_eq!(index.null_counts().unwrap()[0], 32_768);
    let statistics = metadata.row_group(0).column(0).statistics().unwrap().clone();
    assert_eq!(statistics.null_count_opt(), Some(32_768));
    assert_eq!(statistics.min_bytes_opt().unwrap(), 32_768_i64.to_le_bytes());
    assert_eq!(statistics.max_bytes_opt().unwrap(), 99_999_i64.to_le_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_rows_come_back(rows in 1_usize..12_000, seed in any::<u64>(), lengths in prop::collection::vec(1_usize..5_000, 1..4), preset in 0_usize..3) {
        let batch = table(rows, seed);
        let parquet = Parquet::with_preset([Preset::Fast, Preset::Default, Preset::Small][preset]);
        let file = encoded(&cut(&batch, &lengths), &parquet, MEMORY / 64, 2);
        let back = decoded(&file);
        for (found, expected) in back.columns().iter().zip(batch.columns()) {
            prop_assert_eq!(found.to_data(), expected.to_data());
        }
    }
}
