//! The command line: `coldframe put get ls show versions rm cp verify config cache completions`.
//!
//! [`run`] parses (`args`), runs one command under the eyes of Ctrl-C, and turns its outcome into an exit code
//! (`failure`). There is one file per command. `input` tells what a file is and opens it for `put`; `export` writes what
//! `get` reads.

mod args;
mod cache;
mod completions;
mod config;
mod context;
mod cp;
mod export;
mod failure;
mod get;
mod grid;
mod input;
mod ls;
mod output;
mod progress;
mod put;
mod rm;
mod show;
mod terminal;
mod units;
mod verify;
mod versions;
mod what;

use std::ffi::OsString;
use std::io::Write;
use std::sync::Once;
use std::time::Duration;

use clap::Parser;
use tokio::runtime::{Builder, Handle, Runtime};

use self::args::{Arguments, Command};
use self::context::Context;
use self::failure::{Failure, Outcome};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind};
use crate::serializer::is_guarded;

/// How long work that was cancelled may take to remove what it has begun.
const CLEAN_UP: Duration = Duration::from_millis(700);

/// Runs the command that `arguments` say, the program's name first, and returns its exit code.
///
/// What went to standard output is flushed before it returns, so that another program may call it and go on; unless a
/// signal stopped the command. A write to standard output that fails because its reader has left is no failure. Call it
/// outside of an async runtime: it starts one of its own.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let code = run_unflushed(arguments);
    // A command that was stopped may be stuck in a write that nobody reads, and waiting for it would hang.
    if code != failure::exit_code(ErrorKind::Cancelled) {
        // Commands report what they could not write themselves; what help leaves behind nobody may be reading any more.
        let _ = std::io::stdout().flush();
    }
    code
}

fn run_unflushed(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    quiet_where_guarded();
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to standard output; whoever closed it has read enough.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let (json, causes) = (arguments.global.json, arguments.global.verbose > 0);
    if arguments.global.verbose > 1 {
        // Fails only where somebody else already listens.
        let _ = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::DEBUG).try_init();
    }
    let outcome = runtime().and_then(|runtime| {
        let outcome = runtime.block_on(supervised(arguments));
        // A read from standard input that waits for more must not keep the process alive.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) | Err(Failure::ReaderLeft) => 0,
        Err(Failure::Told(code)) => code,
        Err(Failure::Error(error)) => {
            failure::tell(&error, json, causes);
            failure::exit_code(error.kind())
        }
    }
}

/// A decoder that gives up on a damaged file by panicking is reported as an error: the panic itself is no news.
fn quiet_where_guarded() {
    static ONCE: Once = Once::new();
    // A program that runs many commands must not wrap the hook once for each.
    ONCE.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !is_guarded() {
                told(panic);
            }
        }));
    });
}

/// At least two workers: where one is stuck writing to a pipe that nobody reads, signals are still heard.
fn runtime() -> Outcome<Runtime> {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    Builder::new_multi_thread()
        .worker_threads(processors.max(2))
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("the runtime does not start: {error}")).into())
}

/// Runs the command until it ends or is told to.
async fn supervised(arguments: Arguments) -> Outcome {
    arguments.global.check()?;
    let context = Context::new(arguments.global);
    let mut work = tokio::spawn(async move { dispatch(&context, arguments.command).await });
    let finished = tokio::select! {
        finished = &mut work => finished,
        () = interrupted() => {
            work.abort();
            settle().await;
            if !work.is_finished() {
                return Err(cancelled());
            }
            work.await
        }
    };
    match finished {
        Ok(outcome) => outcome,
        Err(stopped) if stopped.is_cancelled() => Err(cancelled()),
        Err(panic) => Err(Error::internal(format!("the command broke off: {panic}")).into()),
    }
}

fn cancelled() -> Failure {
    Error::new(ErrorKind::Cancelled, "stopped before it was done").into()
}

async fn dispatch(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Put(arguments) => Box::pin(put::run(context, arguments)).await,
        Command::Get(arguments) => Box::pin(get::run(context, arguments)).await,
        Command::Ls(arguments) => Box::pin(ls::run(context, arguments)).await,
        Command::Show(arguments) => Box::pin(show::run(context, &arguments)).await,
        Command::Versions(arguments) => Box::pin(versions::run(context, &arguments)).await,
        Command::Rm(arguments) => Box::pin(rm::run(context, arguments)).await,
        Command::Cp(arguments) => Box::pin(cp::run(context, arguments)).await,
        Command::Verify(arguments) => Box::pin(verify::run(context, &arguments)).await,
        Command::Config => config::run(context),
        Command::Cache(command) => cache::run(context, command).await,
        Command::Completions(arguments) => completions::run(context, &arguments),
    }
}

/// Returns when the user or the system wants the process to end.
async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            () = keyboard() => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    keyboard().await;
}

async fn keyboard() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits until the tasks that clean up are done, but not for long.
async fn settle() {
    let clock = SystemClock;
    let start = clock.elapsed();
    while Handle::current().metrics().num_alive_tasks() > 0 && clock.elapsed().saturating_sub(start) < CLEAN_UP {
        clock.sleep(Duration::from_millis(10)).await;
    }
}
