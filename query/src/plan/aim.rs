//! What a request asks of every view: how many rows, at which recall, and what that means for the
//! `ef` of a measured graph.

use vecstore_index::Calibration;

use crate::{Effort, Request};

/// Recall that the default effort aims for. Segments are measured on vectors of their own, and a
/// real query is harder than those, so this lies above the floor.
const AUTO_RECALL: f32 = 0.98;
/// Recall below which the default effort does not use a graph at all.
const AUTO_RECALL_MIN: f32 = 0.95;
/// Recall that the default effort aims for under a filter, where every single answer has to be
/// right and not only most of them: a scan, which misses nothing, is never far away in cost. At
/// 0.98 a query between two clusters still missed half of its rows.
const AUTO_FILTERED_RECALL: f32 = 0.998;
/// Recall below which the default effort does not use a graph under a filter.
const AUTO_FILTERED_RECALL_MIN: f32 = 0.98;
/// Smallest `ef` of the default effort.
const AUTO_EF_MIN: usize = 64;
/// Neighbours that a calibration's recall is about.
const MEASURED_K: f32 = 10.0;
/// Recall of a scan over 8-bit codes whose best are reranked on full vectors: what quantisation
/// can cost when the right row is not even among the reranked. Held by the tests.
pub(super) const SCAN_RECALL: f32 = 0.999;

/// The request as the pricing of a view reads it.
pub(super) struct Aim {
    effort: Effort,
    /// Records wanted, no more than match.
    k: usize,
    /// Approximate candidates that get an exact distance.
    pub(super) rerank: usize,
}

impl Aim {
    /// `k` is what the request wants, bounded by what matches.
    pub(super) fn new(request: &Request<'_>, k: usize) -> Self {
        let effort = match request.effort {
            Effort::Recall(recall) if recall < 1.0 => Effort::Recall(recall),
            Effort::Recall(_) => Effort::Exact,
            effort => effort,
        };
        let depth = match effort {
            Effort::Recall(recall) if recall > 0.99 => (k.saturating_mul(4)).max(k + 32),
            _ => (k.saturating_mul(2)).max(k + 16),
        };
        Aim { effort, k, rerank: depth }
    }

    /// Whether a scan that costs a little more than a walk is worth it: where nothing was asked for
    /// that a walk is known to give.
    pub(super) fn prefers_scans(&self) -> bool {
        self.effort == Effort::Auto
    }

    /// Why the code scan can't keep the promise, if so.
    pub(super) fn rejects_codes(&self) -> Option<String> {
        match self.effort {
            Effort::Exact => Some("exact: every matching row is compared on full vectors".into()),
            Effort::Recall(recall) if recall > SCAN_RECALL => {
                Some(format!("recall of codes is {SCAN_RECALL}, wanted {recall}"))
            }
            _ => None,
        }
    }

    /// The `ef` to search with, or why this graph can't keep the promise. `filtered` if some live
    /// rows must not be collected.
    pub(super) fn ef(&self, graph: &Calibration, filtered: bool) -> Result<usize, (usize, String)> {
        let (wanted, floor, ef_min) = match self.effort {
            Effort::Exact => {
                let ef = self.k.max(1);
                return Err((ef, "exact: every matching row is compared on full vectors".into()));
            }
            Effort::Ef(ef) => return Ok(ef.max(self.k).max(1)),
            Effort::Recall(recall) => (recall, recall, 1),
            Effort::Auto => {
                let ef_min = AUTO_EF_MIN.max(self.k.saturating_mul(2));
                match filtered {
                    false => (AUTO_RECALL, AUTO_RECALL_MIN, ef_min),
                    true => (AUTO_FILTERED_RECALL, AUTO_FILTERED_RECALL_MIN, ef_min),
                }
            }
        };
        let ef = self.ef_for_k(graph.ef_for_recall(wanted)).max(ef_min);
        let best = graph.points.iter().max_by(|a, b| a.recall.total_cmp(&b.recall));
        match best {
            None => Err((ef, "the graph was not measured".into())),
            Some(best) if best.recall < floor => Err((
                ef,
                format!("measured recall {:.3} at ef {}, wanted {floor}", best.recall, best.ef),
            )),
            Some(_) => Ok(ef),
        }
    }

    /// What was measured for the 10 nearest, carried over to k: the candidates beyond k that keep
    /// the walk from ending early have to grow, but less than k does.
    fn ef_for_k(&self, ef: u32) -> usize {
        let (k, ef) = (self.k as f32, ef as f32);
        if k <= MEASURED_K {
            return (ef as usize).max(self.k).max(1);
        }
        let spare = (ef - MEASURED_K).max(0.0) * (k / MEASURED_K).sqrt();
        self.k + spare.ceil() as usize
    }

    /// The recall expected at `ef`; undoes [`ef_for_k`](Self::ef_for_k).
    pub(super) fn recall_at(&self, graph: &Calibration, ef: usize) -> f32 {
        let k = self.k as f32;
        let measured_ef = if k <= MEASURED_K {
            ef as f32
        } else {
            MEASURED_K + (ef as f32 - k).max(0.0) / (k / MEASURED_K).sqrt()
        };
        graph.recall_at(measured_ef.round() as u32)
    }
}
