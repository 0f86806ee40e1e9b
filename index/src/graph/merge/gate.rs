//! Whether a merged graph is good enough to be kept.

use crate::{Calibration, EffortPoint};

/// Recall that a merged graph may be short of: this much,
const MARGIN: f32 = 0.01;
/// and this part of what the inputs miss. Both are measured on a few hundred probes, and a larger
/// graph finds a little less at the same `ef` however it is made.
const MISSES_PART: f32 = 0.5;

/// Where a merged graph finds less than its inputs did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shortfall {
    /// Candidates kept while searching.
    pub ef: u32,
    /// Measured recall of the merged graph.
    pub recall: f32,
    /// The recall it should have had at least.
    pub least: f32,
}

/// The `ef` at which a merged graph misses most of the recall that is expected of it, if there is
/// one: at least the mean of what its inputs (calibration and rows) were measured to do, less half
/// of their misses and 0.01.
#[must_use]
pub fn shortfall(merged: &Calibration, inputs: &[(&Calibration, u32)]) -> Option<Shortfall> {
    let measured = || inputs.iter().filter(|(input, _)| !input.by_ef.points.is_empty());
    let rows: f64 = measured().map(|&(_, rows)| f64::from(rows)).sum();
    if rows == 0.0 {
        return None;
    }
    let short = |point: &EffortPoint| {
        let sum: f64 = measured()
            .map(|(input, rows)| f64::from(*rows) * f64::from(input.by_ef.recall_at(point.effort)))
            .sum();
        let expected = (sum / rows) as f32;
        let least = expected - (1.0 - expected) * MISSES_PART - MARGIN;
        Shortfall { ef: point.effort, recall: point.recall, least }
    };
    merged
        .by_ef
        .points
        .iter()
        .map(short)
        .filter(|short| short.recall < short.least)
        .max_by(|a, b| (a.least - a.recall).total_cmp(&(b.least - b.recall)))
}
