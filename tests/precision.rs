//! Vectors of half precision: what is stored, what is refused, and that neither a flush nor a merge
//! changes an answer.

#![allow(clippy::unwrap_used)]

use serde_json::json;
use vecstore::{Collection, Database, ErrorKind, Hit, Include, Metric, Precision, Record};
use vecstore_tests::{Random, everything, in_memory, nearest, recall, wordnet};

const DIM: usize = 70;

fn halves(metric: Metric) -> vecstore::CollectionOptions {
    Collection::options(DIM, metric).precision(Precision::F16)
}

fn record(id: u64, random: &mut Random) -> Record {
    // The sizes differ, so that the distances of all metrics do.
    let size = 0.5 + random.below(4) as f32;
    Record::new(id, random.vector(DIM).iter().map(|x| x * size).collect::<Vec<_>>())
}

/// Ids and distances of all records, nearest first, ties by id.
fn all(docs: &Collection, query: &[f32]) -> Vec<(u64, f32)> {
    let hits = docs.query(query).k(5_000).exact().include(Include::NOTHING).run().unwrap();
    let id = |hit: &Hit| hit.id.to_string().parse::<u64>().unwrap();
    let mut all: Vec<_> = hits.iter().map(|hit| (id(hit), hit.distance)).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    all
}

#[test]
fn answers_are_the_same_in_memory_in_segments_merged_reopened_restored_and_unpacked() {
    for metric in Metric::ALL {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let db = Database::open(&path).unwrap();
        let docs = db.create_collection("docs", halves(metric)).unwrap();
        let mut random = Random::new(7);
        let records: Vec<Record> = (0..3_000).map(|id| record(id, &mut random)).collect();
        let mut vectors: Vec<Vec<f32>> = records.iter().map(|r| r.vector.clone()).collect();
        vectors.iter_mut().for_each(|vector| Precision::F16.round(vector));
        let query = random.vector(DIM);
        docs.batch_upsert(records[..2_000].to_vec()).unwrap();
        docs.flush().unwrap();
        docs.batch_upsert(records[2_000..].to_vec()).unwrap();
        let contents = everything(&docs).unwrap();
        let stored: Vec<&Vec<f32>> = contents.values().map(|(vector, _)| vector).collect();
        assert_eq!(stored, vectors.iter().collect::<Vec<_>>());
        let answer = all(&docs, &query);
        let ids: Vec<usize> = answer.iter().map(|(id, _)| *id as usize).collect();
        assert_eq!(ids, nearest(metric, &vectors, &query, 5_000, |_| true));
        let same = |docs: &Collection, when: &str| {
            assert!(all(docs, &query) == answer, "{metric} {when}");
            // What an index finds is compared again on the stored vectors.
            for hit in docs.query(&query).include(Include::NOTHING).run().unwrap().hits {
                let at = hit.id.to_string().parse().unwrap();
                assert!(answer.contains(&(at, hit.distance)), "{metric} {when}: {hit:?}");
            }
            assert!(everything(docs).unwrap() == contents, "{metric} {when}");
        };
        docs.flush().unwrap();
        same(&docs, "after a flush");
        docs.optimize().unwrap();
        same(&docs, "after a merge");
        let sections = &docs.stats().unwrap().segments[0].sections;
        assert_eq!(sections["vectors"], 2 * 3_000 * DIM as u64);
        db.create_snapshot("s").unwrap();
        let archive = dir.path().join("archive");
        db.archive(&archive).unwrap();
        drop(docs);
        db.close().unwrap();
        let db = Database::open(&path).unwrap();
        let docs = db.collection("docs").unwrap();
        assert_eq!(docs.settings().vector_precision(), Precision::F16);
        same(&docs, "after opening");
        docs.remove_where("NOT EXISTS(x)").unwrap();
        db.restore_snapshot("s").unwrap();
        same(&db.collection("docs").unwrap(), "after a restore");
        let unpacked = dir.path().join("unpacked");
        Database::unarchive(&archive, &unpacked).unwrap();
        let other = Database::open(&unpacked).unwrap();
        same(&other.collection("docs").unwrap(), "unpacked");
        assert_eq!(other.verify().unwrap().problems, [""; 0]);
    }
}

#[test]
fn what_half_precision_cannot_hold_is_refused_and_nothing_changes() {
    let db = Database::in_memory().unwrap();
    let options = |metric| Collection::options(2, metric).precision(Precision::F16);
    let docs = db.create_collection("docs", options(Metric::Cosine)).unwrap();
    docs.upsert(Record::new(1, [65_504.0, -65_504.0])).unwrap();
    let refused = |vector: [f32; 2], needle: &str| {
        let batch = vec![Record::new(2, [1.0, 1.0]), Record::new(3, vector)];
        let error = docs.batch_upsert(batch).unwrap_err();
        assert_eq!((error.kind(), error.field()), (ErrorKind::InvalidArgument, Some("vector")));
        let text = error.to_string();
        assert!(text.contains("record `3`") && text.contains(needle), "{text}");
        assert_eq!(docs.count(None).unwrap(), 1);
    };
    refused(
        [1.0, 65_505.0],
        "component 1 of the vector is 65505, use -65504 to 65504 (precision f16)",
    );
    refused([-1e18, 1.0], "component 0 of the vector is -1000000000");
    refused([1e-9, -1e-9], "rounded, the vector is zero");
    refused([f32::NAN, 1.0], "component 0 of the vector is NaN");
    // Not where there are no directions, and a query is not rounded.
    let dots = db.create_collection("dots", options(Metric::Dot)).unwrap();
    dots.upsert(Record::new(1, [1e-9, 2.0])).unwrap();
    let hits = dots.query(&[1e18, 1.0]).include(Include::ALL).run().unwrap();
    assert_eq!((&hits[0].vector[..], hits[0].score), (&[0.0, 2.0][..], 2.0));
}

#[test]
fn a_change_of_metadata_leaves_the_vector_as_it_is_stored() {
    let (_db, docs) = {
        let db = Database::in_memory().unwrap();
        let docs = db.create_collection("docs", halves(Metric::Dot)).unwrap();
        (db, docs)
    };
    let mut random = Random::new(3);
    docs.batch_upsert((0..100).map(|id| record(id, &mut random)).collect()).unwrap();
    docs.flush().unwrap();
    let before = everything(&docs).unwrap();
    assert_eq!(docs.update_where("NOT EXISTS(n)", json!({"n": 1})).unwrap(), 100);
    for (id, (vector, metadata)) in everything(&docs).unwrap() {
        assert_eq!((&vector, &metadata["n"]), (&before[&id].0, &json!(1)));
    }
}

#[test]
fn real_data_is_found_as_well_as_with_single_precision() {
    let wordnet = wordnet();
    let dim = wordnet.base.dim;
    let base = &wordnet.base.vectors;
    let measured = Precision::ALL.map(|precision| {
        let (db, _) = in_memory(dim, Metric::Cosine);
        let options = Collection::options(dim, Metric::Cosine).precision(precision);
        let docs = db.create_collection("measured", options).unwrap();
        let record = |row: usize| Record::new(row as u64, base[row].clone());
        docs.batch_upsert((0..base.len()).map(record).collect()).unwrap();
        docs.optimize().unwrap();
        let queries = &wordnet.queries.vectors;
        let sum: f64 = queries
            .iter()
            .map(|query| {
                let truth = nearest(Metric::Cosine, base, query, 10, |_| true);
                let hits = docs.query(query).include(Include::NOTHING).run().unwrap();
                let found: Vec<usize> =
                    hits.iter().map(|hit| hit.id.to_string().parse().unwrap()).collect();
                recall(&truth, &found)
            })
            .sum();
        sum / queries.len() as f64
    });
    // The vectors are given in half precision, so that nothing is rounded, in memory or in a segment.
    assert_eq!(measured[0], measured[1]);
    assert!(measured[1] > 0.98, "{measured:?}");
}
