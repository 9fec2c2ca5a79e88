//! The names of the options that the object stores take, and what their values may be.
//!
//! object_store parses a name, and says no more about it. What is a secret, what is a flag, and which name was meant by
//! a misspelt one stands here; tests hold this table against the library's own keys.

use std::time::Duration;

use super::retries::{MAX_RETRIES, RETRY_TIMEOUT};
use crate::error::{Error, ErrorKind, Result};
use crate::query::nearest;

/// Whose protocol a storage speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    S3,
    Gcs,
    Azure,
}

/// What the value of an option is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// A URL of `http://` or `https://`.
    Address,
    Secret,
    Flag,
    Number,
    Duration,
}

use Kind::{Address, Duration as Span, Flag, Number, Secret, Text};

type Known = (&'static str, Kind);

/// The options of the HTTP client, which all providers have.
const CLIENT: [Known; 18] = [
    ("allow_http", Flag),
    ("allow_invalid_certificates", Flag),
    ("connect_timeout", Span),
    ("default_content_type", Text),
    ("http1_only", Flag),
    ("http2_only", Flag),
    ("http2_keep_alive_interval", Span),
    ("http2_keep_alive_timeout", Span),
    ("http2_keep_alive_while_idle", Flag),
    ("http2_max_frame_size", Number),
    ("pool_idle_timeout", Span),
    ("pool_max_idle_per_host", Number),
    ("proxy_url", Text),
    ("proxy_ca_certificate", Text),
    ("proxy_excludes", Text),
    ("randomize_addresses", Flag),
    ("timeout", Span),
    ("user_agent", Text),
];

/// coldframe's own.
const OWN: [Known; 2] = [(MAX_RETRIES, Number), (RETRY_TIMEOUT, Span)];

const S3: [Known; 33] = [
    ("access_key_id", Secret),
    ("secret_access_key", Secret),
    ("session_token", Secret),
    ("token", Secret),
    ("region", Text),
    ("default_region", Text),
    ("bucket", Text),
    ("bucket_name", Text),
    ("endpoint", Address),
    ("endpoint_url", Address),
    ("endpoint_url_s3", Address),
    ("endpoint_url_sts", Address),
    ("virtual_hosted_style_request", Flag),
    ("s3_express", Flag),
    ("imdsv1_fallback", Flag),
    ("metadata_endpoint", Address),
    ("unsigned_payload", Flag),
    ("checksum_algorithm", Text),
    // The path of a task's credentials is all that is needed to get them.
    ("container_credentials_relative_uri", Secret),
    ("container_credentials_full_uri", Secret),
    ("container_authorization_token_file", Text),
    ("web_identity_token_file", Text),
    ("role_arn", Text),
    ("role_session_name", Text),
    ("skip_signature", Flag),
    ("copy_if_not_exists", Text),
    ("conditional_put", Text),
    ("disable_tagging", Flag),
    ("request_payer", Flag),
    ("server_side_encryption", Text),
    ("sse_kms_key_id", Text),
    ("sse_bucket_key_enabled", Flag),
    ("sse_customer_key_base64", Secret),
];

const GCS: [Known; 8] = [
    ("service_account", Text),
    ("service_account_path", Text),
    ("service_account_key", Secret),
    ("application_credentials", Text),
    ("bucket", Text),
    ("bucket_name", Text),
    ("base_url", Address),
    ("skip_signature", Flag),
];

const AZURE: [Known; 29] = [
    ("account_name", Text),
    ("account_key", Secret),
    ("access_key", Secret),
    ("master_key", Secret),
    ("sas_token", Secret),
    ("sas_key", Secret),
    ("bearer_token", Secret),
    ("token", Secret),
    ("client_id", Text),
    ("client_secret", Secret),
    ("tenant_id", Text),
    ("authority_id", Text),
    ("authority_host", Address),
    ("federated_token_file", Text),
    ("use_azure_cli", Flag),
    ("msi_endpoint", Address),
    ("identity_endpoint", Address),
    ("object_id", Text),
    ("msi_resource_id", Text),
    ("endpoint", Address),
    ("use_emulator", Flag),
    ("use_fabric_endpoint", Flag),
    ("skip_signature", Flag),
    ("container_name", Text),
    ("disable_tagging", Flag),
    ("fabric_token_service_url", Text),
    ("fabric_workload_host", Text),
    ("fabric_session_token", Secret),
    ("fabric_cluster_identifier", Text),
];

/// Options that stand for another way to say who is asking, or where: given in a stronger place, the first puts aside
/// what weaker places say by the others, which object_store would prefer.
const ASIDE: [(&str, &[&str]); 15] = [
    ("aws_endpoint", &["aws_endpoint_url_s3"]),
    ("aws_access_key_id", &["aws_session_token"]),
    ("aws_web_identity_token_file", &["aws_access_key_id", "aws_secret_access_key", "aws_session_token"]),
    ("aws_container_credentials_relative_uri", &BEFORE_CONTAINER),
    ("aws_container_credentials_full_uri", &BEFORE_CONTAINER),
    ("google_service_account", &["google_service_account_key"]),
    ("google_service_account_key", &["google_service_account"]),
    ("google_application_credentials", &["google_service_account", "google_service_account_key"]),
    ("azure_storage_token", &AZURE_WAYS),
    ("azure_storage_account_key", &AZURE_WAYS),
    ("azure_storage_sas_key", &AZURE_WAYS),
    ("azure_storage_client_secret", &AZURE_WAYS),
    ("azure_federated_token_file", &AZURE_WAYS),
    ("azure_use_azure_cli", &AZURE_WAYS),
    ("azure_fabric_session_token", &AZURE_WAYS),
];

const BEFORE_CONTAINER: [&str; 4] =
    ["aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_web_identity_token_file"];

const AZURE_WAYS: [&str; 7] = [
    "azure_storage_token",
    "azure_storage_account_key",
    "azure_storage_sas_key",
    "azure_storage_client_secret",
    "azure_federated_token_file",
    "azure_use_azure_cli",
    "azure_fabric_session_token",
];

impl Provider {
    const ALL: [Self; 3] = [Self::S3, Self::Gcs, Self::Azure];

    /// Its name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::S3 => "S3",
            Self::Gcs => "GCS",
            Self::Azure => "Azure",
        }
    }

    /// What the names of its environment variables begin with.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::S3 => "AWS_",
            Self::Gcs => "GOOGLE_",
            Self::Azure => "AZURE_",
        }
    }

    fn known(self) -> impl Iterator<Item = Known> {
        let own: &[Known] = match self {
            Self::S3 => &S3,
            Self::Gcs => &GCS,
            Self::Azure => &AZURE,
        };
        own.iter().chain(&CLIENT).chain(&OWN).copied()
    }

    fn kind(self, name: &str) -> Option<Kind> {
        let name = name.to_ascii_lowercase();
        let short = match self {
            Self::S3 => name.strip_prefix("aws_"),
            Self::Gcs => name.strip_prefix("google_"),
            Self::Azure => name.strip_prefix("azure_storage_").or_else(|| name.strip_prefix("azure_")),
        };
        let short = short.unwrap_or(&name);
        self.known().find(|(known, _)| *known == short).map(|(_, kind)| kind)
    }

    /// Whether an option of this name exists.
    pub(super) fn knows(self, name: &str) -> bool {
        self.kind(name).is_some()
    }

    /// There is no such option; with the name that was probably meant.
    pub(super) fn unknown(self, name: &str) -> Error {
        let error = Error::new(
            ErrorKind::Configuration,
            format!("`{}` is no option of {} storage", name.escape_debug(), self.name()),
        );
        let names: Vec<&str> = self.known().map(|(known, _)| known).collect();
        match nearest(name, names.iter().copied()).first() {
            Some(similar) => error.with_hint(format!("did you mean `{similar}`?")),
            None => error.with_hint(match self {
                Self::S3 => "there are region, endpoint, access_key_id, secret_access_key, allow_http and more",
                Self::Gcs => "there are service_account, service_account_key, application_credentials and more",
                Self::Azure => "there are account_name, account_key, sas_token, use_emulator and more",
            }),
        }
    }

    /// Refuses a value that cannot be one of this option; a secret is not repeated.
    pub(super) fn check(self, name: &str, value: &str) -> Result<()> {
        let (good, what) = match self.kind(name) {
            Some(Flag) => (is_flag(value), "neither true nor false"),
            Some(Number) => (value.parse::<u32>().is_ok(), "no number"),
            Some(Span) => (duration(name, value).is_some(), "no duration such as 30s or 5m"),
            Some(Secret) => (!value.trim().is_empty(), "empty"),
            Some(Address) => (is_address(value), "no URL such as http://localhost:9000 or https://s3.example.com"),
            Some(Text) | None => (true, ""),
        };
        if good {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Configuration, format!("the option `{}` is {what}", name.escape_debug()))
            .with_hint("`coldframe config` shows where each setting comes from"))
    }
}

/// Whether a client may be given this as the place of a server: it panics at what is no URL.
fn is_address(value: &str) -> bool {
    let url = url::Url::parse(value).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    url.is_some_and(|url| url.has_host())
}

fn is_flag(value: &str) -> bool {
    is_on(value) || ["0", "false", "off", "no", "n"].contains(&value.to_ascii_lowercase().as_str())
}

/// Whether a flag is on, as object_store reads it.
pub(super) fn is_on(value: &str) -> bool {
    ["1", "true", "on", "yes", "y"].contains(&value.to_ascii_lowercase().as_str())
}

/// A duration as object_store reads one; coldframe's own option may also be a number of seconds.
fn duration(name: &str, value: &str) -> Option<Duration> {
    let seconds = value.parse().ok().filter(|_| name.eq_ignore_ascii_case(RETRY_TIMEOUT));
    seconds.map(Duration::from_secs).or_else(|| humantime::parse_duration(value).ok())
}

/// Coldframe's own duration: `3m`, `90s`, or a number of seconds.
pub(super) fn own_duration(value: &str) -> Option<Duration> {
    duration(RETRY_TIMEOUT, value)
}

/// Whether the option `stronger`, by object_store's own name for it, makes `weaker` from a weaker place meaningless.
pub(super) fn puts_aside(stronger: &str, weaker: &str) -> bool {
    stronger != weaker && ASIDE.iter().any(|(name, others)| *name == stronger && others.contains(&weaker))
}

/// Whether some object store has an option of this name.
pub(super) fn is_known(name: &str) -> bool {
    Provider::ALL.iter().any(|provider| provider.knows(name))
}

/// Whether a value under this name must not be shown. What no storage knows may be a secret under a misspelt name.
pub(super) fn is_secret(name: &str) -> bool {
    let kinds: Vec<Kind> = Provider::ALL.iter().filter_map(|provider| provider.kind(name)).collect();
    kinds.is_empty() || kinds.contains(&Secret)
}

/// Whether a value under this name may hold a secret: `proxy_url` may hold a password.
pub(super) fn is_private(name: &str) -> bool {
    is_secret(name) || name.to_ascii_lowercase().ends_with("proxy_url")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_told_with_the_right_one() {
        for (provider, name, meant) in [
            (Provider::S3, "acess_key_id", "access_key_id"),
            (Provider::S3, "regio", "region"),
            (Provider::Gcs, "service_acount_key", "service_account_key"),
            (Provider::Azure, "acount_name", "account_name"),
            (Provider::Azure, "max_retrys", MAX_RETRIES),
        ] {
            assert!(!provider.knows(name));
            let error = provider.unknown(name);
            assert!(error.message().contains(provider.name()), "{error}");
            assert_eq!(error.hint(), Some(format!("did you mean `{meant}`?").as_str()));
        }
        assert!(Provider::Gcs.unknown("zzz").hint().unwrap().contains("service_account"));
    }

    #[test]
    fn values_are_checked_by_name_and_not_repeated() {
        for (name, good, bad) in [
            ("allow_http", "Yes", "maybe"),
            ("AWS_SKIP_SIGNATURE", "0", ""),
            ("timeout", "2m 30s", "45"),
            ("retry_timeout", "90", "soon"),
            ("max_retries", "0", "-1"),
            ("secret_access_key", "x", " "),
        ] {
            Provider::S3.check(name, good).unwrap();
            let error = Provider::S3.check(name, bad).unwrap_err();
            assert!(error.kind() == ErrorKind::Configuration && error.message().contains(name), "{error}");
            assert!(bad.trim().is_empty() || !error.message().contains(bad), "{error}");
        }
    }
}
