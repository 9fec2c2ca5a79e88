//! Uploads in parts that were started and never ended: they take room, and no listing of objects shows them.
//!
//! S3 and Google Cloud Storage list them, in the same XML. Azure keeps the parts of an unfinished upload for a week and
//! then drops them by itself; a local disk has its staging folder.

use std::fmt::Debug;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use object_store::path::Path;
use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};

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

/// A storage that can say which uploads were started.
#[async_trait]
pub(super) trait Uploads: Debug + Send + Sync {
    /// One page of the uploads whose object's name begins with `prefix`, as the storage's XML.
    async fn page(&self, prefix: &str, after: Option<&Marker>) -> Result<String>;

    /// Ends one; what was uploaded of it is removed.
    async fn abort(&self, upload: &UnfinishedUpload) -> Result<()>;
}

/// Where a page of uploads begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) key: String,
    pub(super) id: String,
}

/// All uploads whose object's name begins with `prefix`.
pub(super) async fn all(uploads: &dyn Uploads, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page: Page = quick_xml::de::from_str(&uploads.page(prefix, after.as_ref()).await?)
            .map_err(|error| Error::new(ErrorKind::Unsupported, format!("the list of uploads is malformed: {error}")))?;
        for upload in page.uploads {
            // What cannot be a name is not ours.
            if let Ok(path) = Path::parse(&upload.key)
                && upload.key.starts_with(prefix)
            {
                found.push(UnfinishedUpload { path, id: upload.upload_id, started: upload.initiated });
            }
        }
        let next = page.next_key_marker.filter(|key| page.is_truncated && !key.is_empty());
        let next = next.map(|key| Marker { key, id: page.next_upload_id_marker.unwrap_or_default() });
        if next.is_none() || next == after {
            return Ok(found);
        }
        after = next;
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
    #[serde(default, rename = "Upload")]
    uploads: Vec<Listed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    key: String,
    upload_id: String,
    initiated: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const FIRST: &str = "<?xml version=\"1.0\"?><ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
        <Bucket>b</Bucket><IsTruncated>true</IsTruncated><NextKeyMarker>data/a</NextKeyMarker>\
        <NextUploadIdMarker>1&amp;</NextUploadIdMarker><MaxUploads>1</MaxUploads>\
        <Upload><Key>data/a</Key><UploadId>1&amp;</UploadId><Initiated>2026-11-20T10:00:00.000Z</Initiated></Upload>\
        <Upload><Key>data//b</Key><UploadId>x</UploadId><Initiated>2026-11-20T10:00:00.000Z</Initiated></Upload>\
        <Upload><Key>other</Key><UploadId>y</UploadId><Initiated>2026-11-20T10:00:00.000Z</Initiated></Upload>\
        </ListMultipartUploadsResult>";
    const LAST: &str = "<ListMultipartUploadsResult><NextKeyMarker/><IsTruncated>false</IsTruncated>\
        <Upload><Key>data/c d</Key><UploadId>2</UploadId><Initiated>2026-11-20T11:00:00Z</Initiated></Upload>\
        </ListMultipartUploadsResult>";

    #[derive(Debug)]
    struct Pages(Mutex<Vec<Option<Marker>>>);

    #[async_trait]
    impl Uploads for Pages {
        async fn page(&self, _: &str, after: Option<&Marker>) -> Result<String> {
            self.0.lock().unwrap().push(after.cloned());
            Ok(if after.is_none() { FIRST } else { LAST }.to_owned())
        }

        async fn abort(&self, _: &UnfinishedUpload) -> Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn every_page_is_read_and_only_what_lies_below_the_prefix_is_found() {
        let pages = Pages(Mutex::default());
        let found = all(&pages, "data/").await.unwrap();
        let names: Vec<_> = found.iter().map(|upload| (upload.path.as_ref(), upload.id.as_str())).collect();
        assert_eq!(names, [("data/a", "1&"), ("data/c d", "2")]);
        let marker = Marker { key: "data/a".into(), id: "1&".into() };
        assert_eq!(*pages.0.lock().unwrap(), [None, Some(marker)]);
    }

    #[tokio::test]
    async fn an_empty_list_is_no_error() {
        #[derive(Debug)]
        struct Empty;
        #[async_trait]
        impl Uploads for Empty {
            async fn page(&self, _: &str, _: Option<&Marker>) -> Result<String> {
                Ok("<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>".into())
            }

            async fn abort(&self, _: &UnfinishedUpload) -> Result<()> {
                Ok(())
            }
        }
        assert_eq!(all(&Empty, "").await.unwrap(), []);
    }
}
