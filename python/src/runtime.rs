//! One runtime for the process, and how a call of Python waits for it.
//!
//! ```text
//! calling thread:  start the work ─▶ wait, without the GIL ─▶ the outcome, or an exception
//!                                    │ every 50 ms: signals (Ctrl-C), progress
//!                                    └ asked for the next item of a Python iterator: call it here
//! ```
//!
//! Nothing here touches asyncio, so that calls work inside a running loop, where they block it as any call does. After a
//! fork the child has none of the parent's threads: it makes a runtime of its own, and leaves the parent's alone.

use std::future::Future;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use coldframe::{Error, ErrorKind, Progress, ResultStore};
use pyo3::prelude::*;
use pyo3::types::PyIterator;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::ending::stay_outside;
use crate::error::exception;
use crate::import;

/// How often signals are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long work that was interrupted may take to remove what it has begun.
const CLEAN_UP: Duration = Duration::from_millis(700);

type Item = Option<Vec<RecordBatch>>;
/// What a Python iterator raised.
pub(crate) type Raised = Arc<Mutex<Option<PyErr>>>;

/// What the work tells the thread that waits for it.
enum Event {
    /// The next item of the Python iterator is wanted.
    Next(oneshot::Sender<Result<Item, Error>>),
    /// The input has ended; whether it was interrupted, only the waiting thread can tell.
    Ended(oneshot::Sender<()>),
    Done,
}

/// Asks the waiting thread for the batches that a Python iterator gives.
#[derive(Clone)]
pub(crate) struct Asker(Sender<Event>);

impl Asker {
    /// The batches of the next item; none at the end.
    pub(crate) async fn next(&self) -> Result<Item, Error> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Event::Next(answer)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Returns once the waiting thread has seen that no signal ended the input: libraries that meet one stop as if there
    /// were no more.
    pub(crate) async fn ended(&self) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Event::Ended(answer)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }
}

/// What a put is told when nobody waits for it any more.
fn gone() -> Error {
    Error::new(ErrorKind::Cancelled, "nobody waits for the put any more")
}

/// A call of Python that is about to wait.
pub(crate) struct Waiting {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    /// Called with rows and bytes while the work goes on.
    tick: Option<Py<PyAny>>,
    /// What the work counts.
    pub(crate) progress: Arc<Progress>,
    iterator: Option<Py<PyIterator>>,
    /// Whose clean-up an interruption waits for.
    store: Option<ResultStore>,
    /// What an iterator raised.
    pub(crate) raised: Raised,
}

impl Waiting {
    pub(crate) fn new(tick: Option<Py<PyAny>>) -> Self {
        let (sender, receiver) = channel();
        Self {
            sender,
            receiver,
            tick,
            progress: Arc::default(),
            iterator: None,
            store: None,
            raised: Raised::default(),
        }
    }

    /// Work that is interrupted may have begun something on this store, which is removed before the call returns.
    pub(crate) fn settling(self, store: ResultStore) -> Self {
        Self { store: Some(store), ..self }
    }

    /// Items of this iterator are what an [`Asker`] is given.
    pub(crate) fn pull_from(&mut self, iterator: Py<PyIterator>) -> Asker {
        self.iterator = Some(iterator);
        self.asker()
    }

    /// Asks the thread that is about to wait.
    pub(crate) fn asker(&self) -> Asker {
        Asker(self.sender.clone())
    }

    /// Runs the work to its end; a signal whose handler raises ends it early.
    pub(crate) fn run<T: Send + 'static>(
        mut self,
        py: Python<'_>,
        work: impl Future<Output = coldframe::Result<T>> + Send + 'static,
    ) -> PyResult<T> {
        let runtime = runtime(py)?;
        let (slot, done) = (Arc::new(Mutex::new(None)), self.sender.clone());
        let kept = slot.clone();
        let task = runtime.spawn(async move {
            let outcome = work.await;
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            let _ = done.send(Event::Done);
        });
        let (receiver, mut watch) = (self.receiver, Watch { tick: self.tick.take(), progress: self.progress.clone() });
        drop(self.sender);
        let receiver = Mutex::new(receiver);
        loop {
            let mut ended = None;
            let event = py.detach(|| {
                let event = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(TICK);
                stay_outside();
                event
            });
            match event {
                Ok(Event::Done) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Event::Next(answer)) => {
                    let item = match &self.iterator {
                        Some(iterator) => next_item(py, iterator, &self.raised),
                        None => Err(Error::internal("there is no iterator to ask")),
                    };
                    let _ = answer.send(item);
                }
                Ok(Event::Ended(answer)) => ended = Some(answer),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Err(raised) = py.check_signals().and_then(|()| watch.tick(py)) {
                task.abort();
                let store = self.store.take();
                py.detach(|| clean_up(runtime, task, store));
                return Err(raised);
            }
            if let Some(answer) = ended {
                let _ = answer.send(());
            }
        }
        let outcome = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (outcome, raised) {
            (Some(Ok(value)), _) => Ok(value),
            (Some(Err(error)), Some(raised)) => Err(noted(py, raised, &error)),
            (Some(Err(error)), None) => Err(exception(py, &error)),
            (None, _) => Err(exception(py, &Error::internal("the work broke off"))),
        }
    }
}

/// The iterator's own exception, which says of which call it was the end.
fn noted(py: Python<'_>, raised: PyErr, error: &Error) -> PyErr {
    let note = match (error.operation(), error.subject()) {
        (Some(operation), Some(subject)) => format!("raised while coldframe took its input: {operation} {subject}"),
        _ => "raised while coldframe took its input".to_owned(),
    };
    // Only since Python 3.11.
    let _ = raised.value(py).call_method1("add_note", (format!("{note}; nothing was stored"),));
    raised
}

/// The batches of the next item of a Python iterator; what it raises is kept for whoever waits.
pub(crate) fn next_item(py: Python<'_>, iterator: &Py<PyIterator>, raised: &Raised) -> Result<Item, Error> {
    match iterator.bind(py).clone().next() {
        None => Ok(None),
        Some(Ok(item)) => import::batches(&item).map(Some),
        Some(Err(exception)) => {
            let error = Error::new(ErrorKind::Input, format!("the input failed: {exception}"));
            *raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(exception);
            Err(error)
        }
    }
}

struct Watch {
    tick: Option<Py<PyAny>>,
    progress: Arc<Progress>,
}

impl Watch {
    fn tick(&mut self, py: Python<'_>) -> PyResult<()> {
        let Some(tick) = &self.tick else { return Ok(()) };
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        tick.bind(py).call1((count(&self.progress.rows), count(&self.progress.bytes))).map(|_| ())
    }
}

/// Waits until the work was dropped, and what its dropping started has ended, but not for long.
fn clean_up(runtime: &Runtime, task: tokio::task::JoinHandle<()>, store: Option<ResultStore>) {
    let (sender, receiver) = channel::<()>();
    runtime.spawn(async move {
        let _ = task.await;
        if let Some(store) = store {
            store.settled().await;
        }
        drop(sender);
    });
    let _ = receiver.recv_timeout(CLEAN_UP);
}

/// The runtime of this process.
pub(crate) fn runtime(py: Python<'_>) -> PyResult<&'static Runtime> {
    // Only taken with the GIL, as a fork is: so no child finds it locked.
    static RUNTIME: Mutex<Option<(u32, &'static Runtime)>> = Mutex::new(None);
    let process = std::process::id();
    let mut kept = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((owner, runtime)) = *kept
        && owner == process
    {
        return Ok(runtime);
    }
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = Builder::new_multi_thread()
        .worker_threads(processors.max(2))
        .thread_name("coldframe")
        .enable_all()
        .build()
        .map_err(|failure| exception(py, &Error::internal(format!("the runtime does not start: {failure}"))))?;
    // Never dropped: a parent's runtime cannot be joined in the child, nor any while Python shuts down.
    let runtime: &'static Runtime = Box::leak(Box::new(runtime));
    *kept = Some((process, runtime));
    Ok(runtime)
}
