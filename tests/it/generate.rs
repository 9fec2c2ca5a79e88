//! Random tables: a schema, drawn by proptest so that it shrinks, and batches of it, filled from a seed.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::*;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A table to be put, batch by batch.
#[derive(Debug, Clone)]
pub(crate) struct RandomTable {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
}

/// How the dictionaries of later batches relate to those of the batches before.
#[derive(Debug, Clone, Copy)]
enum Dictionaries {
    Shared,
    Extended,
    Replaced,
}

/// Any table: zero columns, zero batches and zero rows among them.
pub(crate) fn table() -> impl Strategy<Value = RandomTable> {
    let rows = prop_oneof![Just(0_usize), 1_usize..4, 4_usize..40];
    let relation = prop_oneof![Just(Dictionaries::Shared), Just(Dictionaries::Extended), Just(Dictionaries::Replaced)];
    (schema(), prop::collection::vec(rows, 0..4), relation, any::<u64>()).prop_map(|(schema, rows, relation, seed)| {
        let mut fill = Fill::new(seed, relation);
        let batches = rows.into_iter().map(|rows| fill.batch(&schema, rows)).collect();
        RandomTable { schema, batches }
    })
}

fn schema() -> impl Strategy<Value = SchemaRef> {
    let metadata = prop_oneof![
        3 => Just(HashMap::new()),
        1 => Just(HashMap::from([("who".to_owned(), "я\u{0}\"".to_owned()), (String::new(), String::new())])),
        1 => Just(HashMap::from([("pandas".to_owned(), r#"{"index_columns":[]}"#.to_owned())])),
    ];
    (prop::collection::vec(field(), 0..6), metadata)
        .prop_map(|(fields, metadata)| Arc::new(Schema::new_with_metadata(fields, metadata)))
}

fn name() -> impl Strategy<Value = String> + Clone {
    prop_oneof![
        Just(String::new()),
        Just("a".to_owned()),
        Just("b.c".to_owned()),
        Just("list".to_owned()),
        "[a-zé日 ]{1,8}"
    ]
}

fn field() -> impl Strategy<Value = Field> {
    let metadata = prop_oneof![
        3 => Just(HashMap::new()),
        1 => Just(HashMap::from([("unit".to_owned(), "m/s".to_owned())])),
        1 => Just(HashMap::from([
            ("ARROW:extension:name".to_owned(), "test.odd".to_owned()),
            ("ARROW:extension:metadata".to_owned(), "{}".to_owned()),
        ])),
        1 => Just(HashMap::from([("PARQUET:field_id".to_owned(), "7".to_owned())])),
    ];
    (name(), data_type(), prop::bool::weighted(0.8), metadata).prop_map(|(name, data_type, nullable, metadata)| {
        Field::new(name, data_type.clone(), nullable || must_be_nullable(&data_type)).with_metadata(metadata)
    })
}

fn must_be_nullable(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Null | DataType::Union(..) | DataType::RunEndEncoded(..) | DataType::Dictionary(..))
}

fn data_type() -> impl Strategy<Value = DataType> {
    let leaf = prop_oneof![6 => plain_type(), 2 => dictionary_type()];
    leaf.prop_recursive(3, 8, 3, |inner| {
        let child = (name(), inner.clone(), any::<bool>()).prop_map(|(name, data_type, nullable)| {
            let nullable = nullable || must_be_nullable(&data_type);
            Arc::new(Field::new(name, data_type, nullable))
        });
        let child = child.boxed();
        let children = prop::collection::vec(child.clone(), 1..4);
        let key = prop_oneof![Just(DataType::Utf8), Just(DataType::Int32), Just(DataType::LargeUtf8)];
        prop_oneof![
            child.clone().prop_map(DataType::List),
            child.clone().prop_map(DataType::LargeList),
            child.clone().prop_map(DataType::ListView),
            child.clone().prop_map(DataType::LargeListView),
            (child.clone(), 1_i32..4).prop_map(|(child, size)| DataType::FixedSizeList(child, size)),
            children.clone().prop_map(|fields| DataType::Struct(fields.into())),
            (key, child.clone(), any::<bool>()).prop_map(|(key, value, ordered)| map_type(key, value, ordered)),
            (children, any::<bool>()).prop_map(|(fields, dense)| {
                let mode = if dense { UnionMode::Dense } else { UnionMode::Sparse };
                let fields = UnionFields::try_new((0..fields.len()).map(|id| id as i8 * 3), fields).unwrap();
                DataType::Union(fields, mode)
            }),
            inner.prop_map(|values| {
                let ends = Arc::new(Field::new("run_ends", DataType::Int32, false));
                DataType::RunEndEncoded(ends, Arc::new(Field::new("values", values, true)))
            }),
        ]
    })
}

fn map_type(key: DataType, value: FieldRef, ordered: bool) -> DataType {
    let key = Arc::new(Field::new("key", key, false));
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(vec![key, value].into()), false)), ordered)
}

fn dictionary_type() -> impl Strategy<Value = DataType> {
    let keys = prop::sample::select(vec![
        DataType::Int8,
        DataType::UInt8,
        DataType::Int16,
        DataType::Int32,
        DataType::UInt32,
        DataType::Int64,
    ]);
    let values = prop::sample::select(vec![
        DataType::Utf8,
        DataType::Utf8,
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::LargeUtf8,
        DataType::Binary,
        DataType::LargeBinary,
        DataType::Utf8View,
        DataType::Int64,
        DataType::Float64,
        DataType::BinaryView,
        DataType::Null,
        DataType::Boolean,
        DataType::UInt8,
        DataType::Float16,
        DataType::Date64,
        DataType::Duration(TimeUnit::Millisecond),
        DataType::Timestamp(TimeUnit::Nanosecond, Some("Europe/Berlin".into())),
        DataType::Decimal128(12, 3),
        DataType::Interval(IntervalUnit::DayTime),
        DataType::FixedSizeBinary(3),
        DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
    ]);
    (keys, values).prop_map(|(keys, values)| DataType::Dictionary(Box::new(keys), Box::new(values)))
}

fn plain_type() -> impl Strategy<Value = DataType> {
    let zone = || prop::sample::select(vec![None, Some("UTC"), Some("Europe/Berlin"), Some("-03:30")]);
    let unit = || {
        use TimeUnit::*;
        prop::sample::select(vec![Second, Millisecond, Microsecond, Nanosecond])
    };
    prop_oneof![
        4 => prop::sample::select(flat_types()),
        1 => (unit(), zone()).prop_map(|(unit, zone)| DataType::Timestamp(unit, zone.map(Into::into))),
        1 => unit().prop_map(DataType::Duration),
        1 => (1_u8..=9, 0_i8..4).prop_map(|(digits, scale)| DataType::Decimal32(digits, scale.min(digits as i8))),
        1 => (1_u8..=18, 0_i8..4).prop_map(|(digits, scale)| DataType::Decimal64(digits, scale.min(digits as i8))),
        1 => (1_u8..=38, -2_i8..4).prop_map(|(digits, scale)| DataType::Decimal128(digits, scale.min(digits as i8))),
        1 => (1_u8..=76, 0_i8..4).prop_map(|(digits, scale)| DataType::Decimal256(digits, scale.min(digits as i8))),
        // Values of size 0 have a test of their own: inside unions they are refused.
        1 => (1_i32..20).prop_map(DataType::FixedSizeBinary),
    ]
}

fn flat_types() -> Vec<DataType> {
    use DataType::*;
    let mut types = vec![Null, Boolean, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64];
    types.extend([Float16, Float32, Float64, Date32, Date64, Time32(TimeUnit::Second), Time32(TimeUnit::Millisecond)]);
    types.extend([Time64(TimeUnit::Microsecond), Time64(TimeUnit::Nanosecond), Interval(IntervalUnit::YearMonth)]);
    types.extend([Interval(IntervalUnit::DayTime), Interval(IntervalUnit::MonthDayNano)]);
    types.extend([Utf8, LargeUtf8, Utf8View, Binary, LargeBinary, BinaryView]);
    types
}

/// Fills arrays from a seed.
pub(crate) struct Fill {
    random: StdRng,
    relation: Dictionaries,
    known: Vec<ArrayRef>,
    next: usize,
}

impl Fill {
    fn new(seed: u64, relation: Dictionaries) -> Self {
        Self { random: StdRng::seed_from_u64(seed), relation, known: Vec::new(), next: 0 }
    }

    fn batch(&mut self, schema: &SchemaRef, rows: usize) -> RecordBatch {
        self.next = 0;
        let (before, after) = if self.random.random() { (self.random.random_range(0..9), 3) } else { (0, 0) };
        let whole = before + rows + after;
        let columns =
            schema.fields().iter().map(|field| self.array(field.data_type(), field.is_nullable(), whole)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(whole));
        RecordBatch::try_new_with_options(schema.clone(), columns, &options).unwrap().slice(before, rows)
    }

    fn nulls(&mut self, nullable: bool, rows: usize) -> Option<NullBuffer> {
        let share = [0.0, 0.3, 1.0][self.random.random_range(0..3)];
        (nullable && self.random.random_range(0..4) > 0)
            .then(|| BooleanBuffer::from_iter((0..rows).map(|_| !self.random.random_bool(share))).into())
    }

    /// `rows` rows, often as a slice of a longer array.
    fn array(&mut self, data_type: &DataType, nullable: bool, rows: usize) -> ArrayRef {
        if self.random.random_bool(0.3) {
            let before = self.random.random_range(0..10);
            return self.whole(data_type, nullable, before + rows + 2).slice(before, rows);
        }
        self.whole(data_type, nullable, rows)
    }

    fn whole(&mut self, data_type: &DataType, nullable: bool, rows: usize) -> ArrayRef {
        use DataType::*;
        match data_type {
            Null => Arc::new(NullArray::new(rows)),
            Boolean => {
                let values = BooleanBuffer::from_iter((0..rows).map(|_| self.random.random::<bool>()));
                Arc::new(BooleanArray::new(values, self.nulls(nullable, rows)))
            }
            Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView => self.text(data_type, nullable, rows),
            Dictionary(keys, values) => self.dictionary(keys, values, nullable, rows),
            List(field) | LargeList(field) | ListView(field) | LargeListView(field) => {
                self.list(data_type, field, nullable, rows)
            }
            FixedSizeList(field, size) => {
                let values = self.array(field.data_type(), field.is_nullable(), rows * *size as usize);
                let nulls = self.nulls(nullable, rows);
                let list = FixedSizeListArray::try_new_with_length(field.clone(), *size, values, nulls, rows);
                Arc::new(list.unwrap())
            }
            Struct(fields) => {
                let children =
                    fields.iter().map(|field| self.array(field.data_type(), field.is_nullable(), rows)).collect();
                Arc::new(StructArray::try_new(fields.clone(), children, self.nulls(nullable, rows)).unwrap())
            }
            Map(entries, ordered) => {
                let (offsets, total) = self.offsets(rows);
                let structs = self.whole(entries.data_type(), false, total).as_struct().clone();
                let nulls = self.nulls(nullable, rows);
                Arc::new(MapArray::try_new(entries.clone(), offsets, structs, nulls, *ordered).unwrap())
            }
            Union(fields, mode) => self.union(fields, *mode, rows),
            RunEndEncoded(_, values) => {
                let mut ends: Vec<i32> = (1..=rows as i32).filter(|_| self.random.random_bool(0.4)).collect();
                if rows > 0 && ends.last() != Some(&(rows as i32)) {
                    ends.push(rows as i32);
                }
                let values = self.array(values.data_type(), true, ends.len());
                let data = ArrayData::builder(data_type.clone())
                    .len(rows)
                    .child_data(vec![Int32Array::from(ends).to_data(), values.to_data()]);
                make_array(data.build().unwrap())
            }
            _ => self.fixed(data_type, nullable, rows),
        }
    }

    /// Values of a fixed width: random bytes, within what the type allows.
    fn fixed(&mut self, data_type: &DataType, nullable: bool, rows: usize) -> ArrayRef {
        if let DataType::FixedSizeBinary(width) = data_type {
            let bytes: Vec<u8> = (0..rows * *width as usize).map(|_| self.random.random()).collect();
            let nulls = self.nulls(nullable, rows);
            return Arc::new(FixedSizeBinaryArray::try_new_with_len(*width, bytes.into(), nulls, rows).unwrap());
        }
        macro_rules! decimal {
            ($array:ty, $precision:expr, $scale:expr, $value:expr) => {{
                let values: Vec<_> = (0..rows).map(|_| $value(self.random.random_range(-9..=9))).collect();
                let array = <$array>::new(values.into(), self.nulls(nullable, rows));
                return Arc::new(array.with_precision_and_scale($precision, $scale).unwrap());
            }};
        }
        match data_type {
            DataType::Decimal32(precision, scale) => decimal!(Decimal32Array, *precision, *scale, |value: i32| value),
            DataType::Decimal64(precision, scale) => decimal!(Decimal64Array, *precision, *scale, i64::from),
            DataType::Decimal128(precision, scale) => decimal!(Decimal128Array, *precision, *scale, i128::from),
            DataType::Decimal256(precision, scale) => {
                decimal!(Decimal256Array, *precision, *scale, |value: i32| i256::from_i128(value.into()))
            }
            _ => {}
        }
        let width = data_type.primitive_width().unwrap();
        let bytes: Vec<u8> = match data_type {
            DataType::Date64 => {
                (0..rows).flat_map(|_| (self.random.random_range(-9_i64..9) * 86_400_000).to_le_bytes()).collect()
            }
            DataType::Time32(_) => {
                (0..rows).flat_map(|_| self.random.random_range(0_i32..86_400).to_le_bytes()).collect()
            }
            DataType::Time64(_) => {
                (0..rows).flat_map(|_| self.random.random_range(0_i64..86_400_000_000).to_le_bytes()).collect()
            }
            _ => (0..rows * width).map(|_| self.random.random()).collect(),
        };
        let data = ArrayData::builder(data_type.clone()).len(rows).add_buffer(bytes.into());
        make_array(data.nulls(self.nulls(nullable, rows)).align_buffers(true).build().unwrap())
    }

    fn text(&mut self, data_type: &DataType, nullable: bool, rows: usize) -> ArrayRef {
        // Rows are taken from a few values, so that views share their buffers.
        let pool: Vec<String> = (0..6).map(|_| "żół-".repeat(self.random.random_range(0..6))).collect();
        let pool: Vec<String> =
            pool.into_iter().map(|text| format!("{text}{}", self.random.random_range(0..50))).collect();
        let values: ArrayRef = match data_type {
            DataType::Utf8View => Arc::new(StringViewArray::from_iter_values(&pool)),
            DataType::BinaryView => Arc::new(BinaryViewArray::from_iter_values(pool.iter().map(String::as_bytes))),
            DataType::LargeUtf8 => Arc::new(LargeStringArray::from_iter_values(&pool)),
            DataType::Utf8 => Arc::new(StringArray::from_iter_values(&pool)),
            DataType::Binary => Arc::new(BinaryArray::from_iter_values([&b"\xff\0"[..], b"", b"a", b"b", b"c", b"d"])),
            _ => Arc::new(LargeBinaryArray::from_iter_values([&b"\xff\0"[..], b"", b"a", b"b", b"c", b"d"])),
        };
        let places = UInt32Array::new(
            (0..rows).map(|_| self.random.random_range(0..6)).collect::<Vec<u32>>().into(),
            self.nulls(nullable, rows),
        );
        take(&values, &places, None).unwrap()
    }

    fn dictionary(&mut self, keys: &DataType, values: &DataType, nullable: bool, rows: usize) -> ArrayRef {
        let (slot, relation) = (self.next, self.relation);
        self.next += 1;
        let size = self.random.random_range(1..60);
        // A value of a dictionary may be null itself.
        let holds_null = self.random.random_bool(0.2);
        let fresh = self.whole(values, holds_null, size);
        let values = match (self.known.get(slot), relation) {
            (None, _) | (_, Dictionaries::Replaced) => fresh,
            (Some(known), Dictionaries::Shared) => known.clone(),
            (Some(known), Dictionaries::Extended) if known.len() + 3 > 120 => known.clone(),
            (Some(known), Dictionaries::Extended) => concat(&[known, &fresh.slice(0, size.min(3))]).unwrap(),
        };
        match slot < self.known.len() {
            true => self.known[slot] = values.clone(),
            false => self.known.push(values.clone()),
        }
        let places: Vec<i64> = (0..rows).map(|_| self.random.random_range(0..values.len() as i64)).collect();
        let places = Int64Array::new(places.into(), self.nulls(nullable, rows));
        let places = arrow::compute::cast(&places, keys).unwrap().to_data();
        let data_type = DataType::Dictionary(Box::new(keys.clone()), Box::new(values.data_type().clone()));
        make_array(places.into_builder().data_type(data_type).child_data(vec![values.to_data()]).build().unwrap())
    }

    fn offsets(&mut self, rows: usize) -> (OffsetBuffer<i32>, usize) {
        let lengths: Vec<usize> = (0..rows).map(|_| self.random.random_range(0..4)).collect();
        let total = lengths.iter().sum();
        (OffsetBuffer::from_lengths(lengths), total)
    }

    fn list(&mut self, data_type: &DataType, field: &FieldRef, nullable: bool, rows: usize) -> ArrayRef {
        let (offsets, total) = self.offsets(rows);
        let values = self.array(field.data_type(), field.is_nullable(), total);
        let nulls = self.nulls(nullable, rows);
        let field = field.clone();
        let wide = |offset: &i32| i64::from(*offset);
        // Views may overlap, and come in any order.
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by_cached_key(|_| self.random.random::<u8>());
        let starts: Vec<i32> = order.iter().map(|row| offsets[*row]).collect();
        let sizes: Vec<i32> = order.iter().map(|row| offsets[*row + 1] - offsets[*row]).collect();
        match data_type {
            DataType::List(_) => Arc::new(ListArray::try_new(field, offsets, values, nulls).unwrap()),
            DataType::LargeList(_) => {
                let offsets = OffsetBuffer::new(offsets.iter().map(wide).collect::<Vec<i64>>().into());
                Arc::new(LargeListArray::try_new(field, offsets, values, nulls).unwrap())
            }
            DataType::ListView(_) => {
                Arc::new(ListViewArray::try_new(field, starts.into(), sizes.into(), values, nulls).unwrap())
            }
            _ => {
                let starts: ScalarBuffer<i64> = starts.iter().map(wide).collect();
                let sizes: ScalarBuffer<i64> = sizes.iter().map(wide).collect();
                Arc::new(LargeListViewArray::try_new(field, starts, sizes, values, nulls).unwrap())
            }
        }
    }

    fn union(&mut self, fields: &UnionFields, mode: UnionMode, rows: usize) -> ArrayRef {
        let ids: Vec<i8> = fields.iter().map(|(id, _)| id).collect();
        let chosen: Vec<i8> = (0..rows).map(|_| ids[self.random.random_range(0..ids.len())]).collect();
        let length = |id: i8| match mode {
            UnionMode::Sparse => rows,
            UnionMode::Dense => chosen.iter().filter(|chosen| **chosen == id).count(),
        };
        let children =
            fields.iter().map(|(id, field)| self.array(field.data_type(), field.is_nullable(), length(id))).collect();
        let offsets = (mode == UnionMode::Dense).then(|| {
            let mut counts = HashMap::new();
            let mut count = |id: &i8| {
                let count = counts.entry(*id).or_insert(0_i32);
                *count += 1;
                *count - 1
            };
            chosen.iter().map(&mut count).collect::<ScalarBuffer<i32>>()
        });
        Arc::new(UnionArray::try_new(fields.clone(), chosen.into(), offsets, children).unwrap())
    }
}

/// Each row of an array as text: logical values only, whatever buffers or dictionaries hold them.
pub(crate) fn cells(array: &dyn Array) -> Vec<String> {
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        if dictionary.values().is_empty() {
            return vec!["null".to_owned(); array.len()];
        }
        let (keys, values) = (dictionary.normalized_keys(), dictionary.values());
        let value = |row| if array.is_null(row) { "null".to_owned() } else { cell(values, keys[row]) };
        return (0..array.len()).map(value).collect();
    }
    (0..array.len()).map(|row| cell(array, row)).collect()
}

fn cell(array: &dyn Array, row: usize) -> String {
    let joined = |child: &dyn Array| format!("[{}]", cells(child).join(","));
    match array.data_type() {
        DataType::Dictionary(..) => return cells(&array.slice(row, 1)).concat(),
        DataType::RunEndEncoded(..) => {
            let runs = array.as_run::<Int32Type>();
            return cell(runs.values(), runs.get_physical_index(row));
        }
        DataType::Union(..) => {
            let union = array.as_union();
            let id = union.type_id(row);
            return format!("{id}:{}", cell(union.child(id), union.value_offset(row)));
        }
        DataType::Null => return "null".into(),
        _ if array.is_null(row) => return "null".into(),
        _ => {}
    }
    match array.data_type() {
        DataType::Struct(_) => {
            let parts: Vec<String> = array.as_struct().columns().iter().map(|child| cell(child, row)).collect();
            format!("{{{}}}", parts.join(","))
        }
        DataType::List(_) => joined(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => joined(&array.as_list::<i64>().value(row)),
        DataType::ListView(_) => joined(&array.as_list_view::<i32>().value(row)),
        DataType::LargeListView(_) => joined(&array.as_list_view::<i64>().value(row)),
        DataType::FixedSizeList(..) => joined(&array.as_fixed_size_list().value(row)),
        DataType::Map(..) => joined(&array.as_map().value(row)),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Utf8 => format!("{:?}", array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => format!("{:?}", array.as_string::<i64>().value(row)),
        DataType::Utf8View => format!("{:?}", array.as_string_view().value(row)),
        DataType::Binary => format!("{:?}", array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => format!("{:?}", array.as_binary::<i64>().value(row)),
        DataType::BinaryView => format!("{:?}", array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => format!("{:?}", array.as_fixed_size_binary().value(row)),
        fixed => {
            let width = fixed.primitive_width().unwrap();
            let data = array.to_data();
            let start = (data.offset() + row) * width;
            format!("{:02x?}", &data.buffers()[0].as_slice()[start..start + width])
        }
    }
}

/// The rows of a table, each as the text of its cells.
pub(crate) fn rows(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<Vec<String>> = batch.columns().iter().map(|column| cells(column)).collect();
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()));
    }
    rows
}
