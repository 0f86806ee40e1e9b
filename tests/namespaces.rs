//! Many namespaces in one collection, and what is left of those that were removed.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::json;
use vecstore::{Collection, Database, Metric, NamespaceInfo, Options, Record};
use vecstore_tests::folder_image::FolderImage;
use vecstore_tests::{Contents, Random, everything};

const DIM: usize = 8;
const SMALL: u64 = 20;
const LARGE: u64 = 3_000;

fn create(dir: &Path) -> (Database, Collection) {
    let options = Options { background_merge: false, ..Options::default() };
    let db = Database::open_with(dir, options).unwrap();
    let docs = db.create_collection("docs", Collection::options(DIM, Metric::Euclidean)).unwrap();
    (db, docs)
}

fn open(dir: &Path) -> (Database, Collection) {
    let options = Options { background_merge: false, ..Options::default() };
    let db = Database::open_with(dir, options).unwrap();
    let docs = db.collection("docs").unwrap();
    (db, docs)
}

/// The folder as a crash would leave it at this moment: what is on disk, without a close.
fn crash_image(dir: &Path) -> tempfile::TempDir {
    FolderImage::of(dir).lay_out()
}

fn tenant(n: u64) -> String {
    format!("tenant-{n}")
}

fn fill(docs: &Collection, n: u64, records: u64, random: &mut Random) {
    let docs = docs.namespace(&tenant(n)).unwrap();
    let record = |at: u64, random: &mut Random| {
        Record::new(format!("secret-{n}-{at}"), random.vector(DIM))
            .metadata(json!({"tenant": n, "at": at}))
    };
    docs.batch_upsert((0..records).map(|at| record(at, random)).collect()).unwrap();
}

/// The tenants that are named in some file below a folder, in one of the ways they are written.
fn tenants_in_files(dir: &Path) -> BTreeSet<u64> {
    const BEFORE: [&[u8]; 3] = [b"secret-", b"tenant-", b"\"tenant\":"];
    let mut tenants = BTreeSet::new();
    for file in FolderImage::of(dir).files.values() {
        let bytes = &file.bytes;
        for at in (0..bytes.len()).filter(|&at| matches!(bytes[at], b's' | b't' | b'"')) {
            for before in BEFORE.iter().filter(|before| bytes[at..].starts_with(before)) {
                let digits = bytes[at + before.len()..].iter().take_while(|b| b.is_ascii_digit());
                let number = digits.fold(None, |n: Option<u64>, digit| {
                    Some(n.unwrap_or(0).wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
                });
                tenants.extend(number);
            }
        }
    }
    tenants
}

#[test]
fn each_tenant_sees_its_own_and_removed_ones_leave_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let (db, docs) = create(dir.path());
    let mut random = Random::new(1);
    // In two segments and in memory, each tenant in one of them, some in all.
    for n in 0..120 {
        fill(&docs, n, SMALL, &mut random);
    }
    fill(&docs, 500, LARGE, &mut random);
    docs.flush().unwrap();
    for n in 100..200 {
        fill(&docs, n, SMALL, &mut random);
    }
    docs.flush().unwrap();
    for n in 190..240 {
        fill(&docs, n, SMALL, &mut random);
    }
    let all: Vec<u64> = (0..240).chain([500]).collect();
    let listed = docs.list_namespaces().unwrap();
    assert_eq!(listed.len(), all.len());
    let bytes: u64 = listed.iter().map(|info| info.bytes).sum();
    for NamespaceInfo { name, records, bytes } in &listed {
        let expected = if *name == tenant(500) { LARGE } else { SMALL };
        assert_eq!(*records, expected, "{name}");
        assert!(*bytes > records * DIM as u64 * 4, "{name}: {bytes}");
    }
    let stats = docs.stats().unwrap();
    assert!(bytes <= stats.segments.iter().map(|s| s.bytes).sum::<u64>() + stats.memtable_bytes);

    let own = |docs: &Collection, n: u64, random: &mut Random| {
        let own = docs.namespace(&tenant(n)).unwrap();
        let hits = own.query(&random.vector(DIM)).k(50).run().unwrap();
        let expected = if n == 500 { 50 } else { SMALL as usize };
        assert_eq!(hits.len(), expected, "tenant {n}");
        assert!(hits.iter().all(|hit| hit.metadata["tenant"] == n), "tenant {n}: {hits:?}");
    };
    let check = |docs: &Collection, random: &mut Random, removed: &[u64], when: &str| {
        for &n in &all {
            if removed.contains(&n) {
                let gone = docs.namespace(&tenant(n)).unwrap();
                assert_eq!(gone.count(None).unwrap(), 0, "tenant {n}, {when}");
                assert_eq!(gone.get(format!("secret-{n}-3")).unwrap(), None, "tenant {n}, {when}");
                assert_eq!(gone.query(&random.vector(DIM)).run().unwrap().len(), 0, "{when}");
            } else {
                own(docs, n, random);
            }
        }
        let names: Vec<String> =
            docs.list_namespaces().unwrap().into_iter().map(|i| i.name).collect();
        assert_eq!(names.len(), all.len() - removed.len(), "{when}");
        assert!(!removed.iter().any(|n| names.contains(&tenant(*n))), "{when}");
    };
    check(&docs, &mut random, &[], "before");

    let removed: Vec<u64> = (0..240).step_by(5).chain([101, 500]).collect();
    assert_eq!(removed.len(), 50);
    for &n in &removed {
        let expected = if n == 500 { LARGE } else { SMALL };
        assert_eq!(docs.remove_namespace(&tenant(n)).unwrap(), expected, "tenant {n}");
        assert_eq!(docs.remove_namespace(&tenant(n)).unwrap(), 0, "tenant {n}, again");
    }
    check(&docs, &mut random, &removed, "at once");
    let image = crash_image(dir.path());
    check(&open(image.path()).1, &mut random, &removed, "after a crash");
    drop((docs, db));
    let (db, docs) = open(dir.path());
    check(&docs, &mut random, &removed, "opened again");
    docs.flush().unwrap();
    check(&docs, &mut random, &removed, "flushed");
    assert!(tenants_in_files(dir.path()).contains(&5), "not merged yet");
    db.optimize().unwrap();
    check(&docs, &mut random, &removed, "optimized");
    let left: BTreeSet<u64> = all.iter().copied().filter(|n| !removed.contains(n)).collect();
    assert_eq!(tenants_in_files(dir.path()), left);
    // Also where nothing was written since the last flush.
    assert_eq!(docs.remove_namespace(&tenant(1)).unwrap(), SMALL);
    docs.optimize().unwrap();
    assert!(!tenants_in_files(dir.path()).contains(&1));
    let removed: Vec<u64> = removed.into_iter().chain([1]).collect();
    drop((docs, db));
    check(&open(dir.path()).1, &mut random, &removed, "opened once more");
}

/// A name can be used again at once, and has only what came after.
#[test]
fn a_removed_namespace_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (db, docs) = create(dir.path());
    let mut random = Random::new(2);
    let own = |docs: &Collection| docs.namespace(&tenant(7)).unwrap();
    let expect = |docs: &Collection, expected: &Contents, when: &str| {
        assert_eq!(&everything(&own(docs)).unwrap(), expected, "{when}");
        assert_eq!(own(docs).count(Some("tenant = 7")).unwrap(), expected.len() as u64, "{when}");
    };
    let mut expected = Contents::new();
    for round in 0..4 {
        fill(&docs, 7, 30 + round, &mut random);
        if round == 0 || round == 2 {
            docs.flush().unwrap();
        }
        assert!(docs.remove_namespace(&tenant(7)).unwrap() >= 30);
        fill(&docs, 7, 5 + round, &mut random);
        // Also something that was there before and is not written again.
        assert_eq!(own(&docs).get("secret-7-29").unwrap(), None);
        expected = everything(&own(&docs)).unwrap();
        assert_eq!(expected.len() as u64, 5 + round);
        let image = crash_image(dir.path());
        expect(&open(image.path()).1, &expected, &format!("round {round}, after a crash"));
        if round == 2 {
            docs.flush().unwrap();
            expect(&docs, &expected, "flushed");
        }
    }
    drop((docs, db));
    let (db, docs) = open(dir.path());
    expect(&docs, &expected, "opened again");

    // A snapshot has what was there, and not what was not.
    db.create_snapshot("kept").unwrap();
    docs.remove_namespace(&tenant(7)).unwrap();
    docs.optimize().unwrap();
    expect(&docs, &Contents::new(), "removed again");
    for removed_before in [false, true] {
        if removed_before {
            docs.remove_namespace(&tenant(7)).unwrap();
        }
        db.restore_snapshot("kept").unwrap();
        expect(&docs, &expected, "restored");
        let image = crash_image(dir.path());
        expect(&open(image.path()).1, &expected, "restored, after a crash");
    }
    docs.optimize().unwrap();
    expect(&docs, &expected, "optimized");
}

/// Removed and written again while a flush and a merge write what it had.
#[test]
fn a_removal_beside_flush_and_merge_counts() {
    for merge in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (db, docs) = create(dir.path());
        let mut random = Random::new(3);
        let own = docs.namespace(&tenant(1)).unwrap();
        fill(&docs, 1, 200, &mut random);
        fill(&docs, 2, 200, &mut random);
        if merge {
            docs.flush().unwrap();
            fill(&docs, 1, 100, &mut random);
            docs.flush().unwrap();
        }
        let mut calls = 0;
        let mut meanwhile = |_: vecstore::Progress| {
            if calls == 0 {
                assert_eq!(docs.remove_namespace(&tenant(1)).unwrap(), 200);
                fill(&docs, 1, 3, &mut Random::new(4));
            }
            calls += 1;
            ControlFlow::Continue(())
        };
        if merge {
            docs.optimize_with(&mut meanwhile).unwrap();
        } else {
            docs.flush_with(&mut meanwhile).unwrap();
        }
        assert!(calls > 0);
        let check = |docs: &Collection, when: &str| {
            let count = |n| docs.namespace(&tenant(n)).unwrap().count(None).unwrap();
            assert_eq!((count(1), count(2)), (3, 200), "{when}, merge: {merge}");
        };
        assert_eq!(own.get("secret-1-5").unwrap(), None);
        check(&docs, "at once");
        let image = crash_image(dir.path());
        let (image_db, image_docs) = open(image.path());
        check(&image_docs, "after a crash");
        image_docs.optimize().unwrap();
        check(&image_docs, "after a crash, optimized");
        drop((image_docs, image_db));
        docs.optimize().unwrap();
        check(&docs, "optimized");
        drop((own, docs, db));
        check(&open(dir.path()).1, "opened again");
    }
}

/// A filter in a small namespace does not pay for the segment around it, and gives the same rows.
#[test]
fn a_filter_in_a_tiny_namespace_reads_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, docs) = create(dir.path());
    let mut random = Random::new(5);
    fill(&docs, 1, 3, &mut random);
    let large = docs.namespace("large").unwrap();
    for first in [0, 7_000, 14_000] {
        let record = |at: u64| Record::new(first + at, vec![1.0; DIM]).metadata(json!({"at": at}));
        large.batch_upsert((0..7_000).map(record).collect()).unwrap();
    }
    docs.flush().unwrap();
    let own = docs.namespace(&tenant(1)).unwrap();
    let filter = "at >= 1 AND tenant = 1";
    let (found, plan) = own.query(&[0.5; DIM]).filter(filter).explain().unwrap();
    assert_eq!((found.len(), plan.segments[0].rows_read), (2, 3), "{plan}");
    let (found, plan) = large.query(&[0.5; DIM]).filter("at < 2").explain().unwrap();
    assert_eq!((found.len(), plan.segments[0].rows_read), (6, 0), "{plan}");
}
