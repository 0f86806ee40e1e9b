//! What group commit gains, and what an `optimize` beside them costs writers.
//!
//! `commits [DIR [PART …]]`: the database goes to a new folder in `DIR` (default: the folder for
//! temporary files), which should be on a disk that counts. Parts, all by default:
//! - `alone`: commits per second of 16 writers that take turns, one sync each, and of 16 that share
//!   syncs;
//! - `flushed`: the same beside the flushes that they cause;
//! - `optimize`: the 50th and 99th percentile of a write while nothing else happens, and while
//!   `optimize` merges;
//! - `limit`: records per second of 4 writers that never pause, and how long a write takes, without and
//!   with a limit of memory.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use vecstore::{Collection, Database, Metric, Options, Record};

const DIM: usize = 64;
const WRITERS: u64 = 16;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(1_000);

fn main() -> vecstore::Result<()> {
    let parent = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::tempdir_in(&parent).expect("a new folder");
    let in_memory = Options { memtable_bytes_max: 1 << 40, ..Options::default() };
    let parts: Vec<String> = std::env::args().skip(2).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if wanted("alone") {
        group_commit(&dir.path().join("alone"), in_memory, "nothing is flushed")?;
    }
    if wanted("flushed") {
        group_commit(&dir.path().join("flushed"), Options::default(), "beside flushes")?;
    }
    if wanted("optimize") {
        writers_beside_optimize(&dir.path().join("optimize"))?;
    }
    if wanted("limit") {
        for limit in [None, Some(64 << 20), None, Some(64 << 20)] {
            writers_with_limit(tempfile::tempdir_in(&parent).expect("a new folder").path(), limit)?;
        }
    }
    Ok(())
}

/// A vector whose components follow from a number.
fn vector(number: u64) -> Vec<f32> {
    let component = |at: u64| {
        let mixed = (number * DIM as u64 + at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..DIM as u64).map(component).collect()
}

fn record(id: u64) -> Record {
    Record::new(id, vector(id)).metadata(json!({"group": id % 16}))
}

/// Writes from `writers` threads for a while; gives the time of each write.
fn write(docs: &Collection, writers: u64, time: Duration, turn: Option<&Mutex<()>>) -> Vec<f64> {
    let end = Instant::now() + time;
    let one = |writer: u64| {
        let mut times = Vec::new();
        for n in 0.. {
            if Instant::now() >= end {
                break;
            }
            let record = record((writer << 32) | (n % 10_000));
            let started = Instant::now();
            let _turn = turn.map(|turn| turn.lock().expect("nobody panics"));
            docs.upsert(record).expect("a write");
            times.push(started.elapsed().as_secs_f64());
        }
        times
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers).map(|writer| scope.spawn(move || one(writer))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a writer")).collect()
    })
}

fn group_commit(dir: &Path, options: Options, what: &str) -> vecstore::Result<()> {
    let db = Database::open_with(dir, options)?;
    let docs = db.create_collection("docs", Collection::options(DIM, Metric::Cosine))?;
    let turn = Mutex::new(());
    let (mut in_turn, mut together) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let per_second = |times: Vec<f64>| times.len() as f64 / ROUND.as_secs_f64();
        in_turn.push(per_second(write(&docs, WRITERS, ROUND, Some(&turn))));
        together.push(per_second(write(&docs, WRITERS, ROUND, None)));
    }
    let (in_turn, together) = (percentile(&mut in_turn, 50), percentile(&mut together, 50));
    println!(
        "{WRITERS} writers, {what}, commits per second: {in_turn:.0} one sync each, {together:.0} sharing \
         syncs, {:.1} times as many",
        together / in_turn
    );
    Ok(())
}

fn writers_with_limit(dir: &Path, memory_limit: Option<u64>) -> vecstore::Result<()> {
    const WRITERS: u64 = 4;
    const BATCH: u64 = 50;
    const TIME: Duration = Duration::from_secs(20);
    let options = Options { memory_limit, background_merge: false, ..Options::default() };
    let db = Database::open_with(dir, options)?;
    let docs = db.create_collection("docs", Collection::options(DIM, Metric::Cosine))?;
    let held = AtomicU64::new(0);
    let end = Instant::now() + TIME;
    let one = |writer: u64| {
        let mut times = Vec::new();
        for n in 0.. {
            let first = (writer << 32) | (n * BATCH);
            let batch = (first..first + BATCH).map(record).collect();
            let started = Instant::now();
            if started >= end {
                break;
            }
            docs.batch_upsert(batch).expect("a write");
            times.push(started.elapsed().as_secs_f64());
            let memory = db.memory().expect("an open database");
            let for_writes = memory.memtable_rows + memory.memtable_graphs + memory.log;
            held.fetch_max(for_writes, Ordering::Relaxed);
        }
        times
    };
    let mut times: Vec<f64> = std::thread::scope(|scope| {
        let one = &one;
        let threads: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || one(writer))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a writer")).collect()
    });
    let per_second = times.len() as f64 * BATCH as f64 / TIME.as_secs_f64();
    let mut ms = |p| percentile(&mut times, p) * 1e3;
    println!(
        "{WRITERS} writers of {BATCH} records, limit {}: {per_second:.0} records per second, ms a write: \
         p50 {:.1} p99 {:.1} longest {:.0}; at most {} MiB for memtables and log",
        memory_limit.map_or("none".to_owned(), |limit| format!("{} MiB", limit >> 20)),
        ms(50),
        ms(99),
        ms(100),
        held.load(Ordering::Relaxed) >> 20,
    );
    Ok(())
}

fn writers_beside_optimize(dir: &Path) -> vecstore::Result<()> {
    const ROWS: u64 = 30_000;
    const SEGMENTS: u64 = 3;
    const BESIDE: u64 = 4;
    // One thread builds, so that on a machine with few cores some are left to write.
    let options = Options { background_merge: false, threads: 1, ..Options::default() };
    let db = Database::open_with(dir, options)?;
    let docs = db.create_collection("docs", Collection::options(DIM, Metric::Cosine))?;
    let (mut idle, mut beside) = (Vec::new(), Vec::new());
    for round in 0..2_u64 {
        for part in 0..SEGMENTS {
            let first = (1 << 50) | (part * ROWS);
            for batch in 0..ROWS / 1_000 {
                let ids = first + batch * 1_000..first + (batch + 1) * 1_000;
                docs.batch_upsert(ids.map(record).collect())?;
            }
            docs.flush()?;
        }
        idle.extend(write(&docs, BESIDE, ROUND * 3, None));
        let merges = AtomicBool::new(true);
        std::thread::scope(|scope| {
            let optimize = scope.spawn(|| {
                let report = db.optimize();
                merges.store(false, Ordering::Release);
                report
            });
            while merges.load(Ordering::Acquire) {
                beside.extend(write(&docs, BESIDE, ROUND / 4, None));
            }
            let report = optimize.join().expect("optimize")?;
            println!("round {round}: optimize took {:.1} s", report.seconds);
            vecstore::Result::Ok(())
        })?;
    }
    let ms = |times: &mut [f64], p| percentile(times, p) * 1e3;
    let (idle_50, idle_99) = (ms(&mut idle, 50), ms(&mut idle, 99));
    let (beside_50, beside_99) = (ms(&mut beside, 50), ms(&mut beside, 99));
    println!(
        "{BESIDE} writers, ms a write: p50 {idle_50:.2} p99 {idle_99:.2} idle ({} writes), p50 \
         {beside_50:.2} p99 {beside_99:.2} beside optimize ({} writes), p99 {:.1} times as long",
        idle.len(),
        beside.len(),
        beside_99 / idle_99
    );
    Ok(())
}

fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) * percent / 100]
}
