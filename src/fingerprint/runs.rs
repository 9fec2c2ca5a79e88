//! Which slots of an array are meant, in which order: runs of them, through dictionaries and run-end encodings.

use arrow::array::types::{
    ArrowDictionaryKeyType, Int8Type, Int16Type, Int32Type, Int64Type, RunEndIndexType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow::array::{Array, AsArray, PrimitiveArray, RunArray};
use arrow::datatypes::{ArrowNativeType, DataType};

/// How many runs are held at once: a few run ends, or keys, may stand for any number of slots.
const MOST_RUNS: usize = 4096;

/// Slots that follow each other in an array; where it is not valid, slots that are null whatever the array says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) valid: bool,
}

impl Run {
    pub(super) fn slots(start: usize, len: usize) -> Self {
        Self { start, len, valid: true }
    }

    pub(super) fn nulls(len: usize) -> Self {
        Self { start: 0, len, valid: false }
    }

    pub(super) fn end(&self) -> usize {
        self.start + self.len
    }

    /// Whether `next` goes on where this one ends.
    fn goes_on_with(&self, next: &Self) -> bool {
        match (self.valid, next.valid) {
            (true, true) => self.end() == next.start,
            (valid, next) => valid == next,
        }
    }
}

/// Gathers runs, and hands them on in bounded numbers.
pub(super) struct Gathered<F: FnMut(&[Run])> {
    runs: Vec<Run>,
    hand_on: F,
}

impl<F: FnMut(&[Run])> Gathered<F> {
    pub(super) fn new(hand_on: F) -> Self {
        Self { runs: Vec::new(), hand_on }
    }

    #[inline]
    pub(super) fn push(&mut self, run: Run) {
        if run.len == 0 {
            return;
        }
        match self.runs.last_mut() {
            Some(last) if last.goes_on_with(&run) => last.len += run.len,
            _ => {
                if self.runs.len() == MOST_RUNS {
                    (self.hand_on)(&self.runs);
                    self.runs.clear();
                }
                self.runs.push(run);
            }
        }
    }

    pub(super) fn finish(mut self) {
        if !self.runs.is_empty() {
            (self.hand_on)(&self.runs);
        }
    }
}

/// The slots of a dictionary's values that its keys name.
pub(super) fn through_dictionary(array: &dyn Array, runs: &[Run], hand_on: &mut dyn FnMut(&dyn Array, &[Run])) {
    let dictionary = array.as_any_dictionary();
    let (keys, values) = (dictionary.keys(), dictionary.values().as_ref());
    let gathered = Gathered::new(|runs: &[Run]| hand_on(values, runs));
    match keys.data_type() {
        DataType::Int8 => by_keys(keys.as_primitive::<Int8Type>(), runs, gathered),
        DataType::Int16 => by_keys(keys.as_primitive::<Int16Type>(), runs, gathered),
        DataType::Int32 => by_keys(keys.as_primitive::<Int32Type>(), runs, gathered),
        DataType::Int64 => by_keys(keys.as_primitive::<Int64Type>(), runs, gathered),
        DataType::UInt8 => by_keys(keys.as_primitive::<UInt8Type>(), runs, gathered),
        DataType::UInt16 => by_keys(keys.as_primitive::<UInt16Type>(), runs, gathered),
        DataType::UInt32 => by_keys(keys.as_primitive::<UInt32Type>(), runs, gathered),
        _ => by_keys(keys.as_primitive::<UInt64Type>(), runs, gathered),
    }
}

fn by_keys<K: ArrowDictionaryKeyType>(
    keys: &PrimitiveArray<K>,
    runs: &[Run],
    mut gathered: Gathered<impl FnMut(&[Run])>,
) {
    for run in runs {
        if !run.valid {
            gathered.push(*run);
            continue;
        }
        let places = &keys.values()[run.start..run.end()];
        match keys.nulls() {
            None => places.iter().for_each(|key| gathered.push(Run::slots(key.as_usize(), 1))),
            Some(nulls) => {
                for (slot, key) in places.iter().enumerate() {
                    let valid = nulls.is_valid(run.start + slot);
                    gathered.push(if valid { Run::slots(key.as_usize(), 1) } else { Run::nulls(1) });
                }
            }
        }
    }
    gathered.finish();
}

/// The slots of the values of a run-end encoding, each as often as it stands.
pub(super) fn through_run_ends(array: &dyn Array, runs: &[Run], hand_on: &mut dyn FnMut(&dyn Array, &[Run])) {
    match array.data_type() {
        DataType::RunEndEncoded(ends, _) if *ends.data_type() == DataType::Int16 => {
            by_run_ends(array.as_run::<Int16Type>(), runs, hand_on);
        }
        DataType::RunEndEncoded(ends, _) if *ends.data_type() == DataType::Int64 => {
            by_run_ends(array.as_run::<Int64Type>(), runs, hand_on);
        }
        _ => by_run_ends(array.as_run::<Int32Type>(), runs, hand_on),
    }
}

fn by_run_ends<R: RunEndIndexType>(array: &RunArray<R>, runs: &[Run], hand_on: &mut dyn FnMut(&dyn Array, &[Run])) {
    let (ends, values) = (array.run_ends(), array.values().as_ref());
    let mut gathered = Gathered::new(|runs: &[Run]| hand_on(values, runs));
    for run in runs {
        if !run.valid {
            gathered.push(*run);
            continue;
        }
        let (mut slot, stop) = (ends.offset() + run.start, ends.offset() + run.end());
        let mut place = ends.values().partition_point(|end| end.as_usize() <= slot);
        while let Some(end) = ends.values().get(place).filter(|_| slot < stop) {
            let end = end.as_usize().min(stop);
            (slot..end).for_each(|_| gathered.push(Run::slots(place, 1)));
            (slot, place) = (end, place + 1);
        }
    }
    gathered.finish();
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int32Array, StringArray};

    use super::*;

    fn places(walk: impl FnOnce(&mut dyn FnMut(&dyn Array, &[Run]))) -> Vec<Option<usize>> {
        let mut places = Vec::new();
        walk(&mut |_, runs| {
            assert!(runs.len() <= MOST_RUNS);
            places.extend(runs.iter().flat_map(|run| (run.start..run.end()).map(|place| run.valid.then_some(place))));
        });
        places
    }

    #[test]
    fn keys_name_values_and_nulls() {
        let array: DictionaryArray<Int8Type> = [Some("a"), None, Some("b"), Some("a")].into_iter().collect();
        let runs = [Run::slots(2, 2), Run::nulls(1), Run::slots(0, 2)];
        let found = places(|hand_on| through_dictionary(&array, &runs, hand_on));
        assert_eq!(found, [Some(1), Some(0), None, Some(0), None]);
    }

    #[test]
    fn run_ends_repeat_values_in_a_slice_too() {
        let ends = Int32Array::from(vec![2, 3, 5_006]);
        let array = RunArray::<Int32Type>::try_new(&ends, &StringArray::from(vec!["a", "b", "c"])).unwrap();
        let found = places(|hand_on| through_run_ends(&array, &[Run::slots(0, 5_006)], hand_on));
        let expected: Vec<_> = [0, 0, 1].into_iter().chain(std::iter::repeat_n(2, 5_003)).map(Some).collect();
        assert_eq!(found, expected);
        let slice = array.slice(1, 3);
        let found = places(|hand_on| through_run_ends(&slice, &[Run::slots(1, 2), Run::slots(0, 1)], hand_on));
        assert_eq!(found, [Some(1), Some(2), Some(0)]);
    }
}
