//! Files of every released format stay readable.
//!
//! `VECSTORE_WRITE_GOLDEN=1 cargo test -p vecstore-segments --test golden` writes the files of the
//! current format where there are none yet. A file that was released is never written again.

mod support;

use std::path::{Path, PathBuf};

use support::{Model, check, options, rows_of, write_with};
use vecstore_index::{Codes, Metric, Precision, Rows};
use vecstore_segments::{GraphOrigin, IndexKind, IndexOption, OsVfs, Segment, Vfs, WriteOptions};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Components of the golden files: codes of two lines, so that graphs have coarse ones.
const DIM: usize = 70;

/// The rows of the golden files.
fn model() -> Model {
    rows_of(&[("", 60), ("a", 3), ("größe", 40)], DIM, 2024)
}

/// The file `name`, written now if that is asked for.
fn golden(name: &str, kind: IndexKind, precision: Precision, codes: Codes) -> Segment {
    let path = folder().join(name);
    let model = model().of_precision(precision);
    if std::env::var_os("VECSTORE_WRITE_GOLDEN").is_some() && !path.exists() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let index = IndexOption::Always(kind);
        let options = WriteOptions { index, precision, codes, ..options(DIM, Metric::Cosine, 40) };
        write_with(&OsVfs, dir.path(), 1, &model, &options, &vecstore_index::OneThread)
            .expect("write");
        let written = std::fs::read(dir.path().join(Segment::file_name(1))).expect("read");
        OsVfs.create(&path).expect("there is none").write_at(0, &written).expect("write");
    }
    let segment = Segment::open(&OsVfs, &path).expect("open");
    assert_eq!((segment.id(), segment.dim(), segment.metric()), (1, DIM, Metric::Cosine));
    check(&segment, &model);
    assert_eq!((segment.precision(), segment.codes_kept()), (precision, codes));
    let indexed: Vec<bool> = segment.namespaces().iter().map(|n| n.indexed).collect();
    assert_eq!(indexed, [true, false, true]);
    let fields = segment.fields().expect("fields").fields().expect("fields");
    assert!(fields.iter().any(|f| f.path == "deep.text"));
    let found = segment.sketches(0..103).expect("sketches");
    assert_eq!(found.is_some(), codes == Codes::Int8);
    if let Some(found) = found {
        assert_eq!(found.sketches.sketch_len(), 24);
        (0..103).for_each(|row| assert_eq!(found.rows.row(row).expect("a sketch").len(), 24));
    }
    assert_eq!(segment.verify(&OsVfs).expect("verify").problems, [""; 0]);
    segment
}

#[test]
fn version_6() {
    check_graphs(&golden("v6.seg", IndexKind::Graph, Precision::F32, Codes::Int8));
}

#[test]
fn version_6_of_half_precision() {
    check_graphs(&golden("v6-f16.seg", IndexKind::Graph, Precision::F16, Codes::Int8));
}

#[test]
fn version_6_without_codes() {
    check_graphs(&golden("v6-no-codes.seg", IndexKind::Graph, Precision::F32, Codes::None));
}

fn check_graphs(segment: &Segment) {
    let has_codes = segment.codes_kept() == Codes::Int8;
    for namespace in segment.namespaces().iter().filter(|n| n.indexed) {
        assert!(segment.clusters(namespace).expect("clusters").is_none());
        let graph = segment.graph(namespace).expect("graph").expect("a graph");
        for row in 0..graph.links.rows() {
            assert_eq!(graph.links.row(row).expect("links").len(), 8);
        }
        assert_eq!(graph.coarse.is_some(), has_codes);
        if let Some((coarse, levels)) = graph.coarse {
            assert!(levels.to_bytes().is_sorted());
            for row in 0..coarse.rows() {
                assert_eq!(coarse.row(row).expect("a coarse code").len(), 64);
            }
        }
        assert!(
            !graph.calibration.by_ef.points.is_empty()
                && !graph.calibration.by_gamma.points.is_empty()
        );
        assert_eq!(graph.origin, GraphOrigin::Built);
    }
}

#[test]
fn version_6_with_clusters() {
    let segment = golden("v6-clusters.seg", IndexKind::Clusters, Precision::F32, Codes::Int8);
    for namespace in segment.namespaces().iter().filter(|n| n.indexed) {
        assert!(segment.graph(namespace).expect("graph").is_none());
        let found = segment.clusters(namespace).expect("clusters").expect("clusters");
        let rows = namespace.rows.len() as u32;
        assert_eq!(found.clusters.rows(), rows);
        let mut all = Vec::new();
        for block in 0..found.blocks.rows() {
            let block = found.blocks.row(block).expect("a block");
            all.extend(found.clusters.block_rows(block).expect("a block"));
        }
        all.sort_unstable();
        assert!(all.into_iter().eq(0..rows));
        assert!(!found.calibration.by_probes.points.is_empty());
    }
}
