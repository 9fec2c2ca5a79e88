//! S3, GCS and Azure, by object_store's own builders and options.

#[cfg(feature = "s3")]
mod aws;
#[cfg(feature = "azure")]
mod azure_blob;
#[cfg(feature = "gcs")]
mod gcp;
#[cfg(any(feature = "s3", feature = "gcs"))]
mod uploads;

use std::sync::Arc;

use object_store::ObjectStore;

use super::location::Location;
use super::unfinished::Uploads;
use crate::error::Result;

/// A bucket, opened.
pub(super) struct Opened {
    pub(super) store: Arc<dyn ObjectStore>,
    /// The same, without retries.
    pub(super) creates: Arc<dyn ObjectStore>,
    /// Where in the bucket the location lies.
    pub(super) root: String,
    /// What lists the uploads that were started, where there is such a list.
    pub(super) uploads: Option<Arc<dyn Uploads>>,
}

/// A bucket, and what lists its uploads.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
type Connected = (Arc<dyn ObjectStore>, Option<Arc<dyn Uploads>>);

/// Opens a bucket.
pub(super) fn open(location: &Location) -> Result<Opened> {
    match location.url.scheme() {
        "s3" | "s3a" => s3(location),
        "gs" => gcs(location),
        _ => azure(location),
    }
}

#[cfg(not(all(feature = "s3", feature = "gcs", feature = "azure")))]
fn left_out(feature: &str) -> crate::error::Error {
    use crate::error::{Error, ErrorKind};

    Error::new(ErrorKind::Unsupported, format!("this coldframe was built without the feature `{feature}`"))
        .with_hint(format!("build it with --features {feature}"))
}

/// What the providers have in common.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
mod builder {
    use std::time::Duration;

    use object_store::{ClientOptions, RetryConfig};

    use super::super::failure;
    use crate::error::{Error, ErrorKind};

    /// One request may move a whole part of an upload over a slow line; the library's own limit is 30 seconds.
    const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);

    pub(super) fn once() -> RetryConfig {
        RetryConfig { max_retries: 0, ..RetryConfig::default() }
    }

    pub(super) fn client() -> ClientOptions {
        ClientOptions::new().with_timeout(REQUEST_TIMEOUT)
    }

    pub(super) fn refused(error: object_store::Error) -> Error {
        failure(error)
            .with_kind(ErrorKind::Configuration)
            .with_hint("`coldframe config` shows which settings are in force")
    }
}

macro_rules! provider {
    ($function:ident, $feature:literal, $builder:path, $prefixes:expr, $name:literal, $module:ident) => {
        #[cfg(feature = $feature)]
        fn $function(location: &Location) -> Result<Opened> {
            use $builder as Builder;

            let mut builder = Builder::new().with_client_options(builder::client()).with_url(location.url.as_str());
            for (key, value) in location.keyed(&$prefixes, $name)? {
                builder = builder.with_config(key, value);
            }
            let creates = builder.clone().with_retry(builder::once()).build().map_err(builder::refused)?;
            let (store, uploads) = $module::connect(builder, location)?;
            let (_, root) = object_store::ObjectStoreScheme::parse(&location.url).map_err(|error| {
                crate::error::Error::invalid(format!(
                    "`{}` is no URL of {} storage: {error}",
                    location.printed(),
                    $name
                ))
            })?;
            Ok(Opened { store, creates: Arc::new(creates), root: root.to_string(), uploads })
        }

        #[cfg(not(feature = $feature))]
        fn $function(_: &Location) -> Result<Opened> {
            Err(left_out($feature))
        }
    };
}

provider!(s3, "s3", object_store::aws::AmazonS3Builder, ["AWS_"], "S3", aws);
provider!(gcs, "gcs", object_store::gcp::GoogleCloudStorageBuilder, ["GOOGLE_"], "GCS", gcp);
provider!(azure, "azure", object_store::azure::MicrosoftAzureBuilder, ["AZURE_"], "Azure", azure_blob);
