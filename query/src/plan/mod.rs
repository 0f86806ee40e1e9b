//! The plan: a pure function of the request, the views' numbers and the costs.
//!
//! The shape is tantivy's: a query is bound to each part of the corpus, each part gets the
//! cheapest way that keeps the promise of the request, and the results are merged.

mod aim;
mod price;

use vecstore_index::{Beam, Limits};

use crate::{Costs, Effort, Request, ViewKind, ViewStats};
use aim::Aim;
use price::Priced;

/// How one view is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// No row can match.
    Empty,
    /// Code distance to each matching row, then exact distances to the best.
    ScanRows,
    /// Sketches of each matching row, code distance to those that could be among the nearest, then
    /// exact distances to the best.
    ScanSketches,
    /// Exact distance to every matching row.
    FullScan,
    /// Graph search without a filter.
    Graph {
        /// How far the walk looks.
        beam: Beam,
    },
    /// Graph search through all rows that collects matching ones.
    GraphSweep {
        /// How far the walk looks; of matching rows alone.
        beam: Beam,
    },
    /// All rows of the nearest leaves, matching ones collected.
    Clusters {
        /// Leaves read.
        probes: usize,
        /// Candidates that have to be reranked, as 4-bit codes tell them apart less well.
        rerank: usize,
    },
}

/// A strategy that was priced.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    /// The strategy.
    pub strategy: Strategy,
    /// Its estimated cost; infinite if there is nothing to run it on.
    pub cost_us: f64,
    /// Distances it is expected to compute before reranking.
    pub distances: u64,
    /// Expected recall.
    pub recall: f32,
    /// Why it cannot be used, if so.
    pub rejected: Option<String>,
}

/// The plan for one view.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentPlan {
    /// Which view.
    pub kind: ViewKind,
    /// Live rows of the view.
    pub live: u32,
    /// Rows that match (equal to `live` without a filter).
    pub matching: u64,
    /// What is done.
    pub strategy: Strategy,
    /// Its estimated cost.
    pub cost_us: f64,
    /// Distances it is expected to compute before reranking.
    pub distances: u64,
    /// When a walk gives up and `fallback` runs; all 0 for the others.
    pub limits: Limits,
    /// What runs if a graph strategy gives up, or an index finds too few rows.
    pub fallback: Option<Strategy>,
    /// Expected recall, from the segment's measurements; 1 for exact strategies.
    pub recall: f32,
    /// Everything that was priced, the chosen one included, cheapest first.
    pub alternatives: Vec<Alternative>,
}

/// The plan of a query: one entry a view, in the order in which they run (largest first).
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Records wanted.
    pub k: usize,
    /// How hard to look.
    pub effort: Effort,
    /// `(index of the view, its plan)`.
    pub segments: Vec<(usize, SegmentPlan)>,
    /// Approximate candidates that get an exact distance.
    pub rerank: usize,
}

/// Plans a query. `matching[i]` is the exact number of live rows of view `i` that match.
///
/// # Panics
///
/// If `matching` is not as long as `views`.
#[must_use]
pub fn plan(request: &Request<'_>, views: &[ViewStats], matching: &[u64], costs: &Costs) -> Plan {
    assert_eq!(views.len(), matching.len(), "one count of matching rows a view");
    let matching_total = matching.iter().fold(0u64, |sum, &m| sum.saturating_add(m));
    // Nothing below is sized by what is asked for but by what there is.
    let k = request.k.min(usize::try_from(matching_total).unwrap_or(usize::MAX));
    let aim = Aim::new(request, k);

    let mut segments: Vec<(usize, SegmentPlan)> = views
        .iter()
        .zip(matching)
        .map(|(view, &matching)| plan_view(&aim, view, matching, costs))
        .enumerate()
        .collect();
    segments.sort_by_key(|(index, segment)| (std::cmp::Reverse(segment.live), *index));
    let rerank = segments.iter().filter_map(|(_, segment)| segment.strategy.rerank());
    let rerank = rerank.fold(aim.rerank, usize::max);
    Plan { k: request.k, effort: request.effort, segments, rerank }
}

fn plan_view(aim: &Aim, view: &ViewStats, matching: u64, costs: &Costs) -> SegmentPlan {
    let costs = costs.scaled(view.dim);
    let priced = Priced { aim, stats: view, matching, costs: &costs };
    let mut alternatives = priced.alternatives();
    alternatives.sort_by(|a, b| a.cost_us.total_cmp(&b.cost_us));
    if aim.prefers_scans() && matching < u64::from(view.live) {
        reject_what_saves_little(&mut alternatives);
    }

    let cheapest = |index: bool| {
        alternatives
            .iter()
            .find(|a| a.rejected.is_none() && (index || !a.strategy.uses_index()))
            .expect("a full scan, or Empty, is never rejected")
    };
    let chosen = cheapest(true);
    let scan = cheapest(false);
    let (fallback, limits) = match chosen.strategy {
        Strategy::Graph { beam } | Strategy::GraphSweep { beam } => {
            (Some(scan.strategy), priced.limits(beam, chosen, scan))
        }
        Strategy::Clusters { .. } => (Some(scan.strategy), Limits::from(0)),
        _ => (None, Limits::from(0)),
    };
    SegmentPlan {
        kind: view.kind,
        live: view.live,
        matching,
        strategy: chosen.strategy,
        cost_us: chosen.cost_us,
        distances: chosen.distances,
        limits,
        fallback,
        recall: chosen.recall,
        alternatives,
    }
}

/// How many times the cost of a walk a scan may have and still be preferred under a filter; the same
/// for leaves.
///
/// A walk misses rows that lie between clusters now and then, however well it does on average (one
/// query in 500 found 6 of its 10 rows at a mean recall of 0.999); a scan does not.
const SCAN_COST_MAX: f64 = 4.0;

fn reject_what_saves_little(alternatives: &mut [Alternative]) {
    let admissible = |a: &&Alternative| a.rejected.is_none() && !a.strategy.uses_index();
    let Some(scan_us) = alternatives.iter().find(admissible).map(|scan| scan.cost_us) else {
        return;
    };
    for search in alternatives.iter_mut().filter(|a| a.strategy.uses_index()) {
        let is_cheaper = search.rejected.is_none() && search.cost_us < scan_us;
        if is_cheaper && scan_us <= search.cost_us * SCAN_COST_MAX {
            search.rejected = Some("saves too little for rows it may miss".to_owned());
        }
    }
}

impl Strategy {
    /// Whether a graph is walked, so that the distances it takes are not known beforehand.
    #[must_use]
    pub fn walks_graph(self) -> bool {
        matches!(self, Strategy::Graph { .. } | Strategy::GraphSweep { .. })
    }

    /// Whether an index is searched, so that rows may be missed; the others look at every row that
    /// matches.
    #[must_use]
    pub fn uses_index(self) -> bool {
        self.walks_graph() || matches!(self, Strategy::Clusters { .. })
    }

    /// The name in EXPLAIN's JSON: `scan_rows`, `graph_sweep` …
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Empty => "empty",
            Strategy::ScanRows => "scan_rows",
            Strategy::ScanSketches => "scan_sketches",
            Strategy::FullScan => "full_scan",
            Strategy::Graph { .. } => "graph",
            Strategy::GraphSweep { .. } => "graph_sweep",
            Strategy::Clusters { .. } => "clusters",
        }
    }

    /// How far a graph search looks, `None` for the others.
    #[must_use]
    pub fn beam(self) -> Option<Beam> {
        match self {
            Strategy::Graph { beam } | Strategy::GraphSweep { beam } => Some(beam),
            Strategy::Empty | Strategy::ScanRows | Strategy::ScanSketches | Strategy::FullScan => {
                None
            }
            Strategy::Clusters { .. } => None,
        }
    }

    /// Candidates kept by a graph search with a fixed beam, `None` for the others.
    #[must_use]
    pub fn ef(self) -> Option<usize> {
        self.beam().filter(Beam::is_fixed).map(|beam| beam.ef)
    }

    /// How much farther than the nearest an adaptive beam looks, as a part of their distance; `None`
    /// for the others.
    #[must_use]
    pub fn gamma(self) -> Option<f64> {
        let beam = self.beam().filter(|beam| !beam.is_fixed())?;
        Some(f64::from(beam.gamma.thousandths()) / 1e3)
    }

    /// Leaves read by a search of clusters, `None` for the others.
    #[must_use]
    pub fn probes(self) -> Option<usize> {
        match self {
            Strategy::Clusters { probes, .. } => Some(probes),
            _ => None,
        }
    }

    /// Candidates that this strategy wants reranked beyond what the request does, `None` for those
    /// that don't care.
    #[must_use]
    pub fn rerank(self) -> Option<usize> {
        match self {
            Strategy::Clusters { rerank, .. } => Some(rerank),
            _ => None,
        }
    }
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Strategy::Empty => f.write_str("Empty"),
            Strategy::ScanRows => f.write_str("ScanRows"),
            Strategy::ScanSketches => f.write_str("ScanSketches"),
            Strategy::FullScan => f.write_str("FullScan"),
            Strategy::Graph { beam } => write!(f, "Graph {beam}"),
            Strategy::GraphSweep { beam } => write!(f, "GraphSweep {beam}"),
            Strategy::Clusters { probes, rerank } => {
                write!(f, "Clusters probes={probes} rerank={rerank}")
            }
        }
    }
}
