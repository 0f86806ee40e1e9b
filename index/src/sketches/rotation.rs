//! A random rotation, so that no component says more than another.

use crate::hash::hash;

/// Seed of the signs: every segment is rotated alike.
const SEED: u64 = 0x5EED_0F51_6E5D_0001;
/// How often signs are flipped and components mixed.
const ROUNDS: usize = 3;

/// Random signs and Walsh–Hadamard transforms in turns (Ailon & Chazelle, "Approximate nearest
/// neighbors and the fast Johnson–Lindenstrauss transform", STOC 2006).
///
/// A dimension that is no power of two is covered by two transforms that overlap. The result is the
/// same on every processor: sums are made in one order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rotation {
    dim: usize,
    /// Components of a transform: the largest power of two within the dimension.
    block: usize,
    /// 1 or −1, `dim` of them a round.
    signs: Vec<f32>,
}

impl Rotation {
    pub(super) fn heap_bytes(&self) -> usize {
        self.signs.capacity() * size_of::<f32>()
    }

    pub(super) fn new(dim: usize) -> Self {
        let block = if dim == 0 { 0 } else { 1 << dim.ilog2() };
        let sign = |number: usize| if hash(SEED, number as u32) & 1 == 0 { 1.0 } else { -1.0 };
        Rotation { dim, block, signs: (0..ROUNDS * dim).map(sign).collect() }
    }

    /// Rotates a vector of `dim` components.
    #[inline(always)]
    pub(super) fn apply(&self, vector: &mut [f32]) {
        if self.block < 2 {
            return;
        }
        let scale = 1.0 / (self.block as f32).sqrt();
        for signs in self.signs.chunks_exact(self.dim) {
            vector.iter_mut().zip(signs).for_each(|(value, sign)| *value *= sign);
            transform(&mut vector[..self.block], scale);
            if self.block < self.dim {
                transform(&mut vector[self.dim - self.block..], scale);
            }
        }
    }
}

/// Values that are transformed among themselves, in registers.
const LANES: usize = 16;

/// The Walsh–Hadamard transform of a power of two, times `scale`.
#[inline(always)]
fn transform(values: &mut [f32], scale: f32) {
    let mut half = values.len() / 2;
    while half >= LANES {
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half /= 2;
    }
    let (lanes, rest) = values.as_chunks_mut::<LANES>();
    for lanes in lanes {
        let sums = butterfly::<1>(butterfly::<2>(butterfly::<4>(butterfly::<8>(*lanes))));
        *lanes = sums.map(|sum| sum * scale);
    }
    // Only where all of it is shorter.
    while half > 0 {
        for pair in rest.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half /= 2;
    }
    rest.iter_mut().for_each(|value| *value *= scale);
}

/// Sums and differences of values that are `HALF` apart.
#[inline(always)]
fn butterfly<const HALF: usize>(values: [f32; LANES]) -> [f32; LANES] {
    std::array::from_fn(|lane| {
        let other = values[lane ^ HALF];
        if lane & HALF == 0 { values[lane] + other } else { other - values[lane] }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_lengths_and_products_and_spreads_a_single_component() {
        for dim in [1, 2, 3, 64, 100, 128, 384, 1000] {
            let rotation = Rotation::new(dim);
            let mut a: Vec<f32> = (0..dim).map(|i| ((i * 37 + 11) % 101) as f32 - 50.0).collect();
            let mut b = vec![0.0f32; dim];
            b[dim / 2] = 10.0;
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
            };
            let before = (dot(&a, &a), dot(&a, &b));
            rotation.apply(&mut a);
            rotation.apply(&mut b);
            assert!((dot(&a, &a) / before.0 - 1.0).abs() < 1e-5, "{dim}");
            assert!((dot(&a, &b) - before.1).abs() < 1e-3 * before.0.max(1.0), "{dim}");
            if dim >= 64 {
                let largest = b.iter().fold(0.0f32, |largest, b| largest.max(b.abs()));
                assert!(largest < 50.0 / (dim as f32).sqrt(), "{dim}: {largest}");
            }
        }
    }
}
