//! A volume that fills up: records are refused before it is full, and space can be made.
//!
//! Skipped, with the reason, where no volume can be mounted.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::ops::ControlFlow;

use serde_json::json;
use vecstore::simulation::{OsVfs, Vfs};
use vecstore::{Collection, Database, ErrorKind, Metric, Options, Record, RecordId, Stage};
use vecstore_tests::volume::Volume;
use vecstore_tests::{Random, everything};

const DIM: usize = 16;
const BATCH: u64 = 20;
/// Bytes of a record, about, nearly all of them metadata: few rows fill the volume, and no time goes
/// into graphs.
const RECORD_BYTES: usize = 16_000;

fn record(id: impl Into<RecordId>, random: &mut Random) -> Record {
    let text: String =
        (0..RECORD_BYTES).map(|_| char::from(b'#' + (random.number() >> 58) as u8)).collect();
    let text = text.replace('\\', "_");
    Record::new(id, random.vector(DIM)).metadata(json!({"text": text}))
}

fn options() -> Options {
    Options {
        memtable_bytes_max: 4 << 20,
        disk_reserve_bytes: 64 << 20,
        threads: 1,
        ..Options::default()
    }
}

#[test]
fn records_are_refused_before_the_volume_is_full_and_space_can_be_made() {
    let volume = match Volume::memory(320 << 20) {
        Ok(volume) => volume,
        Err(why) => return println!("skipped, no volume to fill: {why}"),
    };
    let dir = volume.path().join("db");
    let db = Database::open_with(&dir, options()).unwrap();
    let docs = db.create_collection("docs", Collection::options(DIM, Metric::Dot)).unwrap();
    let mut random = Random::new(1);
    let mut batches = 0;
    let error = loop {
        assert!(batches < 10_000, "the volume does not fill up");
        let records = (0..BATCH).map(|at| record(batches * BATCH + at, &mut random)).collect();
        match docs.batch_upsert(records) {
            Ok(_) => batches += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
    assert!(error.to_string().contains("are free"), "{error}");
    println!("refused after {batches} batches: {error}");
    assert!(batches > 100, "hardly anything fits: the test shows nothing");
    assert_eq!(docs.count(None).unwrap(), batches * BATCH);

    // What was accepted can be sealed, nothing is poisoned, and removals go on.
    docs.flush().unwrap();
    let gone: Vec<RecordId> = (0..batches * BATCH * 4 / 5).map(RecordId::from).collect();
    for some in gone.chunks(10_000) {
        assert_eq!(docs.remove_many(some).unwrap(), some.len() as u64);
    }
    let report = db.optimize().unwrap();
    println!("optimize: {report:?}");
    assert!(report.bytes_after < report.bytes_before / 2, "{report:?}");
    docs.upsert(record("again", &mut random)).unwrap();
    let expected = batches * BATCH - gone.len() as u64 + 1;
    assert_eq!(docs.count(None).unwrap(), expected);
    drop((docs, db));

    let db = Database::open_with(&dir, options()).unwrap();
    let docs = db.collection("docs").unwrap();
    assert_eq!(everything(&docs).unwrap().len() as u64, expected);
    assert_eq!(db.verify().unwrap().problems, Vec::<String>::new());
}

/// A merge had room when it began, and others take it meanwhile: the merge gives way, not the log.
#[test]
fn a_merge_leaves_what_the_log_needs() {
    const MIB: u64 = 1 << 20;
    let volume = match Volume::memory(320 << 20) {
        Ok(volume) => volume,
        Err(why) => return println!("skipped, no volume to fill: {why}"),
    };
    let dir = volume.path().join("db");
    let options = Options { background_merge: false, ..options() };
    let db = Database::open_with(&dir, options.clone()).unwrap();
    let docs = db.create_collection("docs", Collection::options(DIM, Metric::Dot)).unwrap();
    let mut random = Random::new(3);
    for batch in 0..200 {
        docs.batch_upsert((0..BATCH).map(|at| record(batch * BATCH + at, &mut random)).collect())
            .unwrap();
    }
    docs.flush().unwrap();
    let ballast = volume.path().join("ballast");
    let free = || OsVfs.free_bytes(&volume.path()).unwrap();
    let (mut least, mut left) = (u64::MAX, 0);
    let error = db
        .optimize_with(&mut |now| {
            if now.stage == Stage::Rows && now.total > 0 && !ballast.exists() {
                // So little that the merge would take a part of what is kept.
                std::fs::write(&ballast, vec![1; (free() - 50 * MIB) as usize]).unwrap();
                left = free();
            }
            least = least.min(free());
            ControlFlow::Continue(())
        })
        .unwrap_err();
    println!("{left} free, then at least {least}: {error}");
    assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
    assert!(error.to_string().contains("32 MiB are to stay free"), "{error}");
    assert!(free() >= left, "what was written of the new segment is given back");

    // The log goes on, and so does the merge once there is room.
    docs.remove(1).unwrap();
    std::fs::remove_file(&ballast).unwrap();
    docs.upsert(record("again", &mut random)).unwrap();
    let report = db.optimize().unwrap();
    assert_eq!((report.segments_after, report.rows_dropped), (1, 1), "{report:?}");
    assert_eq!(docs.count(None).unwrap(), 200 * BATCH);
    assert_eq!(db.verify().unwrap().problems, Vec::<String>::new());
}

#[test]
fn a_volume_that_somebody_else_fills_loses_nothing() {
    let volume = match Volume::memory(192 << 20) {
        Ok(volume) => volume,
        Err(why) => return println!("skipped, no volume to fill: {why}"),
    };
    let dir = volume.path().join("db");
    // Without a reserve, so that the log itself meets the end of the volume.
    let options = Options { disk_reserve_bytes: 0, ..options() };
    let db = Database::open_with(&dir, options.clone()).unwrap();
    let docs = db.create_collection("docs", Collection::options(DIM, Metric::Dot)).unwrap();
    let ballast = volume.path().join("ballast");
    std::fs::write(&ballast, vec![1; 100 << 20]).unwrap();
    let mut random = Random::new(2);
    let mut acknowledged = 0_u64;
    let error = loop {
        assert!(acknowledged < 1_000_000, "the volume does not fill up");
        match docs.upsert(record(acknowledged, &mut random)) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    println!("after {acknowledged} records: {:?}: {error}", error.kind());
    assert!(
        matches!(error.kind(), ErrorKind::DiskFull | ErrorKind::Closed | ErrorKind::Busy),
        "{error}"
    );
    assert_eq!(docs.count(None).unwrap(), acknowledged, "reads go on");
    drop((docs, db));
    std::fs::remove_file(&ballast).unwrap();

    let db = Database::open_with(&dir, options).unwrap();
    let docs = db.collection("docs").unwrap();
    let found = docs.count(None).unwrap();
    assert!((acknowledged..=acknowledged + 1).contains(&found), "{found} of {acknowledged}");
    docs.upsert(record("again", &mut random)).unwrap();
    db.optimize().unwrap();
    assert_eq!(db.verify().unwrap().problems, Vec::<String>::new());
}
