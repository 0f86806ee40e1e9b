//! The best-first walk over codes that search, build and repair share (Malkov & Yashunin 2018,
//! Alg. 2), with one sorted pool in the place of two heaps.
//!
//! A hop has phases: collect the neighbours not seen before, ask for their codes, insert what the hop
//! before found, compare. So the memory is read in parallel, and not one dependent miss after the
//! other; and as the row to expand next is known before the pool is in order, its links and the codes
//! of its neighbours are on their way meanwhile. Whether a neighbour is new and whether it is near
//! enough no processor can foresee, so that this is decided without a branch; only the few that are
//! left are inserted.

use std::cmp::Reverse;

use super::budget::Cost;
use super::filled::Filled;
use super::pool::{key_of, pack, row_of};
use super::scratch::Scratch;
use super::{Beam, NO_LINK};
use crate::codes::Nearness;
use crate::kernels::Kernel;
use crate::{Damaged, Rows};

/// What is set in an entry of the frontier whose row is accepted: where those of the pool say that a
/// row was expanded.
const ACCEPTED: u64 = 1;

/// Codes asked for ahead of the one that is compared.
const AHEAD: usize = 16;

/// Where a walk reads which rows a row links to.
pub(super) trait Links: Sync {
    /// The links of `row`, each below `rows`; in `buffer` where they can't be lent.
    fn links<'a>(
        &'a self,
        row: u32,
        rows: u32,
        buffer: &'a mut Vec<u32>,
    ) -> Result<&'a [u32], Damaged>;
    /// Asks the processor to load the links of a row.
    fn prefetch(&self, row: u32);
}

impl<L: Rows<u32>> Links for L {
    #[inline(always)]
    fn links<'a>(&'a self, row: u32, rows: u32, _: &'a mut Vec<u32>) -> Result<&'a [u32], Damaged> {
        let links = self.row(row)?;
        // The padding is at the end; were some of it among the links, it would be wild.
        let links = &links[..links.partition_point(|&link| link != NO_LINK)];
        // A wild link must not be followed, nor marked: the visited set ends at `rows`.
        if links.iter().fold(0, |largest, &link| largest.max(link)) >= rows {
            return Err(Damaged { array: "links", row });
        }
        Ok(links)
    }

    #[inline(always)]
    fn prefetch(&self, row: u32) {
        Rows::prefetch(self, row);
    }
}

/// A layer and what is looked for in it.
#[derive(Debug)]
pub(super) struct Walk<'a, N, L> {
    pub(super) near: N,
    pub(super) links: &'a L,
    /// Rows that links may name.
    pub(super) rows: u32,
    /// A row that is passed over as if no link led to it.
    pub(super) hidden: Option<u32>,
}

impl<N: Nearness, L: Links> Walk<'_, N, L> {
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
        scratch.pool.start(beam, self.near.stretch(beam.gamma), cost.found_within);
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
            let Scratch { pool, fresh, near, .. } = &mut *scratch;
            self.compare(kernel, fresh, pool.bound(), near)?;
            // Which of them is expanded later, and whether, is open: few are not.
            for &entry in near.iter() {
                self.links.prefetch(row_of(entry));
            }
            let Some(next) = pool.next_among(near) else {
                return Ok(());
            };
            self.collect(next, scratch)?;
            let Scratch { pool, near, .. } = &mut *scratch;
            for &entry in near.iter() {
                pool.insert(entry);
            }
            let expanded = pool.expand();
            debug_assert_eq!(expanded, Some(next));
            if let Some(likely) = pool.peek() {
                self.links.prefetch(likely);
            }
            cost.hops += 1;
        }
    }

    /// What `beam` keeps of the rows that `accept` accepts on a walk through all, left in the pool.
    ///
    /// The walk ends when no row that is still to be expanded would be kept if it were accepted, or
    /// when too few of those near the query are.
    /// `seeds` and `hidden` must be less than `rows`. The visited set is empty before and
    /// after.
    #[inline(always)]
    pub(super) fn nearest_accepted<K: Kernel>(
        &self,
        kernel: K,
        seeds: &[u32],
        beam: Beam,
        accept: impl Fn(u32) -> bool,
        cost: &mut Cost<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Damaged> {
        scratch.visited.clear();
        scratch.visited.reserve(self.rows);
        scratch.pool.start(beam, self.near.stretch(beam.gamma), cost.found_within);
        scratch.frontier.clear();
        let result = self.nearest_accepted_marking(kernel, seeds, accept, cost, scratch);
        scratch.visited.clear();
        result
    }

    #[inline(always)]
    fn nearest_accepted_marking<K: Kernel>(
        &self,
        kernel: K,
        seeds: &[u32],
        accept: impl Fn(u32) -> bool,
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
            for &entry in near.iter() {
                self.links.prefetch(row_of(entry));
            }
            for &entry in near.iter() {
                // What would not be kept now is never expanded, as the bound only falls.
                if entry < pool.bound() {
                    let is_accepted = accept(row_of(entry));
                    frontier.push(Reverse(entry | if is_accepted { ACCEPTED } else { 0 }));
                    if is_accepted {
                        pool.insert(entry);
                    }
                }
            }
            let Some(Reverse(entry)) = scratch.frontier.pop() else {
                return Ok(());
            };
            let is_accepted = entry & ACCEPTED != 0;
            if key_of(scratch.pool.bound()) < key_of(entry) || !cost.expand(is_accepted) {
                return Ok(());
            }
            self.collect(row_of(entry), scratch)?;
            if let Some(&Reverse(likely)) = scratch.frontier.peek() {
                self.links.prefetch(row_of(likely));
            }
        }
    }

    /// Gathers the seeds, and asks for their codes.
    #[inline(always)]
    fn begin(&self, seeds: &[u32], scratch: &mut Scratch) {
        let Scratch { visited, fresh, .. } = scratch;
        if let Some(hidden) = self.hidden {
            visited.insert(hidden);
        }
        fresh.clear();
        for &seed in seeds {
            if visited.insert(seed) {
                fresh.push(seed);
            }
        }
        self.ask_for_codes(fresh);
    }

    /// Gathers the neighbours of `row` that were not seen before, and asks for their codes.
    #[inline(always)]
    fn collect(&self, row: u32, scratch: &mut Scratch) -> Result<(), Damaged> {
        let Scratch { visited, fresh, links, .. } = scratch;
        visited.insert_all(self.links.links(row, self.rows, links)?, fresh);
        self.ask_for_codes(fresh);
        Ok(())
    }

    /// Asks for the codes that are compared first.
    #[inline(always)]
    fn ask_for_codes(&self, fresh: &[u32]) {
        for &row in fresh.iter().take(AHEAD) {
            self.near.prefetch(row);
        }
    }

    /// Compares the query with every row of `fresh`, whose first codes were asked for; leaves the
    /// entries below `bound` in `near`.
    #[inline(always)]
    fn compare<K: Kernel>(
        &self,
        kernel: K,
        fresh: &[u32],
        bound: u64,
        near: &mut Filled<u64>,
    ) -> Result<(), Damaged> {
        near.clear();
        let entries = near.with_room_for(fresh.len());
        let mut kept = 0;
        for (i, &row) in fresh.iter().enumerate() {
            if let Some(&ahead) = fresh.get(i + AHEAD) {
                self.near.prefetch(ahead);
            }
            let entry = pack(self.near.key(kernel, row)?, row);
            entries[kept] = entry;
            kept += usize::from(entry < bound);
        }
        near.end_at(kept);
        Ok(())
    }
}
