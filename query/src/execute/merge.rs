//! Candidates of all views become one answer on exact distances.

use vecstore_index::Candidate;
use vecstore_segments::SegmentError;

use super::again::{self, Again};
use super::bind::Bound;
use super::search::{self, Searched};
use crate::nearest::Nearest;
use crate::{Hit, Plan, PreparedQuery, SegmentView, Strategy};

/// Full vectors asked for ahead of the one that is compared.
const AHEAD: usize = 4;
/// Candidates of a view that are reranked before the error seen on them is believed.
const RERANKED_MIN: usize = 8;
/// A candidate that its code puts behind the last hit by this many times the largest error seen
/// gets no exact distance.
const ERRORS_APART: f32 = 2.0;
/// Mean errors of 4-bit codes by which a row left out may be nearer than its code says. The largest
/// of them would have nearly every search of leaves repeated.
const MEAN_ERRORS: f32 = 2.0;

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
    let mut hits: Vec<Hit> = Vec::with_capacity(2 * wanted.min(plan.rerank));
    // With the place in `searched`, where what can't be read is noted.
    let mut approximate: Vec<(usize, Hit)> =
        Vec::with_capacity(searched.iter().map(|searched| searched.candidates.len()).sum());
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
    let mut nearest = Nearest::new(wanted);
    for hit in &hits {
        nearest.push(Candidate { distance: hit.distance, row: hit.row });
    }

    for (_, hit) in approximate.iter().take(AHEAD) {
        views[hit.view].prefetch(hit.row);
    }
    let mut codes: Vec<Codes> = (searched.iter().zip(&plan.segments))
        .map(|(searched, (view, segment))| {
            Codes::new(searched, segment.matching, bound[*view].rows.is_some())
        })
        .collect();
    let mut reranked = 0u64;
    for (i, &(place, ref hit)) in approximate.iter().enumerate() {
        query.stop.go_on_at(i)?;
        // Rows that can't be read make room for the next ones.
        let enough = reranked >= plan.rerank as u64 && hits.len() >= wanted;
        if enough || nearest.farthest().is_some_and(|last| codes[place].is_beyond(hit, last)) {
            codes[place].leave(hit.distance);
            continue;
        }
        if let Some((_, ahead)) = approximate.get(i + AHEAD) {
            views[ahead.view].prefetch(ahead.row);
        }
        match views[hit.view].distance(query, hit.row) {
            Ok(distance) => {
                codes[place].reranked((distance - hit.distance).abs());
                nearest.push(Candidate { distance, row: hit.row });
                hits.push(Hit { distance, ..*hit });
                reranked += 1;
            }
            Err(error @ SegmentError::Corrupt { .. }) => {
                searched[place].unreadable.note(hit.row, &error);
            }
            Err(error) => return Err(error),
        }
    }

    // The largest error of any view: of one that had few candidates reranked little was seen.
    let scans = codes.iter().filter(|codes| codes.promise == Promise::All);
    let largest = scans.fold(0.0, |error: f32, codes| error.max(codes.error));
    for (place, codes) in codes.iter().enumerate() {
        let (Some(farthest), Some(error)) = (nearest.farthest(), codes.error_allowed(largest))
        else {
            continue;
        };
        // Where rows lie closer together than their codes can tell, as just beyond a filter that
        // leaves out the nearest, every one of them could be nearer.
        if codes.nearest_left - error >= farthest {
            continue;
        }
        let view = plan.segments[place].0;
        let again = Again { view: views[view], bound: &bound[view], query, wanted };
        let searched = &mut searched[place];
        let keep = plan.rerank.saturating_mul(again::WIDER);
        let found = again.scan(keep, error, farthest, searched)?;
        hits.retain(|hit| hit.view != view);
        hits.extend(found.nearest.iter().map(|c| Hit { view, row: c.row, distance: c.distance }));
        reranked += found.reranked;
    }

    if hits.len() < wanted {
        rescan_damaged(plan, views, bound, searched, query, &mut hits)?;
    }
    hits.sort_by(nearer);
    hits.truncate(wanted);
    Ok(Merged { hits, wanted, reranked })
}

/// What reranking saw of a view's codes, and what that says of the rows it left out.
struct Codes {
    promise: Promise,
    /// Whether reranking may end early. Not after a scan, which promises the nearest of all rows:
    /// among eight codes none may be as far off as that of a row which the range of codes cuts off.
    /// Not with clusters, whose codes of four bits are farther off than eight of them show.
    ends_early: bool,
    /// Smallest code distance of a row that got no exact one; infinite if all rows did.
    nearest_left: f32,
    /// Candidates reranked.
    reranked: usize,
    /// Largest difference of code distance and exact distance among them.
    error: f32,
    /// The sum of those differences.
    errors: f32,
}

/// What a search promises of the rows it left out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// What was measured, reranking included.
    Measured,
    /// That none is nearer than the last hit.
    All,
    /// What was measured without a filter, if codes tell rows apart under it as well.
    AsWithoutFilter,
}

impl Codes {
    fn new(searched: &Searched, matching: u64, filtered: bool) -> Self {
        let truncated = (searched.candidates.len() as u64) < matching;
        let last = searched.candidates.last().filter(|_| truncated);
        Codes {
            promise: match searched.ran {
                Strategy::ScanRows | Strategy::ScanSketches => Promise::All,
                Strategy::Clusters { .. } if filtered => Promise::AsWithoutFilter,
                _ => Promise::Measured,
            },
            ends_early: searched.ran.walks_graph(),
            nearest_left: last.map_or(f32::INFINITY, |last| last.distance),
            reranked: 0,
            error: 0.0,
            errors: 0.0,
        }
    }

    /// Notes how far the code of a candidate was off.
    fn reranked(&mut self, error: f32) {
        self.reranked += 1;
        self.error = self.error.max(error);
        self.errors += error;
    }

    /// Whether a candidate is so far behind the last hit that its exact distance makes no
    /// difference.
    fn is_beyond(&self, candidate: &Hit, last: f32) -> bool {
        let told = self.ends_early && self.reranked >= RERANKED_MIN;
        told && candidate.distance - ERRORS_APART * self.error > last
    }

    /// Notes a candidate that gets no exact distance.
    fn leave(&mut self, code_distance: f32) {
        self.nearest_left = self.nearest_left.min(code_distance);
    }

    /// By how much a row left out may be nearer than its code says, if that has to be ruled out.
    /// `largest` is the largest error seen in any scan.
    fn error_allowed(&self, largest: f32) -> Option<f32> {
        match self.promise {
            Promise::Measured => None,
            Promise::All => Some(largest),
            Promise::AsWithoutFilter => {
                Some(MEAN_ERRORS * self.errors / self.reranked.max(1) as f32)
            }
        }
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
