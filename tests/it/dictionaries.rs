//! Dictionaries come back as they were put: their order, the values that no row uses, and the keys of the rows.

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::{cast, concat};
use arrow::datatypes::*;
use coldframe::serializer::IntoSerializer;
use coldframe::{Batches, Configuration, ErrorKind, ResultReference, ResultStore, Shape, Table};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::generate::rows;
use crate::support::{batch_of, local, memory};

mod damage;

const KEYS: [DataType; 8] = [
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Int64,
    DataType::UInt8,
    DataType::UInt16,
    DataType::UInt32,
    DataType::UInt64,
];
const VALUES: [DataType; 4] = [DataType::Utf8, DataType::LargeUtf8, DataType::Binary, DataType::LargeBinary];
const PARQUET: [&str; 3] = ["parquet", "parquet/none", "compressed(lz4)/parquet"];

fn words(words: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(words.to_vec()))
}

/// The array with these keys of that type, and these values.
fn dictionary(key_type: &DataType, keys: &[Option<i64>], values: &ArrayRef) -> ArrayRef {
    let keys = cast(&Int64Array::from(keys.to_vec()), key_type).unwrap().to_data();
    let data_type = DataType::Dictionary(Box::new(key_type.clone()), Box::new(values.data_type().clone()));
    make_array(keys.into_builder().data_type(data_type).child_data(vec![values.to_data()]).build().unwrap())
}

fn batch(array: ArrayRef) -> RecordBatch {
    batch_of(vec![("size".to_owned(), array)])
}

/// The keys of a column of all batches, one after the other.
fn keys(batches: &[RecordBatch], column: usize) -> Vec<Option<i64>> {
    let of = |batch: &RecordBatch| {
        let keys = cast(batch.column(column).as_any_dictionary().keys(), &DataType::Int64).unwrap();
        keys.as_primitive::<Int64Type>().iter().collect::<Vec<_>>()
    };
    batches.iter().flat_map(of).collect()
}

/// Whether a column has exactly this dictionary, in each of its batches, of which there is at least one.
#[track_caller]
fn has(batches: &[RecordBatch], column: usize, values: &ArrayRef) {
    assert!(!batches.is_empty());
    for batch in batches {
        batch.column(column).to_data().validate_full().unwrap();
        assert_eq!(batch.column(column).as_any_dictionary().values(), values);
    }
}

async fn put(store: &ResultStore, batches: &[RecordBatch], serializer: &str) -> (ResultReference, Table) {
    let table = Batches::from_batches(batches[0].schema(), batches.to_vec());
    let reference = store.put("frames/sizes", table).serializer(serializer).await.unwrap();
    let back = store.get(&reference).await.unwrap().into_table().unwrap();
    assert_eq!(back.schema(), batches[0].schema(), "{serializer}");
    assert_eq!(rows(back.batches()), rows(batches), "{serializer}");
    (reference, back)
}

fn lossy(reference: &ResultReference) -> Vec<Json> {
    reference.written().unwrap().lossy.clone()
}

fn names_columns(losses: &[Json], columns: &[&str]) {
    let named: Vec<&str> = losses.iter().map(|loss| loss["column"].as_str().unwrap()).collect();
    assert_eq!(named, columns);
}

#[tokio::test]
async fn every_type_of_keys_and_values_keeps_its_dictionary() {
    let store = memory().await;
    let kept = words(&[Some("small"), Some("middle"), Some(""), Some("large\u{0}\"ż"), Some("huge")]);
    let found = [Some(3), None, Some(2), Some(0), Some(3)];
    for value_type in VALUES {
        let values = cast(&kept, &value_type).unwrap();
        for key_type in KEYS {
            let put_in = batch(dictionary(&key_type, &found, &values));
            for serializer in PARQUET {
                let (reference, back) = put(&store, &[put_in.clone(), put_in.slice(1, 3)], serializer).await;
                has(back.batches(), 0, &values);
                assert_eq!(keys(back.batches(), 0), [&found[..], &found[1..4]].concat(), "{serializer}");
                assert_eq!(lossy(&reference), [] as [Json; 0]);
                store.put("strict", &put_in).serializer(serializer).strict().await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_stay_in_their_dictionary() {
    let store = memory().await;
    let values: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"\xff\x00", b"", b"z", b"\xfe"]));
    let put_in = batch(dictionary(&DataType::UInt8, &[Some(3), Some(0), Some(1)], &values));
    let (_, back) = put(&store, std::slice::from_ref(&put_in), "parquet").await;
    has(back.batches(), 0, &values);
    assert_eq!(back.batches(), [put_in]);
}

#[tokio::test]
async fn ordered_dictionaries_stay_ordered() {
    let store = memory().await;
    let array = dictionary(&DataType::Int8, &[Some(1), Some(0)], &words(&[Some("b"), Some("a")]));
    let field = Field::new("size", array.data_type().clone(), true).with_dict_is_ordered(true);
    let put_in = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array]).unwrap();
    let (_, back) = put(&store, &[put_in], "parquet").await;
    assert_eq!(back.schema().field(0).dict_is_ordered(), Some(true));
    assert_eq!(back.batches()[0].schema().field(0).dict_is_ordered(), Some(true));
}

#[tokio::test]
async fn a_dictionary_that_grows_comes_back_whole_in_every_batch() {
    let store = memory().await;
    let parts: [&[Option<&str>]; 4] = [&[], &[Some("z"), Some("y")], &[Some("z")], &[Some("z"), Some("y"), Some("x")]];
    let found: [&[Option<i64>]; 4] = [&[None], &[Some(1), Some(0)], &[Some(0)], &[Some(2), Some(1)]];
    let batches: Vec<RecordBatch> =
        parts.iter().zip(found).map(|(part, found)| batch(dictionary(&DataType::Int16, found, &words(part)))).collect();
    for serializer in PARQUET {
        let (reference, back) = put(&store, &batches, serializer).await;
        has(back.batches(), 0, &words(&[Some("z"), Some("y"), Some("x")]));
        assert_eq!(keys(back.batches(), 0), found.concat());
        assert_eq!(lossy(&reference), [] as [Json; 0]);
    }
}

#[tokio::test]
async fn dictionaries_that_differ_are_named_and_a_strict_put_leaves_nothing() {
    let (folder, store) = local().await;
    let sizes = |values: &[Option<&str>]| dictionary(&DataType::Int8, &[Some(1), Some(0)], &words(values));
    let kept = sizes(&[Some("q"), Some("p"), Some("unused")]);
    let of = |array: ArrayRef| batch_of(vec![("kept".into(), kept.clone()), ("size".into(), array)]);
    let batches = [of(sizes(&[Some("a"), Some("b")])), of(sizes(&[Some("b"), Some("a")]))];
    for serializer in PARQUET {
        let table = Batches::from_batches(batches[0].schema(), batches.to_vec());
        let error = store.put("strict", table).serializer(serializer).strict().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("column `size` loses the order"), "{error}");
        assert!(!error.message().contains("`kept`"), "{error}");
        assert!(error.hint().unwrap().contains("`arrow`"), "{error:?}");
    }
    store.settled().await;
    assert_eq!(files_below(folder.path()), ["coldframe.json"]);
    assert_eq!(store.get("strict").await.unwrap_err().kind(), ErrorKind::NotFound);

    let (reference, back) = put(&store, &batches, "parquet").await;
    names_columns(&lossy(&reference), &["size"]);
    has(back.batches(), 0, kept.as_any_dictionary().values());
    let table = Batches::from_batches(batches[0].schema(), batches.to_vec());
    store.put("strict", table).serializer("arrow").strict().await.unwrap();
}

fn files_below(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        match entry.path().is_dir() {
            true => found.extend(files_below(&entry.path()).into_iter().map(|inner| format!("{name}/{inner}"))),
            false => found.push(name),
        }
    }
    found
}

#[tokio::test]
async fn a_null_in_a_dictionary_stays_there_and_its_rows_become_nulls() {
    let store = memory().await;
    let values = words(&[Some("b"), None, Some("a"), None]);
    let unused = batch(dictionary(&DataType::Int8, &[Some(2), None, Some(0)], &values));
    let (reference, back) = put(&store, std::slice::from_ref(&unused), "parquet").await;
    has(back.batches(), 0, &values);
    assert_eq!((keys(back.batches(), 0), lossy(&reference)), (vec![Some(2), None, Some(0)], vec![]));

    let used = batch(dictionary(&DataType::Int8, &[Some(2), Some(1), None, Some(3)], &values));
    let (reference, back) = put(&store, std::slice::from_ref(&used), "parquet").await;
    has(back.batches(), 0, &values);
    assert_eq!(keys(back.batches(), 0), [Some(2), None, None, None]);
    names_columns(&lossy(&reference), &["size"]);
    assert!(lossy(&reference)[0]["loses"].as_str().unwrap().contains("null"));
    assert_eq!(store.put("k", &used).strict().await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn of_equal_values_in_a_dictionary_the_first_stands_for_the_rows() {
    let store = memory().await;
    let values = words(&[Some("b"), Some("a"), Some("b")]);
    let put_in = batch(dictionary(&DataType::Int8, &[Some(2), Some(1), Some(0)], &values));
    let (_, back) = put(&store, std::slice::from_ref(&put_in), "parquet").await;
    has(back.batches(), 0, &values);
    assert_eq!(keys(back.batches(), 0), [Some(0), Some(1), Some(0)]);
    assert_eq!(back.batches(), [put_in]);
}

#[tokio::test]
async fn keys_reach_what_they_used_in_a_dictionary_that_is_longer_than_they_reach() {
    let store = memory().await;
    let long: ArrayRef = Arc::new(StringArray::from_iter_values((0..300).map(|place| format!("value {place}"))));
    let found: Vec<Option<i64>> = (0..128).rev().map(Some).collect();
    for values in [long.clone(), long.slice(0, 128)] {
        let put_in = batch(dictionary(&DataType::Int8, &found, &values));
        let (_, back) = put(&store, &[put_in], "parquet").await;
        has(back.batches(), 0, &values);
        assert_eq!(keys(back.batches(), 0), found);
    }
}

#[tokio::test]
async fn a_table_without_rows_shows_its_dictionaries() {
    let store = memory().await;
    let values = words(&[Some("small"), Some("large")]);
    let empty = words(&[]);
    let columns = vec![
        ("size".to_owned(), dictionary(&DataType::Int8, &[], &values)),
        ("none".to_owned(), dictionary(&DataType::Int8, &[], &empty)),
        ("plain".to_owned(), Arc::new(Int64Array::from(Vec::<i64>::new())) as ArrayRef),
    ];
    let put_in = batch(dictionary(&DataType::Int8, &[Some(1), None], &values));
    for serializer in PARQUET.into_iter().chain(["arrow", "arrow/lz4"]) {
        let (reference, back) = put(&store, &[batch_of(columns.clone())], serializer).await;
        has(back.batches(), 0, &values);
        has(back.batches(), 1, &empty);
        assert_eq!((back.rows(), lossy(&reference)), (0, vec![]));
        let (reference, _) = put(&store, std::slice::from_ref(&put_in), serializer).await;
        for scan in [store.scan(&reference).limit(0), store.scan(&reference).offset(2)] {
            let none = scan.columns(["size"]).collect().await.unwrap();
            has(none.batches(), 0, &values);
            assert_eq!(none.rows(), 0);
        }
    }
    let nulls = batch(dictionary(&DataType::Int8, &[None, None], &empty));
    let (_, back) = put(&store, &[nulls], "parquet").await;
    has(back.batches(), 0, &empty);
}

/// 700,000 rows in several row groups; in each of them, the values are first used in another order.
fn long() -> (Vec<RecordBatch>, [ArrayRef; 2]) {
    let sizes = words(&[Some("small"), Some("middle"), Some("large"), Some("unused"), Some("huge")]);
    let days: ArrayRef = Arc::new(LargeStringArray::from_iter_values((0..400).map(|day| format!("day {day}"))));
    let of = |start: i64| {
        let rows = start..start + 100_000;
        let size: Vec<_> = rows
            .clone()
            .map(|row| (row % 11 != 0).then_some([4, 0, 2, 1][(start as usize / 7 + row as usize) % 4]))
            .collect();
        let day: Vec<_> = rows.clone().map(|row| Some((row * 7 + start / 1000) % 399)).collect();
        batch_of(vec![
            ("id".into(), Arc::new(Int64Array::from_iter_values(rows)) as ArrayRef),
            ("size".into(), dictionary(&DataType::Int8, &size, &sizes)),
            ("day".into(), dictionary(&DataType::UInt32, &day, &days)),
        ])
    };
    ((0..7).map(|number| of(number * 100_000)).collect(), [sizes.clone(), days.clone()])
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_and_rows_of_several_row_groups_have_the_whole_dictionary() {
    let folder = tempfile::tempdir().unwrap();
    let builder = ResultStore::builder().configuration(Configuration::empty()).memory(16 << 20).durable(false);
    let store = builder.location(folder.path().to_str().unwrap()).open().await.unwrap();
    let (batches, [sizes, days]) = long();
    let table = Batches::from_batches(batches[0].schema(), batches.clone());
    let reference = store.put("long", table).strict().await.unwrap();
    let file = std::fs::File::open(folder.path().join(&reference.written().unwrap().parts[0].path)).unwrap();
    let groups = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    assert!(groups.metadata().num_row_groups() > 2);

    let (size, day) = (keys(&batches, 1), keys(&batches, 2));
    let whole = store.scan(&reference).collect().await.unwrap();
    has(whole.batches(), 1, &sizes);
    has(whole.batches(), 2, &days);
    assert!(keys(whole.batches(), 1) == size && keys(whole.batches(), 2) == day);
    let tail =
        store.scan(&reference).columns(["day", "size"]).tail(250_001).batch_rows(40_000).collect().await.unwrap();
    has(tail.batches(), 0, &days);
    has(tail.batches(), 1, &sizes);
    assert!(keys(tail.batches(), 0) == day[449_999..] && keys(tail.batches(), 1) == size[449_999..]);
    let middle = store.scan(&reference).columns(["size"]).offset(99_990).limit(300_000).collect().await.unwrap();
    has(middle.batches(), 0, &sizes);
    assert!(keys(middle.batches(), 0) == size[99_990..399_990]);
}

#[tokio::test]
async fn each_part_has_the_dictionaries() {
    let store = memory().await;
    let shared = words(&[Some("z"), Some("a"), Some("unused")]);
    // Each batch makes a row group of its own: together they bring more words than their keys tell apart.
    let of = |number: usize| {
        let own: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|row| format!("{number}-{row}"))));
        let mut columns = vec![("own".to_owned(), dictionary(&DataType::Int8, &[Some(7), Some(number as i64)], &own))];
        let keys = [Some(1), Some(0)];
        columns.extend((0..8_000).map(|column| (format!("{column}"), dictionary(&DataType::Int8, &keys, &shared))));
        batch_of(columns)
    };
    let batches: Vec<RecordBatch> = (0..5).map(of).collect();
    let (reference, back) = put(&store, &batches, "parquet/none").await;
    assert_eq!(reference.written().unwrap().parts.len(), 2);
    names_columns(&lossy(&reference), &["own"]);
    has(back.batches(), 1, &shared);
    has(back.batches(), 8_000, &shared);
}

#[tokio::test]
async fn a_dictionary_that_is_too_large_for_the_footer_is_named() {
    let builder = ResultStore::builder().configuration(Configuration::empty()).memory(16 << 20);
    let store = builder.location("memory://").open().await.unwrap();
    let large: ArrayRef = Arc::new(StringArray::from_iter_values((0..30_000).map(|place| format!("{place:0>100}"))));
    let small = words(&[Some("b"), Some("a")]);
    let found: Vec<Option<i64>> = (0..30_000).rev().map(Some).collect();
    let few: Vec<Option<i64>> = (0..30_000).map(|row| Some(1 - row % 2)).collect();
    let put_in = batch_of(vec![
        ("large".to_owned(), dictionary(&DataType::Int32, &found, &large)),
        ("small".to_owned(), dictionary(&DataType::Int32, &few, &small)),
    ]);
    let (reference, back) = put(&store, std::slice::from_ref(&put_in), "parquet").await;
    names_columns(&lossy(&reference), &["large"]);
    has(back.batches(), 1, &small);
    let error = store.put("strict", &put_in).serializer("parquet").strict().await.unwrap_err();
    assert!(error.message().contains("column `large` loses") && error.message().contains("too large"), "{error}");
    // Control characters take more room in the footer than in memory.
    let swelling: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..10_000).map(|place| "\u{1}".repeat(100) + &place.to_string())));
    let put_in = batch(dictionary(&DataType::Int32, &found[20_000..], &swelling));
    let (reference, _) = put(&store, &[put_in], "parquet").await;
    names_columns(&lossy(&reference), &["size"]);
}

#[tokio::test]
async fn what_is_lost_for_certain_is_named_beforehand() {
    let (folder, store) = local().await;
    let array = dictionary(&DataType::Int8, &[Some(1), Some(0)], &words(&[Some("b"), Some("a")]));
    let field = Arc::new(Field::new("inner", array.data_type().clone(), true));
    let nested: ArrayRef = Arc::new(StructArray::new(vec![field].into(), vec![array.clone()], None));
    let put_in = batch_of(vec![("size".into(), array), ("nested".into(), nested)]);
    let shape = Shape::Table(put_in.schema());
    let own = json!({"column": "id", "loses": "its freq"});
    for serializer in PARQUET {
        let beforehand = store.losses(&shape, Some(serializer.into_choice())).unwrap();
        names_columns(&beforehand, &["nested"]);
        let lossless = store.put("strict", &put_in).serializer(serializer).strict().await;
        let error = lossless.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("column `nested` loses"), "{error}");

        let given = vec![own.clone(), beforehand[0].clone()];
        let reference = store.put("k", &put_in).serializer(serializer).lossy(given.clone()).await.unwrap();
        assert_eq!(lossy(&reference), given);
        assert_eq!(lossy(&store.reference("k").await.unwrap()), given);
    }
    assert_eq!(store.losses(&shape, Some("arrow".into_choice())).unwrap(), [] as [Json; 0]);
    names_columns(&store.losses(&shape, None).unwrap(), &["nested"]);
    assert_eq!(store.losses(&Shape::Json, None).unwrap(), [] as [Json; 0]);
    assert_eq!(store.losses(&shape, Some("json".into_choice())).unwrap_err().kind(), ErrorKind::Unsupported);

    // What was lost before the put counts as well, for whatever is put.
    let before = files_below(folder.path());
    for put in
        [store.put("own", &put_in).serializer("arrow"), store.put("own", json!(null)), store.put("own", json!([]))]
    {
        let error = put.lossy(vec![own.clone(), json!({"loses": "its name"})]).strict().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("column `id` loses its freq; the value loses its name"), "{error}");
        assert!(error.hint().unwrap().contains("`strict`"), "{error:?}");
    }
    assert_eq!(files_below(folder.path()), before);
    let literal = store.put("literal", json!(null)).lossy(vec![own.clone()]).await.unwrap();
    assert_eq!(lossy(&literal), [own]);
}

/// A dictionary, some batches' keys into it, their type, and whether a batch has values of its own that are the same.
fn shared() -> impl Strategy<Value = (ArrayRef, DataType, Vec<Vec<Option<i64>>>, bool)> {
    let word = prop_oneof![4 => "[a-cż\u{1}]{0,3}".prop_map(Some), 1 => Just(None)];
    let values = prop::collection::vec(word, 1..40);
    (values, prop::sample::select(KEYS.to_vec()), prop::sample::select(VALUES.to_vec()), any::<bool>()).prop_flat_map(
        |(values, key_type, value_type, copied)| {
            let key = prop::option::weighted(0.8, 0..values.len() as i64);
            let batches = prop::collection::vec(prop::collection::vec(key, 0..20), 1..5);
            let values = cast(&StringArray::from(values), &value_type).unwrap();
            (Just(values), Just(key_type), batches, Just(copied))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn batches_that_share_a_dictionary_come_back_equal((values, key_type, found, copied) in shared()) {
        let of = |found: &Vec<Option<i64>>| {
            // Behind a null the row's own key is lost, which has a test of its own.
            let found: Vec<_> = found.iter().map(|key| key.filter(|key| values.is_valid(*key as usize))).collect();
            let values = if copied { concat(&[&values.slice(0, 0), &values]).unwrap() } else { values.clone() };
            batch(dictionary(&key_type, &found, &values))
        };
        let batches: Vec<RecordBatch> = found.iter().map(of).collect();
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(async {
            let store = memory().await;
            for serializer in ["parquet", "compressed(lz4)/parquet/none"] {
                let table = Batches::from_batches(batches[0].schema(), batches.clone());
                let reference = store.put("shared", table).serializer(serializer).strict().await.unwrap();
                let back = store.get(&reference).await.unwrap().into_table().unwrap();
                has(back.batches(), 0, &values);
                let whole = |batches: &[RecordBatch]| {
                    concat(&batches.iter().map(|batch| batch.column(0).as_ref()).collect::<Vec<_>>()).unwrap()
                };
                assert_eq!(&whole(back.batches()), &whole(&batches));
            }
        });
    }
}
