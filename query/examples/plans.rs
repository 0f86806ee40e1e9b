//! What the planner chooses, and what the alternatives really take: a segment of clustered
//! vectors, filters of falling selectivity, every strategy forced in turn.
//!
//! `cargo run --release -p vecstore-query --example plans -- [rows] [dim]`

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for a terminal")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use support::sealed::{Records, options, segment};
use support::{Rng, clustered, less, metadata, near, request};
use vecstore_index::Metric;
use vecstore_query::{Costs, Effort, Request, SealedView, SegmentView, run};

const QUERIES: usize = 200;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<usize>().expect("a number"));
    let rows = arguments.next().unwrap_or(30_000);
    let dim = arguments.next().unwrap_or(128);

    let mut rng = Rng(1);
    let vectors = clustered(&mut rng, rows, dim, 100);
    let queries: Vec<Vec<f32>> =
        (0..QUERIES).map(|i| near(&mut rng, &vectors[i * 7_919 % rows], 0.5)).collect();
    let metadata = (0..rows).map(|_| metadata(json!({ "n": rng.below(1_000_000) }))).collect();
    let started = Instant::now();
    let segment = segment(&Records::new(vectors, metadata), &options(Metric::Cosine, dim));
    println!("{rows} rows of {dim} components, written in {:.1?}", started.elapsed());

    let deleted = Arc::default();
    let view = SealedView::new(&segment, segment.namespace("").unwrap(), &deleted);
    println!("{:?}", view.stats().graph);
    let started = Instant::now();
    let costs = Costs::measure(dim);
    println!("{costs:#?}\nmeasured in {:.1?}", started.elapsed());

    let walk = support::dear_scans(dim);
    let scan = Costs { graph_step_ns: 1e9, exact_in_order_ns: 1e9, exact_random_ns: 1.0, ..costs };
    println!("selectivity | planned: estimate actual | walk | ScanRows | FullScan  (µs a query)");
    for share in [1.0, 0.9, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001, 0.0001] {
        let filter = less("n", (share * 1e6) as i64);
        let time = |costs: &Costs, effort| {
            let mut name = "";
            let (mut estimate, mut actual, mut distances) = (0.0, 0.0, 0);
            for query in &queries {
                let request = Request { filter: Some(&filter), ..request(query, 10, effort) };
                // The fastest of a few: what else runs on the machine only makes it slower.
                let mut fastest = f64::INFINITY;
                for round in 0..4 {
                    let answer = run(&request, &[&view], costs).unwrap();
                    let segment = &answer.executed.segments[0];
                    fastest = fastest.min(segment.search_us + answer.executed.rerank_us);
                    if round == 0 {
                        name = segment.ran.name();
                        estimate += segment.plan.cost_us;
                        distances += segment.distances;
                    }
                }
                actual += fastest;
            }
            let n = QUERIES as f64;
            (name, estimate / n, actual / n, distances as f64 / n)
        };
        let planned = time(&costs, Effort::Auto);
        let walked = time(&walk, Effort::Auto);
        let scanned = time(&scan, Effort::Auto);
        let exact = time(&costs, Effort::Exact);
        println!(
            "{share:>8} | {:<11} {:>7.0} {:>7.0} | {:<11} {:>7.0} ({:>6.0} distances, {:>4.0} ns each) \
             | {:>7.0} {} | {:>7.0} (estimated {:.0})",
            planned.0,
            planned.1,
            planned.2,
            walked.0,
            walked.2,
            walked.3,
            walked.2 * 1e3 / walked.3,
            scanned.2,
            scanned.0,
            exact.2,
            exact.1,
        );
    }
}
