//! Uploads that were started and never ended: nobody sees them, and on most storages somebody pays for them.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;

use super::Inner;
use super::commit::storage_time;
use super::layout;
use super::verify::Finding;
use crate::error::Result;
use crate::storage::{STAGING, UnfinishedUpload, failure};

/// What is unfinished below `prefix`, as findings of a verification.
pub(super) async fn findings(store: &Inner, prefix: &str) -> Result<Vec<Finding>> {
    if let Some(folder) = store.storage.folder() {
        let entries = std::fs::read_dir(folder.join(STAGING)).into_iter().flatten().flatten();
        let found = entries.map(|entry| {
            let name = format!("{STAGING}/{}", entry.file_name().to_string_lossy());
            Finding::new("unfinished", name, "a file that was being written: a put is under way, or one ended here")
        });
        return Ok(found.collect());
    }
    let found = match uploads(store, prefix).await {
        Ok(uploads) => uploads.into_iter().map(|upload| {
            let started = upload.started.format("%Y-%m-%d %H:%M:%S UTC");
            let message = format!("an upload that was started at {started}: a put is under way, or one ended here");
            Finding::new("unfinished", upload.path, message)
        }),
        // Whoever may read everything may still not be allowed to see uploads.
        Err(error) => return Ok(vec![Finding::new("unfinished", store.storage.to_string(), error.to_string())]),
    };
    Ok(found.collect())
}

/// Ends the uploads below `prefix` that were started longer than `grace` ago and whose put is no longer alive.
pub(super) async fn abort(store: &Inner, prefix: &str, grace: Duration) -> Result<Vec<String>> {
    let uploads = uploads(store, prefix).await?;
    if uploads.is_empty() {
        return Ok(Vec::new());
    }
    let now = storage_time(store).await?;
    let before = chrono::Duration::from_std(grace).ok().and_then(|grace| now.checked_sub_signed(grace));
    let Some(before) = before else { return Ok(Vec::new()) };
    // After the uploads were listed: a put that is pinned by then is alive.
    let alive = pinned_since(store, before).await?;
    let mut ended = Vec::new();
    for upload in uploads.iter().filter(|upload| is_stale(upload, before, &alive)) {
        store.storage.abort(upload).await?;
        ended.push(upload.path.to_string());
    }
    Ok(ended)
}

fn is_stale(upload: &UnfinishedUpload, before: DateTime<Utc>, alive: &BTreeSet<String>) -> bool {
    let is_alive = upload.path.filename().is_some_and(|name| alive.iter().any(|write| name.starts_with(write)));
    upload.started <= before && !is_alive
}

async fn uploads(store: &Inner, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
    let folder = layout::prefix_folder(layout::DATA, prefix)?;
    let mut uploads = store.storage.unfinished(&folder).await?.unwrap_or_default();
    uploads.retain(|upload| layout::parse_data(&upload.path).is_some_and(|key| key.as_str().starts_with(prefix)));
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
