//! Rows in plain lists, the slow twin of a segment.
#![allow(dead_code, unreachable_pub)] // Each test file uses a part.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;
use vecstore_index::{
    Codes, FieldLimits, GraphOptions, Metric, OneThread, Precision, Rows, Vectors, Workers,
};
use vecstore_segments::{
    IndexKind, IndexOption, MemVfs, Metadata, RecordId, RowSource, Segment, SegmentError, Vfs,
    WriteOptions, Written, write_segment,
};

#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub namespace: String,
    pub id: RecordId,
    pub seq: u64,
    pub vector: Vec<f32>,
    pub metadata: Metadata,
}

/// Rows in the order of a segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model(pub Vec<Row>);

impl Model {
    /// The rows as they are stored in a precision.
    pub fn of_precision(mut self, precision: Precision) -> Self {
        self.0.iter_mut().for_each(|row| precision.round(&mut row.vector));
        self
    }
}

impl RowSource for Model {
    fn rows(&self) -> u32 {
        self.0.len() as u32
    }
    fn namespace(&self, row: u32) -> Result<&str, SegmentError> {
        Ok(&self.0[row as usize].namespace)
    }
    fn id(&self, row: u32) -> Result<RecordId, SegmentError> {
        Ok(self.0[row as usize].id.clone())
    }
    fn seq(&self, row: u32) -> u64 {
        self.0[row as usize].seq
    }
    fn vector(&self, row: u32, vector: &mut [f32]) -> Result<(), SegmentError> {
        vector.copy_from_slice(&self.0[row as usize].vector);
        Ok(())
    }
    fn metadata(&self, row: u32, json: &mut Vec<u8>) -> Result<(), SegmentError> {
        json.clear();
        serde_json::to_writer(json, &self.0[row as usize].metadata).expect("writing to memory");
        Ok(())
    }
}

/// A generator with a fixed sequence: PCG-like steps, good enough to make rows differ.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 ^ self.0 >> 29).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16
    }
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
    pub fn float(&mut self) -> f32 {
        self.below(2001) as f32 / 1000.0 - 1.0
    }
}

/// The `n`th id of a namespace; all kinds take turns.
pub fn id_of(n: u64) -> RecordId {
    match n % 4 {
        0 => RecordId::from(n),
        1 => RecordId::from(Uuid::from_u128(u128::from(n) << 64 | 7)),
        2 => RecordId::from(format!("record-{n}")),
        _ => RecordId::from(format!("{n}{}", "x".repeat((n % 480) as usize))),
    }
}

/// An object whose text has about `size` bytes.
pub fn metadata_of(n: u64, size: usize) -> Metadata {
    let value = json!({
        "n": n,
        "even": n.is_multiple_of(2),
        "price": n as f64 / 8.0,
        "tags": ["a", format!("t{}", n % 5)],
        "deep": { "note": null, "text": "é".repeat(size / 2) },
    });
    match value {
        Value::Object(object) if size > 0 => object,
        _ => Metadata::new(),
    }
}

/// Rows of several namespaces, `(name, rows)` each, ascending by name.
pub fn rows_of(namespaces: &[(&str, u64)], dim: usize, seed: u64) -> Model {
    let mut numbers = Numbers(seed);
    let mut rows = Vec::new();
    for (name, count) in namespaces {
        for n in 0..*count {
            let size = numbers.below(60) as usize;
            rows.push(Row {
                namespace: (*name).to_owned(),
                id: id_of(n),
                seq: numbers.next(),
                vector: (0..dim).map(|_| numbers.float()).collect(),
                metadata: metadata_of(numbers.below(1000), size),
            });
        }
    }
    Model(rows)
}

/// Models of all shapes: namespaces, ids, sizes, dimensions.
pub fn any_model(rows_max: u64) -> impl Strategy<Value = (usize, Model)> {
    let namespace = prop_oneof![Just(String::new()), "[a-c]{1,3}", "\\PC{1,8}"];
    let namespaces = prop::collection::btree_map(namespace, 1..=rows_max, 0..5);
    (1usize..=70, namespaces, any::<u64>(), prop::sample::select(vec![0usize, 9, 500, 40_000]))
        .prop_map(|(dim, namespaces, seed, size_max)| {
            let names: Vec<_> = namespaces.iter().map(|(n, c)| (n.as_str(), *c)).collect();
            let mut model = rows_of(&names, dim, seed);
            let mut numbers = Numbers(seed ^ 99);
            for row in &mut model.0 {
                let size = if size_max == 0 { 0 } else { numbers.below(size_max as u64) };
                row.metadata = metadata_of(numbers.below(1000), size as usize);
            }
            (dim, model)
        })
}

pub fn any_precision() -> impl Strategy<Value = Precision> {
    prop::sample::select(Precision::ALL.to_vec())
}

pub fn any_codes() -> impl Strategy<Value = Codes> {
    prop::sample::select(Codes::ALL.to_vec())
}

pub fn any_metric() -> impl Strategy<Value = Metric> {
    prop::sample::select(Metric::ALL.to_vec())
}

pub fn options(dim: usize, metric: Metric, index_rows_min: u32) -> WriteOptions {
    WriteOptions {
        dim,
        metric,
        precision: Precision::F32,
        codes: Codes::Int8,
        graph: GraphOptions { m: 4, ef_construction: 20, seed: 1 },
        index: IndexOption::Always(IndexKind::Graph),
        index_rows_min,
        sketch_rows_min: 30,
        fields: FieldLimits::default(),
        unindexed: Vec::new(),
        keep_free: 0,
    }
}

pub fn folder() -> PathBuf {
    PathBuf::from("seg")
}

pub fn path_of(id: u64) -> PathBuf {
    folder().join(Segment::file_name(id))
}

/// A file system in memory with the folder of the segments.
pub fn memory() -> MemVfs {
    let vfs = MemVfs::default();
    vfs.create_dir_all(&folder()).expect("memory");
    vfs
}

pub fn write(
    vfs: &dyn Vfs,
    id: u64,
    source: &dyn RowSource,
    options: &WriteOptions,
) -> Result<Written, SegmentError> {
    write_with(vfs, &folder(), id, source, options, &OneThread)
}

pub fn write_with(
    vfs: &dyn Vfs,
    dir: &Path,
    id: u64,
    source: &dyn RowSource,
    options: &WriteOptions,
    workers: &dyn Workers,
) -> Result<Written, SegmentError> {
    write_segment(vfs, dir, id, source, options, workers, &mut |_| ControlFlow::Continue(()))
}

/// Writes and opens a segment.
pub fn sealed(vfs: &dyn Vfs, id: u64, source: &dyn RowSource, options: &WriteOptions) -> Segment {
    let written = write(vfs, id, source, options).expect("write");
    let segment = Segment::open(vfs, &path_of(id)).expect("open");
    assert_eq!((written.rows, written.bytes), (segment.rows(), segment.bytes()));
    segment
}

pub fn read_file(vfs: &dyn Vfs, path: &Path) -> Vec<u8> {
    let file = vfs.open(path).expect("open");
    let mut bytes = vec![0; file.len().expect("len") as usize];
    file.read_at(0, &mut bytes).expect("read");
    bytes
}

/// A file system with one file of the given bytes, at `path_of(1)`.
pub fn file_of(bytes: &[u8]) -> MemVfs {
    let vfs = memory();
    vfs.create(&path_of(1)).expect("create").write_at(0, bytes).expect("write");
    vfs
}

/// What the metadata reads as after a round trip through text.
pub fn as_stored(metadata: &Metadata) -> Metadata {
    serde_json::from_str(&serde_json::to_string(metadata).expect("text")).expect("object")
}

/// Everything that can be read of a segment is what the model says.
pub fn check(segment: &Segment, model: &Model) {
    assert_eq!(segment.rows() as usize, model.0.len());
    let vectors = segment.vectors(0..segment.rows());
    let mut start = 0;
    for namespace in segment.namespaces() {
        assert_eq!(namespace.rows.start, start);
        start = namespace.rows.end;
        assert_eq!(segment.namespace(&namespace.name), Some(namespace));
        for row in namespace.rows.clone() {
            assert_eq!(model.0[row as usize].namespace, namespace.name);
        }
        let codes = segment.codes(namespace.rows.clone());
        let Some(quantizer) = segment.quantizer().expect("quantizer") else {
            assert_eq!(segment.codes_kept(), Codes::None);
            continue;
        };
        let mut code = vec![0; quantizer.code_len()];
        for (i, row) in namespace.rows.clone().enumerate() {
            quantizer.encode(&model.0[row as usize].vector, &mut code);
            assert_eq!(codes.row(i as u32), Ok(&code[..]));
        }
    }
    assert_eq!(start, segment.rows());
    for (row, expected) in (0..).zip(&model.0) {
        assert_eq!(segment.record_id(row).expect("id"), expected.id);
        assert_eq!(segment.seq(row).expect("seq"), expected.seq);
        assert_eq!(segment.vector(row).expect("vector").to_vec(), expected.vector);
        assert_eq!(vectors.vector(row).expect("vector").to_vec(), expected.vector);
        assert_eq!(segment.metadata(row).expect("metadata"), as_stored(&expected.metadata));
        let found = segment.find(&expected.namespace, &expected.id).expect("find");
        assert_eq!(found, Some(row));
    }
    let mut visited = Vec::new();
    segment
        .visit_metadata(&mut (0..segment.rows()), &mut |row, metadata| {
            visited.push((row, metadata.clone()));
        })
        .expect("metadata");
    let expected: Vec<_> = (0..).zip(model.0.iter().map(|r| as_stored(&r.metadata))).collect();
    assert_eq!(visited, expected);
    assert_eq!(segment.degraded(), [""; 0]);
}

/// The bytes of the section of kind `kind`, found as `FORMAT.md` says.
pub fn section_of(file: &[u8], kind: u32) -> std::ops::Range<usize> {
    let u32_at = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("4 bytes"));
    let u64_at =
        |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().expect("8 bytes")) as usize;
    let footer = file.len() - 64;
    let mut entry = u64_at(footer + 16);
    while u32_at(entry) != kind {
        entry += 32;
        assert!(entry < footer, "no section {kind}");
    }
    u64_at(entry + 8)..u64_at(entry + 8) + u64_at(entry + 16)
}

/// The file with the checksums that its bytes should have, as `FORMAT.md` says.
pub fn with_right_checksums(file: &[u8]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    let u32_at =
        |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4"));
    let u64_at = |bytes: &[u8], at: usize| {
        u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes")) as usize
    };
    let checksums = section_of(file, 64);
    let footer = bytes.len() - 64;
    let contents = u64_at(&bytes, footer + 16);
    let entries = (contents..footer).step_by(32);
    // The section of checksums last, as it is checked too.
    let (checks, others): (Vec<usize>, Vec<usize>) =
        entries.partition(|entry| u32_at(file, *entry) == 64);
    for entry in others.into_iter().chain(checks) {
        let start = u64_at(&bytes, entry + 8);
        let section = bytes[start..start + u64_at(&bytes, entry + 16)].to_vec();
        bytes[entry + 24..entry + 28].copy_from_slice(&crc32fast::hash(&section).to_le_bytes());
        if u32_at(file, entry) != 64 {
            let first = u32_at(&bytes, entry + 28) as usize;
            for (block, data) in (first..).zip(section.chunks(64 << 10)) {
                let at = checksums.start + 4 * block;
                bytes[at..at + 4].copy_from_slice(&crc32fast::hash(data).to_le_bytes());
            }
        }
    }
    let crc = crc32fast::hash(&bytes[contents..footer]);
    bytes[footer + 40..footer + 44].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32fast::hash(&bytes[footer..footer + 60]);
    bytes[footer + 60..].copy_from_slice(&crc.to_le_bytes());
    bytes
}
