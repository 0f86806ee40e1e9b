//! What the tests share: real records, generated vectors, and the plain twins of the fast paths.

#[cfg(target_os = "linux")]
pub mod block_device;
pub mod folder_image;
pub mod history;
pub mod process;
pub mod segment_file;
pub mod simulation;
pub mod volume;

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Map, Value};
use vecstore::{Collection, Database, Metric, Record, RecordId};
use vecstore_index::ExactQuery;

/// Whether tests that have a long form run it: `VECSTORE_LONG=1`.
pub fn is_long() -> bool {
    std::env::var_os("VECSTORE_LONG").is_some_and(|value| value != "0")
}

/// Vectors of equal length with a JSON object each.
#[derive(Debug)]
pub struct Dataset {
    /// Components of a vector.
    pub dim: usize,
    /// The vectors.
    pub vectors: Vec<Vec<f32>>,
    /// Their records, in the same order.
    pub records: Vec<Map<String, Value>>,
}

/// 10,000 WordNet definitions, and the queries that go with them.
#[derive(Debug)]
pub struct Wordnet {
    /// What is stored.
    pub base: Dataset,
    /// Definitions that are not in `base`.
    pub queries: Dataset,
}

/// The WordNet sample that ships with the demo.
pub fn wordnet() -> &'static Wordnet {
    static WORDNET: OnceLock<Wordnet> = OnceLock::new();
    WORDNET.get_or_init(|| {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/data/wordnet-10k");
        Wordnet {
            base: Dataset::load(&dir.join("base.f16.npy"), &dir.join("records.jsonl.gz")),
            queries: Dataset::load(&dir.join("queries.f16.npy"), &dir.join("queries.jsonl")),
        }
    })
}

impl Dataset {
    fn load(vectors: &Path, records: &Path) -> Self {
        let (dim, vectors) = read_f16_npy(vectors);
        let file = std::fs::File::open(records).expect("a record file of the repository");
        let lines: Box<dyn std::io::Read> = match records.extension() {
            Some(gz) if gz == "gz" => Box::new(flate2::read::GzDecoder::new(file)),
            _ => Box::new(file),
        };
        let records: Vec<Map<String, Value>> =
            serde_json::Deserializer::from_reader(BufReader::new(lines))
                .into_iter()
                .map(|record| record.expect("a JSON object"))
                .collect();
        assert_eq!(vectors.len(), records.len(), "a record for each vector");
        Dataset { dim, vectors, records }
    }

    /// Record `row`, with its row number as id.
    pub fn record(&self, row: usize) -> Record {
        Record::new(row as u64, self.vectors[row].clone())
            .metadata(Value::Object(self.records[row].clone()))
    }
}

fn read_f16_npy(path: &Path) -> (usize, Vec<Vec<f32>>) {
    let bytes = std::fs::read(path).expect("a vector file of the repository");
    let head = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..head]).into_owned();
    let dim: usize = header
        .split_once(", ")
        .and_then(|_| header.rsplit_once("shape': ("))
        .and_then(|(_, shape)| shape.split([',', ')']).nth(1)?.trim().parse().ok())
        .expect("a two-dimensional array");
    let values: Vec<f32> = bytes[head..]
        .chunks_exact(2)
        .map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32())
        .collect();
    (dim, values.chunks_exact(dim).map(<[f32]>::to_vec).collect())
}

/// Rows of `vectors` for which `keep` holds, nearest first, ties by row: the plain scan that every
/// search is compared with.
pub fn nearest(
    metric: Metric,
    vectors: &[Vec<f32>],
    query: &[f32],
    k: usize,
    keep: impl Fn(usize) -> bool,
) -> Vec<usize> {
    let exact = ExactQuery::new(metric, query);
    let mut all: Vec<(f32, usize)> = vectors
        .iter()
        .enumerate()
        .filter(|(row, _)| keep(*row))
        .map(|(row, vector)| (exact.distance(vector), row))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    all.into_iter().take(k).map(|(_, row)| row).collect()
}

/// The part of `truth` that is in `found`, 0 to 1; 1 for an empty truth.
pub fn recall<T: PartialEq>(truth: &[T], found: &[T]) -> f64 {
    if truth.is_empty() {
        return 1.0;
    }
    truth.iter().filter(|row| found.contains(row)).count() as f64 / truth.len() as f64
}

/// A small generator whose numbers depend on the seed alone (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.number() % n
    }

    /// A vector with components in `-1 .. 1`.
    pub fn vector(&mut self, dim: usize) -> Vec<f32> {
        (0..dim).map(|_| (self.number() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
    }
}

/// A database in memory with one collection.
pub fn in_memory(dim: usize, metric: Metric) -> (Database, Collection) {
    let db = Database::in_memory().expect("a database in memory");
    let docs =
        db.create_collection("docs", Collection::options(dim, metric)).expect("a new collection");
    (db, docs)
}

/// What a namespace holds: id to (vector, metadata).
pub type Contents = BTreeMap<RecordId, (Vec<f32>, Map<String, Value>)>;

/// Every record of a namespace.
pub fn everything(docs: &Collection) -> vecstore::Result<Contents> {
    let mut all = Contents::new();
    for page in docs.scroll().include(vecstore::Include::ALL).limit(1_000).pages()? {
        for record in page?.records {
            all.insert(record.id, (record.vector, record.metadata));
        }
    }
    Ok(all)
}

/// Bytes of all files below a folder, as stored (blocks, not lengths); one that an open database
/// removes meanwhile has none.
pub fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    let mut folders: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                bytes += metadata.blocks() * 512;
            }
        }
    }
    bytes
}
