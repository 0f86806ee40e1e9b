//! What a live collection does: queries on rows in memory, beside a writer, and what a flush costs.
//!
//! ```text
//! cargo run --release -p vecstore-benches --bin realtime -- DATA [PART …]
//! ```
//!
//! `DATA` holds `base.f16.npy`, `records.jsonl.gz` and `queries.f16.npy`. Parts, all by default:
//! - `latency`: queries on 1,000, 10,000 and 50,000 rows in memory, at rest: time, recall@10
//!   against an exact scan, and the time of that scan;
//! - `filter`: the first query with a filter on 20,000 rows in memory, and later ones;
//! - `flush`: 20,000 rows become a segment, never queried before, and queried;
//! - `beside`: one thread upserts single records while two threads query, against the same two
//!   threads alone: once without a pause, once at half of the rate of that; with the recall of what had
//!   been inserted when a query began. Where the threads are more than the cores, a query waits for
//!   its turn whatever the database does; so the same is measured beside a thread that only counts.

#![allow(clippy::print_stdout)]

mod data;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vecstore::{Collection, Database, Durability, Include, Metric, Options, Record};

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
        [("latency", latency), ("filter", filter), ("flush", flush), ("beside", beside)];
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
    for rows in [1_000, 10_000, 50_000] {
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

/// Rows that are in a segment when the writer begins, and rows that it upserts at most.
const SEALED_ROWS: usize = 50_000;
const UPSERTED_MAX: usize = 60_000;
/// How long each measurement takes.
const SPAN: Duration = Duration::from_secs(4);

/// Waits until the process has nothing to do: what was written before is flushed, merged and linked.
fn rest() -> Result<(), AnyError> {
    /// Of the processor in 500 ms, in hundredths of a second.
    const MUCH: u64 = 3;
    let used = || -> Result<u64, AnyError> {
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        let numbers = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?.1;
        let ticks = numbers.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        Ok(ticks.sum::<Result<u64, _>>()?)
    };
    loop {
        let before = used()?;
        std::thread::sleep(Duration::from_millis(500));
        if used()? - before < MUCH {
            return Ok(());
        }
    }
}

fn beside(set: &Set) -> Result<(), AnyError> {
    for (name, durability) in [("none", Durability::None), ("sync", Durability::Sync)] {
        println!(
            "  {} rows in a segment; single upserts with durability {name}; two readers, {} cores",
            SEALED_ROWS,
            std::thread::available_parallelism()?
        );
        let dir = tempfile::tempdir()?;
        let options = Options { durability, ..Options::default() };
        let db = Database::open_with(dir.path().join("db"), options)?;
        let shape = Collection::options(set.base[0].len(), Metric::Cosine);
        let docs = db.create_collection("docs", shape)?;
        set.fill(&docs, 0..SEALED_ROWS)?;
        docs.optimize()?;
        // Some in memory, as in a collection that is written to.
        let mut next = SEALED_ROWS;
        set.fill(&docs, next..next + 5_000)?;
        next += 5_000;
        set.settle(&docs, None)?;
        let mut pace = None;
        for what in ["without a pause", "at half of that rate"] {
            rest()?;
            let idle = readers(set, &docs, pace, None)?;
            let stop = AtomicBool::new(false);
            let counting = std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut count = 0u64;
                    while !stop.load(Ordering::Relaxed) {
                        count = std::hint::black_box(count + 1);
                    }
                });
                let seen = readers(set, &docs, pace, None);
                stop.store(true, Ordering::Relaxed);
                seen
            })?;
            let end = (next + UPSERTED_MAX / 2).min(set.base.len());
            let live = readers(set, &docs, pace, Some(next..end))?;
            next += live.upserted;
            println!(
                "    {what}:\n      alone {idle}\n      beside a thread that counts {counting}\n      \
                 beside the writer {live}: p99 {:.2} x alone, {:.2} x beside the counting",
                live.times.us(0.99) / idle.times.us(0.99),
                live.times.us(0.99) / counting.times.us(0.99),
            );
            pace = Some(SPAN / idle.times.0.len() as u32 * 4);
            println!(
                "      {:.0} upserts/s; recall of what was inserted {:.4} ({} queries)",
                live.upserted as f64 / live.wrote.as_secs_f64(),
                live.recall,
                live.checked
            );
        }
    }
    Ok(())
}

/// What two readers saw.
struct Seen {
    times: Times,
    upserted: usize,
    /// How long the writer wrote.
    wrote: Duration,
    recall: f64,
    checked: usize,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:.0}/s)", self.times, self.times.0.len() as f64 / SPAN.as_secs_f64())
    }
}

/// One answer to be checked: to which query, how far the writer was when it was asked, and what was found.
struct Answer {
    query: usize,
    known: u64,
    found: Vec<u64>,
}

/// How much of what is right was found. What is among the nearest now was among them when there were
/// fewer; rows that came after a query began are not missed by it.
fn recall(set: &Set, docs: &Collection, answers: &[Answer]) -> Result<f64, AnyError> {
    let (mut sum, mut counted) = (0.0, 0);
    for Answer { query, known, found } in answers {
        let mut truth = ids(docs, &set.queries[*query], true)?;
        truth.retain(|id| id < known);
        let right = truth.iter().filter(|id| found.contains(id)).count();
        if !truth.is_empty() {
            sum += right as f64 / truth.len() as f64;
            counted += 1;
        }
    }
    Ok(sum / f64::from(counted.max(1)))
}

/// Two threads query for a while, beside a thread that upserts rows if some are given. Every 50th
/// answer is compared with an exact one afterwards: a scan between the queries would empty the caches
/// of those that are timed.
fn readers(
    set: &Set,
    docs: &Collection,
    pace: Option<Duration>,
    upsert: Option<std::ops::Range<usize>>,
) -> Result<Seen, AnyError> {
    let stop = AtomicBool::new(false);
    let first = upsert.clone().map_or(u64::MAX, |rows| rows.start as u64);
    let inserted = AtomicU64::new(first);
    let read = |reader: usize| -> Result<(Vec<Duration>, Vec<Answer>), AnyError> {
        let (mut times, mut answers) = (Vec::new(), Vec::new());
        let start = Instant::now();
        let mut turn = start;
        while start.elapsed() < SPAN {
            let query = (times.len() * 2 + reader) % set.queries.len();
            let known = inserted.load(Ordering::Acquire);
            let (time, found) = timed(|| ids(docs, &set.queries[query], false));
            times.push(time);
            if times.len() % 50 == 0 {
                answers.push(Answer { query, known, found: found? });
            }
            if let Some(pace) = pace {
                // Late ones are not made up for.
                turn = Instant::now().max(turn + pace);
                std::thread::sleep(turn.saturating_duration_since(Instant::now()));
            }
        }
        Ok((times, answers))
    };
    std::thread::scope(|scope| {
        let writer = upsert.map(|rows| {
            let (stop, inserted) = (&stop, &inserted);
            scope.spawn(move || -> Result<(usize, Duration), AnyError> {
                let start = Instant::now();
                let mut done = 0;
                for row in rows {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    docs.upsert(set.record(row))?;
                    done += 1;
                    inserted.store(row as u64 + 1, Ordering::Release);
                }
                Ok((done, start.elapsed()))
            })
        });
        let other = scope.spawn(|| read(1));
        let (mut times, mut answers) = read(0)?;
        let (more, more_answers) = other.join().map_err(|_| "a reader panicked")??;
        stop.store(true, Ordering::Relaxed);
        times.extend(more);
        answers.extend(more_answers);
        let (upserted, wrote) = match writer {
            Some(writer) => writer.join().map_err(|_| "the writer panicked")??,
            None => (0, SPAN),
        };
        let recall = recall(set, docs, &answers)?;
        Ok(Seen { times: Times::new(times), upserted, wrote, recall, checked: answers.len() })
    })
}
