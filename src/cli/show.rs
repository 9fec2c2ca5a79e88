//! `show`: what a result is, where it lies, and how to read its files without coldframe.

use arrow::datatypes::SchemaRef;
use serde_json::{Value as Json, json};

use super::args::Show;
use super::context::Context;
use super::failure::Outcome;
use super::grid::{self, Column};
use super::what::{self, Asked};
use super::{output, terminal, units, versions};
use crate::clock::Clock;
use crate::error::Result;
use crate::reference::{ResultReference, Written};
use crate::serializer::ColumnStatistics;
use crate::snippet::{Place, snippets};
use crate::store::{Opened, ResultStore, VersionEntry};

/// Prints all that is known of a result.
pub(super) async fn run(context: &Context, arguments: &Show) -> Outcome {
    let (store, target, key) = match what::resolve(context, &arguments.what, None).await? {
        Asked::Stored { store, target, key } => (store, target, key),
        Asked::Literal(value) => return output::print_json(&json!({"type": "literal", "value": value})),
    };
    let opened = match store.open_result(target).await {
        Ok(opened) => opened,
        Err(error) => return Err(what::suggest(&store, key.as_str(), error).await.into()),
    };
    let facts = gather(&store, &opened).await?;
    if context.json() { output::print_json(&as_json(&facts)) } else { output::print(&as_text(context, &facts)) }
}

/// What is shown.
struct Facts<'a> {
    reference: &'a ResultReference,
    kind: &'static str,
    schema: Option<SchemaRef>,
    rows: Option<u64>,
    statistics: Option<Vec<ColumnStatistics>>,
    versions: Vec<VersionEntry>,
    places: Vec<Place>,
}

async fn gather<'a>(store: &ResultStore, opened: &'a Opened) -> Result<Facts<'a>> {
    let reference = opened.reference();
    let root = store.url().or(reference.storage()).unwrap_or_default().to_owned();
    let parts = reference.written().map_or(&[][..], |written| &written.parts);
    Ok(Facts {
        reference,
        kind: opened.kind(),
        schema: opened.schema(),
        rows: opened.rows(),
        statistics: opened.column_statistics().await?,
        versions: store.versions(reference.key()).await?,
        places: parts.iter().map(|part| Place::new(&root, &part.path)).collect(),
    })
}

fn as_json(facts: &Facts<'_>) -> Json {
    let columns = facts.schema.as_ref().map(|schema| {
        let columns = schema.fields().iter().enumerate().map(|(position, field)| {
            let known = facts.statistics.as_ref().and_then(|statistics| statistics.get(position));
            json!({
                "name": field.name(),
                "type": field.data_type().to_string(),
                "nullable": field.is_nullable(),
                "bytes": known.map(|known| known.bytes),
                "nulls": known.and_then(|known| known.nulls),
                "min": known.and_then(ColumnStatistics::display_min),
                "max": known.and_then(ColumnStatistics::display_max),
                "exact": known.map(|known| known.exact),
                "encoding": known.and_then(|known| known.encoding.as_deref()),
                "why": known.and_then(|known| known.why.as_deref()),
            })
        });
        columns.collect::<Vec<_>>()
    });
    json!({
        "kind": facts.kind,
        "reference": facts.reference,
        "rows": facts.rows,
        "columns": columns,
        "files": facts.places.iter().map(Place::shown).collect::<Vec<_>>(),
        "versions": facts.versions.iter().map(versions::as_json).collect::<Vec<_>>(),
        "snippets": snippets(facts.reference).into_iter()
            .map(|snippet| (snippet.language.to_lowercase(), snippet.code.into()))
            .collect::<serde_json::Map<_, Json>>(),
    })
}

fn as_text(context: &Context, facts: &Facts<'_>) -> String {
    let mut text = grid::render(&properties(context, facts), None);
    if let Some(schema) = &facts.schema {
        text.push('\n');
        text.push_str(&grid::render(&schema_columns(schema, facts.statistics.as_deref()), terminal::width()));
    }
    let snippets = snippets(facts.reference);
    if !snippets.is_empty() {
        text.push_str("\nRead without coldframe:\n");
        for snippet in snippets {
            text.push_str(&format!("  {}: {}\n", snippet.language, terminal::escape(&snippet.code)));
        }
    }
    text
}

fn properties(context: &Context, facts: &Facts<'_>) -> [Column; 2] {
    let (mut name, mut value) = (Column::text("KEY"), Column::text(&terminal::escape(facts.reference.key().as_str())));
    let mut add = |property: &str, text: String| {
        name.cells.push(property.to_owned());
        value.cells.push(terminal::escape(&text));
    };
    let newest = facts.versions.first().map_or(0, |entry| entry.version.get());
    add("version", format!("{} of {newest}", facts.reference.version()));
    add("kind", facts.kind.to_owned());
    if let Some(rows) = facts.rows {
        add("rows", units::count(rows));
    }
    if let Some(written) = facts.reference.written() {
        describe(written, context, &mut add);
    }
    for place in &facts.places {
        add("file", place.shown());
    }
    [name, value]
}

fn describe(written: &Written, context: &Context, add: &mut impl FnMut(&str, String)) {
    let now = context.clock.now();
    add("size", format!("{} ({} bytes)", units::bytes(written.size), units::count(written.size)));
    add("serializer", written.serializer.to_string());
    add("created", format!("{} ({} ago)", units::time(written.created), units::age(now, written.created)));
    if let Some(origin) = &written.copied_from {
        add("copy of", format!("{}@{}, created {}", origin.key, origin.version, units::time(origin.created)));
    }
    if let Some(expires) = written.expires {
        let when = if expires > now { format!("in {}", units::age(expires, now)) } else { "past".into() };
        add("expires", format!("{} ({when})", units::time(expires)));
    }
    if let Some(title) = &written.title {
        add("title", title.clone());
    }
    if let Some(description) = &written.description {
        add("description", description.clone());
    }
    for (key, value) in &written.metadata {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        add("metadata", format!("{key} = {value}"));
    }
    if let Some(fingerprint) = &written.fingerprint {
        add("fingerprint", fingerprint.clone());
    }
    for loss in &written.lossy {
        add("lossy", loss.to_string());
    }
}

fn schema_columns(schema: &SchemaRef, statistics: Option<&[ColumnStatistics]>) -> Vec<Column> {
    let mut name = Column::text("COLUMN");
    let mut kind = Column::text("TYPE");
    let mut null = Column::text("NULL");
    for field in schema.fields() {
        name.cells.push(terminal::escape(field.name()));
        kind.cells.push(terminal::escape(&field.data_type().to_string()));
        null.cells.push(if field.is_nullable() { "yes" } else { "no" }.into());
    }
    let mut columns = vec![name, kind, null];
    if let Some(statistics) = statistics {
        columns.extend(statistics_columns(statistics));
    }
    columns
}

fn statistics_columns(statistics: &[ColumnStatistics]) -> Vec<Column> {
    let mut nulls = Column::number("NULLS");
    let mut least = Column::text("MIN");
    let mut greatest = Column::text("MAX");
    let mut size = Column::number("SIZE");
    let (mut encoding, mut why) = (Column::text("ENCODING"), Column::text("WHY"));
    let absent = || "-".to_owned();
    for known in statistics {
        let bound = |sign: &str, text: Option<String>| match text {
            Some(text) if known.exact => terminal::escape(&text),
            Some(text) => format!("{sign} {}", terminal::escape(&text)),
            None => absent(),
        };
        nulls.cells.push(known.nulls.map_or_else(absent, units::count));
        least.cells.push(bound("≥", known.display_min()));
        greatest.cells.push(bound("≤", known.display_max()));
        size.cells.push(units::bytes(known.bytes));
        encoding.cells.push(known.encoding.clone().unwrap_or_else(absent));
        why.cells.push(known.why.as_deref().map_or_else(absent, terminal::escape));
    }
    let chosen = [encoding, why].into_iter().filter(|column| column.cells.iter().any(|cell| cell != "-"));
    [nulls, least, greatest, size].into_iter().chain(chosen).collect()
}
