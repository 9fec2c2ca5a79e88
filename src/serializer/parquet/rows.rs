//! Plain rows made the dictionaries that they were.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, DictionaryArray, PrimitiveArray, UInt64Array, downcast_integer};
use arrow::compute::take;
use arrow::datatypes::{ArrowDictionaryKeyType, ArrowNativeType, DataType};
use hashbrown::HashTable;

use super::restore::Dictionary;
use super::values::value;
use crate::error::{Error, Result};

/// Makes the arrays of one column dictionaries, each by itself.
#[derive(Clone)]
pub(super) struct Collector {
    key_type: DataType,
    kept: Option<Arc<Dictionary>>,
}

impl Collector {
    /// With keys of this type; where no dictionary was kept, each array's has its values in the order of their first
    /// use.
    pub(super) fn new(key_type: DataType, kept: Option<Arc<Dictionary>>) -> Self {
        Self { key_type, kept }
    }

    /// The same rows as a dictionary.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the kept dictionary does not hold a value, or the keys do
    /// not tell all values apart.
    pub(super) fn collected(&self, array: &ArrayRef) -> Result<ArrayRef> {
        macro_rules! typed {
            ($key:ty) => {
                self.typed::<$key>(array)
            };
        }
        downcast_integer! {
            self.key_type => (typed),
            _ => Err(Error::damaged("a dictionary has keys that are no integers"))
        }
    }

    fn typed<K: ArrowDictionaryKeyType>(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let (places, values) = match &self.kept {
            Some(dictionary) => (places_in(dictionary, array)?, dictionary.values().clone()),
            None => collect(array)?,
        };
        let keys = places.into_iter().map(K::Native::from_usize).collect::<Option<Vec<K::Native>>>();
        let keys = keys.ok_or_else(|| Error::damaged("its rows have more values than its keys tell apart"))?;
        let keys = PrimitiveArray::<K>::try_new(keys.into(), array.logical_nulls());
        let made = keys.and_then(|keys| DictionaryArray::try_new(keys, values));
        Ok(Arc::new(made.map_err(|error| Error::damaged(format!("its rows make no dictionary: {error}")))?))
    }
}

/// Where each row's value stands in the kept dictionary; anywhere for null.
fn places_in(dictionary: &Dictionary, array: &ArrayRef) -> Result<Vec<usize>> {
    let place = |row| match value(array, row) {
        None => Ok(0),
        Some(bytes) => dictionary
            .place(bytes)
            .ok_or_else(|| Error::damaged("a value of its rows is not in its dictionary in the Parquet footer")),
    };
    (0..array.len()).map(place).collect()
}

/// Where each row's value stands among those that the array has, and these in the order of their first use.
fn collect(array: &ArrayRef) -> Result<(Vec<usize>, ArrayRef)> {
    let hasher = RandomState::new();
    let mut known: HashTable<(usize, usize)> = HashTable::new();
    let mut places = Vec::with_capacity(array.len());
    let mut firsts: Vec<u64> = Vec::new();
    for row in 0..array.len() {
        let Some(bytes) = value(array, row) else {
            places.push(0);
            continue;
        };
        let equal = |(first, _): &(usize, usize)| value(array, *first) == Some(bytes);
        let hash = |(first, _): &(usize, usize)| hasher.hash_one(value(array, *first).unwrap_or_default());
        let entry = known.entry(hasher.hash_one(bytes), equal, hash).or_insert_with(|| {
            firsts.push(row as u64);
            (row, firsts.len() - 1)
        });
        places.push(entry.get().1);
    }
    let values = take(array, &UInt64Array::from(firsts), None);
    let values = values.map_err(|error| Error::internal(format!("the values of rows cannot be taken: {error}")))?;
    Ok((places, values))
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int8Array, Int64Array, NullArray};

    use super::*;

    fn numbers(numbers: Vec<Option<i64>>) -> ArrayRef {
        Arc::new(Int64Array::from(numbers))
    }

    #[test]
    fn values_stand_in_the_order_of_their_first_use() {
        let collector = Collector::new(DataType::Int8, None);
        for (rows, values, keys) in [
            (vec![Some(7), None, Some(-1), Some(7)], vec![Some(7), Some(-1)], vec![Some(0), None, Some(1), Some(0)]),
            (vec![None], vec![], vec![None]),
            (vec![], vec![], vec![]),
        ] {
            let made = collector.collected(&numbers(rows)).unwrap();
            made.to_data().validate_full().unwrap();
            assert_eq!(made.as_any_dictionary().values(), &numbers(values));
            assert_eq!(made.as_any_dictionary().keys().as_primitive(), &Int8Array::from(keys));
        }
        let nulls = collector.collected(&(Arc::new(NullArray::new(2)) as ArrayRef)).unwrap();
        assert_eq!((nulls.null_count(), nulls.as_any_dictionary().values().len()), (2, 0));
    }

    #[test]
    fn the_kept_dictionary_is_taken() {
        let kept = numbers(vec![Some(5), None, Some(7), Some(5)]);
        let collector = Collector::new(DataType::UInt64, Some(Arc::new(Dictionary::new(kept.clone()))));
        let made = collector.collected(&numbers(vec![Some(7), None, Some(5)])).unwrap();
        assert_eq!(made.as_any_dictionary().values(), &kept);
        assert_eq!(
            made.as_dictionary::<arrow::datatypes::UInt64Type>().keys_iter().collect::<Vec<_>>(),
            [Some(2), None, Some(0)]
        );
    }

    #[test]
    fn what_keys_or_the_dictionary_do_not_hold_is_damage() {
        let many = numbers((0..129).map(Some).collect());
        let kept = Arc::new(Dictionary::new(many.clone()));
        for (collector, rows) in [
            (Collector::new(DataType::Int8, None), many.clone()),
            (Collector::new(DataType::Int8, Some(kept.clone())), numbers(vec![Some(128)])),
            (Collector::new(DataType::Int16, Some(kept)), numbers(vec![Some(129)])),
            (Collector::new(DataType::Utf8, None), numbers(vec![Some(1)])),
        ] {
            assert_eq!(collector.collected(&rows).unwrap_err().kind(), crate::ErrorKind::Damaged);
        }
        assert!(Collector::new(DataType::UInt8, None).collected(&many).is_ok());
    }
}
