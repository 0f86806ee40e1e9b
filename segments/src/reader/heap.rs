//! What an open segment holds on the heap, beside its file.

use vecstore_index::{Calibration, ClusterCalibration, Curve, EffortPoint};

use super::derived::IndexHead;
use super::segment::{NamespaceRows, Segment};
use crate::format::{BlockEntry, IndexEntry};

impl Segment {
    /// Bytes on the heap, about: what was read of the file once and is kept. Grows as more is read.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let names = self.namespaces().iter().map(|n| size_of::<NamespaceRows>() + n.name.len());
        let heads = self.index_heads.iter().filter_map(|head| head.get()?.as_ref().ok());
        size_of::<Segment>()
            + size_of_val(self.contents().sections())
            + self.checks().heap_bytes()
            + names.sum::<usize>()
            + size_of_val(&*self.index_heads)
            + heads.map(IndexHead::heap_bytes).sum::<usize>()
            + kept(&self.block_entries, |all| all.capacity() * size_of::<BlockEntry>())
            + kept(&self.index_entries, |all| all.capacity() * size_of::<IndexEntry>())
            + kept(&self.sketches, |sketches| sketches.as_ref().map_or(0, |s| s.heap_bytes()))
            + self.rebuilt_lookup.get().map_or(0, |lookup| lookup.heap_bytes())
    }
}

impl IndexHead {
    fn heap_bytes(&self) -> usize {
        match self {
            IndexHead::Graph { upper, calibration: Calibration { by_ef, by_gamma } } => {
                upper.heap_bytes() + curve(by_ef) + curve(by_gamma)
            }
            IndexHead::Clusters {
                clusters,
                calibration: ClusterCalibration { by_probes, reranked },
            } => clusters.heap_bytes() + curve(by_probes) + reranked.capacity() * 4,
        }
    }
}

fn curve(curve: &Curve) -> usize {
    curve.points.capacity() * size_of::<EffortPoint>()
}

fn kept<T, E>(kept: &std::sync::OnceLock<Result<T, E>>, bytes: impl FnOnce(&T) -> usize) -> usize {
    kept.get().and_then(|read| read.as_ref().ok()).map_or(0, bytes)
}
