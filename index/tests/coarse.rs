//! Coarse codes: what they are made of, and graphs walked on them.

mod common;

use common::{Coded, Random, Threads, clustered, with_graph};
use proptest::prelude::*;
use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{
    Accept, Beam, Candidate, CoarseBuf, Damaged, FlatRows, Found, GraphBuf, GraphOptions, Limits,
    Metric, OneThread, Quantizer, RowSet, Rows, Scratch, WalkCodes, WithCoarse, build_coarse,
    search,
};

const OPTIONS: GraphOptions = GraphOptions { m: 8, ef_construction: 64, seed: 3 };

fn coarse_of(coded: &Coded) -> CoarseBuf {
    let made = build_coarse(&coded.quantizer, &coded.rows(), &OneThread);
    made.expect("no row is damaged").expect("codes are long enough")
}

fn width(coded: &Coded) -> usize {
    CoarseBuf::coarse_len(coded.quantizer.code_len()).expect("codes are long enough")
}

/// The level that each component of a coarse code names.
fn spelled_out(coarse: &[u8], dim: usize, levels: [u8; 16]) -> Vec<u8> {
    let nibble = |at: usize| {
        let byte = coarse[at / 64 * 32 + at % 32];
        if at % 64 < 32 { byte & 15 } else { byte >> 4 }
    };
    (0..dim).map(|at| levels[usize::from(nibble(at))]).collect()
}

/// What code 0 stands for, and how much more the next one.
fn range(coded: &Coded) -> (f64, f64) {
    let bytes = coded.quantizer.to_bytes();
    let word = |at: usize| f32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"));
    (f64::from(word(12)), f64::from(word(16)))
}

/// The components that a code stands for.
fn decoded(coded: &Coded, code: &[u8]) -> Vec<f64> {
    let (low, step) = range(coded);
    code.iter().map(|&value| low + step * f64::from(value)).collect()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn found(
    graph: &GraphBuf,
    coded: &Coded,
    codes: &impl WalkCodes,
    query: &[f32],
    beam: Beam,
    accept: Accept<'_>,
) -> Result<Found, Damaged> {
    let query = coded.quantizer.query(query);
    with_graph(graph, |graph| {
        search(graph, codes, &query, beam, accept, usize::MAX, &mut Scratch::default())
    })
}

proptest! {
    #[test]
    fn a_coarse_code_is_nearest_or_keeps_what_its_row_is_in_its_own_direction(
        metric in prop::sample::select(Metric::ALL.to_vec()),
        dim in 65usize..300,
        rows in 1usize..60,
        seed in any::<u64>(),
    ) {
        let coded = Coded::new(metric, dim, &clustered(seed, rows, dim, 3));
        let coarse = coarse_of(&coded);
        let levels = coarse.levels.to_bytes();
        prop_assert!(levels.is_sorted());
        for (row, made) in (0..rows as u32).zip(coarse.codes.chunks_exact(width(&coded))) {
            let code = coded.rows().row(row).expect("a row").to_vec();
            let found = spelled_out(made, dim, levels);
            if metric == Metric::Euclidean {
                for (&value, &level) in code.iter().zip(&found) {
                    let near = levels.iter().min_by_key(|level| level.abs_diff(value));
                    prop_assert_eq!(Some(&level), near);
                }
                continue;
            }
            // Of what a code can be made, shorter or longer, each has a level nearest to it.
            let (low, step) = range(&coded);
            let zero = -low / step;
            let near = |value: u8, longer: f64| {
                let value = zero + (f64::from(value) - zero) * longer;
                let away = |level: &&u8| (f64::from(**level) - value).abs();
                *levels.iter().min_by(|a, b| away(a).total_cmp(&away(b))).expect("sixteen")
            };
            let ends = |value| [near(value, 0.98), near(value, 1.06)];
            for (&value, &level) in code.iter().zip(&found) {
                let [one, other] = ends(value);
                prop_assert!((one.min(other)..=one.max(other)).contains(&level));
            }
            // And what is lost of the code's product with itself is less than one component can change,
            // where the ends lie on both sides of that.
            let lost = |to: &dyn Fn(usize) -> u8| -> i64 {
                let loss = |at: usize| {
                    let (value, level) = (i64::from(code[at]), i64::from(to(at)));
                    (value - zero.round() as i64) * (value - level)
                };
                (0..dim).map(loss).sum()
            };
            let change = |&value: &u8| {
                let [one, other] = ends(value);
                (i64::from(value) - zero.round() as i64).abs() * i64::from(one.abs_diff(other))
            };
            if lost(&|at| ends(code[at])[0]) > 0 && lost(&|at| ends(code[at])[1]) < 0 {
                let (left, most) = (lost(&|at| found[at]), code[..dim].iter().map(change).max());
                prop_assert!(left.abs() <= most.expect("components"), "{left} {most:?}");
            }
        }
    }
}

#[test]
fn codes_of_one_line_have_no_coarse_ones() {
    for dim in [1, 64] {
        let coded = Coded::new(Metric::Cosine, dim, &clustered(1, 10, dim, 2));
        let made = build_coarse(&coded.quantizer, &coded.rows(), &OneThread);
        assert_eq!(made.expect("no row is damaged"), None);
    }
}

#[test]
fn any_number_of_threads_makes_the_same() {
    let coded = Coded::new(Metric::Cosine, 70, &clustered(2, 9_000, 70, 20));
    let one = coarse_of(&coded);
    let three = build_coarse(&coded.quantizer, &coded.rows(), &Threads(3));
    assert_eq!(three.expect("no row is damaged"), Some(one));
}

/// Where components lie.
#[derive(Clone, Copy, Debug)]
enum Lie {
    Around0,
    Above0,
    FarFrom0,
    /// So much alike that a code's step is nearly nothing.
    Alike,
}

impl Lie {
    fn of(self, mut vectors: Vec<f32>) -> Vec<f32> {
        for value in &mut vectors {
            *value = match self {
                Lie::Around0 => *value,
                Lie::Above0 => value.abs(),
                Lie::FarFrom0 => *value + 30.0,
                Lie::Alike => *value * 1e-4 + 30.0,
            };
        }
        vectors
    }
}

/// With a beam for every row a walk on coarse codes finds what one on whole codes does, with the same
/// distances and in the same order, under a filter too.
#[test]
fn what_is_found_is_told_by_whole_codes() {
    for (metric, dim, lie) in [
        (Metric::Cosine, 100, Lie::Around0),
        (Metric::Cosine, 70, Lie::Above0),
        (Metric::Cosine, 200, Lie::FarFrom0),
        (Metric::Cosine, 128, Lie::Alike),
        (Metric::Euclidean, 192, Lie::Around0),
        (Metric::Dot, 130, Lie::Around0),
        (Metric::Dot, 130, Lie::FarFrom0),
    ] {
        let rows = 400;
        let vectors = lie.of(clustered(7, rows, dim, 8));
        let coded = Coded::new(metric, dim, &vectors);
        let graph = coded.build(&OPTIONS, &OneThread).expect("built");
        let CoarseBuf { levels, codes } = coarse_of(&coded);
        let coarse = FlatRows::new("coarse-codes", &codes, width(&coded));
        let whole = coded.rows();
        let both = WithCoarse { whole: &whole, coarse: Some((&coarse, levels)) };
        let third: RoaringBitmap = (0..rows as u32).filter(|row| row % 3 == 0).collect();
        let third = RowSet::from_bitmap(&third, 0..rows as u32);
        let mut random = Random(5);
        for _ in 0..20 {
            let query = &vectors[random.below(rows) * dim..][..dim];
            for accept in [Accept::All, Accept::Only(&third)] {
                let beam = Beam::fixed(rows);
                let on_coarse = found(&graph, &coded, &both, query, beam, accept).expect("found");
                let on_whole = found(&graph, &coded, &whole, query, beam, accept).expect("found");
                assert_eq!(on_coarse.candidates, on_whole.candidates, "{metric}, {lie:?}");
            }
        }
    }
}

/// A quantizer that is damaged or was made for other vectors: inner products as codes count them are more
/// than keys can say, and nothing is found that is not told by whole codes.
#[test]
fn steps_of_nearly_nothing_do_no_harm() {
    let (rows, dim) = (300, 100);
    let vectors = clustered(7, rows, dim, 8);
    let mut bytes = Coded::new(Metric::Cosine, dim, &vectors).quantizer.to_bytes();
    let step = 1e-6f32;
    bytes[12..16].copy_from_slice(&(-128.0 * step).to_le_bytes());
    bytes[16..20].copy_from_slice(&step.to_le_bytes());
    let coded = Coded::by(Quantizer::from_bytes(&bytes).expect("a range"), &vectors);
    let graph = coded.build(&OPTIONS, &OneThread).expect("built");
    let CoarseBuf { levels, codes } = coarse_of(&coded);
    let coarse = FlatRows::new("coarse-codes", &codes, width(&coded));
    let whole = coded.rows();
    let both = WithCoarse { whole: &whole, coarse: Some((&coarse, levels)) };
    let narrow = found(&graph, &coded, &both, &vectors[..dim], Beam::fixed(30), Accept::All);
    let wide = found(&graph, &coded, &whole, &vectors[..dim], Beam::fixed(rows), Accept::All);
    let (narrow, wide) = (narrow.expect("found").candidates, wide.expect("found").candidates);
    let nearest = |candidates: &[Candidate]| candidates[..10].to_vec();
    assert_eq!(nearest(&narrow), nearest(&wide));
}

/// Where every candidate gets an exact distance anyway, they keep those of their coarse codes.
#[test]
fn what_is_reranked_anyway_is_not_compared_again() {
    for (metric, dim, lie) in [
        (Metric::Cosine, 100, Lie::Around0),
        (Metric::Cosine, 192, Lie::Above0),
        (Metric::Cosine, 100, Lie::FarFrom0),
        (Metric::Dot, 130, Lie::Around0),
        (Metric::Dot, 130, Lie::FarFrom0),
    ] {
        let rows = 300;
        let vectors = lie.of(clustered(17, rows, dim, 8));
        let coded = Coded::new(metric, dim, &vectors);
        let graph = coded.build(&OPTIONS, &OneThread).expect("built");
        let CoarseBuf { levels, codes } = coarse_of(&coded);
        let coarse = FlatRows::new("coarse-codes", &codes, width(&coded));
        let both = WithCoarse { whole: &coded.rows(), coarse: Some((&coarse, levels)) };
        let query = coded.quantizer.query(&vectors[..dim]);
        let ask = |all_reranked| {
            let limits = Limits { all_reranked, ..Limits::from(usize::MAX) };
            with_graph(&graph, |graph| {
                let scratch = &mut Scratch::default();
                search(graph, &both, &query, Beam::fixed(20), Accept::All, limits, scratch)
            })
            .expect("found")
            .candidates
        };
        let (again, kept) = (ask(19), ask(20));
        assert_eq!(kept.len(), 20);
        assert!(kept.is_sorted_by(|a, b| a.distance <= b.distance), "{metric}");
        let raw: Vec<f64> = vectors[..dim].iter().map(|&value| f64::from(value)).collect();
        let length = product(&raw, &raw).sqrt();
        let mut code = vec![0; coded.quantizer.code_len()];
        coded.quantizer.encode(&vectors[..dim], &mut code);
        let at_unit_length = decoded(&coded, &code[..dim]);
        for found in &kept {
            let coarse = coarse.row(found.row).expect("a row");
            let row = decoded(&coded, &spelled_out(coarse, dim, levels.to_bytes()));
            let (expected, unit) = match metric {
                Metric::Dot => (-product(&raw, &row), length * product(&row, &row).sqrt()),
                _ if matches!(lie, Lie::FarFrom0) => {
                    let pairs = at_unit_length.iter().zip(&row);
                    (pairs.map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 2.0, 1.0)
                }
                _ => (1.0 - product(&at_unit_length, &row), 1.0),
            };
            let away = (f64::from(found.distance) - expected).abs() / unit;
            assert!(away < 0.003, "{metric}, {lie:?}: {} and {expected}", found.distance);
        }
        for found in &again {
            let expected = query.distance(coded.rows().row(found.row).expect("a row"));
            assert_eq!(found.distance, expected, "{metric}");
            assert!(kept.iter().any(|kept| kept.row == found.row), "{metric}");
        }
    }
}

/// A narrow beam finds nearly as many of the nearest on coarse codes.
#[test]
fn a_walk_on_coarse_codes_finds_nearly_as_much() {
    let (rows, dim) = (5_000, 128);
    let vectors = clustered(11, rows, dim, 40);
    let coded = Coded::new(Metric::Cosine, dim, &vectors);
    let graph = coded.build(&OPTIONS, &Threads(2)).expect("built");
    let CoarseBuf { levels, codes } = coarse_of(&coded);
    let coarse = FlatRows::new("coarse-codes", &codes, width(&coded));
    let whole = coded.rows();
    let both = WithCoarse { whole: &whole, coarse: Some((&coarse, levels)) };
    let (mut on_whole, mut on_coarse) = (0, 0);
    for query in clustered(12, 200, dim, 40).chunks_exact(dim) {
        let scanned = coded.quantizer.query(query).scan(&whole, 0..rows as u32, 10);
        let nearest: Vec<u32> = scanned.expect("scanned").iter().map(|c| c.row).collect();
        let right = |found: Result<Found, Damaged>| {
            let best = found.expect("found").candidates;
            best.iter().take(10).filter(|found| nearest.contains(&found.row)).count()
        };
        let beam = Beam::fixed(64);
        on_whole += right(found(&graph, &coded, &whole, query, beam, Accept::All));
        on_coarse += right(found(&graph, &coded, &both, query, beam, Accept::All));
    }
    let (whole, coarse) = (f64::from(on_whole as u32) / 2e3, f64::from(on_coarse as u32) / 2e3);
    assert!(coarse > whole - 0.02, "{coarse} of the nearest, {whole} on whole codes");
}

/// A damaged row of either kind is told, and names its array.
#[test]
fn a_row_that_is_not_there_is_told() {
    let (rows, dim) = (300, 128);
    let vectors = clustered(3, rows, dim, 4);
    let coded = Coded::new(Metric::Cosine, dim, &vectors);
    let graph = coded.build(&OPTIONS, &OneThread).expect("built");
    let CoarseBuf { levels, codes } = coarse_of(&coded);
    let (half, width) = (rows / 2, width(&coded));
    let short = FlatRows::new("coarse-codes", &codes[..half * width], width);
    let coarse = FlatRows::new("coarse-codes", &codes, width);
    let whole = coded.rows();
    let few = FlatRows::new("codes", &coded.bytes[..half * 2 * width], 2 * width);
    let (query, beam) = (&vectors[..dim], Beam::fixed(rows));
    let both = WithCoarse { whole: &few, coarse: Some((&coarse, levels)) };
    let damaged = found(&graph, &coded, &both, query, beam, Accept::All).expect_err("half is gone");
    assert_eq!(damaged.array, "codes");
    let both = WithCoarse { whole: &whole, coarse: Some((&short, levels)) };
    found(&graph, &coded, &both, query, beam, Accept::All).expect_err("half is gone");
}
