//! Distance kernels, each beside its scalar twin: how far apart are two rows?
//!
//! The processor is looked at once; a search or a scan chooses its [`Kernel`] once, by
//! [`KernelChoice::run`], and its whole loop is compiled for that instruction set, so that the
//! kernels inline into it. Integer kernels are exact and agree bit by bit on every instruction
//! set; float kernels differ only in the order of their sums.

mod bits;
mod choice;
mod exact;
mod halves;
mod norm;
mod portable;
mod prefetch;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod float;
#[cfg(target_arch = "aarch64")]
mod neon;
mod nibbles;
#[cfg(target_arch = "x86_64")]
mod vnni;

pub use choice::KernelChoice;
pub(crate) use choice::WithKernel;
pub use exact::ExactQuery;
pub use norm::squared_norm;
pub use prefetch::prefetch;

use half::f16;

use crate::codes::LEVELS;
pub(crate) use bits::BIT_WEIGHT_MAX;
use halves::HALVES;
use nibbles::{LANES, LINE_COMPONENTS};

/// The instruction set the kernels run on here: `avx512vnni`, `avx512`, `avx2`, `neon` or `scalar`.
#[must_use]
pub fn kernel_name() -> &'static str {
    KernelChoice::detected().name()
}

/// The distance functions of one instruction set.
///
/// Slices are compared up to the shorter length. Every method is to be marked `inline(always)`: it
/// is only fast inside of [`Kernel::vectorize`], whose body is compiled for the instruction set.
pub(crate) trait Kernel: Copy + Send + Sync {
    /// Calls `work` compiled for this instruction set.
    fn vectorize<F: pulp::NullaryFnOnce>(self, work: F) -> F::Output;

    /// `⟨a, b⟩`.
    fn dot(self, a: &[f32], b: &[f32]) -> f32;

    /// `⟨aᵢ, b⟩` for each of four, reading `b` once.
    fn dot_of_4(self, a: [&[f32]; 4], b: &[f32]) -> [f32; 4];

    /// `‖a − b‖²`.
    fn squared_l2(self, a: &[f32], b: &[f32]) -> f32;

    /// `(⟨a, b⟩, ‖b‖²)`, reading `b` once.
    fn dot_and_norm(self, a: &[f32], b: &[f32]) -> (f32, f32);

    /// A block of finite components of half precision, widened exactly.
    #[inline(always)]
    fn widen(self, halves: &[f16; HALVES]) -> [f32; HALVES] {
        halves::widen(halves)
    }

    /// [`dot`](Self::dot) with `b` of half precision; bit by bit what it is with `b` widened before.
    fn half_dot(self, a: &[f32], b: &[f16]) -> f32;

    /// [`squared_l2`](Self::squared_l2) with `b` of half precision, likewise.
    fn half_squared_l2(self, a: &[f32], b: &[f16]) -> f32;

    /// [`dot_and_norm`](Self::dot_and_norm) with `b` of half precision, likewise.
    fn half_dot_and_norm(self, a: &[f32], b: &[f16]) -> (f32, f32);

    /// `Σ (aᵢ − bᵢ)²`, exact up to [`DIM_MAX`](crate::DIM_MAX) components.
    fn code_squared_l2(self, a: &[u8], b: &[u8]) -> u32;

    /// `Σ (aᵢ − bᵢ)²` for each of four, up to the shortest of all, reading `b` once.
    #[inline(always)]
    fn code_squared_l2_of_4(self, a: [&[u8]; 4], b: &[u8]) -> [u32; 4] {
        let len = a.iter().fold(b.len(), |len, a| len.min(a.len()));
        let mut sums = [0; 4];
        for (sum, a) in sums.iter_mut().zip(a) {
            *sum = self.code_squared_l2(&a[..len], &b[..len]);
        }
        sums
    }

    /// `Σ (aᵢ − 128)(bᵢ − 128)`, exact up to [`DIM_MAX`](crate::DIM_MAX) components.
    fn code_dot(self, a: &[u8], b: &[u8]) -> i32;

    /// `Σ (aᵢ − bᵢ)²` with a coarse code `b`, whose nibbles name `levels` (laid out as
    /// `codes/coarse.rs` says), over the whole pieces that both have.
    fn coarse_squared_l2(self, a: &[u8], b: &[u8], levels: &[u8; LEVELS]) -> u32;

    /// `Σ weight · level` with a coarse code `b`, over the whole pieces that both have; the weights lie
    /// as [`codes::COARSE_BLOCK`](crate::codes::COARSE_BLOCK) says. Exact up to
    /// [`DIM_MAX`](crate::DIM_MAX) components.
    fn coarse_sum(self, weights: &[i8], b: &[u8], levels: &[u8; LEVELS]) -> i32;

    /// `Σ weight · code` for each row of a block of 4-bit codes (16 rows, interleaved as
    /// `clusters/block.rs` says), with a line of weights for each line of the block; exact up to
    /// [`DIM_MAX`](crate::DIM_MAX) components.
    fn nibble_dots(self, block: &[u8], weights: &[[i8; LINE_COMPONENTS]]) -> [i32; LANES];

    /// For each of four rows of bits `Σ weight` over the weights whose bit is set (bit `i % 8` of byte
    /// `i / 8`), in whole words of 64, as many as all of them have; exact up to
    /// [`DIM_MAX`](crate::DIM_MAX) weights of at most [`BIT_WEIGHT_MAX`].
    fn sums_where_set(self, rows: [&[u8]; 4], weights: &[i8]) -> [i32; 4];

    /// Bit `i` is set if `values[i] >= bound`.
    fn lanes_at_least(self, values: &[f32; LANES], bound: f32) -> u16;
}
