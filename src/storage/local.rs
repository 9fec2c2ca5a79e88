//! A folder as an object store that survives a power loss.
//!
//! An object is staged under `.tmp/`, written, synced, and only then linked to its name; the folder it appears in, and
//! every folder that had to be made, are synced too. So a name either does not exist or holds all its bytes.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

const STORE: &str = "local disk";
/// Where objects lie until they are whole; no name of the protocol starts with a dot.
pub(crate) const STAGING: &str = ".tmp";

/// A folder as an object store.
#[derive(Debug, Clone)]
pub struct LocalFolder {
    root: Arc<PathBuf>,
    durable: bool,
}

impl LocalFolder {
    /// The folder `root`, which is made when the first object is written.
    pub fn new(root: PathBuf, durable: bool) -> Self {
        Self { root: Arc::new(root), durable }
    }

    fn file_of(&self, location: &Path) -> PathBuf {
        location.parts().fold((*self.root).clone(), |path, part| path.join(part.as_ref()))
    }

    fn stage(&self) -> io::Result<Staged> {
        let folder = self.root.join(STAGING);
        self.make_folder(&folder)?;
        let name = folder.join(ulid::Ulid::from_parts(rand::random(), rand::random()).to_string());
        let mut options = File::options();
        // What nobody else may write to can be read without being looked over.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
        let file = options.write(true).create_new(true).open(&name)?;
        Ok(Staged { file, name, published: false })
    }

    /// Makes a folder and its parents, and syncs each folder that one was made in.
    fn make_folder(&self, folder: &FilePath) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.make_folder(parent)?;
        }
        match fs::create_dir(folder) {
            // A file of that name must not look as if an object of ours were there already.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::metadata(folder)?.is_dir() {
                true => Ok(()),
                false => Err(io::ErrorKind::NotADirectory.into()),
            },
            Err(error) => Err(error),
            Ok(()) => parent.map_or(Ok(()), |parent| self.sync_folder(parent)),
        }
    }

    fn sync_folder(&self, folder: &FilePath) -> io::Result<()> {
        if self.durable { File::open(folder)?.sync_all() } else { Ok(()) }
    }

    fn publish(&self, mut staged: Staged, target: &FilePath, mode: &PutMode) -> io::Result<()> {
        if self.durable {
            staged.file.sync_all()?;
        }
        let folder = target.parent().unwrap_or(&self.root);
        // A folder that just became empty may be removed by somebody between its making and its use.
        for attempt in 0.. {
            let named = self.make_folder(folder).and_then(|()| match mode {
                PutMode::Create => name_if_absent(&staged.name, target),
                _ => fs::rename(&staged.name, target),
            });
            match named {
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < 10 && staged.name.exists() => {}
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        if matches!(mode, PutMode::Create) {
            let _ = fs::remove_file(&staged.name);
        }
        staged.published = true;
        // The name is there: an error of any kind says no longer that it is not.
        self.sync_folder(folder).map_err(io::Error::other)
    }

    fn meta(location: Path, metadata: &fs::Metadata) -> ObjectMeta {
        let last_modified: DateTime<Utc> = metadata.modified().map(DateTime::from).unwrap_or_default();
        let e_tag = Some(format!("{:x}-{:x}", metadata.len(), last_modified.timestamp_micros()));
        ObjectMeta { location, last_modified, size: metadata.len(), e_tag, version: None }
    }

    fn open(&self, location: &Path) -> Result<(File, ObjectMeta, PathBuf)> {
        let path = self.file_of(location);
        let file = File::open(&path).map_err(|error| self.store_error(error, location))?;
        let metadata = file.metadata().map_err(|error| self.store_error(error, location))?;
        if !metadata.is_file() {
            return Err(self.store_error(io::ErrorKind::NotFound.into(), location));
        }
        Ok((file, Self::meta(location.clone(), &metadata), path))
    }

    fn delete_file(&self, location: &Path) -> Result<()> {
        let path = self.file_of(location);
        fs::remove_file(&path).map_err(|error| self.store_error(error, location))?;
        // Folders that became empty go as well; the first that is not empty ends it.
        let mut folder = path.parent();
        while let Some(empty) =
            folder.filter(|folder| folder.starts_with(&*self.root) && *folder != self.root.as_path())
        {
            if fs::remove_dir(empty).is_err() {
                break;
            }
            folder = empty.parent();
        }
        Ok(())
    }

    /// The entries of one folder, sorted as object names sort.
    fn entries(&self, prefix: &Path) -> Result<VecDeque<Entry>> {
        let folder = self.file_of(prefix);
        let listing = match fs::read_dir(&folder) {
            Ok(listing) => listing,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(VecDeque::new());
            }
            Err(error) => return Err(self.store_error(error, prefix)),
        };
        let mut entries = Vec::new();
        for entry in listing {
            let entry = entry.map_err(|error| self.store_error(error, prefix))?;
            let name = entry.file_name();
            // What is not valid text, or begins with a dot at the root, is not ours.
            let Some(name) = name.to_str().filter(|name| prefix.parts().next().is_some() || !name.starts_with('.'))
            else {
                continue;
            };
            let joined = if prefix.as_ref().is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            let Ok(location) = Path::parse(&joined) else { continue };
            let is_folder = entry.file_type().map_err(|error| self.store_error(error, prefix))?.is_dir();
            let order = if is_folder { format!("{name}/") } else { name.to_owned() };
            entries.push(Entry { order, location, is_folder });
        }
        entries.sort_by(|a, b| a.order.cmp(&b.order));
        Ok(entries.into())
    }

    fn head(&self, location: Path) -> Result<Option<ObjectMeta>> {
        match fs::metadata(self.file_of(&location)) {
            Ok(metadata) => Ok(Some(Self::meta(location, &metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.store_error(error, &location)),
        }
    }

    /// The error as object stores have it, with the file that it is about.
    fn store_error(&self, error: io::Error, location: &Path) -> Error {
        let file = self.file_of(location);
        match error.kind() {
            io::ErrorKind::NotFound => Error::NotFound { path: location.to_string(), source: error.into() },
            io::ErrorKind::AlreadyExists => Error::AlreadyExists { path: location.to_string(), source: error.into() },
            io::ErrorKind::PermissionDenied => {
                Error::PermissionDenied { path: file.display().to_string(), source: error.into() }
            }
            _ => Error::Generic { store: STORE, source: Box::new(AtFile { file, error }) },
        }
    }
}

/// An error of the disk, and the file that it is about.
#[derive(Debug)]
struct AtFile {
    file: PathBuf,
    error: io::Error,
}

impl fmt::Display for AtFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.error)
    }
}

impl std::error::Error for AtFile {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

struct Entry {
    order: String,
    location: Path,
    is_folder: bool,
}

struct Staged {
    file: File,
    name: PathBuf,
    published: bool,
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_file(&self.name);
        }
    }
}

/// A call to the system writes at most so many bytes: the pages of a longer one are kept in larger blocks, which a virtual
/// machine that gave its free memory back has to ask its host for, and that takes ten times as long as the copy.
const CALL_BYTES: usize = 128 * 1024;

/// Writes all pieces, as many as fit into each call to the system.
fn write_all(file: &mut File, payload: &PutPayload) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> =
        payload.iter().flat_map(|bytes| bytes.chunks(CALL_BYTES)).map(IoSlice::new).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        let fits = rest.iter().scan(0, |sum: &mut usize, slice| {
            *sum += slice.len();
            Some(*sum)
        });
        let count = fits.take_while(|sum| *sum <= CALL_BYTES).count().max(1);
        match file.write_vectored(rest.get(..count).unwrap_or_default()) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives a staged file its name, unless the name is taken.
fn name_if_absent(staged: &FilePath, target: &FilePath) -> io::Result<()> {
    match fs::hard_link(staged, target) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported | io::ErrorKind::TooManyLinks
            ) =>
        {
            rename_if_absent(staged, target, error)
        }
        linked => linked,
    }
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn rename_if_absent(staged: &FilePath, target: &FilePath, linking: io::Error) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;

    match renameat_with(CWD, staged, CWD, target, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Err(linking),
        renamed => renamed.map_err(Into::into),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn rename_if_absent(_staged: &FilePath, _target: &FilePath, linking: io::Error) -> io::Result<()> {
    Err(linking)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|source| Error::JoinError { source })?
}

impl fmt::Display for LocalFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalFolder({})", self.root.display())
    }
}

#[async_trait]
impl ObjectStore for LocalFolder {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if matches!(options.mode, PutMode::Update(_)) {
            return Err(Error::NotImplemented { operation: "update if unchanged".into(), implementer: STORE.into() });
        }
        let (folder, location) = (self.clone(), location.clone());
        blocking(move || {
            let write = || -> io::Result<()> {
                let mut staged = folder.stage()?;
                write_all(&mut staged.file, &payload)?;
                folder.publish(staged, &folder.file_of(&location), &options.mode)
            };
            write().map_err(|error| folder.store_error(error, &location))?;
            Ok(PutResult { e_tag: None, version: None })
        })
        .await
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let (folder, location) = (self.clone(), location.clone());
        blocking(move || {
            let staged = folder.stage().map_err(|error| folder.store_error(error, &location))?;
            let staged = Arc::new(tokio::sync::Mutex::new(Some(staged)));
            Ok(Box::new(LocalUpload { folder, location, staged, size: 0 }) as Box<dyn MultipartUpload>)
        })
        .await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (folder, location) = (self.clone(), location.clone());
        blocking(move || {
            let (file, meta, path) = folder.open(&location)?;
            options.check_preconditions(&meta)?;
            let range: Range<u64> = match &options.range {
                None => 0..meta.size,
                Some(range) => range
                    .as_range(meta.size)
                    .map_err(|source| Error::Generic { store: STORE, source: Box::new(source) })?,
            };
            Ok(GetResult {
                payload: GetResultPayload::File(file, path),
                meta,
                range,
                attributes: Attributes::default(),
            })
        })
        .await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let folder = self.clone();
        let deleting = locations.map(move |location| {
            let folder = folder.clone();
            async move {
                let location = location?;
                blocking(move || folder.delete_file(&location).map(|()| location)).await
            }
        });
        deleting.buffered(8).boxed()
    }

    /// Goes down the folders in the order of names; the first name of a folder costs reading that one folder.
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let folder = self.clone();
        let start = Entry { order: String::new(), location: prefix.cloned().unwrap_or_default(), is_folder: true };
        let walk = stream::try_unfold(VecDeque::from([start]), move |mut open| {
            let folder = folder.clone();
            async move {
                let step = blocking(move || {
                    while let Some(entry) = open.pop_front() {
                        if entry.is_folder {
                            let mut inside = folder.entries(&entry.location)?;
                            while let Some(last) = inside.pop_back() {
                                open.push_front(last);
                            }
                        } else if let Some(meta) = folder.head(entry.location)? {
                            return Ok(Some((meta, open)));
                        }
                    }
                    Ok(None)
                });
                step.await
            }
        });
        walk.boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let (folder, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        blocking(move || {
            let (mut objects, mut common_prefixes) = (Vec::new(), Vec::new());
            for entry in folder.entries(&prefix)? {
                if entry.is_folder {
                    common_prefixes.push(entry.location);
                } else {
                    objects.extend(folder.head(entry.location)?);
                }
            }
            Ok(ListResult { common_prefixes, objects })
        })
        .await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented { operation: "copy".into(), implementer: STORE.into() })
    }
}

/// An object that arrives in parts, each of which is written where it belongs, in whatever order they come.
struct LocalUpload {
    folder: LocalFolder,
    location: Path,
    staged: Arc<tokio::sync::Mutex<Option<Staged>>>,
    /// The bytes of the parts so far.
    size: u64,
}

impl fmt::Debug for LocalUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalUpload").field("location", &self.location).finish_non_exhaustive()
    }
}

#[async_trait]
impl MultipartUpload for LocalUpload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let (folder, staged, location) = (self.folder.clone(), self.staged.clone(), self.location.clone());
        let start = self.size;
        self.size += payload.content_length() as u64;
        Box::pin(async move {
            let mut turn = staged.lock_owned().await;
            blocking(move || {
                let staged =
                    turn.as_mut().ok_or_else(|| folder.store_error(io::ErrorKind::NotFound.into(), &location))?;
                staged
                    .file
                    .seek(SeekFrom::Start(start))
                    .and_then(|_| write_all(&mut staged.file, &payload))
                    .map_err(|error| folder.store_error(error, &location))
            })
            .await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let staged = self.staged.lock().await.take();
        let (folder, location) = (self.folder.clone(), self.location.clone());
        blocking(move || {
            let staged = staged.ok_or_else(|| folder.store_error(io::ErrorKind::NotFound.into(), &location))?;
            let published = folder.publish(staged, &folder.file_of(&location), &PutMode::Create);
            published.map_err(|error| folder.store_error(error, &location))?;
            Ok(PutResult { e_tag: None, version: None })
        })
        .await
    }

    async fn abort(&mut self) -> Result<()> {
        drop(self.staged.lock().await.take());
        Ok(())
    }
}
