//! The object stores that `tests/servers/run` started on this machine.
//!
//! Where they are not there, a test says on stderr that it was skipped; `tests/run` starts them.

use std::sync::atomic::{AtomicU64, Ordering};

use coldframe::{Configuration, ResultStore, StoreBuilder};

use crate::interop::variable;

/// The account that the emulator of Azure Blob Storage publishes in its documentation.
const ACCOUNT: &str = "devstoreaccount1";
const ACCOUNT_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

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

    /// A store on it that nobody else uses, if it runs.
    pub(crate) async fn store(self) -> Option<ResultStore> {
        let url = self.url()?;
        Some(self.builder(&url, &self.fresh()).open().await.unwrap())
    }
}
