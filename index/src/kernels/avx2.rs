//! AVX2 and FMA: 32 code bytes at a time.

use std::arch::x86_64::{__m128i, __m256, __m256i, _CMP_GE_OQ};

use pulp::x86::V3;

use super::bits::{NARROW_WORDS, words_of_4};
use super::nibbles::{LANES, LINE_BYTES, LINE_COMPONENTS, word};
use super::{Kernel, float, portable};
use crate::codes::{LEVELS, PIECE, PIECE_BYTES};

const BLOCK: usize = 32;

/// The sum of the eight lanes, modulo 2³².
#[inline(always)]
fn total(sums: __m256i) -> u32 {
    let lanes: [u32; 8] = pulp::cast(sums);
    lanes.iter().fold(0, |sum, &lane| sum.wrapping_add(lane))
}

/// The squared differences of bytes, added up in fours.
#[inline(always)]
fn squared_differences(v3: V3, a: __m256i, b: __m256i) -> [__m256i; 2] {
    let avx2 = v3.avx2;
    let zero = v3.avx._mm256_setzero_si256();
    // |a − b|: one of the two saturated differences is 0.
    let difference = avx2._mm256_or_si256(avx2._mm256_subs_epu8(a, b), avx2._mm256_subs_epu8(b, a));
    // Widened to 16 bits; the order does not matter in a sum.
    let low = avx2._mm256_unpacklo_epi8(difference, zero);
    let high = avx2._mm256_unpackhi_epi8(difference, zero);
    [avx2._mm256_madd_epi16(low, low), avx2._mm256_madd_epi16(high, high)]
}

/// The products of bytes less 128, added up in twos.
#[inline(always)]
fn products(v3: V3, a: __m256i, b: __m256i) -> [__m256i; 2] {
    let avx2 = v3.avx2;
    let middle = v3.avx._mm256_set1_epi16(128);
    let widen = |half: __m128i| avx2._mm256_sub_epi16(avx2._mm256_cvtepu8_epi16(half), middle);
    let (a, b): ([__m128i; 2], [__m128i; 2]) = (pulp::cast(a), pulp::cast(b));
    let product = |half: usize| avx2._mm256_madd_epi16(widen(a[half]), widen(b[half]));
    [product(0), product(1)]
}

/// The products of weights and levels, added up in twos: as bytes the sum of two would not fit.
#[inline(always)]
fn weighed(v3: V3, weights: __m256i, levels: __m256i) -> [__m256i; 2] {
    let avx2 = v3.avx2;
    let (weights, levels): ([__m128i; 2], [__m128i; 2]) = (pulp::cast(weights), pulp::cast(levels));
    let product = |half: usize| {
        let weights = avx2._mm256_cvtepi8_epi16(weights[half]);
        avx2._mm256_madd_epi16(weights, avx2._mm256_cvtepu8_epi16(levels[half]))
    };
    [product(0), product(1)]
}

/// The levels that a piece of a coarse code names: of the low nibbles, and of the high ones.
#[inline(always)]
fn levels_of(v3: V3, piece: [u8; PIECE_BYTES], levels: __m256i) -> [__m256i; 2] {
    let avx2 = v3.avx2;
    let fifteen = v3.avx._mm256_set1_epi8(15);
    let piece: __m256i = pulp::cast(piece);
    let low = avx2._mm256_and_si256(piece, fifteen);
    let high = avx2._mm256_and_si256(avx2._mm256_srli_epi16::<4>(piece), fifteen);
    [avx2._mm256_shuffle_epi8(levels, low), avx2._mm256_shuffle_epi8(levels, high)]
}

/// Lines whose products fit 16 bits together: each adds four of at most 15 · 128.
const NARROW_LINES: usize = 4;

impl Kernel for V3 {
    float::float_methods!();

    #[inline(always)]
    fn code_squared_l2(self, a: &[u8], b: &[u8]) -> u32 {
        let avx2 = self.avx2;
        let len = a.len().min(b.len());
        let (a, a_rest) = a[..len].as_chunks::<BLOCK>();
        let (b, b_rest) = b[..len].as_chunks::<BLOCK>();
        let zero = self.avx._mm256_setzero_si256();
        let (mut low, mut high) = (zero, zero);
        for (a, b) in a.iter().zip(b) {
            let squares = squared_differences(self, pulp::cast(*a), pulp::cast(*b));
            low = avx2._mm256_add_epi32(low, squares[0]);
            high = avx2._mm256_add_epi32(high, squares[1]);
        }
        let sum = total(avx2._mm256_add_epi32(low, high));
        sum.wrapping_add(portable::code_squared_l2(a_rest, b_rest))
    }

    #[inline(always)]
    fn code_dot(self, a: &[u8], b: &[u8]) -> i32 {
        let avx2 = self.avx2;
        let len = a.len().min(b.len());
        let (a, a_rest) = a[..len].as_chunks::<BLOCK>();
        let (b, b_rest) = b[..len].as_chunks::<BLOCK>();
        let mut sums = [self.avx._mm256_setzero_si256(); 2];
        for (a, b) in a.iter().zip(b) {
            let products = products(self, pulp::cast(*a), pulp::cast(*b));
            sums[0] = avx2._mm256_add_epi32(sums[0], products[0]);
            sums[1] = avx2._mm256_add_epi32(sums[1], products[1]);
        }
        let sum = total(avx2._mm256_add_epi32(sums[0], sums[1])) as i32;
        sum.wrapping_add(portable::code_dot(a_rest, b_rest))
    }

    #[inline(always)]
    fn coarse_squared_l2(self, a: &[u8], b: &[u8], levels: &[u8; LEVELS]) -> u32 {
        let avx2 = self.avx2;
        let (a, _) = a.as_chunks::<PIECE>();
        let (b, _) = b.as_chunks::<PIECE_BYTES>();
        let levels = avx2._mm256_broadcastsi128_si256(pulp::cast(*levels));
        let zero = self.avx._mm256_setzero_si256();
        let (mut low, mut high) = (zero, zero);
        for (a, b) in a.iter().zip(b) {
            let a: [__m256i; 2] = pulp::cast(*a);
            let b = levels_of(self, *b, levels);
            for half in 0..2 {
                let squares = squared_differences(self, a[half], b[half]);
                low = avx2._mm256_add_epi32(low, squares[0]);
                high = avx2._mm256_add_epi32(high, squares[1]);
            }
        }
        total(avx2._mm256_add_epi32(low, high))
    }

    #[inline(always)]
    fn coarse_sum(self, weights: &[i8], b: &[u8], levels: &[u8; LEVELS]) -> i32 {
        let avx2 = self.avx2;
        let levels = avx2._mm256_broadcastsi128_si256(pulp::cast(*levels));
        let mut sums = [self.avx._mm256_setzero_si256(); 2];
        for (low, high, bytes) in portable::coarse_blocks(weights, b) {
            let (low, high) = (low.as_chunks::<BLOCK>().0, high.as_chunks::<BLOCK>().0);
            for ((low, high), piece) in low.iter().zip(high).zip(bytes.as_chunks().0) {
                let [of_low, of_high] = levels_of(self, *piece, levels);
                for (weights, levels) in [(low, of_low), (high, of_high)] {
                    let weighed = weighed(self, pulp::cast(*weights), levels);
                    sums[0] = avx2._mm256_add_epi32(sums[0], weighed[0]);
                    sums[1] = avx2._mm256_add_epi32(sums[1], weighed[1]);
                }
            }
        }
        total(avx2._mm256_add_epi32(sums[0], sums[1])) as i32
    }

    #[inline(always)]
    fn nibble_dots(self, block: &[u8], weights: &[[i8; LINE_COMPONENTS]]) -> [i32; LANES] {
        let (avx, avx2) = (self.avx, self.avx2);
        let (lines, _) = block.as_chunks::<LINE_BYTES>();
        let (fifteen, ones) = (avx._mm256_set1_epi8(15), avx._mm256_set1_epi16(1));
        let mut sums = [avx._mm256_setzero_si256(); 2];
        for (lines, weights) in lines.chunks(NARROW_LINES).zip(weights.chunks(NARROW_LINES)) {
            let mut narrow = [avx._mm256_setzero_si256(); 2];
            for (line, weights) in lines.iter().zip(weights) {
                let halves: [__m256i; 2] = pulp::cast(*line);
                let w_low = avx._mm256_set1_epi32(word(weights, 0));
                let w_high = avx._mm256_set1_epi32(word(weights, 1));
                for (narrow, half) in narrow.iter_mut().zip(halves) {
                    let low = avx2._mm256_and_si256(half, fifteen);
                    let high = avx2._mm256_and_si256(avx2._mm256_srli_epi16::<4>(half), fifteen);
                    let low = avx2._mm256_maddubs_epi16(low, w_low);
                    let high = avx2._mm256_maddubs_epi16(high, w_high);
                    *narrow = avx2._mm256_add_epi16(*narrow, avx2._mm256_add_epi16(low, high));
                }
            }
            for (sum, narrow) in sums.iter_mut().zip(narrow) {
                *sum = avx2._mm256_add_epi32(*sum, avx2._mm256_madd_epi16(narrow, ones));
            }
        }
        pulp::cast(sums)
    }

    #[inline(always)]
    fn sums_where_set(self, rows: [&[u8]; 4], weights: &[i8]) -> [i32; 4] {
        let (avx, avx2) = (self.avx, self.avx2);
        let (rows, weights) = words_of_4(rows, weights);
        // Byte `i` of a half gets the byte of the word that has its bit, and keeps that bit.
        let spread: __m256i = pulp::cast(std::array::from_fn::<u8, BLOCK, _>(|i| (i / 8) as u8));
        let bit: __m256i = pulp::cast(std::array::from_fn::<u8, BLOCK, _>(|i| 1 << (i % 8)));
        let (ones, ones_16) = (avx._mm256_set1_epi8(1), avx._mm256_set1_epi16(1));
        let mut sums = [avx._mm256_setzero_si256(); 4];
        for (chunk, weights) in weights.chunks(NARROW_WORDS / 2).enumerate() {
            // Both halves of a word go into one, so half as many words fit.
            let mut narrow = [avx._mm256_setzero_si256(); 4];
            for (word, weights) in (chunk * (NARROW_WORDS / 2)..).zip(weights) {
                let weights: [__m256i; 2] = pulp::cast(*weights);
                for (narrow, row) in narrow.iter_mut().zip(rows) {
                    let halves: [i32; 2] = pulp::cast(row[word]);
                    for (half, weights) in halves.into_iter().zip(weights) {
                        let bytes = avx2._mm256_shuffle_epi8(avx._mm256_set1_epi32(half), spread);
                        let set = avx2._mm256_cmpeq_epi8(avx2._mm256_and_si256(bytes, bit), bit);
                        let set = avx2._mm256_and_si256(set, weights);
                        *narrow = avx2._mm256_add_epi8(*narrow, set);
                    }
                }
            }
            for (sum, narrow) in sums.iter_mut().zip(narrow) {
                let pairs = avx2._mm256_maddubs_epi16(ones, narrow);
                *sum = avx2._mm256_add_epi32(*sum, avx2._mm256_madd_epi16(pairs, ones_16));
            }
        }
        let mut totals = [0; 4];
        for (total_of, sum) in totals.iter_mut().zip(sums) {
            *total_of = total(sum) as i32;
        }
        totals
    }

    #[inline(always)]
    fn lanes_at_least(self, values: &[f32; LANES], bound: f32) -> u16 {
        let avx = self.avx;
        let bound = avx._mm256_set1_ps(bound);
        let halves: [__m256; 2] = pulp::cast(*values);
        let low = avx._mm256_movemask_ps(avx._mm256_cmp_ps::<_CMP_GE_OQ>(halves[0], bound));
        let high = avx._mm256_movemask_ps(avx._mm256_cmp_ps::<_CMP_GE_OQ>(halves[1], bound));
        (low | high << 8) as u16
    }
}
