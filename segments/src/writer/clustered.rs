//! Clusters over the rows of one namespace, built and measured on the vectors that are in the file.

use std::ops::ControlFlow;
use std::path::Path;

use vecstore_index::{
    ClusterCalibration, ClusterOptions, ClustersBuf, FlatRows, FlatVectors, Metric, Probe, Workers,
    build_clusters, calibrate_clusters,
};

use super::linked::{damaged, failed};
use crate::SegmentError;
use crate::format::Kind;

/// Clusters, and what they were measured to do.
pub(super) struct Clustered {
    pub(super) buf: ClustersBuf,
    pub(super) calibration: ClusterCalibration,
}

/// The rows of clusters to be made.
pub(super) struct Clustering<'a> {
    pub(super) path: &'a Path,
    pub(super) vectors: FlatVectors<'a>,
    pub(super) metric: Metric,
    pub(super) dim: usize,
    pub(super) workers: &'a dyn Workers,
}

impl Clustering<'_> {
    /// Builds and measures. There is nothing to take over from clusters that are merged: training
    /// on a sample and placing every row costs less than reading them.
    pub(super) fn run(
        &self,
        probes: &[Probe],
        progress: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Clustered, SegmentError> {
        let Clustering { path, vectors, metric, dim, workers } = self;
        let options = ClusterOptions::default();
        let buf = build_clusters(vectors, *metric, *dim, &options, *workers, progress)
            .map_err(|error| failed(path, error))?;
        let blocks =
            FlatRows::new(Kind::ClusterBlocks.name(), &buf.blocks, buf.clusters.block_len());
        let calibration = calibrate_clusters(&buf.clusters, &blocks, vectors, probes, *workers)
            .map_err(|error| damaged(path, &error))?;
        Ok(Clustered { buf, calibration })
    }
}
