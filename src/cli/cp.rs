//! `cp`: versions of keys become versions in another store.

use std::sync::Arc;

use super::args::Cp;
use super::context::Context;
use super::failure::Outcome;
use super::what::{self, Asked};
use super::{output, progress, terminal, units};
use crate::error::{Error, ErrorKind, Result};
use crate::reference::{Key, ResultReference};
use crate::store::{Copied, Progress, ResultStore, Target};

/// Copies one after the other, and tells each that is done; the first that fails ends it.
pub(super) async fn run(context: &Context, arguments: Cp) -> Outcome {
    let key = arguments.key.as_deref().map(Key::parse).transpose()?;
    if key.is_some() && arguments.what.len() > 1 {
        return Err(Error::invalid("`--as` names one key, and there are several to copy")
            .with_hint("copy them one by one")
            .into());
    }
    let builder = ResultStore::builder().location(&arguments.to);
    let to = arguments.to_options.iter().fold(builder, |builder, (name, value)| builder.option(name, value));
    let to = to.open().await?;
    let mut references = Vec::with_capacity(arguments.what.len());
    let done = copy_all(context, &arguments.what, &to, key, &mut references).await;
    // What was copied before the one that failed stays copied: whoever reads the output must know of it.
    if context.json() && (done.is_ok() || !references.is_empty()) {
        output::print_json(&references)?;
    }
    done
}

async fn copy_all(
    context: &Context,
    named: &[String],
    to: &ResultStore,
    key: Option<Key>,
    references: &mut Vec<ResultReference>,
) -> Outcome {
    for text in named {
        let copied = copy(context, text, to, key.clone()).await?;
        if !context.json() {
            output::print(&line(&copied))?;
        }
        references.push(copied.reference);
    }
    Ok(())
}

async fn copy(context: &Context, text: &str, to: &ResultStore, key: Option<Key>) -> Result<Copied> {
    let (store, target) = match what::resolve(context, text, None).await? {
        Asked::Stored { store, target, .. } => (store, target),
        Asked::Literal(value) => {
            return Err(Error::invalid(format!("this record holds its value itself, `{value}`, and no store does"))
                .with_hint("keep a copy of the record: whoever has it has the value"));
        }
    };
    let watched = Arc::new(Progress::default());
    let bar = progress::watch(context, &watched, progress::Total::Unknown);
    let copying = store.copy(target.clone(), to).progress(watched);
    let copying = match key {
        Some(key) => copying.key(key),
        None => copying,
    };
    let copied = copying.await;
    drop(bar);
    match copied {
        Err(error) if is_missing(&store, &target, &error).await => {
            Err(what::suggest(&store, target.key().as_str(), error).await)
        }
        copied => copied,
    }
}

/// Whether it is the original that was not found; where it is the other store, no other key helps.
async fn is_missing(store: &ResultStore, target: &Target, error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound && matches!(store.exists(target.clone()).await, Ok(false))
}

fn line(copied: &Copied) -> String {
    let [original, reference] = [&copied.original, &copied.reference].map(|one| terminal::escape(&one.to_string()));
    let size = copied.reference.written().map(|written| written.size).unwrap_or_default();
    let how = if copied.already_there { "already there".to_owned() } else { units::bytes(size) };
    format!("{original} -> {reference} ({how})\n")
}
