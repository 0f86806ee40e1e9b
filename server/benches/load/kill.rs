//! The server is killed under load; what it acknowledged must be there.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::client::{BATCH, COLLECTION, connect, connect_many, fill, id, query, upsert, vector};
use super::process::Server;
use super::proto;

const ROUNDS: u32 = 4;

pub async fn run(time: Duration, clients: usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let acknowledged: Arc<Mutex<BTreeSet<u64>>> = Arc::default();
    let next = Arc::new(AtomicU64::new(0));
    let flags = ["--memtable-bytes-max", "4194304"];
    for round in 0..ROUNDS {
        let mut server = Server::start_with(&path, &flags);
        if round == 0 {
            fill(&mut connect(server.grpc).await, 0).await;
        }
        let mut work = Vec::new();
        for (mut client, number) in connect_many(server.grpc, clients).await.into_iter().zip(0u64..)
        {
            let (acknowledged, next) = (Arc::clone(&acknowledged), Arc::clone(&next));
            work.push(tokio::spawn(async move {
                loop {
                    let first = next.fetch_add(BATCH, Ordering::Relaxed);
                    let answer = client.upsert(upsert(first..first + BATCH)).await;
                    if answer.is_err() {
                        return;
                    }
                    acknowledged.lock().unwrap().extend(first..first + BATCH);
                    let _ = client.query(query(number, false)).await;
                }
            }));
        }
        tokio::time::sleep(time / ROUNDS + Duration::from_millis(37 * u64::from(round))).await;
        server.signal("-KILL");
        server.wait();
        for client in work {
            client.await.unwrap();
        }
        let server = Server::start_with(&path, &flags);
        let ids: Vec<u64> = acknowledged.lock().unwrap().iter().copied().collect();
        let missing = missing(&server, &ids).await;
        println!("kill {}: {} records acknowledged, {missing} lost", round + 1, ids.len());
        assert_eq!(missing, 0);
    }
}

/// How many of the records are not there as they were written.
async fn missing(server: &Server, ids: &[u64]) -> usize {
    let mut client = connect(server.grpc).await;
    let mut missing = 0;
    for some in ids.chunks(1_000) {
        let get = proto::GetRequest {
            collection: COLLECTION.to_owned(),
            namespace: String::new(),
            ids: some.iter().map(|&number| id(number)).collect(),
            include: Some(proto::Include { items: vec!["vector".to_owned()] }),
        };
        let got = client.get(get).await.expect("an answer").into_inner().records;
        let is_there = |(place, &number): (&proto::MaybeRecord, &u64)| {
            place.record.as_ref().is_some_and(|record| record.vector == vector(number))
        };
        missing += got.iter().zip(some).filter(|&pair| !is_there(pair)).count();
    }
    missing
}
