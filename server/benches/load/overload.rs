//! Four times as many requests as can be answered.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::client::{Outcomes, Random, connect, fill, query};
use super::light::LightClient;
use super::process::Server;
use super::usage::cpu_seconds;

const RECORDS: u64 = 40_000;
const TIMES: f64 = 4.0;
/// An answer that comes later does not count.
const DEADLINE: Duration = Duration::from_secs(2);
/// The two loads take turns, as the speed of a machine that others use changes from one second to
/// the next.
const ROUNDS: u32 = 9;

pub async fn run(time: Duration, clients: usize) {
    println!("overload: exact queries over {RECORDS} records");
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("db"));
    fill(&mut connect(server.grpc).await, RECORDS).await;
    let mut connections = Vec::with_capacity(clients);
    for _ in 0..clients {
        connections.push(LightClient::connect(server.grpc).await);
    }

    let time = time / ROUNDS;
    let (mut peak, mut good) = (Outcomes::default(), Outcomes::default());
    let (mut sent, mut shares) = (0, Vec::new());
    let (mut cpu, mut busy) = ((0.0, 0.0), Duration::ZERO);
    for _ in 0..ROUNDS {
        let at_most = each_waits(&connections, time).await;
        let peak_rate = at_most.done() as f64 / time.as_secs_f64();
        peak.add(at_most);

        let used = || (cpu_seconds(server.pid()), cpu_seconds(std::process::id()));
        let (before, started) = (used(), Instant::now());
        let overloaded = at_a_rate(&connections, TIMES * peak_rate.max(1.0), time).await;
        let after = used();
        cpu = (cpu.0 + after.0 - before.0, cpu.1 + after.1 - before.1);
        busy += started.elapsed();
        sent += overloaded.sent;
        shares.push(overloaded.in_time as f64 / time.as_secs_f64() / peak_rate);
        good.add(overloaded.outcomes);
    }
    let all = time * ROUNDS;
    peak.print(&format!("{clients} clients, each waits for its answer"), all);
    let rate = f64::from(sent) / all.as_secs_f64();
    good.print(&format!("{rate:.0} requests/s, with those that waited at the end"), all);
    shares.sort_by(f64::total_cmp);
    let percent: Vec<String> = shares.iter().map(|share| format!("{:.0}", 100.0 * share)).collect();
    println!(
        "goodput: {} % of the peak of the same round, the median of {}",
        percent[percent.len() / 2],
        percent.join(", ")
    );
    // The clients' part is taken from the server only because they are on the same cores.
    println!(
        "cores used meanwhile: {:.2} by the server, {:.2} by the clients",
        cpu.0 / busy.as_secs_f64(),
        cpu.1 / busy.as_secs_f64()
    );
}

/// As many answers as can be had.
async fn each_waits(connections: &[LightClient], time: Duration) -> Outcomes {
    let end = Instant::now() + time;
    let mut clients = JoinSet::new();
    for (mut client, number) in connections.iter().cloned().zip(0..) {
        clients.spawn(async move {
            let (mut outcomes, mut random) = (Outcomes::default(), Random(number));
            while Instant::now() < end {
                ask(&mut client, random.next(), &mut outcomes).await;
            }
            outcomes
        });
    }
    sum(clients).await
}

/// What became of requests that came at their times, whether or not others were answered.
struct Overloaded {
    sent: u32,
    /// Answered while requests still came. Those that wait at the end are answered without load.
    in_time: usize,
    outcomes: Outcomes,
}

async fn at_a_rate(connections: &[LightClient], per_second: f64, time: Duration) -> Overloaded {
    let interval = Duration::from_secs_f64(1.0 / per_second);
    let started = Instant::now();
    let mut requests = JoinSet::new();
    let mut sent = 0u32;
    while started.elapsed() < time {
        tokio::time::sleep_until((started + interval * sent).into()).await;
        let mut client = connections[sent as usize % connections.len()].clone();
        requests.spawn(async move {
            let mut outcomes = Outcomes::default();
            ask(&mut client, u64::from(sent), &mut outcomes).await;
            (outcomes, started.elapsed() <= time)
        });
        sent += 1;
    }
    let mut overloaded = Overloaded { sent, in_time: 0, outcomes: Outcomes::default() };
    while let Some(one) = requests.join_next().await {
        let (outcomes, in_time) = one.unwrap();
        overloaded.in_time += if in_time { outcomes.done() } else { 0 };
        overloaded.outcomes.add(outcomes);
    }
    overloaded
}

async fn ask(client: &mut LightClient, number: u64, outcomes: &mut Outcomes) {
    let started = Instant::now();
    outcomes.note(started, &client.query(&query(number, true), DEADLINE).await);
}

async fn sum(mut all: JoinSet<Outcomes>) -> Outcomes {
    let mut outcomes = Outcomes::default();
    while let Some(one) = all.join_next().await {
        outcomes.add(one.unwrap());
    }
    outcomes
}
