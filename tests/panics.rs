//! A thread that panics in the middle of a commit: others are told, and nothing is committed after it.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vecstore::simulation::open_probed;
use vecstore::{Collection, Database, ErrorKind, Metric, Options, Record};

/// Panics at a moment, once it is armed.
struct Fault {
    moment: &'static str,
    armed: AtomicBool,
    waiting: AtomicU64,
}

fn record(id: u64) -> Record {
    Record::new(id, [id as f32, 1.0])
}

/// One thread panics in the middle of its commit while others wait for theirs.
fn panics_at(moment: &'static str) {
    let dir = tempfile::tempdir().unwrap();
    let fault = Arc::new(Fault { moment, armed: false.into(), waiting: 0.into() });
    let seen = Arc::clone(&fault);
    let reached = move |now: &str| {
        if now == seen.moment && seen.armed.swap(false, Ordering::AcqRel) {
            // Until the others are in the queue, or about to be.
            while seen.waiting.load(Ordering::Acquire) < 4 {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(50));
            panic!("planted, the message is expected");
        }
    };
    let db = open_probed(dir.path(), Options::default(), Arc::new(reached)).unwrap();
    let docs = db.create_collection("docs", Collection::options(2, Metric::Euclidean)).unwrap();
    docs.upsert(record(0)).unwrap();

    fault.armed.store(true, Ordering::Release);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| docs.upsert(record(1)));
        let others: Vec<_> = (2..6)
            .map(|id| {
                let (docs, fault) = (&docs, &fault);
                scope.spawn(move || {
                    while fault.armed.load(Ordering::Acquire) {
                        std::thread::yield_now();
                    }
                    fault.waiting.fetch_add(1, Ordering::AcqRel);
                    docs.upsert(record(id))
                })
            })
            .collect();
        assert!(first.join().is_err(), "{moment}: the panic stays in its thread");
        for other in others {
            let error = other.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Closed, "{moment}: {error}");
            assert!(error.to_string().contains("open it again"), "{moment}: {error}");
        }
    });
    assert!(started.elapsed() < Duration::from_secs(30), "{moment}");
    // Reads go on; of the write nobody sees anything.
    assert_eq!(docs.count(None).unwrap(), 1, "{moment}");
    for error in [
        docs.upsert(record(7)).unwrap_err(),
        docs.remove(0).unwrap_err(),
        db.create_collection("more", Collection::options(2, Metric::Dot)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Closed, "{moment}: {error}");
        assert!(error.to_string().contains("panicked"), "{moment}: {error}");
    }
    drop((docs, db));

    // What was committed when the thread panicked is there, and nothing in part.
    let docs = Database::open(dir.path()).unwrap().collection("docs").unwrap();
    let expected = if moment == "commit: committed" { 2 } else { 1 };
    assert_eq!(docs.count(None).unwrap(), expected, "{moment}");
    docs.upsert(record(7)).unwrap();
}

#[test]
fn a_commit_that_panics_tells_those_who_wait_and_closes_the_log() {
    panics_at("commit: applied");
    panics_at("commit: committed");
}

/// A flush that panics with the commit lock held: the same.
#[test]
fn a_flush_that_panics_closes_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let reached = |now: &str| assert_ne!(now, "install: committed", "planted, it is expected");
    let db = open_probed(dir.path(), Options::default(), Arc::new(reached)).unwrap();
    let docs = db.create_collection("docs", Collection::options(2, Metric::Euclidean)).unwrap();
    docs.upsert(record(0)).unwrap();
    std::thread::scope(|scope| assert!(scope.spawn(|| docs.flush()).join().is_err()));
    let error = docs.upsert(record(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    drop((docs, db));
    let docs = Database::open(dir.path()).unwrap().collection("docs").unwrap();
    assert_eq!(docs.count(None).unwrap(), 1);
}

/// A writer waits for a flush that goes on only when it is told to, and panics with the commit lock
/// held. Gives what the writer is told after `meanwhile`, and how long that takes.
fn held_back(meanwhile: impl FnOnce(&Database, &AtomicBool)) -> (vecstore::Error, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let flush = Arc::new(AtomicBool::new(false));
    let may_go_on = Arc::clone(&flush);
    let reached = move |now: &str| {
        while now == "install: built" && !may_go_on.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_ne!(now, "install: locked", "planted, it is expected");
    };
    let options = Options {
        memtable_bytes_max: 1 << 16,
        busy_timeout: Duration::from_secs(20),
        ..Options::default()
    };
    let db = open_probed(dir.path(), options, Arc::new(reached)).unwrap();
    let docs = db.create_collection("docs", Collection::options(2, Metric::Euclidean)).unwrap();
    let written = AtomicU64::new(0);
    let told = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            loop {
                let id = written.fetch_add(1, Ordering::AcqRel);
                if let Err(error) = docs.upsert(record(id)) {
                    return (error, Instant::now());
                }
            }
        });
        let mut before = 0;
        while before == 0 || written.load(Ordering::Acquire) != before {
            before = written.load(Ordering::Acquire);
            std::thread::sleep(Duration::from_millis(500));
        }
        let started = Instant::now();
        meanwhile(&db, &flush);
        let (error, told) = writer.join().unwrap();
        (error, told.saturating_duration_since(started))
    });
    // Not for ever in the way of closing.
    flush.store(true, Ordering::Release);
    told
}

/// Whoever waits for room is told when none will come.
#[test]
fn a_writer_that_is_held_back_is_told_at_once_why_it_waits_in_vain() {
    let (error, took) = held_back(|_, flush| flush.store(true, Ordering::Release));
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    assert!(error.to_string().contains("panicked"), "{error}");
    assert!(took < Duration::from_secs(5), "{took:?}");

    let (error, took) = held_back(|db, _| db.drop_collection("docs").unwrap());
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}
