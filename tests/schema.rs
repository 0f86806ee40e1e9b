//! Fields that a collection does not index, that it says are dates, and limits of its field indices:
//! the same answers as without, wherever the records are.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use vecstore::{Collection, CollectionOptions, Database, ErrorKind, Metric, Options, Record};
use vecstore_query::{Filter, Params};
use vecstore_segments::FieldPath;
use vecstore_tests::Random;

/// More than the rows that one field index of a memtable has.
const RECORDS: u64 = 2_500;

fn options() -> CollectionOptions {
    Collection::options(2, Metric::Euclidean)
}

fn metadata(random: &mut Random) -> Map<String, Value> {
    let mut object = Map::new();
    let n = random.below(100);
    object.insert("n".into(), json!(n));
    match random.below(4) {
        0 => {}
        1 => drop(object.insert("body".into(), json!(format!("text {n}")))),
        2 => drop(object.insert("body".into(), json!([{"n": n, "tag": ["a", "b"]}, "text 7"]))),
        _ => drop(object.insert("body".into(), json!({"n": n, "tag": "ab"}))),
    }
    let day = random.below(28) + 1;
    let made = match random.below(4) {
        0 => format!("2024-05-{day:02}"),
        1 => format!("2024-05-{day:02}T01:00:00+02:00"),
        2 => format!("2024-05-{day:02}T12:30:00.5Z"),
        _ => format!("some day {day}"),
    };
    object.insert("made".into(), json!({"on": made}));
    object
}

const FILTERS: [&str; 14] = [
    "body = 'text 7'",
    "body != 'text 7'",
    "NOT EXISTS body",
    "body.n < 50",
    "body.n BETWEEN 10 AND 20 AND n > 12",
    "body.tag CONTAINS 'a'",
    "body.tag NOT CONTAINS 'a' OR n = 3",
    "body LIKE 'text 1%'",
    "body STARTSWITH 'text' AND NOT body.n = 7",
    "body.tag IN ['ab', 'b']",
    "body IS NULL OR body.n = 5.0",
    "made.on >= DATE '2024-05-10' AND made.on < DATE '2024-05-12'",
    "made.on STARTSWITH 'some'",
    "n = 5 OR n = 6",
];

fn ids(docs: &Collection, filter: &str) -> Vec<u64> {
    let query = docs.query(&[0.0, 0.0]).k(RECORDS as usize).filter(filter).exact();
    let hits = query.run().unwrap_or_else(|error| panic!("{filter}: {error}")).hits;
    hits.iter().map(|hit| hit.id.to_string().parse().unwrap()).collect()
}

/// Every answer of the collection is that of a plain look at the records.
fn check(docs: &Collection, rows: &[Map<String, Value>], when: &str) {
    for text in FILTERS {
        let filter = Filter::parse(text, &Params::new()).unwrap();
        let expected: Vec<u64> =
            (0..RECORDS).filter(|&at| filter.matches(&rows[at as usize])).collect();
        assert_eq!(ids(docs, text), expected, "{when}: {text}");
        assert_eq!(docs.count(Some(text)).unwrap(), expected.len() as u64, "{when}: {text}");
    }
    // What is no filter reads the same records.
    for field in ["body", "body.n", "body.tag", "n"] {
        let path = field_path(field);
        let mut records = 0;
        let mut distinct = BTreeSet::new();
        for row in rows {
            let mut of_row = BTreeSet::new();
            path.visit(row, &mut |value| {
                if !value.is_object() && !value.is_array() {
                    of_row.insert(value.to_string());
                }
            });
            records += of_row.len() as u64;
            distinct.append(&mut of_row);
        }
        let facet = docs.facet(field).limit(1_000).run().unwrap();
        assert_eq!(facet.distinct, distinct.len() as u64, "{when}: {field}");
        assert_eq!(facet.values.iter().map(|v| v.count).sum::<u64>(), records, "{when}: {field}");
    }
    let mut last = None;
    for page in docs.scroll().order_by("body.n").limit(500).pages().unwrap() {
        for record in page.unwrap().records {
            let row = &rows[record.id.to_string().parse::<usize>().unwrap()];
            let n = first_number(row);
            assert!(last.is_none_or(|last| last <= n), "{when}: order by body.n");
            last = Some(n);
        }
    }
}

fn field_path(field: &str) -> FieldPath {
    FieldPath::from(field)
}

/// `body.n`, beyond all numbers where it is missing.
fn first_number(row: &Map<String, Value>) -> u64 {
    let mut least = u64::MAX;
    field_path("body.n").visit(row, &mut |value| {
        least = least.min(value.as_u64().unwrap_or(u64::MAX));
    });
    least
}

#[test]
fn unindexed_fields_and_limits_change_no_answer() {
    let tight = options().fields_max(2).strings_max(3).string_bytes_max(4);
    let cases = [
        ("as by default", options()),
        ("without body", options().unindexed("body")),
        ("without body.n and n", options().unindexed("body.n").unindexed("n")),
        ("without a date", options().unindexed("made.on").date("made.on").unindexed("body.tag")),
        ("with little room", tight.clone()),
        ("with little room and without body", tight.unindexed("body")),
    ];
    let mut random = Random::new(7);
    let rows: Vec<Map<String, Value>> = (0..RECORDS).map(|_| metadata(&mut random)).collect();
    for (what, options) in cases {
        let dir = tempfile::tempdir().unwrap();
        let open = || Database::open_with(dir.path(), Options::default()).unwrap();
        let db = open();
        let docs = db.create_collection("docs", options.clone()).unwrap();
        let write = |at: u64| {
            Record::new(at, [at as f32, 0.0]).metadata(Value::Object(rows[at as usize].clone()))
        };
        docs.batch_upsert((0..RECORDS).map(write).collect()).unwrap();
        check(&docs, &rows, &format!("{what}, in memory"));
        docs.flush().unwrap();
        check(&docs, &rows, &format!("{what}, in a segment"));
        docs.batch_upsert((0..RECORDS).filter(|at| at % 3 == 0).map(write).collect()).unwrap();
        check(&docs, &rows, &format!("{what}, in both"));
        docs.optimize().unwrap();
        drop(docs);
        db.close().unwrap();
        let db = open();
        let docs = db.collection("docs").unwrap();
        assert_eq!(docs.settings(), &options);
        check(&docs, &rows, &format!("{what}, optimized and opened again"));
    }
}

#[test]
fn explain_and_stats_tell_what_is_not_indexed() {
    let db = Database::in_memory().unwrap();
    let docs = db.create_collection("docs", options().unindexed("body")).unwrap();
    let mut random = Random::new(7);
    let rows: Vec<_> = (0..RECORDS).map(|_| metadata(&mut random)).collect();
    let with_body = rows.iter().filter(|row| row.contains_key("body")).count() as u64;
    let write = |at: u64| {
        Record::new(at, [at as f32, 0.0]).metadata(Value::Object(rows[at as usize].clone()))
    };
    docs.batch_upsert((0..RECORDS).map(write).collect()).unwrap();
    docs.flush().unwrap();
    let read = |filter: &str| {
        let (_, executed) = docs.query(&[0.0, 0.0]).filter(filter).explain().unwrap();
        executed.segments.iter().map(|segment| segment.rows_read).sum::<u64>()
    };
    assert_eq!(read("body.n < 50"), with_body);
    assert_eq!(read("body = 'gone' OR EXISTS body"), 0);
    assert_eq!(read("n = 5"), 0);
    let (_, executed) = docs.query(&[0.0, 0.0]).filter("body.n < 50").explain().unwrap();
    let text = executed.to_string();
    assert!(text.contains("metadata of 1,"), "{text}");
    assert!(text.contains("rows read"), "{text}");

    let stats = docs.stats().unwrap();
    let fields = &stats.segments[0].fields;
    let listed: Vec<_> = fields.iter().map(|f| (f.path.as_str(), f.indexed)).collect();
    assert_eq!(listed, [("body", false), ("made", true), ("made.on", true), ("n", true)]);
    let body = &fields[0];
    assert_eq!((body.strings, body.numbers, body.dates), (None, 0, 0));
    assert!(body.bytes < fields[3].bytes, "{fields:?}");
}

#[test]
fn a_date_needs_no_word_before_it() {
    let db = Database::in_memory().unwrap();
    let plain = db.create_collection("plain", options()).unwrap();
    let docs = db.create_collection("docs", options().date("made.on")).unwrap();
    let mut random = Random::new(9);
    let rows: Vec<_> = (0..RECORDS).map(|_| metadata(&mut random)).collect();
    for docs in [&plain, &docs] {
        let write = |at: u64| {
            Record::new(at, [at as f32, 0.0]).metadata(Value::Object(rows[at as usize].clone()))
        };
        docs.batch_upsert((0..RECORDS).map(write).collect()).unwrap();
    }
    let pairs = [
        ("made.on >= '2024-05-10'", "made.on >= DATE '2024-05-10'"),
        ("made.on = '2024-05-09T23:00:00Z'", "made.on = DATE '2024-05-09T23:00:00Z'"),
        ("NOT made.on != '2024-05-09'", "made.on = DATE '2024-05-09'"),
        (
            "made.on BETWEEN '2024-05-09' AND '2024-05-10' OR made.on IN ['2024-05-20', 7]",
            "made.on BETWEEN DATE '2024-05-09' AND DATE '2024-05-10' OR \
             made.on IN [DATE '2024-05-20', 7]",
        ),
        ("made.on STARTSWITH '2024-05-1'", "made.on STARTSWITH '2024-05-1'"),
        (
            r#"{"field": "made.on", "op": "<", "value": "2024-05-10"}"#,
            "made.on < DATE '2024-05-10'",
        ),
    ];
    for when in ["in memory", "in a segment"] {
        for (short, long) in pairs {
            let expected = ids(&plain, long);
            assert!(!expected.is_empty(), "{long}");
            assert_eq!(ids(&docs, short), expected, "{when}: {short}");
            assert_eq!(ids(&docs, long), expected, "{when}: {long}");
            assert_eq!(docs.count(Some(short)).unwrap(), expected.len() as u64);
            let page = docs.scroll().filter(short).limit(RECORDS as usize).run().unwrap();
            assert_eq!(page.records.len(), expected.len(), "{when}: {short}");
            let facet = docs.facet("n").filter(short).limit(1_000).run().unwrap();
            let counted: u64 = facet.values.iter().map(|value| value.count).sum();
            assert_eq!(counted, expected.len() as u64, "{when}: {short}");
        }
        docs.flush().unwrap();
    }
    let short = "made.on < '2024-05-10'";
    let expected = ids(&plain, "made.on < DATE '2024-05-10'").len() as u64;
    assert_eq!(docs.select(Some(short)).update(json!({"old": true})).unwrap(), expected);
    assert_eq!(docs.count(Some("old = true")).unwrap(), expected);
    assert_eq!(docs.select(Some(short)).remove().unwrap(), expected);
    assert_eq!(docs.count(Some(short)).unwrap(), 0);

    let bound =
        |text: &str| docs.query(&[0.0, 0.0]).filter("made.on > $day").bind("day", text).run();
    assert!(bound("2024-05-20").is_ok());
    let error = bound("soon").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("made.on: `soon` is not a date"), "{error}");
}

#[test]
fn contradictions_are_refused() {
    let db = Database::in_memory().unwrap();
    let refused = |options: CollectionOptions, what: &str| {
        let error = db.create_collection("docs", options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(what), "{error}");
    };
    refused(options().unindexed("a").unindexed("a.b.c"), "which covers `a.b.c`");
    refused(options().date("a").date("a.b"), "`a` is a date, so there can be no `a.b`");
    refused(options().date("a").unindexed("a.b"), "`a` is a date, so there can be no `a.b`");
    refused(options().unindexed(""), "`` is not names joined by dots");
    refused(options().date("a..b"), "`a..b` is not names joined by dots");
    refused(options().unindexed("x".repeat(1_025)), "a name of 1025 bytes");
    let many = (0..1_001).fold(options(), |options, at| options.date(format!("f{at}")));
    refused(many, "1001 are named");
    refused(options().fields_max(0), "fields_max: 0 is not within 1 to 65536");
    refused(options().strings_max(1 << 21), "strings_max: 2097152 is not within");
    refused(options().string_bytes_max(0), "string_bytes_max: 0 is not within");
    // Beneath what is not indexed there may be dates.
    db.create_collection("docs", options().unindexed("a").date("a.b").date("ab")).unwrap();
}
