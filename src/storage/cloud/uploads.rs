//! The uploads that were started in a bucket, by the XML that S3 and Google Cloud Storage share.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use serde::Deserialize;
use url::Url;

use super::super::failure;
use super::super::unfinished::{UnfinishedUpload, Uploads};
use crate::error::{Error, ErrorKind, Result};

/// Connects as object_store does, and keeps the client for requests that object_store has no call for.
#[derive(Debug, Clone, Default)]
pub(super) struct Connector {
    client: Arc<Mutex<Option<HttpClient>>>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        // A builder connects to the bucket last, after whatever gives it credentials.
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client.clone());
        Ok(client)
    }
}

/// What differs from provider to provider.
#[async_trait]
pub(super) trait Bucket: Debug + Send + Sync {
    /// The URL of the bucket itself.
    async fn url(&self) -> object_store::Result<Url>;

    /// Signs a request.
    async fn authorize(&self, request: &mut HttpRequest) -> object_store::Result<()>;

    /// Its calls for uploads.
    fn multipart(&self) -> &dyn MultipartStore;
}

/// A bucket that lists its uploads as XML.
#[derive(Debug)]
pub(super) struct XmlUploads<B> {
    bucket: B,
    connector: Connector,
}

impl<B: Bucket> XmlUploads<B> {
    pub(super) fn new(bucket: B, connector: Connector) -> Self {
        Self { bucket, connector }
    }

    async fn page(&self, prefix: &str, after: Option<&Marker>) -> Result<Page> {
        let mut url = self.bucket.url().await.map_err(failure)?;
        url.query_pairs_mut().clear().append_key_only("uploads").append_pair("prefix", prefix);
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("key-marker", &after.key).append_pair("upload-id-marker", &after.id);
        }
        // A plus sign means itself to these servers.
        let text = url.as_str().replace('+', "%20");
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = text.parse().map_err(|_| Error::internal("the bucket's URL is no URI"))?;
        self.bucket.authorize(&mut request).await.map_err(failure)?;
        let client = self.connector.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let client = client.ok_or_else(|| Error::internal("the bucket's client is not connected"))?;
        let unavailable =
            |error| Error::new(ErrorKind::Unavailable, super::super::failure::scrubbed(&format!("{error}")));
        let answer = client.execute(request).await.map_err(unavailable)?;
        let status = answer.status();
        if !status.is_success() {
            let kind = match status.as_u16() {
                401 | 403 => ErrorKind::Denied,
                400..=499 | 501 => ErrorKind::Unsupported,
                _ => ErrorKind::Unavailable,
            };
            return Err(Error::new(kind, format!("the storage does not list unfinished uploads: {status}"))
                .with_hint("on S3 that needs the permission s3:ListBucketMultipartUploads"));
        }
        let body = answer.into_body().bytes().await.map_err(unavailable)?;
        parse(&body)
    }
}

#[async_trait]
impl<B: Bucket> Uploads for XmlUploads<B> {
    async fn list(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.page(prefix, after.as_ref()).await?;
            // What cannot be a name is not ours.
            found.extend(page.uploads.iter().filter(|upload| upload.key.starts_with(prefix)).filter_map(|upload| {
                let path = Path::parse(&upload.key).ok()?;
                Some(UnfinishedUpload { path, id: upload.upload_id.clone(), started: upload.initiated })
            }));
            let next = page.next();
            if next.is_none() || next == after {
                return Ok(found);
            }
            after = next;
        }
    }

    async fn abort(&self, upload: &UnfinishedUpload) -> Result<()> {
        match self.bucket.multipart().abort_multipart(&upload.path, &upload.id).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure(error)),
        }
    }
}

/// Where a page of uploads begins.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Marker {
    key: String,
    id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
    #[serde(default, rename = "Upload")]
    uploads: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    key: String,
    upload_id: String,
    initiated: DateTime<Utc>,
}

impl Page {
    fn next(self) -> Option<Marker> {
        let key = self.next_key_marker.filter(|key| self.is_truncated && !key.is_empty())?;
        Some(Marker { key, id: self.next_upload_id_marker.unwrap_or_default() })
    }
}

fn parse(body: &[u8]) -> Result<Page> {
    let malformed =
        |why: String| Error::new(ErrorKind::Unsupported, format!("the list of uploads is malformed: {why}"));
    let text = std::str::from_utf8(body).map_err(|error| malformed(error.to_string()))?;
    quick_xml::de::from_str(text).map_err(|error| malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_was_started_and_where_the_next_begins() {
        let page = parse(
            b"<?xml version=\"1.0\"?><ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Bucket>b</Bucket><IsTruncated>true</IsTruncated><NextKeyMarker>data/a b</NextKeyMarker>\
            <NextUploadIdMarker>1&amp;</NextUploadIdMarker><MaxUploads>1</MaxUploads>\
            <Upload><Key>data/a b</Key><UploadId>1&amp;</UploadId><Initiator><ID>x</ID></Initiator>\
            <Initiated>2026-11-20T10:00:00.000Z</Initiated></Upload>\
            <Upload><Key>data/c</Key><UploadId>2</UploadId><Initiated>2026-11-20T11:00:00Z</Initiated></Upload>\
            </ListMultipartUploadsResult>",
        )
        .unwrap();
        let uploads: Vec<_> =
            page.uploads.iter().map(|upload| (upload.key.as_str(), upload.upload_id.as_str())).collect();
        assert_eq!(uploads, [("data/a b", "1&"), ("data/c", "2")]);
        assert_eq!(page.next(), Some(Marker { key: "data/a b".into(), id: "1&".into() }));
    }

    #[test]
    fn a_last_page_has_no_next_and_an_empty_one_is_no_error() {
        for text in [
            "<R><IsTruncated>false</IsTruncated><NextKeyMarker>x</NextKeyMarker></R>",
            "<R><IsTruncated>true</IsTruncated><NextKeyMarker/></R>",
            "<R><KeyMarker></KeyMarker></R>",
        ] {
            let page = parse(text.as_bytes()).unwrap();
            assert!(page.uploads.is_empty());
            assert_eq!(page.next(), None, "{text}");
        }
        assert_eq!(parse(b"<R><Upload><Key>a</Key></Upload></R>").unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(parse(b"\xff").unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
