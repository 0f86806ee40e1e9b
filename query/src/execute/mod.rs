//! Runs a query: filter each view exactly, plan, search the views, merge, rerank.

mod again;
mod bind;
mod compare;
mod merge;
mod search;
mod so_far;

use vecstore_index::{ExactQuery, Metric};
use vecstore_segments::SegmentError;

use crate::stopwatch::Stopwatch;
use crate::{
    Costs, ExecutedPlan, ExecutedSegment, Plan, PreparedQuery, Request, SegmentPlan, SegmentView,
    Stop, ViewStats, plan,
};
use bind::Bound;
pub use compare::{AlternativeRun, ComparedSegment, compare};
use search::Searched;
use so_far::SoFar;

/// A record found: where it is and how far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Index of the view.
    pub view: usize,
    /// Row within the view.
    pub row: u32,
    /// Exact distance.
    pub distance: f32,
}

/// The answer to a query.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Nearest first; ties by view, then row.
    pub hits: Vec<Hit>,
    /// Whether these are all that were asked for: min(k, matching) records (less those below the
    /// score threshold), none left out because its bytes are damaged.
    pub complete: bool,
    /// What ran.
    pub executed: ExecutedPlan,
}

/// Evaluates the filter on each view, plans, searches and merges.
///
/// All views are of one collection: one metric, one dimension. A damaged derived structure makes
/// the query slower and a damaged record makes it incomplete, and the answer says so; an error is
/// what no part of the answer can be given for, such as a failure to read.
pub fn run(
    request: &Request<'_>,
    views: &[&dyn SegmentView],
    costs: &Costs,
) -> Result<Answer, SegmentError> {
    run_until(request, views, costs, &|| false)
}

/// As [`run`], and asks `stop` before and while views are filtered and searched: once it says true,
/// the answer is [`SegmentError::Cancelled`].
pub fn run_until(
    request: &Request<'_>,
    views: &[&dyn SegmentView],
    costs: &Costs,
    stop: &dyn Fn() -> bool,
) -> Result<Answer, SegmentError> {
    let stop = Stop::new(stop);
    let started = Stopwatch::start();
    let metric = views.first().map_or(Metric::Cosine, |view| view.metric());
    let exact = ExactQuery::new(metric, request.vector);
    let query = PreparedQuery { vector: request.vector, exact, stop: &stop };

    let (stats, bound, plan) = bind_and_plan(request, views, costs, &stop)?;

    let mut watch = Stopwatch::start();
    let mut searched: Vec<Searched> = Vec::with_capacity(views.len());
    let mut search_us: Vec<f64> = Vec::with_capacity(views.len());
    let mut so_far = SoFar::for_plan(&plan);
    for &(index, ref segment) in &plan.segments {
        let (view, bound) = (views[index], &bound[index]);
        let found = search::search_view(view, bound, segment, &plan, &query, &so_far)?;
        so_far.add(&found);
        searched.push(found);
        search_us.push(watch.lap_us());
    }

    let merged = merge::merge(&plan, views, &bound, &mut searched, &query)?;
    let rerank_us = watch.lap_us();

    let mut hits = merged.hits;
    let readable = bound.iter().all(|b| b.unreadable.rows.is_empty())
        && searched.iter().all(|s| s.unreadable.rows.is_empty());
    let complete = readable && hits.len() == merged.wanted;
    if let Some(threshold) = request.score_threshold {
        hits.retain(|hit| metric.score(hit.distance) >= threshold);
    }

    let views = stats.into_iter().zip(bound).collect();
    let segments = executed(plan.segments, searched, search_us, views);
    Ok(Answer {
        complete,
        executed: ExecutedPlan {
            filter: request.filter.map(ToString::to_string),
            score_threshold: request.score_threshold,
            k: plan.k,
            effort: plan.effort,
            rerank: plan.rerank,
            segments,
            reranked: merged.reranked,
            rerank_us,
            // Of the last lap: what came after it is not worth another look at the clock.
            total_us: started.us_until(watch),
            hits: hits.len() as u64,
            complete,
        },
        hits,
    })
}

/// Binds the query to each view, and plans.
fn bind_and_plan(
    request: &Request<'_>,
    views: &[&dyn SegmentView],
    costs: &Costs,
    stop: &Stop<'_>,
) -> Result<(Vec<ViewStats>, Vec<Bound>, Plan), SegmentError> {
    let stats: Vec<ViewStats> = views.iter().map(|view| view.stats()).collect();
    let bound: Vec<Bound> = (views.iter().zip(&stats))
        .map(|(&view, stats)| Bound::new(view, stats, request.filter, stop))
        .collect::<Result<_, _>>()?;
    let matching: Vec<u64> = bound.iter().map(|bound| bound.matching).collect();
    let plan = plan(request, &stats, &matching, costs);
    Ok((stats, bound, plan))
}

/// What ran, in the plan's order. It is made for every query, whether somebody asks for it or not,
/// so everything is moved and nothing is copied.
fn executed(
    plan: Vec<(usize, SegmentPlan)>,
    searched: Vec<Searched>,
    search_us: Vec<f64>,
    mut views: Vec<(ViewStats, Bound)>,
) -> Vec<ExecutedSegment> {
    plan.into_iter()
        .zip(searched.into_iter().zip(search_us))
        .map(|((view, plan), (searched, search_us))| {
            let (stats, bound) = &mut views[view];
            let mut degraded = std::mem::take(&mut stats.degraded);
            for line in bound.degraded.drain(..).chain(searched.degraded) {
                if !degraded.contains(&line) {
                    degraded.push(line);
                }
            }
            let mut unreadable = std::mem::take(&mut bound.unreadable);
            unreadable.merge(searched.unreadable);
            ExecutedSegment {
                view,
                plan,
                ran: searched.ran,
                rows_read: bound.rows_read,
                filter_us: bound.filter_us,
                search_us,
                distances: searched.distances,
                candidates: searched.candidates.len() as u64,
                fallback: searched.fallback,
                degraded,
                unreadable,
            }
        })
        .collect()
}
