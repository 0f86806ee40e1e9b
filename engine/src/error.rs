//! The one error of this crate's public interface.

use std::fmt;

use vecstore_index::{UnknownCodes, UnknownPrecision};
use vecstore_query::{FilterError, FilterFieldError, FilterJsonError};
use vecstore_segments::SegmentError;

/// What kind of failure an [`Error`] is. Every face maps these, and only these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong; the same request will fail again. Nothing was changed.
    InvalidArgument,
    /// The collection or snapshot does not exist.
    NotFound,
    /// The collection or snapshot exists already.
    AlreadyExists,
    /// The request contradicts the state of the database.
    Conflict,
    /// Too much work is pending, or another process has the database open; try again later.
    Busy,
    /// More than the [`Quota`](crate::Quota) of the collection or namespace allows. Nothing was
    /// changed.
    QuotaExceeded,
    /// The volume is full.
    DiskFull,
    /// Stored bytes are damaged.
    Corrupt,
    /// The operating system refused.
    Io,
    /// The database was closed, or gave up after a failed write and must be opened again.
    Closed,
    /// The database was written by a newer version.
    Unsupported,
    /// The caller no longer wanted the answer; see [`Query::stop_when`](crate::Query::stop_when).
    Cancelled,
}

impl ErrorKind {
    /// The name used in every face: `invalid_argument`, `not_found` …
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::InvalidArgument => "invalid_argument",
            ErrorKind::NotFound => "not_found",
            ErrorKind::AlreadyExists => "already_exists",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Busy => "busy",
            ErrorKind::QuotaExceeded => "quota_exceeded",
            ErrorKind::DiskFull => "disk_full",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::Io => "io",
            ErrorKind::Closed => "closed",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A failure: its kind, and a message that says what, where and what to do.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    field: Option<&'static str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), field: None, source: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn caused(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Error { kind, message: message.into(), field: None, source: Some(source.into()) }
    }

    /// An input or output failure of `what`; a full volume is told apart.
    pub(crate) fn io(what: impl fmt::Display, source: std::io::Error) -> Self {
        let kind = io_kind(&source);
        Error::caused(kind, format!("{what}: {source}"), source)
    }

    /// The same error, about one argument.
    pub(crate) fn about(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// The same error with `place` before its message.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// The argument that is wrong, by its name in every face: `k`, `filter`, `vector` …; `None`
    /// if it is not one alone.
    #[must_use]
    pub fn field(&self) -> Option<&'static str> {
        self.field
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

pub(crate) fn io_kind(error: &std::io::Error) -> ErrorKind {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::DiskFull,
        _ => ErrorKind::Io,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

impl From<SegmentError> for Error {
    fn from(error: SegmentError) -> Self {
        let kind = match &error {
            SegmentError::Io { source, .. } => io_kind(source),
            SegmentError::Corrupt { .. } => ErrorKind::Corrupt,
            SegmentError::Unsupported { .. } => ErrorKind::Unsupported,
            SegmentError::Cancelled => ErrorKind::Closed,
        };
        Error::caused(kind, error.to_string(), error)
    }
}

impl From<FilterJsonError> for Error {
    fn from(error: FilterJsonError) -> Self {
        Error::caused(ErrorKind::InvalidArgument, error.to_string(), error)
    }
}

impl From<FilterFieldError> for Error {
    fn from(error: FilterFieldError) -> Self {
        Error::caused(ErrorKind::InvalidArgument, error.to_string(), error).about("filter")
    }
}

impl From<FilterError> for Error {
    fn from(error: FilterError) -> Self {
        Error::caused(ErrorKind::InvalidArgument, error.to_string(), error).about("filter")
    }
}

impl From<UnknownCodes> for Error {
    fn from(error: UnknownCodes) -> Self {
        Error::caused(ErrorKind::InvalidArgument, error.to_string(), error).about("codes")
    }
}

impl From<UnknownPrecision> for Error {
    fn from(error: UnknownPrecision) -> Self {
        Error::caused(ErrorKind::InvalidArgument, error.to_string(), error).about("precision")
    }
}

/// Result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;
