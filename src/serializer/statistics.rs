//! What the footers of a table's parts say of its columns: no data is read for it.

use arrow::array::{Array, ArrayRef, new_empty_array};
use arrow::compute::{SortOptions, concat, sort_to_indices};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::guarded;
use crate::error::{Error, Result};

/// A value is displayed in at most so many characters.
const DISPLAYED: usize = 40;

/// The statistics of one top-level column.
///
/// `min` and `max` are in the order of the column's type: numbers and times by their size, text and bytes by their bytes,
/// so that `Z` comes before `a`; a dictionary by its values, whatever order its categories have. In columns of floating
/// point numbers NaN is left out of both, -0.0 may stand for 0.0, and the other way round.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnStatistics {
    /// The column's name.
    pub name: String,
    /// The bytes that it takes as stored, compressed, in all parts.
    pub bytes: u64,
    /// How many of its rows are null; absent for nested columns, and where the files do not say.
    pub nulls: Option<u64>,
    /// An array of one element, in the column's own type: no value is less. Absent for nested columns and types without
    /// an order (durations, intervals), where all rows are null or NaN, and where the files do not say.
    pub min: Option<ArrayRef>,
    /// The same of which no value is greater.
    pub max: Option<ArrayRef>,
    /// Whether `min` and `max` occur in the column. Of long text and bytes the files keep only the beginning (64 bytes),
    /// so that both are no more than bounds; they still hold. `false` where one of them is absent.
    pub exact: bool,
    /// How its values are encoded and compressed, as `dictionary, zstd`; several, joined by `; `, where row groups differ.
    /// Absent where the format has one way only.
    pub encoding: Option<String>,
    /// Why they are, where the writer chose.
    pub why: Option<String>,
}

impl ColumnStatistics {
    /// `min` as text of at most 40 characters, the last of them `…` where it is longer; none where it has no text, as
    /// a date beyond the calendar.
    pub fn display_min(&self) -> Option<String> {
        displayed(self.min.as_ref()?)
    }

    /// `max` as text, as [`ColumnStatistics::display_min`].
    pub fn display_max(&self) -> Option<String> {
        displayed(self.max.as_ref()?)
    }

    /// The statistics of a column from those of its pieces, each with the number of its rows.
    ///
    /// A piece that has values and says nothing of them leaves nothing to say of the whole.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the pieces say more than can be counted, or do not have the
    /// same type.
    pub(crate) fn merged(name: &str, pieces: &[(u64, Self)]) -> Result<Self> {
        let overflow = || Error::damaged(format!("the statistics of column `{name}` are larger than can be counted"));
        let mut bytes = 0_u64;
        let mut nulls = Some(0_u64);
        for (_, piece) in pieces {
            bytes = bytes.checked_add(piece.bytes).ok_or_else(overflow)?;
            nulls = match (nulls, piece.nulls) {
                (Some(sum), Some(more)) => Some(sum.checked_add(more).ok_or_else(overflow)?),
                _ => None,
            };
        }
        let with_values: Vec<&Self> =
            pieces.iter().filter(|(rows, piece)| piece.nulls != Some(*rows)).map(|(_, piece)| piece).collect();
        let min = extreme(name, with_values.iter().map(|piece| piece.min.as_ref()), false)?;
        let max = extreme(name, with_values.iter().map(|piece| piece.max.as_ref()), true)?;
        let exact = min.is_some() && max.is_some() && with_values.iter().all(|piece| piece.exact);
        let mut ways: Vec<&str> = Vec::new();
        for way in pieces.iter().filter_map(|(_, piece)| piece.encoding.as_deref()) {
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        let encoding = (!ways.is_empty()).then(|| ways.join("; "));
        let why = pieces.iter().find_map(|(_, piece)| piece.why.clone());
        Ok(Self { name: name.to_owned(), bytes, nulls, min, max, exact, encoding, why })
    }
}

/// The least of `candidates`, or the greatest; none if one is absent, or there are none.
fn extreme<'a>(
    name: &str,
    candidates: impl Iterator<Item = Option<&'a ArrayRef>>,
    greatest: bool,
) -> Result<Option<ArrayRef>> {
    let Some(candidates) = candidates.collect::<Option<Vec<_>>>() else { return Ok(None) };
    let arrays: Vec<&dyn Array> = candidates.iter().map(|array| array.as_ref()).collect();
    if arrays.len() < 2 {
        return Ok(candidates.first().map(|only| (*only).clone()));
    }
    let failed = |error| Error::damaged(format!("the statistics of column `{name}` cannot be compared: {error}"));
    let all = concat(&arrays).map_err(failed)?;
    let order = SortOptions { descending: greatest, nulls_first: false };
    let first = sort_to_indices(&all, Some(order), Some(1)).map_err(failed)?;
    let first = first.iter().flatten().next().and_then(|first| usize::try_from(first).ok());
    // A slice would keep the others in memory.
    first.map(|first| concat(&[&all.slice(first, 1), &new_empty_array(all.data_type())]).map_err(failed)).transpose()
}

fn displayed(value: &ArrayRef) -> Option<String> {
    let options = FormatOptions::default();
    let text = guarded(|| {
        let text = ArrayFormatter::try_new(value, &options).and_then(|formatter| formatter.value(0).try_to_string());
        text.map_err(|error| Error::damaged(error.to_string()))
    });
    let text = text.ok()?;
    if text.chars().nth(DISPLAYED).is_none() {
        return Some(text);
    }
    Some(text.chars().take(DISPLAYED - 1).chain(['…']).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    fn piece(nulls: Option<u64>, bounds: Option<(i64, i64)>) -> ColumnStatistics {
        let array = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
        let (min, max) = (bounds.map(|bounds| array(bounds.0)), bounds.map(|bounds| array(bounds.1)));
        ColumnStatistics {
            name: "n".into(),
            bytes: 10,
            nulls,
            exact: bounds.is_some(),
            min,
            max,
            encoding: None,
            why: None,
        }
    }

    fn merged(pieces: &[(u64, ColumnStatistics)]) -> ColumnStatistics {
        ColumnStatistics::merged("n", pieces).unwrap()
    }

    #[test]
    fn pieces_make_a_whole() {
        let whole = merged(&[(5, piece(Some(1), Some((-3, 9)))), (4, piece(Some(0), Some((2, 10))))]);
        assert_eq!((whole.bytes, whole.nulls, whole.exact), (20, Some(1), true));
        assert_eq!((whole.display_min().as_deref(), whole.display_max().as_deref()), (Some("-3"), Some("10")));
    }

    #[test]
    fn what_one_piece_does_not_say_is_not_known() {
        let unknown = merged(&[(5, piece(Some(0), Some((1, 2)))), (4, piece(Some(3), None))]);
        assert_eq!((unknown.min, unknown.max, unknown.exact, unknown.nulls), (None, None, false, Some(3)));
        // A piece of nothing but nulls has nothing to say.
        let known = merged(&[(5, piece(Some(0), Some((1, 2)))), (4, piece(Some(4), None))]);
        assert_eq!((known.display_max().as_deref(), known.exact, known.nulls), (Some("2"), true, Some(4)));
        assert_eq!(merged(&[(5, piece(None, Some((1, 2)))), (4, piece(Some(0), Some((1, 2))))]).nulls, None);
        assert_eq!(merged(&[]).min, None);
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let text = "ż".repeat(41);
        let array: ArrayRef = Arc::new(StringArray::from(vec![text.as_str()]));
        assert_eq!(displayed(&array).unwrap(), "ż".repeat(39) + "…");
        let array: ArrayRef = Arc::new(StringArray::from(vec![&text[..80]]));
        assert_eq!(displayed(&array).unwrap(), "ż".repeat(40));
    }

    #[test]
    fn counts_that_overflow_are_damage() {
        let huge = ColumnStatistics { bytes: u64::MAX, ..piece(Some(0), None) };
        assert!(ColumnStatistics::merged("n", &[(1, huge.clone()), (1, huge)]).is_err());
    }
}
