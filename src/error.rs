//! What went wrong, to what, and what to do next.
//!
//! An [`Error`] says which operation failed, on which key or path, and why; [`ErrorKind`] says what the reader should
//! do about it, which is what programs branch on. A hint, where there is one, is a sentence a person can act on.

use std::fmt;

/// Shorthand for a [`std::result::Result`] with coldframe's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What the reader of an [`Error`] should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such key, version, file or profile: check the name, or compute the result again.
    NotFound,
    /// It was there and is not any more (deleted or expired): compute the result again.
    Gone,
    /// The condition of a put does not hold: read what is there, or put under another condition.
    Conflict,
    /// The call is wrong: fix the argument.
    InvalidInput,
    /// This value, serializer or storage cannot do what was asked: choose another, as the hint says.
    Unsupported,
    /// A setting is missing or wrong: fix the configuration.
    Configuration,
    /// What lies on the storage is not what was written: restore it, or compute the result again.
    Damaged,
    /// The storage refused: check credentials and permissions.
    Denied,
    /// The disk or quota is full: make room and try again.
    StorageFull,
    /// The storage did not answer as it should: try again later.
    Unavailable,
    /// A commit was sent and its answer never came: look which versions exist before trying again.
    OutcomeUnknown,
    /// The caller's own stream of data failed: nothing was committed.
    Input,
    /// The work was cancelled: nothing was committed.
    Cancelled,
    /// A defect of coldframe: please report it.
    Internal,
}

impl ErrorKind {
    /// The kind's name as programs see it, in `snake_case`.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Gone => "gone",
            Self::Conflict => "conflict",
            Self::InvalidInput => "invalid_input",
            Self::Unsupported => "unsupported",
            Self::Configuration => "configuration",
            Self::Damaged => "damaged",
            Self::Denied => "denied",
            Self::StorageFull => "storage_full",
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Input => "input",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A failure: the kind, the operation, its subject, what happened, and what to do next.
///
/// ```
/// use coldframe::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::NotFound, "no version of this key")
///     .during("get", "etl/trips")
///     .with_hint("`coldframe ls` shows the keys of this store");
/// assert_eq!(error.to_string(), "get etl/trips: no version of this key");
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// ```
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    operation: Option<&'static str>,
    subject: Option<String>,
    message: String,
    hint: Option<String>,
    source: Option<Cause>,
}

impl Error {
    /// An error of `kind` that says `message`: what happened, without the operation and its subject.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { inner: Box::new(Inner { kind, operation: None, subject: None, message, hint: None, source: None }) }
    }

    /// The call is wrong; see [`ErrorKind::InvalidInput`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// What lies on the storage is not what was written; see [`ErrorKind::Damaged`].
    pub fn damaged(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged, message)
    }

    /// A defect of coldframe; see [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message).with_hint("this is a defect of coldframe: please report it")
    }

    /// Says during which operation, and on which key or path, it happened; the first to say so wins.
    #[must_use]
    pub fn during(mut self, operation: &'static str, subject: impl fmt::Display) -> Self {
        if self.inner.operation.is_none() {
            self.inner.operation = Some(operation);
            let subject = subject.to_string();
            self.inner.subject = (!subject.is_empty()).then_some(subject);
        }
        self
    }

    /// Puts words before the message, to say which part of the subject it is about.
    #[must_use]
    pub fn within(mut self, context: impl fmt::Display) -> Self {
        self.inner.message = format!("{context}: {}", self.inner.message);
        self
    }

    /// Adds what to do next; the first hint wins.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        if self.inner.hint.is_none() {
            self.inner.hint = Some(hint.into());
        }
        self
    }

    /// Adds the underlying error.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Cause>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// The same error under another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.inner.kind = kind;
        self
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The operation that failed, such as `put`.
    pub fn operation(&self) -> Option<&'static str> {
        self.inner.operation
    }

    /// The key, path or setting it is about.
    pub fn subject(&self) -> Option<&str> {
        self.inner.subject.as_deref()
    }

    /// What happened, without operation, subject and hint.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// What to do next, for a person.
    pub fn hint(&self) -> Option<&str> {
        let usual = match self.inner.kind {
            ErrorKind::Damaged => Some("restore the file, or compute the result again"),
            _ => None,
        };
        self.inner.hint.as_deref().or(usual)
    }

    /// Whether the same call may succeed later without any change.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind(), ErrorKind::Unavailable)
    }

    /// Whether the result is not there (any more), so that computing it again is the answer.
    pub fn is_missing(&self) -> bool {
        matches!(self.kind(), ErrorKind::NotFound | ErrorKind::Gone)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = self.inner.operation {
            f.write_str(operation)?;
            if let Some(subject) = &self.inner.subject {
                write!(f, " {subject}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self, self.inner.kind)?;
        if let Some(hint) = self.hint() {
            write!(f, "\n  hint: {hint}")?;
        }
        if let Some(source) = &self.inner.source {
            write!(f, "\n  cause: {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|cause| cause as _)
    }
}

impl From<arrow::error::ArrowError> for Error {
    /// So that `?` works beside arrow's own calls: the table could not be made.
    fn from(error: arrow::error::ArrowError) -> Self {
        recover(Box::new(error))
            .unwrap_or_else(|error| Self::new(ErrorKind::Input, error.to_string()).with_source(error))
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl From<Error> for arrow::error::ArrowError {
    fn from(error: Error) -> Self {
        Self::ExternalError(Box::new(error))
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

/// Gives back the coldframe error that a library wrapped on its way through, if `error` holds one.
pub(crate) fn recover(error: Cause) -> std::result::Result<Error, Cause> {
    let error = match error.downcast::<Error>() {
        Ok(own) => return Ok(*own),
        Err(other) => other,
    };
    let error = match error.downcast::<std::io::Error>() {
        Ok(io) if io.get_ref().is_some_and(|inner| inner.is::<Error>()) => {
            return io.into_inner().map_or_else(|| Ok(Error::internal("an error vanished")), recover);
        }
        Ok(io) => return Err(io),
        Err(other) => other,
    };
    let error = match error.downcast::<arrow::error::ArrowError>() {
        Ok(arrow) => match *arrow {
            arrow::error::ArrowError::ExternalError(inner) => return recover(inner),
            arrow::error::ArrowError::IoError(_, io) if io.get_ref().is_some() => return recover(Box::new(io)),
            other => return Err(Box::new(other)),
        },
        Err(other) => other,
    };
    match error.downcast::<parquet::errors::ParquetError>() {
        Ok(parquet) => match *parquet {
            parquet::errors::ParquetError::External(inner) => recover(inner),
            other => Err(Box::new(other)),
        },
        Err(other) => Err(other),
    }
}
