//! Which rows of a row group a filter wants: by the page index, and then by the values of the filter's own columns, so that
//! the others are decoded for the rows that remain.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::file::metadata::ParquetMetaData;

use super::bloom::Index;
use super::group::Group;
use super::parallel::Unit;
use super::prune;
use crate::error::{Error, Result};
use crate::query::Filter;
use crate::reference::Section;
use crate::serializer::{CheckedSource, guarded};

/// Of rows that are more than such a share, the others are decoded too: to leave out single rows costs more than that.
const WORTH_SKIPPING: usize = 4;

/// A filter, and how its columns are decoded.
pub(super) struct Sieve {
    pub(super) filter: Arc<Filter>,
    /// Of the table.
    pub(super) schema: SchemaRef,
    /// The filter's columns, ascending; absent where no others are wanted.
    pub(super) unit: Option<Unit>,
    /// Where the filter's columns stand in the unit.
    pub(super) places: Vec<usize>,
    pub(super) source: Arc<CheckedSource>,
    /// The page index, and where it ends.
    pub(super) index: Option<(Section, u64)>,
}

impl Sieve {
    /// The bytes before the footer, where there are any, and the metadata with the page index that they hold.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if it is not what was written, or what the storage fails with.
    pub(super) async fn with_index(
        &self,
        metadata: &Arc<ParquetMetaData>,
    ) -> Result<(Option<Index>, Arc<ParquetMetaData>)> {
        let Some((index, end)) = &self.index else { return Ok((None, metadata.clone())) };
        let start =
            end.checked_sub(index.size).ok_or_else(|| Error::damaged("the page index begins before the file"))?;
        let index = Index { bytes: self.source.read_section(index, *end, "page index").await?, start };
        let size = self.source.part().size;
        let metadata = guarded(|| prune::with_index(metadata, &index, size))?;
        Ok((Some(index), Arc::new(metadata)))
    }

    /// The rows of a row group that may be wanted, as far as its bloom filters and its pages' bounds tell.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if they make no sense.
    pub(super) fn pages(
        &self,
        metadata: &ParquetMetaData,
        index: Option<&Index>,
        group: usize,
    ) -> Result<RowSelection> {
        guarded(|| {
            if let Some(index) = index
                && !prune::may_find(metadata, &self.schema, &self.filter, group, index)?
            {
                return Ok(RowSelection::default());
            }
            prune::rows(metadata, &self.schema, &self.filter, group)
        })
    }

    /// The rows of `selection` that are wanted, or more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the filter's columns cannot be decoded.
    pub(super) fn rows(&self, group: &Group, selection: RowSelection, batch_rows: usize) -> Result<RowSelection> {
        let Some(unit) = &self.unit else { return Ok(selection) };
        let mut decoded = group.decode(&unit.columns, selection.clone(), batch_rows)?;
        let (mut finishing, mut truths) = (unit.finishing.clone(), Vec::new());
        while let Some(columns) = decoded.next()? {
            let columns = guarded(|| finishing.finish(&columns))?;
            truths.push(self.test(&columns)?);
        }
        let (kept, rows) =
            truths.iter().fold((0, 0), |(kept, rows), truth| (kept + truth.true_count(), rows + truth.len()));
        if rows != selection.row_count() {
            return Err(Error::damaged(format!("a row group has {rows} rows where others were expected")));
        }
        if kept > rows / WORTH_SKIPPING {
            return Ok(selection);
        }
        Ok(selection.and_then(&RowSelection::from_filters(&truths)))
    }

    fn test(&self, columns: &[ArrayRef]) -> Result<BooleanArray> {
        let rows = columns.first().map_or(0, |column| column.len());
        let tested = self.places.iter().map(|place| columns.get(*place).cloned()).collect::<Option<Vec<ArrayRef>>>();
        let tested = tested.ok_or_else(|| Error::internal("a column of the filter was not decoded"))?;
        let truth = self.filter.evaluate(&tested, rows)?;
        Ok(if truth.null_count() > 0 { prep_null_mask_filter(&truth) } else { truth })
    }
}
