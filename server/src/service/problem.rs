//! Why a request failed, and the one table of what each protocol makes of it.

use std::fmt;
use std::time::Duration;

use vecstore::ErrorKind;

/// Result of an operation of the server.
pub(crate) type Result<T> = std::result::Result<T, Problem>;

/// Why a request failed.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    /// The field of the request that is wrong.
    pub(crate) field: Option<String>,
    /// When to try again.
    pub(crate) retry_after: Option<Duration>,
}

/// The kinds of the engine, and those that only a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Engine(ErrorKind),
    /// No key, or one that is not known.
    Unauthenticated,
    /// The key does not allow this.
    PermissionDenied,
    /// The request has more bytes than are allowed.
    TooLarge,
    /// The time for the request is up.
    DeadlineExceeded,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// The body is not of a type that is read here.
    UnsupportedMediaType,
    /// A defect of the server.
    Internal,
}

impl Kind {
    /// The name used in every face.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Engine(kind) => kind.name(),
            Kind::Unauthenticated => "unauthenticated",
            Kind::PermissionDenied => "permission_denied",
            Kind::TooLarge => "too_large",
            Kind::DeadlineExceeded => "deadline_exceeded",
            Kind::MethodNotAllowed => "method_not_allowed",
            Kind::UnsupportedMediaType => "unsupported_media_type",
            Kind::Internal => "internal",
        }
    }

    /// The kind of this name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let engine = [
            ErrorKind::InvalidArgument,
            ErrorKind::NotFound,
            ErrorKind::AlreadyExists,
            ErrorKind::Conflict,
            ErrorKind::Busy,
            ErrorKind::QuotaExceeded,
            ErrorKind::DiskFull,
            ErrorKind::Corrupt,
            ErrorKind::Io,
            ErrorKind::Closed,
            ErrorKind::Unsupported,
            ErrorKind::Cancelled,
        ];
        let own = [
            Kind::Unauthenticated,
            Kind::PermissionDenied,
            Kind::TooLarge,
            Kind::DeadlineExceeded,
            Kind::MethodNotAllowed,
            Kind::UnsupportedMediaType,
            Kind::Internal,
        ];
        engine.into_iter().map(Kind::Engine).chain(own).find(|kind| kind.name() == name)
    }

    /// The HTTP status and the gRPC code.
    pub(crate) fn codes(self) -> (u16, tonic::Code) {
        use tonic::Code;
        match self {
            Kind::Engine(kind) => match kind {
                ErrorKind::InvalidArgument => (400, Code::InvalidArgument),
                ErrorKind::NotFound => (404, Code::NotFound),
                ErrorKind::AlreadyExists => (409, Code::AlreadyExists),
                ErrorKind::Conflict => (409, Code::FailedPrecondition),
                ErrorKind::Busy => (429, Code::ResourceExhausted),
                // Trying again does not help, so it is not 429.
                ErrorKind::QuotaExceeded => (403, Code::ResourceExhausted),
                ErrorKind::DiskFull => (507, Code::ResourceExhausted),
                ErrorKind::Corrupt => (500, Code::DataLoss),
                ErrorKind::Closed => (503, Code::Unavailable),
                ErrorKind::Unsupported => (501, Code::Unimplemented),
                ErrorKind::Cancelled => (499, Code::Cancelled),
                // `Io`, and kinds this server does not know yet.
                _ => (500, Code::Internal),
            },
            Kind::Unauthenticated => (401, Code::Unauthenticated),
            Kind::PermissionDenied => (403, Code::PermissionDenied),
            Kind::TooLarge => (413, Code::InvalidArgument),
            Kind::DeadlineExceeded => (504, Code::DeadlineExceeded),
            Kind::MethodNotAllowed => (405, Code::Unimplemented),
            Kind::UnsupportedMediaType => (415, Code::InvalidArgument),
            Kind::Internal => (500, Code::Internal),
        }
    }
}

impl Problem {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Problem { kind, message: message.into(), field: None, retry_after: None }
    }

    /// A request that is wrong in one field.
    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Problem {
            field: Some(field.into()),
            ..Problem::new(Kind::Engine(ErrorKind::InvalidArgument), message)
        }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Problem::new(Kind::Engine(ErrorKind::NotFound), message)
    }

    /// Too much to do; the time after which there may be less.
    pub(crate) fn busy(message: impl Into<String>, retry_after: Duration) -> Self {
        Problem {
            retry_after: Some(retry_after),
            ..Problem::new(Kind::Engine(ErrorKind::Busy), message)
        }
    }

    /// Whole seconds to wait before trying again, at least one, for those who are to.
    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        let default = (self.kind == Kind::Engine(ErrorKind::Busy)).then(|| Duration::from_secs(1));
        let wait = self.retry_after.or(default)?;
        Some((wait.as_millis().div_ceil(1000) as u64).max(1))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<vecstore::Error> for Problem {
    fn from(error: vecstore::Error) -> Self {
        Problem {
            field: error.field().map(str::to_owned),
            ..Problem::new(Kind::Engine(error.kind()), error.to_string())
        }
    }
}
