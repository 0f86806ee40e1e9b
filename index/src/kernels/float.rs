//! Float kernels for every instruction set that pulp has a vector type for.
//!
//! Four sums run side by side, which hides the latency of the fused multiply-add.

use half::f16;
use pulp::Simd;

use super::Kernel;
use super::halves::in_parts;

const SUMS: usize = 4;

/// Both slices, cut to the shorter one's length.
#[inline(always)]
fn same_length<'a>(a: &'a [f32], b: &'a [f32]) -> (&'a [f32], &'a [f32]) {
    let len = a.len().min(b.len());
    (&a[..len], &b[..len])
}

/// Adds `step` over all components to `sums`, `SUMS` vectors at a time. The parts of a whole that
/// [`in_parts`] makes add up to what the whole does.
#[inline(always)]
fn add<S: Simd>(
    simd: S,
    a: &[f32],
    b: &[f32],
    sums: &mut [S::f32s; SUMS],
    step: impl Fn(S::f32s, S::f32s, S::f32s) -> S::f32s,
) {
    let (a, a_tail) = S::as_simd_f32s(a);
    let (b, b_tail) = S::as_simd_f32s(b);
    let (a, a_rest) = a.as_chunks::<SUMS>();
    let (b, b_rest) = b.as_chunks::<SUMS>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..SUMS {
            sums[lane] = step(a[lane], b[lane], sums[lane]);
        }
    }
    for (&a, &b) in a_rest.iter().zip(b_rest) {
        sums[0] = step(a, b, sums[0]);
    }
    if !a_tail.is_empty() {
        sums[1] = step(simd.partial_load_f32s(a_tail), simd.partial_load_f32s(b_tail), sums[1]);
    }
}

#[inline(always)]
fn total<S: Simd>(simd: S, sums: [S::f32s; SUMS]) -> f32 {
    simd.reduce_sum_f32s(
        simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3])),
    )
}

/// The sum of `step` over all components.
#[inline(always)]
fn sum<S: Simd>(
    simd: S,
    a: &[f32],
    b: &[f32],
    step: impl Fn(S::f32s, S::f32s, S::f32s) -> S::f32s,
) -> f32 {
    let (a, b) = same_length(a, b);
    let mut sums = [simd.splat_f32s(0.0); SUMS];
    add(simd, a, b, &mut sums, step);
    total(simd, sums)
}

/// [`sum`] with components of half precision.
#[inline(always)]
fn sum_of_halves<S: Simd + Kernel>(
    simd: S,
    a: &[f32],
    b: &[f16],
    step: impl Fn(S::f32s, S::f32s, S::f32s) -> S::f32s + Copy,
) -> f32 {
    let mut sums = [simd.splat_f32s(0.0); SUMS];
    in_parts(
        simd,
        a,
        b,
        #[inline(always)]
        |a, b| add(simd, a, b, &mut sums, step),
    );
    total(simd, sums)
}

/// The steps of an inner product.
#[inline(always)]
fn products<S: Simd>(simd: S) -> impl Fn(S::f32s, S::f32s, S::f32s) -> S::f32s + Copy {
    #[inline(always)]
    move |a, b, sum| simd.mul_add_e_f32s(a, b, sum)
}

/// The steps of a squared distance.
#[inline(always)]
fn squares<S: Simd>(simd: S) -> impl Fn(S::f32s, S::f32s, S::f32s) -> S::f32s + Copy {
    #[inline(always)]
    move |a, b, sum| {
        let difference = simd.sub_f32s(a, b);
        simd.mul_add_e_f32s(difference, difference, sum)
    }
}

#[inline(always)]
pub(super) fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    sum(simd, a, b, products(simd))
}

#[inline(always)]
pub(super) fn dot_of_4<S: Simd>(simd: S, a: [&[f32]; 4], b: &[f32]) -> [f32; 4] {
    let len = a.iter().fold(b.len(), |len, a| len.min(a.len()));
    let (b, b_tail) = S::as_simd_f32s(&b[..len]);
    // Not `map`: arrays are mapped by a function that is compiled apart, without the instruction set.
    let (a0, tail0) = S::as_simd_f32s(&a[0][..len]);
    let (a1, tail1) = S::as_simd_f32s(&a[1][..len]);
    let (a2, tail2) = S::as_simd_f32s(&a[2][..len]);
    let (a3, tail3) = S::as_simd_f32s(&a[3][..len]);
    let (a0, a1, a2, a3) = (&a0[..b.len()], &a1[..b.len()], &a2[..b.len()], &a3[..b.len()]);
    // Two sums for each, which hide the latency of the fused multiply-add.
    let mut sums = [[simd.splat_f32s(0.0); 4]; 2];
    for (i, &b) in b.iter().enumerate() {
        let sums = &mut sums[i % 2];
        sums[0] = simd.mul_add_e_f32s(a0[i], b, sums[0]);
        sums[1] = simd.mul_add_e_f32s(a1[i], b, sums[1]);
        sums[2] = simd.mul_add_e_f32s(a2[i], b, sums[2]);
        sums[3] = simd.mul_add_e_f32s(a3[i], b, sums[3]);
    }
    if !b_tail.is_empty() {
        let b = simd.partial_load_f32s(b_tail);
        for (sum, a_tail) in sums[0].iter_mut().zip([tail0, tail1, tail2, tail3]) {
            *sum = simd.mul_add_e_f32s(simd.partial_load_f32s(a_tail), b, *sum);
        }
    }
    // No closure: one that holds vectors is compiled apart, without the instruction set.
    let [even, odd] = sums;
    let mut dots = [0.0; 4];
    for (dot, (even, odd)) in dots.iter_mut().zip(even.into_iter().zip(odd)) {
        *dot = simd.reduce_sum_f32s(simd.add_f32s(even, odd));
    }
    dots
}

#[inline(always)]
pub(super) fn squared_l2<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    sum(simd, a, b, squares(simd))
}

#[inline(always)]
pub(super) fn dot_and_norm<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> (f32, f32) {
    let (a, b) = same_length(a, b);
    let mut sums = [[simd.splat_f32s(0.0); SUMS]; 2];
    add_dot_and_norm(simd, a, b, &mut sums);
    (total(simd, sums[0]), total(simd, sums[1]))
}

/// Adds the products and the squares of a part, like [`add`], to two sums that run beside each other.
#[inline(always)]
fn add_dot_and_norm<S: Simd>(simd: S, a: &[f32], b: &[f32], sums: &mut [[S::f32s; SUMS]; 2]) {
    let [dots, norms] = sums;
    let (a, a_tail) = S::as_simd_f32s(a);
    let (b, b_tail) = S::as_simd_f32s(b);
    let (a, a_rest) = a.as_chunks::<SUMS>();
    let (b, b_rest) = b.as_chunks::<SUMS>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..SUMS {
            dots[lane] = simd.mul_add_e_f32s(a[lane], b[lane], dots[lane]);
            norms[lane] = simd.mul_add_e_f32s(b[lane], b[lane], norms[lane]);
        }
    }
    for (&a, &b) in a_rest.iter().zip(b_rest) {
        dots[0] = simd.mul_add_e_f32s(a, b, dots[0]);
        norms[0] = simd.mul_add_e_f32s(b, b, norms[0]);
    }
    if !a_tail.is_empty() {
        let (a, b) = (simd.partial_load_f32s(a_tail), simd.partial_load_f32s(b_tail));
        dots[1] = simd.mul_add_e_f32s(a, b, dots[1]);
        norms[1] = simd.mul_add_e_f32s(b, b, norms[1]);
    }
}

#[inline(always)]
pub(super) fn half_dot<S: Simd + Kernel>(simd: S, a: &[f32], b: &[f16]) -> f32 {
    sum_of_halves(simd, a, b, products(simd))
}

#[inline(always)]
pub(super) fn half_squared_l2<S: Simd + Kernel>(simd: S, a: &[f32], b: &[f16]) -> f32 {
    sum_of_halves(simd, a, b, squares(simd))
}

#[inline(always)]
pub(super) fn half_dot_and_norm<S: Simd + Kernel>(simd: S, a: &[f32], b: &[f16]) -> (f32, f32) {
    let mut sums = [[simd.splat_f32s(0.0); SUMS]; 2];
    in_parts(
        simd,
        a,
        b,
        #[inline(always)]
        |a, b| add_dot_and_norm(simd, a, b, &mut sums),
    );
    (total(simd, sums[0]), total(simd, sums[1]))
}

/// The float methods of [`Kernel`](super::Kernel) for a pulp token, and its `vectorize`.
macro_rules! float_methods {
    () => {
        #[inline(always)]
        fn vectorize<F: pulp::NullaryFnOnce>(self, work: F) -> F::Output {
            pulp::Simd::vectorize(self, work)
        }

        #[inline(always)]
        fn dot(self, a: &[f32], b: &[f32]) -> f32 {
            super::float::dot(self, a, b)
        }

        #[inline(always)]
        fn dot_of_4(self, a: [&[f32]; 4], b: &[f32]) -> [f32; 4] {
            super::float::dot_of_4(self, a, b)
        }

        #[inline(always)]
        fn squared_l2(self, a: &[f32], b: &[f32]) -> f32 {
            super::float::squared_l2(self, a, b)
        }

        #[inline(always)]
        fn dot_and_norm(self, a: &[f32], b: &[f32]) -> (f32, f32) {
            super::float::dot_and_norm(self, a, b)
        }

        #[inline(always)]
        fn half_dot(self, a: &[f32], b: &[half::f16]) -> f32 {
            super::float::half_dot(self, a, b)
        }

        #[inline(always)]
        fn half_squared_l2(self, a: &[f32], b: &[half::f16]) -> f32 {
            super::float::half_squared_l2(self, a, b)
        }

        #[inline(always)]
        fn half_dot_and_norm(self, a: &[f32], b: &[half::f16]) -> (f32, f32) {
            super::float::half_dot_and_norm(self, a, b)
        }
    };
}
pub(super) use float_methods;
