//! Clusters: built, searched, measured, and read from bytes.

mod common;

use std::ops::ControlFlow;

use common::{Random, Threads, clustered};
use proptest::prelude::*;
use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{
    Accept, BuildError, ClusterCalibration, ClusterOptions, Clusters, ClustersBuf, Damaged,
    ExactQuery, FlatRows, FlatVectors, Metric, OneThread, Probe, Reach, RowSet, Scratch, Workers,
    build_clusters, calibrate_clusters,
};

fn build_on(
    metric: Metric,
    dim: usize,
    vectors: &[f32],
    leaves: Option<u32>,
    workers: &dyn Workers,
) -> ClustersBuf {
    let rows = FlatVectors::new(vectors, dim);
    let options = ClusterOptions { leaves, ..ClusterOptions::default() };
    build_clusters(&rows, metric, dim, &options, workers, &mut |_| ControlFlow::Continue(()))
        .expect("no row is damaged")
}

fn build(metric: Metric, dim: usize, vectors: &[f32]) -> ClustersBuf {
    build_on(metric, dim, vectors, None, &OneThread)
}

fn blocks(buf: &ClustersBuf) -> FlatRows<'_, u8> {
    FlatRows::new("cluster-blocks", &buf.blocks, buf.clusters.block_len())
}

/// Rows found, nearest first by code distance, and distances computed.
fn search(
    buf: &ClustersBuf,
    query: &[f32],
    probes: usize,
    keep: usize,
    accept: Accept<'_>,
) -> (Vec<(u32, f32)>, usize) {
    let mut scratch = Scratch::default();
    let found = buf
        .clusters
        .search(&blocks(buf), query, Reach::leaves(probes), keep, accept, &mut scratch)
        .expect("no block is damaged");
    assert!(found.gave_up.is_none());
    (found.candidates.iter().map(|c| (c.row, c.distance)).collect(), found.distances)
}

/// The nearest of `rows` by exact distance.
fn nearest(metric: Metric, dim: usize, vectors: &[f32], query: &[f32], k: usize) -> Vec<u32> {
    let query = ExactQuery::new(metric, query);
    let mut all: Vec<(f32, u32)> =
        vectors.chunks_exact(dim).map(|vector| query.distance(vector)).zip(0..).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    all.into_iter().take(k).map(|(_, row)| row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the shape: all leaves together have every accepted row once, the best few are the
    /// first of all, and every code distance is as near to the exact one as sixteen steps allow.
    #[test]
    fn all_leaves_are_all_rows(
        rows in 1..400usize,
        dim in 1..70usize,
        seed in any::<u64>(),
        keep in 1..50usize,
    ) {
        let vectors = clustered(seed, rows, dim, 7);
        let query = clustered(seed ^ 1, 1, dim, 1);
        let mut random = Random(seed);
        let some: RoaringBitmap = (0..rows as u32).filter(|_| random.below(3) == 0).collect();
        let set = RowSet::from_bitmap(&some, 0..rows as u32);
        for metric in Metric::ALL {
            let buf = build(metric, dim, &vectors);
            prop_assert_eq!(buf.clusters.rows() as usize, rows);
            let leaves = buf.clusters.leaves() as usize;
            let (all, distances) = search(&buf, &query, leaves, rows, Accept::All);
            prop_assert_eq!(distances, rows + leaves);
            let mut numbers: Vec<u32> = all.iter().map(|found| found.0).collect();
            numbers.sort_unstable();
            prop_assert!(numbers.into_iter().eq(0..rows as u32));
            prop_assert!(all.is_sorted_by(|a, b| a.1 <= b.1));

            let (best, _) = search(&buf, &query, usize::MAX, keep, Accept::All);
            prop_assert_eq!(&best[..], &all[..keep.min(rows)]);
            let accepted: Vec<_> =
                all.iter().filter(|found| some.contains(found.0)).copied().collect();
            let (only, _) = search(&buf, &query, leaves, rows, Accept::Only(&set));
            prop_assert_eq!(&only, &accepted);
            let (best, _) = search(&buf, &query, leaves, keep, Accept::Only(&set));
            prop_assert_eq!(&best[..], &accepted[..keep.min(accepted.len())]);
        }
    }

    /// What was written is read; every other file is refused, or is clusters that can be searched.
    #[test]
    fn bytes(rows in 1..60usize, dim in 1..12usize, seed in any::<u64>()) {
        for metric in Metric::ALL {
            let buf = build(metric, dim, &clustered(seed, rows, dim, 3));
            let bytes = buf.clusters.to_bytes();
            prop_assert_eq!(Clusters::from_bytes(&bytes), Ok(buf.clusters.clone()));
            for len in 0..bytes.len() {
                prop_assert!(Clusters::from_bytes(&bytes[..len]).is_err());
            }
            for at in 0..bytes.len() {
                for bit in [0, 6, 7] {
                    let mut bytes = bytes.clone();
                    bytes[at] ^= 1 << bit;
                    let Ok(clusters) = Clusters::from_bytes(&bytes) else { continue };
                    let rows = FlatRows::new("cluster-blocks", &buf.blocks, clusters.block_len());
                    let mut scratch = Scratch::default();
                    let _ = clusters.search(
                        &rows, &vec![0.5; dim], Reach::leaves(9), 9, Accept::All, &mut scratch,
                    );
                }
            }
        }
    }
}

/// Rows are coded where the queries find them: with a third of the leaves nearly all neighbours.
#[test]
fn recall_of_a_third_of_the_leaves() {
    let (dim, rows, k) = (24, 6_000, 10);
    let mut vectors = clustered(5, rows + 100, dim, 60);
    let queries = vectors.split_off(rows * dim);
    // Far from the origin, where products are large and distances are not.
    let far: Vec<f32> = vectors.iter().map(|x| x + 300.0).collect();
    let far_queries: Vec<f32> = queries.iter().map(|x| x + 300.0).collect();
    let check = |metric, vectors: &[f32], queries: &[f32]| {
        let buf = build(metric, dim, vectors);
        let probes = buf.clusters.leaves() as usize / 3;
        let mut right = 0;
        for query in queries.chunks_exact(dim) {
            let truth = nearest(metric, dim, vectors, query, k);
            let (found, distances) = search(&buf, query, probes, 40, Accept::All);
            assert!(distances < rows, "{metric}: {distances}");
            right += truth.iter().filter(|row| found.iter().any(|f| f.0 == **row)).count();
        }
        let recall = right as f64 / (k * queries.len() / dim) as f64;
        assert!(recall > 0.97, "{metric}: recall {recall}");
    };
    for metric in Metric::ALL {
        check(metric, &vectors, &queries);
    }
    check(Metric::Euclidean, &far, &far_queries);
}

/// A code is off by half a step a component at most, inside of the ranges.
#[test]
fn code_distances_are_near_the_exact_ones() {
    let (dim, rows) = (40, 2_000);
    let vectors = clustered(8, rows, dim, 20);
    for metric in Metric::ALL {
        let buf = build(metric, dim, &vectors);
        let query = &vectors[..dim];
        let exact = ExactQuery::new(metric, query);
        let distances: Vec<f32> = vectors.chunks_exact(dim).map(|x| exact.distance(x)).collect();
        let largest = distances.iter().fold(f32::MIN, |a, &b| a.max(b));
        let spread = largest - distances.iter().fold(f32::MAX, |a, &b| a.min(b));
        let (all, _) = search(&buf, query, usize::MAX, rows, Accept::All);
        let mut errors: Vec<f32> = all
            .iter()
            .map(|&(row, distance)| {
                (distance - exact.distance(&vectors[row as usize * dim..][..dim])).abs()
            })
            .collect();
        errors.sort_by(f32::total_cmp);
        assert!(errors[rows / 2] < 0.02 * spread, "{metric}: {}", errors[rows / 2]);
        assert!(errors[rows * 99 / 100] < 0.06 * spread, "{metric}: {}", errors[rows * 99 / 100]);
    }
}

#[test]
fn any_number_of_threads_builds_the_same() {
    let vectors = clustered(11, 5_000, 19, 30);
    for metric in Metric::ALL {
        let one = build(metric, 19, &vectors);
        for threads in [2, 5] {
            assert!(build_on(metric, 19, &vectors, None, &Threads(threads)) == one, "{metric}");
        }
    }
}

/// Equal vectors, zeros, huge and tiny ones: nothing panics, and all rows are there.
#[test]
fn strange_vectors() {
    let check = |vectors: &[f32], dim: usize| {
        for metric in Metric::ALL {
            let buf = build_on(metric, dim, vectors, Some(4), &OneThread);
            let rows = vectors.len() / dim;
            let (found, _) = search(&buf, &vectors[..dim], usize::MAX, rows, Accept::All);
            // Where sums leave the range of `f32` rows are not told apart, but for that they are
            // found: fewer than wanted are a fall-back to the caller.
            assert!(found.len() <= rows, "{metric}");
            if vectors.iter().all(|x| x.abs() < 1e10) {
                assert_eq!(found.len(), rows, "{metric}");
            }
        }
    };
    check(&[0.0; 40], 2);
    check(&[3.0; 40], 2);
    check(&[1e-40; 40], 2);
    check(&[f32::MAX; 40], 2);
    check(&[f32::MAX, f32::MIN, 0.0, 1.0, f32::MIN, f32::MAX, -1.0, 1e-30], 1);
}

#[test]
fn empty_questions() {
    let buf = build(Metric::Cosine, 3, &clustered(2, 50, 3, 4));
    assert_eq!(search(&buf, &[1.0; 3], 0, 5, Accept::All), (vec![], 0));
    assert_eq!(search(&buf, &[1.0; 3], 5, 0, Accept::All), (vec![], 0));
    let nobody = RowSet::from_bitmap(&RoaringBitmap::new(), 0..50);
    assert_eq!(search(&buf, &[1.0; 3], 5, 5, Accept::Only(&nobody)), (vec![], 0));
    // A query of another dimension is compared as far as it goes.
    for dim in [0, 1, 9] {
        assert_eq!(search(&buf, &vec![1.0; dim], 99, 50, Accept::All).0.len(), 50);
    }
}

#[test]
fn options_are_checked_and_a_build_can_be_stopped() {
    let vectors = clustered(2, 50, 3, 4);
    let rows = FlatVectors::new(&vectors, 3);
    let build = |rows: &FlatVectors<'_>, leaves, stop_at: u32| {
        let options = ClusterOptions { leaves, ..ClusterOptions::default() };
        build_clusters(rows, Metric::Dot, 3, &options, &OneThread, &mut |done| {
            if done >= stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    };
    for leaves in [0, 51] {
        let error = build(&rows, Some(leaves), u32::MAX).expect_err("too few or too many");
        assert!(matches!(error, BuildError::Option { name: "leaves", .. }), "{error}");
    }
    assert!(build(&rows, Some(50), u32::MAX).is_ok());
    assert!(build(&FlatVectors::new(&[][..], 3), None, u32::MAX).is_err());
    for stop_at in [0, 1] {
        assert_eq!(build(&rows, None, stop_at), Err(BuildError::Cancelled));
    }
}

#[test]
fn wild_rows_and_missing_blocks_are_damage() {
    let buf = build(Metric::Euclidean, 5, &clustered(3, 100, 5, 4));
    let found = |blocks: &[u8]| {
        let blocks = FlatRows::new("cluster-blocks", blocks, buf.clusters.block_len());
        let mut scratch = Scratch::default();
        buf.clusters.search(&blocks, &[0.0; 5], Reach::leaves(100), 100, Accept::All, &mut scratch)
    };
    assert!(found(&buf.blocks).is_ok());
    assert!(found(&buf.blocks[..buf.blocks.len() - 1]).is_err());
    // The row numbers of the first block come after its one line of codes.
    let mut wild = buf.blocks.clone();
    wild[64..68].copy_from_slice(&100u32.to_le_bytes());
    assert_eq!(found(&wild).unwrap_err(), Damaged { array: "cluster-blocks", row: 0 });
}

/// A search says where its leaves have fewer accepted rows than they should.
#[test]
fn accepted_rows_that_lie_elsewhere_are_noticed() {
    let (dim, rows) = (8, 3_000);
    let vectors = clustered(77, rows, dim, 30);
    for metric in Metric::ALL {
        let buf = build(metric, dim, &vectors);
        let query = &vectors[..dim];
        // The farthest tenth of all rows.
        let order = nearest(metric, dim, &vectors, query, rows);
        let far: RoaringBitmap = order[rows * 9 / 10..].iter().copied().collect();
        let set = RowSet::from_bitmap(&far, 0..rows as u32);
        let search = |probes, accepted_min, accept| {
            let mut scratch = Scratch::default();
            let reach = Reach { probes, accepted_min };
            buf.clusters
                .search(&blocks(&buf), query, reach, rows, accept, &mut scratch)
                .expect("no block is damaged")
        };
        let only = Accept::Only(&set);
        for probes in [3, 20, usize::MAX] {
            let found = search(probes, 0, only);
            assert!(found.gave_up.is_none());
            let accepted = found.candidates.len();
            assert!(search(probes, accepted, only).gave_up.is_none(), "{metric}");
            let missed = search(probes, accepted + 1, only);
            assert!(missed.gave_up.is_some(), "{metric}");
            assert_eq!((missed.candidates, missed.distances), (found.candidates, found.distances));
        }
        assert!(search(1, usize::MAX, Accept::All).gave_up.is_none());
    }
}

fn probes(metric: Metric, dim: usize, vectors: &[f32], step: usize) -> Vec<Probe> {
    let mut probes: Vec<Probe> = (0..vectors.len() / dim)
        .step_by(step)
        .map(|row| Probe::new(metric, row as u32, &vectors[row * dim..][..dim]))
        .collect();
    probes.iter_mut().for_each(|probe| probe.observe(0, vectors));
    probes
}

/// What is measured on stored vectors holds for others: more leaves find more, and a request for a
/// recall is met.
#[test]
fn a_measured_recall_is_met() {
    let (dim, rows, k) = (20, 8_000, 10);
    let mut vectors = clustered(31, rows + 400, dim, 40);
    let queries = vectors.split_off(rows * dim);
    for metric in Metric::ALL {
        let buf = build(metric, dim, &vectors);
        let probes = probes(metric, dim, &vectors, 31);
        let stored = FlatVectors::new(&vectors, dim);
        let measure = |workers: &dyn Workers| {
            calibrate_clusters(&buf.clusters, &blocks(&buf), &stored, &probes, workers)
                .expect("nothing is damaged")
        };
        let calibration = measure(&OneThread);
        assert_eq!(measure(&Threads(3)), calibration);
        assert_eq!(
            ClusterCalibration::from_bytes(&calibration.to_bytes()),
            Ok(calibration.clone())
        );
        let points = &calibration.by_probes.points;
        assert_eq!(points.len(), calibration.reranked.len());
        assert!(points.is_sorted_by(|a, b| a.distances < b.distances));
        let last = points.last().expect("points");
        assert_eq!((last.effort, last.distances), (89, (rows + 89) as f32));
        assert!(last.recall > 0.995, "{metric}: {last:?}");

        for wanted in [0.8, 0.9, 0.95, 0.99] {
            let leaves =
                calibration.by_probes.effort_for_recall(wanted).expect("all leaves reach it");
            let reranked = calibration.reranked_at(leaves) as usize;
            let mut right = 0;
            for query in queries.chunks_exact(dim) {
                let exact = ExactQuery::new(metric, query);
                let truth = nearest(metric, dim, &vectors, query, k);
                let (found, _) = search(&buf, query, leaves as usize, reranked, Accept::All);
                let mut found: Vec<(f32, u32)> = found
                    .iter()
                    .map(|&(row, _)| (exact.distance(&vectors[row as usize * dim..][..dim]), row))
                    .collect();
                found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                found.truncate(k);
                right += found.iter().filter(|found| truth.contains(&found.1)).count();
            }
            let recall = right as f32 / (k * queries.len() / dim) as f32;
            assert!(recall >= wanted - 0.01, "{metric}: recall {recall}, wanted {wanted}");
        }
    }
}

/// All numbers of leaves are measured on one way through them; here each is searched for on its own,
/// and every candidate compared anew.
#[test]
fn a_measurement_is_what_searches_find() {
    let (dim, rows, deepest) = (12, 3_000, 240);
    let vectors = clustered(32, rows, dim, 25);
    for metric in Metric::ALL {
        let buf = build(metric, dim, &vectors);
        let probes = probes(metric, dim, &vectors, 61);
        let stored = FlatVectors::new(&vectors, dim);
        let calibration =
            calibrate_clusters(&buf.clusters, &blocks(&buf), &stored, &probes, &OneThread).unwrap();
        let mut before = 0.0;
        for (point, &reranked) in calibration.by_probes.points.iter().zip(&calibration.reranked) {
            let (mut right, mut right_deepest, mut distances) = (0, 0, 0);
            for row in (0..rows).step_by(61) {
                let query = &vectors[row * dim..][..dim];
                let exact = ExactQuery::new(metric, query);
                let rank = |row: u32| exact.distance(&vectors[row as usize * dim..][..dim]);
                let truth = nearest(metric, dim, &vectors, query, 11);
                let tenth = *truth.iter().filter(|&&near| near as usize != row).nth(9).unwrap();
                let leaves = point.effort as usize;
                let (found, cost) = search(&buf, query, leaves, deepest + 1, Accept::All);
                let others = found.iter().filter(|found| found.0 as usize != row).take(deepest);
                let is_right: Vec<bool> = others.map(|&(o, _)| rank(o) <= rank(tenth)).collect();
                let count = |rows: &[bool]| rows.iter().filter(|&&right| right).count().min(10);
                right += count(&is_right[..is_right.len().min(reranked as usize)]);
                right_deepest += count(&is_right);
                distances += cost;
            }
            let all = probes.len() as f32;
            assert!((point.recall - right as f32 / 10.0 / all).abs() < 1e-6, "{metric}: {point:?}");
            assert!((point.distances - distances as f32 / all).abs() < 0.01, "{metric}: {point:?}");
            let lost = (right_deepest - right) as f32 / 10.0 / all;
            assert!(lost <= 0.05 * (1.0 - point.recall) + 3e-4, "{metric}: {reranked} lose {lost}");
            assert!(point.recall >= before - 0.001, "{metric}: {point:?}");
            before = point.recall;
        }
    }
}

#[test]
fn nothing_to_measure() {
    let vectors = clustered(2, 50, 3, 4);
    let buf = build(Metric::Dot, 3, &vectors);
    let stored = FlatVectors::new(&vectors, 3);
    let calibration =
        calibrate_clusters(&buf.clusters, &blocks(&buf), &stored, &[], &OneThread).unwrap();
    assert_eq!(calibration, ClusterCalibration::default());
    assert_eq!(calibration.reranked_at(5), 0);
    assert_eq!(ClusterCalibration::from_bytes(&calibration.to_bytes()), Ok(calibration));
}

#[test]
fn a_calibration_of_other_bytes_is_refused() {
    let vectors = clustered(2, 300, 3, 4);
    let buf = build(Metric::Dot, 3, &vectors);
    let stored = FlatVectors::new(&vectors, 3);
    let probes = probes(Metric::Dot, 3, &vectors, 7);
    let calibration =
        calibrate_clusters(&buf.clusters, &blocks(&buf), &stored, &probes, &OneThread).unwrap();
    let bytes = calibration.to_bytes();
    for len in 0..bytes.len() {
        assert!(ClusterCalibration::from_bytes(&bytes[..len]).is_err(), "{len}");
    }
    let longer = [&bytes[..], &[0; 4]].concat();
    assert!(ClusterCalibration::from_bytes(&longer).is_err());
    // The number of points is believed no further than there are bytes.
    let mut wild = bytes.clone();
    wild[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(ClusterCalibration::from_bytes(&wild).is_err());
}
