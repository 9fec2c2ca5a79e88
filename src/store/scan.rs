//! Some columns and rows of a table, as a stream of batches.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::filtered::{self, Filtering};
use super::open::naming;
use super::{Inner, Opened, Progress, Target};
use crate::error::{Error, Result};
use crate::query::{Filter, Query, Rows, filter, project};
use crate::serializer::ReadPlan;
use crate::value::{Batches, Table};

const BATCH_ROWS: usize = 64 * 1024;
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// A read of some columns and rows of a table.
///
/// ```
/// # use std::sync::Arc;
/// # use arrow::array::{Int64Array, RecordBatch};
/// # use coldframe::ResultStore;
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let store = ResultStore::open("memory://").await?;
/// # let column = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as _;
/// # let batch = RecordBatch::try_from_iter([("fare", column(vec![12, 7, 9])), ("tip", column(vec![1, 2, 3]))])?;
/// store.put("etl/trips", batch).await?;
/// let table = store.scan("etl/trips").columns(["tip"]).tail(2).collect().await?;
/// assert_eq!((table.rows(), table.schema().fields().len()), (2, 1));
/// # Ok::<(), coldframe::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a scan reads nothing until `batches` or `collect`"]
pub struct Scan {
    from: From,
    query: Query,
    progress: Arc<Progress>,
    check: bool,
    /// What the caller called, for errors.
    operation: &'static str,
}

#[derive(Debug)]
enum From {
    Target(Arc<Inner>, Result<Target>),
    Opened(Box<Opened>),
}

impl Scan {
    pub(super) fn new(store: Arc<Inner>, target: Result<Target>) -> Self {
        Self::from(From::Target(store, target))
    }

    pub(super) fn of(opened: Opened) -> Self {
        Self::from(From::Opened(Box::new(opened)))
    }

    fn from(from: From) -> Self {
        Self { from, query: Query::default(), progress: Arc::default(), check: false, operation: "scan" }
    }

    pub(super) fn named(self, operation: &'static str) -> Self {
        Self { operation, ..self }
    }

    /// Only these columns, in this order.
    pub fn columns<I: IntoIterator<Item: Into<String>>>(mut self, columns: I) -> Self {
        self.query.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Only the rows for which a condition holds, such as `fare > 10 AND carrier IN ('AA', 'UA')`; how it is written,
    /// [`query::filter`](crate::query::filter) says. Its columns need not be among those that are asked for.
    ///
    /// Rows are counted, by [`Scan::offset`], [`Scan::limit`], [`Scan::head`] and [`Scan::tail`], among those that
    /// remain, in whatever order these are called. Row groups that cannot hold such rows are not read. The last rows are
    /// found by a pass over the filter's columns, from the last part on, before any is handed out. The last filter that
    /// is set counts.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use arrow::array::{Int64Array, RecordBatch};
    /// # use coldframe::ResultStore;
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let store = ResultStore::open("memory://").await?;
    /// # let column = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as _;
    /// # let batch = RecordBatch::try_from_iter([("fare", column(vec![12, 7, 9])), ("tip", column(vec![1, 2, 3]))])?;
    /// store.put("etl/trips", batch).await?;
    /// let table = store.scan("etl/trips").columns(["tip"]).filter("fare < 10").head(1).collect().await?;
    /// assert_eq!((table.rows(), table.schema().fields().len()), (1, 1));
    /// # Ok::<(), coldframe::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn filter(mut self, condition: impl Into<String>) -> Self {
        self.query.filter = Some(condition.into());
        self
    }

    /// Leaves out the first rows.
    pub fn offset(mut self, offset: u64) -> Self {
        let limit = match self.query.rows {
            Rows::From { limit, .. } => limit,
            Rows::Last(_) => None,
        };
        self.query.rows = Rows::From { offset, limit };
        self
    }

    /// At most so many rows.
    pub fn limit(mut self, limit: u64) -> Self {
        let offset = match self.query.rows {
            Rows::From { offset, .. } => offset,
            Rows::Last(_) => 0,
        };
        self.query.rows = Rows::From { offset, limit: Some(limit) };
        self
    }

    /// The first rows.
    pub fn head(mut self, rows: u64) -> Self {
        self.query.rows = Rows::From { offset: 0, limit: Some(rows) };
        self
    }

    /// The last rows.
    pub fn tail(mut self, rows: u64) -> Self {
        self.query.rows = Rows::Last(rows);
        self
    }

    /// At most so many rows a batch; there may be fewer, to bound a batch's bytes.
    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.query.batch_rows = Some(rows);
        self
    }

    /// Whether also what lies in a mapped file of this user is compared with its checksums, and looked over.
    ///
    /// Only an uncompressed Arrow file on a local disk, which belongs to the user of this process and which nobody else may
    /// write to, is otherwise handed out as it lies, with its size, its footer, its dictionaries and the heads of its
    /// messages checked. All else is checked in any case. So check a file that somebody else may have made, such as one
    /// from a store that was unpacked here, before arrays from it are given to code that trusts their offsets and text.
    pub fn check(mut self, check: bool) -> Self {
        self.check = check;
        self
    }

    /// Counters to watch.
    pub fn progress(mut self, progress: Arc<Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// The rows as a stream of batches, which are read as they are taken.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for a result or column,
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if it is no table, and as [`Filter::parse`], before
    /// any data is read. Damage to the data comes out of the stream.
    pub async fn batches(self) -> Result<Batches> {
        let operation = self.operation;
        if let Some(condition) = &self.query.filter {
            // What is no condition at all is told without a request.
            filter::check(condition).map_err(|error| error.during(operation, ""))?;
        }
        let opened = match self.from {
            From::Opened(opened) => *opened,
            From::Target(store, target) => {
                let target = target.map_err(|error| error.during(operation, ""))?;
                let name = target.to_string();
                Opened::open(store, target).await.map_err(|error| error.during(operation, name))?
            }
        };
        let name = opened.reference().to_string();
        let read = plan(opened, &self.query, self.check).map_err(|error| error.during(operation, &name))?;
        let (schema, progress) = (read.schema.clone(), self.progress);
        let batches = read.stream().map_err(move |error| error.during(operation, &name)).inspect_ok(move |batch| {
            progress.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            progress.bytes.fetch_add(batch.get_array_memory_size() as u64, Ordering::Relaxed);
        });
        Ok(Batches::trusted(schema, batches.boxed()))
    }

    /// The rows in memory.
    ///
    /// # Errors
    ///
    /// As [`Scan::batches`], and [`ErrorKind::Damaged`](crate::ErrorKind::Damaged).
    pub async fn collect(self) -> Result<Table> {
        self.batches().await?.collect().await
    }
}

/// A scan whose names and numbers are resolved.
pub(super) struct Read {
    opened: Opened,
    /// Of the batches that come out.
    schema: SchemaRef,
    /// The positions of the columns that are read, ascending, and where each one asked for stands among them.
    pub(super) columns: Option<(Vec<usize>, Vec<usize>)>,
    pub(super) filtering: Option<Filtering>,
    /// The rows that are asked for, of those that the filter keeps.
    pub(super) rows: Rows,
    /// The rows of each part that are read.
    pub(super) parts: Vec<Range<u64>>,
    batch_rows: usize,
    batch_bytes: usize,
    check: bool,
}

fn plan(opened: Opened, query: &Query, check: bool) -> Result<Read> {
    let whole =
        opened.schema().ok_or_else(|| Error::invalid(format!("this result is not a table but a {}", opened.kind())))?;
    let filter = query.filter.as_deref().map(|condition| Filter::parse(condition, &whole)).transpose()?;
    let tested = filter.as_ref().map(Filter::columns).unwrap_or_default();
    let (schema, columns) = match &query.columns {
        None => (whole, None),
        Some(names) => {
            let asked = project(&whole, names)?;
            let mut ascending: Vec<usize> = asked.iter().chain(tested).copied().collect();
            ascending.sort_unstable();
            ascending.dedup();
            let order = asked.iter().filter_map(|position| ascending.binary_search(position).ok()).collect();
            let schema = whole.project(&asked).map_err(|error| Error::internal(error.to_string()))?;
            (Arc::new(schema), Some((ascending, order)))
        }
    };
    let filtering = filter.map(|filter| Filtering::new(filter, columns.as_ref().map(|(read, _)| read.as_slice())));
    // Of rows that are filtered, it is not known yet where those asked for stand.
    let rows = if filtering.is_some() { Rows::default() } else { query.rows };
    let parts = rows_of_parts(&opened, rows)?;
    let batch_bytes = BATCH_BYTES.min(opened.store.memory / 8);
    // Rows without columns take no memory, however many they are.
    let free = schema.fields().is_empty() && filtering.is_none();
    let batch_rows = query.batch_rows.unwrap_or(if free { usize::MAX } else { BATCH_ROWS }).max(1);
    Ok(Read { schema, columns, filtering, rows: query.rows, parts, batch_rows, batch_bytes, check, opened })
}

/// Which rows of each part are asked for.
fn rows_of_parts(opened: &Opened, rows: Rows) -> Result<Vec<Range<u64>>> {
    let counts = opened.parts().map(|part| part.rows).collect::<Option<Vec<u64>>>();
    let counts = counts.ok_or_else(|| Error::damaged("a part of the reference does not say how many rows it has"))?;
    let total = counts.iter().try_fold(0_u64, |total, count| total.checked_add(*count));
    let total = total.ok_or_else(|| Error::damaged("the reference's parts have more rows than can be counted"))?;
    if opened.rows() != Some(total) {
        return Err(Error::damaged(format!("the reference's parts have {total} rows, and it says another number")));
    }
    let wanted = rows.resolve(total);
    let mut start = 0;
    let parts = counts.iter().map(|count| {
        let end = start + count;
        let rows = wanted.start.clamp(start, end) - start..wanted.end.clamp(start, end) - start;
        start = end;
        rows
    });
    Ok(parts.collect())
}

impl Read {
    fn stream(self) -> BoxStream<'static, Result<RecordBatch>> {
        if self.filtering.is_some() {
            return filtered::stream(Arc::new(self));
        }
        let mut wanted: Vec<(usize, Range<u64>)> =
            self.parts.iter().cloned().enumerate().filter(|(_, rows)| !rows.is_empty()).collect();
        if wanted.is_empty() && self.shows_dictionaries() {
            wanted.push((0, 0..0));
        }
        let read = Arc::new(self);
        let parts = stream::iter(wanted).then(move |(part, rows)| read.clone().part(part, rows));
        parts.try_flatten().boxed()
    }

    /// Whether a batch without rows is worth having: its dictionaries may be all the categories that there are.
    pub(super) fn shows_dictionaries(&self) -> bool {
        let dictionary = |field: &FieldRef| matches!(field.data_type(), DataType::Dictionary(..));
        !self.parts.is_empty() && self.schema.fields().iter().any(dictionary)
    }

    /// The rows of a part as they are asked for; of all rows, whatever the filter.
    pub(super) async fn part(
        self: Arc<Self>,
        part: usize,
        rows: Range<u64>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let columns = self.columns.as_ref().map(|(read, _)| read.clone());
        let batches = self.stored(part, rows, columns, None).await?;
        Ok(batches.map(move |batch| self.arrange(batch?)).boxed())
    }

    /// The rows of a part as they are stored; without some of those that a filter does not keep, if there is one.
    pub(super) async fn stored(
        &self,
        part: usize,
        rows: Range<u64>,
        columns: Option<Vec<usize>>,
        filter: Option<Arc<Filter>>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let table = self.opened.table(part).await?;
        let expected = rows.end - rows.start;
        let fewer = filter.is_some() && table.leaves_out_rows();
        let plan = ReadPlan {
            columns,
            rows,
            filter,
            batch_rows: self.batch_rows,
            batch_bytes: self.batch_bytes,
            check: self.check,
        };
        let mut given = 0;
        let path = self.opened.parts().nth(part).map(|part| part.path.clone()).unwrap_or_default();
        let batches =
            table.batches(plan).map_err(naming(path.clone())).map(Some).chain(stream::once(async { None })).map(
                move |batch| match batch {
                    Some(batch) => {
                        let batch = batch?;
                        given += batch.num_rows() as u64;
                        Ok(Some(batch))
                    }
                    None if given == expected || (fewer && given < expected) => Ok(None),
                    None => Err(Error::damaged(format!("{path} gave {given} rows where {expected} were written"))),
                },
            );
        Ok(batches.try_filter_map(|batch| async { Ok(batch) }).boxed())
    }

    /// The columns in the order asked, under the schema that was announced.
    pub(super) fn arrange(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let batch = match &self.columns {
            Some((_, order)) => batch.project(order).map_err(|error| Error::damaged(error.to_string()))?,
            None => batch,
        };
        if batch.schema_ref() == &self.schema {
            return Ok(batch);
        }
        batch.with_schema(self.schema.clone()).map_err(|error| {
            Error::damaged(format!("a part does not have the schema that its reference says: {error}"))
        })
    }
}
