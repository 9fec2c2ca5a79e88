//! Uploads that were started and never ended: nobody sees them, and on most storages somebody pays for them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;

use super::Inner;
use super::commit::storage_time;
use super::layout;
use super::verify::Finding;
use crate::error::Result;
use crate::reference::{Key, WriteId};
use crate::storage::{STAGING, UnfinishedUpload, failure};

const REMEDY: &str = "; `coldframe verify --abort-unfinished 1d` removes what is older than a day";

/// What is unfinished below `prefix`, as findings of a verification.
pub(super) async fn findings(store: &Inner, prefix: &str) -> Result<Vec<Finding>> {
    if let Some(folder) = store.storage.folder() {
        let entries = std::fs::read_dir(folder.join(STAGING)).into_iter().flatten().flatten();
        let found = entries.map(|entry| {
            let name = format!("{STAGING}/{}", entry.file_name().to_string_lossy());
            let message = "a file that was being written: a put is under way, or one ended here";
            Finding::new("unfinished", name, format!("{message}{REMEDY}"))
        });
        return Ok(found.collect());
    }
    let found = match uploads(store, prefix).await {
        Ok(uploads) => uploads.into_iter().map(|upload| {
            let started = upload.started.format("%Y-%m-%d %H:%M:%S UTC");
            let message =
                format!("an upload that was started at {started}: a put is under way, or one ended here{REMEDY}");
            Finding::new("unfinished", upload.path, message)
        }),
        // Whoever may read everything may still not be allowed to see uploads.
        Err(error) => return Ok(vec![Finding::new("unfinished", store.storage.to_string(), error.to_string())]),
    };
    Ok(found.collect())
}

/// Ends the uploads below `prefix` that were started longer than `grace` ago and whose put is no longer alive.
pub(super) async fn abort(store: &Inner, prefix: &str, grace: Duration) -> Result<Vec<String>> {
    if let Some(folder) = store.storage.folder() {
        // What a staged file was to become, its name does not tell.
        return if prefix.is_empty() {
            remove_staged(store, &folder.join(STAGING), grace).await
        } else {
            Ok(Vec::new())
        };
    }
    let uploads = uploads(store, prefix).await?;
    if uploads.is_empty() {
        return Ok(Vec::new());
    }
    let Some(before) = before(store, grace).await? else { return Ok(Vec::new()) };
    // After the uploads were listed: a put that is pinned by then is alive.
    let alive = pinned_since(store, before).await?;
    let mut ended = Vec::new();
    for upload in uploads.iter().filter(|upload| is_stale(upload, before, &alive)) {
        store.storage.abort(upload).await?;
        ended.push(upload.path.to_string());
    }
    Ok(ended)
}

/// The instant `grace` ago, by the storage's clock.
async fn before(store: &Inner, grace: Duration) -> Result<Option<DateTime<Utc>>> {
    let now = storage_time(store).await?;
    Ok(chrono::Duration::from_std(grace).ok().and_then(|grace| now.checked_sub_signed(grace)))
}

/// Removes the staged files that nobody has written to for longer than `grace`.
async fn remove_staged(store: &Inner, folder: &Path, grace: Duration) -> Result<Vec<String>> {
    let Some(before) = before(store, grace).await? else { return Ok(Vec::new()) };
    let mut removed = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified()).map(DateTime::<Utc>::from);
        if modified.is_ok_and(|modified| modified <= before) && std::fs::remove_file(entry.path()).is_ok() {
            removed.push(format!("{STAGING}/{}", entry.file_name().to_string_lossy()));
        }
    }
    Ok(removed)
}

fn is_stale(upload: &UnfinishedUpload, before: DateTime<Utc>, alive: &BTreeSet<String>) -> bool {
    let write = layout::parse_data_object(&upload.path).map(|(_, write)| write.to_string());
    upload.started <= before && write.is_some_and(|write| !alive.contains(&write))
}

async fn uploads(store: &Inner, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
    let folder = layout::prefix_folder(layout::DATA, prefix)?;
    let mut uploads = store.storage.unfinished(&folder).await?.unwrap_or_default();
    // Another program may upload below the same folder: what is not named as ours is not ours.
    let is_ours = |(key, _): (Key, WriteId)| key.as_str().starts_with(prefix);
    uploads.retain(|upload| layout::parse_data_object(&upload.path).is_some_and(is_ours));
    Ok(uploads)
}

/// The writes whose pins are younger than `before`.
async fn pinned_since(store: &Inner, before: DateTime<Utc>) -> Result<BTreeSet<String>> {
    let pins = store.storage.store().list(Some(&layout::folder(layout::PINS)?)).map_err(failure);
    let young = pins.try_filter_map(|pin| async move {
        Ok(pin.location.filename().filter(|_| pin.last_modified > before).map(str::to_owned))
    });
    young.try_collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_stale_once_it_is_old_and_its_put_is_not_alive() {
        let at = |hour: i64| DateTime::from_timestamp(hour * 3600, 0).unwrap();
        let write = "01JD0000000000000000000000";
        let upload = |started| UnfinishedUpload {
            path: object_store::path::Path::parse(format!("data/a/{write}-0002.parquet")).unwrap(),
            id: "1".into(),
            started,
        };
        let alive = BTreeSet::from([write.to_owned()]);
        let other = BTreeSet::from(["01JD0000000000000000000001".to_owned()]);
        assert!(is_stale(&upload(at(1)), at(1), &BTreeSet::new()));
        assert!(is_stale(&upload(at(1)), at(2), &other));
        assert!(!is_stale(&upload(at(2)), at(1), &BTreeSet::new()));
        assert!(!is_stale(&upload(at(1)), at(2), &alive));
    }
}
