//! What several tests need: stores, tables of every type.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::*;
use coldframe::{Configuration, ResultStore};

/// A store in a folder that is gone when the test ends, without fsync.
pub(crate) async fn local() -> (tempfile::TempDir, ResultStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = local_in(folder.path()).await;
    (folder, store)
}

pub(crate) async fn local_in(folder: &std::path::Path) -> ResultStore {
    let location = folder.to_str().unwrap();
    let builder = ResultStore::builder().configuration(Configuration::empty()).durable(false);
    builder.location(location).open().await.unwrap()
}

pub(crate) async fn memory() -> ResultStore {
    ResultStore::builder().configuration(Configuration::empty()).location("memory://").open().await.unwrap()
}

/// Three rows of two columns.
pub(crate) fn small() -> RecordBatch {
    let fares: ArrayRef = Arc::new(Float64Array::from(vec![Some(12.5), None, Some(7.0)]));
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some(""), None]));
    RecordBatch::try_from_iter_with_nullable([("fare", fares, true), ("name", names, true)]).unwrap()
}

/// `rows` rows of numbers and text.
pub(crate) fn numbers(rows: usize) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    let names: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("row {}", row * 7919 % 1000))));
    RecordBatch::try_from_iter([("id", ids), ("name", names)]).unwrap()
}

/// The columns of [`every_type`] that Parquet cannot hold exactly, in their order.
pub(crate) const REFUSED_BY_PARQUET: [&str; 4] =
    ["interval_month_day_nano", "sparse union", "dense union", "run end encoded"];

/// One column of each type that Arrow has, with nulls, as (name, array).
pub(crate) fn every_type() -> Vec<(String, ArrayRef)> {
    let rows = 5;
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    let mut add = |name: &str, array: ArrayRef| {
        assert_eq!(array.len(), rows, "{name}");
        columns.push((name.to_owned(), array));
    };
    macro_rules! primitive {
        ($name:literal, $array:ty, $($value:expr),*) => {
            add($name, Arc::new(<$array>::from(vec![$($value),*])));
        };
    }
    add("null", Arc::new(NullArray::new(rows)));
    add("boolean", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true), None])));
    primitive!("int8", Int8Array, Some(i8::MIN), None, Some(0), Some(1), Some(i8::MAX));
    primitive!("int16", Int16Array, Some(i16::MIN), None, Some(0), Some(1), Some(i16::MAX));
    primitive!("int32", Int32Array, Some(i32::MIN), None, Some(0), Some(1), Some(i32::MAX));
    primitive!("int64", Int64Array, Some(i64::MIN), None, Some(0), Some(1), Some(i64::MAX));
    primitive!("uint8", UInt8Array, Some(0), None, Some(2), Some(1), Some(u8::MAX));
    primitive!("uint16", UInt16Array, Some(0), None, Some(2), Some(1), Some(u16::MAX));
    primitive!("uint32", UInt32Array, Some(0), None, Some(2), Some(1), Some(u32::MAX));
    primitive!("uint64", UInt64Array, Some(0), None, Some(2), Some(1), Some(u64::MAX));
    let half = |value: f32| half::f16::from_f32(value);
    primitive!(
        "float16",
        Float16Array,
        Some(half(1.5)),
        None,
        Some(half(-0.0)),
        Some(half(f32::NAN)),
        Some(half(f32::INFINITY))
    );
    primitive!("float32", Float32Array, Some(1.5), None, Some(-0.0), Some(f32::NAN), Some(f32::NEG_INFINITY));
    primitive!("float64", Float64Array, Some(f64::MIN_POSITIVE), None, Some(-0.0), Some(f64::NAN), Some(f64::MAX));
    primitive!("date32", Date32Array, Some(-1), None, Some(0), Some(19_000), Some(i32::MAX));
    primitive!("date64", Date64Array, Some(-86_400_000), None, Some(0), Some(1_700_006_400_000), Some(86_400_000));
    primitive!("time32_s", Time32SecondArray, Some(0), None, Some(1), Some(86_399), None);
    primitive!("time32_ms", Time32MillisecondArray, Some(0), None, Some(1), Some(86_399_999), None);
    primitive!("time64_us", Time64MicrosecondArray, Some(0), None, Some(1), Some(86_399_999_999), None);
    primitive!("time64_ns", Time64NanosecondArray, Some(0), None, Some(1), Some(86_399_999_999_999), None);
    primitive!("duration_s", DurationSecondArray, Some(-1), None, Some(i64::MAX), Some(1), None);
    primitive!("duration_ms", DurationMillisecondArray, Some(-1), None, Some(i64::MAX), Some(1), None);
    primitive!("duration_us", DurationMicrosecondArray, Some(-1), None, Some(i64::MAX), Some(1), None);
    primitive!("duration_ns", DurationNanosecondArray, Some(-1), None, Some(i64::MAX), Some(1), None);
    for zone in [None, Some("UTC"), Some("Europe/Berlin"), Some("+05:30")] {
        let label = zone.unwrap_or("none");
        let values = vec![Some(-1), None, Some(0), Some(1_700_000_000), Some(1)];
        add(
            &format!("timestamp_s {label}"),
            Arc::new(TimestampSecondArray::from(values.clone()).with_timezone_opt(zone)),
        );
        add(
            &format!("timestamp_ms {label}"),
            Arc::new(TimestampMillisecondArray::from(values.clone()).with_timezone_opt(zone)),
        );
        add(
            &format!("timestamp_us {label}"),
            Arc::new(TimestampMicrosecondArray::from(values.clone()).with_timezone_opt(zone)),
        );
        add(&format!("timestamp_ns {label}"), Arc::new(TimestampNanosecondArray::from(values).with_timezone_opt(zone)));
    }
    primitive!("interval_year_month", IntervalYearMonthArray, Some(-1), None, Some(0), Some(14), None);
    let days = IntervalDayTime::new(-3, 5);
    primitive!(
        "interval_day_time",
        IntervalDayTimeArray,
        Some(days),
        None,
        Some(IntervalDayTime::ZERO),
        Some(days),
        None
    );
    let months = IntervalMonthDayNano::new(1, -2, 3);
    primitive!("interval_month_day_nano", IntervalMonthDayNanoArray, Some(months), None, Some(months), None, None);
    add(
        "decimal32",
        Arc::new(
            Decimal32Array::from(vec![Some(-1), None, Some(0), Some(99_999), None])
                .with_precision_and_scale(5, 2)
                .unwrap(),
        ),
    );
    add(
        "decimal64",
        Arc::new(
            Decimal64Array::from(vec![Some(-1), None, Some(0), Some(99_999), None])
                .with_precision_and_scale(12, 4)
                .unwrap(),
        ),
    );
    add(
        "decimal128",
        Arc::new(
            Decimal128Array::from(vec![Some(-1), None, Some(0), Some(99_999), None])
                .with_precision_and_scale(38, 10)
                .unwrap(),
        ),
    );
    let wide = |value: i128| Some(arrow::datatypes::i256::from_i128(value));
    add(
        "decimal256",
        Arc::new(
            Decimal256Array::from(vec![wide(-1), None, wide(0), wide(i128::MAX), None])
                .with_precision_and_scale(76, 20)
                .unwrap(),
        ),
    );
    let text = vec![Some("a"), None, Some(""), Some("zażółć gęślą jaźń: longer than twelve bytes"), Some("日本")];
    add("utf8", Arc::new(StringArray::from(text.clone())));
    add("large_utf8", Arc::new(LargeStringArray::from(text.clone())));
    add("utf8_view", Arc::new(StringViewArray::from(text)));
    let bytes = vec![Some(b"a".as_slice()), None, Some(b""), Some(b"\xff\x00 longer than twelve bytes"), Some(b"z")];
    add("binary", Arc::new(BinaryArray::from(bytes.clone())));
    add("large_binary", Arc::new(LargeBinaryArray::from(bytes.clone())));
    add("binary_view", Arc::new(BinaryViewArray::from(bytes)));
    let fixed = vec![Some(b"abc"), None, Some(b"\0\0\0"), Some(b"xyz"), None];
    add(
        "fixed_size_binary",
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed.into_iter(), 3).unwrap()),
    );
    add_nested(&mut add);
    columns
}

fn add_nested(add: &mut impl FnMut(&str, ArrayRef)) {
    let lists = vec![Some(vec![Some(1), None]), None, Some(vec![]), Some(vec![Some(3)]), Some(vec![None])];
    add("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists.clone())));
    add("large_list", Arc::new(LargeListArray::from_iter_primitive::<Int32Type, _, _>(lists)));
    let pairs = vec![Some(vec![Some(1), None]), None, Some(vec![Some(3), Some(4)]), Some(vec![None, None]), None];
    add("fixed_size_list", Arc::new(FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>(pairs, 2)));
    let item = Arc::new(Field::new_list_field(DataType::Int32, true));
    let values: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3), Some(4)]));
    let nulls = Some(vec![true, false, true, true, true].into());
    let offsets = ScalarBuffer::from(vec![2_i32, 0, 0, 1, 0]);
    let view =
        ListViewArray::try_new(item.clone(), offsets, ScalarBuffer::from(vec![2, 0, 0, 3, 1]), values.clone(), nulls);
    add("list_view", Arc::new(view.unwrap()));
    let offsets = ScalarBuffer::from(vec![2_i64, 0, 0, 1, 0]);
    let view = LargeListViewArray::try_new(item, offsets, ScalarBuffer::from(vec![2, 0, 0, 3, 1]), values, None);
    add("large_list_view", Arc::new(view.unwrap()));
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3), Some(4), None]));
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), Some("y"), None, Some("z"), None]));
    let fields = Fields::from(vec![Field::new("n", DataType::Int32, true), Field::new("s", DataType::Utf8, true)]);
    let structs = StructArray::new(
        fields,
        vec![numbers.clone(), names.clone()],
        Some(vec![true, false, true, true, true].into()),
    );
    add("struct", Arc::new(structs.clone()));
    let of_structs = Arc::new(Field::new("item", structs.data_type().clone(), true));
    let nested = ListArray::new(
        of_structs,
        OffsetBuffer::from_lengths([2, 0, 1, 2, 0]),
        Arc::new(structs),
        Some(vec![true, false, true, true, true].into()),
    );
    add("list of structs", Arc::new(nested));
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for row in 0..5 {
        maps.keys().append_value(format!("k{row}"));
        maps.values().append_option((row % 2 == 0).then_some(row));
        maps.append(row != 1).unwrap();
    }
    add("map", Arc::new(maps.finish()));
    let union_fields: UnionFields =
        [(0, Arc::new(Field::new("i", DataType::Int32, true))), (5, Arc::new(Field::new("s", DataType::Utf8, true)))]
            .into_iter()
            .collect();
    let ids = ScalarBuffer::from(vec![0_i8, 5, 0, 5, 0]);
    let sparse = UnionArray::try_new(union_fields.clone(), ids.clone(), None, vec![numbers, names]).unwrap();
    add("sparse union", Arc::new(sparse));
    let few: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let words: ArrayRef = Arc::new(StringArray::from(vec!["p", "q"]));
    let dense = UnionArray::try_new(union_fields, ids, Some(ScalarBuffer::from(vec![0, 0, 1, 1, 2])), vec![few, words])
        .unwrap();
    add("dense union", Arc::new(dense));
    let runs = RunArray::<Int32Type>::try_new(
        &Int32Array::from(vec![2, 3, 5]),
        &StringArray::from(vec![Some("a"), None, Some("b")]),
    )
    .unwrap();
    add("run end encoded", Arc::new(runs));
    let words = vec![Some("a"), None, Some("b"), Some("a"), Some("")];
    add("dictionary int8 utf8", Arc::new(words.clone().into_iter().collect::<DictionaryArray<Int8Type>>()));
    add("dictionary int32 utf8", Arc::new(words.clone().into_iter().collect::<DictionaryArray<Int32Type>>()));
    add("dictionary uint64 utf8", Arc::new(words.into_iter().collect::<DictionaryArray<UInt64Type>>()));
    let keys = Int16Array::from(vec![Some(1), None, Some(0), Some(2), Some(1)]);
    add(
        "dictionary int16 int64",
        Arc::new(DictionaryArray::new(keys.clone(), Arc::new(Int64Array::from(vec![10, -20, 30])))),
    );
    let large = LargeStringArray::from(vec!["x", "y", "z"]);
    add("dictionary int16 large_utf8", Arc::new(DictionaryArray::new(keys.clone(), Arc::new(large))));
    add(
        "dictionary int16 binary",
        Arc::new(DictionaryArray::new(keys.clone(), Arc::new(BinaryArray::from_vec(vec![b"x", b"y", b"\xff"])))),
    );
    let views = StringViewArray::from(vec!["x", "y", "a view that is longer than twelve bytes"]);
    add("dictionary int16 utf8_view", Arc::new(DictionaryArray::new(keys, Arc::new(views))));
}

/// A batch of some columns, all nullable.
pub(crate) fn batch_of(columns: Vec<(String, ArrayRef)>) -> RecordBatch {
    let nullable = columns.into_iter().map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(nullable).unwrap()
}
