//! The second scan of a view whose codes cannot tell which rows are the nearest.

use vecstore_index::{Candidate, Found};
use vecstore_segments::SegmentError;

use super::bind::Bound;
use super::search::{self, Searched};
use crate::nearest::Nearest;
use crate::{PreparedQuery, SegmentView};

/// How many times as many candidates the second scan keeps as the first one.
pub(super) const WIDER: usize = 64;
/// Full vectors asked for ahead of the one that is compared.
const AHEAD: usize = 8;

/// A view that is scanned again.
pub(super) struct Again<'a> {
    pub(super) view: &'a dyn SegmentView,
    pub(super) bound: &'a Bound,
    pub(super) query: &'a PreparedQuery<'a>,
    /// Rows wanted of all views.
    pub(super) wanted: usize,
}

/// What a second scan found.
pub(super) struct Rescanned {
    /// By exact distance, nearest first.
    pub(super) nearest: Vec<Candidate>,
    /// Candidates of codes that got an exact distance.
    pub(super) reranked: u64,
}

impl Again<'_> {
    /// Reranks all candidates that could be nearer than `farthest`, if no more than `keep` could;
    /// otherwise every row is compared on full vectors. `error` is how far off codes were seen to be.
    pub(super) fn scan(
        &self,
        keep: usize,
        error: f32,
        farthest: f32,
        searched: &mut Searched,
    ) -> Result<Rescanned, SegmentError> {
        const WHY: &str = "codes cannot tell the nearest apart";
        let keep = search::bounded(keep, self.bound.matching);
        match self.view.scan(self.query, self.bound.rows.as_ref(), keep) {
            Ok(found) => {
                self.query.stop.go_on()?;
                searched.distances += found.distances as u64;
                if let Some(rescanned) = self.rerank(&found, error, farthest, searched)? {
                    let reranked = rescanned.reranked;
                    searched.note_fallback(format!("{WHY}, {reranked} were reranked"));
                    return Ok(rescanned);
                }
            }
            // Full vectors are believed in its place.
            Err(SegmentError::Corrupt { .. }) => {}
            Err(error) => return Err(error),
        }
        let unreadable = &mut searched.unreadable;
        let found = search::full_scan(self.view, self.bound, self.query, self.wanted, unreadable)?;
        searched.leave_for_full_scan(WHY, &found);
        Ok(Rescanned { nearest: found.candidates, reranked: 0 })
    }

    /// Nothing if the codes of the rows that were left out do not rule them out either.
    fn rerank(
        &self,
        found: &Found,
        mut error: f32,
        farthest: f32,
        searched: &mut Searched,
    ) -> Result<Option<Rescanned>, SegmentError> {
        let candidates = &found.candidates;
        let mut nearest = Nearest::new(self.wanted);
        let mut reranked = 0;
        for (at, candidate) in candidates.iter().enumerate() {
            self.query.stop.go_on_at(at)?;
            let last = nearest.farthest().map_or(farthest, |last| last.min(farthest));
            if candidate.distance - error >= last {
                return Ok(Some(Rescanned { nearest: nearest.into_sorted(), reranked }));
            }
            if let Some(ahead) = candidates.get(at + AHEAD) {
                self.view.prefetch(ahead.row);
            }
            match self.view.distance(self.query, candidate.row) {
                Ok(distance) => {
                    error = error.max((distance - candidate.distance).abs());
                    nearest.push(Candidate { distance, row: candidate.row });
                    reranked += 1;
                }
                Err(damage @ SegmentError::Corrupt { .. }) => {
                    searched.unreadable.note(candidate.row, &damage);
                }
                Err(error) => return Err(error),
            }
        }
        let left_out = (candidates.len() as u64) < self.bound.matching;
        Ok((!left_out).then(|| Rescanned { nearest: nearest.into_sorted(), reranked }))
    }
}
