//! Scrolls in every order against a plain sort: whole, page by page, resumed from text, and while
//! records are written.

#![allow(clippy::unwrap_used)]

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use vecstore::{Collection, Cursor, ErrorKind, Metric, Record, RecordId, Scroll};
use vecstore_tests::{Random, in_memory};

type Twin = BTreeMap<RecordId, Map<String, Value>>;

fn id(n: u64) -> RecordId {
    match n % 3 {
        0 => n.into(),
        1 => format!("r{n:05}").into(),
        _ => format!("67e55044-10b1-426f-9247-bb680e5f{n:04x}").parse().unwrap(),
    }
}

/// Values of every kind, few enough to be equal often, some beyond what an index lists.
fn value(random: &mut Random) -> Option<Value> {
    let n = random.below(20);
    Some(match random.below(12) {
        0 => return None,
        1 => Value::Null,
        2 => json!(n.is_multiple_of(2)),
        3 => json!(n as f64 / 4.0),
        4 => json!([n, 19 - n, "z"]),
        5 => json!([null, n]),
        6 => json!({"x": n}),
        7 => json!([]),
        8 => json!(format!("{}{n}", "long ".repeat(30))),
        9 => json!(format!("s{n}")),
        10 => json!(9_007_199_254_740_993_i64 + n as i64),
        _ => json!(n),
    })
}

fn metadata(random: &mut Random) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("group".to_owned(), json!(random.below(4)));
    if let Some(value) = value(random) {
        object.insert("v".to_owned(), value);
    }
    object
}

/// Where a value stands: missing and null behind everything.
fn plain_key(metadata: &Map<String, Value>, descending: bool) -> Option<Value> {
    let usable = |v: &Value| !matches!(v, Value::Null | Value::Object(_) | Value::Array(_));
    let values: Vec<Value> = match metadata.get("v") {
        None => vec![],
        Some(Value::Array(values)) => values.clone(),
        Some(value) => vec![value.clone()],
    };
    let first = |a: &Value, b: &Value| {
        if descending { plain_order(b, a) } else { plain_order(a, b) }
    };
    values.into_iter().filter(usable).min_by(first)
}

fn plain_order(a: &Value, b: &Value) -> Ordering {
    let sort = |v: &Value| match v {
        Value::Bool(v) => u8::from(*v),
        Value::Number(_) => 2,
        _ => 3,
    };
    // Every float here is a small multiple of a quarter.
    let number = |v: &Value| {
        v.as_i64().map_or_else(|| (v.as_f64().unwrap_or(0.0) * 4.0) as i128, |n| i128::from(n) * 4)
    };
    sort(a).cmp(&sort(b)).then_with(|| match (a, b) {
        (Value::Number(_), Value::Number(_)) => number(a).cmp(&number(b)),
        _ => a.as_str().cmp(&b.as_str()),
    })
}

/// The plain sort. `descending`: `None` is the order of ids.
fn plain(twin: &Twin, descending: Option<bool>, group: Option<u64>) -> Vec<RecordId> {
    let mut rows: Vec<(Option<Value>, &RecordId)> = twin
        .iter()
        .filter(|(_, m)| group.is_none_or(|group| m["group"] == group))
        .map(|(id, m)| (descending.and_then(|d| plain_key(m, d)), id))
        .collect();
    rows.sort_by(|(a, x), (b, y)| {
        let keys = match (a, b) {
            (Some(a), Some(b)) if descending == Some(true) => plain_order(b, a),
            (Some(a), Some(b)) => plain_order(a, b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        keys.then_with(|| x.cmp(y))
    });
    rows.into_iter().map(|(_, id)| id.clone()).collect()
}

fn ordered(scroll: Scroll<'_>, descending: Option<bool>) -> Scroll<'_> {
    match descending {
        None => scroll,
        Some(false) => scroll.order_by("v"),
        Some(true) => scroll.order_by_descending("v"),
    }
}

const ORDERS: [Option<bool>; 3] = [None, Some(false), Some(true)];

fn check(docs: &Collection, twin: &Twin, when: &str) {
    for descending in ORDERS {
        for (filter, group) in
            [(None, None), (Some("group = 2"), Some(2)), (Some("group = 9"), Some(9))]
        {
            let scroll = |limit| {
                let scroll = ordered(docs.scroll().limit(limit), descending);
                filter.iter().fold(scroll, |scroll, filter| scroll.filter(filter))
            };
            let expected = plain(twin, descending, group);
            let what = format!("{when}, {descending:?}, {filter:?}");
            for limit in [1_000, 97] {
                let mut whole = Vec::new();
                for page in scroll(limit).pages().unwrap() {
                    let page = page.unwrap();
                    for record in &page.records {
                        assert_eq!(record.metadata, twin[&record.id], "{what}");
                    }
                    whole.extend(page.records.into_iter().map(|record| record.id));
                }
                assert_eq!(whole, expected, "{what}");
            }
            let (mut parts, mut after): (Vec<RecordId>, Option<Cursor>) = (Vec::new(), None);
            loop {
                let page = after.iter().fold(scroll(61), |s, c| s.resume(c.clone())).run().unwrap();
                assert_eq!(page.next.is_some(), page.cursor.is_some());
                assert!(page.next.is_none() || page.records.len() == 61, "{what}");
                parts.extend(page.records.into_iter().map(|record| record.id));
                let Some(cursor) = page.cursor else { break };
                let again: Cursor = cursor.to_string().parse().unwrap();
                assert_eq!(again, cursor);
                after = Some(again);
            }
            assert_eq!(parts, expected, "{what}, resumed");
        }
    }
}

fn write(docs: &Collection, twin: &mut Twin, ids: impl Iterator<Item = u64>, random: &mut Random) {
    let ids: Vec<u64> = ids.collect();
    for ids in ids.chunks(400) {
        let batch = ids.iter().map(|&n| {
            let metadata = metadata(random);
            twin.insert(id(n), metadata.clone());
            Record::new(id(n), [n as f32]).metadata(Value::Object(metadata))
        });
        docs.batch_upsert(batch.collect()).unwrap();
    }
}

#[test]
fn every_order_is_the_plain_sort() {
    let (_db, docs) = in_memory(1, Metric::Euclidean);
    let mut random = Random::new(1);
    let (mut twin, mut others) = (Twin::new(), Twin::new());
    let other = docs.namespace("another").unwrap();
    // Whole runs of the memtable's field indices and a rest; more rows in a segment than are read
    // one by one.
    write(&docs, &mut twin, (0..2_500).rev(), &mut random);
    write(&other, &mut others, 0..100, &mut random);
    check(&docs, &twin, "in memory");
    docs.flush().unwrap();
    check(&docs, &twin, "in a segment");
    write(&docs, &mut twin, (0..3_000).step_by(5), &mut random);
    for n in (0..3_000).step_by(7) {
        assert_eq!(docs.remove(id(n)).unwrap(), twin.remove(&id(n)).is_some());
    }
    check(&docs, &twin, "in both");
    docs.flush().unwrap();
    check(&docs, &twin, "in two segments");
    check(&other, &others, "the other namespace");
    docs.optimize().unwrap();
    check(&docs, &twin, "optimized");
    check(&other, &others, "the other namespace, optimized");
}

/// What stays as it is is seen exactly once, whatever happens to the rest between two pages.
#[test]
fn a_cursor_stays_good_between_writes() {
    for descending in ORDERS {
        let (_db, docs) = in_memory(1, Metric::Euclidean);
        let mut random = Random::new(2);
        let mut twin = Twin::new();
        write(&docs, &mut twin, 0..600, &mut random);
        docs.flush().unwrap();
        let stays: BTreeSet<RecordId> = (0..600).filter(|n| n % 3 != 1).map(id).collect();
        let mut seen: Vec<RecordId> = Vec::new();
        let mut after: Option<Cursor> = None;
        for page_number in 0_u64.. {
            let scroll = ordered(docs.scroll().limit(40), descending);
            let page = after.iter().fold(scroll, |s, c| s.resume(c.clone())).run().unwrap();
            seen.extend(page.records.into_iter().map(|record| record.id));
            let Some(cursor) = page.cursor else { break };
            // The record that the cursor names may well be among the removed ones.
            for _ in 0..20 {
                let n = random.below(200) * 3 + 1;
                match random.below(3) {
                    0 => drop(docs.remove(id(n)).unwrap()),
                    _ => write(&docs, &mut twin, [n].into_iter(), &mut random),
                }
            }
            match page_number % 4 {
                1 => docs.flush().unwrap(),
                3 => drop(docs.optimize().unwrap()),
                _ => {}
            }
            after = Some(cursor);
        }
        let times = |id: &RecordId| seen.iter().filter(|seen| *seen == id).count();
        for id in &stays {
            assert_eq!(times(id), 1, "record {id}, {descending:?}");
        }
    }
}

#[test]
fn an_order_keeps_to_itself() {
    let (_db, docs) = in_memory(1, Metric::Euclidean);
    docs.batch_upsert((0..5_u64).map(|n| Record::new(n, [0.0])).collect()).unwrap();
    let refused = |scroll: Scroll<'_>, says: &str| {
        let error = scroll.run().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(says), "{error}");
    };
    let cursor = docs.scroll().order_by("a").limit(1).run().unwrap().cursor.unwrap();
    refused(docs.scroll().order_by("a").after(3), "order of ids only");
    refused(docs.scroll().resume(cursor.clone()), "another order");
    refused(docs.scroll().order_by("b").resume(cursor.clone()), "another order");
    refused(docs.scroll().order_by_descending("a").resume(cursor), "another order");
    for text in [
        "",
        "7",
        "{}",
        r#"{"id":{"u64":-1}}"#,
        r#"{"id":{"uuid":"x"}}"#,
        r#"{"id":{"str":""}}"#,
        r#"{"id":{"u64":1},"value":[1]}"#,
        r#"{"id":{"u64":1},"more":1}"#,
    ] {
        let error = text.parse::<Cursor>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{text}");
    }
    let plain = docs.scroll().limit(2).run().unwrap();
    let rest = docs.scroll().resume(plain.cursor.unwrap()).run().unwrap();
    let ids: Vec<String> = rest.records.iter().map(|record| record.id.to_string()).collect();
    assert_eq!(ids, ["2", "3", "4"]);
}
