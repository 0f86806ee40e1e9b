//! Snapshots: cheap, complete, and independent of what happens afterwards.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::os::unix::fs::MetadataExt;

use serde_json::json;
use vecstore::{Collection, Database, ErrorKind, Metric, Record};
use vecstore_tests::{Random, everything};

fn record(id: u64, random: &mut Random) -> Record {
    Record::new(id, random.vector(8)).metadata(json!({"n": id}))
}

#[test]
fn a_snapshot_brings_everything_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::new(1);
    let db = Database::open(dir.path()).unwrap();
    let docs = db.create_collection("docs", Collection::options(8, Metric::Cosine)).unwrap();
    let other = db.create_collection("other", Collection::options(8, Metric::Dot)).unwrap();
    docs.batch_upsert((0..500).map(|id| record(id, &mut random)).collect()).unwrap();
    docs.flush().unwrap();
    docs.remove_where("n < 50").unwrap();
    docs.upsert(record(1_000, &mut random)).unwrap();
    other.namespace("x").unwrap().upsert(record(1, &mut random)).unwrap();
    let (docs_then, other_then) =
        (everything(&docs).unwrap(), everything(&other.namespace("x").unwrap()).unwrap());

    let info = db.create_snapshot("then").unwrap();
    assert_eq!((info.name.as_str(), info.collections, info.records), ("then", 2, 452));
    assert!(info.created_unix_ms > 1_700_000_000_000 && info.bytes > 0 && info.segments >= 2);
    let again = db.create_snapshot("then").unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);

    // Change everything, in every way.
    docs.remove_where("n < 300").unwrap();
    docs.batch_upsert((400..900).map(|id| record(id, &mut random)).collect()).unwrap();
    docs.optimize().unwrap();
    db.drop_collection("other").unwrap();
    db.create_collection("third", Collection::options(3, Metric::Dot)).unwrap();
    docs.upsert(record(77, &mut random)).unwrap();

    // Twice: a restored database is like any other.
    for _ in 0..2 {
        assert_eq!(db.list_snapshots().unwrap(), std::slice::from_ref(&info));
        db.restore_snapshot("then").unwrap();
        assert_eq!(db.collections().unwrap(), ["docs", "other"]);
        // The handle from before is still good: it is the same collection.
        assert_eq!(everything(&docs).unwrap(), docs_then);
        let other = db.collection("other").unwrap().namespace("x").unwrap();
        assert_eq!(everything(&other).unwrap(), other_then);
        docs.upsert(record(5_000, &mut random)).unwrap();
        docs.optimize().unwrap();
        assert_eq!(docs.count(None).unwrap(), docs_then.len() as u64 + 1);
    }
    drop((docs, other, db));

    let db = Database::open(dir.path()).unwrap();
    assert_eq!(db.list_snapshots().unwrap(), [info]);
    assert_eq!(db.collection("docs").unwrap().count(None).unwrap(), docs_then.len() as u64 + 1);
    db.restore_snapshot("then").unwrap();
    assert_eq!(everything(&db.collection("docs").unwrap()).unwrap(), docs_then);
    db.remove_snapshot("then").unwrap();
    assert_eq!(db.list_snapshots().unwrap(), []);
    // The restored records do not need the snapshot.
    drop(db);
    let db = Database::open(dir.path()).unwrap();
    assert_eq!(everything(&db.collection("docs").unwrap()).unwrap(), docs_then);
    assert_eq!(db.verify().unwrap().problems, Vec::<String>::new());
}

#[test]
fn a_snapshot_copies_no_vectors() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    let docs = db.create_collection("docs", Collection::options(8, Metric::Cosine)).unwrap();
    let mut random = Random::new(2);
    docs.batch_upsert((0..500).map(|id| record(id, &mut random)).collect()).unwrap();
    db.create_snapshot("s").unwrap();
    let links: Vec<u64> = std::fs::read_dir(dir.path().join("snapshots/s"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".seg"))
        .map(|entry| entry.metadata().unwrap().nlink())
        .collect();
    assert_eq!(links, [2], "one segment, shared with the database");
}

#[test]
fn a_snapshot_in_memory_works_the_same() {
    let db = Database::in_memory().unwrap();
    let docs = db.create_collection("docs", Collection::options(8, Metric::Cosine)).unwrap();
    let mut random = Random::new(3);
    docs.batch_upsert((0..100).map(|id| record(id, &mut random)).collect()).unwrap();
    let then = everything(&docs).unwrap();
    db.create_snapshot("s").unwrap();
    docs.remove_where("n >= 10").unwrap();
    docs.optimize().unwrap();
    db.restore_snapshot("s").unwrap();
    assert_eq!(everything(&docs).unwrap(), then);
}

#[test]
fn snapshots_under_load_are_of_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    let docs = db.create_collection("docs", Collection::options(8, Metric::Cosine)).unwrap();
    let first = db.stats().unwrap().seq;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    let made = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut random = Random::new(4);
            // Both records of a pair in one batch: no moment has one without the other.
            for n in 0..u64::MAX {
                docs.batch_upsert(vec![record(2 * n, &mut random), record(2 * n + 1, &mut random)])
                    .unwrap();
                if stop.load(relaxed) {
                    break;
                }
            }
        });
        let made: Vec<_> = (0..10).map(|n| db.create_snapshot(&format!("s{n}"))).collect();
        // Before anything is asserted: a writer that is not told to stop never ends.
        stop.store(true, relaxed);
        writer.join().unwrap();
        made
    });
    for info in made {
        let info = info.unwrap();
        // Each commit wrote two records: none is missing, and none is there too early.
        assert_eq!(info.records, 2 * (info.seq - first), "{info:?}");
    }
    let mut last = 0;
    for info in db.list_snapshots().unwrap() {
        db.restore_snapshot(&info.name).unwrap();
        let contents = everything(&docs).unwrap();
        assert_eq!(contents.len() as u64, info.records);
        assert!(info.records >= last, "a later snapshot has less");
        last = info.records;
    }
}
