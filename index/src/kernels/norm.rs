//! The squared length of a vector, the same on every processor.

use super::{Kernel, KernelChoice, WithKernel};

/// Sums that run side by side; part of the result, as the order of a sum is.
const SUMS: usize = 16;

/// `Σ xᵢ²` in `f64`: it cannot overflow for finite components, and it is not finite if one of them
/// is not. In one fixed order, so that it is the same on every processor.
#[must_use]
pub fn squared_norm(vector: &[f32]) -> f64 {
    KernelChoice::detected().run(SquaredNorm(vector))
}

struct SquaredNorm<'a>(&'a [f32]);

impl WithKernel for SquaredNorm<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<K: Kernel>(self, _kernel: K) -> f64 {
        let mut sums = [0.0f64; SUMS];
        let (chunks, rest) = self.0.as_chunks::<SUMS>();
        for chunk in chunks {
            for (sum, &x) in sums.iter_mut().zip(chunk) {
                *sum += f64::from(x) * f64::from(x);
            }
        }
        for (sum, &x) in sums.iter_mut().zip(rest) {
            *sum += f64::from(x) * f64::from(x);
        }
        let mut width = SUMS;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                sums[i] += sums[i + width];
            }
        }
        sums[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_sum_in_its_order_on_every_processor() {
        for len in (0..70).chain([384, 1030]) {
            let vector: Vec<f32> =
                (0..len).map(|i| (i as f32 * 0.7).sin() * 10f32.powi(i % 7 - 3)).collect();
            let slow: f64 = vector.iter().map(|&x| f64::from(x).powi(2)).sum();
            let scalar = squared_norm(&vector);
            assert!((scalar - slow).abs() <= 1e-12 * slow, "{len}: {scalar}, not {slow}");
            for kernel in KernelChoice::all() {
                let norm = kernel.run(SquaredNorm(&vector));
                assert_eq!(norm.to_bits(), scalar.to_bits(), "{len} {}", kernel.name());
            }
        }
        assert!(squared_norm(&[f32::MAX; 40]).is_finite());
        assert!(!squared_norm(&[1.0, f32::NAN]).is_finite());
        assert!(!squared_norm(&[1.0, f32::NEG_INFINITY]).is_finite());
    }
}
