//! Lists of links while they are being made.

use super::NO_LINK;
use super::prune::CANDIDATES_MAX;

/// The list of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<'a> {
    /// All places of it.
    pub(super) links: &'a [u32],
    /// So many of its links, the first, are what one pruning kept; 0 where that is not known.
    pub(super) pruned: u8,
}

/// Lists of some rows, back to back.
#[derive(Clone, Debug)]
pub(super) struct ListsBuf {
    degree: usize,
    links: Vec<u32>,
    pruned: Vec<u8>,
}

impl ListsBuf {
    /// No lists yet, with room for those of `rows` rows.
    pub(super) fn new(degree: usize, rows: usize) -> Self {
        let links = Vec::with_capacity(rows * degree);
        ListsBuf { degree, links, pruned: Vec::with_capacity(rows) }
    }

    /// Adds a list; `pruned` as in [`List`].
    pub(super) fn push(&mut self, links: &[u32], pruned: u8) {
        let end = self.links.len() + self.degree;
        self.links.extend_from_slice(links);
        self.links.resize(end, NO_LINK);
        self.pruned.push(pruned);
    }

    /// The lists in the order in which they were added.
    pub(super) fn iter(&self) -> impl Iterator<Item = List<'_>> {
        let lists = self.links.chunks_exact(self.degree).zip(&self.pruned);
        lists.map(|(links, &pruned)| List { links, pruned })
    }
}

/// [`List::pruned`] of what a pruning kept.
pub(super) fn pruned_len(kept: &[u32]) -> u8 {
    const { assert!(CANDIDATES_MAX <= u8::MAX as usize) };
    kept.len().min(CANDIDATES_MAX) as u8
}
