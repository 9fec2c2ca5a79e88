//! The URL of a storage: which provider, which bucket or container, which root inside it.

use std::path::{Path, PathBuf};

use url::Url;

use super::options::{self, Provider};
use crate::error::{Error, Result};

const SCHEMES: [&str; 11] = ["file", "memory", "s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "https"];
/// The hosts that hold an Azure account's name as their first label.
const AZURE_HOSTS: [&str; 4] =
    ["dfs.core.windows.net", "blob.core.windows.net", "dfs.fabric.microsoft.com", "blob.fabric.microsoft.com"];
const GOOGLE_HOST: &str = "storage.googleapis.com";
const WAYS: &str =
    "storages are s3://bucket/path, gs://bucket/path, az://container/path, file:///path, memory:// or a path";
const ELSEWHERE: &str = "give credentials by the environment, a profile in coldframe.toml, or -O KEY=VALUE: URLs end up \
                         in histories and logs";

/// Where a storage lies, without anything secret.
#[derive(Clone)]
pub(super) struct Address {
    /// What was written, without the query.
    pub(super) url: Url,
    /// Whose protocol it speaks; none for a folder and for memory.
    pub(super) provider: Option<Provider>,
    /// The URL as the provider's builder understands it.
    pub(super) opened: Url,
    /// The store's root inside the bucket, as it stands in the URL.
    pub(super) root: String,
    /// Whether the URL says where the server is.
    pub(super) names_endpoint: bool,
}

impl Address {
    pub(super) fn printed(&self) -> String {
        let text = self.url.to_string();
        match text.trim_end_matches('/') {
            root if root.ends_with(':') => text,
            trimmed => trimmed.to_owned(),
        }
    }
}

/// The address that a text means, and the options in its query.
pub(super) fn parse(text: &str, folder: Option<&Path>) -> Result<(Address, Vec<(String, String)>)> {
    let Some((scheme, _)) = text.split_once("://") else {
        let mistyped =
            SCHEMES.iter().find(|scheme| [":/", "//"].iter().any(|mark| text.starts_with(&format!("{scheme}{mark}"))));
        if let Some(scheme) = mistyped {
            return Err(Error::invalid(format!("`{}` is no URL", text.escape_debug()))
                .with_hint(format!("write {scheme}://…, or ./{text} if you mean a folder")));
        }
        return Ok((local(folder_url(text, folder)?), Vec::new()));
    };
    if scheme == "http" {
        return Err(Error::invalid("a storage's URL cannot be http://")
            .with_hint("write s3://bucket/path with -O endpoint=http://… and -O allow_http=true"));
    }
    if !SCHEMES.contains(&scheme) {
        return Err(Error::invalid(format!("there is no storage `{}://`", scheme.escape_debug())).with_hint(WAYS));
    }
    let mut url = Url::parse(text).map_err(|error| Error::invalid(format!("`{scheme}://…` is no URL: {error}")))?;
    let options = query(&url)?;
    url.set_query(None);
    check(&url)?;
    let address = match scheme {
        "file" | "memory" => local(url),
        "s3" | "s3a" => Address { root: url.path().to_owned(), ..at(Provider::S3, url) },
        "gs" => Address { root: url.path().to_owned(), ..at(Provider::Gcs, url) },
        "https" => of_the_web(url)?,
        _ => {
            let names_endpoint = !url.username().is_empty();
            Address { root: url.path().to_owned(), names_endpoint, ..at(Provider::Azure, url) }
        }
    };
    Ok((address, options))
}

/// A location as it may be shown: nothing of a URL's query, and no user but a container's name.
pub(super) fn without_secrets(text: &str) -> String {
    let Some((scheme, _)) = text.split_once("://") else { return text.to_owned() };
    let Ok(mut url) = Url::parse(text) else { return format!("{}://…", scheme.escape_debug()) };
    url.set_query(None);
    url.set_fragment(None);
    if url.password().is_some() || !has_container_as_user(&url) {
        let _ = url.set_password(None);
        let _ = url.set_username("");
    }
    url.to_string()
}

/// The options in a URL's query, whatever they are.
pub(crate) fn options_of(text: &str) -> Vec<(String, String)> {
    let url = text.contains("://").then(|| Url::parse(text).ok()).flatten();
    url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}

fn local(url: Url) -> Address {
    Address { opened: url.clone(), url, provider: None, root: String::new(), names_endpoint: false }
}

fn at(provider: Provider, url: Url) -> Address {
    Address { opened: url.clone(), url, provider: Some(provider), root: String::new(), names_endpoint: false }
}

/// `abfss://container@account.dfs.core.windows.net`.
fn has_container_as_user(url: &Url) -> bool {
    ["az", "abfs", "abfss"].contains(&url.scheme()) && url.host_str().is_some_and(|host| azure_account(host).is_some())
}

fn azure_account(host: &str) -> Option<&str> {
    host.split_once('.').filter(|(_, rest)| AZURE_HOSTS.contains(rest)).map(|(account, _)| account)
}

fn check(url: &Url) -> Result<()> {
    let scheme = url.scheme();
    if url.password().is_some() || !(url.username().is_empty() || has_container_as_user(url)) {
        return Err(Error::invalid("a storage's URL holds no credentials").with_hint(ELSEWHERE));
    }
    if url.fragment().is_some() {
        return Err(Error::invalid("a storage's URL holds no `#`").with_hint("write %23 if a name contains it"));
    }
    if ["file", "memory"].contains(&scheme) {
        return Ok(());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(
            Error::invalid(format!("`{scheme}://` names no bucket")).with_hint(format!("write {scheme}://bucket/path"))
        );
    }
    if url.port().is_some() {
        return Err(Error::invalid("a storage's URL names a bucket, and no port")
            .with_hint("write s3://bucket/path with -O endpoint=http://host:port and -O allow_http=true"));
    }
    Ok(())
}

/// The options in a URL's query. Secrets are refused there: a URL is printed, logged and kept in a shell's history.
fn query(url: &Url) -> Result<Vec<(String, String)>> {
    let mut options = Vec::new();
    for (name, value) in url.query_pairs() {
        let lower = name.to_ascii_lowercase();
        if ["sig", "sv", "se", "sp"].contains(&lower.as_str()) {
            return Err(Error::invalid("the URL holds a SAS token").with_hint(
                "leave out what follows the `?`, and give it by -O sas_token=…, a profile, or AZURE_STORAGE_SAS_TOKEN",
            ));
        }
        if lower.starts_with("x-amz-") || lower.starts_with("x-goog-") || lower == "awsaccesskeyid" {
            return Err(Error::invalid("this is a URL signed for one request, which cannot hold a store")
                .with_hint("write s3://bucket/path or gs://bucket/path, and give credentials"));
        }
        if options::is_known(&name) && options::is_secret(&name) {
            return Err(
                Error::invalid(format!("the URL holds the secret `{}`", name.escape_debug())).with_hint(ELSEWHERE)
            );
        }
        options.push((name.into_owned(), value.into_owned()));
    }
    Ok(options)
}

/// `https://` of a cloud's own host.
fn of_the_web(url: Url) -> Result<Address> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let segments: Vec<String> = url.path_segments().into_iter().flatten().map(str::to_owned).collect();
    let (first, rest) = segments.split_first().map_or(("", String::new()), |(first, rest)| (first, rest.join("/")));
    let needs_first = || match first {
        "" => Err(Error::invalid("the URL names no bucket").with_hint(format!("write https://{host}/bucket/path"))),
        _ => Ok(()),
    };
    if azure_account(&host).is_some() {
        needs_first()?;
        return Ok(Address { root: rest, names_endpoint: true, ..at(Provider::Azure, url) });
    }
    if host == GOOGLE_HOST {
        needs_first()?;
        return Ok(Address { opened: bucket_url("gs", first)?, root: rest, ..at(Provider::Gcs, url) });
    }
    if let Some(bucket) = host.strip_suffix(".storage.googleapis.com") {
        return Ok(Address { opened: bucket_url("gs", bucket)?, root: segments.join("/"), ..at(Provider::Gcs, url) });
    }
    let labels: Vec<&str> = host.split('.').collect();
    match labels.as_slice() {
        ["s3", _, "amazonaws", "com"] | [_, "r2", "cloudflarestorage", "com"] => {
            needs_first()?;
            Ok(Address { root: rest, names_endpoint: true, ..at(Provider::S3, url) })
        }
        ["s3", "amazonaws", "com"] => {
            needs_first()?;
            Ok(Address { opened: bucket_url("s3", first)?, root: rest, ..at(Provider::S3, url) })
        }
        [_, "s3", "amazonaws", "com"] | [_, "s3", _, "amazonaws", "com"] => {
            Ok(Address { root: segments.join("/"), names_endpoint: true, ..at(Provider::S3, url) })
        }
        _ => Err(Error::invalid(format!("`https://{host}` is no storage that coldframe knows")).with_hint(format!(
            "if it speaks S3's protocol, write s3://bucket/path with -O endpoint=https://{host}; {WAYS}"
        ))),
    }
}

fn bucket_url(scheme: &str, bucket: &str) -> Result<Url> {
    Url::parse(&format!("{scheme}://{bucket}"))
        .map_err(|error| Error::invalid(format!("`{bucket}` cannot be a bucket: {error}")))
}

fn folder_url(text: &str, base: Option<&Path>) -> Result<Url> {
    if text.is_empty() {
        return Err(Error::invalid("a storage cannot be an empty text"));
    }
    let path = base.map_or_else(|| PathBuf::from(text), |base| base.join(text));
    let absolute = std::path::absolute(&path)
        .map_err(|error| Error::invalid(format!("`{text}` is no path: {error}")).with_source(error))?;
    Url::from_directory_path(&absolute).map_err(|()| Error::invalid(format!("`{}` is no path", absolute.display())))
}
