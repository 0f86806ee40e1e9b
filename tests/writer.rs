//! Writes to a database from several threads until it is killed, and says on standard output
//! what was acknowledged.
//!
//! `writer DIR FIRST…`: one thread a `FIRST`, which continues with that operation. After each
//! acknowledged operation a line `THREAD OPERATION`. What an operation does follows from its two
//! numbers alone (see [`plan`]), so whoever reads the lines knows what must be there.

#![allow(clippy::print_stdout)]

use std::io::Write;
use std::time::Duration;

use vecstore::{Collection, Database, Metric, Options};
use vecstore_tests::history::{self, DIM};

fn main() -> vecstore::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().expect("a folder");
    let first: Vec<u64> = arguments.map(|n| n.parse().expect("an operation number")).collect();
    // Small memtables: the kill falls into flushes and merges as often as into commits.
    let options = Options { memtable_bytes_max: 1 << 16, ..Options::default() };
    let db = Database::open_with(dir, options)?;
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
        disturb.join().expect("the thread that flushes and optimizes")
    })
}

fn write(thread: usize, first: u64, docs: &Collection) {
    for operation in first.. {
        history::plan(thread, operation).apply(docs).expect("a write");
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
