//! The same rows give the same results, however they are written and read.

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use coldframe::{Batches, Configuration, ResultReference, ResultStore};

use super::table::{ROWS, rows};
use crate::support::local_in;

/// The least memory that a store takes, so that there are many row groups; some; and one.
const BUDGETS: [usize; 3] = [16 << 20, 48 << 20, 192 << 20];

async fn store_of(folder: &Path, memory: usize) -> ResultStore {
    let builder = ResultStore::builder().configuration(Configuration::empty()).durable(false).memory(memory);
    builder.location(folder.to_str().unwrap()).open().await.unwrap()
}

async fn assert_comes_back(store: &ResultStore, reference: &ResultReference, expected: &RecordBatch, how: &str) {
    let table = store.get(reference).await.unwrap().into_table().unwrap();
    assert_same(&table.to_batch().unwrap(), expected, how);
}

fn assert_same(found: &RecordBatch, expected: &RecordBatch, how: &str) {
    assert_eq!(found.schema(), expected.schema(), "{how}");
    assert_eq!(found.num_rows(), expected.num_rows(), "{how}");
    for (position, field) in expected.schema().fields().iter().enumerate() {
        let (found, expected) = (found.column(position), expected.column(position));
        found.to_data().validate_full().unwrap();
        // No `assert_eq`, which would print 100,000 rows.
        assert!(found == expected, "{how}: column `{}` came back otherwise", field.name());
    }
}

/// The table cut into batches of so many rows, again and again.
fn cut(table: &RecordBatch, lengths: &[usize]) -> Batches {
    let (mut batches, mut start) = (Vec::new(), 0);
    for length in lengths.iter().cycle() {
        let length = (*length).min(table.num_rows() - start);
        batches.push(table.slice(start, length));
        start += length;
        if start == table.num_rows() {
            break;
        }
    }
    Batches::from_batches(table.schema(), batches)
}

#[tokio::test]
async fn what_the_adaptive_writer_wrote_equals_what_plain_writers_did() {
    let folder = tempfile::tempdir().unwrap();
    let store = local_in(folder.path()).await;
    let table = rows(0..ROWS);
    for serializer in [
        "parquet",
        "parquet(fast)",
        "parquet(small)",
        "parquet(small)/zstd(3)",
        "parquet/zstd(3)",
        "parquet/none",
        "arrow",
    ] {
        let reference = store.put("table", &table).serializer(serializer).await.unwrap();
        assert_comes_back(&store, &reference, &table, serializer).await;
    }
}

#[tokio::test]
async fn the_memory_of_the_writer_and_of_the_reader_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let table = rows(0..ROWS);
    for writing in BUDGETS {
        let writer = store_of(folder.path(), writing).await;
        for serializer in ["parquet", "parquet(fast)", "parquet(small)"] {
            let reference = writer.put("table", &table).serializer(serializer).await.unwrap();
            for reading in BUDGETS {
                let how = format!("{serializer}, written with {writing} bytes, read with {reading}");
                assert_comes_back(&store_of(folder.path(), reading).await, &reference, &table, &how).await;
            }
        }
    }
}

/// Nor do they matter to the file: it is the same to the byte.
#[tokio::test]
async fn how_the_rows_came_in_batches_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let table = rows(0..ROWS);
    for budget in [BUDGETS[0], BUDGETS[2]] {
        let store = store_of(folder.path(), budget).await;
        for serializer in ["parquet", "parquet(fast)", "parquet(small)"] {
            let whole = store.put("table", &table).serializer(serializer).await.unwrap();
            assert_comes_back(&store, &whole, &table, serializer).await;
            for lengths in [&[1_000][..], &[7, 40_000, 1, 0, 4_999]] {
                let how = format!("{serializer}, {budget} bytes, batches of {lengths:?} rows");
                let reference = store.put("table", cut(&table, lengths)).serializer(serializer).await.unwrap();
                let checksum = |of: &ResultReference| of.written().unwrap().parts[0].checksum;
                assert_eq!(checksum(&reference), checksum(&whole), "{how}");
            }
        }
    }
}

/// Rows from within pages, from page to page and from group to group, in batches that end anywhere.
#[tokio::test]
async fn some_rows_and_columns_are_those_of_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let table = rows(0..ROWS);
    let names: Vec<String> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
    for (budget, serializer) in [(BUDGETS[0], "parquet"), (BUDGETS[2], "parquet(fast)"), (BUDGETS[2], "parquet(small)")]
    {
        let store = store_of(folder.path(), budget).await;
        let reference = store.put("table", &table).serializer(serializer).await.unwrap();
        for (offset, length, batch) in [(0, 1, 1), (32_767, 2, 1), (29_999, 40_002, 4_999), (99_990, 10, 3)] {
            let how = format!("{serializer}, {budget} bytes, {length} rows from {offset}");
            let scan = store.scan(&reference).offset(offset).limit(length).batch_rows(batch);
            let found = scan.collect().await.unwrap().to_batch().unwrap();
            assert_same(&found, &table.slice(offset as usize, length as usize), &how);
        }
        for start in 0..3 {
            let wanted: Vec<usize> = (start..names.len()).step_by(3).collect();
            let scan = store.scan(&reference).columns(wanted.iter().map(|column| names[*column].clone()));
            let found = scan.batch_rows(6_007).collect().await.unwrap().to_batch().unwrap();
            assert_same(&found, &table.project(&wanted).unwrap(), serializer);
        }
    }
}

/// Rows that come bit by bit, and each time are as many as make a sample or just too few for one.
#[tokio::test]
async fn tables_around_the_size_of_a_sample_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = local_in(folder.path()).await;
    let table = rows(0..ROWS);
    for count in [1, 127, 129, 8_191, 8_192, 8_193, 32_768, 32_769] {
        let batches: Vec<RecordBatch> = vec![table.slice(0, count / 2), table.slice(count / 2, count - count / 2)];
        let expected = concat_batches(&table.schema(), &batches).unwrap();
        for serializer in ["parquet", "parquet(fast)", "parquet(small)"] {
            let reference = store.put("table", batches.clone()).serializer(serializer).await.unwrap();
            assert_comes_back(&store, &reference, &expected, &format!("{serializer}, {count} rows")).await;
        }
    }
}
