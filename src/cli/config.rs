//! `config`: what is in force, and where each setting comes from.

use serde_json::{Value as Json, json};

use super::context::Context;
use super::failure::Outcome;
use super::grid::{self, Column};
use super::{output, terminal};
use crate::storage::Configuration;

/// Prints the settings; what was typed as an option stands before what is configured.
pub(super) fn run(context: &Context) -> Outcome {
    let mut settings = context.typed();
    for setting in Configuration::ambient()?.settings() {
        if !settings.iter().any(|(name, ..)| *name == setting.name) {
            settings.push((setting.name, setting.value, setting.origin));
        }
    }
    if context.json() {
        let settings: Vec<Json> = settings
            .iter()
            .map(|(name, value, origin)| json!({"name": name, "value": value, "origin": origin}))
            .collect();
        return output::print_json(&settings);
    }
    let mut columns = [Column::text("SETTING"), Column::text("VALUE"), Column::text("FROM")];
    for (name, value, origin) in settings {
        for (column, cell) in columns.iter_mut().zip([name, value, origin]) {
            column.cells.push(terminal::escape(&cell));
        }
    }
    output::print(&grid::render(&columns, None))
}
