//! Updates of metadata: merge patches, by id and by filter, against a plain reading; with writers
//! beside them, and after everything that moves records.

#![allow(clippy::unwrap_used)]

use serde_json::{Map, Value, json};
use vecstore::{Collection, Database, ErrorKind, Metric, Options, Record};
use vecstore_tests::{Random, everything, in_memory};

fn record(id: u64, metadata: Value) -> Record {
    Record::new(id, [id as f32, 1.0]).metadata(metadata)
}

/// What RFC 7396 says, as its pseudocode says it.
fn merge_patch(target: Option<&Value>, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut target = match target {
        Some(Value::Object(target)) => target.clone(),
        _ => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            let merged = merge_patch(target.get(name), value);
            target.insert(name.clone(), merged);
        }
    }
    Value::Object(target)
}

/// The examples of RFC 7396, appendix A, whose documents are objects, and some more.
#[test]
fn a_patch_does_what_the_rfc_says() {
    let (_db, docs) = in_memory(2, Metric::Euclidean);
    for (before, patch, after) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        (json!({"a": 1}), json!({"a": {"b": 2}}), json!({"a": {"b": 2}})),
        (json!({"a": 1}), json!({}), json!({"a": 1})),
        (json!({"a": 1}), json!({"a": 1.0}), json!({"a": 1.0})),
    ] {
        assert_eq!(merge_patch(Some(&before), &patch), after, "the plain reading");
        for flushed in [false, true] {
            docs.upsert(record(1, before.clone())).unwrap();
            if flushed {
                docs.flush().unwrap();
            }
            assert!(docs.update(1, patch.clone()).unwrap());
            let found = docs.get(1).unwrap().unwrap();
            assert_eq!(Value::Object(found.metadata), after, "{before} + {patch}");
            assert_eq!(found.vector, [1.0, 1.0]);
        }
    }
}

#[test]
fn an_update_is_a_write_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    let docs = db.create_collection("docs", Collection::options(2, Metric::Euclidean)).unwrap();
    let other = docs.namespace("other").unwrap();
    docs.batch_upsert((0..10).map(|id| record(id, json!({"n": id}))).collect()).unwrap();
    docs.flush().unwrap();
    docs.batch_upsert((10..20).map(|id| record(id, json!({"n": id}))).collect()).unwrap();
    other.upsert(record(3, json!({"n": 3}))).unwrap();
    let segments = docs.stats().unwrap().segments[0].id;

    assert!(!docs.update(99, json!({"x": 1})).unwrap());
    // The same one twice counts once.
    assert_eq!(
        docs.update_many(&[3.into(), 13.into(), 99.into(), 3.into()], json!({"x": 1})).unwrap(),
        2
    );
    let seq = docs.get(3).unwrap().unwrap().seq;
    // Already so: counted, and not written again.
    assert!(docs.update(3, json!({"x": 1})).unwrap());
    assert_eq!(docs.get(3).unwrap().unwrap().seq, seq);
    assert_eq!(docs.select("n >= $n").bind("n", 18).update(json!({"x": 2, "n": null})).unwrap(), 2);
    assert_eq!(docs.update_where("n > 100", json!({"x": 9})).unwrap(), 0);

    let check = |docs: &Collection, when: &str| {
        let ids = |filter: &str| {
            let page = docs.scroll().filter(filter).run().unwrap();
            page.records.iter().map(|r| r.id.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(ids("x = 1"), "3 13", "{when}");
        assert_eq!(ids("x = 2"), "18 19", "{when}");
        assert_eq!(ids("NOT EXISTS n"), "18 19", "{when}");
        assert_eq!(docs.count(None).unwrap(), 20, "{when}");
        let hits = docs.query(&[3.0, 1.0]).k(1).filter("x = 1").run().unwrap();
        assert_eq!((hits[0].id.to_string(), hits[0].distance), ("3".to_owned(), 0.0), "{when}");
        let other = docs.namespace("other").unwrap().get(3).unwrap().unwrap();
        assert_eq!(Value::Object(other.metadata), json!({"n": 3}), "{when}");
    };
    check(&docs, "at once");
    assert_eq!(docs.stats().unwrap().segments[0].id, segments, "nothing was built for it");
    drop((docs, other, db));
    let db = Database::open(dir.path()).unwrap();
    let docs = db.collection("docs").unwrap();
    check(&docs, "opened again");
    docs.flush().unwrap();
    check(&docs, "in segments");
    docs.optimize().unwrap();
    check(&docs, "optimized");
}

#[test]
fn what_is_wrong_changes_nothing() {
    let (_db, docs) = in_memory(2, Metric::Euclidean);
    docs.upsert(record(1, json!({"a": "x".repeat(1_000_000)}))).unwrap();
    let before = everything(&docs).unwrap();
    let refused = |patch: Value, says: &str| {
        let error = docs.update(1, patch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(says), "{error}");
    };
    refused(json!([1]), "not a JSON object");
    refused(json!(null), "not a JSON object");
    refused(json!({"n": u64::MAX}), "largest integer");
    refused(json!({"b": "y".repeat(60_000)}), "at most 1048576");
    let mut deep = json!(1);
    for _ in 0..40 {
        deep = json!([deep]);
    }
    refused(json!({"deep": deep}), "nested deeper");
    // Also where there is nothing to change.
    let error = docs.update(99, json!({"n": u64::MAX})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(
        docs.update_where("a = ", json!({})).unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
    assert_eq!(everything(&docs).unwrap(), before);
}

/// More records than one commit takes, in segments and in memory, with removals among them.
#[test]
fn many_records_are_updated_by_filter() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { memtable_bytes_max: 256 << 10, ..Options::default() };
    let db = Database::open_with(dir.path(), options).unwrap();
    let docs = db.create_collection("docs", Collection::options(2, Metric::Euclidean)).unwrap();
    let mut random = Random::new(3);
    for first in (0..6_000_u64).step_by(500) {
        let batch = (first..first + 500)
            .map(|id| record(id, json!({"group": random.below(3), "deep": {"n": id}})));
        docs.batch_upsert(batch.collect()).unwrap();
    }
    docs.remove_where("deep.n < 500").unwrap();
    let mut expected = everything(&docs).unwrap();
    let patch = json!({"deep": {"seen": true}, "group": null});
    let mut count = 0;
    for (_, metadata) in expected.values_mut().filter(|(_, m)| m["group"] != 1) {
        let Value::Object(after) = merge_patch(Some(&metadata.clone().into()), &patch) else {
            unreachable!("a patch of an object is an object")
        };
        *metadata = after;
        count += 1;
    }
    assert!(count > 2_048, "several commits");
    assert_eq!(docs.update_where("group != 1", patch).unwrap(), count);
    assert!(everything(&docs).unwrap() == expected);
    docs.optimize().unwrap();
    assert!(everything(&docs).unwrap() == expected);
    assert_eq!(docs.count(Some("deep.seen = true")).unwrap(), count);
}

/// Updates of different fields at the same time lose nothing, and replaced records are neither
/// brought back nor changed where they no longer match.
#[test]
fn updates_beside_each_other_all_count() {
    const RECORDS: u64 = 300;
    const ROUNDS: u64 = 30;
    let (_db, docs) = in_memory(2, Metric::Euclidean);
    docs.batch_upsert((0..RECORDS).map(|id| record(id, json!({"n": id}))).collect()).unwrap();
    std::thread::scope(|scope| {
        for field in ["a", "b", "c"] {
            let docs = &docs;
            scope.spawn(move || {
                for round in 1..=ROUNDS {
                    let updated = docs.update_where("n >= 0", json!({field: round})).unwrap();
                    assert!(updated <= RECORDS);
                    // Nobody else writes this field of these records.
                    let filter = format!("n >= 100 AND {field} = {round}");
                    assert_eq!(docs.count(Some(&filter)).unwrap(), RECORDS - 100, "{filter}");
                }
            });
        }
        scope.spawn(|| {
            for id in 0..100 {
                docs.remove(id).unwrap();
                docs.upsert(record(id, json!({"other": id}))).unwrap();
            }
        });
    });
    for (id, (vector, metadata)) in everything(&docs).unwrap() {
        if metadata.contains_key("other") {
            assert_eq!(Value::Object(metadata.clone()), json!({"other": metadata["other"]}));
        } else {
            for field in ["a", "b", "c"] {
                assert_eq!(metadata[field], ROUNDS, "record {id}, {field}");
            }
            assert_eq!(vector[0], metadata["n"].as_f64().unwrap() as f32);
        }
    }
    assert_eq!(docs.count(Some("EXISTS other")).unwrap(), 100);
}

/// A function of the record as it is: no count is lost to another writer, whether ids or a filter say
/// which records are meant.
#[test]
fn changes_beside_each_other_all_count() {
    const WRITERS: u64 = 4;
    const ROUNDS: u64 = 50;
    let (_db, docs) = in_memory(2, Metric::Euclidean);
    docs.batch_upsert((1..=3).map(|id| record(id, json!({"n": 0, "id": id}))).collect()).unwrap();
    docs.flush().unwrap();
    let count = |metadata: &mut Map<String, Value>| {
        let n = metadata["n"].as_u64().unwrap();
        metadata.insert("n".to_owned(), (n + 1).into());
    };
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    // One that is not there, and one that is named twice.
                    let ids = [1.into(), 2.into(), 1.into(), 99.into()];
                    assert_eq!(docs.change_many(&ids, count).unwrap(), 2);
                    assert_eq!(docs.select(Some("id >= 2")).change(count).unwrap(), 2);
                }
            });
        }
    });
    let n = |id: u64| docs.get(id).unwrap().unwrap().metadata["n"].clone();
    assert_eq!([n(1), n(2), n(3)], [200, 400, 200].map(Value::from));
    assert_eq!(docs.get(2).unwrap().unwrap().vector, [2.0, 1.0]);
    // What changes nothing counts and is not written.
    let before = docs.upsert(record(7, json!({}))).unwrap();
    assert_eq!(docs.change_many(&[1.into()], |_| ()).unwrap(), 1);
    assert_eq!(docs.upsert(record(8, json!({}))).unwrap(), before + 1);
    // What is no metadata any more is refused, and everything stays.
    let large = "x".repeat(vecstore::limits::METADATA_BYTES_MAX);
    let error = docs.change_many(&[1.into(), 2.into()], |metadata| {
        metadata.insert("large".to_owned(), large.clone().into());
    });
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(n(1), 200);
}
