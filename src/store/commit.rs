//! The one atomic step: create the next version's name if it is absent. See [`docs::commit`](crate::docs::commit).
//!
//! ```text
//! data uploaded ─▶ list versions ─▶ create refs/<key>/@/<next>.json ─┬─ created ────────▶ committed
//!       ▲               ▲                                           ├─ taken ─▶ next number, or a conflict
//!       └ 15-minute rule┘ no older than 60 s                        └─ unclear ─▶ read it back, create again
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::{self, StreamExt};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use super::Inner;
use super::layout::{self, MARKER_BYTES, NameKind};
use super::lifetime::Lifetime;
use super::names::Names;
use crate::error::{Error, ErrorKind, Result};
use crate::reference::{Key, ResultReference, Version, WriteId};
use crate::storage::failure;
use crate::storage::sequence::{self, Creation};

/// A listing that is older than this when it is needed is made again.
const FRESH: Duration = Duration::from_secs(60);
/// How often, and after what pause, a marker is looked for that is said to be there and is not.
const MARKER_ATTEMPTS: usize = 20;
const MARKER_PAUSE: Duration = Duration::from_millis(250);
/// How many references are read at once.
const READS: usize = 16;
/// So many other writers may take the number before ours.
const ATTEMPTS: usize = 500;

/// Under which condition a version may be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// As the next version, whatever there is.
    #[default]
    None,
    /// If no version is there that is neither deleted nor expired.
    Absent,
    /// If the newest version that is neither deleted nor expired is this one; 0 for none.
    After(u64),
}

/// What a commit asks of the versions that are there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Demand {
    /// What the caller of a put says.
    Condition(Condition),
    /// That none of them is a copy of what the put `origin` wrote. A version does not change, so those up to `checked`
    /// are not looked at again.
    NoCopy { origin: WriteId, checked: Option<Version> },
}

impl Demand {
    /// Lists the versions of a key, and holds the demand against them; see [`Demand::check`].
    pub(crate) async fn look(&mut self, store: &Inner, key: &Key) -> Result<(Listing, Option<ResultReference>)> {
        let listing = self.list(store, key).await?;
        let found = self.check(store, key, &listing).await?;
        Ok((listing, found))
    }

    async fn list(&self, store: &Inner, key: &Key) -> Result<Listing> {
        let at = store.clock.elapsed();
        let names = match self {
            Self::Condition(_) => Names::newest(store, key).await?,
            Self::NoCopy { .. } => Names::all(store, key).await?,
        };
        Ok(Listing { names, at })
    }

    /// The version that makes the commit needless, if there is one; a conflict is an error.
    async fn check(&mut self, store: &Inner, key: &Key, listing: &Listing) -> Result<Option<ResultReference>> {
        match self {
            Self::Condition(condition) => check_condition(store, key, listing, *condition).await.map(|()| None),
            Self::NoCopy { origin, checked } => {
                let found = copy_of(store, key, &listing.names, *origin, *checked).await?;
                *checked = listing.names.highest().max(*checked);
                Ok(found)
            }
        }
    }
}

/// The names of a key, and when they were listed.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    names: Names,
    at: Duration,
}

impl Listing {
    fn is_fresh(&self, store: &Inner) -> bool {
        store.clock.elapsed().saturating_sub(self.at) < FRESH
    }
}

/// Makes sure that the storage is a coldframe store, and creates only what is absent; once per opened store.
pub(crate) async fn prove(store: &Inner) -> Result<()> {
    let proving = store.proven.get_or_try_init(|| async {
        let marker = layout::marker()?;
        for _ in 0..MARKER_ATTEMPTS {
            let proven = sequence::prove(&store.storage, &marker, Bytes::from_static(MARKER_BYTES));
            match tokio::try_join!(proven, sequence::read(&store.storage, &marker))?.1 {
                Some(found) if &*found == MARKER_BYTES => return Ok(()),
                Some(_) => {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "the store's marker coldframe.json is not of format 1",
                    )
                    .with_hint("a newer coldframe may have made this store: use that version, or another root"));
                }
                // Some storages say that a name is taken while another request is still making it.
                None => store.clock.sleep(MARKER_PAUSE).await,
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "the store's marker coldframe.json is said to be there, and is not")
            .with_hint("try again; if it stays so, the storage answers wrongly"))
    });
    proving.await.copied()
}

/// Commits a reference as the next version of its key.
pub(crate) async fn commit(
    store: &Arc<Inner>,
    reference: ResultReference,
    mut demand: Demand,
    lifetime: &Lifetime,
    listing: Listing,
) -> Result<Commit, Failed> {
    let mut listing = Some(listing);
    // Once a name was sent that might exist under our write, the data stays.
    let mut uncertain = false;
    for attempt in 0..ATTEMPTS {
        let done = step(store, &reference, &mut demand, lifetime, listing.take(), &mut uncertain).await;
        match done {
            Ok(Some(commit)) => return Ok(commit),
            Ok(None) => pause(store, attempt).await,
            Err(error) => return Err(Failed { error, nothing_committed: !uncertain }),
        }
    }
    let error = Error::new(ErrorKind::Unavailable, format!("{ATTEMPTS} other writers took the next version first"));
    Err(Failed { error: error.with_hint("try again when fewer write to this key"), nothing_committed: !uncertain })
}

/// How a commit ended well.
#[derive(Debug)]
pub(crate) enum Commit {
    /// The version is there by it.
    Made(ResultReference),
    /// Another version makes it needless: nothing was committed.
    Needless(ResultReference),
}

impl Commit {
    /// The version that is there.
    pub(crate) fn into_reference(self) -> ResultReference {
        match self {
            Self::Made(reference) | Self::Needless(reference) => reference,
        }
    }
}

/// Why there is no commit, and whether that is certain, so that the data may be removed.
pub(crate) struct Failed {
    pub(crate) error: Error,
    pub(crate) nothing_committed: bool,
}

async fn step(
    store: &Inner,
    reference: &ResultReference,
    demand: &mut Demand,
    lifetime: &Lifetime,
    listing: Option<Listing>,
    uncertain: &mut bool,
) -> Result<Option<Commit>> {
    let key = reference.key();
    let listing = match listing.filter(|listing| listing.is_fresh(store)) {
        Some(listing) => listing,
        None => demand.list(store, key).await?,
    };
    if let Some(found) = demand.check(store, key, &listing).await? {
        return Ok(Some(Commit::Needless(found)));
    }
    check_folding(store, key, &listing.names).await?;
    let next = Version::new(listing.names.highest().map_or(0, Version::get) + 1)?;
    let numbered = reference.clone().renumbered(next);
    let path = layout::version(key, next, NameKind::Reference)?;
    let write = reference.write();
    let is_ours = |found: &Bytes| write_of(found) == Some(write);
    let created = sequence::create(&store.storage, &*store.clock, &path, numbered.to_json().into(), is_ours, || {
        lifetime.check(store)
    });
    match created.await {
        Ok(Creation::Created) => Ok(Some(Commit::Made(numbered))),
        Ok(Creation::Taken(_)) => Ok(None),
        Err(error) => {
            *uncertain |= error.kind() == ErrorKind::OutcomeUnknown;
            Err(match error.kind() {
                ErrorKind::OutcomeUnknown => error.within(format!("write {write}, version {next}")),
                _ => error,
            })
        }
    }
}

async fn pause(store: &Inner, attempt: usize) {
    let ceiling = Duration::from_millis(2) * u32::try_from(attempt.min(50) + 1).unwrap_or(1);
    let pause = ceiling.mul_f64(rand::random());
    store.clock.sleep(pause).await;
}

fn write_of(found: &[u8]) -> Option<WriteId> {
    std::str::from_utf8(found)
        .ok()
        .and_then(|text| ResultReference::from_json(text).ok())
        .map(|reference| reference.write())
}

/// Compares the newest version that counts with what the put asks for.
async fn check_condition(store: &Inner, key: &Key, listing: &Listing, condition: Condition) -> Result<()> {
    let wanted = match condition {
        Condition::None => return Ok(()),
        Condition::Absent => 0,
        Condition::After(version) => version,
    };
    let found = newest_counted(store, key, &listing.names).await?.map_or(0, Version::get);
    if found == wanted {
        return Ok(());
    }
    let is = if found == 0 { "there is no version".to_owned() } else { format!("the newest version is {found}") };
    Err(match condition {
        Condition::Absent => Error::new(ErrorKind::Conflict, format!("it is not absent: {is}"))
            .with_hint(format!("read it as {key}@{found}, or put without `if absent`")),
        _ => Error::new(ErrorKind::Conflict, format!("{is}, not {wanted}"))
            .with_hint("somebody else wrote meanwhile: read what is there and decide again"),
    })
}

/// The newest version that is neither deleted nor expired, by the storage's clock.
async fn newest_counted(store: &Inner, key: &Key, names: &Names) -> Result<Option<Version>> {
    let Some(newest) = names.newest_shown() else { return Ok(None) };
    let Some(expires) = expiry(store, key, newest.version).await? else { return Ok(Some(newest.version)) };
    let now = storage_time(store).await?;
    if expires > now {
        return Ok(Some(newest.version));
    }
    // The newest is expired, and older ones may not be: the listing ended before them.
    for listed in Names::all(store, key).await?.versions.iter().filter(|listed| listed.is_shown()) {
        if expiry(store, key, listed.version).await?.is_none_or(|expires| expires > now) {
            return Ok(Some(listed.version));
        }
    }
    Ok(None)
}

async fn expiry(store: &Inner, key: &Key, version: Version) -> Result<Option<DateTime<Utc>>> {
    Ok(store.load(key, version).await?.written().and_then(|written| written.expires))
}

/// The newest version above `checked` that is not deleted and is what the put `origin` wrote, or a copy of it.
async fn copy_of(
    store: &Inner,
    key: &Key,
    names: &Names,
    origin: WriteId,
    checked: Option<Version>,
) -> Result<Option<ResultReference>> {
    let shown = names.versions.iter().filter(|listed| listed.is_shown() && Some(listed.version) > checked);
    let shown: Vec<Version> = shown.map(|listed| listed.version).collect();
    let mut loaded = stream::iter(shown).map(|version| store.load(key, version)).buffered(READS);
    while let Some(loaded) = loaded.next().await {
        match loaded {
            Ok(reference) if reference.origin().is_some_and(|found| found.write == origin) => {
                return Ok(Some(reference));
            }
            Ok(_) => {}
            // Deleted since it was listed, or nothing that could stand for the original.
            Err(error) if error.is_missing() => {}
            Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Unsupported) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The time by the storage's clock: that of a probe just written.
pub(crate) async fn storage_time(store: &Inner) -> Result<DateTime<Utc>> {
    let path = layout::probe(WriteId::draw(store.clock.now()))?;
    let objects = store.storage.store();
    objects.put(&path, PutPayload::from_static(b"probe")).await.map_err(failure)?;
    let time = objects.head(&path).await.map(|meta| meta.last_modified).map_err(failure);
    remove(store, &path).await;
    time
}

/// Removes an object that nothing names; what is left is the sweep's.
pub(crate) async fn remove(store: &Inner, path: &Path) {
    match store.storage.store().delete(path).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => tracing::debug!(error = %failure(error), %path, "an object was left for the sweep"),
    }
}

/// On a file system that takes `Trips` and `trips` for one name, the second of them is refused.
async fn check_folding(store: &Inner, key: &Key, names: &Names) -> Result<()> {
    let folds = store.storage.folder().is_some_and(|folder| folder.join("COLDFRAME.JSON").exists());
    let Some(listed) = names.newest_shown().filter(|_| folds) else { return Ok(()) };
    store.load(key, listed.version).await.map(drop)
}
