//! `ls`: the keys of a store with their newest versions.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};

use super::args::Ls;
use super::context::Context;
use super::failure::Outcome;
use super::grid::{self, Column};
use super::{output, terminal, units};
use crate::clock::Clock;
use crate::error::Result;
use crate::reference::ResultReference;
use crate::store::ResultStore;

/// Lists keys, the one written last first.
pub(super) async fn run(context: &Context, arguments: Ls) -> Outcome {
    let store = context.store().await?;
    let entries = newest_first(&store, &arguments).await?;
    if context.json() {
        return output::print_json(&entries);
    }
    if entries.is_empty() {
        context.note(if arguments.prefix.is_empty() && arguments.search.is_none() {
            "there is nothing in this store yet; `coldframe put KEY FILE` puts something there"
        } else {
            "no key matches; `coldframe ls` shows all"
        });
        return Ok(());
    }
    output::print(&grid::render(&columns(&entries, context.clock.now()), terminal::width()))
}

async fn newest_first(store: &ResultStore, arguments: &Ls) -> Result<Vec<ResultReference>> {
    let mut entries: Vec<ResultReference> = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let mut list = store.list(&arguments.prefix);
        if let Some(text) = &arguments.search {
            list = list.search(text);
        }
        if let Some(token) = next {
            list = list.after(token);
        }
        let page = list.await?;
        entries.extend(page.entries);
        // After each page, so that no more than a page beyond the limit is ever held.
        entries.sort_by(|a, b| Reverse(created(a)).cmp(&Reverse(created(b))).then_with(|| a.key().cmp(b.key())));
        entries.truncate(arguments.limit.unwrap_or(usize::MAX));
        next = page.next;
        if next.is_none() {
            return Ok(entries);
        }
    }
}

fn created(reference: &ResultReference) -> Option<DateTime<Utc>> {
    reference.written().map(|written| written.created)
}

fn columns(entries: &[ResultReference], now: DateTime<Utc>) -> Vec<Column> {
    let mut key = Column::text("KEY");
    let mut version = Column::number("VERSION");
    let mut rows = Column::number("ROWS");
    let mut size = Column::number("SIZE");
    let mut age = Column::number("AGE");
    let mut serializer = Column::text("SERIALIZER");
    for entry in entries {
        let written = entry.written();
        let cell = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        key.cells.push(terminal::escape(entry.key().as_str()));
        version.cells.push(entry.version().to_string());
        rows.cells.push(cell(written.and_then(|written| written.rows).map(units::count)));
        size.cells.push(cell(written.map(|written| units::bytes(written.size))));
        age.cells.push(cell(written.map(|written| units::age(now, written.created))));
        serializer.cells.push(cell(written.map(|written| terminal::escape(written.serializer.name()))));
    }
    vec![key, version, rows, size, age, serializer]
}
