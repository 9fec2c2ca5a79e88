//! S3, GCS and Azure, by object_store's own builders and options.

use std::sync::Arc;
use std::time::Duration;

use object_store::{ClientOptions, ObjectStore, RetryConfig};

use super::location::Location;
use crate::error::{Error, ErrorKind, Result};

/// One request may move a whole part of an upload over a slow line; the library's own limit is 30 seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);

type Opened = (Arc<dyn ObjectStore>, Arc<dyn ObjectStore>, String);

/// Opens a bucket twice, the second time without retries, and gives the root inside it.
pub(super) fn open(location: &Location) -> Result<Opened> {
    match location.url.scheme() {
        "s3" | "s3a" => s3(location),
        "gs" => gcs(location),
        _ => azure(location),
    }
}

fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

fn client() -> ClientOptions {
    ClientOptions::new().with_timeout(REQUEST_TIMEOUT)
}

fn refused(error: object_store::Error) -> Error {
    super::failure(error)
        .with_kind(ErrorKind::Configuration)
        .with_hint("`coldframe config` shows which settings are in force")
}

fn unknown_option(name: &str, storage: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("`{}` is no option of {storage} storage", name.escape_debug()))
        .with_hint("options are those of the object_store library, such as region, endpoint, access_key_id, allow_http")
}

#[cfg(not(all(feature = "s3", feature = "gcs", feature = "azure")))]
fn left_out(feature: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("this coldframe was built without the feature `{feature}`"))
        .with_hint(format!("build it with --features {feature}"))
}

/// The environment's variables under a prefix, then the profile's and the call's options, each as a key of the builder.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn keyed<K: std::str::FromStr>(location: &Location, prefixes: &[&str], storage: &str) -> Result<Vec<(K, String)>> {
    let mut keyed = Vec::new();
    for (name, value) in &location.ambient {
        if prefixes.iter().any(|prefix| name.starts_with(prefix))
            && let Ok(key) = name.to_ascii_lowercase().parse()
        {
            keyed.push((key, value.clone()));
        }
    }
    for (name, value) in &location.options {
        let key = name.to_ascii_lowercase().parse().map_err(|_| unknown_option(name, storage))?;
        keyed.push((key, value.clone()));
    }
    Ok(keyed)
}

macro_rules! provider {
    ($function:ident, $feature:literal, $builder:path, $prefixes:expr, $name:literal) => {
        #[cfg(feature = $feature)]
        fn $function(location: &Location) -> Result<Opened> {
            use $builder as Builder;

            let mut builder = Builder::new().with_client_options(client()).with_url(location.url.as_str());
            for (key, value) in keyed(location, &$prefixes, $name)? {
                builder = builder.with_config(key, value);
            }
            let creates = builder.clone().with_retry(once()).build().map_err(refused)?;
            let store = builder.build().map_err(refused)?;
            let (_, root) = object_store::ObjectStoreScheme::parse(&location.url).map_err(|error| {
                Error::invalid(format!("`{}` is no URL of {} storage: {error}", location.printed(), $name))
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
