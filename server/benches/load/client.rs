//! Clients, their data, and what became of their requests.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::proto::{self, vec_store_client::VecStoreClient};

pub const DIM: usize = 128;
pub const COLLECTION: &str = "docs";
/// Records a write brings.
pub const BATCH: u64 = 10;

pub type Client = VecStoreClient<Channel>;

/// A connection of its own.
pub async fn connect(to: SocketAddr) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{to}")).unwrap().tcp_nodelay(true);
    VecStoreClient::new(endpoint.connect().await.expect("a connection"))
}

pub async fn connect_many(to: SocketAddr, count: usize) -> Vec<Client> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(connect(to).await);
    }
    clients
}

/// Well-mixed numbers (Steele, Lea and Flood 2014, splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32 - 0.5
    }
}

/// A vector near one of 400 places; the same one for the same number.
pub fn vector(number: u64) -> Vec<f32> {
    let (mut place, mut own) = (Random(number % 400), Random(number << 20));
    (0..DIM).map(|_| place.unit() + 0.5 * own.unit()).collect()
}

pub fn message(values: Vec<f32>) -> proto::Vector {
    proto::Vector { values, raw: Vec::new() }
}

pub fn id(number: u64) -> proto::RecordId {
    proto::RecordId { id: Some(proto::record_id::Id::Number(number)) }
}

pub fn record(number: u64) -> proto::Record {
    let integer = |n: u64| proto::Value { kind: Some(proto::value::Kind::Integer(n as i64)) };
    let fields = [("n", number), ("group", number % 16)];
    let fields = fields.into_iter().map(|(name, n)| (name.to_owned(), integer(n))).collect();
    proto::Record {
        id: Some(id(number)),
        vector: Some(message(vector(number))),
        metadata: Some(proto::Object { fields }),
    }
}

pub fn upsert(ids: impl Iterator<Item = u64>) -> proto::UpsertRequest {
    proto::UpsertRequest {
        collection: COLLECTION.to_owned(),
        namespace: String::new(),
        records: ids.map(record).collect(),
    }
}

pub fn query(number: u64, exact: bool) -> proto::QueryRequest {
    proto::QueryRequest {
        collection: COLLECTION.to_owned(),
        vector: Some(message(vector(number))),
        options: Some(proto::SearchOptions {
            k: Some(10),
            exact: exact.then_some(true),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A collection with the records `0..records`, in one segment.
pub async fn fill(client: &mut Client, records: u64) {
    let create = proto::CreateCollectionRequest {
        name: COLLECTION.to_owned(),
        dim: DIM as u32,
        ..Default::default()
    };
    client.create_collection(create).await.expect("a collection");
    for first in (0..records).step_by(1_000) {
        client.upsert(upsert(first..(first + 1_000).min(records))).await.expect("a write");
    }
    let begin = proto::OptimizeRequest { collection: COLLECTION.to_owned() };
    let id = client.optimize(begin).await.expect("a task").into_inner().id;
    loop {
        let task = client.get_task(proto::GetTaskRequest { id }).await.unwrap().into_inner();
        match task.state.as_str() {
            "running" => tokio::time::sleep(Duration::from_millis(50)).await,
            "done" => return,
            other => panic!("optimize {other}: {:?}", task.error),
        }
    }
}

/// What became of requests of one kind.
#[derive(Default)]
pub struct Outcomes {
    /// Times of those that succeeded, in microseconds.
    times_us: Vec<u32>,
    failed: BTreeMap<String, u64>,
}

impl Outcomes {
    pub fn note<T>(&mut self, started: Instant, answer: &Result<T, Status>) {
        match answer {
            Ok(_) => self.times_us.push(started.elapsed().as_micros() as u32),
            Err(status) => {
                let hint = match status.code() {
                    Code::ResourceExhausted if status.metadata().contains_key("retry-after") => {
                        " with a time to come back"
                    }
                    Code::ResourceExhausted => " without a time to come back",
                    _ => "",
                };
                *self.failed.entry(format!("{:?}{hint}", status.code())).or_default() += 1;
            }
        }
    }

    pub fn add(&mut self, other: Outcomes) {
        self.times_us.extend(other.times_us);
        for (code, count) in other.failed {
            *self.failed.entry(code).or_default() += count;
        }
    }

    pub fn done(&self) -> usize {
        self.times_us.len()
    }

    /// Prints a line.
    pub fn print(mut self, what: &str, time: Duration) {
        self.times_us.sort_unstable();
        let at = |share: f64| {
            let last = self.times_us.len().saturating_sub(1);
            let us = self.times_us.get((last as f64 * share) as usize).copied().unwrap_or(0);
            f64::from(us) / 1e3
        };
        let rate = self.done() as f64 / time.as_secs_f64();
        println!(
            "{what}: {} answered, {rate:.0}/s, p50 {:.2} ms, p99 {:.2}, p99.9 {:.2}, longest {:.2}; \
             failed: {:?}",
            self.done(),
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0),
            self.failed
        );
    }
}
