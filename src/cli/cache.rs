//! `cache`: what is kept on the local disk of data that lies on remote storages.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::CacheCommand;
use super::context::Context;
use super::failure::Outcome;
use super::{output, terminal, units};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::disk_cache::{self, Usage};
use crate::storage::{CacheSettings, Configuration};

/// Shows or clears the cache that is configured; it needs no store.
pub(super) async fn run(context: &Context, command: CacheCommand) -> Outcome {
    let configuration = Configuration::ambient()?;
    match command {
        CacheCommand::Info => info(context, &configuration).await,
        CacheCommand::Clear => clear(context, &configuration).await,
    }
}

async fn info(context: &Context, configuration: &Configuration) -> Outcome {
    let limit = match configuration.cache()? {
        CacheSettings::On { limit, .. } => Some(limit),
        CacheSettings::Off => None,
    };
    // A cache that is off may still hold what it held before.
    let folder = configuration.cache_folder();
    let usage = match folder.clone() {
        Some(folder) => blocking(move || Ok(disk_cache::usage(&folder))).await?,
        None => Usage::default(),
    };
    if context.json() {
        return output::print_json(&json!({
            "enabled": limit.is_some(),
            "folder": folder,
            "limit": limit,
            "bytes": usage.bytes,
            "entries": usage.entries,
            "objects": usage.objects,
        }));
    }
    let folder = folder.as_deref().map_or_else(|| "none".to_owned(), shown);
    let limit = limit.map_or_else(|| "the cache is off".to_owned(), units::bytes);
    output::print(&format!(
        "folder   {folder}\nlimit    {limit}\nused     {}\nentries  {}\nobjects  {}\n",
        units::bytes(usage.bytes),
        units::count(usage.entries),
        units::count(usage.objects),
    ))
}

async fn clear(context: &Context, configuration: &Configuration) -> Outcome {
    let folder: PathBuf = configuration.cache_folder().ok_or_else(|| {
        Error::new(ErrorKind::Configuration, "no folder is configured for the cache")
            .with_hint("set `cache_folder` in coldframe.toml, or COLDFRAME_CACHE_FOLDER")
    })?;
    let cleared = folder.clone();
    let removed = blocking(move || disk_cache::clear(&cleared)).await?;
    if context.json() {
        return output::print_json(&json!({
            "folder": folder,
            "bytes": removed.bytes,
            "entries": removed.entries,
            "objects": removed.objects,
        }));
    }
    context.note(&format!(
        "removed {} of {}, {}, from {}",
        counted_entries(removed.entries),
        units::counted(removed.objects, "object"),
        units::bytes(removed.bytes),
        shown(&folder)
    ));
    Ok(())
}

fn counted_entries(entries: u64) -> String {
    if entries == 1 { "1 entry".to_owned() } else { format!("{} entries", units::count(entries)) }
}

fn shown(folder: &Path) -> String {
    terminal::escape(&folder.display().to_string())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|failure| Error::internal(failure.to_string()))?
}
