//! A query that nobody waits for ends within its work on a view, however large that is.

mod support;

use std::cell::Cell;

use serde_json::json;
use support::sealed::{Records, options, segment};
use support::{at_least, metadata, request};
use vecstore_index::{Accept, Beam, ExactQuery, Metric, Scratch};
use vecstore_query::{
    Costs, Effort, Filter, PreparedQuery, Request, SealedView, SegmentView, Stop, run_until,
};
use vecstore_segments::{Segment, SegmentError};

const ROWS: usize = 6_000;
const DIM: usize = 4;

/// `n` is indexed, `text` has strings too long for an index.
fn large(index: bool) -> Segment {
    let mut rng = support::Rng(7);
    let vectors = (0..ROWS).map(|_| (0..DIM).map(|_| rng.normal()).collect()).collect();
    let long = "x".repeat(2_000);
    let fields = |n| metadata(json!({"n": n, "text": format!("{long}{n}")}));
    let mut options = options(Metric::Euclidean, DIM);
    if !index {
        options.index_rows_min = u32::MAX;
    }
    segment(&Records::new(vectors, (0..ROWS).map(fields).collect()), &options)
}

/// A stop that says yes at the `nth` question, and what was asked.
fn at<T>(nth: usize, work: impl FnOnce(&Stop<'_>) -> T) -> (T, usize) {
    let asked = Cell::new(0);
    let ask = || {
        asked.set(asked.get() + 1);
        asked.get() >= nth
    };
    let done = work(&Stop::new(&ask));
    (done, asked.get())
}

fn query<'a>(exact: &ExactQuery, stop: &'a Stop<'a>) -> PreparedQuery<'a> {
    PreparedQuery { vector: &[0.0; DIM], exact: exact.clone(), stop }
}

#[test]
fn each_kind_of_work_ends_early() {
    let deleted = Default::default();
    let (scanned, walked) = (large(false), large(true));
    let all = scanned.namespace("").expect("it has rows");
    let view = SealedView::new(&scanned, all, &deleted);
    let exact = ExactQuery::new(Metric::Euclidean, &[0.0; DIM]);
    for nth in [1, 2, 4] {
        let rows = nth * Stop::ROWS;
        let (found, _) =
            at(nth, |stop| view.scan_exact(&query(&exact, stop), None, ROWS).expect("reads"));
        assert_eq!((found.distances, found.candidates.len()), (rows, rows), "exact scan");
        let (found, _) =
            at(nth, |stop| view.scan(&query(&exact, stop), None, ROWS).expect("reads"));
        assert_eq!(found.candidates.len(), rows, "scan");
        let (found, _) = at(nth, |stop| {
            let rows = view.live();
            view.scan(&query(&exact, stop), Some(&rows), ROWS).expect("reads")
        });
        assert_eq!(found.candidates.len(), rows, "scan of rows");
        let filter = Filter::parse("text LIKE '%7'", &Default::default()).expect("a filter");
        // The first question comes before the index is asked.
        let (found, _) = at(nth + 1, |stop| view.matching(&filter, stop).expect("reads"));
        let seen = found.rows.max().expect("some match") as usize;
        assert!(seen < rows && seen + 10 >= rows, "{seen} of {rows} rows read");

        let view = SealedView::new(&walked, walked.namespace("").expect("rows"), &deleted);
        let (found, asked) = at(nth, |stop| {
            let beam = Beam::fixed(ROWS);
            view.search(
                &query(&exact, stop),
                beam,
                Accept::All,
                usize::MAX.into(),
                &mut Scratch::default(),
            )
        });
        let found = found.expect("walks");
        assert!(found.gave_up.is_some() && asked == nth, "{found:?}");
        assert!(found.distances <= rows + 100 * nth, "{} distances", found.distances);
    }
}

#[test]
fn a_query_ends_at_the_very_question() {
    let deleted = Default::default();
    let segments = [large(false), large(true)];
    let vector = [0.0; DIM];
    let filter = at_least("n", 100);
    let read = Filter::parse("text LIKE '%7'", &Default::default()).expect("a filter");
    let tests: Vec<String> = (0..50).map(|n| format!("n = {n}")).collect();
    let tests = Filter::parse(&tests.join(" OR "), &Default::default()).expect("a filter");
    for (segment, request, least) in [
        (&segments[0], request(&vector, 5, Effort::Auto), 6),
        // Each test may have to look at every string of the segment.
        (&segments[0], Request { filter: Some(&tests), ..request(&vector, 5, Effort::Auto) }, 52),
        (&segments[0], request(&vector, 5, Effort::Exact), 6),
        (&segments[0], Request { filter: Some(&filter), ..request(&vector, 5, Effort::Auto) }, 6),
        (&segments[0], Request { filter: Some(&read), ..request(&vector, 5, Effort::Auto) }, 6),
        // As many as that are reranked.
        (&segments[1], request(&vector, 5_000, Effort::Ef(6_000)), 8),
    ] {
        let view = SealedView::new(segment, segment.namespace("").expect("it has rows"), &deleted);
        let costs = Costs { code_in_order_ns: 1e6, code_near_ns: 1e6, ..Costs::default() };
        let ask = |nth| at(nth, |stop| run_until(&request, &[&view], &costs, &|| stop.asked()));
        let (whole, times) = ask(usize::MAX);
        let whole = whole.expect("an answer").executed;
        assert!(times >= least, "asked {times} times: {whole}");
        for nth in 1..=times {
            let (ended, asked) = ask(nth);
            assert!(matches!(ended, Err(SegmentError::Cancelled)), "{nth} of {times}: {ended:?}");
            assert_eq!(asked, nth);
        }
    }
}

#[test]
fn what_was_said_once_holds() {
    let answers = Cell::new(0);
    let ask = || {
        answers.set(answers.get() + 1);
        answers.get() == 2
    };
    let stop = Stop::new(&ask);
    let rows: Vec<u32> = stop.rows(0..10_000).collect();
    assert_eq!(rows.len(), 2 * Stop::ROWS);
    assert!(stop.asked() && stop.go_on().is_err() && answers.get() == 2);
}
