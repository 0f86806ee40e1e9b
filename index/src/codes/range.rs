//! The range of components that codes are spread over.

/// Fractions of the sample that may fall outside of the range at each end.
///
/// A few wild values must not widen the range for all others (so never 0), but a component that is
/// large in every vector must not be cut off (so the error decides).
const TAILS: [f64; 2] = [1e-4, 1e-3];

/// Half the width of the range where a sample says nothing.
const HALF_WIDTH_DEFAULT: f64 = 1.0;

/// `value ≈ low + code * step` with `code` in `0..=255`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) low: f32,
    pub(super) step: f32,
}

impl Range {
    /// From `low` to `high`.
    fn between(low: f64, high: f64) -> Self {
        let low = low.max(f64::from(f32::MIN));
        Range { low: low as f32, step: positive((high - low) / 255.0) }
    }

    /// From about `-bound` to `bound`, with 0 exactly at code 128.
    pub(super) fn symmetric(bound: f64) -> Self {
        // Not so large that the low end is no number.
        let step = positive(bound / 127.0).min(f32::MAX / 128.0);
        Range { low: -128.0 * step, step }
    }

    /// Which code would stand for 0.
    pub(super) fn zero(self) -> f64 {
        -f64::from(self.low) / f64::from(self.step)
    }

    /// What gives codes of values that are multiplied by `scale`.
    pub(super) fn coder(self, scale: f64) -> Coder {
        Coder { scale, low: f64::from(self.low), steps: 1.0 / f64::from(self.step) }
    }

    fn squared_error(self, values: &[f32]) -> f64 {
        let coder = self.coder(1.0);
        values
            .iter()
            .map(|&value| {
                let code = coder.code(value);
                let back = f64::from(self.low) + f64::from(self.step) * f64::from(code);
                (f64::from(value) - back).powi(2)
            })
            .sum()
    }

    /// The range with the least squared error on `values`, which are reordered.
    pub(super) fn fit(values: &mut Vec<f32>) -> Self {
        values.retain(|value| value.is_finite());
        values.sort_unstable_by(f32::total_cmp);
        let (Some(&first), Some(&last)) = (values.first(), values.last()) else {
            return Range::between(-HALF_WIDTH_DEFAULT, HALF_WIDTH_DEFAULT);
        };
        if first == last {
            let (middle, half_width) = (f64::from(first), f64::from(first.abs()).max(1.0));
            return Range::between(middle - half_width, middle + half_width);
        }
        let candidates = TAILS.map(|tail| {
            let outside = (values.len() as f64 * tail) as usize;
            let (low, high) = (values[outside], values[values.len() - 1 - outside]);
            // A sample that is constant but for a few values keeps all of them.
            let (low, high) = if low == high { (first, last) } else { (low, high) };
            Range::between(f64::from(low), f64::from(high))
        });
        least_error(candidates, values)
    }

    /// As [`fit`](Range::fit), but symmetric around 0.
    pub(super) fn fit_symmetric(values: &mut Vec<f32>) -> Self {
        values.retain(|value| value.is_finite());
        values.sort_unstable_by(|a, b| f32::total_cmp(&a.abs(), &b.abs()));
        let Some(&last) = values.last() else {
            return Range::symmetric(HALF_WIDTH_DEFAULT);
        };
        if last == 0.0 {
            return Range::symmetric(HALF_WIDTH_DEFAULT);
        }
        let candidates = TAILS.map(|tail| {
            let outside = (values.len() as f64 * tail * 2.0) as usize;
            let bound = values[values.len() - 1 - outside].abs();
            Range::symmetric(f64::from(if bound == 0.0 { last.abs() } else { bound }))
        });
        least_error(candidates, values)
    }
}

/// From values to codes, without a division for each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coder {
    scale: f64,
    low: f64,
    /// Steps in a unit.
    steps: f64,
}

impl Coder {
    /// The code of a value; what lies outside of the range gets its end.
    #[inline(always)]
    pub(super) fn code(self, value: f32) -> u8 {
        // In f64, so that no finite vector overflows. The cast saturates and rounds down.
        ((f64::from(value) * self.scale - self.low) * self.steps + 0.5) as u8
    }
}

fn least_error(candidates: [Range; TAILS.len()], values: &[f32]) -> Range {
    let mut best = candidates[0];
    let mut best_error = best.squared_error(values);
    for candidate in &candidates[1..] {
        let error = candidate.squared_error(values);
        if error < best_error {
            (best, best_error) = (*candidate, error);
        }
    }
    best
}

/// `step` as a positive `f32`, however small or large it is.
fn positive(step: f64) -> f32 {
    (step as f32).clamp(f32::MIN_POSITIVE, f32::MAX)
}
