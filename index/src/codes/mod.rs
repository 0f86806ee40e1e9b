//! Vector codes: eight bits a component, and coarse ones of four, compared with exact integer arithmetic.

mod best;
mod coarse;
mod coarse_query;
mod kept;
mod levels;
mod measure;
mod nearness;
mod quantizer;
mod query;
mod range;
mod rounding;
mod scale;
mod scan;

pub(crate) use best::Best;
pub(crate) use coarse::{COARSE_BLOCK, PIECE, PIECE_BYTES};
pub use coarse::{CoarseBuf, WalkCodes, WithCoarse, build_coarse};
pub(crate) use coarse_query::CoarseQuery;
pub use kept::{Codes, UnknownCodes};
pub(crate) use levels::LEVELS;
pub use levels::Levels;
pub(crate) use measure::Measure;
pub(crate) use nearness::{Coarse, Full, Nearness, Whole};
pub(crate) use quantizer::unit_scale;
pub use quantizer::{DIM_MAX, Quantizer};
pub use query::CodeQuery;
pub(crate) use scale::{Distances, Keys, Scale, Stretch};

/// A row and how far it is from the query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Distance in the metric's own unit; approximate while it comes from codes.
    pub distance: f32,
    /// Row number.
    pub row: u32,
}
