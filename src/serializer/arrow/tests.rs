use std::ops::Range;
use std::sync::Arc;

use ::arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Int32Array, Int64Array, ListArray, NullArray, RecordBatch, StringArray,
    StringViewArray, StructArray, UnionArray,
};
use ::arrow::compute::concat_batches;
use ::arrow::datatypes::{Field, Int8Type, Int32Type, SchemaRef, UnionFields};
use ::arrow::ipc::reader::FileReader;
use futures::TryStreamExt;
use proptest::prelude::*;

use super::decode::ArrowTable;
use super::encode::ArrowEncoder;
use super::*;
use crate::serializer::memory_file::MemoryFile;
use crate::serializer::{Piece, ReadPlan, TableReader};

const MEMORY: usize = 64 << 20;

fn written(batches: &[RecordBatch], codec: Option<Codec>, threads: usize) -> Arc<MemoryFile> {
    let encoder = ArrowEncoder::new(batches[0].schema(), Arrow::options().unwrap(), codec, MEMORY, threads);
    Arc::new(MemoryFile::written(encoder, batches.iter().cloned().map(Piece::Batch)))
}

async fn read(
    file: &Arc<MemoryFile>,
    columns: Option<Vec<usize>>,
    rows: Range<u64>,
    threads: usize,
) -> Vec<RecordBatch> {
    let table = ArrowTable::open(file.clone(), false, MEMORY, threads).await.unwrap();
    let plan = ReadPlan { columns, rows, filter: None, batch_rows: 50_000, batch_bytes: 1 << 20, check: false };
    table.batches(plan).try_collect().await.unwrap()
}

/// Columns that compress well, badly and not at all, of which some have no bytes.
fn batch(rows: usize, seed: u64) -> RecordBatch {
    let noise = move |row: usize| xxhash_rust::xxh3::xxh3_64(&(row as u64 ^ seed << 32).to_le_bytes());
    let numbers = || (0..rows).map(move |row| (row % 7 != 3).then(|| noise(row) as i64));
    let words: Vec<String> = (0..rows).map(|row| format!("{:x}", noise(row) >> (row % 64))).collect();
    let lists = (0..rows).map(|row| Some((0..row % 3).map(|item| Some(item as i32)).collect::<Vec<_>>()));
    let keyed: DictionaryArray<Int8Type> = words.iter().map(|word| word.get(..1)).collect();
    let inner: ArrayRef = Arc::new(Int64Array::from_iter(numbers()));
    let union = UnionFields::try_new(
        [1, 5],
        [
            Field::new("number", inner.data_type().clone(), true),
            Field::new("same", ::arrow::datatypes::DataType::Int32, true),
        ],
    );
    let ids = (0..rows).map(|row| if row % 2 == 0 { 1_i8 } else { 5 }).collect::<Vec<_>>();
    let places = (0..rows).map(|row| row as i32).collect::<Vec<_>>();
    let children = vec![inner.clone(), Arc::new(Int32Array::from_iter_values(places.clone())) as ArrayRef];
    let union = UnionArray::try_new(union.unwrap(), ids.into(), Some(places.into()), children).unwrap();
    RecordBatch::try_from_iter([
        ("noise", inner.clone()),
        ("same", Arc::new(Int32Array::from(vec![7; rows])) as ArrayRef),
        ("nothing", Arc::new(NullArray::new(rows))),
        ("truth", Arc::new(BooleanArray::from_iter((0..rows).map(|row| Some(row % 3 == 0))))),
        ("words", Arc::new(StringArray::from_iter_values(&words))),
        ("views", Arc::new(StringViewArray::from_iter_values(words.iter().map(|word| word.repeat(3))))),
        ("lists", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))),
        ("keyed", Arc::new(keyed)),
        (
            "pair",
            Arc::new(StructArray::from(vec![(Arc::new(Field::new("inner", inner.data_type().clone(), true)), inner)])),
        ),
        ("union", Arc::new(union)),
    ])
    .unwrap()
}

fn joined(schema: &SchemaRef, batches: &[RecordBatch]) -> RecordBatch {
    concat_batches(schema, batches).unwrap()
}

const CODECS: [Option<Codec>; 4] = [None, Some(Codec::Lz4), Some(Codec::Zstd(1)), Some(Codec::Zstd(9))];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_threads_shows_in_no_byte_and_no_row() {
    let batches = [batch(120_000, 1), batch(40_000, 2), batch(0, 3), batch(70_001, 4)];
    let schema = batches[0].schema();
    let whole = joined(&schema, &batches);
    for codec in CODECS {
        let file = written(&batches, codec, 1);
        for threads in [1, 2, 8] {
            let again = written(&batches, codec, threads);
            assert!(again.bytes == file.bytes, "{codec:?} on {threads} threads wrote other bytes");
            let rows = whole.num_rows() as u64;
            assert_eq!(joined(&schema, &read(&file, None, 0..rows, threads).await), whole, "{codec:?} {threads}");
            for columns in [vec![0], vec![2, 5], vec![4, 7, 9], vec![6, 8], vec![3]] {
                let read = read(&file, Some(columns.clone()), 100_001..200_000, threads).await;
                let wanted = whole.project(&columns).unwrap().slice(100_001, 99_999);
                assert_eq!(joined(&wanted.schema(), &read), wanted, "{codec:?} {threads} {columns:?}");
            }
        }
    }
}

#[test]
fn the_library_reads_what_is_written() {
    let batches = [batch(90_000, 1), batch(5, 2)];
    for codec in CODECS {
        let file = written(&batches, codec, 2);
        let reader = FileReader::try_new(std::io::Cursor::new(file.bytes.to_vec()), None).unwrap();
        let read: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        assert_eq!(joined(&batches[0].schema(), &read), joined(&batches[0].schema(), &batches), "{codec:?}");
    }
}

#[test]
fn what_would_not_become_smaller_is_stored_as_it_is() {
    let batches = [batch(100_000, 1).project(&[0]).unwrap()];
    let plain = written(&batches, None, 1).bytes.len();
    for codec in [Codec::Lz4, Codec::Zstd(3)] {
        let bytes = written(&batches, Some(codec), 2).bytes.len();
        assert!(bytes < plain + 1_000, "{codec:?}: {bytes} of {plain}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_batches_come_back(
        rows in prop::collection::vec(0_usize..3_000, 1..6),
        codec in prop::sample::select(CODECS.to_vec()),
        threads in 1_usize..5,
        start in 0.0..1.0_f64,
    ) {
        let batches: Vec<RecordBatch> = rows.iter().zip(1..).map(|(rows, seed)| batch(*rows, seed)).collect();
        let whole = joined(&batches[0].schema(), &batches);
        let file = written(&batches, codec, threads);
        prop_assert!(file.bytes == written(&batches, codec, 1).bytes);
        let from = (whole.num_rows() as f64 * start) as usize;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let found = runtime.block_on(read(&file, None, from as u64..whole.num_rows() as u64, threads));
        prop_assert_eq!(joined(&whole.schema(), &found), whole.slice(from, whole.num_rows() - from));
    }
}
