//! Measuring a graph, and reading the measurement.

mod common;

use common::{Coded, Threads, clustered, with_graph};
use proptest::prelude::*;
use vecstore_index::{
    Accept, Beam, Calibration, Curve, EffortPoint, ExactQuery, FlatVectors, Gamma, GraphBuf,
    GraphOptions, MeasuredEffort, Metric, OneThread, Probe, Scratch, Workers, calibrate, search,
};

fn point(effort: u32, recall: f32, distances: f32) -> EffortPoint {
    EffortPoint { effort, recall, distances }
}

fn three_points() -> Curve {
    let points = vec![point(16, 0.8, 400.0), point(32, 0.9, 700.0), point(64, 0.98, 1_100.0)];
    Curve { points }
}

fn calibration() -> Calibration {
    let points = vec![point(50, 0.85, 450.0), point(100, 0.97, 800.0), point(200, 0.99, 1_500.0)];
    Calibration { by_ef: three_points(), by_gamma: Curve { points } }
}

fn probes(metric: Metric, dim: usize, vectors: &[f32], step: usize, block: usize) -> Vec<Probe> {
    let mut probes: Vec<Probe> = (0..vectors.len() / dim)
        .step_by(step)
        .map(|row| Probe::new(metric, row as u32, &vectors[row * dim..][..dim]))
        .collect();
    for (i, block_vectors) in vectors.chunks(block * dim).enumerate() {
        for probe in &mut probes {
            probe.observe((i * block) as u32, block_vectors);
        }
    }
    probes
}

fn measure(
    coded: &Coded,
    graph: &GraphBuf,
    vectors: &[f32],
    probes: &[Probe],
    workers: &dyn Workers,
) -> Calibration {
    let vectors = FlatVectors::new(vectors, coded.quantizer.dim());
    with_graph(graph, |graph| {
        calibrate(graph, &coded.rows(), &coded.quantizer, &vectors, probes, workers)
            .expect("no row is damaged")
    })
}

#[test]
fn between_points_it_is_interpolated() {
    let curve = three_points();
    let near = |got: f32, want: f32| assert!((got - want).abs() < 1e-3, "{got}, expected {want}");
    near(curve.recall_at(16), 0.8);
    near(curve.recall_at(24), 0.85);
    near(curve.recall_at(8), 0.4);
    near(curve.recall_at(0), 0.0);
    near(curve.recall_at(1_000), 0.98);
    near(curve.distances_at(8), 200.0);
    near(curve.distances_at(48), 900.0);
    near(curve.distances_at(128), 2_200.0);
    assert_eq!(curve.effort_for_distances(900.0), Some(48));
    assert_eq!(curve.effort_for_distances(1_200.0), None);
}

#[test]
fn the_effort_for_a_recall_is_on_the_safe_side() {
    let curve = three_points();
    for wanted in [0.0, 0.3, 0.5, 0.8, 0.85, 0.9, 0.95, 0.973] {
        let effort = curve.effort_for_recall(wanted).expect("it was reached");
        assert!(effort >= 1 && curve.recall_at(effort) >= wanted, "recall {wanted}: {effort}");
        assert!(curve.recall_at(effort - 1) < wanted + (1.0 - wanted) * 0.3, "recall {wanted}");
    }
    // Reached, but not with the margin; not reached; no recall.
    assert_eq!(curve.effort_for_recall(0.979), Some(64));
    for wanted in [0.981, 2.0, f32::NAN] {
        assert_eq!(curve.effort_for_recall(wanted), None);
    }
    assert_eq!(curve.effort_for_recall(-1.0), Some(1));
    // A larger effort that happened to find less does not hide a smaller one that found enough.
    let dented =
        Curve { points: vec![point(16, 0.9, 1.0), point(32, 0.97, 2.0), point(64, 0.96, 3.0)] };
    assert!(dented.effort_for_recall(0.95) <= Some(32));
}

#[test]
fn of_two_ways_to_look_the_cheaper_is_taken() {
    let measured = calibration();
    // At 0.75 and a margin the fixed beam computes fewer distances, above it the other.
    let MeasuredEffort::Ef(ef) = measured.effort_for_recall(0.7).expect("reached") else {
        panic!("the fixed beam is cheaper")
    };
    assert!(ef <= 16);
    let effort = measured.effort_for_recall(0.95).expect("reached");
    assert!(
        matches!(effort, MeasuredEffort::Gamma(gamma) if gamma <= Gamma::new(100)),
        "{effort:?}"
    );
    assert!(measured.distances_at(effort) <= 800.0 && measured.recall_at(effort) >= 0.95);
    // 800 distances are those of an ef between 32 and 64.
    assert_eq!(measured.ef_as_costly_as(MeasuredEffort::Gamma(Gamma::new(100))), 40);
    assert_eq!(measured.ef_as_costly_as(MeasuredEffort::Ef(40)), 40);
    // What costs more than was measured is as costly as the largest.
    assert_eq!(measured.ef_as_costly_as(MeasuredEffort::Gamma(Gamma::new(200))), 64);
    // Only one of them reaches it; none does.
    assert_eq!(measured.effort_for_recall(0.988), Some(MeasuredEffort::Gamma(Gamma::new(200))));
    assert_eq!(measured.effort_for_recall(0.995), None);
    assert_eq!(measured.best_effort(), Some(MeasuredEffort::Gamma(Gamma::new(200))));
    assert_eq!(measured.best_recall(), 0.99);
}

#[test]
fn where_nothing_was_measured_nothing_is_promised() {
    let nothing = Calibration::default();
    assert!(nothing.is_empty() && nothing.best_effort().is_none());
    assert_eq!(nothing.effort_for_recall(0.95), None);
    assert_eq!(nothing.by_ef.recall_at(10), 1.0);
    assert_eq!(nothing.by_ef.distances_at(10), 1.0);
    assert_eq!(Calibration::from_bytes(&nothing.to_bytes()), Ok(nothing));
}

/// The efforts of a curve are those of the ladder up to the first at which nearly all is found.
fn assert_ends_where_it_is_enough(curve: &Curve, ladder: &[u32]) {
    let is_enough = |point: &EffortPoint| point.recall >= 0.9995;
    let efforts: Vec<u32> = curve.points.iter().map(|point| point.effort).collect();
    assert!(ladder.starts_with(&efforts), "{efforts:?} of {ladder:?}");
    let first = curve.points.iter().position(is_enough);
    let expected = first.map_or(ladder.len(), |first| first + 1);
    assert_eq!(efforts.len(), expected, "{curve:?} of {ladder:?}");
}

/// The probes' truth is by brute force here, and recall counted by row.
#[test]
fn a_measurement_is_what_searches_without_the_row_find() {
    let (dim, rows) = (16, 3_000);
    let vectors = clustered(31, rows, dim, 30);
    let queries = clustered(31, rows + 300, dim, 30).split_off(rows * dim);
    for metric in Metric::ALL {
        let coded = Coded::new(metric, dim, &vectors);
        let graph = coded.build(&GraphOptions::default(), &OneThread).unwrap();
        let probes = probes(metric, dim, &vectors, 12, 100);
        let calibration = measure(&coded, &graph, &vectors, &probes, &OneThread);
        let ladder = [10, 12, 16, 24, 32, 64, 128, 192, 256, 512];
        assert_ends_where_it_is_enough(&calibration.by_ef, &ladder);
        let measured = |ef: &u32| calibration.by_ef.points.iter().any(|point| point.effort == *ef);
        // Distances have a zero, inner products have none.
        assert_eq!(calibration.by_gamma.points.is_empty(), metric == Metric::Dot);
        let fixed = ladder.into_iter().filter(measured);
        let fixed = fixed.map(|ef| (Beam::fixed(ef as usize), MeasuredEffort::Ef(ef)));
        let adaptive = [20, 50, 80].map(|gamma| {
            let gamma = Gamma::new(gamma);
            (Beam::adaptive(10, gamma), MeasuredEffort::Gamma(gamma))
        });
        let adaptive = adaptive.into_iter().filter(|_| metric != Metric::Dot);

        // Queries that the graph has not seen do about as well.
        for (beam, effort) in fixed.chain(adaptive) {
            let (mut right, mut distances) = (0, 0);
            for query in queries.chunks_exact(dim) {
                let exact = ExactQuery::new(metric, query);
                let rank = |row: u32| (exact.distance(&vectors[row as usize * dim..][..dim]), row);
                let mut truth: Vec<(f32, u32)> = (0..rows as u32).map(rank).collect();
                truth.sort_by(|a, b| a.0.total_cmp(&b.0));
                let code = coded.quantizer.query(query);
                let mut scratch = Scratch::default();
                let found = with_graph(&graph, |graph| {
                    let codes = coded.rows();
                    search(graph, &codes, &code, beam, Accept::All, usize::MAX, &mut scratch)
                })
                .expect("no row is damaged");
                distances += found.distances;
                let mut found: Vec<(f32, u32)> =
                    found.candidates.iter().take(20).map(|c| rank(c.row)).collect();
                found.sort_by(|a, b| a.0.total_cmp(&b.0));
                right += found.iter().take(10).filter(|row| truth[..10].contains(row)).count();
            }
            let recall = right as f32 / 3_000.0;
            let expected = calibration.recall_at(effort);
            assert!((recall - expected).abs() < 0.06, "{metric} {beam}: {recall}, said {expected}");
            let distances = distances as f32 / 300.0;
            let expected = calibration.distances_at(effort);
            assert!(
                (distances / expected - 1.0).abs() < 0.2,
                "{metric} {beam}: {distances}, {expected}"
            );
        }
        assert!(calibration.by_ef.recall_at(512) > 0.99, "{metric}: {calibration:?}");
    }
}

#[test]
fn a_measurement_does_not_depend_on_threads_or_blocks() {
    let dim = 16;
    let vectors = clustered(32, 1_000, dim, 10);
    let coded = Coded::new(Metric::Cosine, dim, &vectors);
    let graph = coded.build(&GraphOptions::default(), &OneThread).unwrap();
    let one = measure(
        &coded,
        &graph,
        &vectors,
        &probes(Metric::Cosine, dim, &vectors, 9, 1_000),
        &OneThread,
    );
    for (threads, block) in [(2, 1), (4, 37)] {
        let probes = probes(Metric::Cosine, dim, &vectors, 9, block);
        assert_eq!(measure(&coded, &graph, &vectors, &probes, &Threads(threads)), one);
    }
}

#[test]
fn small_graphs_are_measured_as_far_as_they_go() {
    let dim = 8;
    for (rows, expected) in [
        (0, vec![]),
        (1, vec![]),
        (2, vec![2]),
        (11, vec![10, 11]),
        (30, vec![10, 12, 16, 24, 30]),
        (64, vec![10, 12, 16, 24, 32, 64]),
    ] {
        let vectors = clustered(33, rows, dim, 2);
        let coded = Coded::new(Metric::Euclidean, dim, &vectors);
        let graph = coded.build(&GraphOptions::default(), &OneThread).unwrap();
        let probes = probes(Metric::Euclidean, dim, &vectors, 1, 7);
        let calibration = measure(&coded, &graph, &vectors, &probes, &OneThread);
        let points = || calibration.by_ef.points.iter();
        assert_ends_where_it_is_enough(&calibration.by_ef, &expected);
        assert!(points().all(|point| point.recall > 0.9), "{calibration:?}");
    }
}

#[test]
fn equal_vectors_count_alike() {
    let dim = 8;
    let vectors = vec![0.5; 500 * dim];
    for metric in Metric::ALL {
        let coded = Coded::new(metric, dim, &vectors);
        let graph = coded.build(&GraphOptions::default(), &OneThread).unwrap();
        let probes = probes(metric, dim, &vectors, 10, 64);
        let calibration = measure(&coded, &graph, &vectors, &probes, &OneThread);
        let points = || calibration.by_ef.points.iter().chain(&calibration.by_gamma.points);
        assert!(points().all(|point| point.recall > 0.95), "{calibration:?}");
    }
}

proptest! {
    #[test]
    fn bytes_that_are_read_are_bytes_that_were_written(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        len in any::<prop::sample::Index>(),
    ) {
        let mut bytes = calibration().to_bytes();
        prop_assert_eq!(Calibration::from_bytes(&bytes), Ok(calibration()));
        for (index, byte) in changes {
            let i = index.index(bytes.len());
            bytes[i] = byte;
        }
        if let Ok(calibration) = Calibration::from_bytes(&bytes) {
            prop_assert_eq!(calibration.to_bytes(), bytes.clone());
            if let Some(effort) = calibration.effort_for_recall(0.9) {
                prop_assert!(calibration.recall_at(effort).is_finite());
                prop_assert!(calibration.distances_at(effort).is_finite());
                prop_assert!(calibration.ef_as_costly_as(effort) > 0);
            }
        }
        bytes.truncate(len.index(bytes.len()));
        prop_assert!(Calibration::from_bytes(&bytes).is_err());
    }
}

#[test]
fn broken_calibrations_are_refused() {
    let check = |points: Vec<EffortPoint>| {
        let (good, broken) = (three_points(), Curve { points });
        assert!(Curve::from_bytes(&broken.to_bytes()).is_err());
        for (by_ef, by_gamma) in [(good.clone(), broken.clone()), (broken, good)] {
            let bytes = Calibration { by_ef, by_gamma }.to_bytes();
            assert!(Calibration::from_bytes(&bytes).is_err());
        }
    };
    check(vec![point(0, 0.5, 1.0)]);
    check(vec![point(16, 1.5, 1.0)]);
    check(vec![point(16, f32::NAN, 1.0)]);
    check(vec![point(16, 0.5, -1.0)]);
    check(vec![point(16, 0.5, f32::INFINITY)]);
    check(vec![point(16, 0.5, 1.0), point(16, 0.6, 1.0)]);
}

/// The twin takes the row's links away by hand and searches as anyone would.
#[test]
fn a_probe_is_searched_for_as_if_its_row_were_not_linked() {
    let (dim, rows) = (16, 600);
    let vectors = clustered(34, rows, dim, 12);
    let coded = Coded::new(Metric::Cosine, dim, &vectors);
    let options = GraphOptions { m: 3, ef_construction: 16, seed: 1 };
    let graph = coded.build(&options, &OneThread).unwrap();
    // Words 4 and on are the number and the rows of layer 1, which a search may start from.
    let bytes = graph.upper.to_bytes();
    let words: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|w| u32::from_le_bytes(*w)).collect();
    let layer = &words[5..5 + words[4] as usize];

    let probes = probes(Metric::Cosine, dim, &vectors, 1, 100);
    let mut distances_differ = false;
    for (row, probe) in (0u32..).zip(probes).filter(|(row, _)| !layer.contains(row)).step_by(9) {
        let vector = &vectors[row as usize * dim..][..dim];
        let measured = measure(&coded, &graph, &vectors, &[probe], &OneThread);

        let mut unlinked = graph.clone();
        for links in unlinked.links.chunks_exact_mut(graph.degree) {
            let mut kept: Vec<u32> = links.iter().copied().filter(|&link| link != row).collect();
            kept.resize(graph.degree, u32::MAX);
            links.copy_from_slice(&kept);
        }
        let query = coded.quantizer.query(vector);
        let count = |graph: &GraphBuf| {
            let mut scratch = Scratch::default();
            with_graph(graph, |graph| {
                let beam = Beam::fixed(10);
                search(graph, &coded.rows(), &query, beam, Accept::All, usize::MAX, &mut scratch)
            })
            .expect("no row is damaged")
            .distances as f32
        };
        assert_eq!(measured.by_ef.points[0].distances, count(&unlinked), "row {row}");
        distances_differ |= count(&graph) != count(&unlinked);
    }
    assert!(distances_differ, "the links of the rows made no difference");
}
