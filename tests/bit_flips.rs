//! Bit flips in segment files, below a whole database: whatever is asked then, the answer is right or
//! an error says what is damaged; `verify` sees every flip; nothing panics.
//!
//! Each byte of header, contents table and footer, and 2,000 places by chance in everything else,
//! padding included; `VECSTORE_LONG=1`: each bit of the former, and 12,000 places. The superblock and
//! the log are in `log_damage.rs`.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use vecstore::simulation::{
    Batch, CompactError, Kv, MemVfs, MemoryKv, Space, Vfs, Visit, open as open_over,
};
use vecstore::{
    Collection, Database, ErrorKind, Include, IndexOption, Metric, Options, QueryResult, Record,
    RecordId,
};
use vecstore_tests::segment_file::{self, DERIVED, END_BYTES};
use vecstore_tests::{Contents, Random, everything, is_long};

const DIM: usize = 96;
/// Enough for an index.
const ROWS: u64 = 2_060;
const FILTER: &str = "n < 900 AND tag IN ['t1', 't3']";
const QUERIES: usize = 2;

/// A store that outlives the database.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<MemoryKv>);

impl Kv for Kept {
    fn commit(&self, batch: Batch, durable: bool) -> vecstore::Result<()> {
        self.0.commit(batch, durable)
    }
    fn scan(&self, space: Space, prefix: &[u8], visit: &mut Visit<'_>) -> vecstore::Result<()> {
        self.0.scan(space, prefix, visit)
    }
    fn sync(&self) -> vecstore::Result<()> {
        self.0.sync()
    }
    fn bytes(&self) -> vecstore::Result<u64> {
        self.0.bytes()
    }
    fn memory_bytes(&self) -> u64 {
        self.0.memory_bytes()
    }
    fn prepare_compact(&self) -> vecstore::Result<()> {
        self.0.prepare_compact()
    }
    fn compact(&self) -> Result<(), CompactError> {
        self.0.compact()
    }
}

/// A database in memory that can be opened again and again, with one file flipped.
struct Ground {
    files: MemVfs,
    kv: Kept,
    path: PathBuf,
    good: Vec<u8>,
    right: Right,
}

/// What is there, and every record's place in an exact answer to each query.
struct Right {
    contents: Contents,
    queries: Vec<Vec<f32>>,
    near: Vec<BTreeMap<RecordId, f32>>,
    exact: Vec<QueryResult>,
    matching: u64,
}

fn record(n: u64, random: &mut Random) -> Record {
    let text = "text ".repeat(n as usize % 9);
    Record::new(
        if n.is_multiple_of(3) { format!("id {n}").into() } else { RecordId::from(n) },
        random.vector(DIM),
    )
    .metadata(json!({"n": n, "tag": format!("t{}", n % 5), "deep": {"text": text}}))
}

impl Ground {
    /// One segment with an index of the given kind, of which some rows are dead.
    fn new(index: IndexOption) -> Ground {
        let (files, kv) = (MemVfs::default(), Kept::default());
        let db = open(&files, &kv).unwrap();
        let collection = Collection::options(DIM, Metric::Euclidean).index(index);
        let docs = db.create_collection("docs", collection).unwrap();
        let mut random = Random::new(5);
        docs.batch_upsert((0..ROWS).map(|n| record(n, &mut random)).collect()).unwrap();
        let other = docs.namespace("other").unwrap();
        other.batch_upsert((0..40).map(|n| record(n, &mut random)).collect()).unwrap();
        docs.flush().unwrap();
        docs.remove_where("n >= 2040").unwrap();
        let segments = docs.stats().unwrap().segments;
        assert_eq!(segments.len(), 1);
        let path = Path::new("db/seg").join(format!("{:012}.seg", segments[0].id));
        let contents = everything(&docs).unwrap();
        let queries: Vec<Vec<f32>> = (0..QUERIES).map(|_| random.vector(DIM)).collect();
        let all = |query: &Vec<f32>| docs.query(query).k(ROWS as usize).exact().run().unwrap();
        let near = queries.iter().map(all).map(|result| {
            assert_eq!(result.hits.len(), contents.len());
            result.hits.into_iter().map(|hit| (hit.id, hit.distance)).collect()
        });
        let near = near.collect();
        let exact = queries.iter().map(|query| docs.query(query).exact().run().unwrap()).collect();
        let matching = docs.count(Some(FILTER)).unwrap();
        drop((other, docs, db));
        let file = files.open(&path).unwrap();
        let mut good = vec![0; file.len().unwrap() as usize];
        file.read_at(0, &mut good).unwrap();
        let right = Right { contents, queries, near, exact, matching };
        Ground { files, kv, path, good, right }
    }

    /// Flips bits of a byte, for as long as `then` runs.
    fn flipped<T>(&self, at: usize, bits: u8, then: impl FnOnce() -> T) -> T {
        let mut bytes = self.good.clone();
        bytes[at] ^= bits;
        self.put(&bytes);
        let done = then();
        self.put(&self.good);
        done
    }

    fn put(&self, bytes: &[u8]) {
        self.files.remove_file(&self.path).unwrap();
        self.files.create(&self.path).unwrap().write_at(0, bytes).unwrap();
    }

    /// Asks for everything with one byte flipped. Whether each answer was right, or some were
    /// refused or incomplete; `None` if the database does not open.
    fn ask(&self, at: usize, bits: u8, place: &str) -> Option<bool> {
        self.flipped(at, bits, || {
            let db = match open(&self.files, &self.kv) {
                Ok(db) => db,
                Err(error) => {
                    is_named(&error, place);
                    return None;
                }
            };
            let docs = db.collection("docs").unwrap();
            let of_records = segment_file::sections(&self.good)
                .iter()
                .any(|(kind, range)| *kind < DERIVED.start && range.contains(&at));
            let right = self.right.read(&docs, at, of_records, place);
            let seen = db.verify().is_ok_and(|report| !report.problems.is_empty());
            assert!(seen, "{place}: `verify` does not see it");
            Some(right)
        })
    }
}

fn open(files: &MemVfs, kv: &Kept) -> vecstore::Result<Database> {
    let options = Options { threads: 1, background_merge: false, ..Options::default() };
    open_over(Path::new("db"), options, Arc::new(files.clone()), Box::new(kv.clone()))
}

fn is_named(error: &vecstore::Error, place: &str) {
    assert!(
        matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported),
        "{place}: {:?}: {error}",
        error.kind()
    );
    assert!(error.to_string().contains(".seg"), "{place}: {error}");
}

impl Right {
    /// Whether everything that is asked of the collection is answered, and rightly; what is refused
    /// has to be named. With `whole` every record is read.
    fn read(&self, docs: &Collection, at: usize, whole: bool, place: &str) -> bool {
        let mut all = true;
        fn given<T>(all: &mut bool, place: &str, asked: vecstore::Result<T>) -> Option<T> {
            match asked {
                Ok(found) => Some(found),
                Err(error) => {
                    is_named(&error, place);
                    *all = false;
                    None
                }
            }
        }
        for (number, query) in self.queries.iter().enumerate() {
            let asked = [
                docs.query(query).exact().run(),
                docs.query(query).run(),
                docs.query(query).filter(FILTER).include(Include::ALL).run(),
            ];
            for (how, asked) in asked.into_iter().enumerate() {
                let Some(found) = given(&mut all, place, asked) else { continue };
                if found.complete && how == 0 {
                    assert!(found == self.exact[number], "{place}: {:?}", found.hits);
                }
                assert!(!found.complete || found.hits.len() == 10, "{place}: {:?}", found.hits);
                all &= found.complete;
                for hit in &found.hits {
                    // A record that is there, at its distance, with its metadata.
                    let near = self.near[number].get(&hit.id);
                    assert_eq!(near, Some(&hit.distance), "{place}: {:?}", hit.id);
                    let (vector, metadata) = &self.contents[&hit.id];
                    assert_eq!(&hit.metadata, metadata, "{place}: {:?}", hit.id);
                    assert!(
                        hit.vector.is_empty() || &hit.vector == vector,
                        "{place}: {:?}",
                        hit.id
                    );
                    assert!(how < 2 || matches(metadata), "{place}: {:?}", hit.id);
                }
            }
        }
        let ids = self.contents.keys().skip(at % 100).step_by(100);
        for id in ids {
            let Some(found) = given(&mut all, place, docs.get(id.clone())) else { continue };
            let found = found.map(|record| (record.vector, record.metadata));
            assert!(found.as_ref() == self.contents.get(id), "{place}: {id:?}: {found:?}");
        }
        for n in 0..3 {
            let absent = RecordId::from(5_000_000 + n);
            let found = given(&mut all, place, docs.get(absent));
            assert!(found.flatten().is_none(), "{place}: a record that was never there");
        }
        if let Some(count) = given(&mut all, place, docs.count(Some(FILTER))) {
            assert_eq!(count, self.matching, "{place}");
        }
        // The slowest by far, and nothing that is derived is asked for it.
        let all_read = (whole || at.is_multiple_of(10)).then(|| everything(docs));
        if let Some(found) = all_read.and_then(|read| given(&mut all, place, read)) {
            assert!(found == self.contents, "{place}: other contents");
        }
        all
    }
}

/// [`FILTER`], in plain words.
fn matches(metadata: &serde_json::Map<String, Value>) -> bool {
    metadata["n"].as_u64() < Some(900) && (metadata["tag"] == "t1" || metadata["tag"] == "t3")
}

fn grounds() -> [(IndexOption, Ground); 2] {
    [IndexOption::Graph, IndexOption::Clusters].map(|index| (index, Ground::new(index)))
}

#[test]
fn every_byte_of_the_head_is_guarded() {
    let mut flips = 0;
    for (index, ground) in grounds() {
        let len = ground.good.len();
        let contents = segment_file::contents(&ground.good);
        assert!(contents.len() > 15 * 32);
        for at in (0..END_BYTES).chain(contents).chain(len - END_BYTES..len) {
            let one_bit = (0..8).map(|bit| 1 << bit).filter(|_| is_long());
            for bits in one_bit.chain([1 << (at % 8), 0xff]) {
                let place = format!("{index}, byte {at} of {len}, {bits:#04x}");
                assert_eq!(ground.ask(at, bits, &place), None, "{place}: it opens");
                flips += 1;
            }
        }
    }
    println!("{flips} flips of header, contents table and footer: each refused");
    assert!(flips > 2_000, "{flips}");
}

#[test]
fn flips_in_the_data_are_told_or_harmless() {
    let seed = std::env::var("VECSTORE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    println!("VECSTORE_SEED={seed}");
    let mut random = Random::new(seed);
    let flips = if is_long() { 12_000 } else { 2_000 };
    // By what is flipped: the database does not open, an answer is refused or incomplete, all right.
    let mut outcomes: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    for (index, ground) in grounds() {
        let sections = segment_file::sections(&ground.good);
        let contents = segment_file::contents(&ground.good);
        for _ in 0..flips / 2 {
            // Each section as often as any other, and sometimes any byte, which may be padding.
            let number = random.below(sections.len() as u64 + 1) as usize;
            let at = match sections.get(number) {
                Some((_, range)) => range.start + random.below(range.len() as u64) as usize,
                None => END_BYTES + random.below((contents.start - END_BYTES) as u64) as usize,
            };
            let bits = if random.below(4) == 0 {
                random.below(255) as u8 + 1
            } else {
                1 << random.below(8)
            };
            let kind =
                sections.iter().find(|(_, range)| range.contains(&at)).map(|(kind, _)| *kind);
            let place = format!("seed {seed}, {index}, byte {at} ({kind:?}), {bits:#04x}");
            let asked = ground.ask(at, bits, &place);
            let what = match kind {
                None => "padding",
                Some(1 | 64) => "namespaces and checksums",
                Some(kind) if DERIVED.contains(&kind) => "derived sections",
                Some(_) => "truth sections",
            };
            // Derived sections can be done without, and padding means nothing.
            let harmless = matches!(what, "padding" | "derived sections");
            assert!(!harmless || asked == Some(true), "{place}: {asked:?}");
            let outcome = match asked {
                None => 0,
                Some(false) => 1,
                Some(true) => 2,
            };
            outcomes.entry(what).or_default()[outcome] += 1;
        }
    }
    for (what, [refused, told, right]) in &outcomes {
        println!(
            "{what}: {refused} not opened, {told} with errors, {right} with right answers alone"
        );
    }
    assert_eq!(outcomes.values().flatten().sum::<u64>(), flips);
    assert!(outcomes["truth sections"][1] > flips / 10, "{outcomes:?}");
}
