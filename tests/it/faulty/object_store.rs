//! The wrapper as an object store: each request asks the script first.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use crate::script::{Fault, Landed, Op, Script};

/// The wrapper around a store in memory.
#[derive(Clone)]
pub(crate) struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    script: Arc<Script>,
    open_uploads: Arc<AtomicUsize>,
}

impl FaultyStore {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, script: Arc<Script>) -> Self {
        Self { inner, script, open_uploads: Arc::default() }
    }

    /// Uploads in parts that were neither completed nor aborted.
    pub(super) fn open_uploads(&self) -> usize {
        self.open_uploads.load(Ordering::SeqCst)
    }

    async fn decide(&self, op: Op, path: &Path) -> Option<Fault> {
        self.script.decide(op, path.to_string()).await
    }
}

fn broken(fault: Fault, path: &Path) -> Error {
    let io =
        |kind: std::io::ErrorKind| Error::Generic { store: "faulty", source: Box::new(std::io::Error::from(kind)) };
    match fault {
        Fault::Full => io(std::io::ErrorKind::StorageFull),
        Fault::Deny | Fault::Echo => Error::PermissionDenied { path: path.to_string(), source: "not for you".into() },
        Fault::PretendExists => Error::AlreadyExists { path: path.to_string(), source: "busy".into() },
        _ => io(std::io::ErrorKind::ConnectionReset),
    }
}

/// What a request gives whose answer may be lost.
fn answered<T>(fault: Option<Fault>, path: &Path, answer: Result<T>) -> Result<T> {
    if fault == Some(Fault::LoseReply) { answer.and(Err(broken(Fault::LoseReply, path))) } else { answer }
}

fn is_done(fault: Option<Fault>) -> bool {
    matches!(fault, None | Some(Fault::LoseReply | Fault::CutBody | Fault::Overwrite))
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a faulty store")
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        let op = if options.mode == PutMode::Create { Op::Create } else { Op::Put };
        let fault = self.decide(op, location).await;
        match fault {
            Some(Fault::LandLater) => {
                let (inner, path) = (self.inner.clone(), location.clone());
                self.script.keep(Box::pin(async move {
                    match inner.put_opts(&path, payload, options).await {
                        Ok(_) => Landed::Done,
                        Err(Error::AlreadyExists { .. }) => Landed::Taken,
                        Err(error) => Landed::Failed(error.to_string()),
                    }
                }));
                return Err(broken(Fault::LandLater, location));
            }
            Some(Fault::Overwrite) => options.mode = PutMode::Overwrite,
            Some(fault) if !is_done(Some(fault)) => return Err(broken(fault, location)),
            _ => {}
        }
        answered(fault, location, self.inner.put_opts(location, payload, options).await)
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let fault = self.decide(Op::Start, path).await;
        if !is_done(fault) {
            return Err(broken(fault.unwrap(), path));
        }
        let inner = self.inner.put_multipart_opts(path, options).await?;
        // One whose answer is lost has no name to abort it by: the storage's own rules remove it.
        answered(fault, path, Ok(()))?;
        self.open_uploads.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(FaultyUpload { store: self.clone(), path: path.clone(), inner: Some(inner) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let fault = self.decide(Op::Get, location).await;
        if !is_done(fault) {
            return Err(broken(fault.unwrap(), location));
        }
        let mut result = self.inner.get_opts(location, options).await?;
        if let Some(fault @ (Fault::LoseReply | Fault::CutBody)) = fault {
            let whole = (result.range.end - result.range.start) as usize;
            let (meta, range, attributes) = (result.meta.clone(), result.range.clone(), result.attributes.clone());
            let mut body = result.bytes().await?;
            body.truncate(if fault == Fault::CutBody { whole / 2 } else { 0 });
            let cut = stream::iter([Ok(body), Err(broken(fault, location))]);
            result = GetResult { payload: GetResultPayload::Stream(cut.boxed()), meta, range, attributes };
        }
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        stream::iter(ranges.to_vec()).then(|range| self.get_range(location, range)).try_collect().await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let deleted = locations.then(move |location| {
            let store = store.clone();
            async move {
                let location = location?;
                let fault = store.decide(Op::Delete, &location).await;
                if !is_done(fault) {
                    return Err(broken(fault.unwrap(), &location));
                }
                let answer = store.inner.delete(&location).await;
                answered(fault, &location, answer).map(|()| location)
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        let listed = stream::once(async move {
            let fault = store.decide(Op::List, &prefix).await;
            let end = fault.map(|fault| Err(broken(fault, &prefix)));
            let items = if is_done(fault) { store.inner.list(Some(&prefix)) } else { stream::empty().boxed() };
            items.chain(stream::iter(end))
        });
        listed.flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

struct FaultyUpload {
    store: FaultyStore,
    path: Path,
    inner: Option<Box<dyn MultipartUpload>>,
}

impl fmt::Debug for FaultyUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyUpload")
    }
}

impl FaultyUpload {
    fn close(&mut self) -> Option<Box<dyn MultipartUpload>> {
        let inner = self.inner.take();
        self.store.open_uploads.fetch_sub(usize::from(inner.is_some()), Ordering::SeqCst);
        inner
    }
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let (store, path) = (self.store.clone(), self.path.clone());
        let part: BoxFuture<'static, Result<()>> = self.inner.as_mut().unwrap().put_part(payload);
        Box::pin(async move {
            let fault = store.decide(Op::Part, &path).await;
            if !is_done(fault) {
                return Err(broken(fault.unwrap(), &path));
            }
            answered(fault, &path, part.await)
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let fault = self.store.decide(Op::Complete, &self.path).await;
        if !is_done(fault) {
            return Err(broken(fault.unwrap(), &self.path));
        }
        let Some(mut inner) = self.close() else { return Err(broken(Fault::Fail, &self.path)) };
        answered(fault, &self.path, inner.complete().await)
    }

    async fn abort(&mut self) -> Result<()> {
        let fault = self.store.decide(Op::Abort, &self.path).await;
        if !is_done(fault) {
            return Err(broken(fault.unwrap(), &self.path));
        }
        match self.close() {
            Some(mut inner) => answered(fault, &self.path, inner.abort().await),
            None => Err(Error::NotFound { path: self.path.to_string(), source: "no such upload".into() }),
        }
    }
}
