//! Grouped queries and score thresholds against a plain scan.

#![allow(clippy::unwrap_used)]

use serde_json::{Map, Value, json};
use vecstore::{Collection, ErrorKind, GroupedResult, Include, Metric, Record};
use vecstore_index::ExactQuery;
use vecstore_tests::{Random, in_memory, recall, wordnet};

/// Values of a record, numbers before strings, each once.
fn values(metadata: &Map<String, Value>) -> Vec<Value> {
    let mut values: Vec<Value> = match metadata.get("g") {
        None | Some(Value::Object(_)) => vec![],
        Some(Value::Array(values)) => values.clone(),
        Some(value) => vec![value.clone()],
    };
    values.sort_by_key(|value| (value.is_string(), value.as_u64()));
    values.dedup();
    values
}

type Plain = Vec<(Value, Vec<u64>)>;

/// All records by distance; the first `k` values that appear, each with its first `size` records.
fn plain(rows: &[(Vec<f32>, Map<String, Value>)], query: &[f32], k: usize, size: usize) -> Plain {
    let exact = ExactQuery::new(Metric::Euclidean, query);
    let mut order: Vec<(f32, usize)> =
        rows.iter().enumerate().map(|(at, (v, _))| (exact.distance(v), at)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut groups = Plain::new();
    for (_, at) in order {
        for value in values(&rows[at].1) {
            match groups.iter().position(|(v, _)| *v == value) {
                Some(group) if groups[group].1.len() < size => groups[group].1.push(at as u64),
                Some(_) => {}
                None if groups.len() < k => groups.push((value, vec![at as u64])),
                None => {}
            }
        }
    }
    groups
}

fn found(result: &GroupedResult) -> Plain {
    let id = |hit: &vecstore::Hit| hit.id.to_string().parse().unwrap();
    let groups = result.groups.iter();
    groups.map(|group| (group.value.clone(), group.hits.iter().map(id).collect())).collect()
}

/// Groups of very different sizes, one of them around the queries; several values a record, none,
/// null, objects.
fn rows(random: &mut Random) -> Vec<(Vec<f32>, Map<String, Value>)> {
    (0..3_000)
        .map(|n: u64| {
            let near = n.is_multiple_of(3);
            let vector: Vec<f32> =
                random.vector(4).iter().map(|x| if near { x / 20.0 } else { x * 3.0 }).collect();
            let small = random.below(40);
            let g = match random.below(10) {
                _ if near => json!("crowd"),
                0 => json!([small, "crowd", small]),
                1 => json!(null),
                2 => json!({"x": 1}),
                3 => json!([]),
                4 => json!(small.is_multiple_of(2)),
                _ => json!(small),
            };
            let mut metadata = Map::from_iter([("n".to_owned(), json!(n % 10))]);
            if small != 39 {
                metadata.insert("g".to_owned(), g);
            }
            (vector, metadata)
        })
        .collect()
}

#[test]
fn groups_are_those_of_a_plain_scan() {
    let (_db, docs) = in_memory(4, Metric::Euclidean);
    let mut random = Random::new(1);
    let rows = rows(&mut random);
    let record =
        |at: usize| Record::new(at as u64, rows[at].0.clone()).metadata(rows[at].1.clone().into());
    let queries: Vec<Vec<f32>> =
        (0..6).map(|at| random.vector(4).iter().map(|x| x * at as f32 / 5.0).collect()).collect();
    let check = |docs: &Collection, when: &str| {
        let (mut scans, mut fills) = (0, 0);
        for query in &queries {
            for (k, size) in [(1, 1), (1, 5), (5, 1), (10, 3), (42, 2), (100, 3)] {
                let result =
                    docs.query(query).k(k).exact().group_by("g").group_size(size).run().unwrap();
                assert!(result.complete);
                assert_eq!(
                    found(&result),
                    plain(&rows, query, k, size),
                    "{when}, {k} of {size}: {:?}",
                    result.steps
                );
                scans += usize::from(result.steps.iter().any(|s| s.contains("scan")));
                fills += usize::from(result.steps.iter().any(|s| s.contains("not full")));

                let narrow: Vec<_> =
                    (rows.iter())
                        .map(|(v, m)| {
                            if m["n"] == 3 {
                                (v.clone(), m.clone())
                            } else {
                                (v.clone(), Map::new())
                            }
                        })
                        .collect();
                let ask = docs.query(query).k(k).exact().filter("n = $n").bind("n", 3);
                let result = ask.group_by("g").group_size(size).run().unwrap();
                assert_eq!(found(&result), plain(&narrow, query, k, size), "{when}, filtered");
            }
        }
        assert!(scans > 0 && fills > 0, "{when}: {scans} scans, {fills} fills");
    };
    docs.batch_upsert((0..rows.len()).map(record).collect()).unwrap();
    check(&docs, "in memory");
    docs.flush().unwrap();
    check(&docs, "in a segment");
    docs.batch_upsert((0..rows.len()).step_by(3).map(record).collect()).unwrap();
    check(&docs, "in both");
    docs.optimize().unwrap();
    check(&docs, "optimized");

    let bare = docs.query(&queries[0]).k(3).include(Include::NOTHING).group_by("g").run().unwrap();
    assert!(
        bare.groups
            .iter()
            .flat_map(|g| &g.hits)
            .all(|hit| hit.metadata.is_empty() && hit.vector.is_empty())
    );
    for (k, size) in [(1, 0), (0, 1), (16_384, 2)] {
        let refused =
            docs.query(&queries[0]).k(k).group_by("g").group_size(size).run().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{k} of {size}");
    }
    assert_eq!(docs.query(&queries[0]).group_by("no such field").run().unwrap().groups, []);
}

/// At the default effort, on real vectors: as many groups as a scan finds, and nearly the same.
#[test]
fn groups_at_the_default_effort_are_nearly_those_of_a_scan() {
    let wordnet = wordnet();
    let (_db, docs) = in_memory(wordnet.base.dim, Metric::Cosine);
    for rows in (0..wordnet.base.vectors.len()).collect::<Vec<_>>().chunks(1_000) {
        docs.batch_upsert(rows.iter().map(|&row| wordnet.base.record(row)).collect()).unwrap();
    }
    docs.flush().unwrap();
    let (mut sum, mut groups) = (0.0, 0);
    for query in &wordnet.queries.vectors[..40] {
        let ask = || docs.query(query).k(8).include(Include::NOTHING);
        let exact = ask().exact().group_by("domain").group_size(3).run().unwrap();
        let near = ask().group_by("domain").group_size(3).run().unwrap();
        assert_eq!(near.groups.len(), 8);
        assert!(near.complete);
        for group in &exact.groups {
            let same = near.groups.iter().find(|other| other.value == group.value);
            let ids = |group: &vecstore::Group| {
                group.hits.iter().map(|h| h.id.clone()).collect::<Vec<_>>()
            };
            sum += same.map_or(0.0, |same| recall(&ids(group), &ids(same)));
            groups += 1;
        }
    }
    assert!(sum / f64::from(groups) >= 0.98, "{}", sum / f64::from(groups));
}

/// A threshold without a bound of its own: all records above it, up to the largest k.
#[test]
fn a_score_threshold_finds_all_above_it() {
    let wordnet = wordnet();
    let (_db, docs) = in_memory(wordnet.base.dim, Metric::Cosine);
    for rows in (0..wordnet.base.vectors.len()).collect::<Vec<_>>().chunks(1_000) {
        docs.batch_upsert(rows.iter().map(|&row| wordnet.base.record(row)).collect()).unwrap();
    }
    docs.flush().unwrap();
    let (mut sum, mut queries, mut worst) = (0.0, 0, 1.0_f64);
    for (at, query) in wordnet.queries.vectors.iter().take(30).enumerate() {
        let exact = ExactQuery::new(Metric::Cosine, query);
        let scores: Vec<f32> =
            wordnet.base.vectors.iter().map(|v| Metric::Cosine.score(exact.distance(v))).collect();
        let mut sorted = scores.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        // Between few rows and most of them.
        for rank in [0, 7, 300, 9_000] {
            let threshold = sorted[rank];
            let above: Vec<u64> = (0..scores.len())
                .filter(|&row| scores[row] >= threshold)
                .map(|row| row as u64)
                .collect();
            let ask = |k: usize| {
                let query = docs.query(query).k(k).include(Include::NOTHING);
                query.score_threshold(threshold)
            };
            let ids = |hits: Vec<vecstore::Hit>| -> Vec<u64> {
                hits.iter().map(|hit| hit.id.to_string().parse().unwrap()).collect()
            };
            let result = ask(vecstore::limits::K_MAX).exact().run().unwrap();
            assert!(result.complete && result.iter().all(|hit| hit.score >= threshold));
            let mut all = ids(result.hits);
            all.sort_unstable();
            assert_eq!(all, above, "query {at}, rank {rank}");
            // No more than k, the best.
            let best = ids(ask(5).exact().run().unwrap().hits);
            assert_eq!(best.len(), above.len().min(5));

            let near = ids(ask(vecstore::limits::K_MAX).run().unwrap().hits);
            let part = recall(&above, &near);
            (sum, queries, worst) = (sum + part, queries + 1, worst.min(part));
        }
    }
    assert!(
        sum / f64::from(queries) >= 0.99 && worst >= 0.9,
        "{} {worst}",
        sum / f64::from(queries)
    );
    let nothing = docs.query(&wordnet.queries.vectors[0]).score_threshold(1.01).run().unwrap();
    assert!(nothing.complete && nothing.is_empty());
}
