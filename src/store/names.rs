//! What one listing of a key's versions says.

use chrono::{DateTime, Utc};

use super::Inner;
use super::layout::{self, NameKind, VersionName};
use crate::error::{Error, Result};
use crate::reference::{Key, Version, WriteId};
use crate::storage::sequence::{self, Name};

/// The versions of a key, the newest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub(crate) versions: Vec<Listed>,
}

/// One version, as its names tell.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) version: Version,
    /// When the reference was written, if it stands.
    pub(crate) written: Option<DateTime<Utc>>,
    pub(crate) deleted: bool,
    pub(crate) going: Vec<WriteId>,
}

impl Listed {
    /// Whether it stands and is not deleted; it may be expired.
    pub(crate) fn is_shown(&self) -> bool {
        self.written.is_some() && !self.deleted
    }
}

impl Names {
    /// All versions of a key.
    pub(crate) async fn all(store: &Inner, key: &Key) -> Result<Self> {
        Self::parse(&sequence::names(&store.storage, &layout::versions(key)?, |_| false).await?)
    }

    /// The versions down to the newest that is shown; one page of a listing, nearly always.
    pub(crate) async fn newest(store: &Inner, key: &Key) -> Result<Self> {
        let enough = |names: &[Name]| {
            // A marker and announcements sort before the reference that they are about, so the last name tells.
            let mut parsed = names.iter().rev().map_while(|name| VersionName::parse(&name.name));
            let Some(last) = parsed.next().filter(|last| last.kind == NameKind::Reference) else { return false };
            !parsed.take_while(|name| name.version == last.version).any(|name| name.kind == NameKind::Deleted)
        };
        Self::parse(&sequence::names(&store.storage, &layout::versions(key)?, enough).await?)
    }

    pub(crate) fn parse(names: &[Name]) -> Result<Self> {
        let mut versions: Vec<Listed> = Vec::new();
        for listed in names {
            let name = VersionName::parse(&listed.name).ok_or_else(|| {
                Error::damaged(format!("`{}` among the versions is no name of the format", listed.name.escape_debug()))
                    .with_hint("remove the file if it is not coldframe's, else run `coldframe verify`")
            })?;
            let same = versions.last().is_some_and(|last| last.version == name.version);
            if !same {
                versions.push(Listed { version: name.version, written: None, deleted: false, going: Vec::new() });
            }
            let Some(version) = versions.last_mut() else { continue };
            match name.kind {
                NameKind::Reference => version.written = Some(listed.modified),
                NameKind::Deleted => version.deleted = true,
                NameKind::Going(id) => version.going.push(id),
            }
        }
        Ok(Self { versions })
    }

    /// The highest number ever given, deleted or not.
    pub(crate) fn highest(&self) -> Option<Version> {
        self.versions.first().map(|listed| listed.version)
    }

    /// The newest version that is shown.
    pub(crate) fn newest_shown(&self) -> Option<&Listed> {
        self.versions.iter().find(|listed| listed.is_shown())
    }

    pub(crate) fn find(&self, version: Version) -> Option<&Listed> {
        self.versions.iter().find(|listed| listed.version == version)
    }
}
