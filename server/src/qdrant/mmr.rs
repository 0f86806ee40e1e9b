//! Maximal marginal relevance: hits that are near the vector and unlike each other.
//!
//! Carbonell & Goldstein 1998: the next hit is the one with the largest
//! `(1 - diversity) · similarity to the query − diversity · largest similarity to a chosen one`.

use serde_json::Value;
use vecstore::Metric;

use super::fields::Fields;
use crate::records::ShownRecord;
use crate::service::{Problem, Result};

/// How much the hits are to differ, and among how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mmr {
    diversity: f64,
    pub(super) candidates: Option<usize>,
}

/// Similarities that one request may have computed.
const SIMILARITIES_MAX: usize = 1 << 20;

impl Mmr {
    pub(super) fn read(value: Value, place: &str) -> Result<Self> {
        let mut fields = Fields::new(value, place)?;
        let diversity = fields.read::<f64>("diversity")?.unwrap_or(0.5);
        if !(0.0..=1.0).contains(&diversity) {
            let place = fields.place("diversity");
            let message = format!("{place}: {diversity} is not within 0 to 1");
            return Err(Problem::invalid(place, message));
        }
        let candidates = fields.read("candidates_limit")?;
        fields.finish()?;
        Ok(Mmr { diversity, candidates })
    }

    /// Refuses what would take too long.
    pub(super) fn check(&self, candidates: usize, wanted: usize) -> Result<()> {
        if candidates.saturating_mul(wanted) <= SIMILARITIES_MAX {
            return Ok(());
        }
        let message = format!(
            "mmr: {wanted} of {candidates} candidates are too many, use at most {SIMILARITIES_MAX} \
             of one times the other"
        );
        Err(Problem::invalid("query.mmr", message))
    }

    /// The `wanted` hits in the order they are chosen. `hits` come best first, with vectors.
    pub(super) fn choose(
        &self,
        hits: Vec<ShownRecord>,
        wanted: usize,
        metric: Metric,
    ) -> Vec<ShownRecord> {
        let vector = |hit: &ShownRecord| hit.vector.clone().unwrap_or_default();
        let vectors: Vec<Vec<f32>> = hits.iter().map(vector).collect();
        let relevance = |at: usize| match hits[at].nearness {
            Some((_, distance)) if metric == Metric::Euclidean => -f64::from(distance).powi(2),
            Some((score, _)) => score.into(),
            None => f64::MIN,
        };
        // Of each hit, the similarity to the chosen one that is most like it.
        let mut nearest = vec![f64::NEG_INFINITY; hits.len()];
        let mut pending: Vec<usize> = (0..hits.len()).collect();
        let mut chosen = Vec::with_capacity(wanted.min(hits.len()));
        while chosen.len() < wanted && !pending.is_empty() {
            let worth = |at: usize| match chosen.is_empty() {
                true => relevance(at),
                false => (1.0 - self.diversity) * relevance(at) - self.diversity * nearest[at],
            };
            let best = (0..pending.len())
                .reduce(|a, b| if worth(pending[b]) > worth(pending[a]) { b } else { a });
            let Some(best) = best else { break };
            let taken = pending.remove(best);
            chosen.push(taken);
            for &at in &pending {
                nearest[at] = nearest[at].max(similarity(metric, &vectors[at], &vectors[taken]));
            }
        }
        let mut hits: Vec<Option<ShownRecord>> = hits.into_iter().map(Some).collect();
        chosen.into_iter().filter_map(|at| hits[at].take()).collect()
    }
}

/// Higher is nearer; of distances the square, as Qdrant has it.
fn similarity(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
    };
    match metric {
        Metric::Euclidean => -a.iter().zip(b).map(|(&x, &y)| f64::from(x - y).powi(2)).sum::<f64>(),
        Metric::Cosine => {
            let norms = (dot(a, a) * dot(b, b)).sqrt();
            if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
        }
        _ => dot(a, b),
    }
}
