//! The best-first walk over codes that search, build and repair share (Malkov & Yashunin 2018,
//! Alg. 2), with one sorted pool in the place of two heaps.
//!
//! A hop has phases: collect the neighbours not seen before, ask for their codes, compare, insert.
//! So the memory is read in parallel, and not one dependent miss after the other. Whether a
//! neighbour is new and whether it is near enough no processor can foresee, so that the first three
//! phases decide it without a branch; only the few that are left are inserted.

use std::cmp::Reverse;
use std::fmt;

use super::pool::{Pool, key_of, pack, row_of};
use super::scratch::Scratch;
use super::{Beam, NO_LINK, RowSet};
use crate::codes::Measure;
use crate::kernels::Kernel;
use crate::{Damaged, Rows};

/// Codes asked for ahead of the one that is compared.
const AHEAD: usize = 16;

/// A layer and what is looked for in it.
#[derive(Debug)]
pub(super) struct Walk<'a, C, L> {
    pub(super) codes: &'a C,
    pub(super) links: &'a L,
    pub(super) measure: Measure,
    pub(super) query: &'a [u8],
    /// Rows that links may name.
    pub(super) rows: u32,
    /// A row that is passed over as if no link led to it.
    pub(super) hidden: Option<u32>,
}

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

impl<C: Rows<u8>, L: Rows<u32>> Walk<'_, C, L> {
    /// What `beam` keeps of the rows that can be reached from `seeds`, left in the pool.
    ///
    /// `seeds` and `hidden` must be less than `rows`. The visited set is empty before and after.
    #[inline(always)]
    pub(super) fn nearest<K: Kernel>(
        &self,
        kernel: K,
        seeds: &[u32],
        beam: Beam,
        cost: &mut Cost<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Damaged> {
        scratch.visited.clear();
        scratch.visited.reserve(self.rows);
        scratch.pool.start(beam);
        let result = self.nearest_marking(kernel, seeds, cost, scratch);
        scratch.visited.clear();
        result
    }

    #[inline(always)]
    fn nearest_marking<K: Kernel>(
        &self,
        kernel: K,
        seeds: &[u32],
        cost: &mut Cost<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Damaged> {
        self.begin(seeds, scratch);
        loop {
            if !cost.spend(scratch.fresh.len()) {
                return Ok(());
            }
            let Scratch { pool, fresh, near, .. } = scratch;
            self.compare(kernel, fresh, pool.bound(), near)?;
            for &entry in &*near {
                pool.insert(entry);
            }
            let Some(row) = scratch.pool.expand() else {
                return Ok(());
            };
            self.collect(row, scratch, Pool::peek)?;
            cost.hops += 1;
        }
    }

    /// What `beam` keeps of the members of `accepted` on a walk through all rows, left in the pool.
    ///
    /// The walk ends when no row that is still to be expanded would be kept if it were a member.
    /// `seeds` and `hidden` must be less than `rows`. The visited set is empty before and
    /// after.
    #[inline(always)]
    pub(super) fn nearest_accepted<K: Kernel>(
        &self,
        kernel: K,
        seeds: &[u32],
        beam: Beam,
        accepted: &RowSet,
        cost: &mut Cost<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Damaged> {
        scratch.visited.clear();
        scratch.visited.reserve(self.rows);
        scratch.pool.start(beam);
        scratch.frontier.clear();
        let result = self.nearest_accepted_marking(kernel, seeds, accepted, cost, scratch);
        scratch.visited.clear();
        result
    }

    #[inline(always)]
    fn nearest_accepted_marking<K: Kernel>(
        &self,
        kernel: K,
        seeds: &[u32],
        accepted: &RowSet,
        cost: &mut Cost<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Damaged> {
        self.begin(seeds, scratch);
        loop {
            if !cost.spend(scratch.fresh.len()) {
                return Ok(());
            }
            let Scratch { pool, fresh, near, frontier, .. } = scratch;
            self.compare(kernel, fresh, pool.bound(), near)?;
            for &entry in &*near {
                // What would not be kept now is never expanded, as the bound only falls.
                if entry < pool.bound() {
                    frontier.push(Reverse(entry));
                    if accepted.contains(row_of(entry)) {
                        pool.insert(entry);
                    }
                }
            }
            let Some(Reverse(entry)) = scratch.frontier.pop() else {
                return Ok(());
            };
            if key_of(scratch.pool.bound()) < key_of(entry) {
                return Ok(());
            }
            let next = scratch.frontier.peek().map(|&Reverse(entry)| row_of(entry));
            self.collect(row_of(entry), scratch, |_| next)?;
            cost.hops += 1;
        }
    }

    /// Gathers the seeds.
    #[inline(always)]
    fn begin(&self, seeds: &[u32], scratch: &mut Scratch) {
        let Scratch { visited, fresh, .. } = scratch;
        if let Some(hidden) = self.hidden {
            visited.insert(hidden);
        }
        fresh.clear();
        fresh.extend(seeds.iter().filter(|&&seed| visited.insert(seed)));
    }

    /// Gathers the neighbours of `row` that were not seen before; asks for the links of the row
    /// that comes after it.
    #[inline(always)]
    fn collect(
        &self,
        row: u32,
        scratch: &mut Scratch,
        next: impl Fn(&Pool) -> Option<u32>,
    ) -> Result<(), Damaged> {
        let Scratch { visited, pool, fresh, .. } = scratch;
        let links = self.links.row(row)?;
        // The padding is at the end; were some of it among the links, it would be wild.
        let links = &links[..links.partition_point(|&link| link != NO_LINK)];
        // A wild link must not be followed, nor marked: the visited set ends at `rows`.
        if links.iter().fold(0, |largest, &link| largest.max(link)) >= self.rows {
            return Err(Damaged { array: "links", row });
        }
        visited.insert_all(links, fresh);
        if let Some(next) = next(pool) {
            self.links.prefetch(next);
        }
        Ok(())
    }

    /// Compares the query with every row of `fresh`; leaves the entries below `bound` in `near`.
    #[inline(always)]
    fn compare<K: Kernel>(
        &self,
        kernel: K,
        fresh: &[u32],
        bound: u64,
        near: &mut Vec<u64>,
    ) -> Result<(), Damaged> {
        for &row in fresh.iter().take(AHEAD) {
            self.codes.prefetch(row);
        }
        near.clear();
        near.resize(fresh.len(), 0);
        let mut kept = 0;
        for (i, &row) in fresh.iter().enumerate() {
            if let Some(&ahead) = fresh.get(i + AHEAD) {
                self.codes.prefetch(ahead);
            }
            let entry = pack(self.measure.key(kernel, self.query, self.codes.row(row)?), row);
            near[kept] = entry;
            kept += usize::from(entry < bound);
        }
        near.truncate(kept);
        Ok(())
    }
}
