//! Writing and reading records.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use serde_json::{Value, json};
use vecstore::{Collection, Database, ErrorKind, Include, Metric, Record, RecordId};
use vecstore_tests::{Random, everything, in_memory};

#[test]
fn a_record_comes_back_as_it_went_in() {
    let dir = tempfile::tempdir().unwrap();
    let metadata = json!({
        "bool": true, "int": i64::MAX, "negative": i64::MIN, "float": 0.1, "tiny": 5e-324,
        "null": null, "text": "naïve \u{1F980} \"quoted\"", "list": [1, "a", [true, null], {}],
        "nested": {"a": {"b": [1, 2.5]}}, "empty": {}, "": "empty name", "a.b": "dot",
    });
    let uuid = uuid_like();
    let ids: Vec<RecordId> =
        vec![0.into(), u64::MAX.into(), "0".into(), "x".repeat(512).into(), uuid];
    let vector = vec![1.5e-30, -0.0, 3.4e18];
    {
        let db = Database::open(dir.path()).unwrap();
        let docs = db.create_collection("docs", Collection::options(3, Metric::Euclidean)).unwrap();
        for id in &ids {
            docs.upsert(Record::new(id, vector.clone()).metadata(metadata.clone())).unwrap();
        }
    }
    let check = |docs: &Collection, when: &str| {
        for id in &ids {
            let record = docs.get(id).unwrap().unwrap_or_else(|| panic!("{id}: {when}"));
            assert_eq!(record.id, *id);
            assert_eq!(Value::Object(record.metadata), metadata, "{when}");
            let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&record.vector), bits(&vector), "{when}");
        }
        assert_eq!(docs.count(None).unwrap(), ids.len() as u64, "{when}");
    };
    let db = Database::open(dir.path()).unwrap();
    let docs = db.collection("docs").unwrap();
    check(&docs, "from the log");
    docs.flush().unwrap();
    assert_eq!(docs.stats().unwrap().memtable_records, 0);
    check(&docs, "from a segment");
    drop((docs, db));
    let db = Database::open(dir.path()).unwrap();
    check(&db.collection("docs").unwrap(), "from a segment after reopening");
}

fn uuid_like() -> RecordId {
    let id: RecordId = "67e55044-10b1-426f-9247-bb680e5fe0c8".parse().unwrap();
    assert!(matches!(id, RecordId::Uuid(_)));
    id
}

#[test]
fn one_id_updated_a_thousand_times_is_one_record_and_only_the_newest_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    let docs = db.create_collection("docs", Collection::options(4, Metric::Euclidean)).unwrap();
    for n in 0..1_000_u32 {
        let record = Record::new("it", [n as f32, 0.0, 0.0, 0.0]).metadata(json!({"n": n}));
        docs.upsert(record).unwrap();
        if n % 300 == 299 {
            docs.flush().unwrap();
        }
    }
    let check = |docs: &Collection| {
        assert_eq!(docs.count(None).unwrap(), 1);
        for n in [0_u32, 299, 500, 999] {
            let hits = docs.query(&[n as f32, 0.0, 0.0, 0.0]).run().unwrap();
            assert_eq!(hits.len(), 1);
            assert_eq!(hits[0].metadata["n"], 999);
            assert_eq!(hits[0].distance, (999 - n) as f32);
        }
        assert_eq!(docs.count(Some("n < 999")).unwrap(), 0);
    };
    check(&docs);
    docs.optimize().unwrap();
    check(&docs);
    drop((docs, db));
    let db = Database::open(dir.path()).unwrap();
    check(&db.collection("docs").unwrap());
}

#[test]
fn removed_records_make_room_for_the_next_nearest() {
    let (_db, docs) = in_memory(4, Metric::Cosine);
    let mut random = Random::new(3);
    let records = (0..500_u64).map(|id| Record::new(id, random.vector(4))).collect();
    docs.batch_upsert(records).unwrap();
    let query = random.vector(4);
    let ids = |k| -> Vec<RecordId> {
        docs.query(&query).k(k).exact().run().unwrap().into_iter().map(|hit| hit.id).collect()
    };
    let twenty = ids(20);
    for flushed in [false, true] {
        if flushed {
            docs.flush().unwrap();
        }
        let now = ids(10);
        assert_eq!(docs.remove_many(&now[..5]).unwrap(), 5);
        assert_eq!(ids(5), now[5..], "flushed: {flushed}");
    }
    assert_eq!(ids(10), twenty[10..]);
    assert_eq!(docs.count(None).unwrap(), 490);
}

#[test]
fn namespaces_are_apart() {
    let (_db, docs) = in_memory(2, Metric::Euclidean);
    let other = docs.namespace("other").unwrap();
    docs.upsert(Record::new(1, [0.0, 0.0])).unwrap();
    other.upsert(Record::new(1, [1.0, 1.0])).unwrap();
    other.upsert(Record::new(2, [0.0, 0.0])).unwrap();
    for flushed in [false, true] {
        assert_eq!(docs.count(None).unwrap(), 1, "flushed: {flushed}");
        assert_eq!(other.count(None).unwrap(), 2);
        assert_eq!(docs.query(&[1.0, 1.0]).run().unwrap().len(), 1);
        assert_eq!(other.query(&[1.0, 1.0]).run().unwrap()[0].id, 1.into());
        assert!(docs.get(2).unwrap().is_none());
        assert_eq!(docs.namespaces().unwrap(), [(String::new(), 1), ("other".to_owned(), 2)]);
        docs.flush().unwrap();
    }
    assert!(docs.remove(1).unwrap());
    assert!(!docs.remove(1).unwrap());
    assert_eq!(other.count(None).unwrap(), 2);
    assert_eq!(docs.namespaces().unwrap(), [("other".to_owned(), 2)]);
}

#[test]
fn remove_where_removes_what_matches_wherever_it_is() {
    let (_db, docs) = in_memory(2, Metric::Euclidean);
    for id in 0..100_u64 {
        let record = Record::new(id, [id as f32, 0.0]).metadata(json!({"even": id % 2 == 0}));
        docs.upsert(record).unwrap();
        if id == 60 {
            docs.flush().unwrap();
        }
    }
    assert_eq!(docs.select("even = $e").bind("e", true).count().unwrap(), 50);
    assert_eq!(docs.select("even = $e").bind("e", "true").remove().unwrap(), 0);
    assert_eq!(docs.select("even = $e").bind("e", true).remove().unwrap(), 50);
    assert_eq!(docs.remove_where("even = true").unwrap(), 0);
    assert_eq!(docs.count(None).unwrap(), 50);
    assert_eq!(docs.count(Some("even = true")).unwrap(), 0);
    docs.optimize().unwrap();
    assert_eq!(docs.count(None).unwrap(), 50);
}

#[test]
fn pages_are_ordered_complete_and_stable() {
    let (_db, docs) = in_memory(1, Metric::Euclidean);
    let mut ids: Vec<RecordId> = (0..150_u64).map(|n| (n * 7).into()).collect();
    ids.extend((0..50).map(|n| RecordId::from(format!("s{n}"))));
    ids.push(uuid_like());
    for (at, id) in ids.iter().enumerate() {
        let parity = at % 2;
        docs.upsert(Record::new(id, [at as f32]).metadata(json!({"parity": parity}))).unwrap();
        if at == 120 {
            docs.flush().unwrap();
        }
    }
    ids.sort();

    let mut seen = Vec::new();
    let mut after: Option<RecordId> = None;
    loop {
        let scroll = docs.scroll().limit(17).include(Include::NOTHING);
        let scroll = match &after {
            None => scroll,
            Some(id) => scroll.after(id),
        };
        let page = scroll.run().unwrap();
        seen.extend(page.records.into_iter().map(|record| record.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids);

    let filtered = docs.scroll().filter("parity = $p").bind("p", 1).limit(1_000).run().unwrap();
    assert_eq!(filtered.records.len(), 100);
    assert_eq!(filtered.next, None);

    // Pages of one iterator do not see later writes.
    let mut pages = docs.scroll().limit(100).pages().unwrap();
    let first = pages.next().unwrap().unwrap().records.len();
    docs.remove_where("parity = 0").unwrap();
    let rest: usize = pages.map(|page| page.unwrap().records.len()).sum();
    assert_eq!(first + rest, ids.len());
}

#[test]
fn a_database_is_many_collections() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    for name in ["a", "b"] {
        let docs = db.create_collection(name, Collection::options(2, Metric::Dot)).unwrap();
        docs.upsert(Record::new(name, [1.0, 0.0])).unwrap();
    }
    let again = db.create_collection("a", Collection::options(2, Metric::Dot)).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    let gone = db.collection("a").unwrap();
    gone.flush().unwrap();
    db.drop_collection("a").unwrap();
    assert_eq!(gone.count(None).unwrap_err().kind(), ErrorKind::NotFound);
    let missing = db.collection("a").unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(missing.to_string(), "there is no collection `a`; there are: `b`");
    // The name can be used again, for something else.
    let a = db.create_collection("a", Collection::options(5, Metric::Cosine)).unwrap();
    assert_eq!(a.count(None).unwrap(), 0);
    drop((a, gone, db));
    let db = Database::open(dir.path()).unwrap();
    assert_eq!(db.collections().unwrap(), ["a", "b"]);
    assert_eq!(db.collection("a").unwrap().settings().dim(), 5);
    assert_eq!(everything(&db.collection("b").unwrap()).unwrap().len(), 1);
}

#[test]
fn writers_and_readers_work_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = vecstore::Options { memtable_bytes_max: 1 << 16, ..Default::default() };
    let db = Database::open_with(dir.path(), options).unwrap();
    let docs = db.create_collection("docs", Collection::options(8, Metric::Euclidean)).unwrap();
    let (writers, each) = (4, 400_u64);
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let docs = docs.clone();
            scope.spawn(move || {
                let mut random = Random::new(writer);
                for n in 0..each {
                    let id = writer * each + n;
                    docs.upsert(Record::new(id, random.vector(8))).unwrap();
                    // Read your own write.
                    assert!(docs.get(id).unwrap().is_some(), "record {id}");
                }
            });
        }
        scope.spawn(|| {
            let mut seen = 0;
            while seen < writers * each {
                let now = docs.count(None).unwrap();
                assert!(now >= seen, "records disappeared: {seen}, then {now}");
                seen = now;
                assert!(docs.query(&[0.0; 8]).k(5).run().unwrap().complete);
            }
        });
    });
    assert_eq!(docs.count(None).unwrap(), writers * each);
    let report = docs.optimize().unwrap();
    assert_eq!(report.segments_after, 1);
    assert_eq!(docs.count(None).unwrap(), writers * each);
}
