//! Which requests a call makes, and how many of them wait for one another.
//!
//! Requests are held until as many as are expected are under way at once, and only then answered: so a test proves that
//! they do not wait for one another, on any machine. What does not come ends the test after a minute.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{DictionaryArray, Int8Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int8Type, Schema};
use async_trait::async_trait;
use bytes::Bytes;
use coldframe::{ResultReference, ResultStore, Scan, Value};
use futures::stream::{self, BoxStream, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use serde_json::json;
use tokio::sync::{Semaphore, watch};

use crate::faults::{LARGE, noise};
use crate::support::{numbers, small};

/// A store in memory that writes down what it is asked, and answers when it is told to.
#[derive(Debug, Clone)]
struct Remote {
    inner: Arc<InMemory>,
    log: Arc<Mutex<Vec<String>>>,
    arrived: Arc<watch::Sender<usize>>,
    answers: Arc<Semaphore>,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")
    }
}

impl Remote {
    fn new() -> Self {
        let answers = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self { inner: Arc::default(), log: Arc::default(), arrived: Arc::new(watch::Sender::new(0)), answers }
    }

    async fn arrive(&self, request: &str, path: &Path) {
        // The names of writes differ from run to run.
        let folder = path.parts().next().map(|part| part.as_ref().to_owned()).unwrap_or_default();
        self.log.lock().unwrap().push(format!("{request} {folder}"));
        self.arrived.send_modify(|arrived| *arrived += 1);
        self.answers.acquire().await.unwrap().forget();
    }

    /// The requests of `call`.
    async fn requests<T>(&self, call: impl Future<Output = T>) -> (T, Vec<String>) {
        self.log.lock().unwrap().clear();
        let done = call.await;
        (done, std::mem::take(&mut *self.log.lock().unwrap()))
    }

    /// Makes `call`, whose requests must come in waves: each of so many that are under way together, and all of them
    /// after the answers to the wave before. The requests of each wave, sorted.
    async fn waves<T>(&self, call: impl Future<Output = T>, waves: &[usize]) -> (T, Vec<Vec<String>>) {
        let held = self.answers.available_permits();
        assert_eq!(self.answers.forget_permits(held), held);
        self.arrived.send_replace(0);
        let answering = async {
            let mut arrived = self.arrived.subscribe();
            let mut expected = 0;
            for wave in waves {
                expected += wave;
                let all = arrived.wait_for(|arrived| *arrived >= expected);
                if tokio::time::timeout(Duration::from_secs(60), all).await.is_err() {
                    panic!("{waves:?} were expected, and these came: {:?}", self.log.lock().unwrap());
                }
                // What did not wait for the answers would come now.
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
                assert_eq!(*arrived.borrow(), expected, "{waves:?}: {:?}", self.log.lock().unwrap());
                self.answers.add_permits(*wave);
            }
        };
        let ((done, mut log), ()) = tokio::join!(self.requests(call), answering);
        self.answers.add_permits(held);
        assert_eq!(log.len(), waves.iter().sum::<usize>(), "{waves:?}: {log:?}");
        let sorted = waves.iter().map(|wave| {
            let mut wave: Vec<String> = log.drain(..wave).collect();
            wave.sort();
            wave
        });
        (done, sorted.collect())
    }

    fn open(&self) -> ResultStore {
        ResultStore::with_object_store(Arc::new(self.clone()), "").unwrap()
    }
}

#[async_trait]
impl ObjectStore for Remote {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.arrive(if options.mode == PutMode::Create { "create" } else { "put" }, path).await;
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.arrive("start", path).await;
        let inner = self.inner.put_multipart_opts(path, options).await?;
        Ok(Box::new(RemoteUpload { remote: self.clone(), path: path.clone(), inner }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.arrive(if options.head { "head" } else { "get" }, path).await;
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.arrive("get", path).await;
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let remote = self.clone();
        let travelled = paths.then(move |path| {
            let remote = remote.clone();
            async move {
                if let Ok(path) = &path {
                    remote.arrive("delete", path).await;
                }
                path
            }
        });
        self.inner.delete_stream(travelled.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (remote, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            remote.arrive("list", prefix.as_ref().unwrap_or(&Path::default())).await;
            remote.inner.list(prefix.as_ref())
        };
        stream::once(listed).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.arrive("list", prefix.unwrap_or(&Path::default())).await;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.arrive("copy", from).await;
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct RemoteUpload {
    remote: Remote,
    path: Path,
    inner: Box<dyn MultipartUpload>,
}

#[async_trait]
impl MultipartUpload for RemoteUpload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let (remote, path, part) = (self.remote.clone(), self.path.clone(), self.inner.put_part(payload));
        Box::pin(async move {
            remote.arrive("part", &path).await;
            part.await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.remote.arrive("complete", &self.path).await;
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.remote.arrive("abort", &self.path).await;
        self.inner.abort().await
    }
}

async fn put(remote: &Remote, value: impl coldframe::IntoContent, serializer: &str) -> ResultReference {
    let reference = remote.open().put("k", value).serializer(serializer).await.unwrap();
    // As somebody holds it who got it from elsewhere.
    ResultReference::from_json(&reference.to_json()).unwrap()
}

#[tokio::test]
async fn a_small_value_by_reference_is_one_request() {
    let values: [(&str, Value); 6] = [
        ("parquet", Value::Table(numbers(10_000).into())),
        ("arrow", Value::Table(small().into())),
        ("compressed/arrow", Value::Table(small().into())),
        ("json", Value::Json(json!({"a": 1}))),
        ("bytes", Value::Bytes(Bytes::from_static(b"abc"))),
        ("compressed(lz4)/json", Value::Json(json!([1, 2]))),
    ];
    for (serializer, value) in values {
        let remote = Remote::new();
        let reference = put(&remote, value, serializer).await;
        let (read, log) = remote.requests(remote.open().get(&reference)).await;
        read.unwrap();
        assert_eq!(log, ["get data"], "{serializer}");
    }
}

#[tokio::test]
async fn a_literal_by_reference_needs_no_request() {
    let remote = Remote::new();
    let reference = remote.open().put("k", json!(null)).await.unwrap();
    let (read, log) = remote.requests(remote.open().get(&reference)).await;
    assert_eq!((read.unwrap(), log), (Value::Json(json!(null)), vec![]));
}

/// A table of twelve columns of noise, whose chunks are too large to be read for the sake of their neighbours.
fn wide(rows: u64) -> RecordBatch {
    let columns = (0..12).map(|seed| (format!("c{seed}"), noise(seed, rows).column(0).clone()));
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Makes the call twice: the second time all requests but the first must be under way at once.
async fn footer_and_then_all(remote: &Remote, scan: impl Fn() -> Scan) -> (RecordBatch, usize) {
    let (read, log) = remote.requests(scan().collect()).await;
    let whole = read.unwrap().to_batch().unwrap();
    let (read, waves) = remote.waves(scan().collect(), &[1, log.len() - 1]).await;
    assert_eq!(read.unwrap().to_batch().unwrap(), whole);
    assert!(waves.iter().flatten().all(|request| request == "get data"), "{waves:?}");
    (whole, log.len() - 1)
}

#[tokio::test]
async fn two_columns_of_a_large_table_are_the_footer_and_then_all_chunks_at_once() {
    let remote = Remote::new();
    let batch = wide(1_000_000);
    let store = ResultStore::builder().memory(64 << 20).object_store(Arc::new(remote.clone()), "");
    let store = store.configuration(coldframe::Configuration::empty()).open().await.unwrap();
    let reference = store.put("k", &batch).serializer("parquet/none").await.unwrap();
    let store = remote.open();
    let (read, chunks) = footer_and_then_all(&remote, || store.scan(&reference).columns(["c1", "c9"])).await;
    assert_eq!(read, batch.project(&[1, 9]).unwrap());
    assert!(chunks >= 8, "{chunks} requests for the chunks");
}

#[tokio::test]
async fn a_large_arrow_file_is_the_footer_and_then_all_batches_at_once() {
    let remote = Remote::new();
    let batch = noise(1, LARGE);
    // A small budget makes small record batches.
    let store = ResultStore::builder().memory(16 << 20).object_store(Arc::new(remote.clone()), "");
    let store = store.configuration(coldframe::Configuration::empty()).open().await.unwrap();
    let reference = store.put("k", &batch).serializer("arrow").await.unwrap();
    let store = remote.open();
    let (read, batches) = footer_and_then_all(&remote, || store.scan(&reference)).await;
    assert_eq!(read, batch);
    assert!(batches >= 2, "{batches} requests for the batches");
    // The first rows need the first batches only.
    let (read, waves) = remote.waves(store.scan(&reference).head(10).collect(), &[1, 1]).await;
    assert_eq!(read.unwrap().to_batch().unwrap(), batch.slice(0, 10));
    assert_eq!(waves, [["get data"], ["get data"]]);
}

#[tokio::test]
async fn large_bytes_are_read_in_pieces_at_once() {
    let remote = Remote::new();
    let bytes = Bytes::from(noise(1, LARGE).column(0).to_data().buffers()[0].as_slice().to_vec());
    for (serializer, pieces) in [("bytes", 3), ("compressed(lz4)/bytes", 5)] {
        let reference = put(&remote, bytes.clone(), serializer).await;
        let store = remote.open();
        let (read, waves) = remote.waves(store.get(&reference), &[pieces]).await;
        assert_eq!(read.unwrap(), Value::Bytes(bytes.clone()));
        assert_eq!(waves, [vec!["get data"; pieces]], "{serializer}");
    }
}

#[tokio::test]
async fn by_key_comes_the_listing_then_the_reference_then_the_data() {
    let remote = Remote::new();
    let reference = put(&remote, small(), "parquet").await;
    let (read, waves) = remote.waves(remote.open().get("k"), &[1, 1, 1]).await;
    read.unwrap();
    assert_eq!(waves, [["list refs"], ["get refs"], ["get data"]]);
    // Whether it was deleted is asked at the same time.
    let (read, waves) = remote.waves(remote.open().get(&reference.compact()), &[2, 1]).await;
    read.unwrap();
    assert_eq!(waves, [vec!["get refs", "get refs"], vec!["get data"]]);
}

#[tokio::test]
async fn a_put_is_the_upload_beside_the_listing_and_then_the_commit() {
    let remote = Remote::new();
    put(&remote, small(), "parquet").await;
    let store = remote.open();
    // The first put of a store proves the storage, at the same time.
    let (done, waves) = remote.waves(store.put("k", small()).into_future(), &[4, 1]).await;
    done.unwrap();
    let first = ["create coldframe.json", "get coldframe.json", "list refs", "put data"];
    assert_eq!(waves, [first.to_vec(), vec!["create refs"]]);
    let (done, waves) = remote.waves(store.put("k", small()).into_future(), &[2, 1]).await;
    done.unwrap();
    assert_eq!(waves, [vec!["list refs", "put data"], vec!["create refs"]]);
}

#[tokio::test]
async fn a_large_put_sends_its_parts_at_once() {
    let remote = Remote::new();
    let store = remote.open();
    store.put("first", json!(1)).await.unwrap();
    let put = store.put("k", noise(1, LARGE)).serializer("arrow").into_future();
    let (done, waves) = remote.waves(put, &[2, 3, 1, 1]).await;
    done.unwrap();
    let started = vec!["list refs", "start data"];
    assert_eq!(waves, [started, vec!["part data"; 3], vec!["complete data"], vec!["create refs"]]);
}

#[tokio::test]
async fn many_small_row_groups_are_read_some_at_once() {
    let remote = Remote::new();
    let field =
        |name: String| Field::new(name, DataType::Dictionary(DataType::Int8.into(), DataType::Utf8.into()), false);
    let schema = Arc::new(Schema::new((0..1).map(|number| field(format!("c{number}"))).collect::<Vec<_>>()));
    // Each batch has values of its own, more than its keys tell apart together with the next: a row group each.
    let batches = (0..100).map(|batch| {
        let values =
            StringArray::from_iter_values((0..100).map(|value| format!("{batch} {value} {}", "x".repeat(20_000))));
        let keys = Int8Array::from_iter_values((0..1000).map(|row| (row % 100) as i8));
        let column = DictionaryArray::<Int8Type>::new(keys, Arc::new(values));
        RecordBatch::try_new(schema.clone(), vec![Arc::new(column)]).unwrap()
    });
    let table = coldframe::Batches::from_batches(schema.clone(), batches.collect());
    let reference = put(&remote, table, "parquet/none").await;
    let store = remote.open();
    let scan = store.scan(&reference).collect();
    let held = remote.answers.available_permits();
    remote.answers.forget_permits(held);
    remote.arrived.send_replace(0);
    let answering = async {
        let mut arrived = remote.arrived.subscribe();
        arrived.wait_for(|arrived| *arrived == 1).await.unwrap();
        remote.answers.add_permits(1);
        arrived.wait_for(|arrived| *arrived > 1).await.unwrap();
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        let at_once = *arrived.borrow() - 1;
        assert!((2..=16).contains(&at_once), "{at_once} requests at once");
        remote.answers.add_permits(held);
    };
    let (read, ()) = tokio::join!(scan, answering);
    assert_eq!(read.unwrap().rows(), 100_000);
}
