//! Which instruction set runs, decided once for a whole search or scan.

use half::f16;

use super::Kernel;
use super::portable::Portable;
use crate::codes::LEVELS;

/// Work that is compiled for every instruction set and run on one.
pub(crate) trait WithKernel {
    /// What the work gives.
    type Output;
    /// The work; to be marked `inline(always)`, like everything hot that it calls.
    fn run<K: Kernel>(self, kernel: K) -> Self::Output;
}

/// One of the instruction sets that this processor has.
///
/// Public, but hidden, so that tests can compare each of them with the scalar twin.
#[derive(Clone, Copy, Debug)]
pub struct KernelChoice(Token);

#[derive(Clone, Copy, Debug)]
enum Token {
    #[cfg(target_arch = "x86_64")]
    Vnni(super::vnni::Vnni),
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
    Portable(Portable),
}

impl KernelChoice {
    /// The best one; pulp looks at the processor once and remembers what it saw in a static.
    #[must_use]
    #[inline]
    pub fn detected() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(token) = super::vnni::Vnni::try_new() {
                return KernelChoice(Token::Vnni(token));
            }
            if let Some(token) = pulp::x86::V4::try_new() {
                return KernelChoice(Token::Avx512(token));
            }
            if let Some(token) = pulp::x86::V3::try_new() {
                return KernelChoice(Token::Avx2(token));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if let Some(token) = pulp::aarch64::Neon::try_new() {
            return KernelChoice(Token::Neon(token));
        }
        KernelChoice(Token::Portable(Portable))
    }

    /// Every one, the scalar twin first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        #[allow(unused_mut, reason = "nothing is added where only the scalar kernels exist")]
        let mut tokens = vec![Token::Portable(Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            tokens.extend(pulp::x86::V3::try_new().map(Token::Avx2));
            tokens.extend(pulp::x86::V4::try_new().map(Token::Avx512));
            tokens.extend(super::vnni::Vnni::try_new().map(Token::Vnni));
        }
        #[cfg(target_arch = "aarch64")]
        tokens.extend(pulp::aarch64::Neon::try_new().map(Token::Neon));
        tokens.into_iter().map(KernelChoice).collect()
    }

    /// Its name, as [`kernel_name`](crate::kernel_name) gives it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Token::Vnni(_) => "avx512vnni",
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Token::Neon(_) => "neon",
            Token::Portable(_) => "scalar",
        }
    }

    /// Runs `work` on this instruction set.
    #[inline]
    pub(crate) fn run<W: WithKernel>(self, work: W) -> W::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Token::Vnni(kernel) => Kernel::vectorize(kernel, Bound { kernel, work }),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(kernel) => kernel.vectorize(Bound { kernel, work }),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(kernel) => kernel.vectorize(Bound { kernel, work }),
            #[cfg(target_arch = "aarch64")]
            Token::Neon(kernel) => kernel.vectorize(Bound { kernel, work }),
            Token::Portable(kernel) => Kernel::vectorize(kernel, Bound { kernel, work }),
        }
    }

    /// `⟨a, b⟩`.
    #[must_use]
    pub fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        self.run(Dot(a, b))
    }

    /// `⟨aᵢ, b⟩` for each of four.
    #[must_use]
    pub fn dot_of_4(self, a: [&[f32]; 4], b: &[f32]) -> [f32; 4] {
        self.run(DotOf4(a, b))
    }

    /// `Σ weight · code` for each row of a block of 4-bit codes.
    #[must_use]
    pub fn nibble_dots(self, block: &[u8], weights: &[[i8; 8]]) -> [i32; 16] {
        self.run(NibbleDots(block, weights))
    }

    /// For each of four rows of bits `Σ weight` over the weights whose bit is set.
    #[must_use]
    pub fn sums_where_set(self, rows: [&[u8]; 4], weights: &[i8]) -> [i32; 4] {
        self.run(SumsWhereSet(rows, weights))
    }

    /// Bit `i` is set if `values[i] >= bound`.
    #[must_use]
    pub fn lanes_at_least(self, values: &[f32; 16], bound: f32) -> u16 {
        self.run(LanesAtLeast(values, bound))
    }

    /// `‖a − b‖²`.
    #[must_use]
    pub fn squared_l2(self, a: &[f32], b: &[f32]) -> f32 {
        self.run(SquaredL2(a, b))
    }

    /// `(⟨a, b⟩, ‖b‖²)`.
    #[must_use]
    pub fn dot_and_norm(self, a: &[f32], b: &[f32]) -> (f32, f32) {
        self.run(DotAndNorm(a, b))
    }

    /// `⟨a, b⟩` with `b` of half precision.
    #[must_use]
    pub fn half_dot(self, a: &[f32], b: &[f16]) -> f32 {
        self.run(HalfDot(a, b))
    }

    /// `‖a − b‖²` with `b` of half precision.
    #[must_use]
    pub fn half_squared_l2(self, a: &[f32], b: &[f16]) -> f32 {
        self.run(HalfSquaredL2(a, b))
    }

    /// `(⟨a, b⟩, ‖b‖²)` with `b` of half precision.
    #[must_use]
    pub fn half_dot_and_norm(self, a: &[f32], b: &[f16]) -> (f32, f32) {
        self.run(HalfDotAndNorm(a, b))
    }

    /// `Σ (aᵢ − bᵢ)²`.
    #[must_use]
    pub fn code_squared_l2(self, a: &[u8], b: &[u8]) -> u32 {
        self.run(CodeSquaredL2(a, b))
    }

    /// `Σ (aᵢ − bᵢ)²` for each of four.
    #[must_use]
    pub fn code_squared_l2_of_4(self, a: [&[u8]; 4], b: &[u8]) -> [u32; 4] {
        self.run(CodeSquaredL2Of4(a, b))
    }

    /// `Σ (aᵢ − 128)(bᵢ − 128)`.
    #[must_use]
    pub fn code_dot(self, a: &[u8], b: &[u8]) -> i32 {
        self.run(CodeDot(a, b))
    }

    /// `Σ (aᵢ − bᵢ)²` with a coarse code `b`.
    #[must_use]
    pub fn coarse_squared_l2(self, a: &[u8], b: &[u8], levels: &[u8; LEVELS]) -> u32 {
        self.run(CoarseSquaredL2(a, b, levels))
    }

    /// `Σ weight · level` with a coarse code `b`.
    #[must_use]
    pub fn coarse_sum(self, weights: &[i8], b: &[u8], levels: &[u8; LEVELS]) -> i32 {
        self.run(CoarseSum(weights, b, levels))
    }
}

/// Work with its kernel: what pulp calls inside of the function with the target features.
struct Bound<K, W> {
    kernel: K,
    work: W,
}

impl<K: Kernel, W: WithKernel> pulp::NullaryFnOnce for Bound<K, W> {
    type Output = W::Output;

    #[inline(always)]
    fn call(self) -> W::Output {
        self.work.run(self.kernel)
    }
}

/// A kernel method as [`WithKernel`], for one call on its own.
macro_rules! one_call {
    (@call $name:ident($($field:tt),+), $method:ident, $output:ty) => {
        impl WithKernel for $name<'_> {
            type Output = $output;

            #[inline(always)]
            fn run<K: Kernel>(self, kernel: K) -> $output {
                kernel.$method($(self.$field),+)
            }
        }
    };
    ($name:ident, $a:ty, $b:ty, $method:ident, $output:ty) => {
        struct $name<'a>($a, $b);
        one_call!(@call $name(0, 1), $method, $output);
    };
    ($name:ident, $a:ty, $b:ty, $c:ty, $method:ident, $output:ty) => {
        struct $name<'a>($a, $b, $c);
        one_call!(@call $name(0, 1, 2), $method, $output);
    };
}

one_call!(Dot, &'a [f32], &'a [f32], dot, f32);
one_call!(DotOf4, [&'a [f32]; 4], &'a [f32], dot_of_4, [f32; 4]);
one_call!(SquaredL2, &'a [f32], &'a [f32], squared_l2, f32);
one_call!(DotAndNorm, &'a [f32], &'a [f32], dot_and_norm, (f32, f32));
one_call!(HalfDot, &'a [f32], &'a [f16], half_dot, f32);
one_call!(HalfSquaredL2, &'a [f32], &'a [f16], half_squared_l2, f32);
one_call!(HalfDotAndNorm, &'a [f32], &'a [f16], half_dot_and_norm, (f32, f32));
one_call!(CodeSquaredL2, &'a [u8], &'a [u8], code_squared_l2, u32);
one_call!(CodeSquaredL2Of4, [&'a [u8]; 4], &'a [u8], code_squared_l2_of_4, [u32; 4]);
one_call!(CodeDot, &'a [u8], &'a [u8], code_dot, i32);
one_call!(CoarseSquaredL2, &'a [u8], &'a [u8], &'a [u8; LEVELS], coarse_squared_l2, u32);
one_call!(CoarseSum, &'a [i8], &'a [u8], &'a [u8; LEVELS], coarse_sum, i32);
one_call!(NibbleDots, &'a [u8], &'a [[i8; 8]], nibble_dots, [i32; 16]);
one_call!(SumsWhereSet, [&'a [u8]; 4], &'a [i8], sums_where_set, [i32; 4]);
one_call!(LanesAtLeast, &'a [f32; 16], f32, lanes_at_least, u16);
