//! Writing a segment: several passes over a [`RowSource`], one file, verified before it counts.

mod clustered;
mod columns;
mod file;
mod indexes;
mod linked;
mod metadata;
mod plan;
mod progress;
mod sketches;
mod source;
mod temporary;
mod vectors;
mod write;

pub use progress::{Progress, Stage};
pub use source::{LentChoice, LentGraph, RowSource};
pub use write::{WriteOptions, Written, write_segment};
