//! The `coldframe` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    coldframe::cli::run(std::env::args_os())
}
