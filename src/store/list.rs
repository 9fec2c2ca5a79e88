//! What is in a store: the newest version of each key, in pages; every version of one key.

use std::future::{IntoFuture, ready};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::ObjectMeta;

use super::layout;
use super::names::{Listed, Names};
use super::{Deletion, Inner, delete};
use crate::error::{Error, ErrorKind, Result};
use crate::query::nearest;
use crate::reference::{Key, ResultReference, Version};
use crate::storage::failure;
use crate::storage::sequence::Name;

const PAGE: usize = 100;
/// How many references are read at once.
const READS: usize = 16;
/// Beyond so many keys, no similar one is looked for.
const COMPARED_KEYS: usize = 20_000;

/// A listing on its way; await it to get the first [`Page`].
#[must_use = "a listing does nothing until it is awaited"]
#[derive(Debug)]
pub struct List {
    store: Arc<Inner>,
    prefix: String,
    search: Option<String>,
    size: usize,
    after: Option<String>,
}

/// One page of a listing.
#[derive(Debug, Clone)]
pub struct Page {
    /// The newest version of each key, in the order of the keys' object names.
    pub entries: Vec<ResultReference>,
    /// Keys whose reference cannot be read, and why.
    pub unreadable: Vec<(Key, String)>,
    /// Where the next page begins; absent on the last.
    pub next: Option<String>,
}

/// One version of a key.
#[derive(Debug, Clone)]
pub struct VersionEntry {
    /// Its number.
    pub version: Version,
    /// Whether it can be read.
    pub state: VersionState,
    /// What was written, where it is still known.
    pub reference: Option<ResultReference>,
}

/// Whether a version can be read.
#[derive(Debug, Clone, PartialEq)]
pub enum VersionState {
    /// It can.
    Live,
    /// It is refused since it expired.
    Expired,
    /// It was deleted.
    Deleted(Deletion),
    /// Its reference or marker cannot be read, for this reason.
    Damaged(String),
}

impl List {
    pub(super) fn new(store: Arc<Inner>, prefix: &str) -> Self {
        Self { store, prefix: prefix.to_owned(), search: None, size: PAGE, after: None }
    }

    /// Only results whose key, title, description or metadata hold this text, in whatever case.
    pub fn search(self, text: impl Into<String>) -> Self {
        Self { search: Some(text.into().to_lowercase()), ..self }
    }

    /// At most so many entries a page.
    pub fn page_size(self, size: usize) -> Self {
        Self { size: size.max(1), ..self }
    }

    /// From where a page before ended: its [`Page::next`].
    pub fn after(self, token: impl Into<String>) -> Self {
        Self { after: Some(token.into()), ..self }
    }

    async fn run(self) -> Result<Page> {
        let after = self.after.as_deref().map(Key::parse).transpose()?;
        let found = keys(self.store.clone(), &self.prefix, after.as_ref())?
            .try_filter_map(|(key, names)| async move { Ok(names.newest_shown().map(|listed| (key, listed.version))) })
            .map(|shown| {
                let store = self.store.clone();
                async move {
                    let (key, version) = shown?;
                    let loaded = store.load(&key, version).await;
                    Ok::<_, Error>((key, loaded))
                }
            })
            .buffered(READS);
        let mut found = std::pin::pin!(found);
        let mut page = Page { entries: Vec::new(), unreadable: Vec::new(), next: None };
        while let Some((key, loaded)) = found.try_next().await? {
            match loaded {
                Ok(reference) if self.is_wanted(&reference) => page.entries.push(self.store.handed_out(reference)),
                // It was deleted between the listing and the reading, or it is expired, or not searched for.
                Ok(_) => {}
                Err(error) if error.is_missing() => {}
                Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Unsupported) => {
                    page.unreadable.push((key.clone(), error.to_string()))
                }
                Err(error) => return Err(error),
            }
            if page.entries.len() == self.size {
                page.next = Some(key.to_string());
                break;
            }
        }
        Ok(page)
    }

    fn is_wanted(&self, reference: &ResultReference) -> bool {
        let Some(written) = reference.written() else { return false };
        if written.expires.is_some_and(|expires| expires <= self.store.clock.now()) {
            return false;
        }
        let Some(text) = &self.search else { return true };
        let metadata = serde_json::to_string(&written.metadata).unwrap_or_default();
        // In JSON, quotes and backslashes are written with another backslash.
        let quoted = serde_json::to_string(text).unwrap_or_default();
        let escaped = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let metadata = metadata.to_lowercase();
        let places = [Some(reference.key().as_str()), written.title.as_deref(), written.description.as_deref()];
        metadata.contains(text)
            || metadata.contains(escaped)
            || places.into_iter().flatten().any(|place| place.to_lowercase().contains(text))
    }
}

impl IntoFuture for List {
    type Output = Result<Page>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let prefix = self.prefix.clone();
        Box::pin(async move { self.run().await.map_err(|error| error.during("list", prefix)) })
    }
}

/// Every key that begins with `prefix`, with its names.
pub(super) fn keys(
    store: Arc<Inner>,
    prefix: &str,
    after: Option<&Key>,
) -> Result<BoxStream<'static, Result<(Key, Names)>>> {
    let folder = layout::prefix_folder(layout::REFERENCES, prefix)?;
    let objects = store.storage.store();
    let past = after.map(layout::past).transpose()?;
    let listed = match &past {
        Some(past) => objects.list_with_offset(Some(&folder), past),
        None => objects.list(Some(&folder)),
    };
    // Some servers take no notice of where a listing is to begin.
    let listed = listed.try_filter(move |meta| ready(past.as_ref().is_none_or(|past| meta.location > *past)));
    let prefix = prefix.to_owned();
    let named = listed.map_err(failure).try_filter_map(move |meta: ObjectMeta| {
        let parsed = layout::parse_version(&meta.location).filter(|(key, _)| key.as_str().starts_with(&prefix));
        async move { Ok(parsed.map(|(key, name)| (key, Name { name, modified: meta.last_modified, size: meta.size }))) }
    });
    if store.storage.lists_in_order() {
        return Ok(grouped(named.boxed()));
    }
    let sorted = stream::once(async move {
        let mut names: Vec<(Key, Name)> = named.try_collect().await?;
        names.sort_by(|a, b| (a.0.encoded(), &a.1.name).cmp(&(b.0.encoded(), &b.1.name)));
        Ok::<_, Error>(stream::iter(names.into_iter().map(Ok)))
    });
    Ok(grouped(sorted.try_flatten().boxed()))
}

/// Consecutive names of one key as one item.
fn grouped(named: BoxStream<'static, Result<(Key, Name)>>) -> BoxStream<'static, Result<(Key, Names)>> {
    // The clients of object stores panic when they are asked again after their end.
    let groups = stream::try_unfold((named.fuse(), None::<(Key, Name)>), |(mut named, mut first)| async move {
        let (key, name) = match first.take() {
            Some(first) => first,
            None => match named.try_next().await? {
                Some(first) => first,
                None => return Ok(None),
            },
        };
        let mut names = vec![name];
        while let Some((next, name)) = named.try_next().await? {
            if next != key {
                first = Some((next, name));
                break;
            }
            names.push(name);
        }
        // A name that is none is reported by `verify`; a listing goes on without it.
        let names =
            names.into_iter().filter(|name| layout::VersionName::parse(&name.name).is_some()).collect::<Vec<_>>();
        Ok(Some(((key, Names::parse(&names)?), (named, first))))
    });
    groups.boxed()
}

pub(super) async fn versions(store: &Arc<Inner>, key: &Key) -> Result<Vec<VersionEntry>> {
    let names = Names::all(store, key).await?;
    if names.versions.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, format!("there is no such key in {}", store.storage))
            .with_hint("`coldframe ls` shows the keys of a store"));
    }
    let entries = stream::iter(names.versions).map(|listed| version_entry(store, key, listed)).buffered(READS);
    Ok(entries.collect().await)
}

async fn version_entry(store: &Arc<Inner>, key: &Key, listed: Listed) -> VersionEntry {
    let version = listed.version;
    let loaded = if listed.written.is_some() { store.load(key, version).await.map(Some) } else { Ok(None) };
    let (reference, damage) = match loaded {
        Ok(reference) => (reference.map(|reference| store.handed_out(reference)), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let expires = reference.as_ref().and_then(|reference| reference.written()).and_then(|written| written.expires);
    let state = match (listed.deleted, damage) {
        (true, _) => match delete::find(store, key, version).await {
            Ok(Some(deletion)) => VersionState::Deleted(deletion),
            Ok(None) => VersionState::Damaged("its marker vanished".into()),
            Err(error) => VersionState::Damaged(error.to_string()),
        },
        (false, Some(damage)) => VersionState::Damaged(damage),
        (false, None) if reference.is_none() => {
            VersionState::Damaged("only an announcement of its deletion is left".into())
        }
        (false, None) if expires.is_some_and(|expires| expires <= store.clock.now()) => VersionState::Expired,
        (false, None) => VersionState::Live,
    };
    VersionEntry { version, state, reference }
}

pub(super) async fn similar_keys(store: &Arc<Inner>, wanted: &str) -> Result<Vec<String>> {
    let found = keys(store.clone(), "", None)?
        .try_filter_map(|(key, names)| async move { Ok(names.newest_shown().is_some().then(|| key.to_string())) });
    let known: Vec<String> = found.take(COMPARED_KEYS).try_collect().await?;
    Ok(nearest(wanted, known.iter().map(String::as_str)).into_iter().map(str::to_owned).collect())
}
