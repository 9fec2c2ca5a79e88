//! Which columns Parquet gives back exactly; the others are refused before a byte is written.

use arrow::datatypes::{DataType, Field, IntervalUnit, Schema};

use serde_json::{Value as Json, json};

use super::column::flat_type;
use super::dictionaries::LAYOUT;
use crate::error::{Error, ErrorKind, Result};
use crate::serializer::compact::any_type;

pub(super) fn check_schema(schema: &Schema) -> Result<()> {
    for field in schema.fields() {
        if let Some(why) = obstacle(field.data_type()) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("column `{}` is {}: {why}", field.name(), field.data_type()),
            )
            .with_hint("the serializer `arrow` holds every Arrow type: use serializer `arrow`, or cast the column"));
        }
    }
    Ok(())
}

/// Refuses bloom filters of columns that are not there, or of whose values there can be none.
pub(super) fn check_bloom_filters(schema: &Schema, columns: &[String]) -> Result<()> {
    for column in columns {
        let Ok(field) = schema.field_with_name(column) else {
            let message = format!("there is no column `{}` to make a bloom filter of", column.escape_debug());
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).take(20).collect();
            return Err(Error::invalid(message).with_hint(format!("the columns are {}", names.join(", "))));
        };
        if flat_type(field.data_type()).is_none() {
            let message = format!("column `{column}` is {}, of which no bloom filter is made", field.data_type());
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("bloom filters are for numbers of at most 64 bits, dates, times, texts and binary values"));
        }
    }
    Ok(())
}

/// Why Parquet cannot hold a column exactly, if so.
fn obstacle(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Dictionary(_, values) if values.is_nested() || matches!(**values, DataType::Dictionary(..)) => {
            Some("dictionaries of values that are nested are not kept in Parquet")
        }
        // It becomes a plain column where Parquet has no such dictionary.
        DataType::Dictionary(_, values) => field_obstacle(values),
        other => field_obstacle(other),
    }
}

/// Why Parquet cannot hold a type inside a column exactly, if so.
fn field_obstacle(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Union(..) => Some("Parquet has no unions"),
        DataType::RunEndEncoded(..) => Some("Parquet does not keep run ends"),
        DataType::Interval(IntervalUnit::MonthDayNano) => Some("Parquet has no interval of nanoseconds"),
        DataType::Struct(fields) if fields.is_empty() => Some("Parquet has no struct without fields"),
        DataType::Struct(fields) => fields.iter().find_map(|field| field_obstacle(field.data_type())),
        DataType::List(inner)
        | DataType::LargeList(inner)
        | DataType::ListView(inner)
        | DataType::LargeListView(inner)
        | DataType::FixedSizeList(inner, _)
        | DataType::Map(inner, _) => field_obstacle(inner.data_type()),
        DataType::FixedSizeBinary(0) => Some("Parquet has no binary values of size 0"),
        // It is written as 64 bits by the schema's rules, and the column's writer takes 32.
        DataType::Decimal32(1, _) => Some("the Parquet library cannot write a decimal of one digit in 32 bits"),
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale)
            if *scale < 0 =>
        {
            Some("Parquet has no negative scale")
        }
        DataType::Dictionary(_, values) => dictionary_obstacle(values),
        _ => None,
    }
}

fn dictionary_obstacle(values: &DataType) -> Option<&'static str> {
    match values {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => None,
        _ => Some("inside another type, Parquet keeps dictionaries of text and binary values only"),
    }
}

/// What a table loses for certain that Parquet holds: no value, but how a dictionary inside another type was laid out.
pub(super) fn losses(schema: &Schema) -> Vec<Json> {
    let dictionary = |data_type: &DataType| matches!(data_type, DataType::Dictionary(..));
    let nested =
        |field: &&std::sync::Arc<Field>| !dictionary(field.data_type()) && any_type(field.data_type(), &dictionary);
    let lost = format!("{LAYOUT}: it lies inside another type");
    schema.fields().iter().filter(nested).map(|field| json!({"column": field.name(), "loses": lost})).collect()
}
