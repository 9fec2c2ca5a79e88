//! The object stores that `tests/servers/run` started on this machine.
//!
//! Where they are not there, a test says on stderr that it was skipped; `tests/run` starts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coldframe::{Configuration, ResultStore, StoreBuilder};
use hyper::Method;
use object_store::ObjectStore;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::signer::Signer;

use crate::interop::variable;
use crate::proxy::Unsigned;

/// The account that the emulator of Azure Blob Storage publishes in its documentation.
const ACCOUNT: &str = "devstoreaccount1";
pub(crate) const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A server, by the protocol that it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    S3,
    Gcs,
    Azure,
}

impl Server {
    /// Its URL, if it runs.
    pub(crate) fn url(self) -> Option<String> {
        let name = match self {
            Self::S3 => "COLDFRAME_TEST_S3",
            Self::Gcs => "COLDFRAME_TEST_GCS",
            Self::Azure => "COLDFRAME_TEST_AZURE",
        };
        variable(name)?.into_string().ok()
    }

    /// A place on it where nothing was written yet.
    pub(crate) fn fresh(self) -> String {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let scheme = match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        };
        format!("{scheme}://coldframe/{process}/{number}")
    }

    /// The options to reach it at `url`, which may be that of something in between.
    pub(crate) fn options(self, url: &str) -> Vec<(&'static str, String)> {
        let (yes, no) = ("true".to_owned(), "false".to_owned());
        match self {
            Self::S3 => vec![
                ("endpoint", url.to_owned()),
                ("allow_http", yes),
                ("region", "us-east-1".into()),
                ("virtual_hosted_style_request", no),
                ("access_key_id", "test".into()),
                ("secret_access_key", "testtesttest".into()),
            ],
            Self::Gcs => {
                let account = serde_json::json!({
                    "gcs_base_url": url, "disable_oauth": true,
                    "client_email": "", "private_key": "", "private_key_id": "",
                });
                vec![("service_account_key", account.to_string()), ("allow_http", yes)]
            }
            Self::Azure => vec![
                ("endpoint", format!("{url}/{ACCOUNT}")),
                ("allow_http", yes),
                ("account_name", ACCOUNT.into()),
                ("account_key", ACCOUNT_KEY.into()),
            ],
        }
    }

    /// Opens the store at `location` on the server, reached at `url`.
    pub(crate) fn builder(self, url: &str, location: &str) -> StoreBuilder {
        let builder = ResultStore::builder().configuration(Configuration::empty()).location(location);
        self.options(url).into_iter().fold(builder, |builder, (key, value)| builder.option(key, value))
    }

    /// The objects below `location`, by the client library alone.
    pub(crate) fn objects(self, url: &str, location: &str) -> Arc<dyn ObjectStore> {
        let (store, root) = object_store::parse_url_opts(&location.parse().unwrap(), self.options(url)).unwrap();
        Arc::new(PrefixStore::new(Arc::<dyn ObjectStore>::from(store), root))
    }

    /// The URL by which an object below `location` may be written without a condition, where the server checks that a
    /// condition is the one that was signed.
    pub(crate) fn unsigned(self, url: &str, location: &str) -> Option<Unsigned> {
        if self != Self::Azure {
            return None;
        }
        let builder = MicrosoftAzureBuilder::new().with_url(location).with_allow_http(true);
        let builder = builder.with_account(ACCOUNT).with_access_key(ACCOUNT_KEY);
        let signer = Arc::new(builder.with_endpoint(format!("{url}/{ACCOUNT}")).build().unwrap());
        let root = object_store::ObjectStoreScheme::parse(&location.parse().unwrap()).unwrap().1;
        Some(Arc::new(move |path| {
            let (signer, root) = (signer.clone(), root.clone());
            Box::pin(async move {
                let whole = Path::from_iter(root.parts().chain(Path::parse(path).unwrap().parts()));
                let signed = signer.signed_url(Method::PUT, &whole, Duration::from_secs(3600)).await.unwrap();
                signed.as_str().parse().unwrap()
            })
        }))
    }

    /// A store on it that nobody else uses, if it runs.
    pub(crate) async fn store(self) -> Option<ResultStore> {
        let url = self.url()?;
        Some(self.builder(&url, &self.fresh()).open().await.unwrap())
    }
}
