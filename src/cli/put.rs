//! `put`: a file becomes a new version of a key.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::args::{self, Expiry};
use super::context::Context;
use super::failure::Outcome;
use super::input::{self, Wanted};
use super::{output, progress, terminal, units};
use crate::error::{Error, Result};
use crate::reference::{Key, ResultReference};
use crate::store::{Progress, Put};

/// Opens the file, puts it, and prints the reference.
pub(super) async fn run(context: &Context, arguments: args::Put) -> Outcome {
    // Before anything is read, for what is typed wrong is best said at once.
    let key = Key::parse(&arguments.key)?;
    let store = context.builder().durable(!arguments.no_durable).open().await?;
    let wanted = Wanted {
        format: arguments.format,
        stored: arguments.serializer.as_deref().map(input::stored_by).transpose()?.flatten(),
        schema: arguments.schema.clone(),
    };
    let file = arguments.file.clone();
    let opened = tokio::task::spawn_blocking(move || input::open(&file, &wanted))
        .await
        .map_err(|failure| Error::internal(failure.to_string()))??;
    let watched = Arc::new(Progress::default());
    let bar = progress::watch(context, &watched, opened.total);
    let put = with_options(store.put(&key, opened.content), arguments)?.progress(watched);
    let reference = put.await?;
    drop(bar);
    print(context, &reference)
}

fn with_options(mut put: Put, arguments: args::Put) -> Result<Put> {
    if let Some(serializer) = &arguments.serializer {
        put = put.serializer(serializer.as_str());
    }
    if arguments.strict {
        put = put.strict();
    }
    if arguments.no_fingerprint {
        put = put.fingerprint(false);
    }
    if arguments.if_absent {
        put = put.if_absent();
    }
    if let Some(version) = arguments.after {
        put = put.after(version);
    }
    put = match arguments.expires {
        Some(Expiry::In(duration)) => put.expires_in(duration),
        Some(Expiry::At(time)) => put.expires_at(time),
        None => put,
    };
    if let Some(title) = arguments.title {
        put = put.title(title);
    }
    if let Some(description) = arguments.description {
        put = put.description(description);
    }
    if !arguments.metadata.is_empty() {
        put = put.metadata(metadata(arguments.metadata)?);
    }
    Ok(put)
}

fn metadata(pairs: Vec<(String, String)>) -> Result<Map<String, Json>> {
    let mut metadata = Map::new();
    for (key, value) in pairs {
        if metadata.contains_key(&key) {
            return Err(Error::invalid(format!("metadata `{key}` is given twice")));
        }
        metadata.insert(key, value.into());
    }
    Ok(metadata)
}

fn print(context: &Context, reference: &ResultReference) -> Outcome {
    if context.json() {
        return output::print_json(reference);
    }
    output::print(&format!("{}\n", terminal::escape(&reference.to_string())))?;
    if let Some(written) = reference.written() {
        let mut parts = Vec::new();
        parts.extend(written.rows.map(|rows| units::counted(rows, "row")));
        parts.push(units::bytes(written.size));
        parts.push(written.serializer.name().to_owned());
        parts.extend(reference.storage().map(|storage| format!("in {storage}")));
        context.note(&parts.join(", "));
    }
    Ok(())
}
