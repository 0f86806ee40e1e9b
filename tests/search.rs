//! Search on real records: recall, filters, and answers that do not depend on where rows lie.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use serde_json::{Value, json};
use vecstore::{Collection, Database, Include, Metric, Options, QueryResult, Record, RecordId};
use vecstore_tests::{Random, in_memory, nearest, recall, wordnet};

const K: usize = 10;

/// The WordNet sample in a database on disk, partly in segments, partly in memory.
fn wordnet_database(dir: &std::path::Path) -> (Database, Collection) {
    let options = Options { memtable_bytes_max: 8 << 20, ..Options::default() };
    let db = Database::open_with(dir, options).unwrap();
    let base = &wordnet().base;
    let docs = db.create_collection("docs", Collection::options(base.dim, Metric::Cosine)).unwrap();
    for (part, rows) in (0..base.vectors.len()).collect::<Vec<_>>().chunks(500).enumerate() {
        docs.batch_upsert(rows.iter().map(|&row| base.record(row)).collect()).unwrap();
        // Two segments; the last three thousand stay in memory.
        if [7, 13].contains(&part) {
            docs.flush().unwrap();
        }
    }
    (db, docs)
}

fn rows(result: &QueryResult) -> Vec<usize> {
    result
        .iter()
        .map(|hit| match hit.id {
            RecordId::U64(row) => row as usize,
            ref other => panic!("unexpected id {other}"),
        })
        .collect()
}

/// The filters of the tests, each with its plain reading.
type Plain = fn(&serde_json::Map<String, Value>) -> bool;
const FILTERS: [(&str, Plain); 7] = [
    ("gloss_len <= 51", |r| r["gloss_len"].as_i64().is_some_and(|n| n <= 51)),
    ("pos = 'v'", |r| r["pos"] == "v"),
    ("domain = 'noun.food'", |r| r["domain"] == "noun.food"),
    ("domain IN ['noun.motive', 'verb.weather']", |r| {
        r["domain"] == "noun.motive" || r["domain"] == "verb.weather"
    }),
    ("NOT pos = 'n' AND n_words >= 3", |r| {
        r["pos"] != "n" && r["n_words"].as_i64().is_some_and(|n| n >= 3)
    }),
    ("hypernym IS NULL AND gloss LIKE '%water%'", |r| {
        r["hypernym"].is_null() && r["gloss"].as_str().is_some_and(|g| g.contains("water"))
    }),
    ("pos = 'nowhere'", |_| false),
];

#[test]
fn wordnet_recall_with_and_without_filters_in_memory_and_in_segments() {
    let dir = tempfile::tempdir().unwrap();
    let (db, docs) = wordnet_database(dir.path());
    let before = docs.stats().unwrap();
    assert!(before.segments.len() == 2 && before.memtable_records == 3_000, "{before:?}");
    check_recall(&docs, "partly in memory");
    check_filters(&docs, "partly in memory");
    docs.optimize().unwrap();
    assert_eq!(docs.stats().unwrap().segments.len(), 1);
    check_recall(&docs, "one segment");
    check_filters(&docs, "one segment");
    drop((docs, db));

    let started = std::time::Instant::now();
    let db = Database::open(dir.path()).unwrap();
    println!("reopened in {:?}", started.elapsed());
    check_recall(&db.collection("docs").unwrap(), "reopened");
}

fn check_recall(docs: &Collection, when: &str) {
    let data = wordnet();
    let mut sums = [0.0; 3];
    for query in &data.queries.vectors {
        let truth = nearest(Metric::Cosine, &data.base.vectors, query, K, |_| true);
        let ask = || docs.query(query).k(K).include(Include::NOTHING);
        let answers = [ask().run(), ask().recall(0.99).run(), ask().exact().run()];
        for (sum, answer) in sums.iter_mut().zip(answers) {
            let answer = answer.unwrap();
            assert!(answer.complete && answer.len() == K, "{when}");
            *sum += recall(&truth, &rows(&answer));
        }
    }
    let n = data.queries.vectors.len() as f64;
    let [auto, high, exact] = sums.map(|sum| sum / n);
    println!("{when}: recall@10 default {auto:.4}, recall=0.99 {high:.4}, exact {exact:.4}");
    assert!(auto >= 0.95, "{when}: {auto}");
    assert!(high >= 0.99, "{when}: {high}");
    assert!(exact > 0.9999, "{when}: {exact}");
}

fn check_filters(docs: &Collection, when: &str) {
    let data = wordnet();
    for (filter, plain) in FILTERS {
        let keep = |row: usize| plain(&data.base.records[row]);
        let matching = (0..data.base.records.len()).filter(|&row| keep(row)).count();
        assert_eq!(docs.count(Some(filter)).unwrap(), matching as u64, "{when}: {filter}");
        let (mut sum, mut worst) = (0.0, 1.0_f64);
        for query in &data.queries.vectors {
            let truth = nearest(Metric::Cosine, &data.base.vectors, query, K, keep);
            let answer = docs.query(query).k(K).filter(filter).run().unwrap();
            let found = rows(&answer);
            assert_eq!(found.len(), matching.min(K), "{when}: {filter}");
            assert!(
                found.iter().all(|&row| keep(row)),
                "{when}: {filter}: a row that does not match"
            );
            let recall = recall(&truth, &found);
            (sum, worst) = (sum + recall, worst.min(recall));
        }
        let mean = sum / data.queries.vectors.len() as f64;
        println!("{when}: {filter}: {matching} match, recall@10 {mean:.4}, worst {worst:.2}");
        assert!(mean >= 0.95 && worst >= 0.8, "{when}: {filter}: {mean}, worst {worst}");
    }
}

#[test]
fn answers_are_ordered_and_scores_follow_the_metric() {
    let vectors = [[3.0, 4.0], [1.0, 0.0], [-1.0, 0.5], [0.0, 2.0]];
    let query = [2.0, 1.0];
    for metric in Metric::ALL {
        let (_db, docs) = in_memory(2, metric);
        for (id, vector) in vectors.iter().enumerate() {
            docs.upsert(Record::new(id as u64, *vector)).unwrap();
        }
        for flushed in [false, true] {
            if flushed {
                docs.flush().unwrap();
            }
            let hits = docs.query(&query).include(Include::ALL).run().unwrap();
            assert_eq!(hits.len(), 4);
            assert!(hits.is_sorted_by(|a, b| a.score >= b.score), "{metric}: {hits:?}");
            for hit in &*hits {
                let dot = hit.vector[0] * query[0] + hit.vector[1] * query[1];
                let norm = |v: &[f32]| v[0].hypot(v[1]);
                let expected = match metric {
                    Metric::Cosine => dot / norm(&hit.vector) / norm(&query),
                    Metric::Dot => dot,
                    Metric::Euclidean => {
                        -norm(&[hit.vector[0] - query[0], hit.vector[1] - query[1]])
                    }
                };
                assert!((hit.score - expected).abs() < 1e-5, "{metric}: {hit:?}, {expected}");
                assert_eq!(hit.score, metric.score(hit.distance));
            }
            let best = hits[0].score;
            let some = docs.query(&query).score_threshold(best).run().unwrap();
            assert!(some.iter().all(|hit| hit.score >= best) && !some.is_empty());
        }
    }
}

#[test]
fn equal_filters_give_equal_answers_whatever_their_form() {
    let (_db, docs) = in_memory(16, Metric::Euclidean);
    let mut random = Random::new(11);
    let records = (0..5_000_u64)
        .map(|id| {
            let metadata = json!({"a": id % 10, "b": format!("v{}", id % 7), "c": [id % 3, "x"]});
            Record::new(id, random.vector(16)).metadata(metadata)
        })
        .collect();
    docs.batch_upsert(records).unwrap();
    docs.optimize().unwrap();
    let same = [
        ["a < 3", "NOT a >= 3", "a IN [0, 1, 2]", "a BETWEEN 0 AND 2"],
        ["b = 'v1'", "b STARTSWITH 'v1'", "NOT b != 'v1'", "b LIKE '%1'"],
        ["c = 1", "c CONTAINS 1", "NOT (c = 0 OR c = 2)", "c IN [1, 17]"],
        ["EXISTS a", "c = 'x'", "a >= -1.5", "NOT missing = 1"],
    ];
    for forms in same {
        let query = random.vector(16);
        let answers: Vec<_> = forms
            .iter()
            .map(|form| rows(&docs.query(&query).k(20).filter(form).run().unwrap()))
            .collect();
        for (form, answer) in forms.iter().zip(&answers) {
            assert_eq!(*answer, answers[0], "{form} and {}", forms[0]);
        }
    }
}

#[test]
fn explain_tells_what_ran() {
    let (_db, docs) = in_memory(16, Metric::Cosine);
    let mut random = Random::new(5);
    let record = |id: u64, random: &mut Random| {
        Record::new(id, random.vector(16)).metadata(json!({"n": id}))
    };
    let records = (0..4_000).map(|id| record(id, &mut random)).collect();
    docs.batch_upsert(records).unwrap();
    docs.flush().unwrap();
    docs.upsert(record(4_000, &mut random)).unwrap();

    let query = random.vector(16);
    let (result, plan) = docs.query(&query).filter("n < 50").explain().unwrap();
    assert_eq!(result.len(), 10);
    let text = plan.to_string();
    let json = plan.to_json();
    for expected in ["n < 50", "memtable", "segment"] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert_eq!(json["filter"], "n < 50", "{json}");
    let segments = json["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 2, "{json}");
    assert_eq!(json["hits"], 10);
}

#[test]
fn a_query_nobody_waits_for_stops_between_segments_and_within_them() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    let options = Options { background_merge: false, ..Options::default() };
    let db = Database::in_memory_with(options).unwrap();
    let docs = db.create_collection("docs", Collection::options(2, Metric::Dot)).unwrap();
    for id in 0..4u64 {
        docs.upsert(Record::new(id, [1.0, id as f32])).unwrap();
        docs.flush().unwrap();
    }
    let asked = AtomicUsize::new(0);
    let run = |exact: bool, stop_at: usize| {
        asked.store(0, Ordering::Relaxed);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) + 1 >= stop_at;
        let query = docs.query(&[1.0, 1.0]).stop_when(&stop);
        let query = if exact { query.exact() } else { query };
        query.run().map(|result| result.len())
    };
    let check = |exact: bool, hits: usize, least: usize| {
        assert_eq!(run(exact, usize::MAX).unwrap(), hits);
        let times = asked.load(Ordering::Relaxed);
        assert!(times >= least, "asked {times} times");
        for stop_at in 1..=times {
            let error = run(exact, stop_at).unwrap_err();
            assert_eq!(error.kind(), vecstore::ErrorKind::Cancelled);
            assert_eq!(asked.load(Ordering::Relaxed), stop_at);
        }
    };
    check(false, 4, 8);
    // Many rows in memory, and then in one segment.
    let many = (0..10_000u64).map(|id| {
        let vector = [0.5, (id % 97) as f32 / 100.0];
        Record::new(id + 10, vector).metadata(json!({"group": id % 3}))
    });
    docs.batch_upsert(many.collect::<Vec<_>>()).unwrap();
    check(true, 10, 18);
    // Otherwise it asks as often as what is coded and linked by now lets it: maybe less often each time.
    for stop_at in 1..=18 {
        let outcome = run(false, stop_at);
        let times = asked.load(Ordering::Relaxed);
        match outcome {
            Ok(hits) => assert!(hits == 10 && times < stop_at && stop_at > 8, "{times} times"),
            Err(error) => {
                assert_eq!((error.kind(), times), (vecstore::ErrorKind::Cancelled, stop_at))
            }
        }
    }
    docs.flush().unwrap();
    docs.optimize().unwrap();
    check(false, 10, 2);
    // Groups may look at every record once more.
    let group = |stop_at: usize| {
        asked.store(0, Ordering::Relaxed);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) + 1 >= stop_at;
        docs.query(&[1.0, 1.0]).stop_when(&stop).group_by("group").run()
    };
    assert_eq!(group(usize::MAX).unwrap().groups.len(), 3);
    let times = asked.load(Ordering::Relaxed);
    assert!(times >= 12, "asked {times} times");
    for stop_at in 1..=times {
        let error = group(stop_at).unwrap_err();
        assert_eq!(error.kind(), vecstore::ErrorKind::Cancelled, "{stop_at} of {times}");
    }
}
