//! AVX-512 (F, BW, CD, DQ, VL): 64 code bytes at a time.

use std::arch::x86_64::{__m256i, __m512i, _CMP_GE_OQ};

use half::f16;
use pulp::x86::V4;

use super::bits::{NARROW_WORDS, words_of_4};
use super::halves::HALVES;
use super::nibbles::{LANES, LINE_BYTES, LINE_COMPONENTS, word};
use super::{Kernel, float, portable};
use crate::codes::{COARSE_BLOCK, LEVELS, PIECE, PIECE_BYTES};

const BLOCK: usize = 64;

/// Lines whose products fit 16 bits together: each adds four of at most 15 · 128.
const NARROW_LINES: usize = 4;

/// The sum of the lanes of each of four, modulo 2³².
#[inline(always)]
fn totals(v4: V4, [a, b, c, d]: [__m512i; 4]) -> [i32; 4] {
    let f = v4.avx512f;
    let two =
        |a, b| f._mm512_add_epi32(f._mm512_unpacklo_epi32(a, b), f._mm512_unpackhi_epi32(a, b));
    let (ab, cd) = (two(a, b), two(c, d));
    let four = f._mm512_add_epi32(f._mm512_unpacklo_epi64(ab, cd), f._mm512_unpackhi_epi64(ab, cd));
    let quarters: [[i32; 4]; 4] = pulp::cast(four);
    let mut totals = [0i32; 4];
    for quarter in quarters {
        for (total, part) in totals.iter_mut().zip(quarter) {
            *total = total.wrapping_add(part);
        }
    }
    totals
}

/// The squared differences of bytes, added up in fours.
#[inline(always)]
fn squared_differences(v4: V4, a: __m512i, b: __m512i) -> [__m512i; 2] {
    let (f, bw) = (v4.avx512f, v4.avx512bw);
    let zero = f._mm512_setzero_si512();
    // |a − b|: one of the two saturated differences is 0.
    let difference = f._mm512_or_si512(bw._mm512_subs_epu8(a, b), bw._mm512_subs_epu8(b, a));
    // Widened to 16 bits; the order does not matter in a sum.
    let low = bw._mm512_unpacklo_epi8(difference, zero);
    let high = bw._mm512_unpackhi_epi8(difference, zero);
    [bw._mm512_madd_epi16(low, low), bw._mm512_madd_epi16(high, high)]
}

/// The products of bytes less 128, added up in twos.
#[inline(always)]
fn products(v4: V4, a: __m512i, b: __m512i) -> [__m512i; 2] {
    let bw = v4.avx512bw;
    let middle = v4.avx512f._mm512_set1_epi16(128);
    let widen = |half: __m256i| bw._mm512_sub_epi16(bw._mm512_cvtepu8_epi16(half), middle);
    let (a, b): ([__m256i; 2], [__m256i; 2]) = (pulp::cast(a), pulp::cast(b));
    let product = |half: usize| bw._mm512_madd_epi16(widen(a[half]), widen(b[half]));
    [product(0), product(1)]
}

/// The products of weights and levels, added up in twos: as bytes the sum of two would not fit.
#[inline(always)]
fn weighed(v4: V4, weights: __m512i, levels: __m512i) -> [__m512i; 2] {
    let bw = v4.avx512bw;
    let (weights, levels): ([__m256i; 2], [__m256i; 2]) = (pulp::cast(weights), pulp::cast(levels));
    let product = |half: usize| {
        let weights = bw._mm512_cvtepi8_epi16(weights[half]);
        bw._mm512_madd_epi16(weights, bw._mm512_cvtepu8_epi16(levels[half]))
    };
    [product(0), product(1)]
}

/// [`Kernel::coarse_sum`], with what adds products of weights and levels to sums.
#[inline(always)]
pub(super) fn coarse_sum(
    v4: V4,
    weights: &[i8],
    b: &[u8],
    levels: &[u8; LEVELS],
    add: impl Fn(__m512i, __m512i, __m512i) -> __m512i,
) -> i32 {
    let (f, bw) = (v4.avx512f, v4.avx512bw);
    let levels = f._mm512_broadcast_i32x4(pulp::cast(*levels));
    let fifteen = f._mm512_set1_epi8(15);
    let pieces = (weights.len() / PIECE).min(b.len() / PIECE_BYTES);
    let (blocks, rest) = b[..pieces * PIECE_BYTES].as_chunks::<COARSE_BLOCK>();
    let (of_blocks, of_rest) = weights[..pieces * PIECE].as_chunks::<{ 2 * COARSE_BLOCK }>();
    let mut sums = [f._mm512_setzero_si512(); 2];
    for (weights, block) in of_blocks.iter().zip(blocks) {
        let [low_weights, high_weights]: [__m512i; 2] = pulp::cast(*weights);
        let block: __m512i = pulp::cast(*block);
        let low = f._mm512_and_si512(block, fifteen);
        let high = f._mm512_and_si512(bw._mm512_srli_epi16::<4>(block), fifteen);
        sums[0] = add(sums[0], low_weights, bw._mm512_shuffle_epi8(levels, low));
        sums[1] = add(sums[1], high_weights, bw._mm512_shuffle_epi8(levels, high));
    }
    if let ([weights], [piece]) = (of_rest.as_chunks::<PIECE>().0, rest.as_chunks().0) {
        sums[0] = add(sums[0], pulp::cast(*weights), levels_of(v4, *piece, levels));
    }
    f._mm512_reduce_add_epi32(f._mm512_add_epi32(sums[0], sums[1]))
}

/// The levels that a piece of a coarse code names.
#[inline(always)]
fn levels_of(v4: V4, piece: [u8; PIECE_BYTES], levels: __m512i) -> __m512i {
    let (f, bw) = (v4.avx512f, v4.avx512bw);
    let twice = f._mm512_broadcast_i64x4(pulp::cast(piece));
    // The upper half of the register takes the high nibbles.
    let shifts: __m512i = pulp::cast([[0u16; 16], [4; 16]]);
    let numbers = bw._mm512_srlv_epi16(twice, shifts);
    bw._mm512_shuffle_epi8(levels, f._mm512_and_si512(numbers, f._mm512_set1_epi8(15)))
}

impl Kernel for V4 {
    float::float_methods!();

    #[inline(always)]
    fn widen(self, halves: &[f16; HALVES]) -> [f32; HALVES] {
        pulp::cast(self.avx512f._mm512_cvtph_ps(pulp::cast(*halves)))
    }

    #[inline(always)]
    fn code_squared_l2(self, a: &[u8], b: &[u8]) -> u32 {
        let f = self.avx512f;
        let len = a.len().min(b.len());
        let (a, a_rest) = a[..len].as_chunks::<BLOCK>();
        let (b, b_rest) = b[..len].as_chunks::<BLOCK>();
        let zero = f._mm512_setzero_si512();
        let (mut low, mut high) = (zero, zero);
        for (a, b) in a.iter().zip(b) {
            let squares = squared_differences(self, pulp::cast(*a), pulp::cast(*b));
            low = f._mm512_add_epi32(low, squares[0]);
            high = f._mm512_add_epi32(high, squares[1]);
        }
        let sum = f._mm512_reduce_add_epi32(f._mm512_add_epi32(low, high)) as u32;
        sum.wrapping_add(portable::code_squared_l2(a_rest, b_rest))
    }

    #[inline(always)]
    fn code_squared_l2_of_4(self, a: [&[u8]; 4], b: &[u8]) -> [u32; 4] {
        let len = a.iter().fold(b.len(), |len, a| len.min(a.len()));
        let (b_blocks, b_rest) = b[..len].as_chunks::<BLOCK>();
        let f = self.avx512f;
        let mut sums = [f._mm512_setzero_si512(); 4];
        let mut a_blocks = [b_blocks; 4];
        for (blocks, a) in a_blocks.iter_mut().zip(a) {
            *blocks = &a[..len].as_chunks::<BLOCK>().0[..b_blocks.len()];
        }
        for (at, b) in b_blocks.iter().enumerate() {
            for (sum, a) in sums.iter_mut().zip(a_blocks) {
                let squares = squared_differences(self, pulp::cast(a[at]), pulp::cast(*b));
                *sum = f._mm512_add_epi32(*sum, f._mm512_add_epi32(squares[0], squares[1]));
            }
        }
        let mut squares = [0u32; 4];
        for (square, sum) in squares.iter_mut().zip(totals(self, sums)) {
            *square = sum as u32;
        }
        if !b_rest.is_empty() {
            for (square, a) in squares.iter_mut().zip(a) {
                let a_rest = &a[len - b_rest.len()..len];
                *square = square.wrapping_add(portable::code_squared_l2(a_rest, b_rest));
            }
        }
        squares
    }

    #[inline(always)]
    fn code_dot(self, a: &[u8], b: &[u8]) -> i32 {
        let f = self.avx512f;
        let len = a.len().min(b.len());
        let (a, a_rest) = a[..len].as_chunks::<BLOCK>();
        let (b, b_rest) = b[..len].as_chunks::<BLOCK>();
        let mut sums = [f._mm512_setzero_si512(); 2];
        for (a, b) in a.iter().zip(b) {
            let products = products(self, pulp::cast(*a), pulp::cast(*b));
            sums[0] = f._mm512_add_epi32(sums[0], products[0]);
            sums[1] = f._mm512_add_epi32(sums[1], products[1]);
        }
        let sum = f._mm512_reduce_add_epi32(f._mm512_add_epi32(sums[0], sums[1]));
        sum.wrapping_add(portable::code_dot(a_rest, b_rest))
    }

    #[inline(always)]
    fn coarse_squared_l2(self, a: &[u8], b: &[u8], levels: &[u8; LEVELS]) -> u32 {
        let f = self.avx512f;
        let (a, _) = a.as_chunks::<PIECE>();
        let (b, _) = b.as_chunks::<PIECE_BYTES>();
        let levels = f._mm512_broadcast_i32x4(pulp::cast(*levels));
        let zero = f._mm512_setzero_si512();
        let (mut low, mut high) = (zero, zero);
        for (a, b) in a.iter().zip(b) {
            let squares = squared_differences(self, pulp::cast(*a), levels_of(self, *b, levels));
            low = f._mm512_add_epi32(low, squares[0]);
            high = f._mm512_add_epi32(high, squares[1]);
        }
        f._mm512_reduce_add_epi32(f._mm512_add_epi32(low, high)) as u32
    }

    #[inline(always)]
    fn coarse_sum(self, weights: &[i8], b: &[u8], levels: &[u8; LEVELS]) -> i32 {
        coarse_sum(self, weights, b, levels, |sums, weights, levels| {
            let f = self.avx512f;
            let products = weighed(self, weights, levels);
            f._mm512_add_epi32(sums, f._mm512_add_epi32(products[0], products[1]))
        })
    }

    #[inline(always)]
    fn nibble_dots(self, block: &[u8], weights: &[[i8; LINE_COMPONENTS]]) -> [i32; LANES] {
        let (f, bw) = (self.avx512f, self.avx512bw);
        let (lines, _) = block.as_chunks::<LINE_BYTES>();
        let (fifteen, ones) = (f._mm512_set1_epi8(15), f._mm512_set1_epi16(1));
        let mut sum = f._mm512_setzero_si512();
        for (lines, weights) in lines.chunks(NARROW_LINES).zip(weights.chunks(NARROW_LINES)) {
            let mut narrow = f._mm512_setzero_si512();
            for (line, weights) in lines.iter().zip(weights) {
                let line: __m512i = pulp::cast(*line);
                let low = f._mm512_and_si512(line, fifteen);
                let high = f._mm512_and_si512(bw._mm512_srli_epi16::<4>(line), fifteen);
                let low = bw._mm512_maddubs_epi16(low, f._mm512_set1_epi32(word(weights, 0)));
                let high = bw._mm512_maddubs_epi16(high, f._mm512_set1_epi32(word(weights, 1)));
                narrow = bw._mm512_add_epi16(narrow, bw._mm512_add_epi16(low, high));
            }
            sum = f._mm512_add_epi32(sum, bw._mm512_madd_epi16(narrow, ones));
        }
        pulp::cast(sum)
    }

    #[inline(always)]
    fn sums_where_set(self, rows: [&[u8]; 4], weights: &[i8]) -> [i32; 4] {
        let (f, bw) = (self.avx512f, self.avx512bw);
        let (rows, weights) = words_of_4(rows, weights);
        let (ones, ones_16) = (f._mm512_set1_epi8(1), f._mm512_set1_epi16(1));
        let mut sums = [f._mm512_setzero_si512(); 4];
        for (chunk, weights) in weights.chunks(NARROW_WORDS).enumerate() {
            let mut narrow = [f._mm512_setzero_si512(); 4];
            for (word, weights) in (chunk * NARROW_WORDS..).zip(weights) {
                let weights: __m512i = pulp::cast(*weights);
                for (narrow, row) in narrow.iter_mut().zip(rows) {
                    let set = u64::from_le_bytes(row[word]);
                    *narrow = bw._mm512_mask_add_epi8(*narrow, set, *narrow, weights);
                }
            }
            for (sum, narrow) in sums.iter_mut().zip(narrow) {
                let pairs = bw._mm512_maddubs_epi16(ones, narrow);
                *sum = f._mm512_add_epi32(*sum, bw._mm512_madd_epi16(pairs, ones_16));
            }
        }
        totals(self, sums)
    }

    #[inline(always)]
    fn lanes_at_least(self, values: &[f32; LANES], bound: f32) -> u16 {
        let f = self.avx512f;
        f._mm512_cmp_ps_mask::<_CMP_GE_OQ>(pulp::cast(*values), f._mm512_set1_ps(bound))
    }
}
