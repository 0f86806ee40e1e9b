//! Runs a query: filter each view exactly, plan, search the views, merge, rerank.

mod bind;
mod compare;
mod merge;
mod search;

use vecstore_index::{ExactQuery, Metric};
use vecstore_segments::SegmentError;

use crate::stopwatch::Stopwatch;
use crate::{Costs, ExecutedPlan, ExecutedSegment, PreparedQuery, Request, SegmentView, plan};
use bind::Bound;
pub use compare::{AlternativeRun, ComparedSegment, compare};
use search::Searched;

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

/// As [`run`], and asks `stop` before each view is filtered or searched: once it says true, the
/// answer is [`SegmentError::Cancelled`].
pub fn run_until(
    request: &Request<'_>,
    views: &[&dyn SegmentView],
    costs: &Costs,
    stop: &dyn Fn() -> bool,
) -> Result<Answer, SegmentError> {
    let go_on = || if stop() { Err(SegmentError::Cancelled) } else { Ok(()) };
    let watch = Stopwatch::start();
    let metric = views.first().map_or(Metric::Cosine, |view| view.metric());
    let query =
        PreparedQuery { vector: request.vector, exact: ExactQuery::new(metric, request.vector) };

    let bound: Vec<Bound> = views
        .iter()
        .map(|&view| go_on().and_then(|()| Bound::new(view, request.filter)))
        .collect::<Result<_, _>>()?;
    let (stats, matching): (Vec<_>, Vec<_>) =
        bound.iter().map(|b| (b.stats.clone(), b.matching)).unzip();
    let plan = plan(request, &stats, &matching, costs);

    let mut searched: Vec<Searched> = Vec::with_capacity(views.len());
    for &(index, ref segment) in &plan.segments {
        go_on()?;
        let (view, bound) = (views[index], &bound[index]);
        searched.push(search::search_view(view, bound, segment, &plan, &query)?);
    }

    let rerank_watch = Stopwatch::start();
    let merged = merge::merge(&plan, views, &bound, &mut searched, &query)?;
    let rerank_us = rerank_watch.us();

    let mut hits = merged.hits;
    let readable = bound.iter().all(|b| b.unreadable.rows.is_empty())
        && searched.iter().all(|s| s.unreadable.rows.is_empty());
    let complete = readable && hits.len() == merged.wanted;
    if let Some(threshold) = request.score_threshold {
        hits.retain(|hit| metric.score(hit.distance) >= threshold);
    }

    let segments = plan
        .segments
        .iter()
        .zip(searched)
        .map(|((index, segment), searched)| executed(segment.clone(), &bound[*index], searched))
        .collect();
    Ok(Answer {
        complete,
        executed: ExecutedPlan {
            filter: request.filter.map(ToString::to_string),
            score_threshold: request.score_threshold,
            plan,
            segments,
            reranked: merged.reranked,
            rerank_us,
            total_us: watch.us(),
            hits: hits.len() as u64,
            complete,
        },
        hits,
    })
}

fn executed(plan: crate::SegmentPlan, bound: &Bound, searched: Searched) -> ExecutedSegment {
    let mut degraded = bound.stats.degraded.clone();
    for line in bound.degraded.iter().cloned().chain(searched.degraded) {
        if !degraded.contains(&line) {
            degraded.push(line);
        }
    }
    let mut unreadable = bound.unreadable.clone();
    unreadable.merge(searched.unreadable);
    ExecutedSegment {
        plan,
        ran: searched.ran,
        rows_read: bound.rows_read,
        filter_us: bound.filter_us,
        search_us: searched.search_us,
        distances: searched.distances,
        candidates: searched.candidates.len() as u64,
        fallback: searched.fallback,
        degraded,
        unreadable,
    }
}
