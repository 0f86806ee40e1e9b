//! A merge gives the live rows of its inputs, in order.

mod support;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use support::{
    Model, Numbers, check, file_of, folder, memory, options, path_of, read_file, rows_of, sealed,
    section_of, write, write_with,
};
use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{Calibration, Curve, EffortPoint, FlatRows, Metric, Precision, Workers};
use vecstore_segments::{
    GraphOrigin, LentGraph, MemVfs, MergeSource, RebuildCause, RecordId, RowSource, Segment,
    SegmentError, Vfs, WriteOptions,
};

/// Rows that are in no other input: ids carry the input's number.
fn input_model(namespaces: &[(&str, u64)], dim: usize, input: u64) -> Model {
    let mut model = rows_of(namespaces, dim, input + 1);
    for (n, row) in (0u64..).zip(&mut model.0) {
        row.id = match n % 2 {
            0 => RecordId::from(input << 32 | n),
            _ => RecordId::from(format!("{input}/{n}")),
        };
    }
    model
}

/// The slow way: every live row, stably sorted by namespace; and where each came from.
fn merged(inputs: &[(Model, RoaringBitmap)]) -> (Model, Vec<(usize, u32)>) {
    let mut rows = Vec::new();
    for (input, (model, deleted)) in inputs.iter().enumerate() {
        for (row, content) in (0..).zip(&model.0) {
            if !deleted.contains(row) {
                rows.push((content.clone(), (input, row)));
            }
        }
    }
    rows.sort_by(|a, b| a.0.namespace.cmp(&b.0.namespace));
    let (rows, origins) = rows.into_iter().unzip();
    (Model(rows), origins)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_sorting_the_live_rows(
        dim in 1usize..40,
        inputs in prop::collection::vec(
            (prop::collection::btree_map("[a-d]?", 1u64..60, 0..4), 0u64..=4),
            0..4,
        ),
        precision in support::any_precision(),
        codes in support::any_codes(),
        seed in any::<u64>(),
    ) {
        let vfs = memory();
        let options = WriteOptions { precision, codes, ..options(dim, Metric::Cosine, 30) };
        let mut numbers = Numbers(seed);
        let mut models = Vec::new();
        let mut segments = Vec::new();
        for (number, (namespaces, dead_quarters)) in (0..).zip(&inputs) {
            let names: Vec<_> = namespaces.iter().map(|(n, c)| (n.as_str(), *c)).collect();
            let model = input_model(&names, dim, number).of_precision(precision);
            let deleted: RoaringBitmap =
                (0..model.rows()).filter(|_| numbers.below(4) < *dead_quarters).collect();
            let segment = Arc::new(sealed(&vfs, number + 10, &model, &options));
            segments.push((segment, Arc::new(deleted.clone())));
            models.push((model, deleted));
        }
        let (expected, origins) = merged(&models);
        let source = MergeSource::new(segments).expect("merge");
        prop_assert_eq!(source.rows(), expected.rows());
        for (input, (model, _)) in models.iter().enumerate() {
            for row in 0..model.rows() + 2 {
                let new = origins.iter().position(|o| *o == (input, row)).map(|r| r as u32);
                prop_assert_eq!(source.new_row(input, row), new);
            }
        }
        prop_assert_eq!(source.new_row(models.len(), 0), None);
        // In any order, twice.
        let mut vector = vec![0.0; dim];
        let mut json = b"stale".to_vec();
        for row in (0..source.rows()).rev().chain(0..source.rows()) {
            let right = &expected.0[row as usize];
            prop_assert_eq!(source.namespace(row).expect("namespace"), &right.namespace);
            prop_assert_eq!(source.id(row).expect("id"), right.id.clone());
            prop_assert_eq!(source.seq(row), right.seq);
            source.vector(row, &mut vector).expect("vector");
            prop_assert_eq!(&vector, &right.vector);
            source.metadata(row, &mut json).expect("metadata");
            prop_assert_eq!(&json, &serde_json::to_vec(&right.metadata).expect("json"));
        }
        for row in [source.rows(), u32::MAX] {
            prop_assert!(source.id(row).is_err() && source.namespace(row).is_err());
        }
        check(&sealed(&vfs, 99, &source, &options), &expected);
    }
}

/// Rows of another source, and what graphs are lent for them.
struct Lending<S>(S, fn(Range<u32>) -> Vec<Result<LentGraph<'static>, SegmentError>>);

impl<S: RowSource> RowSource for Lending<S> {
    fn rows(&self) -> u32 {
        self.0.rows()
    }
    fn namespace(&self, row: u32) -> Result<&str, SegmentError> {
        self.0.namespace(row)
    }
    fn id(&self, row: u32) -> Result<RecordId, SegmentError> {
        self.0.id(row)
    }
    fn seq(&self, row: u32) -> u64 {
        self.0.seq(row)
    }
    fn vector(&self, row: u32, vector: &mut [f32]) -> Result<(), SegmentError> {
        self.0.vector(row, vector)
    }
    fn metadata(&self, row: u32, json: &mut Vec<u8>) -> Result<(), SegmentError> {
        self.0.metadata(row, json)
    }
    fn graphs(&self, rows: Range<u32>) -> Vec<Result<LentGraph<'_>, SegmentError>> {
        (self.1)(rows)
    }
}

/// Without graphs to take over, a merge is just another way to the same rows.
#[test]
fn merging_writes_the_bytes_that_writing_does() {
    let vfs = memory();
    let options = options(9, Metric::Dot, 50);
    let halves = [input_model(&[("a", 90)], 9, 0), input_model(&[("b", 3000)], 9, 1)];
    let inputs = halves.iter().zip(10..).map(|(model, id)| {
        (Arc::new(sealed(&vfs, id, model, &options)), Arc::new(RoaringBitmap::new()))
    });
    let source = Lending(MergeSource::new(inputs.collect()).expect("merge"), |_| Vec::new());
    write(&vfs, 1, &source, &options).expect("write");
    let merged = read_file(&vfs, &path_of(1));
    vfs.remove_file(&path_of(1)).expect("remove");
    write(&vfs, 1, &Model([&halves[0].0[..], &halves[1].0].concat()), &options).expect("write");
    assert!(merged == read_file(&vfs, &path_of(1)));
}

/// Segments with the given rows in two namespaces.
fn inputs_of(vfs: &MemVfs, rows: &[u64], options: &WriteOptions) -> Vec<Arc<Segment>> {
    let segments = rows.iter().zip(10..).map(|(&rows, id)| {
        let model = input_model(&[("a", rows), ("b", rows / 10)], options.dim, id);
        Arc::new(sealed(vfs, id, &model, options))
    });
    segments.collect()
}

#[test]
fn graphs_of_the_inputs_are_merged() {
    let vfs = memory();
    let options = options(9, Metric::Cosine, 50);
    let inputs = inputs_of(&vfs, &[2_000, 1_000], &options);
    let check = |dead: u32, expected: [&str; 2]| {
        let none = RoaringBitmap::new();
        let deleted: RoaringBitmap = (0..2_200).filter(|row| row % 10 < dead).collect();
        let inputs = || {
            let deleted = [Arc::new(deleted.clone()), Arc::new(none.clone())];
            inputs.iter().cloned().zip(deleted).collect()
        };
        let mut bytes = Vec::new();
        for threads in [1, 2, 4] {
            let source = MergeSource::new(inputs()).expect("merge");
            write_with(&vfs, &folder(), 1, &source, &options, &Threads(threads)).expect("write");
            bytes.push(read_file(&vfs, &path_of(1)));
            vfs.remove_file(&path_of(1)).expect("remove");
        }
        assert!(bytes[0] == bytes[1] && bytes[0] == bytes[2], "threads make a difference");
        let vfs = file_of(&bytes[0]);
        let segment = Segment::open(&vfs, &path_of(1)).expect("open");
        let indexes = segment.indexes().expect("indexes");
        let told: Vec<String> = indexes.iter().map(|(_, index)| index.to_string()).collect();
        let expected = expected.map(|origin| format!("graph, {origin}"));
        assert_eq!(told, expected, "{dead} of ten dead");
        assert_eq!(segment.verify(&vfs).expect("verify").problems, [""; 0]);

        // As good as a graph that was built.
        let source = Lending(MergeSource::new(inputs()).expect("merge"), |_| Vec::new());
        let built = sealed(&vfs, 2, &source, &options);
        for (merged, built) in
            segment.namespaces().iter().zip(built.namespaces()).take(1).map(|(namespace, same)| {
                let graph = |segment: &Segment, namespace| {
                    let graph = segment.graph(namespace).expect("graph").expect("a graph");
                    graph.calibration.clone()
                };
                (graph(&segment, namespace), graph(&built, same))
            })
        {
            for ef in [64, 128, 256] {
                let (merged, built) = (merged.by_ef.recall_at(ef), built.by_ef.recall_at(ef));
                assert!(merged > built - 0.03, "recall {merged} at {ef}, built {built}");
            }
        }
    };
    // The graphs of the smaller namespace are too small to be worth it.
    let small = "rebuilt: only 0 rows in usable graphs";
    check(0, ["merged from 2", small]);
    check(1, ["merged from 2", small]);
    check(3, ["merged from 2", small]);
    check(5, ["merged from 1, 1000 rows linked anew", small]);
    check(9, ["merged from 1, 200 rows linked anew", small]);
}

#[test]
fn a_damaged_graph_is_not_merged() {
    let vfs = memory();
    let options = options(9, Metric::Cosine, 50);
    let inputs = inputs_of(&vfs, &[2_000, 1_000], &options);
    let none = || Arc::new(RoaringBitmap::new());
    let check = |kind: u32, first_is_damaged: bool, expected: &str| {
        let mut bytes = read_file(&vfs, inputs[usize::from(!first_is_damaged)].path());
        let at = section_of(&bytes, kind).start + 5;
        bytes[at] ^= 4;
        let damaged_vfs = file_of(&bytes);
        let damaged = Arc::new(Segment::open(&damaged_vfs, &path_of(1)).expect("open"));
        let good = Arc::clone(&inputs[usize::from(first_is_damaged)]);
        let source = MergeSource::new(vec![(damaged, none()), (good, none())]).expect("merge");
        let merged = sealed(&memory(), 1, &source, &options);
        let (namespace, index) = merged.indexes().expect("indexes")[0];
        assert_eq!((namespace, index.to_string()), ("a", format!("graph, {expected}")));
    };
    // Links, the table of the indexes, upper layers, calibrations.
    for kind in [34, 35, 36, 37] {
        check(kind, false, "merged from 1, 1000 rows linked anew, 1 damaged");
        check(kind, true, "rebuilt: only 1000 rows in usable graphs, 1 damaged");
    }
}

/// Each row linked to the next: every row can be found, but hardly ever is.
fn a_ring(rows: Range<u32>) -> LentGraph<'static> {
    static LINKS: OnceLock<Vec<u32>> = OnceLock::new();
    static PERFECT: OnceLock<Calibration> = OnceLock::new();
    let links = LINKS.get_or_init(|| (1..=2_000).map(|row| row % 2_000).collect());
    let points = [16, 64, 256].map(|effort| EffortPoint { effort, recall: 1.0, distances: 9.0 });
    let by_ef = Curve { points: points.to_vec() };
    LentGraph {
        links: Box::new(FlatRows::new("links", links, 1)),
        new_rows: (0..rows.len() as u32).collect(),
        calibration: PERFECT.get_or_init(|| Calibration { by_ef, by_gamma: Curve::default() }),
    }
}

#[test]
fn a_merged_graph_that_finds_too_little_is_built_anew() {
    let options = options(9, Metric::Cosine, 50);
    let model = input_model(&[("a", 2_000)], 9, 1);
    let source = Lending(model.clone(), |rows| vec![Ok(a_ring(rows))]);
    let segment = sealed(&memory(), 1, &source, &options);
    let index = segment.indexes().expect("indexes")[0].1;
    let Some(GraphOrigin::Rebuilt(RebuildCause::Recall(short))) = index.graph else {
        panic!("{index}");
    };
    assert!(short.recall < short.least && short.least <= 0.99, "{short:?}");
    let built = sealed(&memory(), 1, &model, &options);
    let calibration = |segment: &Segment| {
        let graph = segment.graph(&segment.namespaces()[0]).expect("graph").expect("a graph");
        graph.calibration.clone()
    };
    assert_eq!(calibration(&segment), calibration(&built));
    check(&segment, &model);
}

#[test]
fn a_source_that_lends_a_graph_of_other_rows_is_refused() {
    let options = options(9, Metric::Cosine, 50);
    let twice = Lending(input_model(&[("a", 2_000)], 9, 1), |rows| {
        vec![Ok(a_ring(rows.clone())), Ok(a_ring(rows))]
    });
    let error = write(&memory(), 1, &twice, &options).expect_err("rows twice");
    assert!(error.to_string().contains("another row became row 0, too"), "{error}");
    let fewer = Lending(input_model(&[("a", 1_999)], 9, 1), |rows| {
        vec![Ok(a_ring(rows.start..rows.end + 1))]
    });
    let error = write(&memory(), 1, &fewer, &options).expect_err("a row too many");
    assert!(error.to_string().contains("there is no row 1999"), "{error}");
}

#[test]
fn inputs_of_different_shape_are_refused() {
    let vfs = memory();
    let model = rows_of(&[("", 3)], 4, 1);
    let other = rows_of(&[("", 3)], 5, 1);
    let none = || Arc::new(RoaringBitmap::new());
    let first = Arc::new(sealed(&vfs, 1, &model, &options(4, Metric::Dot, 99)));
    let metric = Arc::new(sealed(&vfs, 2, &model, &options(4, Metric::Cosine, 99)));
    let dim = Arc::new(sealed(&vfs, 3, &other, &options(5, Metric::Dot, 99)));
    let of_halves = WriteOptions { precision: Precision::F16, ..options(4, Metric::Dot, 99) };
    let halves = model.of_precision(Precision::F16);
    let precision = Arc::new(sealed(&vfs, 4, &halves, &of_halves));
    for second in [metric, dim, precision] {
        let inputs = vec![(Arc::clone(&first), none()), (second, none())];
        assert!(matches!(MergeSource::new(inputs), Err(SegmentError::Unsupported { .. })));
    }
}

#[test]
fn the_same_record_twice_is_refused() {
    let vfs = memory();
    let options = options(4, Metric::Dot, 99);
    let model = rows_of(&[("", 3)], 4, 1);
    let segment = Arc::new(sealed(&vfs, 1, &model, &options));
    let none = Arc::new(RoaringBitmap::new());
    let inputs = vec![(Arc::clone(&segment), Arc::clone(&none)), (segment, none)];
    let source = MergeSource::new(inputs).expect("merge");
    let error = write(&vfs, 2, &source, &options).expect_err("twice");
    assert!(error.to_string().contains("have the same namespace and id"), "{error}");
}

/// Damage in an input is met while it is read, and nothing comes of the merge; a damaged row
/// that is deleted does not count where its neighbours in the block are deleted too.
#[test]
fn a_damaged_input_ends_the_merge() {
    let model = rows_of(&[("", 20_000)], 4, 1);
    let vfs = memory();
    let options = options(4, Metric::Dot, u32::MAX);
    sealed(&vfs, 1, &model, &options);
    let good = read_file(&vfs, &path_of(1));
    for kind in [2, 3, 4, 5, 6, 7] {
        let mut bytes = good.clone();
        let section = section_of(&bytes, kind);
        bytes[section.end - 1] ^= 1;
        let vfs = file_of(&bytes);
        let merge = |deleted: RoaringBitmap| {
            let segment = Arc::new(Segment::open(&vfs, &path_of(1)).expect("open"));
            let source = MergeSource::new(vec![(segment, Arc::new(deleted))])?;
            write(&vfs, 2, &source, &options)
        };
        let error = merge(RoaringBitmap::new()).expect_err("damaged");
        assert!(matches!(error, SegmentError::Corrupt { .. }), "{error}");
        assert_eq!(vfs.list(&folder()).expect("list"), ["000000000001.seg"]);
        // The index of the metadata blocks is one for all rows.
        if kind != 7 {
            let written = merge((6_000..20_000).collect()).expect("the damaged rows are left out");
            assert_eq!(written.rows, 6_000);
        }
    }
}

/// Threads that take every n-th task.
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
