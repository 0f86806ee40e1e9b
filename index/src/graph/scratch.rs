//! Memory that outlives a search.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Mutex, PoisonError};

use super::filled::Filled;
use super::pool::Pool;
use super::visited::Visited;
use crate::clusters::LeafScratch;

/// Memory that a search uses again and again: visited set, pools and candidates.
///
/// It grows to one bit for each row of the largest graph it was used with.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) visited: Visited,
    pub(super) pool: Pool,
    /// The links of the row of this hop, where they have to be copied.
    pub(super) links: Vec<u32>,
    /// Rows seen for the first time in this hop.
    pub(super) fresh: Filled<u32>,
    /// Of those the pool entries that were near enough when the hop began.
    pub(super) near: Filled<u64>,
    /// Rows to expand, where the pool holds only accepted ones.
    pub(super) frontier: BinaryHeap<Reverse<u64>>,
    /// What a search of clusters uses.
    pub(crate) leaves: LeafScratch,
}

/// Scratches for as many threads as ask at once.
#[derive(Debug, Default)]
pub(crate) struct Scratches(Mutex<Vec<Scratch>>);

impl Scratches {
    /// Lends a scratch to `work`.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let lent = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = lent.unwrap_or_default();
        let result = work(&mut scratch);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        result
    }
}
