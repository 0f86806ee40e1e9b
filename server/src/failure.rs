//! Why a command failed, and how that reaches the user: an exit code and one message.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;
use vecstore::ErrorKind;

/// Result of a command.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The command line makes no sense; nothing was done.
    Usage,
    /// The operation failed.
    Operation(ErrorKind),
    /// Whoever reads our output has seen enough (`vecstore scroll … | head`).
    PipeClosed,
}

impl Failure {
    /// Wrong usage: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure { kind: Kind::Usage, message: message.into() }
    }

    /// A failed operation: exit code 1.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Failure { kind: Kind::Operation(kind), message: message.into() }
    }

    /// Input that is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Failure::new(ErrorKind::InvalidArgument, message)
    }

    /// A failure that a server reported in its own words.
    pub(crate) fn from_problem(problem: &crate::service::Problem) -> Self {
        let kind = match problem.kind {
            crate::service::Kind::Engine(kind) => kind,
            _ => ErrorKind::Io,
        };
        Failure::new(kind, problem.message.clone())
    }

    /// The operating system refused to read or write `what`.
    pub(crate) fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::DiskFull,
            _ => ErrorKind::Io,
        };
        Failure::new(kind, format!("{what}: {error}"))
    }

    /// Standard output could not be written.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure { kind: Kind::PipeClosed, message: String::new() };
        }
        Failure::io("standard output", error)
    }

    /// The same failure with `note` added to its message.
    pub(crate) fn with_note(mut self, note: impl fmt::Display) -> Self {
        if self.kind != Kind::PipeClosed {
            self.message = format!("{}; {note}", self.message);
        }
        self
    }

    /// The same failure with `place` before its message.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        if self.kind != Kind::PipeClosed {
            self.message = format!("{place}: {}", self.message);
        }
        self
    }

    /// Whether the operation failed with this kind of error.
    pub(crate) fn is(&self, kind: ErrorKind) -> bool {
        self.kind == Kind::Operation(kind)
    }

    /// Writes the message to standard error and gives the exit code.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        match self.kind {
            Kind::Usage => {
                print_error("usage", &self.message, json);
                ExitCode::from(2)
            }
            Kind::Operation(kind) => {
                print_error(kind.name(), &self.message, json);
                ExitCode::from(1)
            }
            Kind::PipeClosed => ExitCode::SUCCESS,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<vecstore::Error> for Failure {
    fn from(error: vecstore::Error) -> Self {
        Failure::new(error.kind(), error.to_string())
    }
}

/// Reports what clap made of the command line: help and version are no errors.
pub(crate) fn report_parse_error(error: &clap::Error, json: bool) -> ExitCode {
    if json && error.use_stderr() {
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let message = text.split("\n\nUsage:").next().unwrap_or(text).trim();
        print_error("usage", message, true);
        return ExitCode::from(2);
    }
    // Nothing is left to tell anyone if the terminal is gone.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

#[derive(Serialize)]
struct Report<'a> {
    error: ReportedError<'a>,
}

#[derive(Serialize)]
struct ReportedError<'a> {
    kind: &'a str,
    message: &'a str,
}

fn print_error(kind: &str, message: &str, json: bool) {
    let text = if json {
        serde_json::to_string(&Report { error: ReportedError { kind, message } })
            .unwrap_or_else(|_| format!("error: {message}"))
    } else {
        // A stored name in a message must not move the cursor of whoever reads it.
        let blank = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
        format!("error: {}", message.chars().map(blank).collect::<String>())
    };
    // Nothing is left to tell anyone if standard error is gone.
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_and_places_surround_the_message() {
        let failure = Failure::invalid("no").at("x.jsonl line 7").with_note("nothing was changed");
        assert_eq!(failure.to_string(), "x.jsonl line 7: no; nothing was changed");
        assert!(failure.is(ErrorKind::InvalidArgument));
        assert!(!failure.is(ErrorKind::NotFound));
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let failure = Failure::output(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.kind, Kind::PipeClosed);
        assert_eq!(failure.with_note("x").to_string(), "");
    }
}
