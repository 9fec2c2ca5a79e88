//! Tables of many columns, and dictionaries that outgrow their keys.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;
use coldframe::{Batches, Configuration, ResultReference, ResultStore, Table};
use futures::TryStreamExt;

use crate::generate::{cells, rows};

async fn store(memory: usize) -> ResultStore {
    let builder = ResultStore::builder().configuration(Configuration::empty()).memory(memory);
    builder.location("memory://").open().await.unwrap()
}

fn value(column: usize, row: usize) -> i32 {
    (column * 31 + row * 7) as i32
}

fn wide_batch(schema: &SchemaRef, rows: std::ops::Range<usize>) -> RecordBatch {
    let column = |column: usize| -> ArrayRef {
        Arc::new(Int32Array::from_iter_values(rows.clone().map(|row| value(column, row))))
    };
    RecordBatch::try_new(schema.clone(), (0..schema.fields().len()).map(column).collect()).unwrap()
}

fn wide_schema(columns: usize) -> SchemaRef {
    let field = |column| Field::new(format!("column {column}"), DataType::Int32, false);
    Arc::new(Schema::new((0..columns).map(field).collect::<Vec<_>>()))
}

async fn put_wide(store: &ResultStore, columns: usize, rows: usize, serializer: &str) -> ResultReference {
    let schema = wide_schema(columns);
    let of = schema.clone();
    let starts = (0..rows).step_by(100);
    let batches = starts.map(move |start| Ok::<_, coldframe::Error>(wide_batch(&of, start..(start + 100).min(rows))));
    let content = coldframe::Content::Table(Batches::new(schema, futures::stream::iter(batches)));
    store.put("wide", content).serializer(serializer).await.unwrap()
}

/// Reads every row, and compares it without holding the table.
async fn holds_wide(store: &ResultStore, reference: &ResultReference, columns: usize, rows: usize) {
    let mut batches = store.scan(reference).batches().await.unwrap();
    assert_eq!(batches.schema(), wide_schema(columns));
    let mut start = 0;
    while let Some(batch) = batches.try_next().await.unwrap() {
        let end = start + batch.num_rows();
        for column in 0..columns {
            let found = batch.column(column).as_primitive::<Int32Type>().values();
            assert!(found.iter().copied().eq((start..end).map(|row| value(column, row))), "column {column} at {start}");
        }
        start = end;
    }
    assert_eq!(start, rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_columns_in_little_memory() {
    let (columns, rows) = (10_000, 2_500);
    let store = store(32 << 20).await;
    for serializer in ["parquet/none", "arrow"] {
        let reference = put_wide(&store, columns, rows, serializer).await;
        let written = reference.written().unwrap();
        assert_eq!((written.rows, written.schema.as_ref()), (Some(rows as u64), None));
        if serializer == "arrow" {
            assert_eq!(written.parts.len(), 1);
        } else {
            // Several row groups of 10,000 chunks each; a footer takes three of them.
            assert!(written.parts.len() > 2, "{} parts", written.parts.len());
            assert!(written.parts.iter().all(|part| part.footer.as_ref().unwrap().size < 8 << 20));
        }
        holds_wide(&store, &reference, columns, rows).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_goes_on_from_part_to_part() {
    let (columns, rows) = (10_000, 900);
    let store = store(16 << 20).await;
    let reference = put_wide(&store, columns, rows, "parquet/none").await;
    let parts: Vec<u64> = reference.written().unwrap().parts.iter().map(|part| part.rows.unwrap()).collect();
    assert!(parts.len() > 2 && parts.iter().sum::<u64>() == rows as u64, "{parts:?}");
    let border = parts[0];
    let read = |offset: u64, limit: u64| {
        let scan = store.scan(&reference).columns(["column 9999", "column 3"]).offset(offset).limit(limit);
        async { scan.collect().await.unwrap() }
    };
    for (offset, limit) in [(0, 900), (border - 1, 2), (border, 1), (border - 5, parts[1] + 10), (899, 5), (900, 1)] {
        let table = read(offset, limit).await;
        let end = (offset + limit).min(rows as u64) as usize;
        let expected: Vec<i32> = (offset as usize..end).map(|row| value(9_999, row)).collect();
        let batch = table.to_batch().unwrap();
        assert_eq!(batch.column(0).as_primitive::<Int32Type>().values().to_vec(), expected, "{offset} {limit}");
        assert_eq!(batch.schema().field(1).name(), "column 3");
    }
    let tail = store.scan(&reference).columns(["column 0"]).tail(border + 3).collect().await.unwrap();
    assert_eq!(tail.rows() as u64, border + 3);
}

/// Batches whose dictionaries hold `each` values of their own.
fn differing<K: ArrowDictionaryKeyType>(batches: usize, each: usize) -> Table {
    let batch = |number: usize| {
        let words = (0..each * 3).map(|row| format!("{number}-{}", row % each));
        let words: DictionaryArray<K> = words.collect::<Vec<_>>().iter().map(|word| Some(word.as_str())).collect();
        let lists = ListArray::new(
            Arc::new(Field::new_list_field(words.data_type().clone(), true)),
            arrow::buffer::OffsetBuffer::from_lengths(vec![1; words.len()]),
            Arc::new(words.clone()),
            None,
        );
        RecordBatch::try_from_iter([("word", Arc::new(words) as ArrayRef), ("words", Arc::new(lists))]).unwrap()
    };
    let batches: Vec<RecordBatch> = (0..batches).map(batch).collect();
    Table::try_new(batches[0].schema(), batches).unwrap()
}

async fn comes_back(store: &ResultStore, table: &Table, serializer: &str) -> ResultReference {
    let reference = store.put("words", table).serializer(serializer).await.unwrap();
    let back = store.get(&reference).await.and_then(coldframe::Value::into_table);
    let back = back.unwrap_or_else(|error| panic!("{serializer}: {error:?}"));
    assert_eq!(back.schema(), table.schema());
    assert!(rows(back.batches()) == rows(table.batches()), "{serializer}");
    let last = store.scan(&reference).columns(["words"]).tail(7).batch_rows(2).collect().await.unwrap();
    let expected: Vec<String> = table.batches().iter().flat_map(|batch| cells(batch.column(1))).collect();
    let found: Vec<String> = last.batches().iter().flat_map(|batch| cells(batch.column(0))).collect();
    assert!(found == expected[expected.len() - 7..], "{serializer}");
    reference
}

#[tokio::test]
async fn dictionaries_that_outgrow_their_keys_begin_a_part_or_a_row_group() {
    let store = store(16 << 20).await;
    for each in [1, 40, 63, 64, 65, 127, 128] {
        let table = differing::<Int8Type>(5, each);
        let reference = comes_back(&store, &table, "arrow").await;
        let parts = reference.written().unwrap().parts.len();
        assert_eq!(parts, 5_usize.div_ceil(128 / each), "{each}");
        for serializer in ["parquet", "parquet/none", "compressed(lz4)/parquet", "compressed(lz4)/arrow"] {
            let reference = comes_back(&store, &table, serializer).await;
            assert!(serializer != "parquet" || reference.written().unwrap().parts.len() == 1);
        }
    }
    for each in [100, 255, 256] {
        comes_back(&store, &differing::<UInt8Type>(4, each), "parquet").await;
        comes_back(&store, &differing::<UInt8Type>(4, each), "arrow").await;
    }
    for each in [20_000, 32_767, 32_768] {
        comes_back(&store, &differing::<Int16Type>(2, each), "parquet").await;
    }
    comes_back(&store, &differing::<UInt16Type>(2, 65_536), "parquet").await;
}

#[tokio::test]
async fn one_dictionary_in_many_batches_stays_in_one_row_group() {
    let store = store(16 << 20).await;
    let first = differing::<Int8Type>(1, 100);
    let batches: Vec<RecordBatch> = (0..40).map(|_| first.batches()[0].clone()).collect();
    let table = Table::try_new(first.schema(), batches).unwrap();
    let reference = comes_back(&store, &table, "parquet").await;
    let back = store.get(&reference).await.unwrap().into_table().unwrap();
    assert_eq!(back.batches().len(), 1);
    let known: HashSet<String> = cells(back.batches()[0].column(0)).into_iter().collect();
    assert_eq!(known.len(), 100);
}
