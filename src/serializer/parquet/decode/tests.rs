use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, DictionaryArray, Float64Array, Int32Array, Int64Array,
    LargeStringArray, ListArray, StringArray, StringViewArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Int8Type, Int32Type};
use async_trait::async_trait;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{WriterProperties, WriterVersion};
use proptest::prelude::*;

use super::*;
use crate::ErrorKind;
use crate::checksum::Checksum;
use crate::reference::Part;
use crate::serializer::{EncodedPart, Output, Parquet, Piece, Serializer, Sink};
use crate::value::Shape;

const MEMORY: usize = 2 << 20;
const ROWS: usize = 40_000;

/// A file in memory that needs no check, and counts how often it is read.
#[derive(Debug)]
struct InMemory {
    part: Part,
    bytes: Bytes,
    reads: AtomicUsize,
}

impl InMemory {
    fn new(bytes: Vec<u8>) -> Arc<Self> {
        let (size, checksum, other) = (bytes.len() as u64, Checksum::long(&bytes), Default::default());
        let part =
            Part { path: "x".into(), size, rows: None, checksum, footer: None, index: None, extents: None, other };
        Arc::new(Self { part, bytes: bytes.into(), reads: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Source for InMemory {
    fn part(&self) -> &Part {
        &self.part
    }

    fn is_checked(&self) -> bool {
        true
    }

    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(ranges.iter().map(|range| self.bytes.slice(range.start as usize..range.end as usize)).collect())
    }
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Output for Written {
    fn bytes(&mut self, bytes: Bytes) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes);
        Ok(())
    }

    fn end_part(&mut self, _: EncodedPart) -> Result<()> {
        Ok(())
    }
}

/// Encoded as a put does, in row groups of at most a quarter of the memory.
fn encoded(batch: &RecordBatch, codec: &str) -> Vec<u8> {
    let written = Written::default();
    let mut sink = Sink::new(written.clone());
    let parquet = Parquet::with_codec(Some(codec), None).unwrap();
    let mut encoder = parquet.encoder(&Shape::Table(batch.schema()), MEMORY).unwrap();
    encoder.write(Piece::Batch(batch.clone()), &mut sink).unwrap();
    encoder.finish(&mut sink).unwrap();
    written.0.lock().unwrap().clone()
}

/// Encoded by the library, as it is told.
fn encoded_with(batch: &RecordBatch, properties: WriterProperties) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

/// Columns of many kinds, with nulls.
fn table(rows: usize) -> RecordBatch {
    let maybe = |row: usize, every: usize| (!row.is_multiple_of(every)).then_some(row);
    let numbers: Int64Array = (0..rows).map(|row| maybe(row, 7).map(|row| row as i64 * 31 - 5)).collect();
    let words = |row: usize| format!("word {} of {}", row % 97, row % 13);
    let text: StringArray = (0..rows).map(|row| maybe(row, 11).map(words)).collect();
    let unique: LargeStringArray = (0..rows).map(|row| Some(format!("{row:09}"))).collect();
    let views: StringViewArray = (0..rows).map(|row| maybe(row, 5).map(|row| format!("a view of row {row}"))).collect();
    let keys: DictionaryArray<Int8Type> =
        (0..rows).map(|row| ["low", "middle", "high"].get(row % 4).copied()).collect();
    let coded: DictionaryArray<Int32Type> =
        DictionaryArray::new((0..rows).map(|row| maybe(row, 3).map(|row| row as i32 % 500)).collect(), {
            Arc::new(Int64Array::from_iter_values((0..500).map(|value| value * value))) as ArrayRef
        });
    let lengths = OffsetBuffer::from_lengths((0..rows).map(|row| row % 4));
    let items = (0..rows).map(|row| row % 4).sum::<usize>();
    let item = StructArray::from(vec![
        (
            Arc::new(Field::new("a", DataType::Int32, true)),
            Arc::new((0..items).map(|at| maybe(at, 6).map(|at| at as i32)).collect::<Int32Array>()) as ArrayRef,
        ),
        (
            Arc::new(Field::new("b", DataType::Utf8, false)),
            Arc::new((0..items).map(|at| Some(words(at))).collect::<StringArray>()) as ArrayRef,
        ),
    ]);
    let field = Arc::new(Field::new("item", item.data_type().clone(), true));
    let lists = ListArray::new(field, lengths, Arc::new(item), None);
    let decimals: Decimal128Array = (0..rows).map(|row| maybe(row, 9).map(|row| row as i128 * 1_000_003)).collect();
    RecordBatch::try_from_iter([
        ("number", Arc::new(numbers) as ArrayRef),
        ("text", Arc::new(text)),
        ("unique", Arc::new(unique)),
        ("view", Arc::new(views)),
        ("key", Arc::new(keys)),
        ("coded", Arc::new(coded)),
        ("list", Arc::new(lists)),
        ("decimal", Arc::new(decimals.with_precision_and_scale(30, 2).unwrap())),
        ("truth", Arc::new((0..rows).map(|row| Some(row % 3 == 0)).collect::<BooleanArray>())),
        ("float", Arc::new((0..rows).map(|row| maybe(row, 8).map(|row| row as f64 / 3.0)).collect::<Float64Array>())),
    ])
    .unwrap()
}

async fn open(source: Arc<dyn Source>, threads: usize) -> ParquetTable {
    let mut table = ParquetTable::open(source, MEMORY).await.unwrap();
    table.threads = threads;
    table
}

fn plan(rows: Range<u64>, columns: Option<Vec<usize>>, batch_rows: usize) -> ReadPlan {
    ReadPlan { columns, rows, filter: None, batch_rows, batch_bytes: 16 << 20, check: true }
}

async fn read(table: &ParquetTable, plan: ReadPlan) -> Vec<Result<RecordBatch>> {
    table.batches(plan).collect().await
}

/// The batches side by side, of which all are there.
fn joined(batches: Vec<Result<RecordBatch>>) -> RecordBatch {
    let batches: Vec<RecordBatch> = batches.into_iter().map(Result::unwrap).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_number_of_threads_gives_the_same_batches() {
    let table = table(ROWS);
    for codec in ["zstd", "lz4", "snappy", "gzip", "none"] {
        let source = InMemory::new(encoded(&table, codec));
        let groups = open(source.clone(), 1).await.metadata.metadata().num_row_groups();
        assert!(groups > 3, "{groups}");
        for (rows, columns) in [
            (0..ROWS as u64, None),
            (0..1, None),
            (ROWS as u64 / 2 - 9..ROWS as u64 - 1, Some(vec![0, 3, 6])),
            (17..ROWS as u64, Some(vec![5])),
        ] {
            let plan = plan(rows.clone(), columns.clone(), 1_000);
            let wanted = table.slice(rows.start as usize, (rows.end - rows.start) as usize);
            let wanted = columns.map_or(wanted.clone(), |columns| wanted.project(&columns).unwrap());
            let mut first: Option<Vec<RecordBatch>> = None;
            for threads in [1, 2, 8] {
                let batches = read(&open(source.clone(), threads).await, plan.clone()).await;
                let batches: Vec<RecordBatch> = batches.into_iter().map(Result::unwrap).collect();
                assert_eq!(concat_batches(&batches[0].schema(), &batches).unwrap(), wanted, "{codec} {threads}");
                assert_eq!(first.get_or_insert(batches.clone()), &batches, "{codec} {threads}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_encoding_that_may_be_written_is_read() {
    let table = table(5_000).project(&[0, 1, 2, 6, 7, 8, 9]).unwrap();
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        for (compression, dictionaries) in [(Compression::UNCOMPRESSED, false), (Compression::SNAPPY, true)] {
            let encodings = [
                ("number", Encoding::DELTA_BINARY_PACKED),
                ("text", Encoding::DELTA_LENGTH_BYTE_ARRAY),
                ("unique", Encoding::DELTA_LENGTH_BYTE_ARRAY),
                ("float", Encoding::BYTE_STREAM_SPLIT),
                ("truth", if version == WriterVersion::PARQUET_2_0 { Encoding::RLE } else { Encoding::PLAIN }),
                ("list.list.item.a", Encoding::DELTA_BINARY_PACKED),
                ("list.list.item.b", Encoding::DELTA_LENGTH_BYTE_ARRAY),
                ("decimal", Encoding::PLAIN),
            ];
            let properties = WriterProperties::builder()
                .set_writer_version(version)
                .set_compression(compression)
                .set_data_page_row_count_limit(700)
                .set_write_batch_size(100)
                .set_dictionary_enabled(false);
            let properties = encodings.into_iter().fold(properties, |properties, (column, encoding)| {
                let path = column.split('.').map(str::to_owned).collect::<Vec<_>>().into();
                properties.set_column_encoding(path, encoding)
            });
            let properties = properties.set_dictionary_enabled(dictionaries).build();
            let source = InMemory::new(encoded_with(&table, properties));
            for rows in [0..5_000, 1_234..4_321] {
                let found = read(&open(source.clone(), 2).await, plan(rows.clone(), None, 900)).await;
                let wanted = table.slice(rows.start as usize, (rows.end - rows.start) as usize);
                assert_eq!(joined(found), wanted, "{version:?} {compression}");
            }
        }
    }
    let properties = WriterProperties::builder().set_dictionary_enabled(false).set_encoding(Encoding::DELTA_BYTE_ARRAY);
    let text = table.project(&[1]).unwrap();
    let source = InMemory::new(encoded_with(&text, properties.build()));
    let mut found = read(&open(source, 2).await, plan(0..5_000, None, 900)).await;
    let error = found.pop().unwrap().unwrap_err();
    assert_eq!((error.kind(), found.len()), (ErrorKind::Unsupported, 0), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_comes_once_after_all_batches_before_it() {
    let table = table(ROWS);
    let mut bytes = encoded(&table, "none");
    let metadata = open(InMemory::new(bytes.clone()), 1).await.metadata.metadata().clone();
    let last = metadata.row_groups().last().unwrap();
    let before = ROWS - last.num_rows() as usize;
    let chunk = chunk_range(last.columns().last().unwrap()).unwrap();
    bytes[chunk.start as usize..chunk.end as usize].fill(0xff);
    let source = InMemory::new(bytes);
    for threads in [1, 2, 8] {
        let mut found = read(&open(source.clone(), threads).await, plan(0..ROWS as u64, None, 1_000)).await;
        assert_eq!(found.pop().unwrap().unwrap_err().kind(), ErrorKind::Damaged);
        assert_eq!(joined(found), table.slice(0, before), "{threads}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_batches_slowly_stops_the_decoding() {
    let source = InMemory::new(encoded(&table(ROWS), "none"));
    let mut table = open(source.clone(), 8).await;
    // Room for one row group at a time, and none for reading ahead.
    table.memory = 64 << 10;
    let groups = table.metadata.metadata().num_row_groups();
    let opening = source.reads.load(Ordering::SeqCst);
    let mut batches = table.batches(plan(0..ROWS as u64, None, ROWS));
    for taken in 1..=groups {
        let batch = batches.next().await.unwrap().unwrap();
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        // The batch is the group's only one, so that the next group may be decoded now, and no other.
        let read = source.reads.load(Ordering::SeqCst) - opening;
        assert!(read <= taken + 1, "{read} row groups were read where {taken} were taken");
        drop(batch);
    }
    assert!(batches.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_on_behind_a_stream_that_was_dropped() {
    let source = InMemory::new(encoded(&table(ROWS), "zstd"));
    for taken in [0, 1, 3] {
        let table = open(source.clone(), 2).await;
        let mut batches = table.batches(plan(0..ROWS as u64, None, 500));
        for _ in 0..taken {
            batches.next().await.unwrap().unwrap();
        }
        drop((batches, table));
        while Arc::strong_count(&source) > 1 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_ends_early_is_damaged() {
    let table = table(3_000).project(&[0, 1]).unwrap();
    let whole = InMemory::new(encoded(&table, "none"));
    let metadata = open(whole.clone(), 1).await.metadata.metadata().clone();
    let group = metadata.row_group(0);
    let chunk = chunk_range(group.column(1)).unwrap();
    let columns = |cut: u64| {
        let bytes = |range: Range<u64>| whole.bytes.slice(range.start as usize..range.end as usize);
        vec![(0, bytes(chunk_range(group.column(0)).unwrap())), (1, bytes(chunk.start..chunk.end - cut))]
    };
    let arrow = open(whole.clone(), 1).await.metadata;
    let group = |cut| crate::serializer::parquet::group::Group::new(metadata.clone(), 0, columns(cut), MEMORY);
    let text = Columns::new(&arrow, &[1]).unwrap();
    let all = || vec![RowSelector::select(3_000)].into();
    let mut decoded = group(0).decode(&text, all(), 3_000).unwrap();
    assert_eq!(decoded.next().unwrap().unwrap()[0].as_string::<i32>().len(), 3_000);
    let mut decoded = group(1).decode(&text, all(), 3_000).unwrap();
    assert_eq!(decoded.next().unwrap_err().kind(), ErrorKind::Damaged);
}

proptest! {
    #[test]
    fn units_cover_all_columns_in_order(bytes in prop::collection::vec(0_u64..1_000_000, 1..300), threads in 1_usize..20) {
        let units = units(&bytes, threads);
        prop_assert!(units.len() <= threads * 8 + 1);
        prop_assert!(units.iter().all(|unit| !unit.is_empty()));
        let all: Vec<usize> = units.into_iter().flatten().collect();
        prop_assert_eq!(all, (0..bytes.len()).collect::<Vec<_>>());
    }
}
