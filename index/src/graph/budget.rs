//! What a search may cost, and what it has cost.

use std::fmt;

/// Why a search was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveUp {
    /// It would have computed more distances than it may, or was stopped.
    OverBudget,
    /// Few of the rows near the query are accepted.
    FewNear,
}

/// When a search is given up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// More distances than this are not computed.
    pub distances_max: usize,
    /// Of [`NEAR_ROWS`](Limits::NEAR_ROWS) rows near the query so many have to be accepted. If fewer
    /// are, those that a filter accepts lie elsewhere, and a walk would go on until its distances are
    /// spent.
    pub accepted_near_min: usize,
    /// Distance of the last of the rows wanted that were found elsewhere, so that none as far is
    /// looked for here; infinite if there are none. An adaptive beam measures its reach by it.
    pub found_within: f32,
    /// So many candidates, or fewer, all get an exact distance: there is no need to compare them on
    /// whole codes as well, they keep the distances of the coarse codes they were found by.
    pub all_reranked: usize,
}

impl Limits {
    /// Rows on the way from the entry to the query, which say little of what lies near it.
    const ROWS_BEFORE: usize = 16;
    /// Rows after those of which it is counted how many are accepted: a share of an eighth is seen
    /// with an error of a few percent.
    pub const NEAR_ROWS: usize = 32;
    /// Rows expanded before it is known.
    pub const NEAR_HOPS: usize = Self::ROWS_BEFORE + Self::NEAR_ROWS;
}

impl From<usize> for Limits {
    /// So many distances, wherever rows are accepted.
    fn from(distances_max: usize) -> Self {
        Limits { distances_max, accepted_near_min: 0, found_within: f32::INFINITY, all_reranked: 0 }
    }
}

/// What a search may cost.
#[derive(Clone, Copy)]
pub struct Budget<'a> {
    limits: Limits,
    stop: Option<&'a dyn Fn() -> bool>,
}

impl<'a> Budget<'a> {
    /// What the limits say, and nothing more once `stop` says true, which is asked every thousand
    /// distances or so.
    pub fn asking(limits: Limits, stop: &'a dyn Fn() -> bool) -> Self {
        Budget { limits, stop: Some(stop) }
    }
}

impl<L: Into<Limits>> From<L> for Budget<'_> {
    fn from(limits: L) -> Self {
        Budget { limits: limits.into(), stop: None }
    }
}

impl fmt::Debug for Budget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Budget<'_> {
    pub(super) fn all_reranked(&self) -> usize {
        self.limits.all_reranked
    }

    pub(super) fn found_within(&self) -> f32 {
        self.limits.found_within
    }
}

/// What a walk has cost, and what it may cost.
#[derive(Clone, Copy)]
pub(super) struct Cost<'a> {
    pub(super) distances: usize,
    pub(super) hops: usize,
    pub(super) gave_up: Option<GaveUp>,
    /// Rows expanded under a filter, and how many of those near the query were accepted.
    expanded: usize,
    accepted_near: usize,
    /// Key of [`Limits::found_within`].
    pub(super) found_within: u32,
    budget: Budget<'a>,
    /// Distances allowed without another look at the budget; no more than that has.
    allowed: usize,
}

impl<'a> Cost<'a> {
    /// Distances between two questions whether to go on.
    const ASK_EVERY: usize = 1_024;

    pub(super) fn within(budget: Budget<'a>) -> Self {
        let allowed = match budget.stop {
            None => budget.limits.distances_max,
            Some(_) => budget.limits.distances_max.min(Self::ASK_EVERY),
        };
        Cost {
            distances: 0,
            hops: 0,
            gave_up: None,
            expanded: 0,
            accepted_near: 0,
            found_within: u32::MAX,
            budget,
            allowed,
        }
    }

    pub(super) fn unbounded() -> Self {
        Cost::within(usize::MAX.into())
    }

    /// Whether `distances` more may be computed; if so they are counted.
    #[inline(always)]
    pub(super) fn spend(&mut self, distances: usize) -> bool {
        if self.allowed - self.distances < distances && !self.allow(distances) {
            return false;
        }
        self.distances += distances;
        true
    }

    /// Counts the expansion of a row under a filter; whether to go on.
    #[inline(always)]
    pub(super) fn expand(&mut self, is_accepted: bool) -> bool {
        self.hops += 1;
        self.expanded += 1;
        if self.expanded > Limits::NEAR_HOPS {
            return true;
        }
        self.accepted_near += usize::from(is_accepted && self.expanded > Limits::ROWS_BEFORE);
        let is_few = self.expanded == Limits::NEAR_HOPS
            && self.accepted_near < self.budget.limits.accepted_near_min;
        if is_few {
            self.gave_up = Some(GaveUp::FewNear);
        }
        !is_few
    }

    /// Looks at the budget.
    #[cold]
    #[inline(never)]
    fn allow(&mut self, distances: usize) -> bool {
        let Budget { limits: Limits { distances_max, .. }, stop } = self.budget;
        let spent = distances_max - self.distances < distances;
        if spent || stop.is_some_and(|stop| stop()) {
            self.gave_up = Some(GaveUp::OverBudget);
        }
        let until_asked = (self.distances + distances).saturating_add(Self::ASK_EVERY);
        self.allowed = distances_max.min(until_asked);
        self.gave_up.is_none()
    }
}
