//! One node of a type: its streams of nulls, lengths and values, and its children.

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;

use super::logical::Logical;
use super::runs::{Gathered, Run, through_dictionary, through_run_ends};
use super::stream::{Record, Stream};
use super::values;

/// How many slots are looked at for nulls at once, which bounds the runs between them.
const BLOCK_SLOTS: usize = 32 * 1024;

/// The state of one node.
pub(super) struct Node {
    logical: Logical,
    /// How many slots it was given.
    slots: u64,
    nulls: Stream,
    /// Lengths of text, binary and lists; type ids of unions.
    lengths: Stream,
    values: Stream,
    children: Vec<Node>,
}

impl Node {
    pub(super) fn new(logical: Logical) -> Self {
        let children = logical.children().into_iter().cloned().map(Self::new).collect();
        Self {
            logical,
            slots: 0,
            nulls: Stream::default(),
            lengths: Stream::default(),
            values: Stream::default(),
            children,
        }
    }

    pub(super) fn logical(&self) -> &Logical {
        &self.logical
    }

    /// Takes the slots of an array that are meant; `buffer` is empty.
    pub(super) fn update(&mut self, array: &dyn Array, runs: &[Run], buffer: &mut Vec<u8>) {
        match array.data_type() {
            DataType::Dictionary(..) => {
                through_dictionary(array, runs, &mut |values, runs| self.update(values, runs, buffer));
            }
            DataType::RunEndEncoded(..) => {
                through_run_ends(array, runs, &mut |values, runs| self.update(values, runs, buffer));
            }
            _ if self.logical == Logical::Null => self.count(runs),
            _ if array.null_count() == 0 && runs.iter().all(|run| run.valid) => {
                self.count(runs);
                self.values(array, runs, buffer);
            }
            _ => {
                for block in blocks(runs) {
                    let valid = self.without_nulls(array, &block, buffer);
                    self.count(&block);
                    self.values(array, &valid, buffer);
                }
            }
        }
    }

    fn count(&mut self, runs: &[Run]) {
        self.slots += runs.iter().map(|run| run.len as u64).sum::<u64>();
    }

    /// Notes which slots are null; gives the runs between them.
    fn without_nulls(&mut self, array: &dyn Array, runs: &[Run], buffer: &mut Vec<u8>) -> Vec<Run> {
        let mut valid = Vec::new();
        let mut writer = self.nulls.writer(buffer);
        let mut slot = self.slots;
        for run in runs {
            let end = slot + run.len as u64;
            match array.nulls() {
                _ if !run.valid => (slot..end).for_each(|slot| writer.number(slot)),
                None => valid.push(*run),
                Some(nulls) => {
                    let mut next = 0;
                    for (start, stop) in nulls.inner().slice(run.start, run.len).set_slices() {
                        (next..start).for_each(|place| writer.number(slot + place as u64));
                        valid.push(Run::slots(run.start + start, stop - start));
                        next = stop;
                    }
                    (next..run.len).for_each(|place| writer.number(slot + place as u64));
                }
            }
            slot = end;
        }
        valid
    }

    /// Takes slots that are not null.
    fn values(&mut self, array: &dyn Array, runs: &[Run], buffer: &mut Vec<u8>) {
        match &self.logical {
            Logical::Null => {}
            Logical::Boolean => values::booleans(array, runs, &mut self.values.writer(buffer)),
            Logical::Float(_) => values::floats(array, runs, &mut self.values.writer(buffer)),
            Logical::Decimal(..) => values::decimals(array, runs, &mut self.values.writer(buffer)),
            Logical::Fixed { width, .. } => values::fixed(array, *width, runs, &mut self.values.writer(buffer)),
            Logical::Text | Logical::Binary => {
                values::text_lengths(array, runs, &mut self.lengths.writer(buffer));
                values::text_bytes(array, runs, &mut self.values.writer(buffer));
            }
            Logical::List(_) => self.list(array, runs, buffer),
            Logical::FixedList(size, _) => {
                let items: Vec<Run> = runs
                    .iter()
                    .map(|run| Run::slots(run.start * size, run.len * size))
                    .filter(|run| run.len > 0)
                    .collect();
                self.child(0, array.as_fixed_size_list().values(), &items, buffer);
            }
            Logical::Struct(_) => {
                for (place, column) in array.as_struct().columns().iter().enumerate() {
                    self.child(place, column, runs, buffer);
                }
            }
            Logical::Union(ids) => {
                let ids: Vec<i8> = ids.iter().map(|(id, _, _)| *id).collect();
                self.union(array, &ids, runs, buffer);
            }
        }
    }

    fn child(&mut self, place: usize, array: &dyn Array, runs: &[Run], buffer: &mut Vec<u8>) {
        if let Some(child) = self.children.get_mut(place) {
            child.update(array, runs, buffer);
        }
    }

    fn list(&mut self, array: &dyn Array, runs: &[Run], buffer: &mut Vec<u8>) {
        macro_rules! offsets {
            ($offsets:expr, $items:expr) => {{
                let (offsets, items) = ($offsets, $items);
                values::offset_lengths(offsets, runs, &mut self.lengths.writer(buffer));
                let mut gathered = Gathered::new(|runs: &[Run]| self.child(0, items, runs, buffer));
                for run in runs {
                    let (start, end) = (offsets[run.start] as usize, offsets[run.end()] as usize);
                    gathered.push(Run::slots(start, end - start));
                }
                gathered.finish();
            }};
        }
        macro_rules! views {
            ($list:expr) => {{
                let (offsets, sizes, items) = ($list.offsets(), $list.sizes(), $list.values());
                values::sizes(sizes, runs, &mut self.lengths.writer(buffer));
                let mut gathered = Gathered::new(|runs: &[Run]| self.child(0, items, runs, buffer));
                for place in runs.iter().flat_map(|run| run.start..run.end()) {
                    gathered.push(Run::slots(offsets[place] as usize, sizes[place] as usize));
                }
                gathered.finish();
            }};
        }
        match array.data_type() {
            DataType::List(_) => offsets!(array.as_list::<i32>().value_offsets(), array.as_list::<i32>().values()),
            DataType::LargeList(_) => offsets!(array.as_list::<i64>().value_offsets(), array.as_list::<i64>().values()),
            DataType::ListView(_) => views!(array.as_list_view::<i32>()),
            DataType::LargeListView(_) => views!(array.as_list_view::<i64>()),
            _ => offsets!(array.as_map().value_offsets(), array.as_map().entries()),
        }
    }

    fn union(&mut self, array: &dyn Array, ids: &[i8], runs: &[Run], buffer: &mut Vec<u8>) {
        let union = array.as_union();
        let mut writer = self.lengths.writer(buffer);
        runs.iter().for_each(|run| {
            union.type_ids()[run.start..run.end()].iter().for_each(|id| writer.write(&id.to_le_bytes()));
        });
        drop(writer);
        for (place, id) in ids.iter().enumerate() {
            let mut gathered = Gathered::new(|runs: &[Run]| self.child(place, union.child(*id), runs, buffer));
            for slot in runs.iter().flat_map(|run| run.start..run.end()).filter(|slot| union.type_id(*slot) == *id) {
                gathered.push(Run::slots(union.value_offset(slot), 1));
            }
            gathered.finish();
        }
    }

    /// The hash of its record.
    pub(super) fn digest(&self) -> u128 {
        let mut record = Record::default();
        record.text(&self.logical.text());
        record.number(self.slots);
        if self.logical != Logical::Null {
            self.nulls.describe(&mut record);
        }
        match &self.logical {
            Logical::Null | Logical::FixedList(..) | Logical::Struct(_) => {}
            Logical::List(_) | Logical::Union(_) => self.lengths.describe(&mut record),
            Logical::Text | Logical::Binary => {
                self.lengths.describe(&mut record);
                self.values.describe(&mut record);
            }
            _ => self.values.describe(&mut record),
        }
        for (place, child) in self.children.iter().enumerate() {
            match &self.logical {
                Logical::Struct(fields) => fields.get(place).into_iter().for_each(|(name, _)| record.text(name)),
                Logical::Union(members) => members.get(place).into_iter().for_each(|(id, name, _)| {
                    record.raw(&id.to_le_bytes());
                    record.text(name);
                }),
                _ => {}
            }
            record.digest(child.digest());
        }
        record.finish()
    }
}

/// The runs, cut where they have so many slots.
fn blocks(runs: &[Run]) -> impl Iterator<Item = Vec<Run>> {
    let (mut place, mut taken) = (0, 0);
    std::iter::from_fn(move || {
        let (mut block, mut room) = (Vec::new(), BLOCK_SLOTS);
        while let Some(run) = runs.get(place).filter(|_| room > 0) {
            let len = (run.len - taken).min(room);
            block.push(Run { start: run.start + taken, len, valid: run.valid });
            (room, taken) = (room - len, taken + len);
            if taken == run.len {
                (place, taken) = (place + 1, 0);
            }
        }
        (!block.is_empty()).then_some(block)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_runs_again() {
        let runs = [Run::slots(5, 3), Run::nulls(BLOCK_SLOTS), Run::slots(7, 2 * BLOCK_SLOTS + 1)];
        let cut: Vec<Vec<Run>> = blocks(&runs).collect();
        assert_eq!(cut.len(), 4);
        assert!(cut.iter().all(|block| block.iter().map(|run| run.len).sum::<usize>() <= BLOCK_SLOTS));
        let places = |runs: &[Run]| -> Vec<Option<usize>> {
            let places = |run: &Run| (run.start..run.end()).map(|place| run.valid.then_some(place)).collect::<Vec<_>>();
            runs.iter().flat_map(places).collect()
        };
        assert_eq!(places(&cut.concat()), places(&runs));
    }
}
