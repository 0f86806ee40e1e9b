//! Four times as many requests as can be answered.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::client::{Client, Outcomes, Random, connect, connect_many, fill, query};
use super::process::Server;
use super::usage::cpu_seconds;

const RECORDS: u64 = 40_000;
const TIMES: f64 = 4.0;
/// An answer that comes later does not count.
const DEADLINE: Duration = Duration::from_secs(2);

pub async fn run(time: Duration, clients: usize) {
    println!("overload: exact queries over {RECORDS} records");
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("db"));
    fill(&mut connect(server.grpc).await, RECORDS).await;
    let connections = connect_many(server.grpc, clients).await;

    let end = Instant::now() + time;
    let mut closed = JoinSet::new();
    for (mut client, number) in connections.clone().into_iter().zip(0..) {
        closed.spawn(async move {
            let (mut outcomes, mut random) = (Outcomes::default(), Random(number));
            while Instant::now() < end {
                ask(&mut client, random.next(), &mut outcomes).await;
            }
            outcomes
        });
    }
    let peak = sum(closed).await;
    let peak_rate = peak.done() as f64 / time.as_secs_f64();
    peak.print(&format!("{clients} clients, each waits for its answer"), time);

    // Requests come at their times, whether or not others are answered.
    let interval = Duration::from_secs_f64(1.0 / (TIMES * peak_rate.max(1.0)));
    let cpu = || (cpu_seconds(server.pid()), cpu_seconds(std::process::id()));
    let before = cpu();
    let (started, mut number) = (Instant::now(), 0u32);
    let mut open = JoinSet::new();
    while started.elapsed() < time {
        tokio::time::sleep_until((started + interval * number).into()).await;
        let mut client = connections[number as usize % connections.len()].clone();
        open.spawn(async move {
            let mut outcomes = Outcomes::default();
            ask(&mut client, u64::from(number), &mut outcomes).await;
            outcomes
        });
        number += 1;
    }
    let sent = f64::from(number) / started.elapsed().as_secs_f64();
    let whole = started.elapsed();
    let good = sum(open).await;
    let good_rate = good.done() as f64 / whole.as_secs_f64();
    good.print(&format!("{sent:.0} requests/s, {:.1} times the peak", sent / peak_rate), whole);
    println!("goodput: {:.0} % of the peak", 100.0 * good_rate / peak_rate);
    // The clients' part is taken from the server only because they are on the same cores.
    let (after, seconds) = (cpu(), whole.as_secs_f64());
    println!(
        "cores used meanwhile: {:.2} by the server, {:.2} by the clients",
        (after.0 - before.0) / seconds,
        (after.1 - before.1) / seconds
    );
}

async fn ask(client: &mut Client, number: u64, outcomes: &mut Outcomes) {
    let mut request = tonic::Request::new(query(number, true));
    request.set_timeout(DEADLINE);
    let started = Instant::now();
    outcomes.note(started, &client.query(request).await);
}

async fn sum(mut all: JoinSet<Outcomes>) -> Outcomes {
    let mut outcomes = Outcomes::default();
    while let Some(one) = all.join_next().await {
        outcomes.add(one.unwrap());
    }
    outcomes
}
