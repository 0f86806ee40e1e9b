//! How a path reads metadata, and that the two ways of reading agree.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use vecstore_segments::{FieldPath, Metadata, scalar, visit_scalars};

fn object(value: Value) -> Metadata {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is not an object"),
    }
}

fn path(names: &[&str]) -> FieldPath {
    FieldPath::new(names.iter().map(|name| name.to_string()).collect())
}

#[test]
fn a_path_reaches() {
    let check = |metadata: Value, names: &[&str], expected: Value| {
        let metadata = object(metadata);
        let mut found = Vec::new();
        path(names).visit(&metadata, &mut |value| found.push(value.clone()));
        assert_eq!(Value::Array(found), expected, "{names:?} in {metadata:?}");
    };
    check(json!({"a": 1}), &["a"], json!([1]));
    check(json!({"a": 1}), &["b"], json!([]));
    check(json!({"a": null}), &["a"], json!([null]));
    check(json!({"a": [1, 2]}), &["a"], json!([1, 2]));
    check(json!({"a": [[1], [[2, []]]]}), &["a"], json!([1, 2, []]));
    check(json!({"a": []}), &["a"], json!([[]]));
    check(json!({"a": []}), &["a", "b"], json!([]));
    check(json!({"a": {}}), &["a"], json!([{}]));
    check(json!({"a": {"b": 1}}), &["a"], json!([{"b": 1}]));
    check(json!({"a": {"b": 1}}), &["a", "b"], json!([1]));
    check(json!({"a": [{"b": 1}, {"b": [2, 3]}, 4]}), &["a", "b"], json!([1, 2, 3]));
    check(json!({"a": [[{"b": 1}]]}), &["a", "b"], json!([1]));
    check(json!({"a": 1}), &["a", "b"], json!([]));
    check(json!({"a.b": 1}), &["a", "b"], json!([]));
    check(json!({"a.b": 1}), &["a.b"], json!([1]));
    check(json!({"": {"": 1}}), &["", ""], json!([1]));
    check(json!({"": 1}), &[], json!([]));
}

#[test]
fn an_element_is_told_from_a_value() {
    let check = |metadata: Value, names: &[&str], expected: &[bool]| {
        let mut elements = Vec::new();
        path(names).visit_elements(&object(metadata), &mut |_, element| elements.push(element));
        assert_eq!(elements, expected, "{names:?}");
    };
    check(json!({"a": "x"}), &["a"], &[false]);
    check(json!({"a": ["x", ["y"]]}), &["a"], &[true, true]);
    check(json!({"a": []}), &["a"], &[false]);
    check(json!({"a": [{"b": "x"}, {"b": ["y"]}]}), &["a", "b"], &[false, true]);
}

#[test]
fn keys_and_texts() {
    let check = |names: &[&str], key: &str, text: &str| {
        assert_eq!(path(names).key(), key);
        assert_eq!(path(names).to_string(), text);
    };
    check(&["a"], "a", "a");
    check(&["a", "b_2"], "a.b_2", "a.b_2");
    check(&["a.b"], "a\\.b", "\"a.b\"");
    check(&["a\\", "b"], "a\\\\.b", "\"a\\\".b");
    check(&["", ""], ".", "\"\".\"\"");
    check(&["gloss-len"], "gloss-len", "\"gloss-len\"");
    check(&["say \"x\""], "say \"x\"", "\"say \"\"x\"\"\"");
    check(&["größe"], "größe", "größe");
    check(&["2nd"], "2nd", "\"2nd\"");
    check(&["In", "not", "nothing"], "In.not.nothing", "\"In\".\"not\".nothing");
    assert_eq!(FieldPath::from("a.b"), path(&["a", "b"]));
}

#[test]
fn numbers_are_integers_where_they_can_be() {
    assert_eq!(format!("{:?}", scalar(&json!(i64::MAX))), format!("Some(Int({}))", i64::MAX));
    assert_eq!(format!("{:?}", scalar(&json!(i64::MIN))), format!("Some(Int({}))", i64::MIN));
    assert_eq!(format!("{:?}", scalar(&json!(1u64 << 63))), "Some(Float(9.223372036854776e18))");
    assert_eq!(format!("{:?}", scalar(&json!(1.0))), "Some(Float(1.0))");
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "", ".", "\\", "a.b", "a\\"]).prop_map(String::from)
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e3..1e3f64).prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Every path of names that leads anywhere in `value`, arrays looked through.
fn paths(value: &Value, prefix: &mut Vec<String>, all: &mut BTreeSet<Vec<String>>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|e| paths(e, prefix, all)),
        Value::Object(object) => {
            for (name, value) in object {
                prefix.push(name.clone());
                all.insert(prefix.clone());
                paths(value, prefix, all);
                prefix.pop();
            }
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn the_two_readings_agree(
        metadata in prop::collection::btree_map(name(), json_value(), 0..5),
    ) {
        let metadata: Metadata = metadata.into_iter().collect();
        let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
        visit_scalars(&metadata, &mut |key, value, is_element| {
            by_key.entry(key.to_string()).or_default().push(format!("{value:?} {is_element}"));
        });

        let mut all = BTreeSet::new();
        paths(&Value::Object(metadata.clone()), &mut Vec::new(), &mut all);
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for names in all {
            let path = FieldPath::new(names);
            let mut found = Vec::new();
            path.visit_elements(&metadata, &mut |value, is_element| {
                found.push(format!("{:?} {is_element}", scalar(value)));
            });
            // A key for each path and none twice: equal keys would mix two paths here.
            let before = expected.insert(path.key(), found);
            prop_assert!(before.is_none(), "two paths have the key {}", path.key());
        }
        prop_assert_eq!(by_key, expected);
    }
}
