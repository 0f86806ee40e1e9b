//! A query against sketches.

use super::TAIL_BYTES;
use super::head::Sketches;
use crate::CodeQuery;
use crate::codes::Measure;
use crate::kernels::{BIT_WEIGHT_MAX, Kernel, KernelChoice, WithKernel};

/// How many times its standard deviation an estimate may be off, before a row is given up that
/// ought to be looked at: one in 700 is farther off at one side, and only those at the edge of what
/// is kept are lost by it.
const DEVIATIONS: f32 = 3.0;
/// Rows whose bounds are computed together.
pub(super) const LANES: usize = 16;

/// A query prepared for estimates by sketches.
///
/// A *value* is what two codes are compared by, smaller the nearer: a squared distance, or a product
/// with the sign turned.
#[derive(Clone, Debug)]
pub struct SketchQuery {
    measure: Measure,
    bit_bytes: usize,
    /// The rotated query in whole steps, a weight a bit.
    weights: Vec<i8>,
    /// Sum of the weights.
    total: i32,
    /// What the product of a factor and a sum of signed weights is multiplied by.
    slope: f32,
    /// What all estimates have in common.
    base: f32,
    /// What the deviation of a row is multiplied by.
    spread: f32,
    /// Components of which the deviation is spread over, less one.
    freedom: f32,
}

impl Sketches {
    /// Prepares a query.
    #[must_use]
    pub fn query(&self, query: &CodeQuery) -> SketchQuery {
        KernelChoice::detected().run(Prepare { sketches: self, code: query.code() })
    }
}

struct Prepare<'a> {
    sketches: &'a Sketches,
    code: &'a [u8],
}

impl WithKernel for Prepare<'_> {
    type Output = SketchQuery;

    #[inline(always)]
    fn run<K: Kernel>(self, _kernel: K) -> SketchQuery {
        let Sketches { measure, dim, center, rotation, .. } = self.sketches;
        let pairs = || self.code.iter().zip(center);
        let mut rest: Vec<f32> = match measure {
            Measure::SquaredL2 => pairs().map(|(&q, &c)| f32::from(q) - f32::from(c)).collect(),
            Measure::Dot => pairs().map(|(&q, _)| f32::from(q) - 128.0).collect(),
        };
        let squared = rest.iter().map(|value| (value * value) as u64).sum::<u64>() as f32;
        let (base, product) = match measure {
            Measure::SquaredL2 => (squared, -2.0),
            Measure::Dot => {
                let with_center =
                    pairs().map(|(&q, &c)| (i64::from(q) - 128) * (i64::from(c) - 128));
                (-with_center.sum::<i64>() as f32, -1.0f32)
            }
        };
        rotation.apply(&mut rest);
        let largest = rest.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        let step = if largest > 0.0 { largest / f32::from(BIT_WEIGHT_MAX) } else { 1.0 };
        let bit_bytes = self.sketches.bit_bytes();
        let mut weights = vec![0i8; 8 * bit_bytes];
        for (weight, value) in weights.iter_mut().zip(&rest) {
            *weight = (value / step).round_ties_even() as i8;
        }
        SketchQuery {
            measure: *measure,
            bit_bytes,
            total: weights.iter().map(|&weight| i32::from(weight)).sum(),
            weights,
            slope: product * step,
            base,
            spread: DEVIATIONS * product.abs() * squared.sqrt(),
            freedom: dim.saturating_sub(1).max(1) as f32,
        }
    }
}

impl SketchQuery {
    /// The least values that rows may have. A sketch that is too short reads as a row of no length.
    #[inline(always)]
    pub(super) fn bounds<K: Kernel>(&self, kernel: K, sketches: &[&[u8]; LANES]) -> [f32; LANES] {
        let mut sums = [0i32; LANES];
        let mut squared = [0.0f32; LANES];
        let mut factors = [0.0f32; LANES];
        for (fours, first) in sketches.as_chunks::<4>().0.iter().zip((0..).step_by(4)) {
            let mut bits: [&[u8]; 4] = [&[]; 4];
            for (lane, (bits, sketch)) in bits.iter_mut().zip(fours).enumerate() {
                let (own_bits, tail) = sketch.split_at_checked(self.bit_bytes).unwrap_or_default();
                let tail: &[u8; TAIL_BYTES] = tail.first_chunk().unwrap_or(&[0; TAIL_BYTES]);
                let tail = u64::from_le_bytes(*tail);
                *bits = own_bits;
                squared[first + lane] = f32::from_bits(tail as u32);
                factors[first + lane] = f32::from_bits((tail >> 32) as u32);
            }
            sums[first..first + 4].copy_from_slice(&kernel.sums_where_set(bits, &self.weights));
        }
        let components = self.freedom + 1.0;
        let rows_norm = match self.measure {
            Measure::SquaredL2 => 1.0,
            Measure::Dot => 0.0,
        };
        let mut bounds = [0.0; LANES];
        for (lane, bound) in bounds.iter_mut().enumerate() {
            let (squared, factor) = (squared[lane], factors[lane]);
            // Set bits are +1, the others −1.
            let signed = (2 * sums[lane] - self.total) as f32;
            let estimate = self.base + rows_norm * squared + self.slope * factor * signed;
            let variance = (components * factor * factor - squared) / self.freedom;
            *bound = estimate - self.spread * variance.max(0.0).sqrt();
        }
        bounds
    }
}
