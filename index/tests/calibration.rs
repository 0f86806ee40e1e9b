//! Measuring a graph, and reading the measurement.

mod common;

use common::{Coded, Threads, clustered, with_graph};
use proptest::prelude::*;
use vecstore_index::{
    Accept, Calibration, EfPoint, ExactQuery, FlatRows, GraphBuf, GraphOptions, Metric, OneThread,
    Probe, Scratch, Workers, calibrate, search,
};

fn point(ef: u32, recall: f32, distances: f32) -> EfPoint {
    EfPoint { ef, recall, distances }
}

fn three_points() -> Calibration {
    let points = vec![point(16, 0.8, 400.0), point(32, 0.9, 700.0), point(64, 0.98, 1_100.0)];
    Calibration { points }
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
    let vectors = FlatRows::new("vectors", vectors, coded.quantizer.dim());
    with_graph(graph, |graph| {
        calibrate(graph, &coded.rows(), &coded.quantizer, &vectors, probes, workers)
            .expect("no row is damaged")
    })
}

#[test]
fn between_points_it_is_interpolated() {
    let calibration = three_points();
    let near = |got: f32, want: f32| assert!((got - want).abs() < 1e-3, "{got}, expected {want}");
    near(calibration.recall_at(16), 0.8);
    near(calibration.recall_at(24), 0.85);
    near(calibration.recall_at(8), 0.4);
    near(calibration.recall_at(0), 0.0);
    near(calibration.recall_at(1_000), 0.98);
    near(calibration.distances_at(8), 200.0);
    near(calibration.distances_at(48), 900.0);
    near(calibration.distances_at(128), 2_200.0);
}

#[test]
fn the_ef_for_a_recall_is_on_the_safe_side() {
    let calibration = three_points();
    for wanted in [0.0, 0.3, 0.5, 0.8, 0.85, 0.9, 0.95, 0.973] {
        let ef = calibration.ef_for_recall(wanted);
        assert!(ef >= 1 && calibration.recall_at(ef) >= wanted, "recall {wanted}: ef {ef}");
        assert!(calibration.recall_at(ef - 1) < wanted + (1.0 - wanted) * 0.3, "recall {wanted}");
    }
    assert_eq!(calibration.ef_for_recall(0.999), 64);
    assert_eq!(calibration.ef_for_recall(f32::NAN), 64);
    assert_eq!(calibration.ef_for_recall(2.0), 64);
    assert_eq!(calibration.ef_for_recall(-1.0), 1);
    // A larger `ef` that happened to find less does not hide a smaller one that found enough.
    let dented = Calibration {
        points: vec![point(16, 0.9, 1.0), point(32, 0.97, 2.0), point(64, 0.96, 3.0)],
    };
    assert!(dented.ef_for_recall(0.95) <= 32);
}

#[test]
fn nothing_measured_is_a_default() {
    let nothing = Calibration::default();
    assert_eq!(nothing.ef_for_recall(0.95), 64);
    assert_eq!(nothing.recall_at(10), 1.0);
    assert_eq!(nothing.distances_at(10), 1.0);
    assert_eq!(Calibration::from_bytes(&nothing.to_bytes()), Ok(nothing));
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
        let efs: Vec<u32> = calibration.points.iter().map(|point| point.ef).collect();
        assert_eq!(efs, [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]);

        // Queries that the graph has not seen do about as well.
        for ef in [16, 64, 512] {
            let (mut right, mut distances) = (0, 0);
            for query in queries.chunks_exact(dim) {
                let exact = ExactQuery::new(metric, query);
                let rank = |row: u32| (exact.distance(&vectors[row as usize * dim..][..dim]), row);
                let mut truth: Vec<(f32, u32)> = (0..rows as u32).map(rank).collect();
                truth.sort_by(|a, b| a.0.total_cmp(&b.0));
                let code = coded.quantizer.query(query);
                let mut scratch = Scratch::default();
                let found = with_graph(&graph, |graph| {
                    let (codes, ef) = (coded.rows(), ef as usize);
                    search(graph, &codes, &code, ef, Accept::All, usize::MAX, &mut scratch)
                })
                .expect("no row is damaged");
                distances += found.distances;
                let mut found: Vec<(f32, u32)> =
                    found.candidates.iter().take(20).map(|c| rank(c.row)).collect();
                found.sort_by(|a, b| a.0.total_cmp(&b.0));
                right += found.iter().take(10).filter(|row| truth[..10].contains(row)).count();
            }
            let recall = right as f32 / 3_000.0;
            let expected = calibration.recall_at(ef);
            assert!((recall - expected).abs() < 0.06, "{metric} {ef}: {recall}, said {expected}");
            let distances = distances as f32 / 300.0;
            let expected = calibration.distances_at(ef);
            assert!(
                (distances / expected - 1.0).abs() < 0.2,
                "{metric} {ef}: {distances}, {expected}"
            );
        }
        assert!(calibration.recall_at(512) > 0.99, "{metric}: {calibration:?}");
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
        (15, vec![15]),
        (30, vec![16, 24]),
        (64, vec![16, 24, 32, 48, 64]),
    ] {
        let vectors = clustered(33, rows, dim, 2);
        let coded = Coded::new(Metric::Euclidean, dim, &vectors);
        let graph = coded.build(&GraphOptions::default(), &OneThread).unwrap();
        let probes = probes(Metric::Euclidean, dim, &vectors, 1, 7);
        let calibration = measure(&coded, &graph, &vectors, &probes, &OneThread);
        let efs: Vec<u32> = calibration.points.iter().map(|point| point.ef).collect();
        assert_eq!(efs, expected, "{rows} rows");
        assert!(calibration.points.iter().all(|point| point.recall > 0.9), "{calibration:?}");
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
        assert!(calibration.points.iter().all(|point| point.recall > 0.95), "{calibration:?}");
    }
}

proptest! {
    #[test]
    fn bytes_that_are_read_are_bytes_that_were_written(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        len in any::<prop::sample::Index>(),
    ) {
        let mut bytes = three_points().to_bytes();
        prop_assert_eq!(Calibration::from_bytes(&bytes), Ok(three_points()));
        for (index, byte) in changes {
            let i = index.index(bytes.len());
            bytes[i] = byte;
        }
        if let Ok(calibration) = Calibration::from_bytes(&bytes) {
            prop_assert_eq!(calibration.to_bytes(), bytes.clone());
            let ef = calibration.ef_for_recall(0.9);
            prop_assert!(calibration.recall_at(ef).is_finite());
            prop_assert!(calibration.distances_at(ef).is_finite());
        }
        bytes.truncate(len.index(bytes.len()));
        prop_assert!(Calibration::from_bytes(&bytes).is_err());
    }
}

#[test]
fn broken_calibrations_are_refused() {
    let check = |points: Vec<EfPoint>| {
        let bytes = Calibration { points }.to_bytes();
        assert!(Calibration::from_bytes(&bytes).is_err());
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
                search(graph, &coded.rows(), &query, 16, Accept::All, usize::MAX, &mut scratch)
            })
            .expect("no row is damaged")
            .distances as f32
        };
        assert_eq!(measured.points[0].distances, count(&unlinked), "row {row}");
        distances_differ |= count(&graph) != count(&unlinked);
    }
    assert!(distances_differ, "the links of the rows made no difference");
}
