//! Candidates of all views become one answer on exact distances.

use vecstore_segments::SegmentError;

use super::bind::Bound;
use super::search::{self, Searched};
use crate::{Hit, Plan, PreparedQuery, SegmentView, Strategy};

/// Full vectors asked for ahead of the one that is compared.
const AHEAD: usize = 4;

pub(super) struct Merged {
    /// At most k, nearest first; ties by view, then row.
    pub(super) hits: Vec<Hit>,
    /// min(k, matching rows of all views).
    pub(super) wanted: usize,
    /// Candidates that got an exact distance here.
    pub(super) reranked: u64,
}

/// Reranks the best approximate candidates over all views and merges them with the exact ones.
/// `searched` is in the plan's order.
pub(super) fn merge(
    plan: &Plan,
    views: &[&dyn SegmentView],
    bound: &[Bound],
    searched: &mut [Searched],
    query: &PreparedQuery<'_>,
) -> Result<Merged, SegmentError> {
    let matching = bound.iter().map(|b| b.matching).sum();
    let wanted = search::bounded(plan.k, matching);
    let mut hits: Vec<Hit> = Vec::new();
    // With the place in `searched`, where what can't be read is noted.
    let mut approximate: Vec<(usize, Hit)> = Vec::new();
    for (place, (searched, &(view, _))) in searched.iter().zip(&plan.segments).enumerate() {
        let found =
            searched.candidates.iter().map(|c| Hit { view, row: c.row, distance: c.distance });
        if searched.is_exact() {
            hits.extend(found);
        } else {
            approximate.extend(found.map(|hit| (place, hit)));
        }
    }
    approximate.sort_by(|a, b| nearer(&a.1, &b.1));

    for (_, hit) in approximate.iter().take(AHEAD) {
        views[hit.view].prefetch(hit.row);
    }
    let mut scans: Vec<Scan> = searched.iter().zip(&plan.segments).map(Scan::new).collect();
    let mut reranked = 0u64;
    for (i, &(place, ref hit)) in approximate.iter().enumerate() {
        // Rows that can't be read make room for the next ones.
        if reranked >= plan.rerank as u64 && hits.len() >= wanted {
            scans[place].leave(hit.distance);
            continue;
        }
        if let Some((_, ahead)) = approximate.get(i + AHEAD) {
            views[ahead.view].prefetch(ahead.row);
        }
        match views[hit.view].distance(query, hit.row) {
            Ok(distance) => {
                scans[place].error = scans[place].error.max((distance - hit.distance).abs());
                hits.push(Hit { distance, ..*hit });
                reranked += 1;
            }
            Err(error @ SegmentError::Corrupt { .. }) => {
                searched[place].unreadable.note(hit.row, &error);
            }
            Err(error) => return Err(error),
        }
    }

    hits.sort_by(nearer);
    let farthest = wanted.checked_sub(1).and_then(|last| hits.get(last)).map(|hit| hit.distance);
    for (place, scan) in scans.iter().enumerate() {
        let (view, searched) = (plan.segments[place].0, &mut searched[place]);
        if farthest.is_some_and(|farthest| scan.may_have_nearer(farthest)) {
            let found = search::full_scan(
                views[view],
                &bound[view],
                query,
                wanted,
                &mut searched.unreadable,
            )?;
            searched.leave_for_full_scan("codes cannot tell the nearest apart", &found);
            hits.retain(|hit| hit.view != view);
            hits.extend(found.candidates.iter().map(|c| Hit {
                view,
                row: c.row,
                distance: c.distance,
            }));
        }
    }

    if hits.len() < wanted {
        rescan_damaged(plan, views, bound, searched, query, &mut hits)?;
    }
    hits.sort_by(nearer);
    hits.truncate(wanted);
    Ok(Merged { hits, wanted, reranked })
}

/// What is known of the rows that a scan over codes left out, once its best are reranked.
struct Scan {
    /// Whether this was a scan. A walk's recall was measured, reranking included.
    is_scan: bool,
    /// Smallest code distance of a row that got no exact one; infinite if all rows did.
    nearest_left: f32,
    /// Largest difference of code distance and exact distance among the reranked.
    error: f32,
}

impl Scan {
    fn new((searched, (_, segment)): (&Searched, &(usize, crate::SegmentPlan))) -> Self {
        let truncated = (searched.candidates.len() as u64) < segment.matching;
        let last = searched.candidates.last().filter(|_| truncated);
        Scan {
            is_scan: searched.ran == Strategy::ScanRows,
            nearest_left: last.map_or(f32::INFINITY, |last| last.distance),
            error: 0.0,
        }
    }

    /// Notes a candidate that gets no exact distance.
    fn leave(&mut self, code_distance: f32) {
        self.nearest_left = self.nearest_left.min(code_distance);
    }

    /// Whether a row left out could be nearer than `farthest`, by the error that was seen. Where
    /// rows lie closer together than their codes can tell, as just beyond a filter that leaves
    /// out the nearest, every one of them could.
    fn may_have_nearer(&self, farthest: f32) -> bool {
        self.is_scan && self.nearest_left - self.error < farthest
    }
}

/// Too many of a view's candidates can't be read: its readable rows have yet to be found.
fn rescan_damaged(
    plan: &Plan,
    views: &[&dyn SegmentView],
    bound: &[Bound],
    searched: &mut [Searched],
    query: &PreparedQuery<'_>,
    hits: &mut Vec<Hit>,
) -> Result<(), SegmentError> {
    for (searched, &(view, ref segment)) in searched.iter_mut().zip(&plan.segments) {
        if searched.is_exact() || searched.unreadable.rows.is_empty() {
            continue;
        }
        let keep = search::bounded(plan.k, segment.matching);
        let unreadable = &mut searched.unreadable;
        let found = search::full_scan(views[view], &bound[view], query, keep, unreadable)?;
        hits.retain(|hit| hit.view != view);
        hits.extend(found.candidates.iter().map(|c| Hit {
            view,
            row: c.row,
            distance: c.distance,
        }));
        let left = format!("{}: too many of its rows can't be read", searched.ran);
        searched.fallback = Some(match searched.fallback.take() {
            Some(before) => format!("{before}; {left}"),
            None => left,
        });
        searched.distances += found.distances as u64;
        searched.candidates = found.candidates;
        searched.ran = Strategy::FullScan;
    }
    Ok(())
}

fn nearer(a: &Hit, b: &Hit) -> std::cmp::Ordering {
    (a.distance.total_cmp(&b.distance)).then((a.view, a.row).cmp(&(b.view, b.row)))
}
