//! Rows in memory: found at once, by a graph that grows behind them, and taken over by a flush.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use vecstore::{Collection, Database, Include, IndexOption, Metric, Options, Record, RecordId};
use vecstore_tests::{Random, recall, wordnet};

const K: usize = 10;

/// A collection whose rows stay in memory until it is flushed.
fn collection() -> (Database, Collection) {
    let options = Options { memtable_bytes_max: 1 << 30, ..Options::default() };
    let db = Database::in_memory_with(options).unwrap();
    let shape = Collection::options(wordnet().base.dim, Metric::Cosine).index(IndexOption::Graph);
    let docs = db.create_collection("docs", shape).unwrap();
    (db, docs)
}

fn fill(docs: &Collection, rows: std::ops::Range<usize>) {
    docs.batch_upsert(rows.map(|row| wordnet().base.record(row)).collect()).unwrap();
}

fn ids(docs: &Collection, query: &[f32], exact: bool) -> Vec<u64> {
    let query = docs.query(query).k(K).include(Include::NOTHING);
    let found = if exact { query.exact().run() } else { query.run() };
    let number = |id: &RecordId| match *id {
        RecordId::U64(id) => id,
        ref other => panic!("unexpected id {other}"),
    };
    found.unwrap().iter().map(|hit| number(&hit.id)).collect()
}

/// Queries until all but `tail` rows are found through the graph.
fn await_graph(docs: &Collection, tail: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (_, plan) = docs.query(&wordnet().queries.vectors[0]).k(K).ef(64).explain().unwrap();
        let walked = plan.segments.iter().all(|s| s.ran.walks_graph());
        // A walk at this ef takes some hundred distances, a long tail more.
        if walked && plan.segments.iter().all(|s| s.distances < 1_500 + tail) {
            return;
        }
        assert!(Instant::now() < deadline, "nothing is linked: {plan}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Queries until what they cost stays the same: whatever was asked for is linked.
fn await_linked(docs: &Collection) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut before, mut equal) = (0, 0);
    while equal < 10 {
        let (_, plan) = docs.query(&wordnet().queries.vectors[0]).k(K).ef(64).explain().unwrap();
        let now: u64 = plan.segments.iter().map(|segment| segment.distances).sum();
        equal = if now == before { equal + 1 } else { 0 };
        before = now;
        assert!(Instant::now() < deadline, "still linking: {plan}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn mean_recall(docs: &Collection) -> f64 {
    let queries = &wordnet().queries.vectors[..100];
    let recalls = queries.iter().map(|q| recall(&ids(docs, q, true), &ids(docs, q, false)));
    recalls.sum::<f64>() / queries.len() as f64
}

#[test]
fn what_is_written_is_found_at_once_and_what_is_removed_never_again() {
    let (_db, docs) = collection();
    let base = &wordnet().base;
    fill(&docs, 0..5_000);
    await_graph(&docs, 128);
    assert!(mean_recall(&docs) >= 0.97);

    let mut random = Random::new(1);
    let mut removed = Vec::new();
    for row in 5_000..5_600 {
        docs.upsert(base.record(row)).unwrap();
        // Not always the first: a record may have been moved to the same place.
        assert!(ids(&docs, &base.vectors[row], false).contains(&(row as u64)));
        // The same record somewhere else: its old place must not be found.
        let (moved, to) = (random.below(4_000), random.below(10_000) as usize);
        docs.upsert(Record::new(moved, base.vectors[to].clone())).unwrap();
        let hits = docs.query(&base.vectors[moved as usize]).k(K).run().unwrap();
        assert_eq!(hits.len(), K);
        if let Some(hit) = hits.iter().find(|hit| hit.id == moved.into()) {
            assert!(to == moved as usize || hit.distance > 1e-4, "{moved} in its old place");
        }
        let gone = 4_000 + random.below(1_000);
        docs.remove(gone).unwrap();
        removed.push(gone);
        let found = ids(&docs, &base.vectors[gone as usize], false);
        assert!(found.iter().all(|id| !removed.contains(id)), "a removed record was found");
        assert_eq!(found.len(), K);
    }
    await_graph(&docs, 128);
    assert!(mean_recall(&docs) >= 0.97);
}

#[test]
fn few_rows_get_codes_and_are_found_as_well() {
    let (_db, docs) = collection();
    let query = &wordnet().queries.vectors[0];
    let plan = || docs.query(query).k(K).explain().unwrap().1;
    fill(&docs, 0..400);
    assert!(plan().to_string().contains("no codes"));
    fill(&docs, 400..1_500);
    let deadline = Instant::now() + Duration::from_secs(60);
    // Which scan is cheaper is the machine's to say.
    while plan().to_string().contains("no codes") {
        assert!(Instant::now() < deadline, "nothing is coded: {}", plan());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(mean_recall(&docs) >= 0.99);
    // Removed and replaced rows, and those that have no codes yet.
    docs.remove(7).unwrap();
    let far: Vec<f32> = wordnet().base.vectors[8].iter().map(|x| -x).collect();
    docs.upsert(Record::new(8, far)).unwrap();
    fill(&docs, 1_500..1_510);
    for (row, found) in [(7, 7), (8, 8)] {
        assert!(!ids(&docs, &wordnet().base.vectors[row], false).contains(&found));
    }
    for row in 1_500..1_510 {
        assert_eq!(ids(&docs, &wordnet().base.vectors[row], false)[0], row as u64);
    }
    assert!(mean_recall(&docs) >= 0.99);
}

#[test]
fn recall_is_kept_as_asked() {
    let (_db, docs) = collection();
    fill(&docs, 0..9_000);
    await_graph(&docs, 128);
    for wanted in [0.9, 0.95, 0.99] {
        let queries = &wordnet().queries.vectors;
        let recalls = queries.iter().map(|query| {
            let hits = docs.query(query).k(K).recall(wanted).run().unwrap();
            let truth = docs.query(query).k(K).exact().run().unwrap();
            let id = |hit: &vecstore::Hit| hit.id.clone();
            let found: Vec<_> = hits.iter().map(id).collect();
            recall(&truth.iter().map(id).collect::<Vec<_>>(), &found)
        });
        let mean = recalls.sum::<f64>() / queries.len() as f64;
        assert!(mean >= f64::from(wanted) - 0.01, "wanted {wanted}, found {mean}");
    }
}

#[test]
fn each_namespace_is_found_by_itself() {
    let (_db, docs) = collection();
    let base = &wordnet().base;
    let [left, right] = ["left", "right"].map(|name| docs.namespace(name).unwrap());
    // Row by row in turns, and the same ids in both.
    for start in (0..6_000).step_by(100) {
        let records = |odd: usize| {
            (start..start + 100)
                .filter(|row| row % 2 == odd)
                .map(|row| {
                    Record::new((row / 2) as u64, base.vectors[row].clone())
                        .metadata(json!({ "odd": odd }))
                })
                .collect()
        };
        left.batch_upsert(records(0)).unwrap();
        right.batch_upsert(records(1)).unwrap();
    }
    for (odd, docs) in [&left, &right].into_iter().enumerate() {
        await_graph(docs, 128);
        assert!(mean_recall(docs) >= 0.97);
        let hits = docs.query(&base.vectors[odd]).k(K).run().unwrap();
        assert_eq!(hits[0].id, 0.into());
        assert!(hits.iter().all(|hit| hit.metadata["odd"] == odd));
        assert_eq!(docs.count(None).unwrap(), 3_000);
        let filter = format!("odd = {}", 1 - odd);
        assert_eq!(docs.count(Some(&filter)).unwrap(), 0);
    }
}

#[test]
fn a_flush_takes_the_graph_over() {
    let origin = |docs: &Collection| {
        let stats = docs.stats().unwrap();
        assert_eq!(stats.segments.len(), 1);
        stats.segments[0].indexes.values().next().unwrap().clone()
    };
    let (_db, docs) = collection();
    fill(&docs, 0..5_000);
    docs.flush().unwrap();
    assert_eq!(origin(&docs), "graph, built", "nobody asked for a graph");

    let (_db, docs) = collection();
    fill(&docs, 0..5_000);
    await_graph(&docs, 128);
    fill(&docs, 5_000..5_100);
    for row in (0..5_000u64).step_by(11) {
        docs.remove(row).unwrap();
    }
    let before: Vec<_> =
        wordnet().queries.vectors[..50].iter().map(|q| ids(&docs, q, true)).collect();
    docs.flush().unwrap();
    let origin = origin(&docs);
    assert!(origin.starts_with("graph, merged from 1"), "{origin}");
    assert_eq!(docs.stats().unwrap().memtable_records, 0);
    let after: Vec<_> =
        wordnet().queries.vectors[..50].iter().map(|q| ids(&docs, q, true)).collect();
    assert_eq!(before, after);
    assert!(mean_recall(&docs) >= 0.97);
}

#[test]
fn a_filter_sees_the_same_before_and_after_its_index_is_made() {
    let (_db, docs) = collection();
    fill(&docs, 0..5_000);
    let plain = |docs: &Collection| docs.count(Some("pos = 'v' AND n_words >= 2")).unwrap();
    let expected = wordnet().base.records[..5_000]
        .iter()
        .filter(|r| r["pos"] == "v" && r["n_words"].as_i64().is_some_and(|n| n >= 2))
        .count() as u64;
    assert_eq!(plain(&docs), expected);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let query = docs.query(&wordnet().queries.vectors[0]).k(K).filter("pos = 'v'");
        let (hits, plan) = query.explain().unwrap();
        assert!(hits.iter().all(|hit| hit.metadata["pos"] == "v"));
        // Rows after the last run of 1,024.
        if plan.segments.iter().all(|s| s.rows_read == 5_000 - 4 * 1_024) {
            break;
        }
        assert!(Instant::now() < deadline, "no index is made");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(plain(&docs), expected);
}

/// Memtables that wait for a flush become one segment, whose graph is merged from theirs.
#[test]
fn a_flush_merges_the_graphs_of_memtables() {
    const TABLE: u64 = 6 << 20;
    let options = Options { memtable_bytes_max: TABLE as usize, ..Options::default() };
    let db = Database::in_memory_with(options).unwrap();
    let shape = Collection::options(wordnet().base.dim, Metric::Cosine).index(IndexOption::Graph);
    let docs = db.create_collection("docs", shape).unwrap();
    fill(&docs, 0..2_500);
    await_linked(&docs);
    let mut rows = 2_500;
    let mut fill_two = || {
        for _ in 0..2 {
            // Nearly full, all found through the graph, and then sealed.
            let before = docs.stats().unwrap().memtable_bytes;
            while docs.stats().unwrap().memtable_bytes - before < TABLE - (128 << 10) {
                fill(&docs, rows..rows + 10);
                rows += 10;
            }
            await_linked(&docs);
            fill(&docs, rows..rows + 100);
            rows += 100;
        }
        rows
    };
    let mut written = None;
    docs.flush_with(&mut |_| {
        written.get_or_insert_with(&mut fill_two);
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    docs.flush().unwrap();
    let stats = docs.stats().unwrap();
    let origins: Vec<&String> = stats.segments.iter().flat_map(|s| s.indexes.values()).collect();
    assert!(origins.iter().any(|origin| origin.starts_with("graph, merged from 2")), "{origins:?}");
    assert_eq!(docs.count(None).unwrap(), written.unwrap() as u64);
    assert!(mean_recall(&docs) >= 0.97);
}

#[test]
fn readers_beside_a_writer() {
    let dir = tempfile::tempdir().unwrap();
    // Small enough to be flushed beneath the readers.
    let options = Options { memtable_bytes_max: 8 << 20, ..Options::default() };
    let db = Database::open_with(dir.path(), options).unwrap();
    let base = &wordnet().base;
    let shape = Collection::options(base.dim, Metric::Cosine);
    let docs = db.create_collection("docs", shape).unwrap();
    fill(&docs, 0..3_000);
    let (done, known) = (AtomicBool::new(false), AtomicU64::new(3_000));
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (docs, done, known) = (&docs, &done, &known);
            scope.spawn(move || {
                let mut random = Random::new(reader);
                let (mut recalls, mut own_found) = (Vec::new(), Vec::new());
                while !done.load(Ordering::Acquire) {
                    let before = known.load(Ordering::Acquire);
                    let newest = (before - 1 - random.below(20)) as usize;
                    // Not always the first: some definitions have equal vectors.
                    let own = ids(docs, &base.vectors[newest], false);
                    own_found.push(recall(&[newest as u64], &own));
                    let query = &wordnet().queries.vectors[random.below(100) as usize];
                    let found = ids(docs, query, false);
                    // Rows that came after the query began are not missed by it.
                    let truth: Vec<u64> =
                        ids(docs, query, true).into_iter().filter(|&id| id < before).collect();
                    recalls.push(recall(&truth, &found));
                }
                let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
                let (all, own) = (mean(&recalls), mean(&own_found));
                assert!(all >= 0.97, "recall {all} of {} queries", recalls.len());
                assert!(own >= 0.99, "{own} of the newest records were found");
            });
        }
        for row in 3_000..9_000 {
            docs.upsert(base.record(row)).unwrap();
            known.store(row as u64 + 1, Ordering::Release);
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(docs.count(None).unwrap(), 9_000);
}
