//! Reads everything, and compares it with what was written; with what was put, too, where that is wanted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::TryStreamExt;
use serde::Serialize;

use super::layout::{self, NameKind, VersionName};
use super::{Inner, Opened, Progress, hashing, unfinished};
use crate::checksum::Running;
use crate::error::{Error, ErrorKind, Result};
use crate::fingerprint::{self, Fingerprint};
use crate::reference::{Key, Part, ResultReference, Version};
use crate::storage::{Object, failure, sequence};
use crate::value::Value;

const READ_BYTES: u64 = 8 * 1024 * 1024;

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// How many versions were read.
    pub versions: u64,
    /// How many bytes of data were read.
    pub bytes: u64,
    /// What is wrong: a version that cannot be read back as it was written.
    pub problems: Vec<Finding>,
    /// What is left over, and harms nobody.
    pub notes: Vec<Finding>,
}

/// One thing that a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is: `damaged`, `dangling`, `orphan`, `unfinished`, `foreign`; `uncertain` where contents could not be
    /// compared, or differ as their put said that they would.
    pub kind: &'static str,
    /// The version or object that it is about.
    pub subject: String,
    /// What is wrong with it.
    pub message: String,
}

impl Finding {
    pub(super) fn new(kind: &'static str, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, subject: subject.into(), message: message.into() }
    }
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// The bytes, with their checksums.
    Bytes,
    /// Also what they mean, with the fingerprint.
    Contents,
}

pub(super) async fn verify(
    store: &Arc<Inner>,
    prefix: &str,
    progress: Option<Arc<Progress>>,
    depth: Depth,
) -> Result<Verification> {
    let progress = progress.unwrap_or_default();
    let mut found = Verification::default();
    // The data is listed first: what is committed meanwhile is then no orphan.
    let data = data_objects(store, prefix).await?;
    let mut named = BTreeSet::new();
    let folder = layout::prefix_folder(layout::REFERENCES, prefix)?;
    let mut listing = store.storage.store().list(Some(&folder));
    let mut deleted: BTreeSet<(Key, Version)> = BTreeSet::new();
    while let Some(meta) = listing.try_next().await.map_err(failure)? {
        let location = meta.location;
        let Some((key, name)) = layout::parse_version(&location) else {
            found.notes.push(Finding::new("foreign", location.as_ref(), "it is no name of the format"));
            continue;
        };
        if !key.as_str().starts_with(prefix) {
            continue;
        }
        match VersionName::parse(&name) {
            None => found.problems.push(Finding::new(
                "damaged",
                location.as_ref(),
                "it is no name of the format, or its numbers disagree",
            )),
            Some(VersionName { version, kind: NameKind::Deleted }) => drop(deleted.insert((key, version))),
            Some(VersionName { kind: NameKind::Going(_), .. }) => {}
            Some(VersionName { version, kind: NameKind::Reference }) => {
                let is_deleted = deleted.contains(&(key.clone(), version));
                let checked =
                    check_version(store, &key, version, is_deleted, &progress, &mut named, &mut found).await?;
                if let Some(reference) = checked.filter(|_| depth == Depth::Contents) {
                    check_contents(store, reference, &mut found).await?;
                }
            }
        }
    }
    for path in data.into_iter().filter(|path| !named.contains(path)) {
        found.notes.push(Finding::new("orphan", path, "no version names it: a put is under way, or one ended here"));
    }
    found.notes.extend(unfinished::findings(store, prefix).await?);
    Ok(found)
}

async fn data_objects(store: &Inner, prefix: &str) -> Result<Vec<String>> {
    let folder = layout::prefix_folder(layout::DATA, prefix)?;
    let listed = store.storage.store().list(Some(&folder)).map_err(failure);
    let wanted = listed.try_filter_map(|meta| async move {
        let ours = layout::parse_data(&meta.location).is_none_or(|key| key.as_str().starts_with(prefix));
        Ok(ours.then(|| meta.location.to_string()))
    });
    wanted.try_collect().await
}

/// Gives the reference if all of its bytes are as they were written.
async fn check_version(
    store: &Arc<Inner>,
    key: &Key,
    version: Version,
    deleted: bool,
    progress: &Progress,
    named: &mut BTreeSet<String>,
    found: &mut Verification,
) -> Result<Option<ResultReference>> {
    let subject = format!("{key}@{version}");
    let reference = match store.load(key, version).await {
        Ok(reference) => reference,
        // It may have been purged since its name was listed.
        Err(error) if error.is_missing() && !is_there(store, key, version).await? => return Ok(None),
        Err(error) if error.is_missing() => {
            found.problems.push(Finding::new("damaged", subject, error.to_string()));
            return Ok(None);
        }
        Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Unsupported) => {
            found.problems.push(Finding::new("damaged", subject, error.to_string()));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let paths = match layout::check_parts(&reference) {
        Ok(paths) => paths,
        Err(error) => {
            found.problems.push(Finding::new("damaged", subject, error.to_string()));
            return Ok(None);
        }
    };
    let parts = reference.written().map(|written| written.parts.as_slice()).unwrap_or_default();
    named.extend(parts.iter().map(|part| part.path.clone()));
    if deleted {
        return Ok(None);
    }
    found.versions += 1;
    let mut sound = true;
    for (part, path) in parts.iter().zip(paths) {
        let object = Object::new(store.storage.store().clone(), path, part.size);
        match check_part(&object, part, progress).await {
            Ok(()) => {
                found.bytes += part.size;
                continue;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // It may have been deleted since its name was listed.
                if super::delete::find(store, key, version).await?.is_none() {
                    found.problems.push(Finding::new("dangling", subject.clone(), error.to_string()));
                }
            }
            Err(error) if error.kind() == ErrorKind::Damaged => {
                found.problems.push(Finding::new("damaged", subject.clone(), error.to_string()));
            }
            Err(error) => return Err(error),
        }
        sound = false;
    }
    Ok(Some(reference).filter(|_| sound))
}

/// Decodes a table or JSON value that has a fingerprint, and compares that.
async fn check_contents(store: &Arc<Inner>, reference: ResultReference, found: &mut Verification) -> Result<()> {
    let subject = reference.to_string();
    let written = reference.written();
    let lossy = written.is_some_and(|written| !written.lossy.is_empty());
    let fingerprint = written.and_then(|written| written.fingerprint.as_deref());
    let Some(expected) = fingerprint.and_then(|text| text.parse::<Fingerprint>().ok()) else { return Ok(()) };
    let (problem, message) = match fingerprint_of(store, reference).await {
        Ok(actual) if actual == expected => return Ok(()),
        Ok(actual) => (!lossy, format!("it is not what was put: its fingerprint is {actual}, not {expected}")),
        Err(error) if error.kind() == ErrorKind::Damaged => (true, error.to_string()),
        Err(error) if error.kind() == ErrorKind::Unsupported => (false, error.to_string()),
        // It may have been deleted since its bytes were read.
        Err(error) if error.is_missing() => return Ok(()),
        Err(error) => return Err(error),
    };
    match problem {
        true => found.problems.push(Finding::new("damaged", subject, message)),
        false => found.notes.push(Finding::new("uncertain", subject, message)),
    }
    Ok(())
}

async fn fingerprint_of(store: &Arc<Inner>, reference: ResultReference) -> Result<Fingerprint> {
    let opened = Opened::open_uncached(store.clone(), reference).await?;
    if opened.schema().is_none() {
        return match opened.value().await? {
            Value::Json(value) => fingerprint::of_json(&value),
            _ => Err(Error::damaged("its reference has a fingerprint, and its data is neither a table nor JSON")),
        };
    }
    hashing::fingerprint_of(opened.scan().named("verify").batches().await?).await
}

async fn is_there(store: &Inner, key: &Key, version: Version) -> Result<bool> {
    let path = layout::version(key, version, NameKind::Reference)?;
    Ok(sequence::read(&store.storage, &path).await?.is_some())
}

async fn check_part(object: &Object, part: &Part, progress: &Progress) -> Result<()> {
    let mut hash = Running::default();
    let mut pieces = object.pieces(READ_BYTES);
    while let Some(bytes) = pieces.try_next().await? {
        progress.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        hash.update(&bytes);
    }
    compare(part, &hash)
}

/// Refuses bytes that are not those of the part.
pub(super) fn compare(part: &Part, hash: &Running) -> Result<()> {
    if hash.checksum() == part.checksum {
        Ok(())
    } else {
        Err(Error::damaged(format!("{} is not what was written: its checksum differs", part.path)))
    }
}
