//! Codes and link slots in blocks that never move, and the orders in which they are read and
//! written.
//!
//! *Publishing a row.* The linker makes the block with the codes (`AppendOnly` publishes it), then
//! stores the row's own links, and only then links to the row in the lists of others. Links are
//! stored with *release* and loaded with *acquire*: whoever sees a link to a row sees its code and
//! its links.
//!
//! *Rewriting a list.* Links that stay keep their order and move towards the front; the list is
//! stored front to back and loaded back to front. A reader that no longer meets such a link in its
//! old slot has loaded what was stored there later, so (acquire, release) the link is in its new
//! slot, which is loaded next. So no reader ever misses a link that stays; the test below goes
//! through all interleavings.

use std::sync::atomic::{AtomicU32, Ordering};

use super::super::NO_LINK;
use super::super::walk::Links;
use crate::{AppendOnly, Damaged, Quantizer, Rows};

/// Rows of a block.
pub(super) const BLOCK_ROWS: usize = 128;
/// Codes begin at a cache line.
pub(super) const LINE_BYTES: usize = 64;

/// Some rows: their codes, which never change, and their lists, which do.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    /// Where the codes begin in `bytes`.
    start: usize,
    code_len: usize,
    /// `degree` slots a row; links come first, the rest is `NO_LINK`.
    links: Box<[AtomicU32]>,
}

impl Block {
    /// The codes of vectors (back to back), with empty lists.
    pub(super) fn encode(quantizer: &Quantizer, vectors: &[f32], degree: usize) -> Self {
        let code_len = quantizer.code_len();
        let rows = vectors.len() / quantizer.dim().max(1);
        let mut bytes = vec![0; rows * code_len + LINE_BYTES];
        let start = bytes.as_ptr().align_offset(LINE_BYTES).min(LINE_BYTES);
        let codes = bytes[start..].chunks_exact_mut(code_len.max(1));
        for (vector, code) in vectors.chunks_exact(quantizer.dim().max(1)).zip(codes) {
            quantizer.encode(vector, code);
        }
        let empty = || AtomicU32::new(NO_LINK);
        let links = std::iter::repeat_with(empty).take(rows * degree).collect();
        Block { bytes, start, code_len, links }
    }

    #[inline(always)]
    fn code(&self, row: usize) -> Option<&[u8]> {
        let start = self.start + row * self.code_len;
        self.bytes.get(start..start + self.code_len)
    }

    #[inline(always)]
    fn slots(&self, row: usize, degree: usize) -> &[AtomicU32] {
        self.links.get(row * degree..(row + 1) * degree).unwrap_or_default()
    }
}

/// The rows of a graph below some number, and the codes of all.
#[derive(Clone, Debug)]
pub(super) struct Blocks<'a> {
    blocks: Vec<&'a Block>,
    rows: u32,
    degree: usize,
}

impl<'a> Blocks<'a> {
    /// The first `rows` rows, whose blocks must be there.
    pub(super) fn new(blocks: &'a AppendOnly<Block>, rows: u32, degree: usize) -> Self {
        Blocks { blocks: blocks.iter_to(usize::MAX).collect(), rows, degree }
    }

    pub(super) fn degree(&self) -> usize {
        self.degree
    }

    #[inline(always)]
    fn slots(&self, row: u32) -> &'a [AtomicU32] {
        match self.blocks.get(row as usize / BLOCK_ROWS) {
            Some(block) => block.slots(row as usize % BLOCK_ROWS, self.degree),
            None => &[],
        }
    }

    /// Reads a row's links, but for those to rows that are not among these; in no order.
    #[inline(always)]
    pub(super) fn load_links(&self, row: u32, list: &mut Vec<u32>) {
        list.clear();
        for slot in load_order(self.slots(row)) {
            let link = slot.load(Ordering::Acquire);
            // Nothing is the largest number of all.
            if link < self.rows {
                list.push(link);
            }
        }
    }

    /// Adds a link at the end of a list; false if it is full. Only the linker may write.
    pub(super) fn append_link(&self, row: u32, link: u32) -> bool {
        // No other thread writes, so these loads need no order.
        let free = self.slots(row).iter().find(|slot| slot.load(Ordering::Relaxed) == NO_LINK);
        if let Some(slot) = free {
            slot.store(link, Ordering::Release);
        }
        free.is_some()
    }

    /// Replaces a list by one that begins with links of the old one in the old order. Only the
    /// linker may write.
    pub(super) fn store_links(&self, row: u32, list: &[u32]) {
        for (slot, link) in store_order(self.slots(row), list) {
            slot.store(link, Ordering::Release);
        }
    }
}

fn load_order<T>(slots: &[T]) -> impl Iterator<Item = &T> {
    slots.iter().rev()
}

/// Each slot and what is stored there.
fn store_order<'a, T>(slots: &'a [T], list: &'a [u32]) -> impl Iterator<Item = (&'a T, u32)> {
    slots.iter().zip(list.iter().copied().chain(std::iter::repeat(NO_LINK)))
}

impl Links for Blocks<'_> {
    #[inline(always)]
    fn links<'a>(
        &'a self,
        row: u32,
        rows: u32,
        buffer: &'a mut Vec<u32>,
    ) -> Result<&'a [u32], Damaged> {
        debug_assert!(self.rows <= rows, "a walk is over all of them");
        self.load_links(row, buffer);
        Ok(buffer)
    }

    #[inline(always)]
    fn prefetch(&self, row: u32) {
        crate::prefetch(self.slots(row));
    }
}

impl Rows<u8> for Blocks<'_> {
    fn rows(&self) -> u32 {
        self.rows
    }

    #[inline(always)]
    fn row(&self, row: u32) -> Result<&[u8], Damaged> {
        code(&self.blocks, row)
    }

    #[inline(always)]
    fn prefetch(&self, row: u32) {
        if let Ok(code) = self.row(row) {
            crate::prefetch(code);
        }
    }
}

/// Codes, whether their rows are linked or not.
#[derive(Debug)]
pub(super) struct Codes<'a>(&'a [&'a Block]);

impl<'a> Codes<'a> {
    pub(super) fn new(blocks: &'a [&'a Block]) -> Self {
        Codes(blocks)
    }
}

impl Rows<u8> for Codes<'_> {
    fn rows(&self) -> u32 {
        (self.0.len() * BLOCK_ROWS) as u32
    }

    #[inline(always)]
    fn row(&self, row: u32) -> Result<&[u8], Damaged> {
        code(self.0, row)
    }

    #[inline(always)]
    fn prefetch(&self, row: u32) {
        if let Ok(code) = self.row(row) {
            crate::prefetch(code);
        }
    }
}

#[inline(always)]
fn code<'a>(blocks: &[&'a Block], row: u32) -> Result<&'a [u8], Damaged> {
    (blocks.get(row as usize / BLOCK_ROWS))
        .and_then(|block| block.code(row as usize % BLOCK_ROWS))
        .ok_or(Damaged { array: "codes", row })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// What a reader loads if `stored[i]` stores happened before its load number i.
    fn load_during(old: &[u32], new: &[u32], stored: &[usize]) -> Vec<u32> {
        let slots: Vec<Cell<u32>> = old.iter().map(|&link| Cell::new(link)).collect();
        let mut stores = store_order(&slots, new);
        let mut done = 0;
        let load = |(slot, &stored): (&Cell<u32>, &usize)| {
            while done < stored {
                if let Some((slot, link)) = stores.next() {
                    slot.set(link);
                }
                done += 1;
            }
            slot.get()
        };
        load_order(&slots).zip(stored).map(load).filter(|&link| link != NO_LINK).collect()
    }

    /// Every ascending sequence of `len` numbers from `least` to `most`.
    fn ascending(least: usize, most: usize, len: usize) -> Vec<Vec<usize>> {
        if len == 0 {
            return vec![Vec::new()];
        }
        (least..=most)
            .flat_map(|first| {
                let rest = ascending(first, most, len - 1);
                rest.into_iter().map(move |rest| [vec![first], rest].concat())
            })
            .collect()
    }

    #[test]
    fn no_interleaving_loses_a_link_that_stays() {
        let old = [10, 11, 12, 13, 14, 15];
        for kept in 0..1 << old.len() {
            let stays: Vec<u32> =
                (0..).zip(old).filter(|(i, _)| kept >> i & 1 == 1).map(|(_, link)| link).collect();
            let mut new = stays.clone();
            new.push(99);
            new.truncate(old.len());
            for stored in ascending(0, old.len(), old.len()) {
                let loaded = load_during(&old, &new, &stored);
                assert!(loaded.iter().all(|link| old.contains(link) || *link == 99));
                for link in &stays {
                    assert!(loaded.contains(link), "{old:?} to {new:?}, {stored:?}: {loaded:?}");
                }
            }
        }
    }
}
