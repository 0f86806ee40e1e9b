//! Merging graphs, beside building them anew.

mod common;

use std::ops::ControlFlow;

use common::{Coded, Random, Threads, clustered, reachable, with_graph};
use vecstore_index::{
    Accept, Beam, BuildError, Calibration, Curve, Damaged, EffortPoint, FlatRows, GraphBuf,
    GraphOptions, MergeError, MergeInput, Merged, Metric, NO_ROW, OneThread, Rows, Scratch,
    Shortfall, Workers, merge, search, shortfall,
};

const OPTIONS: GraphOptions = GraphOptions { m: 8, ef_construction: 64, seed: 3 };
const DIM: usize = 24;

/// A part of the data with a graph of its own, in codes of its own, and what became of its rows.
struct Part {
    graph: GraphBuf,
    new_rows: Vec<u32>,
}

/// Vectors split into parts, each with a graph, of which some rows are left out.
struct Split {
    /// Of the rows that are left.
    vectors: Vec<f32>,
    coded: Coded,
    parts: Vec<Part>,
}

impl Split {
    /// `lens` rows in each part, of which `dead` in a hundred are left out.
    fn new(metric: Metric, vectors: &[f32], lens: &[usize], dead: usize) -> Self {
        let mut random = Random(77);
        let mut left = Vec::new();
        let mut parts = Vec::new();
        let mut rest = vectors;
        for &len in lens {
            let (part, after) = rest.split_at(len * DIM);
            rest = after;
            let graph = Coded::new(metric, DIM, part).build(&OPTIONS, &OneThread).expect("built");
            let new_rows = part
                .chunks_exact(DIM)
                .map(|vector| {
                    if random.below(100) < dead {
                        return NO_ROW;
                    }
                    left.extend_from_slice(vector);
                    (left.len() / DIM - 1) as u32
                })
                .collect();
            parts.push(Part { graph, new_rows });
        }
        Split { coded: Coded::new(metric, DIM, &left), vectors: left, parts }
    }

    fn rows(&self) -> usize {
        self.vectors.len() / DIM
    }

    fn merge(&self, workers: &dyn Workers) -> Result<Merged, MergeError> {
        let links: Vec<FlatRows<'_, u32>> = self
            .parts
            .iter()
            .map(|part| FlatRows::new("links", &part.graph.links, part.graph.degree))
            .collect();
        let lent: Vec<&dyn Rows<u32>> = links.iter().map(|links| links as _).collect();
        self.merge_of(&lent, workers)
    }

    fn merge_of(
        &self,
        links: &[&dyn Rows<u32>],
        workers: &dyn Workers,
    ) -> Result<Merged, MergeError> {
        let inputs: Vec<MergeInput<'_>> = self
            .parts
            .iter()
            .zip(links)
            .map(|(part, links)| MergeInput { links: *links, new_rows: &part.new_rows })
            .collect();
        let (codes, quantizer) = (self.coded.rows(), &self.coded.quantizer);
        let keep_going = &mut |_| ControlFlow::Continue(());
        merge(&inputs, &codes, quantizer, &OPTIONS, workers, keep_going)
    }

    /// What holds for every graph.
    fn check_structure(&self, graph: &GraphBuf, name: &str) {
        let codes = self.coded.rows();
        assert_eq!(graph.links.len(), self.rows() * graph.degree, "{name}");
        for (row, list) in (0..).zip(graph.links.chunks_exact(graph.degree)) {
            let len = list.iter().position(|&link| link == u32::MAX).unwrap_or(list.len());
            let (list, padding) = list.split_at(len);
            assert!(padding.iter().all(|&link| link == u32::MAX), "{name}: row {row}");
            let query = self.coded.quantizer.query_code(codes.row(row).expect("a row"));
            let ranks: Vec<(f32, u32)> = list
                .iter()
                .map(|&link| (query.distance(codes.row(link).expect("a row")), link))
                .collect();
            assert!(ranks.is_sorted_by(|a, b| a < b), "{name}: row {row} has {ranks:?}");
            assert!(!list.contains(&row), "{name}: row {row} links to itself");
        }
        assert_eq!(reachable(graph, self.rows()), self.rows(), "{name}: rows reached");
    }

    /// Mean part of the true ten nearest that are found for stored and for new vectors.
    fn recall(&self, graph: &GraphBuf, queries: &[f32], ef: usize) -> f64 {
        let (codes, mut scratch) = (self.coded.rows(), Scratch::default());
        let (mut right, mut wanted) = (0, 0);
        for query in queries.chunks_exact(DIM) {
            let query = self.coded.quantizer.query(query);
            let truth = query.scan(&codes, 0..codes.rows(), 10).expect("codes");
            let found = with_graph(graph, |graph| {
                search(
                    graph,
                    &codes,
                    &query,
                    Beam::fixed(ef),
                    Accept::All,
                    usize::MAX,
                    &mut scratch,
                )
            });
            let farthest = truth.last().map_or(0.0, |last| last.distance);
            let found = found.expect("no row is damaged").candidates;
            right += found.iter().take(10).filter(|c| c.distance <= farthest).count();
            wanted += truth.len();
        }
        right as f64 / wanted as f64
    }

    /// The merged graph finds as much as one built anew.
    fn check_recall(&self, graph: &GraphBuf, queries: &[f32], allowed: f64, name: &str) {
        let built = self.coded.build(&OPTIONS, &OneThread).expect("built");
        for ef in [16, 40, 64, 128] {
            let merged = self.recall(graph, queries, ef);
            let built = self.recall(&built, queries, ef);
            assert!(merged >= built - allowed, "{name}: recall {merged} at {ef}, built {built}");
        }
    }
}

/// Vectors, and queries from around them.
fn data(seed: u64, rows: usize) -> (Vec<f32>, Vec<f32>) {
    let mut vectors = clustered(seed, rows + 200, DIM, 60);
    let queries = vectors.split_off(rows * DIM);
    (vectors, queries)
}

#[test]
fn a_merged_graph_finds_what_a_built_one_does() {
    let (vectors, queries) = data(1, 6_000);
    let table: [(&str, &[usize]); 7] = [
        ("one", &[6_000]),
        ("two", &[3_000, 3_000]),
        ("three", &[2_000, 1_500, 2_500]),
        ("four", &[1_500; 4]),
        ("six, in two rounds", &[1_000; 6]),
        ("one large, one small", &[5_600, 400]),
        ("one small, one large", &[400, 5_600]),
    ];
    for metric in Metric::ALL {
        for (name, lens) in table {
            let name = format!("{name}, {metric}");
            let split = Split::new(metric, &vectors, lens, 0);
            let merged = split.merge(&OneThread).expect("merged");
            assert_eq!(merged.used, (0..lens.len()).collect::<Vec<_>>(), "{name}");
            assert_eq!((merged.damaged, merged.linked_anew), (0, 0), "{name}");
            split.check_structure(&merged.graph, &name);
            split.check_recall(&merged.graph, &queries, 0.02, &name);
            for threads in [2, 4] {
                let again = split.merge(&Threads(threads)).expect("merged");
                assert!(again == merged, "{name}: another graph on {threads} threads");
            }
        }
    }
}

#[test]
fn rows_that_were_left_out_leave_no_hole() {
    let (vectors, queries) = data(2, 6_000);
    for lens in [&[6_000][..], &[3_000, 3_000], &[4_000, 1_000, 1_000]] {
        for dead in [10, 25] {
            let name = format!("{lens:?} with {dead} % dead");
            let split = Split::new(Metric::Cosine, &vectors, lens, dead);
            let merged = split.merge(&Threads(2)).expect("merged");
            assert_eq!(merged.used.len(), lens.len(), "{name}");
            split.check_structure(&merged.graph, &name);
            split.check_recall(&merged.graph, &queries, 0.02, &name);
        }
        let split = Split::new(Metric::Cosine, &vectors, lens, 60);
        let rows = split.rows() as u32;
        let nothing = MergeError::TooLittle { reusable: 0, rows, damaged: 0 };
        assert_eq!(split.merge(&OneThread).expect_err("60 % dead"), nothing);
    }
}

#[test]
fn rows_without_a_usable_graph_are_linked_anew() {
    let (vectors, queries) = data(3, 5_000);
    // The second part is too small for its graph to count, the third is damaged.
    let split = Split::new(Metric::Cosine, &vectors, &[4_000, 100, 900], 0);
    let links: Vec<FlatRows<'_, u32>> = split
        .parts
        .iter()
        .map(|part| FlatRows::new("links", &part.graph.links, part.graph.degree))
        .collect();
    for wild in [900, u32::MAX - 1] {
        let mut wild_links = split.parts[2].graph.links.clone();
        wild_links[17 * OPTIONS.m * 2] = wild;
        let third = FlatRows::new("links", &wild_links, 2 * OPTIONS.m);
        let merged = split.merge_of(&[&links[0], &links[1], &third], &OneThread).expect("merged");
        assert_eq!((&merged.used[..], merged.damaged, merged.linked_anew), (&[0][..], 1, 1_000));
        split.check_structure(&merged.graph, "a wild link");
        split.check_recall(&merged.graph, &queries, 0.02, "a wild link");
    }

    let unreadable = Unreadable { rows: links[0], row: 77 };
    let error = split.merge_of(&[&unreadable, &links[1], &links[2]], &OneThread);
    let too_little = MergeError::TooLittle { reusable: 900, rows: 5_000, damaged: 1 };
    assert_eq!(error.expect_err("most is damaged"), too_little);
    assert_eq!(
        too_little.to_string(),
        "900 of 5000 rows are in a graph that can be used, 1 graphs are damaged"
    );
}

/// Rows of which one cannot be read.
struct Unreadable<'a, T> {
    rows: FlatRows<'a, T>,
    row: u32,
}

impl<T: Sync> Rows<T> for Unreadable<'_, T> {
    fn rows(&self) -> u32 {
        self.rows.rows()
    }

    fn row(&self, row: u32) -> Result<&[T], Damaged> {
        if row == self.row { Err(Damaged { array: "hole", row }) } else { self.rows.row(row) }
    }
}

#[test]
fn damaged_codes_end_a_merge() {
    let (vectors, _) = data(4, 2_000);
    for dead in [0, 10] {
        let split = Split::new(Metric::Cosine, &vectors, &[1_000, 1_000], dead);
        let codes = Unreadable { rows: split.coded.rows(), row: 700 };
        let inputs: Vec<FlatRows<'_, u32>> = split
            .parts
            .iter()
            .map(|part| FlatRows::new("links", &part.graph.links, part.graph.degree))
            .collect();
        let inputs: Vec<MergeInput<'_>> = inputs
            .iter()
            .zip(&split.parts)
            .map(|(links, part)| MergeInput { links, new_rows: &part.new_rows })
            .collect();
        let quantizer = &split.coded.quantizer;
        let keep_going = &mut |_| ControlFlow::Continue(());
        let error = merge(&inputs, &codes, quantizer, &OPTIONS, &OneThread, keep_going);
        let hole = Damaged { array: "hole", row: 700 };
        assert_eq!(error, Err(MergeError::Build(BuildError::Damaged(hole))));
    }
}

#[test]
fn equal_vectors_are_all_reached() {
    let copies = |distinct: usize| -> Vec<f32> {
        let base = clustered(5, distinct, DIM, 3);
        let mut random = Random(6);
        (0..2_000)
            .flat_map(|_| {
                let at = random.below(distinct) * DIM;
                base[at..at + DIM].to_vec()
            })
            .collect()
    };
    for distinct in [1, 2, 40] {
        for metric in Metric::ALL {
            let name = format!("{distinct} values, {metric}");
            let vectors = copies(distinct);
            for dead in [0, 10] {
                let split = Split::new(metric, &vectors, &[1_000, 600, 400], dead);
                let merged = split.merge(&OneThread).expect("merged");
                split.check_structure(&merged.graph, &name);
                let all = split.recall(&merged.graph, &vectors[..DIM], split.rows());
                assert!(all == 1.0, "{name}: {all}");
            }
        }
    }
}

#[test]
fn a_row_map_that_is_none_is_refused() {
    let (vectors, _) = data(7, 1_000);
    let check = |change: &dyn Fn(&mut Vec<Part>), expected: &str| {
        let mut split = Split::new(Metric::Cosine, &vectors, &[500, 500], 0);
        change(&mut split.parts);
        assert_eq!(split.merge(&OneThread).expect_err("a bad map").to_string(), expected);
    };
    check(&|parts| parts[0].new_rows.truncate(499), "input 0: it has 500 rows and a map of 499");
    check(&|parts| parts[1].new_rows[7] = 1_000, "input 1: there is no row 1000 to become");
    check(&|parts| parts[1].new_rows[7] = 3, "input 1: another row became row 3, too");
    let none = Split { parts: Vec::new(), ..Split::new(Metric::Cosine, &vectors, &[1_000], 0) };
    let nothing = MergeError::TooLittle { reusable: 0, rows: 1_000, damaged: 0 };
    assert_eq!(none.merge(&OneThread), Err(nothing));
}

#[test]
fn progress_ascends_and_can_cancel() {
    let (vectors, _) = data(8, 6_000);
    let split = Split::new(Metric::Cosine, &vectors, &[1_000; 6], 0);
    let links: Vec<FlatRows<'_, u32>> = split
        .parts
        .iter()
        .map(|part| FlatRows::new("links", &part.graph.links, part.graph.degree))
        .collect();
    let inputs: Vec<MergeInput<'_>> = links
        .iter()
        .zip(&split.parts)
        .map(|(links, part)| MergeInput { links, new_rows: &part.new_rows })
        .collect();
    let run = |progress: &mut dyn FnMut(u32) -> ControlFlow<()>| {
        merge(&inputs, &split.coded.rows(), &split.coded.quantizer, &OPTIONS, &OneThread, progress)
    };
    let mut seen = Vec::new();
    run(&mut |done| {
        seen.push(done);
        ControlFlow::Continue(())
    })
    .expect("merged");
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(seen.last(), Some(&6_000));
    for stop_at in 0..seen.len() {
        let mut calls = 0;
        let stopped = run(&mut |_| {
            calls += 1;
            if calls > stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(stopped, Err(MergeError::Build(BuildError::Cancelled)));
        assert_eq!(calls, stop_at + 1);
    }
}

#[test]
fn five_generations_of_merging_lose_little() {
    let (vectors, queries) = data(9, 8_000);
    let mut split = Split::new(Metric::Cosine, &vectors[..3_000 * DIM], &[3_000], 0);
    let mut graph = split.merge(&OneThread).expect("merged").graph;
    for generation in 1..=5 {
        let (before, now) = (split.rows(), split.rows() + 1_000);
        let new = &vectors[before * DIM..now * DIM];
        let more = Coded::new(Metric::Cosine, DIM, new).build(&OPTIONS, &OneThread).expect("built");
        let parts = vec![
            Part { graph, new_rows: (0..before as u32).collect() },
            Part { graph: more, new_rows: (before as u32..now as u32).collect() },
        ];
        let vectors = vectors[..now * DIM].to_vec();
        split = Split { coded: Coded::new(Metric::Cosine, DIM, &vectors), vectors, parts };
        graph = split.merge(&Threads(2)).expect("merged").graph;
        split.check_structure(&graph, &format!("generation {generation}"));
    }
    split.check_recall(&graph, &queries, 0.01, "five generations");
}

#[test]
fn too_little_recall_is_noticed() {
    let calibration = |recalls: &[(u32, f32)]| {
        let point = |&(effort, recall)| EffortPoint { effort, recall, distances: 1.0 };
        let by_ef = Curve { points: recalls.iter().map(point).collect() };
        Calibration { by_ef, by_gamma: Curve::default() }
    };
    let good = calibration(&[(16, 0.9), (64, 0.98)]);
    let better = calibration(&[(16, 1.0), (64, 1.0)]);
    let none = Calibration::default();
    let check = |merged: &[(u32, f32)], inputs: &[(&Calibration, u32)], short: Option<u32>| {
        let found = shortfall(&calibration(merged), inputs);
        assert_eq!(found.map(|found| found.ef), short, "{merged:?}: {found:?}");
    };
    check(&[(16, 0.9), (64, 0.98)], &[(&good, 100)], None);
    // Half of the misses and a hundredth less, but no more.
    check(&[(16, 0.845), (64, 0.965)], &[(&good, 100)], None);
    check(&[(16, 0.835), (64, 0.98)], &[(&good, 100)], Some(16));
    check(&[(16, 0.9), (64, 0.955)], &[(&good, 100)], Some(64));
    check(&[(16, 0.5), (64, 0.4)], &[(&good, 100)], Some(64));
    // Inputs count by their rows; one that was not measured counts for nothing.
    check(&[(16, 0.9)], &[(&good, 100), (&better, 100)], Some(16));
    check(&[(16, 0.9)], &[(&good, 900), (&better, 100)], None);
    check(&[(16, 0.9)], &[(&good, 100), (&none, 900)], None);
    check(&[(16, 0.0)], &[(&none, 900)], None);
    check(&[], &[(&good, 900)], None);
    let short = shortfall(&calibration(&[(16, 0.5)]), &[(&better, 1)]);
    assert_eq!(short, Some(Shortfall { ef: 16, recall: 0.5, least: 0.99 }));
}
