//! Codes: what is lost by coding, and scans against the naive sort.

mod common;

use common::{Coded, clustered};
use proptest::prelude::*;
use vecstore_index::{Candidate, DIM_MAX, Damaged, ExactQuery, FlatRows, Metric, Quantizer, Rows};

fn vectors() -> impl Strategy<Value = (usize, Vec<f32>)> {
    (1..140usize, 1..40usize)
        .prop_flat_map(|(dim, rows)| (Just(dim), prop::collection::vec(-4.0f32..4.0, dim * rows)))
}

/// The best of `rows` by sorting all of them.
fn scan_slowly(coded: &Coded, query: &[f32], rows: &[u32], keep: usize) -> Vec<Candidate> {
    let query = coded.quantizer.query(query);
    let codes = coded.rows();
    let mut all: Vec<Candidate> = rows
        .iter()
        .map(|&row| Candidate { distance: query.distance(codes.row(row).expect("a row")), row })
        .collect();
    all.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
    all.truncate(keep);
    all
}

proptest! {
    /// Each component is off by at most half a step (all are inside of the range of so small a
    /// sample), for which the steps below are upper bounds.
    #[test]
    fn code_distances_are_near_exact_ones((dim, vectors) in vectors()) {
        for metric in Metric::ALL {
            let coded = Coded::new(metric, dim, &vectors);
            let codes = coded.rows();
            let query = coded.quantizer.query(&vectors[..dim]);
            let exact = ExactQuery::new(metric, &vectors[..dim]);
            for (row, vector) in (0..codes.rows()).zip(vectors.chunks_exact(dim)) {
                let (got, want) = (query.distance(codes.row(row).unwrap()), exact.distance(vector));
                let dim = dim as f32;
                let bound = match metric {
                    // √dim components of half a step of 2/255 each, twice.
                    Metric::Cosine => 2.0 * dim.sqrt() * (2.0 / 255.0),
                    Metric::Euclidean => dim.sqrt() * (8.0 / 255.0),
                    Metric::Dot => dim * (4.0 * 4.0 / 127.0) * 1.01,
                };
                prop_assert!((got - want).abs() <= bound, "{metric}: {got}, exact {want}");
            }
        }
    }

    #[test]
    fn a_scan_is_the_sorted_list(
        (dim, vectors) in vectors(),
        keep in 0..50usize,
        picks in prop::collection::btree_set(0..40u32, 0..40),
    ) {
        for metric in Metric::ALL {
            let coded = Coded::new(metric, dim, &vectors);
            let codes = coded.rows();
            let rows: Vec<u32> = picks.iter().copied().filter(|&row| row < codes.rows()).collect();
            let query = coded.quantizer.query(&vectors[..dim]);
            let found = query.scan(&codes, rows.iter().copied(), keep).unwrap();
            prop_assert_eq!(found, scan_slowly(&coded, &vectors[..dim], &rows, keep));
        }
    }

    #[test]
    fn bytes_that_are_read_are_bytes_that_were_written(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(quantizer) = Quantizer::from_bytes(&bytes) {
            prop_assert_eq!(quantizer.to_bytes(), bytes);
        }
    }
}

#[test]
fn equal_vectors_are_found_in_row_order() {
    let vectors = vec![0.5; 300 * 8];
    let coded = Coded::new(Metric::Euclidean, 8, &vectors);
    let found = coded.quantizer.query(&vectors[..8]).scan(&coded.rows(), 0..300, 20).unwrap();
    assert_eq!(found.iter().map(|c| c.row).collect::<Vec<_>>(), (0..20).collect::<Vec<u32>>());
    assert!(found.iter().all(|candidate| candidate.distance == 0.0));
}

#[test]
fn a_long_scan_keeps_the_best() {
    let vectors = clustered(1, 5_000, 20, 30);
    for metric in Metric::ALL {
        let coded = Coded::new(metric, 20, &vectors);
        let rows: Vec<u32> = (0..5_000).collect();
        let found =
            coded.quantizer.query(&vectors[..20]).scan(&coded.rows(), rows.iter().copied(), 100);
        assert_eq!(found.unwrap(), scan_slowly(&coded, &vectors[..20], &rows, 100), "{metric}");
    }
}

#[test]
fn padding_adds_nothing_to_a_distance() {
    for (metric, filler) in [(Metric::Cosine, 0), (Metric::Euclidean, 0), (Metric::Dot, 128)] {
        let quantizer = Quantizer::train(metric, 65, &[0.5; 65]);
        assert_eq!(quantizer.code_len(), 128);
        let mut code = vec![77; 128];
        quantizer.encode(&[0.5; 65], &mut code);
        assert!(code[65..].iter().all(|&byte| byte == filler), "{metric}: {code:?}");
    }
}

#[test]
fn a_stored_code_is_a_query() {
    let vectors = clustered(2, 50, 30, 5);
    for metric in Metric::ALL {
        let coded = Coded::new(metric, 30, &vectors);
        let codes = coded.rows();
        let query = coded.quantizer.query_code(codes.row(7).unwrap());
        let exact = ExactQuery::new(metric, &vectors[7 * 30..8 * 30]);
        for (row, vector) in (0..50).zip(vectors.chunks_exact(30)) {
            let difference = query.distance(codes.row(row).unwrap()) - exact.distance(vector);
            assert!(difference.abs() < 0.5, "{metric}: off by {difference}");
        }
    }
}

#[test]
fn samples_that_say_little_give_a_usable_range() {
    let samples: [&[f32]; 7] =
        [&[], &[0.0; 8], &[3.0; 8], &[1e-40; 8], &[f32::MAX; 8], &[f32::MIN; 8], &[f32::NAN; 8]];
    for metric in Metric::ALL {
        for sample in samples {
            let quantizer = Quantizer::train(metric, 4, sample);
            let again = Quantizer::from_bytes(&quantizer.to_bytes());
            assert_eq!(again.as_ref(), Ok(&quantizer), "{metric} of {sample:?}");
            let (mut near, mut far) = (vec![0; 64], vec![0; 64]);
            quantizer.encode(&[1.0, 0.5, -0.5, 0.25], &mut near);
            quantizer.encode(&[f32::MAX, f32::MIN, 0.0, 1.0], &mut far);
            for query in [[1.0, 0.5, -0.5, 0.25], [f32::MAX, f32::MIN, 0.0, 1.0], [0.0; 4]] {
                let query = quantizer.query(&query);
                assert!(!query.distance(&near).is_nan(), "{metric} of {sample:?}");
                assert!(!query.distance(&far).is_nan(), "{metric} of {sample:?}");
            }
        }
    }
    let quantizer = Quantizer::train(Metric::Cosine, 0, &[]);
    assert_eq!(quantizer.code_len(), 0);
    assert_eq!(quantizer.query(&[]).distance(&[]), 0.0);
}

#[test]
fn a_wild_value_does_not_widen_the_range() {
    let mut sample = clustered(3, 2_000, 16, 10);
    sample[777] = 1e20;
    let coded = Coded::new(Metric::Euclidean, 16, &sample);
    let query = coded.quantizer.query(&sample[..16]);
    let exact = ExactQuery::new(Metric::Euclidean, &sample[..16]);
    let got = query.distance(coded.rows().row(1).unwrap());
    let want = exact.distance(&sample[16..32]);
    assert!((got - want).abs() < 0.1 * want, "{got}, exact {want}");
}

#[test]
fn a_component_that_is_always_large_is_not_cut_off() {
    // One component in 384 is about 10, all others about 0.1.
    let dim = 384;
    let mut sample = clustered(4, 300, dim, 10);
    for vector in sample.chunks_exact_mut(dim) {
        vector.iter_mut().for_each(|x| *x *= 0.1);
        vector[5] = 10.0 + 20.0 * vector[5];
    }
    let coded = Coded::new(Metric::Euclidean, dim, &sample);
    let query = coded.quantizer.query(&sample[..dim]);
    let exact = ExactQuery::new(Metric::Euclidean, &sample[..dim]);
    for (row, vector) in (0..300).zip(sample.chunks_exact(dim)) {
        let (got, want) = (query.distance(coded.rows().row(row).unwrap()), exact.distance(vector));
        assert!((got - want).abs() < 0.1 * want + 0.5, "row {row}: {got}, exact {want}");
    }
}

#[test]
fn a_dot_query_may_be_of_any_length() {
    let vectors = clustered(5, 200, 24, 10);
    let coded = Coded::new(Metric::Dot, 24, &vectors);
    let order = |factor: f32| {
        let query: Vec<f32> = vectors[..24].iter().map(|x| x * factor).collect();
        let found = coded.quantizer.query(&query).scan(&coded.rows(), 0..200, 200).unwrap();
        let nearest = found[0].distance / factor;
        (nearest, found.into_iter().map(|candidate| candidate.row).collect::<Vec<_>>())
    };
    let (nearest, rows) = order(1.0);
    for factor in [1e-6, 0.25, 1024.0, 1e20] {
        let (scaled, scaled_rows) = order(factor);
        assert_eq!(scaled_rows[..20], rows[..20], "factor {factor}");
        assert!((scaled - nearest).abs() < 1e-4 * nearest.abs(), "factor {factor}");
    }
}

#[test]
fn a_row_that_cannot_be_read_ends_the_scan() {
    let coded = Coded::new(Metric::Cosine, 8, &clustered(6, 10, 8, 2));
    let query = coded.quantizer.query(&[1.0; 8]);
    let damaged = query.scan(&coded.rows(), 5..12, 3);
    assert_eq!(damaged, Err(Damaged { array: "codes", row: 10 }));
}

#[test]
fn rows_of_no_width_are_no_rows() {
    let rows = FlatRows::new("codes", &[1u8, 2, 3], 0);
    assert_eq!(rows.rows(), 0);
    assert_eq!(rows.row(0), Err(Damaged { array: "codes", row: 0 }));
    let rows = FlatRows::new("codes", &[1u8, 2, 3], 2);
    assert_eq!((rows.rows(), rows.row(0), rows.row(1).is_err()), (1, Ok(&[1u8, 2][..]), true));
    rows.prefetch(u32::MAX);
}

#[test]
fn broken_quantizer_bytes_are_refused() {
    let good = Quantizer::train(Metric::Dot, 8, &[0.5; 8]).to_bytes();
    let check = |offset: usize, word: [u8; 4], problem: &str| {
        let mut bytes = good.clone();
        bytes[offset..offset + 4].copy_from_slice(&word);
        let error = Quantizer::from_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    };
    check(0, 2u32.to_le_bytes(), "version 2");
    check(4, 3u32.to_le_bytes(), "unknown metric 3");
    check(8, (DIM_MAX as u32 + 1).to_le_bytes(), "65537 components");
    check(12, f32::NAN.to_le_bytes(), "range from NaN");
    check(16, 0f32.to_le_bytes(), "steps of 0");
    check(16, f32::INFINITY.to_le_bytes(), "steps of inf");
    for len in 0..good.len() {
        assert!(Quantizer::from_bytes(&good[..len]).is_err(), "{len} bytes");
    }
}
