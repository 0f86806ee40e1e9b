//! EXPLAIN for programs.

use serde_json::{Value, json};

use crate::{Alternative, Effort, ExecutedPlan, ExecutedSegment, Strategy, Unreadable, ViewKind};

pub(super) fn plan(executed: &ExecutedPlan) -> Value {
    let (live, matching) = executed.segments.iter().fold((0u64, 0u64), |(live, matching), s| {
        (live + u64::from(s.plan.live), matching + s.plan.matching)
    });
    json!({
        "k": executed.k,
        "effort": effort(executed.effort),
        "filter": executed.filter,
        "score_threshold": executed.score_threshold.map(decimal),
        "live_rows": live,
        "matching_rows": matching,
        "segments": executed.segments.iter().map(segment).collect::<Vec<_>>(),
        "rerank": {
            "candidates_max": executed.rerank,
            "reranked": executed.reranked,
            "actual_us": us(executed.rerank_us),
        },
        "hits": executed.hits,
        "complete": executed.complete,
        "total_us": us(executed.total_us),
    })
}

fn effort(effort: Effort) -> Value {
    match effort {
        Effort::Auto => json!({ "kind": "auto" }),
        Effort::Ef(ef) => json!({ "kind": "ef", "ef": ef }),
        Effort::Recall(recall) => json!({ "kind": "recall", "recall": decimal(recall) }),
        Effort::Exact => json!({ "kind": "exact" }),
    }
}

fn segment(executed: &ExecutedSegment) -> Value {
    let plan = &executed.plan;
    let (kind, id) = match plan.kind {
        ViewKind::Memtable => ("memtable", None),
        ViewKind::Sealed { id } => ("sealed", Some(id)),
    };
    json!({
        "view": executed.view,
        "kind": kind,
        "segment_id": id,
        "live_rows": plan.live,
        "matching_rows": plan.matching,
        "selectivity": executed.selectivity(),
        "filter": {
            "metadata_rows_read": executed.rows_read,
            "actual_us": us(executed.filter_us),
        },
        "planned": {
            "strategy": plan.strategy.name(),
            "ef": plan.strategy.ef(),
            "gamma": plan.strategy.gamma(),
            "probes": plan.strategy.probes(),
            "estimated_us": us(plan.cost_us),
            "estimated_distances": plan.distances,
            "expected_recall": decimal(plan.recall),
            "distances_max": plan.fallback.map(|_| plan.limits.distances_max),
            "fallback": plan.fallback.map(Strategy::name),
        },
        "ran": {
            "strategy": executed.ran.name(),
            "ef": executed.ran.ef(),
            "gamma": executed.ran.gamma(),
            "probes": executed.ran.probes(),
            "actual_us": us(executed.search_us),
            "distances": executed.distances,
            "candidates": executed.candidates,
        },
        "fallback": executed.fallback,
        "degraded": executed.degraded,
        "unreadable": unreadable(&executed.unreadable),
        "alternatives": plan.alternatives.iter().map(alternative).collect::<Vec<_>>(),
    })
}

fn alternative(alternative: &Alternative) -> Value {
    let runs = alternative.cost_us.is_finite();
    json!({
        "strategy": alternative.strategy.name(),
        "ef": alternative.strategy.ef(),
            "gamma": alternative.strategy.gamma(),
        "probes": alternative.strategy.probes(),
        "estimated_us": runs.then(|| us(alternative.cost_us)),
        "estimated_distances": runs.then_some(alternative.distances),
        "expected_recall": runs.then(|| decimal(alternative.recall)),
        "rejected": alternative.rejected,
    })
}

fn unreadable(unreadable: &Unreadable) -> Value {
    let mut runs = Vec::new();
    let mut rows = unreadable.rows.iter();
    while let Some(run) = rows.next_range() {
        runs.push(json!([run.start(), run.end()]));
    }
    json!({
        "rows": unreadable.rows.len(),
        "row_ranges": runs,
        "first_error": unreadable.first_error,
    })
}

/// Microseconds to the nanosecond; more digits would only pretend.
fn us(us: f64) -> f64 {
    (us * 1e3).round() / 1e3
}

/// The number as it was written: 0.95, not 0.949999988079071.
fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}
