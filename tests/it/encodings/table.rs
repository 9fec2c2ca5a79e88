//! A table whose columns bring forth every encoding of the Parquet writer, and what strains each.
//!
//! A value is told by its row alone, so the table is the same whatever batches it is made in.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::*;

/// Several pages of each column, and several row groups where the memory is small.
pub(crate) const ROWS: i64 = 100_000;
/// Whole pages of some columns hold nothing.
const GAP: Range<i64> = 30_000..70_000;
/// From here on, some columns hold something else: what was chosen for the first rows no longer suits.
const TURN: i64 = 60_000;

/// Rows of the table.
pub(crate) fn rows(rows: Range<i64>) -> RecordBatch {
    let mut columns = Columns { rows, found: Vec::new() };
    columns.integers();
    columns.integers_with_nulls();
    columns.floats();
    columns.times();
    columns.decimals();
    columns.texts();
    columns.bytes();
    columns.rare_types();
    RecordBatch::try_from_iter_with_nullable(columns.found).unwrap()
}

/// A number that looks random, and is the same for the same row.
fn mixed(row: i64, of: u64) -> u64 {
    let mut state = row.cast_unsigned().wrapping_add(of.wrapping_mul(0xd1b5_4a32_d192_ed03));
    for factor in [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb_u64] {
        state = (state ^ (state >> 29)).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(factor);
    }
    state ^ (state >> 31)
}

/// One of the numbers below `bound`.
fn below(row: i64, of: u64, bound: u64) -> i64 {
    (mixed(row, of) % bound).cast_signed()
}

/// A number between 0 and 1.
fn share(row: i64, of: u64) -> f64 {
    (mixed(row, of) >> 11) as f64 / (1_u64 << 53) as f64
}

struct Columns {
    rows: Range<i64>,
    found: Vec<(&'static str, ArrayRef, bool)>,
}

impl Columns {
    /// A column that has a value in every row, and whose schema says so.
    fn whole<A: Array + FromIterator<Option<T>> + 'static, T>(&mut self, name: &'static str, value: impl Fn(i64) -> T) {
        let array: A = self.rows.clone().map(|row| Some(value(row))).collect();
        self.found.push((name, Arc::new(array), false));
    }

    fn some<A: Array + FromIterator<Option<T>> + 'static, T>(
        &mut self,
        name: &'static str,
        value: impl Fn(i64) -> Option<T>,
    ) {
        let array: A = self.rows.clone().map(value).collect();
        self.found.push((name, Arc::new(array), true));
    }

    fn add(&mut self, name: &'static str, array: impl Array + 'static) {
        self.found.push((name, Arc::new(array), true));
    }

    /// Those that step past the greatest number of their type go on with the least.
    fn integers(&mut self) {
        self.whole::<Int64Array, _>("sorted", |row| row * 1_000 + below(row, 1, 700));
        self.whole::<Int64Array, _>("wrapping i64", |row| (i64::MAX - ROWS / 2).wrapping_add(row));
        self.whole::<Int64Array, _>("random i64", |row| mixed(row, 2).cast_signed());
        self.whole::<Int8Array, _>("random i8", |row| mixed(row, 3) as i8);
        self.whole::<Int16Array, _>("rising i16", |row| (row / 3 - 16_000) as i16);
        self.whole::<Int32Array, _>("few i32", |row| [-7, i32::MIN, 0, i32::MAX][(mixed(row, 4) % 4) as usize]);
        self.whole::<Int32Array, _>("wrapping i32", |row| {
            (i32::MAX - 50_000).wrapping_add((row + below(row, 5, 3)) as i32)
        });
        self.whole::<Int32Array, _>("random i32", |row| mixed(row, 6) as i32);
        self.whole::<UInt8Array, _>("few u8", |row| 250 + (mixed(row, 7) % 6) as u8);
        self.whole::<UInt16Array, _>("random u16", |row| mixed(row, 8) as u16);
        self.whole::<UInt32Array, _>("rising u32", |row| (1 << 31) - 50_000 + row as u32);
        self.whole::<UInt32Array, _>("few u32", |row| u32::MAX - (mixed(row, 9) % 5) as u32);
        self.whole::<UInt64Array, _>("rising u64", |row| (1 << 63) - 50_000 + row.cast_unsigned());
        self.whole::<UInt64Array, _>("few u64", |row| u64::MAX - mixed(row, 10) % 5);
        self.whole::<UInt64Array, _>("random u64", |row| mixed(row, 11));
    }

    fn integers_with_nulls(&mut self) {
        self.some::<Int64Array, _>("many nulls", |row| below(row, 12, 20).eq(&0).then(|| below(row, 13, 1 << 40)));
        self.some::<Int64Array, _>("rising with a gap", |row| (!GAP.contains(&row)).then_some(row * 3));
        self.some::<Int32Array, _>("few with a gap", |row| (!GAP.contains(&row)).then(|| below(row, 14, 9) as i32));
        self.some::<Int64Array, _>("nulls but for the end", |row| (row >= ROWS - 10).then_some(row));
        self.some::<Int64Array, i64>("all null", |_| None);
        self.some::<StringArray, &str>("all null text", |_| None);
        self.some::<Int32Array, _>("no null, though it might", |row| Some(below(row, 15, 100) as i32));
        // What was chosen for rising numbers meets random ones, and a dictionary meets more than it holds.
        self.some::<Int64Array, _>("rising, then random", |row| {
            (row % 11 != 0).then(|| if row < TURN { row } else { mixed(row, 16).cast_signed() })
        });
        self.some::<Int64Array, _>("few, then random", |row| {
            (row % 7 != 0).then(|| if row < TURN { row % 5 * 1_000_003 } else { mixed(row, 17).cast_signed() })
        });
        self.some::<BooleanArray, _>("flag", |row| (row % 10 != 0).then_some(row % 3 == 0));
    }

    fn floats(&mut self) {
        self.whole::<Float64Array, _>("measured", |row| 20.0 + share(row, 20));
        self.some::<Float32Array, _>("measured f32", |row| (row % 13 != 0).then(|| 1.0 + share(row, 21) as f32));
        self.some::<Float64Array, _>("measured with a gap", |row| {
            (!GAP.contains(&row)).then(|| 1e6 + share(row, 22) * 1e3)
        });
        self.some::<Float64Array, _>("rated", |row| (row % 9 != 0).then(|| below(row, 23, 10) as f64 / 2.0));
        self.whole::<Float32Array, _>("rated f32", |row| below(row, 24, 50) as f32 * 0.1);
        self.whole::<Float64Array, _>("noise", |row| {
            f64::from_bits(mixed(row, 25) & !(1 << 62)) * if row % 2 == 0 { 1.0 } else { -1.0 }
        });
        self.some::<Float64Array, _>("odd f64", |row| match row % 11 {
            0 => None,
            1 => Some(f64::INFINITY),
            2 => Some(-0.0),
            3 => Some(f64::MIN_POSITIVE / 2.0),
            4 => Some(f64::NAN),
            5 => Some(f64::NEG_INFINITY),
            _ => Some(row as f64 * 1e-3),
        });
    }

    fn times(&mut self) {
        // Bursts a day apart, as logs have them.
        let burst =
            |row: i64| 1_700_000_000_000_000 + row / 500 * 86_400_000_000 + row % 500 * 1_000 + below(row, 30, 900);
        let at: TimestampMicrosecondArray = self.rows.clone().map(|row| Some(burst(row))).collect();
        self.add("at", at.with_timezone("UTC"));
        self.some::<TimestampMillisecondArray, _>("local", |row| (row % 4 != 0).then_some(-row * 60_000));
        self.whole::<TimestampNanosecondArray, _>("exact", |row| row * 1_000_000_007 + below(row, 31, 1 << 30));
        self.some::<Date32Array, _>("day", |row| (row % 5 != 0).then(|| (row / 50 - 700) as i32));
        self.whole::<Date32Array, _>("few days", |row| 19_000 + below(row, 32, 7) as i32);
        self.whole::<Time64MicrosecondArray, _>("time", |row| row * 800_001);
        self.some::<Time32MillisecondArray, _>("shift", |row| {
            (row % 6 != 0).then(|| below(row, 33, 24) as i32 * 3_600_000)
        });
    }

    fn decimals(&mut self) {
        let mut add = |name, precision, scale, value: &dyn Fn(i64) -> i128| {
            let rows = self.rows.clone().map(|row| (row % 8 != 0).then(|| value(row)));
            let array = rows.collect::<Decimal128Array>().with_precision_and_scale(precision, scale).unwrap();
            self.found.push((name, Arc::new(array), true));
        };
        add("price", 9, 2, &|row| i128::from(below(row, 40, 900)) * 5 - 1_000);
        add("balance", 18, 3, &|row| i128::from(row) * 12_345 - 600_000_000);
        add("random decimal", 15, 4, &|row| i128::from(below(row, 41, 1 << 40)) - (1 << 39));
        add("wide decimal", 38, 10, &|row| i128::from(below(row, 42, 1 << 40)) - (1 << 39));
        let rows = usize::try_from(self.rows.end - self.rows.start).unwrap();
        let nothing = Decimal128Array::new_null(rows).with_precision_and_scale(38, 10).unwrap();
        self.add("all null wide decimal", nothing);
    }

    fn texts(&mut self) {
        let cities = ["Łódź", "東京", "São Paulo", "", "🌱 Grünstadt", "a"];
        let word = |row, of| format!("{:016x}", mixed(row, of));
        let note = move |row: i64| format!("note {row}: {} ", word(row, 50)).repeat(1 + below(row, 51, 2) as usize);
        self.whole::<StringArray, _>("note", note);
        self.some::<StringArray, _>("note with a gap", move |row| (!GAP.contains(&row)).then(|| word(row, 52)));
        self.some::<StringArray, _>("foreign", move |row| {
            (row % 5 != 0).then(|| format!("żółć/日本 {} 🌱", word(row, 53)))
        });
        self.some::<StringArray, _>("city", move |row| (row % 3 != 0).then(|| cities[(mixed(row, 54) % 6) as usize]));
        self.whole::<StringArray, _>("city, sorted", move |row| cities[(row * 6 / ROWS) as usize]);
        self.whole::<StringArray, _>("empty", |_| "");
        self.whole::<StringArray, _>(
            "mostly empty",
            move |row| if row % 50 == 0 { word(row, 55) } else { String::new() },
        );
        self.some::<StringArray, _>("few, then distinct", move |row| {
            (row % 7 != 0).then(|| if row < TURN { cities[(row % 6) as usize].to_owned() } else { word(row, 56) })
        });
    }

    fn bytes(&mut self) {
        let bytes = |row, of| mixed(row, of).to_le_bytes().repeat(1 + below(row, of + 1, 3) as usize);
        self.some::<BinaryArray, _>("blob", move |row| (row % 7 != 0).then(|| bytes(row, 60)));
        self.whole::<BinaryArray, _>("few blobs", |row| mixed(row % 20, 62).to_le_bytes());
    }

    fn rare_types(&mut self) {
        let word = |row, of| format!("{:016x} long enough for no inline view", mixed(row, of));
        self.some::<LargeStringArray, _>("large text", move |row| (row % 6 != 0).then(|| word(row, 70)));
        self.some::<StringViewArray, _>("text view", move |row| (row % 6 != 0).then(|| word(row % 900, 71)));
        self.some::<LargeBinaryArray, _>("large blob", move |row| (row % 6 != 0).then(|| word(row, 72)));
        self.some::<BinaryViewArray, _>("blob view", move |row| (row % 6 != 0).then(|| mixed(row, 73).to_le_bytes()));
        self.some::<DurationMicrosecondArray, _>("lasted", |row| (row % 6 != 0).then(|| below(row, 74, 1 << 33)));
        self.whole::<DurationMillisecondArray, _>("few lengths", |row| below(row, 75, 5) * -60_000);
        self.whole::<TimestampSecondArray, _>("second", |row| row * 60);
        self.whole::<Time32SecondArray, _>("time of seconds", |row| (row % 86_400) as i32);
        self.whole::<Time64NanosecondArray, _>("time of nanoseconds", |row| row * 800_000_001);
    }
}
