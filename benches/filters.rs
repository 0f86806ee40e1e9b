//! Filters at every selectivity, with and without correlation to the query: recall, and what the
//! planner's choice costs beyond the best strategy.
//!
//! ```text
//! cargo run --release -p vecstore-benches --bin filters -- DATA DB
//! cargo run --release -p vecstore-benches --bin filters -- DATA memtable
//! cargo run --release -p vecstore-benches --bin filters -- DATA DB latency
//! ```
//!
//! `DATA` holds `base.f16.npy`, `records.jsonl.gz` and `queries.f16.npy`. `DB` is filled at the
//! first run: the records, each with its place in the order of nearness to a few of the queries
//! (`near_0` …). `near_0 < n` is then a filter whose matches lie where query 0 looks, `near_0 >= n`
//! one whose matches lie elsewhere. With `memtable`, filters are timed over one full memtable
//! instead. With `latency`, the time of real filters over `DB` is shown part by part.

#![allow(clippy::print_stdout)]

mod data;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use vecstore::{Collection, Database, Include, Metric, Options, Record, RecordId};

use data::{cosine, read_records, read_vectors};

/// Queries that correlated filters are made for; also the queries of the other filters.
const AXES: usize = 20;
const SELECTIVITIES: [f64; 6] = [0.5, 0.1, 0.02, 0.01, 0.001, 0.0001];
const KS: [usize; 3] = [1, 10, 100];

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (data, path, only_latency) = match &arguments[..] {
        [data, path] => (data, path, false),
        [data, path, word] if word.as_os_str() == "latency" => (data, path, true),
        _ => return Err("usage: filters DATA DB [latency] | filters DATA memtable".into()),
    };
    let base = read_vectors(&data.join("base.f16.npy"))?;
    let records = read_records(&data.join("records.jsonl.gz"))?;
    if path.as_os_str() == "memtable" {
        return memtable(&base, records);
    }
    let queries = read_vectors(&data.join("queries.f16.npy"))?;
    let queries = queries.get(..AXES).ok_or("too few queries")?;
    let records = with_nearness(&base, records, queries);

    let options = Options { background_merge: false, ..Options::default() };
    let db = match Database::open_existing(path, options.clone()) {
        Ok(db) => db,
        Err(_) => {
            let db = Database::open_with(path, options)?;
            fill(&db, &base, &records)?;
            db
        }
    };
    let docs = db.collection("docs")?;
    if only_latency {
        return latency(&docs, queries);
    }
    let stats = docs.stats()?;
    println!(
        "{} records, {} segments; {} queries a cell; kernels: {}\n",
        stats.records,
        stats.segments.len(),
        queries.len(),
        db.stats()?.kernels
    );
    println!("recall of the answer, mean and worst; regret of the plan, geometric mean and worst");
    let mut regrets = Vec::new();
    let (mut mean_min, mut worst_min, mut short) = (1.0_f64, 1.0_f64, 0);
    for filters in grid(base.len()) {
        for k in KS {
            let cell = Cell::measure(&docs, &filters, queries, &base, &records, k)?;
            println!("  {:<44} k {k:>3}: {cell}", filters.name);
            regrets.push(cell.regret);
            (mean_min, worst_min) = (mean_min.min(cell.mean), worst_min.min(cell.worst));
            short += cell.short;
        }
    }
    let within = |limit: f64| regrets.iter().filter(|r| **r <= limit).count();
    println!(
        "\n{} cells: recall mean at least {mean_min:.4}, worst query {worst_min:.2}, short answers \
         {short}; regret geometric mean {:.3}, at most 1.5 in {:.1} %, at most 3 in {:.1} %, \
         largest {:.2}",
        regrets.len(),
        geometric_mean(&regrets),
        100.0 * within(1.5) as f64 / regrets.len() as f64,
        100.0 * within(3.0) as f64 / regrets.len() as f64,
        regrets.iter().fold(0.0_f64, |a, &b| a.max(b))
    );
    Ok(())
}

/// Whether a record, of which the row is given too, matches the filter for a query.
type Keep = dyn Fn(usize, usize, &Map<String, Value>) -> bool;

/// A filter for each query.
struct Filters {
    name: String,
    text: Box<dyn Fn(usize) -> String>,
    keep: Box<Keep>,
}

/// Real filters, and for each selectivity one without correlation, and one near and one far from
/// the query.
fn grid(rows: usize) -> Vec<Filters> {
    let mut grid = Vec::new();
    let mut real = |text: &'static str, keep: fn(&Map<String, Value>) -> bool| {
        grid.push(Filters {
            name: text.to_owned(),
            text: Box::new(move |_| text.to_owned()),
            keep: Box::new(move |_, _, record| keep(record)),
        });
    };
    real("gloss_len <= 51", |r| r["gloss_len"].as_i64().is_some_and(|n| n <= 51));
    real("pos = 'v'", |r| r["pos"] == "v");
    real("domain = 'noun.food'", |r| r["domain"] == "noun.food");
    real("domain = 'verb.motion'", |r| r["domain"] == "verb.motion");
    real("domain = 'noun.motive'", |r| r["domain"] == "noun.motive");
    for selectivity in SELECTIVITIES {
        let matches = ((rows as f64 * selectivity).round() as usize).max(1);
        let percent = selectivity * 100.0;
        grid.push(Filters {
            name: format!("{percent} % anywhere"),
            text: Box::new(move |_| format!("shuffled < {matches}")),
            keep: Box::new(move |_, row, _| shuffled(row, rows) < matches),
        });
        grid.push(Filters {
            name: format!("{percent} % near the query"),
            text: Box::new(move |axis| format!("near_{axis} < {matches}")),
            keep: Box::new(move |axis, _, record| {
                record[&format!("near_{axis}")].as_u64().is_some_and(|n| n < matches as u64)
            }),
        });
        grid.push(Filters {
            name: format!("{percent} % far from the query"),
            text: Box::new(move |axis| format!("near_{axis} >= {}", rows - matches)),
            keep: Box::new(move |axis, _, record| {
                let far = (rows - matches) as u64;
                record[&format!("near_{axis}")].as_u64().is_some_and(|n| n >= far)
            }),
        });
    }
    grid
}

/// A permutation of the rows (as long as 7,919 does not divide their number).
fn shuffled(row: usize, rows: usize) -> usize {
    row * 7_919 % rows
}

/// One kind of filter at one k, over all queries.
struct Cell {
    mean: f64,
    worst: f64,
    short: usize,
    regret: f64,
    regret_max: f64,
    took: Duration,
    chosen: Vec<String>,
}

impl Cell {
    fn measure(
        docs: &Collection,
        filters: &Filters,
        queries: &[Vec<f32>],
        base: &[Vec<f32>],
        records: &[Map<String, Value>],
        k: usize,
    ) -> Result<Cell, Failure> {
        let (mut recalls, mut regrets, mut short) = (Vec::new(), Vec::new(), 0);
        let (mut took, mut chosen) = (Vec::new(), Vec::new());
        for (axis, query) in queries.iter().enumerate() {
            let text = (filters.text)(axis);
            let mut scores: Vec<f32> = (0..base.len())
                .filter(|&row| (filters.keep)(axis, row, &records[row]))
                .map(|row| cosine(query, &base[row]))
                .collect();
            scores.sort_unstable_by(|a, b| b.total_cmp(a));
            let wanted = scores.len().min(k);
            let ask = || docs.query(query).k(k).filter(&text).include(Include::NOTHING);
            let started = Instant::now();
            let answer = ask().run()?;
            took.push(started.elapsed());
            short += usize::from(answer.len() != wanted);
            if let Some(last) = wanted.checked_sub(1) {
                let near = |row: u64| cosine(query, &base[row as usize]) >= scores[last] - 1e-6;
                let right = answer.iter().filter(|hit| match hit.id {
                    RecordId::U64(row) => near(row),
                    _ => false,
                });
                recalls.push(right.count() as f64 / wanted as f64);
            }
            for segment in ask().explain_alternatives()? {
                regrets.push(segment.regret());
                let name = segment.runs.first().map_or("", |run| run.strategy.name());
                if !chosen.iter().any(|other| other == name) {
                    chosen.push(name.to_owned());
                }
            }
        }
        took.sort();
        Ok(Cell {
            mean: recalls.iter().sum::<f64>() / recalls.len().max(1) as f64,
            worst: recalls.iter().fold(1.0, |a, &b| a.min(b)),
            short,
            regret: geometric_mean(&regrets),
            regret_max: regrets.iter().fold(1.0, |a, &b| a.max(b)),
            took: took[took.len() / 2],
            chosen,
        })
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "recall {:.4} {:.2}  regret {:.2} {:.2}  p50 {:.3} ms  {}",
            self.mean,
            self.worst,
            self.regret,
            self.regret_max,
            self.took.as_secs_f64() * 1e3,
            self.chosen.join(", ")
        )
    }
}

fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len().max(1) as f64).exp()
}

fn fill(db: &Database, base: &[Vec<f32>], records: &[Map<String, Value>]) -> Result<(), Failure> {
    let dim = base.first().ok_or("no vectors")?.len();
    let docs = db.create_collection("docs", Collection::options(dim, Metric::Cosine))?;
    for (at, some) in records.chunks(10_000).enumerate() {
        let batch = (at * 10_000..)
            .zip(some)
            .map(|(row, record)| {
                Record::new(row as u64, base[row].clone()).metadata(Value::Object(record.clone()))
            })
            .collect();
        docs.batch_upsert(batch)?;
    }
    docs.optimize()?;
    Ok(())
}

/// Adds to each record its place in a fixed shuffle and in the order of nearness to each query.
fn with_nearness(
    base: &[Vec<f32>],
    mut records: Vec<Map<String, Value>>,
    queries: &[Vec<f32>],
) -> Vec<Map<String, Value>> {
    let rows = base.len();
    for (axis, query) in queries.iter().enumerate() {
        let scores: Vec<f32> = base.iter().map(|vector| cosine(query, vector)).collect();
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        for (place, row) in order.into_iter().enumerate() {
            records[row].insert(format!("near_{axis}"), place.into());
        }
    }
    for (row, record) in records.iter_mut().enumerate() {
        record.insert("shuffled".into(), shuffled(row, rows).into());
    }
    records
}

/// Real filters, from half of the rows to one in a thousand: the whole query, and of it the filter and
/// the search; the median of the rounds' medians over the queries.
fn latency(docs: &Collection, queries: &[Vec<f32>]) -> Result<(), Failure> {
    const FILTERS: [&str; 12] = [
        "gloss_len <= 51",
        "pos = 'v'",
        "pos != 'n'",
        "pos = 'n' AND gloss_len <= 28",
        "domain IN ['noun.food', 'noun.plant', 'noun.animal'] AND gloss_len > 90",
        "domain = 'noun.food'",
        "domain = 'verb.motion'",
        "domain IN ['noun.motive', 'verb.weather']",
        "shuffled < 6000",
        "domain LIKE '%motion%'",
        "pos = 'v' AND NOT (domain = 'verb.motion' OR gloss_len > 60)",
        "pos = 'v' OR domain = 'noun.food' OR gloss_len > 120",
    ];
    const ROUNDS: usize = 15;
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    for filter in FILTERS {
        let (mut whole, mut filter_us, mut search_us) = (Vec::new(), Vec::new(), Vec::new());
        let mut matching = 0;
        let mut ran = Vec::new();
        for _ in 0..ROUNDS {
            let mut took = [Vec::new(), Vec::new(), Vec::new()];
            for query in queries {
                let started = Instant::now();
                let (_, plan) =
                    docs.query(query).filter(filter).include(Include::NOTHING).explain()?;
                took[0].push(started.elapsed().as_secs_f64() * 1e6);
                took[1].push(plan.segments.iter().map(|segment| segment.filter_us).sum());
                took[2].push(plan.segments.iter().map(|segment| segment.search_us).sum());
                matching = plan.segments.iter().map(|segment| segment.plan.matching).sum::<u64>();
                for segment in &plan.segments {
                    let name = segment.ran.name();
                    if !ran.contains(&name) {
                        ran.push(name);
                    }
                }
            }
            let [a, b, c] = &mut took;
            whole.push(median(a));
            filter_us.push(median(b));
            search_us.push(median(c));
        }
        println!(
            "{matching:>7} match: {:>7.1} us, of which the filter {:>6.1}, the search {:>6.1}  {}  {filter}",
            median(&mut whole),
            median(&mut filter_us),
            median(&mut search_us),
            ran.join(", ")
        );
    }
    Ok(())
}

/// Filters over one full memtable of 32 MiB.
fn memtable(base: &[Vec<f32>], records: Vec<Map<String, Value>>) -> Result<(), Failure> {
    const BYTES: u64 = 31 << 20;
    let db = Database::in_memory()?;
    let dim = base.first().ok_or("no vectors")?.len();
    let docs = db.create_collection("docs", Collection::options(dim, Metric::Cosine))?;
    for (row, record) in records.into_iter().enumerate() {
        let record = Record::new(row as u64, base[row].clone()).metadata(Value::Object(record));
        docs.upsert(record)?;
        if row % 256 == 0 && docs.stats()?.memtable_bytes >= BYTES {
            break;
        }
    }
    let stats = docs.stats()?;
    println!(
        "{} records, {} MiB in memory, {} segments",
        stats.memtable_records,
        stats.memtable_bytes >> 20,
        stats.segments.len()
    );
    for filter in ["gloss_len <= 51", "pos = 'v'", "domain = 'noun.food'", "domain LIKE '%motion%'"]
    {
        let ask = || docs.query(&base[7]).filter(filter).include(Include::NOTHING);
        let started = Instant::now();
        let (_, plan) = ask().explain()?;
        let first = started.elapsed();
        let mut times: Vec<(Duration, f64)> = Vec::new();
        for _ in 0..50 {
            let started = Instant::now();
            let (_, plan) = ask().explain()?;
            let filter_us = plan.segments.iter().map(|segment| segment.filter_us).sum();
            times.push((started.elapsed(), filter_us));
        }
        times.sort_by_key(|time| time.0);
        let (time, filter_us) = times[times.len() / 2];
        println!(
            "  {filter:<24} {:>6} match, {:>6} rows read; first {:>8.3} ms, then p50 {:>8.3} ms, \
             of which the filter {:>8.3} ms",
            plan.segments.iter().map(|segment| segment.plan.matching).sum::<u64>(),
            plan.segments.iter().map(|segment| segment.rows_read).sum::<u64>(),
            first.as_secs_f64() * 1e3,
            time.as_secs_f64() * 1e3,
            filter_us / 1e3
        );
    }
    Ok(())
}
