//! What a user means by a storage: a URL, a path, or the name of a profile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::address::{self, Address};
use super::configuration::Configuration;
use super::options::{self, Provider};
use super::retries::VARIABLES;
use crate::error::{Error, ErrorKind, Result};
use crate::query::nearest;

/// Options as they were written: name and value.
type Written = Vec<(String, String)>;

/// A storage's URL, with the options to open it by.
#[derive(Clone)]
pub struct Location {
    pub(super) address: Address,
    pub(super) profile: Option<String>,
    /// The options, place by place, the strongest last: the profile's, the URL's, the call's own.
    layers: [Written; 3],
    /// The environment, which is weaker than all of them.
    ambient: BTreeMap<String, String>,
}

impl Location {
    /// What `text` means: the name of a profile, a URL, or a path.
    ///
    /// An option may be given in four places, of which each is stronger than those before: the environment, the profile,
    /// the query of the URL, and `options`. What only one of the storages knows is left alone in the environment, and
    /// is an error in the others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a URL that cannot be one or holds a secret, [`ErrorKind::Configuration`] for a profile
    /// that is not configured.
    pub fn resolve(text: &str, options: &[(String, String)], configuration: &Configuration) -> Result<Self> {
        let ambient = configuration.environment().clone();
        let own = options.to_vec();
        if let Some(profile) = configuration.profile(text) {
            let (address, query) = address::parse(&profile.url, Some(&profile.folder))
                .map_err(|error| error.within(format!("profile `{text}` in {}", profile.origin)))?;
            let layers = [profile.options, query, own];
            return Ok(Self { address, profile: Some(text.to_owned()), layers, ambient });
        }
        let nothing_there = !text.contains("://") && !Path::new(text).exists();
        if nothing_there && (looks_like_a_profile(text) || resembles_a_profile(text, configuration)) {
            return Err(unknown_profile(text, configuration));
        }
        let (address, query) = address::parse(text, None)?;
        Ok(Self { address, profile: None, layers: [Vec::new(), query, own], ambient })
    }

    /// The URL without credentials, query and trailing slash. It opens the same place under the same settings.
    pub fn printed(&self) -> String {
        self.address.printed()
    }

    /// The options as keys of a provider's builder, the strongest last.
    ///
    /// From the environment come the variables that the builder's own `from_env` would take: those of the provider's
    /// prefix whose names it knows, and `SERVICE_ACCOUNT` for GCS and `IDENTITY_ENDPOINT` for Azure. An empty one counts
    /// as absent. `AWS_PROFILE` and the files of the AWS command line are not read: object_store does not know them.
    ///
    /// object_store itself reads, when it asks for a credential, `GCE_METADATA_HOST`, `GCE_METADATA_ROOT`,
    /// `GCE_METADATA_IP` and `IDENTITY_HEADER`; with `use_emulator`, `AZURITE_BLOB_STORAGE_URL`; where GCS is given no
    /// credential, `~/.config/gcloud/application_default_credentials.json`. The HTTP client reads `HTTPS_PROXY`,
    /// `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] naming an option that the builder does not know, or whose value cannot be one.
    pub(super) fn keyed<K: FromStr + AsRef<str>>(&self, provider: Provider) -> Result<Vec<(K, String)>> {
        let mut keyed = self.surroundings::<K>(provider)?;
        for layer in &self.layers {
            let mut stronger: Vec<(K, String)> = Vec::new();
            for (name, value) in layer.iter().filter(|(name, _)| !is_own(name)) {
                let key = parsed::<K>(provider, name).ok_or_else(|| provider.unknown(name))?;
                provider.check(name, value)?;
                self.check_endpoint(provider, key.as_ref())?;
                stronger.push((key, value.clone()));
            }
            let aside = |weaker: &K| stronger.iter().any(|(key, _)| options::puts_aside(key.as_ref(), weaker.as_ref()));
            keyed.retain(|(weaker, _)| !aside(weaker));
            keyed.extend(stronger);
        }
        Ok(keyed)
    }

    /// What the environment says to a provider's builder.
    fn surroundings<K: FromStr + AsRef<str>>(&self, provider: Provider) -> Result<Vec<(K, String)>> {
        let prefixed = self.ambient.iter().filter(|(name, _)| name.starts_with(provider.prefix()));
        let mut named: Vec<(&str, &str, &str)> =
            prefixed.map(|(name, value)| (name.as_str(), name.as_str(), value.as_str())).collect();
        let bare = |name: &str| self.ambient.get(name).map(String::as_str);
        match provider {
            Provider::S3 => {}
            Provider::Gcs => {
                named.splice(0..0, bare("SERVICE_ACCOUNT").map(|value| ("service_account", "SERVICE_ACCOUNT", value)));
            }
            Provider::Azure => {
                named.extend(bare("IDENTITY_ENDPOINT").map(|value| ("identity_endpoint", "IDENTITY_ENDPOINT", value)));
            }
        }
        let mut keyed = Vec::new();
        for (name, variable, value) in named.into_iter().filter(|(_, _, value)| !value.is_empty()) {
            let Ok(key) = name.to_ascii_lowercase().parse::<K>() else { continue };
            if self.address.names_endpoint && is_endpoint(key.as_ref()) {
                continue;
            }
            provider.check(name, value).map_err(|error| error.within(format!("environment variable {variable}")))?;
            keyed.push((key, value.to_owned()));
        }
        Ok(keyed)
    }

    /// An S3 URL of `https://` says where the server is; another endpoint beside it would get requests for no bucket.
    fn check_endpoint(&self, provider: Provider, key: &str) -> Result<()> {
        if provider == Provider::S3 && self.address.names_endpoint && is_endpoint(key) {
            return Err(Error::new(ErrorKind::Configuration, "the URL and the option `endpoint` both name the server")
                .with_hint("write s3://bucket/path beside `endpoint`"));
        }
        Ok(())
    }

    /// One of coldframe's own options, by its name: the strongest value, checked.
    pub(super) fn own(&self, name: &str) -> Result<Option<&str>> {
        let given = self.layers.iter().flatten().rfind(|(given, _)| given.eq_ignore_ascii_case(name));
        let provider = self.address.provider.unwrap_or(Provider::S3);
        if let Some((_, value)) = given {
            provider.check(name, value)?;
            return Ok(Some(value));
        }
        let variable = VARIABLES.iter().find(|(own, _)| *own == name).map(|(_, variable)| *variable);
        let found = variable.and_then(|variable| Some((variable, self.ambient.get(variable)?)));
        let Some((variable, value)) = found.filter(|(_, value)| !value.is_empty()) else { return Ok(None) };
        provider.check(name, value).map_err(|error| error.within(format!("environment variable {variable}")))?;
        Ok(Some(value))
    }

    /// Refuses options where there are none.
    pub(super) fn without_options(&self, storage: &str) -> Result<()> {
        match self.layers.iter().flatten().next() {
            Some((name, _)) => {
                Err(Error::new(ErrorKind::Configuration, format!("{storage} has no option `{}`", name.escape_debug()))
                    .with_hint("options belong to S3, GCS and Azure"))
            }
            None => Ok(()),
        }
    }

    pub(super) fn folder(&self) -> Result<PathBuf> {
        self.address.url.to_file_path().map_err(|()| {
            Error::invalid(format!("`{}` is no folder of this machine", self.printed()))
                .with_hint("write file:///path/to/folder")
        })
    }
}

impl std::fmt::Debug for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Location").field("url", &self.printed()).field("profile", &self.profile).finish_non_exhaustive()
    }
}

fn is_own(name: &str) -> bool {
    VARIABLES.iter().any(|(own, _)| name.eq_ignore_ascii_case(own))
}

fn is_endpoint(key: &str) -> bool {
    ["aws_endpoint", "aws_endpoint_url_s3", "azure_storage_endpoint"].contains(&key)
}

/// A name as a key: as the library reads it, or as the end of an environment variable's name.
fn parsed<K: FromStr>(provider: Provider, name: &str) -> Option<K> {
    let name = name.to_ascii_lowercase();
    let long = || format!("{}{name}", provider.prefix().to_ascii_lowercase()).parse().ok();
    name.parse().ok().or_else(long)
}

/// `s3/prod`: a storage's kind, a slash, and a name. A path would start with a dot or a slash to be told apart.
fn looks_like_a_profile(text: &str) -> bool {
    let kind = text.split('/').next().unwrap_or_default();
    text.matches('/').count() == 1
        && !text.contains(':')
        && ["s3", "gs", "gcs", "az", "azure", "local", "file"].contains(&kind)
}

/// One word that nearly is the name of a profile; a folder of that name would be written `./name`.
fn resembles_a_profile(text: &str, configuration: &Configuration) -> bool {
    !text.contains(['/', '\\', '.']) && !nearest(text, configuration.profile_names().into_iter()).is_empty()
}

fn unknown_profile(text: &str, configuration: &Configuration) -> Error {
    let error = Error::new(ErrorKind::Configuration, format!("there is no storage profile `{text}`"));
    let names: Vec<&str> = configuration.profile_names();
    match nearest(text, names.iter().copied()).first() {
        Some(similar) => error.with_hint(format!("did you mean `{similar}`? A folder is written ./{text}")),
        None => error.with_hint(format!(
            "add [storage.\"{text}\"] with a url to coldframe.toml, or write ./{text} if you mean a folder"
        )),
    }
}
