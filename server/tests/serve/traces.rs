//! Traces, as a collector receives them.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tonic::{Request, Response, Status};

use super::faces::Grpc;
use super::http::{ask, ask_with};
use super::otlp::trace_service_server::{TraceService, TraceServiceServer};
use super::otlp::{
    ExportTraceServiceRequest, ExportTraceServiceResponse, KeyValue, Span, any_value,
};
use super::process::{PATIENCE, Server};
use super::proto;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OTHER: &str = "aaaabbbbccccddddaaaabbbbccccdddd";
const PARENT: u64 = 0x00f0_67aa_0ba9_02b7;

/// What a collector is for a server: a port that takes spans.
struct Collector(Sender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        // The test may be over.
        let _ = self.0.send(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn collect() -> (SocketAddr, Receiver<ExportTraceServiceRequest>) {
    let (sender, received) = channel();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            let service = TraceServiceServer::new(Collector(sender));
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
    });
    (address, received)
}

/// All spans until the sender has said everything.
fn rest(received: &Receiver<ExportTraceServiceRequest>, wanted: usize) -> Vec<Span> {
    let mut spans = Vec::new();
    while spans.len() < wanted {
        let message = received.recv_timeout(PATIENCE).expect("spans");
        for part in message.resource_spans {
            let resource = part.resource.expect("a resource").attributes;
            assert_eq!(value(&resource, "service.name"), "vecstore");
            spans.extend(part.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    spans
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|found| found.value.as_ref()?.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text,
        None => panic!("no {key} in {attributes:?}"),
    }
}

fn parent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{PARENT:016x}-{flags}")
}

fn nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

#[test]
fn requests_are_spans_of_their_callers_traces() {
    let (collector, received) = collect();
    let dir = tempfile::tempdir().unwrap();
    let endpoint = format!("http://{collector}");
    let mut server = Server::start_with(
        &dir.path().join("db"),
        &["--otlp-endpoint", &endpoint, "--otlp-sample-every", "0"],
    );
    let http = server.http;
    let before = nanos();
    // Of no trace, and none is begun.
    ask(http, "PUT", "/v1/collections/docs", &json!({"dim": 2})).success();
    // The caller does not record it.
    let unrecorded = parent(OTHER, "00");
    let query = json!({"vector": [1, 0]});
    let path = "/v1/collections/docs/query";
    ask_with(http, "POST", path, &[("traceparent", &unrecorded)], &query).success();

    let recorded = parent(TRACE, "01");
    let headers = [("traceparent", recorded.as_str()), ("x-request-id", "the-query")];
    ask_with(http, "POST", path, &headers, &query).success();
    let failed = ask_with(http, "GET", "/v1/collections/none", &headers[..1], &Value::Null);
    assert_eq!(failed.status, 404);
    let headers = [("traceparent", recorded.as_str())];
    ask_with(http, "POST", "/collections/docs/points/count", &headers, &json!({})).success();
    let grpc = Grpc::connect(server.grpc);
    let mut client = grpc.client.clone();
    grpc.wait(async {
        let count = proto::CountRequest { collection: "docs".to_owned(), ..Default::default() };
        let mut request = Request::new(count);
        request.metadata_mut().insert("traceparent", recorded.parse().unwrap());
        client.count(request).await.unwrap();
    });
    // What has ended is told before the server ends.
    server.signal("-TERM");
    assert!(server.wait().success());
    let after = nanos();

    let spans = rest(&received, 8);
    assert!(received.try_recv().is_err(), "more than these");
    let mut requests: Vec<_> = spans.iter().filter(|span| span.kind == 2).collect();
    requests.sort_by_key(|span| span.start_time_unix_nano);
    let told: Vec<_> = requests
        .iter()
        .map(|span| {
            let status = span.status.as_ref().map(|status| (status.code, status.message.as_str()));
            (span.name.as_str(), value(&span.attributes, "vecstore.protocol"), status)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("query", "http", None),
            ("get_collection", "http", Some((2, "not_found"))),
            ("count", "qdrant", None),
            ("count", "grpc", None),
        ]
    );
    assert_eq!(value(&requests[0].attributes, "vecstore.request_id"), "the-query");
    for span in requests {
        assert_eq!(hex(&span.trace_id), TRACE);
        assert_eq!(span.parent_span_id, PARENT.to_be_bytes());
        let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
        assert!(before <= start && start <= end && end <= after, "{before} {span:?} {after}");
        // The time with the engine is within it.
        let of_it: Vec<_> = spans.iter().filter(|s| s.parent_span_id == span.span_id).collect();
        let [part] = of_it[..] else { panic!("{of_it:?}") };
        assert_eq!((part.name.as_str(), part.kind), ("engine", 1));
        assert_eq!((&part.trace_id, part.span_id.len()), (&span.trace_id, 8));
        assert!(start <= part.start_time_unix_nano && part.end_time_unix_nano <= end, "{part:?}");
    }
}

#[test]
fn one_of_so_many_begins_a_trace() {
    let (collector, received) = collect();
    let dir = tempfile::tempdir().unwrap();
    let endpoint = format!("http://{collector}");
    let flags = ["--otlp-endpoint", &endpoint, "--otlp-sample-every", "3"];
    let server = Server::start_with(&dir.path().join("db"), &flags);
    for _ in 0..7 {
        ask(server.http, "GET", "/livez", &Value::Null);
    }
    // In time without an end of the server.
    let spans = rest(&received, 3);
    let mut traces: Vec<_> = spans.iter().map(|span| span.trace_id.clone()).collect();
    traces.sort();
    traces.dedup();
    assert_eq!((spans.len(), traces.len()), (3, 3));
    assert!(spans.iter().all(|span| span.parent_span_id.is_empty()));
    // Counted once the collector has answered, which is after it has the spans.
    let exported = "vecstore_trace_spans_total{outcome=\"exported\"} 3\n";
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = ask(server.http, "GET", "/metrics", &Value::Null).text();
        if metrics.contains(exported) {
            return;
        }
        assert!(Instant::now() < deadline, "{metrics}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_collector_that_is_not_there_costs_no_request() {
    let dir = tempfile::tempdir().unwrap();
    // Nobody listens there: the port was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let server = Server::start_with(&dir.path().join("db"), &["--otlp-endpoint", &endpoint]);
    ask(server.http, "PUT", "/v1/collections/docs", &json!({"dim": 2})).success();
    let warned = server.logged("traces could not be exported");
    assert!(warned["to"].as_str().is_some_and(|to| to.contains(&port.to_string())), "{warned}");
    let metrics = ask(server.http, "GET", "/metrics", &Value::Null).text();
    let dropped = "vecstore_trace_spans_total{outcome=\"dropped\"} ";
    assert!(metrics.contains(dropped) && !metrics.contains(&format!("{dropped}0")), "{metrics}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
