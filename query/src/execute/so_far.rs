//! What the views searched before say to the next one.

use vecstore_index::Beam;

use super::search::Searched;
use crate::{Plan, Strategy};

/// By how many times as many rows as are wanted, found in the views before, an adaptive beam measures
/// its reach. By the last one wanted itself it stops too soon where few rows are as near: in four
/// segments of WordNet recall was 0.9940 then, not 0.9946, in no less time.
const TIMES: usize = 2;

/// The distances of the nearest rows found so far: a later view need not look for any farther ones.
pub(super) struct SoFar {
    /// Ascending.
    distances: Vec<f32>,
    keep: usize,
}

impl SoFar {
    /// Nothing is known.
    pub(super) const NOTHING: SoFar = SoFar { distances: Vec::new(), keep: 0 };

    /// As many as the walks of a plan can make use of.
    pub(super) fn for_plan(plan: &Plan) -> Self {
        let beams = plan.segments.iter().skip(1).filter_map(|(_, view)| view.strategy.beam());
        let wanted = beams.filter(|beam| !beam.is_fixed()).map(|beam| beam.nearest).max();
        SoFar { distances: Vec::new(), keep: wanted.unwrap_or(0).saturating_mul(TIMES) }
    }

    /// Takes in what a view gave.
    pub(super) fn add(&mut self, searched: &Searched) {
        // Four bits say too little.
        if self.keep == 0 || matches!(searched.ran, Strategy::Clusters { .. }) {
            return;
        }
        self.distances.extend(searched.candidates.iter().map(|found| found.distance));
        self.distances.sort_unstable_by(f32::total_cmp);
        self.distances.truncate(self.keep);
    }

    /// The distance that a walk is told its rows were found within; infinite if there are too few.
    pub(super) fn within(&self, beam: Beam) -> f32 {
        let last = beam.nearest.saturating_mul(TIMES).checked_sub(1);
        last.and_then(|last| self.distances.get(last)).copied().unwrap_or(f32::INFINITY)
    }
}
