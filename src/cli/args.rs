//! What can be typed: the commands and their options, parsed and checked for form only.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::units;

const EXIT_CODES: &str = "\
Data goes to standard output, everything else to standard error.

Exit codes:
   0  done
   1  a defect of coldframe
   2  wrong usage, or something this value or storage cannot do
   3  not found, deleted or expired
   4  conflict: the condition of a put does not hold
   5  damaged: what lies on the storage is not what was written; `verify` found a problem
   6  configuration, or the storage refused access
   7  the storage is full or does not answer
   8  outcome unknown: look at `coldframe versions KEY` before trying again
   9  the input or the output failed
  10  cancelled by Ctrl-C or SIGTERM";

const WHAT: &str = "KEY, KEY@N, a reference as JSON, a file that holds one, or - to read one from standard input";

const CACHE: &str = "\
Data that is read from a remote storage is kept in a folder on the local disk, checked each time it is used, and never
changes; what was not used for the longest time goes first. References are always read from the storage.

  COLDFRAME_CACHE=10GiB          how much it may hold; off switches it off
  COLDFRAME_CACHE_FOLDER=FOLDER  where it lies

or `cache` and `cache_folder` in coldframe.toml.";

/// Keeps tables between tasks: a table goes in, a small reference comes out, the same table comes back.
#[derive(Debug, Parser)]
#[command(name = "coldframe", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Options of every command.
#[derive(Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Global {
    /// The store: a URL, a folder, or a profile of coldframe.toml [default: as configured, else ./.coldframe]
    #[arg(long, global = true, value_name = "URL|PROFILE")]
    pub(super) store: Option<String>,
    /// A storage option, such as region=eu-west-1; may be repeated
    #[arg(short = 'O', long = "option", global = true, value_name = "KEY=VALUE", value_parser = storage_option)]
    pub(super) options: Vec<(String, String)>,
    /// Print one JSON document for programs; errors, too, become JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Say nothing but the data and errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Show the causes of an error; twice: what is being done, too
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
}

/// Storage options may hold secrets: only their names are shown.
impl fmt::Debug for Global {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.options.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Global")
            .field("store", &self.store.as_deref().map(crate::storage::without_secrets))
            .field("options", &names)
            .finish_non_exhaustive()
    }
}

impl Global {
    /// Refuses a storage option without a name.
    pub(super) fn check(&self) -> crate::error::Result<()> {
        if self.options.iter().any(|(key, _)| key.is_empty()) {
            return Err(crate::error::Error::invalid("a storage option has no name, or no `=` after it")
                .with_hint("write -O KEY=VALUE, such as -O region=eu-west-1"));
        }
        Ok(())
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Persist a file as a new version of a key, and print what refers to it
    Put(Put),
    /// Read a table or value back
    Get(Get),
    /// List keys with their newest versions, the newest first
    Ls(Ls),
    /// Show what a result is, where it lies, and how to read its files without coldframe
    Show(Show),
    /// List the versions of a key, the newest first
    Versions(Versions),
    /// Delete one version or all versions of a key
    Rm(Rm),
    /// Copy versions to another store, checked, each as the next version of its key there
    Cp(Cp),
    /// Read everything and check it against what was written
    Verify(Verify),
    /// Show what is configured, and where each setting comes from
    Config,
    /// Show or clear the local cache of data that was read from S3, GCS or Azure
    #[command(subcommand, after_help = CACHE)]
    Cache(CacheCommand),
    /// Print a completion script for a shell
    Completions(Completions),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(super) enum CacheCommand {
    /// Show its folder, its limit, and what it holds
    Info,
    /// Remove everything that it holds, and say how much that was
    Clear,
}

#[derive(Debug, Args)]
pub(super) struct Put {
    /// The name of the result, such as etl/2026-11-20/trips
    pub(super) key: String,
    /// The file, or - for standard input. What it is, is told by its content: Parquet, Arrow file or stream, NDJSON,
    /// JSON, CSV or TSV
    pub(super) file: PathBuf,
    /// How to write it: parquet, parquet/zstd(3), arrow/lz4, json, bytes, compressed/bytes … or a descriptor as JSON
    #[arg(long, value_name = "S")]
    pub(super) serializer: Option<String>,
    /// Only if the key has no version yet
    #[arg(long, conflicts_with = "after")]
    pub(super) if_absent: bool,
    /// Only if N is the newest version of the key; 0 for none
    #[arg(long, value_name = "N")]
    pub(super) after: Option<u64>,
    /// When the result expires: 30s, 15m, 12h, 1d, 2w from now, or a time such as 2026-12-01T00:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = expiry)]
    pub(super) expires: Option<Expiry>,
    /// One line for people
    #[arg(long)]
    pub(super) title: Option<String>,
    /// Some lines for people
    #[arg(long)]
    pub(super) description: Option<String>,
    /// Something to attach to the result; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) metadata: Vec<(String, String)>,
    /// Types of columns where CSV or JSON is guessed wrong: name:utf8,fare:float64,day:date32 or JSON, or a file with
    /// either; columns that are not named keep the type told from the first 10,000 rows
    #[arg(long, value_name = "FILE|TEXT")]
    pub(super) schema: Option<String>,
    /// What the input is, where telling by content goes wrong
    #[arg(long)]
    pub(super) format: Option<InputFormat>,
    /// Do not wait for the disk: after a power loss the result may be missing or incomplete
    #[arg(long)]
    pub(super) no_durable: bool,
    /// Refuse what would not come back exactly as it is, such as dictionaries whose order Parquet does not keep
    #[arg(long)]
    pub(super) strict: bool,
    /// Do not compute the fingerprint, a hash of what the result says
    #[arg(long)]
    pub(super) no_fingerprint: bool,
}

/// What an input can be said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum InputFormat {
    /// An Apache Parquet file
    Parquet,
    /// An Arrow file or stream
    Arrow,
    /// Comma, semicolon or tab separated values with a header line
    Csv,
    /// Tab separated values with a header line
    Tsv,
    /// JSON objects, one row each: one after the other, or in an array
    Ndjson,
    /// A JSON document, stored as a value
    Json,
    /// Bytes, whatever they are
    Bytes,
}

/// When a result expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// So long after the put.
    In(Duration),
    /// At this time.
    At(DateTime<Utc>),
}

#[derive(Debug, Args)]
pub(super) struct Get {
    #[arg(help = WHAT)]
    pub(super) what: String,
    /// Write to this file, which appears when it is complete; its extension tells the format
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// The format [default: a preview on a terminal, an Arrow stream into a pipe, as FILE's extension says]
    #[arg(long)]
    pub(super) format: Option<OutputFormat>,
    /// Only these columns, in this order
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(super) columns: Option<Vec<String>>,
    /// Only the rows for which this holds, such as "fare > 10 AND carrier IN ('AA', 'UA')"; the rows below are counted
    /// among them
    #[arg(long = "where", value_name = "CONDITION")]
    pub(super) condition: Option<String>,
    /// Leave out the first N rows
    #[arg(long, value_name = "N")]
    pub(super) offset: Option<u64>,
    /// At most N rows
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<u64>,
    /// The first N rows
    #[arg(long, value_name = "N", conflicts_with_all = ["tail", "offset", "limit"])]
    pub(super) head: Option<u64>,
    /// The last N rows
    #[arg(long, value_name = "N", conflicts_with_all = ["offset", "limit"])]
    pub(super) tail: Option<u64>,
    /// What was the newest version of the key at this time, such as 2026-11-20T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = units::parse_time)]
    pub(super) as_of: Option<DateTime<Utc>>,
    /// Also compare an Arrow file of your own on a local disk with its checksums, when it is handed on as Arrow
    #[arg(long)]
    pub(super) check: bool,
}

/// What an output can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// The first rows, for people
    Table,
    /// An Arrow stream; an Arrow file with -o
    Arrow,
    /// An Apache Parquet file
    Parquet,
    /// Comma separated values with a header line
    Csv,
    /// JSON objects, one line each
    Ndjson,
    /// A JSON array of objects, or the JSON value
    Json,
    /// The stored value's own bytes, for results that are no table
    Raw,
}

#[derive(Debug, Args)]
pub(super) struct Ls {
    /// Only this key and the keys below it
    #[arg(default_value = "", hide_default_value = true)]
    pub(super) prefix: String,
    /// Only keys whose name, title or description holds this text
    #[arg(long, value_name = "TEXT")]
    pub(super) search: Option<String>,
    /// Only the N newest
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    #[arg(help = WHAT)]
    pub(super) what: String,
}

#[derive(Debug, Args)]
pub(super) struct Versions {
    /// The key
    pub(super) key: String,
}

#[derive(Debug, Args)]
pub(super) struct Rm {
    /// The key, or KEY@N for one version
    pub(super) what: String,
    /// All versions of the key
    #[arg(long)]
    pub(super) all: bool,
    /// Even what is tagged or held
    #[arg(long)]
    pub(super) force: bool,
    /// Why, for whoever looks for it later
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Cp {
    #[arg(help = WHAT, value_name = "KEY", required = true)]
    pub(super) what: Vec<String>,
    /// The store to copy to: a URL, a folder, or a profile of coldframe.toml
    #[arg(long, value_name = "URL|PROFILE")]
    pub(super) to: String,
    /// The key there, where it should be another; for one version only
    #[arg(long = "as", value_name = "KEY")]
    pub(super) key: Option<String>,
    /// A storage option of the store to copy to, as -O is one of --store; may be repeated
    #[arg(long = "to-option", value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) to_options: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Only this key and the keys below it
    #[arg(default_value = "", hide_default_value = true)]
    pub(super) prefix: String,
    /// Also decode every table and JSON value that has a fingerprint, and compare that
    #[arg(long)]
    pub(super) contents: bool,
    /// Then remove what was begun longer ago than AGE, such as 1d, at least 1h, and never finished
    #[arg(long, value_name = "AGE", value_parser = grace)]
    pub(super) abort_unfinished: Option<Duration>,
}

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    pub(super) shell: Shell,
}

fn grace(text: &str) -> Result<Duration, String> {
    match units::parse_duration(text)? {
        age if age >= Duration::from_secs(3600) => Ok(age),
        _ => Err("less than 1h could hit a put that is under way".into()),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it should look like KEY=VALUE".into()),
    }
}

/// Name and value of a storage option, the name empty where there is none: the library that parses the command line would
/// repeat what it refuses, and that may be a secret.
#[expect(clippy::unnecessary_wraps, reason = "the library wants a result")]
fn storage_option(text: &str) -> Result<(String, String), String> {
    Ok(pair(text).unwrap_or_default())
}

fn expiry(text: &str) -> Result<Expiry, String> {
    if let Ok(time) = units::parse_time(text) {
        return Ok(Expiry::At(time));
    }
    units::parse_duration(text).map(Expiry::In)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("coldframe").chain(line.iter().copied()))
    }

    #[test]
    fn the_definition_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for line in [&["--store", "s", "-O", "a=b", "ls"][..], &["ls", "--store", "s", "-O", "a=b", "--json"]] {
            let arguments = parse(line).unwrap();
            assert_eq!(arguments.global.store.as_deref(), Some("s"));
            assert_eq!(arguments.global.options, [("a".to_owned(), "b".to_owned())]);
        }
    }

    #[test]
    fn a_put_takes_its_options() {
        let line = ["put", "k", "-", "--expires", "1d", "--metadata", "a=b=c", "--metadata", "d=", "--after", "0"];
        let Command::Put(put) = parse(&line).unwrap().command else { panic!("no put") };
        assert_eq!(put.expires, Some(Expiry::In(Duration::from_secs(86_400))));
        assert_eq!(put.metadata, [("a".into(), "b=c".into()), ("d".into(), String::new())]);
        assert_eq!(put.after, Some(0));
        let Command::Put(put) = parse(&["put", "k", "f", "--expires", "2026-12-01T00:00:00Z"]).unwrap().command else {
            panic!("no put")
        };
        assert!(matches!(put.expires, Some(Expiry::At(_))));
    }

    #[test]
    fn a_copy_takes_keys_and_where_to() {
        let line = ["cp", "a", "b@2", "-O", "x=1", "--to", "there", "--to-option", "y=2"];
        let arguments = parse(&line).unwrap();
        let Command::Cp(cp) = arguments.command else { panic!("no cp") };
        assert_eq!((cp.what, cp.to.as_str()), (vec!["a".to_owned(), "b@2".to_owned()], "there"));
        assert_eq!(arguments.global.options, [("x".to_owned(), "1".to_owned())]);
        assert_eq!(cp.to_options, [("y".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in [
            &["put", "k", "f", "--if-absent", "--after", "1"][..],
            &["put", "k"],
            &["put", "k", "f", "--expires", "soon"],
            &["put", "k", "f", "--metadata", "novalue"],
            &["get", "k", "--head", "1", "--tail", "2"],
            &["get", "k", "--as-of", "yesterday"],
            &["cp", "k"],
            &["cp", "--to", "there"],
            &["cp", "k", "--to", "there", "--to-option", "region"],
            &["ls", "-O"],
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line:?}");
        }
    }

    #[test]
    fn a_storage_option_that_is_none_is_refused_and_not_repeated() {
        for option in ["=HUSH", "HUSH", "secret_access_key:HUSH"] {
            let global = parse(&["ls", "-O", option]).unwrap().global;
            let error = global.check().unwrap_err();
            assert!(error.kind() == crate::error::ErrorKind::InvalidInput && !format!("{error:?}").contains("HUSH"));
        }
        let global = parse(&["ls", "-O", "secret_access_key=HUSH", "--store", "s3://b?x=HUSH"]).unwrap().global;
        global.check().unwrap();
        assert!(!format!("{global:?}").contains("HUSH"), "{global:?}");
    }
}
