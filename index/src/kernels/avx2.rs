//! AVX2 and FMA: 32 code bytes at a time.

use std::arch::x86_64::{__m128i, __m256i};

use pulp::x86::V3;

use super::{Kernel, float, portable};

const BLOCK: usize = 32;

/// The sum of the eight lanes, modulo 2³².
#[inline(always)]
fn total(sums: __m256i) -> u32 {
    let lanes: [u32; 8] = pulp::cast(sums);
    lanes.iter().fold(0, |sum, &lane| sum.wrapping_add(lane))
}

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
            let (a, b) = (pulp::cast::<_, __m256i>(*a), pulp::cast::<_, __m256i>(*b));
            // |a − b|: one of the two saturated differences is 0.
            let difference =
                avx2._mm256_or_si256(avx2._mm256_subs_epu8(a, b), avx2._mm256_subs_epu8(b, a));
            // Widened to 16 bits; the order does not matter in a sum.
            let x = avx2._mm256_unpacklo_epi8(difference, zero);
            let y = avx2._mm256_unpackhi_epi8(difference, zero);
            low = avx2._mm256_add_epi32(low, avx2._mm256_madd_epi16(x, x));
            high = avx2._mm256_add_epi32(high, avx2._mm256_madd_epi16(y, y));
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
        let middle = self.avx._mm256_set1_epi16(128);
        let widen = |half: __m128i| avx2._mm256_sub_epi16(avx2._mm256_cvtepu8_epi16(half), middle);
        let mut sums = [self.avx._mm256_setzero_si256(); 2];
        for (a, b) in a.iter().zip(b) {
            let a: [__m128i; 2] = pulp::cast(*a);
            let b: [__m128i; 2] = pulp::cast(*b);
            for half in 0..2 {
                let product = avx2._mm256_madd_epi16(widen(a[half]), widen(b[half]));
                sums[half] = avx2._mm256_add_epi32(sums[half], product);
            }
        }
        let sum = total(avx2._mm256_add_epi32(sums[0], sums[1])) as i32;
        sum.wrapping_add(portable::code_dot(a_rest, b_rest))
    }
}
