//! Codes of four bits a component, with a range for each component.

use super::block::{BlockShape, LINE_COMPONENTS};
use crate::Metric;

/// Largest code.
const CODE_MAX: f32 = 15.0;
/// Fraction of a component's values that may fall outside of its range at each end: with sixteen
/// steps, finer ones for nearly all values gain more than the few at the ends lose.
const TAIL: f64 = 0.01;
/// Vectors that ranges are fitted to.
const FITTED_ROWS_MAX: usize = 8_192;

/// `value ≈ low + step * code` with `code` in `0..=15`, for each component on its own.
///
/// Vectors are coded as [`prepared`](super::leaves::prepare) for their metric.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ranges {
    pub(super) low: Vec<f32>,
    pub(super) step: Vec<f32>,
}

/// A query as the comparison with codes wants it.
///
/// The *score* of a row is `unit * Σ weight * code − correction`, larger is nearer.
#[derive(Clone, Debug, Default)]
pub(super) struct NibbleQuery {
    /// A weight a component, in the order of a line's nibbles; zeros fill the last line.
    pub(super) weights: Vec<[i8; LINE_COMPONENTS]>,
    /// What one unit of the integer sum stands for.
    pub(super) unit: f32,
    /// What turns a score into a distance; the same for all rows.
    base: f64,
}

impl Ranges {
    /// Fits a range to each component of prepared vectors, back to back.
    pub(super) fn fit(dim: usize, vectors: &[f32]) -> Self {
        let rows = vectors.len() / dim;
        let every = rows.div_ceil(FITTED_ROWS_MAX).max(1);
        let (mut low, mut step) = (Vec::with_capacity(dim), Vec::with_capacity(dim));
        let mut values = Vec::with_capacity(rows / every + 1);
        for component in 0..dim {
            values.clear();
            values.extend(vectors.chunks_exact(dim).step_by(every).map(|vector| vector[component]));
            let (from, to) = inner_range(&mut values);
            low.push(from.clamp(f32::MIN, f32::MAX));
            let width = (f64::from(to) - f64::from(from)) / f64::from(CODE_MAX);
            step.push((width as f32).clamp(f32::MIN_POSITIVE, f32::MAX));
        }
        Ranges { low, step }
    }

    /// Writes the code of a prepared vector into a lane of a block that was zero there.
    pub(super) fn encode(&self, shape: BlockShape, vector: &[f32], block: &mut [u8], lane: usize) {
        let mut squared = 0.0f64;
        for (component, &value) in vector.iter().enumerate().take(self.low.len()) {
            let (low, step) = (f64::from(self.low[component]), f64::from(self.step[component]));
            // In f64, so that no finite value overflows. The cast saturates and rounds down.
            let code = ((f64::from(value) - low) / step + 0.5) as u8;
            let code = code.min(CODE_MAX as u8);
            shape.put_code(block, lane, component, code);
            squared += (step * f64::from(code)).powi(2);
        }
        shape.put_correction(block, lane, (squared / 2.0).min(f64::from(f32::MAX)) as f32);
    }

    /// Prepares a prepared vector as a query.
    pub(super) fn query(&self, metric: Metric, vector: &[f32], query: &mut NibbleQuery) {
        let components = || {
            vector
                .iter()
                .zip(self.low.iter().zip(&self.step))
                .map(|(&value, (&low, &step))| (f64::from(value), f64::from(low), f64::from(step)))
        };
        // Rows are taken relative to `low`: what is left then is as large as the data are wide,
        // wherever they lie.
        let weights = components().map(|(value, low, step)| match metric {
            Metric::Cosine | Metric::Dot => value * step,
            Metric::Euclidean => (value - low) * step,
        });
        query.base = match metric {
            Metric::Cosine | Metric::Dot => components().map(|(value, low, _)| value * low).sum(),
            Metric::Euclidean => components().map(|(value, low, _)| (value - low).powi(2)).sum(),
        };
        let largest = weights.clone().fold(0.0f64, |largest, weight| largest.max(weight.abs()));
        let scale = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        query.unit = (largest / 127.0).min(f64::from(f32::MAX)) as f32;
        query.weights.clear();
        query.weights.resize(self.low.len().div_ceil(LINE_COMPONENTS), [0; LINE_COMPONENTS]);
        let places = query.weights.as_flattened_mut();
        for (place, weight) in places.iter_mut().zip(weights) {
            *place = (weight * scale).round() as i8;
        }
    }
}

impl NibbleQuery {
    /// The distance that a score stands for, in the metric's own unit; falls as the score rises.
    pub(super) fn distance(&self, metric: Metric, score: f32) -> f32 {
        let score = f64::from(score);
        (match metric {
            Metric::Cosine => (1.0 - (self.base + score)).clamp(0.0, 2.0),
            Metric::Dot => -(self.base + score),
            Metric::Euclidean => (self.base - 2.0 * score).max(0.0).sqrt(),
        }) as f32
    }
}

/// The range of values without the tails; `0..1` where there are none.
fn inner_range(values: &mut [f32]) -> (f32, f32) {
    let Some(last) = values.len().checked_sub(1) else { return (0.0, 1.0) };
    let outside = (values.len() as f64 * TAIL) as usize;
    let from = *values.select_nth_unstable_by(outside, f32::total_cmp).1;
    let to = *values.select_nth_unstable_by(last - outside, f32::total_cmp).1;
    (from, to)
}
