//! A real segment in memory, and its rows in plain lists beside it.

use std::ops::ControlFlow;
use std::path::Path;

use vecstore_index::{Codes, FieldLimits, GraphOptions, Metric, OneThread, Precision};
use vecstore_segments::{
    IndexKind, IndexOption, MemVfs, Metadata, RecordId, RowSource, Segment, SegmentError, Vfs,
    WriteOptions, write_segment,
};

/// Rows to write, ordered by namespace.
#[derive(Clone, Default)]
pub struct Records {
    pub namespaces: Vec<String>,
    pub vectors: Vec<Vec<f32>>,
    pub metadata: Vec<Metadata>,
}

impl Records {
    /// All in the namespace `""`.
    pub fn new(vectors: Vec<Vec<f32>>, metadata: Vec<Metadata>) -> Self {
        Records { namespaces: vec![String::new(); vectors.len()], vectors, metadata }
    }
}

impl RowSource for Records {
    fn rows(&self) -> u32 {
        self.vectors.len() as u32
    }
    fn namespace(&self, row: u32) -> Result<&str, SegmentError> {
        Ok(&self.namespaces[row as usize])
    }
    fn id(&self, row: u32) -> Result<RecordId, SegmentError> {
        Ok(RecordId::U64(u64::from(row)))
    }
    fn seq(&self, row: u32) -> u64 {
        u64::from(row) + 1
    }
    fn vector(&self, row: u32, vector: &mut [f32]) -> Result<(), SegmentError> {
        vector.copy_from_slice(&self.vectors[row as usize]);
        Ok(())
    }
    fn metadata(&self, row: u32, json: &mut Vec<u8>) -> Result<(), SegmentError> {
        json.clear();
        serde_json::to_writer(json, &self.metadata[row as usize]).expect("memory takes it");
        Ok(())
    }
}

pub fn options(metric: Metric, dim: usize) -> WriteOptions {
    WriteOptions {
        dim,
        metric,
        precision: Precision::F32,
        codes: Codes::Int8,
        graph: GraphOptions::default(),
        index: IndexOption::Always(IndexKind::Graph),
        index_rows_min: 500,
        sketch_rows_min: 500,
        fields: FieldLimits::default(),
        unindexed: Vec::new(),
        keep_free: 0,
    }
}

pub const FOLDER: &str = "segments";

/// Writes the records as segment 1.
pub fn write(vfs: &dyn Vfs, records: &Records, options: &WriteOptions) {
    vfs.create_dir_all(Path::new(FOLDER)).expect("a folder");
    write_segment(vfs, Path::new(FOLDER), 1, records, options, &OneThread, &mut |_| {
        ControlFlow::Continue(())
    })
    .expect("a segment");
}

pub fn open(vfs: &dyn Vfs) -> Segment {
    Segment::open(vfs, &Path::new(FOLDER).join(Segment::file_name(1))).expect("opens")
}

/// Writes and opens.
pub fn segment(records: &Records, options: &WriteOptions) -> Segment {
    let vfs = MemVfs::default();
    write(&vfs, records, options);
    open(&vfs)
}

/// The segment with a byte in the middle of a section changed; the one in `vfs` stays whole.
pub fn with_damage(vfs: &dyn Vfs, section: &str) -> Segment {
    let whole = open(vfs);
    let mut end = 64;
    let mut damaged_byte = None;
    for (name, bytes) in whole.section_bytes() {
        let large = matches!(
            name,
            "vectors" | "codes" | "links" | "cluster-blocks" | "sketch-rows" | "coarse-codes"
        );
        let start = u64::next_multiple_of(end, if large { 4096 } else { 64 });
        end = start + bytes;
        if name == section {
            damaged_byte = Some(start + bytes / 2);
        }
    }
    let damaged_byte = damaged_byte.expect("a section of this name") as usize;

    let file = vfs.open(whole.path()).expect("opens");
    let mut bytes = vec![0; file.len().expect("has a length") as usize];
    file.read_at(0, &mut bytes).expect("reads");
    bytes[damaged_byte] ^= 0x55;
    let copy = MemVfs::default();
    copy.create_dir_all(Path::new(FOLDER)).expect("a folder");
    copy.create(whole.path()).expect("creates").write_at(0, &bytes).expect("writes");

    let segment = open(&copy);
    let problems = segment.verify(&copy).expect("verifies").problems;
    assert!(problems.iter().any(|problem| problem.contains(section)), "{section}: {problems:?}");
    // Opened again: what `verify` found must not be known beforehand.
    open(&copy)
}
