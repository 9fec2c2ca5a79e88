//! Types as the fingerprint tells them apart: what a column means, not how it lies in memory.

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

/// A logical type: dictionaries and run-end encodings are what they stand for, text is text, lists are lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Logical {
    Null,
    Boolean,
    /// Values of a fixed width that count as they lie in memory.
    Fixed {
        text: String,
        width: usize,
    },
    /// Floats, of so many bytes.
    Float(usize),
    Decimal(u8, i8),
    Text,
    Binary,
    List(Box<Logical>),
    FixedList(usize, Box<Logical>),
    Struct(Vec<(String, Logical)>),
    Union(Vec<(i8, String, Logical)>),
}

impl Logical {
    pub(super) fn of(data_type: &DataType) -> Self {
        use DataType::*;
        let boxed = |field: &Field| Box::new(Self::of(field.data_type()));
        match data_type {
            Null => Self::Null,
            Boolean => Self::Boolean,
            Float16 => Self::Float(2),
            Float32 => Self::Float(4),
            Float64 => Self::Float(8),
            Decimal32(precision, scale)
            | Decimal64(precision, scale)
            | Decimal128(precision, scale)
            | Decimal256(precision, scale) => Self::Decimal(*precision, *scale),
            Utf8 | LargeUtf8 | Utf8View => Self::Text,
            Binary | LargeBinary | BinaryView => Self::Binary,
            List(item) | LargeList(item) | ListView(item) | LargeListView(item) => Self::List(boxed(item)),
            FixedSizeList(item, size) => Self::FixedList(usize::try_from(*size).unwrap_or_default(), boxed(item)),
            Struct(fields) => {
                Self::Struct(fields.iter().map(|field| (field.name().clone(), Self::of(field.data_type()))).collect())
            }
            Map(entries, _) => Self::List(Box::new(entries_of(entries))),
            Union(fields, _) => Self::Union(
                fields.iter().map(|(id, field)| (id, field.name().clone(), Self::of(field.data_type()))).collect(),
            ),
            Dictionary(_, values) => Self::of(values),
            RunEndEncoded(_, values) => Self::of(values.data_type()),
            _ => Self::fixed(data_type),
        }
    }

    fn fixed(data_type: &DataType) -> Self {
        use DataType::*;
        let text = match data_type {
            Int8 => "int8".to_owned(),
            Int16 => "int16".to_owned(),
            Int32 => "int32".to_owned(),
            Int64 => "int64".to_owned(),
            UInt8 => "uint8".to_owned(),
            UInt16 => "uint16".to_owned(),
            UInt32 => "uint32".to_owned(),
            UInt64 => "uint64".to_owned(),
            Date32 => "date32".to_owned(),
            Date64 => "date64".to_owned(),
            Time32(unit) => format!("time32({})", short(*unit)),
            Time64(unit) => format!("time64({})", short(*unit)),
            Timestamp(unit, None) => format!("timestamp({})", short(*unit)),
            Timestamp(unit, Some(zone)) => format!("timestamp({},{zone})", short(*unit)),
            Duration(unit) => format!("duration({})", short(*unit)),
            Interval(IntervalUnit::YearMonth) => "interval(year_month)".to_owned(),
            Interval(IntervalUnit::DayTime) => "interval(day_time)".to_owned(),
            Interval(IntervalUnit::MonthDayNano) => "interval(month_day_nano)".to_owned(),
            FixedSizeBinary(width) => format!("fixed_size_binary({width})"),
            // A type that Arrow may add: its own words tell it apart from all above.
            other => other.to_string(),
        };
        let width = match data_type {
            FixedSizeBinary(width) => usize::try_from(*width).unwrap_or_default(),
            other => other.primitive_width().unwrap_or_default(),
        };
        Self::Fixed { text, width }
    }

    /// The types of the children, in their order.
    pub(super) fn children(&self) -> Vec<&Self> {
        match self {
            Self::List(item) | Self::FixedList(_, item) => vec![&**item],
            Self::Struct(fields) => fields.iter().map(|(_, field)| field).collect(),
            Self::Union(members) => members.iter().map(|(_, _, member)| member).collect(),
            _ => Vec::new(),
        }
    }

    /// The text by which the type is hashed; children are not in it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean => "bool".to_owned(),
            Self::Fixed { text, .. } => text.clone(),
            Self::Float(width) => format!("float{}", width * 8),
            Self::Decimal(precision, scale) => format!("decimal({precision},{scale})"),
            Self::Text => "utf8".to_owned(),
            Self::Binary => "binary".to_owned(),
            Self::List(_) => "list".to_owned(),
            Self::FixedList(size, _) => format!("fixed_size_list({size})"),
            Self::Struct(_) => "struct".to_owned(),
            Self::Union(_) => "union".to_owned(),
        }
    }
}

/// A map is a list of structs, whose fields are named by writers as they like.
fn entries_of(entries: &Field) -> Logical {
    match Logical::of(entries.data_type()) {
        Logical::Struct(fields) => {
            let named = ["key", "value"].into_iter().zip(fields);
            Logical::Struct(named.map(|(name, (_, field))| (name.to_owned(), field)).collect())
        }
        other => other,
    }
}

fn short(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}
