//! Queries a second over gRPC beside those of the library's own batches, in turns.
//!
//! The clients take processor time from the server, which a client on another machine would not. So
//! told are queries a second by the clock, all of it on the same cores, and for each query the
//! processor time of the process that answers and of the clients. "Of the library" compares the two
//! that answer: what the server has left for queries if its clients are elsewhere.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use vecstore::{Collection, Database, Include, Metric, Record};

use super::client::{COLLECTION, Client, DIM, Random, connect_many, message, query, vector};
use super::process::Server;
use super::proto;
use super::usage::cpu_seconds;

const RECORDS: u64 = 50_000;
const CLIENTS: usize = 8;
/// Vectors that a client asks for, again and again; made beforehand, as those of the library are.
const VECTORS: u64 = 1_000;
const ROUNDS: u32 = 3;

/// What came of one measurement.
#[derive(Clone, Copy, Default)]
struct Rate {
    queries: f64,
    seconds: f64,
    /// Of the process that answers.
    cpu: f64,
    /// Of the clients.
    clients: f64,
}

/// How a client asks.
#[derive(Clone, Copy)]
enum Way {
    Single,
    /// So many may be unanswered.
    Stream(usize),
    /// So many at once.
    Batch(usize),
}

impl Rate {
    fn add(&mut self, other: Rate) {
        self.queries += other.queries;
        self.seconds += other.seconds;
        self.cpu += other.cpu;
        self.clients += other.clients;
    }

    fn per_second(self) -> f64 {
        self.queries / self.seconds
    }

    fn cpu_us(self) -> f64 {
        1e6 * self.cpu / self.queries
    }

    fn clients_us(self) -> f64 {
        1e6 * self.clients / self.queries
    }
}

pub async fn run(time: Duration) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    fill(&path).expect("a database");
    let part = time / (ROUNDS * 6 * 2);
    println!("rate: {RECORDS} × {DIM}, k = 10, {CLIENTS} clients, {ROUNDS} rounds in turns");
    for (shown, what) in [(false, "ids only"), (true, "with metadata")] {
        let mut embedded = Rate::default();
        let mut ways = [
            (Way::Single, "gRPC, single", Rate::default()),
            (Way::Stream(8), "gRPC, streams, 8 ahead", Rate::default()),
            (Way::Stream(64), "gRPC, streams, 64 ahead", Rate::default()),
            (Way::Batch(32), "gRPC, batches of 32", Rate::default()),
            (Way::Batch(256), "gRPC, batches of 256", Rate::default()),
        ];
        for _ in 0..ROUNDS {
            embedded.add(library(&path, part, shown).expect("queries"));
            let server = Server::start(&path);
            let clients = connect_many(server.grpc, CLIENTS).await;
            // The first query of a process measures what distances cost.
            let _ = measure(&server, clients.clone(), part / 10, shown, Way::Single).await;
            for (way, _, rate) in &mut ways {
                rate.add(measure(&server, clients.clone(), part, shown, *way).await);
            }
        }
        println!("{what}:");
        let of_library = |rate: Rate| 100.0 * embedded.cpu_us() / rate.cpu_us();
        let all = [("library, batches", embedded)].into_iter();
        for (name, rate) in all.chain(ways.map(|(_, name, rate)| (name, rate))) {
            println!(
                "  {name:<23} {:>8.0} queries/s ({:>3.0} %), processor {:>6.1} µs a query \
                 ({:>3.0} % of the library), clients {:>6.1} µs",
                rate.per_second(),
                100.0 * rate.per_second() / embedded.per_second(),
                rate.cpu_us(),
                of_library(rate),
                rate.clients_us(),
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
    let vectors = vectors(5).concat();
    let ask = || docs.query_batch(&vectors, |query| query.k(10).include(include.clone()));
    ask()?;
    let (started, before) = (Instant::now(), cpu_seconds(std::process::id()));
    let mut queries = 0;
    while started.elapsed() < time {
        queries += ask()?.len();
    }
    let cpu = cpu_seconds(std::process::id()) - before;
    let seconds = started.elapsed().as_secs_f64();
    let rate = Rate { queries: queries as f64, seconds, cpu, clients: 0.0 };
    db.close()?;
    Ok(rate)
}

async fn measure(
    server: &Server,
    clients: Vec<Client>,
    time: Duration,
    shown: bool,
    way: Way,
) -> Rate {
    let asking: Vec<_> =
        clients.into_iter().zip(0..).map(|(client, n)| (client, Asking::new(n, shown))).collect();
    let cpu = || (cpu_seconds(server.pid()), cpu_seconds(std::process::id()));
    let before = cpu();
    let started = Instant::now();
    let mut work = JoinSet::new();
    for (client, asking) in asking {
        let end = started + time;
        work.spawn(async move {
            match way {
                Way::Single => single(client, asking, end).await,
                Way::Stream(ahead) => stream(client, asking, end, ahead).await,
                Way::Batch(size) => batches(client, asking, end, size).await,
            }
        });
    }
    let mut queries = 0;
    while let Some(one) = work.join_next().await {
        queries += one.unwrap();
    }
    let (seconds, after) = (started.elapsed().as_secs_f64(), cpu());
    let (cpu, clients) = (after.0 - before.0, after.1 - before.1);
    Rate { queries: queries as f64, seconds, cpu, clients }
}

fn vectors(seed: u64) -> Vec<Vec<f32>> {
    let mut random = Random(seed);
    (0..VECTORS).map(|_| vector(random.next())).collect()
}

/// What a client asks.
struct Asking {
    vectors: Vec<Vec<f32>>,
    next: usize,
    like: proto::QueryRequest,
}

impl Asking {
    fn new(seed: u64, shown: bool) -> Self {
        let mut like = query(0, false);
        like.vector = None;
        if let Some(options) = &mut like.options {
            options.include = Some(proto::Include { items: Vec::new() }).filter(|_| !shown);
        }
        Asking { vectors: vectors(seed), next: 0, like }
    }

    fn vector(&mut self) -> proto::Vector {
        self.next = (self.next + 1) % self.vectors.len();
        message(self.vectors[self.next].clone())
    }

    fn one(&mut self) -> proto::QueryRequest {
        let vector = Some(self.vector());
        proto::QueryRequest { vector, ..self.like.clone() }
    }

    fn batch(&mut self, size: usize) -> proto::QueryBatchRequest {
        proto::QueryBatchRequest {
            collection: self.like.collection.clone(),
            namespace: String::new(),
            vectors: (0..size).map(|_| self.vector()).collect(),
            options: self.like.options.clone(),
        }
    }
}

async fn single(mut client: Client, mut asking: Asking, end: Instant) -> u64 {
    let mut queries = 0;
    while Instant::now() < end {
        client.query(asking.one()).await.expect("an answer");
        queries += 1;
    }
    queries
}

async fn stream(mut client: Client, mut asking: Asking, end: Instant, ahead: usize) -> u64 {
    let mut queries = 0;
    let (requests, receiver) = mpsc::channel(ahead);
    for _ in 0..ahead {
        requests.send(asking.one()).await.expect("room");
    }
    let answers = client.query_stream(ReceiverStream::new(receiver)).await;
    let mut answers = answers.expect("answers").into_inner();
    let mut requests = Some(requests);
    while answers.message().await.expect("an answer").is_some() {
        queries += 1;
        // Those that are unanswered at the end are still counted.
        requests = requests.filter(|_| Instant::now() < end);
        if let Some(requests) = &requests {
            requests.send(asking.one()).await.expect("an open stream");
        }
    }
    queries
}

async fn batches(mut client: Client, mut asking: Asking, end: Instant, size: usize) -> u64 {
    let mut queries = 0;
    while Instant::now() < end {
        client.query_batch(asking.batch(size)).await.expect("an answer");
        queries += size as u64;
    }
    queries
}
