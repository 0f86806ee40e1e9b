//! Coarse codes: what they are made of, and graphs walked on them.

mod common;

use common::{Coded, Random, Threads, clustered, with_graph};
use proptest::prelude::*;
use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{
    Accept, Beam, CoarseBuf, Damaged, FlatRows, Found, GraphBuf, GraphOptions, Limits, Metric,
    OneThread, RowSet, Rows, Scratch, WalkCodes, WithCoarse, build_coarse, search,
};

const OPTIONS: GraphOptions = GraphOptions { m: 8, ef_construction: 64, seed: 3 };

fn coarse_of(coded: &Coded) -> CoarseBuf {
    let made = build_coarse(&coded.quantizer, &coded.rows(), &OneThread);
    made.expect("no row is damaged").expect("codes are long enough")
}

fn width(coded: &Coded) -> usize {
    CoarseBuf::coarse_len(coded.quantizer.code_len()).expect("codes are long enough")
}

/// The slow twin of a coarse code: each component on its own.
fn spelled_out(code: &[u8], dim: usize, levels: [u8; 16]) -> Vec<u8> {
    let mut coarse = vec![0; code.len() / 2];
    for (at, &value) in code[..dim].iter().enumerate() {
        let near = (0..16).min_by_key(|&n| levels[n as usize].abs_diff(value)).expect("sixteen");
        let (piece, place) = (at / 64, at % 64);
        coarse[32 * piece + place % 32] |= if place < 32 { near } else { near << 4 };
    }
    coarse
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
    fn a_coarse_code_has_the_level_nearest_to_each_component(
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
            prop_assert_eq!(made, spelled_out(&code, dim, levels));
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

/// With a beam for every row a walk on coarse codes finds what one on whole codes does, with the same
/// distances and in the same order, under a filter too.
#[test]
fn what_is_found_is_told_by_whole_codes() {
    for (metric, dim) in [(Metric::Cosine, 100), (Metric::Euclidean, 192), (Metric::Dot, 130)] {
        let rows = 400;
        let vectors = clustered(7, rows, dim, 8);
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
                assert_eq!(on_coarse.candidates, on_whole.candidates, "{metric}");
            }
        }
    }
}

/// Where every candidate gets an exact distance anyway, they keep those of their coarse codes.
#[test]
fn what_is_reranked_anyway_is_not_compared_again() {
    for (metric, dim) in [(Metric::Cosine, 100), (Metric::Dot, 130)] {
        let rows = 300;
        let vectors = clustered(17, rows, dim, 8);
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
        let spelled = |row: u32, coarse: &[u8]| {
            let mut code = coded.rows().row(row).expect("a row").to_vec();
            for (at, value) in code[..dim].iter_mut().enumerate() {
                let byte = coarse[at / 64 * 32 + at % 32];
                let nibble = if at % 64 < 32 { byte & 15 } else { byte >> 4 };
                *value = levels.to_bytes()[usize::from(nibble)];
            }
            query.distance(&code)
        };
        for found in &kept {
            let expected = spelled(found.row, coarse.row(found.row).expect("a row"));
            assert_eq!(found.distance, expected, "{metric}");
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
