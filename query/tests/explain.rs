//! EXPLAIN, to the letter; times are replaced by made-up ones.

mod support;

use std::collections::BTreeSet;

use serde_json::json;
use support::{NaiveView, at_least, dear_scans, request};
use vecstore_index::Metric;
use vecstore_query::{Costs, Effort, ExecutedPlan, Request, ViewKind, run};

fn line(rows: usize) -> NaiveView {
    NaiveView::new(Metric::Euclidean, (0..rows).map(|row| vec![row as f32, 0.0]).collect())
}

/// What ran, with times that are the same in every run.
fn timed(mut executed: ExecutedPlan) -> ExecutedPlan {
    for (i, segment) in executed.segments.iter_mut().enumerate() {
        segment.search_us = 1_000.0 * (i + 1) as f64;
        if segment.filter_us > 0.0 {
            segment.filter_us = 42.0;
        }
    }
    executed.rerank_us = 7.25;
    executed.total_us = 12_345.0;
    executed
}

#[test]
fn text_of_a_query_without_a_filter() {
    let mut view = line(3_000);
    view.faults.graph_distances = 812;
    let request = request(&[5.0, 0.0], 3, Effort::Ef(64));
    let answer = run(&request, &[&view], &dear_scans(2));
    let text = timed(answer.unwrap().executed).to_string();
    assert_eq!(text, include_str!("explain/plain.txt").trim_end(), "\n{text}");
}

fn eventful() -> ExecutedPlan {
    let mut large = line(3_000);
    large.faults.graph_distances = usize::MAX;
    large.faults.codes = true;
    large.faults.vectors = BTreeSet::from([1_000, 1_001, 1_002, 1_005]);
    let mut memtable = line(100);
    memtable.kind = ViewKind::Memtable;
    (memtable.codes, memtable.graph) = (false, None);
    let filter = at_least("n", 50);
    let request = Request {
        filter: Some(&filter),
        score_threshold: Some(-2_000.5),
        ..request(&[1_000.0, 0.0], 10, Effort::Ef(64))
    };
    let answer = run(&request, &[&memtable, &large], &dear_scans(2));
    timed(answer.expect("an answer").executed)
}

#[test]
fn text_of_all_that_can_happen() {
    let text = eventful().to_string();
    assert_eq!(text, include_str!("explain/eventful.txt").trim_end(), "\n{text}");
}

#[test]
fn json_of_all_that_can_happen() {
    let json = format!("{:#}", eventful().to_json());
    assert_eq!(json, include_str!("explain/eventful.json").trim_end(), "\n{json}");
}

#[test]
fn json_names_the_effort() {
    let kind = |effort| {
        let answer = run(&request(&[0.0, 0.0], 1, effort), &[&line(5)], &Costs::default());
        answer.unwrap().executed.to_json()["effort"].clone()
    };
    assert_eq!(kind(Effort::Auto), json!({ "kind": "auto" }));
    assert_eq!(kind(Effort::Ef(50)), json!({ "kind": "ef", "ef": 50 }));
    assert_eq!(kind(Effort::Recall(0.95)), json!({ "kind": "recall", "recall": 0.95 }));
    assert_eq!(kind(Effort::Exact), json!({ "kind": "exact" }));
}

#[test]
fn json_shows_what_ran_beside_what_was_planned() {
    let json = eventful().to_json();
    let large = &json["segments"][0];
    assert_eq!(large["planned"]["strategy"], "graph_sweep");
    assert_eq!(large["ran"]["strategy"], "full_scan");
    assert_eq!(large["unreadable"]["row_ranges"], json!([[1000, 1002], [1005, 1005]]));
    assert_eq!(json["complete"], false);
}
