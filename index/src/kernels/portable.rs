//! The scalar twin of every kernel, and what runs where no instruction set is known.
//!
//! The code kernels are the plain definition; integer sums may be reordered, so the compiler
//! vectorises them for the target's base instruction set by itself. It may not reorder float sums,
//! so those are kept in lanes.

use half::f16;

use super::Kernel;
use super::bits::words_of_4;
use super::halves::in_parts;
use super::nibbles::{LANES, LINE_BYTES, LINE_COMPONENTS};
use crate::codes::{COARSE_BLOCK, LEVELS, PIECE, PIECE_BYTES};

/// No instruction set beyond what the program was compiled for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

const SUMS: usize = 16;

/// Adds `term(aᵢ, bᵢ)` to `SUMS` sums in turn; gives the sum of those of a last turn that is not whole.
#[inline(always)]
fn add_in_lanes(
    a: &[f32],
    b: &[f32],
    sums: &mut [f32; SUMS],
    term: impl Fn(f32, f32) -> f32,
) -> f32 {
    let (a_lanes, a_rest) = a.as_chunks::<SUMS>();
    let (b_lanes, b_rest) = b.as_chunks::<SUMS>();
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..SUMS {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    a_rest.iter().zip(b_rest).map(|(&a, &b)| term(a, b)).sum()
}

/// `Σ term(aᵢ, bᵢ)` in `SUMS` sums that are added up at the end.
#[inline(always)]
fn sum_in_lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let len = a.len().min(b.len());
    let mut sums = [0.0f32; SUMS];
    let rest = add_in_lanes(&a[..len], &b[..len], &mut sums, term);
    sums.iter().sum::<f32>() + rest
}

/// [`sum_in_lanes`] with components of half precision.
#[inline(always)]
fn sum_of_halves(a: &[f32], b: &[f16], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (mut sums, mut rest) = ([0.0f32; SUMS], 0.0);
    in_parts(Portable, a, b, |a, b| rest = add_in_lanes(a, b, &mut sums, &term));
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

/// `Σ (aᵢ − bᵢ)²` over the whole pieces that a code and a coarse one both have.
#[inline(always)]
pub(super) fn coarse_squared_l2(a: &[u8], b: &[u8], levels: &[u8; LEVELS]) -> u32 {
    let (a, _) = a.as_chunks::<PIECE>();
    let (b, _) = b.as_chunks::<PIECE_BYTES>();
    let mut sum = 0u32;
    for (a, b) in a.iter().zip(b) {
        let (low, high) = a.split_at(PIECE_BYTES);
        for ((&low, &high), &b) in low.iter().zip(high).zip(b) {
            let level = |nibble: u8| levels[usize::from(nibble & 15)];
            let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
            sum = sum.wrapping_add(square(low, level(b)) + square(high, level(b >> 4)));
        }
    }
    sum
}

/// The blocks that weights and a coarse code both have: weights of the low nibbles, of the high ones, and
/// the bytes. The last may be a piece.
#[inline(always)]
pub(super) fn coarse_blocks<'a>(
    weights: &'a [i8],
    b: &'a [u8],
) -> impl Iterator<Item = (&'a [i8], &'a [i8], &'a [u8])> {
    let pieces = (weights.len() / PIECE).min(b.len() / PIECE_BYTES);
    let weights = weights[..pieces * PIECE].chunks(2 * COARSE_BLOCK);
    weights.zip(b[..pieces * PIECE_BYTES].chunks(COARSE_BLOCK)).map(|(weights, bytes)| {
        let (low, high) = weights.split_at(bytes.len());
        (low, high, bytes)
    })
}

#[inline(always)]
pub(super) fn coarse_sum(weights: &[i8], b: &[u8], levels: &[u8; LEVELS]) -> i32 {
    let mut sum = 0i32;
    for (low, high, bytes) in coarse_blocks(weights, b) {
        for ((&low, &high), &byte) in low.iter().zip(high).zip(bytes) {
            let level = |nibble: u8| i32::from(levels[usize::from(nibble & 15)]);
            sum += i32::from(low) * level(byte) + i32::from(high) * level(byte >> 4);
        }
    }
    sum
}

#[inline(always)]
pub(super) fn nibble_dots(block: &[u8], weights: &[[i8; LINE_COMPONENTS]]) -> [i32; LANES] {
    let (lines, _) = block.as_chunks::<LINE_BYTES>();
    let mut sums = [0i32; LANES];
    for (line, weights) in lines.iter().zip(weights) {
        let weights = weights.map(i32::from);
        for (sum, bytes) in sums.iter_mut().zip(line.as_chunks::<4>().0) {
            for (place, &byte) in bytes.iter().enumerate() {
                *sum += i32::from(byte & 15) * weights[place];
                *sum += i32::from(byte >> 4) * weights[place + 4];
            }
        }
    }
    sums
}

#[inline(always)]
pub(super) fn sums_where_set(rows: [&[u8]; 4], weights: &[i8]) -> [i32; 4] {
    let (rows, weights) = words_of_4(rows, weights);
    rows.map(|row| {
        let mut sum = 0;
        for (word, weights) in row.iter().zip(weights) {
            for (&byte, weights) in word.iter().zip(weights.as_chunks::<8>().0) {
                for (place, &weight) in weights.iter().enumerate() {
                    sum += i32::from(weight) & -i32::from(byte >> place & 1);
                }
            }
        }
        sum
    })
}

#[inline(always)]
pub(super) fn lanes_at_least(values: &[f32; LANES], bound: f32) -> u16 {
    values.iter().rev().fold(0, |lanes, &value| lanes << 1 | u16::from(value >= bound))
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
    fn dot_of_4(self, a: [&[f32]; 4], b: &[f32]) -> [f32; 4] {
        a.map(|a| self.dot(a, b))
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
    fn half_dot(self, a: &[f32], b: &[f16]) -> f32 {
        sum_of_halves(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn half_squared_l2(self, a: &[f32], b: &[f16]) -> f32 {
        sum_of_halves(a, b, |a, b| (a - b) * (a - b))
    }

    #[inline(always)]
    fn half_dot_and_norm(self, a: &[f32], b: &[f16]) -> (f32, f32) {
        (self.half_dot(a, b), sum_of_halves(a, b, |_, b| b * b))
    }

    #[inline(always)]
    fn code_squared_l2(self, a: &[u8], b: &[u8]) -> u32 {
        code_squared_l2(a, b)
    }

    #[inline(always)]
    fn code_dot(self, a: &[u8], b: &[u8]) -> i32 {
        code_dot(a, b)
    }

    #[inline(always)]
    fn coarse_squared_l2(self, a: &[u8], b: &[u8], levels: &[u8; LEVELS]) -> u32 {
        coarse_squared_l2(a, b, levels)
    }

    #[inline(always)]
    fn coarse_sum(self, weights: &[i8], b: &[u8], levels: &[u8; LEVELS]) -> i32 {
        coarse_sum(weights, b, levels)
    }

    #[inline(always)]
    fn nibble_dots(self, block: &[u8], weights: &[[i8; LINE_COMPONENTS]]) -> [i32; LANES] {
        nibble_dots(block, weights)
    }

    #[inline(always)]
    fn sums_where_set(self, rows: [&[u8]; 4], weights: &[i8]) -> [i32; 4] {
        sums_where_set(rows, weights)
    }

    #[inline(always)]
    fn lanes_at_least(self, values: &[f32; LANES], bound: f32) -> u16 {
        lanes_at_least(values, bound)
    }
}
