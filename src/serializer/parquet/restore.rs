//! Dictionaries of the file's row groups made those that the table came with.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, PrimitiveArray, downcast_dictionary_array, new_empty_array,
};
use arrow::compute::cast;
use arrow::datatypes::{ArrowDictionaryKeyType, ArrowNativeType, DataType};
use hashbrown::HashTable;

use super::values::value;
use crate::error::{Error, Result};
use crate::serializer::same::same_memory;

/// A column's dictionary as it was kept, with the places of its values.
pub(super) struct Dictionary {
    values: ArrayRef,
    places: OnceLock<HashTable<usize>>,
    hasher: RandomState,
}

impl Dictionary {
    pub(super) fn new(values: ArrayRef) -> Self {
        Self { values, places: OnceLock::new(), hasher: RandomState::new() }
    }

    pub(super) fn values(&self) -> &ArrayRef {
        &self.values
    }

    /// Where a value stands; of equal ones, the first.
    pub(super) fn place(&self, wanted: &[u8]) -> Option<usize> {
        let places = self.places.get_or_init(|| self.index());
        let equal = |place: &usize| value(&self.values, *place) == Some(wanted);
        places.find(self.hasher.hash_one(wanted), equal).copied()
    }

    fn index(&self) -> HashTable<usize> {
        let mut places = HashTable::with_capacity(self.values.len());
        let hash = |place: &usize| self.hasher.hash_one(value(&self.values, *place).unwrap_or_default());
        for (place, bytes) in (0..self.values.len()).filter_map(|place| Some((place, value(&self.values, place)?))) {
            let equal = |other: &usize| value(&self.values, *other) == Some(bytes);
            places.entry(self.hasher.hash_one(bytes), equal, hash).or_insert(place);
        }
        places
    }

    /// An array of no rows that has the dictionary.
    pub(super) fn empty(&self, data_type: &DataType) -> ArrayRef {
        new_empty_array(data_type).as_any_dictionary().with_values(self.values.clone())
    }
}

/// Gives the arrays of one column views for their large values, one after the other.
#[derive(Clone)]
pub(super) struct Viewer {
    view_type: DataType,
    /// The batches of a row group share a dictionary, which is cast once.
    last: Option<(ArrayRef, ArrayRef)>,
}

impl Viewer {
    pub(super) fn new(view_type: DataType) -> Self {
        Self { view_type, last: None }
    }

    /// The same rows, whose dictionary has views.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the column is no dictionary.
    pub(super) fn viewed(&mut self, array: &ArrayRef) -> Result<ArrayRef> {
        let dictionary = array.as_any_dictionary_opt();
        let dictionary = dictionary.ok_or_else(|| Error::damaged("a column that was a dictionary is none"))?;
        let found = dictionary.values();
        let views = match &self.last {
            Some((last, views)) if same_memory(last, found) => views.clone(),
            _ => cast(found, &self.view_type)
                .map_err(|error| Error::damaged(format!("a dictionary cannot have views: {error}")))?,
        };
        self.last = Some((found.clone(), views.clone()));
        Ok(dictionary.with_values(views))
    }
}

/// Gives the arrays of one column its dictionary, one after the other.
#[derive(Clone)]
pub(super) struct Restorer {
    dictionary: Arc<Dictionary>,
    /// The batches of a row group share a dictionary, which is looked up once.
    last: Option<(ArrayRef, Keys)>,
}

/// What becomes of the keys of an array.
#[derive(Clone)]
enum Keys {
    /// They stay, since the dictionary begins with their values.
    Same,
    /// Each becomes the one that stands here in its place.
    Moved(ArrayRef),
}

impl Restorer {
    pub(super) fn new(dictionary: Arc<Dictionary>) -> Self {
        Self { dictionary, last: None }
    }

    /// The same rows, with the column's dictionary.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the dictionary does not hold a value, or holds it where the
    /// keys do not reach.
    pub(super) fn restored(&mut self, array: &ArrayRef) -> Result<ArrayRef> {
        downcast_dictionary_array!(
            array => self.typed(array),
            _ => Err(Error::damaged("a column with a dictionary in the Parquet footer is none"))
        )
    }

    fn typed<K: ArrowDictionaryKeyType>(&mut self, array: &DictionaryArray<K>) -> Result<ArrayRef> {
        let (keys, found) = (array.keys(), array.values());
        if found.is_empty() && keys.null_count() < keys.len() {
            return Err(Error::damaged("a row of a Parquet column stands for a value of an empty dictionary"));
        }
        let become_of = match &self.last {
            Some((last, known)) if same_memory(last, found) => known.clone(),
            _ => self.keys_of::<K>(found)?,
        };
        self.last = Some((found.clone(), become_of.clone()));
        let values = self.dictionary.values.clone();
        Ok(match become_of {
            Keys::Same => Arc::new(array.with_values(values)),
            Keys::Moved(moved) => {
                let moved = moved.as_primitive::<K>().values();
                // A null's key may be anything.
                let keys: PrimitiveArray<K> = keys.unary(|key| moved.get(key.as_usize()).copied().unwrap_or_default());
                let array = DictionaryArray::try_new(keys, values);
                Arc::new(array.map_err(|error| Error::damaged(format!("a kept dictionary does not fit: {error}")))?)
            }
        })
    }

    fn keys_of<K: ArrowDictionaryKeyType>(&self, found: &ArrayRef) -> Result<Keys> {
        let place = |position: usize| {
            let place = value(found, position).and_then(|bytes| self.dictionary.place(bytes));
            place.ok_or_else(|| Error::damaged("a value of its rows is not in its dictionary in the Parquet footer"))
        };
        let places = (0..found.len()).map(place).collect::<Result<Vec<usize>>>()?;
        if places.iter().enumerate().all(|(position, place)| position == *place) {
            return Ok(Keys::Same);
        }
        let keys = places.into_iter().map(K::Native::from_usize).collect::<Option<Vec<K::Native>>>();
        let keys = keys.ok_or_else(|| {
            Error::damaged("its dictionary in the Parquet footer holds a value where its keys do not reach")
        })?;
        Ok(Keys::Moved(Arc::new(PrimitiveArray::<K>::from_iter_values(keys))))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int8Array, StringArray};

    use super::*;

    fn restorer(words: Vec<Option<&str>>) -> Restorer {
        Restorer::new(Arc::new(Dictionary::new(Arc::new(StringArray::from(words)))))
    }

    fn array(keys: Vec<Option<i8>>, words: Vec<Option<&str>>) -> ArrayRef {
        Arc::new(DictionaryArray::new(Int8Array::from(keys), Arc::new(StringArray::from(words))))
    }

    #[test]
    fn each_array_gets_the_keys_of_the_dictionary() {
        let mut restorer = restorer(vec![Some("a"), None, Some("b"), Some("a")]);
        for (found, words, expected) in [
            (vec![Some(1), None, Some(0)], vec![Some("b"), Some("a")], vec![Some(0), None, Some(2)]),
            (vec![Some(0), Some(0)], vec![Some("a")], vec![Some(0), Some(0)]),
            (vec![None], vec![], vec![None]),
            (vec![], vec![Some("b")], vec![]),
        ] {
            let restored = restorer.restored(&array(found, words)).unwrap();
            restored.to_data().validate_full().unwrap();
            let restored = restored.as_any_dictionary();
            assert_eq!(restored.values().len(), 4);
            assert_eq!(restored.keys().as_primitive(), &Int8Array::from(expected));
        }
    }

    #[test]
    fn what_a_dictionary_does_not_hold_is_damage() {
        let mut restorer = restorer(vec![Some("a"), None]);
        for array in [
            array(vec![Some(0)], vec![Some("b")]),
            array(vec![Some(0)], vec![None]),
            Arc::new(Int8Array::from(vec![1])),
        ] {
            assert_eq!(restorer.restored(&array).unwrap_err().kind(), crate::ErrorKind::Damaged);
        }
    }
}
