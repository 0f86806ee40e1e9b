//! What each strategy would cost on one view.
//!
//! | strategy | distances | ns each |
//! |---|---|---|
//! | `ScanRows` | matching | code, between in-order (all rows) and random (few rows), or near (so few that they stay in the caches) |
//! | `ScanSketches` | those compared of as many rows, as measured | code, random; and for each matching row its sketch, as a code above |
//! | `FullScan` | matching | exact, the same |
//! | `Graph`, `GraphSweep` | D(ef / share of rows that may be collected, to a power), for an adaptive beam the ef that costs as much | graph step |
//! | `Clusters` | leaves, and D(probes) rows | leaf, cluster row |
//!
//! Rows of a memtable that have neither links nor codes yet (the tail) are looked at one by one on
//! full vectors, whatever the strategy; of those that have codes and no links a walk looks at the
//! codes.
//!
//! D is the segment's own measurement. A walk that may collect one row in ten has to see about
//! ten times as many before it has `ef` of them. That holds if the filter has nothing to do with
//! where the vectors lie; mostly it has, and walks are longer by [`ALIKE`]. One that begins where few
//! rows match, or goes on for longer than a scan would take, is ended by its [`Limits`].

use vecstore_index::{Beam, Calibration, Limits};

use super::aim::{Aim, Leaves, SCAN_RECALL};
use super::{Alternative, Strategy};
use crate::{Costs, ViewStats};

/// Bytes of rows that are taken to be in the caches next to a core where the same filter was asked
/// before.
const NEAR_BYTES: f64 = (512 << 10) as f64;

/// How many times as many codes as of rows chosen by chance a scan of sketches compares of rows that
/// match a filter: mostly they are alike, and lie close together (of five filters of WordNet three to
/// five times as many, of two as many).
const LOOKS_FILTERED: f64 = 3.0;

/// What it costs to look at a row.
struct RowCost {
    bytes: f64,
    in_order_ns: f64,
    random_ns: f64,
    near_ns: f64,
}

/// How much longer walks are because rows that match are mostly alike, so that few of them lie near
/// one query and many near the next: the share of rows that match counts to this power. Of the nearest
/// ten, a walk through WordNet meets 1.04 to 1.2 times as many rows where half match as where a half
/// chosen by chance does, 1.9 to 2.6 times as many where 12 % do, and 5 times as many at 4 %.
const ALIKE: f64 = 1.4;

/// A view whose strategies are priced. The costs are for its dimension.
pub(super) struct Priced<'a> {
    pub(super) aim: &'a Aim,
    pub(super) stats: &'a ViewStats,
    pub(super) matching: u64,
    pub(super) costs: &'a Costs,
}

impl Priced<'_> {
    /// Every strategy that the view could be searched with, admissible or not.
    pub(super) fn alternatives(&self) -> Vec<Alternative> {
        if self.matching == 0 {
            return vec![Alternative {
                strategy: Strategy::Empty,
                cost_us: 0.0,
                distances: 0,
                recall: 1.0,
                rejected: None,
            }];
        }
        let mut alternatives = vec![self.full_scan(), self.scan_rows(), self.graph()];
        alternatives.extend(self.scan_sketches());
        alternatives.extend(self.clusters());
        alternatives
    }

    /// When walking on is worse than scanning.
    ///
    /// Distances are at least half of what the scan costs, at most all of it, so that walk and scan
    /// together cost at most twice the scan; in between, a walk that takes more than twice its
    /// estimate has been misjudged. Of the rows near the query so many have to match that a walk
    /// among their like is expected to stay within that.
    pub(super) fn limits(&self, beam: Beam, walk: &Alternative, scan: &Alternative) -> Limits {
        let step_us = walk.cost_us / (walk.distances.max(1) as f64);
        let scan_distances = scan.cost_us / step_us.max(f64::MIN_POSITIVE);
        let estimate = walk.distances as f64;
        let distances_max =
            (2.0 * estimate).max(scan_distances / 2.0).min(scan_distances).max(1.0) as usize;
        let accepted_near_min = match &self.stats.graph {
            Some(graph) if self.filtered() => {
                let near = self.walked(graph, beam, self.share());
                let needed = Limits::NEAR_ROWS as f64 * self.share() * near / distances_max as f64;
                // None seen may be one that was missed.
                if needed <= 0.5 { 0 } else { needed.ceil() as usize }
            }
            _ => 0,
        };
        Limits { accepted_near_min, ..Limits::from(distances_max) }
    }

    /// Whether the filter leaves some live rows out.
    fn filtered(&self) -> bool {
        self.matching < u64::from(self.stats.live)
    }

    /// Share of the view's rows, dead ones included, that may be collected.
    fn share(&self) -> f64 {
        (self.matching as f64 / f64::from(self.stats.rows.max(1))).clamp(f64::MIN_POSITIVE, 1.0)
    }

    /// Nanoseconds to look at each matching row once. Rows that lie together are read in order;
    /// the fewer they are, the more each one is a jump. So few that they fit the caches next to a core
    /// are found there from the second query on.
    fn rows_ns(&self, cost: RowCost) -> f64 {
        let share = self.share();
        let far_ns = cost.in_order_ns * share + cost.random_ns * (1.0 - share);
        let near = (NEAR_BYTES / (self.matching as f64 * cost.bytes).max(1.0)).min(1.0);
        let row_ns = cost.near_ns * near + far_ns * (1.0 - near);
        let bitmap_ns = if self.has_bitmap() { self.costs.bitmap_row_ns } else { 0.0 };
        self.matching as f64 * (row_ns + bitmap_ns)
    }

    /// Whether rows come out of a bitmap: with a filter, or with dead rows.
    fn has_bitmap(&self) -> bool {
        self.matching < u64::from(self.stats.rows)
    }

    /// Share of the view's rows that some of them are.
    fn share_of(&self, rows: u32) -> f64 {
        (f64::from(rows) / f64::from(self.stats.rows.max(1))).clamp(0.0, 1.0)
    }

    /// Nanoseconds to look at the matching rows of the tail.
    fn tail_ns(&self) -> f64 {
        self.rows_ns(self.vector_cost()) * self.share_of(self.stats.tail)
    }

    /// Nanoseconds to look at the code of each matching row.
    fn codes_ns(&self) -> f64 {
        self.rows_ns(RowCost {
            bytes: self.stats.dim as f64,
            in_order_ns: self.costs.code_in_order_ns,
            random_ns: self.costs.code_random_ns,
            near_ns: self.costs.code_near_ns,
        })
    }

    fn vector_cost(&self) -> RowCost {
        RowCost {
            bytes: (size_of::<f32>() * self.stats.dim) as f64,
            in_order_ns: self.costs.exact_in_order_ns,
            random_ns: self.costs.exact_random_ns,
            near_ns: self.costs.exact_near_ns,
        }
    }

    fn rerank_ns(&self) -> f64 {
        (self.aim.rerank as f64).min(self.matching as f64) * self.costs.exact_random_ns
    }

    fn full_scan(&self) -> Alternative {
        let ns = self.rows_ns(self.vector_cost());
        Alternative {
            strategy: Strategy::FullScan,
            cost_us: ns / 1e3,
            distances: self.matching,
            recall: 1.0,
            rejected: None,
        }
    }

    fn scan_rows(&self) -> Alternative {
        let ns = self.codes_ns() * (1.0 - self.share_of(self.stats.tail)) + self.tail_ns();
        let (cost_us, rejected) = if self.stats.codes {
            ((ns + self.rerank_ns()) / 1e3, self.aim.rejects_codes())
        } else {
            (f64::INFINITY, Some("no codes".into()))
        };
        Alternative {
            strategy: Strategy::ScanRows,
            cost_us,
            distances: self.matching,
            recall: SCAN_RECALL,
            rejected,
        }
    }

    fn scan_sketches(&self) -> Option<Alternative> {
        let expected = self.stats.sketches?;
        let looks = expected.of(self.matching, self.aim.rerank);
        let looks = if self.filtered() { looks * LOOKS_FILTERED } else { looks };
        let looks = looks.min(self.matching as f64);
        let sketched_ns = self.rows_ns(RowCost {
            bytes: self.stats.dim as f64 / 8.0,
            in_order_ns: self.costs.sketch_in_order_ns,
            random_ns: self.costs.sketch_random_ns,
            near_ns: self.costs.sketch_near_ns,
        });
        let looks_ns = looks * self.costs.code_random_ns;
        let ns = self.costs.sketch_query_ns + sketched_ns + looks_ns + self.rerank_ns();
        Some(Alternative {
            strategy: Strategy::ScanSketches,
            cost_us: ns / 1e3,
            distances: looks as u64,
            recall: SCAN_RECALL,
            rejected: self.aim.rejects_codes(),
        })
    }

    fn clusters(&self) -> Option<Alternative> {
        let clusters = self.stats.clusters.as_ref()?;
        let (Leaves { probes, rerank, recall }, rejected) =
            match self.aim.probes(clusters, self.share(), self.filtered()) {
                Ok(leaves) => (leaves, None),
                Err((leaves, why)) => (leaves, Some(why)),
            };
        // More candidates than there are rows are never found.
        let rerank = rerank.min(self.stats.rows as usize);
        let leaves = f64::from(clusters.leaves);
        let distances = f64::from(clusters.calibration.by_probes.distances_at(probes as u32));
        let rows = (distances - leaves).clamp(0.0, f64::from(self.stats.rows));
        let row_set_ns =
            if self.has_bitmap() { self.matching as f64 * self.costs.row_set_row_ns } else { 0.0 };
        let reranked = (rerank as f64).min(self.matching as f64);
        let ns = leaves * self.costs.leaf_ns
            + rows * self.costs.cluster_row_ns
            + row_set_ns
            + reranked * self.costs.exact_random_ns;
        Some(Alternative {
            strategy: Strategy::Clusters { probes, rerank },
            cost_us: ns / 1e3,
            distances: (leaves + rows) as u64,
            recall,
            rejected,
        })
    }

    fn graph(&self) -> Alternative {
        let filtered = self.filtered();
        let strategy = |beam| {
            if filtered { Strategy::GraphSweep { beam } } else { Strategy::Graph { beam } }
        };
        let Some(graph) = &self.stats.graph else {
            let beam = self.aim.beam(&Calibration::default(), filtered);
            return Alternative {
                strategy: strategy(beam.unwrap_or_else(|(beam, _)| beam)),
                cost_us: f64::INFINITY,
                distances: 0,
                recall: 0.0,
                rejected: Some("no graph".into()),
            };
        };
        let (beam, rejected) = match self.aim.beam(graph, filtered) {
            Ok(beam) => (beam, None),
            Err((beam, why)) => (beam, Some(why)),
        };
        // No more can be kept than there are: ef may come from outside, and memory is made for it.
        let beam = beam.within(self.stats.rows as usize);
        let walked =
            self.walked(graph, beam, self.share().powf(if filtered { ALIKE } else { 1.0 }));
        let unlinked_share = self.share_of(self.stats.unlinked);
        let scanned_share = unlinked_share + self.share_of(self.stats.tail);
        let distances = walked + self.matching as f64 * scanned_share;
        let step_ns = if self.stats.coarse {
            self.costs.coarse_graph_step_ns()
        } else if self.stats.codes {
            self.costs.graph_step_ns
        } else {
            self.costs.full_graph_step_ns()
        };
        // A bitmap becomes a set that can be tested for every row the walk meets.
        let row_set_ns =
            if self.has_bitmap() { self.matching as f64 * self.costs.row_set_row_ns } else { 0.0 };
        let scanned_ns = self.codes_ns() * unlinked_share + self.tail_ns();
        let ns = walked * step_ns + scanned_ns + row_set_ns + self.rerank_ns();
        Alternative {
            strategy: strategy(beam),
            cost_us: ns / 1e3,
            distances: distances as u64,
            recall: self.aim.recall_at(graph, beam),
            rejected,
        }
    }

    /// Distances of a walk where `share` of the rows may be collected: as measured, but at least one
    /// for every row kept, whatever a calibration claims, and no more than there are rows.
    fn walked(&self, graph: &Calibration, beam: Beam, share: f64) -> f64 {
        let ef = self.aim.ef_as_costly_as(graph, beam) as f64 / share;
        let linked = self.stats.rows.saturating_sub(self.stats.unlinked + self.stats.tail);
        let measured = f64::from(graph.by_ef.distances_at(ef.ceil() as u32));
        measured.max(ef).min(f64::from(linked)).max(1.0)
    }
}
