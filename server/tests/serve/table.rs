//! One table of behaviours; every face behaves so.

use serde_json::{Value, json};
use vecstore::Database;

use super::faces::{Embedded, Face, Grpc, Http};
use super::process::Server;

const UUID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

enum Expect {
    Is(Value),
    Fails(&'static str, Option<&'static str>),
}
use Expect::{Fails, Is};

fn record(id: Value, vector: [f32; 3], metadata: Value) -> Value {
    json!({"id": id, "vector": vector, "metadata": metadata})
}

fn rows() -> Vec<(&'static str, &'static str, Value, Expect)> {
    let five = json!([
        record(json!(1), [1.0, 0.0, 0.0], json!({"pos": "n", "n": 1, "big": i64::MAX})),
        record(json!(2), [0.0, 1.0, 0.0], json!({"pos": "v", "n": 2.5, "tags": ["x", "y"]})),
        record(json!("b"), [0.0, 0.0, 1.0], json!({"pos": "n", "deep": {"a": [1, null, true]}})),
        record(json!("7"), [0.5, 0.5, 0.0], json!({"pos": "n", "when": "2024-05-01T10:00:00Z"})),
        {"id": UUID, "vector": [0.0, 0.5, 0.5]},
    ]);
    let hit = |id: Value, score: &str, distance: &str| json!({"id": id, "score": score, "distance": distance});
    let near = json!([1.0, 0.0, 0.0]);
    vec![
        // Collections.
        ("list", "", json!({}), Is(json!([]))),
        (
            "create",
            "docs",
            json!({"dim": 3, "metric": "dot"}),
            Is(json!({"dim": 3, "metric": "dot"})),
        ),
        ("create", "docs", json!({"dim": 3, "metric": "dot"}), Fails("already_exists", None)),
        ("create", "two words", json!({"dim": 3}), Fails("invalid_argument", Some("name"))),
        ("create", "none", json!({"dim": 0}), Fails("invalid_argument", Some("dim"))),
        ("create", "none", json!({"dim": 20_000}), Fails("invalid_argument", Some("dim"))),
        ("create", "none", json!({"dim": 3, "m": 1}), Fails("invalid_argument", Some("m"))),
        ("create", "cos", json!({"dim": 2}), Is(json!({"dim": 2, "metric": "cosine"}))),
        ("list", "", json!({}), Is(json!(["cos", "docs"]))),
        ("query", "none", json!({"vector": near}), Fails("not_found", None)),
        ("drop", "none", json!({}), Fails("not_found", None)),
        ("drop", "cos", json!({}), Is(json!({}))),
        // Records.
        ("upsert", "docs", json!({"records": five}), Is(json!({"records": 5}))),
        ("upsert", "docs", json!({"records": []}), Is(json!({"records": 0}))),
        (
            "upsert",
            "docs",
            json!({"records": [record(json!(1), [9.0, 9.0, 9.0], json!({})), {"id": 9, "vector": [1.0]}]}),
            Fails("invalid_argument", Some("vector")),
        ),
        (
            "upsert",
            "docs",
            json!({"records": [record(json!(9), [f32::MAX, f32::MAX, 1.0], json!({}))]}),
            Fails("invalid_argument", Some("vector")),
        ),
        (
            "upsert",
            "docs",
            json!({"records": [record(json!("x".repeat(513)), [1.0, 1.0, 1.0], json!({}))]}),
            Fails("invalid_argument", Some("id")),
        ),
        (
            "upsert",
            "docs",
            json!({"records": [], "namespace": "a\nb"}),
            Fails("invalid_argument", Some("namespace")),
        ),
        ("upsert", "none", json!({"records": []}), Fails("not_found", None)),
        (
            "get",
            "docs",
            json!({"ids": [1, "b", "1", UUID, 2], "include": ["metadata", "vector"]}),
            Is(json!([
                {"id": 1, "vector": ["1", "0", "0"], "metadata": {"pos": "n", "n": 1, "big": i64::MAX}},
                {"id": "b", "vector": ["0", "0", "1"], "metadata": {"pos": "n", "deep": {"a": [1, null, true]}}},
                null,
                {"id": UUID, "vector": ["0", "0.5", "0.5"], "metadata": {}},
                {"id": 2, "vector": ["0", "1", "0"], "metadata": {"pos": "v", "n": 2.5, "tags": ["x", "y"]}},
            ])),
        ),
        ("get", "docs", json!({"ids": [1], "include": []}), Is(json!([{"id": 1}]))),
        (
            "get",
            "docs",
            json!({"ids": [1], "namespace": "other", "include": []}),
            Is(json!([null])),
        ),
        // Counting, facets.
        ("count", "docs", json!({}), Is(json!({"count": 5}))),
        (
            "count",
            "docs",
            json!({"filter": "pos = $p AND NOT EXISTS deep", "params": {"p": "n"}}),
            Is(json!({"count": 2})),
        ),
        (
            "count",
            "docs",
            json!({"filter": "tags = 'y' OR big = 9223372036854775807"}),
            Is(json!({"count": 2})),
        ),
        (
            "count",
            "docs",
            json!({"filter": "when < DATE '2024-05-01T12:00:01+02:00'"}),
            Is(json!({"count": 1})),
        ),
        ("count", "docs", json!({"filter": "pos ="}), Fails("invalid_argument", Some("filter"))),
        ("count", "docs", json!({"filter": ""}), Fails("invalid_argument", Some("filter"))),
        ("count", "docs", json!({"filter": "pos = $q"}), Fails("invalid_argument", Some("filter"))),
        (
            "facet",
            "docs",
            json!({"field": "pos"}),
            Is(json!({
            "values": [{"value": "n", "count": 3}, {"value": "v", "count": 1}], "distinct": 2})),
        ),
        (
            "facet",
            "docs",
            json!({"field": "n", "limit": 1}),
            Is(json!({
            "values": [{"value": 1, "count": 1}], "distinct": 2})),
        ),
        (
            "facet",
            "docs",
            json!({"field": "n", "limit": 0}),
            Fails("invalid_argument", Some("limit")),
        ),
        // Scrolling.
        (
            "scroll",
            "docs",
            json!({"limit": 2, "include": []}),
            Is(json!({
            "records": [{"id": 1}, {"id": 2}], "next": 2})),
        ),
        (
            "scroll",
            "docs",
            json!({"limit": 2, "after": 2, "include": []}),
            Is(json!({
            "records": [{"id": UUID}, {"id": "7"}], "next": "7"})),
        ),
        (
            "scroll",
            "docs",
            json!({"after": "7", "include": ["vector"]}),
            Is(json!({
            "records": [{"id": "b", "vector": ["0", "0", "1"]}], "next": null})),
        ),
        (
            "scroll",
            "docs",
            json!({"filter": "pos = 'v'", "include": []}),
            Is(json!({
            "records": [{"id": 2}], "next": null})),
        ),
        ("scroll", "docs", json!({"limit": 0}), Fails("invalid_argument", Some("limit"))),
        ("scroll", "docs", json!({"limit": 16_385}), Fails("invalid_argument", Some("limit"))),
        // Searching.
        (
            "query",
            "docs",
            json!({"vector": near, "k": 2, "include": []}),
            Is(json!({
            "hits": [hit(json!(1), "1", "-1"), hit(json!("7"), "0.5", "-0.5")], "complete": true})),
        ),
        (
            "query",
            "docs",
            json!({"vector": [0.0, 1.0, 1.0], "k": 1, "exact": true}),
            Is(json!({
            "hits": [{"id": 2, "score": "1", "distance": "-1", "metadata": {"pos": "v", "n": 2.5, "tags": ["x", "y"]}}],
            "complete": true})),
        ),
        (
            "query",
            "docs",
            json!({"vector": near, "filter": "n < 3", "include": [], "recall": 0.9}),
            Is(json!({
            "hits": [hit(json!(1), "1", "-1"), hit(json!(2), "0", "0")], "complete": true})),
        ),
        (
            "query",
            "docs",
            json!({"vector": near, "filter": "n < $n", "params": {"n": 2}, "include": [], "ef": 10}),
            Is(json!({
            "hits": [hit(json!(1), "1", "-1")], "complete": true})),
        ),
        (
            "query",
            "docs",
            json!({"vector": near, "score_threshold": 0.25, "include": []}),
            Is(json!({
            "hits": [hit(json!(1), "1", "-1"), hit(json!("7"), "0.5", "-0.5")], "complete": true})),
        ),
        (
            "query",
            "docs",
            json!({"vector": near, "namespace": "other"}),
            Is(json!({"hits": [], "complete": true})),
        ),
        ("query", "docs", json!({"vector": [1.0, 0.0]}), Fails("invalid_argument", Some("vector"))),
        ("query", "docs", json!({"vector": near, "k": 0}), Fails("invalid_argument", Some("k"))),
        (
            "query",
            "docs",
            json!({"vector": near, "k": 16_385}),
            Fails("invalid_argument", Some("k")),
        ),
        ("query", "docs", json!({"vector": near, "ef": 0}), Fails("invalid_argument", Some("ef"))),
        (
            "query",
            "docs",
            json!({"vector": near, "recall": 1.5}),
            Fails("invalid_argument", Some("recall")),
        ),
        (
            "query",
            "docs",
            json!({"vector": near, "ef": 9, "exact": true}),
            Fails("invalid_argument", Some("ef")),
        ),
        (
            "query",
            "docs",
            json!({"vector": near, "filter": "n << 3"}),
            Fails("invalid_argument", Some("filter")),
        ),
        // Namespaces.
        (
            "upsert",
            "docs",
            json!({"records": [record(json!(1), [0.0, 0.0, 2.0], json!({"t": 7}))], "namespace": "tenant/7"}),
            Is(json!({"records": 1})),
        ),
        (
            "namespaces",
            "docs",
            json!({}),
            Is(json!([{"name": "", "records": 5}, {"name": "tenant/7", "records": 1}])),
        ),
        (
            "get",
            "docs",
            json!({"ids": [1], "namespace": "tenant/7"}),
            Is(json!([{"id": 1, "metadata": {"t": 7}}])),
        ),
        // Changing.
        (
            "update",
            "docs",
            json!({"ids": [1, 99], "patch": {"t": {"u": [1, 2]}, "big": null}}),
            Is(json!({"updated": 1})),
        ),
        (
            "get",
            "docs",
            json!({"ids": [1]}),
            Is(json!([{"id": 1, "metadata": {"pos": "n", "n": 1, "t": {"u": [1, 2]}}}])),
        ),
        (
            "update",
            "docs",
            json!({"filter": "pos = $p", "params": {"p": "v"}, "patch": {"n": 3}}),
            Is(json!({"updated": 1})),
        ),
        ("count", "docs", json!({"filter": "n = 3 AND pos = 'v'"}), Is(json!({"count": 1}))),
        (
            "update",
            "docs",
            json!({"filter": "pos =", "patch": {}}),
            Fails("invalid_argument", Some("filter")),
        ),
        ("update", "none", json!({"ids": [1], "patch": {}}), Fails("not_found", None)),
        ("remove_namespace", "docs", json!({"namespace": "tenant/7"}), Is(json!({"removed": 1}))),
        ("remove_namespace", "docs", json!({"namespace": "tenant/7"}), Is(json!({"removed": 0}))),
        // Removing.
        ("create_snapshot", "before", json!({}), Is(json!({"name": "before", "records": 5}))),
        ("create_snapshot", "before", json!({}), Fails("already_exists", None)),
        ("create_snapshot", "two words", json!({}), Fails("invalid_argument", Some("name"))),
        ("remove", "docs", json!({"ids": [1, 99]}), Is(json!({"removed": 1}))),
        (
            "remove",
            "docs",
            json!({"filter": "pos = $p", "params": {"p": "n"}}),
            Is(json!({"removed": 2})),
        ),
        ("remove", "docs", json!({"filter": "pos"}), Fails("invalid_argument", Some("filter"))),
        ("count", "docs", json!({}), Is(json!({"count": 2}))),
        ("restore_snapshot", "none", json!({}), Fails("not_found", None)),
        ("restore_snapshot", "before", json!({}), Is(json!({}))),
        ("count", "docs", json!({}), Is(json!({"count": 5}))),
        ("remove_snapshot", "before", json!({}), Is(json!({}))),
        ("remove_snapshot", "before", json!({}), Fails("not_found", None)),
        ("drop", "docs", json!({}), Is(json!({}))),
        ("count", "docs", json!({}), Fails("not_found", None)),
    ]
}

fn check(face: &dyn Face) {
    for (operation, collection, body, expected) in rows() {
        let what = format!("{}: {operation} {collection} {body}", face.name());
        let answer = face.ask(operation, collection, &body);
        match expected {
            Is(value) => assert_eq!(answer, Ok(value), "{what}"),
            Fails(kind, field) => {
                assert_eq!(answer, Err((kind.to_owned(), field.map(str::to_owned))), "{what}");
            }
        }
    }
}

#[test]
fn the_library_behaves_as_the_table_says() {
    let dir = tempfile::tempdir().unwrap();
    check(&Embedded(Database::open(dir.path().join("db")).unwrap()));
}

#[test]
fn http_behaves_as_the_table_says() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("db"));
    check(&Http(server.http));
}

#[test]
fn grpc_behaves_as_the_table_says() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("db"));
    check(&Grpc::connect(server.grpc));
}
