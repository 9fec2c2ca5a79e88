//! What a call means: a key, a version of it, what was there at an instant, or a reference.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::error::{Error, Result};
use crate::reference::{Key, ResultReference, Version};

/// What a call reads.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// The newest version of a key.
    Newest(Key),
    /// One version of a key.
    Version(Key, Version),
    /// The version that was the newest at an instant, by the time it was created.
    AsOf(Key, DateTime<Utc>),
    /// The version that a reference was handed out for.
    Reference(Box<ResultReference>),
}

impl Target {
    /// Reads `KEY` or `KEY@N`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if that is no key.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some((key, digits)) = text.rsplit_once('@')
            && !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
        {
            let number = digits.parse().map_err(|_| Error::invalid(format!("{digits} is no version number")))?;
            return Ok(Self::Version(Key::parse(key)?, Version::new(number)?));
        }
        Key::parse(text).map(Self::Newest)
    }

    /// The key that it is about.
    pub fn key(&self) -> &Key {
        match self {
            Self::Newest(key) | Self::Version(key, _) | Self::AsOf(key, _) => key,
            Self::Reference(reference) => reference.key(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest(key) => key.fmt(f),
            Self::Version(key, version) => write!(f, "{key}@{version}"),
            Self::AsOf(key, at) => write!(f, "{key} as of {}", at.to_rfc3339_opts(SecondsFormat::Secs, true)),
            Self::Reference(reference) => reference.fmt(f),
        }
    }
}

/// Whatever says what a call reads.
pub trait IntoTarget {
    /// The target.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if it is none.
    fn into_target(self) -> Result<Target>;
}

impl IntoTarget for Target {
    fn into_target(self) -> Result<Target> {
        Ok(self)
    }
}

impl IntoTarget for &str {
    fn into_target(self) -> Result<Target> {
        Target::parse(self)
    }
}

impl IntoTarget for &String {
    fn into_target(self) -> Result<Target> {
        Target::parse(self)
    }
}

impl IntoTarget for &Key {
    fn into_target(self) -> Result<Target> {
        Ok(Target::Newest(self.clone()))
    }
}

impl IntoTarget for (&Key, Version) {
    fn into_target(self) -> Result<Target> {
        Ok(Target::Version(self.0.clone(), self.1))
    }
}

impl IntoTarget for (Key, Version) {
    fn into_target(self) -> Result<Target> {
        Ok(Target::Version(self.0, self.1))
    }
}

impl IntoTarget for &ResultReference {
    fn into_target(self) -> Result<Target> {
        Ok(Target::Reference(Box::new(self.clone())))
    }
}
