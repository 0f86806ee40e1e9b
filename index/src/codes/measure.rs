//! How two codes are compared, as one integer that sorts nearest first.

use crate::Metric;
use crate::kernels::Kernel;

/// Which integer compares two codes.
///
/// A *key* is a `u32` that is smaller the nearer two codes are. It is exact, so that orders and
/// graphs are the same on every processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// `Σ (a − b)²`, for cosine (of unit vectors) and Euclidean.
    SquaredL2,
    /// `Σ (a − 128)(b − 128)`, larger is nearer.
    Dot,
}

impl Measure {
    pub(crate) fn of(metric: Metric) -> Self {
        match metric {
            Metric::Cosine | Metric::Euclidean => Measure::SquaredL2,
            Metric::Dot => Measure::Dot,
        }
    }

    /// The key of two codes.
    #[inline(always)]
    pub(crate) fn key<K: Kernel>(self, kernel: K, a: &[u8], b: &[u8]) -> u32 {
        match self {
            Measure::SquaredL2 => kernel.code_squared_l2(a, b),
            Measure::Dot => dot_to_key(kernel.code_dot(a, b)),
        }
    }

    /// The keys of four codes and one, reading that once.
    #[inline(always)]
    pub(crate) fn keys_of_4<K: Kernel>(self, kernel: K, a: [&[u8]; 4], b: &[u8]) -> [u32; 4] {
        match self {
            Measure::SquaredL2 => kernel.code_squared_l2_of_4(a, b),
            Measure::Dot => a.map(|a| dot_to_key(kernel.code_dot(a, b))),
        }
    }
}

impl Measure {
    /// What a key stands for: the sum of squares, or the product with its sign turned.
    #[inline(always)]
    pub(crate) fn value(self, key: u32) -> f32 {
        match self {
            Measure::SquaredL2 => key as f32,
            Measure::Dot => -(key_to_dot(key) as f32),
        }
    }
}

/// The key of an inner product of 0.
pub(super) const MIDDLE_KEY: f64 = (u32::MAX / 2) as f64;

/// Flips the order: the largest inner product has the smallest key.
#[inline(always)]
fn dot_to_key(dot: i32) -> u32 {
    !(dot as u32 ^ 1 << 31)
}

/// The inner product that a key of [`Measure::Dot`] stands for.
pub(super) fn key_to_dot(key: u32) -> i32 {
    (!key ^ 1 << 31) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_keys_sort_the_largest_product_first() {
        let dots = [i32::MAX, 70_000, 1, 0, -1, -70_000, i32::MIN];
        assert!(dots.map(dot_to_key).is_sorted());
        assert_eq!(f64::from(dot_to_key(0)), MIDDLE_KEY);
        assert_eq!(dots.map(|dot| key_to_dot(dot_to_key(dot))), dots);
    }
}
