//! AVX-512 with VNNI: as AVX-512, but products of bytes are summed by one instruction.

use std::arch::x86_64::{__m512i, _mm512_dpbusd_epi32};

use half::f16;
use pulp::x86::V4;

use super::Kernel;
use super::avx512::coarse_sum;
use super::halves::HALVES;
use super::nibbles::{LANES, LINE_BYTES, LINE_COMPONENTS, word};
use crate::codes::LEVELS;

pulp::simd_type! {
    /// The features of [`V4`], and VNNI.
    pub(crate) struct Features {
        sse: "sse",
        sse2: "sse2",
        fxsr: "fxsr",
        sse3: "sse3",
        ssse3: "ssse3",
        sse4_1: "sse4.1",
        sse4_2: "sse4.2",
        popcnt: "popcnt",
        avx: "avx",
        avx2: "avx2",
        bmi1: "bmi1",
        bmi2: "bmi2",
        fma: "fma",
        lzcnt: "lzcnt",
        avx512f: "avx512f",
        avx512bw: "avx512bw",
        avx512cd: "avx512cd",
        avx512dq: "avx512dq",
        avx512vl: "avx512vl",
        avx512vnni: "avx512vnni",
    }
}

/// A processor with VNNI.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vnni {
    v4: V4,
    features: Features,
}

impl Vnni {
    pub(super) fn try_new() -> Option<Self> {
        Some(Vnni { v4: V4::try_new()?, features: Features::try_new()? })
    }
}

impl Kernel for Vnni {
    #[inline(always)]
    fn vectorize<F: pulp::NullaryFnOnce>(self, work: F) -> F::Output {
        self.features.vectorize(work)
    }

    #[inline(always)]
    fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        self.v4.dot(a, b)
    }

    #[inline(always)]
    fn dot_of_4(self, a: [&[f32]; 4], b: &[f32]) -> [f32; 4] {
        self.v4.dot_of_4(a, b)
    }

    #[inline(always)]
    fn squared_l2(self, a: &[f32], b: &[f32]) -> f32 {
        self.v4.squared_l2(a, b)
    }

    #[inline(always)]
    fn dot_and_norm(self, a: &[f32], b: &[f32]) -> (f32, f32) {
        self.v4.dot_and_norm(a, b)
    }

    #[inline(always)]
    fn widen(self, halves: &[f16; HALVES]) -> [f32; HALVES] {
        self.v4.widen(halves)
    }

    #[inline(always)]
    fn half_dot(self, a: &[f32], b: &[f16]) -> f32 {
        self.v4.half_dot(a, b)
    }

    #[inline(always)]
    fn half_squared_l2(self, a: &[f32], b: &[f16]) -> f32 {
        self.v4.half_squared_l2(a, b)
    }

    #[inline(always)]
    fn half_dot_and_norm(self, a: &[f32], b: &[f16]) -> (f32, f32) {
        self.v4.half_dot_and_norm(a, b)
    }

    #[inline(always)]
    fn code_squared_l2(self, a: &[u8], b: &[u8]) -> u32 {
        self.v4.code_squared_l2(a, b)
    }

    #[inline(always)]
    fn code_squared_l2_of_4(self, a: [&[u8]; 4], b: &[u8]) -> [u32; 4] {
        self.v4.code_squared_l2_of_4(a, b)
    }

    #[inline(always)]
    fn code_dot(self, a: &[u8], b: &[u8]) -> i32 {
        self.v4.code_dot(a, b)
    }

    #[inline(always)]
    fn coarse_squared_l2(self, a: &[u8], b: &[u8], levels: &[u8; LEVELS]) -> u32 {
        self.v4.coarse_squared_l2(a, b, levels)
    }

    #[inline(always)]
    fn coarse_sum(self, weights: &[i8], b: &[u8], levels: &[u8; LEVELS]) -> i32 {
        coarse_sum(self.v4, weights, b, levels, |sums, weights, levels| {
            // SAFETY: `Features` exists only where the processor has AVX-512 VNNI.
            unsafe { _mm512_dpbusd_epi32(sums, levels, weights) }
        })
    }

    #[inline(always)]
    fn nibble_dots(self, block: &[u8], weights: &[[i8; LINE_COMPONENTS]]) -> [i32; LANES] {
        let (f, bw) = (self.v4.avx512f, self.v4.avx512bw);
        let (lines, _) = block.as_chunks::<LINE_BYTES>();
        let fifteen = f._mm512_set1_epi8(15);
        let mut sums = [f._mm512_setzero_si512(); 2];
        for (line, weights) in lines.iter().zip(weights) {
            let line: __m512i = pulp::cast(*line);
            let low = f._mm512_and_si512(line, fifteen);
            let high = f._mm512_and_si512(bw._mm512_srli_epi16::<4>(line), fifteen);
            let (w_low, w_high) = (word(weights, 0), word(weights, 1));
            // SAFETY: `Features` exists only where the processor has AVX-512 VNNI.
            unsafe {
                sums[0] = _mm512_dpbusd_epi32(sums[0], low, f._mm512_set1_epi32(w_low));
                sums[1] = _mm512_dpbusd_epi32(sums[1], high, f._mm512_set1_epi32(w_high));
            }
        }
        pulp::cast(f._mm512_add_epi32(sums[0], sums[1]))
    }

    #[inline(always)]
    fn sums_where_set(self, rows: [&[u8]; 4], weights: &[i8]) -> [i32; 4] {
        self.v4.sums_where_set(rows, weights)
    }

    #[inline(always)]
    fn lanes_at_least(self, values: &[f32; LANES], bound: f32) -> u16 {
        self.v4.lanes_at_least(values, bound)
    }
}
