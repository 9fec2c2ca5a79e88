//! Dictionaries with narrow keys: a row group may bring no more values than such keys can tell apart.
//!
//! A column chunk has one dictionary, into which go the values of all batches of its row group. A reader keeps the
//! key type of the schema, so a group whose batches bring more values between them would be written and never read.

use std::collections::HashSet;

use arrow::array::{Array, ArrayData, RecordBatch, make_array};
use arrow::datatypes::{DataType, Schema};

use super::values::value;
use crate::serializer::compact::any_type;

/// The values that the dictionaries of the current row group bring.
pub(super) struct NarrowDictionaries {
    /// Which columns hold such dictionaries.
    columns: Vec<bool>,
    known: Vec<Known>,
}

/// One dictionary of the schema.
struct Known {
    column: usize,
    /// How many values its keys tell apart.
    most: usize,
    last: Option<ArrayData>,
    values: HashSet<Vec<u8>>,
}

fn most_values(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::Dictionary(keys, _) => match keys.as_ref() {
            DataType::Int8 => Some(1 << 7),
            DataType::UInt8 => Some(1 << 8),
            DataType::Int16 => Some(1 << 15),
            DataType::UInt16 => Some(1 << 16),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a type holds a dictionary that is counted.
pub(super) fn is_narrow(data_type: &DataType) -> bool {
    any_type(data_type, &|data_type| most_values(data_type).is_some())
}

impl NarrowDictionaries {
    pub(super) fn new(schema: &Schema) -> Self {
        Self { columns: schema.fields().iter().map(|field| is_narrow(field.data_type())).collect(), known: Vec::new() }
    }

    /// Takes the dictionaries of the next batch, unless the group would bring too many values with them.
    pub(super) fn take(&mut self, batch: &RecordBatch) -> bool {
        let mut met = Vec::new();
        for (column, (array, holds)) in batch.columns().iter().zip(&self.columns).enumerate() {
            if *holds {
                dictionaries(&array.to_data(), column, &mut met);
            }
        }
        let news: Vec<Vec<Vec<u8>>> =
            met.iter().enumerate().map(|(place, met)| met.news(self.known.get(place))).collect();
        let fits = met.iter().zip(&news).enumerate().all(|(place, (met, news))| {
            news.len() + self.known.get(place).map_or(0, |known| known.values.len()) <= met.most
        });
        // What the first batch of a group brings always fits: its own keys tell it apart.
        if !fits && !self.known.is_empty() {
            return false;
        }
        for (place, (met, news)) in met.into_iter().zip(news).enumerate() {
            if self.known.len() <= place {
                self.known.push(Known { column: met.column, most: met.most, last: None, values: HashSet::new() });
            }
            if let Some(known) = self.known.get_mut(place) {
                known.values.extend(news);
                known.last = Some(met.values);
            }
        }
        true
    }

    /// Which columns of the group bring as many values as their keys tell apart: the reader's library refuses a
    /// dictionary page of that size, although the keys suffice.
    pub(super) fn full(&self) -> Vec<bool> {
        let mut full = vec![false; self.columns.len()];
        for known in self.known.iter().filter(|known| known.values.len() >= known.most) {
            if let Some(full) = full.get_mut(known.column) {
                *full = true;
            }
        }
        full
    }

    /// The next batch begins a new group.
    pub(super) fn start_group(&mut self) {
        self.known.clear();
    }
}

/// One dictionary of a batch.
struct Met {
    column: usize,
    most: usize,
    values: ArrayData,
}

/// Goes down an array to its dictionaries with narrow keys.
fn dictionaries(data: &ArrayData, column: usize, met: &mut Vec<Met>) {
    match (most_values(data.data_type()), data.child_data()) {
        (Some(most), [values]) => met.push(Met { column, most, values: values.clone() }),
        (_, children) => children.iter().for_each(|child| dictionaries(child, column, met)),
    }
}

impl Met {
    /// The values that the group does not know yet.
    fn news(&self, known: Option<&Known>) -> Vec<Vec<u8>> {
        if known.and_then(|known| known.last.as_ref()).is_some_and(|last| last.ptr_eq(&self.values)) {
            return Vec::new();
        }
        let array = make_array(self.values.clone());
        let is_new = |value: &Vec<u8>| known.is_none_or(|known| !known.values.contains(value));
        let distinct: HashSet<Vec<u8>> =
            (0..array.len()).filter_map(|place| value(&array, place).map(<[u8]>::to_vec)).collect();
        distinct.into_iter().filter(is_new).collect()
    }
}
