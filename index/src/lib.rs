//! Nearness and membership over borrowed bytes: distance kernels, vector codes, the HNSW graph,
//! clusters and the roaring field indices.
//!
//! This crate knows no file, no clock and no thread pool of its own. What it reads comes in as
//! [`Rows`], what it runs in parallel goes through [`Workers`].

mod ahead;
mod append_only;
mod clusters;
mod codes;
mod curve;
mod fields;
mod graph;
mod hash;
mod kernels;
mod metric;
mod precision;
mod row_blocks;
mod rows;
mod sketches;
mod workers;

pub use append_only::AppendOnly;
pub use clusters::{
    ClusterCalibration, ClusterOptions, Clusters, ClustersBuf, Reach, build_clusters,
    calibrate_clusters,
};
pub use codes::{
    Candidate, CoarseBuf, CodeQuery, Codes, DIM_MAX, Levels, Quantizer, UnknownCodes, WalkCodes,
    WithCoarse, build_coarse,
};
pub use curve::{Curve, EffortPoint};
pub use fields::{
    AnyOf, Elements, FieldIndex, FieldIndexBuilder, FieldLimits, FieldSummary, Posting, Scalar,
    Timestamp, Union,
};
pub use graph::{
    Accept, Beam, Budget, BuildError, Calibration, CodesReader, Found, GRAPH_ROWS_MAX, Gamma,
    GaveUp, Graph, GraphBuf, GraphOptions, Limits, Linker, LiveCodes, LiveGraph, LiveReader,
    MeasuredEffort, MergeError, MergeInput, Merged, NO_ROW, Probe, RowSet, Scratch, Shortfall,
    UpperLayers, build, calibrate, calibrate_full, merge, search, search_full, shortfall,
};
pub use half;
pub use kernels::{ExactQuery, kernel_name, prefetch, squared_norm};
pub use metric::{Metric, UnknownMetric};
pub use precision::{FlatVectors, Precision, Stored, UnknownPrecision, Vectors};
pub use roaring;
pub use row_blocks::RowBlocks;
pub use rows::{Damaged, FlatRows, FormatError, Rows};
pub use sketches::{ExpectedLooks, SketchQuery, Sketches, SketchesBuf, build_sketches};
pub use workers::{OneThread, Workers};

/// Doors for this crate's own tests and benches; nobody else may rely on them.
#[doc(hidden)]
pub mod testing {
    pub use crate::graph::build_with;
    pub use crate::kernels::KernelChoice;
}
