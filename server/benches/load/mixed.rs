//! Many clients that query and write durably, for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::client::{BATCH, Client, Outcomes, Random, connect, connect_many, fill, query, upsert};
use super::process::Server;
use super::usage::memory_mib;

/// Written over and over, so that memory has no reason to grow.
const RECORDS: u64 = 20_000;
/// Lines about memory.
const LINES: u32 = 20;

pub async fn run(time: Duration, clients: usize) {
    println!("mixed: {clients} clients for {} s, {RECORDS} records", time.as_secs());
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("db"));
    fill(&mut connect(server.grpc).await, RECORDS).await;

    let done = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + time;
    let work: Vec<_> = connect_many(server.grpc, clients)
        .await
        .into_iter()
        .zip(0..)
        .map(|(client, number)| tokio::spawn(one(client, number, end, Arc::clone(&done))))
        .collect();
    println!("  s | requests/s | memory written MiB | with mapped files MiB");
    let (mut before, mut peaks) = (0, Vec::new());
    for line in 1..=LINES {
        tokio::time::sleep_until((end - time / LINES * (LINES - line)).into()).await;
        let (written, all) = memory_mib(server.pid());
        let now = done.load(Ordering::Relaxed);
        let rate = (now - before) as f64 / (time / LINES).as_secs_f64();
        println!(
            "{:>4.0} | {rate:>10.0} | {written:>18.1} | {all:>10.1}",
            (time / LINES * line).as_secs_f64()
        );
        before = now;
        peaks.push(written);
    }
    let (mut reads, mut writes) = (Outcomes::default(), Outcomes::default());
    for client in work {
        let (read, written) = client.await.unwrap();
        reads.add(read);
        writes.add(written);
    }
    reads.print("queries", time);
    writes.print("durable writes of 10 records", time);
    let most = |lines: &[f64]| lines.iter().copied().fold(0.0, f64::max);
    let (first, second) = peaks.split_at(peaks.len() / 2);
    println!(
        "memory written at most: first half {:.1} MiB, second half {:.1} MiB",
        most(first),
        most(second)
    );
}

/// One client until the end: its queries and its writes.
pub async fn one(
    mut client: Client,
    number: u64,
    end: Instant,
    done: Arc<AtomicU64>,
) -> (Outcomes, Outcomes) {
    let (mut reads, mut writes) = (Outcomes::default(), Outcomes::default());
    let mut random = Random(number);
    while Instant::now() < end {
        let first = random.next() % RECORDS;
        let started = Instant::now();
        if random.next().is_multiple_of(5) {
            let ids = (first..first + BATCH).map(|id| id % RECORDS);
            writes.note(started, &client.upsert(upsert(ids)).await);
        } else {
            reads.note(started, &client.query(query(random.next(), false)).await);
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    (reads, writes)
}
