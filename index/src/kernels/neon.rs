//! NEON: float kernels and table look-ups through pulp; the code kernels are the scalar loops, which the
//! compiler vectorises because NEON is part of the base instruction set.

use std::arch::aarch64::uint8x16_t;

use pulp::aarch64::Neon;

use super::nibbles::{LANES, LINE_COMPONENTS};
use super::{Kernel, float, portable};
use crate::codes::{LEVELS, PIECE, PIECE_BYTES};

/// The levels that a piece of a coarse code names.
#[inline(always)]
fn levels_of(neon: Neon, piece: [u8; PIECE_BYTES], levels: &[u8; LEVELS]) -> [u8; PIECE] {
    let neon = neon.neon;
    let levels: uint8x16_t = pulp::cast(*levels);
    let [first, second]: [uint8x16_t; 2] = pulp::cast(piece);
    let low = |piece| neon.vqtbl1q_u8(levels, neon.vandq_u8(piece, neon.vdupq_n_u8(15)));
    let high = |piece| neon.vqtbl1q_u8(levels, neon.vshrq_n_u8::<4>(piece));
    pulp::cast([low(first), low(second), high(first), high(second)])
}

impl Kernel for Neon {
    float::float_methods!();

    #[inline(always)]
    fn code_squared_l2(self, a: &[u8], b: &[u8]) -> u32 {
        portable::code_squared_l2(a, b)
    }

    #[inline(always)]
    fn code_dot(self, a: &[u8], b: &[u8]) -> i32 {
        portable::code_dot(a, b)
    }

    #[inline(always)]
    fn coarse_squared_l2(self, a: &[u8], b: &[u8], levels: &[u8; LEVELS]) -> u32 {
        let (a, _) = a.as_chunks::<PIECE>();
        let (b, _) = b.as_chunks::<PIECE_BYTES>();
        let pieces = a.iter().zip(b);
        pieces.fold(0, |sum: u32, (a, b)| {
            sum.wrapping_add(portable::code_squared_l2(a, &levels_of(self, *b, levels)))
        })
    }

    #[inline(always)]
    fn coarse_sum(self, weights: &[i8], b: &[u8], levels: &[u8; LEVELS]) -> i32 {
        let mut sum = 0i32;
        for (low, high, bytes) in portable::coarse_blocks(weights, b) {
            let (low, high) = (low.chunks(PIECE_BYTES), high.chunks(PIECE_BYTES));
            for ((low, high), piece) in low.zip(high).zip(bytes.as_chunks::<PIECE_BYTES>().0) {
                let levels = levels_of(self, *piece, levels);
                for (&weight, level) in low.iter().chain(high).zip(levels) {
                    sum += i32::from(weight) * i32::from(level);
                }
            }
        }
        sum
    }

    #[inline(always)]
    fn nibble_dots(self, block: &[u8], weights: &[[i8; LINE_COMPONENTS]]) -> [i32; LANES] {
        portable::nibble_dots(block, weights)
    }

    #[inline(always)]
    fn sums_where_set(self, rows: [&[u8]; 4], weights: &[i8]) -> [i32; 4] {
        portable::sums_where_set(rows, weights)
    }

    #[inline(always)]
    fn lanes_at_least(self, values: &[f32; LANES], bound: f32) -> u16 {
        portable::lanes_at_least(values, bound)
    }
}
