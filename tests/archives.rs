//! Archives: the whole database in one file, taken while it is written to, and never believed where
//! it is damaged.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;
use vecstore::{Collection, Database, ErrorKind, Metric, Quota, Record};
use vecstore_tests::{Random, everything, is_long};

fn record(id: u64, random: &mut Random) -> Record {
    Record::new(id, random.vector(8)).metadata(json!({"n": id}))
}

/// Two collections with a namespace, deletions, a quota, and rows in segments and in memory.
fn filled(db: &Database) {
    let mut random = Random::new(1);
    let docs = db.create_collection("docs", Collection::options(8, Metric::Cosine)).unwrap();
    let other = db.create_collection("other", Collection::options(8, Metric::Dot)).unwrap();
    docs.batch_upsert((0..500).map(|id| record(id, &mut random)).collect()).unwrap();
    docs.flush().unwrap();
    docs.batch_upsert((400..600).map(|id| record(id, &mut random)).collect()).unwrap();
    docs.flush().unwrap();
    docs.remove_where("n < 50").unwrap();
    docs.upsert(record(1_000, &mut random)).unwrap();
    docs.set_quota(Quota { records: Some(10_000), ..Quota::default() }).unwrap();
    other.namespace("x").unwrap().upsert(record(1, &mut random)).unwrap();
}

#[test]
fn a_database_comes_out_of_an_archive_as_it_went_in() {
    let dir = tempfile::tempdir().unwrap();
    for (name, db) in [
        ("folder", Database::open(dir.path().join("db")).unwrap()),
        ("memory", Database::in_memory().unwrap()),
    ] {
        filled(&db);
        let file = dir.path().join(format!("{name}.archive"));
        let info = db.archive(&file).unwrap();
        assert_eq!((info.collections, info.records), (2, 552), "{name}");
        assert_eq!(info.bytes, fs::metadata(&file).unwrap().len());
        assert_eq!(db.list_snapshots().unwrap(), []);
        assert_eq!(db.archive(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::write(dir.path().join("new.tmp"), b"somebody's").unwrap();
        let taken = db.archive(dir.path().join("new")).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(dir.path().join("new.tmp")).unwrap(), b"somebody's");

        let copy = dir.path().join(format!("{name}-copy/below"));
        assert_eq!(Database::unarchive(&file, &copy).unwrap(), info);
        let again = Database::unarchive(&file, &copy).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Conflict, "{again}");
        let copied = Database::open(&copy).unwrap();
        assert_eq!(copied.collections().unwrap(), db.collections().unwrap());
        let (docs, docs_then) =
            (copied.collection("docs").unwrap(), db.collection("docs").unwrap());
        assert_eq!(everything(&docs).unwrap(), everything(&docs_then).unwrap());
        assert_eq!(docs.quota().unwrap(), docs_then.quota().unwrap());
        let x = |db: &Database| {
            everything(&db.collection("other").unwrap().namespace("x").unwrap()).unwrap()
        };
        assert_eq!(x(&copied), x(&db));
        assert_eq!(copied.verify().unwrap().problems, Vec::<String>::new());
        // It is a database like any other.
        docs.upsert(record(7_000, &mut Random::new(2))).unwrap();
        docs.optimize().unwrap();
        drop((docs, copied));
        let copied = Database::open(&copy).unwrap();
        assert_eq!(copied.collection("docs").unwrap().count(None).unwrap(), 552);
    }
    let left = fs::read_dir(dir.path().join("db/snapshots")).unwrap().count();
    assert_eq!(left, 0, "folders in snapshots/");
}

/// One writer counts upwards, so a consistent state is the numbers up to one of them without a gap.
#[test]
fn an_archive_is_one_moment_while_others_write() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path().join("db")).unwrap();
    let docs = db.create_collection("docs", Collection::options(8, Metric::Cosine)).unwrap();
    let first = db.stats().unwrap().seq;
    let (acknowledged, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let rounds = if is_long() { 50 } else { 4 };
    let made = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random::new(3);
            while !done.load(Ordering::Acquire) {
                let n = acknowledged.load(Ordering::Acquire);
                docs.batch_upsert((n..n + 5).map(|id| record(id, &mut random)).collect()).unwrap();
                acknowledged.store(n + 5, Ordering::Release);
                if n % 5_000 == 0 {
                    docs.optimize().unwrap();
                }
            }
        });
        let made: Vec<_> = (0..rounds)
            .map(|round| {
                let file = dir.path().join(format!("{round}.archive"));
                let before = acknowledged.load(Ordering::Acquire);
                let info = db.archive(&file);
                (file, before, info, acknowledged.load(Ordering::Acquire) + 5)
            })
            .collect();
        // Before anything is asserted: a writer that is not told to stop never ends.
        done.store(true, Ordering::Release);
        made
    });
    for (round, (file, before, info, after)) in made.into_iter().enumerate() {
        let info = info.unwrap();
        let copy = dir.path().join(format!("copy-{round}"));
        Database::unarchive(&file, &copy).unwrap();
        let copied = Database::open(&copy).unwrap();
        let copied = copied.collection("docs").unwrap();
        let count = copied.count(None).unwrap();
        assert!(before <= count && count <= after, "{before} {count} {after}");
        assert_eq!(count, (info.seq - first) * 5, "not as of the commit that it names");
        assert_eq!(info.records, count);
        assert_eq!(copied.count(Some(&format!("n < {count}"))).unwrap(), count, "a gap");
    }
}

fn refused(file: &Path, copy: &Path, kind: ErrorKind, what: &str) -> String {
    let error = Database::unarchive(file, copy).expect_err(what);
    assert_eq!(error.kind(), kind, "{what}: {error}");
    assert!(error.to_string().contains(&*file.display().to_string()), "{what}: {error}");
    let left: Vec<_> = fs::read_dir(copy).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "LOCK"), "{what} left {left:?}");
    let nothing = Database::open_existing(copy, vecstore::Options::default()).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::NotFound, "{what}");
    error.to_string()
}

#[test]
fn a_damaged_archive_is_refused_with_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let (file, copy) = (dir.path().join("a.archive"), dir.path().join("copy"));
    let db = Database::in_memory().unwrap();
    filled(&db);
    db.archive(&file).unwrap();
    let whole = fs::read(&file).unwrap();
    let mut random = Random::new(4);
    // All of the head, and every part of the rest by chance.
    let samples = if is_long() { 10_000 } else { 300 };
    let chosen: Vec<usize> =
        (0..samples).map(|_| random.below(whole.len() as u64) as usize).collect();
    let places = (0..20).chain(chosen);
    let mut flips = 0;
    for at in places {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << random.below(8);
        fs::write(&file, &bytes).unwrap();
        let said = refused(&file, &copy, ErrorKind::Corrupt, &format!("byte {at} flipped"));
        assert!(said.contains("damaged at byte"), "{said}");
        flips += 1;
    }
    let cuts = if is_long() { 1_000 } else { 50 };
    for at in [0, 1, 19, 20, 21, whole.len() - 1]
        .into_iter()
        .chain((0..cuts).map(|_| random.below(whole.len() as u64) as usize))
    {
        fs::write(&file, &whole[..at]).unwrap();
        refused(&file, &copy, ErrorKind::Corrupt, &format!("cut at byte {at}"));
    }
    fs::write(&file, [&whole[..], b"x"].concat()).unwrap();
    refused(&file, &copy, ErrorKind::Corrupt, "a byte more");
    fs::write(&file, &whole).unwrap();
    Database::unarchive(&file, &copy).unwrap();
    println!("{flips} flips and {} cuts of {} bytes, each refused", cuts + 6, whole.len());

    let missing = Database::unarchive(dir.path().join("no"), dir.path().join("c")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(!dir.path().join("c").exists());
    let full = dir.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("mine"), b"mine").unwrap();
    let error = Database::unarchive(&file, &full).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("`mine`"), "{error}");
    assert_eq!(fs::read(full.join("mine")).unwrap(), b"mine");
}

#[test]
fn a_damaged_segment_goes_into_no_archive() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path().join("db")).unwrap();
    filled(&db);
    db.flush().unwrap();
    drop(db);
    let segment = fs::read_dir(dir.path().join("db/seg")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&segment).unwrap();
    fs::write(&segment, bytes).unwrap();

    let db = Database::open(dir.path().join("db")).unwrap();
    assert_eq!(db.verify().unwrap().problems.len(), 1);
    let error = db.archive(dir.path().join("archive")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["db"]);
}
