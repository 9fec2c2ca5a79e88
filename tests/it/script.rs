//! What becomes of each request: a script that a test writes, asked by whatever stands in front of a storage.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::BoxFuture;
use tokio::sync::watch;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not done, and the connection breaks.
    Fail,
    /// It is done, and its answer is lost.
    LoseReply,
    /// It is a read, and the connection breaks in the middle of its answer.
    CutBody,
    /// The connection breaks, and it is done when the test says so.
    LandLater,
    /// It is not done, and the answer is that the name is taken.
    PretendExists,
    /// It is done as if it were allowed to overwrite.
    Overwrite,
    /// It waits until it is released.
    Block,
    /// It is refused since the disk is full; in memory only, since no server says so.
    Full,
    /// It is refused since the credentials do not allow it.
    Deny,
    /// It is refused since the signature is wrong, in words that repeat what was signed.
    Echo,
    /// It is refused since too many came: 503, as S3 says it.
    SlowDown,
    /// It is refused since too many came: 429.
    TooMany,
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
    /// Below the store's root; of a delete of several objects, the first.
    pub(crate) path: String,
}

impl Request {
    /// Whether it creates a reference: the commit itself.
    pub(crate) fn is_commit(&self) -> bool {
        self.op == Op::Create && self.path.starts_with("refs/") && self.path.ends_with(".json")
    }
}

/// The end of a request that landed late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Landed {
    Done,
    /// The name was taken.
    Taken,
    Failed(String),
}

type Decide = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

/// The script in force, and what came of it so far.
pub(crate) struct Script {
    decide: Mutex<Decide>,
    requests: AtomicUsize,
    fired: Mutex<Vec<Request>>,
    late: Mutex<Vec<BoxFuture<'static, Landed>>>,
    waiting: watch::Sender<usize>,
    released: watch::Sender<bool>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            decide: Mutex::new(Box::new(|_| None)),
            requests: AtomicUsize::new(0),
            fired: Mutex::default(),
            late: Mutex::default(),
            waiting: watch::Sender::new(0),
            released: watch::Sender::new(false),
        }
    }
}

impl Script {
    /// From now on, requests are counted from 0 and do what `decide` says.
    pub(crate) fn write(&self, decide: impl FnMut(&Request) -> Option<Fault> + Send + 'static) {
        let mut current = self.decide.lock().unwrap();
        self.requests.store(0, Ordering::SeqCst);
        self.fired.lock().unwrap().clear();
        self.waiting.send_replace(0);
        self.released.send_replace(false);
        *current = Box::new(decide);
    }

    /// No request meets a fault from now on.
    pub(crate) fn end(&self) {
        *self.decide.lock().unwrap() = Box::new(|_| None);
    }

    /// The requests that met a fault since the script began.
    pub(crate) fn fired(&self) -> Vec<Request> {
        self.fired.lock().unwrap().clone()
    }

    /// How many requests were made since the script began.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Keeps a request that is to land later.
    pub(crate) fn keep(&self, request: BoxFuture<'static, Landed>) {
        self.late.lock().unwrap().push(request);
    }

    /// Does what was to land later; how each ended, in order.
    pub(crate) async fn land(&self) -> Vec<Landed> {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        let mut landed = Vec::new();
        for request in late {
            landed.push(request.await);
        }
        landed
    }

    /// Waits until `number` requests are blocked.
    pub(crate) async fn blocked(&self, number: usize) {
        self.waiting.subscribe().wait_for(|waiting| *waiting >= number).await.unwrap();
    }

    /// Lets blocked requests go on, and blocks none any more.
    pub(crate) fn release(&self) {
        self.released.send_replace(true);
    }

    /// Decides about a request; a blocked one comes back when it is released.
    pub(crate) async fn decide(&self, op: Op, path: String) -> Option<Fault> {
        let fault = {
            let mut decide = self.decide.lock().unwrap();
            let number = self.requests.fetch_add(1, Ordering::SeqCst);
            let request = Request { number, op, path };
            let fault = decide(&request);
            if fault.is_some() {
                self.fired.lock().unwrap().push(request);
            }
            fault
        };
        if fault != Some(Fault::Block) {
            return fault;
        }
        let mut released = self.released.subscribe();
        self.waiting.send_modify(|waiting| *waiting += 1);
        released.wait_for(|released| *released).await.unwrap();
        None
    }
}
