//! What can go wrong with a segment file.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of a segment file; every variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The file system refused.
    #[error("{op} {}: {source}", path.display())]
    Io {
        /// What was being done: `open`, `write`, `sync`, `rename` …
        op: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Bytes do not match their checksum or their format.
    #[error("{}: section {section} is damaged: {detail}", path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Which section: `header`, `contents`, `vectors`, `metadata`, `codes` …
        section: &'static str,
        /// What is wrong and where in the section.
        detail: String,
    },
    /// The file is of a newer format.
    #[error("{}: {detail}", path.display())]
    Unsupported {
        /// Which file.
        path: PathBuf,
        /// What this build does not know.
        detail: String,
    },
    /// The progress callback asked to stop; nothing is left behind.
    #[error("writing the segment was cancelled")]
    Cancelled,
}

impl SegmentError {
    /// An input or output failure of `op` on `path`.
    pub fn io(op: &'static str, path: &Path, source: io::Error) -> Self {
        SegmentError::Io { op, path: path.to_owned(), source }
    }

    /// Damage in `section` of `path`.
    pub fn corrupt(path: &Path, section: &'static str, detail: impl Into<String>) -> Self {
        SegmentError::Corrupt { path: path.to_owned(), section, detail: detail.into() }
    }
}
