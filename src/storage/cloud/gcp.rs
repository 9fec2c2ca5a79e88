//! How requests to a bucket of Google Cloud Storage are authorized.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::HeaderValue;
use object_store::client::HttpRequest;
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::multipart::MultipartStore;
use url::Url;

use super::super::location::Location;
use super::Connected;
use super::uploads::{Bucket, Connector, XmlUploads};

const BASE_URL: &str = "https://storage.googleapis.com";

/// A bucket of Google Cloud Storage.
#[derive(Debug)]
pub(super) struct GcsBucket {
    store: GoogleCloudStorage,
    url: Url,
}

/// Connects to a bucket. An anonymous client is not let see its uploads.
pub(super) fn connect(bucket: GoogleCloudStorageBuilder, location: &Location) -> object_store::Result<Connected> {
    let connector = Connector::default();
    let url = url(&bucket, location);
    let anonymous = bucket.get_config_value(&GoogleConfigKey::SkipSignature).is_some_and(|skips| skips == "true");
    let store = bucket.with_http_connector(connector.clone()).build()?;
    let listed = url.filter(|_| !anonymous).map(|url| GcsBucket { store: store.clone(), url });
    Ok((Arc::new(store), listed.map(|bucket| Arc::new(XmlUploads::new(bucket, connector)) as _)))
}

/// Where the bucket is, as the builder finds it: it does not say.
fn url(bucket: &GoogleCloudStorageBuilder, location: &Location) -> Option<Url> {
    let account = bucket.get_config_value(&GoogleConfigKey::ServiceAccountKey);
    let account = account.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    let named = account.as_ref().and_then(|account| account.get("gcs_base_url")?.as_str().map(str::to_owned));
    let base = bucket.get_config_value(&GoogleConfigKey::BaseUrl).or(named).unwrap_or_else(|| BASE_URL.to_owned());
    Url::parse(&format!("{base}/{}", location.address.opened.host_str()?)).ok()
}

#[async_trait]
impl Bucket for GcsBucket {
    async fn url(&self) -> object_store::Result<Url> {
        Ok(self.url.clone())
    }

    async fn authorize(&self, request: &mut HttpRequest) -> object_store::Result<()> {
        let credential = self.store.credentials().get_credential().await?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", credential.bearer))
            .map_err(|source| object_store::Error::Generic { store: "GCS", source: Box::new(source) })?;
        value.set_sensitive(true);
        request.headers_mut().insert("authorization", value);
        Ok(())
    }

    fn multipart(&self) -> &dyn MultipartStore {
        &self.store
    }
}
