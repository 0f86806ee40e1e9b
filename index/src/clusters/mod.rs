//! Clusters: the other index of a segment, beside the graph.
//!
//! Rows are put into *leaves* around centroids (k-means), and each row is coded in four bits a
//! component. A search ranks the leaves, reads the nearest of them from end to end, and leaves the
//! rest to reranking on full vectors. Where neighbours are spread thin (word vectors), a graph needs
//! a thousand candidates for recall 0.99; reading a third of all codes at two cycles a row is
//! several times faster. Where they lie close together, the graph is.
//!
//! Inverted file: Jégou et al., "Product quantization for nearest neighbor search", TPAMI 2011.
//! Interleaved 4-bit codes: André et al., "Cache locality is not enough", VLDB 2015; here the codes
//! are scalar, so that a comparison is an integer product and not a look-up.
//!
//! Start reading at [`build_clusters`] and [`Clusters::search`].

mod block;
mod build;
mod calibrate;
mod calibration;
mod head;
mod leaves;
mod nibbles;
mod search;
mod train;

pub(crate) use block::{LANES, LINE_BYTES, LINE_COMPONENTS};
pub use build::{ClusterOptions, ClustersBuf, build_clusters};
pub use calibrate::calibrate_clusters;
pub use calibration::ClusterCalibration;
pub use head::Clusters;
pub(crate) use search::LeafScratch;
pub use search::Reach;
