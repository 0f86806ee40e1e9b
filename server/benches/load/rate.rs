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
const BATCH: u64 = 32;
/// Queries of a stream that may be unanswered.
const AHEAD: usize = 8;
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
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Single,
    Stream,
    Batch,
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
    let part = time / (ROUNDS * 4 * 2);
    println!("rate: {RECORDS} × {DIM}, k = 10, {CLIENTS} clients, {ROUNDS} rounds in turns");
    for (shown, what) in [(false, "ids only"), (true, "with metadata")] {
        let mut embedded = Rate::default();
        let mut ways = [
            (Way::Single, "gRPC, single", Rate::default()),
            (Way::Stream, "gRPC, streams", Rate::default()),
            (Way::Batch, "gRPC, batches of 32", Rate::default()),
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
                "  {name:<20} {:>8.0} queries/s ({:>3.0} %), processor {:>6.1} µs a query \
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
    let cpu = || (cpu_seconds(server.pid()), cpu_seconds(std::process::id()));
    let before = cpu();
    let started = Instant::now();
    let mut work = JoinSet::new();
    for (client, number) in clients.into_iter().zip(0..) {
        let end = started + time;
        work.spawn(async move {
            match way {
                Way::Single => single(client, number, end, shown).await,
                Way::Stream => stream(client, number, end, shown).await,
                Way::Batch => batches(client, number, end, shown).await,
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

fn one(random: &mut Random, shown: bool) -> proto::QueryRequest {
    let mut one = query(random.next(), false);
    if let Some(options) = &mut one.options {
        options.include = Some(proto::Include { items: Vec::new() }).filter(|_| !shown);
    }
    one
}

async fn single(mut client: Client, number: u64, end: Instant, shown: bool) -> u64 {
    let (mut random, mut queries) = (Random(number), 0);
    while Instant::now() < end {
        client.query(one(&mut random, shown)).await.expect("an answer");
        queries += 1;
    }
    queries
}

async fn stream(mut client: Client, number: u64, end: Instant, shown: bool) -> u64 {
    let (mut random, mut queries) = (Random(number), 0);
    let (requests, receiver) = mpsc::channel(AHEAD);
    for _ in 0..AHEAD {
        requests.send(one(&mut random, shown)).await.expect("room");
    }
    let answers = client.query_stream(ReceiverStream::new(receiver)).await;
    let mut answers = answers.expect("answers").into_inner();
    let mut requests = Some(requests);
    while answers.message().await.expect("an answer").is_some() {
        queries += 1;
        // Those that are unanswered at the end are still counted.
        requests = requests.filter(|_| Instant::now() < end);
        if let Some(requests) = &requests {
            requests.send(one(&mut random, shown)).await.expect("an open stream");
        }
    }
    queries
}

async fn batches(mut client: Client, number: u64, end: Instant, shown: bool) -> u64 {
    let (mut random, mut queries) = (Random(number), 0);
    while Instant::now() < end {
        let one = one(&mut random, shown);
        let vectors = (0..BATCH).map(|_| message(vector(random.next()))).collect();
        let request = proto::QueryBatchRequest {
            collection: one.collection,
            namespace: String::new(),
            vectors,
            options: one.options,
        };
        client.query_batch(request).await.expect("an answer");
        queries += BATCH;
    }
    queries
}
