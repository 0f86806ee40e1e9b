//! Building and searching graphs.

mod common;

use std::ops::ControlFlow;

use common::{Coded, Random, Threads, clustered, reachable, with_graph};
use proptest::prelude::*;
use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::testing::{KernelChoice, build_with};
use vecstore_index::{
    Accept, Beam, BuildError, Candidate, Damaged, FlatRows, Found, Gamma, GaveUp, Graph, GraphBuf,
    GraphOptions, Limits, Metric, OneThread, RowSet, Rows, Scratch, UpperLayers, build, search,
};

const OPTIONS: GraphOptions = GraphOptions { m: 8, ef_construction: 64, seed: 3 };

fn search_all(coded: &Coded, graph: &GraphBuf, query: &[f32], ef: usize) -> Found {
    search_accepting(coded, graph, query, ef, Accept::All)
}

fn search_accepting(
    coded: &Coded,
    graph: &GraphBuf,
    query: &[f32],
    ef: usize,
    accept: Accept<'_>,
) -> Found {
    let query = coded.quantizer.query(query);
    with_graph(graph, |graph| {
        let mut scratch = Scratch::default();
        search(graph, &coded.rows(), &query, Beam::fixed(ef), accept, usize::MAX, &mut scratch)
            .expect("no row is damaged")
    })
}

/// The slow twin of a search: all accepted rows in order.
fn scan(coded: &Coded, query: &[f32], keep: usize, accept: Accept<'_>) -> Vec<Candidate> {
    let rows = (0..coded.rows().rows()).filter(|&row| match accept {
        Accept::All => true,
        Accept::Only(set) => set.contains(row),
    });
    coded.quantizer.query(query).scan(&coded.rows(), rows, keep).expect("no row is damaged")
}

/// What holds for every graph.
fn check_structure(coded: &Coded, graph: &GraphBuf, name: &str) {
    let codes = coded.rows();
    assert_eq!(graph.links.len(), codes.rows() as usize * graph.degree, "{name}");
    for (row, links) in (0..codes.rows()).zip(graph.links.chunks_exact(graph.degree)) {
        let len = links.iter().position(|&link| link == u32::MAX).unwrap_or(links.len());
        let (links, padding) = links.split_at(len);
        assert!(padding.iter().all(|&link| link == u32::MAX), "{name}: row {row}");
        assert!(links.iter().all(|&link| link < codes.rows() && link != row), "{name}: row {row}");
        let query = coded.quantizer.query_code(codes.row(row).expect("a row"));
        let ranks: Vec<(f32, u32)> = links
            .iter()
            .map(|&link| (query.distance(codes.row(link).expect("a row")), link))
            .collect();
        // Ascending with ties by row: so no link is there twice.
        assert!(ranks.is_sorted_by(|a, b| a < b), "{name}: row {row} has {ranks:?}");
    }
    let rows = codes.rows() as usize;
    assert_eq!(reachable(graph, rows), rows, "{name}: rows reached");
    assert_eq!(
        UpperLayers::from_bytes(&graph.upper.to_bytes(), codes.rows()).as_ref(),
        Ok(&graph.upper),
        "{name}"
    );
}

#[test]
fn every_kind_of_data_gives_a_whole_graph() {
    let dim = 12;
    let mut random = Random(9);
    let copies = |rows: usize, distinct: usize, random: &mut Random| -> Vec<f32> {
        let base = clustered(8, distinct, dim, 5);
        (0..rows)
            .flat_map(|_| {
                let start = random.below(distinct) * dim;
                base[start..start + dim].to_vec()
            })
            .collect()
    };
    let line: Vec<f32> = (0..1_500)
        .flat_map(|i| (0..dim).map(move |d| if d == 0 { i as f32 } else { 0.0 }))
        .collect();
    let far_apart: Vec<f32> = clustered(7, 1_500, dim, 3)
        .chunks_exact(dim)
        .enumerate()
        .flat_map(|(i, v)| v.iter().map(move |x| 0.01 * x + (i % 3) as f32 * 100.0))
        .collect();
    let table = [
        ("no rows", vec![]),
        ("one row", clustered(1, 1, dim, 1)),
        ("two rows", clustered(1, 2, dim, 1)),
        ("three rows", clustered(1, 3, dim, 1)),
        ("a hundred rows", clustered(1, 100, dim, 4)),
        ("clusters", clustered(1, 4_000, dim, 40)),
        ("far clusters", far_apart),
        ("a line", line),
        ("all equal", vec![0.25; 3_000 * dim]),
        ("all zero", vec![0.0; 700 * dim]),
        ("two values", copies(2_000, 2, &mut random)),
        ("many copies", copies(3_000, 40, &mut random)),
        ("copies in clusters", {
            let mut vectors = clustered(2, 1_500, dim, 10);
            vectors.extend(copies(1_500, 3, &mut random));
            vectors
        }),
    ];
    for (name, vectors) in table {
        for metric in Metric::ALL {
            let name = format!("{name}, {metric}");
            let coded = Coded::new(metric, dim, &vectors);
            let graph = coded.build(&OPTIONS, &OneThread).unwrap();
            check_structure(&coded, &graph, &name);
            let rows = coded.rows().rows() as usize;
            let query = vectors.get(..dim).unwrap_or(&[1.0; 12]);
            // A pool for all rows finds all rows, in the order of a scan.
            let found = search_all(&coded, &graph, query, rows);
            assert_eq!(found.candidates, scan(&coded, query, rows, Accept::All), "{name}");
            assert!(found.gave_up.is_none(), "{name}");
            // A pool for one more does not wait for it.
            assert_eq!(
                search_all(&coded, &graph, query, rows + 1).candidates.len(),
                rows,
                "{name}"
            );
        }
    }
}

#[test]
fn the_graph_is_the_same_on_every_thread_count_and_instruction_set() {
    let dim = 40;
    let vectors = clustered(5, 5_000, dim, 60);
    for metric in Metric::ALL {
        let coded = Coded::new(metric, dim, &vectors);
        let one = coded.build(&OPTIONS, &OneThread).unwrap();
        for threads in [1, 2, 4] {
            assert_eq!(coded.build(&OPTIONS, &Threads(threads)).unwrap(), one, "{threads} threads");
        }
        for kernel in KernelChoice::all() {
            let keep_going = &mut |_| ControlFlow::Continue(());
            let (codes, quantizer) = (coded.rows(), &coded.quantizer);
            let graph = build_with(kernel, &codes, quantizer, &OPTIONS, &Threads(2), keep_going);
            assert_eq!(graph.unwrap(), one, "{metric} on {}", kernel.name());
        }
        let other_seed = GraphOptions { seed: 4, ..OPTIONS };
        assert_ne!(coded.build(&other_seed, &OneThread).unwrap(), one);
    }
}

/// Mean part of the true `k` nearest (by code) that queries near the data find.
fn recall(coded: &Coded, graph: &GraphBuf, queries: &[f32], ef: usize, accept: Accept<'_>) -> f64 {
    let (k, dim) = (10, coded.quantizer.dim());
    let (mut right, mut wanted) = (0, 0);
    for query in queries.chunks_exact(dim) {
        let found = search_accepting(coded, graph, query, ef, accept);
        let truth = scan(coded, query, k, accept);
        let found: Vec<u32> = found.candidates.iter().take(k).map(|c| c.row).collect();
        right += truth.iter().filter(|candidate| found.contains(&candidate.row)).count();
        wanted += truth.len();
    }
    right as f64 / wanted as f64
}

/// The inner product is no metric: long vectors are hubs, and `ef` must be larger for them.
fn least_recall(metric: Metric) -> f64 {
    if metric == Metric::Dot { 0.9 } else { 0.97 }
}

#[test]
fn a_search_finds_the_nearest() {
    let dim = 24;
    let all = clustered(11, 8_100, dim, 80);
    let (vectors, queries) = all.split_at(8_000 * dim);
    for metric in Metric::ALL {
        let coded = Coded::new(metric, dim, vectors);
        let graph = coded.build(&OPTIONS, &OneThread).unwrap();
        let recall = recall(&coded, &graph, queries, 64, Accept::All);
        assert!(recall > least_recall(metric), "{metric}: recall {recall}");
        let found = search_all(&coded, &graph, &queries[..dim], 64);
        assert!(found.distances < 2_000, "{metric}: {} distances", found.distances);
        assert!(found.hops >= 64 && found.hops < 200, "{metric}: {} hops", found.hops);
    }
}

#[test]
fn only_members_are_found_and_the_nearest_of_them() {
    let dim = 24;
    let all = clustered(12, 4_040, dim, 40);
    let (vectors, queries) = all.split_at(4_000 * dim);
    let mut random = Random(1);
    for metric in Metric::ALL {
        let coded = Coded::new(metric, dim, vectors);
        let graph = coded.build(&OPTIONS, &OneThread).unwrap();
        // Members at random, and members only far from the query.
        let far: RoaringBitmap = scan(&coded, &queries[..dim], 4_000, Accept::All)[3_000..]
            .iter()
            .map(|c| c.row)
            .collect();
        let mut sets = vec![far];
        for part in [2, 10, 100, 1_000] {
            sets.push((0..4_000).filter(|_| random.below(part) == 0).collect());
        }
        for bitmap in sets {
            let set = RowSet::from_bitmap(&bitmap, 0..4_000);
            let accept = Accept::Only(&set);
            let recall = recall(&coded, &graph, queries, 32, accept);
            let least = least_recall(metric);
            assert!(recall > least, "{metric}: recall {recall} with {} members", set.len());
            let query = &queries[..dim];
            let found = search_accepting(&coded, &graph, query, 32, accept);
            assert!(found.candidates.iter().all(|candidate| bitmap.contains(candidate.row)));
            // With room for all members the search is exact.
            let members = set.len() as usize;
            let found = search_accepting(&coded, &graph, query, members + 1, accept);
            assert_eq!(found.candidates, scan(&coded, query, members, accept), "{metric}");
        }
        let none = RowSet::from_bitmap(&RoaringBitmap::new(), 0..4_000);
        let found = search_accepting(&coded, &graph, &queries[..dim], 32, Accept::Only(&none));
        assert_eq!((found.candidates.len(), found.distances), (0, 0));
    }
}

#[test]
fn accepting_a_set_of_all_rows_is_accepting_all() {
    let dim = 16;
    let vectors = clustered(13, 2_000, dim, 20);
    let coded = Coded::new(Metric::Cosine, dim, &vectors);
    let graph = coded.build(&OPTIONS, &OneThread).unwrap();
    let everyone = RowSet::from_bitmap(&(0..2_000).collect(), 0..2_000);
    for query in vectors.chunks_exact(dim).take(50) {
        let all = search_accepting(&coded, &graph, query, 40, Accept::All);
        let set = search_accepting(&coded, &graph, query, 40, Accept::Only(&everyone));
        assert_eq!(set.candidates, all.candidates);
    }
}

#[test]
fn a_walk_is_given_up_where_few_of_the_near_rows_are_accepted() {
    let dim = 24;
    let all = clustered(21, 4_040, dim, 40);
    let (vectors, queries) = all.split_at(4_000 * dim);
    let coded = Coded::new(Metric::Euclidean, dim, vectors);
    let graph = coded.build(&OPTIONS, &OneThread).unwrap();
    for query in queries.chunks_exact(dim) {
        let ranked = scan(&coded, query, 4_000, Accept::All);
        let rows = |some: &[Candidate]| some.iter().map(|c| c.row).collect::<RoaringBitmap>();
        let code_query = coded.quantizer.query(query);
        let run = |accepted: &RoaringBitmap, limits: Limits| {
            let set = RowSet::from_bitmap(accepted, 0..4_000);
            let mut scratch = Scratch::default();
            with_graph(&graph, |graph| {
                let (accept, beam) = (Accept::Only(&set), Beam::fixed(40));
                search(graph, &coded.rows(), &code_query, beam, accept, limits, &mut scratch)
            })
            .unwrap()
        };
        let wanting = |accepted_near_min| Limits { accepted_near_min, ..Limits::from(usize::MAX) };

        // A half that is as far from the query as can be.
        let far = rows(&ranked[2_000..]);
        let free = run(&far, usize::MAX.into());
        assert_eq!(free.gave_up, None);
        let found = run(&far, wanting(3));
        assert_eq!(found.gave_up, Some(GaveUp::FewNear));
        assert!(found.distances < free.distances / 2, "{} of {}", found.distances, free.distances);
        assert_eq!(run(&far, wanting(0)).candidates, free.candidates);

        // The half that is as near: nothing is given up.
        let near = rows(&ranked[..2_000]);
        let found = run(&near, wanting(Limits::NEAR_ROWS));
        assert_eq!(found.gave_up, None);
        assert_eq!(found.candidates, run(&near, usize::MAX.into()).candidates);
    }
}

#[test]
fn rows_found_elsewhere_shorten_an_adaptive_walk() {
    let dim = 24;
    let all = clustered(22, 4_040, dim, 10);
    let (vectors, queries) = all.split_at(4_000 * dim);
    for metric in [Metric::Cosine, Metric::Euclidean] {
        let coded = Coded::new(metric, dim, vectors);
        let graph = coded.build(&OPTIONS, &OneThread).unwrap();
        let (mut free_distances, mut distances) = (0, 0);
        for query in queries.chunks_exact(dim) {
            let code_query = coded.quantizer.query(query);
            let run = |found_within: f32| {
                let limits = Limits { found_within, ..Limits::from(usize::MAX) };
                let beam = Beam::adaptive(10, Gamma::new(300));
                let mut scratch = Scratch::default();
                with_graph(&graph, |graph| {
                    let codes = coded.rows();
                    search(graph, &codes, &code_query, beam, Accept::All, limits, &mut scratch)
                })
                .unwrap()
            };
            let free = run(f32::INFINITY);
            let tenth = free.candidates[9].distance;
            // What is as far as the own tenth says nothing new.
            assert_eq!(run(tenth).candidates[..10], free.candidates[..10], "{metric}");
            let third = free.candidates[2].distance;
            let found = run(third);
            assert_eq!(found.candidates[..3], free.candidates[..3], "{metric}");
            free_distances += free.distances;
            distances += found.distances;
        }
        assert!(distances < free_distances * 9 / 10, "{metric}: {distances} of {free_distances}");
    }
}

#[test]
fn a_budget_is_never_exceeded() {
    let dim = 16;
    let vectors = clustered(14, 3_000, dim, 20);
    let coded = Coded::new(Metric::Euclidean, dim, &vectors);
    let graph = coded.build(&OPTIONS, &OneThread).unwrap();
    let query = coded.quantizer.query(&vectors[..dim]);
    let half = RowSet::from_bitmap(&(0..1_500).collect(), 0..3_000);
    let mut scratch = Scratch::default();
    for accept in [Accept::All, Accept::Only(&half)] {
        with_graph(&graph, |graph| {
            let mut run = |budget| {
                search(graph, &coded.rows(), &query, Beam::fixed(50), accept, budget, &mut scratch)
                    .unwrap()
            };
            let free = run(usize::MAX);
            assert!(free.gave_up.is_none());
            for budget in (0..free.distances + 50).step_by(7) {
                let found = run(budget);
                assert!(found.distances <= budget, "{} of {budget}", found.distances);
                assert_eq!(found.gave_up.is_some(), budget < free.distances, "budget {budget}");
                if found.gave_up.is_none() {
                    assert_eq!(found.candidates, free.candidates);
                }
            }
            assert_eq!(run(free.distances).candidates, free.candidates);
        });
    }
}

/// Rows of which one cannot be read.
struct Hole<'a, T> {
    rows: FlatRows<'a, T>,
    hole: u32,
}

impl<T: Sync> Rows<T> for Hole<'_, T> {
    fn rows(&self) -> u32 {
        self.rows.rows()
    }

    fn row(&self, row: u32) -> Result<&[T], Damaged> {
        if row == self.hole { Err(Damaged { array: "hole", row }) } else { self.rows.row(row) }
    }
}

#[test]
fn damage_is_reported_and_leaves_the_scratch_clean() {
    let dim = 16;
    let vectors = clustered(15, 1_000, dim, 5);
    let coded = Coded::new(Metric::Cosine, dim, &vectors);
    let graph = coded.build(&OPTIONS, &OneThread).unwrap();
    let query = coded.quantizer.query(&vectors[..dim]);
    let codes = coded.rows();
    let links = FlatRows::new("links", &graph.links, graph.degree);
    let mut scratch = Scratch::default();
    let everyone = RowSet::from_bitmap(&(0..1_000).collect(), 0..1_000);
    let nearest = scan(&coded, &vectors[..dim], 1, Accept::All)[0].row;

    for accept in [Accept::All, Accept::Only(&everyone)] {
        let clean = search(
            &Graph { links: &links, upper: &graph.upper },
            &codes,
            &query,
            Beam::fixed(1_000),
            accept,
            usize::MAX,
            &mut scratch,
        )
        .unwrap();
        let check = |damaged: Result<Found, Damaged>, expected: Damaged, scratch: &mut Scratch| {
            assert_eq!(damaged.map(|found| found.candidates), Err(expected));
            let upper = &graph.upper;
            let graph = Graph { links: &links, upper };
            let again =
                search(&graph, &codes, &query, Beam::fixed(1_000), accept, usize::MAX, scratch)
                    .unwrap();
            assert_eq!(again.candidates, clean.candidates);
        };

        for wild in [1_000, 1_001, u32::MAX - 1] {
            let mut wild_links = graph.links.clone();
            wild_links[nearest as usize * graph.degree + 1] = wild;
            let wild_links = FlatRows::new("links", &wild_links, graph.degree);
            let damaged = search(
                &Graph { links: &wild_links, upper: &graph.upper },
                &codes,
                &query,
                Beam::fixed(50),
                accept,
                usize::MAX,
                &mut scratch,
            );
            check(damaged, Damaged { array: "links", row: nearest }, &mut scratch);
        }

        let hole = Hole { rows: links, hole: nearest };
        let damaged = search(
            &Graph { links: &hole, upper: &graph.upper },
            &codes,
            &query,
            Beam::fixed(50),
            accept,
            usize::MAX,
            &mut scratch,
        );
        check(damaged, Damaged { array: "hole", row: nearest }, &mut scratch);

        let hole = Hole { rows: codes, hole: nearest };
        let whole = Graph { links: &links, upper: &graph.upper };
        let damaged =
            search(&whole, &hole, &query, Beam::fixed(50), accept, usize::MAX, &mut scratch);
        check(damaged, Damaged { array: "hole", row: nearest }, &mut scratch);
    }
}

#[test]
fn a_graph_with_fewer_rows_than_its_entry_is_damaged() {
    let dim = 16;
    let vectors = clustered(15, 1_000, dim, 5);
    let coded = Coded::new(Metric::Cosine, dim, &vectors);
    let graph = coded.build(&OPTIONS, &OneThread).unwrap();
    let query = coded.quantizer.query(&vectors[..dim]);
    let entry = graph.upper.entry();
    let links = FlatRows::new("links", &graph.links[..entry as usize * graph.degree], graph.degree);
    let cut = Graph { links: &links, upper: &graph.upper };
    let found = search(
        &cut,
        &coded.rows(),
        &query,
        Beam::fixed(10),
        Accept::All,
        usize::MAX,
        &mut Scratch::default(),
    );
    assert_eq!(found.map(|_| ()), Err(Damaged { array: "links", row: entry }));
}

#[test]
fn a_build_over_damaged_codes_fails() {
    let coded = Coded::new(Metric::Cosine, 16, &clustered(16, 500, 16, 5));
    for hole in [0, 250, 499] {
        let codes = Hole { rows: coded.rows(), hole };
        let keep_going = &mut |_| ControlFlow::Continue(());
        let built = build(&codes, &coded.quantizer, &OPTIONS, &Threads(2), keep_going);
        assert_eq!(built, Err(BuildError::Damaged(Damaged { array: "hole", row: hole })));
    }
}

#[test]
fn progress_is_reported_and_can_cancel() {
    let coded = Coded::new(Metric::Cosine, 16, &clustered(17, 3_000, 16, 5));
    let mut seen = Vec::new();
    let mut record = |linked| {
        seen.push(linked);
        ControlFlow::Continue(())
    };
    build(&coded.rows(), &coded.quantizer, &OPTIONS, &OneThread, &mut record).unwrap();
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(seen.last(), Some(&3_000));

    let mut calls = 0;
    let mut stop = |linked| {
        calls += 1;
        if linked > 100 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let built = build(&coded.rows(), &coded.quantizer, &OPTIONS, &OneThread, &mut stop);
    assert_eq!(built, Err(BuildError::Cancelled));
    assert!(calls < seen.len());
}

#[test]
fn options_out_of_bounds_are_refused() {
    let coded = Coded::new(Metric::Cosine, 4, &clustered(18, 10, 4, 1));
    let check = |options: GraphOptions, expected: &str| {
        assert_eq!(coded.build(&options, &OneThread).unwrap_err().to_string(), expected);
    };
    let good = GraphOptions::default();
    check(GraphOptions { m: 1, ..good }, "graph option `m` is 1, it must be from 2 to 256");
    check(GraphOptions { m: 257, ..good }, "graph option `m` is 257, it must be from 2 to 256");
    check(
        GraphOptions { ef_construction: 0, ..good },
        "graph option `ef_construction` is 0, it must be from 1 to 65536",
    );
    let smallest = GraphOptions { m: 2, ef_construction: 1, seed: 0 };
    let coded = Coded::new(Metric::Euclidean, 4, &clustered(18, 3_000, 4, 10));
    check_structure(&coded, &coded.build(&smallest, &OneThread).unwrap(), "the smallest options");
}

#[test]
fn workers_that_forget_tasks_do_no_harm() {
    struct Lazy;
    impl vecstore_index::Workers for Lazy {
        fn threads(&self) -> usize {
            1
        }
        fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
            (0..tasks).step_by(2).for_each(task);
        }
    }
    let coded = Coded::new(Metric::Cosine, 16, &clustered(19, 1_000, 16, 5));
    let lazy = coded.build(&OPTIONS, &Lazy).unwrap();
    assert_eq!(lazy, coded.build(&OPTIONS, &OneThread).unwrap());
}

#[test]
fn row_sets_are_cut_and_renumbered() {
    let bitmap: RoaringBitmap =
        [0, 5, 63, 64, 65, 200, 4_000_000_000, u32::MAX].into_iter().collect();
    let members = |rows: std::ops::Range<u32>| {
        let set = RowSet::from_bitmap(&bitmap, rows);
        let members: Vec<u32> = (0..300).filter(|&row| set.contains(row)).collect();
        assert_eq!((set.len(), set.is_empty()), (members.len() as u64, members.is_empty()));
        members
    };
    assert_eq!(members(0..201), [0, 5, 63, 64, 65, 200]);
    assert_eq!(members(5..65), [0, 58, 59]);
    assert_eq!(members(3_999_999_999..4_000_000_002), [1]);
    assert_eq!(members(6..63), []);
    assert_eq!(members(7..7), []);
    #[allow(clippy::reversed_empty_ranges, reason = "it is what is tested")]
    {
        assert_eq!(members(9..3), []);
    }
}

proptest! {
    #[test]
    fn row_sets_hold_the_rows_of_the_bitmap(
        runs in prop::collection::vec((0u32..3 << 16, 1u32..100_000), 0..3),
        rows in prop::collection::vec(0u32..4 << 16, 0..300),
        steps in prop::option::of((0u32..1 << 17, 2u32..5, 0u32..90_000)),
        run_containers in any::<bool>(),
        cut in prop::option::of((0u32..5 << 16, 0u32..5 << 16)),
    ) {
        let mut bitmap: RoaringBitmap = rows.into_iter().collect();
        for (start, len) in runs {
            bitmap.insert_range(start..start + len);
        }
        if let Some((start, step, len)) = steps {
            bitmap.extend((start..start + len).step_by(step as usize));
        }
        if run_containers {
            bitmap.optimize();
        } else {
            bitmap.remove_run_compression();
        }
        let (start, end) = cut.unwrap_or((0, 6 << 16));
        let set = RowSet::from_bitmap(&bitmap, start..end);
        let mut inside = bitmap.clone();
        inside.remove_range(..start);
        inside.remove_range(end..);
        let renumbered: RoaringBitmap = inside.iter().map(|row| row - start).collect();
        prop_assert_eq!((set.len(), set.is_empty()), (renumbered.len(), renumbered.is_empty()));
        prop_assert!((0..6 << 16).all(|row| set.contains(row) == renumbered.contains(row)));
        prop_assert_eq!(set.to_bitmap(), renumbered);
    }
}

/// A range may begin within one container of roaring and end in another.
#[test]
fn row_sets_go_on_past_65_536_rows() {
    let mut bitmap = RoaringBitmap::new();
    bitmap.insert_range(61_570..131_072);
    let set = RowSet::from_bitmap(&bitmap, 61_570..131_072);
    assert_eq!(set.len(), 69_502);
    assert!((0..69_502).all(|row| set.contains(row)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_full_search_is_a_scan(
        seed in any::<u64>(),
        rows in 0..400usize,
        dim in 1..20usize,
        clusters in 1..6usize,
        m in 2..6usize,
        metric in prop::sample::select(Metric::ALL.to_vec()),
    ) {
        let vectors = clustered(seed, rows, dim, clusters);
        let coded = Coded::new(metric, dim, &vectors);
        let options = GraphOptions { m, ef_construction: 10, seed };
        let graph = coded.build(&options, &OneThread).unwrap();
        check_structure(&coded, &graph, "random");
        let query: Vec<f32> = vec![0.5; dim];
        let found = search_all(&coded, &graph, &query, rows.max(1));
        prop_assert_eq!(found.candidates, scan(&coded, &query, rows, Accept::All));
    }

    /// Bytes with a few words changed are refused, or give layers that can be searched.
    #[test]
    fn upper_layers_from_bad_bytes_are_harmless(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..70u32), 1..4),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let vectors = clustered(20, 600, 8, 5);
        let coded = Coded::new(Metric::Cosine, 8, &vectors);
        let graph = coded.build(&OPTIONS, &OneThread).unwrap();
        let mut bytes = graph.upper.to_bytes();
        for (index, word) in changes {
            let start = index.index(bytes.len() / 4) * 4;
            bytes[start..start + 4].copy_from_slice(&word.to_le_bytes());
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(upper) = UpperLayers::from_bytes(&bytes, 600) {
            prop_assert_eq!(upper.to_bytes(), bytes);
            let links = FlatRows::new("links", &graph.links, graph.degree);
            let query = coded.quantizer.query(&vectors[..8]);
            let graph = Graph { links: &links, upper: &upper };
            let mut scratch = Scratch::default();
            let found =
                search(&graph, &coded.rows(), &query, Beam::fixed(20), Accept::All, usize::MAX, &mut scratch);
            prop_assert!(!found.unwrap().candidates.is_empty());
        }
    }
}

#[test]
fn upper_layers_say_what_is_wrong_with_their_bytes() {
    let coded = Coded::new(Metric::Cosine, 8, &clustered(21, 600, 8, 5));
    let graph = coded.build(&OPTIONS, &OneThread).unwrap();
    let good = graph.upper.to_bytes();
    // version, entry, degree, layers, nodes of layer 1, node, node, …
    let check = |word: usize, value: u32, problem: &str| {
        let mut bytes = good.clone();
        bytes[word * 4..word * 4 + 4].copy_from_slice(&value.to_le_bytes());
        let error = UpperLayers::from_bytes(&bytes, 600).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    };
    check(0, 9, "version 9");
    check(1, 600, "the entry is row 600 of 600");
    check(2, 1_000_000, "cut short");
    check(3, 100, "100 layers");
    check(4, u32::MAX, "cut short");
    check(5, 700, "nodes of layer 1 are not rows in order");
    let last = good.len() / 4 - 1;
    check(last, 500, "leaves the layer");
    for len in 0..good.len() {
        assert!(UpperLayers::from_bytes(&good[..len], 600).is_err(), "{len} bytes");
    }
    let mut longer = good.clone();
    longer.extend([0; 4]);
    assert!(UpperLayers::from_bytes(&longer, 600).is_err());
    let none = UpperLayers::default();
    assert_eq!(UpperLayers::from_bytes(&none.to_bytes(), 0), Ok(none));
}
