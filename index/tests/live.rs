//! The growing graph: every linked row is found, recall holds while it grows and while it is read,
//! and what it says of itself is true.

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{Random, clustered};
use proptest::prelude::*;
use vecstore_index::{
    Beam, ExactQuery, FlatRows, FlatVectors, GraphOptions, Linker, LiveReader, MeasuredEffort,
    Metric, OneThread, Rows, Scratch, Vectors,
};

const DIM: usize = 24;
const BLOCK: usize = Linker::BLOCK_ROWS as usize;

/// A linker that has linked all whole blocks and was measured when it was due.
fn linked(metric: Metric, dim: usize, options: &GraphOptions, vectors: &[f32]) -> Linker {
    let mut linker = Linker::new(metric, dim, options, vectors).expect("options are fine");
    grow(&mut linker, vectors, dim);
    linker
}

fn grow(linker: &mut Linker, vectors: &[f32], dim: usize) {
    let first = linker.graph().linked() as usize;
    for block in vectors[first * dim..].chunks_exact(BLOCK * dim) {
        linker.encode(block).expect("a block is coded");
        linker.link().expect("a block is linked");
        if linker.is_measuring_due() {
            let rows = FlatVectors::new(vectors, dim);
            linker.measure(&rows).expect("vectors are read");
        }
    }
}

/// The `k` nearest of the first `rows`, and the distance of the last of them.
fn truth(exact: &ExactQuery, vectors: &[f32], rows: usize, k: usize) -> f32 {
    let mut distances = Vec::new();
    exact.distances(&vectors[..rows * exact.vector().len()], &mut distances);
    distances.sort_by(f32::total_cmp);
    distances[k.min(rows) - 1]
}

/// Recall of the `k` nearest, reranked on full vectors.
fn recall(
    reader: &LiveReader<'_>,
    vectors: &[f32],
    query: &[f32],
    metric: Metric,
    beam: Beam,
    k: usize,
) -> f64 {
    let exact = ExactQuery::new(metric, query);
    let rows = FlatVectors::new(vectors, query.len());
    let codes = reader.quantizer().query(query);
    let found = reader
        .search(&codes, beam, None, usize::MAX, &mut Scratch::default())
        .expect("nothing is damaged");
    assert!(found.candidates.is_sorted_by(|a, b| a.distance <= b.distance));
    let unique: BTreeSet<u32> = found.candidates.iter().map(|c| c.row).collect();
    assert_eq!(unique.len(), found.candidates.len(), "a row was found twice");
    assert!(unique.iter().all(|&row| row < reader.rows()));
    let farthest = truth(&exact, vectors, reader.rows() as usize, k);
    let near = |row: &u32| exact.distance(rows.vector(*row).expect("a row")) <= farthest;
    unique.iter().filter(|row| near(row)).count().min(k) as f64 / k as f64
}

fn mean_recall(
    reader: &LiveReader<'_>,
    vectors: &[f32],
    queries: &[f32],
    metric: Metric,
    dim: usize,
    beam: Beam,
) -> f64 {
    let recalls: Vec<f64> = queries
        .chunks_exact(dim)
        .map(|query| recall(reader, vectors, query, metric, beam, 10))
        .collect();
    recalls.iter().sum::<f64>() / recalls.len() as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Equal vectors and short lists are what makes rows unreachable.
    #[test]
    fn every_row_can_be_reached(
        seed: u64,
        distinct in 1usize..3_000,
        m in 2usize..8,
        metric in prop::sample::select(&Metric::ALL[..]),
    ) {
        let rows = 10 * BLOCK;
        let mut random = Random(seed);
        let pool = clustered(seed, distinct, 8, 5);
        let vectors: Vec<f32> = (0..rows)
            .flat_map(|_| {
                let at = random.below(distinct) * 8;
                pool[at..at + 8].to_vec()
            })
            .collect();
        let options = GraphOptions { m, ef_construction: 16, ..GraphOptions::default() };
        let linker = linked(metric, 8, &options, &vectors);
        let reader = linker.graph().reader().expect("it was measured");
        prop_assert_eq!(reader.rows() as usize, rows);
        let codes = reader.quantizer().query(&vectors[..8]);
        let found = reader
            .search(&codes, Beam::fixed(rows), None, usize::MAX, &mut Scratch::default())
            .expect("nothing is damaged");
        prop_assert_eq!(found.candidates.len(), rows);
        let links = linker.graph().links();
        prop_assert_eq!(links.len(), rows * 2 * m);
        prop_assert!(links.iter().all(|&link| link == u32::MAX || link < rows as u32));
    }
}

#[test]
fn it_promises_what_it_keeps_at_every_size() {
    for metric in Metric::ALL {
        let vectors = clustered(1, 60 * BLOCK, DIM, 40);
        let queries = &clustered(1, 60 * BLOCK + 150, DIM, 40)[60 * BLOCK * DIM..];
        let options = GraphOptions::default();
        let mut linker = Linker::new(metric, DIM, &options, &vectors).expect("options are fine");
        // Also between two measurements, where the last one is the oldest.
        for blocks in [8, 12, 17, 26, 39, 60] {
            grow(&mut linker, &vectors[..blocks * BLOCK * DIM], DIM);
            let reader = linker.graph().reader().expect("it was measured");
            let calibration = reader.calibration();
            for wanted in [0.9, 0.95, 0.99] {
                let effort = calibration.effort_for_recall(wanted);
                let beam = match effort.or(calibration.best_effort()).expect("it was measured") {
                    MeasuredEffort::Ef(ef) => Beam::fixed(ef as usize),
                    MeasuredEffort::Gamma(gamma) => Beam::adaptive(10, gamma),
                };
                let found = mean_recall(&reader, &vectors, queries, metric, DIM, beam);
                let at = format!("{metric}, {blocks} blocks, {beam}");
                assert!(found >= f64::from(wanted) - 0.01, "{at}: wanted {wanted}, found {found}");
            }
        }
    }
}

#[test]
fn rows_in_the_order_of_their_clusters_are_found() {
    // The worst order: each cluster comes when the graph knows nothing like it.
    let mut random = Random(3);
    let mut vectors = Vec::new();
    for _ in 0..20 {
        let centre: Vec<f32> = (0..DIM).map(|_| 4.0 * random.float()).collect();
        for _ in 0..2 * BLOCK {
            vectors.extend(centre.iter().map(|c| c + random.float()));
        }
    }
    let linker = linked(Metric::Euclidean, DIM, &GraphOptions::default(), &vectors);
    let reader = linker.graph().reader().expect("it was measured");
    let queries: Vec<f32> =
        vectors.chunks_exact(DIM).step_by(37).flatten().map(|x| x + 0.01).collect();
    let found = mean_recall(&reader, &vectors, &queries, Metric::Euclidean, DIM, Beam::fixed(128));
    assert!(found >= 0.97, "recall {found}");
}

#[test]
fn rows_are_scanned_from_when_they_are_coded_and_found_from_when_they_are_linked() {
    let (linked_blocks, all_blocks) = (10, 13);
    let vectors = clustered(11, all_blocks * BLOCK, DIM, 30);
    let (first, later) = vectors.split_at(linked_blocks * BLOCK * DIM);
    let mut linker = linked(Metric::Euclidean, DIM, &GraphOptions::default(), first);
    later.chunks_exact(BLOCK * DIM).for_each(|block| linker.encode(block).expect("it is coded"));
    let graph = std::sync::Arc::clone(linker.graph());
    let reader = graph.reader().expect("it was measured");
    let rows = |blocks: usize| (blocks * BLOCK) as u32;
    let coded = graph.codes().reader();
    assert_eq!((reader.rows(), coded.rows()), (rows(linked_blocks), rows(all_blocks)));
    assert_eq!(coded.codes().rows(), rows(all_blocks));
    for row in [0, rows(linked_blocks) - 1, rows(linked_blocks), rows(all_blocks) - 1] {
        let query = reader.quantizer().query(&vectors[row as usize * DIM..][..DIM]);
        let scanned = query.scan(&coded.codes(), 0..coded.rows(), 1).expect("all have codes");
        assert_eq!(scanned[0].distance, 0.0, "row {row}: {scanned:?}");
        let walked = reader
            .search(
                &query,
                Beam::fixed(BLOCK * all_blocks),
                None,
                usize::MAX,
                &mut Scratch::default(),
            )
            .expect("nothing is damaged");
        assert_eq!(walked.candidates.len(), BLOCK * linked_blocks);
        let is_linked = row < reader.rows();
        assert_eq!(walked.candidates.iter().any(|found| found.row == row), is_linked, "row {row}");
    }
    // One link more than there are blocks with codes.
    (linked_blocks..=all_blocks).for_each(|_| linker.link().expect("it is linked"));
    assert_eq!((graph.linked(), graph.codes().rows()), (rows(all_blocks), rows(all_blocks)));
}

#[test]
fn only_accepted_rows_are_collected() {
    let vectors = clustered(5, 20 * BLOCK, DIM, 30);
    let linker = linked(Metric::Cosine, DIM, &GraphOptions::default(), &vectors);
    let reader = linker.graph().reader().expect("it was measured");
    let query = &vectors[..DIM];
    let codes = reader.quantizer().query(query);
    let accept = |row: u32| row % 3 == 1;
    let mut scratch = Scratch::default();
    let mut search = |ef, most| {
        reader
            .search(&codes, Beam::fixed(ef), Some(&accept), most, &mut scratch)
            .expect("nothing is damaged")
    };
    let found = search(20 * BLOCK, usize::MAX);
    assert_eq!(found.candidates.len(), (0..reader.rows()).filter(|&row| accept(row)).count());
    assert!(found.candidates.iter().all(|c| accept(c.row)));
    assert!(search(50, 100).gave_up.is_some());
    assert!(search(50, usize::MAX).gave_up.is_none());
}

#[test]
fn readers_find_rows_while_others_are_linked() {
    let rows = 80 * BLOCK;
    let vectors = clustered(7, rows, DIM, 60);
    let mut linker = Linker::new(Metric::Euclidean, DIM, &GraphOptions::default(), &vectors)
        .expect("options are fine");
    let graph = std::sync::Arc::clone(linker.graph());
    let done = AtomicBool::new(false);
    let searches = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for reader_number in 0..2 {
            let (graph, vectors, done, searches) = (&graph, &vectors, &done, &searches);
            scope.spawn(move || {
                let mut random = Random(reader_number);
                let mut recalls = Vec::new();
                while !done.load(Ordering::Acquire) || recalls.is_empty() {
                    let Some(reader) = graph.reader() else {
                        std::thread::yield_now();
                        continue;
                    };
                    // A row that was linked just now, or any other.
                    let newest = random.below(2) == 0;
                    let back = random.below(if newest { 8 } else { 900 });
                    let row = reader.rows() as usize - 1 - back;
                    let query = &vectors[row * DIM..(row + 1) * DIM];
                    recalls.push(recall(
                        &reader,
                        vectors,
                        query,
                        Metric::Euclidean,
                        Beam::fixed(128),
                        10,
                    ));
                    let codes = reader.quantizer().query(query);
                    // Whatever the linker rewrites meanwhile, every row stays reachable.
                    if recalls.len().is_multiple_of(16) {
                        let all = reader
                            .search(
                                &codes,
                                Beam::fixed(rows),
                                None,
                                usize::MAX,
                                &mut Scratch::default(),
                            )
                            .expect("nothing is damaged");
                        assert_eq!(all.candidates.len(), reader.rows() as usize);
                    }
                }
                searches.fetch_add(recalls.len(), Ordering::Relaxed);
                let mean = recalls.iter().sum::<f64>() / recalls.len() as f64;
                assert!(mean >= 0.97, "recall {mean} of {} searches", recalls.len());
            });
        }
        grow(&mut linker, &vectors, DIM);
        done.store(true, Ordering::Release);
    });
    assert_eq!(graph.linked() as usize, rows);
    assert!(searches.load(Ordering::Relaxed) > 20);
}

#[test]
fn its_links_make_a_graph_over_other_row_numbers() {
    let rows = 20 * BLOCK;
    let vectors = clustered(9, rows, DIM, 30);
    let linker = linked(Metric::Cosine, DIM, &GraphOptions::default(), &vectors);
    // Every seventh row is left out, the others are numbered backwards.
    let live: Vec<usize> = (0..rows).rev().filter(|row| row % 7 != 0).collect();
    let mut new_rows = vec![vecstore_index::NO_ROW; rows];
    (0..).zip(&live).for_each(|(new, &old)| new_rows[old] = new);
    let kept: Vec<f32> =
        live.iter().flat_map(|&row| vectors[row * DIM..(row + 1) * DIM].to_vec()).collect();
    let coded = common::Coded::new(Metric::Cosine, DIM, &kept);
    let (links, degree) = (linker.graph().links(), linker.graph().degree());
    let links = FlatRows::new("links", &links, degree);
    let input = vecstore_index::MergeInput { links: &links, new_rows: &new_rows };
    let merged = vecstore_index::merge(
        &[input],
        &coded.rows(),
        &coded.quantizer,
        &GraphOptions::default(),
        &OneThread,
        &mut |_| std::ops::ControlFlow::Continue(()),
    )
    .expect("it can be merged");
    assert_eq!(merged.used, [0]);
    assert_eq!(common::reachable(&merged.graph, live.len()), live.len());
}
