//! The names of objects: the only place that prints and parses them. See [`docs::format`](crate::docs::format).

use chrono::{DateTime, Utc};
use object_store::path::Path;

use crate::error::{Error, Result};
use crate::reference::{Key, ResultReference, Version, WriteId};

/// Versions are counted down from here in names, so that the newest is listed first.
const INVERTED: u64 = 999_999_999_999;

pub(crate) const REFERENCES: &str = "refs";
pub(crate) const DATA: &str = "data";
pub(crate) const PINS: &str = "pins";
pub(crate) const TAGS: &str = "tags";
/// The folder below a key's own that holds its versions: no segment of a key can be called so.
const VERSIONS: &str = "@";
/// The bytes of the marker at the root of every store.
pub(crate) const MARKER_BYTES: &[u8] = b"{\"type\":\"store\",\"format\":1}\n";

fn path(text: &str) -> Result<Path> {
    Path::parse(text).map_err(|error| Error::internal(format!("`{text}` is no object name: {error}")))
}

pub(crate) fn marker() -> Result<Path> {
    path("coldframe.json")
}

/// The folder of a key's versions.
pub(crate) fn versions(key: &Key) -> Result<Path> {
    path(&format!("{REFERENCES}/{}/{VERSIONS}", key.encoded()))
}

/// A name in the folder of a key's versions.
pub(crate) fn version(key: &Key, version: Version, kind: NameKind) -> Result<Path> {
    path(&format!("{REFERENCES}/{}/{VERSIONS}/{}", key.encoded(), VersionName { version, kind }))
}

/// The folder of a key's data objects, with a slash at its end.
pub(crate) fn data_folder(key: &Key) -> String {
    format!("{DATA}/{}/", key.encoded())
}

/// One data object: the first part has no number.
pub(crate) fn data(key: &Key, write: WriteId, part: usize, extension: &str) -> Result<Path> {
    let number = if part == 0 { String::new() } else { format!("-{part:04}") };
    path(&format!("{}{write}{number}.{extension}", data_folder(key)))
}

/// The extension of a data object: all that follows its write id and number.
pub(crate) fn extension(data: &Path) -> &str {
    data.filename().and_then(|name| name.split_once('.')).map_or("bin", |(_, extension)| extension)
}

/// What falls due in the hour of `at`.
pub(crate) fn due(at: DateTime<Utc>, write: WriteId, what: Due) -> Result<Path> {
    let what = match what {
        Due::Expiry => "expiry",
        Due::Purge => "purge",
    };
    path(&format!("due/{}/{write}-{what}.json", at.format("%Y-%m-%dT%H")))
}

pub(crate) fn pin(write: WriteId) -> Result<Path> {
    path(&format!("{PINS}/{write}"))
}

pub(crate) fn probe(id: WriteId) -> Result<Path> {
    path(&format!("probes/{id}"))
}

pub(crate) fn folder(name: &str) -> Result<Path> {
    path(name)
}

/// Why something has an entry under `due/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Expiry,
    Purge,
}

/// What a name in the folder of a key's versions stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameKind {
    /// The reference; creating it is the commit.
    Reference,
    /// Somebody announces that the version will be deleted.
    Going(WriteId),
    /// The version is deleted.
    Deleted,
}

/// A name in the folder of a key's versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VersionName {
    pub(crate) version: Version,
    pub(crate) kind: NameKind,
}

impl std::fmt::Display for VersionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:012}-v{}.", INVERTED - self.version.get(), self.version)?;
        match self.kind {
            NameKind::Reference => f.write_str("json"),
            NameKind::Going(id) => write!(f, "going-{id}"),
            NameKind::Deleted => f.write_str("deleted"),
        }
    }
}

impl VersionName {
    /// Reads a name; none if it is not one, or its two numbers disagree.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (numbers, kind) = name.split_once('.')?;
        let (_, number) = numbers.split_once("-v")?;
        let version = Version::new(number.parse().ok()?).ok()?;
        let kind = match kind {
            "json" => NameKind::Reference,
            "deleted" => NameKind::Deleted,
            other => NameKind::Going(other.strip_prefix("going-")?.parse().ok()?),
        };
        Some(Self { version, kind }).filter(|parsed| parsed.to_string() == name)
    }
}

/// The key and the name of an object under `refs/`; none if it is not one.
pub(crate) fn parse_version(location: &Path) -> Option<(Key, String)> {
    let inside = location.as_ref().strip_prefix(REFERENCES)?.strip_prefix('/')?;
    let (folder, name) = inside.rsplit_once('/')?;
    let key = folder.strip_suffix(VERSIONS)?.strip_suffix('/')?;
    Some((Key::decode(key).ok()?, name.to_owned()))
}

/// The key of a data object; none if it is not one.
pub(crate) fn parse_data(location: &Path) -> Option<Key> {
    let (key, _) = location.as_ref().strip_prefix(DATA)?.strip_prefix('/')?.rsplit_once('/')?;
    Key::decode(key).ok()
}

/// The folder to list for keys that begin with `prefix`, below `top`.
pub(crate) fn prefix_folder(top: &str, prefix: &str) -> Result<Path> {
    let whole = prefix.rsplit_once('/').map(|(folder, _)| Key::parse(folder)).transpose()?;
    match whole {
        Some(folder) => path(&format!("{top}/{}", folder.encoded())),
        None => path(top),
    }
}

/// Sorts after every version of a key, and before the next key.
pub(crate) fn past(key: &Key) -> Result<Path> {
    path(&format!("{REFERENCES}/{}/{VERSIONS}/~", key.encoded()))
}

/// Refuses a reference whose parts lie anywhere but among its own key's data: it may come from outside.
pub(crate) fn check_parts(reference: &ResultReference) -> Result<Vec<Path>> {
    let folder = data_folder(reference.key());
    let parts = reference.written().map(|written| written.parts.as_slice()).unwrap_or_default();
    parts
        .iter()
        .map(|part| {
            let name = part.path.strip_prefix(&folder).filter(|name| !name.is_empty() && !name.contains('/'));
            name.and_then(|_| Path::parse(&part.path).ok()).ok_or_else(|| {
                Error::invalid(format!(
                    "the reference's part `{}` does not lie under {folder}",
                    part.path.escape_debug()
                ))
                .with_hint("the reference was altered: read the result by its key instead")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> WriteId {
        "01JD0000000000000000000000".parse().unwrap()
    }

    #[test]
    fn names_sort_newest_first() {
        let name =
            |number| VersionName { version: Version::new(number).unwrap(), kind: NameKind::Reference }.to_string();
        assert_eq!(name(3), "999999999996-v3.json");
        assert!(name(10) < name(9) && name(1_000_000) < name(999_999));
    }

    #[test]
    fn names_that_disagree_are_no_names() {
        for name in [
            "999999999996-v4.json",
            "999999999996-v3.jsonx",
            "-v3.json",
            "999999999996-v03.json",
            "999999999996-v3.going-x",
            "x",
        ] {
            assert_eq!(VersionName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn the_spelling_of_every_name() {
        let key: Key = "etl/a b%".parse().unwrap();
        let at = DateTime::from_timestamp(1_763_636_400, 0).unwrap();
        let text = |path: Result<Path>| path.unwrap().to_string();
        assert_eq!(text(version(&key, Version::FIRST, NameKind::Deleted)), "refs/etl/a b%25/@/999999999998-v1.deleted");
        assert_eq!(text(data(&key, id(), 0, "parquet")), "data/etl/a b%25/01JD0000000000000000000000.parquet");
        assert_eq!(text(data(&key, id(), 7, "json.gz")), "data/etl/a b%25/01JD0000000000000000000000-0007.json.gz");
        assert_eq!(extension(&data(&key, id(), 7, "json.gz").unwrap()), "json.gz");
        assert_eq!(text(due(at, id(), Due::Expiry)), "due/2025-11-20T11/01JD0000000000000000000000-expiry.json");
        assert_eq!(text(pin(id())), "pins/01JD0000000000000000000000");
        assert_eq!(text(prefix_folder(DATA, "etl/a b%/tr")), "data/etl/a b%25");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_parsed(number in 1_u64..=Version::MAX.get(), kind in 0_usize..3, text in "\\PC{1,12}(/\\PC{1,12}){0,2}") {
            let kind = [NameKind::Reference, NameKind::Going(id()), NameKind::Deleted][kind];
            let name = VersionName { version: Version::new(number).unwrap(), kind };
            prop_assert_eq!(VersionName::parse(&name.to_string()), Some(name));
            if let Ok(key) = Key::parse(&text) {
                let location = version(&key, name.version, kind).unwrap();
                prop_assert_eq!(parse_version(&location), Some((key.clone(), name.to_string())));
                prop_assert!(past(&key).unwrap() > location);
                prop_assert_eq!(parse_data(&data(&key, id(), 0, "arrow").unwrap()), Some(key));
            }
        }
    }
}
