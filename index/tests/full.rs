//! Graphs walked on full vectors.

mod common;

use common::{Coded, Random, clustered, with_graph};
use proptest::prelude::*;
use vecstore_index::half::f16;
use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{
    Accept, Beam, Candidate, Damaged, ExactQuery, FlatVectors, Found, Gamma, GraphBuf,
    GraphOptions, Metric, OneThread, Precision, Probe, RowSet, Scratch, Stored, Vectors,
    calibrate_full, search_full,
};

const OPTIONS: GraphOptions = GraphOptions { m: 8, ef_construction: 64, seed: 3 };

fn found(
    graph: &GraphBuf,
    vectors: &impl Vectors,
    query: &ExactQuery,
    beam: Beam,
    accept: Accept<'_>,
    scratch: &mut Scratch,
) -> Result<Found, Damaged> {
    with_graph(graph, |graph| search_full(graph, vectors, query, beam, accept, usize::MAX, scratch))
}

/// All rows of `accept` by exact distance, ties by row.
fn scan(vectors: &impl Vectors, query: &ExactQuery, accept: Accept<'_>) -> Vec<Candidate> {
    let is_accepted = |row: &u32| match accept {
        Accept::All => true,
        Accept::Only(set) => set.contains(*row),
    };
    let mut all: Vec<Candidate> = (0..vectors.rows())
        .filter(is_accepted)
        .map(|row| Candidate { distance: query.distance(vectors.vector(row).expect("a row")), row })
        .collect();
    all.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_walk_that_keeps_every_row_is_a_scan(
        seed in any::<u64>(),
        rows in 1..300usize,
        dim in 1..70usize,
        metric in prop::sample::select(Metric::ALL.to_vec()),
        precision in prop::sample::select(Precision::ALL.to_vec()),
        accepted in 1..6u32,
    ) {
        let mut given = clustered(seed, rows, dim, 4);
        precision.round(&mut given);
        let halves: Vec<f16> = given.iter().copied().map(f16::from_f32).collect();
        let stored = match precision {
            Precision::F32 => Stored::F32(&given),
            Precision::F16 => Stored::F16(&halves),
        };
        let vectors = FlatVectors::new(stored, dim);
        let graph = Coded::new(metric, dim, &given).build(&OPTIONS, &OneThread).unwrap();
        let query = ExactQuery::new(metric, &clustered(seed ^ 1, 1, dim, 1));
        let some: RoaringBitmap = (0..rows as u32).filter(|row| row % accepted == 0).collect();
        let some = RowSet::from_bitmap(&some, 0..rows as u32);
        for accept in [Accept::All, Accept::Only(&some)] {
            let beam = Beam::fixed(rows);
            let walked = found(&graph, &vectors, &query, beam, accept, &mut Scratch::default());
            let walked = walked.unwrap();
            prop_assert_eq!(walked.candidates, scan(&vectors, &query, accept));
        }
    }
}

/// Each row is linked to every other one.
#[test]
fn an_adaptive_beam_keeps_what_is_a_part_farther() {
    let (dim, rows) = (8, 17);
    for (seed, metric) in (0..40).flat_map(|seed| Metric::ALL.map(|metric| (seed, metric))) {
        let vectors = clustered(seed, rows, dim, 2);
        let given = FlatVectors::new(&vectors, dim);
        let mut graph = Coded::new(metric, dim, &vectors).build(&OPTIONS, &OneThread).unwrap();
        let others = |row: usize| (0..rows).filter(move |&other| other != row);
        graph.links = (0..rows).flat_map(|row| others(row).map(|other| other as u32)).collect();
        let query = ExactQuery::new(metric, &clustered(seed + 100, 1, dim, 1));
        let all = scan(&given, &query, Accept::All);
        for (gamma, part) in [(50, 1.05), (300, 1.3), (2_000, 3.0)] {
            let beam = Beam { ef: 4, gamma: Gamma::new(gamma), nearest: 3, ef_max: rows };
            let scratch = &mut Scratch::default();
            let walked = found(&graph, &given, &query, beam, Accept::All, scratch).unwrap();
            // Cosine distances are halves of squares; of an inner product there is no part.
            let reach = match metric {
                Metric::Cosine => all[2].distance * part * part,
                Metric::Euclidean => all[2].distance * part,
                Metric::Dot => all[2].distance,
            };
            let within = all.iter().filter(|c| c.distance < reach).count();
            assert_eq!(walked.candidates, all[..within.max(4)], "{metric}, {seed}, {gamma}");
        }
    }
}

#[test]
fn the_nearest_are_found_by_few_distances() {
    let (dim, rows) = (48, 4_000);
    let vectors = clustered(21, rows, dim, 40);
    let queries = clustered(21, rows + 100, dim, 40).split_off(rows * dim);
    let given = FlatVectors::new(&vectors, dim);
    let mut scratch = Scratch::default();
    for metric in Metric::ALL {
        let graph = Coded::new(metric, dim, &vectors).build(&OPTIONS, &OneThread).unwrap();
        let (mut right, mut distances) = (0, 0);
        for query in queries.chunks_exact(dim) {
            let query = ExactQuery::new(metric, query);
            let beam = Beam::fixed(64);
            let walked = found(&graph, &given, &query, beam, Accept::All, &mut scratch).unwrap();
            assert_eq!(walked.candidates.len(), 64, "{metric}");
            let farthest = scan(&given, &query, Accept::All)[9].distance;
            right += walked.candidates[..10].iter().filter(|c| c.distance <= farthest).count();
            distances += walked.distances;
        }
        let least = if metric == Metric::Dot { 0.9 } else { 0.98 };
        assert!(right as f64 / 1_000.0 >= least, "{metric}: {right} of 1,000");
        assert!(distances / 100 < rows / 3, "{metric}: {} distances", distances / 100);
    }
}

/// Recall by brute force, and by row.
#[test]
fn a_measurement_is_what_walks_without_the_row_find() {
    let (dim, rows) = (24, 2_500);
    let vectors = clustered(5, rows, dim, 25);
    let given = FlatVectors::new(&vectors, dim);
    for metric in Metric::ALL {
        let graph = Coded::new(metric, dim, &vectors).build(&OPTIONS, &OneThread).unwrap();
        let mut probes: Vec<Probe> = (0..rows)
            .step_by(25)
            .map(|row| Probe::new(metric, row as u32, &vectors[row * dim..][..dim]))
            .collect();
        probes.iter_mut().for_each(|probe| probe.observe(0, &vectors));
        let measured = with_graph(&graph, |graph| {
            calibrate_full(graph, metric, &given, &probes, &OneThread).expect("no row is damaged")
        });
        // Distances have a zero, inner products have none.
        assert_eq!(measured.by_gamma.points.is_empty(), metric == Metric::Dot);
        assert!(measured.by_gamma.points.is_sorted_by(|a, b| a.distances <= b.distances));
        let point = measured.by_ef.points[4];
        assert_eq!(point.effort, 32);
        let mut right = 0;
        let all = RoaringBitmap::from_iter(0..rows as u32);
        for row in (0..rows as u32).step_by(25) {
            let query = ExactQuery::new(metric, &vectors[row as usize * dim..][..dim]);
            let without = &all - RoaringBitmap::from_iter([row]);
            let without = RowSet::from_bitmap(&without, 0..rows as u32);
            let nearest = scan(&given, &query, Accept::Only(&without));
            let scratch = &mut Scratch::default();
            let beam = Beam::fixed(32);
            let walked = found(&graph, &given, &query, beam, Accept::Only(&without), scratch);
            let walked = walked.unwrap().candidates;
            right += nearest[..10].iter().filter(|c| walked.iter().any(|w| w.row == c.row)).count();
        }
        // The row itself is passed over there and walked through here.
        let recall = right as f32 / 1_000.0;
        assert!((recall - point.recall).abs() < 0.02, "{metric}: {recall}, {point:?}");
    }
}

/// Vectors of which one cannot be read.
struct Broken<'a>(FlatVectors<'a>, u32);

impl Vectors for Broken<'_> {
    fn rows(&self) -> u32 {
        self.0.rows()
    }

    fn vector(&self, row: u32) -> Result<Stored<'_>, Damaged> {
        if row == self.1 { Err(Damaged { array: "vectors", row }) } else { self.0.vector(row) }
    }
}

#[test]
fn a_row_that_cannot_be_read_is_told_and_the_next_search_is_whole() {
    let (dim, rows) = (8, 500);
    let vectors = clustered(9, rows, dim, 3);
    let given = FlatVectors::new(&vectors, dim);
    let graph = Coded::new(Metric::Euclidean, dim, &vectors).build(&OPTIONS, &OneThread).unwrap();
    let mut scratch = Scratch::default();
    let mut random = Random(7);
    for _ in 0..20 {
        let broken = random.below(rows) as u32;
        let query = ExactQuery::new(Metric::Euclidean, &vectors[..dim]);
        let beam = Beam::fixed(rows);
        let partly = Broken(given, broken);
        let partly = found(&graph, &partly, &query, beam, Accept::All, &mut scratch);
        assert_eq!(partly.map(drop), Err(Damaged { array: "vectors", row: broken }));
        let whole = found(&graph, &given, &query, beam, Accept::All, &mut scratch);
        assert_eq!(whole.map(|f| f.candidates), Ok(scan(&given, &query, Accept::All)));
    }
}
