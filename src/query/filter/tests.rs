//! What filters keep of one small table, and what they say of mistakes.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryViewArray, BooleanArray, Date32Array, Date64Array, Decimal128Array, Decimal256Array,
    DictionaryArray, DurationSecondArray, FixedSizeBinaryArray, Float16Array, Float32Array, Float64Array, Int8Array,
    Int64Array, LargeStringArray, ListArray, NullArray, RecordBatch, StringArray, StringViewArray, Time32SecondArray,
    Time64NanosecondArray, TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, i256};

use super::*;
use crate::error::ErrorKind;

type F16 = <arrow::datatypes::Float16Type as arrow::datatypes::ArrowPrimitiveType>::Native;

/// Four rows; the last one is null.
fn sample() -> RecordBatch {
    let columns = numbers().into_iter().chain(texts()).chain(times()).chain(others());
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

type Columns = Vec<(&'static str, ArrayRef)>;

fn numbers() -> Columns {
    let floats = [Some(-0.0), Some(0.1), Some(f64::NAN), None];
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(-7), Some(i64::MAX), None]));
    let coded = cast(&numbers, &DataType::Dictionary(DataType::UInt8.into(), DataType::Int64.into())).unwrap();
    let decimals = Decimal128Array::from(vec![Some(-150), Some(0), Some(12_345), None]);
    vec![
        ("i", numbers),
        ("u", Arc::new(UInt64Array::from(vec![Some(0), Some(7), Some(u64::MAX), None]))),
        ("coded", coded),
        ("tiny", Arc::new(Int8Array::from(vec![Some(-128), Some(0), Some(127), None]))),
        ("f", Arc::new(Float64Array::from(floats.to_vec()))),
        ("single", Arc::new(floats.map(|value| value.map(|value| value as f32)).into_iter().collect::<Float32Array>())),
        ("half", Arc::new(floats.map(|value| value.map(F16::from_f64)).into_iter().collect::<Float16Array>())),
        ("d", Arc::new(decimals.with_precision_and_scale(9, 2).unwrap())),
        ("wide", Arc::new(Decimal256Array::from(vec![Some(i256::MIN), Some(i256::ZERO), Some(i256::MAX), None]))),
        ("two words", Arc::new(Int8Array::from(vec![Some(1), Some(2), Some(3), None]))),
    ]
}

fn texts() -> Columns {
    let texts = vec![Some("Abc"), Some("a%c"), Some("ż_\\"), None];
    let words = StringArray::from(vec![Some("b"), None, Some("a")]);
    let words = DictionaryArray::try_new(Int8Array::from(vec![Some(2), Some(0), Some(1), None]), Arc::new(words));
    let fixed = [Some([0, 255]), Some([1, 0]), Some([9, 9]), None].into_iter();
    vec![
        ("t", Arc::new(StringArray::from(texts.clone()))),
        ("large", Arc::new(LargeStringArray::from(texts.clone()))),
        ("view", Arc::new(StringViewArray::from(texts))),
        ("bytes", Arc::new(BinaryViewArray::from(vec![Some(&b"\x00\xff"[..]), Some(b""), Some(b"\x01"), None]))),
        ("fixed", Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed, 2).unwrap())),
        ("word", Arc::new(words.unwrap())),
    ]
}

fn times() -> Columns {
    let zoned = TimestampMicrosecondArray::from(vec![Some(-1), Some(0), Some(1), None]);
    vec![
        ("day", Arc::new(Date32Array::from(vec![Some(-1), Some(0), Some(20_000), None]))),
        ("day64", Arc::new(Date64Array::from(vec![Some(-1), Some(0), Some(86_400_000), None]))),
        ("s", Arc::new(TimestampSecondArray::from(vec![Some(-1), Some(0), Some(1_790_000_000), None]))),
        ("zoned", Arc::new(zoned.with_timezone("Europe/Warsaw"))),
        ("ns", Arc::new(TimestampNanosecondArray::from(vec![Some(i64::MIN), Some(0), Some(i64::MAX), None]))),
        ("clock", Arc::new(Time32SecondArray::from(vec![Some(0), Some(3600), Some(86_399), None]))),
        ("fine", Arc::new(Time64NanosecondArray::from(vec![Some(0), Some(1), Some(86_399_999_999_999), None]))),
    ]
}

fn others() -> Columns {
    let lists = [Some(vec![Some(1)]), Some(vec![]), Some(vec![None]), None];
    vec![
        ("b", Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), None]))),
        ("nothing", Arc::new(NullArray::new(4))),
        ("lapse", Arc::new(DurationSecondArray::from(vec![Some(1), Some(2), Some(3), None]))),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))),
    ]
}

/// `+` for each row for which a filter is true, `-` where false, `?` where unknown.
fn tested(text: &str) -> String {
    let batch = sample();
    let filter = Filter::parse(text, &batch.schema()).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    let found = filter.test(&batch).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    found.iter().map(|truth| truth.map_or('?', |truth| if truth { '+' } else { '-' })).collect()
}

#[test]
fn numbers_are_compared_exactly() {
    for (text, kept) in [
        ("i > -8", "-++?"),
        ("-8 < i", "-++?"),
        ("i > -7.5", "-++?"),
        ("i <= -7.5", "+--?"),
        ("i = -7.0", "-+-?"),
        ("i = -7.5", "---?"),
        ("i <> -7.5", "+++?"),
        ("i != -7", "+-+?"),
        ("i <= 9223372036854775807", "+++?"),
        ("i < 9223372036854775807", "++-?"),
        ("i < 9223372036854775807.5", "+++?"),
        ("i >= -9223372036854775809", "+++?"),
        ("i < -1e99", "---?"),
        ("i > 1e99", "---?"),
        ("u = 18446744073709551615", "--+?"),
        ("u >= 0", "+++?"),
        ("u > -1", "+++?"),
        ("u < -1", "---?"),
        ("u = 18446744073709551616", "---?"),
        ("tiny > 126.5", "--+?"),
        ("tiny < 128", "+++?"),
        ("d = -1.5", "+--?"),
        ("d > -1.501", "+++?"),
        ("d < 123.451", "+++?"),
        ("d IN (123.45, 0, 7.001)", "-++?"),
        ("d BETWEEN -1.5 AND 0.009", "++-?"),
        ("wide < 1e66", "++-?"),
        ("wide <> 0", "+-+?"),
        ("i IN (1, -7, 1e40)", "-+-?"),
        ("i NOT IN (1, -7)", "+-+?"),
        ("i NOT IN (1.5)", "+++?"),
        ("coded = -7", "-+-?"),
        ("coded > 0.5", "--+?"),
        ("\"two words\" >= 2", "-++?"),
        ("i = +7 OR i = - -7 OR i = -7", "-+-?"),
    ] {
        assert_eq!(tested(text), kept, "{text}");
    }
}

#[test]
fn floats_are_compared_as_ieee_754_says() {
    for name in ["f", "single", "half"] {
        for (text, kept) in [
            ("f = 0", "+--?"),
            ("f < 0", "---?"),
            ("f >= 0", "++-?"),
            ("f = 0.1", "-+-?"),
            ("f <> 0.1", "+-+?"),
            ("NOT f = 0.1", "+-+?"),
            ("f > 1e999", "---?"),
            ("f <= 1e999", "++-?"),
            ("f > -1e999", "++-?"),
            ("f IN (0, 0.1)", "++-?"),
            ("f NOT IN (0, 0.1)", "--+?"),
            ("f < 1e-999", "+--?"),
            ("f BETWEEN -1 AND 1", "++-?"),
            ("f NOT BETWEEN -1 AND 1", "--+?"),
        ] {
            let text = text.replace('f', name);
            assert_eq!(tested(&text), kept, "{text}");
        }
    }
}

#[test]
fn text_and_bytes_are_compared_by_their_bytes() {
    for name in ["t", "large", "view"] {
        for (text, kept) in [
            ("t = 'Abc'", "+--?"),
            ("t > 'Z'", "-++?"),
            ("t <= 'a%c'", "++-?"),
            ("t <> ''", "+++?"),
            ("t IN ('ż_\\', 'x', 'Abc')", "+-+?"),
            ("t LIKE '%c'", "++-?"),
            ("t NOT LIKE '%c'", "--+?"),
            ("t LIKE 'a!%%' ESCAPE '!'", "-+-?"),
            ("t LIKE '_!_\\' ESCAPE '!'", "--+?"),
            ("t LIKE '___'", "+++?"),
            ("t LIKE '%\\'", "--+?"),
            ("t LIKE '\\%'", "---?"),
            ("t LIKE 'Abc'", "+--?"),
            ("t LIKE 'A%%c' AND t LIKE '%b%'", "+--?"),
            ("t LIKE ''", "---?"),
            ("t LIKE NULL", "????"),
        ] {
            let text = text.replacen("t ", &format!("{name} "), 2);
            assert_eq!(tested(&text), kept, "{text}");
        }
    }
    for (text, kept) in [
        ("bytes = X'00ff'", "+--?"),
        ("bytes > X''", "+-+?"),
        ("bytes IN (X'', X'01')", "-++?"),
        ("fixed >= X'0100'", "-++?"),
        ("fixed = X'01'", "---?"),
        ("word = 'a'", "+-??"),
        ("word < 'b'", "+-??"),
        ("word LIKE 'b%'", "-+??"),
        ("word IN ('b', 'c')", "-+??"),
        ("word IS NULL", "--++"),
        ("t = 'it''s'", "---?"),
    ] {
        assert_eq!(tested(text), kept, "{text}");
    }
}

#[test]
fn times_are_instants() {
    for (text, kept) in [
        ("day = '1970-01-01'", "-+-?"),
        ("day < DATE '1970-01-01'", "+--?"),
        ("day > '1970-01-01 12:00'", "--+?"),
        ("day >= '1969-12-31T00:00:01'", "-++?"),
        ("day64 = '1970-01-01'", "-+-?"),
        ("day64 >= '1969-12-31 23:59:59.999'", "+++?"),
        ("s <= '1969-12-31 23:59:59.5'", "+--?"),
        ("s > TIMESTAMP '1970-01-01 00:00:00'", "--+?"),
        ("s < '9999-12-31'", "+++?"),
        ("zoned = '1970-01-01T01:00:00+01:00'", "-+-?"),
        ("zoned = '1970-01-01'", "-+-?"),
        ("zoned > '1969-12-31T23:59:59.9999999Z'", "-++?"),
        ("ns < '2500-01-01'", "+++?"),
        ("ns > '1600-01-01'", "+++?"),
        ("ns = '2500-01-01'", "---?"),
        ("clock = '01:00'", "-+-?"),
        ("clock > '23:59:58.5'", "--+?"),
        ("fine BETWEEN TIME '00:00:00.000000001' AND '12:00'", "-+-?"),
    ] {
        assert_eq!(tested(text), kept, "{text}");
    }
}

#[test]
fn conditions_have_three_values() {
    for (text, kept) in [
        ("b", "+-+?"),
        ("NOT b", "-+-?"),
        ("b = FALSE", "-+-?"),
        ("b > false", "+-+?"),
        ("b IS TRUE", "+-+-"),
        ("b IS NOT TRUE", "-+-+"),
        ("b IS FALSE", "-+--"),
        ("b IS NOT FALSE", "+-++"),
        ("b IS UNKNOWN", "---+"),
        ("(i > 0) IS NULL", "---+"),
        ("i IS NULL", "---+"),
        ("i IS NOT NULL", "+++-"),
        ("NOT i IS NULL", "+++-"),
        ("list IS NULL", "---+"),
        ("lapse IS NOT NULL", "+++-"),
        ("nothing IS NULL", "++++"),
        ("nothing = 1 OR nothing LIKE 'a%'", "????"),
        ("i = NULL", "????"),
        ("i IN (-7, NULL)", "?+??"),
        ("i NOT IN (-7, NULL)", "?-??"),
        ("b OR i IS NULL", "+-++"),
        ("b AND i > 0", "--+?"),
        ("b OR TRUE", "++++"),
        ("b AND FALSE", "----"),
        ("b AND NULL", "?-??"),
        ("b OR NULL", "+?+?"),
        ("i > 0 OR i < 0 AND NOT b", "-++?"),
        ("(i > 0 OR i < 0) AND NOT b", "-+-?"),
        ("TRUE", "++++"),
        ("NULL", "????"),
        ("i = -7 -- a comment\n OR b /* another */", "+++?"),
    ] {
        assert_eq!(tested(text), kept, "{text}");
    }
}

fn refused(text: &str) -> (ErrorKind, String, String) {
    let error = Filter::parse(text, &sample().schema()).expect_err(text);
    (error.kind(), error.message().to_owned(), error.hint().unwrap_or_default().to_owned())
}

#[test]
fn mistakes_are_told_with_what_would_fit() {
    use ErrorKind::{InvalidInput, NotFound, Unsupported};
    for (text, kind, message, hint) in [
        ("", InvalidInput, "is empty", "leave it out"),
        ("i >", InvalidInput, "cannot be read", "double quotes"),
        ("i > 1 i", InvalidInput, "goes on where it should end: `i` at column 7", "double quotes"),
        ("i > 1; b", InvalidInput, "goes on where it should end: `;`", "supports|compares"),
        ("t = 'x", InvalidInput, "cannot be read", "single quotes"),
        ("I > 1", NotFound, "no column `I`", "did you mean `i`?"),
        ("lage = 'x'", NotFound, "no column `lage`", "did you mean `large`?"),
        ("i = 'x'", InvalidInput, "column `i` has numbers (Int64), and cannot be compared with 'x'", "a number"),
        ("t = 5", InvalidInput, "column `t` has text (Utf8), and cannot be compared with 5", "single quotes"),
        ("t = \"Abc\"", Unsupported, "compares two columns, `t` and `Abc`", "single quotes"),
        ("t IN (\"Abc\")", InvalidInput, "`Abc`", "single quotes"),
        ("b = 1", InvalidInput, "column `b` has booleans", "TRUE or FALSE"),
        ("i", InvalidInput, "neither true nor false", "compare it"),
        ("5", InvalidInput, "5 is neither true nor false", "compare a column"),
        ("day = '2026-02-30'", InvalidInput, "dates (Date32)", "'2026-11-20'"),
        ("day = 5", InvalidInput, "dates (Date32)", "'2026-11-20'"),
        ("s = '2026-01-01T00:00Z'", InvalidInput, "without a time zone", "leave the offset out"),
        ("zoned = 'x'", InvalidInput, "timestamps", "in UTC"),
        ("clock = '25:00'", InvalidInput, "times of day", "'12:00:00'"),
        ("bytes = 'x'", InvalidInput, "binary values", "X'00FF'"),
        ("bytes = X'0'", InvalidInput, "two hexadecimal digits", ""),
        ("i LIKE '1%'", InvalidInput, "LIKE is for text", "a number"),
        ("t LIKE 'a!' ESCAPE '!'", InvalidInput, "ends with its ESCAPE", ""),
        ("t LIKE 'a' ESCAPE 'xy'", InvalidInput, "one character", ""),
        ("t LIKE 5", InvalidInput, "is text", ""),
        ("list = 1", Unsupported, "which a filter cannot compare", "\"list\" IS NULL"),
        ("lapse > 1", Unsupported, "which a filter cannot compare", "IS NULL"),
        ("i = u", Unsupported, "compares two columns", "literals"),
        ("1 = 1", Unsupported, "and no column", "TRUE keeps"),
        ("lower(t) = 'abc'", Unsupported, "the function `lower`", "a filter compares"),
        ("CAST(i AS TEXT) = 'abc'", Unsupported, "a cast", "a filter compares"),
        ("i + 1 = 2", Unsupported, "the operator `+`", "a filter compares"),
        ("i IN (SELECT 1)", Unsupported, "a subquery", "a filter compares"),
        ("EXISTS (SELECT 1)", Unsupported, "a subquery", "a filter compares"),
        ("t ILIKE 'a%'", Unsupported, "no LIKE with one pattern", "a filter compares"),
        ("CASE WHEN b THEN TRUE END", Unsupported, "a CASE", "a filter compares"),
        ("list.item = 1", Unsupported, "\"list.item\"", "a filter compares"),
        ("(i > 1) = TRUE", Unsupported, "a comparison where", "a filter compares"),
        ("t || 'x' = 'x'", Unsupported, "operator `||`", ""),
        ("s > INTERVAL '1' DAY", Unsupported, "an interval", ""),
    ] {
        let (found, said, hinted) = refused(text);
        assert!(found == kind && said.contains(message), "{text}: {found}: {said}");
        assert!(hint.split('|').any(|hint| hinted.contains(hint)), "{text}: {hinted}");
    }
}

const NAMES: &str = "\
    date time timestamp year month day hour user key value values order group count left right level \
    type index name id start end from to table position interval select where in is not null true and or \
    between like case row rank first last map array struct text x n e b u r any all some set exists cast \
    substring trim floor ceil extract convert decimal double float zone";

#[test]
fn names_that_are_words_of_sql_can_be_quoted_and_many_need_not() {
    let names = NAMES.split_whitespace();
    let schema = Schema::new(names.clone().map(|name| Field::new(name, DataType::Int8, true)).collect::<Vec<_>>());
    let mut unquoted = Vec::new();
    for name in names {
        for text in [
            format!("\"{name}\" > 1"),
            format!("NOT (1 < \"{name}\" OR \"{name}\" IS NULL)"),
            format!("\"{name}\" IN (1, 2)"),
        ] {
            Filter::parse(&text, &schema).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        }
        if let Ok(filter) = Filter::parse(&format!("{name} > 1"), &schema) {
            assert_eq!(filter.columns(), [schema.index_of(name).unwrap()]);
            unquoted.push(name);
        }
    }
    for usual in "date time timestamp year day user key value count type name id x n".split(' ') {
        assert!(unquoted.contains(&usual), "`{usual}` needs quotes; these do not: {unquoted:?}");
    }
}

/// Runs on a small stack, as threads of a runtime have.
fn on_a_small_stack(run: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        std::thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, run).unwrap().join().unwrap();
    });
}

#[test]
fn no_text_is_too_much_for_the_stack() {
    on_a_small_stack(|| {
        let schema = sample().schema();
        let repeated = |text: &str, times: usize| text.repeat(times);
        for hostile in [
            repeated("(", 5_000) + "b" + &repeated(")", 5_000),
            repeated("(", 900) + "b" + &repeated(")", 900),
            repeated("NOT ", 2_000) + "b",
            "i = ".to_owned() + &repeated("- ", 2_000) + "1",
            "b".to_owned() + &repeated(" IS TRUE", 1_000),
            "i = 1".to_owned() + &repeated(" + 1", 60_000),
            "i = 1".to_owned() + &repeated(" + 1", 1_000),
            "i".to_owned() + &repeated(" = 1", 1_000),
            "i".to_owned() + &repeated("[1]", 600),
            "i".to_owned() + &repeated("::int", 600),
            repeated("CASE WHEN ", 500),
            repeated("lower(", 500),
            repeated("i IN (", 500),
            repeated("b AND ", 1_000),
            repeated("b OR (b AND ", 500),
            "b".to_owned() + &repeated(" OR b", 100_000),
            "x".repeat(LONG),
        ] {
            Filter::parse(&hostile, &schema).expect_err(&hostile[..20]);
        }
        let long = "b".to_owned() + &repeated(" OR b", 1_000);
        assert_eq!(Filter::parse(&long, &schema).unwrap().test(&sample()).unwrap().true_count(), 2);
        let list = (0..30_000).map(|value| value.to_string()).collect::<Vec<_>>().join(",");
        let filter = Filter::parse(&format!("u IN ({list})"), &schema).unwrap();
        assert_eq!(filter.test(&sample()).unwrap().true_count(), 2);
        let nested = repeated("(", 10) + "b AND i > 0" + &repeated(")", 10);
        assert!(Filter::parse(&nested, &schema).is_ok());
    });
}

const LONG: usize = 300_000;

#[test]
fn a_dictionary_is_compared_whichever_is_longer() {
    let values: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|value| value.to_string())));
    for rows in [5, 500] {
        let keys = Int8Array::from_iter((0..rows).map(|row| (row % 3 != 0).then_some((row % 100) as i8)));
        let array: ArrayRef = Arc::new(DictionaryArray::try_new(keys, values.clone()).unwrap());
        let batch = RecordBatch::try_from_iter_with_nullable([("word", array.clone(), true)]).unwrap();
        let found = Filter::parse("word LIKE '%7'", &batch.schema()).unwrap().test(&batch).unwrap();
        let plain = cast(&array, &DataType::Utf8).unwrap();
        let expected: BooleanArray =
            plain.as_string::<i32>().iter().map(|text| text.map(|text| text.ends_with('7'))).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn equal_filters_are_equal() {
    let schema = sample().schema();
    let parse = |text| Filter::parse(text, &schema).unwrap();
    assert_eq!(parse("i > 1"), parse("i > 1"));
    assert_ne!(parse("i > 1"), parse("i > 2"));
    assert_eq!(parse("u > 1 AND i < 5 AND u < 3").columns(), [1, 0]);
    assert_eq!(format!("{:?} {}", parse("b"), parse("b")), "Filter(b) b");
}
