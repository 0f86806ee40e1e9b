//! Quotas: what is refused, what still works, and that they last.

#![allow(clippy::unwrap_used)]

use serde_json::json;
use vecstore::{Collection, Database, Error, ErrorKind, Metric, Quota, Record};
use vecstore_tests::everything;

const DIM: usize = 4;

fn record(id: u64) -> Record {
    Record::new(id, [id as f32; DIM]).metadata(json!({"n": id}))
}

fn records(ids: std::ops::Range<u64>) -> Vec<Record> {
    ids.map(record).collect()
}

fn open(dir: &tempfile::TempDir) -> (Database, Collection) {
    let db = Database::open(dir.path()).unwrap();
    let docs = match db.collection("docs") {
        Ok(docs) => docs,
        Err(_) => {
            db.create_collection("docs", Collection::options(DIM, Metric::Euclidean)).unwrap()
        }
    };
    (db, docs)
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>, says: &[&str]) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded, "{error}");
    for part in says {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn records_are_bounded_and_the_rest_still_works() {
    let dir = tempfile::tempdir().unwrap();
    let (db, docs) = open(&dir);
    let (a, b) = (docs.namespace("a").unwrap(), docs.namespace("b").unwrap());
    docs.set_quota(Quota { records: Some(30), ..Quota::default() }).unwrap();
    a.set_namespace_quota(Quota { records: Some(10), ..Quota::default() }).unwrap();
    a.batch_upsert(records(0..9)).unwrap();
    let before = everything(&a).unwrap();
    refused(
        a.batch_upsert(records(8..11)),
        &["docs", "namespace `a`", "10 records", "there are 9", "brings 2"],
    );
    assert_eq!(everything(&a).unwrap(), before, "all or nothing");
    // The same new id twice is one record.
    a.batch_upsert(vec![record(9), record(9), record(3)]).unwrap();

    // In memory, in a segment, and opened again: at the quota all but new records work.
    let at_the_quota = |a: &Collection, when: &str| {
        refused(a.upsert(record(10)), &["10 records"]);
        a.batch_upsert(records(0..10)).unwrap();
        assert!(a.update(3, json!({"seen": when})).unwrap(), "{when}");
        assert_eq!(a.query(&[3.0; DIM]).k(1).run().unwrap()[0].metadata["seen"], when);
        assert!(a.remove(9).unwrap(), "{when}");
        a.upsert(record(10)).unwrap();
        refused(a.upsert(record(9)), &["10 records"]);
        assert!(a.remove(10).unwrap(), "{when}");
        a.upsert(record(9)).unwrap();
        assert_eq!(a.count(None).unwrap(), 10, "{when}");
    };
    at_the_quota(&a, "in memory");
    docs.flush().unwrap();
    at_the_quota(&a, "in both");
    docs.optimize().unwrap();
    at_the_quota(&a, "optimized");
    docs.flush().unwrap();
    drop((a, b, docs, db));

    let (db, docs) = open(&dir);
    let (a, b) = (docs.namespace("a").unwrap(), docs.namespace("b").unwrap());
    assert_eq!(docs.quota().unwrap().records, Some(30));
    assert_eq!(a.namespace_quota().unwrap().records, Some(10));
    assert_eq!(b.namespace_quota().unwrap(), Quota::default());
    at_the_quota(&a, "opened again");

    // All namespaces together.
    b.batch_upsert(records(0..20)).unwrap();
    refused(b.upsert(record(20)), &["collection `docs`, quota", "30 records"]);
    assert_eq!(docs.remove_namespace("a").unwrap(), 10);
    b.batch_upsert(records(20..30)).unwrap();
    refused(docs.upsert(record(1)), &["30 records"]);
    // The quota of a removed namespace stays.
    assert_eq!(a.namespace_quota().unwrap().records, Some(10));

    // Lowered below what there is: nothing is lost, nothing is added.
    docs.set_quota(Quota { records: Some(5), ..Quota::default() }).unwrap();
    refused(b.upsert(record(99)), &["5 records", "there are 30"]);
    b.upsert(record(7)).unwrap();
    assert_eq!(b.count(None).unwrap(), 30);

    // Quotas are in snapshots.
    db.create_snapshot("low").unwrap();
    docs.set_quota(Quota::default()).unwrap();
    a.set_namespace_quota(Quota::default()).unwrap();
    a.batch_upsert(records(0..50)).unwrap();
    db.restore_snapshot("low").unwrap();
    assert_eq!(docs.quota().unwrap().records, Some(5));
    assert_eq!(a.namespace_quota().unwrap().records, Some(10));
    refused(a.upsert(record(1)), &["5 records"]);
    docs.set_quota(Quota::default()).unwrap();
    a.set_namespace_quota(Quota::default()).unwrap();
    drop((a, b, docs, db));
    let (_db, docs) = open(&dir);
    assert_eq!(docs.quota().unwrap(), Quota::default());
    docs.namespace("a").unwrap().batch_upsert(records(0..50)).unwrap();
}

#[test]
fn bytes_batches_and_results_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, docs) = open(&dir);
    docs.set_namespace_quota(Quota { bytes: Some(20_000), ..Quota::default() }).unwrap();
    let long = |id: u64| record(id).metadata(json!({"text": "x".repeat(900)}));
    let fitting = (0..100).take_while(|&id| docs.upsert(long(id)).is_ok()).count() as u64;
    assert!((10..=20).contains(&fitting), "{fitting}");
    refused(docs.upsert(long(fitting)), &["20000 bytes"]);
    assert!(docs.update(0, json!({"more": 1})).unwrap());
    assert!(docs.remove(1).unwrap());
    // What is small in a segment leaves room: repeated text is compressed.
    docs.optimize().unwrap();
    docs.upsert(long(fitting)).unwrap();

    docs.set_quota(Quota { batch_records: Some(3), results: Some(6), ..Quota::default() }).unwrap();
    docs.set_namespace_quota(Quota::default()).unwrap();
    refused(docs.batch_upsert(records(0..4)), &["3 records of a batch", "these are 4"]);
    docs.batch_upsert(records(0..3)).unwrap();
    docs.batch_upsert(vec![]).unwrap();
    refused(docs.query(&[1.0; DIM]).k(7).run(), &["6 results of a query", "these are 7"]);
    assert_eq!(docs.query(&[1.0; DIM]).k(6).run().unwrap().len(), 6);
    let grouped = |size| docs.query(&[1.0; DIM]).k(2).group_by("n").group_size(size).run();
    refused(grouped(4), &["these are 8"]);
    assert_eq!(grouped(3).unwrap().groups.len(), 2);
    refused(docs.query_batch(&[1.0; DIM], |query| query.k(7)), &["6 results"]);
}

/// The bound holds for writers that come at the same moment, and so for the group they commit in.
#[test]
fn writers_beside_each_other_do_not_exceed_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, docs) = open(&dir);
    docs.set_quota(Quota { records: Some(100), ..Quota::default() }).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let docs = &docs;
            scope.spawn(move || {
                for n in 0..60 {
                    match docs.upsert(record(thread * 1_000 + n)) {
                        Ok(_) => {}
                        Err(error) => assert_eq!(error.kind(), ErrorKind::QuotaExceeded),
                    }
                }
            });
        }
    });
    assert_eq!(docs.count(None).unwrap(), 100);
}
