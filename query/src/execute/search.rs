//! One view's part of a plan, and what runs instead where it can't be done.

use std::cell::Cell;

use vecstore_index::{Accept, Beam, Candidate, Found, GaveUp, Limits, Reach, RowSet, Scratch};
use vecstore_segments::SegmentError;

use super::bind::Bound;
use super::so_far::SoFar;
use crate::nearest::Nearest;
use crate::{Plan, PreparedQuery, SegmentPlan, SegmentView, Strategy, Unreadable};

/// What a view gave.
pub(super) struct Searched {
    /// The strategy that gave the candidates.
    pub(super) ran: Strategy,
    pub(super) candidates: Vec<Candidate>,
    /// Distances computed, in strategies that were given up too.
    pub(super) distances: u64,
    pub(super) fallback: Option<String>,
    pub(super) degraded: Vec<String>,
    pub(super) unreadable: Unreadable,
}

impl Searched {
    /// Notes that a full scan took the place of what ran.
    pub(super) fn leave_for_full_scan(&mut self, why: &str, found: &Found) {
        self.note_fallback(why.into());
        self.ran = Strategy::FullScan;
        self.distances += found.distances as u64;
    }

    /// Adds to why the planned strategy was left, if it was left twice.
    pub(super) fn note_fallback(&mut self, why: String) {
        let left = format!("{}: {why}", self.ran);
        self.fallback = Some(match self.fallback.take() {
            Some(before) => format!("{before}; {left}"),
            None => left,
        });
    }

    /// Whether the candidates' distances are exact, so that reranking has nothing to do.
    pub(super) fn is_exact(&self) -> bool {
        matches!(self.ran, Strategy::FullScan | Strategy::Empty)
    }
}

thread_local! {
    /// Taken out while a search runs and put back after it: a search within a search gets a new
    /// one.
    static SCRATCH: Cell<Option<Scratch>> = const { Cell::new(None) };
}

/// Walks the plan of one view. Every strategy gives at least min(k, matching) candidates, less
/// the rows that can't be read.
pub(super) fn search_view(
    view: &dyn SegmentView,
    bound: &Bound,
    segment: &SegmentPlan,
    plan: &Plan,
    query: &PreparedQuery<'_>,
    so_far: &SoFar,
) -> Result<Searched, SegmentError> {
    let mut search = Search {
        view,
        bound,
        query,
        segment,
        so_far,
        k: bounded(plan.k, segment.matching),
        keep: bounded(plan.rerank.max(plan.k), segment.matching),
        all_reranked: if plan.segments.len() == 1 { plan.rerank } else { 0 },
        searched: Searched {
            ran: segment.strategy,
            candidates: Vec::new(),
            distances: 0,
            fallback: None,
            degraded: Vec::new(),
            unreadable: Unreadable::default(),
        },
    };
    search.attempt(segment.strategy)?;
    Ok(search.searched)
}

/// The `keep` nearest rows of the view by exact distance, without those that can't be read.
pub(super) fn full_scan(
    view: &dyn SegmentView,
    bound: &Bound,
    query: &PreparedQuery<'_>,
    keep: usize,
    unreadable: &mut Unreadable,
) -> Result<Found, SegmentError> {
    match view.scan_exact(query, bound.rows.as_ref(), keep) {
        Err(SegmentError::Corrupt { .. }) => {}
        found => return query.stop.go_on().and(found),
    }
    let live;
    let rows = match &bound.rows {
        Some(rows) => rows,
        None => {
            live = view.live();
            &live
        }
    };
    let mut nearest = Nearest::new(keep);
    for row in query.stop.rows(rows.iter()) {
        match view.distance(query, row) {
            Ok(distance) => nearest.push(Candidate { distance, row }),
            Err(error @ SegmentError::Corrupt { .. }) => unreadable.note(row, &error),
            Err(error) => return Err(error),
        }
    }
    query.stop.go_on()?;
    let distances = bounded(usize::MAX, rows.len());
    Ok(Found { candidates: nearest.into_sorted(), distances, ..Found::default() })
}

pub(super) fn bounded(wanted: usize, there_are: u64) -> usize {
    usize::try_from(there_are).map_or(wanted, |there_are| wanted.min(there_are))
}

struct Search<'a> {
    view: &'a dyn SegmentView,
    bound: &'a Bound,
    query: &'a PreparedQuery<'a>,
    segment: &'a SegmentPlan,
    so_far: &'a SoFar,
    /// Rows wanted, no more than match.
    k: usize,
    /// Approximate candidates wanted, no more than match.
    keep: usize,
    /// So many candidates of this view all get an exact distance. None beside other views: which of all
    /// candidates do goes by their distances, and those of coarse codes are no measure for others.
    all_reranked: usize,
    searched: Searched,
}

impl Search<'_> {
    fn attempt(&mut self, strategy: Strategy) -> Result<(), SegmentError> {
        self.searched.ran = strategy;
        let found = match strategy {
            Strategy::Empty => return Ok(()),
            Strategy::FullScan => self.full_scan()?,
            Strategy::ScanRows => {
                match self.view.scan(self.query, self.bound.rows.as_ref(), self.keep) {
                    Err(error @ SegmentError::Corrupt { .. }) => return self.degrade(&error),
                    found => found?,
                }
            }
            Strategy::ScanSketches => {
                match self.view.scan_sketches(self.query, self.bound.rows.as_ref(), self.keep) {
                    Err(error @ SegmentError::Corrupt { .. }) => return self.degrade(&error),
                    found => found?,
                }
            }
            Strategy::Clusters { probes, .. } => match self.clusters(probes) {
                Err(error @ SegmentError::Corrupt { .. }) => return self.degrade(&error),
                found => found?,
            },
            Strategy::Graph { beam } | Strategy::GraphSweep { beam } => match self.walk(beam) {
                Err(error @ SegmentError::Corrupt { .. }) => return self.degrade(&error),
                found => found?,
            },
        };
        self.query.stop.go_on()?;
        self.searched.distances += found.distances as u64;
        if strategy.uses_index()
            && let Some(why) = self.gives_up(&found)
        {
            let next = self.segment.fallback.unwrap_or(Strategy::FullScan);
            self.searched.note_fallback(why);
            return self.attempt(next);
        }
        self.searched.candidates = found.candidates;
        Ok(())
    }

    fn full_scan(&mut self) -> Result<Found, SegmentError> {
        full_scan(self.view, self.bound, self.query, self.k, &mut self.searched.unreadable)
    }

    fn walk(&self, beam: Beam) -> Result<Found, SegmentError> {
        let set = (self.bound.rows.as_ref())
            .map(|rows| RowSet::from_bitmap(rows, 0..self.bound.view_rows));
        let accept = set.as_ref().map_or(Accept::All, Accept::Only);
        let found_within = self.so_far.within(beam);
        let limits =
            Limits { found_within, all_reranked: self.all_reranked, ..self.segment.limits };
        let mut scratch = SCRATCH.take().unwrap_or_default();
        let found = self.view.search(self.query, beam, accept, limits, &mut scratch);
        SCRATCH.set(Some(scratch));
        found
    }

    fn clusters(&self, probes: usize) -> Result<Found, SegmentError> {
        let set = (self.bound.rows.as_ref())
            .map(|rows| RowSet::from_bitmap(rows, 0..self.bound.view_rows));
        let accept = set.as_ref().map_or(Accept::All, Accept::Only);
        let mut scratch = SCRATCH.take().unwrap_or_default();
        let reach =
            Reach { probes, accepted_min: if set.is_some() { self.accepted_min() } else { 0 } };
        let found = self.view.search_clusters(self.query, reach, self.keep, accept, &mut scratch);
        SCRATCH.set(Some(scratch));
        found
    }

    /// Matching rows that leaves should have at least: what they would if the filter had nothing to
    /// do with where vectors lie, less two standard deviations of chance. Where they have fewer, it
    /// lies elsewhere.
    fn accepted_min(&self) -> usize {
        let leaves = self.view.stats().clusters.map_or(0, |clusters| clusters.leaves);
        let rows = self.segment.distances.saturating_sub(u64::from(leaves)) as f64;
        let share = self.segment.matching as f64 / f64::from(self.bound.view_rows.max(1));
        let expected = rows * share;
        ((expected - 2.0 * expected.sqrt()) as usize).max(self.k)
    }

    /// Why a result of an index is not the view's answer.
    fn gives_up(&self, found: &Found) -> Option<String> {
        match found.gave_up {
            Some(GaveUp::OverBudget) => Some(format!("no end after {} distances", found.distances)),
            Some(GaveUp::FewNear) => Some("few of the rows near the query match".to_owned()),
            None if found.candidates.len() < self.k => {
                Some(format!("found {} of {} rows", found.candidates.len(), self.k))
            }
            None => None,
        }
    }

    /// A derived structure is damaged: only the full vectors are believed from here on, or the codes
    /// where it was the sketches.
    fn degrade(&mut self, error: &SegmentError) -> Result<(), SegmentError> {
        self.searched.degraded.push(error.to_string());
        self.searched.note_fallback("damaged".into());
        self.attempt(match self.searched.ran {
            Strategy::ScanSketches => Strategy::ScanRows,
            _ => Strategy::FullScan,
        })
    }
}
