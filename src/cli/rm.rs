//! `rm`: deletes one version, or all versions, of a key.

use serde_json::json;

use super::args::Rm;
use super::context::Context;
use super::failure::Outcome;
use super::{output, terminal, units, what};
use crate::error::{Error, ErrorKind, Result};
use crate::reference::{Key, Version};
use crate::store::{ResultStore, Target, VersionState};

/// Deletes what is named, and prints what is gone now.
pub(super) async fn run(context: &Context, arguments: Rm) -> Outcome {
    let (key, version) = match Target::parse(&arguments.what)? {
        Target::Version(key, version) => (key, Some(version)),
        target => (target.key().clone(), None),
    };
    if version.is_some() && arguments.all {
        return Err(Error::invalid(format!("`{}` names one version, `--all` means all of them", arguments.what))
            .with_hint(format!("say `coldframe rm {key} --all`"))
            .into());
    }
    let store = context.store().await?;
    if version.is_none()
        && !arguments.all
        && let Err(error) = only_one(&store, &key).await
    {
        return Err(what::suggest(&store, key.as_str(), error).await.into());
    }
    let mut delete = store.delete(&key);
    if let Some(version) = version {
        delete = delete.version(version);
    }
    if arguments.force {
        delete = delete.force();
    }
    if let Some(reason) = arguments.reason {
        delete = delete.reason(reason);
    }
    let gone = match delete.await {
        Ok(gone) => gone,
        Err(error) => return Err(what::suggest(&store, key.as_str(), error).await.into()),
    };
    print(context, &key, &gone)
}

/// Refuses to delete several versions where only the key was named.
async fn only_one(store: &ResultStore, key: &Key) -> Result<()> {
    let entries = store.versions(key).await?;
    let there = entries.iter().filter(|entry| !matches!(entry.state, VersionState::Deleted(_))).count() as u64;
    match (entries.len(), there) {
        (0, _) => Err(Error::new(ErrorKind::NotFound, "there is no such key").during("rm", key)),
        (_, 0 | 1) => Ok(()),
        _ => Err(Error::invalid(format!("it has {}", units::counted(there, "version")))
            .during("rm", key)
            .with_hint(format!("`--all` deletes all of them, `{key}@N` one; `coldframe versions {key}` shows them"))),
    }
}

fn print(context: &Context, key: &Key, gone: &[Version]) -> Outcome {
    if context.json() {
        return output::print_json(&json!({"key": key, "deleted": gone}));
    }
    if gone.is_empty() {
        context.note("nothing was left to delete");
    }
    let lines: String = gone.iter().map(|version| format!("{}@{version}\n", terminal::escape(key.as_str()))).collect();
    output::print(&lines)
}
