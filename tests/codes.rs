//! Collections whose segments keep no codes: what they contain, how they are searched, and that answers
//! are those of others.

#![allow(clippy::unwrap_used)]

use serde_json::json;
use vecstore::{
    Codes, Collection, Database, ErrorKind, Include, IndexOption, Metric, Precision, Query, Record,
};
use vecstore_tests::{everything, in_memory, nearest, recall, wordnet};

/// Sections that have codes, or what is made of them.
const OF_CODES: [&str; 7] =
    ["quantizer", "codes", "coarse-codes", "sketches", "sketch-rows", "clusters", "cluster-blocks"];

/// The query that is asked for, by default or by what it is to find.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Auto,
    Recall(f32),
    Exact,
    Filter(&'static str),
}

impl Ask {
    fn query<'a>(self, docs: &'a Collection, vector: &'a [f32]) -> Query<'a> {
        let query = docs.query(vector);
        match self {
            Ask::Auto => query,
            Ask::Recall(recall) => query.recall(recall),
            Ask::Exact => query.exact(),
            Ask::Filter(filter) => query.filter(filter),
        }
    }
}

fn ids(docs: &Collection, vector: &[f32], ask: Ask) -> Vec<usize> {
    let hits = ask.query(docs, vector).include(Include::NOTHING).run().unwrap().hits;
    hits.iter().map(|hit| hit.id.to_string().parse().unwrap()).collect()
}

/// Names of the strategies that ran on segments.
fn ran(docs: &Collection, vector: &[f32], ask: Ask) -> Vec<String> {
    let (_, executed) = ask.query(docs, vector).explain().unwrap();
    executed.segments.iter().map(|segment| segment.ran.name().to_owned()).collect()
}

/// A third of the records.
const THIRD: Ask = Ask::Filter("third = true");

fn assert_no_codes(docs: &Collection) {
    let stats = docs.stats().unwrap();
    assert_eq!(stats.codes, "none");
    assert!(!stats.segments.is_empty());
    for segment in &stats.segments {
        for section in OF_CODES {
            assert_eq!(segment.sections.get(section), Some(&0), "{section}");
        }
        assert!(segment.degraded.is_empty(), "{:?}", segment.degraded);
    }
}

#[test]
fn real_data_is_found_without_codes_as_well_as_with_them() {
    let wordnet = wordnet();
    let (base, queries) = (&wordnet.base.vectors, &wordnet.queries.vectors);
    let record = |row: usize| {
        Record::new(row as u64, base[row].clone()).metadata(json!({"third": row.is_multiple_of(3)}))
    };
    let truths = |is_wanted: fn(usize) -> bool| -> Vec<Vec<usize>> {
        queries.iter().map(|q| nearest(Metric::Cosine, base, q, 10, is_wanted)).collect()
    };
    let (all, third) = (truths(|_| true), truths(|row| row.is_multiple_of(3)));
    for precision in Precision::ALL {
        let mut bytes = [0; 2];
        for (codes, bytes) in Codes::ALL.into_iter().zip(&mut bytes) {
            let dir = tempfile::tempdir().unwrap();
            let db = Database::open(dir.path()).unwrap();
            let options = Collection::options(wordnet.base.dim, Metric::Cosine);
            let options = options.codes(codes).precision(precision).index(IndexOption::Graph);
            let docs = db.create_collection("docs", options).unwrap();
            let half = base.len() / 2;
            for rows in [0..half, half..base.len()] {
                docs.batch_upsert(rows.map(record).collect()).unwrap();
                docs.flush().unwrap();
            }
            let contents = everything(&docs).unwrap();
            let found = |docs: &Collection, when: &str| {
                for (ask, truths, wanted) in [
                    (Ask::Auto, &all, 0.98),
                    (Ask::Recall(0.9), &all, 0.89),
                    (Ask::Recall(0.99), &all, 0.98),
                    (Ask::Exact, &all, 1.0),
                    (THIRD, &third, 0.99),
                ] {
                    let found = queries.iter().map(|query| ids(docs, query, ask));
                    let sum: f64 =
                        found.zip(truths).map(|(found, truth)| recall(truth, &found)).sum();
                    let mean = sum / queries.len() as f64;
                    let what = format!("{precision}, codes {codes}, {when}: {ask:?}");
                    assert!(mean >= wanted, "{what}: {mean}");
                }
                assert!(everything(docs).unwrap() == contents, "{precision}, {codes}, {when}");
            };
            found(&docs, "two segments");
            docs.optimize().unwrap();
            found(&docs, "merged");
            drop(docs);
            db.close().unwrap();
            let db = Database::open(dir.path()).unwrap();
            let docs = db.collection("docs").unwrap();
            found(&docs, "opened again");
            assert_eq!(docs.settings().kept_codes(), codes);
            assert_eq!(db.verify().unwrap().problems, [""; 0]);
            *bytes = docs.stats().unwrap().segments[0].bytes;
            if codes == Codes::None {
                assert_no_codes(&docs);
                for ask in [Ask::Auto, THIRD] {
                    for strategy in ran(&docs, &queries[0], ask) {
                        let of_vectors = ["graph", "graph_sweep", "full_scan"];
                        assert!(of_vectors.contains(&strategy.as_str()), "{strategy}");
                    }
                }
                let made = docs.stats().unwrap().segments[0].indexes[""].clone();
                assert!(made.contains("merged from 2"), "{made}");
            }
        }
        let row_bytes = (wordnet.base.dim * 3 / 2 * base.len()) as u64;
        assert!(bytes[1] + row_bytes <= bytes[0], "{bytes:?}");
    }
}

#[test]
fn without_codes_the_index_of_auto_is_a_graph() {
    let (db, _) = in_memory(3, Metric::Cosine);
    let options = Collection::options(8, Metric::Euclidean).codes(Codes::None);
    let docs = db.create_collection("auto", options).unwrap();
    let record = |id: u64| Record::new(id, (0..8).map(|i| (id * i % 7) as f32).collect::<Vec<_>>());
    docs.batch_upsert((0..3_000).map(record).collect()).unwrap();
    docs.optimize().unwrap();
    assert_no_codes(&docs);
    let segment = &docs.stats().unwrap().segments[0];
    assert!(segment.indexes[""].starts_with("graph"), "{:?}", segment.indexes);
}

#[test]
fn clusters_without_codes_are_refused() {
    let db = Database::in_memory().unwrap();
    let options = Collection::options(3, Metric::Dot).codes(Codes::None);
    let error = db.create_collection("docs", options.index(IndexOption::Clusters)).unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::InvalidArgument, Some("codes")));
    assert!(error.to_string().contains("use index auto or graph"), "{error}");
    assert_eq!(db.collections().unwrap(), [""; 0]);
}
