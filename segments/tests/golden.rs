//! Files of every released format stay readable.
//!
//! `VECSTORE_WRITE_GOLDEN=1 cargo test -p vecstore-segments --test golden` writes the file of the
//! current format where there is none yet. A file that was released is never written again.

mod support;

use std::path::{Path, PathBuf};

use support::{Model, check, options, rows_of, write_with};
use vecstore_index::{Metric, Rows};
use vecstore_segments::{GraphOrigin, OsVfs, Segment, Vfs};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The rows of the golden files.
fn model() -> Model {
    rows_of(&[("", 60), ("a", 3), ("größe", 40)], 6, 2024)
}

#[test]
fn version_2() {
    let path = folder().join("v2.seg");
    if std::env::var_os("VECSTORE_WRITE_GOLDEN").is_some() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let options = options(6, Metric::Cosine, 40);
        write_with(&OsVfs, dir.path(), 1, &model(), &options, &vecstore_index::OneThread)
            .expect("write");
        let written = std::fs::read(dir.path().join(Segment::file_name(1))).expect("read");
        OsVfs.create(&path).expect("there is one already").write_at(0, &written).expect("write");
    }
    let segment = Segment::open(&OsVfs, &path).expect("open");
    assert_eq!((segment.id(), segment.dim(), segment.metric()), (1, 6, Metric::Cosine));
    check(&segment, &model());
    let graphs: Vec<bool> = segment.namespaces().iter().map(|n| n.graph).collect();
    assert_eq!(graphs, [true, false, true]);
    for namespace in segment.namespaces().iter().filter(|n| n.graph) {
        let graph = segment.graph(namespace).expect("graph").expect("a graph");
        for row in 0..graph.links.rows() {
            assert_eq!(graph.links.row(row).expect("links").len(), 8);
        }
        assert!(!graph.calibration.points.is_empty());
        assert_eq!(graph.origin, GraphOrigin::Built);
    }
    let fields = segment.fields().expect("fields").fields().expect("fields");
    assert!(fields.iter().any(|f| f.path == "deep.text"));
    assert_eq!(segment.verify(&OsVfs).expect("verify").problems, [""; 0]);
}
