//! `verify`: reads everything and checks it against what was written.

use std::sync::Arc;

use super::args::Verify;
use super::context::Context;
use super::failure::{DAMAGED, Failure, Outcome};
use super::grid::{self, Column};
use super::progress::{self, Total};
use super::{output, terminal, units};
use crate::store::{Finding, Progress, Verification};

/// Verifies, prints what was found, and fails if something is dangling or damaged.
pub(super) async fn run(context: &Context, arguments: &Verify) -> Outcome {
    let store = context.store().await?;
    let watched = Arc::new(Progress::default());
    let bar = progress::watch(context, &watched, Total::Unknown);
    let verification = match arguments.contents {
        true => store.verify_contents(&arguments.prefix, Some(watched)).await?,
        false => store.verify(&arguments.prefix, Some(watched)).await?,
    };
    drop(bar);
    if context.json() {
        output::print_json(&verification)?;
    } else {
        print(context, &verification)?;
    }
    if let Some(age) = arguments.abort_unfinished {
        let ended = store.abort_unfinished(&arguments.prefix, age).await?;
        context.note(&format!("{} removed that nobody had finished", units::counted(ended.len() as u64, "upload")));
    }
    if verification.problems.is_empty() { Ok(()) } else { Err(Failure::Told(DAMAGED)) }
}

fn print(context: &Context, verification: &Verification) -> Outcome {
    let findings: Vec<&Finding> = verification.problems.iter().chain(&verification.notes).collect();
    if !findings.is_empty() {
        let mut kind = Column::text("FINDING");
        let mut subject = Column::text("SUBJECT");
        let mut message = Column::text("MESSAGE");
        for finding in findings {
            kind.cells.push(finding.kind.to_owned());
            subject.cells.push(terminal::escape(&finding.subject));
            message.cells.push(terminal::escape(&finding.message));
        }
        output::print(&grid::render(&[kind, subject, message], None))?;
    }
    context.note(&format!(
        "{} checked, {}: {}, {}",
        units::counted(verification.versions, "version"),
        units::bytes(verification.bytes),
        units::counted(verification.problems.len() as u64, "problem"),
        units::counted(verification.notes.len() as u64, "note"),
    ));
    Ok(())
}
