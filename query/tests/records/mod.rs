//! Generated records and filters whose fields, types and values clash as much as they can.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};
use vecstore_index::{FieldIndexBuilder, FieldLimits, Timestamp};
use vecstore_query::{Comparison, Filter, Value};
use vecstore_segments::{FieldPath, Metadata, index_metadata};

/// The field index of the records, row by row, as a segment has it.
pub(crate) fn build_index(
    records: &[Metadata],
    limits: FieldLimits,
    unindexed: &[FieldPath],
) -> Vec<u8> {
    let keys: Vec<String> = unindexed.iter().map(FieldPath::key).collect();
    let mut builder = FieldIndexBuilder::new(limits).without(keys.iter().map(String::as_str));
    for (row, metadata) in (0..).zip(records) {
        index_metadata(&mut builder, row, metadata);
    }
    builder.finish()
}

const TWO_53: i64 = 9_007_199_254_740_992;

/// Few values, so that they meet; near 2^53, where floats run out of integers.
fn int() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => -2..4i64,
        1 => TWO_53 - 1..TWO_53 + 2,
        1 => select(vec![i64::MIN, i64::MAX]),
    ]
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (-4..8i64).prop_map(|n| n as f64 / 2.0),
        1 => (TWO_53 - 1..TWO_53 + 2).prop_map(|n| n as f64),
        1 => select(vec![-0.0, 9_223_372_036_854_775_808.0, -9_223_372_036_854_775_808.0, 1e300]),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(vec!["", "a", "b", "ab", "ba", "abä", "1", "it's", "%", "\\"]).prop_map(String::from),
        1 => "[abä'\"\\\\%_]{0,8}",
        2 => select(DATES.to_vec()).prop_map(String::from),
    ]
}

/// Some are the same moment, some are only nearly dates.
const DATES: [&str; 8] = [
    "2024-05-01",
    "2024-05-01T00:00:00Z",
    "2024-05-01T02:00:00+02:00",
    "2024-04-30T23:59:59.999999Z",
    "2024-05-01T00:00:00.0000019Z",
    "2024-05-01T00:00:00",
    "2023-02-29",
    "0000-01-01",
];

fn date() -> impl Strategy<Value = Timestamp> {
    select(DATES.iter().filter_map(|text| Timestamp::parse(text)).collect::<Vec<_>>())
}

fn scalar_json() -> impl Strategy<Value = Json> {
    prop_oneof![
        1 => Just(Json::Null),
        1 => any::<bool>().prop_map(Json::from),
        2 => int().prop_map(Json::from),
        2 => float().prop_map(Json::from),
        3 => text().prop_map(Json::from),
    ]
}

fn any_json() -> impl Strategy<Value = Json> {
    scalar_json().prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            2 => prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            1 => prop::collection::btree_map(name(), inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

/// A dozen names; all kinds of values go by each of them.
fn name() -> impl Strategy<Value = String> {
    let names = vec!["a", "b", "c", "d", "e", "f", "a.b", "", "\\", "in", "x-y", "größe"];
    // The first are much more likely, or records and filters would rarely speak of the same field.
    let first = select(vec!["a", "b"]);
    prop_oneof![4 => first, 1 => select(names)].prop_map(String::from)
}

/// A record's metadata.
pub(crate) fn record() -> impl Strategy<Value = Metadata> {
    prop::collection::btree_map(name(), any_json(), 0..6).prop_map(|map| map.into_iter().collect())
}

pub(crate) fn path() -> impl Strategy<Value = FieldPath> {
    prop::collection::vec(name(), 1..3).prop_map(FieldPath::new)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        3 => orderable(),
    ]
}

fn orderable() -> impl Strategy<Value = Value> {
    prop_oneof![
        int().prop_map(Value::Int),
        float().prop_map(Value::Float),
        text().prop_map(Value::Str),
        date().prop_map(Value::Date),
    ]
}

fn comparison() -> impl Strategy<Value = Comparison> {
    select(vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ])
}

fn pattern() -> impl Strategy<Value = String> {
    let pieces = vec!["a", "b", "ä", "%", "_", "\\%", "\\_", "\\\\"];
    prop::collection::vec(select(pieces), 0..5).prop_map(|pieces| pieces.concat())
}

fn test(ordered: BoxedStrategy<Value>) -> impl Strategy<Value = Filter> {
    let ends = (orderable(), orderable()).prop_map(|(low, high)| {
        let sort =
            |value: &Value| (matches!(value, Value::Str(_)), matches!(value, Value::Date(_)));
        if sort(&low) == sort(&high) { (low, high) } else { (low.clone(), low) }
    });
    prop_oneof![
        3 => (path(), value()).prop_map(|(p, v)| Filter::Compare(p, Comparison::Equal, v)),
        4 => (path(), comparison(), ordered).prop_map(|(p, c, v)| Filter::Compare(p, c, v)),
        2 => (path(), prop::collection::vec(value(), 0..4)).prop_map(|(p, v)| Filter::In(p, v)),
        2 => (path(), ends).prop_map(|(p, (low, high))| Filter::Between(p, low, high)),
        2 => (path(), value()).prop_map(|(p, v)| Filter::Contains(p, v)),
        1 => (path(), text()).prop_map(|(p, t)| Filter::StartsWith(p, t)),
        2 => (path(), pattern()).prop_map(|(p, t)| Filter::Like(p, t)),
        1 => path().prop_map(Filter::Exists),
        1 => path().prop_map(Filter::IsNull),
    ]
}

fn nested(
    leaf: BoxedStrategy<Filter>,
    parts: std::ops::Range<usize>,
) -> impl Strategy<Value = Filter> {
    leaf.prop_recursive(4, 12, 3, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), parts.clone()).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), parts.clone()).prop_map(Filter::Or),
            inner.prop_map(|part| !part),
        ]
    })
}

/// Any filter that can be made in Rust, the nonsensical ones included.
pub(crate) fn filter() -> impl Strategy<Value = Filter> {
    let anything = prop_oneof![
        8 => value(),
        1 => select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]).prop_map(Value::Float),
    ];
    nested(test(anything.boxed()).boxed(), 0..4)
}

/// A filter that text can say.
pub(crate) fn valid_filter() -> impl Strategy<Value = Filter> {
    nested(test(orderable().boxed()).boxed(), 2..4)
}
