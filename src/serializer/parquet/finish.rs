//! What the Parquet library hands out, made what was put in.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef, Fields};

use super::mend;
use super::restore::{Dictionary, Restorer, Viewer};
use super::rows::Collector;
use super::stored::Form;
use crate::error::{Error, Result};

/// Finishes some columns of a scan, batch by batch.
#[derive(Clone)]
pub(super) struct Finishing {
    fields: Fields,
    columns: Vec<Column>,
}

#[derive(Clone)]
struct Column {
    needs_mending: bool,
    dictionary: Option<Finish>,
}

/// What becomes of a column that was a dictionary.
#[derive(Clone)]
enum Finish {
    /// Its row groups have dictionaries; it gets the kept one.
    Kept(Restorer),
    /// Its row groups have dictionaries of large values, and none was kept.
    Views(Viewer),
    /// It has plain rows.
    Rows(Collector),
}

impl Finish {
    fn new(declared: &DataType, kept: Option<Arc<Dictionary>>) -> Option<Self> {
        match (Form::of(declared), declared, kept) {
            (Form::Rows, DataType::Dictionary(keys, _), kept) => {
                Some(Self::Rows(Collector::new(keys.as_ref().clone(), kept)))
            }
            (Form::LargeValues, DataType::Dictionary(_, values), None) => {
                Some(Self::Views(Viewer::new(values.as_ref().clone())))
            }
            (_, _, kept) => kept.map(Restorer::new).map(Self::Kept),
        }
    }
}

impl Finishing {
    /// For columns of these fields, with the dictionary of each that has a kept one.
    pub(super) fn new(fields: Fields, kept: Vec<Option<Arc<Dictionary>>>) -> Self {
        let column = |(field, kept): (&FieldRef, Option<Arc<Dictionary>>)| Column {
            needs_mending: mend::needs_mending(field.data_type()),
            dictionary: Finish::new(field.data_type(), kept),
        };
        let columns = fields.iter().zip(kept).map(column).collect();
        Self { fields, columns }
    }

    /// The columns of a batch as they were put.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the file does not hold what it says of itself.
    pub(super) fn finish(&mut self, arrays: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        if arrays.len() != self.columns.len() {
            return Err(Error::damaged("the Parquet file does not hold its own schema"));
        }
        let columns = arrays.iter().zip(&mut self.columns).zip(&self.fields);
        columns.map(|((array, column), field)| column.finished(array, field)).collect()
    }
}

impl Column {
    fn finished(&mut self, array: &ArrayRef, field: &FieldRef) -> Result<ArrayRef> {
        let restored = match &mut self.dictionary {
            Some(Finish::Kept(restorer)) => Some(restorer.restored(array)),
            Some(Finish::Views(viewer)) => Some(viewer.viewed(array)),
            Some(Finish::Rows(collector)) => Some(collector.collected(array)),
            None => None,
        };
        if let Some(restored) = restored {
            return restored.map_err(|error| error.within(format!("column `{}`", field.name())));
        }
        if self.needs_mending { mend::mended(array).map_err(misfit) } else { Ok(array.clone()) }
    }
}

/// The error for columns that do not fit the file's own schema.
pub(super) fn misfit(error: arrow::error::ArrowError) -> Error {
    Error::damaged(format!("the Parquet file does not hold its own schema: {error}"))
}
