//! Optimize: fewer segments, no dead rows, disk returned, the same answers; beside reads and
//! writes.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use vecstore::{Collection, Database, IndexOption, Metric, Options, Record};
use vecstore_tests::{Random, disk_bytes, everything, wordnet};

const DIM: usize = 32;

fn open(dir: &std::path::Path) -> (Database, Collection) {
    let options =
        Options { memtable_bytes_max: 256 << 10, background_merge: false, ..Options::default() };
    let db = Database::open_with(dir, options).unwrap();
    let docs = db.create_collection("docs", Collection::options(DIM, Metric::Euclidean)).unwrap();
    (db, docs)
}

fn fill(docs: &Collection, ids: std::ops::Range<u64>, random: &mut Random) {
    let ids: Vec<u64> = ids.collect();
    for some in ids.chunks(200) {
        let record = |&id: &u64, random: &mut Random| {
            Record::new(id, random.vector(DIM)).metadata(json!({"n": id}))
        };
        docs.batch_upsert(some.iter().map(|id| record(id, random)).collect()).unwrap();
    }
}

/// Memtables that are sealed while another becomes a segment become one segment after it, with the newest
/// version of each record, namespace by namespace.
#[test]
fn memtables_that_wait_become_one_segment() {
    let dir = tempfile::tempdir().unwrap();
    let (db, docs) = open(dir.path());
    let other = docs.namespace("other").unwrap();
    let mut random = Random::new(3);
    fill(&docs, 0..200, &mut random);
    let mut random_later = Random::new(4);
    let mut later = Some(|| {
        for part in 0..3 {
            // Two memtables and a part of a third.
            fill(&docs, part * 100..part * 100 + 700, &mut random_later);
            fill(&other, 0..250, &mut random_later);
            docs.remove(part).unwrap();
        }
    });
    docs.flush_with(&mut |_| {
        if let Some(mut write) = later.take() {
            write();
        }
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    docs.flush().unwrap();
    let all = |docs: &Collection, other: &Collection| {
        (everything(docs).unwrap(), everything(other).unwrap())
    };
    let before = all(&docs, &other);
    assert_eq!((before.0.len(), before.1.len()), (897, 250));
    let segments = docs.stats().unwrap().segments;
    let live: Vec<u64> = segments.iter().map(|segment| segment.rows - segment.deleted).collect();
    assert!(live.len() <= 3, "{live:?}: memtables became segments of their own");
    assert_eq!(live.iter().sum::<u64>(), 897 + 250);
    drop((docs, other, db));
    let db = Database::open(dir.path()).unwrap();
    let docs = db.collection("docs").unwrap();
    let other = docs.namespace("other").unwrap();
    assert_eq!(all(&docs, &other), before);
    assert!(db.verify().unwrap().problems.is_empty());
}

/// Optimize says how the graph came about, and it is not built where it can be merged.
#[test]
fn graphs_are_merged() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { background_merge: false, ..Options::default() };
    let db = Database::open_with(dir.path(), options).unwrap();
    let docs = db
        .create_collection(
            "docs",
            Collection::options(DIM, Metric::Euclidean).index(IndexOption::Graph),
        )
        .unwrap();
    let mut random = Random::new(7);
    for part in 0..2 {
        fill(&docs, part * 3_000..(part + 1) * 3_000, &mut random);
        docs.flush().unwrap();
    }
    let graphs = || -> Vec<String> {
        let segments = docs.stats().unwrap().segments;
        segments.into_iter().map(|segment| segment.indexes[""].clone()).collect()
    };
    assert_eq!(graphs(), ["graph, built", "graph, built"]);
    docs.remove_where("n < 300").unwrap();
    docs.optimize().unwrap();
    assert_eq!(graphs(), ["graph, merged from 2"]);
    let (mut found, queries) = (0, 50);
    for _ in 0..queries {
        let query = random.vector(DIM);
        let ids =
            |hits: Vec<vecstore::Hit>| -> Vec<_> { hits.into_iter().map(|hit| hit.id).collect() };
        let exact = ids(docs.query(&query).exact().run().unwrap().hits);
        let near = ids(docs.query(&query).recall(0.95).run().unwrap().hits);
        found += near.iter().filter(|id| exact.contains(id)).count();
    }
    assert!(found * 100 >= queries * 10 * 93, "{found} of {}", queries * 10);
}

/// Both kinds of index are made and measured for the first segment of a namespace; later ones get the
/// kind that is there, as long as there are not many more rows than were measured.
#[test]
fn a_flush_keeps_the_kind_of_index_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { background_merge: false, ..Options::default() };
    let db = Database::open_with(dir.path(), options).unwrap();
    let docs = db.create_collection("docs", Collection::options(DIM, Metric::Euclidean)).unwrap();
    let other = docs.namespace("other").unwrap();
    let mut random = Random::new(9);
    let indexes = |namespace: &str| -> Vec<String> {
        let segments = docs.stats().unwrap().segments;
        segments.iter().filter_map(|segment| segment.indexes.get(namespace).cloned()).collect()
    };
    let is_measured = |index: &String| index.contains(" µs a query");
    let is_taken_over = |index: &String| index.contains("(measured over 2500 rows)");

    fill(&docs, 0..2_500, &mut random);
    docs.flush().unwrap();
    fill(&docs, 2_500..5_000, &mut random);
    fill(&other, 0..2_500, &mut random);
    docs.flush().unwrap();
    let [first, second] = &indexes("")[..] else { panic!("{:?}", indexes("")) };
    assert!(is_measured(first) && !is_taken_over(first), "{first}");
    assert!(is_taken_over(second), "{second}");
    let kind = |index: &str| index.split([',', ';']).next().unwrap().to_owned();
    assert_eq!(kind(first), kind(second));
    let [of_other] = &indexes("other")[..] else { panic!("{:?}", indexes("other")) };
    assert!(is_measured(of_other) && !is_taken_over(of_other), "of another namespace: {of_other}");
}

#[test]
fn dead_rows_and_segments_go_and_answers_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, docs) = open(dir.path());
    let mut random = Random::new(1);
    for ids in [0..2_000, 2_000..4_000, 4_000..6_000, 0..3_000] {
        fill(&docs, ids, &mut random);
        docs.flush().unwrap();
    }
    docs.remove_where("n >= 4000").unwrap();
    let before = docs.stats().unwrap();
    assert!(before.segments.len() > 3, "{before:?}");
    let contents = everything(&docs).unwrap();
    assert_eq!(contents.len(), 4_000);
    let queries: Vec<Vec<f32>> = (0..20).map(|_| random.vector(DIM)).collect();
    let answers = || -> Vec<_> {
        queries.iter().map(|q| docs.query(q).exact().run().unwrap().hits).collect()
    };
    let answers_before = answers();

    let report = docs.optimize().unwrap();

    assert_eq!(report.segments_before, before.segments.len());
    assert_eq!(report.segments_after, 1);
    assert_eq!(report.rows_dropped, 5_000);
    assert!(report.bytes_after < report.bytes_before, "{report:?}");
    assert!(report.seconds > 0.0);
    let after = docs.stats().unwrap();
    assert_eq!((after.segments[0].rows, after.segments[0].deleted), (4_000, 0));
    assert_eq!(everything(&docs).unwrap(), contents);
    assert_eq!(answers(), answers_before);

    // Nothing to gain: nothing is done.
    let id = after.segments[0].id;
    let again = docs.optimize().unwrap();
    assert_eq!((again.segments_after, again.rows_dropped), (1, 0));
    assert_eq!(docs.stats().unwrap().segments[0].id, id);

    // All gone: no segment is left.
    docs.remove_where("n >= 0").unwrap();
    assert_eq!(docs.optimize().unwrap().segments_after, 0);
    assert_eq!(docs.count(None).unwrap(), 0);
}

#[test]
fn after_optimize_the_disk_holds_little_more_than_the_live_data() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { memtable_bytes_max: 4 << 20, ..Options::default() };
    let db = Database::open_with(dir.path(), options).unwrap();
    let base = &wordnet().base;
    let docs = db.create_collection("docs", Collection::options(base.dim, Metric::Cosine)).unwrap();
    for round in 0..3 {
        for rows in (0..base.vectors.len()).collect::<Vec<_>>().chunks(1_000) {
            docs.batch_upsert(rows.iter().map(|&row| base.record(row)).collect()).unwrap();
        }
        if round == 1 {
            docs.remove_where("pos = 'n'").unwrap();
        }
    }
    docs.remove_where("pos = 'n'").unwrap();
    let report = db.optimize().unwrap();
    let live = docs.stats().unwrap().segments.iter().map(|s| s.bytes).sum::<u64>();
    let disk = disk_bytes(dir.path());
    let ratio = disk as f64 / live as f64;
    println!("{live} bytes of live data, {disk} on disk: {ratio:.2}; {report:?}");
    assert!(ratio <= 1.3, "{ratio}");
}

#[test]
fn writes_and_deletes_that_arrive_meanwhile_survive() {
    let dir = tempfile::tempdir().unwrap();
    let (db, docs) = open(dir.path());
    let mut random = Random::new(2);
    fill(&docs, 0..8_000, &mut random);
    let done = AtomicBool::new(false);
    let (written, removed) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut random = Random::new(3);
            let (mut written, mut removed) = (Vec::new(), Vec::new());
            let mut n = 0;
            // Where `optimize` takes long, not so far that what was replaced is removed.
            while n < 50 || !done.load(Ordering::Relaxed) && n < 4_000 {
                // Removes, replaces and inserts in turn.
                assert!(docs.remove(n).unwrap());
                removed.push(n);
                for id in [4_000 + n, 100_000 + n] {
                    let vector = random.vector(DIM);
                    docs.upsert(Record::new(id, vector.clone())).unwrap();
                    written.push((id, vector));
                }
                n += 1;
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            (written, removed)
        });
        let optimized: Vec<_> = (0..3).map(|_| docs.optimize()).collect();
        // Before anything is asserted: a writer that is not told to stop never ends.
        done.store(true, Ordering::Relaxed);
        let written = writer.join().unwrap();
        for report in optimized {
            report.unwrap();
        }
        written
    });
    let check = |docs: &Collection| {
        for id in &removed {
            assert_eq!(docs.get(*id).unwrap(), None, "removed record {id}");
        }
        for (id, vector) in &written {
            assert_eq!(&docs.get(*id).unwrap().unwrap().vector, vector, "record {id}");
        }
        let expected = 8_000 - removed.len() + written.len() / 2;
        assert_eq!(docs.count(None).unwrap(), expected as u64);
    };
    check(&docs);
    docs.optimize().unwrap();
    check(&docs);
    drop((docs, db));
    check(&Database::open(dir.path()).unwrap().collection("docs").unwrap());
}

#[test]
fn segments_are_merged_in_the_background() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    let docs = db.create_collection("docs", Collection::options(DIM, Metric::Euclidean)).unwrap();
    let mut random = Random::new(4);
    for part in 0..24 {
        fill(&docs, part * 500..(part + 1) * 500, &mut random);
        docs.flush().unwrap();
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let stats = docs.stats().unwrap();
        assert_eq!(stats.trouble, None);
        if stats.segments.len() < 8 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{} segments", stats.segments.len());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(docs.count(None).unwrap(), 12_000);
}

/// Removals alone fill no memory, so that no flush comes that could be what the merge waits for.
#[test]
fn removals_alone_are_enough_for_a_rewrite() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    let docs = db.create_collection("docs", Collection::options(DIM, Metric::Euclidean)).unwrap();
    fill(&docs, 0..2_000, &mut Random::new(3));
    docs.flush().unwrap();
    // The flush has woken the merge, which must have gone to sleep again.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let rows = || -> Vec<(u64, u64)> {
        let segments = docs.stats().unwrap().segments;
        segments.iter().map(|segment| (segment.rows, segment.deleted)).collect()
    };
    for id in 0..400 {
        docs.remove(id).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(rows(), [(2_000, 400)], "20 % are not too many");
    docs.remove(400).unwrap();
    let started = std::time::Instant::now();
    while rows() != [(1_599, 0)] {
        assert!(started.elapsed().as_secs() < 20, "{:?}", rows());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(docs.count(None).unwrap(), 1_599);
}

#[test]
fn an_optimize_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, docs) = open(dir.path());
    let mut random = Random::new(5);
    for ids in [0..2_000, 2_000..4_000] {
        fill(&docs, ids, &mut random);
        docs.flush().unwrap();
    }
    let segments = docs.stats().unwrap().segments;
    assert!(segments.len() > 1);
    let files = || std::fs::read_dir(dir.path().join("seg")).unwrap().count();
    let before = files();
    let error = docs.optimize_with(&mut |_| std::ops::ControlFlow::Break(())).unwrap_err();
    assert_eq!(error.kind(), vecstore::ErrorKind::Conflict, "{error}");
    assert_eq!(docs.stats().unwrap().segments, segments);
    assert_eq!(files(), before);
    assert_eq!(docs.count(None).unwrap(), 4_000);
}
