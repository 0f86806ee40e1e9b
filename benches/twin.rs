//! What `bindings/python/benches/ratios.py` does, done in Rust, so that the two can be compared.
//!
//! Reads requests from standard input, one a line, and answers each with one line of nanoseconds:
//!
//! ```text
//! data FOLDER                reads base.f16.npy, queries.f16.npy and records.jsonl.gz
//! ingest PATH BYTES          a new database there with a memtable of BYTES: the batch, then flush
//! open PATH                  opens the database there
//! single K                   each query alone
//! batch K                    all queries in one call
//! ```

#![allow(clippy::print_stdout)]

mod data;

use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use vecstore::{Collection, Database, Metric, Options, Record};

use data::{read_records, read_vectors};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// As many records as one call takes.
const PART: usize = vecstore::limits::BATCH_RECORDS_MAX;

#[derive(Default)]
struct Twin {
    base: Vec<Record>,
    queries: Vec<Vec<f32>>,
    flat: Vec<f32>,
    open: Option<(Database, Collection)>,
}

impl Twin {
    fn read(&mut self, folder: &Path) -> Result<()> {
        let records = read_records(&folder.join("records.jsonl.gz"))?;
        let vectors = read_vectors(&folder.join("base.f16.npy"))?;
        let rows = (0_u64..).zip(vectors.into_iter().zip(records));
        self.base = rows
            .map(|(id, (vector, metadata))| {
                Record::new(id, vector).metadata(Value::Object(metadata))
            })
            .collect();
        self.queries = read_vectors(&folder.join("queries.f16.npy"))?;
        self.flat = self.queries.concat();
        Ok(())
    }

    /// Nanoseconds of the writes, and of the flush after them.
    fn ingest(&self, path: &Path, memtable_bytes: usize) -> Result<[u128; 2]> {
        let dim = self.base.first().ok_or("no data was read")?.vector.len();
        let options = Options { memtable_bytes_max: memtable_bytes, ..Options::default() };
        let db = Database::open_with(path, options)?;
        let docs = db.create_collection("docs", Collection::options(dim, Metric::Cosine))?;
        // The engine takes records for itself; that there are two of each is not its cost.
        let parts: Vec<Vec<Record>> = self.base.chunks(PART).map(<[Record]>::to_vec).collect();
        let started = Instant::now();
        for part in parts {
            docs.batch_upsert(part)?;
        }
        let written = started.elapsed();
        docs.flush()?;
        Ok([written.as_nanos(), (started.elapsed() - written).as_nanos()])
    }

    fn answer(&mut self, request: &str) -> Result<Vec<u128>> {
        let words: Vec<&str> = request.split_whitespace().collect();
        match (&words[..], &self.open) {
            (["data", folder], _) => {
                self.read(Path::new(folder))?;
                Ok(vec![self.base.len() as u128])
            }
            (["ingest", path, bytes], _) => {
                Ok(self.ingest(Path::new(path), bytes.parse()?)?.to_vec())
            }
            (["open", path], _) => {
                let db = Database::open_existing(path, Options::default())?;
                let docs = db.collection("docs")?;
                self.open = Some((db, docs));
                Ok(Vec::new())
            }
            (["single", k], Some((_, docs))) => {
                let k = k.parse()?;
                let mut times = Vec::with_capacity(self.queries.len());
                for query in &self.queries {
                    let started = Instant::now();
                    let found = docs.query(query).k(k).run()?;
                    times.push(started.elapsed().as_nanos());
                    drop(found);
                }
                Ok(times)
            }
            (["batch", k], Some((_, docs))) => {
                let k = k.parse()?;
                let started = Instant::now();
                let found = docs.query_batch(&self.flat, |query| query.k(k))?;
                let time = started.elapsed().as_nanos();
                drop(found);
                Ok(vec![time])
            }
            _ => Err(format!("`{request}` is no request, or comes before `data` or `open`").into()),
        }
    }
}

fn main() -> Result<()> {
    let mut twin = Twin::default();
    for request in std::io::stdin().lock().lines() {
        let answer: Vec<String> = twin.answer(&request?)?.iter().map(u128::to_string).collect();
        println!("{}", answer.join(" "));
    }
    Ok(())
}
