//! What is made anew as the graph grows: the layers above, and what it was measured to do.

use super::super::{Calibration, UpperLayers};
use crate::{Curve, EffortPoint};

/// A graph is measured again when it has so many times the rows.
const GROWTH: f32 = 1.5;

/// The graph at some number of rows.
#[derive(Debug)]
pub(super) struct Stage {
    rows: u32,
    upper: UpperLayers,
    calibration: Calibration,
}

impl Stage {
    pub(super) fn new(rows: u32, upper: UpperLayers, calibration: Calibration) -> Self {
        Stage { rows, upper, calibration }
    }

    pub(super) fn upper(&self) -> &UpperLayers {
        &self.upper
    }

    pub(super) fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Rows at which the next stage is due.
    pub(super) fn next(&self) -> u32 {
        (self.rows as f32 * GROWTH) as u32
    }

    /// What is to be expected with more rows than were measured.
    ///
    /// The more rows, the more is missed at the same effort. A square root of the growth is on the
    /// safe side: the tests ask for recall just before a graph is measured again. Distances, which
    /// only price a plan, grow little.
    pub(super) fn calibration_for(&self, rows: u32) -> Calibration {
        let growth = (rows as f32 / self.rows.max(1) as f32).max(1.0);
        let grown = |point: &EffortPoint| EffortPoint {
            effort: point.effort,
            recall: 1.0 - ((1.0 - point.recall) * growth.sqrt()).min(1.0),
            distances: point.distances * growth.powf(0.25),
        };
        let curve = |curve: &Curve| Curve { points: curve.points.iter().map(grown).collect() };
        let Calibration { by_ef, by_gamma } = &self.calibration;
        Calibration { by_ef: curve(by_ef), by_gamma: curve(by_gamma) }
    }
}
