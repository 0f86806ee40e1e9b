//! Generated filters on generated records, through the public face: in memory, in a segment, in both
//! and optimized the same rows, and the same answer to any two filters that select the same rows.

#![allow(clippy::unwrap_used)]

#[path = "../query/tests/records/mod.rs"]
#[allow(dead_code, reason = "what the tests of `query` need besides")]
mod records;

use proptest::prelude::*;
use records::{record, valid_filter};
use serde_json::{Map, Value, json};
use vecstore::{Collection, Hit, Include, Metric, Record};
use vecstore_query::Filter;
use vecstore_tests::{in_memory, is_long};

/// Filters for each generated set of records. Of a long run most would else go into databases.
fn filters_each() -> u32 {
    if is_long() { 100 } else { 20 }
}

/// 5,000 filters, or 100,000 with `VECSTORE_LONG=1`; `PROPTEST_CASES` sets a larger number, as for
/// the tests of `query`.
fn config() -> ProptestConfig {
    let filters = ProptestConfig::default().cases.max(if is_long() { 100_000 } else { 5_000 });
    ProptestConfig { cases: filters.div_ceil(filters_each()), ..ProptestConfig::default() }
}

/// The field that tells the rows apart; no generated field has its name.
const ROW: &str = "row number";

fn ask(docs: &Collection, filter: &str, exact: bool) -> Vec<Hit> {
    let query = docs.query(&[0.4, 0.1]).k(100).filter(filter).include(Include::NOTHING);
    let result = if exact { query.exact().run() } else { query.run() };
    let result = result.unwrap_or_else(|error| panic!("{error}\n{filter}"));
    assert!(result.complete, "{filter}");
    result.hits
}

fn check(docs: &Collection, rows: &[Map<String, Value>], filters: &[Filter], when: &str) {
    for (filter, other) in filters.iter().zip(filters.iter().cycle().skip(1)) {
        let matching: Vec<usize> =
            (0..rows.len()).filter(|&row| filter.matches(&rows[row])).collect();
        let list = matching.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let same = [
            format!("\"{ROW}\" IN [{list}]"),
            filter.to_string(),
            filter.to_json().to_string(),
            format!("NOT (NOT ({filter}))"),
            format!("({filter}) AND ({other}) OR ({filter}) AND NOT ({other})"),
        ];
        let expected = ask(docs, &same[0], true);
        assert_eq!(expected.len(), matching.len(), "{when}: {filter}");
        for filter in &same {
            assert_eq!(ask(docs, filter, true), expected, "{when}: {filter}");
            assert_eq!(ask(docs, filter, false), expected, "{when}, default effort: {filter}");
            assert_eq!(
                docs.count(Some(filter)).unwrap(),
                expected.len() as u64,
                "{when}: {filter}"
            );
        }
        let others = docs.count(Some(&format!("NOT ({filter})"))).unwrap();
        assert_eq!(others as usize, rows.len() - matching.len(), "{when}: NOT ({filter})");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn everywhere_the_same_rows(
        rows in prop::collection::vec(record(), 1..24),
        filters in prop::collection::vec(valid_filter(), filters_each() as usize),
        turns in any::<u32>(),
    ) {
        let (_db, docs) = in_memory(2, Metric::Euclidean);
        let rows: Vec<Map<String, Value>> = (rows.into_iter().enumerate())
            .map(|(at, mut row)| {
                row.insert(ROW.to_owned(), json!(at));
                row
            })
            .collect();
        let write = |at: usize| {
            // Distances that all differ, in an order of their own.
            let place = (at * 7 + 3) % 31;
            Record::new(at as u64, [place as f32, 0.0]).metadata(rows[at].clone().into())
        };
        docs.batch_upsert((0..rows.len()).map(write).collect()).unwrap();
        check(&docs, &rows, &filters, "in memory");
        docs.flush().unwrap();
        check(&docs, &rows, &filters, "in a segment");
        let again = (0..rows.len()).filter(|at| turns >> at & 1 == 1);
        docs.batch_upsert(again.map(write).collect()).unwrap();
        check(&docs, &rows, &filters, "in both");
        docs.optimize().unwrap();
        check(&docs, &rows, &filters, "optimized");
    }
}
