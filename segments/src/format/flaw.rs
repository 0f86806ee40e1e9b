//! What is wrong with a piece of a file, before it is known which file.

use std::path::Path;

use crate::SegmentError;

/// A [`SegmentError`] without the path; kept where a check is done once and its answer asked for
/// again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Bytes that do not match their checksum or format.
    Damaged { section: &'static str, detail: String },
    /// Of a newer format.
    Unsupported(String),
}

impl Flaw {
    pub(crate) fn damaged(section: &'static str, detail: impl Into<String>) -> Self {
        Flaw::Damaged { section, detail: detail.into() }
    }

    pub(crate) fn of(self, path: &Path) -> SegmentError {
        match self {
            Flaw::Damaged { section, detail } => SegmentError::corrupt(path, section, detail),
            Flaw::Unsupported(detail) => {
                SegmentError::Unsupported { path: path.to_owned(), detail }
            }
        }
    }
}
