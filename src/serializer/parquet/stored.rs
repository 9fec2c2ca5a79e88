//! What Parquet is given for the dictionaries that it does not hold, and what the file says of them.
//!
//! A dictionary of views is stored as one of large text or binary values. A dictionary of any other values than text
//! and binary is stored as its rows, each with its value, so that other readers find the plain column, and under
//! `ARROW:schema` the plain type. What the columns were declared as lies under [`TYPES_KEY`](super::TYPES_KEY).

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::convert::try_schema_from_ipc_buffer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parquet::arrow::encode_arrow_schema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::serializer::same::same_memory;

/// How the rows of a column lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As they are.
    Same,
    /// A dictionary of views as one of large values.
    LargeValues,
    /// A dictionary's rows as the values that they stand for.
    Rows,
}

impl Form {
    /// That of a column of this type.
    pub(super) fn of(declared: &DataType) -> Self {
        match declared {
            DataType::Dictionary(_, values) => match values.as_ref() {
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => Self::Same,
                DataType::Utf8View | DataType::BinaryView => Self::LargeValues,
                _ => Self::Rows,
            },
            _ => Self::Same,
        }
    }
}

/// The type that the file has for a column of this type.
fn stored_type(declared: &DataType) -> DataType {
    match (Form::of(declared), declared) {
        (Form::LargeValues, DataType::Dictionary(keys, values)) => {
            DataType::Dictionary(keys.clone(), Box::new(large(values)))
        }
        (Form::Rows, DataType::Dictionary(_, values)) => values.as_ref().clone(),
        _ => declared.clone(),
    }
}

fn large(views: &DataType) -> DataType {
    if *views == DataType::Utf8View { DataType::LargeUtf8 } else { DataType::LargeBinary }
}

/// Makes batches what the file holds.
pub(super) struct Storing {
    schema: SchemaRef,
    columns: Vec<Column>,
    row_bytes: usize,
}

struct Column {
    form: Form,
    /// The dictionary of views before, and what it became.
    last: Option<(ArrayRef, ArrayRef)>,
}

impl Storing {
    /// For batches of this schema.
    pub(super) fn new(declared: &SchemaRef) -> Self {
        let columns = declared.fields().iter().map(|field| Column { form: Form::of(field.data_type()), last: None });
        let columns: Vec<Column> = columns.collect();
        if columns.iter().all(|column| column.form == Form::Same) {
            return Self { schema: declared.clone(), columns, row_bytes: 0 };
        }
        let stored = |field: &FieldRef| field.as_ref().clone().with_data_type(stored_type(field.data_type()));
        let fields: Vec<Field> = declared.fields().iter().map(stored).collect();
        let rows = fields.iter().zip(&columns).filter(|(_, column)| column.form == Form::Rows);
        let row_bytes = rows.map(|(field, _)| width(field.data_type())).fold(0, usize::saturating_add);
        Self { schema: Arc::new(Schema::new_with_metadata(fields, declared.metadata().clone())), columns, row_bytes }
    }

    /// The schema of the file.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// So many rows may be stored at once that those of dictionaries take about `bytes` when each has its value.
    pub(super) fn rows_within(&self, bytes: usize) -> usize {
        bytes.checked_div(self.row_bytes).unwrap_or(usize::MAX).max(1)
    }

    /// The batch as the file holds it.
    pub(super) fn stored(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        if self.columns.iter().all(|column| column.form == Form::Same) {
            return Ok(batch);
        }
        let columns = batch.columns().iter().zip(&mut self.columns);
        let columns = columns.map(|(array, column)| column.stored(array)).collect::<Result<Vec<_>, _>>();
        let columns =
            columns.map_err(|error| Error::internal(format!("a dictionary cannot be made plain: {error}")))?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| Error::internal(format!("a stored batch is invalid: {error}")))
    }
}

impl Column {
    fn stored(&mut self, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let Some(dictionary) = array.as_any_dictionary_opt().filter(|_| self.form != Form::Same) else {
            return Ok(array.clone());
        };
        if self.form == Form::Rows {
            return take(dictionary.values(), dictionary.keys(), None);
        }
        let views = dictionary.values();
        let values = match &self.last {
            Some((last, values)) if same_memory(last, views) => values.clone(),
            _ => cast(views, &large(views.data_type()))?,
        };
        self.last = Some((views.clone(), values.clone()));
        Ok(dictionary.with_values(values))
    }
}

/// The bytes of a value of a fixed width, at least one.
fn width(data_type: &DataType) -> usize {
    match data_type {
        DataType::FixedSizeBinary(width) => usize::try_from(*width).unwrap_or(usize::MAX),
        other => other.primitive_width().unwrap_or(1),
    }
}

/// The declared types as they stand in the footer.
#[derive(Serialize, Deserialize)]
struct Declared {
    columns: Vec<usize>,
    /// Base64 of an Arrow IPC schema message, with a field for each of the columns.
    schema: String,
}

/// The text for the footer of a table that was declared so; none where the file's own schema says it all.
pub(super) fn declared_types(declared: &Schema) -> Result<Option<String>> {
    let differs = |(_, field): &(usize, &FieldRef)| Form::of(field.data_type()) != Form::Same;
    let fields: Vec<(usize, &FieldRef)> = declared.fields().iter().enumerate().filter(differs).collect();
    if fields.is_empty() {
        return Ok(None);
    }
    let columns = fields.iter().map(|(position, _)| *position).collect();
    // The metadata of the fields is in the file's own schema.
    let bare = fields.iter().map(|(_, field)| field.as_ref().clone().with_metadata(HashMap::new()));
    let schema = encode_arrow_schema(&Schema::new(bare.collect::<Vec<Field>>()));
    let text = serde_json::to_string(&Declared { columns, schema });
    text.map(Some).map_err(|error| Error::internal(format!("the types of dictionaries cannot be written: {error}")))
}

/// The schema as it was declared, from that of the file and the text in its footer.
///
/// # Errors
///
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the two do not fit.
pub(super) fn declared_schema(stored: &Schema, text: &str) -> Result<Schema> {
    let damaged = |why: String| Error::damaged(format!("the types of dictionaries in the Parquet footer {why}"));
    let declared: Declared = serde_json::from_str(text).map_err(|error| damaged(format!("cannot be read: {error}")))?;
    let schema = STANDARD.decode(&declared.schema).map_err(|_| damaged("are no base64".into()))?;
    let schema = try_schema_from_ipc_buffer(&schema).map_err(|error| damaged(format!("cannot be read: {error}")))?;
    if declared.columns.len() != schema.fields().len() {
        return Err(damaged("are of another number of columns than they say".into()));
    }
    let mut fields = stored.fields().to_vec();
    for (position, declared) in declared.columns.iter().zip(schema.fields()) {
        let field = fields.get_mut(*position).filter(|field| {
            Form::of(declared.data_type()) != Form::Same && stored_type(declared.data_type()) == *field.data_type()
        });
        let field = field.ok_or_else(|| damaged(format!("do not fit column {position}")))?;
        let restored = field.as_ref().clone().with_data_type(declared.data_type().clone());
        *field = Arc::new(restored.with_dict_is_ordered(declared.dict_is_ordered().unwrap_or_default()));
    }
    Ok(Schema::new_with_metadata(fields, stored.metadata().clone()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int8Array, Int64Array, StringArray, StringViewArray};

    use super::*;

    fn sizes(values: ArrayRef) -> ArrayRef {
        Arc::new(DictionaryArray::new(Int8Array::from(vec![Some(1), None, Some(0)]), values))
    }

    fn batch() -> RecordBatch {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["b", "a"]));
        let views: ArrayRef = Arc::new(StringViewArray::from(vec!["b", "a"]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7, -7]));
        let columns = [("text", sizes(text)), ("views", sizes(views)), ("numbers", sizes(numbers.clone()))];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
    }

    #[test]
    fn only_what_parquet_does_not_hold_is_changed() {
        let batch = batch();
        let mut storing = Storing::new(&batch.schema());
        let (first, second) = (storing.stored(batch.clone()).unwrap(), storing.stored(batch.slice(1, 2)).unwrap());
        assert_eq!(first.schema(), *storing.schema());
        assert!(Arc::ptr_eq(first.column(0), batch.column(0)));
        assert_eq!(first.column(2).as_primitive(), &Int64Array::from(vec![Some(-7), None, Some(7)]));
        assert_eq!(second.column(2).as_primitive(), &Int64Array::from(vec![None, Some(7)]));
        let large = |batch: &RecordBatch| batch.column(1).as_any_dictionary().values().clone();
        assert_eq!(large(&first).data_type(), &DataType::LargeUtf8);
        assert!(same_memory(&large(&first), &large(&second)), "the same views are cast once");
    }

    #[test]
    fn few_rows_of_wide_values_are_stored_at_once() {
        let of = |value_type| DataType::Dictionary(Box::new(DataType::Int8), Box::new(value_type));
        let within = |types: &[DataType]| {
            let fields = types.iter().map(|data_type| Field::new("a", data_type.clone(), true));
            Storing::new(&Arc::new(Schema::new(fields.collect::<Vec<_>>()))).rows_within(1_000)
        };
        assert_eq!(within(&[DataType::Int64, of(DataType::Utf8), of(DataType::Utf8View)]), usize::MAX);
        assert_eq!(within(&[of(DataType::Int64), of(DataType::Boolean), of(DataType::FixedSizeBinary(91))]), 10);
        assert_eq!(within(&[of(DataType::FixedSizeBinary(1_001))]), 1);
    }

    #[test]
    fn the_declared_schema_is_read_again() {
        let unit = HashMap::from([("unit".to_owned(), "m".to_owned())]);
        let ordered = |field: &FieldRef| field.as_ref().clone().with_dict_is_ordered(true).with_metadata(unit.clone());
        let fields: Vec<Field> = batch().schema().fields().iter().map(ordered).collect();
        let declared: SchemaRef = Arc::new(Schema::new_with_metadata(fields, unit.clone()));
        let text = declared_types(&declared).unwrap().unwrap();
        assert!(text.starts_with(r#"{"columns":[1,2],"schema":""#), "{text}");
        let storing = Storing::new(&declared);
        let read = declared_schema(storing.schema(), &text).unwrap();
        assert_eq!(read, *declared);
        assert!(read.fields().iter().all(|field| field.dict_is_ordered() == Some(true)));
        assert_eq!(declared_types(&declared.project(&[0]).unwrap()).unwrap(), None);
        let other = storing.schema().project(&[0, 2, 1]).unwrap();
        assert_eq!(declared_schema(&other, &text).unwrap_err().kind(), crate::ErrorKind::Damaged);
    }
}
