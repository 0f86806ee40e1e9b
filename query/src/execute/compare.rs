//! Runs every strategy that a plan had to choose from, to see what the choice cost.

use vecstore_index::{ExactQuery, Limits, Metric};
use vecstore_segments::SegmentError;

use super::so_far::SoFar;
use super::{bind_and_plan, search};
use crate::stopwatch::Stopwatch;
use crate::{
    Costs, Plan, PreparedQuery, Request, SegmentPlan, SegmentView, Stop, Strategy, ViewKind,
};

/// What one strategy took on one view.
#[derive(Clone, Debug, PartialEq)]
pub struct AlternativeRun {
    /// The strategy.
    pub strategy: Strategy,
    /// Distances that the plan expected.
    pub distances: u64,
    /// What the plan expected.
    pub cost_us: f64,
    /// What it took, reranking and a fall-back included: the fastest of
    /// [`ROUNDS`](ComparedSegment::ROUNDS) runs.
    pub took_us: f64,
    /// Part of the nearest rows that it found, 0 to 1.
    pub recall: f32,
    /// Why it was left for the plan's fall-back, if it was.
    pub fallback: Option<String>,
}

/// The strategies of one view, all of them executed.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparedSegment {
    /// Which view.
    pub kind: ViewKind,
    /// Rows that match.
    pub matching: u64,
    /// The plan's choice, then the other ones that keep the request's promise.
    pub runs: Vec<AlternativeRun>,
}

impl ComparedSegment {
    /// Runs of each strategy, in turns, from first to last and back.
    pub const ROUNDS: usize = 4;

    /// Time of the chosen strategy as a multiple of the fastest one's; 1 is the best choice.
    #[must_use]
    pub fn regret(&self) -> f64 {
        let fastest = self.runs.iter().map(|run| run.took_us).fold(f64::INFINITY, f64::min);
        match self.runs.first() {
            Some(chosen) if fastest > 0.0 => chosen.took_us / fastest,
            _ => 1.0,
        }
    }
}

impl ComparedSegment {
    /// The same as JSON, with the regret.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let runs: Vec<_> = (self.runs.iter())
            .map(|run| {
                serde_json::json!({
                    "strategy": run.strategy.name(),
                    "ef": run.strategy.ef(),
                    "gamma": run.strategy.gamma(),
                    "probes": run.strategy.probes(),
                    "cost_us": run.cost_us,
                    "took_us": run.took_us,
                    "recall": run.recall,
                    "fallback": run.fallback,
                })
            })
            .collect();
        let segment = match self.kind {
            ViewKind::Memtable => None,
            ViewKind::Sealed { id } => Some(id),
        };
        serde_json::json!({
            "segment": segment, "matching": self.matching, "regret": self.regret(), "runs": runs,
        })
    }
}

impl std::fmt::Display for ComparedSegment {
    /// A line a strategy, the chosen one first.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.kind {
            ViewKind::Memtable => "memtable".to_string(),
            ViewKind::Sealed { id } => format!("segment {id}"),
        };
        writeln!(f, "{name}: {} rows match; regret {:.2}", self.matching, self.regret())?;
        for (at, run) in self.runs.iter().enumerate() {
            let mark = if at == 0 { "chosen" } else { "      " };
            write!(
                f,
                "  {mark} {:<18} estimated {:>8.0} µs, took {:>8.0} µs, recall {:.3}",
                run.strategy.to_string(),
                run.cost_us,
                run.took_us,
                run.recall
            )?;
            match &run.fallback {
                Some(why) => writeln!(f, ", left: {why}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

/// Plans a query as [`run`](crate::run) does, and executes on each view every strategy that keeps
/// the request's promise, in the plan's order of views.
pub fn compare(
    request: &Request<'_>,
    views: &[&dyn SegmentView],
    costs: &Costs,
) -> Result<Vec<ComparedSegment>, SegmentError> {
    let metric = views.first().map_or(Metric::Cosine, |view| view.metric());
    let (exact, stop) = (ExactQuery::new(metric, request.vector), Stop::never());
    let query = PreparedQuery { vector: request.vector, exact, stop: &stop };
    let (_, bound, plan) = bind_and_plan(request, views, costs, &stop)?;

    let mut compared = Vec::with_capacity(views.len());
    for &(index, ref segment) in &plan.segments {
        let (view, bound) = (views[index], &bound[index]);
        let k = search::bounded(plan.k, segment.matching);
        let truth = search::full_scan(view, bound, &query, k, &mut Default::default())?;
        let farthest = truth.candidates.last().map_or(f32::INFINITY, |last| last.distance);

        let chosen = segment.alternatives.iter().filter(|a| a.strategy == segment.strategy);
        let others = (segment.alternatives.iter())
            .filter(|a| a.strategy != segment.strategy && a.rejected.is_none());
        let mut runs: Vec<AlternativeRun> = chosen
            .chain(others)
            .map(|alternative| AlternativeRun {
                strategy: alternative.strategy,
                distances: alternative.distances,
                cost_us: alternative.cost_us,
                took_us: f64::INFINITY,
                recall: 1.0,
                fallback: None,
            })
            .collect();
        for round in 0..ComparedSegment::ROUNDS {
            // There and back: who comes second finds in the caches what the first one read.
            let mut order: Vec<&mut AlternativeRun> = runs.iter_mut().collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for run in order {
                let segment = with_strategy(segment, run.strategy, run.distances);
                let rerank = run.strategy.rerank().map_or(plan.rerank, |n| n.max(plan.rerank));
                let plan = Plan { rerank, ..plan.clone() };
                let watch = Stopwatch::start();
                let searched =
                    search::search_view(view, bound, &segment, &plan, &query, &SoFar::NOTHING)?;
                let mut found: Vec<f32> = Vec::new();
                for candidate in searched.candidates.iter().take(plan.rerank.max(k)) {
                    found.push(if searched.is_exact() {
                        candidate.distance
                    } else {
                        view.distance(&query, candidate.row)?
                    });
                }
                run.took_us = run.took_us.min(watch.us());
                let right = found.iter().filter(|distance| **distance <= farthest).count();
                run.recall = if k == 0 { 1.0 } else { right.min(k) as f32 / k as f32 };
                run.fallback = searched.fallback;
            }
        }
        let (kind, matching) = (segment.kind, segment.matching);
        compared.push(ComparedSegment { kind, matching, runs });
    }
    Ok(compared)
}

/// The plan of a view with another choice. A walk that was not chosen gets no less than the chosen
/// one would: it may look at every row before it gives up.
fn with_strategy(segment: &SegmentPlan, strategy: Strategy, distances: u64) -> SegmentPlan {
    if strategy == segment.strategy {
        return segment.clone();
    }
    SegmentPlan {
        strategy,
        distances,
        limits: Limits::from(if strategy.walks_graph() { usize::MAX } else { 0 }),
        fallback: strategy.uses_index().then_some(Strategy::FullScan),
        ..segment.clone()
    }
}
