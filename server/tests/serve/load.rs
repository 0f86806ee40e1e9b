//! More work than there is room for, and work that nobody waits for.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::faces::Grpc;
use super::http::{ask, ask_with};
use super::process::{PATIENCE, Server};
use super::proto;

const DIM: usize = 256;

/// A server with 8,000 records and room for one read at a time.
fn narrow(flags: &[&str]) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let mut all = vec!["--threads", "1"];
    all.extend(flags);
    let server = Server::start_with(&dir.path().join("db"), &all);
    let body = json!({"dim": DIM, "metric": "dot"});
    ask(server.http, "PUT", "/v1/collections/docs", &body).success();
    let component = |id: usize, at: usize| ((id * 31 + at * 17) % 101) as f32 / 101.0 + 0.01;
    for part in 0..8usize {
        let record = |id: usize| {
            let vector: Vec<f32> = (0..DIM).map(|at| component(id, at)).collect();
            json!({"id": id, "vector": vector})
        };
        let records: Vec<Value> = (part * 1_000..(part + 1) * 1_000).map(record).collect();
        let body = json!({ "records": records });
        ask(server.http, "POST", "/v1/collections/docs/records", &body).success();
    }
    // The first query of a collection measures what distances cost here.
    ask(server.http, "POST", "/v1/collections/docs/query/batch", &heavy(1)).success();
    (dir, server)
}

/// Many exact queries in one request.
fn heavy(count: usize) -> Value {
    json!({"vectors": vec![vec![1.0f32; DIM]; count], "k": 1, "exact": true, "include": []})
}

fn running(server: &Server) -> u64 {
    lane(server, "running")
}

/// Calls in the lane of reads that are in this state.
fn lane(server: &Server, state: &str) -> u64 {
    let text = ask(server.http, "GET", "/metrics", &Value::Null).text();
    let start = format!("vecstore_pool_{state}{{lane=\"read\"}}");
    let line = text.lines().find(|l| l.starts_with(&start));
    line.and_then(|l| l.rsplit(' ').next()?.parse().ok()).expect("the number")
}

#[test]
fn too_much_is_refused_and_the_rest_is_answered() {
    let (_dir, server) = narrow(&["--waiting-max", "4", "--wait-ms-max", "60000"]);
    const QUERIES: usize = 200;
    let (done, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                let path = "/v1/collections/docs/query/batch";
                let answer = ask(server.http, "POST", path, &heavy(QUERIES));
                match answer.status {
                    200 => {
                        assert_eq!(answer.json()["results"].as_array().unwrap().len(), QUERIES);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    429 => {
                        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                        assert!(wait >= 1);
                        assert_eq!(answer.json()["code"], "busy");
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    other => panic!("{other} {}", answer.text()),
                }
            });
        }
    });
    let (done, refused) = (done.into_inner(), refused.into_inner());
    assert_eq!(done + refused, 24);
    // One runs and four wait at least; whoever comes when one has ended gets in too.
    assert!(done >= 5, "{done} done, {refused} refused");
    assert!(refused >= 1, "{done} done, {refused} refused");
    // Afterwards there is room again.
    ask(server.http, "POST", "/v1/collections/docs/query/batch", &heavy(1)).success();
    println!("24 at once with room for 5: {done} answered, {refused} refused with Retry-After");
}

#[test]
fn what_would_not_get_its_turn_is_refused_before_it_is_read() {
    let (_dir, server) = narrow(&["--waiting-max", "1", "--wait-ms-max", "60000"]);
    let (http, waiting) = (server.http, || lane(&server, "waiting"));
    let unreadable = |path| ask(http, "POST", path, &json!({"nonsense": 1})).status;
    let (query, qdrant) = ("/v1/collections/docs/query", "/collections/docs/points/search");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // One runs, one waits, and what is more comes back until one of them has ended.
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let path = "/v1/collections/docs/query/batch";
                    if ask(http, "POST", path, &heavy(400)).status != 200 {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
            });
        }
        let started = Instant::now();
        let mut said = Vec::new();
        // Other lanes are not full.
        let expected = (429, 429, 200);
        while said.last() != Some(&expected) && started.elapsed() < PATIENCE {
            if waiting() == 1 {
                let other = ask(http, "GET", "/v1/collections/docs", &Value::Null).status;
                said.push((unreadable(query), unreadable(qdrant), other));
            }
        }
        done.store(true, Ordering::Relaxed);
        assert_eq!(said.last(), Some(&expected), "{said:?}");
    });
    assert_eq!((unreadable(query), unreadable(qdrant)), (400, 400));
}

#[test]
fn a_deadline_ends_the_wait_and_the_work() {
    let (_dir, server) = narrow(&[]);
    let path = "/v1/collections/docs/query/batch";
    let body = heavy(2_000);
    let started = Instant::now();
    let answer = ask_with(server.http, "POST", path, &[("x-timeout-ms", "150")], &body);
    assert_eq!(answer.json()["code"], "deadline_exceeded", "{}", answer.text());
    assert_eq!(answer.status, 504);
    let answered = started.elapsed();
    // The slot is free soon after.
    while running(&server) > 0 {
        assert!(started.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    let freed = started.elapsed();
    let whole = Instant::now();
    let unhurried = ask_with(server.http, "POST", path, &[("x-timeout-ms", "600000")], &body);
    unhurried.success();
    let whole = whole.elapsed();
    assert!(answered < whole / 2, "answered after {answered:?}, the whole takes {whole:?}");
    println!("answered after {answered:?}, stopped after {freed:?}, unhurried {whole:?}");
    assert!(freed < whole / 2, "stopped after {freed:?}, the whole takes {whole:?}");

    let grpc = Grpc::connect(server.grpc);
    let mut client = grpc.client.clone();
    let code = grpc.wait(async {
        let mut request = tonic::Request::new(proto::QueryBatchRequest {
            collection: "docs".to_owned(),
            vectors: vec![proto::Vector { values: vec![1.0; DIM], raw: Vec::new() }; 2_000],
            options: Some(proto::SearchOptions { exact: Some(true), ..Default::default() }),
            ..Default::default()
        });
        request.set_timeout(Duration::from_millis(100));
        client.query_batch(request).await.unwrap_err().code()
    });
    // The server may know by now that it can't be done in time.
    let known =
        [tonic::Code::DeadlineExceeded, tonic::Code::ResourceExhausted, tonic::Code::Cancelled];
    assert!(known.contains(&code), "{code:?}");
}
