//! Uploads in parts that were started and never ended: they take room, and no listing of objects shows them.
//!
//! S3 and Google Cloud Storage list them. Azure keeps the parts of an unfinished upload for a week and then drops them by
//! itself; a local disk has its staging folder.

use std::fmt::Debug;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use object_store::path::Path;

use crate::error::Result;

/// An upload that was started and did not end yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnfinishedUpload {
    /// The object that it would become.
    pub(crate) path: Path,
    /// By which the storage knows it.
    pub(crate) id: String,
    /// By the storage's clock.
    pub(crate) started: DateTime<Utc>,
}

/// A bucket that can say which uploads were started in it.
#[async_trait]
pub(super) trait Uploads: Debug + Send + Sync {
    /// Those whose object's name, counted from the bucket's root, begins with `prefix`.
    async fn list(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>>;

    /// Ends one, and removes what was uploaded of it; one that ended meanwhile is no error.
    async fn abort(&self, upload: &UnfinishedUpload) -> Result<()>;
}
