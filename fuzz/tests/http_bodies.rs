//! The property of HTTP bodies on stable Rust: every seed, and many that are nearly one.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod seeds;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use vecstore_fuzz::{http_bodies, server};

use seeds::{Random, seeds};

/// Changes tried of each seed.
const CHANGES: usize = 300;

/// Values that take the place of others: of every type, at the ends of what is allowed and beyond.
fn odd(random: &mut Random) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e38),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(16_385),
        json!(""),
        json!("a"),
        json!("a = "),
        json!("a\u{0}\u{fffd}"),
        json!("2024-02-30T00:00:00Z"),
        json!("x".repeat(3_000)),
        json!([]),
        json!({}),
        json!([[1, 2]]),
        json!({"a": {"b": [null]}}),
        json!({"must": [{"key": "a", "match": {"value": 1}}]}),
        (0..40).fold(json!(1), |inner, _| json!([inner])),
    ];
    values[random.below(values.len())].clone()
}

/// Pieces of broken JSON.
const PIECES: [&str; 14] = [
    "{", "}", "[", "]", ",", ":", "\"", "\\", "\\ud800", "1e999", "-", "nul", "[[[[[[[[",
    "\u{fffd}",
];

/// Names that a field may get instead of its own.
const NAMES: [&str; 8] = ["k", "filter", "limit", "key", "n", "vector", "include", "params"];

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(map) => map.values().map(nodes).sum(),
        _ => 0,
    }
}

/// The node of this number, counted from the root.
fn node<'a>(value: &'a mut Value, at: &mut usize) -> Option<&'a mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| node(item, at)),
        Value::Object(map) => map.values_mut().find_map(|item| node(item, at)),
        _ => None,
    }
}

fn any_name(map: &Map<String, Value>, random: &mut Random) -> Option<String> {
    map.keys().nth(random.below(map.len())).cloned()
}

/// Another value of the same type and about the same size, or the same elements in another order: as
/// good as the one that was there, as a rule.
fn small_change(body: &mut Value, random: &mut Random) {
    let mut at = random.below(nodes(body));
    match node(body, &mut at) {
        Some(Value::Number(number)) => {
            let near = [json!(0), json!(1), json!(2), json!(3)];
            let near = near[random.below(near.len())].clone();
            *number = match (number.as_f64(), near) {
                (Some(was), near) if was.fract() != 0.0 => {
                    serde_json::Number::from_f64(near.as_f64().unwrap() / 4.0).unwrap()
                }
                (_, Value::Number(near)) => near,
                _ => return,
            };
        }
        Some(Value::Bool(on)) => *on = !*on,
        Some(Value::Array(items)) => items.reverse(),
        Some(Value::Object(map)) => {
            if let Some(name) = any_name(map, random) {
                // Most fields may be missing.
                map.remove(&name);
            }
        }
        _ => {}
    }
}

/// A value replaced, wrapped, doubled, removed or renamed, or one of another body put in.
fn large_change(body: &mut Value, other: &Value, random: &mut Random) {
    let mut at = random.below(nodes(body));
    let Some(found) = node(body, &mut at) else { return };
    match (random.below(5), &mut *found) {
        (0, _) => *found = json!([found.take()]),
        (1, Value::Array(items)) if !items.is_empty() => {
            let item = items[random.below(items.len())].clone();
            items.extend(std::iter::repeat_n(item, 1 + random.below(3)));
        }
        (1 | 2, Value::Object(map)) => {
            if let Some(value) = any_name(map, random).and_then(|name| map.remove(&name)) {
                map.insert(NAMES[random.below(NAMES.len())].to_owned(), value);
            }
        }
        (2, Value::Array(items)) if !items.is_empty() => {
            drop(items.remove(random.below(items.len())));
        }
        (3, _) => {
            let mut theirs = other.clone();
            let mut at = random.below(nodes(other));
            if let Some(theirs) = node(&mut theirs, &mut at) {
                *found = theirs.take();
            }
        }
        _ => *found = odd(random),
    }
}

/// A character taken out, the rest cut off, or a piece put in.
fn break_text(text: &mut String, random: &mut Random) {
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let Some(&at) = places.get(random.below(places.len())) else { return };
    match random.below(3) {
        0 => drop(text.remove(at)),
        1 => text.truncate(at),
        _ => text.insert_str(at, PIECES[random.below(PIECES.len())]),
    }
}

/// A seed: its first line, and its body where that is JSON.
struct Seed {
    name: String,
    head: String,
    text: String,
    body: Option<Value>,
}

fn read() -> Vec<Seed> {
    let seed = |(name, bytes): (String, Vec<u8>)| {
        let text = String::from_utf8(bytes).unwrap();
        let (head, text) = text.split_once('\n').unwrap();
        let (head, text, body) =
            (head.to_owned(), text.to_owned(), serde_json::from_str(text).ok());
        Seed { name, head, text, body }
    };
    seeds("http_bodies").into_iter().map(seed).collect()
}

#[test]
fn every_seed_is_answered() {
    let server = server();
    for Seed { name, head, text, .. } in read() {
        let status = http_bodies(&server, format!("{head}\n{text}").as_bytes());
        assert!(status.is_some_and(|status| status < 300), "{name}: {status:?}");
    }
}

#[test]
fn nearly_right_bodies_are_answered_or_refused() {
    let all = read();
    let others: Vec<&Value> = all.iter().filter_map(|seed| seed.body.as_ref()).collect();
    let mut random = Random(1);
    let mut told: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for Seed { name, head, text, body } in &all {
        // Each begins with the same records, so that one failure can be had again alone.
        let mut server = server();
        let (done, refused) = told.entry(name).or_default();
        for number in 0..CHANGES {
            let mut text = text.clone();
            if let Some(body) = body {
                let mut body = body.clone();
                for _ in 0..=random.below(3) {
                    small_change(&mut body, &mut random);
                }
                if number % 3 > 0 {
                    large_change(&mut body, others[random.below(others.len())], &mut random);
                }
                text = body.to_string();
            }
            if number % 6 == 2 {
                break_text(&mut text, &mut random);
            }
            match http_bodies(&server, format!("{head}\n{text}").as_bytes()) {
                Some(status) if status < 300 => {
                    *done += 1;
                    if name.ends_with("_create") {
                        // There is one now, so every further one would be refused for that.
                        server = vecstore_fuzz::server();
                    }
                }
                _ => *refused += 1,
            }
        }
    }
    for (name, (done, refused)) in &told {
        println!("{name}: {done} answered, {refused} refused");
    }
    // Both ways, so that what lies behind the reading of a body is reached too.
    for Seed { name, body, .. } in &all {
        let (done, refused) = told[name.as_str()];
        assert!(done >= CHANGES / 20, "{name}: {done} answered");
        assert!(body.is_none() || refused >= CHANGES / 20, "{name}: {refused} refused");
    }
}
