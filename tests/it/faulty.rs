//! An object store that fails as a test tells it to: request by request, and never by chance.

mod object_store;

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::object_store::memory::InMemory;
use ::object_store::path::Path;
use ::object_store::{ObjectStore, ObjectStoreExt, PutOptions, PutPayload, PutResult, Result};
use bytes::Bytes;
use coldframe::clock::{Clock, ManualClock};
use coldframe::{Configuration, ResultStore};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::watch;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not done, and the connection breaks.
    Fail,
    /// It is done, and its answer is lost.
    LoseReply,
    /// The connection breaks, and it is done when the test says so.
    LandLater,
    /// It is not done, and the answer is that the name is taken.
    PretendExists,
    /// It is done as if it were allowed to overwrite.
    Overwrite,
    /// It waits until it is released.
    Block,
    /// It is refused since the disk is full.
    Full,
    /// It is refused since the credentials do not allow it.
    Deny,
}

/// What kind of request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Put,
    Create,
    Start,
    Part,
    Complete,
    Abort,
    Get,
    Delete,
    List,
}

/// A request, as a script sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) number: usize,
    pub(crate) op: Op,
    pub(crate) path: String,
}

impl Request {
    /// Whether it creates a reference: the commit itself.
    pub(crate) fn is_commit(&self) -> bool {
        self.op == Op::Create && self.path.starts_with("refs/") && self.path.ends_with(".json")
    }
}

type Script = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

/// The wrapper around a store in memory.
#[derive(Clone)]
pub(crate) struct Faulty {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Arc<dyn ObjectStore>,
    script: Mutex<Script>,
    requests: AtomicUsize,
    fired: AtomicUsize,
    late: Mutex<Vec<(Path, PutPayload, PutOptions)>>,
    open_uploads: AtomicI64,
    waiting: watch::Sender<usize>,
    released: watch::Sender<bool>,
}

impl Faulty {
    pub(crate) fn new() -> Self {
        Self::over(Arc::new(InMemory::new()))
    }

    pub(crate) fn over(inner: Arc<dyn ObjectStore>) -> Self {
        let shared = Shared {
            inner,
            script: Mutex::new(Box::new(|_| None)),
            requests: AtomicUsize::new(0),
            fired: AtomicUsize::new(0),
            late: Mutex::default(),
            open_uploads: AtomicI64::new(0),
            waiting: watch::Sender::new(0),
            released: watch::Sender::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// From now on, requests are counted from 0 and do what `script` says.
    pub(crate) fn script(&self, script: impl FnMut(&Request) -> Option<Fault> + Send + 'static) {
        let mut current = self.shared.script.lock().unwrap();
        self.shared.requests.store(0, Ordering::SeqCst);
        self.shared.fired.store(0, Ordering::SeqCst);
        self.shared.released.send_replace(false);
        *current = Box::new(script);
    }

    /// The request of that number meets `fault`.
    pub(crate) fn nth(&self, number: usize, fault: Fault) {
        self.script(move |request| (request.number == number).then_some(fault));
    }

    /// The first `times` requests that `wanted` picks meet `fault`.
    pub(crate) fn on(&self, mut times: usize, fault: Fault, wanted: impl Fn(&Request) -> bool + Send + 'static) {
        self.script(move |request| {
            let hit = times > 0 && wanted(request);
            times -= usize::from(hit);
            hit.then_some(fault)
        });
    }

    /// Nothing fails from now on.
    pub(crate) fn heal(&self) {
        self.script(|_| None);
    }

    /// How many requests met a fault since the script began.
    pub(crate) fn fired(&self) -> usize {
        self.shared.fired.load(Ordering::SeqCst)
    }

    /// How many requests were made since the script began.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Does what was to land later; the answers, in order.
    pub(crate) async fn land(&self) -> Vec<Result<PutResult>> {
        let late = std::mem::take(&mut *self.shared.late.lock().unwrap());
        stream::iter(late).then(|(path, bytes, options)| self.put_late(path, bytes, options)).collect().await
    }

    async fn put_late(&self, path: Path, bytes: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.shared.inner.put_opts(&path, bytes, options).await
    }

    /// Waits until `number` requests are blocked.
    pub(crate) async fn blocked(&self, number: usize) {
        self.shared.waiting.subscribe().wait_for(|waiting| *waiting >= number).await.unwrap();
    }

    /// Lets blocked requests go on, and blocks none any more.
    pub(crate) fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// Uploads in parts that were neither completed nor aborted.
    pub(crate) fn open_uploads(&self) -> i64 {
        self.shared.open_uploads.load(Ordering::SeqCst)
    }

    /// The store behind it, which never fails.
    pub(crate) fn inner(&self) -> Arc<dyn ObjectStore> {
        self.shared.inner.clone()
    }

    /// The paths of all objects.
    pub(crate) async fn paths(&self) -> Vec<String> {
        let listed = self.shared.inner.list(None).map_ok(|meta| meta.location.to_string());
        listed.try_collect().await.unwrap()
    }

    /// What a put leaves behind besides references: data, due entries, pins, probes, uploads that nobody ended.
    pub(crate) async fn leftovers(&self) -> Vec<String> {
        let mut paths = self.paths().await;
        paths.retain(|path| !path.starts_with("refs/") && path != "coldframe.json");
        paths.extend((0..self.open_uploads()).map(|_| "an unfinished upload".to_owned()));
        paths
    }

    /// The bytes of the one object whose path begins and ends so.
    pub(crate) async fn find(&self, start: &str, end: &str) -> (Path, Bytes) {
        let mut paths = self.paths().await;
        paths.retain(|path| path.starts_with(start) && path.ends_with(end));
        assert_eq!(paths.len(), 1, "{paths:?}");
        let path = Path::parse(&paths[0]).unwrap();
        let bytes = self.shared.inner.get(&path).await.unwrap().bytes().await.unwrap();
        (path, bytes)
    }

    /// A store on it.
    pub(crate) async fn store(&self, clock: impl Clock) -> ResultStore {
        store_on(Arc::new(self.clone()), Arc::new(clock)).await
    }

    /// A store on what lies behind it, which never fails.
    pub(crate) async fn sound(&self) -> ResultStore {
        store_on(self.inner(), Arc::new(TestClock::default())).await
    }

    /// Decides about a request; a blocked one comes back when it is released.
    async fn decide(&self, op: Op, path: &Path) -> Option<Fault> {
        let fault = {
            let mut script = self.shared.script.lock().unwrap();
            let number = self.shared.requests.fetch_add(1, Ordering::SeqCst);
            script(&Request { number, op, path: path.to_string() })
        };
        if fault.is_some() {
            self.shared.fired.fetch_add(1, Ordering::SeqCst);
        }
        if fault != Some(Fault::Block) {
            return fault;
        }
        self.shared.waiting.send_modify(|waiting| *waiting += 1);
        self.shared.released.subscribe().wait_for(|released| *released).await.unwrap();
        None
    }
}

pub(crate) async fn store_on(store: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>) -> ResultStore {
    let builder = ResultStore::builder().configuration(Configuration::empty()).clock(clock);
    builder.object_store(store, "").open().await.unwrap()
}

/// A clock whose short sleeps, those between attempts, pass at once; long ones wait for the test.
#[derive(Debug, Clone)]
pub(crate) struct TestClock(ManualClock);

impl Default for TestClock {
    fn default() -> Self {
        // Tests read by a storage's own clock too, so both must stand near each other.
        Self(ManualClock::starting_at(coldframe::clock::SystemClock.now()))
    }
}

impl TestClock {
    pub(crate) fn advance(&self, duration: Duration) {
        self.0.advance(duration);
    }
}

impl Clock for TestClock {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.0.now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        if duration < Duration::from_secs(30) {
            self.0.clone().hurried().sleep(duration)
        } else {
            self.0.sleep(duration)
        }
    }
}
