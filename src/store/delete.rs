//! Deleting is creating: a marker beside the reference hides the version at once, and says when, by whom and why.
//!
//! ```text
//! announce (…going-<id>) ─▶ list the tags ─▶ purge entry under due/ ─▶ marker (…deleted) ─▶ data objects
//! ```

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::TryStreamExt;
use futures::future::BoxFuture;
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Inner;
use super::commit::{remove, storage_time};
use super::layout::{self, Due, NameKind};
use super::names::Names;
use crate::error::{Error, ErrorKind, Result};
use crate::reference::{Key, Version, WriteId};
use crate::storage::failure;
use crate::storage::sequence;

/// How long a running scan of a deleted version may go on before its leftovers are purged.
const GRACE: Duration = Duration::from_secs(60 * 60);
/// An announcement older than this withdraws.
const ANNOUNCED_FOR: Duration = Duration::from_secs(15 * 60);

/// When, by whom and why a version was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    #[serde(rename = "type")]
    kind: String,
    format: u64,
    id: WriteId,
    /// When, by the clock of whoever deleted it.
    pub at: DateTime<Utc>,
    /// Who: user and machine.
    pub by: String,
    /// Why, if it was said.
    pub reason: Option<String>,
}

/// A delete on its way; await it to get the versions that are gone by it.
#[must_use = "a delete does nothing until it is awaited"]
#[derive(Debug)]
pub struct Delete {
    store: Arc<Inner>,
    key: Result<Key>,
    version: Option<Version>,
    force: bool,
    reason: Option<String>,
}

impl Delete {
    pub(super) fn new(store: Arc<Inner>, key: Result<Key>) -> Self {
        Self { store, key, version: None, force: false, reason: None }
    }

    /// Only this version; all of them where absent.
    pub fn version(self, version: Version) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Tagged versions too.
    pub fn force(self) -> Self {
        Self { force: true, ..self }
    }

    /// Why, for whoever looks for the version later.
    pub fn reason(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    async fn run(mut self) -> Result<Vec<Version>> {
        let key = std::mem::replace(&mut self.key, Err(Error::internal("the key was taken")))
            .map_err(|error| error.during("delete", ""))?;
        self.delete(&key).await.map_err(|error| error.during("delete", key))
    }

    async fn delete(&self, key: &Key) -> Result<Vec<Version>> {
        let names = Names::all(&self.store, key).await?;
        let Some(highest) = names.highest() else {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no such key in {}", self.store.storage))
                .with_hint("`coldframe ls` shows the keys of a store"));
        };
        let chosen: Vec<Version> = match self.version {
            None => names.versions.iter().filter(|listed| listed.is_shown()).map(|listed| listed.version).collect(),
            Some(version) => match names.find(version) {
                Some(listed) if listed.is_shown() => vec![version],
                // Deleting what is deleted is no error: the answer may have been lost the first time.
                Some(_) => vec![],
                None => {
                    return Err(Error::new(ErrorKind::NotFound, format!("there is no version {version}"))
                        .with_hint(format!("versions go up to {highest}; `coldframe versions {key}` shows them")));
                }
            },
        };
        for version in &chosen {
            self.delete_version(key, *version).await?;
        }
        Ok(chosen)
    }

    async fn delete_version(&self, key: &Key, version: Version) -> Result<()> {
        let store = &*self.store;
        let id = WriteId::draw(store.clock.now());
        if self.force {
            let now = storage_time(store).await?;
            return self.mark(key, version, id, now, store.clock.elapsed()).await;
        }
        let started = store.clock.elapsed();
        let going = layout::version(key, version, NameKind::Going(id))?;
        let announcement = json!({"type": "going", "format": 1, "id": id});
        let objects = store.storage.store();
        objects.put(&going, PutPayload::from(announcement.to_string())).await.map_err(failure)?;
        let marked = async {
            let now = objects.head(&going).await.map_err(failure)?.last_modified;
            refuse_tagged(store, key, version).await?;
            self.mark(key, version, id, now, started).await
        };
        let outcome = marked.await;
        remove(store, &going).await;
        outcome
    }

    /// Purge entry, marker, data: in this order, so that a crash leaves work that is found again.
    async fn mark(
        &self,
        key: &Key,
        version: Version,
        id: WriteId,
        now: DateTime<Utc>,
        started: Duration,
    ) -> Result<()> {
        let store = &*self.store;
        // A reference that cannot be read is deleted all the same; its data is then the sweep's.
        let reference = match store.load(key, version).await {
            Err(error) if error.is_transient() => return Err(error),
            loaded => loaded.ok(),
        };
        let write = reference.as_ref().map_or(id, |reference| reference.write());
        let due = now + GRACE;
        let purge = json!({"type": "purge", "format": 1, "key": key, "version": version, "write": write, "due": due.to_rfc3339()});
        let path = layout::due(due, write, Due::Purge)?;
        store.storage.store().put(&path, PutPayload::from(purge.to_string())).await.map_err(failure)?;
        let deletion = Deletion {
            kind: "deletion".into(),
            format: 1,
            id,
            at: store.clock.now(),
            by: store.configuration.who(),
            reason: self.reason.clone(),
        };
        let bytes = Bytes::from(serde_json::to_vec(&deletion).map_err(|error| Error::internal(error.to_string()))?);
        let marker = layout::version(key, version, NameKind::Deleted)?;
        let in_time = || match store.clock.elapsed().saturating_sub(started) > ANNOUNCED_FOR {
            false => Ok(()),
            true => {
                Err(Error::new(ErrorKind::Unavailable, "the delete stood still for 15 minutes").with_hint("try again"))
            }
        };
        // Somebody else's marker does as well as ours.
        sequence::create(&store.storage, &*store.clock, &marker, bytes, |_| true, in_time).await?;
        let paths = reference.as_ref().and_then(|reference| layout::check_parts(reference).ok());
        let parts = reference.as_ref().and_then(|reference| reference.written()).map(|written| written.parts.iter());
        for (path, part) in paths.unwrap_or_default().iter().zip(parts.into_iter().flatten()) {
            remove(store, path).await;
            if let Some(cache) = &store.cache {
                cache.evict(path, part.size, part.checksum).await;
            }
        }
        Ok(())
    }
}

impl IntoFuture for Delete {
    type Output = Result<Vec<Version>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// An entry of a tag: `tags/<name>/@/<inverted>.json`.
#[derive(Deserialize)]
struct TagEntry {
    key: Key,
    version: Version,
}

/// Every entry of every tag protects its version, the superseded ones too.
async fn refuse_tagged(store: &Inner, key: &Key, version: Version) -> Result<()> {
    let mut tags = store.storage.store().list(Some(&layout::folder(layout::TAGS)?));
    while let Some(meta) = tags.try_next().await.map_err(failure)? {
        let Some(bytes) = sequence::read(&store.storage, &meta.location).await? else { continue };
        let protects = match serde_json::from_slice::<TagEntry>(&bytes) {
            Ok(entry) => &entry.key == key && entry.version == version,
            Err(error) => {
                return Err(Error::damaged(format!("the tag entry {} cannot be read: {error}", meta.location))
                    .with_hint("`--force` deletes without regard to tags"));
            }
        };
        if protects {
            let name = meta.location.parts().nth(1).map(|part| part.as_ref().to_owned()).unwrap_or_default();
            return Err(Error::new(ErrorKind::Conflict, format!("version {version} is tagged `{name}`"))
                .with_hint("remove the tag first, or delete it with `--force`"));
        }
    }
    Ok(())
}

/// The marker of a version, if it is deleted.
pub(super) async fn find(store: &Inner, key: &Key, version: Version) -> Result<Option<Deletion>> {
    let path = layout::version(key, version, NameKind::Deleted)?;
    let Some(bytes) = sequence::read(&store.storage, &path).await? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::damaged(format!("the marker {path} cannot be read: {error}")))
}

/// The error for a version that was deleted.
pub(super) async fn gone(store: &Inner, key: &Key, version: Version) -> Error {
    match find(store, key, version).await {
        Ok(Some(deletion)) => explained(version, &deletion),
        Ok(None) => {
            Error::new(ErrorKind::Gone, format!("version {version} was deleted")).with_hint("compute the result again")
        }
        Err(error) => error,
    }
}

/// The error for a version whose marker was read.
pub(super) fn explained(version: Version, deletion: &Deletion) -> Error {
    let at = deletion.at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let reason = deletion.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    Error::new(ErrorKind::Gone, format!("version {version} was deleted at {at} by {}{reason}", deletion.by))
        .with_hint("compute the result again")
}
