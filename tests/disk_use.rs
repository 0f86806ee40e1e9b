//! Space on disk beyond what live records need: while much of it is taken, writers are slowed down.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use vecstore::simulation::open_probed;
use vecstore::{Collection, Durability, Metric, Options, Record};
use vecstore_tests::Random;

const RECORDS: u64 = 2_200;

/// 100 kB that do not get smaller.
fn record(id: u64) -> Record {
    let mut random = Random::new(id);
    let text: String = (0..6_250).map(|_| format!("{:016x}", random.number())).collect();
    Record::new(id, [id as f32, 1.0]).metadata(json!({"text": text}))
}

fn time(docs: &Collection, ids: std::ops::Range<u64>) -> Duration {
    let records: Vec<Record> = ids.map(record).collect();
    let began = Instant::now();
    for record in records {
        docs.upsert(record).unwrap();
    }
    began.elapsed()
}

/// Waits for something that the background does.
fn wait(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(100), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn writers_are_slow_until_a_merge_has_given_space_back() {
    let dir = tempfile::tempdir().unwrap();
    let (closed, met) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let gate = (Arc::clone(&closed), Arc::clone(&met));
    let stand = move |moment: &str| {
        while moment == "install: built" && gate.0.load(Ordering::Acquire) {
            gate.1.store(true, Ordering::Release);
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    // Nothing is flushed on its own, so that it is the merge that stands.
    let options =
        Options { durability: Durability::None, memtable_bytes_max: 1 << 30, ..Options::default() };
    let db = open_probed(dir.path(), options, Arc::new(stand)).unwrap();
    let docs = db.create_collection("docs", Collection::options(2, Metric::Euclidean)).unwrap();
    for first in (0..RECORDS).step_by(200) {
        docs.batch_upsert((first..first + 200).map(record).collect()).unwrap();
        docs.flush().unwrap();
    }
    docs.optimize().unwrap();
    let before = time(&docs, RECORDS..RECORDS + 30);

    // Removing is never slowed down. What it leaves is 200 MB without, and 20 with live records.
    closed.store(true, Ordering::Release);
    let ids: Vec<_> = (200..RECORDS).map(Into::into).collect();
    docs.remove_many(&ids).unwrap();
    wait("no merge began", || met.load(Ordering::Acquire));
    let meanwhile = time(&docs, RECORDS + 30..RECORDS + 60);

    closed.store(false, Ordering::Release);
    let bytes = || docs.stats().unwrap().segments.iter().map(|s| s.bytes).sum::<u64>();
    wait("the merge did not end", || bytes() < 50_000_000);
    std::thread::sleep(Duration::from_millis(100));
    let after = time(&docs, RECORDS + 60..RECORDS + 90);
    println!("30 records: {before:.3?} before, {meanwhile:.3?} meanwhile, {after:.3?} after");
    assert!(meanwhile > 10 * before.max(after), "{before:?} {meanwhile:?} {after:?}");
    assert_eq!(docs.count(None).unwrap(), 290);
}
