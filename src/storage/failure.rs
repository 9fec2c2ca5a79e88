//! What an object store's errors mean for the reader of ours.

use std::error::Error as _;
use std::io;

use object_store::Error as StoreError;

use super::answer::Answer;
use crate::error::{Error, ErrorKind, recover};

/// The store's error as ours: what to do, what happened, without what could be a secret.
pub(crate) fn failure(error: StoreError) -> Error {
    let (kind, hint) = meaning(&error);
    if let Some(answer) = Answer::of(&error) {
        return answered(answer, &error, kind);
    }
    // "Generic local disk error" in front of the cause tells nobody anything.
    let error = match error {
        StoreError::Generic { source, .. } => source,
        other => Box::new(other),
    };
    let error = match recover(error) {
        Ok(own) => return own,
        Err(error) => error,
    };
    let message = scrubbed(&sentence(&*error));
    let failure = Error::new(kind, message);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

fn answered(mut answer: Answer, error: &StoreError, kind: ErrorKind) -> Error {
    answer.of_no_object = matches!(error, StoreError::Generic { .. });
    match error {
        StoreError::NotFound { path, .. } if !answer.misses_bucket() => {
            Error::new(kind, format!("{path} is not there"))
        }
        _ => answer.into_error(kind),
    }
}

/// Whether an object is not there, in a bucket that is, as far as the answer tells.
pub(crate) fn is_absent(error: &StoreError) -> bool {
    matches!(error, StoreError::NotFound { .. }) && !Answer::of(error).is_some_and(|answer| answer.misses_bucket())
}

/// Whether no server answered: then nothing is known of what became of the request.
pub(crate) fn is_unanswered(error: &StoreError) -> bool {
    Answer::of(error).is_some_and(|answer| answer.status.is_none())
}

/// Whether a read may have failed because the object is shorter than the range: then it is worth a look.
pub(crate) fn may_be_too_short(error: &StoreError) -> bool {
    Answer::of(error).is_none_or(|answer| answer.status == Some(416))
}

fn meaning(error: &StoreError) -> (ErrorKind, Option<&'static str>) {
    match error {
        StoreError::NotFound { .. } => (ErrorKind::NotFound, None),
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } => (ErrorKind::Conflict, None),
        StoreError::PermissionDenied { .. } => {
            let credentials = "check that the credentials may read and write below this storage's root";
            io_cause(error).map_or((ErrorKind::Denied, Some(credentials)), |cause| by_io(cause.kind(), cause))
        }
        StoreError::Unauthenticated { .. } => {
            (ErrorKind::Denied, Some("check the credentials: `coldframe config` shows which are in force"))
        }
        StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } => {
            (ErrorKind::Unsupported, Some("this storage cannot do what coldframe needs"))
        }
        StoreError::UnknownConfigurationKey { .. } | StoreError::InvalidPath { .. } => (ErrorKind::Configuration, None),
        other => io_cause(other).map_or((ErrorKind::Unavailable, None), |cause| by_io(cause.kind(), cause)),
    }
}

/// What an I/O error of the local disk means.
fn by_io(kind: io::ErrorKind, error: &io::Error) -> (ErrorKind, Option<&'static str>) {
    match kind {
        io::ErrorKind::NotFound => (ErrorKind::NotFound, None),
        io::ErrorKind::AlreadyExists => (ErrorKind::Conflict, None),
        io::ErrorKind::PermissionDenied => (ErrorKind::Denied, Some("check the permissions of the store's folder")),
        io::ErrorKind::ReadOnlyFilesystem => (ErrorKind::Denied, Some("the file system is mounted read-only")),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            (ErrorKind::StorageFull, Some("make room on the disk, or choose another storage"))
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            (ErrorKind::Configuration, Some("a file stands where a folder of the store should be, or the reverse"))
        }
        // Error numbers that the standard library has no stable kind for.
        _ if error.raw_os_error() == Some(rustix::io::Errno::NAMETOOLONG.raw_os_error()) => {
            (ErrorKind::InvalidInput, Some("the store's root and the key together are too long for this file system"))
        }
        _ => (ErrorKind::Unavailable, None),
    }
}

fn io_cause(error: &StoreError) -> Option<&io::Error> {
    let mut cause = error.source();
    while let Some(next) = cause {
        if let Some(io) = next.downcast_ref::<io::Error>() {
            return Some(io);
        }
        cause = next.source();
    }
    None
}

/// The error and its causes as one sentence, each part once.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = next.source();
    }
    text
}

/// The text without the query strings and user names of URLs: signatures and tokens stand there.
pub(crate) fn scrubbed(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for (number, piece) in text.split("://").enumerate() {
        if number == 0 {
            clean.push_str(piece);
            continue;
        }
        clean.push_str("://");
        let end = piece
            .find(|character: char| character.is_whitespace() || "\"')>".contains(character))
            .unwrap_or(piece.len());
        let (url, rest) = piece.split_at(end);
        let (url, query) = url.split_once('?').map_or((url, false), |(url, _)| (url, true));
        let host_end = url.find('/').unwrap_or(url.len());
        let (host, path) = url.split_at(host_end);
        // The user of `abfss://container@account…` is no user.
        let is_container = clean.ends_with("abfss://") || clean.ends_with("abfs://") || clean.ends_with("az://");
        clean.push_str(match host.rsplit_once('@') {
            Some((user, host)) if !is_container || user.contains(':') => host,
            _ => host,
        });
        clean.push_str(path);
        if query {
            clean.push_str("?…");
        }
        clean.push_str(rest);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_a_url_stays() {
        assert_eq!(
            scrubbed("GET https://user:pw@host/a/b?sig=SECRET failed; see http://x"),
            "GET https://host/a/b?… failed; see http://x"
        );
        assert_eq!(scrubbed("abfss://box@me.dfs.core.windows.net/a?x"), "abfss://box@me.dfs.core.windows.net/a?…");
        assert_eq!(scrubbed("abfss://box:pw@me.dfs.core.windows.net"), "abfss://me.dfs.core.windows.net");
        assert_eq!(scrubbed("no url @ here? none"), "no url @ here? none");
    }
}
