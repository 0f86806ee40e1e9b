//! What is written is what is read.

mod support;

use std::ops::ControlFlow;

use proptest::prelude::*;
use support::{
    Model, check, folder, id_of, memory, options, path_of, read_file, rows_of, sealed, write,
    write_with,
};
use vecstore_index::{
    Accept, Beam, Codes, ExactQuery, FieldIndex, Graph, Metric, Posting, Precision, Rows, Scalar,
    Scratch, Vectors, Workers, build_coarse, search_full,
};
use vecstore_segments::{
    IndexKind, IndexOption, OsVfs, RecordId, Segment, SegmentError, Stage, Vfs, WriteOptions,
    scalar, write_segment,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_row_comes_back(
        (dim, model) in support::any_model(40),
        metric in support::any_metric(),
        precision in support::any_precision(),
        codes in support::any_codes(),
        index_rows_min in prop::sample::select(vec![1, 10, u32::MAX]),
    ) {
        let vfs = memory();
        let model = model.of_precision(precision);
        let options = WriteOptions { precision, codes, ..options(dim, metric, index_rows_min) };
        let segment = sealed(&vfs, 3, &model, &options);
        check(&segment, &model);
        prop_assert_eq!(segment.id(), 3);
        prop_assert_eq!(segment.dim(), dim);
        prop_assert_eq!(segment.metric(), metric);
        prop_assert_eq!(segment.precision(), precision);
        prop_assert_eq!(segment.codes_kept(), codes);
        prop_assert_eq!(segment.degraded(), vec![""; 0]);
        let vector_bytes = precision.bytes() * dim * model.0.len();
        prop_assert!(segment.section_bytes().contains(&("vectors", vector_bytes as u64)));
        for namespace in segment.namespaces() {
            let indexed = namespace.rows.len() as u32 >= index_rows_min;
            prop_assert_eq!(namespace.indexed, indexed);
            let graph = segment.graph(namespace).expect("graph");
            prop_assert_eq!(graph.is_some(), indexed);
        }
        if codes == Codes::None {
            let made_of_codes = ["quantizer", "codes", "coarse-codes", "sketches", "sketch-rows"];
            for (name, bytes) in segment.section_bytes() {
                prop_assert!(!made_of_codes.contains(&name) || bytes == 0, "{name}: {bytes} bytes");
            }
        }
        let report = segment.verify(&vfs).expect("verify");
        prop_assert_eq!(report.problems, vec![""; 0]);
        prop_assert_eq!(report.bytes, segment.bytes());
    }

    #[test]
    fn absent_ids_are_not_found((dim, model) in support::any_model(20), n in 1000u64..9999) {
        let vfs = memory();
        let segment = sealed(&vfs, 1, &model, &options(dim, Metric::Dot, u32::MAX));
        for namespace in segment.namespaces() {
            for n in n..n + 50 {
                prop_assert_eq!(segment.find(&namespace.name, &id_of(n)).expect("find"), None);
            }
        }
        prop_assert_eq!(segment.find("no such namespace", &id_of(0)).expect("find"), None);
    }
}

#[test]
fn a_segment_on_disk() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let model = rows_of(&[("", 300), ("a", 1), ("b", 200)], 33, 5);
    let options = options(33, Metric::Euclidean, 100);
    let written = write_with(&OsVfs, dir.path(), 7, &model, &options, &vecstore_index::OneThread)
        .expect("write");
    let path = dir.path().join("000000000007.seg");
    let segment = Segment::open(&OsVfs, &path).expect("open");
    assert_eq!(segment.bytes(), written.bytes);
    assert_eq!(segment.path(), &path);
    check(&segment, &model);
    let indexed: Vec<bool> = segment.namespaces().iter().map(|n| n.indexed).collect();
    assert_eq!(indexed, [true, false, true]);
    assert_eq!(OsVfs.list(dir.path()).expect("list"), ["000000000007.seg"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o444);
    }
    // The mapping outlives the name.
    OsVfs.remove_file(&path).expect("remove");
    check(&segment, &model);
    let names: Vec<_> = segment.section_bytes().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.first(), Some(&"vectors"));
    assert_eq!(names.last(), Some(&"checksums"));
}

#[test]
fn an_empty_segment() {
    let vfs = memory();
    let segment = sealed(&vfs, 1, &Model::default(), &options(8, Metric::Cosine, 1));
    check(&segment, &Model::default());
    assert!(segment.namespaces().is_empty());
    assert_eq!(segment.verify(&vfs).expect("verify").problems, [""; 0]);
    assert!(matches!(segment.record_id(0), Err(SegmentError::Corrupt { section: "ids", .. })));
}

#[test]
fn rows_outside_the_segment_are_errors() {
    let vfs = memory();
    let model = rows_of(&[("", 5)], 4, 1);
    let segment = sealed(&vfs, 1, &model, &options(4, Metric::Cosine, 1));
    for row in [5, 6, u32::MAX] {
        assert!(segment.record_id(row).is_err());
        assert!(segment.seq(row).is_err());
        assert!(segment.vector(row).is_err());
        assert!(segment.metadata(row).is_err());
        assert!(segment.codes(0..5).row(row).is_err());
        assert!(segment.vectors(2..4).vector(row - 3).is_err());
        let mut ignore = |_: u32, _: &_| {};
        assert!(segment.visit_metadata(&mut [0, row].into_iter(), &mut ignore).is_err());
    }
    assert!(segment.vectors(3..900).vector(0).is_err(), "a view past the end has no rows");
    let message = segment.vector(9).expect_err("no such row").to_string();
    assert!(message.ends_with("section vectors is damaged: there is no row 9, the segment has 5"));
}

#[test]
fn graphs_find_their_rows() {
    let vfs = memory();
    let model = rows_of(&[("", 400), ("b", 3), ("c", 300)], 24, 11);
    let segment = sealed(&vfs, 1, &model, &options(24, Metric::Euclidean, 100));
    let quantizer = segment.quantizer().expect("quantizer").expect("codes");
    for namespace in segment.namespaces().iter().filter(|n| n.indexed) {
        let graph = segment.graph(namespace).expect("graph").expect("a graph");
        assert_eq!(graph.links.rows(), namespace.rows.len() as u32);
        assert!(!graph.calibration.by_ef.points.is_empty());
        let codes = segment.codes(namespace.rows.clone());
        let search = Graph { links: &graph.links, upper: graph.upper };
        let mut hits = 0;
        for row in 0..namespace.rows.len() as u32 {
            let vector = &model.0[(namespace.rows.start + row) as usize].vector;
            let found = vecstore_index::search(
                &search,
                &codes,
                &quantizer.query(vector),
                vecstore_index::Beam::fixed(50),
                Accept::All,
                usize::MAX,
                &mut Scratch::default(),
            )
            .expect("search");
            hits += u32::from(found.candidates.iter().take(3).any(|c| c.row == row));
        }
        assert!(hits as usize * 100 >= namespace.rows.len() * 95, "{hits} of {namespace:?}");
    }
}

#[test]
fn fields_agree_with_the_metadata() {
    let vfs = memory();
    let model = rows_of(&[("", 200), ("x", 100)], 2, 3);
    let segment = sealed(&vfs, 1, &model, &options(2, Metric::Cosine, u32::MAX));
    let fields: FieldIndex<'_> = segment.fields().expect("fields");
    let expect = |of: &dyn Fn(&vecstore_segments::Metadata) -> bool| {
        Posting::Exact((0..).zip(&model.0).filter(|(_, r)| of(&r.metadata)).map(|r| r.0).collect())
    };
    let wanted = serde_json::json!("t3");
    assert_eq!(
        fields.equal("tags", Scalar::Str("t3")).expect("tags"),
        expect(&|m| m.get("tags").is_some_and(|t| t[1] == wanted))
    );
    assert_eq!(
        fields.equal("even", scalar(&true.into()).expect("scalar")).expect("even"),
        expect(&|m| m.get("even") == Some(&true.into()))
    );
    assert_eq!(fields.exists("deep.note").expect("note"), expect(&|m| m.contains_key("deep")));
}

/// Two threads that take turns at random pieces.
struct TwoThreads;

impl Workers for TwoThreads {
    fn threads(&self) -> usize {
        2
    }
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for first in 0..2 {
                scope.spawn(move || (first..tasks).step_by(2).for_each(task));
            }
        });
    }
}

/// The graph is the same as where codes are kept, as it is made of them; it was measured as it is walked.
#[test]
fn without_codes_a_graph_is_walked_on_full_vectors() {
    let model = rows_of(&[("", 900), ("few", 9), ("t", 300)], 80, 2);
    for (index, metric) in (0..).zip(Metric::ALL) {
        let with = options(80, metric, 50);
        let without = WriteOptions { codes: Codes::None, ..with.clone() };
        let [with, without] =
            [with, without].map(|options| sealed(&memory(), index, &model, &options));
        assert!(without.bytes() < with.bytes());
        for namespace in without.namespaces().iter().filter(|n| n.indexed) {
            let coded = with.graph(namespace).expect("graph").expect("a graph");
            let graph = without.graph(namespace).expect("graph").expect("a graph");
            assert!(coded.coarse.is_some() && graph.coarse.is_none());
            assert_eq!(graph.calibration.by_gamma.points.is_empty(), metric == Metric::Dot);
            for row in 0..graph.links.rows() {
                assert_eq!(graph.links.row(row), coded.links.row(row));
            }
            let links = Graph { links: &graph.links, upper: graph.upper };
            let vectors = without.vectors(namespace.rows.clone());
            let query = ExactQuery::new(metric, &model.0[namespace.rows.start as usize + 7].vector);
            let all = Beam::fixed(namespace.rows.len());
            let scratch = &mut Scratch::default();
            let found =
                search_full(&links, &vectors, &query, all, Accept::All, usize::MAX, scratch)
                    .expect("no row is damaged");
            assert_eq!(found.candidates.len(), namespace.rows.len());
            for pair in found.candidates.windows(2) {
                assert!(pair[0].distance <= pair[1].distance);
            }
            for candidate in found.candidates {
                let vector = vectors.vector(candidate.row).expect("vector");
                assert_eq!(candidate.distance, query.distance(vector));
            }
        }
    }
}

#[test]
fn clusters_without_codes_are_refused() {
    let model = rows_of(&[("", 5)], 3, 1);
    let index = IndexOption::Always(IndexKind::Clusters);
    let options = WriteOptions { codes: Codes::None, index, ..options(3, Metric::Dot, 99) };
    let vfs = memory();
    let error = write(&vfs, 1, &model, &options).expect_err("a contradiction").to_string();
    assert!(error.ends_with("clusters consist of codes, of which there are to be none"), "{error}");
    assert!(vfs.list(&folder()).expect("list").is_empty());
}

/// Each graph has coarse codes of its rows, made of their codes; where a code is one line of memory there
/// are none.
#[test]
fn graphs_have_coarse_codes_of_their_rows() {
    for (dim, coarse_len) in [(64, None), (130, Some(96))] {
        let model = rows_of(&[("", 301), ("few", 9), ("t", 90)], dim, 2);
        let segment = sealed(&memory(), 1, &model, &options(dim, Metric::Euclidean, 50));
        for namespace in segment.namespaces().iter().filter(|n| n.indexed) {
            let graph = segment.graph(namespace).expect("graph").expect("a graph");
            let codes = segment.codes(namespace.rows.clone());
            let quantizer = segment.quantizer().expect("quantizer").expect("codes");
            let made = build_coarse(quantizer, &codes, &vecstore_index::OneThread).expect("codes");
            assert_eq!(graph.coarse.is_some(), coarse_len.is_some());
            let Some((rows, levels)) = graph.coarse else {
                assert_eq!(made, None);
                continue;
            };
            let made = made.expect("long codes");
            assert_eq!(
                (levels, Some(made.codes.len() / codes.rows() as usize)),
                (made.levels, coarse_len)
            );
            for (row, coarse) in (0..rows.rows()).zip(made.codes.chunks_exact(96)) {
                assert_eq!(rows.row(row).expect("a coarse code"), coarse);
            }
            assert!(rows.row(rows.rows()).is_err());
        }
        assert_eq!(segment.degraded(), [""; 0]);
    }
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let model = rows_of(&[("", 500), ("t", 90)], 70, 2);
    let options = options(70, Metric::Cosine, 50);
    let vfs = memory();
    let bytes_of = |workers: &dyn Workers| {
        write_with(&vfs, &folder(), 4, &model, &options, workers).expect("write");
        let bytes = read_file(&vfs, &path_of(4));
        vfs.remove_file(&path_of(4)).expect("remove");
        bytes
    };
    let once = bytes_of(&vecstore_index::OneThread);
    assert!(once == bytes_of(&vecstore_index::OneThread), "not the same twice");
    assert!(once == bytes_of(&TwoThreads), "not the same with two threads");
}

#[test]
fn many_small_namespaces() {
    let names: Vec<String> = (0..20_000).map(|i| format!("tenant-{i:06}")).collect();
    let namespaces: Vec<(&str, u64)> = names.iter().map(|n| (n.as_str(), 2)).collect();
    let model = rows_of(&namespaces, 4, 8);
    let vfs = memory();
    let segment = sealed(&vfs, 1, &model, &options(4, Metric::Dot, 1000));
    assert_eq!(segment.namespaces().len(), 20_000);
    for i in [0, 1, 9_999, 19_999] {
        let rows = &segment.namespace(&names[i]).expect("namespace").rows;
        assert_eq!(*rows, 2 * i as u32..2 * i as u32 + 2);
        assert_eq!(segment.find(&names[i], &id_of(1)).expect("find"), Some(rows.start + 1));
    }
}

#[test]
fn stopping_leaves_nothing() {
    let vfs = memory();
    let model = rows_of(&[("", 3000)], 16, 1);
    let options = options(16, Metric::Cosine, 100);
    let mut reports = 0;
    let mut stages = Vec::new();
    write_segment(
        &vfs,
        &folder(),
        1,
        &model,
        &options,
        &vecstore_index::OneThread,
        &mut |progress| {
            assert!(progress.done <= progress.total);
            stages.push(progress.stage);
            reports += 1;
            ControlFlow::Continue(())
        },
    )
    .expect("write");
    vfs.remove_file(&path_of(1)).expect("remove");
    stages.dedup();
    assert_eq!(stages, [Stage::Rows, Stage::Graph, Stage::Verify]);
    for stop_at in 0..reports {
        let mut report = 0;
        let result = write_segment(
            &vfs,
            &folder(),
            1,
            &model,
            &options,
            &vecstore_index::OneThread,
            &mut |_| {
                report += 1;
                if report > stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        );
        assert!(matches!(result, Err(SegmentError::Cancelled)), "report {stop_at}: {result:?}");
        assert_eq!(vfs.list(&folder()).expect("list"), [""; 0]);
    }
}

#[test]
fn sources_that_break_their_promises() {
    let good = rows_of(&[("a", 6), ("b", 6)], 3, 1);
    let refused = |break_it: &dyn Fn(&mut Model), needle: &str| {
        let mut model = good.clone();
        break_it(&mut model);
        let vfs = memory();
        let error = write(&vfs, 1, &model, &options(3, Metric::Dot, u32::MAX)).expect_err(needle);
        assert!(matches!(error, SegmentError::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains(needle), "{error}");
        assert_eq!(vfs.list(&folder()).expect("list"), [""; 0]);
    };
    refused(&|m| m.0[11].namespace = "a".into(), "row 11 is of namespace `a`, after `b`");
    refused(&|m| m.0[3].id = m.0[1].id.clone(), "rows 1 and 3 have the same namespace and id");
    refused(&|m| m.0[3].id = RecordId::from(""), "row 3: record id is empty");
    // The same id in two namespaces is two records.
    let segment = sealed(&memory(), 1, &good, &options(3, Metric::Dot, u32::MAX));
    assert_eq!(segment.record_id(1).expect("id"), segment.record_id(7).expect("id"));
}

#[test]
fn limits_of_the_format() {
    let vfs = memory();
    for dim in [0, 65_537] {
        let error = write(&vfs, 1, &Model::default(), &options(dim, Metric::Dot, 1));
        assert!(matches!(error, Err(SegmentError::Unsupported { .. })), "{error:?}");
    }
    assert_eq!(vfs.list(&folder()).expect("list"), [""; 0]);
}

#[test]
fn a_sealed_segment_is_never_replaced() {
    let vfs = memory();
    let model = rows_of(&[("", 4)], 3, 1);
    let options = options(3, Metric::Dot, u32::MAX);
    sealed(&vfs, 1, &model, &options);
    // What an interrupted writer left behind is in nobody's way.
    vfs.create(&folder().join("tmp-2")).expect("create").write_at(0, b"half").expect("write");
    sealed(&vfs, 2, &model, &options);
    let before = read_file(&vfs, &path_of(1));
    let error = write(&vfs, 1, &rows_of(&[("", 9)], 3, 2), &options).expect_err("taken");
    assert!(matches!(error, SegmentError::Io { .. }), "{error:?}");
    assert!(before == read_file(&vfs, &path_of(1)));
    assert_eq!(vfs.list(&folder()).expect("list").len(), 2);
}

#[test]
fn components_of_another_precision_are_refused() {
    let mut model = rows_of(&[("", 5)], 3, 1).of_precision(Precision::F16);
    let vfs = memory();
    let options = WriteOptions { precision: Precision::F16, ..options(3, Metric::Dot, 99) };
    for wrong in [0.1, 70_000.0, f32::NAN] {
        model.0[3].vector[1] = wrong;
        let error = write(&vfs, 1, &model, &options).expect_err("refused").to_string();
        let what = format!("row 3: component 1 is {wrong}, which is none of half precision");
        assert!(error.contains(&what), "{error}");
        assert_eq!(vfs.list(&folder()).expect("list"), [""; 0]);
    }
}
