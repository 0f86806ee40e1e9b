//! Queries a second over gRPC beside those of the library's own batches, in turns.
//!
//! The clients take processor time from the server, which a client on another machine would not. So
//! two things are told: queries a second by the clock, and processor time of the process that answers
//! for each query.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;
use vecstore::{Collection, Database, Include, Metric, Record};

use super::client::{COLLECTION, Client, DIM, Random, connect_many, message, query, vector};
use super::process::Server;
use super::proto;
use super::usage::cpu_seconds;

const RECORDS: u64 = 50_000;
const CLIENTS: usize = 8;
const BATCH: u64 = 32;
const ROUNDS: u32 = 3;

/// What came of one measurement.
#[derive(Clone, Copy, Default)]
struct Rate {
    queries: f64,
    seconds: f64,
    /// Of the process that answers.
    cpu: f64,
}

impl Rate {
    fn add(&mut self, other: Rate) {
        self.queries += other.queries;
        self.seconds += other.seconds;
        self.cpu += other.cpu;
    }

    fn per_second(self) -> f64 {
        self.queries / self.seconds
    }

    fn cpu_us(self) -> f64 {
        1e6 * self.cpu / self.queries
    }
}

pub async fn run(time: Duration) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    fill(&path).expect("a database");
    let part = time / (ROUNDS * 3);
    println!("rate: {RECORDS} × {DIM}, k = 10, {CLIENTS} clients, {ROUNDS} rounds in turns");
    for (shown, what) in [(false, "ids only"), (true, "with metadata")] {
        let (mut embedded, mut single, mut batch) =
            (Rate::default(), Rate::default(), Rate::default());
        for _ in 0..ROUNDS {
            embedded.add(library(&path, part, shown).expect("queries"));
            let server = Server::start(&path);
            let clients = connect_many(server.grpc, CLIENTS).await;
            // The first query of a process measures what distances cost.
            let _ = measure(&server, clients.clone(), part / 10, shown, 1).await;
            single.add(measure(&server, clients.clone(), part, shown, 1).await);
            batch.add(measure(&server, clients, part, shown, BATCH).await);
        }
        println!("{what}:");
        for (name, rate) in [
            ("library, batches", embedded),
            ("gRPC, single", single),
            ("gRPC, batches of 32", batch),
        ] {
            println!(
                "  {name:<20} {:>8.0} queries/s ({:>3.0} %), {:>7.1} µs of the processor a query ({:>3.0} %)",
                rate.per_second(),
                100.0 * rate.per_second() / embedded.per_second(),
                rate.cpu_us(),
                100.0 * embedded.cpu_us() / rate.cpu_us(),
            );
        }
    }
}

fn fill(path: &Path) -> vecstore::Result<()> {
    let db = Database::open(path)?;
    let docs = db.create_collection(COLLECTION, Collection::options(DIM, Metric::Cosine))?;
    for first in (0..RECORDS).step_by(5_000) {
        let record = |n: u64| Record::new(n, vector(n)).metadata(json!({"n": n, "group": n % 16}));
        docs.batch_upsert((first..first + 5_000).map(record).collect::<Vec<_>>())?;
    }
    docs.optimize()?;
    db.close()
}

fn library(path: &Path, time: Duration, shown: bool) -> vecstore::Result<Rate> {
    let db = Database::open(path)?;
    let docs = db.collection(COLLECTION)?;
    let include = if shown { Include::default() } else { Include::NOTHING };
    let mut random = Random(5);
    let vectors: Vec<f32> = (0..1_000).flat_map(|_| vector(random.next())).collect();
    let ask = || docs.query_batch(&vectors, |query| query.k(10).include(include.clone()));
    ask()?;
    let (started, before) = (Instant::now(), cpu_seconds(std::process::id()));
    let mut queries = 0;
    while started.elapsed() < time {
        queries += ask()?.len();
    }
    let cpu = cpu_seconds(std::process::id()) - before;
    let rate = Rate { queries: queries as f64, seconds: started.elapsed().as_secs_f64(), cpu };
    db.close()?;
    Ok(rate)
}

async fn measure(
    server: &Server,
    clients: Vec<Client>,
    time: Duration,
    shown: bool,
    batch: u64,
) -> Rate {
    let before = cpu_seconds(server.pid());
    let started = Instant::now();
    let mut work = JoinSet::new();
    for (mut client, number) in clients.into_iter().zip(0..) {
        work.spawn(async move {
            let (mut random, mut queries) = (Random(number), 0);
            while started.elapsed() < time {
                let mut one = query(random.next(), false);
                let include = Some(proto::Include { items: Vec::new() }).filter(|_| !shown);
                if let Some(options) = &mut one.options {
                    options.include = include;
                }
                if batch == 1 {
                    client.query(one).await.expect("an answer");
                } else {
                    let vectors = (0..batch).map(|_| message(vector(random.next()))).collect();
                    let request = proto::QueryBatchRequest {
                        collection: one.collection,
                        namespace: String::new(),
                        vectors,
                        options: one.options,
                    };
                    client.query_batch(request).await.expect("an answer");
                }
                queries += batch;
            }
            queries
        });
    }
    let mut queries = 0;
    while let Some(one) = work.join_next().await {
        queries += one.unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    Rate { queries: queries as f64, seconds, cpu: cpu_seconds(server.pid()) - before }
}
