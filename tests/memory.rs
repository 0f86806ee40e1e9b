//! What a database says it holds in memory, against what it has allocated; and its limit.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::json;
use vecstore::simulation::open_probed;
use vecstore::{
    Collection, CollectionOptions, Database, ErrorKind, IndexOption, Memory, Metric, Options,
    Record,
};
use vecstore_tests::Random;

const MIB: i64 = 1 << 20;

/// The system's allocator, which counts what is allocated now, and the most that ever was.
struct Counting;

static HELD: AtomicI64 = AtomicI64::new(0);
static MOST: AtomicI64 = AtomicI64::new(0);

/// With what the allocator keeps beside it.
fn size(layout: Layout) -> i64 {
    (layout.size() + 8).next_multiple_of(16).max(32) as i64
}

fn add(bytes: i64) {
    let now = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: every call is passed on to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(size(layout));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        add(-size(layout));
        // SAFETY: the caller keeps the contract of `dealloc`; the pointer is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test and no other in this process: what it allocates is measured.
#[test]
fn what_is_held_is_counted_and_has_a_limit() {
    counted("vectors alone", 96, 30_000, |n| Record::new(n, []), "");
    counted(
        "much metadata",
        4,
        8_000,
        |n| {
            Record::new(format!("record {n}"), []).metadata(json!({"n": n, "text": text(n, 2_000)}))
        },
        "",
    );
    counted(
        "many namespaces",
        16,
        15_000,
        |n| Record::new(n, []).metadata(json!({"n": n})),
        "tenant",
    );
    counted("the same records again and again", 64, 30_000, |n| Record::new(n % 2_000, []), "");
    in_memory();
    limited("metadata", 4, 40_000, |n| json!({"n": n, "text": text(n, 4_000)}));
    limited("vectors", 96, 60_000, |n| json!({"n": n}));
    slowed_down();
    full();
}

fn text(n: u64, bytes: usize) -> String {
    let mut random = Random::new(n);
    (0..bytes).map(|_| char::from(b'a' + (random.number() >> 60) as u8)).collect()
}

/// Unflushed for as long as the test wants, and nothing else allocates.
fn options() -> Options {
    Options {
        memtable_bytes_max: 1 << 30,
        background_merge: false,
        scrub_bytes_per_s: 0,
        threads: 2,
        ..Options::default()
    }
}

fn graphs(dim: usize) -> CollectionOptions {
    Collection::options(dim, Metric::Euclidean).index(IndexOption::Graph)
}

fn collection(db: &Database, dim: usize) -> Collection {
    db.create_collection("docs", graphs(dim)).unwrap()
}

/// What is allocated and said to be, beyond what was before.
struct Since {
    held: i64,
    said: i64,
}

impl Since {
    fn now(db: &Database) -> Self {
        // What runs in the background for the log is over by then.
        std::thread::sleep(Duration::from_millis(300));
        Since { held: HELD.load(Ordering::Relaxed), said: db.memory().unwrap().total as i64 }
    }

    /// Within a tenth, and a mebibyte for buffers of single calls.
    fn check(&self, db: &Database, what: &str) -> Memory {
        let now = Since::now(db);
        let (held, said) = (now.held - self.held, now.said - self.said);
        let memory = db.memory().unwrap();
        println!("{what}: {} KiB allocated, {} KiB said", held >> 10, said >> 10);
        assert!(
            (said - held).abs() <= held.abs() / 10 + MIB,
            "{what}: {said} of {held}: {memory:?}"
        );
        memory
    }
}

/// Writes records, looks at them, seals and merges them; after each step what is said is right.
fn counted(what: &str, dim: usize, rows: u64, record: impl Fn(u64) -> Record, namespaces: &str) {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open_with(dir.path(), options()).unwrap();
    let docs = collection(&db, dim);
    let mut random = Random::new(1);
    let fill = |rows: std::ops::Range<u64>, random: &mut Random| {
        for first in rows.clone().step_by(500) {
            let records = (first..rows.end.min(first + 500)).map(|n| {
                let mut record = record(n);
                record.vector = random.vector(dim);
                record
            });
            let docs = match namespaces {
                "" => docs.clone(),
                name => docs.namespace(&format!("{name} {}", first / 500 % 3_000)).unwrap(),
            };
            docs.batch_upsert(records.collect()).unwrap();
        }
    };
    // What every process has once it has written something.
    fill(0..500, &mut random);
    let since = Since::now(&db);
    if namespaces.is_empty() {
        fill(500..rows, &mut random);
    } else {
        for n in 0..rows {
            let docs = docs.namespace(&format!("{namespaces} {}", n % 3_000)).unwrap();
            let mut record = record(n);
            record.vector = random.vector(dim);
            docs.upsert(record).unwrap();
        }
    }
    let memory = since.check(&db, what);
    assert!(memory.memtable_rows > 1 << 20 && memory.log > 0, "{memory:?}");
    assert_eq!((memory.memtable_graphs, memory.memtable_fields, memory.mapped), (0, 0, 0));

    let query = vec![0.5; dim];
    if namespaces.is_empty() && rows == 30_000 {
        let deadline = Instant::now() + Duration::from_secs(120);
        let is_made = || {
            docs.query(&query).filter("n < 900").run().unwrap();
            docs.query(&query).run().unwrap();
            let memory = db.memory().unwrap();
            memory.memtable_graphs > 1 << 20
        };
        while !is_made() {
            assert!(Instant::now() < deadline, "{:?}", db.memory().unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
        let began = db.memory().unwrap();
        let grown = |m: &Memory| m.memtable_graphs + m.memtable_fields;
        let mut last = began;
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let now = db.memory().unwrap();
            if grown(&now) == grown(&last) {
                break;
            }
            last = now;
        }
        let memory = since.check(&db, &format!("{what}, with graph and fields"));
        assert!(memory.memtable_fields > 0, "{memory:?}");
    }

    // A reader that goes on keeps what it reads of.
    let pages = docs.scroll().limit(10).pages().unwrap();
    docs.flush().unwrap();
    let kept = db.memory().unwrap();
    assert!(kept.memtable_rows > 1 << 20, "{what}, read: {kept:?}");
    drop(pages);
    let flushed = since.check(&db, &format!("{what}, flushed"));
    assert!(flushed.memtable_rows < 64 << 10, "{flushed:?}");
    assert_eq!((flushed.memtable_graphs, flushed.memtable_fields), (0, 0));
    assert!(flushed.mapped > 1 << 18 && flushed.segment_files == 0, "{flushed:?}");
    assert_eq!(db.stats().unwrap().memory.mapped, flushed.mapped);

    // An order of all records, and some that are gone.
    let ordered = if namespaces.is_empty() { docs } else { docs.namespace("tenant 7").unwrap() };
    ordered.query(&query).run().unwrap();
    let first = ordered.scroll().limit(1_000).order_by("n").run().unwrap();
    let gone: Vec<_> = first.records.into_iter().map(|record| record.id).collect();
    assert!(ordered.remove_many(&gone).unwrap() > 0);
    drop(gone);
    let read = since.check(&db, &format!("{what}, read and removed from"));
    assert!(read.segment_orders > 0 && read.segment_heads > 0, "{read:?}");
    assert!(read.deletions > 0, "{read:?}");
    db.optimize().unwrap();
    let merged = since.check(&db, &format!("{what}, merged"));
    assert!(merged.deletions < read.deletions && merged.segment_orders == 0, "{merged:?}");
}

fn in_memory() {
    let db = Database::in_memory_with(options()).unwrap();
    let docs = collection(&db, 32);
    let mut random = Random::new(2);
    let mut fill = |ids: std::ops::Range<u64>| {
        for first in ids.step_by(500) {
            let record = |n| Record::new(n, random.vector(32)).metadata(json!({"n": n}));
            docs.batch_upsert((first..first + 500).map(record).collect()).unwrap();
        }
    };
    fill(0..500);
    let since = Since::now(&db);
    fill(500..20_000);
    let memory = since.check(&db, "a database in memory");
    assert!(memory.log > 1 << 20, "{memory:?}");
    docs.flush().unwrap();
    let memory = since.check(&db, "a database in memory, flushed");
    assert!(memory.segment_files > 1 << 20 && memory.mapped == 0, "{memory:?}");
    assert!(memory.log < 1 << 20, "{memory:?}");
}

const LIMIT: u64 = 64 << 20;
/// What is beside the limit: records that callers hold, threads, and pages of the log's tables.
const SLACK: i64 = 8 * MIB;

/// Several writers push more than fits into several collections: nobody flushes but the limit.
fn limited(what: &str, dim: usize, rows: u64, metadata: impl Fn(u64) -> serde_json::Value + Sync) {
    let dir = tempfile::tempdir().unwrap();
    let before = HELD.load(Ordering::Relaxed);
    let options =
        Options { memory_limit: Some(LIMIT), busy_timeout: Duration::from_secs(600), ..options() };
    let db = Database::open_with(dir.path(), options).unwrap();
    let all: Vec<Collection> =
        (0..3).map(|n| db.create_collection(&format!("docs-{n}"), graphs(dim)).unwrap()).collect();
    let next = AtomicU64::new(0);
    let said = AtomicU64::new(0);
    MOST.store(HELD.load(Ordering::Relaxed), Ordering::Relaxed);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (all, next, said, db, metadata) = (&all, &next, &said, &db, &metadata);
            scope.spawn(move || {
                let mut random = Random::new(writer);
                loop {
                    let first = next.fetch_add(50, Ordering::Relaxed);
                    if first >= rows {
                        break;
                    }
                    let record = |n| Record::new(n, random.vector(dim)).metadata(metadata(n));
                    let docs = &all[(first / 50 % 3) as usize];
                    docs.batch_upsert((first..first + 50).map(record).collect()).unwrap();
                    let memory = db.memory().unwrap();
                    let for_writes = memory.memtable_rows + memory.log;
                    said.fetch_max(for_writes, Ordering::Relaxed);
                }
            });
        }
    });
    let most = MOST.load(Ordering::Relaxed) - before;
    let said = said.load(Ordering::Relaxed);
    println!(
        "{what}: at most {} MiB allocated, {} MiB said, of {}; {:.1} s",
        most / MIB,
        said >> 20,
        LIMIT >> 20,
        began.elapsed().as_secs_f64()
    );
    assert!(most <= LIMIT as i64 + SLACK, "{most}");
    assert!(said <= LIMIT && said > LIMIT / 3, "{said}: over the limit, or never near it");
    let segments: usize = all.iter().map(|docs| docs.stats().unwrap().segments.len()).sum();
    assert!((3..60).contains(&segments), "{segments} segments");
    let records: u64 = all.iter().map(|docs| docs.count(None).unwrap()).sum();
    assert_eq!(records, rows);
}

/// Flushes stand still until this is opened.
#[derive(Clone, Debug, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }

    /// A database and its gate, which is dropped first: an assertion that fails ends the test, and
    /// not in a database that waits for a flush to close.
    fn database(dir: &Path, options: Options) -> (Database, Gate) {
        let gate = Gate::default();
        let flush = gate.clone();
        let wait = move |moment: &str| {
            let mut is_open = flush.0.0.lock();
            while !*is_open && moment == "install: built" {
                flush.0.1.wait(&mut is_open);
            }
        };
        (open_probed(dir, options, Arc::new(wait)).unwrap(), gate)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

/// Without a limit: while three memtables wait, writes are slowed down as the fourth fills.
fn slowed_down() {
    const TABLE: usize = 4 << 20;
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        memtable_bytes_max: TABLE,
        busy_timeout: Duration::from_millis(300),
        ..options()
    };
    let (db, gate) = Gate::database(dir.path(), options);
    let docs = collection(&db, 2);
    let mut took = Vec::new();
    let error = loop {
        let n = took.len() as u64;
        let record = Record::new(n, [0.0, 1.0]).metadata(json!({"text": text(n, 8_000)}));
        let began = Instant::now();
        match docs.upsert(record) {
            Ok(_) => took.push(began.elapsed()),
            Err(error) => break error,
        }
        assert!(took.len() < 10_000, "nobody was held back");
    };
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert!(error.to_string().contains("4 memtables wait"), "{error}");
    // Nothing was flushed yet, so 32 MiB a second are expected: a quarter of the fourth memtable takes
    // at least 1/32 s, times twice what is full of it on the way, times the three that may be on theirs.
    let table = took.len() / 4;
    let last = took[table * 15 / 4..4 * table].iter().sum::<Duration>().as_secs_f64();
    println!("the last quarter of a memtable: {last:.3} s");
    assert!(last > 0.9 * 3.0 * 1.75 / 32.0, "{last}");
    gate.open();
    docs.flush().unwrap();
    assert_eq!(docs.count(None).unwrap(), took.len() as u64);
}

/// No segment is finished: there is no room, and no way to make some.
fn full() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        memory_limit: Some(LIMIT),
        busy_timeout: Duration::from_millis(300),
        ..options()
    };
    let (db, gate) = Gate::database(dir.path(), options);
    let docs = collection(&db, 2);
    let record = |n: u64| Record::new(n, [n as f32, 1.0]).metadata(json!({"text": text(n, 8_000)}));
    let error = docs.batch_upsert((0..3_000).map(record).collect()).unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::InvalidArgument, Some("records")));
    assert!(error.to_string().contains("at most 16777216 are allowed"), "{error}");
    let mut written = 0;
    let error = loop {
        match docs.batch_upsert((written..written + 20).map(record).collect()) {
            Ok(_) => written += 20,
            Err(error) => break error,
        }
        assert!(written < 20_000, "no limit was met");
    };
    let memory = db.memory().unwrap();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert!(error.to_string().contains("64 MiB are allowed (`memory_limit`)"), "{error}");
    assert!(memory.total <= LIMIT && memory.total > LIMIT / 2, "{memory:?}");
    // What needs no room goes on.
    assert!(docs.remove(written - 1).unwrap());
    assert_eq!(docs.query(&[7.0, 1.0]).k(1).run().unwrap().hits[0].id, 7.into());
    assert_eq!(docs.count(None).unwrap(), written - 1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            db.flush().unwrap();
            db.optimize().unwrap();
            done.store(true, Ordering::Release);
        });
        std::thread::sleep(Duration::from_millis(100));
        let is_done = done.load(Ordering::Acquire);
        gate.open();
        assert!(!is_done);
    });
    docs.batch_upsert((written..written + 20).map(record).collect()).unwrap();
    // A change of many records is written in parts that fit.
    let before = db.stats().unwrap().seq;
    let updated = docs.select(None).update(json!({"seen": true})).unwrap();
    assert_eq!(updated, written + 19);
    assert!(db.stats().unwrap().seq > before + written / 1_024 + 1, "in parts of a quarter");
}
