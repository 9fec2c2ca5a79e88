use std::sync::Mutex;
use std::sync::atomic::Ordering;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int32Array,
    Int64Array, LargeStringArray, ListArray, StringArray, StringViewArray, StructArray, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Int8Type, Int32Type, Int64Type};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{ReaderProperties, WriterProperties, WriterVersion};
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use proptest::prelude::*;

use super::*;
use crate::ErrorKind;
use crate::serializer::memory_file::MemoryFile;
use crate::serializer::{EncodedPart, Output, Parquet, Piece, Serializer, Sink};
use crate::value::Shape;

const MEMORY: usize = 2 << 20;
const ROWS: usize = 40_000;

/// Encoded as a put does, in row groups of at most a quarter of the memory.
fn encoded(batch: &RecordBatch, codec: &str) -> Vec<u8> {
    let parquet = Parquet::with_codec(Some(codec), None).unwrap();
    let encoder = parquet.encoder(&Shape::Table(batch.schema()), MEMORY).unwrap();
    MemoryFile::written_by(encoder, [Piece::Batch(batch.clone())]).bytes.into()
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
        let source = MemoryFile::unknown(encoded(&table, codec));
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
            let source = MemoryFile::unknown(encoded_with(&table, properties));
            for rows in [0..5_000, 1_234..4_321] {
                let found = read(&open(source.clone(), 2).await, plan(rows.clone(), None, 900)).await;
                let wanted = table.slice(rows.start as usize, (rows.end - rows.start) as usize);
                assert_eq!(joined(found), wanted, "{version:?} {compression}");
            }
        }
    }
    let properties = WriterProperties::builder().set_dictionary_enabled(false).set_encoding(Encoding::DELTA_BYTE_ARRAY);
    let text = table.project(&[1]).unwrap();
    let source = MemoryFile::unknown(encoded_with(&text, properties.build()));
    let mut found = read(&open(source, 2).await, plan(0..5_000, None, 900)).await;
    let error = found.pop().unwrap().unwrap_err();
    assert_eq!((error.kind(), found.len()), (ErrorKind::Unsupported, 0), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_comes_once_after_all_batches_before_it() {
    let table = table(ROWS);
    let mut bytes = encoded(&table, "none");
    let metadata = open(MemoryFile::unknown(bytes.clone()), 1).await.metadata.metadata().clone();
    let last = metadata.row_groups().last().unwrap();
    let before = ROWS - last.num_rows() as usize;
    let chunk = chunk_range(last.columns().last().unwrap()).unwrap();
    bytes[chunk.start as usize..chunk.end as usize].fill(0xff);
    let source = MemoryFile::unknown(bytes);
    for threads in [1, 2, 8] {
        let mut found = read(&open(source.clone(), threads).await, plan(0..ROWS as u64, None, 1_000)).await;
        assert_eq!(found.pop().unwrap().unwrap_err().kind(), ErrorKind::Damaged);
        assert_eq!(joined(found), table.slice(0, before), "{threads}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_batches_slowly_stops_the_decoding() {
    let source = MemoryFile::unknown(encoded(&table(ROWS), "none"));
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
    let source = MemoryFile::unknown(encoded(&table(ROWS), "zstd"));
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
    let whole = MemoryFile::unknown(encoded(&table, "none"));
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

/// Every row group spans all keys, so that their bounds leave none of them out.
fn keyed(rows: usize) -> RecordBatch {
    let key = |row: usize| (row as i64 * 7_919 % rows as i64) * 2;
    let large = (0..rows).map(|row| u64::MAX - key(row) as u64);
    let null = |row: usize| row.is_multiple_of(13);
    RecordBatch::try_from_iter([
        ("key", Arc::new(Int64Array::from_iter_values((0..rows).map(key))) as ArrayRef),
        (
            "text",
            Arc::new((0..rows).map(|row| (!null(row)).then(|| format!("né {}", key(row)))).collect::<StringArray>()),
        ),
        ("large", Arc::new(UInt64Array::from_iter_values(large))),
        ("float", Arc::new(Float64Array::from_iter_values((0..rows).map(|row| key(row) as f64 / 4.0)))),
        ("day", Arc::new(Date32Array::from_iter_values((0..rows).map(|row| key(row) as i32 % 20_000)))),
    ])
    .unwrap()
}

fn with_blooms(batch: &RecordBatch, columns: [&str; 2]) -> MemoryFile {
    let parquet = Parquet::default().with_bloom_filters(columns);
    let encoder = parquet.encoder(&Shape::Table(batch.schema()), MEMORY).unwrap();
    MemoryFile::written_by(encoder, [Piece::Batch(batch.clone())])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bloom_filters_leave_out_what_is_not_there_and_nothing_else() {
    let batch = keyed(60_000);
    let cases = [
        (["key", "text"], ["key = 30001", "text = 'né 30001'"], [("key = 30000", 1), ("text = 'né 30000'", 1)]),
        (
            ["large", "float"],
            ["large = 3", "float = 0.25 and key > 1"],
            [("float = 0", 1), ("large in (18446744073709551615, 5)", 1)],
        ),
        (
            ["day", "key"],
            ["key in (1, 3, 5) and large > 0", "day = '1970-01-02'"],
            [("key = 1 or key = 4", 1), ("day = '1970-01-01'", 6)],
        ),
    ];
    for (columns, absent, present) in cases {
        let source = Arc::new(with_blooms(&batch, columns));
        let table = ParquetTable::open(source.clone(), MEMORY).await.unwrap();
        let groups = table.metadata.metadata().num_row_groups();
        assert!(groups > 4, "{groups}");
        for text in absent {
            let (rows, reads) = found(&table, &source, text).await;
            // One read for the index. A bloom filter may be wrong about one group in a hundred.
            assert!(rows == 0 && reads <= 2, "{text}: {rows} rows, {reads} of {groups}");
        }
        for (text, expected) in present {
            let (rows, reads) = found(&table, &source, text).await;
            assert!(rows == expected && reads <= expected + 2, "{text}: {rows} rows, {reads} of {groups}");
        }
        assert_eq!(found(&table, &source, "not (key = 1) or text is null").await.0, 60_000);
    }
}

/// How many rows a filter wants, and how many reads that took.
async fn found(table: &ParquetTable, source: &MemoryFile, text: &str) -> (usize, usize) {
    let filter = Arc::new(Filter::parse(text, &table.schema()).unwrap());
    let before = source.reads.load(Ordering::SeqCst);
    let batches = read(table, ReadPlan { filter: Some(filter.clone()), ..plan(0..table.rows(), None, 5_000) }).await;
    let wanted = batches.into_iter().map(|batch| {
        let batch = batch.unwrap();
        let columns: Vec<ArrayRef> = filter.columns().iter().map(|column| batch.column(*column).clone()).collect();
        filter.evaluate(&columns, batch.num_rows()).unwrap().true_count()
    });
    (wanted.sum(), source.reads.load(Ordering::SeqCst) - before)
}

#[test]
fn bloom_filters_lie_before_the_page_index_and_the_library_reads_them() {
    let batch = keyed(40_000);
    let file = with_blooms(&batch, ["key", "text"]);
    let options = ReadOptionsBuilder::new()
        .with_reader_properties(ReaderProperties::builder().set_read_bloom_filter(true).build());
    let reader = SerializedFileReader::new_with_options(file.bytes.clone(), options.build()).unwrap();
    let footer = file.part.size - file.part.footer.as_ref().unwrap().size;
    let index = footer - file.part.index.as_ref().unwrap().size..footer;
    let mut row = 0;
    for (number, group) in reader.metadata().row_groups().iter().enumerate() {
        for chunk in group.columns().iter().take(2) {
            let start = chunk.bloom_filter_offset().unwrap() as u64;
            assert!(index.contains(&start) && start < chunk.column_index_offset().unwrap() as u64);
        }
        let group = reader.get_row_group(number).unwrap();
        for _ in 0..group.metadata().num_rows() {
            let text = batch.column(1).as_string::<i32>();
            assert!(
                group
                    .get_column_bloom_filter(0)
                    .unwrap()
                    .check(&batch.column(0).as_primitive::<Int64Type>().value(row))
            );
            assert!(text.is_null(row) || group.get_column_bloom_filter(1).unwrap().check(text.value(row)));
            row += 1;
        }
    }
    assert_eq!(row, 40_000);
}

#[test]
fn bloom_filters_of_what_cannot_have_one_are_refused() {
    let shape = Shape::Table(table(10).schema());
    let check = |column: &str| Parquet::default().with_bloom_filters([column]).check(&shape).unwrap_err();
    assert_eq!(check("nombre").kind(), ErrorKind::InvalidInput);
    assert!(check("nombre").to_string().contains("nombre"), "{}", check("nombre"));
    for column in ["list", "truth", "key"] {
        assert_eq!(check(column).kind(), ErrorKind::Unsupported, "{column}");
    }
}

#[test]
fn a_part_ends_before_its_bloom_filters_outgrow_the_budget() {
    let batch = keyed(60_000);
    let parquet = Parquet::default().with_bloom_filters(["key", "text", "large", "float", "day"]);
    let mut encoder = parquet.encoder(&Shape::Table(batch.schema()), 256 << 10).unwrap();
    let parts = Parts::default();
    let mut sink = Sink::new(parts.clone());
    encoder.write(Piece::Batch(batch), &mut sink).unwrap();
    encoder.finish(&mut sink).unwrap();
    let parts = parts.0.lock().unwrap();
    assert!(parts.len() > 2, "{}", parts.len());
    assert_eq!(parts.iter().map(|part| part.rows.unwrap()).sum::<u64>(), 60_000);
}

/// What was said of each part.
#[derive(Clone, Default)]
struct Parts(Arc<Mutex<Vec<EncodedPart>>>);

impl Output for Parts {
    fn bytes(&mut self, _: Bytes) -> Result<()> {
        Ok(())
    }

    fn end_part(&mut self, part: EncodedPart) -> Result<()> {
        self.0.lock().unwrap().push(part);
        Ok(())
    }
}
