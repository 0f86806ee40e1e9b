//! The walk of [`walk`](super::super::walk) over lists that change meanwhile.

use std::cmp::Reverse;

use super::super::Beam;
use super::super::pool::{Pool, key_of, pack, row_of};
use super::super::scratch::Scratch;
use super::super::walk::Cost;
use super::block::Blocks;
use crate::codes::Measure;
use crate::kernels::Kernel;
use crate::{Damaged, Rows};

/// Codes asked for ahead of the one that is compared.
const AHEAD: usize = 16;

/// The rows and what is looked for among them.
#[derive(Debug)]
pub(super) struct LiveWalk<'a> {
    pub(super) blocks: &'a Blocks<'a>,
    pub(super) measure: Measure,
    pub(super) query: &'a [u8],
}

impl LiveWalk<'_> {
    /// What `beam` keeps of the rows that can be reached from `seeds`, left in the pool; `hidden` is
    /// passed over as if it were not linked.
    #[inline(always)]
    pub(super) fn nearest<K: Kernel>(
        &self,
        kernel: K,
        seeds: &[u32],
        hidden: Option<u32>,
        beam: Beam,
        cost: &mut Cost<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Damaged> {
        self.begin(beam, scratch);
        if let Some(hidden) = hidden.filter(|&row| row < self.blocks.rows()) {
            scratch.visited.insert(hidden);
        }
        self.seed(seeds, scratch);
        let mut list = Vec::with_capacity(self.blocks.degree());
        while cost.spend(scratch.fresh.len()) {
            let Scratch { pool, fresh, near, visited, .. } = scratch;
            self.compare(kernel, fresh, pool.bound(), near)?;
            for &entry in &*near {
                pool.insert(entry);
            }
            let Some(row) = pool.expand() else { break };
            self.blocks.load_links(row, &mut list);
            visited.insert_all(&list, fresh);
            if let Some(next) = Pool::peek(pool) {
                self.blocks.prefetch_links(next);
            }
            cost.hops += 1;
        }
        scratch.visited.clear();
        Ok(())
    }

    /// What `beam` keeps of the rows that `accept` accepts, on a walk through all, left in the
    /// pool.
    #[inline(always)]
    pub(super) fn nearest_accepted<K: Kernel>(
        &self,
        kernel: K,
        seeds: &[u32],
        beam: Beam,
        accept: &dyn Fn(u32) -> bool,
        cost: &mut Cost<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Damaged> {
        self.begin(beam, scratch);
        scratch.frontier.clear();
        self.seed(seeds, scratch);
        let mut list = Vec::with_capacity(self.blocks.degree());
        while cost.spend(scratch.fresh.len()) {
            let Scratch { pool, fresh, near, visited, frontier, .. } = scratch;
            self.compare(kernel, fresh, pool.bound(), near)?;
            for &entry in &*near {
                // What would not be kept now is never expanded, as the bound only falls.
                if entry < pool.bound() {
                    frontier.push(Reverse(entry));
                    if accept(row_of(entry)) {
                        pool.insert(entry);
                    }
                }
            }
            let Some(Reverse(entry)) = frontier.pop() else { break };
            if key_of(pool.bound()) < key_of(entry) {
                break;
            }
            self.blocks.load_links(row_of(entry), &mut list);
            visited.insert_all(&list, fresh);
            if let Some(&Reverse(next)) = frontier.peek() {
                self.blocks.prefetch_links(row_of(next));
            }
            cost.hops += 1;
        }
        scratch.visited.clear();
        Ok(())
    }

    #[inline(always)]
    fn begin(&self, beam: Beam, scratch: &mut Scratch) {
        scratch.visited.clear();
        scratch.visited.reserve(self.blocks.rows());
        scratch.pool.start(beam);
    }

    #[inline(always)]
    fn seed(&self, seeds: &[u32], scratch: &mut Scratch) {
        let Scratch { visited, fresh, .. } = scratch;
        fresh.clear();
        let rows = self.blocks.rows();
        fresh.extend(seeds.iter().filter(|&&seed| seed < rows && visited.insert(seed)));
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
            self.blocks.prefetch(row);
        }
        near.clear();
        for (i, &row) in fresh.iter().enumerate() {
            if let Some(&ahead) = fresh.get(i + AHEAD) {
                self.blocks.prefetch(ahead);
            }
            let entry = pack(self.measure.key(kernel, self.query, self.blocks.row(row)?), row);
            if entry < bound {
                near.push(entry);
            }
        }
        Ok(())
    }
}
