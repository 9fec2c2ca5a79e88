//! A storage that fails as a test tells it to: request by request, and never by chance.
//!
//! In memory, a wrapper around the object store asks the script; in front of a server, a proxy does.

mod object_store;

use std::sync::Arc;
use std::time::Duration;

use ::object_store::memory::InMemory;
use ::object_store::path::Path;
use ::object_store::{ObjectStore, ObjectStoreExt};
use bytes::Bytes;
use coldframe::clock::{Clock, ManualClock};
use coldframe::{Configuration, ResultStore, StoreBuilder};
use futures::stream::TryStreamExt;
use tokio::sync::watch;

pub(crate) use self::object_store::FaultyStore;
use crate::proxy::{Front, Protocol, Proxy};
use crate::script::Script;
pub(crate) use crate::script::{Fault, Landed, Op, Request};
use crate::servers::Server;

/// Where a test takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Memory,
    On(Server),
}

impl Place {
    /// A fresh storage there, where nothing fails yet.
    pub(crate) async fn faulty(self) -> Faulty {
        let Self::On(server) = self else { return Faulty::new() };
        let script = Arc::new(Script::default());
        let (direct, location) = (server.url().unwrap(), server.fresh());
        let front = Front {
            protocol: if server == Server::Azure { Protocol::Azure } else { Protocol::S3 },
            server: direct.trim_start_matches("http://").to_owned(),
            root: location[location.find("//").unwrap() + 1..].to_owned(),
            latency: Duration::ZERO,
            unsigned: server.unsigned(&direct, &location),
        };
        let proxy = Proxy::start(front, script.clone()).await.unwrap();
        let sound = server.objects(&direct, &location);
        Faulty { script, sound, way: Arc::new(Way::Server { server, proxy, direct, location }) }
    }

    /// `few` where each request takes its time.
    pub(crate) fn choose<T>(self, many: T, few: T) -> T {
        if self == Self::Memory { many } else { few }
    }
}

/// Makes each test of a suite, an `async fn(Place)`, into one in memory, one on S3 and one on Azure.
macro_rules! everywhere {
    ($($test:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                Box::pin(super::$test($crate::faulty::Place::Memory)).await;
            })*
        }
        $crate::faulty::on_server!(on_s3, S3, $($test),*);
        $crate::faulty::on_server!(on_azure, Azure, $($test),*);
    };
}

macro_rules! on_server {
    ($module:ident, $server:ident, $($test:ident),*) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                let server = $crate::servers::Server::$server;
                if server.url().is_some() {
                    Box::pin(super::$test($crate::faulty::Place::On(server))).await;
                }
            })*
        }
    };
}

pub(crate) use {everywhere, on_server};

/// A storage behind something that asks a script about each request.
#[derive(Clone)]
pub(crate) struct Faulty {
    script: Arc<Script>,
    sound: Arc<dyn ObjectStore>,
    way: Arc<Way>,
}

enum Way {
    Memory(FaultyStore),
    Server { server: Server, proxy: Proxy, direct: String, location: String },
}

impl Faulty {
    /// A storage in memory where nothing fails yet.
    pub(crate) fn new() -> Self {
        let (script, sound) = (Arc::new(Script::default()), Arc::new(InMemory::new()));
        let way = Way::Memory(FaultyStore::new(sound.clone(), script.clone()));
        Self { script, sound, way: Arc::new(way) }
    }

    /// From now on, requests are counted from 0 and do what `script` says.
    pub(crate) fn script(&self, script: impl FnMut(&Request) -> Option<Fault> + Send + 'static) {
        self.script.write(script);
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

    /// Nothing fails from now on; what failed so far is still known.
    pub(crate) fn heal(&self) {
        self.script.end();
    }

    /// How many requests met a fault since the script began.
    pub(crate) fn fired(&self) -> usize {
        self.script.fired().len()
    }

    /// The requests that met a fault since the script began.
    pub(crate) fn failed(&self) -> Vec<Request> {
        self.script.fired()
    }

    /// How many requests were made since the script began.
    pub(crate) fn requests(&self) -> usize {
        self.script.requests()
    }

    /// Does what was to land later; how each ended, in order.
    pub(crate) async fn land(&self) -> Vec<Landed> {
        self.script.land().await
    }

    /// Waits until `number` requests are blocked.
    pub(crate) async fn blocked(&self, number: usize) {
        self.script.blocked(number).await;
    }

    /// Lets blocked requests go on, and blocks none any more.
    pub(crate) fn release(&self) {
        self.script.release();
    }

    /// The storage with the script in front of it.
    pub(crate) fn objects(&self) -> Arc<dyn ObjectStore> {
        match &*self.way {
            Way::Memory(store) => Arc::new(store.clone()),
            Way::Server { server, proxy, location, .. } => server.objects(&proxy.url(), location),
        }
    }

    /// The storage itself, which never fails.
    pub(crate) fn inner(&self) -> Arc<dyn ObjectStore> {
        self.sound.clone()
    }

    /// What stands in front of the server, if there is one.
    pub(crate) fn proxy(&self) -> Option<&Proxy> {
        match &*self.way {
            Way::Memory(_) => None,
            Way::Server { proxy, .. } => Some(proxy),
        }
    }

    /// The paths of all objects, once no request is under way.
    pub(crate) async fn paths(&self) -> Vec<String> {
        if let Some(proxy) = self.proxy() {
            proxy.idle().await;
        }
        let listed = self.sound.list(None).map_ok(|meta| meta.location.to_string());
        listed.try_collect().await.unwrap()
    }

    /// What a put leaves behind besides references: data, due entries, pins, probes, uploads that nobody ended.
    pub(crate) async fn leftovers(&self) -> Vec<String> {
        let mut paths = self.paths().await;
        paths.retain(|path| !path.starts_with("refs/") && path != "coldframe.json");
        let open = match &*self.way {
            Way::Memory(store) => store.open_uploads(),
            Way::Server { proxy, .. } => proxy.open_uploads(),
        };
        paths.extend((0..open).map(|_| "an unfinished upload".to_owned()));
        paths
    }

    /// The bytes of the one object whose path begins and ends so.
    pub(crate) async fn find(&self, start: &str, end: &str) -> (Path, Bytes) {
        let mut paths = self.paths().await;
        paths.retain(|path| path.starts_with(start) && path.ends_with(end));
        assert_eq!(paths.len(), 1, "{paths:?}");
        let path = Path::parse(&paths[0]).unwrap();
        let bytes = self.sound.get(&path).await.unwrap().bytes().await.unwrap();
        (path, bytes)
    }

    /// Where it lies, and how a client gets there through what stands in front of it.
    pub(crate) fn way_in(&self) -> Option<(String, String)> {
        match &*self.way {
            Way::Memory(_) => None,
            Way::Server { proxy, location, .. } => Some((proxy.url(), location.clone())),
        }
    }

    /// Opens a store on it, step by step.
    pub(crate) fn builder(&self) -> StoreBuilder {
        match &*self.way {
            Way::Memory(store) => {
                let builder = ResultStore::builder().configuration(Configuration::empty());
                builder.object_store(Arc::new(store.clone()), "")
            }
            Way::Server { server, proxy, location, .. } => server.builder(&proxy.url(), location),
        }
    }

    /// A store on it.
    pub(crate) async fn store(&self, clock: impl Clock) -> ResultStore {
        self.builder().clock(Arc::new(clock)).open().await.unwrap()
    }

    /// A store on it whose client sends nothing twice, so that each fault is felt.
    pub(crate) async fn hasty(&self, clock: impl Clock) -> ResultStore {
        let builder = self.builder().clock(Arc::new(clock));
        let builder = if self.proxy().is_some() { builder.option("max_retries", "0") } else { builder };
        builder.open().await.unwrap()
    }

    /// A store on what lies behind it, which never fails.
    pub(crate) async fn sound(&self) -> ResultStore {
        match &*self.way {
            Way::Memory(_) => store_on(self.inner(), Arc::new(TestClock::default())).await,
            Way::Server { server, direct, location, .. } => {
                let builder = server.builder(direct, location).clock(Arc::new(TestClock::default()));
                builder.open().await.unwrap()
            }
        }
    }
}

pub(crate) async fn store_on(store: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>) -> ResultStore {
    let builder = ResultStore::builder().configuration(Configuration::empty()).clock(clock);
    builder.object_store(store, "").open().await.unwrap()
}

/// A clock whose short sleeps, those between attempts, pass at once; long ones wait for the test.
#[derive(Debug, Clone)]
pub(crate) struct TestClock {
    manual: ManualClock,
    long_sleeps: Arc<watch::Sender<usize>>,
}

impl Default for TestClock {
    fn default() -> Self {
        // Tests read by a storage's own clock too, so both must stand near each other.
        let manual = ManualClock::starting_at(coldframe::clock::SystemClock.now());
        Self { manual, long_sleeps: Arc::new(watch::Sender::new(0)) }
    }
}

impl TestClock {
    pub(crate) fn advance(&self, duration: Duration) {
        self.manual.advance(duration);
    }

    /// Waits until so many long sleeps have begun.
    pub(crate) async fn slept(&self, number: usize) {
        self.long_sleeps.subscribe().wait_for(|sleeps| *sleeps >= number).await.unwrap();
    }
}

impl Clock for TestClock {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.manual.now()
    }

    fn elapsed(&self) -> Duration {
        self.manual.elapsed()
    }

    fn sleep(&self, duration: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        if duration < Duration::from_secs(30) {
            return self.manual.clone().hurried().sleep(duration);
        }
        let sleep = self.manual.sleep(duration);
        self.long_sleeps.send_modify(|sleeps| *sleeps += 1);
        sleep
    }
}
