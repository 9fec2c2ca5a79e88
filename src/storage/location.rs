//! What a user means by a storage: a URL, a path, or the name of a profile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

use super::configuration::Configuration;
use crate::error::{Error, ErrorKind, Result};
use crate::query::nearest;

const SCHEMES: [&str; 9] = ["file", "memory", "s3", "s3a", "gs", "az", "azure", "abfs", "abfss"];

/// A storage's URL, with the options to open it by.
#[derive(Clone)]
pub struct Location {
    pub(super) url: Url,
    pub(super) profile: Option<String>,
    /// Options of the storage, the strongest last: environment, then profile, then the call's own.
    pub(super) options: Vec<(String, String)>,
    /// The names among them that came from the environment: what is not known there is left alone.
    pub(super) ambient: BTreeMap<String, String>,
}

impl Location {
    /// What `text` means: the name of a profile, a URL, or a path.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a URL that cannot be one, [`ErrorKind::NotFound`] for a profile that is not
    /// configured.
    pub fn resolve(text: &str, options: &[(String, String)], configuration: &Configuration) -> Result<Self> {
        let ambient = configuration.environment().clone();
        if let Some(profile) = configuration.profile(text) {
            let mut all = profile.options.clone();
            all.extend(options.iter().cloned());
            let url = parse_url(&profile.url, Some(&profile.folder))
                .map_err(|error| error.within(format!("profile `{text}` in {}", profile.origin)))?;
            return Ok(Self { url, profile: Some(text.to_owned()), options: all, ambient });
        }
        if looks_like_a_profile(text) && !Path::new(text).exists() {
            return Err(unknown_profile(text, configuration));
        }
        Ok(Self { url: parse_url(text, None)?, profile: None, options: options.to_vec(), ambient })
    }

    /// The URL without credentials, query and trailing slash.
    pub fn printed(&self) -> String {
        let mut url = self.url.clone();
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        let text = url.to_string();
        match text.trim_end_matches('/') {
            root if root.ends_with(':') => text,
            trimmed => trimmed.to_owned(),
        }
    }

    /// The options as keys of a provider's builder: the environment's variables under `prefixes`, where the builder
    /// knows them, then the profile's and the call's own, all of which it must know.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] naming an option that the builder does not know.
    pub fn keyed<K: FromStr>(&self, prefixes: &[&str], storage: &str) -> Result<Vec<(K, String)>> {
        let ambient = self.ambient.iter().filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix)));
        let mut keyed: Vec<(K, String)> = ambient
            .filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value.clone())))
            .collect();
        for (name, value) in &self.options {
            let key = name.to_ascii_lowercase().parse().map_err(|_| unknown_option(name, storage))?;
            keyed.push((key, value.clone()));
        }
        Ok(keyed)
    }

    /// Refuses options where there are none.
    pub(super) fn without_options(&self, storage: &str) -> Result<()> {
        match self.options.first() {
            Some((name, _)) => {
                Err(Error::new(ErrorKind::Configuration, format!("{storage} has no option `{}`", name.escape_debug()))
                    .with_hint("options belong to S3, GCS and Azure"))
            }
            None => Ok(()),
        }
    }

    pub(super) fn folder(&self) -> Result<PathBuf> {
        self.url.to_file_path().map_err(|()| {
            Error::invalid(format!("`{}` is no folder of this machine", self.url))
                .with_hint("write file:///path/to/folder")
        })
    }
}

impl std::fmt::Debug for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Location").field("url", &self.printed()).field("profile", &self.profile).finish_non_exhaustive()
    }
}

fn unknown_option(name: &str, storage: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("`{}` is no option of {storage} storage", name.escape_debug()))
        .with_hint("options are those of the object_store library, such as region, endpoint, access_key_id, allow_http")
}

/// `s3/prod`: a storage's kind, a slash, and a name. A path would start with a dot or a slash to be told apart.
fn looks_like_a_profile(text: &str) -> bool {
    let kind = text.split('/').next().unwrap_or_default();
    text.matches('/').count() == 1
        && !text.contains(':')
        && ["s3", "gs", "gcs", "az", "azure", "local", "file"].contains(&kind)
}

fn unknown_profile(text: &str, configuration: &Configuration) -> Error {
    let error = Error::new(ErrorKind::NotFound, format!("there is no storage profile `{text}`"));
    let names: Vec<&str> = configuration.profile_names();
    match nearest(text, names.iter().copied()).first() {
        Some(similar) => error.with_hint(format!("did you mean `{similar}`?")),
        None => error.with_hint(format!(
            "add [storage.\"{text}\"] with a url to coldframe.toml, or write ./{text} if you mean a folder"
        )),
    }
}

fn parse_url(text: &str, folder: Option<&Path>) -> Result<Url> {
    let Some((scheme, _)) = text.split_once("://") else {
        return folder_url(text, folder);
    };
    if !SCHEMES.contains(&scheme) {
        return Err(Error::invalid(format!("there is no storage `{}://`", scheme.escape_debug())).with_hint(
            "storages are s3://bucket/path, gs://bucket/path, az://container/path, file:///path, memory:// or a path",
        ));
    }
    let url = Url::parse(text)
        .map_err(|error| Error::invalid(format!("`{}` is no URL: {error}", super::failure::scrubbed(text))))?;
    if url.query().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(Error::invalid("a storage's URL holds no credentials and no query")
            .with_hint("give credentials by the environment, a profile in coldframe.toml, or -O KEY=VALUE"));
    }
    if !["file", "memory"].contains(&scheme) && url.host_str().is_none_or(str::is_empty) {
        return Err(
            Error::invalid(format!("`{text}` names no bucket")).with_hint(format!("write {scheme}://bucket/path"))
        );
    }
    Ok(url)
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
