//! A merge gives the live rows of its inputs, in order.

mod support;

use std::sync::Arc;

use proptest::prelude::*;
use support::{
    Model, Numbers, check, file_of, folder, memory, options, path_of, read_file, rows_of, sealed,
    section_of, write,
};
use vecstore_index::Metric;
use vecstore_index::roaring::RoaringBitmap;
use vecstore_segments::{MergeSource, RecordId, RowSource, Segment, SegmentError, Vfs};

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
        seed in any::<u64>(),
    ) {
        let vfs = memory();
        let options = options(dim, Metric::Cosine, 30);
        let mut numbers = Numbers(seed);
        let mut models = Vec::new();
        let mut segments = Vec::new();
        for (number, (namespaces, dead_quarters)) in (0..).zip(&inputs) {
            let names: Vec<_> = namespaces.iter().map(|(n, c)| (n.as_str(), *c)).collect();
            let model = input_model(&names, dim, number);
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

#[test]
fn merging_writes_the_bytes_that_writing_does() {
    let vfs = memory();
    let options = options(9, Metric::Dot, 50);
    let halves = [input_model(&[("a", 90)], 9, 0), input_model(&[("b", 3000)], 9, 1)];
    let inputs = halves.iter().zip(10..).map(|(model, id)| {
        (Arc::new(sealed(&vfs, id, model, &options)), Arc::new(RoaringBitmap::new()))
    });
    let source = MergeSource::new(inputs.collect()).expect("merge");
    write(&vfs, 1, &source, &options).expect("write");
    let merged = read_file(&vfs, &path_of(1));
    vfs.remove_file(&path_of(1)).expect("remove");
    write(&vfs, 1, &Model([&halves[0].0[..], &halves[1].0].concat()), &options).expect("write");
    assert!(merged == read_file(&vfs, &path_of(1)));
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
    for second in [metric, dim] {
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
