//! Which row groups of a Parquet file a filter wants, by the statistics in the footer, and which rows of one, by the page
//! index.

use std::collections::BTreeSet;
use std::ops::Range;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder, RowGroupMetaData};

use super::bloom::{Bloom, Index};
use super::footer;
use super::statistics::leaves;
use crate::error::{Error, Result};
use crate::query::Filter;
use crate::query::filter::{Bounds, Value};

/// The positions of the row groups that may hold rows for which `filter` is true.
///
/// `schema` is that of the table, in which columns may be dictionaries that are plain in the file.
///
/// # Errors
///
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the statistics cannot be made sense of.
pub(super) fn row_groups(metadata: &ParquetMetaData, schema: &Schema, filter: &Filter) -> Result<Vec<usize>> {
    let read = |found: Option<Found>| found.map(|found| found.of_row_groups(metadata)).transpose();
    let known = columns(metadata, schema, filter).map(|(column, found)| Ok((column, read(found)?)));
    let known = known.collect::<Result<Vec<(usize, Option<Known>)>>>()?;
    let may_hold = |(position, group): (usize, &RowGroupMetaData)| {
        let bounds = |column: usize| {
            let (_, column) = known.iter().find(|(known, _)| *known == column)?;
            column.as_ref()?.bounds(position)
        };
        filter.outcomes(&bounds).yes.then_some(position).filter(|_| group.num_rows() > 0)
    };
    Ok(metadata.row_groups().iter().enumerate().filter_map(may_hold).collect())
}

/// The same metadata with the page index.
///
/// # Errors
///
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if it is malformed.
pub(super) fn with_index(metadata: &ParquetMetaData, index: &Index, size: u64) -> Result<ParquetMetaData> {
    let (start, index) = (index.start, &index.bytes);
    let malformed = || Error::damaged("the Parquet page index is malformed");
    let failed = |error: ParquetError| Error::damaged(format!("the Parquet page index cannot be read: {error}"));
    let end = start.checked_add(index.len() as u64).ok_or_else(malformed)?;
    for chunk in metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        for (offset, length) in [
            (chunk.column_index_offset(), chunk.column_index_length()),
            (chunk.offset_index_offset(), chunk.offset_index_length()),
        ] {
            let Some((offset, length)) = offset.zip(length) else { continue };
            let from = u64::try_from(offset).ok().and_then(|offset| offset.checked_sub(start)).ok_or_else(malformed)?;
            let from = usize::try_from(from).map_err(|_| malformed())?;
            let until = usize::try_from(length).ok().and_then(|length| from.checked_add(length));
            let bytes = index.get(from..until.ok_or_else(malformed)?).ok_or_else(malformed)?;
            footer::check_structure(bytes)?;
        }
    }
    let mut decoder = ParquetMetaDataPushDecoder::try_new_with_metadata(size, metadata.clone())
        .map_err(failed)?
        .with_page_index_policy(PageIndexPolicy::Optional);
    decoder.push_range(start..end, index.clone()).map_err(failed)?;
    match decoder.try_decode().map_err(failed)? {
        DecodeResult::Data(metadata) => Ok(metadata),
        _ => Err(malformed()),
    }
}

/// The rows of a row group for which `filter` may be true; all of them where `metadata` has no page index.
///
/// # Errors
///
/// As [`row_groups`].
pub(super) fn rows(metadata: &ParquetMetaData, schema: &Schema, filter: &Filter, group: usize) -> Result<RowSelection> {
    let total = metadata.row_groups().get(group).map_or(0, |group| group.num_rows().unsigned_abs());
    let read = |found: Option<Found>| found.map(|found| found.of_pages(metadata, group, total)).transpose();
    let known = columns(metadata, schema, filter).map(|(column, found)| Ok((column, read(found)?.flatten())));
    let known = known.collect::<Result<Vec<(usize, Option<Known>)>>>()?;
    // The pages of different columns end at different rows.
    let mut cuts: BTreeSet<u64> =
        known.iter().flat_map(|(_, known)| known).flat_map(|known| known.starts.clone()).collect();
    cuts.extend([0, total]);
    let cuts: Vec<u64> = cuts.into_iter().collect();
    let kept = cuts.windows(2).filter_map(|ends| {
        let (&start, &end) = (ends.first()?, ends.last()?);
        let bounds = |column: usize| {
            let (_, known) = known.iter().find(|(known, _)| *known == column)?;
            let known = known.as_ref()?;
            let page = known.starts.partition_point(|first| *first <= start).checked_sub(1)?;
            known.bounds(page)
        };
        let narrow = |row: u64| usize::try_from(row).ok();
        filter.outcomes(&bounds).yes.then_some(narrow(start)?..narrow(end)?)
    });
    let kept: Vec<Range<usize>> = kept.collect();
    Ok(RowSelection::from_consecutive_ranges(kept.into_iter(), usize::try_from(total).unwrap_or(usize::MAX)))
}

/// Whether a row group may hold rows for which `filter` is true, by its bloom filters.
///
/// # Errors
///
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if they are malformed.
pub(super) fn may_find(
    metadata: &ParquetMetaData,
    schema: &Schema,
    filter: &Filter,
    group: usize,
    index: &Index,
) -> Result<bool> {
    let Some(group) = metadata.row_groups().get(group) else { return Ok(true) };
    let mut blooms = Vec::new();
    for (column, found) in columns(metadata, schema, filter) {
        let bloom = found.map(|found| Bloom::of(group, found.leaf, index)).transpose()?.flatten();
        blooms.extend(bloom.map(|bloom| (column, bloom)));
    }
    let lacks = |column: usize, value: &Value| blooms.iter().any(|(of, bloom)| *of == column && bloom.lacks(value));
    Ok(filter.may_find(&lacks))
}

/// The columns of a filter, with those of the file where they can be told by bounds.
fn columns<'a>(
    metadata: &ParquetMetaData,
    schema: &'a Schema,
    filter: &'a Filter,
) -> impl Iterator<Item = (usize, Option<Found>)> {
    let leaves = leaves(metadata, schema.fields().len());
    filter.columns().iter().map(move |column| {
        let leaf = leaves.get(*column).copied().flatten();
        let found = schema.fields().get(*column).zip(leaf).filter(|(field, _)| !field.data_type().is_nested());
        (*column, found.map(|(field, leaf)| Found::new(field, leaf)))
    })
}

/// A column in the file.
struct Found {
    leaf: usize,
    /// With the type of its values, where it is a dictionary.
    field: Field,
}

/// What is known of a column, row group by row group, or page by page.
struct Known {
    mins: ArrayRef,
    maxes: ArrayRef,
    nulls: UInt64Array,
    /// Whether min and max are in the order of the type.
    ordered: Vec<bool>,
    rows: Vec<u64>,
    /// The first row of each page.
    starts: Vec<u64>,
}

impl Found {
    fn new(field: &Field, leaf: usize) -> Self {
        let field = match field.data_type() {
            DataType::Dictionary(_, values) => field.clone().with_data_type(values.as_ref().clone()),
            _ => field.clone(),
        };
        Self { leaf, field }
    }

    fn failed(&self) -> impl Fn(ParquetError) -> Error {
        |error| Error::damaged(format!("the statistics of column `{}` cannot be read: {error}", self.field.name()))
    }

    fn converter<'a>(&'a self, metadata: &'a ParquetMetaData) -> Result<StatisticsConverter<'a>> {
        let descriptor = metadata.file_metadata().schema_descr();
        let converter = StatisticsConverter::from_column_index(self.leaf, &self.field, descriptor);
        Ok(converter.map_err(self.failed())?.with_missing_null_counts_as_zero(false))
    }

    fn of_row_groups(&self, metadata: &ParquetMetaData) -> Result<Known> {
        let (converter, groups) = (self.converter(metadata)?, metadata.row_groups());
        let ordered = |group: &RowGroupMetaData| {
            let statistics = group.columns().get(self.leaf).and_then(|chunk| chunk.statistics());
            // Under their old names, min and max are in no order that could be relied on.
            statistics.is_some_and(|statistics| !statistics.is_min_max_deprecated())
        };
        Ok(Known {
            mins: converter.row_group_mins(groups).map_err(self.failed())?,
            maxes: converter.row_group_maxes(groups).map_err(self.failed())?,
            nulls: converter.row_group_null_counts(groups).map_err(self.failed())?,
            ordered: groups.iter().map(ordered).collect(),
            rows: groups.iter().map(|group| group.num_rows().unsigned_abs()).collect(),
            starts: Vec::new(),
        })
    }

    fn of_pages(&self, metadata: &ParquetMetaData, group: usize, total: u64) -> Result<Option<Known>> {
        let Some((columns, offsets)) = metadata.column_index().zip(metadata.offset_index()) else { return Ok(None) };
        let Some(pages) = offsets.get(group).and_then(|group| group.get(self.leaf)) else { return Ok(None) };
        if columns.get(group).and_then(|group| group.get(self.leaf)).is_none() {
            return Ok(None);
        }
        let first =
            |page: &parquet::file::page_index::offset_index::PageLocation| u64::try_from(page.first_row_index).ok();
        let starts = pages.page_locations().iter().map(first).collect::<Option<Vec<u64>>>().unwrap_or_default();
        let in_order =
            starts.first() == Some(&0) && starts.iter().zip(starts.iter().skip(1).chain([&total])).all(|(a, b)| a <= b);
        if !in_order {
            return Err(Error::damaged("the Parquet page index has pages that do not follow each other"));
        }
        let converter = self.converter(metadata)?;
        let rows = starts.iter().zip(starts.iter().skip(1).chain([&total])).map(|(start, end)| end - start).collect();
        Ok(Some(Known {
            mins: converter.data_page_mins(columns, offsets, [&group]).map_err(self.failed())?,
            maxes: converter.data_page_maxes(columns, offsets, [&group]).map_err(self.failed())?,
            nulls: converter.data_page_null_counts(columns, offsets, [&group]).map_err(self.failed())?,
            ordered: vec![true; starts.len()],
            rows,
            starts,
        }))
    }
}

impl Known {
    fn bounds(&self, position: usize) -> Option<Bounds> {
        let ordered = self.ordered.get(position).copied().unwrap_or_default();
        let value = |values: &ArrayRef| Value::of(values, position).filter(|_| ordered);
        let nulls = (position < self.nulls.len() && self.nulls.is_valid(position)).then(|| self.nulls.value(position));
        let rows = self.rows.get(position).copied()?;
        Some(Bounds { min: value(&self.mins), max: value(&self.maxes), nulls, rows })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{DictionaryArray, Float64Array, Int8Array, Int64Array, RecordBatch, StringArray};
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
    use parquet::file::metadata::ParquetMetaDataReader;
    use parquet::file::properties::WriterProperties;
    use proptest::prelude::*;

    use super::*;

    const ROWS_A_GROUP: usize = 40;

    type Row = (Option<i64>, Option<f64>, Option<u8>);

    fn batch(rows: &[Row]) -> RecordBatch {
        let text = |seed: u8| "ab".repeat(usize::from(seed % 4) * 20) + &"xyz"[..usize::from(seed % 3) + 1];
        let words: StringArray = rows.iter().map(|row| row.2.map(text)).collect();
        let keys: Int8Array = rows.iter().map(|row| row.2.map(|seed| (seed % 3) as i8)).collect();
        let values = StringArray::from(vec![Some("p"), None, Some("r")]);
        let columns: [(&str, ArrayRef); 4] = [
            ("n", Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>())),
            ("x", Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>())),
            ("t", Arc::new(words)),
            ("d", Arc::new(DictionaryArray::try_new(keys, Arc::new(values)).unwrap())),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
    }

    /// A file of small row groups and pages: its metadata, and its page index with where that begins.
    fn written(batch: &RecordBatch) -> (ParquetMetaData, Bytes, u64, u64) {
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(ROWS_A_GROUP))
            .set_data_page_row_count_limit(8)
            .set_write_batch_size(8)
            .set_statistics_truncate_length(Some(8))
            .set_column_index_truncate_length(Some(8))
            .build();
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        let footer = file.len() - 8 - u32::from_le_bytes(file[file.len() - 8..][..4].try_into().unwrap()) as usize;
        let metadata = ParquetMetaDataReader::decode_metadata(&file[footer..file.len() - 8]).unwrap();
        let chunks = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
        let start = chunks.filter_map(|chunk| chunk.column_index_offset()).min().map_or(footer, |start| start as usize);
        (metadata, Bytes::from(file[start..footer].to_vec()), start as u64, file.len() as u64)
    }

    const FILTERS: [&str; 17] = [
        "n > 50",
        "n = 7.5",
        "n BETWEEN 10 AND 12",
        "n IS NULL",
        "n IS NOT NULL AND x < 0",
        "x >= 2",
        "NOT x >= 2",
        "x <> 0",
        "x IN (1, 2.5)",
        "t LIKE 'abab%'",
        "t < 'abababababx'",
        "t = 'x' OR n > 90",
        "d = 'p'",
        "d IS NULL AND n < 60",
        "(n > 20) IS NOT TRUE",
        "n NOT IN (1, 2, NULL) OR t IS NULL",
        "FALSE",
    ];

    fn rows_of() -> impl Strategy<Value = Vec<Row>> {
        let float = prop_oneof![4 => (-8..8_i32).prop_map(|value| f64::from(value) / 2.0), 1 => Just(f64::NAN), 1 => Just(-0.0)];
        let row =
            (prop::option::weighted(0.8, 0..10_i64), prop::option::weighted(0.8, float), prop::option::of(any::<u8>()));
        prop::collection::vec(row, 1..130).prop_map(|mut rows| {
            let near = |(at, row): (usize, &mut Row)| row.0 = row.0.map(|value| value + at as i64);
            rows.iter_mut().enumerate().for_each(near);
            rows
        })
    }

    proptest! {
        #[test]
        fn no_row_that_is_kept_is_left_out(rows in rows_of()) {
            let batch = batch(&rows);
            let (metadata, index, start, size) = written(&batch);
            let indexed = with_index(&metadata, &Index { bytes: index, start }, size).unwrap();
            for text in FILTERS {
                let filter = Filter::parse(text, &batch.schema()).unwrap();
                let truth = filter.test(&batch).unwrap();
                let groups = row_groups(&metadata, &batch.schema(), &filter).unwrap();
                for group in 0..metadata.num_row_groups() {
                    let wanted: Vec<usize> = (0..metadata.row_group(group).num_rows() as usize)
                        .filter(|row| truth.is_valid(group * ROWS_A_GROUP + row) && truth.value(group * ROWS_A_GROUP + row))
                        .collect();
                    prop_assert!(wanted.is_empty() || groups.contains(&group), "{text}: group {group}");
                    let mut selected = Vec::new();
                    let mut at = 0;
                    for selector in self::rows(&indexed, &batch.schema(), &filter, group).unwrap().iter() {
                        if !selector.skip {
                            selected.extend(at..at + selector.row_count);
                        }
                        at += selector.row_count;
                    }
                    prop_assert!(wanted.iter().all(|row| selected.contains(row)), "{text}: {wanted:?} of {selected:?}");
                }
            }
        }
    }

    fn counting() -> RecordBatch {
        let row = |row: usize| (Some(row as i64), Some(row as f64), (row >= 80).then_some(1));
        batch(&(0..120).map(row).collect::<Vec<_>>())
    }

    #[test]
    fn groups_and_pages_that_cannot_hold_a_row_are_left_out() {
        let batch = counting();
        let (metadata, index, start, size) = written(&batch);
        let indexed = with_index(&metadata, &Index { bytes: index, start }, size).unwrap();
        for (text, groups, rows) in [
            ("n < 10", vec![0], [16, 0, 0]),
            ("n = 79 OR n > 1000", vec![1], [0, 8, 0]),
            ("x BETWEEN 39 AND 40", vec![0, 1], [8, 8, 0]),
            ("t IS NULL AND n >= 40", vec![1], [0, 40, 0]),
            ("t LIKE 'zz%'", vec![], [0, 0, 0]),
            ("d IS NOT NULL", vec![], [0, 0, 0]),
            ("n IS NULL", vec![], [0, 0, 0]),
            ("TRUE", vec![0, 1, 2], [40, 40, 40]),
        ] {
            let filter = Filter::parse(text, &batch.schema()).unwrap();
            assert_eq!(row_groups(&metadata, &batch.schema(), &filter).unwrap(), groups, "{text}");
            let selected = |group| self::rows(&indexed, &batch.schema(), &filter, group).unwrap().row_count();
            assert_eq!([selected(0), selected(1), selected(2)], rows, "{text}");
            let all = self::rows(&metadata, &batch.schema(), &filter, 0).unwrap().row_count();
            assert!(all == 40 || rows == [0, 0, 0] && all == 0, "without an index, {text}: {all}");
        }
    }

    #[test]
    fn a_page_index_that_does_not_fit_is_damage() {
        let (metadata, index, start, size) = written(&counting());
        for (index, start) in [
            (index.slice(1..), start),
            (index.slice(..index.len() - 1), start),
            (index.clone(), start + 1),
            (Bytes::from(vec![0xff; index.len()]), start),
        ] {
            let error = with_index(&metadata, &Index { bytes: index, start }, size).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Damaged);
        }
    }
}
