//! A batch of queries gives what its queries give one by one, and long work can be stopped.

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use serde_json::json;
use vecstore::{Collection, Database, ErrorKind, Metric, Options, Progress, Record};
use vecstore_tests::{Random, in_memory};

const DIM: usize = 16;
const ROWS: u64 = 3_000;

fn vectors(random: &mut Random, rows: u64) -> Vec<f32> {
    (0..rows * DIM as u64).map(|_| random.below(2_001) as f32 / 1_000.0 - 1.0).collect()
}

/// Two segments and a memtable, and a second namespace.
fn filled(threads: usize) -> (Database, Collection) {
    let db = Database::in_memory_with(Options { threads, ..Options::default() }).unwrap();
    let docs = db.create_collection("docs", Collection::options(DIM, Metric::Euclidean)).unwrap();
    let mut random = Random::new(7);
    for part in 0..3 {
        let records: Vec<Record> = vectors(&mut random, ROWS)
            .chunks(DIM)
            .zip(part * ROWS..)
            .map(|(vector, id)| Record::new(id, vector).metadata(json!({"n": id % 10})))
            .collect();
        docs.namespace("other").unwrap().batch_upsert(records[..9].to_vec()).unwrap();
        docs.batch_upsert(records).unwrap();
        if part < 2 {
            docs.flush().unwrap();
        }
    }
    (db, docs)
}

#[test]
fn a_batch_gives_what_its_queries_give() {
    for threads in [1, 3] {
        let (_db, docs) = filled(threads);
        let asked = vectors(&mut Random::new(8), 41);
        let batch = docs.query_batch(&asked, |q| q.k(7).filter("n < $n").bind("n", 4)).unwrap();
        assert_eq!(batch.len(), 41);
        for (vector, found) in asked.chunks(DIM).zip(&batch) {
            let one = docs.query(vector).k(7).filter("n < 4").run().unwrap();
            assert_eq!(one.len(), 7);
            assert_eq!(&one, found);
        }
        let other = docs.namespace("other").unwrap();
        assert_eq!(other.query_batch(&asked, |q| q.k(100)).unwrap()[40].len(), 27);
        assert_eq!(docs.query_batch(&[], |q| q).unwrap(), []);
    }
}

#[test]
fn a_batch_that_is_refused_says_why() {
    let (_db, docs) = filled(1);
    let mut asked = vectors(&mut Random::new(9), 3);
    let check = |asked: &[f32], filter: &str, expected: &str| {
        let error = docs.query_batch(asked, |q| q.filter(filter)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(&asked[1..], "n = 1", "not a whole number of vectors with 16 components");
    check(&asked, "n ==", "");
    check(&[], "n ==", "");
    asked[2 * DIM + 1] = f32::NAN;
    check(&asked, "n = 1", "query 2");
}

#[test]
fn flush_and_optimize_stop_when_told_and_lose_nothing() {
    type Stop = fn(&Database, &Collection) -> vecstore::Result<()>;
    let stops: [Stop; 3] = [
        |_, docs| docs.flush_with(&mut |_| ControlFlow::Break(())),
        |db, _| db.flush_with(&mut |_| ControlFlow::Break(())),
        |db, _| db.optimize_with(&mut |_| ControlFlow::Break(())).map(drop),
    ];
    for stop in stops {
        let (db, docs) = in_memory(DIM, Metric::Euclidean);
        let mut random = Random::new(10);
        let records = (0..ROWS).map(|id| Record::new(id, random.vector(DIM))).collect();
        docs.batch_upsert(records).unwrap();
        assert_eq!(stop(&db, &docs).unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(docs.count(None).unwrap(), ROWS);
        let mut told = Vec::new();
        let mut listen = |now: Progress| {
            told.push(now);
            ControlFlow::Continue(())
        };
        docs.flush_with(&mut listen).unwrap();
        assert!(told.iter().all(|now| now.done <= now.total));
        assert_eq!(db.optimize().unwrap().segments_after, 1);
        assert_eq!(docs.count(None).unwrap(), ROWS);
    }
}

#[test]
fn a_batch_of_queries_tells_how_far_it_is_and_stops_when_told() {
    let (_db, docs) = in_memory(DIM, Metric::Euclidean);
    let mut random = Random::new(11);
    docs.batch_upsert((0..100).map(|id| Record::new(id, random.vector(DIM))).collect()).unwrap();
    let asked: Vec<f32> = (0..500).flat_map(|_| random.vector(DIM)).collect();

    let mut told = Vec::new();
    let all = docs.query_batch_with(&asked, |query| query, &mut |done| {
        told.push(done);
        ControlFlow::Continue(())
    });
    assert_eq!(all.unwrap(), docs.query_batch(&asked, |query| query).unwrap());
    assert!(!told.is_empty() && told.is_sorted() && told.iter().all(|&done| done <= 500));

    let mut calls = 0;
    let stopped = docs.query_batch_with(&asked, |query| query, &mut |_| {
        calls += 1;
        ControlFlow::Break(())
    });
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(calls, 1);
}
