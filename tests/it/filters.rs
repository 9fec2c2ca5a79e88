//! Filtered reads give what a row by row evaluation of the whole table keeps, whatever the serializer.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Date64Array, Decimal128Array, DictionaryArray,
    Float32Array, Float64Array, Int8Array, Int32Array, Int64Array, LargeStringArray, RecordBatch, StringArray,
    StringViewArray, Time32SecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
    UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use coldframe::{Batches, Configuration, ErrorKind, ResultStore, Scan};
use proptest::prelude::*;

use crate::generate::rows;

const SERIALIZERS: [&str; 5] = ["arrow", "parquet", "arrow/zstd", "compressed(lz4)/parquet", "parquet/none"];

/// What a row has in a column, as the evaluation sees it.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    /// In hundredths.
    Number(i128),
    Float(f64),
    Boolean(bool),
    Bytes(Vec<u8>),
    /// In nanoseconds.
    Instant(i128),
}

/// The columns of each table, and how a cell is made from a random number.
const COLUMNS: [&str; 21] = [
    "tiny", "long", "unsigned", "single", "double", "decimal", "flag", "text", "view", "large", "word", "code",
    "binary", "day", "moment", "fine", "seconds", "day64", "clock", "small", "half",
];

const WORDS: [&str; 9] = ["", "a", "ab", "abc", "b%", "b_d", "Z", "żółw", "\\"];
const DAY: i128 = 86_400_000_000_000;

fn floating(seed: u32) -> f64 {
    match seed % 12 {
        0 => f64::NAN,
        1 => -0.0,
        2 => f64::INFINITY,
        3 => f64::NEG_INFINITY,
        _ => f64::from(seed % 80) / 4.0 - 10.0,
    }
}

/// Cells near `base`, so that row groups differ.
fn cell(column: &str, seed: u32, base: i128) -> Cell {
    if seed.is_multiple_of(7) {
        return Cell::Null;
    }
    let seed = seed / 7;
    let near = base + i128::from(seed % 9) - 4;
    match column {
        "tiny" => Cell::Number(near.clamp(-128, 127) * 100),
        "long" | "code" => Cell::Number(if seed.is_multiple_of(50) { i64::MIN.into() } else { near } * 100),
        "unsigned" => Cell::Number(if seed.is_multiple_of(50) { u64::MAX.into() } else { near.max(0) } * 100),
        "decimal" | "small" => Cell::Number(near * 100 + i128::from(seed % 3) * 25),
        "single" | "double" | "half" => {
            Cell::Float(floating(seed) + if seed.is_multiple_of(2) { 0.0 } else { base as f64 })
        }
        "flag" => Cell::Boolean(seed.is_multiple_of(2)),
        "day" | "day64" => Cell::Instant(near * DAY),
        "seconds" => Cell::Instant(near * 1_000_000_000),
        "clock" => Cell::Instant(near.max(0) * 1_000_000_000),
        "moment" => Cell::Instant(near * 1_000_000_000 + i128::from(seed % 4) * 250_000_000),
        "fine" => Cell::Instant(near),
        _ => Cell::Bytes(
            format!(
                "{}{}",
                if seed.is_multiple_of(3) { base.to_string() } else { String::new() },
                WORDS[seed as usize % WORDS.len()]
            )
            .into_bytes(),
        ),
    }
}

fn array(column: &str, cells: &[Cell], batch: usize) -> ArrayRef {
    let number = |cell: &Cell| if let Cell::Number(value) = cell { Some(value / 100) } else { None };
    let exact = |cell: &Cell| if let Cell::Number(value) = cell { Some(*value) } else { None };
    let float = |cell: &Cell| if let Cell::Float(value) = cell { Some(*value) } else { None };
    let instant = |cell: &Cell| if let Cell::Instant(value) = cell { Some(*value) } else { None };
    let bytes = |cell: &Cell| if let Cell::Bytes(value) = cell { Some(value.clone()) } else { None };
    let text = |cell: &Cell| bytes(cell).map(|bytes| String::from_utf8(bytes).unwrap());
    let cells = cells.iter();
    match column {
        "tiny" => Arc::new(cells.map(|cell| number(cell).map(|value| value as i8)).collect::<Int8Array>()),
        "long" => Arc::new(cells.map(|cell| number(cell).map(|value| value as i64)).collect::<Int64Array>()),
        "unsigned" => Arc::new(cells.map(|cell| number(cell).map(|value| value as u64)).collect::<UInt64Array>()),
        "single" => Arc::new(cells.map(|cell| float(cell).map(|value| value as f32)).collect::<Float32Array>()),
        "double" => Arc::new(cells.map(float).collect::<Float64Array>()),
        "half" => {
            let plain: ArrayRef = Arc::new(cells.map(float).collect::<Float64Array>());
            cast(&plain, &DataType::Float16).unwrap()
        }
        "small" => Arc::new(cells.map(exact).collect::<Decimal128Array>().with_precision_and_scale(8, 2).unwrap()),
        "seconds" => Arc::new(
            cells
                .map(|cell| instant(cell).map(|value| (value / 1_000_000_000) as i64))
                .collect::<TimestampSecondArray>(),
        ),
        "day64" => {
            Arc::new(cells.map(|cell| instant(cell).map(|value| (value / 1_000_000) as i64)).collect::<Date64Array>())
        }
        "clock" => Arc::new(
            cells.map(|cell| instant(cell).map(|value| (value / 1_000_000_000) as i32)).collect::<Time32SecondArray>(),
        ),
        "decimal" => Arc::new(cells.map(exact).collect::<Decimal128Array>().with_precision_and_scale(30, 2).unwrap()),
        "flag" => Arc::new(
            cells
                .map(|cell| if let Cell::Boolean(value) = cell { Some(*value) } else { None })
                .collect::<BooleanArray>(),
        ),
        "text" => Arc::new(cells.map(text).collect::<StringArray>()),
        "view" => Arc::new(cells.map(text).collect::<StringViewArray>()),
        "large" => Arc::new(cells.map(text).collect::<LargeStringArray>()),
        "word" => word(cells.map(text).collect(), batch),
        "code" => {
            let plain = cells.map(|cell| number(cell).map(|value| value as i64)).collect::<Int64Array>();
            cast(&plain, &DataType::Dictionary(DataType::Int32.into(), DataType::Int64.into())).unwrap()
        }
        "binary" => Arc::new(cells.map(bytes).collect::<BinaryArray>()),
        "day" => Arc::new(cells.map(|cell| instant(cell).map(|value| (value / DAY) as i32)).collect::<Date32Array>()),
        "moment" => {
            let plain = cells.map(|cell| instant(cell).map(|value| (value / 1_000_000) as i64));
            Arc::new(plain.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
        }
        _ => Arc::new(cells.map(|cell| instant(cell).map(|value| value as i64)).collect::<TimestampNanosecondArray>()),
    }
}

/// A dictionary with so many values that no two batches fit one row group of Parquet.
fn word(texts: Vec<Option<String>>, batch: usize) -> ArrayRef {
    let mut values: Vec<String> = texts.iter().flatten().cloned().collect();
    values.sort();
    values.dedup();
    let keys: Int8Array =
        texts.iter().map(|text| text.as_ref().map(|text| values.binary_search(text).unwrap() as i8)).collect();
    let fill = (0..).map(|number| format!("{batch} of {number}"));
    let values: StringArray = values.iter().cloned().chain(fill).take(100).map(Some).collect();
    Arc::new(DictionaryArray::try_new(keys, Arc::new(values)).unwrap())
}

#[derive(Debug, Clone)]
struct Sample {
    batches: Vec<RecordBatch>,
    /// Row by row, in the order of [`COLUMNS`].
    cells: Vec<Vec<Cell>>,
}

fn sample() -> impl Strategy<Value = Sample> {
    let row = prop::collection::vec(any::<u32>(), COLUMNS.len());
    prop::collection::vec(prop::collection::vec(row, 0..25), 1..5).prop_map(|seeds| {
        let (mut batches, mut all, mut number) = (Vec::new(), Vec::new(), 0);
        for (batch, rows) in seeds.iter().enumerate() {
            let base = batch as i128 * 8;
            let cells: Vec<Vec<Cell>> = rows
                .iter()
                .map(|row| COLUMNS.iter().zip(row).map(|(column, seed)| cell(column, *seed, base)).collect())
                .collect();
            let column = |(at, name): (usize, &&str)| {
                let cells: Vec<Cell> = cells.iter().map(|row| row[at].clone()).collect();
                (name.to_string(), array(name, &cells, batch), true)
            };
            let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(number..number + cells.len() as i32));
            number += cells.len() as i32;
            let columns = COLUMNS.iter().enumerate().map(column);
            let columns = columns.chain([("number".to_owned(), numbers, true)]);
            batches.push(RecordBatch::try_from_iter_with_nullable(columns).unwrap());
            all.extend(cells);
        }
        Sample { batches, cells: all }
    })
}

#[derive(Debug, Clone)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Is(Box<Condition>, &'static str, Option<bool>),
    IsNull(usize),
    /// The literal is the right side, or the left one.
    Compare(usize, &'static str, Cell, bool),
    In(usize, Vec<Cell>),
    Between(usize, Cell, Cell),
    Like(usize, String),
    Flag,
}

const COMPARISONS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];

/// A literal for a column, near the values of some batch; often beside them.
fn literal(column: &'static str) -> impl Strategy<Value = Cell> {
    (any::<u32>(), -1..5_i128, 0..4_i128).prop_map(move |(seed, batch, beside)| match cell(column, seed, batch * 8) {
        Cell::Number(value) => Cell::Number(value + if beside == 3 { 37 } else { 0 }),
        Cell::Float(value) if !value.is_finite() => Cell::Number(2_500),
        Cell::Float(value) => Cell::Number((value * 100.0) as i128),
        Cell::Instant(value) if column == "clock" => Cell::Instant(value),
        Cell::Instant(value) => Cell::Instant(value + if beside == 3 { 1 } else { 0 }),
        other => other,
    })
}

fn leaf() -> impl Strategy<Value = Condition> {
    let at = prop::sample::select((0..COLUMNS.len()).collect::<Vec<_>>());
    at.prop_flat_map(|at| {
        let literal = || literal(COLUMNS[at]);
        let patterns = vec!["a%", "%b%", "_b%", "8%", "%c", "ż_łw", "ab", "%", "16a_"];
        let like = prop::sample::select(patterns).prop_map(move |pattern| match COLUMNS[at] {
            "text" | "view" | "large" | "word" => Condition::Like(at, pattern.into()),
            _ => Condition::IsNull(at),
        });
        prop_oneof![
            4 => (prop::sample::select(COMPARISONS.to_vec()), literal(), any::<bool>())
                .prop_map(move |(comparison, literal, left)| Condition::Compare(at, comparison, literal, left)),
            1 => prop::collection::vec(literal(), 1..5).prop_map(move |list| Condition::In(at, list)),
            1 => (literal(), literal()).prop_map(move |(low, high)| Condition::Between(at, low, high)),
            1 => like,
            1 => Just(Condition::IsNull(at)),
            1 => Just(Condition::Flag),
        ]
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    leaf().prop_recursive(3, 10, 3, |inner| {
        let truth = prop::sample::select(vec![("TRUE", Some(true)), ("FALSE", Some(false)), ("UNKNOWN", None)]);
        prop_oneof![
            2 => prop::collection::vec(inner.clone(), 1..4).prop_map(Condition::All),
            2 => prop::collection::vec(inner.clone(), 1..4).prop_map(Condition::Any),
            1 => inner.clone().prop_map(|inner| Condition::Not(inner.into())),
            1 => (inner, truth).prop_map(|(inner, (word, truth))| Condition::Is(inner.into(), word, truth)),
        ]
    })
}

fn literal_text(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".into(),
        Cell::Number(value) => {
            format!(
                "{}{}.{:02}",
                if *value < 0 { "-" } else { "" },
                value.unsigned_abs() / 100,
                value.unsigned_abs() % 100
            )
        }
        Cell::Float(_) => unreachable!("literals for floats are numbers"),
        Cell::Boolean(value) => value.to_string(),
        Cell::Bytes(bytes) => format!("'{}'", String::from_utf8(bytes.clone()).unwrap().replace('\'', "''")),
        Cell::Instant(value) => {
            let seconds = value.div_euclid(1_000_000_000) as i64;
            let time = chrono::DateTime::from_timestamp(seconds, value.rem_euclid(1_000_000_000) as u32).unwrap();
            format!("'{}'", time.format("%Y-%m-%dT%H:%M:%S%.9f"))
        }
    }
}

impl Condition {
    fn text(&self) -> String {
        let literal = |at: &usize, cell: &Cell| match cell {
            Cell::Bytes(bytes) if COLUMNS[*at] == "binary" => {
                format!("X'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
            }
            Cell::Instant(value) if COLUMNS[*at] == "clock" => format!("'00:00:{:02}'", value / 1_000_000_000),
            other => literal_text(other),
        };
        let name = |at: &usize| COLUMNS[*at];
        let joined =
            |parts: &[Self], with: &str| format!("({})", parts.iter().map(Self::text).collect::<Vec<_>>().join(with));
        match self {
            Self::All(parts) => joined(parts, " AND "),
            Self::Any(parts) => joined(parts, " OR "),
            Self::Not(inner) => format!("(NOT {})", inner.text()),
            Self::Is(inner, word, _) => format!("({} IS {word})", inner.text()),
            Self::IsNull(at) => format!("\"{}\" IS NULL", name(at)),
            Self::Compare(at, comparison, cell, true) => format!("{} {comparison} {}", literal(at, cell), name(at)),
            Self::Compare(at, comparison, cell, false) => format!("{} {comparison} {}", name(at), literal(at, cell)),
            Self::In(at, list) => {
                format!(
                    "{} IN ({})",
                    name(at),
                    list.iter().map(|cell| literal(at, cell)).collect::<Vec<_>>().join(", ")
                )
            }
            Self::Between(at, low, high) => {
                format!("{} BETWEEN {} AND {}", name(at), literal(at, low), literal(at, high))
            }
            Self::Like(at, pattern) => format!("{} LIKE '{pattern}'", name(at)),
            Self::Flag => "flag".into(),
        }
    }

    /// What the condition is for a row: the meaning of SQL once more, as simple as can be.
    fn truth(&self, row: &[Cell]) -> Option<bool> {
        match self {
            Self::All(parts) => parts.iter().map(|part| part.truth(row)).fold(Some(true), and),
            Self::Any(parts) => not(parts.iter().map(|part| not(part.truth(row))).fold(Some(true), and)),
            Self::Not(inner) => not(inner.truth(row)),
            Self::Is(inner, _, truth) => Some(inner.truth(row) == *truth),
            Self::IsNull(at) => Some(row[*at] == Cell::Null),
            Self::Compare(at, comparison, literal, false) => compared(&row[*at], comparison, literal),
            Self::Compare(at, comparison, literal, true) => {
                let turned = comparison.replace('<', "?").replace('>', "<").replace('?', ">");
                compared(&row[*at], if turned == "><" { "<>" } else { &turned }, literal)
            }
            Self::In(at, list) => {
                not(list.iter().map(|literal| compared(&row[*at], "<>", literal)).fold(Some(true), and))
            }
            Self::Between(at, low, high) => and(compared(&row[*at], ">=", low), compared(&row[*at], "<=", high)),
            Self::Like(at, pattern) => match &row[*at] {
                Cell::Bytes(bytes) => {
                    let text: Vec<char> = std::str::from_utf8(bytes).unwrap().chars().collect();
                    Some(matches(&text, &pattern.chars().collect::<Vec<_>>()))
                }
                _ => None,
            },
            Self::Flag => match row[COLUMNS.iter().position(|name| *name == "flag").unwrap()] {
                Cell::Boolean(value) => Some(value),
                _ => None,
            },
        }
    }
}

fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn not(truth: Option<bool>) -> Option<bool> {
    truth.map(|truth| !truth)
}

fn compared(cell: &Cell, comparison: &str, literal: &Cell) -> Option<bool> {
    let order = match (cell, literal) {
        (Cell::Null, _) | (_, Cell::Null) => return None,
        (Cell::Float(value), Cell::Number(hundredths)) => (value * 100.0).partial_cmp(&(*hundredths as f64)),
        (Cell::Number(a), Cell::Number(b)) => Some(a.cmp(b)),
        (Cell::Boolean(a), Cell::Boolean(b)) => Some(a.cmp(b)),
        (Cell::Bytes(a), Cell::Bytes(b)) => Some(a.cmp(b)),
        (Cell::Instant(a), Cell::Instant(b)) => Some(a.cmp(b)),
        other => unreachable!("{other:?}"),
    };
    Some(match comparison {
        "=" => order == Some(Ordering::Equal),
        "<>" => order != Some(Ordering::Equal),
        "<" => order == Some(Ordering::Less),
        "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        ">" => order == Some(Ordering::Greater),
        ">=" => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        other => unreachable!("{other}"),
    })
}

fn matches(text: &[char], pattern: &[char]) -> bool {
    match (pattern.first(), text.first()) {
        (None, first) => first.is_none(),
        (Some('%'), _) => (0..=text.len()).any(|from| matches(&text[from..], &pattern[1..])),
        (Some('_'), Some(_)) => matches(&text[1..], &pattern[1..]),
        (Some(wanted), Some(found)) => wanted == found && matches(&text[1..], &pattern[1..]),
        (Some(_), None) => false,
    }
}

async fn store() -> ResultStore {
    let builder = ResultStore::builder().configuration(Configuration::empty()).memory(16 << 20);
    builder.location("memory://").open().await.unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

async fn numbers(scan: Scan) -> Vec<i32> {
    let table = scan.columns(["number"]).collect().await.unwrap();
    assert_eq!(table.schema().fields().len(), 1);
    table.batches().iter().flat_map(|batch| batch.column(0).as_primitive::<Int32Type>().values().to_vec()).collect()
}

#[derive(Debug, Clone)]
enum Cut {
    Part(u64, Option<u64>),
    Tail(u64),
}

fn cut() -> impl Strategy<Value = Cut> {
    let count = || prop_oneof![6 => 0_u64..30, 1 => Just(u64::MAX)];
    prop_oneof![
        2 => Just(Cut::Part(0, None)),
        2 => (count(), prop::option::of(count())).prop_map(|(offset, limit)| Cut::Part(offset, limit)),
        1 => count().prop_map(Cut::Tail),
    ]
}

fn expected(kept: &[i32], cut: &Cut) -> Vec<i32> {
    let narrow = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    match cut {
        Cut::Part(offset, limit) => {
            kept.iter().skip(narrow(*offset)).take(limit.map_or(usize::MAX, narrow)).copied().collect()
        }
        Cut::Tail(count) => kept.iter().skip(kept.len().saturating_sub(narrow(*count))).copied().collect(),
    }
}

fn cut_scan(scan: Scan, cut: &Cut) -> Scan {
    match cut {
        Cut::Part(offset, None) => scan.offset(*offset),
        Cut::Part(offset, Some(limit)) => scan.offset(*offset).limit(*limit),
        Cut::Tail(count) => scan.tail(*count),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, max_shrink_iters: 600, ..ProptestConfig::default() })]
    #[test]
    fn a_filtered_read_is_the_whole_filtered(
        sample in sample(),
        asked in prop::collection::vec((condition(), cut(), prop::option::of(1_usize..20)), 1..8),
        serializer in prop::sample::select(SERIALIZERS.to_vec()),
    ) {
        runtime().block_on(async {
            let store = store().await;
            let schema = sample.batches[0].schema();
            let batches = Batches::from_batches(schema, sample.batches.clone());
            let reference = store.put("random", batches).serializer(serializer).await.unwrap();
            let whole = rows(&sample.batches);
            for (condition, cut, batch_rows) in asked {
                let text = condition.text();
                let kept = sample.cells.iter().enumerate().filter(|(_, row)| condition.truth(row) == Some(true));
                let kept: Vec<i32> = kept.map(|(number, _)| number as i32).collect();
                let expected = expected(&kept, &cut);
                let scan = || {
                    let scan = cut_scan(store.scan(&reference).filter(&text), &cut);
                    batch_rows.map_or_else(|| cut_scan(store.scan(&reference).filter(&text), &cut), |rows| scan.batch_rows(rows))
                };
                assert_eq!(numbers(scan()).await, expected, "{serializer}: {text}: {cut:?}");
                let table = scan().collect().await.unwrap();
                let wanted: Vec<_> = expected.iter().map(|number| whole[*number as usize].clone()).collect();
                assert_eq!(rows(table.batches()), wanted, "{serializer}: {text}: {cut:?}");
                table.batches().iter().flat_map(RecordBatch::columns).for_each(|column| column.to_data().validate_full().unwrap());
            }
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn rows_of_any_type_can_be_kept(table in crate::generate::table(), keep in 0_u32..5) {
        runtime().block_on(async {
            let store = store().await;
            let mut number = 0;
            let batches = table.batches.iter().map(|batch| {
                let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(number..number + batch.num_rows() as i32));
                number += batch.num_rows() as i32;
                let mut fields = batch.schema().fields().to_vec();
                fields.push(Arc::new(Field::new("row number", DataType::Int32, true)));
                let schema = Arc::new(Schema::new(fields));
                RecordBatch::try_new(schema, batch.columns().iter().cloned().chain([numbers]).collect()).unwrap()
            });
            let batches: Vec<RecordBatch> = batches.collect();
            let Some(first) = batches.first() else { return };
            let input = Batches::from_batches(first.schema(), batches.clone());
            let reference = store.put("random", input).serializer("arrow").await.unwrap();
            let whole = rows(&batches);
            let text = format!("\"row number\" IN ({})", (0..number).filter(|row| (*row as u32).is_multiple_of(keep + 1)).chain([-1]).map(|row| row.to_string()).collect::<Vec<_>>().join(","));
            let kept = store.scan(&reference).filter(text).collect().await.unwrap();
            let wanted: Vec<_> = whole.iter().enumerate().filter(|(row, _)| (*row as u32).is_multiple_of(keep + 1)).map(|(_, row)| row.clone()).collect();
            assert_eq!(rows(kept.batches()), wanted);
        });
    }
}

fn numbered(count: i64) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
    let words: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..count).map(|number| format!("word {}", number % 7))));
    let words = cast(&words, &DataType::Dictionary(DataType::Int8.into(), DataType::Utf8.into())).unwrap();
    RecordBatch::try_from_iter([("n", column), ("word", words)]).unwrap()
}

#[tokio::test]
async fn mistakes_are_told_before_data_is_read() {
    let store = store().await;
    let reference = store.put("k", numbered(10)).await.unwrap();
    for (text, kind, message) in [
        ("n >", ErrorKind::InvalidInput, "scan: the filter cannot be read"),
        ("m > 1", ErrorKind::NotFound, "scan k@1: there is no column `m`"),
        (
            "n = 'x'",
            ErrorKind::InvalidInput,
            "scan k@1: column `n` has numbers (Int64), and cannot be compared with 'x'",
        ),
        ("abs(n) = 1", ErrorKind::Unsupported, "scan: the filter has the function `abs`"),
    ] {
        let error = store.scan(&reference).filter(text).batches().await.map(drop).unwrap_err();
        assert!(error.kind() == kind && error.to_string().starts_with(message), "{error}");
    }
    // What is no condition is told before the result is looked for.
    let error = store.scan("nothing/here").filter("n >").batches().await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn columns_of_the_filter_need_not_be_asked_for() {
    let store = store().await;
    for serializer in SERIALIZERS {
        let reference = store.put("k", numbered(100)).serializer(serializer).await.unwrap();
        let scan = |text: &str| store.scan(&reference).filter(text);
        let words = scan("n >= 97").columns(["word"]).collect().await.unwrap().to_batch().unwrap();
        assert_eq!((words.num_rows(), words.num_columns()), (3, 1));
        let none = scan("n >= 97").columns(Vec::<String>::new()).collect().await.unwrap();
        assert_eq!((none.rows(), none.schema().fields().len()), (3, 0));
        let both = scan("n >= 97 AND n < 99").columns(["word", "n"]).collect().await.unwrap().to_batch().unwrap();
        assert_eq!(both.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["word", "n"]);
        let all = scan("TRUE").columns(Vec::<String>::new()).tail(7).collect().await.unwrap();
        assert_eq!(all.rows(), 7);
    }
}

#[tokio::test]
async fn a_dictionary_is_shown_though_no_row_is_kept() {
    let store = store().await;
    for serializer in SERIALIZERS {
        let reference = store.put("k", numbered(100)).serializer(serializer).await.unwrap();
        for scan in [
            store.scan(&reference).filter("n < 0"),
            store.scan(&reference).filter("n < 5").offset(5),
            store.scan(&reference).filter("n < 5").tail(0),
        ] {
            let batches = scan.columns(["word"]).collect().await.unwrap();
            let batch = batches.batches().first().unwrap_or_else(|| panic!("{serializer}: no batch"));
            assert_eq!((batch.num_rows(), batch.column(0).as_any_dictionary().values().len()), (0, 7), "{serializer}");
        }
    }
}

/// A table whose batches are a row group of Parquet each.
fn in_row_groups() -> Vec<RecordBatch> {
    let batch = |group: i32| {
        let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(group * 100..group * 100 + 100));
        let words = word((0..100).map(|row| Some(format!("{group} and {row:03}"))).collect(), 0);
        RecordBatch::try_from_iter([("number", numbers), ("word", words)]).unwrap()
    };
    (0..4).map(batch).collect()
}

#[tokio::test]
async fn row_groups_that_cannot_hold_a_row_are_not_read() {
    let (folder, store) = crate::support::local().await;
    let batches = in_row_groups();
    let input = Batches::from_batches(batches[0].schema(), batches);
    let reference = store.put("k", input).serializer("parquet").await.unwrap();
    let path = folder.path().join(&reference.written().unwrap().parts[0].path);
    let mut bytes = std::fs::read(&path).unwrap();
    // The first row group lies at the beginning.
    bytes[4..80].fill(0xAA);
    std::fs::write(&path, bytes).unwrap();
    let read = |text: &str| {
        let scan = store.scan(&reference).filter(text);
        async move { scan.collect().await.map(|table| table.rows()) }
    };
    for (text, kept) in [
        ("number >= 100", 300),
        ("number BETWEEN 250 AND 299.5", 50),
        ("number > 350 AND number < 320", 0),
        ("word LIKE '3 and %'", 100),
        ("word = '2 and 007' OR number IN (399)", 2),
        ("number IS NULL", 0),
        ("NOT (number < 300 OR word IS NULL)", 100),
    ] {
        assert_eq!(read(text).await.unwrap(), kept, "{text}");
        let tail = store.scan(&reference).filter(text).tail(5).collect().await.unwrap();
        assert_eq!(tail.rows(), kept.min(5), "{text}");
    }
    for text in ["number >= 99", "number <> 350", "word LIKE '%7'", "TRUE", "number IS NOT NULL"] {
        assert_eq!(read(text).await.unwrap_err().kind(), ErrorKind::Damaged, "{text}");
    }
}
