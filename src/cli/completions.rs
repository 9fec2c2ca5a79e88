//! `completions`: a script that completes commands and options in a shell.

use clap::CommandFactory;

use super::args::{Arguments, Completions};
use super::context::Context;
use super::failure::Outcome;
use super::output;

/// Prints the script.
pub(super) fn run(_context: &Context, arguments: &Completions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "coldframe", &mut script);
    output::write_all(&script)
}
