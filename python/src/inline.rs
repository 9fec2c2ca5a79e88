//! Tables as the bytes of one file, which the caller keeps instead of a store.
//!
//! Both ways are those of a store, so that what comes back is the same and checked in the same way. The store is made
//! for one call: of a put it keeps the file in the pieces in which it came, and a read has the caller's bytes in it.

use std::fmt;
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use coldframe::store::fingerprint_of;
use coldframe::{Error, ErrorKind, Part, ResultReference, ResultStore, Target};
use futures::future;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use tokio::runtime::Runtime;

use crate::content::Content;
use crate::ending::visit;
use crate::error::{OrRaise, exception};
use crate::opened::Opened;
use crate::reference::Reference;
use crate::runtime::{Waiting, runtime};
use crate::store::{self, Wanted};

/// Under which the only result of such a store lies.
const KEY: &str = "inline";
/// Where a store keeps its data objects.
const DATA: &str = "data/";

const OTHER_REFERENCE: &str = "hand in the reference that was made together with these bytes";

/// What encoding this table would lose for certain, as a JSON array.
#[pyfunction]
#[pyo3(signature = (content, serializer = None))]
pub(crate) fn losses(py: Python<'_>, content: &Content, serializer: Option<String>) -> PyResult<String> {
    store::losses(py, &opened(Arc::new(InMemory::new())).or_raise(py)?, content, serializer)
}

/// Refuses what is no serializer of tables, or a setting that it does not have: a short form, or a descriptor as JSON.
#[pyfunction]
pub(crate) fn check_serializer(py: Python<'_>, serializer: String) -> PyResult<()> {
    store::check_serializer(py, &opened(Arc::new(InMemory::new())).or_raise(py)?, Some(serializer))
}

/// The file that a put of the content writes, and the reference to it as JSON.
#[pyfunction]
pub(crate) fn encode<'py>(
    py: Python<'py>,
    content: &Content,
    wanted: Wanted,
) -> PyResult<(Bound<'py, PyBytes>, String)> {
    let pieces = Pieces::default();
    let store = opened(Arc::new(Catcher { others: InMemory::new(), pieces: pieces.clone() })).or_raise(py)?;
    let mut waiting = Waiting::new(None);
    let content = content.take(py, &mut waiting)?;
    let put = wanted.apply(py, store.put(KEY, content))?;
    let reference = waiting.run(py, async move { put.await })?;
    let part = only_part(&reference).ok_or_else(|| exception(py, &too_many_files()))?;
    Ok((joined(py, pieces.take(), part.size)?, reference.to_json()))
}

/// The fingerprint of a table or JSON value, as text.
#[pyfunction]
pub(crate) fn fingerprint(py: Python<'_>, content: &Content) -> PyResult<String> {
    let mut waiting = Waiting::new(None);
    let content = content.take(py, &mut waiting)?;
    let found = waiting.run(py, async move {
        match content {
            coldframe::Content::Table(batches) => fingerprint_of(batches).await,
            coldframe::Content::Json(value) => coldframe::fingerprint::of_json(&value),
            coldframe::Content::Bytes(_) => Err(Error::invalid("bytes have no fingerprint")),
        }
    })?;
    Ok(found.to_string())
}

/// The table in a file's bytes, which are compared with what its reference says was written. They are not copied.
#[pyfunction]
pub(crate) fn decode(py: Python<'_>, data: PyBackedBytes, reference: &Reference) -> PyResult<Opened> {
    let reference = reference.0.clone();
    let other = || Error::invalid("the reference is not to one file").with_hint(OTHER_REFERENCE);
    let part = only_part(&reference).cloned().ok_or_else(other).or_raise(py)?;
    let path = Path::parse(&part.path).map_err(|_| other()).or_raise(py)?;
    let data = Bytes::from_owner(Held { bytes: Some(data), runtime: runtime(py)?, process: std::process::id() });
    py.detach(|| check(&part, &data)).or_raise(py)?;
    let read = async move {
        let objects = Arc::new(InMemory::new());
        let put = objects.put(&path, PutPayload::from_bytes(data)).await;
        put.map_err(|failure| Error::internal(format!("the bytes cannot be read: {failure}")))?;
        let found = opened(objects)?.open_result(Target::Reference(Box::new(reference))).await?;
        // Reads the footer: a frame that is read later would tell too late that its reference does not fit.
        found.column_bytes().await.map(|_| found)
    };
    Waiting::new(None).run(py, read).map(Opened)
}

fn opened(objects: Arc<dyn ObjectStore>) -> coldframe::Result<ResultStore> {
    ResultStore::with_object_store(objects, "")
}

fn only_part(reference: &ResultReference) -> Option<&Part> {
    match reference.written()?.parts.as_slice() {
        [part] => Some(part),
        _ => None,
    }
}

fn too_many_files() -> Error {
    Error::new(ErrorKind::Unsupported, "the table takes more than one file").with_hint(
        "put it into a store, which keeps several; or choose `arrow` for very many columns, and make columns plain in \
         which each batch has another dictionary",
    )
}

/// Compares all bytes with what was written, also those that a reader of the table passes over.
fn check(part: &Part, data: &[u8]) -> coldframe::Result<()> {
    let damaged = |what: String| {
        let hint = format!("compute the result again; or, if they belong to another result, {OTHER_REFERENCE}");
        Err(Error::damaged(what).with_hint(hint))
    };
    if data.len() as u64 != part.size {
        return damaged(format!("there are {} bytes, and {} were written", data.len(), part.size));
    }
    if !part.checksum.matches(data) {
        return damaged("the bytes are not those that were written: their checksum differs".to_owned());
    }
    Ok(())
}

/// Bytes of Python, let go of by whoever reads them last.
struct Held {
    bytes: Option<PyBackedBytes>,
    runtime: &'static Runtime,
    /// Whose runtime it is.
    process: u32,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }
}

impl Drop for Held {
    /// In a thread of its own: this one may be outside Python, where they would stay until Python calls here again, and
    /// whoever is inside may be waiting for this one.
    fn drop(&mut self) {
        let bytes = self.bytes.take();
        if self.process == std::process::id() {
            self.runtime.spawn_blocking(|| {
                visit(|_| {
                    drop(bytes);
                    Ok(())
                })
            });
        }
    }
}

/// One object of Python; each piece is let go of once it was copied.
fn joined(py: Python<'_>, pieces: Vec<Bytes>, size: u64) -> PyResult<Bound<'_, PyBytes>> {
    let lost = || exception(py, &Error::internal("the file does not have the size that was counted"));
    let size = usize::try_from(size).map_err(|_| lost())?;
    if pieces.iter().map(Bytes::len).sum::<usize>() != size {
        return Err(lost());
    }
    let length = ffi::Py_ssize_t::try_from(size).map_err(|_| lost())?;
    #[expect(
        unsafe_code,
        reason = "to fill it with zeros first would take its memory before any piece is let go of; \
                  all of it is written below, and nobody else knows it yet"
    )]
    let (whole, mut room) = unsafe {
        let made = ffi::PyBytes_FromStringAndSize(std::ptr::null(), length);
        let whole = Bound::from_owned_ptr_or_err(py, made)?.cast_into::<PyBytes>()?;
        let start = ffi::PyBytes_AsString(whole.as_ptr()).cast::<MaybeUninit<u8>>();
        (whole, std::slice::from_raw_parts_mut(start, size))
    };
    py.detach(|| {
        for piece in pieces {
            let (front, rest) = std::mem::take(&mut room).split_at_mut(piece.len());
            front.write_copy_of_slice(&piece);
            room = rest;
        }
    });
    Ok(whole)
}

/// The pieces of a file, in their order.
#[derive(Debug, Clone, Default)]
struct Pieces(Arc<Mutex<Vec<Bytes>>>);

impl Pieces {
    fn push(&self, payload: PutPayload) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(payload);
    }

    fn take(&self) -> Vec<Bytes> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn done() -> PutResult {
    PutResult { e_tag: None, version: None }
}

/// Catches the data object of a put, which nobody reads before it is taken out; all else lies in memory.
#[derive(Debug)]
struct Catcher {
    others: InMemory,
    pieces: Pieces,
}

impl fmt::Display for Catcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

#[async_trait]
impl ObjectStore for Catcher {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if !location.as_ref().starts_with(DATA) {
            return self.others.put_opts(location, payload, options).await;
        }
        self.pieces.push(payload);
        Ok(done())
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        // Only data objects are so large.
        Ok(Box::new(self.pieces.clone()))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.others.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.others.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.others.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.others.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.others.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl MultipartUpload for Pieces {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        // Now, and not when it is polled: parts are handed over in their order.
        self.push(payload);
        Box::pin(future::ready(Ok(())))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        Ok(done())
    }

    async fn abort(&mut self) -> Result<()> {
        Ok(())
    }
}
