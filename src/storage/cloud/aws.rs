//! How requests to a bucket of S3 are signed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer};
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::Signer;
use url::Url;

use super::super::location::Location;
use super::Connected;
use super::uploads::{Bucket, Connector, XmlUploads};

/// A bucket of S3.
#[derive(Debug)]
pub(super) struct S3Bucket {
    store: AmazonS3,
}

/// Connects to a bucket. An anonymous client is not let see its uploads.
pub(super) fn connect(bucket: AmazonS3Builder, _: &Location) -> object_store::Result<Connected> {
    let connector = Connector::default();
    let anonymous = bucket.get_config_value(&AmazonS3ConfigKey::SkipSignature).is_some_and(|skips| skips == "true");
    let store = bucket.with_http_connector(connector.clone()).build()?;
    let uploads = XmlUploads::new(S3Bucket { store: store.clone() }, connector);
    Ok((Arc::new(store), (!anonymous).then(|| Arc::new(uploads) as _)))
}

impl S3Bucket {
    /// The bucket's URL as the client makes it, signed for its region.
    async fn signed(&self) -> object_store::Result<Url> {
        let get = HttpRequest::new(HttpRequestBody::empty()).method().clone();
        self.store.signed_url(get, &Path::default(), Duration::from_secs(1)).await
    }
}

#[async_trait]
impl Bucket for S3Bucket {
    async fn url(&self) -> object_store::Result<Url> {
        let mut url = self.signed().await?;
        url.set_query(None);
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(url)
    }

    async fn authorize(&self, request: &mut HttpRequest) -> object_store::Result<()> {
        // The client does not say its region; it stands in the scope of what it signs: key/date/region/s3/aws4_request.
        let signed = self.signed().await?;
        let scope = signed.query_pairs().find(|(name, _)| name == "X-Amz-Credential");
        let region = scope.and_then(|(_, scope)| Some(scope.rsplit('/').nth(2)?.to_owned())).unwrap_or_default();
        let credential = self.store.credentials().get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &region).authorize(request, None);
        Ok(())
    }

    fn multipart(&self) -> &dyn MultipartStore {
        &self.store
    }
}
