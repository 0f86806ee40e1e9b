//! Links back: whoever was linked to learns of it.

use super::linked;
use super::list::{List, pruned_len};
use super::prune::{Candidate, prune};
use crate::codes::Measure;
use crate::kernels::Kernel;
use crate::{Damaged, Rows};

/// A link to be added, packed so that sorting groups by target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge(u64);

impl Edge {
    pub(super) fn new(target: u32, source: u32) -> Self {
        Edge(u64::from(target) << 32 | u64::from(source))
    }

    pub(super) fn target(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) fn source(self) -> u32 {
        self.0 as u32
    }
}

/// The links of the target of `edges` (one target, ascending) with their sources added, in `list`;
/// gives its [`List::pruned`].
///
/// A list that overflows is pruned to `kept_max`, at most what it can hold.
#[inline(always)]
pub(super) fn add_sources<K: Kernel, C: Rows<u8>>(
    kernel: K,
    codes: &C,
    measure: Measure,
    old: List<'_>,
    edges: &[Edge],
    kept_max: usize,
    list: &mut Vec<u32>,
) -> Result<u8, Damaged> {
    let degree = old.links.len();
    let mut pruned = old.pruned;
    let old = linked(old.links);
    list.clear();
    let new = edges.iter().map(|edge| edge.source()).filter(|source| !old.contains(source));
    list.extend(old);
    list.extend(new);
    if list.len() > degree {
        let Some(target) = edges.first().map(|edge| edge.target()) else {
            return Ok(pruned);
        };
        let code = codes.row(target)?;
        let mut candidates = Vec::with_capacity(list.len());
        for (at, &row) in list.iter().enumerate() {
            let key = measure.key(kernel, code, codes.row(row)?);
            candidates.push(Candidate { key, row, is_pruned: at < usize::from(pruned) });
        }
        candidates.sort_unstable();
        list.clear();
        prune(kernel, codes, measure, &candidates, kept_max, list)?;
        pruned = pruned_len(list);
    }
    Ok(pruned)
}
