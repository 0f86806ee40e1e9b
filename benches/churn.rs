//! A long life: half of the records are replaced or removed, over and over.
//!
//! ```text
//! cargo run --release -p vecstore-benches --bin churn -- DIR [SECONDS [RECORDS]]
//! ```
//!
//! The database goes to a new folder in `DIR`; `SECONDS` is 60 by default, `RECORDS` 100,000. They are
//! imported and optimized, which gives the bytes that a live record takes on disk. Then, in each
//! round, half of the records are removed or replaced and those that are missing come back, while a
//! thread queries and a snapshot is made and removed. About every thirtieth of the time a line is
//! printed:
//! - memory that is the process's own (`anon`) and pages of mapped segments (`file`), MiB;
//! - open file descriptors, and mapped files that are removed already;
//! - disk, its highest value since the line before, and both as multiples of what the live records
//!   take; of what the highest was made: the log, live and dead rows of segments, and files that are
//!   being written or to be removed;
//! - the 99th percentile of a write of 100 records, ms.
//!
//! After each round records are compared with a list of what must be there; a difference ends the
//! run with an error. At the end the database is optimized, verified, opened again and compared.

#![allow(clippy::print_stdout)]

mod random;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use random::Random;
use serde_json::json;
use vecstore::{Collection, Database, Metric, Options, Record};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const DIM: usize = 128;
const BATCH: u64 = 100;

fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args_os().skip(1);
    let parent: PathBuf = arguments.next().ok_or("usage: churn DIR [SECONDS [RECORDS]]")?.into();
    let mut number = |name: &str, default: u64| match arguments.next() {
        Some(text) => {
            text.to_str().and_then(|n| n.parse().ok()).ok_or(format!("{name} is no number"))
        }
        None => Ok(default),
    };
    let seconds = number("SECONDS", 60)?;
    let records = number("RECORDS", 100_000)?;
    let dir = tempfile::tempdir_in(&parent)?;
    let path = dir.path().join("db");
    let (db, docs) = open(&path)?;
    let mut model = Model::new(records);
    for first in (0..records).step_by(BATCH as usize) {
        docs.batch_upsert((first..first + BATCH).map(|id| model.replace(id)).collect())?;
    }
    db.optimize()?;
    let bytes_per_record = disk(&path)? as f64 / records as f64;
    println!("{records} records of {DIM} components, {bytes_per_record:.0} bytes each on disk");

    let watch = Watch {
        path: &path,
        bytes_per_record,
        live: AtomicU64::new(records),
        stop: AtomicBool::new(false),
        round: AtomicU64::new(0),
        writes: Mutex::default(),
        highest: Mutex::default(),
    };
    let time = Duration::from_secs(seconds);
    std::thread::scope(|scope| {
        let printed = scope.spawn(|| watch.print(&db, time));
        let queried = scope.spawn(|| watch.query(&docs));
        let churned = churn(&db, &docs, &mut model, &watch, time);
        watch.stop.store(true, Ordering::Release);
        printed.join().expect("no panic")?;
        queried.join().expect("no panic")?;
        churned
    })?;

    db.optimize()?;
    model.compare(&docs, 1)?;
    let report = db.verify()?;
    if !report.problems.is_empty() {
        return Err(format!("verify: {:?}", report.problems).into());
    }
    println!("after `optimize`: {}", watch.line(&db, time)?);
    drop(docs);
    db.close()?;
    let (db, docs) = open(&path)?;
    model.compare(&docs, 1)?;
    println!("opened again: {}", watch.line(&db, time)?);
    println!("highest disk / live: {:.2}", *watch.highest.lock().expect("no panic"));
    Ok(())
}

fn open(path: &Path) -> Result<(Database, Collection), AnyError> {
    // A writer waits for as long as it takes: what is watched is what is held meanwhile.
    let options = Options { busy_timeout: Duration::from_secs(3_600), ..Options::default() };
    let db = Database::open_with(path, options)?;
    let docs = match db.collection("docs") {
        Ok(docs) => docs,
        Err(_) => db.create_collection("docs", Collection::options(DIM, Metric::Cosine))?,
    };
    Ok((db, docs))
}

fn churn(
    db: &Database,
    docs: &Collection,
    model: &mut Model,
    watch: &Watch<'_>,
    time: Duration,
) -> Result<(), AnyError> {
    let end = Instant::now() + time;
    for round in 1.. {
        for first in (0..model.records).step_by(BATCH as usize) {
            if Instant::now() >= end {
                return Ok(());
            }
            let (mut put, mut remove) = (Vec::new(), Vec::new());
            for id in first..first + BATCH {
                match (model.versions.contains_key(&id), model.random.next() % 4) {
                    (true, 0) => {
                        model.versions.remove(&id);
                        remove.push(id.into());
                    }
                    (true, 1) | (false, _) => put.push(model.replace(id)),
                    _ => {}
                }
            }
            let started = Instant::now();
            docs.batch_upsert(put)?;
            docs.remove_many(&remove)?;
            watch.writes.lock().expect("no panic").push(started.elapsed());
            watch.live.store(model.versions.len() as u64, Ordering::Relaxed);
        }
        watch.round.store(round, Ordering::Relaxed);
        model.compare(docs, 97)?;
        db.create_snapshot("of-the-round")?;
        db.remove_snapshot("of-the-round")?;
    }
    Ok(())
}

/// What must be there: the version of each record, from which its contents follow.
struct Model {
    records: u64,
    versions: std::collections::BTreeMap<u64, u64>,
    next: u64,
    random: Random,
}

impl Model {
    fn new(records: u64) -> Self {
        Model { records, versions: Default::default(), next: 0, random: Random::default() }
    }

    /// The record with this id, as new.
    fn replace(&mut self, id: u64) -> Record {
        self.next += 1;
        self.versions.insert(id, self.next);
        let vector = vector(id, self.next);
        Record::new(id, vector).metadata(json!({"version": self.next, "group": id % 16}))
    }

    /// Compares every `step`th id, and the count.
    fn compare(&self, docs: &Collection, step: usize) -> Result<(), AnyError> {
        let count = docs.count(None)?;
        if count != self.versions.len() as u64 {
            return Err(format!("{count} records, {} expected", self.versions.len()).into());
        }
        for id in (0..self.records).step_by(step) {
            let found = docs.get(id)?;
            let version = found.as_ref().and_then(|r| r.metadata.get("version")?.as_u64());
            if version != self.versions.get(&id).copied() {
                return Err(format!("record {id}: version {version:?}").into());
            }
        }
        Ok(())
    }
}

/// One of 1,000 places and something of its own, so that neighbours are no accident.
fn vector(id: u64, version: u64) -> Vec<f32> {
    let (mut place, mut own) = (Random(id % 1_000), Random(version << 20));
    (0..DIM).map(|_| place.component() + 0.5 * own.component()).collect()
}

struct Watch<'a> {
    path: &'a Path,
    bytes_per_record: f64,
    live: AtomicU64,
    stop: AtomicBool,
    round: AtomicU64,
    writes: Mutex<Vec<Duration>>,
    /// Disk as a multiple of what the live records take.
    highest: Mutex<f64>,
}

impl Watch<'_> {
    fn query(&self, docs: &Collection) -> Result<(), AnyError> {
        let mut n = 0;
        while !self.stop.load(Ordering::Acquire) {
            n += 1;
            docs.query(&vector(n, n)).k(10).run()?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn print(&self, db: &Database, time: Duration) -> Result<(), AnyError> {
        let started = Instant::now();
        let mut next = Duration::ZERO;
        let (mut peak, mut highest) = (Disk::default(), 0.0);
        while !self.stop.load(Ordering::Acquire) {
            let now = Disk::now(self.path, db)?;
            // Live records change; what counts is how many there were at that moment.
            let multiple = self.multiple(now.all);
            if multiple >= highest {
                (peak, highest) = (now, multiple);
            }
            if started.elapsed() >= next {
                next += time / 30;
                println!("{}, peak {highest:.2} ({peak})", self.line(db, started.elapsed())?);
                let mut before = self.highest.lock().expect("no panic");
                *before = before.max(highest);
                (peak, highest) = (Disk::default(), 0.0);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    fn multiple(&self, bytes: u64) -> f64 {
        bytes as f64 / (self.live.load(Ordering::Relaxed) as f64 * self.bytes_per_record)
    }

    fn line(&self, db: &Database, at: Duration) -> Result<String, AnyError> {
        let process = Process::now()?;
        let (disk, stats) = (disk(self.path)?, db.stats()?);
        let mut writes = std::mem::take(&mut *self.writes.lock().expect("no panic"));
        writes.sort();
        let p99 = writes.get(writes.len() * 99 / 100).copied().unwrap_or_default();
        Ok(format!(
            "{:>5} s, round {:>3}, {:>6} records, {:>2} segments: anon {:>4} MiB, file {:>4} MiB, \
             {:>2} fds, {} removed but mapped, disk {:>4} MiB (log {:>3}), disk / live {:.2}, write \
             p99 {:.1} ms",
            at.as_secs(),
            self.round.load(Ordering::Relaxed),
            self.live.load(Ordering::Relaxed),
            stats.collections[0].segments.len(),
            process.anon >> 20,
            process.file >> 20,
            process.descriptors,
            process.removed,
            disk >> 20,
            stats.log_bytes >> 20,
            self.multiple(disk),
            p99.as_secs_f64() * 1e3,
        ))
    }
}

/// Bytes on disk by what they are.
#[derive(Default)]
struct Disk {
    all: u64,
    log: u64,
    live: u64,
    dead: u64,
}

impl Disk {
    fn now(path: &Path, db: &Database) -> Result<Self, AnyError> {
        let stats = db.stats()?;
        let mut now = Disk { all: disk(path)?, log: stats.log_bytes, ..Disk::default() };
        for segment in stats.collections.iter().flat_map(|docs| &docs.segments) {
            let dead = segment.bytes * segment.deleted / segment.rows.max(1);
            now.dead += dead;
            now.live += segment.bytes - dead;
        }
        Ok(now)
    }
}

impl std::fmt::Display for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let others = self.all.saturating_sub(self.log + self.live + self.dead);
        let [log, live, dead, others] = [self.log, self.live, self.dead, others].map(|n| n >> 20);
        write!(f, "MiB: log {log}, live {live}, dead {dead}, other files {others}")
    }
}

/// What Linux says of this process.
struct Process {
    anon: u64,
    file: u64,
    descriptors: usize,
    removed: usize,
}

impl Process {
    fn now() -> Result<Self, AnyError> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let bytes = |name: &str| -> Result<u64, AnyError> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().nth(1)).ok_or("no such line")?;
            Ok(kib.parse::<u64>()? << 10)
        };
        Ok(Process {
            anon: bytes("RssAnon")?,
            file: bytes("RssFile")?,
            descriptors: std::fs::read_dir("/proc/self/fd")?.count(),
            removed: std::fs::read_to_string("/proc/self/maps")?.matches("(deleted)").count(),
        })
    }
}

/// Bytes allocated to the files of a folder; one that vanishes meanwhile has none.
fn disk(folder: &Path) -> Result<u64, AnyError> {
    use std::os::unix::fs::MetadataExt;

    let mut bytes = 0;
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(0) };
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes += disk(&entry.path())?,
            Ok(metadata) => bytes += metadata.blocks() * 512 / metadata.nlink().max(1),
            Err(_) => {}
        }
    }
    Ok(bytes)
}
