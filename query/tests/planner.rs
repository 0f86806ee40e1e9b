//! The planner as a table: what is asked, what there is, what is done.

mod support;

use support::{calibration, request};
use vecstore_index::{
    Beam, Calibration, ClusterCalibration, Curve, EffortPoint, ExpectedLooks, Gamma, MeasuredEffort,
};
use vecstore_query::Strategy::{
    Clusters, Empty, FullScan, Graph, GraphSweep, ScanRows, ScanSketches,
};
use vecstore_query::{
    ClusterStats, Costs, Effort, Plan, Request, SegmentPlan, Strategy, ViewKind, ViewStats, plan,
};

fn view(rows: u32) -> ViewStats {
    ViewStats {
        kind: ViewKind::Sealed { id: 1 },
        rows,
        live: rows,
        dim: 384,
        codes: true,
        sketches: None,
        graph: Some(calibration()),
        coarse: false,
        unlinked: 0,
        tail: 0,
        clusters: None,
        degraded: vec![],
    }
}

fn plan_one(k: usize, effort: Effort, view: &ViewStats, matching: u64) -> SegmentPlan {
    let plan = plan(&request(&[], k, effort), std::slice::from_ref(view), &[matching], &costs());
    plan.segments.into_iter().next().expect("one view").1
}

fn costs() -> Costs {
    Costs::default()
}

/// The `ef` that the calibration says is enough for a recall of 10 neighbours.
fn ef_for(recall: f32) -> usize {
    calibration().by_ef.effort_for_recall(recall).expect("it was measured to") as usize
}

#[track_caller]
fn check(k: usize, effort: Effort, view: &ViewStats, matching: u64, expected: Strategy) {
    let planned = plan_one(k, effort, view, matching);
    assert_eq!(planned.strategy, expected, "{planned:#?}");
    assert_consistent(&planned);
}

/// What holds for every plan.
#[track_caller]
fn assert_consistent(plan: &SegmentPlan) {
    let admissible: Vec<_> = plan.alternatives.iter().filter(|a| a.rejected.is_none()).collect();
    assert_eq!(admissible[0].strategy, plan.strategy, "the cheapest admissible one: {plan:#?}");
    assert_eq!(admissible[0].cost_us, plan.cost_us);
    assert!(plan.alternatives.is_sorted_by(|a, b| a.cost_us <= b.cost_us), "{plan:#?}");
    assert_eq!(plan.strategy == Empty, plan.matching == 0);
    match plan.strategy {
        Graph { .. } | GraphSweep { .. } => {
            let fallback = plan.fallback.expect("every walk has a way out");
            let scan = plan.alternatives.iter().find(|a| a.strategy == fallback).expect("priced");
            assert!(scan.rejected.is_none() && !fallback.walks_graph(), "{plan:#?}");
            assert!(plan.limits.distances_max as u64 >= plan.distances, "{plan:#?}");
            let step_us = plan.cost_us / plan.distances as f64;
            assert!(plan.limits.distances_max as f64 * step_us <= scan.cost_us * 1.01, "{plan:#?}");
        }
        Clusters { probes, .. } => {
            let fallback = plan.fallback.expect("every index has a way out");
            assert!(!fallback.uses_index() && probes > 0, "{plan:#?}");
            assert_eq!(plan.limits.distances_max, 0);
        }
        Empty | ScanRows | ScanSketches | FullScan => {
            assert_eq!((plan.fallback, plan.limits.distances_max), (None, 0));
        }
    }
}

#[test]
fn strategies() {
    let million = view(1_000_000);
    let auto = Effort::Auto;
    let ef = ef_for(0.99);
    // Nothing matches.
    check(10, auto, &million, 0, Empty);
    check(10, Effort::Exact, &million, 0, Empty);
    check(10, auto, &view(0), 0, Empty);
    // No filter: the graph, unless there is hardly anything to look at.
    check(10, auto, &million, 1_000_000, Graph { beam: Beam::fixed(ef) });
    check(10, auto, &view(1_000), 1_000, ScanRows);
    check(10, auto, &view(20), 20, FullScan);
    // A filter, from nearly everything to nearly nothing; it aims higher.
    let ef = 256;
    check(10, auto, &million, 999_999, GraphSweep { beam: Beam::fixed(ef) });
    check(10, auto, &million, 500_000, GraphSweep { beam: Beam::fixed(ef) });
    // A walk that is not four times as cheap is not worth the row it may miss, unless asked for.
    check(10, auto, &million, 100_000, ScanRows);
    check(10, Effort::Ef(64), &million, 100_000, GraphSweep { beam: Beam::fixed(64) });
    check(10, auto, &million, 10_000, ScanRows);
    check(10, auto, &million, 1_000, ScanRows);
    check(10, auto, &million, 10, FullScan);
    check(10, auto, &million, 1, FullScan);
}

#[test]
fn the_less_recall_is_asked_for_the_fewer_candidates_are_reranked() {
    let million = view(1_000_000);
    let rerank = |k, effort| {
        plan(&request(&[], k, effort), std::slice::from_ref(&million), &[100_000], &costs()).rerank
    };
    let depths = |effort| [1, 10, 100].map(|k| rerank(k, effort));
    assert_eq!(depths(Effort::Recall(0.5)), [5, 14, 125]);
    assert_eq!(depths(Effort::Recall(0.9)), [5, 14, 125]);
    assert_eq!(depths(Effort::Recall(0.95)), [17, 26, 200]);
    assert_eq!(depths(Effort::Auto), [17, 26, 200]);
    assert_eq!(depths(Effort::Recall(0.995)), [33, 42, 400]);
}

#[test]
fn efforts() {
    let million = view(1_000_000);
    let all = 1_000_000;
    check(10, Effort::Exact, &million, all, FullScan);
    check(10, Effort::Exact, &million, 5, FullScan);
    check(10, Effort::Recall(1.0), &million, all, FullScan);
    check(10, Effort::Recall(2.0), &million, all, FullScan);
    // As asked, but never less than k.
    check(10, Effort::Ef(40), &million, all, Graph { beam: Beam::fixed(40) });
    check(10, Effort::Ef(0), &million, all, Graph { beam: Beam::fixed(10) });
    check(50, Effort::Ef(40), &million, all, Graph { beam: Beam::fixed(50) });
    // The smallest that was measured to be enough.
    check(10, Effort::Recall(0.80), &million, all, Graph { beam: Beam::fixed(ef_for(0.80)) });
    check(10, Effort::Recall(0.90), &million, all, Graph { beam: Beam::fixed(ef_for(0.90)) });
    check(10, Effort::Recall(0.995), &million, all, Graph { beam: Beam::fixed(256) });
    // More than the graph can do, then more than codes can do.
    check(10, Effort::Recall(0.998), &million, all, ScanRows);
    check(10, Effort::Recall(0.9995), &million, all, FullScan);
    // For more neighbours than were measured, ef grows, but less than k does.
    check(
        40,
        Effort::Recall(0.90),
        &million,
        all,
        Graph { beam: Beam::fixed(40 + 2 * (ef_for(0.90) - 10)) },
    );
    check(1, Effort::Recall(0.90), &million, all, Graph { beam: Beam::fixed(ef_for(0.90)) });
    // The default effort.
    check(1, Effort::Auto, &million, all, Graph { beam: Beam::fixed(ef_for(0.99)) });
    check(
        160,
        Effort::Auto,
        &million,
        all,
        Graph { beam: Beam::fixed(160 + 4 * (ef_for(0.99) - 10)) },
    );
}

#[test]
fn the_default_effort_keeps_ef_at_64_and_2_k() {
    let mut good = view(1_000_000);
    for point in &mut good.graph.as_mut().unwrap().by_ef.points {
        point.recall = 0.999;
    }
    check(10, Effort::Auto, &good, 1_000_000, Graph { beam: Beam::fixed(64) });
    check(100, Effort::Auto, &good, 1_000_000, Graph { beam: Beam::fixed(200) });
}

/// An adaptive beam where it computes fewer distances for the recall wanted.
#[test]
fn a_walk_goes_as_far_as_distances_say() {
    let mut million = view(1_000_000);
    let point = |effort, recall, distances| EffortPoint { effort, recall, distances };
    let points =
        vec![point(50, 0.93, 450.0), point(100, 0.99, 1_000.0), point(200, 0.9995, 2_500.0)];
    let graph = million.graph.as_mut().unwrap();
    graph.by_gamma = Curve { points };
    let graph = graph.clone();
    let gamma_for = |recall| match graph.effort_for_recall(recall).unwrap() {
        MeasuredEffort::Gamma(gamma) => gamma,
        MeasuredEffort::Ef(ef) => panic!("ef {ef}"),
    };
    let (at_90, at_99) = (gamma_for(0.9), gamma_for(0.99));
    assert!(Gamma::new(40) < at_90 && at_90 < at_99 && at_99 < Gamma::new(150));
    let (all, auto) = (1_000_000, Effort::Auto);
    // At most twice the rows of the fixed beam that costs as much; of more than 10 as many spare ones
    // more as the root of that.
    let beam = |k: usize, gamma| {
        let ef = graph.ef_as_costly_as(MeasuredEffort::Gamma(gamma)) as usize;
        let spare = (ef - 10) as f32 * (k as f32 / 10.0).sqrt();
        Graph { beam: Beam::adaptive(k, gamma).at_most(2 * (k + spare.ceil() as usize)) }
    };
    check(10, Effort::Recall(0.9), &million, all, beam(10, at_90));
    check(10, auto, &million, all, beam(10, at_99));
    // By the k-th distance, of at least 10.
    check(3, auto, &million, all, beam(10, at_99));
    check(100, auto, &million, all, beam(100, at_99));
    // Whoever names an ef gets it.
    check(10, Effort::Ef(64), &million, all, Graph { beam: Beam::fixed(64) });
    // Its cost is the measured one, and what is expected of a fixed beam of that cost under a filter.
    let planned = plan_one(10, Effort::Recall(0.99), &million, all);
    assert!((1_000..1_500).contains(&planned.distances), "{planned:#?}");
    assert!((0.99..0.9995).contains(&planned.recall), "{planned:#?}");
    let half = plan_one(10, Effort::Recall(0.99), &million, all / 2);
    assert!(half.distances > planned.distances, "{half:#?}");
    assert!(matches!(half.strategy, GraphSweep { beam } if beam == Beam::adaptive(10, at_99)));
}

#[test]
fn what_is_not_there_is_not_used() {
    let no_graph = ViewStats { graph: None, ..view(1_000_000) };
    check(10, Effort::Auto, &no_graph, 1_000_000, ScanRows);
    check(10, Effort::Ef(64), &no_graph, 500_000, ScanRows);
    let nothing = ViewStats { codes: false, ..no_graph.clone() };
    check(10, Effort::Auto, &nothing, 1_000_000, FullScan);
    // A graph over full vectors, as in memory.
    let no_codes = ViewStats { codes: false, ..view(1_000_000) };
    let ef = ef_for(0.99);
    check(10, Effort::Auto, &no_codes, 1_000_000, Graph { beam: Beam::fixed(ef) });
    let unmeasured = ViewStats { graph: Some(Calibration::default()), ..view(1_000_000) };
    check(10, Effort::Auto, &unmeasured, 1_000_000, ScanRows);
}

#[test]
fn a_graph_that_was_measured_to_be_bad_is_rejected_with_the_reason() {
    let mut bad = view(1_000_000);
    for point in &mut bad.graph.as_mut().unwrap().by_ef.points {
        point.recall -= 0.1;
    }
    let planned = plan_one(10, Effort::Auto, &bad, 1_000_000);
    assert_eq!(planned.strategy, ScanRows);
    let graph = planned.alternatives.iter().find(|a| a.strategy.walks_graph()).unwrap();
    assert_eq!(graph.rejected.as_deref(), Some("measured recall at most 0.895, wanted 0.95"));
    // But whoever names an ef gets it.
    check(10, Effort::Ef(64), &bad, 1_000_000, Graph { beam: Beam::fixed(64) });
}

#[test]
fn every_strategy_is_priced_and_says_why_not() {
    let planned = plan_one(10, Effort::Exact, &view(1_000), 100);
    let rejected: Vec<_> =
        planned.alternatives.iter().map(|a| (a.strategy.name(), a.rejected.is_some())).collect();
    assert_eq!(rejected.len(), 3);
    assert!(rejected.contains(&("full_scan", false)));
    assert!(rejected.contains(&("scan_rows", true)));
    assert!(rejected.contains(&("graph_sweep", true)));
}

#[test]
fn a_walk_with_many_dead_rows_is_priced_for_passing_them() {
    let half_dead = ViewStats { live: 500_000, ..view(1_000_000) };
    let planned = plan_one(10, Effort::Auto, &half_dead, 500_000);
    assert_eq!(planned.strategy, Graph { beam: Beam::fixed(ef_for(0.99)) });
    let alive = plan_one(10, Effort::Auto, &view(1_000_000), 1_000_000);
    assert!(planned.distances > alive.distances * 3 / 2, "{planned:?}");
}

#[test]
fn rows_that_are_not_linked_yet_are_priced_for_being_scanned() {
    let walk = |unlinked, tail| {
        let view = ViewStats { unlinked, tail, ..view(100_000) };
        let planned = plan_one(10, Effort::Ef(64), &view, 100_000);
        let walk = planned.alternatives.iter().find(|a| a.strategy.walks_graph()).expect("priced");
        (walk.cost_us, walk.distances)
    };
    let ((linked_us, distances), (coded_us, with_coded)) = (walk(0, 0), walk(20_000, 0));
    let (tail_us, with_tail) = walk(0, 20_000);
    assert!(linked_us * 2.0 < coded_us && coded_us * 2.0 < tail_us, "{linked_us}, {coded_us}");
    assert_eq!((with_coded, with_tail), (distances + 20_000, distances + 20_000));
    // A scan looks at all codes, whether their rows are linked or not.
    let unlinked = ViewStats { unlinked: 95_000, ..view(100_000) };
    check(10, Effort::Auto, &unlinked, 100_000, ScanRows);
}

#[test]
fn costs_grow_with_rows_and_fall_with_selectivity() {
    let mut last = 0.0;
    for matching in [1, 10, 100, 1_000, 10_000, 100_000] {
        let planned = plan_one(10, Effort::Exact, &view(100_000), matching);
        assert!(planned.cost_us > last, "{planned:?}");
        last = planned.cost_us;
    }
    let sweep_cost = |matching| {
        let planned = plan_one(10, Effort::Auto, &view(1_000_000), matching);
        planned.alternatives.iter().find(|a| a.strategy.walks_graph()).unwrap().distances
    };
    assert!(sweep_cost(900_000) < sweep_cost(300_000));
    assert!(sweep_cost(300_000) < sweep_cost(100_000));
    assert!(sweep_cost(10) <= 1_000_000, "no row is looked at twice");
}

#[test]
fn larger_views_run_first() {
    let views = [view(10), view(3_000), view(500), view(3_000)];
    let matching = [10, 3_000, 0, 1];
    let plan: Plan = plan(&request(&[], 5, Effort::Auto), &views, &matching, &costs());
    let order: Vec<usize> = plan.segments.iter().map(|(index, _)| *index).collect();
    assert_eq!(order, [1, 3, 2, 0]);
    assert_eq!(plan.segments[2].1.strategy, Empty);
}

#[test]
fn the_same_question_gives_the_same_plan() {
    let views = [view(1_000_000), view(50_000)];
    let make = || plan(&request(&[], 10, Effort::Auto), &views, &[400_000, 7], &costs());
    assert_eq!(make(), make());
}

#[test]
fn no_size_is_taken_from_the_request_alone() {
    for k in [1, usize::MAX / 2, usize::MAX] {
        for effort in [Effort::Auto, Effort::Ef(usize::MAX), Effort::Recall(0.999), Effort::Exact] {
            for matching in [0, 1, 1_000] {
                let request = Request { k, ..request(&[], 1, effort) };
                let plan = plan(&request, &[view(1_000)], &[matching], &costs());
                let segment = &plan.segments[0].1;
                assert_consistent(segment);
                let mut efs = segment.alternatives.iter().filter_map(|a| a.strategy.ef());
                assert!(efs.all(|ef| ef <= 1_000), "{segment:?}");
                assert!(plan.rerank <= 4_032, "{}", plan.rerank);
            }
        }
    }
    let none = plan(&request(&[], 10, Effort::Auto), &[], &[], &costs());
    assert!(none.segments.is_empty());
}

#[test]
fn strange_numbers_make_no_plan_that_cannot_run() {
    for recall in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 0.0] {
        let planned = plan_one(10, Effort::Recall(recall), &view(1_000_000), 1_000);
        assert_consistent(&planned);
    }
}

fn clusters() -> ClusterStats {
    let point = |effort, recall, distances| EffortPoint { effort, recall, distances };
    let points = vec![
        point(1, 0.5, 2_000.0),
        point(8, 0.9, 9_000.0),
        point(32, 0.98, 33_000.0),
        point(128, 0.999, 129_000.0),
        point(1_000, 0.9999, 1_001_000.0),
    ];
    let by_probes = Curve { points };
    let calibration = ClusterCalibration { by_probes, reranked: vec![20, 40, 60, 120, 240] };
    ClusterStats { leaves: 1_000, calibration }
}

/// Clusters beside or in the place of the graph.
#[test]
fn leaves_are_priced_like_everything_else() {
    let million = ViewStats { clusters: Some(clusters()), graph: None, ..view(1_000_000) };
    let all = 1_000_000;
    let probes_for =
        |recall| clusters().calibration.by_probes.effort_for_recall(recall).unwrap() as usize;
    let leaves = |probes, rerank| Clusters { probes, rerank };
    check(10, Effort::Auto, &million, all, leaves(probes_for(0.99), 120));
    check(10, Effort::Recall(0.9), &million, all, leaves(probes_for(0.9), 60));
    check(10, Effort::Recall(0.5), &million, all, leaves(probes_for(0.5), 40));
    check(10, Effort::Exact, &million, all, FullScan);
    // They can be measured to do more than 8-bit codes promise, but not everything.
    check(10, Effort::Recall(0.9995), &million, all, leaves(probes_for(0.9995), 240));
    check(10, Effort::Recall(0.99995), &million, all, FullScan);
    // As many leaves as asked for, and no more than there are.
    check(10, Effort::Ef(40), &million, all, leaves(40, 120));
    check(10, Effort::Ef(0), &million, all, leaves(1, 26));
    let small =
        ViewStats { clusters: Some(ClusterStats { leaves: 30, ..clusters() }), ..million.clone() };
    check(10, Effort::Ef(40), &small, all, leaves(30, 60));
    // For more neighbours more leaves are read and more candidates reranked.
    check(40, Effort::Recall(0.9), &million, all, leaves(2 * probes_for(0.9), 140));
    // Under a filter it aims higher, reads and reranks more, unless that saves too little.
    let filtered = (f64::from(probes_for(0.998) as u32) * 2f64.sqrt()).ceil() as usize;
    check(10, Effort::Auto, &million, 500_000, leaves(filtered, 240));
    check(10, Effort::Auto, &million, 1_000, ScanRows);
    check(10, Effort::Auto, &million, 0, Empty);
    // Codes that are damaged are those of the scan; clusters have their own.
    let no_codes = ViewStats { codes: false, ..million.clone() };
    check(10, Effort::Auto, &no_codes, all, leaves(probes_for(0.99), 120));
    let unmeasured = ViewStats { clusters: Some(ClusterStats::default()), ..million.clone() };
    check(10, Effort::Auto, &unmeasured, all, ScanRows);

    // Of both, the one that costs less.
    let both = ViewStats { graph: Some(calibration()), ..million };
    check(10, Effort::Recall(0.9), &both, all, Graph { beam: Beam::fixed(ef_for(0.9)) });
    let slow_walks = Costs { graph_step_ns: 1e4, ..costs() };
    let planned = plan(&request(&[], 10, Effort::Recall(0.9)), &[both], &[all], &slow_walks);
    let (_, segment) = &planned.segments[0];
    assert_eq!(segment.strategy, leaves(probes_for(0.9), 60));
    assert_eq!(planned.rerank, 60);
    assert_consistent(segment);
}

#[test]
fn sketches() {
    let looks = ExpectedLooks { rows: 1_000_000, of_all: 800.0, of_few: 300.0 };
    let million = ViewStats { sketches: Some(looks), ..view(1_000_000) };
    let all = 1_000_000;
    // They save most of what codes cost, but for few rows.
    check(10, Effort::Auto, &million, 100_000, ScanSketches);
    check(10, Effort::Auto, &million, 10_000, ScanSketches);
    check(10, Effort::Auto, &million, 200, ScanRows);
    check(10, Effort::Auto, &million, 10, FullScan);
    // They promise what codes do.
    check(10, Effort::Recall(0.998), &million, all, ScanSketches);
    check(10, Effort::Recall(0.9995), &million, all, FullScan);
    check(10, Effort::Exact, &million, 100_000, FullScan);
    let planned = plan_one(10, Effort::Auto, &million, 100_000);
    // Rows that match a filter are alike: more of them are looked at than of any others.
    assert_eq!(planned.distances, (3.0 * looks.of(100_000, 26)) as u64);
    // Where nearly every bound has to be looked behind, they save nothing.
    let vague = ExpectedLooks { of_all: 600_000.0, of_few: 40_000.0, ..looks };
    let million = ViewStats { sketches: Some(vague), ..million };
    check(10, Effort::Auto, &million, 100_000, ScanRows);
}

#[test]
fn rerank_depth() {
    let depth = |k, effort| {
        plan(&request(&[], k, effort), &[view(1_000_000)], &[1_000_000], &costs()).rerank
    };
    assert_eq!(depth(1, Effort::Auto), 17);
    assert_eq!(depth(10, Effort::Auto), 26);
    assert_eq!(depth(100, Effort::Auto), 200);
    assert_eq!(depth(10, Effort::Recall(0.999)), 42);
    assert_eq!(depth(100, Effort::Recall(0.999)), 400);
}

#[test]
fn costs_scale_with_the_dimension() {
    let costs = Costs::default();
    assert_eq!(costs.scaled(costs.dim), costs);
    let double = costs.scaled(2 * costs.dim);
    assert!(double.exact_random_ns > 1.5 * costs.exact_random_ns);
    assert!(double.graph_step_ns > costs.graph_step_ns);
    assert_eq!(double.bitmap_row_ns, costs.bitmap_row_ns);
    let there_and_back = double.scaled(costs.dim);
    assert!((there_and_back.code_in_order_ns - costs.code_in_order_ns).abs() < 1e-9);
}

#[test]
fn this_machine_can_be_measured() {
    for dim in [1, 100, 768] {
        let costs = Costs::measure(dim);
        assert_eq!(costs.dim, dim);
        for ns in [
            costs.code_in_order_ns,
            costs.code_random_ns,
            costs.code_near_ns,
            costs.coarse_random_ns,
            costs.sealed_graph_step_ns(),
            costs.sketch_query_ns,
            costs.sketch_in_order_ns,
            costs.sketch_random_ns,
            costs.sketch_near_ns,
            costs.exact_in_order_ns,
            costs.exact_random_ns,
            costs.exact_near_ns,
            costs.graph_step_ns,
            costs.leaf_ns,
            costs.cluster_row_ns,
            costs.bitmap_row_ns,
            costs.row_set_row_ns,
        ] {
            assert!(ns > 0.0 && ns < 1e6, "{costs:?}");
        }
        assert!(costs.code_random_ns >= costs.code_in_order_ns);
        assert!(costs.code_near_ns <= costs.code_in_order_ns);
    }
}
