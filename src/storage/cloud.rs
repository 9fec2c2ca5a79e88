//! S3, GCS and Azure, by object_store's own builders and options.

use std::sync::Arc;

use object_store::ObjectStore;

use super::location::Location;
use crate::error::Result;

type Opened = (Arc<dyn ObjectStore>, Arc<dyn ObjectStore>, String);

/// Opens a bucket twice, the second time without retries, and gives the root inside it.
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
    ($function:ident, $feature:literal, $builder:path, $prefixes:expr, $name:literal) => {
        #[cfg(feature = $feature)]
        fn $function(location: &Location) -> Result<Opened> {
            use $builder as Builder;

            let mut builder = Builder::new().with_client_options(builder::client()).with_url(location.url.as_str());
            for (key, value) in location.keyed(&$prefixes, $name)? {
                builder = builder.with_config(key, value);
            }
            let creates = builder.clone().with_retry(builder::once()).build().map_err(builder::refused)?;
            let store = builder.build().map_err(builder::refused)?;
            let (_, root) = object_store::ObjectStoreScheme::parse(&location.url).map_err(|error| {
                crate::error::Error::invalid(format!(
                    "`{}` is no URL of {} storage: {error}",
                    location.printed(),
                    $name
                ))
            })?;
            Ok((Arc::new(store), Arc::new(creates), root.to_string()))
        }

        #[cfg(not(feature = $feature))]
        fn $function(_: &Location) -> Result<Opened> {
            Err(left_out($feature))
        }
    };
}

provider!(s3, "s3", object_store::aws::AmazonS3Builder, ["AWS_"], "S3");
provider!(gcs, "gcs", object_store::gcp::GoogleCloudStorageBuilder, ["GOOGLE_"], "GCS");
provider!(azure, "azure", object_store::azure::MicrosoftAzureBuilder, ["AZURE_"], "Azure");
