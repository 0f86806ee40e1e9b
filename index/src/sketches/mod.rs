//! Sketches: one bit a component, to tell from few bytes which rows are worth a look.
//!
//! A scan under a filter is bound by the memory it reads: 384 bytes of code a row. A sketch of that
//! row is 64 bytes, and comes with a bound on how far off it may be. So a scan reads the sketches of
//! all matching rows, and the codes of those that could be among the nearest by their bound: some
//! hundred of a hundred thousand, where vectors have a few hundred components.
//!
//! RaBitQ: Gao & Long, "RaBitQ: quantizing high-dimensional vectors with a theoretical error bound
//! for approximate nearest neighbor search", SIGMOD 2024. Here sketches are made of codes and not of
//! vectors, with one centre for all rows, and estimates are in the unit in which codes are compared.
//!
//! Start reading at [`build_sketches`] and [`Sketches::scan`].

mod build;
mod expected;
mod head;
mod query;
mod rotation;
mod scan;

pub use build::{SketchesBuf, build_sketches};
pub use expected::ExpectedLooks;
pub use head::Sketches;
pub use query::SketchQuery;

/// Bytes of a sketch beside its bits: the squared norm and the factor, `f32` each, little-endian.
const TAIL_BYTES: usize = 8;
