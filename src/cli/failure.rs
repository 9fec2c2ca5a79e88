//! What ends a command early, how it is told, and the exit code it means.

use std::error::Error as _;
use std::io::{self, Write};

use serde_json::json;

use super::terminal;
use crate::error::{Error, ErrorKind};

/// What a command returns.
pub(super) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command ends early.
pub(super) enum Failure {
    /// Something went wrong, and nobody was told yet.
    Error(Error),
    /// The command has told what is wrong; the exit code says it to programs.
    Told(u8),
    /// Whoever read standard output has enough of it, which is no error.
    ReaderLeft,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Failure {
    /// Writing to standard output failed.
    pub(super) fn writing(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReaderLeft;
        }
        Self::Error(file_error(error, "cannot write to standard output"))
    }
}

/// An error of the file system: `what` says what was tried, on which file.
pub(super) fn file_error(error: &io::Error, what: impl std::fmt::Display) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
        _ => ErrorKind::Input,
    };
    Error::new(kind, format!("{what}: {error}"))
}

/// The exit code that a kind of error means; `coldframe --help` lists them.
pub(super) fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Internal => 1,
        ErrorKind::InvalidInput | ErrorKind::Unsupported => 2,
        ErrorKind::NotFound | ErrorKind::Gone => 3,
        ErrorKind::Conflict => 4,
        ErrorKind::Damaged => DAMAGED,
        ErrorKind::Configuration | ErrorKind::Denied => 6,
        ErrorKind::StorageFull | ErrorKind::Unavailable => 7,
        ErrorKind::OutcomeUnknown => 8,
        ErrorKind::Input => 9,
        ErrorKind::Cancelled => 10,
    }
}

/// The exit code of damage, which `verify` also gives.
pub(super) const DAMAGED: u8 = 5;

/// Tells an error on standard error, as text or as JSON.
pub(super) fn tell(error: &Error, json: bool, causes: bool) {
    let text = if json { as_json(error, causes) } else { as_text(error, causes) };
    // Where standard error is closed, the exit code still tells.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn as_text(error: &Error, causes: bool) -> String {
    let mut text = format!("error: {}\n", terminal::escape_lines(&error.to_string()));
    if let Some(hint) = error.hint() {
        text.push_str(&format!("hint: {}\n", terminal::escape_lines(hint)));
    }
    if causes {
        for cause in chain(error) {
            text.push_str(&format!("cause: {}\n", terminal::escape_lines(&cause)));
        }
    }
    text
}

fn as_json(error: &Error, causes: bool) -> String {
    let mut fields = json!({"kind": error.kind().name(), "message": error.to_string(), "hint": error.hint()});
    if causes && let Some(fields) = fields.as_object_mut() {
        fields.insert("causes".into(), chain(error).into());
    }
    format!("{}\n", json!({ "error": fields }))
}

fn chain(error: &Error) -> Vec<String> {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_tell_what_to_do_and_never_control_the_terminal() {
        let error = Error::new(ErrorKind::NotFound, "no version\u{1b}[2J")
            .during("get", "a")
            .with_hint("look")
            .with_source(io::Error::other("disk"));
        assert_eq!(as_text(&error, false), "error: get a: no version\\u{1b}[2J\nhint: look\n");
        assert!(as_text(&error, true).ends_with("cause: disk\n"));
        let json: serde_json::Value = serde_json::from_str(&as_json(&error, false)).unwrap();
        assert_eq!(json["error"]["kind"], "not_found");
        assert_eq!(json["error"]["hint"], "look");
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        assert!(matches!(Failure::writing(&io::ErrorKind::BrokenPipe.into()), Failure::ReaderLeft));
        assert!(matches!(Failure::writing(&io::ErrorKind::StorageFull.into()), Failure::Error(_)));
    }
}
