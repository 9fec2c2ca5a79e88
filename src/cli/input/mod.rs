//! Opens what `put` is given: tells by content what it is, and makes a stream of it that takes bounded memory.

mod arrow;
mod csv;
mod detect;
mod guarded_reader;
mod json;
mod overrides;
mod parquet;
mod source;

use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use futures::stream;
use serde_json::Value as Json;

use self::detect::Kind;
use self::overrides::Overrides;
use self::source::Source;
use super::args::InputFormat;
use super::failure::file_error;
use super::progress::Total;
use crate::error::{Error, ErrorKind, Result, recover};
use crate::reference::Descriptor;
use crate::serializer::Registry;
use crate::value::Content;

/// A batch has at most so many rows …
const BATCH_ROWS: usize = 64 * 1024;
/// … and about so many bytes.
const BATCH_BYTES: usize = 8 << 20;
/// Types of columns are told from so many rows.
const TYPED_ROWS: usize = 10_000;
/// A JSON value is held in memory, several times its text.
const JSON_BYTES: u64 = 64 << 20;
const PIECE_BYTES: usize = 512 * 1024;

/// What is known of the input before it is opened.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// What the user says it is.
    pub(super) format: Option<InputFormat>,
    /// What the serializer stores, if it stores only that.
    pub(super) stored: Option<Stored>,
    /// The user's types of columns.
    pub(super) schema: Option<String>,
}

/// What a serializer stores, where it stores only that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// JSON values.
    Json,
    /// Bytes.
    Bytes,
}

/// What the serializer of this short form or JSON stores, where that decides how the input is taken.
pub(super) fn stored_by(serializer: &str) -> Result<Option<Stored>> {
    let descriptor = Registry::default().parse(serializer)?.descriptor();
    let inner = descriptor.get("inner").and_then(|inner| serde_json::from_value::<Descriptor>(inner.clone()).ok());
    Ok(match inner.as_ref().unwrap_or(&descriptor).name() {
        "json" => Some(Stored::Json),
        "bytes" => Some(Stored::Bytes),
        _ => None,
    })
}

/// An input, opened.
pub(super) struct Opened {
    /// What is to be put.
    pub(super) content: Content,
    /// How much it is, for the progress bar.
    pub(super) total: Total,
}

/// Opens a file, or standard input where it is called `-`; reads its beginning, and so may wait.
pub(super) fn open(path: &Path, wanted: &Wanted) -> Result<Opened> {
    let mut source = Source::open(path)?;
    let name = source.name().to_owned();
    let overrides = wanted.schema.as_deref().map(Overrides::parse).transpose()?;
    let kind = kind_of(&mut source, wanted).map_err(|error| error.within(&name))?;
    if overrides.is_some() && !matches!(kind, Kind::Csv { .. } | Kind::Rows) {
        return Err(Error::invalid(format!("{name}: `--schema` is for CSV and JSON rows, whose types are guessed")));
    }
    let overrides = overrides.unwrap_or_default();
    opened(source, kind, &overrides).map_err(|error| error.within(&name))
}

fn opened(mut source: Source, kind: Kind, overrides: &Overrides) -> Result<Opened> {
    if matches!(kind, Kind::Csv { .. } | Kind::Rows | Kind::Document) {
        source.skip_mark();
    }
    let total = source.total();
    let content = match kind {
        Kind::Parquet => {
            let (batches, rows) = parquet::open(source.into_file()?)?;
            return Ok(Opened { content: Content::Table(batches), total: Total::Rows(rows) });
        }
        Kind::ArrowFile => Content::Table(arrow::file(source.into_file()?)?),
        Kind::ArrowStream => Content::Table(arrow::stream(source.into_reader())?),
        Kind::Csv { delimiter } => Content::Table(csv::open(source.into_reader(), delimiter, overrides)?),
        Kind::Rows => Content::Table(json::rows(source.into_reader(), overrides)?),
        Kind::Document => Content::Json(document(source.into_reader())?),
        Kind::Bytes => return Ok(Opened { content: raw(source.into_reader()), total }),
    };
    Ok(Opened { content, total })
}

fn kind_of(source: &mut Source, wanted: &Wanted) -> Result<Kind> {
    if wanted.stored == Some(Stored::Bytes) && wanted.format.is_none() {
        return Ok(Kind::Bytes);
    }
    let whole = source.sample()?;
    let sample = source.seen();
    match wanted.format {
        None => {}
        Some(InputFormat::Parquet) => return Ok(Kind::Parquet),
        Some(InputFormat::Arrow) if detect::is_arrow_file(sample) => return Ok(Kind::ArrowFile),
        Some(InputFormat::Arrow) => return Ok(Kind::ArrowStream),
        Some(InputFormat::Csv) => return Ok(Kind::Csv { delimiter: detect::delimiter(sample).unwrap_or(b',') }),
        Some(InputFormat::Tsv) => return Ok(Kind::Csv { delimiter: b'\t' }),
        Some(InputFormat::Ndjson) => return Ok(Kind::Rows),
        Some(InputFormat::Json) => return Ok(Kind::Document),
        Some(InputFormat::Bytes) => return Ok(Kind::Bytes),
    }
    if wanted.stored == Some(Stored::Json) && detect::looks_like_json(sample) {
        return Ok(Kind::Document);
    }
    detect::detect(sample, whole)
}

/// A JSON document as a value; it is refused where reading would change it.
fn document(reader: impl Read) -> Result<Json> {
    let mut text = Vec::new();
    reader.take(JSON_BYTES + 1).read_to_end(&mut text).map_err(|error| reading(&error))?;
    if text.len() as u64 > JSON_BYTES {
        return Err(Error::new(ErrorKind::Unsupported, "a JSON value of more than 64 MiB is not taken")
            .with_hint("store it as a table (`--format ndjson`) or as it is (`--serializer bytes`)"));
    }
    json::exact_value(&text)
}

fn raw(reader: Box<dyn Read + Send>) -> Content {
    Content::from_bytes_stream(stream::try_unfold(reader, |mut reader| async {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            (&mut reader).take(PIECE_BYTES as u64).read_to_end(&mut piece).map(|_| (piece, reader))
        });
        match read.await {
            Ok(Ok((piece, _))) if piece.is_empty() => Ok(None),
            Ok(Ok((piece, reader))) => Ok(Some((Bytes::from(piece), reader))),
            Ok(Err(error)) => Err(reading(&error)),
            Err(failure) => Err(Error::internal(failure.to_string())),
        }
    }))
}

/// The input could not be read.
fn reading(error: &std::io::Error) -> Error {
    file_error(error, "it cannot be read")
}

/// A library's error about the input: `what` it cannot be read as.
fn malformed(what: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    recover(error.into()).unwrap_or_else(|error| {
        Error::new(ErrorKind::Input, format!("it cannot be read as {what}: {error}")).with_source(error)
    })
}

#[cfg(test)]
mod tests;
