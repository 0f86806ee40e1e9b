//! Every kernel against its definition, and exact distances against theirs.

use proptest::prelude::*;
use vecstore_index::half::f16;
use vecstore_index::testing::KernelChoice;
use vecstore_index::{DIM_MAX, ExactQuery, Metric, Stored, kernel_name};

/// Two slices of the same length, which start anywhere in memory.
fn pair<T: std::fmt::Debug + Clone + 'static>(
    item: impl Strategy<Value = T> + Clone + 'static,
) -> impl Strategy<Value = (Vec<T>, Vec<T>, usize)> {
    (0..1030usize, 0..5usize).prop_flat_map(move |(len, offset)| {
        let vector = prop::collection::vec(item.clone(), len + offset);
        (vector.clone(), vector, Just(offset))
    })
}

fn close(got: f32, terms: impl Iterator<Item = f64> + Clone) -> bool {
    let size: f64 = terms.clone().map(f64::abs).sum();
    (f64::from(got) - terms.sum::<f64>()).abs() <= 1e-4 * size
}

proptest! {
    #[test]
    fn code_kernels_are_exact((a, b, offset) in pair(any::<u8>())) {
        // One slice moves in memory, the other does not.
        let (a, b) = (&a[offset..], &b[..b.len() - offset]);
        let pairs = || a.iter().zip(b).map(|(&a, &b)| (i64::from(a), i64::from(b)));
        let squared: i64 = pairs().map(|(a, b)| (a - b).pow(2)).sum();
        let dot: i64 = pairs().map(|(a, b)| (a - 128) * (b - 128)).sum();
        for kernel in KernelChoice::all() {
            prop_assert_eq!(i64::from(kernel.code_squared_l2(a, b)), squared, "{:?}", kernel);
            prop_assert_eq!(i64::from(kernel.code_dot(a, b)), dot, "{:?}", kernel);
        }
    }

    #[test]
    fn coarse_kernels_are_exact(
        (a, b, offset) in pair(any::<u8>()),
        levels in prop::array::uniform16(any::<u8>()),
        extreme in any::<bool>(),
    ) {
        let (a, b) = (&a[offset..], &b[..b.len() - offset]);
        let (a, levels) =
            if extreme { (vec![255; a.len()], [0; 16]) } else { (a.to_vec(), levels) };
        let heavy = [255; 16];
        let weight = |a: u8| if extreme { -128 } else { a as i8 };
        let weights: Vec<i8> = a.iter().map(|&a| weight(a)).collect();
        let weighed = if extreme { &heavy } else { &levels };
        let pieces = (a.len() / 64).min(b.len() / 32);
        let pairs = || (0..64 * pieces).map(|at| {
            let byte = b[at / 64 * 32 + at % 32];
            let nibble = if at % 64 < 32 { byte & 15 } else { byte >> 4 };
            (i64::from(a[at]), i64::from(levels[usize::from(nibble)]))
        });
        let squared: i64 = pairs().map(|(a, b)| (a - b).pow(2)).sum();
        // Weights lie as the nibbles are met: of two pieces together first the low ones.
        let sum: i64 = (0..64 * pieces)
            .map(|at| {
                let (block, place) = (at / 128 * 128, at % 128);
                let bytes = (64 * pieces - block).min(128) / 2;
                let byte = b[block / 2 + place % bytes];
                let nibble = if place < bytes { byte & 15 } else { byte >> 4 };
                i64::from(weights[at]) * i64::from(weighed[usize::from(nibble)])
            })
            .sum();
        for kernel in KernelChoice::all() {
            let found = kernel.coarse_squared_l2(&a, b, &levels);
            prop_assert_eq!(i64::from(found), squared, "{:?}", kernel);
            let found = kernel.coarse_sum(&weights, b, weighed);
            prop_assert_eq!(i64::from(found), sum, "{:?}", kernel);
        }
    }

    #[test]
    fn nibble_kernels_are_exact(
        lines in 0..130usize,
        seed in any::<u64>(),
        extreme in any::<bool>(),
        offset in 0..5usize,
    ) {
        let mut state = seed;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        let block: Vec<u8> =
            (0..64 * lines + offset).map(|_| if extreme { 255 } else { byte() }).collect();
        let block = &block[offset..];
        let weights: Vec<[i8; 8]> = (0..lines)
            .map(|_| [(); 8].map(|()| if extreme { -128 } else { byte() as i8 }))
            .collect();
        let mut sums = [0i64; 16];
        for (component, weight) in weights.as_flattened().iter().enumerate() {
            for (row, sum) in sums.iter_mut().enumerate() {
                let byte = block[component / 8 * 64 + 4 * row + component % 4];
                let code = if component % 8 < 4 { byte & 15 } else { byte >> 4 };
                *sum += i64::from(code) * i64::from(*weight);
            }
        }
        for kernel in KernelChoice::all() {
            prop_assert_eq!(kernel.nibble_dots(block, &weights).map(i64::from), sums, "{:?}", kernel);
        }
    }

    #[test]
    fn bit_kernels_are_exact(
        words in prop::array::uniform4(0..20usize),
        weights in 0..20usize,
        seed in any::<u64>(),
        extreme in any::<bool>(),
        offset in 0..5usize,
    ) {
        let mut state = seed;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if extreme { 255 } else { (state >> 56) as u8 }
        };
        let rows = words.map(|words| (0..8 * words + offset).map(|_| byte()).collect::<Vec<u8>>());
        let rows: [&[u8]; 4] = std::array::from_fn(|row| &rows[row][offset..]);
        let mut weight = || if extreme { -15 } else { (byte() % 31) as i8 - 15 };
        let weights: Vec<i8> = (0..64 * weights + offset).map(|_| weight()).collect();
        let weights = &weights[offset..];
        let len = rows.iter().fold(weights.len(), |len, row| len.min(8 * row.len()));
        let sums = rows.map(|row| {
            let set = (0..len).filter(|&i| row[i / 8] >> (i % 8) & 1 == 1);
            set.map(|i| i32::from(weights[i])).sum::<i32>()
        });
        for kernel in KernelChoice::all() {
            prop_assert_eq!(kernel.sums_where_set(rows, weights), sums, "{:?}", kernel);
        }
    }

    #[test]
    fn four_codes_are_compared_as_each_is(
        lens in prop::array::uniform5(prop_oneof![0..1100usize, (0..17usize).prop_map(|n| 64 * n)]),
        seed in any::<u64>(),
        extreme in any::<bool>(),
        offset in 0..5usize,
    ) {
        let mut state = seed;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let byte = (state >> 56) as u8;
            if extreme { 255 * (byte & 1) } else { byte }
        };
        let codes = lens.map(|len| (0..len + offset).map(|_| byte()).collect::<Vec<u8>>());
        let [a, b, c, d, e] = std::array::from_fn(|code| &codes[code][offset..]);
        let twin = KernelChoice::all()[0];
        for kernel in KernelChoice::all() {
            let four = kernel.code_squared_l2_of_4([a, b, c, d], e);
            // Cut to the shortest of all, where each alone would be cut to the shorter of two.
            let len = [a, b, c, d, e].iter().map(|code| code.len()).min().unwrap_or(0);
            let alone = [a, b, c, d].map(|code| twin.code_squared_l2(&code[..len], &e[..len]));
            prop_assert_eq!(four, alone, "{:?}", kernel);
        }
    }

    #[test]
    fn lanes_are_told_by_their_bits(
        values in prop::array::uniform16(prop_oneof![-2.0f32..2.0, Just(0.5), Just(f32::NAN)]),
        bound in prop_oneof![-2.0f32..2.0, Just(0.5), Just(f32::NEG_INFINITY)],
    ) {
        for kernel in KernelChoice::all() {
            let lanes = kernel.lanes_at_least(&values, bound);
            for (lane, value) in values.iter().enumerate() {
                prop_assert_eq!(lanes >> lane & 1 == 1, *value >= bound, "{:?}", kernel);
            }
        }
    }

    #[test]
    fn four_dots_are_close((a, b, offset) in pair(-100.0f32..100.0)) {
        let b = &b[offset..];
        let fours = [&a[..b.len()], b, &b[..b.len() / 2], &a[offset..]];
        for kernel in KernelChoice::all() {
            let len = b.len() / 2;
            for (a, got) in fours.iter().zip(kernel.dot_of_4(fours.map(|a| &a[..len]), b)) {
                let terms = a.iter().zip(&b[..len]).map(|(&a, &b)| f64::from(a) * f64::from(b));
                prop_assert!(close(got, terms), "{:?}", kernel);
            }
            let same = kernel.dot_of_4([b, &a[offset..], b, b], b);
            let terms = a[offset..].iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
            prop_assert!(close(same[1], terms), "{:?}", kernel);
        }
    }

    #[test]
    fn float_kernels_are_close((a, b, offset) in pair(-100.0f32..100.0)) {
        let (a, b) = (&a[offset..], &b[..b.len() - offset]);
        let pairs = || a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
        for kernel in KernelChoice::all() {
            prop_assert!(close(kernel.dot(a, b), pairs().map(|(a, b)| a * b)), "{:?}", kernel);
            let squared = kernel.squared_l2(a, b);
            prop_assert!(close(squared, pairs().map(|(a, b)| (a - b).powi(2))), "{:?}", kernel);
            let (dot, norm) = kernel.dot_and_norm(a, b);
            prop_assert!(close(dot, pairs().map(|(a, b)| a * b)), "{:?}", kernel);
            prop_assert!(close(norm, pairs().map(|(_, b)| b * b)), "{:?}", kernel);
        }
    }

    #[test]
    fn half_precision_gives_what_its_widened_components_give(
        (a, b, offset) in pair(any::<u16>()),
        metric in prop::sample::select(Metric::ALL.to_vec()),
    ) {
        let finite = |bits: &u16| {
            let half = f16::from_bits(*bits);
            // No infinity and no NaN: one bit less of the exponent.
            if half.is_finite() { half } else { f16::from_bits(bits & 0x7bff) }
        };
        let a: Vec<f32> = a[offset..].iter().map(|bits| f32::from(*bits as i16) / 64.0).collect();
        let halves: Vec<f16> = b.iter().map(finite).collect();
        // Of another length, so that the shorter one decides.
        let halves = &halves[offset / 2..];
        let wide: Vec<f32> = halves.iter().map(|half| half.to_f32()).collect();
        for kernel in KernelChoice::all() {
            prop_assert_eq!(kernel.half_dot(&a, halves), kernel.dot(&a, &wide), "{:?}", kernel);
            prop_assert_eq!(
                kernel.half_squared_l2(&a, halves), kernel.squared_l2(&a, &wide), "{:?}", kernel
            );
            prop_assert_eq!(
                kernel.half_dot_and_norm(&a, halves), kernel.dot_and_norm(&a, &wide), "{:?}", kernel
            );
        }
        let query = ExactQuery::new(metric, &a);
        prop_assert_eq!(query.distance(Stored::F16(halves)), query.distance(&wide[..]));
    }

    #[test]
    fn the_shorter_slice_decides(
        a in prop::collection::vec(any::<u8>(), 0..200),
        b in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let len = a.len().min(b.len());
        for kernel in KernelChoice::all() {
            let cut = kernel.code_squared_l2(&a[..len], &b[..len]);
            prop_assert_eq!(kernel.code_squared_l2(&a, &b), cut);
            prop_assert_eq!(kernel.code_dot(&a, &b), kernel.code_dot(&a[..len], &b[..len]));
            let floats = |bytes: &[u8]| bytes.iter().map(|&b| f32::from(b)).collect::<Vec<_>>();
            let (a, b) = (floats(&a), floats(&b));
            prop_assert_eq!(kernel.dot(&a, &b), kernel.dot(&a[..len], &b[..len]));
            prop_assert_eq!(kernel.squared_l2(&a, &b), kernel.squared_l2(&a[..len], &b[..len]));
            let cut = kernel.dot_and_norm(&a[..len], &b[..len]);
            prop_assert_eq!(kernel.dot_and_norm(&a, &b), cut);
        }
    }

    #[test]
    fn exact_distances_follow_the_definition((q, x, offset) in pair(-100.0f32..100.0)) {
        let (q, x) = (&q[offset..], &x[offset..]);
        for metric in Metric::ALL {
            let got = f64::from(ExactQuery::new(metric, q).distance(x));
            let want = definition(metric, q, x);
            // Products cancel, so the error goes with the size of the vectors.
            let size = match metric {
                Metric::Cosine => 1.0,
                Metric::Dot => q.iter().zip(x).map(|(q, x)| f64::from(q * x).abs()).sum(),
                Metric::Euclidean => want,
            };
            prop_assert!((got - want).abs() <= 1e-4 * size, "{metric}: {got}, expected {want}");
        }
    }

    #[test]
    fn a_block_gives_the_distances_of_its_vectors(
        dim in 1..70usize,
        floats in prop::collection::vec(-1.0f32..1.0, 70..700),
    ) {
        for metric in Metric::ALL {
            let query = ExactQuery::new(metric, &floats[..dim]);
            let mut distances = vec![7.0];
            query.distances(&floats, &mut distances);
            let one_by_one = floats.chunks_exact(dim).map(|vector| query.distance(vector));
            let expected: Vec<f32> = std::iter::once(7.0).chain(one_by_one).collect();
            prop_assert_eq!(distances, expected);
        }
    }
}

fn definition(metric: Metric, q: &[f32], x: &[f32]) -> f64 {
    let sum = |f: fn(f64, f64) -> f64| -> f64 {
        q.iter().zip(x).map(|(&q, &x)| f(f64::from(q), f64::from(x))).sum()
    };
    match metric {
        Metric::Cosine => {
            let norms = (sum(|q, _| q * q) * sum(|_, x| x * x)).sqrt();
            if norms > 0.0 { 1.0 - sum(|q, x| q * x) / norms } else { 1.0 }
        }
        Metric::Dot => -sum(|q, x| q * x),
        Metric::Euclidean => sum(|q, x| (q - x).powi(2)).sqrt(),
    }
}

#[test]
fn the_largest_sums_fit() {
    let (zeros, full) = (vec![0u8; DIM_MAX], vec![255u8; DIM_MAX]);
    for kernel in KernelChoice::all() {
        let squared = u64::from(kernel.code_squared_l2(&zeros, &full));
        assert_eq!(squared, 255 * 255 * DIM_MAX as u64, "{kernel:?}");
        let four = kernel.code_squared_l2_of_4([&full; 4], &zeros);
        assert_eq!(four.map(u64::from), [squared; 4], "{kernel:?}");
        let dot = i64::from(kernel.code_dot(&zeros, &zeros));
        assert_eq!(dot, 128 * 128 * DIM_MAX as i64, "{kernel:?}");
        let dot = i64::from(kernel.code_dot(&zeros, &full));
        assert_eq!(dot, -128 * 127 * DIM_MAX as i64, "{kernel:?}");
        for weight in [-128, 127] {
            let dots = kernel.nibble_dots(&vec![255; 8 * DIM_MAX], &[[weight; 8]; DIM_MAX / 8]);
            assert_eq!(dots, [15 * i32::from(weight) * DIM_MAX as i32; 16], "{kernel:?}");
        }
        for weight in [-15, 15] {
            let bits = [&[255u8; DIM_MAX / 8][..]; 4];
            let sums = kernel.sums_where_set(bits, &[weight; DIM_MAX]);
            assert_eq!(sums, [i32::from(weight) * DIM_MAX as i32; 4], "{kernel:?}");
        }
    }
}

#[test]
fn the_scalar_twin_and_the_detected_kernel_are_among_all() {
    let names: Vec<_> = KernelChoice::all().into_iter().map(KernelChoice::name).collect();
    assert_eq!(names[0], "scalar");
    assert_eq!(*names.last().unwrap(), kernel_name());
}

#[test]
fn distances_at_the_edges_of_f32() {
    let check = |metric, q: &[f32], x: &[f32], expected: f32| {
        let got = ExactQuery::new(metric, q).distance(x);
        let scale = if metric == Metric::Cosine { 1.0 } else { 0.0 };
        let near = got == expected || (got - expected).abs() <= 1e-6 * expected.abs().max(scale);
        assert!(near, "{metric} of {q:?} and {x:?}: {got}, expected {expected}");
    };
    use Metric::{Cosine, Dot, Euclidean};
    // Squares that overflow or vanish.
    check(Cosine, &[1e30, 0.0], &[1e30, 1e30], 1.0 - 0.5f32.sqrt());
    check(Cosine, &[1e-30, 0.0], &[1e-30, 1e-30], 1.0 - 0.5f32.sqrt());
    check(Cosine, &[f32::MAX; 3], &[f32::MAX; 3], 0.0);
    check(Cosine, &[f32::MAX; 3], &[f32::MIN; 3], 2.0);
    check(Euclidean, &[1e30, 0.0], &[0.0, 0.0], 1e30);
    check(Euclidean, &[1e-30, 0.0], &[0.0, 0.0], 1e-30);
    check(Euclidean, &[f32::MAX], &[f32::MIN], f32::INFINITY);
    check(Dot, &[1e30, 1.0], &[1e30, 1.0], f32::NEG_INFINITY);
    check(Dot, &[1e30, 1e30], &[1e30, -1e30], 0.0);
    // No direction.
    check(Cosine, &[0.0, 0.0], &[1.0, 0.0], 1.0);
    check(Cosine, &[1.0, 0.0], &[0.0, 0.0], 1.0);
    check(Cosine, &[0.0, 0.0], &[0.0, 0.0], 1.0);
    // No components.
    check(Cosine, &[], &[], 1.0);
    check(Dot, &[], &[], 0.0);
    check(Euclidean, &[], &[], 0.0);
    let mut distances = Vec::new();
    ExactQuery::new(Dot, &[]).distances(&[], &mut distances);
    assert!(distances.is_empty());
}
