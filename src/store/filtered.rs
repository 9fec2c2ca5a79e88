//! The rows of a scan that a filter keeps.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::DataType;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::scan::Read;
use crate::error::{Error, Result};
use crate::query::{Filter, Rows};

/// A filter, and where its columns stand in the batches that are read.
pub(super) struct Filtering {
    filter: Arc<Filter>,
    places: Vec<usize>,
}

impl Filtering {
    /// For batches of the columns at these positions, ascending; of all where absent.
    pub(super) fn new(filter: Filter, read: Option<&[usize]>) -> Self {
        let place = |column: &usize| match read {
            Some(read) => read.binary_search(column).unwrap_or(usize::MAX),
            None => *column,
        };
        Self { places: filter.columns().iter().map(place).collect(), filter: Arc::new(filter) }
    }

    /// For batches of the filter's own columns, and these.
    fn alone(&self) -> (Self, Vec<usize>) {
        let mut columns = self.filter.columns().to_vec();
        columns.sort_unstable();
        (Self::new(self.filter.as_ref().clone(), Some(&columns)), columns)
    }

    /// Which rows of a batch are kept; what is unknown is null.
    fn test(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let columns = self.places.iter().map(|place| batch.columns().get(*place).cloned());
        let columns = columns.collect::<Option<Vec<ArrayRef>>>();
        let columns = columns.ok_or_else(|| Error::damaged("a part does not have the columns that were asked for"))?;
        self.filter.evaluate(&columns, batch.num_rows())
    }
}

/// The batches of a scan that has a filter.
pub(super) fn stream(read: Arc<Read>) -> BoxStream<'static, Result<RecordBatch>> {
    let found = async move {
        let (part, skip, limit) = match read.rows {
            Rows::From { offset, limit } => (0, offset, limit),
            Rows::Last(count) => {
                let (part, skip) = where_the_last_begin(&read, count).await?;
                (part, skip, Some(count))
            }
        };
        let batches = kept_from(read.clone(), part);
        let cut = Cut { batches, skip, left: limit.unwrap_or(u64::MAX), given: false, read };
        Ok::<_, Error>(stream::try_unfold(cut, Cut::next))
    };
    stream::once(found).try_flatten().boxed()
}

/// The part that holds the first of the last `count` rows that are kept, and how many that are kept come before it there.
///
/// Reads the filter's columns alone, from the last part on, and no more parts than it must.
async fn where_the_last_begin(read: &Arc<Read>, count: u64) -> Result<(usize, u64)> {
    let mut found = 0_u64;
    if let Some((alone, columns)) = read.filtering.as_ref().map(Filtering::alone) {
        for part in (0..read.parts.len()).rev() {
            if found >= count {
                return Ok((part + 1, found - count));
            }
            let rows = read.parts.get(part).cloned().unwrap_or_default();
            let mut batches = read.stored(part, rows, Some(columns.clone()), Some(alone.filter.clone())).await?;
            while let Some(batch) = batches.try_next().await? {
                found += alone.test(&batch)?.true_count() as u64;
            }
        }
    }
    Ok((0, found.saturating_sub(count)))
}

/// The rows that are kept, of this part and those after it.
fn kept_from(read: Arc<Read>, part: usize) -> BoxStream<'static, Result<RecordBatch>> {
    let parts = read.parts.len();
    let kept = stream::iter(part..parts).then(move |part| kept_of(read.clone(), part));
    kept.try_flatten().boxed()
}

async fn kept_of(read: Arc<Read>, part: usize) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let Some(filtering) = &read.filtering else { return Ok(stream::empty().boxed()) };
    let rows = read.parts.get(part).cloned().unwrap_or_default();
    if rows.is_empty() {
        return Ok(stream::empty().boxed());
    }
    let columns = read.columns.as_ref().map(|(columns, _)| columns.clone());
    let batches = read.stored(part, rows, columns, Some(filtering.filter.clone())).await?;
    let kept = batches.map(move |batch| {
        let batch = batch?;
        let truth = read.filtering.as_ref().map(|filtering| filtering.test(&batch)).transpose()?;
        let batch = read.arrange(batch)?;
        truth.map_or(Ok(None), |truth| kept(&batch, &truth))
    });
    Ok(kept.try_filter_map(|batch| async { Ok(batch) }).boxed())
}

/// The rows of a batch for which it is true; none if there are none.
fn kept(batch: &RecordBatch, truth: &BooleanArray) -> Result<Option<RecordBatch>> {
    match truth.true_count() {
        0 => Ok(None),
        all if all == batch.num_rows() => Ok(Some(batch.clone())),
        some => {
            let kept = filter_record_batch(batch, truth).map_err(|error| Error::internal(error.to_string()))?;
            if some > batch.num_rows() / 2 { Ok(Some(kept)) } else { without_slack(&kept).map(Some) }
        }
    }
}

/// The same rows; those of views without the values of the rows that were left out, which would stay in memory.
fn without_slack(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()) as ArrayRef,
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()) as ArrayRef,
        _ => column.clone(),
    });
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns.collect(), &options)
        .map_err(|error| Error::internal(error.to_string()))
}

/// The rows that are kept, from one on, up to another.
struct Cut {
    batches: BoxStream<'static, Result<RecordBatch>>,
    /// How many rows come before the first that is wanted.
    skip: u64,
    /// How many rows are wanted.
    left: u64,
    given: bool,
    read: Arc<Read>,
}

impl Cut {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        while self.left > 0 {
            let Some(batch) = self.batches.try_next().await? else { break };
            let rows = batch.num_rows() as u64;
            let from = self.skip.min(rows);
            self.skip -= from;
            let some = (rows - from).min(self.left);
            if some > 0 {
                self.left -= some;
                self.given = true;
                let batch = batch.slice(usize::try_from(from).unwrap_or(0), usize::try_from(some).unwrap_or(0));
                return Ok(Some((batch, self)));
            }
        }
        if self.given || !self.read.shows_dictionaries() {
            return Ok(None);
        }
        (self.given, self.left) = (true, 0);
        let mut empty = self.read.clone().part(0, 0..0).await?;
        Ok(empty.try_next().await?.map(|batch| (batch, self)))
    }
}
