//! What one client, or one namespace, may ask for.

use serde_json::{Value, json};
use tonic::Code;

use super::faces::Grpc;
use super::http::{ask, ask_with};
use super::process::Server;
use super::proto;

const ADMIN: &str = "a-key-that-allows-everything";
const READ: &str = "a-key-that-allows-reading";

#[test]
fn a_client_that_asks_too_often_is_told_when_to_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let keys = ["--api-key", ADMIN, "--read-only-api-key", READ];
    let flags = [&keys[..], &["--client-requests-per-s", "5"]].concat();
    let server = Server::start_with(&dir.path().join("db"), &flags);
    let get = |key: &str| {
        ask_with(server.http, "GET", "/v1/collections", &[("api-key", key)], &Value::Null)
    };
    let answers: Vec<_> = (0..40).map(|_| get(READ)).collect();
    assert!(answers[..5].iter().all(|answer| answer.status == 200));
    let refused = answers.iter().find(|answer| answer.status == 429).expect("one too many");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.json()["code"], "busy");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("`read_only_api_key` has reached its limit of 5 requests"), "{detail}");
    // Others are not concerned, nor is what a supervisor asks.
    assert_eq!(get(ADMIN).status, 200);
    assert_eq!(ask(server.http, "GET", "/livez", &Value::Null).status, 200);
    // Over gRPC it is the same client.
    let grpc = Grpc::connect(server.grpc);
    let status = (0..40).find_map(|_| {
        let mut request = tonic::Request::new(proto::ListCollectionsRequest {});
        request.metadata_mut().insert("api-key", READ.parse().unwrap());
        grpc.wait(grpc.client.clone().list_collections(request)).err()
    });
    let status = status.expect("one too many");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.metadata().contains_key("retry-after"));

    let headers = [("api-key", ADMIN)];
    let metrics = ask_with(server.http, "GET", "/metrics", &headers, &Value::Null).text();
    let name = "vecstore_limited_total{scope=\"client\",limit=\"requests\"} ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    assert!(count.parse::<u64>().unwrap() >= 2, "{count}");
}

#[test]
fn bytes_count_over_every_protocol() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--client-bytes-per-s", "2000"];
    let server = Server::start_with(&dir.path().join("db"), &flags);
    ask(server.http, "PUT", "/v1/collections/docs", &json!({"dim": 2})).success();
    let count = || ask(server.http, "POST", "/v1/collections/docs/count", &json!({})).status;
    assert_eq!(count(), 200);
    let grpc = Grpc::connect(server.grpc);
    let upsert = proto::UpsertRequest {
        collection: "docs".to_owned(),
        namespace: "n".repeat(5_000),
        ..Default::default()
    };
    // It is answered, as somebody who sent it can't take it back, and what follows waits.
    let refused = grpc.wait(grpc.client.clone().upsert(upsert)).unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let answer = ask(server.http, "POST", "/v1/collections/docs/count", &json!({}));
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("2")));
    assert!(answer.text().contains("2000 bytes a second"), "{}", answer.text());
    let waited = std::time::Instant::now();
    while count() != 200 {
        assert!(waited.elapsed() < super::process::PATIENCE);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_namespace_has_its_share() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--namespace-requests-per-s", "5"];
    let server = Server::start_with(&dir.path().join("db"), &flags);
    ask(server.http, "PUT", "/v1/collections/docs", &json!({"dim": 2})).success();
    let count = |namespace: &str| {
        let body = json!({"namespace": namespace});
        ask(server.http, "POST", "/v1/collections/docs/count", &body)
    };
    let refused = (0..60).map(|_| count("greedy")).find(|answer| answer.status == 429);
    let detail = refused.expect("one too many").json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("namespace `docs/greedy` has reached its limit"), "{detail}");
    assert_eq!(count("modest").status, 200);
}

#[test]
fn searches_that_come_together_are_one_request() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--namespace-requests-per-s", "2"];
    let server = Server::start_with(&dir.path().join("db"), &flags);
    ask(server.http, "PUT", "/v1/collections/docs", &json!({"dim": 2})).success();
    let search = json!({"query": [1, 2], "limit": 1});
    let body = json!({"searches": vec![search; 50]});
    let batch = || ask(server.http, "POST", "/collections/docs/points/query/batch", &body).status;
    assert_eq!(batch(), 200);
    assert!((0..60).any(|_| batch() == 429), "the batch itself counts");
}
