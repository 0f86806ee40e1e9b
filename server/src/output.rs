//! Standard output: text for people or one JSON value for programs.

use std::fmt;
use std::io::{self, BufWriter, Write};

use console::{Style, Term};
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::table::{Table, cut};

/// Columns of text when standard output is not a terminal.
const WIDTH_DEFAULT: usize = 120;
/// Narrower than this nothing readable fits, and a terminal may well say 0.
const WIDTH_MIN: usize = 40;

/// Where a command prints its result.
///
/// A command that has to print for both kinds of reader asks [`is_json`](Self::is_json). `writeln!`
/// works on it and fails with a [`Failure`].
pub(crate) struct Output {
    json: bool,
    width: usize,
    heading: Style,
    dim: Style,
    out: BufWriter<Box<dyn Write>>,
}

impl Output {
    /// Standard output.
    pub(crate) fn stdout(json: bool) -> Self {
        let width = Term::stdout().size_checked().map(|(_rows, columns)| usize::from(columns));
        Output {
            json,
            width: width.unwrap_or(WIDTH_DEFAULT).max(WIDTH_MIN),
            heading: Style::new().for_stdout().bold(),
            dim: Style::new().for_stdout().dim(),
            out: BufWriter::new(Box::new(io::stdout())),
        }
    }

    /// Whether the reader is a program.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the command's one JSON value, on a line of its own.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result {
        serde_json::to_writer(&mut self.out, value)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(self.out))
            .map_err(|e| Failure::output(&e))
    }

    /// Prints a table with `indent` blanks before it, as wide as fits.
    pub(crate) fn table(&mut self, table: &Table, indent: usize) -> Result {
        let rendered = table.render(self.width.saturating_sub(indent));
        for line in &rendered.lines {
            writeln!(self, "{:indent$}{line}", "")?;
        }
        if !rendered.left_out.is_empty() {
            let names = rendered.left_out.join(", ");
            let note = format!("not shown for lack of width: {names} (--json shows everything)");
            let note = cut(&note, self.width.saturating_sub(indent));
            let note = self.dim.apply_to(note);
            writeln!(self, "{:indent$}{note}", "")?;
        }
        Ok(())
    }

    /// Prints a heading.
    pub(crate) fn heading(&mut self, text: &str) -> Result {
        let text = self.heading.apply_to(text);
        writeln!(self, "{text}")
    }

    /// Text in the background.
    pub(crate) fn dimmed<'a>(&self, text: &'a str) -> impl fmt::Display + use<'a> {
        self.dim.apply_to(text)
    }

    /// The target of `write!` and `writeln!`.
    pub(crate) fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> Result {
        self.out.write_fmt(text).map_err(|e| Failure::output(&e))
    }

    /// Writes bytes as they are.
    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> Result {
        self.out.write_all(bytes).map_err(|e| Failure::output(&e))
    }

    /// Sends what is buffered.
    pub(crate) fn flush(&mut self) -> Result {
        self.out.flush().map_err(|e| Failure::output(&e))
    }
}
