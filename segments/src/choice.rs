//! Which kind of index a namespace has in a segment, and why.

use std::fmt;

use vecstore_index::{Calibration, ClusterCalibration};

use crate::LentChoice;

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
    /// The indexes over most rows that were merged, or that were there before, were of this kind, by
    /// measurements that still hold: their mean, and the most rows that one of them was over.
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
    /// slowly with them than that of clusters, so it is sooner that clusters are to be doubted.
    const fn rows_factor(kind: IndexKind) -> u32 {
        match kind {
            IndexKind::Graph => 16,
            IndexKind::Clusters => 4,
        }
    }

    /// The power of the rows that a kind's cost grows with, as measured from 2,659 to 116,659 rows of
    /// WordNet (48 to 87 µs a query with a graph, 19 to 185 µs with clusters).
    const fn growth(kind: IndexKind) -> f32 {
        match kind {
            IndexKind::Graph => 1.0 / 6.0,
            IndexKind::Clusters => 0.6,
        }
    }

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

    /// The kind that most of the rows measured have, with the mean of what was measured, if that
    /// still stands for `rows` rows: half as many were measured, they are not far more than were
    /// measured at once, nor so few that the other kind should be cheaper, and by all measurements
    /// together it would be kept again.
    pub(crate) fn taken_over(lent: &[LentChoice], rows: u32) -> Option<(IndexKind, MeasuredCosts)> {
        let measured = || lent.iter().filter_map(|lent| Some((lent, lent.choice.measured()?)));
        let rows_of = |kind: IndexKind| {
            let same = measured().filter(|(lent, _)| lent.kind == kind);
            same.map(|(lent, _)| u64::from(lent.rows)).sum::<u64>()
        };
        let (graphs, clusters) = (rows_of(IndexKind::Graph), rows_of(IndexKind::Clusters));
        let kind = if clusters > graphs { IndexKind::Clusters } else { IndexKind::Graph };
        let covered = graphs + clusters;
        let largest = measured().map(|(_, costs)| costs.rows).max()?;
        let too_many = rows > largest.saturating_mul(Self::rows_factor(kind));
        if 2 * covered <= u64::from(rows) || too_many {
            return None;
        }
        // Geometric, as for the recalls: what is averaged is how many times dearer one is.
        let mean_us = |kind: IndexKind| {
            let logs = measured().map(|(lent, costs)| {
                let us = if lent.kind == kind { costs.us } else { costs.other_us };
                f64::from(lent.rows) * f64::from(us.max(f32::MIN_POSITIVE)).ln()
            });
            (logs.sum::<f64>() / covered as f64).exp() as f32
        };
        let (us, other_us) = (mean_us(kind), mean_us(kind.other()));
        let still = match kind {
            IndexKind::Graph => Self::kind_kept(us, other_us),
            IndexKind::Clusters => Self::kind_kept(other_us, us),
        } == kind;
        let fewer = (rows as f32 / largest.max(1) as f32).min(1.0);
        let expected = |us: f32, kind: IndexKind| us * fewer.powf(Self::growth(kind));
        // What is only expected has to be twice as clear.
        let doubted = expected(other_us, kind.other()) * Self::RATIO_MIN * Self::RATIO_MIN
            < expected(us, kind);
        (still && !doubted).then_some((kind, MeasuredCosts { us, other_us, rows: largest }))
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
    fn a_choice_is_taken_over_while_it_stands() {
        use IndexKind::{Clusters, Graph};
        let lent = |kind, rows, us, other_us| LentChoice {
            rows,
            kind,
            choice: IndexChoice::Measured(MeasuredCosts { us, other_us, rows }),
        };
        let check = |lent: &[LentChoice], rows, expected: Option<(IndexKind, [f32; 2], u32)>| {
            let taken = MeasuredCosts::taken_over(lent, rows).map(|(kind, costs)| {
                (kind, [costs.us, costs.other_us].map(f32::round), costs.rows)
            });
            assert_eq!(taken, expected, "{lent:?}, {rows} rows");
        };
        check(&[], 1_000, None);
        // Clusters are doubted sooner than a graph as rows become more.
        let graphs = vec![lent(Graph, 100, 10.0, 11.0); 20];
        check(&graphs[..16], 1_600, Some((Graph, [10.0, 11.0], 100)));
        check(&graphs[..17], 1_700, None);
        let clusters = vec![lent(Clusters, 100, 10.0, 20.0); 5];
        check(&clusters[..4], 400, Some((Clusters, [10.0, 20.0], 100)));
        check(&clusters, 500, None);
        // … and a graph as they become fewer, where clusters gain.
        let one_graph = [lent(Graph, 116_659, 87.0, 185.0)];
        check(&one_graph, 19_000, Some((Graph, [87.0, 185.0], 116_659)));
        check(&one_graph, 2_659, None);
        check(
            &[lent(Clusters, 100_000, 40.0, 100.0)],
            100,
            Some((Clusters, [40.0, 100.0], 100_000)),
        );
        // A small input that differs changes nothing; most rows have to be measured.
        let small = lent(Clusters, 40, 10.0, 40.0);
        check(&[graphs[0], graphs[1], small], 240, Some((Graph, [13.0, 11.0], 100)));
        check(&[graphs[0]], 200, None);
        check(&[graphs[0]], 199, Some((Graph, [10.0, 11.0], 100)));
        // As many of both: the graph, unless clusters are cheaper by all that was measured.
        check(&[graphs[0], lent(Clusters, 100, 10.0, 13.0)], 200, Some((Graph, [11.0, 10.0], 100)));
        check(&[graphs[0], lent(Clusters, 100, 10.0, 40.0)], 200, None);
        // A kept graph may be dearer than clusters, but not by 1.25 times.
        check(&[lent(Graph, 100, 12.0, 10.0)], 100, Some((Graph, [12.0, 10.0], 100)));
        check(&[lent(Graph, 100, 13.0, 10.0)], 100, None);
        // Clusters that are no better any more are doubted.
        check(&[lent(Clusters, 100, 10.0, 13.0)], 100, Some((Clusters, [10.0, 13.0], 100)));
        check(&[lent(Clusters, 100, 10.0, 12.0)], 100, None);
    }
}
