//! Whether, where and how much of what was read from a remote storage is kept on the local disk.

use std::path::PathBuf;

use super::configuration::{Configuration, Setting, parse_size};
use crate::error::{Error, ErrorKind, Result};

/// How much the cache holds, unless told otherwise.
const USUAL_LIMIT: &str = "10GiB";

/// The cache of data that was read from a remote storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheSettings {
    /// Nothing is kept.
    Off,
    /// What is read is kept.
    On {
        /// The folder, which is the cache's alone; many processes and stores may have the same.
        folder: PathBuf,
        /// How many bytes it may take on the disk.
        limit: u64,
    },
}

impl Configuration {
    /// The cache of remote data, as it is configured; off where no folder is known.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if the setting is neither a size nor `off`.
    pub fn cache(&self) -> Result<CacheSettings> {
        let setting = self.cache_limit();
        if setting.value.eq_ignore_ascii_case("off") {
            return Ok(CacheSettings::Off);
        }
        let limit = parse_size(&setting.value).and_then(|limit| u64::try_from(limit).ok()).ok_or_else(|| {
            let message = format!("cache `{}` ({}) is no size", setting.value.escape_debug(), setting.origin);
            Error::new(ErrorKind::Configuration, message).with_hint("write it as 10GiB, as a number of bytes, or off")
        })?;
        Ok(match self.cache_folder() {
            Some(folder) => CacheSettings::On { folder, limit },
            None => CacheSettings::Off,
        })
    }

    /// The folder of the cache, also where the cache is off; none where neither a setting nor the system says one.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        self.cache_folder_setting().map(|setting| PathBuf::from(setting.value))
    }

    /// How much the cache may hold, and who says so.
    pub(super) fn cache_limit(&self) -> Setting {
        self.cache_limit_setting().unwrap_or_else(|| {
            let value = if self.cache_folder_setting().is_some() { USUAL_LIMIT } else { "off" };
            Setting { name: "cache".into(), value: value.into(), origin: "default".into() }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    fn read(environment: &[(&str, &str)], working: &Path) -> Configuration {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Configuration::read(environment, Some(working), None).unwrap()
    }

    fn on(folder: PathBuf, limit: u64) -> CacheSettings {
        CacheSettings::On { folder, limit }
    }

    #[test]
    fn nothing_is_cached_where_no_folder_is_known() {
        assert_eq!(Configuration::empty().cache().unwrap(), CacheSettings::Off);
        assert_eq!(Configuration::empty().cache_folder(), None);
        let limited = BTreeMap::from([("COLDFRAME_CACHE".to_owned(), "1GiB".to_owned())]);
        assert_eq!(Configuration::read(limited, None, None).unwrap().cache().unwrap(), CacheSettings::Off);
    }

    #[test]
    fn the_environment_wins_and_a_file_counts_from_its_folder() {
        let home = tempfile::tempdir().unwrap();
        let work = home.path().join("deep");
        std::fs::create_dir(&work).unwrap();
        std::fs::write(home.path().join("coldframe.toml"), "cache = \"2GiB\"\ncache_folder = \"kept\"\n").unwrap();
        assert_eq!(read(&[], &work).cache().unwrap(), on(home.path().join("kept"), 2 << 30));
        let folder = [("COLDFRAME_CACHE_FOLDER", "/somewhere")];
        assert_eq!(read(&folder, &work).cache().unwrap(), on("/somewhere".into(), 2 << 30));
        assert_eq!(read(&[("COLDFRAME_CACHE", "4096")], &work).cache().unwrap(), on(home.path().join("kept"), 4096));
        let off = read(&[("COLDFRAME_CACHE", "OFF")], &work);
        assert_eq!(off.cache().unwrap(), CacheSettings::Off);
        assert_eq!(off.cache_folder(), Some(home.path().join("kept")), "it can still be cleared");
        let error = read(&[("COLDFRAME_CACHE", "much")], &work).cache().unwrap_err();
        assert!(error.message().contains("COLDFRAME_CACHE") && error.kind() == ErrorKind::Configuration, "{error}");
    }

    #[test]
    fn the_settings_name_their_origin() {
        let home = tempfile::tempdir().unwrap();
        let shown = |configuration: &Configuration, name: &str| {
            let settings = configuration.settings();
            settings.into_iter().find(|setting| setting.name == name).map(|setting| (setting.value, setting.origin))
        };
        let folder = read(&[("COLDFRAME_CACHE_FOLDER", "/c")], home.path());
        assert_eq!(shown(&folder, "cache"), Some(("10GiB".into(), "default".into())));
        let origin = "environment variable COLDFRAME_CACHE_FOLDER";
        assert_eq!(shown(&folder, "cache_folder"), Some(("/c".into(), origin.into())));
        let none = read(&[], home.path());
        assert_eq!(shown(&none, "cache"), Some(("off".into(), "default".into())));
        assert_eq!(shown(&none, "cache_folder"), None);
    }
}
