//! Records to import, wherever they come from.

use serde_json::Value;
use vecstore::{Record, RecordId};

use super::{Arrays, RecordLines};
use crate::failure::Result;
use crate::ids;

/// Records, one after the other.
pub(crate) enum Source<'a> {
    /// Vectors in `.npy` files, metadata in JSON lines.
    Arrays(Arrays<'a>),
    /// Both in JSON lines.
    Lines(RecordLines<'a>),
}

impl Source<'_> {
    /// Components of the vectors; `None` if there is no record.
    pub(crate) fn dim(&mut self) -> Result<Option<usize>> {
        match self {
            Source::Arrays(arrays) => Ok(Some(arrays.dim())),
            Source::Lines(lines) => lines.dim(),
        }
    }

    /// How many records there are, if that is known beforehand.
    pub(crate) fn total(&self) -> Option<u64> {
        match self {
            Source::Arrays(arrays) => Some(arrays.rows()),
            Source::Lines(_) => None,
        }
    }

    /// How much was read, from 0 to 1, if [`total`](Self::total) is not known but this is.
    pub(crate) fn fraction(&self) -> Option<f64> {
        match self {
            Source::Arrays(_) => None,
            Source::Lines(lines) => lines.fraction(),
        }
    }

    /// Where the record that was read last is, for messages.
    pub(crate) fn place(&self) -> String {
        match self {
            Source::Arrays(arrays) => arrays.place(),
            Source::Lines(lines) => lines.place(),
        }
    }

    /// Passes over the first `n` records; fewer, if there are no more. Returns how many it were.
    pub(crate) fn skip(&mut self, n: u64) -> Result<u64> {
        match self {
            Source::Arrays(arrays) => arrays.skip(n),
            Source::Lines(lines) => lines.skip(n),
        }
    }

    /// The next record, and the bytes it takes. `dim` is what its vector must have.
    pub(crate) fn next_record(&mut self, dim: usize) -> Result<Option<(Record, usize)>> {
        match self {
            Source::Arrays(arrays) => arrays.next_record(),
            Source::Lines(lines) => lines.next_record(dim),
        }
    }
}

/// The id that a JSON value is.
pub(super) fn id_from_json(value: Value) -> std::result::Result<RecordId, String> {
    let id = match value {
        Value::Number(n) => match n.as_u64() {
            Some(n) => RecordId::U64(n),
            None => {
                return Err(format!("{n} is not allowed: use an integer from 0 to {}", u64::MAX));
            }
        },
        Value::String(text) => ids::from_json_string(&text),
        Value::Null => return Err("null is not allowed".to_owned()),
        other => return Err(format!("{other} is neither an integer nor a string")),
    };
    id.validate().map_err(|e| e.to_string())?;
    Ok(id)
}

/// What is wrong with one line of JSON. A line is always line 1 to the parser, so only the column
/// says something, and not even that if it is 0.
pub(super) fn json_problem(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column 0", "").replace(" at line 1 column ", ", column ")
}
