//! Filters, counts and facets through the public face: the same answers in memory, in a segment and
//! from both, as a plain look at every record gives.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use vecstore::{Collection, ErrorKind, Metric, Record};
use vecstore_tests::{Random, in_memory, nearest, recall};

/// Metadata of every shape a filter tells apart.
fn metadata(random: &mut Random) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
    let n = random.below(1_000);
    match random.below(8) {
        0 => {}
        1 => put("n", Value::Null),
        2 => put("n", json!(n as f64 / 4.0)),
        3 => put("n", json!([n, n + 1, n])),
        _ => put("n", json!(n)),
    }
    let tags = ["red", "green", "blue", "dark red"];
    let tag = |random: &mut Random| tags[random.below(4) as usize];
    match random.below(4) {
        0 => put("tag", json!([tag(random), tag(random)])),
        1 => put("tag", json!({"name": tag(random)})),
        _ => put("tag", json!(tag(random))),
    }
    let (hour, minute) = (random.below(24), random.below(60));
    let made = match random.below(4) {
        0 => format!("2024-05-{:02}T{hour:02}:{minute:02}:00+02:00", random.below(31) + 1),
        1 => format!("2024-05-{:02}", random.below(31) + 1),
        2 => format!("2024-05-{:02}T{hour:02}:{minute:02}:00.{minute:02}Z", random.below(31) + 1),
        _ => "long ago".repeat(random.below(40) as usize),
    };
    put("made", json!(made));
    object
}

const FILTERS: [&str; 14] = [
    "n < 500",
    "n = 250",
    "n IS NULL OR NOT EXISTS n",
    "n BETWEEN 10 AND 12.5",
    "tag = 'red'",
    "tag CONTAINS 'red'",
    "tag NOT CONTAINS 'red'",
    "tag.name STARTSWITH 'd'",
    "made >= DATE '2024-05-10T12:00:00Z'",
    "made < DATE '2024-05-10' AND tag != 'blue'",
    "made LIKE '%ago%'",
    "made = DATE '2024-05-07'",
    "made = '2024-05-07'",
    "NOT (n > 100 AND made > DATE '2024-05-02')",
];

/// Records 0 to `records`, some of them replaced and some removed.
fn fill(docs: &Collection, records: u64, random: &mut Random) -> BTreeMap<u64, Map<String, Value>> {
    let mut twin = BTreeMap::new();
    let ids: Vec<u64> = (0..records).chain((0..records).step_by(7)).collect();
    for ids in ids.chunks(500) {
        let batch: Vec<Record> = ids
            .iter()
            .map(|&id| {
                let metadata = metadata(random);
                twin.insert(id, metadata.clone());
                Record::new(id, [id as f32]).metadata(Value::Object(metadata))
            })
            .collect();
        docs.batch_upsert(batch).unwrap();
    }
    for id in (0..records).step_by(11) {
        assert!(docs.remove(id).unwrap());
        twin.remove(&id);
    }
    twin
}

fn plain_count(twin: &BTreeMap<u64, Map<String, Value>>, filter: &str) -> u64 {
    let filter = vecstore_query::Filter::parse(filter, &Default::default()).unwrap();
    twin.values().filter(|metadata| filter.matches(metadata)).count() as u64
}

/// The different values of a record at a field of the top level.
fn values(record: &Map<String, Value>, field: &str) -> Vec<String> {
    let mut values: Vec<String> = match record.get(field) {
        None | Some(Value::Object(_)) => Vec::new(),
        Some(Value::Array(elements)) => elements.iter().map(text).collect(),
        Some(value) => vec![text(value)],
    };
    values.sort();
    values.dedup();
    values
}

/// JSON text in which a whole float is an integer.
fn text(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if value.is_number() => number.to_string(),
        _ => value.to_string(),
    }
}

fn check(docs: &Collection, twin: &BTreeMap<u64, Map<String, Value>>, when: &str) {
    assert_eq!(docs.count(None).unwrap(), twin.len() as u64, "{when}");
    for filter in FILTERS {
        let expected = plain_count(twin, filter);
        assert_eq!(docs.count(Some(filter)).unwrap(), expected, "{when}: {filter}");
        let hits = docs.query(&[5.0]).k(10_000).filter(filter).run().unwrap();
        assert_eq!(hits.len() as u64, expected, "{when}: {filter}");

        for field in ["n", "tag", "made", "nothing"] {
            let parsed = vecstore_query::Filter::parse(filter, &Default::default()).unwrap();
            let mut counts: BTreeMap<String, u64> = BTreeMap::new();
            for record in twin.values().filter(|record| parsed.matches(record)) {
                for value in values(record, field) {
                    *counts.entry(value).or_default() += 1;
                }
            }
            let facet = docs.facet(field).filter(filter).limit(10_000).run().unwrap();
            assert_eq!(facet.distinct, counts.len() as u64, "{when}: {field}, {filter}");
            assert!(facet.values.is_sorted_by(|a, b| a.count >= b.count));
            let found = facet.values.iter().map(|v| (text(&v.value), v.count)).collect();
            assert_eq!(counts, found, "{when}: {field}, {filter}");
        }
    }
}

#[test]
fn memory_and_segments_give_the_plain_answer() {
    let (_db, docs) = in_memory(1, Metric::Euclidean);
    let mut random = Random::new(4);
    let other = docs.namespace("other").unwrap();
    let others = fill(&other, 700, &mut random);
    // More than two whole runs of the memtable's field indices, and a rest.
    let mut twin = fill(&docs, 2_600, &mut random);
    check(&docs, &twin, "in memory");
    check(&other, &others, "in memory, the other namespace");
    docs.flush().unwrap();
    check(&docs, &twin, "in a segment");
    check(&other, &others, "in a segment, the other namespace");

    for id in 2_000..3_500_u64 {
        let metadata = metadata(&mut random);
        docs.upsert(Record::new(id, [id as f32]).metadata(Value::Object(metadata.clone())))
            .unwrap();
        twin.insert(id, metadata);
    }
    check(&docs, &twin, "in both");
    docs.optimize().unwrap();
    check(&docs, &twin, "optimized");

    let removed = docs.select("made < DATE $day").bind("day", "2024-05-10").remove().unwrap();
    assert_eq!(removed, plain_count(&twin, "made < DATE '2024-05-10'"));
    assert_eq!(docs.count(Some("made < DATE '2024-05-10'")).unwrap(), 0);
    check(&other, &others, "after a removal in the first namespace");
}

#[test]
fn a_full_run_in_memory_is_not_read_row_by_row() {
    let (_db, docs) = in_memory(1, Metric::Euclidean);
    let records = (0..3_000_u64)
        .map(|id| Record::new(id, [id as f32]).metadata(json!({"n": id % 10})))
        .collect();
    docs.batch_upsert(records).unwrap();
    // The first filter has the indices made in the background; they are there soon after it.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let (hits, plan) = docs.query(&[0.0]).k(3_000).filter("n = 3").explain().unwrap();
        assert_eq!(hits.len(), 300);
        if plan.segments[0].rows_read < 1_024 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{plan}");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[test]
fn facets_are_shown_in_order() {
    let (_db, docs) = in_memory(1, Metric::Euclidean);
    for (id, value) in
        [json!("b"), json!("a"), json!("b"), json!(1), json!(null)].iter().enumerate()
    {
        docs.upsert(Record::new(id as u64, [1.0]).metadata(json!({"x": {"y": value}}))).unwrap();
    }
    let facet = docs.facet("x.y").limit(3).run().unwrap();
    let shown: Vec<_> = facet.values.iter().map(|v| (v.value.clone(), v.count)).collect();
    assert_eq!(shown, [(json!("b"), 2), (json!(null), 1), (json!(1), 1)]);
    assert_eq!(facet.distinct, 4);
    let refused = docs.facet("x").limit(0).run().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    let refused = docs.facet("x").bind("a", 1).run().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn stats_tell_the_size_of_each_field() {
    let (_db, docs) = in_memory(1, Metric::Euclidean);
    let record = json!({"n": 1.5, "made": "2024-05-01", "long": "x".repeat(200)});
    docs.upsert(Record::new("a", [1.0]).metadata(record)).unwrap();
    docs.flush().unwrap();
    let fields = &docs.stats().unwrap().segments[0].fields;
    let told: Vec<_> =
        fields.iter().map(|f| (f.path.as_str(), f.strings, f.numbers, f.dates)).collect();
    assert_eq!(told, [("long", None, 0, 0), ("made", Some(1), 0, 1), ("n", Some(0), 1, 0)]);
    assert!(fields.iter().all(|field| field.bytes > 0));
}

/// The rows just beyond a filter that leaves out the nearest half lie closer together than their
/// codes can tell.
#[test]
fn a_filter_far_from_the_query_finds_the_right_rows() {
    let (_db, docs) = in_memory(32, Metric::Cosine);
    let mut random = Random::new(9);
    let vectors: Vec<Vec<f32>> = (0..6_000).map(|_| random.vector(32)).collect();
    let query = random.vector(32);
    let order = nearest(Metric::Cosine, &vectors, &query, vectors.len(), |_| true);
    let records = (order.iter().enumerate())
        .map(|(place, &row)| {
            Record::new(row as u64, vectors[row].clone()).metadata(json!({"place": place}))
        })
        .collect();
    docs.batch_upsert(records).unwrap();
    docs.flush().unwrap();
    for matches in [3_000, 600, 60] {
        let first = order.len() - matches;
        for k in [1, 10, 100] {
            let filter = format!("place >= {first}");
            let wanted = &order[first..first + k.min(matches)];
            let asked = docs.query(&query).k(k).filter(&filter);
            // At a low recall fewer candidates are reranked.
            for asked in [asked.clone(), asked.recall(0.9)] {
                let (hits, plan) = asked.explain().unwrap();
                let found: Vec<usize> =
                    hits.iter().map(|hit| hit.id.to_string().parse().unwrap()).collect();
                assert_eq!(found.len(), wanted.len());
                let recall = recall(wanted, &found);
                assert!(recall >= 0.9, "{filter}, k {k}: recall {recall}\n{plan}");
            }
        }
    }
}

/// Every strategy runs, the chosen one first, and each finds what it promises.
#[test]
fn alternatives_are_all_executed() {
    let (_db, docs) = in_memory(32, Metric::Cosine);
    let mut random = Random::new(12);
    let records = (0..5_000_u64)
        .map(|id| Record::new(id, random.vector(32)).metadata(json!({"n": id % 100})))
        .collect();
    docs.batch_upsert(records).unwrap();
    docs.flush().unwrap();
    docs.upsert(Record::new(9_999, random.vector(32)).metadata(json!({"n": 1}))).unwrap();
    for (filter, matching) in [("n < 50", 2_500), ("n = 1", 50), ("n > 500", 0)] {
        let query = random.vector(32);
        let ask = || docs.query(&query).k(10).filter(filter);
        let (_, plan) = ask().explain().unwrap();
        let compared = ask().explain_alternatives().unwrap();
        assert_eq!(compared.len(), 2, "a memtable and a segment: {compared:?}");
        for segment in &compared {
            let planned =
                plan.segments.iter().find(|other| other.plan.kind == segment.kind).unwrap();
            assert_eq!(segment.matching, planned.plan.matching, "{filter}");
            assert_eq!(segment.runs[0].strategy, planned.plan.strategy, "{filter}");
            assert!(segment.regret() >= 1.0 && segment.regret().is_finite(), "{filter}");
            let names: Vec<&str> = segment.runs.iter().map(|run| run.strategy.name()).collect();
            if segment.matching == 0 {
                assert_eq!(names, ["empty"], "{filter}");
                continue;
            }
            assert!(names.contains(&"full_scan"), "{filter}: {names:?}");
            for run in &segment.runs {
                let exact = run.strategy.name() == "full_scan";
                assert!(run.recall >= if exact { 1.0 } else { 0.9 }, "{filter}: {run:?}");
                assert!(run.took_us > 0.0, "{filter}: {run:?}");
            }
            let text = segment.to_string();
            assert!(text.contains("chosen") && text.contains("regret"), "{text}");
            let json = segment.to_json();
            assert_eq!(json["runs"].as_array().map(Vec::len), Some(segment.runs.len()));
            assert_eq!(json["regret"], json!(segment.regret()));
        }
        let sealed =
            compared.iter().find(|c| c.kind != vecstore_query::ViewKind::Memtable).unwrap();
        assert_eq!(sealed.matching, matching, "{filter}");
    }
    let refused = docs.query(&[0.0; 3]).explain_alternatives().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
}
