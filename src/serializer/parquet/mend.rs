//! Lists of a fixed size as the Parquet library reads them inside a struct that is null, made valid.
//!
//! Where a nullable struct is null, the library marks the items below it as null, but not a list of a fixed size between
//! them that cannot be null itself. Its items would then be null where their field says that they are not.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, GenericListArray, OffsetSizeTrait, StructArray};
use arrow::array::{MapArray, make_array};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;

use crate::serializer::compact::any_type;

/// Whether a type holds a list of a fixed size whose items cannot be null.
pub(super) fn needs_mending(data_type: &DataType) -> bool {
    let strict = |data_type: &DataType| matches!(data_type, DataType::FixedSizeList(item, _) if !item.is_nullable());
    any_type(data_type, &|data_type| matches!(data_type, DataType::Struct(_)))
        && any_type(data_type, &|data_type| strict(data_type))
}

/// The array with no null among items that cannot be null.
pub(super) fn mended(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match array.data_type() {
        DataType::FixedSizeList(item, size) => {
            let list = array.as_fixed_size_list();
            let values = mended(list.values())?;
            let values = if item.is_nullable() { values } else { without_nulls(&values)? };
            Arc::new(FixedSizeListArray::try_new(item.clone(), *size, values, list.nulls().cloned())?)
        }
        DataType::Struct(fields) => {
            let children = array.as_struct().columns().iter().map(mended).collect::<Result<Vec<_>, _>>()?;
            Arc::new(StructArray::try_new(fields.clone(), children, array.nulls().cloned())?)
        }
        DataType::List(item) => list::<i32>(item, array)?,
        DataType::LargeList(item) => list::<i64>(item, array)?,
        DataType::Map(entries, sorted) => {
            let map = array.as_map();
            let inner = mended(&(Arc::new(map.entries().clone()) as ArrayRef))?.as_struct().clone();
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Arc::new(MapArray::try_new(entries.clone(), offsets, inner, nulls, *sorted)?)
        }
        _ => array.clone(),
    })
}

fn list<O: OffsetSizeTrait>(item: &FieldRef, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let list = array.as_list::<O>();
    let values = mended(list.values())?;
    let made = GenericListArray::<O>::try_new(item.clone(), list.offsets().clone(), values, list.nulls().cloned())?;
    Ok(Arc::new(made))
}

/// The values as they are, each of them there.
fn without_nulls(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Struct(fields) => {
            let children = fields.iter().zip(array.as_struct().columns());
            let children = children
                .map(|(field, child)| if field.is_nullable() { Ok(child.clone()) } else { without_nulls(child) })
                .collect::<Result<Vec<_>, _>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), children, None)?))
        }
        DataType::Null => Ok(array.clone()),
        _ if array.nulls().is_none() => Ok(array.clone()),
        _ => Ok(make_array(array.to_data().into_builder().nulls(None).build()?)),
    }
}
