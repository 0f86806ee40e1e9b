//! Every operation of every protocol is counted, and under its name.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::faces::Grpc;
use super::http::ask;
use super::process::Server;

/// Requests counted so far, by protocol and operation; the same for both families.
fn counted(server: &Server) -> BTreeMap<(String, String), u64> {
    let text = ask(server.http, "GET", "/metrics", &Value::Null).text();
    let family = |name: &str| {
        let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
        for line in text.lines().filter_map(|line| line.strip_prefix(name)) {
            let (labels, count) = line.rsplit_once(' ').unwrap();
            let label = |name: &str| {
                let rest = labels.split_once(&format!("{name}=\"")).unwrap().1;
                rest.split('"').next().unwrap().to_owned()
            };
            *counts.entry((label("protocol"), label("operation"))).or_default() +=
                count.parse::<u64>().unwrap();
        }
        counts
    };
    let mut counts = family("vecstore_requests_total{");
    assert_eq!(counts, family("vecstore_request_duration_seconds_count{"));
    counts.remove(&("http".to_owned(), "metrics".to_owned()));
    counts
}

/// What one request is counted as.
fn counted_by(server: &Server, request: impl FnOnce()) -> (String, String) {
    let before = counted(server);
    request();
    let mut more = counted(server);
    more.retain(|labels, count| {
        *count -= before.get(labels).copied().unwrap_or(0);
        *count > 0
    });
    assert!(more.values().eq([&1]), "one request is counted as {more:?}");
    more.into_keys().next().unwrap()
}

/// `CreateCollection` as `create_collection`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[test]
fn every_route_and_method_is_counted_under_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("db"));
    let pair = |protocol: &str, operation: &str| (protocol.to_owned(), operation.to_owned());

    let document = ask(server.http, "GET", "/openapi.json", &Value::Null).success();
    let mut routes = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let at = path.replace("{collection}", "none").replace("{id}", "1");
        for (method, described) in operations.as_object().unwrap() {
            if path == "/metrics" {
                continue;
            }
            let ask = || drop(ask(server.http, &method.to_uppercase(), &at, &Value::Null));
            let (protocol, operation) = counted_by(&server, ask);
            let id = described["operationId"].as_str().unwrap();
            let open = ["/livez", "/readyz", "/openapi.json"].contains(&path.as_str());
            assert_eq!(protocol, "http", "{method} {path}");
            assert_eq!(operation == "other", open, "{method} {path} is counted as {operation}");
            let stem = id.trim_end_matches("_one").trim_end_matches("_collection");
            assert!(
                open || id.contains(&operation) || operation.starts_with(stem),
                "{id}: {operation}"
            );
            routes += 1;
        }
    }
    assert!(routes > 30, "{routes} routes");

    let table = include_str!("../../src/qdrant/rest.rs");
    let mut qdrant = 0;
    for line in table.lines().filter_map(|line| line.trim().strip_prefix("route!(")) {
        let parts: Vec<&str> = line.split(' ').collect();
        let (method, path, operation) = (parts[0], parts[1].trim_matches('"'), parts[2]);
        let at = path.replace("{collection}", "none");
        let ask = || drop(ask(server.http, method, &at, &json!({})));
        assert_eq!(counted_by(&server, ask), pair("qdrant", &snake(operation)), "{method} {path}");
        qdrant += 1;
    }
    assert!(qdrant > 20, "{qdrant} routes of Qdrant");

    let proto = include_str!("../../proto/vecstore/v1/vecstore.proto");
    let grpc = Grpc::connect(server.grpc);
    let call = |path: String| {
        grpc.wait(async {
            let mut client = tonic::client::Grpc::new(grpc.channel.clone());
            client.ready().await.unwrap();
            let codec = tonic_prost::ProstCodec::<(), ()>::default();
            // It may be refused.
            let _ = client.unary(tonic::Request::new(()), path.parse().unwrap(), codec).await;
        });
    };
    let mut methods = 0;
    for line in proto.lines().filter_map(|line| line.trim().strip_prefix("rpc ")) {
        let method = line.split('(').next().unwrap();
        let by = counted_by(&server, || call(format!("/vecstore.v1.VecStore/{method}")));
        assert_eq!(by, pair("grpc", &snake(method)));
        methods += 1;
    }
    assert!(methods > 25, "{methods} methods");
    // Qdrant's methods are those of its proto file, and each is counted as its route is.
    let proto = include_str!("../../proto/qdrant/qdrant.proto");
    let table = include_str!("../../src/qdrant/grpc/mod.rs");
    let mut named = Vec::new();
    let mut service = "";
    for line in proto.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("service ") {
            service = name.trim_end_matches(" {");
        } else if let Some(rest) = line.strip_prefix("rpc ") {
            named.push(format!("{service}/{}", rest.split('(').next().unwrap()));
        }
    }
    let mut by_table = Vec::new();
    for line in table.lines().filter_map(|line| line.trim().strip_prefix("method!(\"")) {
        let (path, rest) = line.split_once("\" ").unwrap();
        let operation = rest.split(' ').next().unwrap();
        let by = counted_by(&server, || call(format!("/qdrant.{path}")));
        assert_eq!(by, pair("qdrant_grpc", &snake(operation)), "{path}");
        by_table.push(path.to_owned());
    }
    named.sort();
    by_table.sort();
    assert_eq!(named, by_table);
    let by = counted_by(&server, || call("/qdrant.Points/Recommend".to_owned()));
    assert_eq!(by, pair("qdrant_grpc", "other"));

    for other in
        ["/grpc.health.v1.Health/Check", "/vecstore.v1.VecStore/Unknown", "/none.None/None"]
    {
        assert_eq!(
            counted_by(&server, || call(other.to_owned())),
            pair("grpc", "other"),
            "{other}"
        );
    }
    let of_qdrant = by_table.len();
    println!("{routes} routes, {qdrant} of Qdrant, {methods} methods, {of_qdrant} of Qdrant");
}

#[test]
fn commits_and_debts_and_recall_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--recall-sample-every", "2"];
    let server = Server::start_with(&dir.path().join("db"), &flags);
    ask(server.http, "PUT", "/v1/collections/docs", &json!({"dim": 2, "metric": "dot"})).success();
    let value = |name: &str| {
        let text = ask(server.http, "GET", "/metrics", &Value::Null).text();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name}\n{text}")).parse::<f64>().unwrap()
    };
    let name = "vecstore_commit_duration_seconds";
    let before = value(&format!("{name}_count"));
    for id in 0..30 {
        let record = json!({"records": [{"id": id, "vector": [id, 1]}]});
        ask(server.http, "POST", "/v1/collections/docs/records", &record).success();
    }
    assert_eq!(value(&format!("{name}_count")), before + 30.0);
    assert_eq!(value(&format!("{name}_bucket{{le=\"+Inf\"}}")), before + 30.0);
    assert!(value(&format!("{name}_sum")) > 0.0);
    assert_eq!(value("vecstore_merge_debt_bytes"), 0.0);
    assert!(value("vecstore_memory_bytes{kind=\"memtable_rows\"}") > 1_000.0);
    assert!(value("vecstore_memory_bytes{kind=\"log\"}") > 1_000.0);
    assert_eq!(value("vecstore_mapped_bytes"), 0.0);

    for at in 0..10 {
        let query = json!({"vector": [at, 1], "k": 5, "include": []});
        ask(server.http, "POST", "/v1/collections/docs/query", &query).success();
    }
    // An exact query, or one that leaves hits out by their score, has no recall.
    for other in
        [json!({"vector": [1, 1], "exact": true}), json!({"vector": [1, 1], "score_threshold": 2})]
    {
        ask(server.http, "POST", "/v1/collections/docs/query", &other).success();
    }
    let started = std::time::Instant::now();
    while value("vecstore_recall_sampled_queries_total") < 5.0 {
        assert!(started.elapsed() < super::process::PATIENCE);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(value("vecstore_recall_hits_total{found=\"true\"}"), 25.0);
    assert_eq!(value("vecstore_recall_hits_total{found=\"false\"}"), 0.0);
    assert_eq!(value("vecstore_recall_sampled_queries_total"), 5.0);
}
