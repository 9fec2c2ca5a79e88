//! What a put returns: a small JSON document that finds one version of one key, and says what was written.

mod descriptor;
mod key;
mod origin;
mod part;
mod wire;

use std::any::Any;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ulid::Ulid;

pub use descriptor::Descriptor;
pub use key::Key;
pub use origin::Origin;
pub use part::{Part, Section};

use crate::error::{Error, Result};

/// The format of references that this version writes, and the highest it reads.
pub const FORMAT: u64 = 1;

/// The number of a version: 1, 2, 3 … of a key. A number is never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Version(u64);

impl Version {
    /// The first version of a key.
    pub const FIRST: Self = Self(1);
    /// The highest number there can be.
    pub const MAX: Self = Self(999_999_999_998);

    /// Version `number`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if it is 0 or above [`Version::MAX`].
    pub fn new(number: u64) -> Result<Self> {
        if (1..=Self::MAX.0).contains(&number) {
            Ok(Self(number))
        } else {
            Err(Error::invalid(format!("{number} is no version number"))
                .with_hint(format!("versions are numbered from 1 to {}", Self::MAX)))
        }
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u64> for Version {
    type Error = Error;

    fn try_from(number: u64) -> Result<Self> {
        Self::new(number)
    }
}

impl From<Version> for u64 {
    fn from(version: Version) -> Self {
        version.0
    }
}

/// The identity of one put: a ULID, drawn anew for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WriteId(Ulid);

impl WriteId {
    /// Draws an identity; its first half is `now`, so that they sort by time.
    pub fn draw(now: DateTime<Utc>) -> Self {
        let milliseconds = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        Self(Ulid::from_parts(milliseconds, rand::random()))
    }
}

impl fmt::Display for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for WriteId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ulid::from_string(text).ok().filter(|ulid| ulid.to_string() == text).map(Self).ok_or_else(|| {
            Error::invalid(format!("`{}` is no write id", text.escape_debug())).with_hint("a write id is a ULID")
        })
    }
}

impl TryFrom<String> for WriteId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<WriteId> for String {
    fn from(write: WriteId) -> Self {
        write.to_string()
    }
}

/// What was written: all of a full reference that its compact form leaves out.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// How the value was made bytes.
    pub serializer: Descriptor,
    /// The data objects; none for a literal.
    pub parts: Vec<Part>,
    /// The rows of a table.
    pub rows: Option<u64>,
    /// The bytes of all parts.
    pub size: u64,
    /// Base64 of the table's schema as an Arrow IPC message, if that takes at most 16 KiB; else it is in the footer.
    pub schema: Option<String>,
    /// A hash of the table's logical content, where it was computed.
    pub fingerprint: Option<String>,
    /// The library and kind of frame that the table came from.
    pub source: Option<Value>,
    /// What a round trip loses: first what the caller says, then what the serializer and its encoder say.
    pub lossy: Vec<Value>,
    /// When, by the writer's clock.
    pub created: DateTime<Utc>,
    /// Of which version it is a copy, if it is one.
    pub copied_from: Option<Origin>,
    /// When it is refused from, and may be removed.
    pub expires: Option<DateTime<Utc>>,
    /// One line for people.
    pub title: Option<String>,
    /// Some lines for people.
    pub description: Option<String>,
    /// What the user attached.
    pub metadata: Map<String, Value>,
}

/// Key, version, storage and serializer of a result: whoever holds it gets the same table back, or a clear error.
///
/// It comes in two forms. The *full* one also tells what was written ([`ResultReference::written`]) and is read with
/// one request less. The *compact* one is under 1 KB for any table, for an orchestrator's database; the rest is then
/// read from the storage. Both are compared by value, and keep fields that they do not know.
///
/// ```
/// use coldframe::ResultReference;
///
/// let text = r#"{"type":"reference","format":1,"key":"etl/trips","version":3,
///                "write":"01JD0000000000000000000000","storage":"s3://acme/results"}"#;
/// let reference = ResultReference::from_json(text)?;
/// assert_eq!(reference.key().as_str(), "etl/trips");
/// assert_eq!(ResultReference::from_json(&reference.to_json())?, reference);
/// # Ok::<(), coldframe::Error>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "wire::Wire", into = "wire::Wire")]
pub struct ResultReference {
    key: Key,
    version: Version,
    write: WriteId,
    storage: Option<String>,
    profile: Option<String>,
    written: Option<Box<Written>>,
    other: Map<String, Value>,
    held: Held,
}

impl ResultReference {
    /// A full reference, as it lies on the storage: without one, so that a store can be copied.
    pub(crate) fn new(key: Key, version: Version, write: WriteId, written: Written) -> Self {
        let (storage, profile, other) = (None, None, Map::new());
        Self { key, version, write, storage, profile, written: Some(Box::new(written)), other, held: Held::default() }
    }

    /// Reads a reference, full or compact.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if the text is none,
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if a newer version wrote it.
    pub fn from_json(text: &str) -> Result<Self> {
        wire::Wire::parse(text.as_bytes())?.try_into()
    }

    /// The reference as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The same reference without what was written: under 1 KB for any table.
    #[must_use]
    pub fn compact(&self) -> Self {
        Self { written: None, other: Map::new(), ..self.clone() }
    }

    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The version of the key.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The put that wrote it.
    pub fn write(&self) -> WriteId {
        self.write
    }

    /// Where the store lies, as a URL without credentials; absent in the copy that lies on the storage itself.
    pub fn storage(&self) -> Option<&str> {
        self.storage.as_deref()
    }

    /// The profile that the store was opened by, if it was.
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// What was written; absent in the compact form.
    pub fn written(&self) -> Option<&Written> {
        self.written.as_deref()
    }

    /// Fields that this version does not know; they are kept.
    pub fn other(&self) -> &Map<String, Value> {
        &self.other
    }

    /// The same reference, saying where the store lies and by which profile it was opened.
    #[must_use]
    pub(crate) fn located(mut self, storage: Option<String>, profile: Option<String>) -> Self {
        self.storage = storage;
        self.profile = profile;
        self
    }

    /// The same reference under another version number; only a put that lost a race may renumber its own.
    #[must_use]
    pub(crate) fn renumbered(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// What this reference says was written, as another write of another key, which nobody has located yet.
    #[must_use]
    pub(crate) fn rewritten(self, key: Key, write: WriteId, written: Written) -> Self {
        Self { other: self.other, ..Self::new(key, Version::FIRST, write, written) }
    }

    /// The version that this one is a copy of, or itself if it is none; absent in the compact form.
    pub(crate) fn origin(&self) -> Option<Origin> {
        let written = self.written()?;
        Some(written.copied_from.clone().unwrap_or_else(|| Origin {
            key: self.key.clone(),
            version: self.version,
            write: self.write,
            created: written.created,
            other: Map::new(),
        }))
    }

    /// The same reference, holding what resolves it.
    #[must_use]
    pub(crate) fn bound(mut self, store: Arc<dyn Any + Send + Sync>) -> Self {
        self.held.store = Some(store);
        self
    }

    pub(crate) fn held(&self) -> &Held {
        &self.held
    }
}

impl PartialEq for ResultReference {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
            && self.version == other.version
            && self.write == other.write
            && self.storage == other.storage
            && self.profile == other.profile
            && self.written == other.written
            && self.other == other.other
    }
}

impl fmt::Display for ResultReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.key, self.version)
    }
}

/// What a reference object keeps in this process beside its fields: neither compared nor serialized.
#[derive(Default)]
pub(crate) struct Held {
    /// The store that resolves it.
    pub(crate) store: Option<Arc<dyn Any + Send + Sync>>,
    value: Mutex<Option<Arc<dyn Any + Send + Sync>>>,
}

impl Held {
    pub(crate) fn value(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn keep(&self, value: Option<Arc<dyn Any + Send + Sync>>) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }
}

impl Clone for Held {
    /// A clone is another object: it resolves its own value.
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), value: Mutex::default() }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("store", &self.store.is_some()).field("value", &self.value().is_some()).finish()
    }
}
