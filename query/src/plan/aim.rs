//! What a request asks of every view: how many rows, at which recall, and what that means for the
//! beam in a measured graph and the leaves of measured clusters.

use vecstore_index::{Beam, Calibration, MeasuredEffort};

use crate::{ClusterStats, Effort, Request};

/// Recall that the default effort aims for. Segments are measured on vectors of their own, and a
/// real query is harder than those, so this lies above the floor.
const AUTO_RECALL: f32 = 0.99;
/// Recall below which the default effort does not use a graph at all.
const AUTO_RECALL_MIN: f32 = 0.95;
/// Recall that the default effort aims for under a filter, where every single answer has to be
/// right and not only most of them: a scan, which misses nothing, is never far away in cost. At
/// 0.98 a query between two clusters still missed half of its rows.
const AUTO_FILTERED_RECALL: f32 = 0.998;
/// Recall below which the default effort does not use a graph under a filter.
const AUTO_FILTERED_RECALL_MIN: f32 = 0.98;
/// How many times as many rows an adaptive beam keeps at most as the fixed one that costs as much.
/// One query in a hundred has hundreds of rows within reach, and would take ten times as long as the
/// others to find little more (NOTES of the benches).
const ADAPTIVE_EF_FACTOR: usize = 2;
/// `ef` of a graph that was not measured.
const EF_UNMEASURED: u32 = 64;
/// Smallest `ef` of the default effort, where the beam is a fixed one.
const AUTO_EF_MIN: usize = 64;
/// Neighbours that a calibration's recall is about.
const MEASURED_K: f32 = 10.0;
/// Recall of a scan over 8-bit codes whose best are reranked on full vectors: what quantisation
/// can cost when the right row is not even among the reranked. Held by the tests.
pub(super) const SCAN_RECALL: f32 = 0.999;

/// Recall up to which fewer candidates are reranked: what a scan over codes has with those is far
/// above it.
const SHALLOW_RECALL: f32 = 0.9;

/// Why an index is no answer to a request for an exact one.
const EXACT: &str = "exact: every matching row is compared on full vectors";

/// How clusters are searched.
pub(super) struct Leaves {
    /// Leaves read.
    pub(super) probes: usize,
    /// Candidates reranked.
    pub(super) rerank: usize,
    /// The recall expected.
    pub(super) recall: f32,
}

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
            Effort::Recall(recall) if recall <= SHALLOW_RECALL => {
                k.saturating_add(k / 4).max(k + 4)
            }
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
            Effort::Exact => Some(EXACT.into()),
            Effort::Recall(recall) if recall > SCAN_RECALL => {
                Some(format!("recall of codes is {SCAN_RECALL}, wanted {recall}"))
            }
            _ => None,
        }
    }

    /// How far to look, or why this graph can't keep the promise. `filtered` if some live rows must
    /// not be collected.
    pub(super) fn beam(&self, graph: &Calibration, filtered: bool) -> Result<Beam, (Beam, String)> {
        let (wanted, floor) = match self.wanted(filtered) {
            Ok(recalls) => recalls,
            Err(Some(ef)) => return Ok(Beam::fixed(ef.max(self.k).max(1))),
            Err(None) => return Err((Beam::fixed(self.k.max(1)), EXACT.into())),
        };
        let effort = graph.effort_for_recall(wanted).or_else(|| graph.best_effort());
        let beam = self.beam_of(effort.unwrap_or(MeasuredEffort::Ef(EF_UNMEASURED)));
        // Under a filter every single answer has to be right.
        let beam = if filtered {
            beam
        } else {
            let costly = self.ef_as_costly_as(graph, beam);
            beam.at_most(costly.saturating_mul(ADAPTIVE_EF_FACTOR))
        };
        if graph.is_empty() {
            return Err((beam, "the graph was not measured".into()));
        }
        let best = graph.best_recall();
        if best < floor {
            return Err((beam, format!("measured recall at most {best:.3}, wanted {floor}")));
        }
        Ok(beam)
    }

    /// What was measured for the 10 nearest, carried over to k. An adaptive beam goes by the k-th
    /// distance as it is; of less than 10 rows the last may stand out by chance.
    fn beam_of(&self, effort: MeasuredEffort) -> Beam {
        match effort {
            MeasuredEffort::Gamma(gamma) => Beam::adaptive(self.k.max(MEASURED_K as usize), gamma),
            MeasuredEffort::Ef(ef) => {
                let ef_min = match self.effort {
                    Effort::Auto => AUTO_EF_MIN.max(self.k.saturating_mul(2)),
                    _ => 1,
                };
                Beam::fixed(self.ef_for_k(ef).max(ef_min))
            }
        }
    }

    /// The recall to aim for, and the one below which an index is not used. Otherwise the `ef` that
    /// was asked for, or `None` for an exact answer.
    fn wanted(&self, filtered: bool) -> Result<(f32, f32), Option<usize>> {
        match (self.effort, filtered) {
            (Effort::Exact, _) => Err(None),
            (Effort::Ef(ef), _) => Err(Some(ef)),
            (Effort::Recall(recall), _) => Ok((recall, recall)),
            (Effort::Auto, false) => Ok((AUTO_RECALL, AUTO_RECALL_MIN)),
            (Effort::Auto, true) => Ok((AUTO_FILTERED_RECALL, AUTO_FILTERED_RECALL_MIN)),
        }
    }

    /// Leaves to read and candidates to rerank, or why these clusters can't keep the promise.
    /// `share` of the rows may be collected. An `ef` that was asked for is the number of leaves: it
    /// too trades time for recall, and is about as large.
    pub(super) fn probes(
        &self,
        clusters: &ClusterStats,
        share: f64,
        filtered: bool,
    ) -> Result<Leaves, (Leaves, String)> {
        let measured = &clusters.calibration.by_probes;
        let leaves = |probes: u32| self.leaves(clusters, probes, share, filtered);
        let (wanted, floor) = match self.wanted(filtered) {
            Ok(recalls) => recalls,
            Err(Some(ef)) => {
                let probes = u32::try_from(ef).unwrap_or(u32::MAX).clamp(1, clusters.leaves.max(1));
                let rerank = self.reranked(clusters, probes, filtered);
                let recall = measured.recall_at(probes);
                return Ok(Leaves { probes: probes as usize, rerank, recall });
            }
            Err(None) => return Err((leaves(1), EXACT.into())),
        };
        let best = measured.best();
        let probes = measured.effort_for_recall(wanted).or(best.map(|best| best.effort));
        let chosen = leaves(probes.unwrap_or(1));
        match best {
            None => Err((chosen, "the clusters were not measured".into())),
            Some(best) if best.recall < floor => Err((
                chosen,
                format!(
                    "measured recall {:.3} of {} leaves, wanted {floor}",
                    best.recall, best.effort
                ),
            )),
            Some(_) => Ok(chosen),
        }
    }

    /// What was measured for the 10 nearest of all rows, carried over to the k nearest of the
    /// `share` that may be collected: those are as far as the nearest `k / share`, which lie in more
    /// leaves, though not in so many times as many.
    fn leaves(&self, clusters: &ClusterStats, measured: u32, share: f64, filtered: bool) -> Leaves {
        let farther = self.k as f64 / share / f64::from(MEASURED_K);
        let probes = (f64::from(measured) * farther.max(1.0).sqrt()).ceil() as usize;
        Leaves {
            probes: probes.min(clusters.leaves as usize).max(1),
            rerank: self.reranked(clusters, measured, filtered),
            recall: clusters.calibration.by_probes.recall_at(measured),
        }
    }

    /// Candidates to rerank: as measured for the 10 nearest, and more for more; twice as many under a
    /// filter, as rows just beyond those that it leaves out lie closer together than those around a
    /// query.
    fn reranked(&self, clusters: &ClusterStats, probes: u32, filtered: bool) -> usize {
        let measured = clusters.calibration.reranked_at(probes);
        let reranked = self.ef_for_k(measured).max(self.rerank);
        if filtered { reranked.saturating_mul(2) } else { reranked }
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

    /// The recall expected of a beam; undoes [`ef_for_k`](Self::ef_for_k).
    pub(super) fn recall_at(&self, graph: &Calibration, beam: Beam) -> f32 {
        if !beam.is_fixed() {
            return graph.recall_at(MeasuredEffort::Gamma(beam.gamma));
        }
        let (k, ef) = (self.k as f32, beam.ef as f32);
        let measured_ef = if k <= MEASURED_K {
            ef
        } else {
            MEASURED_K + (ef - k).max(0.0) / (k / MEASURED_K).sqrt()
        };
        graph.recall_at(MeasuredEffort::Ef(measured_ef.round() as u32))
    }

    /// The `ef` of a fixed beam that costs as much.
    pub(super) fn ef_as_costly_as(&self, graph: &Calibration, beam: Beam) -> usize {
        if beam.is_fixed() {
            return beam.ef;
        }
        self.ef_for_k(graph.ef_as_costly_as(MeasuredEffort::Gamma(beam.gamma)))
    }
}
