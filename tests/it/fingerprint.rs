//! Fingerprints: what does not count, and that everything else does.

mod stored;

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::*;
use arrow::ipc::reader::FileReader;
use coldframe::fingerprint::{of_batches, of_json};
use coldframe::{ErrorKind, Fingerprint};
use half::f16;
use proptest::prelude::*;
use serde_json::json;

use crate::generate::{RandomTable, rows, table};
use crate::support::every_type;

fn of(batches: &[RecordBatch]) -> Fingerprint {
    of_batches(&batches[0].schema(), batches).unwrap()
}

fn of_column(array: impl Array + 'static) -> Fingerprint {
    of(&[RecordBatch::try_from_iter_with_nullable([("c", Arc::new(array) as ArrayRef, true)]).unwrap()])
}

fn of_arrays(arrays: &[ArrayRef]) -> Fingerprint {
    let field = |array: &ArrayRef| Schema::new(vec![Field::new("c", array.data_type().clone(), true)]);
    let batches = arrays.iter().map(|array| RecordBatch::try_new(Arc::new(field(array)), vec![array.clone()]).unwrap());
    of_batches(&field(&arrays[0]), &batches.collect::<Vec<_>>()).unwrap()
}

/// A table of these rows, each a batch of its own.
fn picked(table: &RandomTable, places: &[usize]) -> Vec<RecordBatch> {
    let all: Vec<(usize, usize)> = table
        .batches
        .iter()
        .enumerate()
        .flat_map(|(number, batch)| (0..batch.num_rows()).map(move |row| (number, row)))
        .collect();
    let mut batches = vec![RecordBatch::new_empty(table.schema.clone())];
    batches.extend(places.iter().map(|place| {
        let (number, row) = all[place % all.len()];
        table.batches[number].slice(row, 1)
    }));
    batches
}

fn has_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => has_floats(values),
        DataType::RunEndEncoded(_, field)
        | DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => has_floats(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| has_floats(field.data_type())),
        other => other.is_floating(),
    }
}

/// The same rows as values of a dictionary, whose keys name them from the last to the first.
fn backwards(array: &ArrayRef) -> ArrayRef {
    let keys = Int32Array::from_iter_values((0..array.len() as i32).rev()).to_data();
    let data_type = DataType::Dictionary(Box::new(DataType::Int32), Box::new(array.data_type().clone()));
    make_array(keys.into_builder().data_type(data_type).child_data(vec![array.to_data()]).build().unwrap())
}

/// The same rows, each twice, as the values of a run-end encoding.
fn doubled(array: &ArrayRef) -> ArrayRef {
    let ends = Int32Array::from_iter_values((1..=array.len() as i32).map(|end| end * 2));
    let ends_field = Arc::new(Field::new("run_ends", DataType::Int32, false));
    let values_field = Arc::new(Field::new("values", array.data_type().clone(), true));
    let data = ArrayData::builder(DataType::RunEndEncoded(ends_field, values_field)).len(array.len() * 2);
    make_array(data.child_data(vec![ends.to_data(), array.to_data()]).build().unwrap())
}

/// The same rows inside lists of three, as the only field of a struct.
fn nested(array: &ArrayRef) -> ArrayRef {
    let lengths = (0..array.len()).step_by(3).map(|start| 3.min(array.len() - start));
    let item = Arc::new(Field::new("element", array.data_type().clone(), true));
    let list = ListArray::new(item, OffsetBuffer::from_lengths(lengths), array.clone(), None);
    let fields = Fields::from(vec![Field::new("field", list.data_type().clone(), true)]);
    Arc::new(StructArray::new(fields, vec![Arc::new(list)], None))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn batches_and_slices_do_not_show(table in table(), cuts in prop::collection::vec(1_usize..9, 1..6)) {
        prop_assume!(!table.batches.is_empty());
        let whole = of(&table.batches);
        let mut cut = vec![RecordBatch::new_empty(table.schema.clone())];
        let mut lengths = cuts.iter().cycle();
        for batch in &table.batches {
            let mut start = 0;
            while start < batch.num_rows() {
                let length = (*lengths.next().unwrap()).min(batch.num_rows() - start);
                cut.push(batch.slice(start, length));
                start += length;
            }
        }
        prop_assert_eq!(of(&cut), whole);
    }

    #[test]
    fn encodings_do_not_show(table in table()) {
        for array in table.batches.iter().flat_map(|batch| batch.columns()) {
            let single = |row: usize| array.slice(row, 1);
            let empty = array.slice(0, 0);
            let reversed: Vec<ArrayRef> =
                [empty.clone()].into_iter().chain((0..array.len()).rev().map(single)).collect();
            prop_assert_eq!(of_arrays(&[backwards(array)]), of_arrays(&reversed));
            let twice: Vec<ArrayRef> =
                [empty].into_iter().chain((0..array.len() * 2).map(|row| single(row / 2))).collect();
            let runs = doubled(array);
            prop_assert_eq!(of_arrays(std::slice::from_ref(&runs)), of_arrays(&twice));
            if array.len() > 1 {
                prop_assert_eq!(of_arrays(&[runs.slice(1, runs.len() - 1)]), of_arrays(&[vec![twice[0].clone()], twice[2..].to_vec()].concat()));
            }
            prop_assert_eq!(of_arrays(&[nested(&backwards(&backwards(array)))]), of_arrays(&[nested(array)]));
            if array.len() > 1 {
                prop_assert_ne!(of_arrays(std::slice::from_ref(array)), of_arrays(&[array.slice(1, array.len() - 1)]));
            }
        }
    }

    #[test]
    fn other_rows_have_another_fingerprint(
        table in table(),
        one in prop::collection::vec(any::<usize>(), 0..6),
        other in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        prop_assume!(table.batches.iter().any(|batch| batch.num_rows() > 0));
        let kept: Vec<usize> = (0..table.schema.fields().len())
            .filter(|column| !has_floats(table.schema.field(*column).data_type()))
            .collect();
        let batches = table.batches.iter().map(|batch| batch.project(&kept).unwrap()).collect();
        let table = RandomTable { schema: Arc::new(table.schema.project(&kept).unwrap()), batches };
        let (one, other) = (picked(&table, &one), picked(&table, &other));
        let told = |batches: &[RecordBatch]| (rows(batches), batches.iter().map(RecordBatch::num_rows).sum::<usize>());
        prop_assert_eq!(of(&one) == of(&other), told(&one) == told(&other));
    }
}

#[test]
fn types_that_mean_the_same_are_one() {
    let words = StringArray::from(vec![Some("a"), None, Some(""), Some("a word of more than twelve bytes"), Some("a")]);
    let expected = of_column(words.clone());
    for data_type in [
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Dictionary(Box::new(DataType::UInt8), Box::new(DataType::Utf8)),
        DataType::Dictionary(Box::new(DataType::Int64), Box::new(DataType::LargeUtf8)),
    ] {
        let same = cast(&words, &data_type).unwrap();
        assert_eq!(of_arrays(&[same.slice(0, 2), Arc::new(words.slice(2, 3))]), expected, "{data_type}");
    }
    let bytes = cast(&words, &DataType::Binary).unwrap();
    assert_ne!(of_arrays(std::slice::from_ref(&bytes)), expected);
    for data_type in [DataType::LargeBinary, DataType::BinaryView] {
        assert_eq!(of_arrays(&[cast(&bytes, &data_type).unwrap()]), of_arrays(std::slice::from_ref(&bytes)));
    }
    let narrow = Decimal32Array::from(vec![Some(-105), None]).with_precision_and_scale(5, 2).unwrap();
    let expected = of_column(narrow.clone());
    for data_type in [DataType::Decimal64(5, 2), DataType::Decimal128(5, 2), DataType::Decimal256(5, 2)] {
        assert_eq!(of_arrays(&[cast(&narrow, &data_type).unwrap()]), expected, "{data_type}");
    }
    let beyond = |value: i256| Decimal256Array::from(vec![value]).with_precision_and_scale(5, 2).unwrap();
    let high = i256::from_parts(7, 1);
    assert_ne!(of_column(beyond(high)), of_column(beyond(i256::from_i128(7))));
}

fn lists(item: &str, values: ArrayRef, lengths: &[usize]) -> ListArray {
    let item = Arc::new(Field::new(item, values.data_type().clone(), true));
    ListArray::new(item, OffsetBuffer::from_lengths(lengths.iter().copied()), values, None)
}

#[test]
fn lists_are_lists_and_maps_are_lists_of_structs() {
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let list = lists("item", numbers.clone(), &[2, 0, 1]);
    let expected = of_column(list.clone());
    assert_eq!(of_column(lists("element", numbers.clone(), &[2, 0, 1])), expected);
    assert_ne!(of_column(lists("item", numbers.clone(), &[1, 1, 1])), expected);
    assert_eq!(
        of_arrays(
            &[cast(&list, &DataType::LargeList(Arc::new(Field::new_list_field(DataType::Int32, true)))).unwrap()]
        ),
        expected
    );
    let item = Arc::new(Field::new_list_field(DataType::Int32, true));
    let shuffled: ArrayRef = Arc::new(Int32Array::from(vec![3, 9, 1, 2]));
    let view = ListViewArray::new(item.clone(), vec![2, 4, 0].into(), vec![2, 0, 1].into(), shuffled, None);
    assert_eq!(of_column(view), expected);
    let fixed = |size, numbers| FixedSizeListArray::new(item.clone(), size, numbers, None);
    let three = of_column(fixed(3, numbers.clone()));
    assert_ne!(three, of_column(fixed(1, numbers.clone())));
    assert_ne!(three, of_column(lists("item", numbers.clone(), &[3])));

    let structs = |names: [&str; 2]| {
        let fields = names.map(|name| Field::new(name, DataType::Int32, false));
        StructArray::new(Fields::from(fields.to_vec()), vec![numbers.clone(), numbers.clone()], None)
    };
    let map = |names, sorted| {
        let entries = structs(names);
        let field = Arc::new(Field::new("entries", entries.data_type().clone(), false));
        MapArray::new(field, OffsetBuffer::from_lengths([1, 2]), entries, None, sorted)
    };
    let expected = of_column(map(["keys", "values"], false));
    assert_eq!(of_column(map(["key", "value"], true)), expected);
    assert_eq!(of_column(lists("item", Arc::new(structs(["key", "value"])), &[1, 2])), expected);
    assert_ne!(of_column(lists("item", Arc::new(structs(["key", "worth"])), &[1, 2])), expected);
}

#[test]
fn unions_are_what_they_hold() {
    let fields = |second: &str| -> UnionFields {
        [(0, Arc::new(Field::new("i", DataType::Int32, true))), (5, Arc::new(Field::new(second, DataType::Utf8, true)))]
            .into_iter()
            .collect()
    };
    let ids = ScalarBuffer::from(vec![0_i8, 5, 0]);
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(77), None]));
    let words: ArrayRef = Arc::new(StringArray::from(vec![Some("garbage"), Some("b"), None]));
    let sparse =
        |name| UnionArray::try_new(fields(name), ids.clone(), None, vec![numbers.clone(), words.clone()]).unwrap();
    let dense = UnionArray::try_new(
        fields("s"),
        ids.clone(),
        Some(vec![1, 0, 0].into()),
        vec![Arc::new(Int32Array::from(vec![None, Some(1)])), Arc::new(StringArray::from(vec!["b", "unused"]))],
    );
    assert_eq!(of_column(dense.unwrap()), of_column(sparse("s")));
    assert_ne!(of_column(sparse("t")), of_column(sparse("s")));
}

#[test]
fn what_stands_under_nulls_does_not_count() {
    let nulls = || Some(NullBuffer::from(vec![true, false, true, false]));
    let numbers = |garbage: i64| Int64Array::new(vec![1, garbage, 3, garbage].into(), nulls());
    assert_eq!(of_column(numbers(0)), of_column(numbers(-9)));
    let truths = |garbage: bool| BooleanArray::new(vec![true, garbage, false, garbage].into(), nulls());
    assert_eq!(of_column(truths(true)), of_column(truths(false)));
    let words = |garbage: &str| {
        let text = StringArray::from(vec!["a", garbage, "b", garbage]);
        let (offsets, bytes, _) = text.into_parts();
        StringArray::new(offsets, bytes, nulls())
    };
    assert_eq!(of_column(words("")), of_column(words("garbage")));
    let structs = |garbage: i64| {
        let fields = Fields::from(vec![Field::new("n", DataType::Int64, true)]);
        let child = Int64Array::from(vec![Some(1), (garbage > 0).then_some(garbage), None, Some(garbage)]);
        StructArray::new(fields, vec![Arc::new(child)], nulls())
    };
    assert_eq!(of_column(structs(0)), of_column(structs(9)));
    let listed = |length: usize| {
        let values: ArrayRef =
            Arc::new(Int64Array::from_iter_values([1, 2].into_iter().chain(vec![7; length]).chain([3])));
        let (field, offsets, values, _) = lists("item", values, &[2, length, 1, 0]).into_parts();
        ListArray::new(field, offsets, values, nulls())
    };
    assert_eq!(of_column(listed(0)), of_column(listed(5)));
    // Many rows, so that they take several blocks and buffers.
    let long = |garbage: i32| {
        let valid: Vec<bool> = (0..100_000).map(|row| row % 3 != 0 && row % 1000 > 30).collect();
        let values: Vec<i32> = (0..100_000).map(|row| if valid[row as usize] { row } else { garbage }).collect();
        Int32Array::new(values.into(), Some(valid.into()))
    };
    assert_eq!(of_column(long(0)), of_column(long(1)));
}

#[test]
fn floats_count_by_their_bits_but_one_nan() {
    let nan = |bits| of_column(Float64Array::from(vec![1.0, f64::from_bits(bits), -0.0]));
    assert_eq!(nan(0x7ff8_0000_0000_0000), nan(0xfff0_0000_0000_0001));
    assert_ne!(nan(0x7ff8_0000_0000_0000), nan(0x7ff0_0000_0000_0000));
    assert_ne!(of_column(Float64Array::from(vec![0.0])), of_column(Float64Array::from(vec![-0.0])));
    let single = |bits| of_column(Float32Array::from(vec![f32::from_bits(bits)]));
    assert_eq!(single(0x7fc0_0000), single(0xff80_0001));
    assert_ne!(single(0x7fc0_0000), single(0x7f80_0000));
    let half = |bits| of_column(Float16Array::from(vec![f16::from_bits(bits)]));
    assert_eq!(half(0x7e00), half(0xfc01));
    assert_ne!(half(0x7e00), half(0xfc00));
}

#[test]
fn everything_that_counts_counts() {
    let column = |array: ArrayRef| vec![("c", array)];
    let numbers = || -> ArrayRef { Arc::new(Int64Array::from(vec![1, 2])) };
    let stamps =
        |zone: Option<&str>| -> ArrayRef { Arc::new(TimestampSecondArray::from(vec![1, 2]).with_timezone_opt(zone)) };
    let decimals = |precision, scale| -> ArrayRef {
        Arc::new(Decimal128Array::from(vec![1, 2]).with_precision_and_scale(precision, scale).unwrap())
    };
    let structs = |name: &str| -> ArrayRef {
        Arc::new(StructArray::new(vec![Field::new(name, DataType::Int64, true)].into(), vec![numbers()], None))
    };
    let tables: Vec<Vec<(&str, ArrayRef)>> = vec![
        column(numbers()),
        vec![("d", numbers())],
        vec![("c", numbers()), ("d", numbers())],
        vec![("d", numbers()), ("c", numbers())],
        column(Arc::new(Int64Array::from(vec![2, 1]))),
        column(Arc::new(Int64Array::from(vec![1]))),
        column(Arc::new(Int64Array::from(vec![Some(1), Some(2), None]))),
        column(Arc::new(Int64Array::from(vec![None, Some(1), Some(2)]))),
        column(Arc::new(Int64Array::from(vec![1, 2, 0]))),
        column(Arc::new(Int64Array::from(Vec::<i64>::new()))),
        column(Arc::new(Int32Array::from(vec![1, 2]))),
        column(Arc::new(Int8Array::from(vec![1, 2]))),
        column(Arc::new(UInt8Array::from(vec![1, 2]))),
        column(Arc::new(UInt64Array::from(vec![1, 2]))),
        column(Arc::new(Date64Array::from(vec![1, 2]))),
        column(Arc::new(Date32Array::from(vec![1, 2]))),
        column(Arc::new(DurationSecondArray::from(vec![1, 2]))),
        column(Arc::new(DurationMillisecondArray::from(vec![1, 2]))),
        column(stamps(None)),
        column(stamps(Some("UTC"))),
        column(stamps(Some("Europe/Berlin"))),
        column(Arc::new(TimestampMillisecondArray::from(vec![1, 2]))),
        column(decimals(5, 2)),
        column(decimals(6, 2)),
        column(decimals(5, 1)),
        column(decimals(5, -1)),
        column(Arc::new(BooleanArray::from(vec![true, false]))),
        column(Arc::new(BooleanArray::from(vec![false, true]))),
        column(Arc::new(StringArray::from(vec!["ab", "c"]))),
        column(Arc::new(StringArray::from(vec!["a", "bc"]))),
        column(Arc::new(BinaryArray::from_vec(vec![b"ab", b"c"]))),
        column(Arc::new(StringArray::from(vec![Some("ab"), None]))),
        column(Arc::new(StringArray::from(vec![Some("ab"), Some("")]))),
        column(Arc::new(FixedSizeBinaryArray::try_from_iter([b"ab", b"cd"].into_iter()).unwrap())),
        column(Arc::new(NullArray::new(2))),
        column(Arc::new(NullArray::new(3))),
        column(structs("x")),
        column(structs("y")),
        column(Arc::new(lists("item", numbers(), &[1, 1]))),
        column(Arc::new(lists("item", numbers(), &[2, 0]))),
        column(Arc::new(lists("item", numbers(), &[2]))),
    ];
    let batch = |columns: &Vec<(&str, ArrayRef)>| {
        RecordBatch::try_from_iter_with_nullable(columns.iter().map(|(name, array)| (*name, array.clone(), true)))
            .unwrap()
    };
    let mut found: HashMap<Fingerprint, usize> = HashMap::new();
    for (number, table) in tables.iter().enumerate() {
        let twin = found.insert(of(&[batch(table)]), number);
        assert!(twin.is_none(), "{:?} and {:?} have one fingerprint", tables[twin.unwrap()], table);
    }
}

#[test]
fn what_describes_a_table_does_not_count() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let plain = Schema::new(vec![Field::new("c", DataType::Int64, false)]);
    let metadata = |key: &str| HashMap::from([(key.to_owned(), "v".to_owned())]);
    let field = Field::new("c", DataType::Int64, true).with_metadata(metadata("ARROW:extension:name"));
    let rich = Schema::new_with_metadata(vec![field], metadata("pandas"));
    let of = |schema: Schema| of(&[RecordBatch::try_new(Arc::new(schema), vec![numbers.clone()]).unwrap()]);
    assert_eq!(of(plain), of(rich));
}

#[test]
fn rows_count_without_columns() {
    let of = |rows| {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        of(&[RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap()])
    };
    assert_ne!(of(0), of(3));
    assert_ne!(of(3), of(4));
}

#[test]
fn every_type_has_a_fingerprint_of_its_own_row_by_row() {
    for (name, array) in every_type() {
        let rows: Vec<ArrayRef> = (0..array.len()).map(|row| array.slice(row, 1)).collect();
        assert_eq!(of_arrays(std::slice::from_ref(&array)), of_arrays(&rows), "{name}");
    }
}

#[test]
fn a_batch_of_other_columns_is_refused() {
    let batch = |array: ArrayRef| RecordBatch::try_from_iter([("c", array)]).unwrap();
    let numbers = batch(Arc::new(Int64Array::from(vec![1])));
    let words = batch(Arc::new(StringArray::from(vec!["a"])));
    let error = of_batches(&numbers.schema(), [&words]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("column `c` is Utf8, not Int64"), "{error}");
    assert!(of_batches(&Schema::empty(), [&words]).is_err());
}

#[test]
fn json_values_have_one_too() {
    let of = |value| of_json(&value).unwrap();
    assert_eq!(of(json!({"a": 1, "b": [1.5, "x"]})), of(json!({"b": [1.5, "x"], "a": 1.0})));
    assert_ne!(of(json!({"a": 1})), of(json!({"a": "1"})));
    assert_ne!(of(json!([])), of(json!({})));
    assert_eq!(of_json(&json!(u64::MAX)).unwrap_err().kind(), ErrorKind::Unsupported);
}

/// Tables and values whose fingerprints another implementation computed, row by row.
#[test]
fn the_fixtures_have_the_fingerprints_that_stand_beside_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fingerprint");
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(folder.join(name)).unwrap()).unwrap()
    };
    let mut tables = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(stem) = name.strip_suffix(".arrow") else { continue };
        let reader = FileReader::try_new(File::open(folder.join(&name)).unwrap(), None).unwrap();
        let schema = reader.schema();
        let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        let found = of_batches(&schema, &batches).unwrap().to_string();
        assert_eq!(json!(found), json(&format!("{stem}.json"))["fingerprint"], "{name}");
        tables += 1;
    }
    assert_eq!(tables, 9);
    for value in json("json_values.json").as_array().unwrap() {
        let given = serde_json::from_str(value["text"].as_str().unwrap()).unwrap();
        assert_eq!(json!(of_json(&given).unwrap().to_string()), value["fingerprint"], "{}", value["text"]);
    }
}

#[test]
fn fingerprints_are_text_and_back() {
    let fingerprint = of_json(&json!(null)).unwrap();
    assert_eq!(fingerprint.to_string().parse::<Fingerprint>().unwrap(), fingerprint);
    for text in [
        "",
        "fp1:",
        "fp1:00",
        "fp2:00000000000000000000000000000000",
        "fp1:0000000000000000000000000000000G",
        "fp1:+0000000000000000000000000000000",
        "fp1:0000000000000000000000000000000A",
    ] {
        assert!(text.parse::<Fingerprint>().is_err(), "{text}");
    }
}
