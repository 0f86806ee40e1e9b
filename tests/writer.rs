//! Writes to a database from several threads until it is killed, and says on standard output
//! what was acknowledged.
//!
//! `writer DIR FIRST…`: one thread a `FIRST`, which continues with that operation. After each
//! acknowledged operation a line `THREAD OPERATION`. What an operation does follows from its two
//! numbers alone (see [`history::plan`]), so whoever reads the lines knows what must be there.
//!
//! With `VECSTORE_DIE_AT=MOMENT#TIMES` the process ends, as if killed, when it comes to the named
//! moment for that time.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use vecstore::simulation::{OnReached, open_probed};
use vecstore::{Collection, Database, ErrorKind, Metric, Options};
use vecstore_tests::history::{self, DIM};

fn main() -> vecstore::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().expect("a folder");
    let first: Vec<u64> = arguments.map(|n| n.parse().expect("an operation number")).collect();
    // Small memtables: the kill falls into flushes and merges as often as into commits.
    let options = Options { memtable_bytes_max: 1 << 16, ..Options::default() };
    let db = match std::env::var("VECSTORE_DIE_AT") {
        Err(_) => Database::open_with(dir, options)?,
        Ok(die_at) => open_probed(dir.as_ref(), options, dies_at(&die_at))?,
    };
    let docs = match db.collection("docs") {
        Ok(docs) => docs,
        Err(_) => db.create_collection("docs", Collection::options(DIM, Metric::Euclidean))?,
    };
    println!("open");
    std::thread::scope(|scope| {
        for (thread, &first) in first.iter().enumerate() {
            let docs = docs.namespace(&history::namespace(thread))?;
            scope.spawn(move || write(thread, first, &docs));
        }
        let disturb = scope.spawn(|| disturb(&db));
        match disturb.join().expect("the thread that flushes and optimizes") {
            Err(error) if matches!(error.kind(), ErrorKind::Io | ErrorKind::Closed) => Ok(()),
            other => other,
        }
    })
}

/// Ends the process when it comes to a moment for the given time.
fn dies_at(die_at: &str) -> Arc<OnReached> {
    let (moment, times) = die_at.split_once('#').expect("MOMENT#TIMES");
    let (moment, times) = (moment.to_owned(), times.parse::<u64>().expect("a number"));
    let reached = AtomicU64::new(0);
    Arc::new(move |now: &str| {
        if now == moment && reached.fetch_add(1, Ordering::Relaxed) + 1 == times {
            std::process::abort();
        }
    })
}

/// The exit code after an error that nobody has caused.
const REFUSED: i32 = 3;

fn write(thread: usize, first: u64, docs: &Collection) {
    for operation in first.. {
        match history::plan(thread, operation).apply(docs) {
            Ok(()) => {}
            // Somebody has cut the power.
            Err(error) if matches!(error.kind(), ErrorKind::Io | ErrorKind::Closed) => return,
            Err(error) => {
                eprintln!("a write: {error}");
                std::process::exit(REFUSED);
            }
        }
        let mut out = std::io::stdout().lock();
        let told = writeln!(out, "{thread} {operation}").and_then(|()| out.flush());
        if told.is_err() {
            return;
        }
    }
}

/// Flushes, optimizes and makes snapshots beside the writers.
fn disturb(db: &Database) -> vecstore::Result<()> {
    for round in 0_u64.. {
        std::thread::sleep(Duration::from_millis(20));
        match round % 4 {
            0 => db.flush()?,
            1 => {
                db.optimize()?;
            }
            2 => {
                let name = format!("s{}", round % 8);
                let exists = db.list_snapshots()?.iter().any(|snapshot| snapshot.name == name);
                if exists {
                    db.remove_snapshot(&name)?;
                }
                db.create_snapshot(&name)?;
            }
            _ => {}
        }
    }
    Ok(())
}
