//! What a command is asked about: a key, one of its versions, or a reference from wherever it was kept.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::Value as Json;

use super::context::Context;
use super::failure::file_error;
use crate::error::{Error, ErrorKind, Result};
use crate::literal::ResultRecord;
use crate::reference::Key;
use crate::store::{ResultStore, Target};

/// A record of results that refers to no table is far smaller, and one that refers to 1,000 parts is, too.
const RECORD_BYTES: u64 = 16 << 20;

/// What was asked about.
pub(super) enum Asked {
    /// Something in a store.
    Stored {
        /// The store.
        store: Box<ResultStore>,
        /// What of it.
        target: Target,
        /// Its key.
        key: Key,
    },
    /// A value that the record itself holds.
    Literal(Json),
}

/// Finds out what `text` means: `KEY`, `KEY@N`, the JSON of a record, a file with one, or `-` for standard input.
pub(super) async fn resolve(context: &Context, text: &str, as_of: Option<DateTime<Utc>>) -> Result<Asked> {
    let owned = text.to_owned();
    let record = tokio::task::spawn_blocking(move || record_in(&owned))
        .await
        .map_err(|failure| Error::internal(failure.to_string()))??;
    let Some(record) = record else {
        let target = match (Target::parse(text)?, as_of) {
            (Target::Newest(key), Some(time)) => Target::AsOf(key, time),
            (_, Some(_)) => return Err(as_of_is_for_keys()),
            (target, None) => target,
        };
        return Ok(Asked::Stored { store: Box::new(context.store().await?), key: target.key().clone(), target });
    };
    if as_of.is_some() {
        return Err(as_of_is_for_keys());
    }
    match record {
        ResultRecord::Literal(literal) => Ok(Asked::Literal(literal.0.to_json())),
        ResultRecord::None(_) => Err(Error::new(ErrorKind::NotFound, "the record says that nothing was returned")),
        ResultRecord::Reference(reference) => Ok(Asked::Stored {
            store: Box::new(context.store_of(&reference).await?),
            key: reference.key().clone(),
            target: Target::Reference(reference),
        }),
    }
}

fn as_of_is_for_keys() -> Error {
    Error::invalid("`--as-of` chooses a version of a key, but this already says which version")
}

fn record_in(text: &str) -> Result<Option<ResultRecord>> {
    if text == "-" {
        let read =
            read_limited(std::io::stdin().lock()).map_err(|error| file_error(&error, "cannot read standard input"))?;
        return ResultRecord::from_json(&read).map(Some).map_err(|error| error.within("standard input"));
    }
    if text.trim_start().starts_with('{') {
        return ResultRecord::from_json(text).map(Some);
    }
    let path = Path::new(text);
    let Some(content) = beginning_with_a_bracket(path) else { return Ok(None) };
    match ResultRecord::from_json(&content) {
        Ok(record) => Ok(Some(record)),
        // A file that merely bears the key's name does not stand in its way.
        Err(_) if Key::parse(text).is_ok() => Ok(None),
        Err(error) => Err(error.within(path.display())),
    }
}

/// The text of a file that may hold a record; other files are not read further than it takes to tell.
fn beginning_with_a_bracket(path: &Path) -> Option<String> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let mut file = BufReader::new(fs::File::open(path).ok()?);
    file.fill_buf().ok()?.trim_ascii_start().starts_with(b"{").then(|| read_limited(file).ok())?
}

fn read_limited(reader: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    reader.take(RECORD_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// The same error; where a key was not found, with keys of the store that look like it.
pub(super) async fn suggest(store: &ResultStore, key: &str, error: Error) -> Error {
    if error.kind() != ErrorKind::NotFound || error.hint().is_some_and(|hint| hint.starts_with("did you mean")) {
        return error;
    }
    match store.similar_keys(key).await {
        // The key itself is there where only the version is not.
        Ok(similar) if similar.iter().any(|similar| similar == key) => error,
        Ok(similar) if !similar.is_empty() => {
            let names: Vec<String> = similar.iter().map(|key| format!("`{key}`")).collect();
            suggested(&error, &format!("did you mean {}?", names.join(" or ")))
        }
        _ => error.with_hint("`coldframe ls` shows the keys of this store"),
    }
}

/// The error again under a better hint, since the first hint of an error stays.
fn suggested(error: &Error, hint: &str) -> Error {
    let again = Error::new(error.kind(), error.message());
    let again = match error.operation() {
        Some(operation) => again.during(operation, error.subject().unwrap_or_default()),
        None => again,
    };
    again.with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_from_text_or_files_and_other_files_are_none() {
        let literal = r#"{"type":"literal","format":1,"value":true}"#;
        assert!(matches!(record_in(literal), Ok(Some(ResultRecord::Literal(_)))));
        assert!(record_in("{broken").is_err());
        assert!(matches!(record_in("no/such/file"), Ok(None)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.json");
        std::fs::write(&path, literal).unwrap();
        assert!(matches!(record_in(path.to_str().unwrap()), Ok(Some(ResultRecord::Literal(_)))));
        std::fs::write(&path, "{}").unwrap();
        assert!(record_in(path.to_str().unwrap()).is_err());
        std::fs::write(&path, "a,b\n").unwrap();
        assert!(matches!(record_in(path.to_str().unwrap()), Ok(None)));
    }
}
