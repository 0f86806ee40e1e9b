//! Which kind of index a namespace has in a segment, and why.

use std::fmt;

use vecstore_index::{Calibration, ClusterCalibration};

/// What finds the nearest rows without looking at all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// The HNSW graph.
    Graph,
    /// Leaves of 4-bit codes.
    Clusters,
}

/// Which kind the indexes of a new segment are to be of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum IndexOption {
    /// Always this one.
    Always(IndexKind),
    /// The one that costs less by what both are measured to do, at these costs of their steps.
    Cheaper(StepCosts),
}

/// Nanoseconds of the steps of a search, for vectors of the segment's dimension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepCosts {
    /// One distance of a graph search.
    pub graph_step_ns: f64,
    /// One centroid that leaves are ranked by.
    pub leaf_ns: f64,
    /// One row of a leaf.
    pub cluster_row_ns: f64,
    /// One row of a scan over codes, which is what runs where an index does not find enough.
    pub scan_row_ns: f64,
    /// One full vector in reranking.
    pub exact_ns: f64,
}

/// What a query costs by the measured counts, between recall 0.95 and 0.99.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredCosts {
    /// Microseconds with the index that is there.
    pub us: f32,
    /// Microseconds with one of the other kind.
    pub other_us: f32,
    /// Rows over which both were measured.
    pub rows: u32,
}

/// Why an index is of its kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum IndexChoice {
    /// The options name it.
    Asked,
    /// Both were built and measured, and this one costs less.
    Measured(MeasuredCosts),
    /// The indexes of most rows were of this kind when segments were merged, by a measurement that
    /// still holds.
    TakenOver(MeasuredCosts),
}

impl IndexKind {
    /// The name in statistics: `graph` or `clusters`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            IndexKind::Graph => "graph",
            IndexKind::Clusters => "clusters",
        }
    }

    pub(crate) fn other(self) -> IndexKind {
        match self {
            IndexKind::Graph => IndexKind::Clusters,
            IndexKind::Clusters => IndexKind::Graph,
        }
    }
}

/// Recalls at which the kinds are compared; the default effort lies between them.
const COMPARED_AT: [f32; 2] = [0.95, 0.99];
/// Candidates that are reranked after a walk, for the 10 nearest.
const GRAPH_RERANKED: f64 = 26.0;

impl StepCosts {
    /// Microseconds of a query to a graph: the geometric mean over the recalls compared.
    pub(crate) fn graph_us(&self, measured: &Calibration, rows: u32) -> f32 {
        self.mean_us(rows, |recall| {
            let effort = measured.effort_for_recall(recall)?;
            let walk_ns = f64::from(measured.distances_at(effort)) * self.graph_step_ns;
            Some(walk_ns + GRAPH_RERANKED * self.exact_ns)
        })
    }

    /// The same for clusters of so many leaves.
    pub(crate) fn clusters_us(&self, measured: &ClusterCalibration, leaves: u32, rows: u32) -> f32 {
        self.mean_us(rows, |recall| {
            let probes = measured.by_probes.effort_for_recall(recall)?;
            let leaves = f64::from(leaves);
            let rows = (f64::from(measured.by_probes.distances_at(probes)) - leaves).max(0.0);
            let reranked = f64::from(measured.reranked_at(probes));
            Some(leaves * self.leaf_ns + rows * self.cluster_row_ns + reranked * self.exact_ns)
        })
    }

    /// `ns` is what an index costs at a recall, if it was measured to reach it; else a scan runs.
    fn mean_us(&self, rows: u32, ns: impl Fn(f32) -> Option<f64>) -> f32 {
        let scan_ns = f64::from(rows) * self.scan_row_ns + GRAPH_RERANKED * self.exact_ns;
        let logs =
            COMPARED_AT.map(|recall| ns(recall).unwrap_or(scan_ns).max(f64::MIN_POSITIVE).ln());
        ((logs.iter().sum::<f64>() / logs.len() as f64).exp() / 1e3) as f32
    }
}

impl MeasuredCosts {
    /// Times that rows may grow before both kinds are measured again: a graph's cost grows more
    /// slowly with them than that of clusters, but not on all data.
    const ROWS_FACTOR: u32 = 4;
    /// How many times cheaper a kind has to be to count as such: counts and costs are measured, and
    /// a few percent are noise.
    const RATIO_MIN: f32 = 1.25;

    /// The kind that is kept of both. A graph's cost grows more slowly with the rows, so clusters have
    /// to be clearly cheaper.
    pub(crate) fn kind_kept(graph_us: f32, clusters_us: f32) -> IndexKind {
        if clusters_us * Self::RATIO_MIN < graph_us {
            IndexKind::Clusters
        } else {
            IndexKind::Graph
        }
    }

    /// Whether the choice would still be the same over so many rows of the same data.
    pub(crate) fn holds_for(&self, rows: u32) -> bool {
        rows <= self.rows.saturating_mul(Self::ROWS_FACTOR)
            && self.other_us >= self.us * Self::RATIO_MIN
    }
}

impl IndexChoice {
    /// The measurement, if there was one.
    pub(crate) fn measured(&self) -> Option<MeasuredCosts> {
        match self {
            IndexChoice::Asked => None,
            IndexChoice::Measured(costs) | IndexChoice::TakenOver(costs) => Some(*costs),
        }
    }

    /// The words in the table of indexes.
    pub(crate) fn to_words(self) -> [u32; 4] {
        let (why, costs) = match self {
            IndexChoice::Asked => return [0; 4],
            IndexChoice::Measured(costs) => (1, costs),
            IndexChoice::TakenOver(costs) => (2, costs),
        };
        [why, costs.us.to_bits(), costs.other_us.to_bits(), costs.rows]
    }

    /// `None` where the words mean nothing.
    pub(crate) fn from_words(words: [u32; 4]) -> Option<Self> {
        let [why, us, other_us, rows] = words;
        let costs =
            MeasuredCosts { us: f32::from_bits(us), other_us: f32::from_bits(other_us), rows };
        let sane = |us: f32| us.is_finite() && us >= 0.0;
        match why {
            0 if words == [0; 4] => Some(IndexChoice::Asked),
            1 | 2 if !sane(costs.us) || !sane(costs.other_us) => None,
            1 => Some(IndexChoice::Measured(costs)),
            2 => Some(IndexChoice::TakenOver(costs)),
            _ => None,
        }
    }

    /// What there is to say of the choice of `kind`, to be put after what it is; nothing if it was
    /// asked for.
    pub(crate) fn write(&self, kind: IndexKind, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(MeasuredCosts { us, other_us, rows }) = self.measured() else { return Ok(()) };
        let other = kind.other().name();
        write!(f, "; {us:.1} µs a query, {other} {other_us:.1} µs")?;
        match self {
            IndexChoice::TakenOver(_) => write!(f, " (measured over {rows} rows)"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: MeasuredCosts = MeasuredCosts { us: 24.0, other_us: 96.0, rows: 1_000 };

    #[test]
    fn words_are_read_back_or_refused() {
        for choice in
            [IndexChoice::Asked, IndexChoice::Measured(COSTS), IndexChoice::TakenOver(COSTS)]
        {
            assert_eq!(IndexChoice::from_words(choice.to_words()), Some(choice));
        }
        let bits = f32::to_bits;
        for words in [
            [0, 1, 0, 0],
            [3, bits(1.0), bits(1.0), 5],
            [1, bits(f32::NAN), bits(1.0), 5],
            [2, bits(1.0), bits(-1.0), 5],
        ] {
            assert_eq!(IndexChoice::from_words(words), None);
        }
    }

    #[test]
    fn a_measurement_holds_for_a_while() {
        assert!(COSTS.holds_for(4_000) && !COSTS.holds_for(4_001));
        assert!(!MeasuredCosts { other_us: 25.0, ..COSTS }.holds_for(1_000));
    }
}
