//! Queries and writes on the WordNet sample: `cargo bench -p vecstore-benches`.

#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use vecstore::{Collection, Database, Include, Metric, Record};
use vecstore_tests::{Random, wordnet};

fn filled() -> (Database, Collection) {
    let base = &wordnet().base;
    let db = Database::in_memory().expect("a database in memory");
    let docs = db
        .create_collection("docs", Collection::options(base.dim, Metric::Cosine))
        .expect("a collection");
    for rows in (0..base.vectors.len()).collect::<Vec<_>>().chunks(1_000) {
        docs.batch_upsert(rows.iter().map(|&row| base.record(row)).collect()).expect("a batch");
    }
    docs.optimize().expect("one segment");
    (db, docs)
}

fn queries(criterion: &mut Criterion) {
    let (_db, docs) = filled();
    let queries = &wordnet().queries.vectors;
    let mut group = criterion.benchmark_group("wordnet-10k");
    let mut next = queries.iter().cycle();
    let mut query = || next.next().expect("a cycle does not end");
    group.bench_function("query, default", |bench| {
        bench.iter(|| docs.query(query()).include(Include::NOTHING).run());
    });
    group.bench_function("query, recall 0.99", |bench| {
        bench.iter(|| docs.query(query()).recall(0.99).include(Include::NOTHING).run());
    });
    group.bench_function("query, exact", |bench| {
        bench.iter(|| docs.query(query()).exact().include(Include::NOTHING).run());
    });
    for filter in ["gloss_len <= 51", "pos = 'v'", "domain = 'noun.food'"] {
        group.bench_function(format!("query, {filter}"), |bench| {
            bench.iter(|| docs.query(query()).filter(filter).include(Include::NOTHING).run());
        });
    }
    group.bench_function("get", |bench| {
        let mut random = Random::new(1);
        bench.iter(|| docs.get(random.below(10_000)));
    });
    group.finish();
}

fn writes(criterion: &mut Criterion) {
    let dir = tempfile_dir();
    let db = Database::open(&dir).expect("a database");
    let docs = db
        .create_collection("docs", Collection::options(384, Metric::Cosine))
        .expect("a collection");
    let mut random = Random::new(2);
    criterion.bench_function("upsert, synced", |bench| {
        bench.iter(|| {
            docs.upsert(Record::new(random.below(10_000), random.vector(384))).expect("a write")
        });
    });
    drop((docs, db));
    let _ = std::fs::remove_dir_all(dir);
}

fn tempfile_dir() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("vecstore-bench-{}", std::process::id()))
}

criterion_group!(benches, queries, writes);
criterion_main!(benches);
