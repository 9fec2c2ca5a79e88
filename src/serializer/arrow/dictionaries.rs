//! Batches that bring dictionaries of their own, in a file that has one dictionary a column.
//!
//! An IPC file cannot replace a dictionary, only append to it. So the first batch's dictionary is taken as it is, and
//! what a later one brings that is not known yet is appended, with the keys rewritten.

use std::collections::HashMap;

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt64Array, make_array};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Schema};
use arrow::row::{OwnedRow, RowConverter, SortField};

use crate::error::{Error, Result};
use crate::serializer::compact::any_type;
use crate::serializer::same::{begins_with, same};

/// What became of a batch.
pub(super) enum Merged {
    /// Its dictionaries extend those of the batches before.
    Batch(RecordBatch),
    /// They cannot: a new part must begin.
    NewPart,
}

/// The dictionaries of one part, in the order in which they are met in the schema.
pub(super) struct Dictionaries {
    columns: Vec<bool>,
    known: Vec<Known>,
}

/// One column's dictionary so far.
#[derive(Default)]
struct Known {
    values: Option<ArrayRef>,
    /// Where each value stands; built only once a batch brings another dictionary.
    places: Option<(RowConverter, HashMap<OwnedRow, u64>)>,
}

/// Why a dictionary could not be merged.
enum Stop {
    NewPart,
    Failed(Error),
}

impl From<arrow::error::ArrowError> for Stop {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Failed(Error::internal(format!("a dictionary cannot be merged: {error}")))
    }
}

fn is_dictionary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(..))
}

impl Dictionaries {
    pub(super) fn new(schema: &Schema) -> Self {
        let columns = schema.fields().iter().map(|field| any_type(field.data_type(), &is_dictionary)).collect();
        Self { columns, known: Vec::new() }
    }

    /// Rewrites the batch's dictionaries so that each extends the one before, up to `limit` bytes each.
    pub(super) fn merge(&mut self, batch: &RecordBatch, limit: usize) -> Result<Merged> {
        if !self.columns.contains(&true) {
            return Ok(Merged::Batch(batch.clone()));
        }
        let mut next = 0;
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (column, holds) in batch.columns().iter().zip(&self.columns) {
            columns.push(match holds {
                false => column.clone(),
                true => match rewrite(&column.to_data(), &mut self.known, &mut next, limit) {
                    Ok(data) => make_array(data),
                    Err(Stop::NewPart) => return Ok(Merged::NewPart),
                    Err(Stop::Failed(error)) => return Err(error),
                },
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(batch.schema(), columns, &options)
            .map(Merged::Batch)
            .map_err(|error| Error::internal(format!("a batch with merged dictionaries is invalid: {error}")))
    }
}

/// Goes down an array to its dictionaries.
fn rewrite(data: &ArrayData, known: &mut Vec<Known>, next: &mut usize, limit: usize) -> Result<ArrayData, Stop> {
    if is_dictionary(data.data_type()) {
        if known.len() <= *next {
            known.resize_with(*next + 1, Known::default);
        }
        let merged = known.get_mut(*next).map(|known| known.merge(&make_array(data.clone()), limit));
        *next += 1;
        return merged.unwrap_or(Err(Stop::NewPart)).map(|array| array.to_data());
    }
    if !any_type(data.data_type(), &is_dictionary) {
        return Ok(data.clone());
    }
    let children = data.child_data().iter().map(|child| rewrite(child, known, next, limit));
    let children = children.collect::<Result<Vec<_>, Stop>>()?;
    Ok(data.clone().into_builder().child_data(children).build()?)
}

impl Known {
    fn merge(&mut self, array: &ArrayRef, limit: usize) -> Result<ArrayRef, Stop> {
        let dictionary = array.as_any_dictionary();
        let brought = dictionary.values();
        let Some(known) = self.values.clone() else {
            self.values = Some(brought.clone());
            return Ok(array.clone());
        };
        if same(&known, brought) {
            return Ok(dictionary.with_values(known));
        }
        if begins_with(brought, &known) {
            within(brought, limit)?;
            self.places = None;
            self.values = Some(brought.clone());
            return Ok(array.clone());
        }
        if any_type(brought.data_type(), &is_dictionary) {
            return Err(Stop::NewPart);
        }
        let (values, places) = self.extend(&known, brought)?;
        within(&values, limit)?;
        let keys = cast(dictionary.keys(), &DataType::UInt64)?;
        let keys = take(&places, &keys, None)?;
        let DataType::Dictionary(key_type, _) = array.data_type() else { return Err(Stop::NewPart) };
        // A key type that is too narrow for the merged dictionary begins a new part instead.
        let strict = arrow::compute::CastOptions { safe: false, ..Default::default() };
        let keys = arrow::compute::cast_with_options(&keys, key_type, &strict).map_err(|_| Stop::NewPart)?;
        self.values = Some(values.clone());
        let data =
            keys.to_data().into_builder().data_type(array.data_type().clone()).child_data(vec![values.to_data()]);
        Ok(make_array(data.build()?))
    }

    /// The known values with the new ones appended, and where each of the brought ones stands among them.
    fn extend(&mut self, known: &ArrayRef, brought: &ArrayRef) -> Result<(ArrayRef, UInt64Array), Stop> {
        if self.places.is_none() {
            let fields = vec![SortField::new(known.data_type().clone())];
            let converter = RowConverter::new(fields).map_err(|_| Stop::NewPart)?;
            let rows = converter.convert_columns(std::slice::from_ref(known)).map_err(|_| Stop::NewPart)?;
            let mut places = HashMap::with_capacity(rows.num_rows());
            for (place, row) in (0_u64..).zip(rows.iter()) {
                places.entry(row.owned()).or_insert(place);
            }
            self.places = Some((converter, places));
        }
        let Some((converter, places)) = &mut self.places else { return Err(Stop::NewPart) };
        let rows = converter.convert_columns(std::slice::from_ref(brought)).map_err(|_| Stop::NewPart)?;
        let (mut unknown, mut stands) = (Vec::new(), Vec::with_capacity(brought.len()));
        for (position, row) in (0_u64..).zip(rows.iter()) {
            let end = (known.len() + unknown.len()) as u64;
            let place = *places.entry(row.owned()).or_insert_with(|| {
                unknown.push(position);
                end
            });
            stands.push(place);
        }
        let added = take(brought, &UInt64Array::from(unknown), None)?;
        Ok((concat(&[known, &added])?, UInt64Array::from(stands)))
    }
}

fn within(values: &ArrayRef, limit: usize) -> Result<(), Stop> {
    if values.get_array_memory_size() > limit { Err(Stop::NewPart) } else { Ok(()) }
}
