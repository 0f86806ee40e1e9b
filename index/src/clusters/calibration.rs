//! What clusters were measured to do.

use crate::{Curve, FormatError};

const WHAT: &str = "cluster calibration";

/// What clusters were measured to do when they were built.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ClusterCalibration {
    /// Recall and distances by the number of leaves read.
    pub by_probes: Curve,
    /// For each point of it, how many of the candidates have to be compared again on full vectors
    /// for that recall.
    pub reranked: Vec<u32>,
}

impl ClusterCalibration {
    /// Candidates to rerank where `probes` leaves are read: that of the next point that was
    /// measured, 0 where nothing was.
    #[must_use]
    pub fn reranked_at(&self, probes: u32) -> u32 {
        let next = self.by_probes.points.partition_point(|point| point.effort < probes);
        self.reranked.get(next).or(self.reranked.last()).copied().unwrap_or(0)
    }

    /// The bytes kept in a segment: the numbers reranked, four bytes each, after the bytes of the
    /// curve.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.by_probes.to_bytes();
        bytes.extend(self.reranked.iter().flat_map(|reranked| reranked.to_le_bytes()));
        bytes
    }

    /// Reads what `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let (by_probes, reranked) = Curve::read(bytes)?;
        let (reranked, rest) = reranked.as_chunks::<4>();
        if reranked.len() != by_probes.points.len() || !rest.is_empty() {
            return Err(FormatError::new(WHAT, "a number is missing or too many".to_owned()));
        }
        let reranked = reranked.iter().map(|&word| u32::from_le_bytes(word)).collect();
        Ok(ClusterCalibration { by_probes, reranked })
    }
}
