//! Fingerprints of what is on its way: computed on threads of their own, beside whoever encodes or decodes.
//!
//! ```text
//! batch ─▶ a lane per thread, each with columns of its own ─▶ ColumnFingerprint ─▶ Fingerprint
//! ```

use std::future::Future;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use futures::TryStreamExt;
use futures::future::try_join_all;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::error::{Error, Result};
use crate::fingerprint::{ColumnFingerprint, Fingerprint, of_columns};
use crate::serializer::cores;
use crate::value::Batches;

/// Hashing is many times as fast as encoding: one thread keeps up with so many encoders.
const ENCODERS_A_LANE: usize = 4;
const MOST_LANES: usize = 4;

/// Takes the batches of a table; the fingerprint is known once it is dropped.
pub(super) struct Lanes(Vec<mpsc::Sender<RecordBatch>>);

impl Lanes {
    /// Starts the threads; the future gives the fingerprint of all batches that were taken.
    pub(super) fn start(schema: &Schema) -> (Self, impl Future<Output = Result<Fingerprint>> + use<>) {
        let lanes = (cores() / ENCODERS_A_LANE).min(schema.fields().len()).clamp(1, MOST_LANES);
        Self::of(schema, lanes)
    }

    fn of(schema: &Schema, lanes: usize) -> (Self, impl Future<Output = Result<Fingerprint>> + use<>) {
        let columns = schema.fields().len();
        let (senders, hashing): (Vec<_>, Vec<_>) = (0..lanes)
            .map(|lane| {
                let mine = schema.fields().iter().enumerate().skip(lane).step_by(lanes);
                let mine = mine.map(|(place, field)| (place, ColumnFingerprint::new(field))).collect();
                let (sender, batches) = mpsc::channel(1);
                (sender, spawn_blocking(move || hash(mine, batches)))
            })
            .unzip();
        let fingerprint = async move {
            let mut rows = 0;
            let mut found = Vec::with_capacity(columns);
            for lane in try_join_all(hashing).await.map_err(|error| {
                Error::internal(format!("the fingerprint could not be computed: {error}"))
                    .with_hint("put without a fingerprint")
            })? {
                let (mine, lane_rows) = lane?;
                rows = lane_rows;
                found.extend(mine);
            }
            found.sort_by_key(|(place, _)| *place);
            Ok(of_columns(rows, found.iter().map(|(_, column)| column)))
        };
        (Self(senders), fingerprint)
    }

    /// Takes a batch, waiting while all threads are busy.
    pub(super) async fn take(&self, batch: &RecordBatch) {
        for lane in &self.0 {
            // One that has ended tells why itself.
            let _ = lane.send(batch.clone()).await;
        }
    }
}

/// The fingerprint of a table on its way, which is computed in bounded memory, on threads that may block.
///
/// ```
/// # use std::sync::Arc;
/// # use arrow::array::{Int64Array, RecordBatch};
/// # use coldframe::{ResultStore, store};
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # let store = ResultStore::open("memory://").await?;
/// # let fares = RecordBatch::try_from_iter([("fare", Arc::new(Int64Array::from(vec![12, 7])) as _)])?;
/// let reference = store.put("etl/trips", fares).await?;
/// let fingerprint = store::fingerprint_of(store.scan(&reference).batches().await?).await?;
/// assert_eq!(reference.written().and_then(|written| written.fingerprint.clone()), Some(fingerprint.to_string()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// What the stream fails with.
pub async fn fingerprint_of(mut batches: Batches) -> Result<Fingerprint> {
    let (lanes, fingerprint) = Lanes::start(&batches.schema());
    while let Some(batch) = batches.try_next().await? {
        lanes.take(&batch).await;
    }
    drop(lanes);
    fingerprint.await
}

type Columns = Vec<(usize, ColumnFingerprint)>;

fn hash(mut columns: Columns, mut batches: mpsc::Receiver<RecordBatch>) -> Result<(Columns, u64)> {
    let mut rows = 0;
    while let Some(batch) = batches.blocking_recv() {
        rows += batch.num_rows() as u64;
        for (place, column) in &mut columns {
            let array = batch.columns().get(*place).ok_or_else(|| Error::internal("a batch lacks a column"))?;
            column.update(array)?;
        }
    }
    Ok((columns, rows))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatchOptions, StringArray};

    use super::*;
    use crate::fingerprint::of_batches;

    #[tokio::test]
    async fn lanes_do_not_show() {
        let columns = (0..7).map(|column| {
            let numbers = Arc::new(Int64Array::from_iter_values((0..100).map(|row| row * column)));
            (format!("c{column}"), numbers as _)
        });
        let words = ("w".to_owned(), Arc::new(StringArray::from(vec!["word"; 100])) as _);
        let batch = RecordBatch::try_from_iter(columns.chain([words])).unwrap();
        let expected = of_batches(&batch.schema(), [&batch]).unwrap();
        for lanes in 1..=9 {
            let (taken, fingerprint) = Lanes::of(&batch.schema(), lanes);
            for start in (0..100).step_by(30) {
                taken.take(&batch.slice(start, 30.min(100 - start))).await;
            }
            drop(taken);
            assert_eq!(fingerprint.await.unwrap(), expected, "{lanes}");
        }
    }

    #[tokio::test]
    async fn rows_are_counted_without_columns() {
        let options = RecordBatchOptions::new().with_row_count(Some(5));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
        let (lanes, fingerprint) = Lanes::start(&batch.schema());
        lanes.take(&batch).await;
        drop(lanes);
        assert_eq!(fingerprint.await.unwrap(), of_batches(&batch.schema(), [&batch]).unwrap());
    }
}
