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
use super::options::Provider;
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
pub(super) fn open(location: &Location, provider: Provider) -> Result<Opened> {
    match provider {
        Provider::S3 => s3(location),
        Provider::Gcs => gcs(location),
        Provider::Azure => azure(location),
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
    use object_store::{BackoffConfig, RetryConfig};

    use super::super::location::Location;
    use super::super::options::Provider;
    use super::super::retries::Retries;
    use super::super::{failure, options};
    use crate::error::{Error, ErrorKind, Result};

    /// One request may move a whole part of an upload over a slow line; the library's own limit is 30 seconds.
    pub(super) const TIMEOUT: (&str, &str) = ("timeout", "300s");

    pub(super) fn retries(location: &Location) -> Result<RetryConfig> {
        let retries = Retries::of(location)?;
        // Its waits grow by chance; by twos they hardly would.
        let backoff = BackoffConfig { base: 3.0, ..BackoffConfig::default() };
        Ok(RetryConfig { backoff, max_retries: retries.most, retry_timeout: retries.timeout })
    }

    pub(super) fn once() -> RetryConfig {
        RetryConfig { max_retries: 0, ..RetryConfig::default() }
    }

    /// Why the builder refused, without the secrets that it was given.
    pub(super) fn refused<'a>(
        error: object_store::Error,
        provider: Provider,
        given: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Error {
        let error = failure(error);
        let mut message = error.message().to_owned();
        // The message of a JSON parser may show any piece of what it read.
        if message.contains("decode service account") {
            "the service account's key is no JSON of a service account".clone_into(&mut message);
        }
        for (name, value) in given.filter(|(name, value)| !value.is_empty() && options::is_private(name)) {
            message = message.replace(value, &format!("<{name}>"));
        }
        Error::new(ErrorKind::Configuration, message).with_hint(hint(provider, error.message()))
    }

    fn hint(provider: Provider, message: &str) -> &'static str {
        match provider {
            Provider::S3 if message.contains("AccessKey") => {
                "`access_key_id` and `secret_access_key` belong together: give both"
            }
            Provider::Gcs if message.contains("service account path or") => {
                "give one of `service_account`, `service_account_key`"
            }
            Provider::Azure if message.contains("Account must") => {
                "give `account_name`, or AZURE_STORAGE_ACCOUNT_NAME, or write \
                 abfss://container@account.dfs.core.windows.net/path"
            }
            Provider::Azure if message.contains("SAS") => "`sas_token` is the part of a SAS URL that follows the `?`",
            Provider::Azure if message.contains("Access Key") => "`account_key` is the account's key in base64",
            _ => "`coldframe config` shows which settings are in force",
        }
    }
}

macro_rules! provider {
    ($function:ident, $feature:literal, $builder:path, $key:path, $provider:expr, $module:ident) => {
        #[cfg(feature = $feature)]
        fn $function(location: &Location) -> Result<Opened> {
            use $builder as Builder;
            use $key as Key;

            let keyed = location.keyed::<Key>($provider)?;
            let retries = builder::retries(location)?;
            let refused = |error| {
                let given = keyed.iter().map(|(key, value)| (key.as_ref(), value.as_str()));
                builder::refused(error, $provider, given)
            };
            let mut builder = Builder::new().with_url(location.address.opened.as_str());
            // The first of all, so that whatever is set for it is stronger.
            if let Ok(key) = builder::TIMEOUT.0.parse::<Key>() {
                builder = builder.with_config(key, builder::TIMEOUT.1);
            }
            for (key, value) in &keyed {
                builder = builder.with_config(key.clone(), value);
            }
            let creates = builder.clone().with_retry(builder::once()).build().map_err(refused)?;
            let (store, uploads) = $module::connect(builder.with_retry(retries), location).map_err(refused)?;
            let root = object_store::path::Path::from_url_path(&location.address.root).map_err(|error| {
                crate::error::Error::invalid(format!("`{}` cannot hold a store: {error}", location.printed()))
            })?;
            Ok(Opened { store, creates: Arc::new(creates), root: root.to_string(), uploads })
        }

        #[cfg(not(feature = $feature))]
        fn $function(_: &Location) -> Result<Opened> {
            Err(left_out($feature))
        }
    };
}

provider!(s3, "s3", object_store::aws::AmazonS3Builder, object_store::aws::AmazonS3ConfigKey, Provider::S3, aws);
provider!(
    gcs,
    "gcs",
    object_store::gcp::GoogleCloudStorageBuilder,
    object_store::gcp::GoogleConfigKey,
    Provider::Gcs,
    gcp
);
provider!(
    azure,
    "azure",
    object_store::azure::MicrosoftAzureBuilder,
    object_store::azure::AzureConfigKey,
    Provider::Azure,
    azure_blob
);
