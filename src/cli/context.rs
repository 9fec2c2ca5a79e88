//! What every command is given: the global options, and the store they mean.

use super::args::Global;
use super::output;
use crate::clock::SystemClock;
use crate::error::{Error, ErrorKind, Result};
use crate::reference::ResultReference;
use crate::storage::{self, Configuration};
use crate::store::{ResultStore, StoreBuilder};

/// The global options, and what they open.
#[derive(Debug, Clone)]
pub(super) struct Context {
    global: Global,
    /// Tells what time it is.
    pub(super) clock: SystemClock,
}

impl Context {
    /// The context of a command that was given these options.
    pub(super) fn new(global: Global) -> Self {
        Self { global, clock: SystemClock }
    }

    /// Whether a program reads the output.
    pub(super) fn json(&self) -> bool {
        self.global.json
    }

    /// Whether only data and errors are wanted.
    pub(super) fn quiet(&self) -> bool {
        self.global.quiet
    }

    /// Tells people something that is not the data.
    pub(super) fn note(&self, text: &str) {
        if !self.global.quiet && !self.global.json {
            output::note(text);
        }
    }

    /// How the store is to be opened.
    pub(super) fn builder(&self) -> StoreBuilder {
        let builder = ResultStore::builder();
        let builder = match &self.global.store {
            Some(location) => builder.location(location),
            None => builder,
        };
        self.with_options(builder)
    }

    fn with_options(&self, builder: StoreBuilder) -> StoreBuilder {
        self.global.options.iter().fold(builder, |builder, (key, value)| builder.option(key, value))
    }

    /// The store that `--store` or the configuration says.
    pub(super) async fn store(&self) -> Result<ResultStore> {
        self.builder().open().await
    }

    /// The store that a reference lies in.
    ///
    /// A reference may come from anywhere, so the credentials at hand are used only for a store that the user has
    /// named: by `--store`, by the configuration, or by a profile.
    pub(super) async fn store_of(&self, reference: &ResultReference) -> Result<ResultStore> {
        let Some(storage) = reference.storage().filter(|_| self.global.store.is_none()) else {
            return self.store().await;
        };
        if storage.starts_with("file:") {
            return self.with_options(ResultStore::builder().location(storage)).open().await;
        }
        let default = self.store().await;
        if let Ok(store) = &default
            && store.url() == Some(storage)
        {
            return default;
        }
        let configured = Configuration::ambient()?;
        if let Some(profile) = reference.profile().filter(|profile| configured.has_profile(profile)) {
            let store = self.with_options(ResultStore::builder().location(profile)).open().await?;
            if store.url() == Some(storage) {
                return Ok(store);
            }
        }
        Err(Error::new(
            ErrorKind::Configuration,
            format!("the reference lies in {storage}, which is not configured here"),
        )
        .during("open", reference)
        .with_hint(format!("if you trust it, say `--store {storage}`")))
    }
}

impl Context {
    /// What was typed as global options: name, value and origin, secrets masked.
    pub(super) fn typed(&self) -> Vec<(String, String, String)> {
        let store = self.global.store.iter();
        let store = store.map(|store| ("store".into(), storage::without_secrets(store), "option --store".into()));
        let options = self.global.options.iter();
        let options =
            options.map(|(key, value)| (key.clone(), storage::configuration::masked(key, value), "option -O".into()));
        let asked = self.global.store.iter().flat_map(|store| storage::address::options_of(store));
        let asked = asked
            .map(|(key, value)| (key.clone(), storage::configuration::masked(&key, &value), "option --store".into()));
        store.chain(options).chain(asked).collect()
    }
}
