//! What gRPC has beyond the table: streams, health, reflection.

use serde_json::{Value, json};
use tokio_stream::StreamExt;
use vecstore::ErrorKind;

use super::faces::{
    Face, Grpc, answer_json, kind_and_field, page_json, query_message, record_message,
};
use super::process::Server;
use super::proto;

fn with_docs() -> (tempfile::TempDir, Server, Grpc) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("db"));
    let grpc = Grpc::connect(server.grpc);
    grpc.ask("create", "docs", &json!({"dim": 3, "metric": "dot"})).unwrap();
    (dir, server, grpc)
}

fn upsert(ids: std::ops::Range<u64>) -> proto::UpsertRequest {
    let record = |id: u64| {
        record_message(&json!({"id": id, "vector": [1.0, id as f32, 0.5], "metadata": {"n": id}}))
    };
    proto::UpsertRequest {
        collection: "docs".to_owned(),
        namespace: String::new(),
        records: ids.map(record).collect(),
    }
}

#[test]
fn upserts_queries_and_pages_stream() {
    let (_dir, _server, grpc) = with_docs();
    let mut client = grpc.client.clone();
    grpc.wait(async {
        let batches: Vec<_> = (0..10u64).map(|part| upsert(part * 100..(part + 1) * 100)).collect();
        let answers = client.upsert_stream(tokio_stream::iter(batches)).await.unwrap();
        let answers: Vec<_> = answers.into_inner().collect().await;
        let seqs: Vec<u64> = answers.iter().map(|a| a.as_ref().unwrap().seq).collect();
        assert_eq!(seqs.len(), 10);
        assert!(seqs.is_sorted());
        assert!(answers.iter().all(|a| a.as_ref().unwrap().records == 100));

        let near = |n: f32, k: u32| {
            query_message("docs", &json!({"vector": [0.0, n, 0.0], "k": k, "include": []}))
        };
        let answers = client
            .query_stream(tokio_stream::iter(vec![near(1.0, 1), near(-1.0, 2), near(1.0, 3)]))
            .await
            .unwrap();
        let answers: Vec<_> =
            answers.into_inner().map(|a| answer_json(&a.unwrap())).collect().await;
        let ids = |answer: &Value| -> Vec<Value> {
            answer["hits"].as_array().unwrap().iter().map(|hit| hit["id"].clone()).collect()
        };
        assert_eq!(ids(&answers[0]), [json!(999)]);
        assert_eq!(ids(&answers[1]), [json!(0), json!(1)]);
        assert_eq!(ids(&answers[2]), [json!(999), json!(998), json!(997)]);

        let request = proto::ScrollRequest {
            collection: "docs".to_owned(),
            limit: Some(300),
            include: Some(proto::Include::default()),
            ..Default::default()
        };
        let pages = client.scroll_stream(request).await.unwrap();
        let pages: Vec<_> = pages.into_inner().map(|p| page_json(&p.unwrap())).collect().await;
        let sizes: Vec<usize> =
            pages.iter().map(|p| p["records"].as_array().unwrap().len()).collect();
        assert_eq!(sizes, [300, 300, 300, 100]);
        assert_eq!(pages[3]["records"][99], json!({"id": 999}));
    });
}

#[test]
fn a_stream_ends_at_the_first_failure_and_keeps_what_was_answered() {
    let (_dir, _server, grpc) = with_docs();
    let mut client = grpc.client.clone();
    grpc.wait(async {
        let mut wrong = upsert(1..2);
        wrong.records[0].vector = Some(proto::Vector { values: vec![1.0], raw: vec![0; 4] });
        let batches = vec![upsert(0..10), wrong, upsert(20..30)];
        let answers = client.upsert_stream(tokio_stream::iter(batches)).await.unwrap();
        let answers: Vec<_> = answers.into_inner().collect().await;
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[0].as_ref().unwrap().records, 10);
        let status = answers[1].as_ref().unwrap_err();
        let kind = ErrorKind::InvalidArgument.name().to_owned();
        assert_eq!(kind_and_field(status), (kind, Some("vector".to_owned())));
    });
    assert_eq!(grpc.ask("count", "docs", &json!({})).unwrap(), json!({"count": 10}));
    let mut client = grpc.client.clone();
    let request = proto::ScrollRequest { collection: "none".to_owned(), ..Default::default() };
    let status = grpc.wait(client.scroll_stream(request)).unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
}

#[test]
fn queries_that_wait_together_are_answered_in_order_as_far_as_the_first_failure() {
    let dir = tempfile::tempdir().unwrap();
    // In one turn they still use a namespace one after the other.
    let flags = ["--namespace-concurrent-max", "1"];
    let server = Server::start_with(&dir.path().join("db"), &flags);
    let grpc = Grpc::connect(server.grpc);
    grpc.ask("create", "docs", &json!({"dim": 3, "metric": "euclidean"})).unwrap();
    let mut client = grpc.client.clone();
    let near =
        |id: u64| query_message("docs", &json!({"vector": [1.0, id, 0.5], "k": 1, "include": []}));
    let ask = |queries: Vec<proto::QueryRequest>| {
        let mut client = grpc.client.clone();
        grpc.wait(async move {
            let answers = client.query_stream(tokio_stream::iter(queries)).await.unwrap();
            answers.into_inner().collect::<Vec<_>>().await
        })
    };
    grpc.wait(client.upsert(upsert(0..500))).unwrap();
    let answers = ask((0..500).map(near).collect());
    assert_eq!(answers.len(), 500);
    for (id, answer) in answers.iter().enumerate() {
        assert_eq!(answer_json(answer.as_ref().unwrap())["hits"][0]["id"], json!(id));
    }
    // What can't be read, and what the engine refuses.
    let unread = proto::QueryRequest { vector: Some(proto::Vector::default()), ..near(0) };
    let unread =
        proto::QueryRequest { like: Some(proto::RecordId { id: None }), vector: None, ..unread };
    let refused = proto::QueryRequest { collection: "none".to_owned(), ..near(0) };
    for (wrong, kind) in [(unread, ErrorKind::InvalidArgument), (refused, ErrorKind::NotFound)] {
        for at in [0usize, 1, 37, 99] {
            let mut queries: Vec<_> = (0..100).map(near).collect();
            queries[at] = wrong.clone();
            // A later one that fails too is not reached.
            queries.push(proto::QueryRequest { explain: true, options: None, ..wrong.clone() });
            let answers = ask(queries);
            assert_eq!(answers.len(), at + 1, "{kind:?} at {at}");
            for (id, answer) in answers[..at].iter().enumerate() {
                assert_eq!(answer_json(answer.as_ref().unwrap())["hits"][0]["id"], json!(id));
            }
            let status = answers[at].as_ref().unwrap_err();
            assert_eq!(kind_and_field(status).0, kind.name());
        }
    }
}

#[test]
fn plans_tasks_and_numbers_come_over_grpc() {
    let (_dir, _server, grpc) = with_docs();
    let mut client = grpc.client.clone();
    grpc.wait(async {
        client.upsert(upsert(0..50)).await.unwrap();
        let message = query_message("docs", &json!({"like": 7, "k": 3, "explain": true}));
        let answer = client.query(message).await.unwrap().into_inner();
        assert_eq!(answer.hits.len(), 3);
        let plan = answer.plan.unwrap();
        let json: Value = serde_json::from_str(&plan.json).unwrap();
        assert_eq!(json["k"], 4);
        assert!(!plan.text.is_empty());

        let batch = proto::QueryBatchRequest {
            collection: "docs".to_owned(),
            vectors: vec![super::faces::vector_message(vec![0.0, 1.0, 0.0]); 3],
            ..Default::default()
        };
        let answers = client.query_batch(batch).await.unwrap().into_inner();
        assert_eq!(answers.results.len(), 3);
        assert_eq!(answers.results[0].hits.len(), 10);

        let optimize = proto::OptimizeRequest { collection: "docs".to_owned() };
        let mut task = client.optimize(optimize).await.unwrap().into_inner();
        while task.state == "running" {
            task =
                client.get_task(proto::GetTaskRequest { id: task.id }).await.unwrap().into_inner();
        }
        assert_eq!(task.state, "done", "{task:?}");
        let report: Value = serde_json::from_str(&task.report.unwrap()).unwrap();
        assert_eq!(report["segments_after"], 1);
        let tasks = client.list_tasks(proto::ListTasksRequest {}).await.unwrap().into_inner();
        assert_eq!(tasks.tasks.len(), 1);
        let stats = client.stats(proto::StatsRequest::default()).await.unwrap().into_inner();
        let stats: Value = serde_json::from_str(&stats.json).unwrap();
        assert_eq!(stats["collections"][0]["records"], 50);
    });
}

#[test]
fn health_and_reflection_answer() {
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let (_dir, server, grpc) = with_docs();
    grpc.wait(async {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", server.grpc));
        let channel = endpoint.unwrap().connect().await.unwrap();
        let mut health = HealthClient::new(channel.clone());
        let service = "vecstore.v1.VecStore".to_owned();
        let mut status = ServingStatus::Unknown;
        // The first note of the health service may be a moment away.
        for _ in 0..1_000 {
            let request = HealthCheckRequest { service: service.clone() };
            if let Ok(answer) = health.check(request).await {
                status = answer.into_inner().status();
            }
            if status == ServingStatus::Serving {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(status, ServingStatus::Serving);

        let ask = |message| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(message),
        };
        let requests = vec![
            ask(MessageRequest::ListServices(String::new())),
            ask(MessageRequest::FileContainingSymbol(service.clone())),
        ];
        let mut reflection = ServerReflectionClient::new(channel);
        let answers =
            reflection.server_reflection_info(tokio_stream::iter(requests)).await.unwrap();
        let answers: Vec<_> = answers.into_inner().map(|a| a.unwrap()).collect().await;
        let Some(MessageResponse::ListServicesResponse(list)) = &answers[0].message_response else {
            panic!("{:?}", answers[0]);
        };
        assert!(list.service.iter().any(|s| s.name == service));
        let Some(MessageResponse::FileDescriptorResponse(file)) = &answers[1].message_response
        else {
            panic!("{:?}", answers[1]);
        };
        assert!(!file.file_descriptor_proto.is_empty());
    });
}
