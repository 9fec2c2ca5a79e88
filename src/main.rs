//! The `coldframe` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(coldframe::cli::run(std::env::args_os()))
}
