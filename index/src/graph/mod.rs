//! The HNSW graph: built in batches, searched with one sorted pool, measured when it is built.
//!
//! Start reading at [`search`] and [`build`]; both stand on `walk`, the best-first walk over codes or full
//! vectors.

mod beam;
mod budget;
mod build;
mod calibrate;
mod calibration;
mod connect;
mod filled;
mod layers;
mod list;
mod live;
mod merge;
mod order;
mod pool;
mod prune;
mod reverse;
mod row_set;
mod scratch;
mod search;
mod visited;
mod walk;

pub use beam::{Beam, Gamma};
pub use budget::{Budget, GaveUp, Limits};
pub use build::{BuildError, GraphBuf, GraphOptions, build, build_with};
pub use calibrate::{Probe, calibrate, calibrate_full};
pub use calibration::{Calibration, MeasuredEffort};
pub use layers::UpperLayers;
pub use live::{CodesReader, Linker, LiveCodes, LiveGraph, LiveReader};
pub use merge::{MergeError, MergeInput, Merged, NO_ROW, Shortfall, merge, shortfall};
pub use row_set::RowSet;
pub use scratch::Scratch;
pub(crate) use scratch::Scratches;
pub use search::{Accept, Found, Graph, search, search_full};

/// Rows a graph may have: a pool entry keeps a row in 31 bits.
pub const GRAPH_ROWS_MAX: u32 = 1 << 31;

/// Fills the rest of a row's links.
const NO_LINK: u32 = u32::MAX;

/// The links of a row without the padding.
#[inline(always)]
fn linked(links: &[u32]) -> &[u32] {
    let len = links.iter().position(|&link| link == NO_LINK).unwrap_or(links.len());
    &links[..len]
}
