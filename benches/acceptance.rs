//! What a database that was filled by `vecstore import` does on the whole WordNet set.
//!
//! ```text
//! vecstore import DB docs DATA/base.f16.npy --records DATA/records.jsonl.gz --id id --metric cosine
//! cargo run --release -p vecstore-benches --bin acceptance -- DATA DB
//! ```
//!
//! `DATA` holds `base.f16.npy`, `records.jsonl.gz`, `queries.f16.npy` and `neighbors.npy` (the 100
//! nearest of each query by cosine). Prints recall@10 and latency at several efforts, recall and
//! latency under filters against a plain scan, and how long the database takes to open.

#![allow(clippy::print_stdout)]

mod data;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use vecstore::{Collection, Database, Include, Options, Query, QueryResult, RecordId};

use data::{cosine, read_neighbors, read_records, read_vectors};

const K: usize = 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [data, path] = &arguments[..] else {
        return Err("usage: acceptance DATA DB".into());
    };
    let queries = read_vectors(&data.join("queries.f16.npy"))?;
    let truth = read_neighbors(&data.join("neighbors.npy"))?;

    // Without merging beside the measurement.
    let options = Options { background_merge: false, ..Options::default() };
    let (open, db) = timed(|| Database::open_existing(path, options.clone()));
    let db = db?;
    let docs = db.collection("docs")?;
    let stats = docs.stats()?;
    println!(
        "{} records, {} segments, {} in memory; opened in {:.1} ms; kernels: {}",
        stats.records,
        stats.segments.len(),
        stats.memtable_records,
        ms(open),
        db.stats()?.kernels
    );

    let base = read_vectors(&data.join("base.f16.npy"))?;
    let records = read_records(&data.join("records.jsonl.gz"))?;
    let least: Vec<f32> = queries
        .iter()
        .zip(&truth)
        .map(|(query, truth)| cosine(query, &base[truth[K - 1] as usize]))
        .collect();

    println!("\nrecall@10 over {} queries, one at a time", queries.len());
    let mut answers = Vec::new();
    for (name, ask) in efforts() {
        let (latency, found) = measure(&docs, &queries, &*ask)?;
        let near = |(at, rows): (usize, &Vec<u64>)| recall(&queries[at], &base, rows, least[at], K);
        let recalls: Vec<f64> = found.iter().enumerate().map(near).collect();
        let recall = recalls.iter().sum::<f64>() / queries.len() as f64;
        let worst = recalls.iter().fold(1.0_f64, |a, &b| a.min(b));
        println!("  {name:<12} recall {recall:.4}, worst {worst:.1}  {latency}");
        answers.push(found);
    }

    println!("\nfilters, default effort, against a plain scan of the matching rows");
    for (filter, keep) in filters() {
        let matching: Vec<usize> = (0..records.len()).filter(|&row| keep(&records[row])).collect();
        let report = filtered(&docs, &queries, &base, &matching, filter)?;
        println!("  {filter}: {} match; {report}", matching.len());
    }

    drop((docs, db));
    let mut opens = Vec::new();
    for _ in 0..5 {
        let (time, db) = timed(|| Database::open_existing(path, options.clone()));
        drop(db?);
        opens.push(time);
    }
    opens.sort();
    let db = Database::open_existing(path, options)?;
    let docs = db.collection("docs")?;
    let mut same = true;
    for ((_, ask), before) in efforts().iter().zip(answers) {
        same &= measure(&docs, &queries, &**ask)?.1 == before;
    }
    println!("\nreopened in {:.1} ms (median of 5); same answers: {same}", ms(opens[2]));
    Ok(())
}

type Ask = dyn Fn(Query<'_>) -> Query<'_>;

fn efforts() -> Vec<(&'static str, Box<Ask>)> {
    vec![
        ("default", Box::new(|query| query)),
        ("recall=0.90", Box::new(|query: Query<'_>| query.recall(0.90))),
        ("recall=0.95", Box::new(|query: Query<'_>| query.recall(0.95))),
        ("recall=0.99", Box::new(|query: Query<'_>| query.recall(0.99))),
        ("ef=32", Box::new(|query: Query<'_>| query.ef(32))),
        ("ef=64", Box::new(|query: Query<'_>| query.ef(64))),
        ("ef=128", Box::new(|query: Query<'_>| query.ef(128))),
        ("ef=256", Box::new(|query: Query<'_>| query.ef(256))),
        ("exact", Box::new(|query: Query<'_>| query.exact())),
    ]
}

type Keep = fn(&Map<String, Value>) -> bool;

fn filters() -> Vec<(&'static str, Keep)> {
    vec![
        ("gloss_len <= 51", |r| r["gloss_len"].as_i64().is_some_and(|n| n <= 51)),
        ("pos = 'v'", |r| r["pos"] == "v"),
        ("domain = 'noun.food'", |r| r["domain"] == "noun.food"),
        ("domain = 'verb.motion'", |r| r["domain"] == "verb.motion"),
        ("domain IN ['noun.motive','verb.weather']", |r| {
            r["domain"] == "noun.motive" || r["domain"] == "verb.weather"
        }),
    ]
}

/// Latencies of a run.
struct Latency(Vec<Duration>);

impl std::fmt::Display for Latency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort();
        let at = |part: f64| ms(sorted[((sorted.len() - 1) as f64 * part) as usize]);
        let total: Duration = sorted.iter().sum();
        let qps = sorted.len() as f64 / total.as_secs_f64();
        write!(f, "{qps:8.0} queries/s  p50 {:.3} ms  p99 {:.3} ms", at(0.5), at(0.99))
    }
}

/// Latencies, and the ids found.
fn measure(
    docs: &Collection,
    queries: &[Vec<f32>],
    ask: &Ask,
) -> vecstore::Result<(Latency, Vec<Vec<u64>>)> {
    let (mut times, mut found) = (Vec::new(), Vec::new());
    for query in queries {
        let query = ask(docs.query(query).k(K).include(Include::NOTHING));
        let (time, answer) = timed(|| query.run());
        times.push(time);
        found.push(rows(&answer?));
    }
    Ok((Latency(times), found))
}

/// The part of `wanted` that was found: rows at least as near as the last of the true ones. Some
/// definitions have the same vector, so several sets of rows can be right.
fn recall(query: &[f32], base: &[Vec<f32>], rows: &[u64], least: f32, wanted: usize) -> f64 {
    const ROUNDING: f32 = 1e-6;
    let near = |row: &&u64| cosine(query, &base[**row as usize]) >= least - ROUNDING;
    rows.iter().filter(near).count() as f64 / wanted.max(1) as f64
}

fn filtered(
    docs: &Collection,
    queries: &[Vec<f32>],
    base: &[Vec<f32>],
    matching: &[usize],
    filter: &str,
) -> vecstore::Result<String> {
    let (mut sum, mut worst, mut times, mut short) = (0.0, 1.0_f64, Vec::new(), 0);
    let mut plans: HashMap<String, usize> = HashMap::new();
    for query in queries {
        let mut scores: Vec<f32> = matching.iter().map(|&row| cosine(query, &base[row])).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        let wanted = scores.len().min(K);
        let least = wanted.checked_sub(1).map_or(f32::MAX, |last| scores[last]);
        let ask = docs.query(query).k(K).filter(filter).include(Include::NOTHING);
        let (time, answer) = timed(|| ask.explain());
        let (answer, plan) = answer?;
        times.push(time);
        let rows = rows(&answer);
        short += usize::from(rows.len() != wanted);
        let recall = recall(query, base, &rows, least, wanted);
        (sum, worst) = (sum + recall, worst.min(recall));
        for segment in &plan.segments {
            let strategy = format!("{:?}", segment.plan.strategy);
            *plans.entry(strategy).or_default() += 1;
        }
    }
    let mean = sum / queries.len() as f64;
    Ok(format!(
        "recall {mean:.4}, worst {worst:.1}, short answers {short}, {}, {plans:?}",
        Latency(times)
    ))
}

fn rows(answer: &QueryResult) -> Vec<u64> {
    answer
        .iter()
        .filter_map(|hit| match hit.id {
            RecordId::U64(row) => Some(row),
            _ => None,
        })
        .collect()
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let result = work();
    (started.elapsed(), result)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
