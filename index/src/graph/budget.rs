//! What a search may cost, and what it has cost.

use std::fmt;

/// What a search may cost.
#[derive(Clone, Copy)]
pub struct Budget<'a> {
    distances_max: usize,
    stop: Option<&'a dyn Fn() -> bool>,
}

impl<'a> Budget<'a> {
    /// So many distances, and no more of them once `stop` says true, which is asked every thousand or
    /// so.
    pub fn asking(distances_max: usize, stop: &'a dyn Fn() -> bool) -> Self {
        Budget { distances_max, stop: Some(stop) }
    }
}

impl From<usize> for Budget<'_> {
    fn from(distances_max: usize) -> Self {
        Budget { distances_max, stop: None }
    }
}

impl fmt::Debug for Budget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let distances_max = &self.distances_max;
        f.debug_struct("Budget").field("distances_max", distances_max).finish_non_exhaustive()
    }
}

/// What a walk has cost, and what it may cost.
#[derive(Clone, Copy)]
pub(super) struct Cost<'a> {
    pub(super) distances: usize,
    pub(super) hops: usize,
    pub(super) over_budget: bool,
    budget: Budget<'a>,
    /// Distances allowed without another look at the budget; no more than that has.
    allowed: usize,
}

impl<'a> Cost<'a> {
    /// Distances between two questions whether to go on.
    const ASK_EVERY: usize = 1_024;

    pub(super) fn within(budget: Budget<'a>) -> Self {
        let allowed = match budget.stop {
            None => budget.distances_max,
            Some(_) => budget.distances_max.min(Self::ASK_EVERY),
        };
        Cost { distances: 0, hops: 0, over_budget: false, budget, allowed }
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

    /// Looks at the budget.
    #[cold]
    #[inline(never)]
    fn allow(&mut self, distances: usize) -> bool {
        let Budget { distances_max, stop } = self.budget;
        let spent = distances_max - self.distances < distances;
        self.over_budget = spent || stop.is_some_and(|stop| stop());
        let until_asked = (self.distances + distances).saturating_add(Self::ASK_EVERY);
        self.allowed = distances_max.min(until_asked);
        !self.over_budget
    }
}
