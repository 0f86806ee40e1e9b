//! What a live collection does: queries on rows in memory, beside a writer, and what a flush costs.
//!
//! ```text
//! cargo run --release -p vecstore-benches --bin realtime -- DATA [PART …]
//! ```
//!
//! `DATA` holds `base.f16.npy`, `records.jsonl.gz` and `queries.f16.npy`. Parts, all by default:
//! - `latency`: queries on 1,000, 2,000, 10,000 and 50,000 rows in memory, at rest: time, recall@10
//!   against an exact scan, and the time of that scan;
//! - `filter`: the first query with a filter on 20,000 rows in memory, and later ones;
//! - `flush`: 20,000 rows become a segment, never queried before, and queried;
//! - `beside`: one thread upserts single records while two threads query, against the same two
//!   threads alone: at several rates and as fast as it can, beside readers that query without a pause and
//!   beside some that pause; with the recall of what had been inserted when a query began. Where the
//!   threads are more than the cores, a query waits for its turn whatever the database does; so the same
//!   is measured beside a thread that only counts.

#![allow(clippy::print_stdout)]

mod beside;
#[path = "../data.rs"]
mod data;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use vecstore::{Collection, Database, Include, Metric, Options, Record};

use data::{read_records, read_vectors};

const K: usize = 10;

/// Measures and prints.
type Part = fn(&Set) -> Result<(), AnyError>;
type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args_os().skip(1);
    let data: PathBuf = arguments.next().ok_or("usage: realtime DATA [PART …]")?.into();
    let parts: Vec<String> = arguments.map(|part| part.to_string_lossy().into_owned()).collect();
    let set = Set::read(&data)?;
    println!(
        "{} vectors of {} components, {} queries",
        set.base.len(),
        set.base[0].len(),
        set.queries.len()
    );
    let all: [(&str, Part); 4] =
        [("latency", latency), ("filter", filter), ("flush", flush), ("beside", beside::beside)];
    for (name, part) in all {
        if parts.is_empty() || parts.iter().any(|wanted| wanted == name) {
            println!("\n{name}");
            part(&set)?;
        }
    }
    Ok(())
}

struct Set {
    base: Vec<Vec<f32>>,
    records: Vec<serde_json::Map<String, serde_json::Value>>,
    queries: Vec<Vec<f32>>,
}

impl Set {
    fn read(data: &Path) -> Result<Self, AnyError> {
        Ok(Set {
            base: read_vectors(&data.join("base.f16.npy"))?,
            records: read_records(&data.join("records.jsonl.gz"))?,
            queries: read_vectors(&data.join("queries.f16.npy"))?,
        })
    }

    fn record(&self, row: usize) -> Record {
        Record::new(row as u64, self.base[row].clone()).metadata(self.records[row].clone().into())
    }

    /// A collection whose rows all stay in memory.
    fn in_memory(&self, rows: usize) -> Result<(Database, Collection), AnyError> {
        let options = Options { memtable_bytes_max: 1 << 40, ..Options::default() };
        let db = Database::in_memory_with(options)?;
        let docs =
            db.create_collection("docs", Collection::options(self.base[0].len(), Metric::Cosine))?;
        self.fill(&docs, 0..rows)?;
        Ok((db, docs))
    }

    fn fill(&self, docs: &Collection, rows: std::ops::Range<usize>) -> Result<(), AnyError> {
        for start in rows.clone().step_by(1_000) {
            let end = rows.end.min(start + 1_000);
            docs.batch_upsert((start..end).map(|row| self.record(row)).collect())?;
        }
        Ok(())
    }

    /// Queries until what they cost stays the same for a second: nothing is being linked.
    fn settle(&self, docs: &Collection, filter: Option<&str>) -> Result<Duration, AnyError> {
        let start = Instant::now();
        let (mut before, mut equal) = (0, 0);
        while equal < 10 {
            let mut query = docs.query(&self.queries[0]).k(K);
            if let Some(filter) = filter {
                query = query.filter(filter);
            }
            let (_, plan) = query.explain()?;
            let now = plan.segments.iter().map(|s| s.distances + s.rows_read).sum();
            equal = if now == before { equal + 1 } else { 0 };
            before = now;
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(start.elapsed().saturating_sub(Duration::from_secs(1)))
    }
}

/// Sorted times.
struct Times(Vec<Duration>);

impl Times {
    fn new(mut times: Vec<Duration>) -> Self {
        times.sort();
        Times(times)
    }

    fn us(&self, part: f64) -> f64 {
        let at = ((self.0.len() - 1) as f64 * part) as usize;
        self.0[at].as_secs_f64() * 1e6
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (p50, p99) = (self.us(0.5), self.us(0.99));
        write!(f, "p50 {p50:.0} µs, p99 {p99:.0} µs")
    }
}

fn ids(docs: &Collection, query: &[f32], exact: bool) -> Result<Vec<u64>, AnyError> {
    let mut query = docs.query(query).k(K).include(Include::NOTHING);
    if exact {
        query = query.exact();
    }
    let id = |hit: &vecstore::Hit| hit.id.to_string().parse();
    Ok(query.run()?.iter().map(id).collect::<Result<_, _>>()?)
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

fn latency(set: &Set) -> Result<(), AnyError> {
    for rows in [1_000, 2_000, 10_000, 50_000] {
        let (_db, docs) = set.in_memory(rows.min(set.base.len()))?;
        let (first, found) = timed(|| ids(&docs, &set.queries[0], false));
        found?;
        let settled = set.settle(&docs, None)?;
        let (mut times, mut exact_times, mut right) = (Vec::new(), Vec::new(), 0);
        let queries = &set.queries[..set.queries.len().min(500)];
        for query in queries {
            let (time, found) = timed(|| ids(&docs, query, false));
            let (exact_time, truth) = timed(|| ids(&docs, query, true));
            times.push(time);
            exact_times.push(exact_time);
            let truth = truth?;
            right += found?.iter().filter(|id| truth.contains(id)).count();
        }
        println!(
            "  {rows:>6} rows: {}, recall {:.4}; exact {}; first query {:.0} µs, settled after {:.1} s",
            Times::new(times),
            right as f64 / (queries.len() * K) as f64,
            Times::new(exact_times),
            first.as_secs_f64() * 1e6,
            settled.as_secs_f64(),
        );
    }
    Ok(())
}

fn filter(set: &Set) -> Result<(), AnyError> {
    const FILTER: &str = "pos = 'n'";
    let (_db, docs) = set.in_memory(20_000)?;
    let ask = |query: &[f32]| docs.query(query).k(K).filter(FILTER).run().map(|found| found.len());
    let (first, found) = timed(|| ask(&set.queries[0]));
    println!("  first {:.1} ms ({} hits)", first.as_secs_f64() * 1e3, found?);
    let settled = set.settle(&docs, Some(FILTER))?;
    let mut times = Vec::new();
    for query in &set.queries[..set.queries.len().min(300)] {
        let (time, found) = timed(|| ask(query));
        found?;
        times.push(time);
    }
    println!("  settled after {:.1} s: {}", settled.as_secs_f64(), Times::new(times));
    Ok(())
}

fn flush(set: &Set) -> Result<(), AnyError> {
    for queried in [false, true, false, true] {
        let (_db, docs) = set.in_memory(20_000)?;
        if queried {
            ids(&docs, &set.queries[0], false)?;
            set.settle(&docs, None)?;
        }
        let (time, flushed) = timed(|| docs.flush());
        flushed?;
        let mut right = 0;
        let queries = &set.queries[..set.queries.len().min(500)];
        for query in queries {
            let truth = ids(&docs, query, true)?;
            right += ids(&docs, query, false)?.iter().filter(|id| truth.contains(id)).count();
        }
        let what = if queried { "queried before" } else { "never queried" };
        println!(
            "  {what}: {:.2} s; recall {:.4}; graph {:?}",
            time.as_secs_f64(),
            right as f64 / (queries.len() * K) as f64,
            docs.stats()?.segments.iter().flat_map(|s| s.indexes.clone()).collect::<Vec<_>>()
        );
    }
    Ok(())
}
