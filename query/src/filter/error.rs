//! Why something is not a filter.

use vecstore_segments::FieldPath;

/// A piece of a filter as an error shows it: its beginning, where it is long.
pub(super) fn shown(text: &str) -> String {
    const BYTES_SHOWN: usize = 40;
    let beginning = &text[..text.floor_char_boundary(BYTES_SHOWN)];
    let dots = if beginning.len() < text.len() { "..." } else { "" };
    format!("{beginning}{dots}")
}

/// Why a filter text is not a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("filter, position {position}: {problem}")]
pub struct FilterError {
    /// What sort of problem it is.
    pub kind: FilterErrorKind,
    /// Byte offset in the text, from 0; at most the length of the text, and never inside a
    /// character.
    pub position: usize,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// What sort of problem a filter text has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterErrorKind {
    /// The text does not follow the grammar, or an operator got a literal it does not take.
    Syntax,
    /// A parameter is missing, unused, or not a value that can stand there.
    Parameter,
    /// More than [`FILTER_DEPTH_MAX`](crate::FILTER_DEPTH_MAX) levels of parentheses and `NOT`.
    TooDeep,
    /// More than [`FILTER_BYTES_MAX`](crate::FILTER_BYTES_MAX) bytes.
    TooLong,
}

/// Why a filter does not suit a field of the collection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("filter, field {}: {problem}", shown(&path.to_string()))]
pub struct FilterFieldError {
    /// The field.
    pub path: FieldPath,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// Why a JSON value is not a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("filter, at \"{pointer}\": {problem}")]
pub struct FilterJsonError {
    /// JSON pointer (RFC 6901) to the value that is wrong; empty for the whole.
    pub pointer: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}
