//! What HTTP has beyond the table: its description, its refusals, its lines, its numbers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::http::{ask, ask_with, send};
use super::process::{PATIENCE, Server};

fn with_docs(flags: &[&str]) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(&dir.path().join("db"), flags);
    let body = json!({"dim": 2, "metric": "euclidean"});
    ask(server.http, "PUT", "/v1/collections/docs", &body).success();
    (dir, server)
}

/// Calls `found` with every `$ref` in a document.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(map) => {
            for (name, value) in map {
                match value.as_str() {
                    Some(reference) if name == "$ref" => found.push(reference),
                    _ => references(value, found),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn the_description_is_complete_and_consistent() {
    let (_dir, server) = with_docs(&[]);
    let document = ask(server.http, "GET", "/openapi.json", &Value::Null).success();
    assert_eq!(document["openapi"], "3.1.0");
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 30);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{id} is not unique");
            // What is described is there: it answers anything but «no such path or method».
            let path = path.replace("{collection}", "none").replace("{id}", "1");
            let path = path.replace("{snapshot}", "none");
            let answer = ask(server.http, &method.to_uppercase(), &path, &Value::Null);
            let missing = answer.status == 404 && answer.text().contains("there is nothing at");
            assert!(!missing && answer.status != 405, "{method} {path}: {}", answer.text());
        }
    }
    for id in ["query", "upsert", "scroll_stream", "upsert_stream", "optimize", "get_task"] {
        assert!(ids.contains(id), "{id}");
    }
    let vector = &document["components"]["schemas"]["Query"]["properties"]["vector"];
    assert!(vector.to_string().contains("array"), "{vector}");
    assert_eq!(document["components"]["schemas"]["Query"]["additionalProperties"], false);
}

#[test]
fn what_is_wrong_is_refused_and_named() {
    let (_dir, server) = with_docs(&["--request-bytes-max", "4096"]);
    let check = |method: &str, path: &str, body: Value, status: u16, code: &str, field: Value| {
        let answer = ask(server.http, method, path, &body);
        let json = answer.json();
        let got = (answer.status, json["code"].as_str(), &json["field"]);
        assert_eq!(got, (status, Some(code), &field), "{method} {path} {body}: {json}");
        assert!(!json["detail"].as_str().unwrap().is_empty());
    };
    let docs = |rest: &str| format!("/v1/collections/docs{rest}");
    let invalid = "invalid_argument";
    check("GET", "/v1/nothing", Value::Null, 404, "not_found", Value::Null);
    check("PATCH", "/v1/collections", Value::Null, 405, "method_not_allowed", Value::Null);
    check("GET", "/v1/collections?a=1", Value::Null, 400, invalid, json!("a"));
    let query = docs("/query");
    check("POST", &query, json!({"vectr": [1, 2]}), 400, invalid, json!("vectr"));
    check("POST", &query, json!({"vector": [1, "2"]}), 400, invalid, json!("vector[1]"));
    check("POST", &query, json!({"vector": [1, 2], "k": -1}), 400, invalid, json!("k"));
    check(
        "POST",
        &query,
        json!({"vector": [1, 2], "include": ["all"]}),
        400,
        invalid,
        json!("include"),
    );
    check("POST", &query, json!({}), 400, invalid, json!("vector"));
    check("POST", &query, json!({"vector": [1, 2], "like": 1}), 400, invalid, json!("like"));
    check("POST", &query, json!({"like": 1}), 404, "not_found", json!("like"));
    check("POST", &query, json!([1]), 400, invalid, Value::Null);
    let records = docs("/records");
    let record =
        |id: Value| json!({"records": [{"id": 1, "vector": [1, 2]}, {"id": id, "vector": [1, 2]}]});
    check("POST", &records, record(json!(-1)), 400, invalid, json!("records[1].id"));
    check("POST", &records, record(json!("")), 400, invalid, json!("records[1].id"));
    check(
        "POST",
        &records,
        json!({"records": [{"id": 1, "vector": [1, 2], "metadata": 1}]}),
        400,
        invalid,
        json!("records[0].metadata"),
    );
    check(
        "POST",
        &records,
        json!({"records": [{"id": 1, "vector": [1, 2], "text": 1}]}),
        400,
        invalid,
        json!("records[0].text"),
    );
    check(
        "POST",
        &docs("/query/batch"),
        json!({"vectors": [[1, 2], [1]]}),
        400,
        invalid,
        json!("vectors[1]"),
    );
    check("POST", &docs("/records/remove"), json!({}), 400, invalid, json!("ids"));
    check(
        "POST",
        &docs("/records/remove"),
        json!({"ids": [1], "filter": "a = 1"}),
        400,
        invalid,
        json!("filter"),
    );
    check("GET", &docs("/records/1"), Value::Null, 404, "not_found", Value::Null);
    check("GET", &docs("/records/1?namespac=x"), Value::Null, 400, invalid, Value::Null);
    check("GET", "/v1/tasks/x", Value::Null, 400, invalid, json!("id"));
    check("GET", "/v1/tasks/77", Value::Null, 404, "not_found", Value::Null);
    check(
        "PUT",
        "/v1/collections/new",
        json!({"dim": 2, "metric": "near"}),
        400,
        invalid,
        json!("metric"),
    );
    check("PUT", "/v1/collections/new", json!({"metric": "dot"}), 400, invalid, Value::Null);
    let big = json!({"vector": vec![1.5; 2000]});
    check("POST", &query, big, 413, "too_large", Value::Null);

    let raw = |headers: &[(&str, &str)], body: &[u8]| {
        let answer = send(server.http, "POST", &query, headers, body).unwrap();
        (answer.status, answer.json()["code"].as_str().unwrap().to_owned())
    };
    let json_type = ("content-type", "application/json");
    assert_eq!(raw(&[], b"{}"), (415, "unsupported_media_type".into()));
    assert_eq!(
        raw(&[("content-type", "text/plain")], b"{}"),
        (415, "unsupported_media_type".into())
    );
    assert_eq!(raw(&[json_type], b"{\"vector\": [1, 2"), (400, invalid.into()));
    assert_eq!(raw(&[json_type], b"{\"vector\": [1, 2]} x"), (400, invalid.into()));
    assert_eq!(raw(&[json_type], b""), (400, invalid.into()));
    assert_eq!(raw(&[json_type, ("x-timeout-ms", "soon")], b"{}"), (400, invalid.into()));
    assert_eq!(raw(&[json_type, ("x-timeout-ms", "0")], b"{\"vector\": [1, 2]}").0, 504);
}

#[test]
fn lines_go_in_and_come_out() {
    let (_dir, server) = with_docs(&[]);
    let line = |id: u64| {
        format!("{{\"id\": {id}, \"vector\": [{id}, 1], \"metadata\": {{\"n\": {id}}}}}\n")
    };
    let import = |lines: &str| {
        let headers = [("content-type", "application/x-ndjson")];
        let path = "/v1/collections/docs/records/import?namespace=t";
        send(server.http, "POST", path, &headers, lines.as_bytes()).unwrap()
    };
    let all: String = (0..2_500).map(line).collect();
    let done = import(&(all + "\n")).success();
    assert_eq!(done["records"], 2_500);
    assert!(done["seq"].as_u64().unwrap() >= 3);

    let export = |body: Value| {
        let answer = ask(server.http, "POST", "/v1/collections/docs/records/export", &body);
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
        let text = answer.text();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let back = export(json!({"namespace": "t", "limit": 700, "include": ["metadata", "vector"]}));
    assert_eq!(back.len(), 2_500);
    assert_eq!(back[1_234], json!({"id": 1234, "metadata": {"n": 1234}, "vector": [1234.0, 1.0]}));
    let some =
        export(json!({"namespace": "t", "filter": "n < $n", "params": {"n": 10}, "include": []}));
    assert_eq!(some, (0..10).map(|id| json!({"id": id})).collect::<Vec<_>>());
    assert_eq!(export(json!({})), Vec::<Value>::new());
    let wrong =
        ask(server.http, "POST", "/v1/collections/docs/records/export", &json!({"filter": "n <"}));
    assert_eq!((wrong.status, &wrong.json()["field"]), (400, &json!("filter")));

    // A batch of lines before a wrong one stays, and the answer says so.
    let lines: String = (5_000..6_500).map(line).collect::<String>() + "{\"id\": 1}\n";
    let failed = import(&lines);
    assert_eq!(failed.status, 400);
    let detail = failed.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("line 1501: "), "{detail}");
    assert!(detail.ends_with("the first 1000 records are stored"), "{detail}");
    let count = ask(server.http, "POST", "/v1/collections/docs/count", &json!({"namespace": "t"}));
    assert_eq!(count.success()["count"], 3_500);
}

#[test]
fn one_record_has_a_path_and_like_finds_its_neighbours() {
    let (_dir, server) = with_docs(&[]);
    let records = json!({"records": [
        {"id": 1, "vector": [0, 0], "metadata": {"a": {"b": 1}, "c": 2}},
        {"id": 2, "vector": [0, 1]},
        {"id": "x y", "vector": [0, 3]},
    ]});
    ask(server.http, "POST", "/v1/collections/docs/records", &records).success();
    let get = |path: &str| {
        ask(server.http, "GET", &format!("/v1/collections/docs/records/{path}"), &Value::Null)
    };
    assert_eq!(
        get("1").success(),
        json!({"id": 1, "vector": [0.0, 0.0], "metadata": {"a": {"b": 1}, "c": 2}})
    );
    assert_eq!(get("1?include=metadata.a.b").success(), json!({"id": 1, "metadata": {"a.b": 1}}));
    assert_eq!(get("x%20y?include=metadata").success()["id"], "x y");
    let query =
        |body: Value| ask(server.http, "POST", "/v1/collections/docs/query", &body).success();
    let near = query(json!({"like": 1, "k": 1, "include": [], "explain": true}));
    assert_eq!(near["hits"], json!([{"id": 2, "score": -1.0, "distance": 1.0}]));
    assert_eq!(near["plan"]["k"], 2);
    let body = json!({"vectors": [[0, 0], [0, 2.9]], "k": 1, "include": []});
    let batch = ask(server.http, "POST", "/v1/collections/docs/query/batch", &body).success();
    assert_eq!(batch["results"][0]["hits"][0]["id"], 1);
    assert_eq!(batch["results"][1]["hits"][0]["id"], "x y");
    let delete = ask(server.http, "DELETE", "/v1/collections/docs/records/2", &Value::Null);
    assert_eq!(delete.success(), json!({"removed": 1}));
    let again = json!({"dim": 2, "metric": "l2", "if_not_exists": true});
    let again = ask(server.http, "PUT", "/v1/collections/docs", &again).success();
    assert_eq!((&again["created"], &again["collection"]["records"]), (&json!(false), &json!(2)));
    let other = json!({"dim": 3, "metric": "l2", "if_not_exists": true});
    assert_eq!(ask(server.http, "PUT", "/v1/collections/docs", &other).status, 409);
}

#[test]
fn tasks_run_report_and_stop() {
    let (_dir, server) = with_docs(&[]);
    let record = |id: u64| json!({"id": id, "vector": [id % 97, id % 89]});
    for part in 0..2u64 {
        let records: Vec<Value> = (part * 10_000..(part + 1) * 10_000).map(record).collect();
        let body = json!({"records": records});
        ask(server.http, "POST", "/v1/collections/docs/records", &body).success();
    }
    let wait = |id: &Value| {
        let started = std::time::Instant::now();
        loop {
            let task = ask(server.http, "GET", &format!("/v1/tasks/{id}"), &Value::Null).success();
            if task["state"] != "running" {
                return task;
            }
            assert!(started.elapsed() < PATIENCE, "{task}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    let begin = |path: &str| {
        let answer = ask(server.http, "POST", path, &Value::Null);
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["id"].clone()
    };
    // Told to stop at once, it does not get to the end of 20,000 rows.
    let id = begin("/v1/collections/docs/optimize");
    let twice = ask(server.http, "POST", "/v1/collections/docs/optimize", &Value::Null);
    assert_eq!(twice.status, 409);
    ask(server.http, "DELETE", &format!("/v1/tasks/{id}"), &Value::Null).success();
    assert_eq!(wait(&id)["state"], "cancelled");

    let task = wait(&begin("/v1/collections/docs/optimize"));
    assert_eq!(task["state"], "done", "{task}");
    assert_eq!(task["report"]["segments_after"], 1, "{task}");
    let task = wait(&begin("/v1/verify"));
    assert_eq!((&task["state"], &task["report"]["problems"]), (&json!("done"), &json!([])));
    let stats = ask(server.http, "GET", "/v1/collections/docs/stats", &Value::Null).success();
    assert_eq!(
        (&stats["records"], stats["segments"].as_array().unwrap().len()),
        (&json!(20_000), 1)
    );
    let tasks = ask(server.http, "GET", "/v1/tasks", &Value::Null).success();
    assert_eq!(tasks["tasks"].as_array().unwrap().len(), 3);
    assert_eq!(ask(server.http, "POST", "/v1/collections/none/optimize", &Value::Null).status, 404);
}

#[test]
fn requests_are_named_and_counted() {
    let (_dir, server) = with_docs(&[]);
    let named =
        ask_with(server.http, "GET", "/v1/collections", &[("x-request-id", "r-1")], &Value::Null);
    assert_eq!(named.header("x-request-id"), Some("r-1"));
    let odd =
        ask_with(server.http, "GET", "/v1/collections", &[("x-request-id", "a b")], &Value::Null);
    assert_eq!(odd.header("x-request-id").map(str::len), Some(16));
    let record = json!({"records": [{"id": 1, "vector": [1, 2]}]});
    ask(server.http, "POST", "/v1/collections/docs/records", &record).success();
    ask(server.http, "POST", "/v1/collections/none/query", &json!({"vector": [1, 2]}));
    let metrics = ask(server.http, "GET", "/metrics", &Value::Null);
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    let text = metrics.text();
    for line in [
        "vecstore_requests_total{protocol=\"http\",operation=\"list_collections\",outcome=\"ok\"} 2",
        "vecstore_requests_total{protocol=\"http\",operation=\"query\",outcome=\"not_found\"} 1",
        "vecstore_request_duration_seconds_count{protocol=\"http\",operation=\"upsert\"} 1",
        "vecstore_request_duration_seconds_bucket{protocol=\"http\",operation=\"upsert\",le=\"+Inf\"} 1",
        "vecstore_requests_in_flight{protocol=\"http\"} 1",
        "vecstore_pool_waiting{lane=\"read\"} 0",
        "vecstore_records 1",
        "vecstore_memtable_records 1",
        "vecstore_collections 1",
        "vecstore_segments_damaged 0",
        "vecstore_scrub_bytes_total 0",
        "vecstore_scrub_damaged_total 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    // Every line is a comment, or a name with labels and a number.
    for line in text.lines().filter(|line| !line.starts_with("# ")) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(name.starts_with("vecstore_"), "{line}");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(ask(server.http, "GET", path, &Value::Null).status, 200);
    }
}

#[test]
fn clients_of_qdrant_may_store_half_precision() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(&dir.path().join("db"), &[]);
    let create = |name: &str, datatype: &str| {
        let body = json!({"vectors": {"size": 2, "distance": "Dot", "datatype": datatype}});
        ask(server.http, "PUT", &format!("/collections/{name}"), &body)
    };
    create("halves", "float16").success();
    create("whole", "float32").success();
    let refused = create("bytes", "uint8");
    assert!(refused.status == 400 && refused.text().contains("vectors.datatype"), "{refused:?}");
    let vectors = |name: &str| {
        let info = ask(server.http, "GET", &format!("/collections/{name}"), &Value::Null).success();
        info["result"]["config"]["params"]["vectors"].clone()
    };
    let halves = json!({"size": 2, "distance": "Dot", "datatype": "float16"});
    assert_eq!(
        (vectors("halves"), vectors("whole")),
        (halves, json!({"size": 2, "distance": "Dot"}))
    );
    let info = ask(server.http, "GET", "/v1/collections/halves", &Value::Null).success();
    assert_eq!(info["precision"], "f16");
}
