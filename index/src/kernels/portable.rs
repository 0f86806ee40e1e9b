//! The scalar twin of every kernel, and what runs where no instruction set is known.
//!
//! The code kernels are the plain definition; integer sums may be reordered, so the compiler
//! vectorises them for the target's base instruction set by itself. It may not reorder float sums,
//! so those are kept in lanes.

use super::Kernel;

/// No instruction set beyond what the program was compiled for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

const LANES: usize = 16;

/// `Σ term(aᵢ, bᵢ)` in `LANES` sums that are added up at the end.
#[inline(always)]
fn sum_in_lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let len = a.len().min(b.len());
    let (a_lanes, a_rest) = a[..len].as_chunks::<LANES>();
    let (b_lanes, b_rest) = b[..len].as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..LANES {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(&a, &b)| term(a, b)).sum();
    sums.iter().sum::<f32>() + rest
}

#[inline(always)]
pub(super) fn code_squared_l2(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).fold(0, |sum: u32, (&a, &b)| {
        let difference = i32::from(a) - i32::from(b);
        sum.wrapping_add((difference * difference) as u32)
    })
}

#[inline(always)]
pub(super) fn code_dot(a: &[u8], b: &[u8]) -> i32 {
    a.iter()
        .zip(b)
        .fold(0, |sum: i32, (&a, &b)| sum.wrapping_add((i32::from(a) - 128) * (i32::from(b) - 128)))
}

impl Kernel for Portable {
    #[inline(always)]
    fn vectorize<F: pulp::NullaryFnOnce>(self, work: F) -> F::Output {
        work.call()
    }

    #[inline(always)]
    fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        sum_in_lanes(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn squared_l2(self, a: &[f32], b: &[f32]) -> f32 {
        sum_in_lanes(a, b, |a, b| (a - b) * (a - b))
    }

    #[inline(always)]
    fn dot_and_norm(self, a: &[f32], b: &[f32]) -> (f32, f32) {
        let b = &b[..a.len().min(b.len())];
        (self.dot(a, b), sum_in_lanes(b, b, |b, _| b * b))
    }

    #[inline(always)]
    fn code_squared_l2(self, a: &[u8], b: &[u8]) -> u32 {
        code_squared_l2(a, b)
    }

    #[inline(always)]
    fn code_dot(self, a: &[u8], b: &[u8]) -> i32 {
        code_dot(a, b)
    }
}
