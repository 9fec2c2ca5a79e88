//! Dictionaries of values of every type come back from Parquet, and their files are plain for everybody else.

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::{cast, concat};
use arrow::datatypes::*;
use coldframe::{Batches, Configuration, ErrorKind, ResultReference, ResultStore, Table};
use half::f16;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::generate::{cells, rows};
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
const PARQUET: [&str; 3] = ["parquet", "parquet/none", "compressed(lz4)/parquet"];

/// Five different values of each type that Parquet has no dictionaries of, none of them in ascending order.
fn values() -> Vec<ArrayRef> {
    let mut arrays = floats();
    let integers: ArrayRef = Arc::new(Int64Array::from(vec![7, -3, 0, 127, 5]));
    let naturals: ArrayRef = Arc::new(Int64Array::from(vec![7, 3, 0, 127, 5]));
    for data_type in [DataType::Int8, DataType::Int16, DataType::Int32, DataType::Date32] {
        arrays.push(cast(&cast(&integers, &DataType::Int32).unwrap(), &data_type).unwrap());
    }
    for data_type in [DataType::UInt8, DataType::UInt16, DataType::UInt32, DataType::UInt64] {
        arrays.push(cast(&naturals, &data_type).unwrap());
    }
    arrays.push(Arc::new(Int64Array::from(vec![i64::MAX, i64::MIN, 0, -1, 1])));
    arrays.push(Arc::new(UInt64Array::from(vec![u64::MAX, 1 << 63, 0, 1, 2])));
    arrays.push(Arc::new(Date64Array::from(vec![86_400_000, -86_400_000, 0, 1, 5])));
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        arrays.push(cast(&integers, &DataType::Duration(unit)).unwrap());
        for zone in [None, Some("Europe/Berlin"), Some("-03:30")] {
            arrays.push(cast(&integers, &DataType::Timestamp(unit, zone.map(Into::into))).unwrap());
        }
        let time = match unit {
            TimeUnit::Second | TimeUnit::Millisecond => DataType::Time32(unit),
            _ => DataType::Time64(unit),
        };
        let narrow = matches!(time, DataType::Time32(_));
        let whole = if narrow { cast(&naturals, &DataType::Int32).unwrap() } else { naturals.clone() };
        arrays.push(cast(&whole, &time).unwrap());
    }
    arrays.push(Arc::new(IntervalYearMonthArray::from(vec![13, -13, 0, 1, 2])));
    let days = [(1, 2), (2, 1), (0, -1), (0, 0), (-1, 0)];
    let days = days.map(|(days, milliseconds)| IntervalDayTime::new(days, milliseconds));
    arrays.push(Arc::new(IntervalDayTimeArray::from(days.to_vec())));
    for data_type in [
        DataType::Decimal32(9, 2),
        DataType::Decimal64(18, 3),
        DataType::Decimal128(38, 0),
        DataType::Decimal128(20, 4),
        DataType::Decimal256(76, 1),
    ] {
        arrays.push(cast(&integers, &data_type).unwrap());
    }
    let bytes = [b"\xff\0b", b"abc", b"\0\0\0", b"abd", b"zzz"];
    arrays.push(Arc::new(FixedSizeBinaryArray::try_from_iter(bytes.iter()).unwrap()));
    let words =
        ["b", "a view that is longer than twelve bytes", "", "large\u{0}\"ż", "another that is longer than twelve"];
    arrays.push(Arc::new(StringViewArray::from(words.to_vec())));
    let bytes: Vec<&[u8]> = vec![b"\xff\xfe", b"", b"a value that is longer than twelve bytes\xff", b"a", b"\0"];
    arrays.push(Arc::new(BinaryViewArray::from(bytes)));
    arrays
}

/// Not a number in two ways, and zero in two ways.
fn floats() -> Vec<ArrayRef> {
    let odd = f64::from_bits(f64::NAN.to_bits() | 5);
    vec![
        Arc::new(Float64Array::from(vec![-0.0, odd, 0.0, f64::NAN, f64::INFINITY])),
        Arc::new(Float32Array::from(vec![-0.0, f32::from_bits(f32::NAN.to_bits() | 5), 0.0, f32::NAN, 1.5])),
        Arc::new(Float16Array::from([0x8000, 0x7e05, 0x0000, 0x7e00, 0x3c00].map(f16::from_bits).to_vec())),
    ]
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

fn integers(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

/// The keys of a column of all batches, one after the other.
fn keys(batches: &[RecordBatch], column: usize) -> Vec<Option<i64>> {
    let of = |batch: &RecordBatch| {
        let keys = cast(batch.column(column).as_any_dictionary().keys(), &DataType::Int64).unwrap();
        keys.as_primitive::<Int64Type>().iter().collect::<Vec<_>>()
    };
    batches.iter().flat_map(of).collect()
}

/// Whether a column has exactly this dictionary, bit by bit, in each of its batches, of which there is at least one.
#[track_caller]
fn has(batches: &[RecordBatch], column: usize, values: &ArrayRef) {
    assert!(!batches.is_empty());
    for batch in batches {
        batch.column(column).to_data().validate_full().unwrap();
        let found = batch.column(column).as_any_dictionary().values();
        assert_eq!(found.data_type(), values.data_type());
        assert_eq!(cells(found), cells(values));
    }
}

async fn put(store: &ResultStore, batches: &[RecordBatch], serializer: &str) -> (ResultReference, Table) {
    let table = Batches::from_batches(batches[0].schema(), batches.to_vec());
    let reference = store.put("frames/sizes", table).serializer(serializer).await.unwrap();
    let back = store.get(&reference).await.unwrap().into_table().unwrap();
    assert_eq!(back.schema(), batches[0].schema(), "{serializer}");
    assert!(back.batches().iter().all(|batch| batch.schema() == batches[0].schema()), "{serializer}");
    assert_eq!(rows(back.batches()), rows(batches), "{serializer}");
    (reference, back)
}

fn lost(reference: &ResultReference) -> Vec<String> {
    let losses = &reference.written().unwrap().lossy;
    losses.iter().map(|loss| loss["column"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_type_of_values_and_keys_comes_back() {
    let store = memory().await;
    let found = [Some(3), None, Some(1), Some(0), Some(3), Some(2)];
    for (number, values) in values().iter().enumerate() {
        for key_type in KEYS {
            let put_in = batch(dictionary(&key_type, &found, values));
            let serializer = PARQUET[number % PARQUET.len()];
            let (reference, back) = put(&store, &[put_in.clone(), put_in.slice(1, 4)], serializer).await;
            has(back.batches(), 0, values);
            assert_eq!(keys(back.batches(), 0), [&found[..], &found[1..5]].concat(), "{}", values.data_type());
            assert_eq!(lost(&reference), [""; 0]);
            store.put("strict", &put_in).serializer(serializer).strict().await.unwrap();
        }
    }
}

#[tokio::test]
async fn truths_and_nothing_come_back() {
    let store = memory().await;
    for (values, found) in [
        (Arc::new(BooleanArray::from(vec![true, false])) as ArrayRef, vec![Some(1), None, Some(0)]),
        (Arc::new(BooleanArray::from(vec![Some(false), None])), vec![Some(0), None, Some(0)]),
        (Arc::new(NullArray::new(0)), vec![None, None]),
        (Arc::new(NullArray::new(3)), vec![None, None]),
        (integers(&[]), vec![None, None]),
        (Arc::new(FixedSizeBinaryArray::new(4, Default::default(), None)), vec![None, None]),
        (Arc::new(StringViewArray::from(Vec::<&str>::new())), vec![None, None]),
        (integers(&[Some(4), Some(2)]), vec![]),
        (Arc::new(StringViewArray::from(vec!["b", "a"])), vec![]),
    ] {
        for serializer in PARQUET {
            let put_in = batch(dictionary(&DataType::Int8, &found, &values));
            let (reference, back) = put(&store, &[put_in], serializer).await;
            has(back.batches(), 0, &values);
            assert_eq!((keys(back.batches(), 0), lost(&reference)), (found.clone(), vec![]));
        }
    }
}

#[tokio::test]
async fn the_declared_type_stays_with_its_order_and_its_metadata() {
    let store = memory().await;
    let views: ArrayRef = Arc::new(StringViewArray::from(vec!["b", "a"]));
    let stored = [integers(&[Some(2), Some(1)]), views, Arc::new(StringArray::from(vec!["b", "a"]))];
    let arrays: Vec<ArrayRef> =
        stored.iter().map(|values| dictionary(&DataType::UInt8, &[Some(1), Some(0)], values)).collect();
    let fields = arrays.iter().zip([true, false, true]).map(|(array, ordered)| {
        let field = Field::new("same name", array.data_type().clone(), false).with_dict_is_ordered(ordered);
        field.with_metadata([("unit".to_owned(), "m".to_owned())].into())
    });
    let metadata = [("who".to_owned(), "me".to_owned()), ("coldframe.types".to_owned(), "not ours".to_owned())];
    let schema = Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), metadata.into()));
    let put_in = RecordBatch::try_new(schema, arrays).unwrap();
    for serializer in PARQUET {
        let reference = store.put("k", &put_in).serializer(serializer).strict().await.unwrap();
        let back = store.get(&reference).await.unwrap().into_table().unwrap();
        assert_eq!(back.schema().fields(), put_in.schema().fields());
        assert_eq!(back.schema().metadata().keys().collect::<Vec<_>>(), ["who"]);
        let ordered: Vec<_> = back.schema().fields().iter().map(|field| field.dict_is_ordered()).collect();
        assert_eq!(ordered, [Some(true), Some(false), Some(true)]);
        assert_eq!(rows(back.batches()), rows(std::slice::from_ref(&put_in)));
    }
}

#[tokio::test]
async fn dictionaries_grow_and_differ() {
    let store = memory().await;
    let part = |values: &ArrayRef, count: usize| values.slice(0, count);
    for values in values() {
        let of = |keys: &[Option<i64>], values: &ArrayRef| batch(dictionary(&DataType::Int8, keys, values));
        let growing = [
            of(&[None], &part(&values, 0)),
            of(&[Some(1), Some(0)], &part(&values, 2)),
            of(&[Some(0)], &part(&values, 1)),
            of(&[Some(3), None, Some(2)], &part(&values, 4)),
        ];
        let (reference, back) = put(&store, &growing, "parquet").await;
        has(back.batches(), 0, &part(&values, 4));
        assert_eq!(keys(back.batches(), 0), keys(&growing, 0));
        assert_eq!(lost(&reference), [""; 0]);

        let differing = [of(&[Some(1), None, Some(0)], &values), of(&[Some(2), Some(0)], &values.slice(2, 3))];
        let (reference, back) = put(&store, &differing, "parquet").await;
        assert_eq!(lost(&reference), ["size"]);
        let first = back.batches()[0].column(0).as_any_dictionary();
        assert_eq!(cells(first.values())[..2], [cells(&values)[1].clone(), cells(&values)[0].clone()]);
        let table = Batches::from_batches(differing[0].schema(), differing.to_vec());
        let error = store.put("strict", table).serializer("parquet").strict().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[tokio::test]
async fn a_null_in_a_dictionary_stays_there_and_its_rows_become_nulls() {
    let store = memory().await;
    let views: ArrayRef = Arc::new(StringViewArray::from(vec![Some("b"), None, Some("a"), None]));
    for values in [integers(&[Some(8), None, Some(3), None]), views] {
        let unused = batch(dictionary(&DataType::Int8, &[Some(2), None, Some(0)], &values));
        let (reference, back) = put(&store, std::slice::from_ref(&unused), "parquet").await;
        has(back.batches(), 0, &values);
        assert_eq!((keys(back.batches(), 0), lost(&reference)), (vec![Some(2), None, Some(0)], vec![]));

        let used = batch(dictionary(&DataType::Int8, &[Some(2), Some(1), None, Some(3)], &values));
        let (reference, back) = put(&store, std::slice::from_ref(&used), "parquet").await;
        has(back.batches(), 0, &values);
        assert_eq!((keys(back.batches(), 0), lost(&reference)), (vec![Some(2), None, None, None], vec!["size".into()]));
        assert_eq!(store.put("k", &used).strict().await.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    let nothing: ArrayRef = Arc::new(NullArray::new(2));
    let (reference, back) =
        put(&store, &[batch(dictionary(&DataType::Int8, &[Some(1), None], &nothing))], "parquet").await;
    has(back.batches(), 0, &nothing);
    assert_eq!((keys(back.batches(), 0), lost(&reference)), (vec![None, None], vec!["size".into()]));
}

#[tokio::test]
async fn a_null_behind_a_key_of_a_column_without_nulls_is_refused() {
    let (_folder, store) = local().await;
    let words = vec![Some("b"), None];
    let (text, views) = (StringArray::from(words.clone()), StringViewArray::from(words));
    for values in [integers(&[Some(8), None]), Arc::new(text), Arc::new(views), Arc::new(NullArray::new(2))] {
        let array = dictionary(&DataType::Int8, &[Some(1), Some(0)], &values);
        let schema = Schema::new(vec![Field::new("size", array.data_type().clone(), false)]);
        let put_in = RecordBatch::try_new(Arc::new(schema), vec![array]).unwrap();
        let error = store.put("k", &put_in).serializer("parquet").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        assert!(error.message().contains("column `size`"), "{error:?}");
        assert_eq!(store.get("k").await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

/// 700,000 rows in several row groups: categories as polars has them, few of many used, and days as pandas has them.
fn long() -> (Vec<RecordBatch>, [ArrayRef; 2]) {
    let names: ArrayRef =
        Arc::new(StringViewArray::from_iter_values((0..5_000).map(|place| format!("category number {place}"))));
    let days: ArrayRef = Arc::new(TimestampNanosecondArray::from_iter_values((0..400).rev()).with_timezone("UTC"));
    let of = |start: i64| {
        let rows = start..start + 100_000;
        let name: Vec<_> =
            rows.clone().map(|row| (row % 11 != 0).then_some((row * 13 + start / 1000) % 90 * 50)).collect();
        let day: Vec<_> = rows.clone().map(|row| Some((row * 7 + start / 1000) % 399)).collect();
        batch_of(vec![
            ("id".into(), Arc::new(Int64Array::from_iter_values(rows)) as ArrayRef),
            ("name".into(), dictionary(&DataType::UInt32, &name, &names)),
            ("day".into(), dictionary(&DataType::Int16, &day, &days)),
        ])
    };
    ((0..7).map(|number| of(number * 100_000)).collect(), [names.clone(), days.clone()])
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_and_rows_of_several_row_groups_have_the_whole_dictionary() {
    let folder = tempfile::tempdir().unwrap();
    let builder = ResultStore::builder().configuration(Configuration::empty()).memory(16 << 20).durable(false);
    let store = builder.location(folder.path().to_str().unwrap()).open().await.unwrap();
    let (batches, [names, days]) = long();
    let table = Batches::from_batches(batches[0].schema(), batches.clone());
    let reference = store.put("long", table).strict().await.unwrap();
    let file = std::fs::File::open(folder.path().join(&reference.written().unwrap().parts[0].path)).unwrap();
    let plain = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    assert!(plain.metadata().num_row_groups() > 2);
    // What other readers find.
    let found: Vec<&DataType> = plain.schema().fields().iter().map(|field| field.data_type()).collect();
    let large = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::LargeUtf8));
    assert_eq!(found, [&DataType::Int64, &large, days.data_type()]);
    let read: usize = plain.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(read, 700_000);

    let (name, day) = (keys(&batches, 1), keys(&batches, 2));
    let whole = store.scan(&reference).collect().await.unwrap();
    has(whole.batches(), 1, &names);
    has(whole.batches(), 2, &days);
    assert!(keys(whole.batches(), 1) == name && keys(whole.batches(), 2) == day);
    let tail =
        store.scan(&reference).columns(["day", "name"]).tail(250_001).batch_rows(40_000).collect().await.unwrap();
    has(tail.batches(), 0, &days);
    has(tail.batches(), 1, &names);
    assert!(keys(tail.batches(), 0) == day[449_999..] && keys(tail.batches(), 1) == name[449_999..]);
    let middle = store.scan(&reference).columns(["day"]).offset(99_990).limit(300_000).collect().await.unwrap();
    has(middle.batches(), 0, &days);
    assert!(keys(middle.batches(), 0) == day[99_990..399_990]);
    let none = store.scan(&reference).columns(["day", "name"]).limit(0).collect().await.unwrap();
    has(none.batches(), 0, &days);
    has(none.batches(), 1, &names);
}

#[tokio::test]
async fn narrow_keys_reach_the_values_of_their_row_groups() {
    let store = memory().await;
    let found: Vec<Option<i64>> = (0..128).rev().map(Some).collect();
    let of = |values: &ArrayRef| batch(dictionary(&DataType::Int8, &found, values));
    for data_type in
        [DataType::Int64, DataType::Utf8View, DataType::Float64, DataType::Timestamp(TimeUnit::Second, None)]
    {
        // Each batch brings 128 values, and no two batches the same ones.
        let batches: Vec<RecordBatch> = (0..4)
            .map(|number| {
                let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(number * 128..(number + 1) * 128));
                of(&cast(&numbers, &data_type).unwrap())
            })
            .collect();
        let (reference, back) = put(&store, &batches, "parquet").await;
        assert_eq!(lost(&reference), ["size"], "{data_type}");
        assert!(back.batches().iter().all(|batch| batch.column(0).as_any_dictionary().values().len() == 128));
        // A longer dictionary than its keys reach is kept whole.
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..300));
        let long = cast(&numbers, &data_type).unwrap();
        let (_, back) = put(&store, &[of(&long)], "parquet").await;
        has(back.batches(), 0, &long);
        assert_eq!(keys(back.batches(), 0), found);
    }
}

#[tokio::test]
async fn a_dictionary_that_is_too_large_for_the_footer_is_named() {
    let builder = ResultStore::builder().configuration(Configuration::empty()).memory(16 << 20);
    let store = builder.location("memory://").open().await.unwrap();
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..300_000).map(|place| place * 3)));
    let views: ArrayRef =
        Arc::new(StringViewArray::from_iter_values((0..60_000).map(|place| format!("a long category {place:0>30}"))));
    // In memory it has room, in the footer it has not: each of its values takes more there.
    let swelling: ArrayRef = Arc::new(Int8Array::from_iter_values((0..900_000).map(|place| (place % 100) as i8)));
    let found: Vec<Option<i64>> = (0..60_000).rev().map(Some).collect();
    for values in [numbers, views, swelling] {
        let put_in = batch(dictionary(&DataType::Int32, &found, &values));
        let (reference, back) = put(&store, std::slice::from_ref(&put_in), "parquet").await;
        assert_eq!(lost(&reference), ["size"]);
        for batch in back.batches() {
            let first_use = keys(std::slice::from_ref(batch), 0);
            assert_eq!(first_use[0], Some(0), "values stand in the order of their first use");
        }
        let error = store.put("strict", &put_in).serializer("parquet").strict().await.unwrap_err();
        assert!(error.message().contains("too large"), "{error}");
    }
}

#[tokio::test]
async fn wide_values_behind_narrow_keys_keep_to_the_budget() {
    let builder = ResultStore::builder().configuration(Configuration::empty()).memory(16 << 20);
    let store = builder.location("memory://").open().await.unwrap();
    let wide: Vec<Vec<u8>> = vec![vec![7; 4_000], vec![9; 4_000]];
    let values: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter(wide.iter()).unwrap());
    // 400 MB once each row has its value, 100 KB as a dictionary.
    let found: Vec<Option<i64>> = (0..100_000).map(|row| Some(row % 2)).collect();
    let put_in = batch(dictionary(&DataType::Int8, &found, &values));
    let reference = store.put("wide", &put_in).serializer("parquet").strict().await.unwrap();
    let back = store.get(&reference).await.unwrap().into_table().unwrap();
    has(back.batches(), 0, &values);
    assert!(keys(back.batches(), 0) == found);
    assert!(back.batches().len() > 10, "batches are cut by what their rows take");
}

#[tokio::test]
async fn values_that_parquet_cannot_hold_are_refused() {
    let store = memory().await;
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1)])]));
    let intervals: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(1, 2, 3)]));
    let none: ArrayRef = Arc::new(FixedSizeBinaryArray::try_new_with_len(0, Vec::<u8>::new().into(), None, 1).unwrap());
    let inner = dictionary(&DataType::Int8, &[Some(0)], &integers(&[Some(1)]));
    let field = Arc::new(Field::new("inner", inner.data_type().clone(), true));
    let nested: ArrayRef = Arc::new(StructArray::new(vec![field].into(), vec![inner.clone()], None));
    let refused = [list, intervals, none].map(|values| dictionary(&DataType::Int8, &[Some(0)], &values));
    for array in refused.into_iter().chain([nested]) {
        let error = store.put("k", batch(array.clone())).serializer("parquet").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.message().contains("column `size`") && error.hint().unwrap().contains("`arrow`"), "{error:?}");
        store.put("k", batch(array)).serializer("arrow").strict().await.unwrap();
    }
    let deep = dictionary(&DataType::Int8, &[Some(0)], &inner);
    let error = store.put("k", batch(deep)).serializer("parquet").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
}

/// A dictionary, some batches' keys into it, their type, and whether a batch has values of its own that are the same.
fn shared() -> impl Strategy<Value = (ArrayRef, DataType, Vec<Vec<Option<i64>>>, bool)> {
    let word = prop_oneof![4 => "[0-9]{1,4}".prop_map(Some), 1 => Just(None)];
    let words = prop::collection::vec(word, 1..40);
    let types = vec![
        DataType::Utf8View,
        DataType::BinaryView,
        DataType::Int64,
        DataType::UInt16,
        DataType::Float64,
        DataType::Decimal128(10, 2),
        DataType::Boolean,
    ];
    (words, prop::sample::select(KEYS.to_vec()), prop::sample::select(types), any::<bool>()).prop_flat_map(
        |(words, key_type, value_type, copied)| {
            let key = prop::option::weighted(0.8, 0..words.len() as i64);
            let batches = prop::collection::vec(prop::collection::vec(key, 0..20), 1..5);
            let values = cast(&StringArray::from(words), &value_type).unwrap();
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
                assert_eq!(rows(back.batches()), rows(&batches));
            }
        });
    }
}
