//! Row groups decoded by several threads at once, in units of some columns, and handed out in order.
//!
//! ```text
//! planner:  room in memory ─▶ column chunks of a row group ─▶ a job for each unit: so many batches of its columns
//! pool:     the oldest job that can be done ─▶ decoded, finished columns of these batches
//! stream:   waits for all units of the oldest stretch ─▶ batches, one by one; then its room is free again
//! ```
//!
//! A stretch is some batches of a row group. Its room is taken before it is decoded and freed when its last batch was
//! handed out, so a reader who takes batches slowly stops the decoding.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use futures::stream::{BoxStream, StreamExt};
use parquet::arrow::arrow_reader::RowSelection;
use parquet::file::metadata::ParquetMetaData;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::finish::{Finishing, misfit};
use super::group::{Columns, Decoded, Group};
use super::sieve::Sieve;
use crate::error::{Error, Result};
use crate::serializer::ahead::{ReadAhead, Step};
use crate::serializer::pool::Pool;
use crate::serializer::{CheckedSource, guarded};

/// The room is counted in pieces of so many bytes.
const PIECE_BYTES: u64 = 1024;
/// A stretch takes at most such a share of the room, so that one is decoded while another is handed out.
const STRETCH_SHARE: u64 = 4;
/// However small, a stretch counts as such a share of the room, so that only so many are under way.
const LEAST_SHARE: u64 = 32;
/// A stretch has at most so many batches, in case they are larger than they look.
const STRETCH_BATCHES: u64 = 8;

/// Columns that are decoded together, one of several units of a scan.
pub(super) struct Unit {
    pub(super) columns: Columns,
    /// Makes them what was put; each row group begins with a copy of it.
    pub(super) finishing: Finishing,
}

/// What is wanted of a row group.
pub(super) struct Wanted {
    pub(super) number: usize,
    /// Of all its rows.
    pub(super) selection: RowSelection,
    /// How many rows that selects.
    pub(super) rows: u64,
    /// About how many bytes each of them takes once decoded.
    pub(super) row_bytes: u64,
    /// Its column chunks, as they are stored.
    pub(super) chunks: Step,
}

/// How a scan is decoded.
pub(super) struct Decoding {
    pub(super) metadata: Arc<ParquetMetaData>,
    /// What tells which rows are wanted, where not all are.
    pub(super) sieve: Option<Sieve>,
    pub(super) schema: SchemaRef,
    pub(super) units: Vec<Unit>,
    /// The leaves that are read of each row group, ascending.
    pub(super) leaves: Vec<usize>,
    pub(super) groups: VecDeque<Wanted>,
    pub(super) source: Arc<CheckedSource>,
    /// At most about so many bytes are read before their turn.
    pub(super) ahead: usize,
    pub(super) batch_rows: usize,
    /// A page may take so many bytes once decompressed.
    pub(super) limit: usize,
    pub(super) threads: usize,
    /// About so many bytes are decoded, or being decoded, and not handed out yet.
    pub(super) room: usize,
}

impl Decoding {
    /// Starts to decode; stops when the stream is dropped.
    pub(super) fn start(self) -> BoxStream<'static, Result<RecordBatch>> {
        let (sender, flights) = mpsc::unbounded_channel();
        let schema = self.schema.clone();
        let planner = Running(tokio::spawn(async move {
            let last = match run(self, &sender).await {
                Ok(()) => Flight::Landed,
                Err(error) => Flight::Failed(error),
            };
            let _ = sender.send(last);
        }));
        let assembly =
            Assembly { schema, under_way: Some((flights, planner)), ready: VecDeque::new(), failure: None, room: None };
        futures::stream::unfold(assembly, |mut assembly| async { assembly.next().await.map(|item| (item, assembly)) })
            .boxed()
    }
}

/// A task that ends with this.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the planner tells the stream.
enum Flight {
    Stretch(Stretch),
    Failed(Error),
    /// There is no more. That it is said tells an end from a planner that vanished.
    Landed,
}

/// Batches that are being decoded.
struct Stretch {
    /// Of each unit.
    answers: Vec<oneshot::Receiver<Answer>>,
    rows: u64,
    room: OwnedSemaphorePermit,
}

/// The columns of a unit, batch by batch, up to a failure if there was one.
struct Answer {
    batches: Vec<Vec<ArrayRef>>,
    failure: Option<Error>,
}

struct Planner {
    metadata: Arc<ParquetMetaData>,
    sieve: Option<Arc<Sieve>>,
    units: Arc<[Unit]>,
    leaves: Vec<usize>,
    groups: VecDeque<Wanted>,
    ahead: ReadAhead,
    batch_rows: usize,
    limit: usize,
    pool: Pool,
    room: Arc<Semaphore>,
    pieces: u64,
    /// How many stretches were begun.
    stretches: u64,
}

/// Plans a scan: which row groups, and then how each is decoded.
async fn run(mut decoding: Decoding, sender: &mpsc::UnboundedSender<Flight>) -> Result<()> {
    if let Some(sieve) = &decoding.sieve {
        let (index, metadata) = sieve.with_index(&decoding.metadata).await?;
        decoding.metadata = metadata;
        // Of what is not wanted at all, not a byte is read.
        let mut wanted = VecDeque::new();
        for mut group in decoding.groups {
            group.selection = sieve.pages(&decoding.metadata, index.as_ref(), group.number)?;
            group.rows = group.selection.row_count() as u64;
            wanted.extend((group.rows > 0).then_some(group));
        }
        decoding.groups = wanted;
    }
    Planner::new(decoding).run(sender).await
}

impl Planner {
    fn new(decoding: Decoding) -> Self {
        let steps = decoding.groups.iter().map(|group| group.chunks.clone());
        let ahead = ReadAhead::new(decoding.source, steps, decoding.ahead);
        let pieces = (decoding.room as u64 / PIECE_BYTES).clamp(LEAST_SHARE, u64::from(u32::MAX));
        Self {
            metadata: decoding.metadata,
            sieve: decoding.sieve.map(Arc::new),
            units: decoding.units.into(),
            leaves: decoding.leaves,
            groups: decoding.groups,
            ahead,
            batch_rows: decoding.batch_rows,
            limit: decoding.limit,
            pool: Pool::new(decoding.threads),
            room: Arc::new(Semaphore::new(narrow(pieces))),
            pieces,
            stretches: 0,
        }
    }

    async fn run(mut self, sender: &mpsc::UnboundedSender<Flight>) -> Result<()> {
        while let Some(wanted) = self.groups.pop_front() {
            let (wanted, mut workers) = match self.sieve.clone() {
                None => (wanted, None),
                Some(sieve) => {
                    // While rows are told, their column chunks are held.
                    let _room = self.room(wanted.chunks.bytes()).await?;
                    let (wanted, group) = self.sifted(sieve, wanted).await?;
                    if wanted.rows == 0 {
                        continue;
                    }
                    let workers = self.workers(&wanted, &group);
                    (wanted, Some(workers))
                }
            };
            let (batches, mut left) = (self.stretch_batches(&wanted), wanted.rows);
            while left > 0 {
                let rows = left.min(batches.saturating_mul(self.batch_rows as u64));
                left -= rows;
                // Once for each row group.
                let stored = if left + rows == wanted.rows { wanted.chunks.bytes() } else { 0 };
                let room = self.room(rows.saturating_mul(wanted.row_bytes).saturating_add(stored)).await?;
                let workers = match &mut workers {
                    Some(workers) => workers,
                    None => {
                        let group = self.next_group(wanted.number).await?;
                        workers.insert(self.workers(&wanted, &group))
                    }
                };
                let count = if left == 0 { usize::MAX } else { narrow(batches) };
                self.stretches += 1;
                let answers = workers.iter().map(|worker| worker.hand(self.stretches, count)).collect();
                if sender.send(Flight::Stretch(Stretch { answers, rows, room })).is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// How many batches of a row group make a stretch.
    fn stretch_batches(&self, wanted: &Wanted) -> u64 {
        let batch_bytes = wanted.row_bytes.saturating_mul(self.batch_rows as u64).max(1);
        (self.pieces * PIECE_BYTES / STRETCH_SHARE / batch_bytes).clamp(1, STRETCH_BATCHES)
    }

    async fn room(&self, bytes: u64) -> Result<OwnedSemaphorePermit> {
        let pieces = (bytes / PIECE_BYTES).clamp(self.pieces / LEAST_SHARE, self.pieces);
        let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
        let room = self.room.clone().acquire_many_owned(pieces).await;
        room.map_err(|_| Error::internal("the room for decoding vanished"))
    }

    /// The row group whose column chunks come next.
    async fn next_group(&mut self, number: usize) -> Result<Arc<Group>> {
        let chunks = self.ahead.next().await?.unwrap_or_default();
        let chunks = self.leaves.iter().copied().zip(chunks).collect();
        Ok(Arc::new(Group::new(self.metadata.clone(), number, chunks, self.limit)))
    }

    /// The next row group, and what a filter wants of it.
    async fn sifted(&mut self, sieve: Arc<Sieve>, mut wanted: Wanted) -> Result<(Wanted, Arc<Group>)> {
        let group = self.next_group(wanted.number).await?;
        let (sifted, selection, batch_rows) = (group.clone(), wanted.selection.clone(), self.batch_rows);
        let (answer, rows) = oneshot::channel();
        self.pool.add(self.stretches, move || {
            let _ = answer.send(sieve.rows(&sifted, selection, batch_rows));
        });
        let rows = rows.await.map_err(|_| Error::internal("a filter ended early"))??;
        wanted.rows = rows.row_count() as u64;
        wanted.selection = rows;
        Ok((wanted, group))
    }

    /// One worker for each unit of a row group.
    fn workers(&self, wanted: &Wanted, group: &Arc<Group>) -> Vec<Arc<Worker>> {
        let start = |unit| {
            let next = Next::Group { group: group.clone(), selection: wanted.selection.clone() };
            Arc::new(Worker {
                units: self.units.clone(),
                unit,
                batch_rows: self.batch_rows,
                pool: self.pool.clone(),
                jobs: Mutex::default(),
                next: Mutex::new(next),
            })
        };
        (0..self.units.len()).map(start).collect()
    }
}

/// The next batches of a unit.
struct Job {
    /// Which stretch they belong to, of all of the scan.
    stretch: u64,
    batches: usize,
    answer: oneshot::Sender<Answer>,
}

/// Decodes one unit of a row group, stretch by stretch.
struct Worker {
    units: Arc<[Unit]>,
    unit: usize,
    batch_rows: usize,
    pool: Pool,
    jobs: Mutex<Jobs>,
    next: Mutex<Next>,
}

/// What a worker has to do.
#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    /// Whether the pool has been asked for a thread.
    under_way: bool,
}

/// What a worker goes on with.
enum Next {
    Group { group: Arc<Group>, selection: RowSelection },
    Batches(Box<(Decoded, Finishing)>),
    Nothing,
}

impl Worker {
    /// Has the next batches decoded, after those before them.
    fn hand(self: &Arc<Self>, stretch: u64, batches: usize) -> oneshot::Receiver<Answer> {
        let (answer, answers) = oneshot::channel();
        let mut jobs = lock(&self.jobs);
        jobs.waiting.push_back(Job { stretch, batches, answer });
        if !std::mem::replace(&mut jobs.under_way, true) {
            self.ask(stretch);
        }
        answers
    }

    fn ask(self: &Arc<Self>, stretch: u64) {
        let own = self.clone();
        self.pool.add(stretch, move || own.work());
    }

    /// Does one job, until nobody wants the answers any more.
    fn work(self: &Arc<Self>) {
        let job = lock(&self.jobs).waiting.pop_front();
        let Some(job) = job.filter(|job| !job.answer.is_closed()) else { return };
        let answer = self.answer(&job);
        let _ = job.answer.send(answer);
        let mut jobs = lock(&self.jobs);
        match jobs.waiting.front() {
            Some(next) => self.ask(next.stretch),
            None => jobs.under_way = false,
        }
    }

    fn answer(&self, job: &Job) -> Answer {
        let (mut next, mut batches) = (lock(&self.next), Vec::new());
        while batches.len() < job.batches && !job.answer.is_closed() {
            match self.batch(&mut next) {
                Ok(Some(batch)) => batches.push(batch),
                Ok(None) => break,
                Err(error) => {
                    *next = Next::Nothing;
                    return Answer { batches, failure: Some(error) };
                }
            }
        }
        if job.batches == usize::MAX {
            *next = Next::Nothing;
        }
        Answer { batches, failure: None }
    }

    fn batch(&self, next: &mut Next) -> Result<Option<Vec<ArrayRef>>> {
        if let (Next::Group { group, selection }, Some(unit)) = (&*next, self.units.get(self.unit)) {
            let decoded = group.decode(&unit.columns, selection.clone(), self.batch_rows)?;
            *next = Next::Batches(Box::new((decoded, unit.finishing.clone())));
        }
        let Next::Batches(decoding) = next else { return Ok(None) };
        let (decoded, finishing) = &mut **decoding;
        match decoded.next()? {
            Some(columns) => guarded(|| finishing.finish(&columns)).map(Some),
            None => Ok(None),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts the columns of all units together, in order.
struct Assembly {
    schema: SchemaRef,
    under_way: Option<(mpsc::UnboundedReceiver<Flight>, Running)>,
    ready: VecDeque<RecordBatch>,
    /// What comes after the batches that are ready.
    failure: Option<Error>,
    /// Of the batches that are ready.
    room: Option<OwnedSemaphorePermit>,
}

impl Assembly {
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                if self.ready.is_empty() {
                    self.room = None;
                }
                return Some(Ok(batch));
            }
            self.room = None;
            if let Some(error) = self.failure.take() {
                self.under_way = None;
                return Some(Err(error));
            }
            let (flights, _) = self.under_way.as_mut()?;
            match flights.recv().await {
                Some(Flight::Stretch(stretch)) => self.land(stretch).await,
                Some(Flight::Failed(error)) => self.failure = Some(error),
                Some(Flight::Landed) => self.under_way = None,
                None => self.failure = Some(Error::internal("decoding ended early")),
            }
        }
    }

    async fn land(&mut self, stretch: Stretch) {
        let mut units = Vec::with_capacity(stretch.answers.len());
        for answer in stretch.answers {
            let lost = || Answer {
                batches: Vec::new(),
                failure: Some(Error::internal("a column was lost while it was decoded")),
            };
            units.push(answer.await.unwrap_or_else(|_| lost()));
        }
        self.room = Some(stretch.room);
        // The first to fail, by its rows and then by its columns, whoever was first to say so.
        let first = units.iter().enumerate().min_by_key(|(_, unit)| (unit.batches.len(), unit.failure.is_none()));
        let Some((first, whole)) = first.map(|(first, unit)| (first, unit.batches.len())) else { return };
        self.failure = units.get_mut(first).and_then(|unit| unit.failure.take());
        let mut columns: Vec<_> = units.into_iter().map(|unit| unit.batches.into_iter()).collect();
        let mut rows = 0;
        for _ in 0..whole {
            let batch = columns.iter_mut().filter_map(Iterator::next).flatten().collect();
            match RecordBatch::try_new(self.schema.clone(), batch) {
                Ok(batch) => {
                    rows += batch.num_rows() as u64;
                    self.ready.push_back(batch);
                }
                Err(error) => {
                    self.failure = Some(misfit(error));
                    return;
                }
            }
        }
        if self.failure.is_none() && rows != stretch.rows {
            let message =
                format!("a row group of the Parquet file has {rows} rows where {} were expected", stretch.rows);
            self.failure = Some(Error::damaged(message));
        }
    }
}

/// The columns of a scan, cut into units of about the same work: as many as `threads` need, and none of many small
/// columns alone. `bytes` has what each column takes.
pub(super) fn units(bytes: &[u64], threads: usize) -> Vec<Range<usize>> {
    /// For each thread, so that none waits long for the last.
    const UNITS: u64 = 8;
    let enough = bytes.iter().sum::<u64>() / (threads.max(1) as u64 * UNITS);
    let (mut units, mut start, mut sum) = (Vec::new(), 0, 0);
    for (at, bytes) in bytes.iter().enumerate() {
        sum += bytes;
        if sum > enough {
            units.push(start..at + 1);
            (start, sum) = (at + 1, 0);
        }
    }
    if start < bytes.len() {
        units.push(start..bytes.len());
    }
    units
}

fn narrow(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
