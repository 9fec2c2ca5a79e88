//! "Create the next number in this folder if absent, read the newest": the one primitive that commits stand on.
//!
//! It knows no domain. A name is created by one request that either makes it or finds it made; where the answer does
//! not come, or is not clear, the name is read back, and the same request is sent again until its outcome is certain.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutOptions};

use super::failure::is_unanswered;
use super::{Storage, failure, is_absent};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// How long the outcome of a create is looked for.
const UNCLEAR: Duration = Duration::from_secs(60);

/// What became of a create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// The name holds our bytes.
    Created,
    /// The name holds these bytes of somebody else.
    Taken(Bytes),
}

/// A name of a folder, as a listing gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The last segment of its path.
    pub name: String,
    /// When it was written, by the storage's clock.
    pub modified: DateTime<Utc>,
    /// Its size in bytes.
    pub size: u64,
}

/// The names directly in `folder`, sorted, until `enough` says so of the names read so far.
///
/// A storage that lists in order is read no further than needed: the newest comes first, so one page usually is.
///
/// # Errors
///
/// What the storage fails with.
pub async fn names(storage: &Storage, folder: &Path, mut enough: impl FnMut(&[Name]) -> bool) -> Result<Vec<Name>> {
    let mut listing = storage.store().list(Some(folder));
    let mut names: Vec<Name> = Vec::new();
    while let Some(meta) = listing.try_next().await.map_err(failure)? {
        let Some(mut rest) = meta.location.prefix_match(folder) else { continue };
        let (Some(name), None) = (rest.next().map(|part| part.as_ref().to_owned()), rest.next()) else { continue };
        names.push(Name { name, modified: meta.last_modified, size: meta.size });
        if storage.lists_in_order() && enough(&names) {
            return Ok(names);
        }
    }
    names.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(names)
}

/// The bytes of a name; none if it is not there.
///
/// # Errors
///
/// What the storage fails with.
pub async fn read(storage: &Storage, path: &Path) -> Result<Option<Bytes>> {
    match storage.store().get(path).await {
        Ok(result) => result.bytes().await.map(Some).map_err(failure),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(failure(error)),
    }
}

/// Creates a name with `bytes` if it is absent, and stays with it until the outcome is certain.
///
/// `is_ours` tells whether bytes found under the name are those of this create. `may_send` is asked before every
/// sending; its error ends the create.
///
/// # Errors
///
/// [`ErrorKind::OutcomeUnknown`] if there was no certain answer within a minute, or what the storage definitely
/// refuses with.
pub async fn create(
    storage: &Storage,
    clock: &dyn Clock,
    path: &Path,
    bytes: Bytes,
    is_ours: impl Fn(&Bytes) -> bool,
    mut may_send: impl FnMut() -> Result<()>,
) -> Result<Creation> {
    let started = clock.elapsed();
    let mut sent = false;
    let mut pause = Duration::from_millis(50);
    loop {
        match may_send() {
            Err(error) if sent => return Err(unknown(path).with_source(error)),
            other => other?,
        }
        let options = PutOptions::from(PutMode::Create);
        let answer = storage.creates().put_opts(path, bytes.clone().into(), options).await;
        let cause = match answer {
            Ok(_) => return Ok(Creation::Created),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => None,
            Err(error) => {
                let unanswered = is_unanswered(&error);
                let cause = failure(error);
                if !sent && !unanswered && is_definite(cause.kind()) {
                    return Err(cause);
                }
                Some(cause)
            }
        };
        sent = true;
        match read(storage, path).await {
            Ok(Some(found)) if is_ours(&found) => return Ok(Creation::Created),
            Ok(Some(found)) => return Ok(Creation::Taken(found)),
            Ok(None) | Err(_) => {}
        }
        if clock.elapsed().saturating_sub(started) >= UNCLEAR {
            let error = unknown(path);
            return Err(match cause {
                Some(cause) => error.with_source(cause),
                None => error,
            });
        }
        clock.sleep(pause.mul_f64(0.5 + rand::random::<f64>())).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// Creates a name that always has the same `bytes`, and proves by it that the storage creates only what is absent.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] if the storage overwrote instead, or what it fails with.
pub async fn prove(storage: &Storage, path: &Path, bytes: Bytes) -> Result<()> {
    for _ in 0..2 {
        let options = PutOptions::from(PutMode::Create);
        // A repetition by the client library does no harm here: that it finds the name taken is proof as well.
        match storage.store().put_opts(path, bytes.clone().into(), options).await {
            // The first create may find nothing there; the second must find what the first made.
            Ok(_) => {}
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => return Ok(()),
            Err(error) => return Err(failure(error)),
        }
    }
    Err(Error::new(ErrorKind::Unsupported, "this storage overwrites where it should create only what is absent")
        .with_hint(
            "without create-if-absent two writers could both believe they won: use another storage, or switch it on",
        ))
}

/// Whether a first answer of this kind says that nothing was created.
fn is_definite(kind: ErrorKind) -> bool {
    !matches!(kind, ErrorKind::Unavailable | ErrorKind::Internal | ErrorKind::Conflict | ErrorKind::OutcomeUnknown)
}

fn unknown(path: &Path) -> Error {
    Error::new(
        ErrorKind::OutcomeUnknown,
        format!("whether {path} was created is not known: the storage gave no clear answer"),
    )
    .with_hint("`coldframe versions KEY` shows whether it came through; if not, put again")
}
