//! A nesting that the Arrow library cannot copy; it is refused before a byte is written.

use arrow::datatypes::{DataType, Schema};

use crate::error::{Error, ErrorKind, Result};
use crate::serializer::compact::any_type;

pub(super) fn check_schema(schema: &Schema) -> Result<()> {
    for field in schema.fields() {
        if let Some(why) = obstacle(field.data_type()) {
            let message = format!("column `{}` is {}: {why}", field.name(), field.data_type());
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("cast the column: its values can be kept without this nesting"));
        }
    }
    Ok(())
}

fn obstacle(data_type: &DataType) -> Option<&'static str> {
    let empty = |inner: &DataType| matches!(inner, DataType::FixedSizeList(_, 0) | DataType::FixedSizeBinary(0));
    let in_union = |inner: &DataType| matches!(inner, DataType::Union(..)) && any_type(inner, &empty);
    any_type(data_type, &in_union).then_some("the Arrow library loses how many values of size 0 a union has")
}
