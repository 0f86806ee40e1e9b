//! Queries beside a writer.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vecstore::{Collection, Database, Durability, Metric, Options};

use super::{AnyError, Set, Times, ids, timed};

/// Rows that are in a segment when the writer begins, and those in memory then, as in a collection that
/// is written to.
const SEALED_ROWS: usize = 50_000;
const ROWS_IN_MEMORY: usize = 5_000;
/// How long each measurement takes, unless the writer has no rows left.
const SPAN: Duration = Duration::from_secs(4);
/// Rows that a writer upserts at most.
const UPSERTED_MAX: usize = 20_000;
/// Upserts a second beside readers that query without a pause; the last ones as many as can be.
const RATES: [Option<u32>; 4] = [Some(500), Some(1_000), Some(2_000), None];
/// … and beside readers that pause.
const RATES_PAUSING: [Option<u32>; 2] = [Some(1_000), None];
/// Of so many answers one is compared with an exact one.
const CHECK_EVERY: usize = 50;

pub(super) fn beside(set: &Set) -> Result<(), AnyError> {
    for (name, durability) in [("none", Durability::None), ("sync", Durability::Sync)] {
        println!(
            "  {SEALED_ROWS} rows in a segment; single upserts with durability {name}; two readers, {} cores",
            std::thread::available_parallelism()?
        );
        let dir = tempfile::tempdir()?;
        let options = Options { durability, ..Options::default() };
        let db = Database::open_with(dir.path().join("db"), options)?;
        let shape = Collection::options(set.base[0].len(), Metric::Cosine);
        let docs = db.create_collection("docs", shape)?;
        set.fill(&docs, 0..SEALED_ROWS)?;
        docs.optimize()?;
        let mut next = SEALED_ROWS + ROWS_IN_MEMORY;
        set.fill(&docs, SEALED_ROWS..next)?;
        set.settle(&docs, None)?;
        println!("    readers without a pause:");
        let period = at_rates(set, &docs, None, &RATES, &mut next)?;
        println!("    readers at half of that rate:");
        at_rates(set, &docs, Some(period * 2), &RATES_PAUSING, &mut next)?;
    }
    Ok(())
}

/// Readers that begin a query each `period` alone, and beside a writer at some rates, which goes on with
/// row `next`. Gives the time from query to query of one that is alone.
fn at_rates(
    set: &Set,
    docs: &Collection,
    period: Option<Duration>,
    rates: &[Option<u32>],
    next: &mut usize,
) -> Result<Duration, AnyError> {
    let load = Load { set, docs, period };
    rest()?;
    let counting = beside_counting(&load)?;
    println!("      beside a thread that counts {counting}");
    let mut alone_period = Duration::ZERO;
    for &rate in rates {
        rest()?;
        let alone = load.readers(&AtomicBool::new(false), &AtomicU64::new(0))?;
        println!("      alone {alone}");
        alone_period = alone.span * 2 / alone.times.0.len() as u32;
        let rows = rate.map_or(UPSERTED_MAX, |rate| rate as usize * SPAN.as_secs() as usize);
        let end = (*next + rows).min(set.base.len());
        let live = beside_writer(&load, *next..end, rate)?;
        let asked = rate.map_or("as many as can be".to_owned(), |rate| format!("{rate} asked for"));
        println!(
            "        beside {:.0} upserts/s ({asked}) {}: p99 {:.2} x alone, {:.2} x beside the counting; \
             recall of what was inserted {:.4} ({} queries)",
            live.upserted as f64 / live.seen.span.as_secs_f64(),
            live.seen,
            live.seen.times.us(0.99) / alone.times.us(0.99),
            live.seen.times.us(0.99) / counting.times.us(0.99),
            live.recall,
            live.seen.answers.len()
        );
        *next += live.upserted;
    }
    Ok(alone_period)
}

/// Waits until the process has nothing to do: what was written before is flushed, merged and linked.
fn rest() -> Result<(), AnyError> {
    /// Of the processor in 500 ms, in hundredths of a second.
    const MUCH: u64 = 3;
    let used = || -> Result<u64, AnyError> {
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        let numbers = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?.1;
        let ticks = numbers.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        Ok(ticks.sum::<Result<u64, _>>()?)
    };
    loop {
        let before = used()?;
        std::thread::sleep(Duration::from_millis(500));
        if used()? - before < MUCH {
            return Ok(());
        }
    }
}

/// Two readers of a collection.
#[derive(Clone, Copy)]
struct Load<'a> {
    set: &'a Set,
    docs: &'a Collection,
    /// From the begin of a query to that of the next; none without a pause.
    period: Option<Duration>,
}

/// What the readers saw.
struct Seen {
    times: Times,
    answers: Vec<Answer>,
    span: Duration,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:.0}/s)", self.times, self.times.0.len() as f64 / self.span.as_secs_f64())
    }
}

/// An answer to be checked: to which query, how far the writer was when it was asked, what was found.
struct Answer {
    query: usize,
    known: u64,
    found: Vec<u64>,
}

impl Load<'_> {
    /// Two threads query for a while, or until it is `over`. `inserted`: rows before this one are known
    /// to be there.
    fn readers(&self, over: &AtomicBool, inserted: &AtomicU64) -> Result<Seen, AnyError> {
        let start = Instant::now();
        let (times, answers) = std::thread::scope(|scope| {
            let other = scope.spawn(|| self.reader(1, over, inserted));
            let (mut times, mut answers) = self.reader(0, over, inserted)?;
            let (more_times, more_answers) = other.join().map_err(|_| "a reader panicked")??;
            times.extend(more_times);
            answers.extend(more_answers);
            Ok::<_, AnyError>((times, answers))
        })?;
        Ok(Seen { times: Times::new(times), answers, span: start.elapsed() })
    }

    fn reader(
        &self,
        number: usize,
        over: &AtomicBool,
        inserted: &AtomicU64,
    ) -> Result<(Vec<Duration>, Vec<Answer>), AnyError> {
        let (mut times, mut answers) = (Vec::new(), Vec::new());
        let start = Instant::now();
        let mut turn = start;
        while start.elapsed() < SPAN && !over.load(Ordering::Relaxed) {
            let query = (times.len() * 2 + number) % self.set.queries.len();
            let known = inserted.load(Ordering::Acquire);
            let (time, found) = timed(|| ids(self.docs, &self.set.queries[query], false));
            let found = found?;
            times.push(time);
            if times.len() % CHECK_EVERY == 0 {
                answers.push(Answer { query, known, found });
            }
            wait(&mut turn, self.period);
        }
        Ok((times, answers))
    }
}

/// Sleeps until the next turn, a `period` after the last; late ones are not made up for.
fn wait(turn: &mut Instant, period: Option<Duration>) {
    let Some(period) = period else { return };
    *turn = Instant::now().max(*turn + period);
    std::thread::sleep(turn.saturating_duration_since(Instant::now()));
}

fn beside_counting(load: &Load<'_>) -> Result<Seen, AnyError> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut count = 0u64;
            while !over.load(Ordering::Relaxed) {
                count = std::hint::black_box(count + 1);
            }
        });
        let seen = load.readers(&AtomicBool::new(false), &AtomicU64::new(0));
        over.store(true, Ordering::Relaxed);
        seen
    })
}

struct Live {
    seen: Seen,
    upserted: usize,
    recall: f64,
}

/// The readers beside a thread that upserts `rows`, so many a second. Answers are checked afterwards: a
/// scan between the queries would empty the caches of those that are timed.
fn beside_writer(load: &Load<'_>, rows: Range<usize>, rate: Option<u32>) -> Result<Live, AnyError> {
    let period = rate.map(|rate| Duration::from_secs(1) / rate);
    let over = AtomicBool::new(false);
    let inserted = AtomicU64::new(rows.start as u64);
    let write = || -> Result<usize, AnyError> {
        let mut turn = Instant::now();
        let first = rows.start;
        for row in rows {
            if over.load(Ordering::Relaxed) {
                return Ok(row - first);
            }
            load.docs.upsert(load.set.record(row))?;
            inserted.store(row as u64 + 1, Ordering::Release);
            wait(&mut turn, period);
        }
        Ok(inserted.load(Ordering::Acquire) as usize - first)
    };
    let (seen, upserted) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let upserted = write();
            over.store(true, Ordering::Relaxed);
            upserted
        });
        let seen = load.readers(&over, &inserted);
        over.store(true, Ordering::Relaxed);
        let upserted = writer.join().map_err(|_| "the writer panicked")??;
        Ok::<_, AnyError>((seen?, upserted))
    })?;
    let recall = recall(load, &seen.answers)?;
    Ok(Live { seen, upserted, recall })
}

/// How much of what is right was found. What is among the nearest now was among them when there were
/// fewer; rows that came after a query began are not missed by it.
fn recall(load: &Load<'_>, answers: &[Answer]) -> Result<f64, AnyError> {
    let (mut sum, mut counted) = (0.0, 0);
    for Answer { query, known, found } in answers {
        let mut truth = ids(load.docs, &load.set.queries[*query], true)?;
        truth.retain(|id| id < known);
        let right = truth.iter().filter(|id| found.contains(id)).count();
        if !truth.is_empty() {
            sum += right as f64 / truth.len() as f64;
            counted += 1;
        }
    }
    Ok(sum / f64::from(counted.max(1)))
}
