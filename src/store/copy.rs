//! Copies a version to another store, or under another key, and checks every byte on its way.
//!
//! ```text
//! resolve ─▶ there already? ─▶ pieces ─▶ upload (in parts), hashed ─▶ same as written? ─▶ commit, unless it is there by now
//! ```
//!
//! A copy is a write of its own: with an identity, a number and data objects that nothing else names, so that neither a
//! deletion nor another copy that is given up can take its data away. What it was copied from, its reference tells; by
//! that it is known again.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::SubsecRound;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use tokio::sync::mpsc;

use super::commit::{Commit, Demand, prove};
use super::open::{self, PartSource};
use super::pending::Pending;
use super::verify::compare;
use super::{Inner, Progress, Target, layout};
use crate::checksum::Running;
use crate::error::{Error, Result};
use crate::reference::{Key, Origin, Part, ResultReference, Written};
use crate::serializer::Source;
use crate::storage::Upload;

/// The largest piece that is read at once; a small budget makes it smaller.
const PIECE_BYTES: usize = 8 * 1024 * 1024;
/// Which share of the budget a piece may take: two are being read, one waits, one is handed to the upload.
const PIECE_SHARE: usize = 16;

/// A copy on its way; await it to get what was [`Copied`].
///
/// Dropped before its commit was sent, it leaves nothing visible and cleans up; dropped later, the commit still
/// comes to its end.
#[must_use = "a copy does nothing until it is awaited"]
#[derive(Debug)]
pub struct Copying {
    source: Arc<Inner>,
    target: Arc<Inner>,
    what: Result<Target>,
    key: Option<Result<Key>>,
    progress: Arc<Progress>,
}

/// What a copy came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Copied {
    /// The version that was copied.
    pub original: ResultReference,
    /// The version of the other store that holds the same result.
    pub reference: ResultReference,
    /// Whether it was there before, so that no version was added.
    pub already_there: bool,
}

impl Copying {
    pub(super) fn new(source: Arc<Inner>, target: Arc<Inner>, what: Result<Target>) -> Self {
        Self { source, target, what, key: None, progress: Arc::default() }
    }

    /// Under another key; under the same where absent.
    pub fn key<K>(self, key: K) -> Self
    where
        K: TryInto<Key, Error: Into<Error>>,
    {
        Self { key: Some(key.try_into().map_err(Into::into)), ..self }
    }

    /// Counters to watch.
    pub fn progress(self, progress: Arc<Progress>) -> Self {
        Self { progress, ..self }
    }

    async fn run(self) -> Result<Copied> {
        let Self { source, target, what, key, progress } = self;
        let what = what.map_err(|error| error.during("copy", ""))?;
        let name = what.to_string();
        let resolved = async {
            let key = key.transpose()?;
            // What is copied is what the storage says, whatever else a full reference from outside may tell.
            let original = open::resolve(&source, what.compacted()).await?;
            open::refuse_expired(&source, &original)?;
            open::refuse_expired(&target, &original).map_err(|error| at(&target, error))?;
            Ok((key, original))
        };
        let (key, original) = resolved.await.map_err(|error: Error| error.during("copy", name))?;
        let key = key.unwrap_or_else(|| original.key().clone());
        let transfer = Transfer { source: &source, target: &target, original: &original, progress: &progress };
        let commit = transfer.run(key).await.map_err(|error| error.during("copy", &original))?;
        let already_there = matches!(commit, Commit::Needless(_));
        let reference = target.handed_out(commit.into_reference());
        Ok(Copied { original: source.handed_out(original), reference, already_there })
    }
}

impl IntoFuture for Copying {
    type Output = Result<Copied>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// One version on its way from one store to the other.
struct Transfer<'a> {
    source: &'a Arc<Inner>,
    target: &'a Arc<Inner>,
    original: &'a ResultReference,
    progress: &'a Progress,
}

impl Transfer<'_> {
    async fn run(&self, key: Key) -> Result<Commit> {
        let (Some(written), Some(origin)) = (self.original.written(), self.original.origin()) else {
            return Err(Error::internal("a full reference is compact"));
        };
        let paths = layout::check_parts(self.original)?;
        let mut pending = Pending::start(self.target);
        let mut demand = Demand::NoCopy { origin: origin.write, checked: None };
        let listing = match demand.look(self.target, &key).await.map_err(|error| self.at_target(error))? {
            (_, Some(found)) => return Ok(Commit::Needless(found)),
            (listing, None) => listing,
        };
        match self.write(written, origin, paths, key, &mut pending).await {
            Ok(reference) => pending.commit(reference, demand, listing).await.map_err(|error| self.at_target(error)),
            Err(error) => Err(pending.give_up(error).await),
        }
    }

    /// Marker, expiry entry and data; then the reference that is to be committed.
    async fn write(
        &self,
        written: &Written,
        origin: Origin,
        paths: Vec<Path>,
        key: Key,
        pending: &mut Pending,
    ) -> Result<ResultReference> {
        // Not beside the data, as in a put: damaged data would end it halfway.
        prove(self.target).await.map_err(|error| self.at_target(error))?;
        pending.write_due(&key, written.expires).await.map_err(|error| self.at_target(error))?;
        let write = pending.write();
        let objects =
            paths.iter().enumerate().map(|(number, path)| layout::data(&key, write, number, layout::extension(path)));
        let objects = objects.collect::<Result<Vec<Path>>>()?;
        let piece_bytes = self.piece_bytes();
        let sources = written.parts.iter().zip(paths);
        let sources =
            sources.map(|(part, path)| PartSource::new(self.source, self.original, part, path, piece_bytes)).collect();
        let (uncommitted, outlived) = pending.at_work();
        let parts = tokio::select! {
            done = self.write_parts(sources, objects, uncommitted) => done?,
            ended = outlived => return Err(ended),
        };
        let created = self.target.clock.now().trunc_subsecs(6);
        let written = Written { parts, created, copied_from: Some(origin), ..written.clone() };
        Ok(self.original.clone().rewritten(key, write, written))
    }

    async fn write_parts(
        &self,
        sources: Vec<PartSource>,
        objects: Vec<Path>,
        uncommitted: &mut Vec<Path>,
    ) -> Result<Vec<Part>> {
        let mut parts = Vec::with_capacity(sources.len());
        for (source, object) in sources.into_iter().zip(objects) {
            uncommitted.push(object.clone());
            self.write_part(&source, object.clone()).await?;
            let part = Part { path: object.to_string(), ..source.part().clone() };
            self.progress.rows.fetch_add(part.rows.unwrap_or_default(), Ordering::Relaxed);
            parts.push(part);
        }
        Ok(parts)
    }

    /// Reads and uploads at the same time; the object becomes whole only when its bytes were found to be those written.
    async fn write_part(&self, source: &PartSource, object: Path) -> Result<()> {
        let mut upload = Upload::new(&self.target.storage, object, self.budget() / 4);
        let (sender, mut receiver) = mpsc::channel(1);
        let reading = async move {
            let mut pieces = source.pieces(self.piece_bytes());
            while let Some(piece) = pieces.try_next().await? {
                // Where the upload is gone, its own error tells why.
                if sender.send(piece).await.is_err() {
                    break;
                }
            }
            Ok(())
        };
        let writing = async {
            let mut hash = Running::default();
            while let Some(piece) = receiver.recv().await {
                hash.update(&piece);
                self.progress.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
                upload.push(piece).await.map_err(|error| self.at_target(error))?;
            }
            compare(source.part(), &hash)?;
            upload.finish().await.map_err(|error| self.at_target(error))
        };
        tokio::try_join!(reading, writing).map(drop)
    }

    fn budget(&self) -> usize {
        self.source.memory.min(self.target.memory)
    }

    fn piece_bytes(&self) -> u64 {
        PIECE_BYTES.min(self.budget() / PIECE_SHARE) as u64
    }

    fn at_target(&self, error: Error) -> Error {
        at(self.target, error)
    }
}

/// Two stores take part, so an error of the one that is written to says so.
fn at(target: &Inner, error: Error) -> Error {
    error.within(format!("into {}", target.storage))
}
