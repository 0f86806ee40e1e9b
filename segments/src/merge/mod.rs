//! Several segments read as the rows of a new one, dead rows left out.

mod input;
mod runs;
mod source;

pub use source::MergeSource;
