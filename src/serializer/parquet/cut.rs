//! Where row groups end: told by what the rows hold, and not by how they came in batches.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_empty_array};
use arrow::buffer::NullBuffer;
use arrow::compute::concat;
use arrow::datatypes::DataType;

use crate::error::{Error, Result};
use crate::serializer::compact::any_type;

/// The library is handed columns in arrays of so many rows.
const EVEN_ROWS: usize = 64 * 1024;

/// How many of the first rows of `batch` take at most `bytes`; none, if the first takes more.
pub(super) fn rows_within(batch: &RecordBatch, bytes: usize) -> usize {
    let (mut fits, mut beyond) = (0, batch.num_rows() + 1);
    while beyond - fits > 1 {
        let middle = fits + (beyond - fits) / 2;
        if rows_bytes(batch, 0..middle) <= bytes { fits = middle } else { beyond = middle }
    }
    fits
}

/// The bytes of some rows: those of their values, and no others that their buffers hold.
pub(super) fn rows_bytes(batch: &RecordBatch, rows: Range<usize>) -> usize {
    batch.columns().iter().map(|column| bytes(column, rows.clone())).sum()
}

/// The bytes of some rows of a column.
pub(super) fn bytes(array: &dyn Array, rows: Range<usize>) -> usize {
    let count = rows.len();
    match array.data_type() {
        DataType::Null => 0,
        DataType::Boolean => count,
        DataType::Utf8 => count * 4 + spans(array, rows, array.as_string::<i32>().value_offsets()),
        DataType::Binary => count * 4 + spans(array, rows, array.as_binary::<i32>().value_offsets()),
        DataType::LargeUtf8 => count * 8 + spans(array, rows, array.as_string::<i64>().value_offsets()),
        DataType::LargeBinary => count * 8 + spans(array, rows, array.as_binary::<i64>().value_offsets()),
        DataType::Utf8View => count * 16 + views(array, rows, array.as_string_view().views()),
        DataType::BinaryView => count * 16 + views(array, rows, array.as_binary_view().views()),
        DataType::Dictionary(keys, _) => count * keys.primitive_width().unwrap_or(8),
        DataType::Struct(_) => {
            let children = array.as_struct().columns();
            let of = |run: Range<usize>| children.iter().map(|child| bytes(child, run.clone())).sum::<usize>();
            count + filled(array.nulls(), rows).into_iter().map(of).sum::<usize>()
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            count * 4 + inside(array, rows, list.value_offsets(), list.values())
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            count * 8 + inside(array, rows, list.value_offsets(), list.values())
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
            count * 4 + inside(array, rows, map.value_offsets(), &entries)
        }
        DataType::FixedSizeList(_, size) => {
            let (size, list) = (usize::try_from(*size).unwrap_or(0), array.as_fixed_size_list());
            let of = |run: Range<usize>| bytes(list.values(), run.start * size..run.end * size);
            count + filled(array.nulls(), rows).into_iter().map(of).sum::<usize>()
        }
        DataType::FixedSizeBinary(size) => count * usize::try_from(*size).unwrap_or(0),
        other => match other.primitive_width() {
            Some(width) => count * width,
            None => array.slice(rows.start, count).to_data().get_slice_memory_size().unwrap_or(count * 16),
        },
    }
}

/// The runs of rows that are not null.
fn filled(nulls: Option<&NullBuffer>, rows: Range<usize>) -> Vec<Range<usize>> {
    match nulls.filter(|nulls| nulls.null_count() > 0) {
        None => vec![rows],
        Some(nulls) => {
            let part = nulls.slice(rows.start, rows.len());
            part.valid_slices().map(|(from, to)| rows.start + from..rows.start + to).collect()
        }
    }
}

fn spans<O: Copy + TryInto<usize>>(array: &dyn Array, rows: Range<usize>, offsets: &[O]) -> usize {
    let at = |row: usize| offsets.get(row).and_then(|offset| (*offset).try_into().ok()).unwrap_or(0);
    filled(array.nulls(), rows).into_iter().map(|run| at(run.end) - at(run.start)).sum()
}

fn views(array: &dyn Array, rows: Range<usize>, views: &[u128]) -> usize {
    let length = |view: &u128| (*view & u128::from(u32::MAX)) as usize;
    let of = |run: Range<usize>| views.get(run).unwrap_or_default().iter().map(length).sum::<usize>();
    filled(array.nulls(), rows).into_iter().map(of).sum()
}

fn inside<O: Copy + TryInto<usize>>(array: &dyn Array, rows: Range<usize>, offsets: &[O], values: &ArrayRef) -> usize {
    let at = |row: usize| offsets.get(row).and_then(|offset| (*offset).try_into().ok()).unwrap_or(0);
    filled(array.nulls(), rows).into_iter().map(|run| bytes(values, at(run.start)..at(run.end))).sum()
}

/// The same rows in arrays of the same lengths, however they came, so that the library cuts the same pages.
///
/// Columns that hold dictionaries stay as they are: to join two dictionaries is to change them.
pub(super) fn even(arrays: Vec<ArrayRef>) -> Result<Vec<ArrayRef>> {
    let Some(first) = arrays.first() else { return Ok(arrays) };
    let dictionary = |data_type: &DataType| matches!(data_type, DataType::Dictionary(..));
    if any_type(first.data_type(), &dictionary) {
        return Ok(arrays);
    }
    let total: usize = arrays.iter().map(|array| array.len()).sum();
    let mut even = Vec::with_capacity(total.div_ceil(EVEN_ROWS));
    let (mut open, mut held): (Vec<ArrayRef>, usize) = (Vec::new(), 0);
    let mut close = |open: &mut Vec<ArrayRef>| -> Result<()> {
        let joined = match open.as_slice() {
            [] => return Ok(()),
            [only] => only.clone(),
            several => {
                let several: Vec<&dyn Array> = several.iter().map(|array| array.as_ref()).collect();
                concat(&several).map_err(|error| Error::internal(format!("rows cannot be joined: {error}")))?
            }
        };
        open.clear();
        even.push(joined);
        Ok(())
    };
    for array in &arrays {
        let mut start = 0;
        while start < array.len() {
            let rows = (EVEN_ROWS - held).min(array.len() - start);
            open.push(array.slice(start, rows));
            (start, held) = (start + rows, held + rows);
            if held == EVEN_ROWS {
                close(&mut open)?;
                held = 0;
            }
        }
    }
    close(&mut open)?;
    if even.is_empty() {
        even.push(new_empty_array(first.data_type()));
    }
    Ok(even)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, ListArray, StringArray, StringViewArray, StructArray};
    use arrow::datatypes::{Field, Int32Type};

    use super::*;

    #[test]
    fn bytes_add_up_wherever_rows_are_cut() {
        let texts = StringArray::from(vec![Some("one"), None, Some(""), Some("four times four")]);
        let views = StringViewArray::from(vec![Some("one"), None, Some("a text that is too long to lie inside"), None]);
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
            Some(vec![Some(1); 5]),
        ]);
        let fields = vec![(Arc::new(Field::new("a", DataType::Utf8, true)), Arc::new(texts.clone()) as ArrayRef)];
        let arrays: [ArrayRef; 5] = [
            Arc::new(texts),
            Arc::new(views),
            Arc::new(lists),
            Arc::new(StructArray::from(fields)),
            Arc::new(Int32Array::from(vec![1, 2, 3, 4])),
        ];
        for array in arrays {
            let whole = bytes(&array, 0..4);
            for cut in 0..=4 {
                assert_eq!(bytes(&array, 0..cut) + bytes(&array, cut..4), whole, "{:?}", array.data_type());
                let (left, right) = (array.slice(0, cut), array.slice(cut, 4 - cut));
                assert_eq!(bytes(&left, 0..cut) + bytes(&right, 0..4 - cut), whole, "{:?}", array.data_type());
            }
        }
    }

    #[test]
    fn rows_are_cut_where_their_bytes_end() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a"; 100]));
        let batch = RecordBatch::try_from_iter([("a", texts)]).unwrap();
        assert_eq!(rows_within(&batch, 0), 0);
        assert_eq!(rows_within(&batch, 4), 0);
        assert_eq!(rows_within(&batch, 54), 10);
        assert_eq!(rows_within(&batch, 1_000), 100);
    }

    #[test]
    fn even_arrays_hold_the_same_rows() {
        let rows: Int32Array = (0..150_000).collect();
        let cut = |at: &[usize]| {
            let bounds: Vec<usize> = [0].iter().chain(at).chain(&[150_000]).copied().collect();
            bounds.windows(2).map(|pair| Arc::new(rows.slice(pair[0], pair[1] - pair[0])) as ArrayRef).collect()
        };
        let lengths = |arrays: &[ArrayRef]| arrays.iter().map(|array| array.len()).collect::<Vec<_>>();
        let once = even(cut(&[])).unwrap();
        assert_eq!(lengths(&once), [65_536, 65_536, 18_928]);
        assert_eq!(even(cut(&[1, 70_000, 70_000, 149_999])).unwrap(), once);
    }
}
