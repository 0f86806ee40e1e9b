//! Vector codes: eight bits a component, and coarse ones of four, compared with exact integer arithmetic.

mod best;
mod coarse;
mod measure;
mod quantizer;
mod query;
mod range;
mod scan;

pub(crate) use best::Best;
pub(crate) use coarse::{Coarse, LEVELS, Nearness, PIECE, PIECE_BYTES, Whole};
pub use coarse::{CoarseBuf, Levels, WalkCodes, WithCoarse, build_coarse};
pub(crate) use measure::Measure;
pub(crate) use quantizer::unit_scale;
pub use quantizer::{DIM_MAX, Quantizer};
pub use query::CodeQuery;

/// A row and how far it is from the query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Distance in the metric's own unit; approximate while it comes from codes.
    pub distance: f32,
    /// Row number.
    pub row: u32,
}
