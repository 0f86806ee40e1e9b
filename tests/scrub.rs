//! The scrub finds what a disk did to segments in use, takes it out of use, has it made again where it
//! can be, and is in nobody's way.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::json;
use vecstore::simulation::{OnReached, open_probed};
use vecstore::{
    Collection, CollectionStats, Database, ErrorKind, Hit, IndexOption, Metric, Options, Record,
};
use vecstore_tests::segment_file::{self, CHECKSUMS, DERIVED, END_BYTES, flip};
use vecstore_tests::{Contents, Random, everything};

const DIM: usize = 96;
/// Enough for an index.
const ROWS: u64 = 2_100;
const BEGINS: &str = "scrub: a pass begins";
const BETWEEN: &str = "scrub: between two pieces";
const BUILT: &str = "install: built";

fn options() -> Options {
    Options { threads: 1, scrub_bytes_per_s: u64::MAX, ..Options::default() }
}

/// Moments at which a database waits until it may go on.
#[derive(Default)]
struct Gates {
    /// Those that are shut, and those at which somebody waits.
    state: Mutex<(BTreeSet<&'static str>, BTreeSet<String>)>,
    changed: Condvar,
}

impl Gates {
    fn shut(moments: &[&'static str]) -> Arc<Self> {
        let gates = Gates::default();
        gates.state.lock().0.extend(moments);
        Arc::new(gates)
    }

    fn on_reached(self: &Arc<Self>) -> Arc<OnReached> {
        let gates = Arc::clone(self);
        Arc::new(move |moment: &str| {
            let mut state = gates.state.lock();
            while state.0.contains(moment) {
                state.1.insert(moment.to_owned());
                gates.changed.notify_all();
                gates.changed.wait(&mut state);
            }
        })
    }

    /// Waits until somebody has come to a moment that is shut.
    fn wait_for(&self, moment: &str) {
        let mut state = self.state.lock();
        while !state.1.contains(moment) {
            let waited = self.changed.wait_for(&mut state, Duration::from_secs(60));
            assert!(!waited.timed_out(), "nobody comes to `{moment}`");
        }
    }

    fn open(&self, moment: &str) {
        self.state.lock().0.remove(moment);
        self.changed.notify_all();
    }

    /// Opens all of them when what this gives is dropped: a test that fails closes its database,
    /// which waits for whoever is at a gate.
    fn at_the_end(&self) -> impl Drop {
        struct Open<'a>(&'a Gates);
        impl Drop for Open<'_> {
            fn drop(&mut self) {
                self.0.state.lock().0.clear();
                self.0.changed.notify_all();
            }
        }
        Open(self)
    }
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn fill(db: &Database, index: IndexOption) -> Collection {
    let collection = Collection::options(DIM, Metric::Euclidean).index(index);
    let docs = db.create_collection(index.name(), collection).unwrap();
    let mut random = Random::new(3);
    let record = |n: u64, random: &mut Random| {
        Record::new(format!("record {n}"), random.vector(DIM))
            .metadata(json!({"n": n, "text": format!("text of {}", n % 7)}))
    };
    docs.batch_upsert((0..ROWS).map(|n| record(n, &mut random)).collect()).unwrap();
    let other = docs.namespace("other").unwrap();
    other.batch_upsert((0..50).map(|n| record(n, &mut random)).collect()).unwrap();
    docs.flush().unwrap();
    docs
}

/// The only segment's file and numbers.
fn segment(dir: &Path, docs: &Collection) -> (PathBuf, CollectionStats) {
    let stats = docs.stats().unwrap();
    assert_eq!(stats.segments.len(), 1, "{stats:?}");
    (dir.join("seg").join(format!("{:012}.seg", stats.segments[0].id)), stats)
}

/// What is read of a collection: every block of every section is looked at.
#[derive(PartialEq)]
struct Answers {
    contents: Contents,
    /// And whether that is all there is.
    hits: Vec<(Vec<Hit>, bool)>,
    found: usize,
}

fn answers(docs: &Collection) -> vecstore::Result<Answers> {
    let mut random = Random::new(9);
    let mut hits = Vec::new();
    for _ in 0..4 {
        let vector = random.vector(DIM);
        let found = docs.query(&vector).k(20).exact().run()?;
        hits.push((found.hits, found.complete));
        // Of these only that they are read: which rows an index finds is not what is asked here.
        docs.query(&vector).run()?;
        docs.query(&vector).filter("n < 1000 AND text = 'text of 3'").run()?;
    }
    let ids = (0..ROWS).map(|n| format!("record {n}"));
    let found = ids.map(|id| docs.get(id)).collect::<vecstore::Result<Vec<_>>>()?;
    let found = found.into_iter().flatten().count() + docs.count(Some("n < 1000"))? as usize;
    Ok(Answers { contents: everything(docs)?, hits, found })
}

/// One flip in the middle of each section, and in header, contents table and footer.
fn places(path: &Path) -> Vec<(String, u32, usize)> {
    let file = std::fs::read(path).unwrap();
    let sections = segment_file::sections(&file).into_iter();
    let mut places: Vec<_> = sections
        .map(|(kind, range)| (format!("section {kind}"), kind, range.start + range.len() / 2))
        .collect();
    places.push(("header".to_owned(), 0, 20));
    places.push(("contents".to_owned(), 0, segment_file::contents(&file).start + 9));
    places.push(("footer".to_owned(), 0, file.len() - END_BYTES + 17));
    places
}

#[test]
fn a_flip_is_found_in_every_section_and_made_good_where_it_can_be() {
    let dir = tempfile::tempdir().unwrap();
    let off = Options { scrub_bytes_per_s: 0, ..options() };
    let expected = [IndexOption::Graph, IndexOption::Clusters].map(|index| {
        let db = Database::open_with(dir.path(), off.clone()).unwrap();
        let docs = fill(&db, index);
        (index, answers(&docs).unwrap())
    });
    let (mut rewritten, mut lost, mut named) = (0, 0, 0);
    for (index, right) in &expected {
        let db = Database::open_with(dir.path(), off.clone()).unwrap();
        let (path, _) = segment(dir.path(), &db.collection(index.name()).unwrap());
        drop(db);
        let count = places(&path).len();
        for number in 0..count {
            let gates = Gates::shut(&[BEGINS, BUILT]);
            let db = open_probed(dir.path(), options(), gates.on_reached()).unwrap();
            let _opened = gates.at_the_end();
            let docs = db.collection(index.name()).unwrap();
            let (path, before) = segment(dir.path(), &docs);
            let (place, kind, at) = places(&path)[number].clone();
            gates.wait_for(BEGINS);
            // Everything was found good before the disk forgets it.
            assert!(&answers(&docs).unwrap() == right, "{index} {place}");
            flip(&path, at, 1 << (at % 8));
            gates.open(BEGINS);
            let is_lost = (2..DERIVED.start).contains(&kind);
            if is_lost {
                until("a pass ends", || db.stats().unwrap().scrub.passes == 1);
            } else {
                gates.wait_for(BUILT);
            }
            let (_, stats) = segment(dir.path(), &docs);
            let scrub = db.stats().unwrap().scrub;
            assert_eq!(scrub.damaged, 1, "{index} {place}: {scrub:?}");
            let found = &stats.segments[0];
            let lines = if DERIVED.contains(&kind) { &found.degraded } else { &found.damage };
            let about = if kind == 0 || kind == CHECKSUMS { "the head" } else { "section " };
            assert!(lines[0].starts_with(about), "{index} {place}: {found:?}");
            let verified = db.verify();
            assert!(!verified.is_ok_and(|r| r.problems.is_empty()), "{index} {place}");
            if is_lost {
                match answers(&docs) {
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Corrupt, "{index} {place}: {error}");
                        named += 1;
                    }
                    // Where metadata lies was in memory already.
                    Ok(found) => assert!(kind == 7 && &found == right, "{index} {place}"),
                }
                assert_eq!(found.id, before.segments[0].id);
                assert_eq!(stats.trouble, None);
                drop((docs, db));
                flip(&path, at, 1 << (at % 8));
                lost += 1;
                continue;
            }
            // What is damaged is not used: the answers stay right, and a new file takes its place.
            assert!(&answers(&docs).unwrap() == right, "{index} {place}");
            gates.open(BUILT);
            let id = before.segments[0].id;
            until("the segment is written anew", || docs.stats().unwrap().segments[0].id != id);
            let (_, stats) = segment(dir.path(), &docs);
            let segment = &stats.segments[0];
            assert_eq!((segment.degraded.len(), segment.damage.len()), (0, 0), "{index} {place}");
            assert!(&answers(&docs).unwrap() == right, "{index} {place}, made good");
            assert_eq!(db.verify().unwrap().problems, Vec::<String>::new(), "{index} {place}");
            rewritten += 1;
        }
    }
    println!("{rewritten} flips made good, {lost} in records told, {named} of them to readers");
    assert!(rewritten > 24 && (lost, named) == (12, 10), "{rewritten} {lost} {named}");
}

#[test]
fn optimize_makes_good_what_was_found() {
    let dir = tempfile::tempdir().unwrap();
    let gates = Gates::shut(&[BEGINS]);
    let options = Options { background_merge: false, ..options() };
    let db = open_probed(dir.path(), options, gates.on_reached()).unwrap();
    let _opened = gates.at_the_end();
    let docs = fill(&db, IndexOption::Clusters);
    let right = answers(&docs).unwrap();
    let (path, before) = segment(dir.path(), &docs);
    let (_, _, at) =
        places(&path).into_iter().find(|(_, kind, _)| *kind == DERIVED.start + 1).unwrap();
    flip(&path, at, 1);
    gates.open(BEGINS);
    until("a pass ends", || db.stats().unwrap().scrub.passes == 1);
    let (_, stats) = segment(dir.path(), &docs);
    assert_eq!(stats.segments[0].id, before.segments[0].id, "nothing merges here by itself");
    assert_eq!(stats.segments[0].degraded.len(), 1);
    docs.optimize().unwrap();
    let (_, stats) = segment(dir.path(), &docs);
    assert_ne!(stats.segments[0].id, before.segments[0].id);
    assert_eq!(stats.segments[0].degraded.len(), 0);
    assert!(answers(&docs).unwrap() == right);
}

/// Files of this process, also those whose name is gone.
#[cfg(target_os = "linux")]
fn open_segments() -> Vec<String> {
    let targets = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let open = targets.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let open = open.map(|target| target.display().to_string());
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mapped =
        maps.lines().filter_map(|line| line.split_once('/').map(|(_, path)| path.to_owned()));
    open.chain(mapped).filter(|path| path.contains(".seg")).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn a_segment_goes_under_the_scrub() {
    let dir = tempfile::tempdir().unwrap();
    let gates = Gates::shut(&[BEGINS, BETWEEN]);
    let options = Options { background_merge: false, ..options() };
    let db = open_probed(dir.path(), options, gates.on_reached()).unwrap();
    let _opened = gates.at_the_end();
    let docs = fill(&db, IndexOption::Clusters);
    let (path, _) = segment(dir.path(), &docs);
    gates.wait_for(BEGINS);
    gates.open(BEGINS);
    gates.wait_for(BETWEEN);
    // It is in the middle of the segment, and holds nothing that anybody waits for.
    docs.remove("record 7").unwrap();
    docs.optimize().unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let place = dir.path().to_str().unwrap().to_owned();
    assert!(!path.exists());
    let held: Vec<_> = open_segments()
        .into_iter()
        .filter(|path| path.contains(place.trim_start_matches('/')) && path.contains(name))
        .collect();
    assert_eq!(held, Vec::<String>::new(), "the space of the file is not given back");
    gates.open(BETWEEN);
    until("a pass ends", || db.stats().unwrap().scrub.passes == 1);
    let stats = db.stats().unwrap();
    assert_eq!((stats.scrub.damaged, &stats.collections[0].trouble), (0, &None));
}

#[test]
fn it_runs_beside_everything_else_without_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = 0;
    // Each open begins a pass, in the middle of flushes, merges and drops.
    for round in 0..8_u64 {
        let options =
            Options { memtable_bytes_max: 1 << 16, scrub_bytes_per_s: 4 << 20, ..options() };
        let db = Database::open_with(dir.path(), options).unwrap();
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                until("passes end", || db.stats().unwrap().scrub.passes > 0);
                ended.store(true, Ordering::Release);
            });
            for n in 0.. {
                if n > 2 && ended.load(Ordering::Acquire) {
                    break;
                }
                let name = format!("c{}", n % 2);
                if n % 5 == 4 {
                    db.drop_collection(&name).unwrap();
                }
                let docs = db.collection(&name).or_else(|_| {
                    db.create_collection(&name, Collection::options(DIM, Metric::Dot))
                });
                let docs = docs.unwrap();
                let mut random = Random::new(round << 8 | n);
                let record = |id: u64, random: &mut Random| Record::new(id, random.vector(DIM));
                docs.batch_upsert((0..300).map(|id| record(id, &mut random)).collect()).unwrap();
                docs.optimize().unwrap();
            }
        });
        let stats = db.stats().unwrap();
        assert_eq!(stats.scrub.damaged, 0);
        assert!(stats.collections.iter().all(|c| c.trouble.is_none()), "{:?}", stats.collections);
        bytes += stats.scrub.bytes;
    }
    println!("{bytes} bytes compared");
    assert!(bytes > 0, "nothing was scrubbed: the test shows nothing");
}

#[test]
fn it_keeps_its_pace_and_stops_at_once() {
    let dir = tempfile::tempdir().unwrap();
    drop(fill(&Database::open_with(dir.path(), options()).unwrap(), IndexOption::Clusters));
    let open = |bytes_per_s| {
        let options = Options { scrub_bytes_per_s: bytes_per_s, ..options() };
        let db = Database::open_with(dir.path(), options).unwrap();
        assert_eq!(db.stats().unwrap().scrub.bytes_per_s, bytes_per_s);
        db
    };
    // Off, and long before the first piece is due.
    for bytes_per_s in [0, 1] {
        let db = open(bytes_per_s);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(db.stats().unwrap().scrub.bytes, 0);
        let began = Instant::now();
        db.close().unwrap();
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
    // The first megabyte may be read after half a second.
    let began = Instant::now();
    let db = open(2 << 20);
    until("something is read", || db.stats().unwrap().scrub.bytes > 0);
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    drop(db);
    let db = Database::in_memory_with(options()).unwrap();
    assert_eq!(db.stats().unwrap().scrub.bytes_per_s, 0, "there is no disk");
}

#[test]
fn verify_goes_on_after_a_segment_that_would_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let off = Options { scrub_bytes_per_s: 0, ..options() };
    let db = Database::open_with(dir.path(), off).unwrap();
    let mut files = Vec::new();
    for index in IndexOption::ALL {
        let docs = fill(&db, index);
        files.push(segment(dir.path(), &docs).0);
    }
    let whole = db.verify().unwrap();
    assert_eq!((whole.segments, whole.problems), (3, vec![]));
    // The head of one, a record of another; and a third that is gone.
    flip(&files[0], 9, 1);
    let records = segment_file::sections(&std::fs::read(&files[1]).unwrap());
    let at = records.iter().find(|(kind, _)| *kind == 5).unwrap().1.start;
    flip(&files[1], at, 1);
    std::fs::remove_file(&files[2]).unwrap();
    let report = db.verify().unwrap();
    assert_eq!((report.segments, report.problems.len()), (3, 3), "{report:?}");
    let named = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_str().unwrap();
        report.problems.iter().filter(|problem| problem.contains(name)).count()
    };
    assert_eq!(files.iter().map(named).collect::<Vec<_>>(), [1, 1, 1], "{report:?}");
}
