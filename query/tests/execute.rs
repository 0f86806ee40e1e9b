//! The executor over views that do everything the slow way, whole and damaged.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;
use support::{
    NaiveView, Rng, at_least, calibration, clustered, dear_scans, less, metadata, places, request,
    search, unreadable,
};
use vecstore_index::{Calibration, ClusterCalibration, Curve, Metric};
use vecstore_query::{
    Answer, ClusterStats, Costs, Effort, Filter, Request, SegmentView, Strategy, ViewKind, run,
};
use vecstore_segments::SegmentError;

/// `rows` vectors on a line at 0, 1, 2 …; row r is at distance r from the origin.
fn line(rows: usize) -> NaiveView {
    NaiveView::new(Metric::Euclidean, (0..rows).map(|row| vec![row as f32, 0.0]).collect())
}

const ORIGIN: [f32; 2] = [0.0, 0.0];

fn rows(answer: &Answer) -> Vec<u32> {
    answer.hits.iter().map(|hit| hit.row).collect()
}

fn walk(view: &dyn SegmentView, request: &Request<'_>) -> Answer {
    run(request, &[view], &dear_scans(2)).expect("an answer")
}

#[test]
fn nearest_first_with_exact_distances() {
    let answer = search(&line(100), &request(&[7.3, 0.0], 3, Effort::Auto));
    assert_eq!(rows(&answer), [7, 8, 6]);
    assert!((answer.hits[0].distance - 0.3).abs() < 1e-6);
    assert!(answer.complete);
    assert_eq!(answer.executed.hits, 3);
}

#[test]
fn no_views_and_empty_views() {
    let none = run(&request(&ORIGIN, 5, Effort::Auto), &[], &Costs::default()).unwrap();
    assert!(none.hits.is_empty() && none.complete);
    let empty = search(&line(0), &request(&ORIGIN, 5, Effort::Auto));
    assert!(empty.hits.is_empty() && empty.complete);
    assert_eq!(empty.executed.segments[0].ran, Strategy::Empty);
}

#[test]
fn more_wanted_than_there_are() {
    let view = line(5);
    for effort in [Effort::Auto, Effort::Ef(3), Effort::Recall(0.9), Effort::Exact] {
        for costs in [Costs::default(), dear_scans(2)] {
            let answer = run(&request(&ORIGIN, usize::MAX, effort), &[&view], &costs).unwrap();
            assert_eq!(rows(&answer), [0, 1, 2, 3, 4]);
            assert!(answer.complete, "all there are is all that can be asked for");
        }
    }
}

#[test]
fn ties_go_to_the_lower_view_then_the_lower_row() {
    let view = NaiveView::new(Metric::Euclidean, vec![vec![1.0, 0.0]; 4]);
    let answer =
        run(&request(&ORIGIN, 6, Effort::Auto), &[&view, &view], &Costs::default()).unwrap();
    assert_eq!(places(&answer), [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]);
}

#[test]
fn the_score_threshold_cuts_on_exact_scores() {
    let view = line(50);
    let request = Request { score_threshold: Some(-2.0), ..request(&ORIGIN, 10, Effort::Auto) };
    let answer = search(&view, &request);
    assert_eq!(rows(&answer), [0, 1, 2], "a score equal to the threshold is enough");
    assert!(answer.complete, "what the threshold cuts was not asked for");
    assert_eq!((answer.executed.hits, answer.executed.score_threshold), (3, Some(-2.0)));
}

#[test]
fn deleted_rows_are_never_found() {
    let mut view = line(2_000);
    view.deleted = (0..1_900).filter(|row| row % 3 != 0).collect();
    for costs in [Costs::default(), dear_scans(2)] {
        for effort in [Effort::Auto, Effort::Exact, Effort::Ef(1)] {
            let answer = run(&request(&ORIGIN, 4, effort), &[&view], &costs).unwrap();
            assert_eq!(rows(&answer), [0, 3, 6, 9]);
        }
    }
}

#[test]
fn a_filter_that_all_rows_pass_is_no_filter() {
    let view = line(3_000);
    let all = at_least("n", 0);
    let filtered = Request { filter: Some(&all), ..request(&ORIGIN, 10, Effort::Auto) };
    let (with, without) =
        (walk(&view, &filtered), walk(&view, &request(&ORIGIN, 10, Effort::Auto)));
    assert_eq!(with.hits, without.hits);
    assert_eq!(with.executed.segments[0].ran, without.executed.segments[0].ran);
    assert!(matches!(with.executed.segments[0].ran, Strategy::Graph { .. }));
    assert!(with.executed.filter.is_some(), "EXPLAIN still shows the filter");
}

#[test]
fn an_adaptive_walk_is_told_how_near_rows_were_found_before() {
    let told = |view: &NaiveView| view.found_within.lock().unwrap().clone();
    let by_ef = calibration().by_ef;
    for by_gamma in [Curve::default(), Curve { points: by_ef.points[..4].to_vec() }] {
        let is_adaptive = !by_gamma.points.is_empty();
        let graph = Some(Calibration { by_ef: by_ef.clone(), by_gamma });
        let [large, middle, small] =
            [3_000, 2_500, 2_000].map(|rows| NaiveView { graph: graph.clone(), ..line(rows) });
        let request = request(&ORIGIN, 3, Effort::Recall(0.9));
        let answer = run(&request, &[&small, &large, &middle], &dear_scans(2)).unwrap();
        assert_eq!(places(&answer), [(0, 0), (1, 0), (2, 0)]);
        // Larger ones come first, and 16 rows of one are not twice as many as are wanted.
        assert_eq!((told(&large), told(&middle)), (vec![f32::INFINITY], vec![f32::INFINITY]));
        let beam = answer.executed.segments[2].ran.beam().expect("a walk");
        assert_eq!(
            (!beam.is_fixed(), beam.nearest),
            (is_adaptive, if is_adaptive { 10 } else { beam.ef })
        );
        // Row n is n away, in either view.
        let within = if is_adaptive { 9.0 } else { f32::INFINITY };
        assert_eq!(told(&small), [within], "{beam:?}");
    }
}

// ---- walks that end too early --------------------------------------------------------------

#[test]
fn a_walk_over_budget_is_replaced_by_a_scan_and_says_so() {
    let mut view = line(3_000);
    view.faults.graph_distances = usize::MAX;
    let filter = at_least("n", 1_000);
    let request = Request { filter: Some(&filter), ..request(&ORIGIN, 3, Effort::Auto) };
    let answer = walk(&view, &request);
    assert_eq!(rows(&answer), [1_000, 1_001, 1_002]);
    let ran = &answer.executed.segments[0];
    assert!(matches!(ran.plan.strategy, Strategy::GraphSweep { .. }), "{:?}", ran.plan);
    assert_eq!(ran.ran, Strategy::ScanRows);
    let fallback = ran.fallback.as_deref().expect("says so");
    assert!(
        fallback.starts_with("GraphSweep ef=") && fallback.contains(": no end after "),
        "{fallback}"
    );
    assert_eq!(
        ran.distances,
        ran.plan.limits.distances_max as u64 + 2_000,
        "both the walk and the scan are counted"
    );
    assert!(answer.complete && ran.degraded.is_empty());
}

#[test]
fn a_walk_that_finds_too_few_rows_is_replaced_by_a_scan() {
    let mut view = line(3_000);
    view.faults.graph_misses = (0..2_995).collect();
    for k in [6, 100] {
        let answer = walk(&view, &request(&ORIGIN, k, Effort::Auto));
        assert_eq!(answer.hits.len(), k);
        assert_eq!(rows(&answer)[..6], [0, 1, 2, 3, 4, 5]);
        let ran = &answer.executed.segments[0];
        assert_eq!(ran.ran, Strategy::ScanRows);
        assert_eq!(
            ran.fallback.as_ref().map(|f| f.contains(&format!("found 5 of {k} rows"))),
            Some(true),
            "{:?}",
            ran.fallback
        );
    }
}

#[test]
fn without_codes_the_way_out_is_a_full_scan() {
    let mut view = line(3_000);
    view.codes = false;
    view.faults.graph_distances = usize::MAX;
    let answer = walk(&view, &request(&ORIGIN, 2, Effort::Auto));
    assert_eq!(rows(&answer), [0, 1]);
    assert_eq!(answer.executed.segments[0].ran, Strategy::FullScan);
    assert_eq!(answer.executed.reranked, 0, "exact distances are not computed twice");
}

/// A line whose view has clusters in the place of a graph.
fn line_of_leaves(rows: usize) -> NaiveView {
    let by_probes = calibration().by_ef;
    let reranked = vec![50; by_probes.points.len()];
    let calibration = ClusterCalibration { by_probes, reranked };
    let clusters = Some(ClusterStats { leaves: 300, calibration });
    NaiveView { graph: None, clusters, ..line(rows) }
}

#[test]
fn leaves_are_read_and_reranked_as_they_were_measured() {
    let view = line_of_leaves(3_000);
    let filter = at_least("n", 1_000);
    for (filter, first, rerank) in [(None, 0, 50), (Some(&filter), 1_000, 100)] {
        let request = Request { filter, ..request(&ORIGIN, 3, Effort::Recall(0.9)) };
        let answer = walk(&view, &request);
        assert_eq!(rows(&answer), [first, first + 1, first + 2]);
        let ran = &answer.executed.segments[0];
        assert_eq!(ran.ran.rerank(), Some(rerank), "{:?}", ran.ran);
        assert_eq!(ran.candidates, rerank as u64);
        // Fewer where codes show by themselves that the rest lies behind.
        assert!((3..=rerank as u64).contains(&answer.executed.reranked));
        assert!(ran.fallback.is_none() && answer.complete);
        let json = answer.executed.to_json();
        assert_eq!(json["segments"][0]["ran"]["strategy"], "clusters");
        assert!(json["segments"][0]["ran"]["probes"].as_u64() > Some(0));
        let text = answer.executed.to_string();
        assert!(text.contains("Clusters probes="), "{text}");
    }
}

#[test]
fn leaves_that_have_too_few_rows_are_left_for_a_scan() {
    let mut view = line_of_leaves(3_000);
    view.faults.graph_misses = (0..2_995).collect();
    let answer = walk(&view, &request(&ORIGIN, 6, Effort::Auto));
    assert_eq!(rows(&answer), [0, 1, 2, 3, 4, 5]);
    let ran = &answer.executed.segments[0];
    assert_eq!(ran.ran, Strategy::ScanRows);
    let fallback = ran.fallback.as_deref().expect("says so");
    assert!(fallback.ends_with("found 5 of 6 rows"), "{fallback}");
}

#[test]
fn damaged_leaves_degrade_to_full_vectors() {
    let mut view = line_of_leaves(3_000);
    view.faults.links = true;
    let answer = walk(&view, &request(&[800.0, 0.0], 3, Effort::Auto));
    assert_eq!(rows(&answer), [800, 799, 801]);
    let ran = &answer.executed.segments[0];
    assert_eq!((ran.ran, ran.degraded.len()), (Strategy::FullScan, 1));
    assert!(answer.complete);
}

// ---- damage --------------------------------------------------------------------------------

#[test]
fn damaged_links_and_codes_degrade_to_full_vectors() {
    let filter = at_least("n", 500);
    for (links, codes) in [(true, false), (false, true), (true, true)] {
        for filter in [None, Some(&filter)] {
            for costs in [Costs::default(), dear_scans(2)] {
                let mut view = line(2_000);
                (view.faults.links, view.faults.codes) = (links, codes);
                let request = Request { filter, ..request(&[800.0, 0.0], 3, Effort::Auto) };
                let answer = run(&request, &[&view], &costs).expect("damage is no error");
                assert_eq!(rows(&answer), [800, 799, 801]);
                assert!(answer.complete);
                let ran = &answer.executed.segments[0];
                let planned = ran.plan.strategy;
                if if planned.walks_graph() { links } else { codes } {
                    assert_eq!(ran.ran, Strategy::FullScan);
                    assert_eq!(ran.degraded.len(), 1, "{:?}", ran.degraded);
                    assert_eq!(ran.fallback, Some(format!("{planned}: damaged")));
                } else {
                    assert_eq!(ran.ran, planned);
                }
            }
        }
    }
}

#[test]
fn codes_that_turn_out_damaged_after_a_walk_gave_up() {
    let mut view = line(3_000);
    view.faults.graph_distances = usize::MAX;
    view.faults.codes = true;
    let answer = walk(&view, &request(&ORIGIN, 2, Effort::Auto));
    assert_eq!(rows(&answer), [0, 1]);
    let ran = &answer.executed.segments[0];
    assert_eq!(ran.ran, Strategy::FullScan);
    let fallback = ran.fallback.as_deref().unwrap();
    assert!(fallback.contains("no end after") && fallback.ends_with("; ScanRows: damaged"));
}

/// Rows 0, 1 and 4 can't be read, however they are looked for.
#[test]
fn unreadable_vectors_are_left_out_and_named() {
    let mut view = line(2_000);
    view.faults.vectors = BTreeSet::from([0, 1, 4]);
    for costs in [Costs::default(), dear_scans(2)] {
        for effort in [Effort::Auto, Effort::Exact] {
            let answer = run(&request(&ORIGIN, 3, effort), &[&view], &costs).unwrap();
            assert_eq!(rows(&answer), [2, 3, 5]);
            assert!(!answer.complete && !answer.executed.complete);
            let left_out = &answer.executed.segments[0].unreadable;
            assert!(left_out.rows.iter().eq([0, 1, 4]), "{left_out:?}");
            assert!(left_out.first_error.as_deref().unwrap().contains("row 0"));
        }
    }
}

#[test]
fn when_all_candidates_are_unreadable_the_readable_rows_are_still_found() {
    let mut view = line(2_000);
    view.faults.vectors = (0..1_500).collect();
    for costs in [Costs::default(), dear_scans(2)] {
        let answer = run(&request(&ORIGIN, 3, Effort::Auto), &[&view], &costs).unwrap();
        assert_eq!(rows(&answer), [1_500, 1_501, 1_502]);
        assert!(!answer.complete);
        let ran = &answer.executed.segments[0];
        assert_eq!(ran.unreadable.rows.len(), 1_500);
        assert_eq!(ran.ran, Strategy::FullScan);
        assert!(ran.fallback.as_deref().unwrap().contains("can't be read"));
    }
}

#[test]
fn unreadable_metadata_leaves_rows_out() {
    let mut view = line(100);
    view.faults.metadata = BTreeSet::from([10]);
    let filter = at_least("n", 10);
    let request = Request { filter: Some(&filter), ..request(&ORIGIN, 2, Effort::Auto) };
    let answer = search(&view, &request);
    assert_eq!(rows(&answer), [11, 12]);
    assert!(!answer.complete);
    assert_eq!(
        answer.executed.segments[0].unreadable,
        unreadable([10], "7.seg: section metadata is damaged: row 10")
    );
}

#[test]
fn damage_in_one_view_leaves_the_others_alone() {
    let whole = line(2_000);
    let mut damaged = line(2_000);
    damaged.faults.vectors = BTreeSet::from([0]);
    damaged.faults.codes = true;
    let answer =
        run(&request(&ORIGIN, 3, Effort::Auto), &[&whole, &damaged], &Costs::default()).unwrap();
    assert_eq!(places(&answer), [(0, 0), (0, 1), (1, 1)]);
    let [whole, damaged] = &answer.executed.segments[..] else { panic!("two views") };
    assert!(whole.degraded.is_empty() && whole.unreadable.rows.is_empty());
    assert!(damaged.degraded.len() == 1 && damaged.unreadable.rows.len() == 1);
    assert!(!answer.complete);
}

#[test]
fn what_is_not_damage_is_an_error() {
    let mut view = line(50);
    view.faults.io = true;
    for effort in [Effort::Auto, Effort::Exact] {
        let error = run(&request(&ORIGIN, 3, effort), &[&view], &Costs::default()).unwrap_err();
        assert!(matches!(error, SegmentError::Io { .. }), "{error}");
    }
}

// ---- codes that say something wrong --------------------------------------------------------

#[test]
fn a_scan_finds_a_row_whose_code_is_farther_off_than_others_show() {
    let mut view = line(300);
    view.faults.codes_off = BTreeMap::from([(5, 15.0)]);
    let filter = less("n", 200);
    let request = Request { filter: Some(&filter), ..request(&ORIGIN, 10, Effort::Auto) };
    let answer = search(&view, &request);
    assert_eq!(answer.executed.segments[0].ran, Strategy::ScanRows);
    assert_eq!(rows(&answer), (0..10).collect::<Vec<_>>());
}

/// Rows at a distance of `apart` from each other.
fn close(rows: usize, apart: f32) -> NaiveView {
    let vectors = (0..rows).map(|row| vec![row as f32 * apart, 0.0]).collect();
    NaiveView::new(Metric::Euclidean, vectors)
}

#[test]
fn the_error_seen_on_one_view_is_believed_of_the_others() {
    // Row 40 of the first view is reranked, and shows that codes are off by 0.3; of the second view
    // none is, as 26 rows of the first one seem to be nearer.
    let mut first = close(300, 0.01);
    first.faults.codes_off = BTreeMap::from([(40, -0.3)]);
    let mut second = close(300, 0.01);
    second.vectors = (0..300).map(|row| vec![row as f32 + 0.055, 0.0]).collect();
    second.faults.codes_off = BTreeMap::from([(0, 0.3)]);
    let filter = less("n", 200);
    let request = Request { filter: Some(&filter), ..request(&ORIGIN, 10, Effort::Auto) };
    let answer = run(&request, &[&first, &second], &Costs::default()).unwrap();

    let found = places(&answer);
    assert!(found.contains(&(1, 0)), "{found:?}");
    for segment in &answer.executed.segments {
        assert_eq!(segment.ran, Strategy::ScanRows, "no full vectors but of candidates");
        let why = segment.fallback.as_deref().unwrap_or_default();
        assert!(why.contains("codes cannot tell the nearest apart"), "{why}");
    }
}

#[test]
fn rows_too_close_for_any_code_are_compared_on_full_vectors() {
    let view = close(3_000, 1e-6);
    let query = [2_990e-6, 0.0];
    let filter = less("n", 2_995);
    let request = Request { filter: Some(&filter), ..request(&query, 1, Effort::Recall(0.9)) };
    let costs = Costs { graph_step_ns: 1e6, ..Costs::default() };
    let answer = run(&request, &[&view], &costs).unwrap();
    assert_eq!(rows(&answer), [2_990]);
    assert_eq!(answer.executed.segments[0].plan.strategy, Strategy::ScanRows);
    assert_eq!(answer.executed.segments[0].ran, Strategy::FullScan);
}

// ---- several views -------------------------------------------------------------------------

/// Splits a view's rows over several; `parts[row]` says where to.
fn split(view: &NaiveView, parts: &[usize], count: usize) -> (Vec<NaiveView>, Vec<Vec<u32>>) {
    let mut views = vec![
        NaiveView {
            vectors: vec![],
            metadata: vec![],
            deleted: BTreeSet::new(),
            ..view.clone()
        };
        count
    ];
    let mut origin = vec![vec![]; count];
    for (row, &part) in parts.iter().enumerate() {
        if view.deleted.contains(&(row as u32)) {
            let place = views[part].vectors.len() as u32;
            views[part].deleted.insert(place);
        }
        views[part].vectors.push(view.vectors[row].clone());
        views[part].metadata.push(view.metadata[row].clone());
        origin[part].push(row as u32);
    }
    views[0].kind = ViewKind::Memtable;
    (views, origin)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One view or several, by any plan that keeps the promise: the same rows.
    #[test]
    fn several_views_are_one_big_view(
        seed in any::<u64>(),
        metric in proptest::sample::select(Metric::ALL.to_vec()),
        total in 1usize..400,
        count in 1usize..6,
        k in 1usize..40,
        bound in 0i64..420,
        dear in any::<bool>(),
        exact in any::<bool>(),
    ) {
        let mut rng = Rng(seed);
        let mut whole = NaiveView::new(metric, clustered(&mut rng, total, 8, 5));
        whole.deleted = (0..total as u32).filter(|_| rng.below(10) == 0).collect();
        let parts: Vec<usize> = (0..total).map(|_| rng.below(count)).collect();
        let (mut views, origin) = split(&whole, &parts, count);
        for view in &mut views {
            view.graph = (rng.below(2) == 0).then(calibration);
            view.codes = rng.below(4) > 0;
        }
        let views: Vec<&dyn SegmentView> = views.iter().map(|v| v as &dyn SegmentView).collect();

        let query: Vec<f32> = (0..8).map(|_| rng.normal()).collect();
        let filter = less("n", bound);
        let effort = if exact { Effort::Exact } else { Effort::Auto };
        let request = Request { filter: Some(&filter), ..request(&query, k, effort) };
        let costs = if dear { dear_scans(8) } else { Costs::default() };
        let answer = run(&request, &views, &costs).expect("an answer");

        prop_assert!(answer.complete);
        let found: BTreeSet<u32> =
            answer.hits.iter().map(|hit| origin[hit.view][hit.row as usize]).collect();
        let truth: BTreeSet<u32> = whole.truth(&query, Some(&filter), k).into_iter().collect();
        prop_assert_eq!(found.len(), answer.hits.len(), "no row twice");
        if exact {
            prop_assert_eq!(found, truth);
        } else {
            // The naive codes are coarse: the farthest of many close ones may be missed.
            prop_assert_eq!(found.len(), truth.len());
            let missed = truth.difference(&found).count();
            prop_assert!(missed * 10 <= truth.len(), "{} of {} missed", missed, truth.len());
        }
        prop_assert!(answer.hits.is_sorted_by(|a, b|
            (a.distance, a.view, a.row) < (b.distance, b.view, b.row)));
    }

    /// Two filters that select the same rows give the same result.
    #[test]
    fn only_the_selected_rows_count(
        seed in any::<u64>(),
        bound in 0i64..320,
        k in 1usize..20,
        dear in any::<bool>(),
    ) {
        let mut rng = Rng(seed);
        let mut view = NaiveView::new(Metric::Cosine, clustered(&mut rng, 300, 8, 5));
        for (n, row) in view.metadata.iter_mut().enumerate() {
            *row = metadata(json!({ "n": n, "minus": -(n as i64) }));
        }
        let query: Vec<f32> = (0..8).map(|_| rng.normal()).collect();
        let costs = if dear { dear_scans(8) } else { Costs::default() };
        let filters = [
            less("n", bound),
            at_least("minus", 1 - bound),
            Filter::Not(Box::new(at_least("n", bound))),
        ];
        let answers: Vec<Answer> = filters
            .iter()
            .map(|filter| {
                let request = Request { filter: Some(filter), ..request(&query, k, Effort::Auto) };
                run(&request, &[&view], &costs).expect("an answer")
            })
            .collect();
        for answer in &answers[1..] {
            prop_assert_eq!(&answer.hits, &answers[0].hits);
        }
    }
}
