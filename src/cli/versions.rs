//! `versions`: every version of a key, also those that are gone.

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};

use super::args::Versions;
use super::context::Context;
use super::failure::Outcome;
use super::grid::{self, Column};
use super::{output, terminal, units, what};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::reference::Key;
use crate::store::{VersionEntry, VersionState};

/// Lists the versions, the newest first.
pub(super) async fn run(context: &Context, arguments: &Versions) -> Outcome {
    let key = Key::parse(&arguments.key)?;
    let store = context.store().await?;
    let entries = match store.versions(&key).await {
        Ok(entries) if entries.is_empty() => {
            let error = Error::new(ErrorKind::NotFound, "there is no such key").during("versions", &key);
            return Err(what::suggest(&store, key.as_str(), error).await.into());
        }
        Ok(entries) => entries,
        Err(error) => return Err(what::suggest(&store, key.as_str(), error).await.into()),
    };
    if context.json() {
        return output::print_json(&entries.iter().map(as_json).collect::<Vec<_>>());
    }
    output::print(&grid::render(&columns(&entries, context.clock.now()), terminal::width()))
}

/// One version for programs: its number and state, its reference while it has one, and how it went if it is gone.
pub(super) fn as_json(entry: &VersionEntry) -> Json {
    let mut fields = json!({
        "version": entry.version,
        "state": state_name(&entry.state),
        "reference": entry.reference,
    });
    let Some(object) = fields.as_object_mut() else { return fields };
    match &entry.state {
        VersionState::Deleted(deletion) => {
            let told = json!({"at": deletion.at, "by": deletion.by, "reason": deletion.reason});
            object.insert("deleted".into(), told);
        }
        VersionState::Damaged(why) => {
            object.insert("damage".into(), why.as_str().into());
        }
        VersionState::Live | VersionState::Expired => {}
    }
    fields
}

fn state_name(state: &VersionState) -> &'static str {
    match state {
        VersionState::Live => "live",
        VersionState::Expired => "expired",
        VersionState::Deleted(_) => "deleted",
        VersionState::Damaged(_) => "damaged",
    }
}

fn columns(entries: &[VersionEntry], now: DateTime<Utc>) -> Vec<Column> {
    let mut version = Column::number("VERSION");
    let mut state = Column::text("STATE");
    let mut rows = Column::number("ROWS");
    let mut size = Column::number("SIZE");
    let mut age = Column::number("AGE");
    let mut note = Column::text("NOTE");
    for entry in entries {
        let written = entry.reference.as_ref().and_then(|reference| reference.written());
        let cell = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        version.cells.push(entry.version.to_string());
        state.cells.push(state_name(&entry.state).into());
        rows.cells.push(cell(written.and_then(|written| written.rows).map(units::count)));
        size.cells.push(cell(written.map(|written| units::bytes(written.size))));
        age.cells.push(cell(written.map(|written| units::age(now, written.created))));
        note.cells.push(terminal::escape(&remark(entry)));
    }
    vec![version, state, rows, size, age, note]
}

fn remark(entry: &VersionEntry) -> String {
    match &entry.state {
        VersionState::Deleted(deletion) => {
            let reason = deletion.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{} by {}{reason}", units::time(deletion.at), deletion.by)
        }
        VersionState::Damaged(why) => why.clone(),
        VersionState::Live | VersionState::Expired => {
            let written = entry.reference.as_ref().and_then(|reference| reference.written());
            let title = written.and_then(|written| written.title.clone()).unwrap_or_default();
            match written.and_then(|written| written.expires) {
                Some(time) => format!("expires {} {title}", units::time(time)).trim_end().to_owned(),
                None => title,
            }
        }
    }
}
