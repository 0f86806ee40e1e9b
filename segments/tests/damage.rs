//! Whatever happens to a file, nothing wrong is read from it.

mod support;

use std::fmt::Debug;

use support::{
    Model, as_stored, file_of, id_of, memory, options, path_of, read_file, rows_of, sealed,
    section_of,
};
use vecstore_index::{
    Calibration, Codes, Metric, Posting, Precision, Rows, Scalar, Sketches, Stored, UpperLayers,
    Vectors,
};
use vecstore_segments::{Segment, SegmentError, WriteOptions, write_segment};

const VECTORS: u32 = 5;
const METADATA: u32 = 6;
const CODES: u32 = 33;
const LINKS: u32 = 34;
const SKETCHES: u32 = 44;
const SKETCH_ROWS: u32 = 45;
const UPPER_LAYERS: u32 = 36;
const ID_BLOOM: u32 = 38;
const ID_HASHES: u32 = 39;
const ID_ROWS: u32 = 40;

/// A file with rows of all kinds and one graph, and its rows.
fn small() -> (Model, Vec<u8>) {
    small_of(Precision::F32, Codes::Int8)
}

fn small_of(precision: Precision, codes: Codes) -> (Model, Vec<u8>) {
    let model = rows_of(&[("", 14), ("b", 3)], 66, 4).of_precision(precision);
    let vfs = memory();
    let options =
        WriteOptions { sketch_rows_min: 17, precision, codes, ..options(66, Metric::Cosine, 10) };
    sealed(&vfs, 1, &model, &options);
    let bytes = read_file(&vfs, &path_of(1));
    (model, bytes)
}

/// Several blocks of 64 KiB in each large section.
fn large() -> (Model, Vec<u8>) {
    let model = rows_of(&[("", 2000), ("b", 20_000)], 3, 4);
    let vfs = memory();
    sealed(&vfs, 1, &model, &options(3, Metric::Dot, u32::MAX));
    let bytes = read_file(&vfs, &path_of(1));
    (model, bytes)
}

fn open(bytes: &[u8]) -> Result<Segment, SegmentError> {
    Segment::open(&file_of(bytes), &path_of(1))
}

/// Right, or an error that says so; true if right.
fn right_or_refused<T: PartialEq + Debug>(found: Result<T, SegmentError>, right: &T) -> bool {
    match found {
        Ok(found) => {
            assert_eq!(&found, right);
            true
        }
        Err(SegmentError::Corrupt { .. } | SegmentError::Unsupported { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

/// All truth of a segment; true if all of it could be read.
fn truth_is_right(segment: &Segment, model: &Model) -> bool {
    let mut all = true;
    assert_eq!(segment.rows() as usize, model.0.len());
    for (row, expected) in (0..).zip(&model.0) {
        let names: Vec<_> = segment.namespaces().iter().filter(|n| n.rows.contains(&row)).collect();
        assert_eq!(names[0].name, expected.namespace);
        all &= right_or_refused(segment.record_id(row), &expected.id);
        all &= right_or_refused(segment.seq(row), &expected.seq);
        all &= right_or_refused(segment.vector(row).map(Stored::to_vec), &expected.vector);
        all &= right_or_refused(segment.metadata(row), &as_stored(&expected.metadata));
        all &= right_or_refused(segment.find(&expected.namespace, &expected.id), &Some(row));
    }
    for absent in 100..120 {
        all &= right_or_refused(segment.find("b", &id_of(absent)), &None);
    }
    all
}

fn rows_to_lists<T: Clone, R: Rows<T>>(
    segment: &Segment,
    rows: &R,
) -> Result<Vec<Vec<T>>, SegmentError> {
    let read = |row| rows.row(row).map(<[T]>::to_vec).map_err(|d| segment.damaged(&d));
    (0..rows.rows()).map(read).collect()
}

fn fields(segment: &Segment) -> Result<Vec<Posting>, SegmentError> {
    let index = segment.fields()?;
    [
        index.equal("n", Scalar::Int(7)),
        index.equal("tags", Scalar::Str("t1")),
        index.exists("deep"),
        index.string_prefix("deep.text", "é"),
    ]
    .into_iter()
    .map(|posting| {
        posting.map_err(|e| SegmentError::corrupt(segment.path(), "fields", e.to_string()))
    })
    .collect()
}

type Part<T> = Result<T, SegmentError>;
type GraphParts = (Vec<Vec<u32>>, UpperLayers, Calibration);
type SketchParts = (Sketches, Vec<Vec<u8>>);

/// What is derived, as plain data.
#[derive(Debug)]
struct Derived {
    codes: Part<Vec<Vec<u8>>>,
    sketches: Part<Option<SketchParts>>,
    graph: Part<GraphParts>,
    /// Answers of the field indices.
    fields: Part<Vec<Posting>>,
}

impl Derived {
    /// Each part right, or an error that says so; true if all are right.
    fn right_or_refused(self, right: &Derived) -> bool {
        let mut all = right_or_refused(self.codes, right.codes.as_ref().expect("codes"));
        all &= right_or_refused(self.sketches, right.sketches.as_ref().expect("sketches"));
        all &= right_or_refused(self.graph, right.graph.as_ref().expect("graph"));
        all & right_or_refused(self.fields, right.fields.as_ref().expect("fields"))
    }
}

fn derived(segment: &Segment) -> Derived {
    let codes =
        segment.quantizer().and_then(|_| rows_to_lists(segment, &segment.codes(0..segment.rows())));
    let graph = segment.graph(&segment.namespaces()[0]).and_then(|graph| {
        let graph = graph.expect("a graph");
        let links = rows_to_lists(segment, &graph.links)?;
        Ok((links, graph.upper.clone(), graph.calibration.clone()))
    });
    let sketches = segment.sketches(0..segment.rows()).and_then(|found| {
        let Some(found) = found else { return Ok(None) };
        Ok(Some((found.sketches.clone(), rows_to_lists(segment, &found.rows)?)))
    });
    Derived { codes, sketches, graph, fields: fields(segment) }
}

#[test]
fn every_damaged_byte_is_noticed_or_harmless() {
    check_every_byte(Precision::F32, Codes::Int8);
    check_every_byte(Precision::F16, Codes::Int8);
    check_every_byte(Precision::F32, Codes::None);
}

fn check_every_byte(precision: Precision, codes: Codes) {
    let (model, good) = small_of(precision, codes);
    let segment = open(&good).expect("open");
    let right = derived(&segment);
    assert_eq!(right.sketches.as_ref().expect("sketches").is_some(), codes == Codes::Int8);
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        let vfs = file_of(&bytes);
        let segment = match Segment::open(&vfs, &path_of(1)) {
            Ok(segment) => segment,
            Err(SegmentError::Corrupt { .. } | SegmentError::Unsupported { .. }) => continue,
            Err(other) => panic!("byte {at}: {other}"),
        };
        let truth = truth_is_right(&segment, &model);
        let all = derived(&segment).right_or_refused(&right);
        let degraded = segment.degraded();
        // Damage in what is derived never reaches the truth, and is told.
        assert!(truth || degraded.is_empty(), "byte {at}: {degraded:?}");
        assert!(all || !degraded.is_empty(), "byte {at}");
        let report = segment.verify(&vfs).expect("verify");
        assert!(!report.problems.is_empty(), "byte {at} was not noticed");
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let (_, good) = small();
    for len in 0..good.len() {
        match open(&good[..len]) {
            Err(SegmentError::Corrupt { .. }) => {}
            other => panic!("{len} bytes: {other:?}"),
        }
    }
    let longer = [&good[..], &[0]].concat();
    assert!(matches!(open(&longer), Err(SegmentError::Corrupt { .. })));
}

#[test]
fn files_that_are_something_else() {
    for bytes in [&b"hello"[..], &[0; 4096], &[0xff; 200]] {
        let error = open(bytes).expect_err("not a segment");
        assert!(matches!(error, SegmentError::Corrupt { section: "header", .. }), "{error}");
    }
    let missing = Segment::open(&memory(), &path_of(1)).expect_err("missing");
    assert!(matches!(missing, SegmentError::Io { op: "open", .. }));
}

#[test]
fn damaged_vectors_are_named_and_the_others_served() {
    let (model, mut bytes) = large();
    let vectors = section_of(&bytes, VECTORS);
    bytes[vectors.start + 2 * 65_536 + 5] ^= 1;
    let segment = open(&bytes).expect("open");
    let view = segment.vectors(0..segment.rows());
    let (first, end) = (2 * 65_536 / 12, (3 * 65_536u32).div_ceil(12));
    for row in 0..segment.rows() {
        let damaged = (first..end).contains(&row);
        assert_eq!(segment.vector(row).is_err(), damaged, "row {row}");
        assert_eq!(view.vector(row).is_err(), damaged, "row {row}");
        if !damaged {
            assert_eq!(view.vector(row), Ok(Stored::F32(&model.0[row as usize].vector)));
        }
    }
    let error = segment.vector(first + 1).expect_err("damaged").to_string();
    let rows = format!("row {} cannot be read: a checksum of rows {first}..{end}", first + 1);
    assert!(error.contains("section vectors") && error.contains(&rows), "{error}");
    // A view counts from its first row, the damage names the segment's row.
    let damaged = segment.vectors(first..end).vector(1).expect_err("damaged");
    assert_eq!((damaged.array, damaged.row), ("vectors", first + 1));
    let report = segment.verify(&file_of(&bytes)).expect("verify");
    assert_eq!(
        report.problems,
        [format!("vectors: block 2 (rows {first}..{end}) does not match its checksum")]
    );
    assert_eq!(report.bytes, bytes.len() as u64);
}

#[test]
fn damaged_metadata_is_named_and_the_others_served() {
    let (model, mut bytes) = large();
    let metadata = section_of(&bytes, METADATA);
    bytes[metadata.start + 65_536 + 77] ^= 4;
    let segment = open(&bytes).expect("open");
    let refused: Vec<u32> =
        (0..segment.rows()).filter(|row| segment.metadata(*row).is_err()).collect();
    assert!(!refused.is_empty() && refused.len() < model.0.len() / 2, "{}", refused.len());
    assert!(refused.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    let report = segment.verify(&file_of(&bytes)).expect("verify");
    let named = format!("(rows {}..{})", refused[0], refused[refused.len() - 1] + 1);
    assert!(report.problems[0].contains(&named), "{:?} {named}", report.problems);
}

#[test]
fn ids_are_found_without_their_lookup() {
    let (model, good) = large();
    for (kind, name) in [(ID_BLOOM, "id-bloom"), (ID_HASHES, "id-hashes"), (ID_ROWS, "id-rows")] {
        let mut bytes = good.clone();
        let section = section_of(&bytes, kind);
        bytes[section].fill(0xa5);
        let segment = open(&bytes).expect("open");
        assert_eq!(segment.degraded(), [""; 0], "nothing was read yet");
        for (row, expected) in (0..).zip(&model.0).step_by(37) {
            let found = segment.find(&expected.namespace, &expected.id).expect("find");
            assert_eq!(found, Some(row));
        }
        assert_eq!(segment.find("b", &id_of(99_999)).expect("find"), None);
        let degraded = segment.degraded();
        assert!(degraded[0].starts_with(&format!("section {name} is damaged")), "{degraded:?}");
        assert!(degraded[1].contains("made again from the ids"), "{degraded:?}");
    }
}

#[test]
fn an_id_that_may_be_among_damaged_ones_is_not_denied() {
    let (model, mut bytes) = large();
    let (bloom, ids) = (section_of(&bytes, ID_BLOOM), section_of(&bytes, 2));
    bytes[bloom].fill(0);
    // The last block of the ids: rows of `b` only.
    bytes[ids.end - 1] ^= 1;
    let segment = open(&bytes).expect("open");
    assert!(matches!(
        segment.find("b", &id_of(99_999)),
        Err(SegmentError::Corrupt { section: "ids", .. })
    ));
    assert_eq!(segment.find("", &id_of(99_999)).expect("no row of this namespace"), None);
    assert_eq!(segment.find("b", &model.0[2000].id).expect("find"), Some(2000));
}

#[test]
fn damage_in_derived_arrays_is_of_their_rows_only() {
    let (model, good) = small();
    for kind in [CODES, SKETCHES, SKETCH_ROWS, LINKS, UPPER_LAYERS] {
        let mut bytes = good.clone();
        let section = section_of(&bytes, kind);
        bytes[section.start] ^= 0x80;
        let segment = open(&bytes).expect("open");
        let derived = derived(&segment);
        assert_eq!(derived.codes.is_err(), kind == CODES);
        assert_eq!(derived.sketches.is_err(), [SKETCHES, SKETCH_ROWS].contains(&kind));
        assert_eq!(derived.graph.is_err(), [LINKS, UPPER_LAYERS].contains(&kind));
        assert!(derived.fields.is_ok());
        assert!(truth_is_right(&segment, &model));
        assert_eq!(segment.degraded().len(), 1);
    }
}

/// Changes header bytes and makes the checksum right again.
fn with_header(file: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut bytes = file.to_vec();
    bytes[at] = value;
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn newer_files_are_refused_in_so_many_words() {
    let (model, good) = small();
    let refused = |bytes: &[u8], needle: &str| match open(bytes) {
        Err(SegmentError::Unsupported { detail, .. }) => {
            assert!(detail.contains(needle), "{detail}");
        }
        other => panic!("{other:?}"),
    };
    refused(&with_header(&good, 8, 7), "the segment has format 7, this build reads format 6");
    refused(&with_header(&good, 8, 5), "the segment has format 5, this build reads format 6");
    refused(&with_header(&good, 12, 4), "features 0x4");
    // A newer minor version and compatible features are fine.
    for at in [10, 16] {
        assert!(truth_is_right(&open(&with_header(&good, at, 1)).expect("open"), &model));
    }
    refused(&with_section(&good, 999, 0), "a section of kind 999");
    let segment = open(&with_section(&good, 999, 2)).expect("optional");
    assert!(truth_is_right(&segment, &model));
    assert_eq!(segment.section_bytes().last(), Some(&("unknown", 0)));
    // Known kinds are there once.
    assert!(matches!(
        open(&with_section(&good, 5, 0)),
        Err(SegmentError::Corrupt { section: "contents", .. })
    ));
}

#[test]
fn a_header_that_contradicts_itself_about_codes_is_refused() {
    let (_, without) = small_of(Precision::F32, Codes::None);
    let (_, with) = small();
    // Codes of no bytes, and bytes of codes that are said not to be there.
    for bytes in [with_header(&without, 12, 0), with_header(&with, 12, 2)] {
        match open(&bytes) {
            Err(SegmentError::Corrupt { section: "header", detail, .. }) => {
                assert!(detail.contains("is not a code length"), "{detail}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Adds an empty section to the contents table.
fn with_section(file: &[u8], kind: u32, flags: u32) -> Vec<u8> {
    let (body, footer) = file.split_at(file.len() - 64);
    let mut footer = footer.to_vec();
    let contents = u64::from_le_bytes(footer[16..24].try_into().expect("8 bytes"));
    let blocks = section_of(file, 64).len() as u32 / 4;
    let mut bytes = body.to_vec();
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&flags.to_le_bytes());
    bytes.extend_from_slice(&contents.to_le_bytes());
    bytes.extend_from_slice(&[0; 12]);
    bytes.extend_from_slice(&blocks.to_le_bytes());
    let table = &bytes[contents as usize..];
    footer[24..32].copy_from_slice(&(table.len() as u64).to_le_bytes());
    footer[32..40].copy_from_slice(&(bytes.len() as u64 + 64).to_le_bytes());
    footer[40..44].copy_from_slice(&crc32fast::hash(table).to_le_bytes());
    let crc = crc32fast::hash(&footer[..60]);
    footer[60..].copy_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&footer);
    bytes
}

/// The contents table is believed no further than it makes sense.
#[test]
fn contents_that_contradict_themselves() {
    let (_, good) = small();
    let contents = u64::from_le_bytes(good[good.len() - 48..][..8].try_into().expect("8 bytes"));
    let table = contents as usize..good.len() - 64;
    let mut opened = 0;
    for at in table.clone() {
        for bit in [0, 3, 7] {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            let crc = crc32fast::hash(&bytes[table.clone()]);
            let footer = bytes.len() - 64;
            bytes[footer + 40..footer + 44].copy_from_slice(&crc.to_le_bytes());
            let crc = crc32fast::hash(&bytes[footer..footer + 60]);
            bytes[footer + 60..].copy_from_slice(&crc.to_le_bytes());
            match open(&bytes) {
                // A flag, a section's checksum (which `verify` compares), or a length that no
                // row count pins down: no read may panic.
                Ok(segment) => {
                    opened += 1;
                    let _ = derived(&segment);
                    for row in 0..segment.rows() {
                        let _ = (segment.record_id(row), segment.metadata(row));
                        let _ = (segment.vector(row), segment.seq(row));
                        let _ = segment.find("", &id_of(u64::from(row)));
                    }
                    let _ = segment.verify(&file_of(&bytes));
                }
                Err(SegmentError::Corrupt { .. } | SegmentError::Unsupported { .. }) => {}
                Err(other) => panic!("byte {at}: {other}"),
            }
        }
    }
    assert!(opened < table.len() * 2, "{opened}");
}

#[allow(unreachable_pub)]
mod failing {
    //! A file system whose n-th call fails.

    use std::io;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use vecstore_segments::{MemVfs, Region, Vfs, VfsFile};

    #[derive(Clone, Debug)]
    pub struct FailingVfs {
        pub inner: MemVfs,
        pub calls_left: Arc<AtomicI64>,
    }

    impl FailingVfs {
        fn call(&self) -> io::Result<()> {
            match self.calls_left.fetch_sub(1, Ordering::Relaxed) {
                0 => Err(io::ErrorKind::StorageFull.into()),
                _ => Ok(()),
            }
        }
        fn wrap(&self, file: Box<dyn VfsFile>) -> Box<dyn VfsFile> {
            Box::new(FailingFile { vfs: self.clone(), file })
        }
    }

    impl Vfs for FailingVfs {
        fn create(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
            self.call().and_then(|()| self.inner.create(path)).map(|f| self.wrap(f))
        }
        fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
            self.call().and_then(|()| self.inner.open(path)).map(|f| self.wrap(f))
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.call().and_then(|()| self.inner.rename(from, to))
        }
        fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.call().and_then(|()| self.inner.hard_link(from, to))
        }
        fn remove_file(&self, path: &Path) -> io::Result<()> {
            self.call().and_then(|()| self.inner.remove_file(path))
        }
        fn create_dir_all(&self, path: &Path) -> io::Result<()> {
            self.call().and_then(|()| self.inner.create_dir_all(path))
        }
        fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
            self.call().and_then(|()| self.inner.remove_dir_all(path))
        }
        fn sync_dir(&self, path: &Path) -> io::Result<()> {
            self.call().and_then(|()| self.inner.sync_dir(path))
        }
        fn list(&self, path: &Path) -> io::Result<Vec<String>> {
            self.call().and_then(|()| self.inner.list(path))
        }
        fn file_len(&self, path: &Path) -> io::Result<Option<u64>> {
            self.call().and_then(|()| self.inner.file_len(path))
        }
        fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
            self.call().and_then(|()| self.inner.truncate(path, len))
        }
        fn stored_bytes(&self, dir: &Path) -> io::Result<u64> {
            self.call().and_then(|()| self.inner.stored_bytes(dir))
        }
        fn free_bytes(&self, path: &Path) -> io::Result<u64> {
            self.call().and_then(|()| self.inner.free_bytes(path))
        }
    }

    #[derive(Debug)]
    struct FailingFile {
        vfs: FailingVfs,
        file: Box<dyn VfsFile>,
    }

    impl VfsFile for FailingFile {
        fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            self.vfs.call().and_then(|()| self.file.write_at(offset, bytes))
        }
        fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
            self.vfs.call().and_then(|()| self.file.read_at(offset, bytes))
        }
        fn sync(&self) -> io::Result<()> {
            self.vfs.call().and_then(|()| self.file.sync())
        }
        fn len(&self) -> io::Result<u64> {
            self.vfs.call().and_then(|()| self.file.len())
        }
        fn map(&self) -> io::Result<Region> {
            self.vfs.call().and_then(|()| self.file.map())
        }
        fn seal(&self) -> io::Result<()> {
            self.vfs.call().and_then(|()| self.file.seal())
        }
    }
}

#[test]
fn a_call_that_fails_leaves_nothing_behind() {
    let model = rows_of(&[("", 40), ("b", 3)], 6, 4);
    let options = options(6, Metric::Cosine, 20);
    for calls in 0.. {
        let vfs = failing::FailingVfs { inner: memory(), calls_left: std::sync::Arc::default() };
        vfs.calls_left.store(calls, std::sync::atomic::Ordering::Relaxed);
        let result = write_segment(
            &vfs,
            &support::folder(),
            1,
            &model,
            &options,
            &vecstore_index::OneThread,
            &mut |_| std::ops::ControlFlow::Continue(()),
        );
        let names = vecstore_segments::Vfs::list(&vfs.inner, &support::folder()).expect("list");
        if result.is_ok() {
            assert!(calls > 30, "only {calls} calls");
            assert_eq!(names, ["000000000001.seg"]);
            break;
        }
        assert!(matches!(result, Err(SegmentError::Io { .. })), "call {calls}: {result:?}");
        assert_eq!(names, [""; 0], "call {calls}: {result:?}");
    }
}
