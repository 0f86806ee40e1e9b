//! Reading the files that `import` and `query` are given: `.npy` and JSON lines.

mod arrays;
mod jsonl;
mod line_files;
mod npy;
mod record_lines;
mod source;

pub(crate) use arrays::{ArrayFile, Arrays};
pub(crate) use line_files::{LineFile, LineFiles};
pub(crate) use npy::NpyReader;
pub(crate) use record_lines::RecordLines;
pub(crate) use source::Source;
