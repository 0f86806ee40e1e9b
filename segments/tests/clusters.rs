//! Clusters in a segment: written, read, merged, damaged, and chosen beside the graph.

mod support;

use std::sync::Arc;

use support::{
    check, file_of, folder, memory, options, path_of, read_file, rows_of, sealed, section_of,
    write_with,
};
use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{Accept, Metric, OneThread, Reach, Rows, Scratch, Workers};
use vecstore_segments::{
    IndexKind, IndexOption, MergeSource, Segment, SegmentError, StepCosts, Vfs, WriteOptions,
};

const INDEXES: u32 = 35;
const CALIBRATIONS: u32 = 37;
const CLUSTERS: u32 = 42;
const CLUSTER_BLOCKS: u32 = 43;

fn with_index(index: IndexOption, options: WriteOptions) -> WriteOptions {
    WriteOptions { index, ..options }
}

fn clusters_of(dim: usize, metric: Metric, index_rows_min: u32) -> WriteOptions {
    let always = IndexOption::Always(IndexKind::Clusters);
    with_index(always, options(dim, metric, index_rows_min))
}

/// Costs at which one step is free of the others.
fn costs(graph_step_ns: f64, cluster_row_ns: f64) -> IndexOption {
    IndexOption::Cheaper(StepCosts {
        graph_step_ns,
        leaf_ns: cluster_row_ns,
        cluster_row_ns,
        scan_row_ns: 10.0,
        exact_ns: 10.0,
    })
}

/// The rows of a namespace that all leaves give, or why not.
fn all_rows(segment: &Segment, namespace: usize) -> Result<Vec<u32>, SegmentError> {
    let namespace = &segment.namespaces()[namespace];
    let found = segment.clusters(namespace)?.expect("clusters");
    let mut scratch = Scratch::default();
    let (query, keep) = (vec![0.1; segment.dim()], namespace.rows.len());
    let found = found
        .clusters
        .search(&found.blocks, &query, Reach::leaves(usize::MAX), keep, Accept::All, &mut scratch)
        .map_err(|damaged| segment.damaged(&damaged))?;
    let mut rows: Vec<u32> = found.candidates.iter().map(|candidate| candidate.row).collect();
    rows.sort_unstable();
    Ok(rows)
}

#[test]
fn every_namespace_has_its_rows_in_leaves() {
    let model = rows_of(&[("", 300), ("a", 5), ("b", 200)], 21, 3);
    for metric in Metric::ALL {
        let vfs = memory();
        let segment = sealed(&vfs, 1, &model, &clusters_of(21, metric, 100));
        check(&segment, &model);
        assert_eq!(segment.verify(&vfs).expect("verify").problems, [""; 0]);
        for (number, rows) in [(0, 300), (2, 200)] {
            assert!(all_rows(&segment, number).expect("rows").into_iter().eq(0..rows));
        }
        assert!(segment.clusters(&segment.namespaces()[1]).expect("none").is_none());
        assert!(segment.graph(&segment.namespaces()[0]).expect("none").is_none());
        let told: Vec<_> = segment.indexes().expect("indexes");
        assert_eq!(told.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["", "b"]);
        assert!(told.iter().all(|(_, index)| index.to_string() == "clusters"));
    }
}

struct Threads(usize);

impl Workers for Threads {
    fn threads(&self) -> usize {
        self.0
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for first in 0..self.0 {
                scope.spawn(move || (first..tasks).step_by(self.0).for_each(task));
            }
        });
    }
}

fn merged_of(inputs: &[Arc<Segment>], deleted: &RoaringBitmap) -> MergeSource {
    let deleted = Arc::new(deleted.clone());
    let inputs = inputs.iter().map(|input| (Arc::clone(input), Arc::clone(&deleted))).collect();
    MergeSource::new(inputs).expect("merge")
}

#[test]
fn clusters_are_merged_without_the_dead() {
    // Two namespaces, so that the same ids may be in both inputs.
    let (vfs, metric) = (memory(), Metric::Euclidean);
    let options = clusters_of(9, metric, 50);
    let a = sealed(&vfs, 11, &rows_of(&[("a", 400)], 9, 1), &options);
    let b = sealed(&vfs, 12, &rows_of(&[("b", 300)], 9, 2), &options);
    let deleted: RoaringBitmap = (0..250).filter(|row| row % 3 == 0).collect();
    let source = merged_of(&[Arc::new(a), Arc::new(b)], &deleted);
    let mut bytes = Vec::new();
    for threads in [1, 3] {
        write_with(&vfs, &folder(), 1, &source, &options, &Threads(threads)).expect("write");
        bytes.push(read_file(&vfs, &path_of(1)));
        vfs.remove_file(&path_of(1)).expect("remove");
    }
    assert!(bytes[0] == bytes[1], "threads make a difference");
    let vfs = file_of(&bytes[0]);
    let segment = Segment::open(&vfs, &path_of(1)).expect("open");
    assert_eq!(segment.verify(&vfs).expect("verify").problems, [""; 0]);
    let dead = deleted.len() as u32;
    assert!(all_rows(&segment, 0).expect("rows").into_iter().eq(0..400 - dead));
    assert!(all_rows(&segment, 1).expect("rows").into_iter().eq(0..300 - dead));
}

#[test]
fn the_cheaper_kind_is_kept_and_a_merge_relies_on_it() {
    let model = rows_of(&[("a", 600)], 9, 1);
    let index = |segment: &Segment| segment.indexes().expect("indexes")[0].1;
    for (cheap, kind) in
        [(costs(0.001, 100.0), IndexKind::Graph), (costs(100.0, 0.001), IndexKind::Clusters)]
    {
        let vfs = memory();
        let options = with_index(cheap, options(9, Metric::Cosine, 100));
        let segment = sealed(&vfs, 1, &model, &options);
        assert_eq!(segment.verify(&vfs).expect("verify").problems, [""; 0]);
        assert_eq!(index(&segment).kind(), kind);
        let text = index(&segment).to_string();
        assert!(text.starts_with(kind.name()) && text.contains("µs a query, "), "{text}");

        // The other costs would choose the other kind, but nothing is measured again …
        let other = sealed(&vfs, 2, &rows_of(&[("b", 1)], 9, 1), &options);
        let inputs = [Arc::new(segment), Arc::new(other)];
        let turned = match kind {
            IndexKind::Graph => costs(100.0, 0.001),
            IndexKind::Clusters => costs(0.001, 100.0),
        };
        let turned = with_index(turned, options.clone());
        let merged = sealed(&vfs, 3, &merged_of(&inputs, &RoaringBitmap::new()), &turned);
        assert_eq!(index(&merged).kind(), kind);
        let text = index(&merged).to_string();
        assert!(text.ends_with("(measured over 600 rows)"), "{text}");
        // … unless the kind is named.
        let always = with_index(IndexOption::Always(IndexKind::Graph), options.clone());
        let merged = sealed(&vfs, 4, &merged_of(&inputs, &RoaringBitmap::new()), &always);
        assert_eq!(index(&merged).kind(), IndexKind::Graph);
        assert!(!index(&merged).to_string().contains("µs"), "{}", index(&merged));
    }
}

/// Whatever byte of them is wrong: all rows are found, or the clusters say that they are damaged;
/// and `verify` notices.
#[test]
fn every_damaged_byte_is_noticed_or_harmless() {
    let model = rows_of(&[("", 40), ("b", 30)], 5, 4);
    for metric in [Metric::Cosine, Metric::Euclidean] {
        let vfs = memory();
        sealed(&vfs, 1, &model, &clusters_of(5, metric, 10));
        let good = read_file(&vfs, &path_of(1));
        for kind in [INDEXES, CALIBRATIONS, CLUSTERS, CLUSTER_BLOCKS] {
            for at in section_of(&good, kind) {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << (at % 8);
                let vfs = file_of(&bytes);
                let segment = Segment::open(&vfs, &path_of(1)).expect("derived damage only");
                for (number, rows) in [(0, 40), (1, 30)] {
                    match all_rows(&segment, number) {
                        Ok(found) => assert!(found.into_iter().eq(0..rows), "byte {at}"),
                        Err(SegmentError::Corrupt { section, .. }) => {
                            assert!(!section.is_empty() && !segment.degraded().is_empty());
                        }
                        Err(other) => panic!("byte {at}: {other}"),
                    }
                }
                let problems = segment.verify(&vfs).expect("verify").problems;
                assert!(!problems.is_empty(), "byte {at} was not noticed");
            }
        }
    }
}

/// Bytes with right checksums whose content is wrong are noticed by `verify` and led nowhere.
#[test]
fn rows_that_are_missing_or_wild_are_noticed() {
    let model = rows_of(&[("", 20)], 8, 4);
    let vfs = memory();
    let options = clusters_of(8, Metric::Dot, 10);
    sealed(&vfs, 1, &model, &options);
    let good = read_file(&vfs, &path_of(1));
    let blocks = section_of(&good, CLUSTER_BLOCKS);
    // One line of codes, then the numbers of the rows.
    let first_row = blocks.start + 64..blocks.start + 68;
    for (row, problem) in [(20u32, "wild"), (u32::MAX, "is in no block")] {
        let mut bytes = good.clone();
        bytes[first_row.clone()].copy_from_slice(&row.to_le_bytes());
        let bytes = support::with_right_checksums(&bytes);
        let vfs = file_of(&bytes);
        let segment = Segment::open(&vfs, &path_of(1)).expect("open");
        let problems = segment.verify(&vfs).expect("verify").problems;
        assert!(problems.iter().any(|p| p.contains(problem)), "{problems:?}");
        match all_rows(&segment, 0) {
            Ok(found) => assert_eq!(found.len(), 19),
            Err(error) => assert!(error.to_string().contains("block 0 of a leaf"), "{error}"),
        }
    }
}

#[test]
fn blocks_are_read_through_the_view() {
    let model = rows_of(&[("", 40)], 5, 4);
    let vfs = memory();
    let segment = sealed(&vfs, 1, &model, &clusters_of(5, Metric::Cosine, 10));
    let found = segment.clusters(&segment.namespaces()[0]).expect("clusters").expect("clusters");
    assert_eq!(found.blocks.rows(), found.clusters.blocks());
    assert_eq!(found.blocks.row(0).expect("a block").len(), found.clusters.block_len());
    assert!(found.blocks.row(found.clusters.blocks()).is_err());
    write_with(&vfs, &folder(), 2, &model, &clusters_of(5, Metric::Cosine, u32::MAX), &OneThread)
        .expect("write");
}
