//! Many small namespaces and a large one in a single collection.
//!
//! ```text
//! cargo run --release -p vecstore-benches --bin namespaces -- fill DIR [NAMESPACES RECORDS LARGE]
//! cargo run --release -p vecstore-benches --bin namespaces -- measure DIR
//! ```
//!
//! `fill` writes (default) 10,000 namespaces of 100 records and one of 100,000, and merges them into
//! one segment; `measure` opens the database, queries small namespaces, removes 50 of them, and looks
//! for what is left of those on disk.

#![allow(clippy::print_stdout)]

mod random;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use random::Random;
use serde_json::json;
use vecstore::{Collection, Database, Durability, Include, Metric, Options, Record};

const DIM: usize = 32;
const REMOVED: u64 = 50;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["fill", dir] => fill(Path::new(dir), 10_000, 100, 100_000),
        ["fill", dir, namespaces, records, large] => {
            fill(Path::new(dir), namespaces.parse()?, records.parse()?, large.parse()?)
        }
        ["measure", dir] => measure(Path::new(dir)),
        _ => Err("usage: namespaces fill DIR [NAMESPACES RECORDS LARGE] | measure DIR".into()),
    }
}

fn options() -> Options {
    Options { durability: Durability::None, background_merge: false, ..Options::default() }
}

fn name(n: u64) -> String {
    format!("tenant-{n:05}")
}

/// A vector of random components.
fn vector(random: &mut Random) -> Vec<f32> {
    (0..DIM).map(|_| random.component()).collect()
}

fn fill(dir: &Path, namespaces: u64, records: u64, large: u64) -> Result<(), Failure> {
    let db = Database::open_with(dir, options())?;
    let docs = db.create_collection("docs", Collection::options(DIM, Metric::Cosine))?;
    let mut random = Random(1);
    let started = Instant::now();
    for n in 0..=namespaces {
        let own = docs.namespace(&name(n))?;
        let ids: Vec<u64> = (0..if n == namespaces { large } else { records }).collect();
        for some in ids.chunks(4_096) {
            let batch = some.iter().map(|at| {
                let metadata = json!({"tenant": n, "n": at});
                Record::new(format!("secret-{n:05}-{at}"), vector(&mut random)).metadata(metadata)
            });
            own.batch_upsert(batch.collect())?;
        }
    }
    println!("written in {:.1} s", started.elapsed().as_secs_f64());
    println!("{:?}", db.optimize()?);
    Ok(db.close()?)
}

fn measure(dir: &Path) -> Result<(), Failure> {
    let (opened, db) = timed(|| Database::open_existing(dir, options()));
    let db = db?;
    let docs = db.collection("docs")?;
    let (listing, listed) = timed(|| docs.list_namespaces());
    let listed = listed?;
    println!(
        "{} records in {} namespaces, {} segments; opened in {:.1} ms; listed in {:.1} ms",
        listed.iter().map(|info| info.records).sum::<u64>(),
        listed.len(),
        docs.stats()?.segments.len(),
        ms(opened),
        ms(listing)
    );
    let small = listed.len() as u64 - 1;
    let mut random = Random(2);
    // Measures the machine once for all, which is not what a query takes.
    docs.namespace(&name(0))?.query(&vector(&mut random)).run()?;
    for (what, filter, include) in [
        ("query", None, Include::default()),
        ("query, ids only", None, Include::NOTHING),
        ("query with a filter", Some("n < 50"), Include::default()),
    ] {
        let mut times = Vec::new();
        for _ in 0..2_000 {
            let n = random.next() % small;
            let own = docs.namespace(&name(n))?;
            let vector = vector(&mut random);
            let mut query = own.query(&vector).include(include.clone());
            if let Some(filter) = filter {
                query = query.filter(filter);
            }
            let (time, found) = timed(|| query.run());
            let found = found?;
            let prefix = format!("secret-{n:05}-");
            if found.len() != 10 || !found.iter().all(|hit| hit.id.to_string().starts_with(&prefix))
            {
                return Err(format!("{}: {found:?}", name(n)).into());
            }
            times.push(time);
        }
        times.sort();
        let at = |part: f64| ms(times[((times.len() - 1) as f64 * part) as usize]);
        println!(
            "{what:<20} in a small namespace: p50 {:.3} ms, p99 {:.3} ms, slowest {:.3} ms; all its own",
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }

    let removed: Vec<u64> = (0..REMOVED).map(|at| at * small / REMOVED).collect();
    let mut slowest = Duration::ZERO;
    let mut records = 0;
    for &n in &removed {
        let (time, gone) = timed(|| docs.remove_namespace(&name(n)));
        records += gone?;
        slowest = slowest.max(time);
    }
    println!(
        "{REMOVED} namespaces ({records} records) removed, each in at most {:.3} ms",
        ms(slowest)
    );
    for &n in &removed {
        if docs.namespace(&name(n))?.count(None)? != 0 {
            return Err(format!("{} still has records", name(n)).into());
        }
    }
    let (optimized, report) = timed(|| db.optimize());
    println!(
        "optimized in {:.1} s, {} rows dropped",
        optimized.as_secs_f64(),
        report?.rows_dropped
    );
    let left = named_in_files(dir)?;
    let traces = removed.iter().filter(|n| left.contains(n)).count();
    println!("{} namespaces are named in files, {traces} of them removed", left.len());
    if traces > 0 {
        return Err("removed namespaces have left traces".into());
    }
    Ok(())
}

/// The namespaces whose name, or the id of a record of which, is in some file below a folder.
fn named_in_files(dir: &Path) -> Result<BTreeSet<u64>, Failure> {
    let mut named = BTreeSet::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            named.append(&mut named_in_files(&entry.path())?);
            continue;
        }
        let bytes = std::fs::read(entry.path())?;
        for window in bytes.windows(12) {
            if window.starts_with(b"secret-") || window.starts_with(b"tenant-") {
                let digits = std::str::from_utf8(&window[7..]).unwrap_or("");
                named.extend(digits.parse::<u64>());
            }
        }
    }
    Ok(named)
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let result = work();
    (started.elapsed(), result)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
