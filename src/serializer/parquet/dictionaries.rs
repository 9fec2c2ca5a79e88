//! Dictionaries as they came, kept in the footer: Parquet itself keeps the values that rows use, by their first use.
//!
//! The text under [`DICTIONARIES_KEY`](super::DICTIONARIES_KEY) is a JSON list of `{"column":0,"values":["a",null]}`,
//! where all values but text are base64 of their bytes. It is kept for columns that are dictionaries, not for those that hold them deeper.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MutableArrayData, RecordBatch, make_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef, Schema};
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::values::{MOST_BYTES, Texts, array_of, texts};
use crate::error::{Error, Result};
use crate::serializer::compact::array_bytes;
use crate::serializer::same::{begins_with, same_memory};

/// The dictionaries of the batches so far, column by column.
pub(super) struct KeptDictionaries {
    columns: Vec<Column>,
    most: usize,
}

/// One column that is a dictionary.
struct Column {
    position: usize,
    name: String,
    nullable: bool,
    state: State,
    /// As the last batch brought them; held so that no other dictionary can come to lie in their place.
    last: Option<ArrayRef>,
    /// Whether a row stands for a null in the dictionary.
    null_behind_key: bool,
}

/// What is known of a column's dictionary.
enum State {
    /// No batch came yet.
    Unknown,
    /// A copy of the longest so far, since what a batch brings may hold the memory of the whole batch.
    Kept { values: ArrayRef, bytes: usize },
    /// The batches have dictionaries of which none extends the other.
    Differ,
    /// They take more than may be kept.
    TooLarge,
}

impl KeptDictionaries {
    /// Those of a table of this schema, written within a budget of `memory` bytes.
    pub(super) fn new(schema: &Schema, memory: usize) -> Self {
        let fields = schema.fields().iter().enumerate();
        let fields = fields.filter(|(_, field)| matches!(field.data_type(), DataType::Dictionary(..)));
        let column = |(position, field): (usize, &FieldRef)| Column {
            position,
            name: field.name().clone(),
            nullable: field.is_nullable(),
            state: State::Unknown,
            last: None,
            null_behind_key: false,
        };
        Self { columns: fields.map(column).collect(), most: MOST_BYTES.min(memory / 8) }
    }

    /// Takes note of the next batch's dictionaries.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if a row of a column that cannot be null stands for
    /// a null in its dictionary.
    pub(super) fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut held: usize = self.columns.iter().map(|column| column.state.bytes()).sum();
        for column in &mut self.columns {
            let Some(array) = batch.columns().get(column.position) else { continue };
            let Some(dictionary) = array.as_any_dictionary_opt() else { continue };
            let values = dictionary.values();
            column.null_behind_key |=
                values.logical_null_count() > 0 && array.logical_null_count() > array.null_count();
            if column.null_behind_key && !column.nullable {
                let name = &column.name;
                return Err(Error::invalid(format!(
                    "column `{name}` cannot be null, but a row of it is, by its dictionary"
                ))
                .with_hint("declare the column as nullable, or give its rows values that are not null"));
            }
            held -= column.state.bytes();
            column
                .take(values, self.most.saturating_sub(held))
                .map_err(|error| Error::internal(format!("a dictionary cannot be copied: {error}")))?;
            held += column.state.bytes();
        }
        Ok(())
    }

    /// The text for the footer of a part; none where nothing is kept.
    pub(super) fn encode(&mut self) -> Result<Option<String>> {
        let mut text = String::new();
        for column in &mut self.columns {
            let State::Kept { values, .. } = &column.state else { continue };
            let entry = Entry { column: column.position, values: texts(values) };
            let entry = serde_json::to_string(&entry)
                .map_err(|error| Error::internal(format!("a dictionary cannot be written: {error}")))?;
            if text.len() + entry.len() > self.most {
                column.lose(State::TooLarge);
                continue;
            }
            text.push(if text.is_empty() { '[' } else { ',' });
            text.push_str(&entry);
        }
        Ok((!text.is_empty()).then(|| text + "]"))
    }

    /// What the table lost so far.
    pub(super) fn losses(&self) -> Vec<Json> {
        let lost = |column: &Column| {
            let why = match column.state {
                State::Unknown | State::Kept { .. } => None,
                State::Differ => Some("its batches have different ones"),
                State::TooLarge => Some("it is too large for the file's footer"),
            };
            let order = why.map(|why| format!("{LAYOUT}: {why}"));
            let null = column.null_behind_key.then(|| {
                "which rows stand for a null in its dictionary: they come back as nulls of their own".to_owned()
            });
            order.into_iter().chain(null).map(|lost| json!({"column": column.name, "loses": lost})).collect::<Vec<_>>()
        };
        self.columns.iter().flat_map(lost).collect()
    }
}

/// What a dictionary loses that is not kept.
pub(super) const LAYOUT: &str = "the order of its dictionary, and the values in it that no row uses";

impl State {
    fn bytes(&self) -> usize {
        if let Self::Kept { bytes, .. } = self { *bytes } else { 0 }
    }
}

impl Column {
    fn lose(&mut self, state: State) {
        self.state = state;
        self.last = None;
    }

    /// Takes note of a batch's dictionary, which may take up to `most` bytes.
    fn take(&mut self, brought: &ArrayRef, most: usize) -> Result<(), ArrowError> {
        let known = match &self.state {
            State::Differ | State::TooLarge => return Ok(()),
            _ if self.last.as_ref().is_some_and(|last| same_memory(last, brought)) => return Ok(()),
            State::Unknown => None,
            State::Kept { values, .. } if begins_with(values, brought) => {
                self.last = Some(brought.clone());
                return Ok(());
            }
            State::Kept { values, .. } if begins_with(brought, values) => Some(values),
            State::Kept { .. } => {
                self.lose(State::Differ);
                return Ok(());
            }
        };
        let bytes = array_bytes(brought);
        if bytes > most {
            self.lose(State::TooLarge);
            return Ok(());
        }
        let values = match known {
            None => copied(brought)?,
            Some(known) => own(concat(&[known, &brought.slice(known.len(), brought.len() - known.len())])?),
        };
        self.state = State::Kept { values, bytes };
        self.last = Some(brought.clone());
        Ok(())
    }
}

fn copied(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let data = array.to_data();
    let mut copy = MutableArrayData::new(vec![&data], false, data.len());
    copy.try_extend(0, 0, data.len())?;
    Ok(own(make_array(copy.freeze())))
}

/// The array in memory of its own, which views share with the array that they were copied from.
fn own(array: ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        _ => array,
    }
}

/// One column's dictionary as it stands in the footer.
#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    column: usize,
    values: Texts<'a>,
}

/// The dictionaries in a footer, by the positions of their columns.
///
/// # Errors
///
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the text does not fit the schema.
pub(super) fn decode(text: &str, schema: &Schema) -> Result<BTreeMap<usize, ArrayRef>> {
    let entries: Vec<Entry<'_>> = serde_json::from_str(text)
        .map_err(|error| Error::damaged(format!("the dictionaries in the Parquet footer cannot be read: {error}")))?;
    let mut dictionaries = BTreeMap::new();
    for Entry { column, values } in entries {
        let Some(field) = schema.fields().get(column) else {
            return Err(Error::damaged(format!("the Parquet footer has a dictionary for column {column} of fewer")));
        };
        let damaged = |why: &str| Error::damaged(format!("the dictionary of column `{}` {why}", field.name()));
        let values = match field.data_type() {
            DataType::Dictionary(_, value_type) => array_of(value_type, values).map_err(damaged)?,
            _ => return Err(damaged("belongs to a column that is none")),
        };
        if dictionaries.insert(column, values).is_some() {
            return Err(damaged("stands in the Parquet footer twice"));
        }
    }
    Ok(dictionaries)
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int32Array, StringArray};
    use arrow::datatypes::Field;

    use super::*;

    fn schema(columns: usize) -> Schema {
        let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        Schema::new((0..columns).map(|column| Field::new(format!("{column}"), kind.clone(), true)).collect::<Vec<_>>())
    }

    fn words<const N: usize>(words: [&str; N]) -> ArrayRef {
        Arc::new(StringArray::from(words.to_vec()))
    }

    /// A batch of no rows with these dictionaries.
    fn batch(dictionaries: &[ArrayRef]) -> RecordBatch {
        let keys = Int32Array::from(Vec::<i32>::new());
        let arrays =
            dictionaries.iter().map(|values| Arc::new(DictionaryArray::new(keys.clone(), values.clone())) as _);
        RecordBatch::try_new(Arc::new(schema(dictionaries.len())), arrays.collect()).unwrap()
    }

    /// What is in the footer, and which columns are lost, after batches with these dictionaries.
    fn kept<const N: usize>(memory: usize, batches: &[[ArrayRef; N]]) -> (BTreeMap<usize, ArrayRef>, Vec<Json>) {
        let mut kept = KeptDictionaries::new(&schema(N), memory);
        batches.iter().for_each(|dictionaries| kept.take(&batch(dictionaries)).unwrap());
        let text = kept.encode().unwrap().unwrap_or_else(|| "[]".into());
        let lost = kept.losses().iter().map(|loss| loss["column"].clone()).collect();
        (decode(&text, &schema(N)).unwrap(), lost)
    }

    #[test]
    fn the_longest_is_kept_as_long_as_each_extends_the_others() {
        let short = words(["b"]);
        let long = words(["b", "a", "c"]);
        for batches in [vec![[short.clone()], [long.clone()]], vec![[long.clone()], [short.clone()], [long.clone()]]] {
            assert_eq!(kept(usize::MAX, &batches), (BTreeMap::from([(0, long.clone())]), vec![]));
        }
        let slice = words(["x", "b", "a"]).slice(1, 2);
        assert_eq!(&kept(usize::MAX, &[[slice.clone()], [long.clone()]]).0[&0], &long);
        for other in [words(["a"]), words(["b", "c"]), words(["b", "a", "c", "d"]).slice(1, 2)] {
            assert_eq!(
                kept(usize::MAX, &[[long.clone()], [other], [long.clone()]]),
                (BTreeMap::new(), vec![json!("0")])
            );
        }
        assert_eq!(kept::<1>(usize::MAX, &[]), (BTreeMap::new(), vec![]));
    }

    #[test]
    fn a_dictionary_in_the_place_of_another_is_compared() {
        // Their memory would be the same, were the first not held.
        let mut kept = KeptDictionaries::new(&schema(1), usize::MAX);
        for word in ["a", "b"] {
            kept.take(&batch(&[words([word])])).unwrap();
        }
        assert_eq!(kept.losses().len(), 1);
    }

    #[test]
    fn together_they_stay_within_their_room() {
        let words = |bytes: usize| -> ArrayRef { Arc::new(StringArray::from(vec!["w".repeat(bytes)])) };
        let (small, large) = (words(300), words(800));
        let (found, lost) = kept(8 * 1000, &[[small.clone(), large.clone(), small.clone()]]);
        assert_eq!((found.keys().copied().collect::<Vec<_>>(), lost), (vec![0, 2], vec![json!("1")]));
        let (found, lost) = kept(8 * 1200, &[[small.clone(), large, small]]);
        assert_eq!((found.keys().copied().collect::<Vec<_>>(), lost), (vec![0, 1], vec![json!("2")]));
    }

    #[test]
    fn a_kept_dictionary_holds_no_more_memory_than_its_own() {
        let large: ArrayRef = Arc::new(StringArray::from_iter_values((0..100_000).map(|place| format!("{place}"))));
        let few = large.slice(500, 2);
        let copy = copied(&few).unwrap();
        assert_eq!(copy.to_data(), few.to_data());
        assert!(copy.get_array_memory_size() < 1_000);
    }
}
