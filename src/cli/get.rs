//! `get`: a table or value comes back.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use super::args::{Get, OutputFormat};
use super::context::Context;
use super::export::{self, Destination, Rows};
use super::failure::Outcome;
use super::progress::{self, Total};
use super::what::{self, Asked};
use crate::error::{Error, Result};
use crate::store::{Opened, Progress, Scan};
use crate::value::Value;

/// Opens what is asked for, and writes it to where and how it is wanted.
pub(super) async fn run(context: &Context, arguments: Get) -> Outcome {
    let format = arguments.output.as_deref().map_or(Ok(arguments.format), |path| format_of(path, arguments.format))?;
    let (store, target, key) = match what::resolve(context, &arguments.what, arguments.as_of).await? {
        Asked::Stored { store, target, key } => (store, target, key),
        Asked::Literal(value) => return value_out(&arguments, format, &value).await,
    };
    let opened = match store.open_result(target).await {
        Ok(opened) => opened,
        Err(error) => return Err(what::suggest(&store, key.as_str(), error).await.into()),
    };
    let outcome = match opened.kind() {
        "table" => Box::pin(table(context, &arguments, format, &opened)).await,
        "bytes" => Box::pin(bytes(&arguments, format, &opened)).await,
        _ => match opened.value().await? {
            Value::Json(value) => value_out(&arguments, format, &value).await,
            _ => Err(Error::internal(format!("a result of kind {} has no JSON value", opened.kind())).into()),
        },
    };
    // What was read is still being written to the cache; a process that ends now would fetch it again next time.
    store.settled().await;
    outcome
}

/// The format that a file's extension says, unless it was said by name.
fn format_of(path: &Path, format: Option<OutputFormat>) -> Result<Option<OutputFormat>> {
    if format.is_some() {
        return Ok(format);
    }
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
    Ok(Some(match extension.as_str() {
        "parquet" | "pq" => OutputFormat::Parquet,
        "arrow" | "arrows" | "feather" | "ipc" => OutputFormat::Arrow,
        "csv" => OutputFormat::Csv,
        "ndjson" | "jsonl" => OutputFormat::Ndjson,
        "json" => OutputFormat::Json,
        // A table refuses it; bytes and JSON values go to any file.
        _ => OutputFormat::Raw,
    }))
}

async fn table(context: &Context, arguments: &Get, format: Option<OutputFormat>, opened: &Opened) -> Outcome {
    let terminal = arguments.output.is_none() && std::io::stdout().is_terminal();
    let format = format.unwrap_or(match (context.json(), terminal) {
        (true, _) => OutputFormat::Json,
        (false, true) => OutputFormat::Table,
        (false, false) => OutputFormat::Arrow,
    });
    if format == OutputFormat::Raw {
        return Err(raw_table(arguments).into());
    }
    let destination = Destination::new(arguments.output.as_deref());
    let progress = Arc::new(Progress::default());
    // What is looked into here must be what was written; Arrow is handed on as it lies.
    let check = arguments.check || format != OutputFormat::Arrow;
    let scan = asked(opened.scan(), arguments).check(check).progress(progress.clone());
    if format == OutputFormat::Table {
        let all = [arguments.limit, arguments.head, arguments.tail].iter().any(Option::is_some);
        let scan = if all { scan } else { scan.limit(export::PREVIEW_ROWS) };
        let rows = match (all, &arguments.condition) {
            (true, _) => Rows::All,
            (false, Some(_)) => Rows::AtLeast,
            (false, None) => opened.rows().map_or(Rows::All, Rows::Of),
        };
        let shown = export::preview(scan.batches().await?, rows).await?;
        return destination.text(shown).await;
    }
    let whole = arguments.columns.is_none()
        && arguments.condition.is_none()
        && [arguments.offset, arguments.limit, arguments.head, arguments.tail].iter().all(Option::is_none);
    let total = match (whole, opened.rows()) {
        (true, Some(rows)) => Total::Rows(rows),
        _ => Total::Unknown,
    };
    let bar = progress::watch(context, &progress, total);
    let batches = scan.batches().await?;
    export::table(batches, format, destination).await?;
    drop(bar);
    Ok(())
}

fn asked(mut scan: Scan, arguments: &Get) -> Scan {
    if let Some(columns) = &arguments.columns {
        scan = scan.columns(columns.clone());
    }
    if let Some(condition) = &arguments.condition {
        scan = scan.filter(condition);
    }
    if let Some(offset) = arguments.offset {
        scan = scan.offset(offset);
    }
    if let Some(limit) = arguments.limit {
        scan = scan.limit(limit);
    }
    if let Some(head) = arguments.head {
        scan = scan.head(head);
    }
    if let Some(tail) = arguments.tail {
        scan = scan.tail(tail);
    }
    scan
}

fn raw_table(arguments: &Get) -> Error {
    let hint = "`--format` takes table, arrow, parquet, csv, ndjson or json";
    match &arguments.output {
        Some(path) if arguments.format.is_none() => {
            Error::invalid(format!("{}: this extension names no format of tables", path.display())).with_hint(hint)
        }
        _ => Error::invalid("a table has no raw form").with_hint(hint),
    }
}

/// Refuses options that only tables know.
fn no_table(arguments: &Get, kind: &str) -> Result<()> {
    let rows = [arguments.offset, arguments.limit, arguments.head, arguments.tail].iter().any(Option::is_some);
    if rows || arguments.columns.is_some() || arguments.condition.is_some() {
        return Err(Error::invalid(format!("this result is {kind}: it has no columns and rows to choose from")));
    }
    Ok(())
}

async fn value_out(arguments: &Get, format: Option<OutputFormat>, value: &Json) -> Outcome {
    no_table(arguments, "a JSON value")?;
    match format {
        None | Some(OutputFormat::Json | OutputFormat::Raw | OutputFormat::Ndjson) => {}
        Some(_) => {
            return Err(Error::invalid("this result is a JSON value, not a table")
                .with_hint("use `--format json`")
                .into());
        }
    }
    let pretty = arguments.output.is_none() && std::io::stdout().is_terminal();
    let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    let text = text.map_err(|error| Error::internal(error.to_string()))?;
    let text = super::output::harmless_json(&text) + "\n";
    Destination::new(arguments.output.as_deref()).text(text).await
}

async fn bytes(arguments: &Get, format: Option<OutputFormat>, opened: &Opened) -> Outcome {
    no_table(arguments, "bytes")?;
    // Any extension is fine for bytes, but a format that was asked for by name is not.
    if arguments.format.is_some_and(|format| format != OutputFormat::Raw) || format == Some(OutputFormat::Table) {
        return Err(Error::invalid("this result is bytes, not a table").with_hint("use `--format raw`").into());
    }
    if arguments.output.is_none() && std::io::stdout().is_terminal() {
        return Err(Error::invalid("this result is bytes, which a terminal cannot show")
            .with_hint("write it to a file with `-o FILE`, or into a pipe")
            .into());
    }
    export::bytes(opened.bytes().await?, Destination::new(arguments.output.as_deref())).await
}
