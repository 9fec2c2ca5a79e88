//! What is configured: the environment and `coldframe.toml`, read once and passed down.
//!
//! ```toml
//! default = "s3/prod"
//! serializer = "parquet/zstd(3)"
//! cache = "10GiB"
//!
//! [storage."s3/prod"]
//! url = "s3://acme/results"
//! region = "eu-central-1"
//! ```
//!
//! The nearest `coldframe.toml` from the working folder upwards wins over the one in the user's config folder; an
//! environment variable wins over both; an argument wins over all. The options of a storage are the exception: those of
//! its profile mean this one storage, and win over an environment variable, which means them all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::retries::{self, Retries};
use super::{address, failure, options};
use crate::error::{Error, ErrorKind, Result};

const FILE: &str = "coldframe.toml";
/// The folder of a store where nothing else is configured.
pub const DEFAULT_STORE: &str = "./.coldframe";
const STORE: &str = "COLDFRAME_STORE";
const SERIALIZER: &str = "COLDFRAME_SERIALIZER";
const MEMORY: &str = "COLDFRAME_MEMORY";
const CACHE: &str = "COLDFRAME_CACHE";
const CACHE_FOLDER: &str = "COLDFRAME_CACHE_FOLDER";
const AMBIENT: [&str; 4] = ["COLDFRAME_", "AWS_", "GOOGLE_", "AZURE_"];
/// Where the name of whoever runs this stands, on one system or another.
const USER: [&str; 3] = ["USER", "LOGNAME", "USERNAME"];
/// Variables that an object store takes although they do not begin with the provider's name. The last four it
/// reads by itself; they are here to be shown.
const BARE: [&str; 6] = [
    "SERVICE_ACCOUNT",
    "IDENTITY_ENDPOINT",
    "AZURITE_BLOB_STORAGE_URL",
    "GCE_METADATA_HOST",
    "GCE_METADATA_ROOT",
    "GCE_METADATA_IP",
];
/// What begins the name of a provider's variable.
const PROVIDERS: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// What is configured outside the program's own calls.
#[derive(Clone, Default)]
pub struct Configuration {
    environment: BTreeMap<String, String>,
    files: Vec<ConfigurationFile>,
    /// The user's folder for caches.
    caches: Option<PathBuf>,
}

#[derive(Clone)]
struct ConfigurationFile {
    path: PathBuf,
    content: Content,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    default: Option<String>,
    serializer: Option<String>,
    memory: Option<String>,
    cache: Option<String>,
    cache_folder: Option<String>,
    #[serde(default)]
    storage: BTreeMap<String, BTreeMap<String, toml::Value>>,
}

/// A profile: where a storage lies, and its options.
#[derive(Clone)]
pub(super) struct Profile {
    pub(super) url: String,
    pub(super) options: Vec<(String, String)>,
    /// The folder that a relative path in it starts from.
    pub(super) folder: PathBuf,
    pub(super) origin: String,
}

/// One setting that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name, such as `store` or `storage."s3/prod".region`.
    pub name: String,
    /// Its value; secrets are masked.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
}

impl Configuration {
    /// Reads the environment and the files.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if a file cannot be read, naming the file and the line.
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
    pub fn ambient() -> Result<Self> {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let ours = |name: &str| {
            AMBIENT.iter().any(|prefix| name.starts_with(prefix)) || USER.contains(&name) || BARE.contains(&name)
        };
        let environment = variables.filter(|(name, _)| ours(name)).collect();
        let working = std::env::current_dir().ok();
        let read = Self::read(environment, working.as_deref(), dirs::config_dir().as_deref())?;
        Ok(Self { caches: dirs::cache_dir(), ..read })
    }

    /// Reads the files that count in `working` and the user's folder `user`, under a given environment.
    ///
    /// # Errors
    ///
    /// As [`Configuration::ambient`].
    pub fn read(environment: BTreeMap<String, String>, working: Option<&Path>, user: Option<&Path>) -> Result<Self> {
        let nearest =
            working.and_then(|folder| folder.ancestors().map(|folder| folder.join(FILE)).find(|path| path.is_file()));
        let users = user.map(|folder| folder.join("coldframe").join(FILE)).filter(|path| path.is_file());
        let mut paths: Vec<PathBuf> = nearest.into_iter().chain(users).collect();
        paths.dedup();
        let files = paths.into_iter().map(ConfigurationFile::read).collect::<Result<_>>()?;
        Ok(Self { environment, files, caches: None })
    }

    /// No environment and no files.
    pub fn empty() -> Self {
        Self::default()
    }

    pub(super) fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    fn setting(&self, name: &str, variable: &str, pick: impl Fn(&Content) -> Option<&String>) -> Option<Setting> {
        let of = |value: &String, origin: String| Setting { name: name.to_owned(), value: value.clone(), origin };
        if let Some(value) = self.environment.get(variable).filter(|value| !value.is_empty()) {
            return Some(of(value, format!("environment variable {variable}")));
        }
        self.files.iter().find_map(|file| Some(of(pick(&file.content)?, file.path.display().to_string())))
    }

    fn store_setting(&self) -> Setting {
        self.setting("store", STORE, |content| content.default.as_ref()).unwrap_or_else(|| Setting {
            name: "store".into(),
            value: DEFAULT_STORE.into(),
            origin: "default".into(),
        })
    }

    /// The store to use where a call names none.
    pub fn store(&self) -> String {
        self.store_setting().value
    }

    /// The serializer for tables where a call names none.
    pub fn serializer(&self) -> Option<String> {
        self.setting("serializer", SERIALIZER, |content| content.serializer.as_ref()).map(|setting| setting.value)
    }

    /// Who runs this: user and machine, for the record of a deletion.
    pub fn who(&self) -> String {
        let user = USER.iter().find_map(|name| self.environment.get(*name)).map_or("unknown", String::as_str);
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        format!("{user}@{machine}")
    }

    /// The memory budget of one put or scan in bytes, if one is configured.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if it is no size.
    pub fn memory(&self) -> Result<Option<usize>> {
        let Some(setting) = self.setting("memory", MEMORY, |content| content.memory.as_ref()) else { return Ok(None) };
        parse_size(&setting.value).map(Some).ok_or_else(|| {
            Error::new(ErrorKind::Configuration, format!("memory `{}` ({}) is no size", setting.value, setting.origin))
                .with_hint("write it as 192MiB, 1GiB or a number of bytes")
        })
    }

    pub(super) fn cache_limit_setting(&self) -> Option<Setting> {
        self.setting("cache", CACHE, |content| content.cache.as_ref())
    }

    /// The folder of the cache; a relative one in a file starts from that file.
    pub(super) fn cache_folder_setting(&self) -> Option<Setting> {
        let of = |value: &Path, origin: String| {
            Some(Setting { name: "cache_folder".into(), value: value.to_str()?.to_owned(), origin })
        };
        if let Some(value) = self.environment.get(CACHE_FOLDER).filter(|value| !value.is_empty()) {
            return of(Path::new(value), format!("environment variable {CACHE_FOLDER}"));
        }
        let said = self.files.iter().find_map(|file| {
            let folder = file.path.parent().unwrap_or(Path::new("")).join(file.content.cache_folder.as_ref()?);
            of(&folder, file.path.display().to_string())
        });
        said.or_else(|| of(&self.caches.as_ref()?.join("coldframe").join("data"), "default".into()))
    }

    pub(super) fn profile(&self, name: &str) -> Option<Profile> {
        self.files.iter().find_map(|file| {
            let entries = file.content.storage.get(name)?;
            let options =
                entries.iter().filter(|(key, _)| *key != "url").map(|(key, value)| (key.clone(), plain(value)));
            Some(Profile {
                url: plain(entries.get("url")?),
                options: options.collect(),
                folder: file.path.parent().map(Path::to_path_buf).unwrap_or_default(),
                origin: file.path.display().to_string(),
            })
        })
    }

    /// Whether `name` is a configured profile.
    pub fn has_profile(&self, name: &str) -> bool {
        self.profile(name).is_some()
    }

    pub(super) fn profile_names(&self) -> Vec<&str> {
        self.files.iter().flat_map(|file| file.content.storage.keys().map(String::as_str)).collect()
    }

    /// Every setting in force, and where it comes from; secrets are masked. A variable that no storage knows is in force
    /// nowhere.
    pub fn settings(&self) -> Vec<Setting> {
        let store = self.store_setting();
        let mut settings = vec![Setting { value: address::without_secrets(&store.value), ..store.clone() }];
        settings.extend(address::options_of(&store.value).into_iter().map(|(key, value)| Setting {
            value: masked(&key, &value),
            name: key,
            origin: format!("the URL's query in {}", store.origin),
        }));
        let or = |setting: Option<Setting>, name: &str, default: String| {
            setting.unwrap_or_else(|| Setting { name: name.into(), value: default, origin: "default".into() })
        };
        let serializer = self.setting("serializer", SERIALIZER, |content| content.serializer.as_ref());
        settings.push(or(serializer, "serializer", "parquet".into()));
        let memory = self.setting("memory", MEMORY, |content| content.memory.as_ref());
        settings.push(or(memory, "memory", "192MiB".into()));
        let defaults = Retries::default();
        let default = [defaults.most.to_string(), humantime::format_duration(defaults.timeout).to_string()];
        for ((name, variable), default) in retries::VARIABLES.into_iter().zip(default) {
            settings.push(or(self.setting(name, variable, |_| None), name, default));
            settings.push(self.cache_limit());
            settings.extend(self.cache_folder_setting());
        }
        let shown = |name: &str| {
            BARE.contains(&name) || (PROVIDERS.iter().any(|prefix| name.starts_with(prefix)) && options::is_known(name))
        };
        settings.extend(self.environment.iter().filter(|(name, _)| shown(name)).map(|(name, value)| Setting {
            name: name.clone(),
            value: masked(name, value),
            origin: format!("environment variable {name}"),
        }));
        self.profile_settings(&mut settings);
        settings
    }

    fn profile_settings(&self, settings: &mut Vec<Setting>) {
        for (number, file) in self.files.iter().enumerate() {
            let hidden = |profile: &str| {
                self.files.iter().take(number).any(|nearer| nearer.content.storage.contains_key(profile))
            };
            for (profile, entries) in file.content.storage.iter().filter(|(profile, _)| !hidden(profile)) {
                settings.extend(entries.iter().map(|(key, value)| Setting {
                    name: format!("storage.\"{profile}\".{key}"),
                    value: masked(key, &plain(value)),
                    origin: file.path.display().to_string(),
                }));
                let url = entries.get("url").map(plain).unwrap_or_default();
                settings.extend(address::options_of(&url).into_iter().map(|(key, value)| Setting {
                    name: format!("storage.\"{profile}\".{key}"),
                    value: masked(&key, &value),
                    origin: format!("the URL's query in {}", file.path.display()),
                }));
            }
        }
    }
}

impl std::fmt::Debug for Configuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Configuration").field(&self.settings()).finish()
    }
}

impl ConfigurationFile {
    fn read(path: PathBuf) -> Result<Self> {
        let refuse = |why: String| {
            Error::new(ErrorKind::Configuration, format!("{} cannot be used: {why}", path.display()))
                .with_hint("it holds `default`, `serializer`, `memory`, `cache`, `cache_folder` and tables [storage.\"NAME\"] with a `url`")
        };
        let text = std::fs::read_to_string(&path).map_err(|error| refuse(error.to_string()))?;
        // The library's own message would show the line, which may hold a secret.
        let content: Content = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| text.get(..span.start).unwrap_or_default().lines().count().max(1));
            refuse(format!("line {line}: {}", error.message()))
        })?;
        for (name, entries) in &content.storage {
            if !entries.contains_key("url") {
                return Err(refuse(format!("[storage.\"{name}\"] has no `url`")));
            }
            if let Some((key, _)) =
                entries.iter().find(|(_, value)| matches!(value, toml::Value::Table(_) | toml::Value::Array(_)))
            {
                return Err(refuse(format!("`{key}` of [storage.\"{name}\"] is no single value")));
            }
        }
        Ok(Self { path, content })
    }
}

fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(flag) => flag.to_string(),
        toml::Value::Datetime(time) => time.to_string(),
        toml::Value::Array(_) | toml::Value::Table(_) => String::new(),
    }
}

/// The value of an option, as it may be shown: a mask where the name, or the look of the value, says that it is secret.
pub(crate) fn masked(name: &str, value: &str) -> String {
    let is_document = value.contains(['{', '\n']) || value.contains("-----BEGIN");
    match name {
        "url" => address::without_secrets(value),
        _ if BARE.contains(&name) && !is_document => failure::scrubbed(value),
        _ if options::is_secret(name) || is_document => "****".to_owned(),
        _ => failure::scrubbed(value),
    }
}

/// Bytes from `192MiB`, `1.5GB`, `4096`.
pub(crate) fn parse_size(text: &str) -> Option<usize> {
    let text = text.trim();
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "kib" => 1 << 10,
        "m" | "mb" => 1_000_000,
        "mib" => 1 << 20,
        "g" | "gb" => 1_000_000_000,
        "gib" => 1 << 30,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * factor as f64;
    (bytes.is_finite() && bytes >= 1.0).then_some(bytes as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path, text: &str) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(FILE), text).unwrap();
    }

    #[test]
    fn the_nearest_wins_and_says_where_it_comes_from() {
        let home = tempfile::tempdir().unwrap();
        let (work, user) = (home.path().join("project/deep"), home.path().join("config"));
        std::fs::create_dir_all(&work).unwrap();
        written(
            &home.path().join("project"),
            "default = \"s3/prod\"\n[storage.\"s3/prod\"]\nurl = \"s3://acme/results\"\nregion = \"eu\"\nsecret_access_key = \"HUSH\"\n",
        );
        written(&user.join("coldframe"), "default = \"x\"\nserializer = \"arrow\"\n");
        let read = |environment: &[(&str, &str)]| {
            let environment = environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            Configuration::read(environment, Some(&work), Some(&user)).unwrap()
        };
        let plain = read(&[]);
        assert_eq!(plain.store(), "s3/prod");
        assert_eq!(plain.serializer().unwrap(), "arrow");
        assert!(plain.has_profile("s3/prod"));
        let shown = format!("{plain:?}");
        assert!(shown.contains("project/coldframe.toml") && !shown.contains("HUSH"), "{shown}");
        let ambient = read(&[("COLDFRAME_STORE", "./here"), ("AWS_SECRET_ACCESS_KEY", "HUSH")]);
        assert_eq!(ambient.store(), "./here");
        assert!(!format!("{ambient:?}").contains("HUSH"));
    }

    #[test]
    fn a_wrong_file_names_its_line_and_no_secret() {
        let home = tempfile::tempdir().unwrap();
        for (text, why) in [
            ("defualt = 1", "defualt"),
            ("default = \"a\"\n[storage.x]\nregion = \"eu\"", "no `url`"),
            ("default = \"a\"\nsecret = HUSH", "line 2"),
        ] {
            written(home.path(), text);
            let error = Configuration::read(BTreeMap::new(), Some(home.path()), None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.message().contains(why) && !error.message().contains("HUSH"), "{error}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("192MiB"), Some(192 << 20));
        assert_eq!(parse_size("1.5 GB"), Some(1_500_000_000));
        assert_eq!(parse_size("4096"), Some(4096));
        assert_eq!(parse_size("x"), None);
        assert_eq!(parse_size("0"), None);
    }
}
