//! Recall against queries per second on whole data sets, and how far that is from what the machine
//! could do.
//!
//! ```text
//! cargo run --release -p vecstore-benches --bin search -- [--keep FOLDER] [--threads N]
//!     [--index auto|graph|clusters] [--codes int8|none] [--ef 16,32,…] [--recall 0.9,0.95,…]
//!     [--rounds N] [--queries N] DATA…
//! ```
//!
//! Each `DATA` is a folder as [`Data::read`] describes it. The database is built in a temporary
//! folder, or in `FOLDER/<name of the set>-<index>` (and `-<codes>`, where they
//! are not the default), where the next run finds it again. For each `ef` (for
//! clusters: number of leaves) and each recall requested:
//! recall@10 (ties count), queries per second of one thread that asks one at a time, distances per
//! query, latencies, queries per second of two threads, and the fraction of the physical limit
//! ([`limit`]). Rounds are interleaved; medians are printed.

#![allow(clippy::print_stdout)]

mod data;
mod limit;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use data::Data;
use limit::{Machine, Shape};
use vecstore::{
    Codes, Collection, CollectionOptions, Database, Include, IndexOption, Options, Query, Record,
    RecordId, limits,
};

const K: usize = 10;
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

struct Settings {
    keep: Option<PathBuf>,
    threads: usize,
    index: IndexOption,
    codes: Codes,
    efforts: Vec<Effort>,
    rounds: usize,
    queries: usize,
    data: Vec<PathBuf>,
}

/// How hard to look.
#[derive(Clone, Copy)]
enum Effort {
    Ef(usize),
    Recall(f32),
}

impl Effort {
    fn of<'a>(self, query: Query<'a>) -> Query<'a> {
        match self {
            Effort::Ef(ef) => query.ef(ef),
            Effort::Recall(recall) => query.recall(recall),
        }
    }
}

impl std::fmt::Display for Effort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Effort::Ef(ef) => f.pad(&ef.to_string()),
            Effort::Recall(recall) => f.pad(&format!("r{recall}")),
        }
    }
}

fn main() -> Outcome<()> {
    let settings = settings()?;
    for folder in &settings.data {
        let data = Data::read(folder, K, settings.queries)?;
        let temporary;
        let database = match &settings.keep {
            Some(keep) => keep.join(match settings.codes {
                Codes::Int8 => format!("{}-{}", data.name, settings.index),
                codes => format!("{}-{}-{codes}", data.name, settings.index),
            }),
            None => {
                temporary = tempfile::tempdir()?;
                temporary.path().join("database")
            }
        };
        build(&data, &database, &settings)?;
        measure(&data, &database, &settings)?;
    }
    Ok(())
}

fn settings() -> Outcome<Settings> {
    let mut settings = Settings {
        keep: None,
        threads: 1,
        index: IndexOption::Auto,
        codes: Codes::default(),
        efforts: Vec::new(),
        rounds: 5,
        queries: 1_000,
        data: Vec::new(),
    };
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{}: no value", argument.display()));
        let number = |text: std::ffi::OsString| text.to_string_lossy().parse::<usize>();
        match argument.to_str() {
            Some("--keep") => settings.keep = Some(value()?.into()),
            Some("--threads") => settings.threads = number(value()?)?,
            Some("--rounds") => settings.rounds = number(value()?)?.max(1),
            Some("--queries") => settings.queries = number(value()?)?,
            Some("--ef") => {
                let list = value()?.to_string_lossy().into_owned();
                for ef in list.split(',') {
                    settings.efforts.push(Effort::Ef(ef.parse()?));
                }
            }
            Some("--recall") => {
                let list = value()?.to_string_lossy().into_owned();
                for recall in list.split(',') {
                    settings.efforts.push(Effort::Recall(recall.parse()?));
                }
            }
            Some("--codes") => settings.codes = value()?.to_string_lossy().parse()?,
            Some("--index") => settings.index = value()?.to_string_lossy().parse()?,
            Some(option) if option.starts_with("--") => return Err(format!("{option}?").into()),
            _ => settings.data.push(argument.into()),
        }
    }
    if settings.data.is_empty() {
        return Err("usage: search [--keep FOLDER] [--threads N] [--index auto|graph|clusters] \
                    [--codes int8|none] [--ef LIST] [--recall LIST] [--rounds N] [--queries N] DATA…"
            .into());
    }
    if settings.efforts.is_empty() {
        let ladder = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768];
        settings.efforts = ladder.map(Effort::Ef).to_vec();
    }
    Ok(settings)
}

/// Without merging beside the measurement, and all records in one segment.
fn options(threads: usize) -> Options {
    Options { background_merge: false, memtable_bytes_max: 4 << 30, threads, ..Options::default() }
}

fn build(data: &Data, path: &Path, settings: &Settings) -> Outcome<()> {
    let threads = settings.threads;
    println!(
        "\n{}: {} × {}, {}, {} queries",
        data.name,
        data.rows(),
        data.dim,
        data.metric,
        data.queries().count()
    );
    if path.exists() {
        println!("  found in {}", path.display());
        return Ok(());
    }
    let db = Database::open_with(path, options(threads))?;
    let collection = CollectionOptions::new(data.dim, data.metric);
    let collection = collection.index(settings.index).codes(settings.codes);
    let docs = db.create_collection("docs", collection)?;
    let cpu = cpu_time();
    let started = Instant::now();
    let rows: Vec<u64> = (0..data.rows() as u64).collect();
    let batch_rows = (limits::BATCH_BYTES_MAX / (4 * data.dim + 64)).min(limits::BATCH_RECORDS_MAX);
    for rows in rows.chunks(batch_rows) {
        let record = |&row| Record::new(RecordId::U64(row), data.row(row).unwrap_or_default());
        docs.batch_upsert(rows.iter().map(record).collect())?;
    }
    let ingested = started.elapsed();
    db.flush()?;
    db.optimize()?;
    print!("  ingested in {:.2} s, ", ingested.as_secs_f64());
    print!("in one segment after {:.2} s with {threads} threads", started.elapsed().as_secs_f64());
    match (cpu, cpu_time()) {
        (Some(before), Some(after)) => println!(" ({:.2} CPU s)", (after - before).as_secs_f64()),
        _ => println!(),
    }
    Ok(())
}

/// One point of the curve, a value a round.
#[derive(Default)]
struct Point {
    recall: f64,
    distances: f64,
    reranked: f64,
    hops: f64,
    latencies: Vec<Duration>,
    rates: Vec<f64>,
    rates_of_two: Vec<f64>,
}

fn measure(data: &Data, path: &Path, settings: &Settings) -> Outcome<()> {
    let memory = resident_bytes();
    let db = Database::open_existing(path, options(settings.threads))?;
    let docs = db.collection("docs")?;
    let mut points: Vec<Point> = Vec::new();
    for &effort in &settings.efforts {
        points.push(cost(data, &docs, effort)?);
    }
    for _ in 0..settings.rounds {
        for (&effort, point) in settings.efforts.iter().zip(&mut points) {
            let started = Instant::now();
            let times = ask_all(data, &docs, effort, 0, 1)?;
            point.rates.push(times.len() as f64 / started.elapsed().as_secs_f64());
            point.latencies.extend(times);
            let started = Instant::now();
            let half = |part: usize| ask_all(data, &docs, effort, part, 2).map(|times| times.len());
            let asked = std::thread::scope(|scope| {
                let other = scope.spawn(|| half(1));
                Ok::<_, vecstore::Error>(half(0)? + other.join().unwrap_or(Ok(0))?)
            })?;
            point.rates_of_two.push(asked as f64 / started.elapsed().as_secs_f64());
        }
    }

    let segments = docs.stats()?.segments;
    for index in segments.iter().flat_map(|segment| segment.indexes.values()) {
        println!("  index: {index}");
    }
    let sections = segments.into_iter().flat_map(|segment| segment.sections);
    let (mut codes, mut coarse, mut links, mut leaves, mut vectors) = (0, 0, 0, 0, 0);
    for (name, bytes) in sections {
        match &*name {
            "codes" => codes += bytes,
            "coarse-codes" => coarse += bytes,
            "links" => links += bytes,
            "vectors" => vectors += bytes,
            "clusters" | "cluster-blocks" => leaves += bytes,
            _ => {}
        }
    }
    let rows = data.rows() as u64;
    // What every distance of a walk reads; whole codes only of what it keeps, if there are coarse ones.
    let (walked, again) = match settings.codes {
        Codes::None => (vectors, 0),
        Codes::Int8 if coarse > 0 => (coarse, codes),
        Codes::Int8 => (codes, 0),
    };
    let hot = (walked + links + leaves) as usize;
    let width = (walked / rows) as usize;
    let machine = Machine::probe(data.metric, data.dim, settings.codes, width, hot);
    println!(
        "  hot bytes a vector: {} of {}, {} of links, {} of leaves; {} of whole codes beside; kernels: {}",
        walked / rows,
        if settings.codes == Codes::None { "vectors" } else { "codes" },
        links / rows,
        leaves / rows,
        again / rows,
        db.stats()?.kernels
    );
    if let (Some(before), Some(after)) = (memory, resident_bytes()) {
        println!("  resident after the queries: {} MiB", after.saturating_sub(before) >> 20);
    }
    println!("  machine: {machine}");
    println!(" effort  recall   queries/s  two threads  distances  p50 µs  p99 µs  of the limit");
    for (effort, point) in settings.efforts.iter().zip(&mut points) {
        let shape = Shape {
            distances: point.distances,
            hops: point.hops,
            reranked: point.reranked,
            code_bytes: (walked / rows) as usize,
            again_bytes: (again / rows) as usize,
            links_bytes: (links / rows) as usize,
            vector_bytes: 4 * data.dim,
        };
        let rate = median(&mut point.rates);
        point.latencies.sort();
        let at = |part: f64| point.latencies[((point.latencies.len() - 1) as f64 * part) as usize];
        println!(
            "  {effort:>5}  {:.4}  {rate:10.0}  {:11.0}  {:9.0}  {:6.1}  {:6.1}  {:11.0} %",
            point.recall,
            median(&mut point.rates_of_two),
            point.distances,
            at(0.5).as_secs_f64() * 1e6,
            at(0.99).as_secs_f64() * 1e6,
            machine.limit(&shape).as_secs_f64() * rate * 100.0,
        );
    }
    for wanted in [0.95, 0.99] {
        match rate_at(&mut points, wanted) {
            Some(rate) => println!("  at recall {wanted}: {rate:.0} queries/s"),
            None => println!("  recall {wanted} was not reached"),
        }
    }
    Ok(())
}

/// What a query costs beside time.
fn cost(data: &Data, docs: &Collection, effort: Effort) -> Outcome<Point> {
    let mut point = Point::default();
    let queries = data.queries().count() as f64;
    for (at, query) in data.queries().enumerate() {
        let asked = effort.of(docs.query(query).k(K)).include(Include::NOTHING);
        let (answer, ran) = asked.explain()?;
        let rows: Vec<u64> = answer
            .iter()
            .filter_map(|hit| match hit.id {
                RecordId::U64(row) => Some(row),
                _ => None,
            })
            .collect();
        point.recall += data.recall(at, &rows, K) / queries;
        point.reranked += ran.reranked as f64 / queries;
        for segment in &ran.segments {
            point.distances += segment.distances as f64 / queries;
            // Every candidate was expanded, and some that are no longer among them: at least.
            point.hops += segment.candidates as f64 / queries;
        }
    }
    Ok(point)
}

/// Asks every `step`-th query from `first` on; gives the latencies.
fn ask_all(
    data: &Data,
    docs: &Collection,
    effort: Effort,
    first: usize,
    step: usize,
) -> vecstore::Result<Vec<Duration>> {
    data.queries()
        .skip(first)
        .step_by(step)
        .map(|query| {
            let started = Instant::now();
            effort.of(docs.query(query).k(K)).include(Include::NOTHING).run()?;
            Ok(started.elapsed())
        })
        .collect()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The rate at a recall, between two points of the curve: linear in recall and in the logarithm
/// of the rate.
fn rate_at(points: &mut [Point], wanted: f64) -> Option<f64> {
    let mut curve: Vec<(f64, f64)> =
        points.iter_mut().map(|point| (point.recall, median(&mut point.rates))).collect();
    // What another point beats in both counts for nothing.
    let all = curve.clone();
    curve.retain(|&(recall, rate)| !all.iter().any(|&(r, q)| r >= recall && q > rate));
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    let above = curve.iter().position(|&(recall, _)| recall >= wanted)?;
    let (high, fast) = (curve[above], above.checked_sub(1).map(|below| curve[below]));
    let Some(low) = fast else {
        return Some(high.1);
    };
    let part = (wanted - low.0) / (high.0 - low.0);
    Some((low.1.ln() + (high.1.ln() - low.1.ln()) * part).exp())
}

/// A value of `/proc/self/status`, where there is one.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// Processor time of the process so far, its ended threads included, where the system tells.
fn cpu_time() -> Option<Duration> {
    /// Ticks a second of times in `/proc`, a constant of the interface.
    const USER_HZ: u64 = 100;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may have spaces in it.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
    Some(Duration::from_millis(ticks * 1_000 / USER_HZ))
}
