//! Sets of rows in two numberings: of the whole segment, and of a namespace's range within it.
//!
//! Most namespaces begin at row 0 of their segment or are small; both cost next to nothing.

use std::ops::Range;

use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::roaring::bitmap::Iter;
use vecstore_index::{RowBlocks, RowSet};

/// The rows of `within`, renumbered to begin at 0.
pub(crate) fn renumber(mut bitmap: RoaringBitmap, within: &Range<u32>) -> RoaringBitmap {
    if within.start == 0 {
        bitmap.remove_range(within.end..);
        return bitmap;
    }
    // Through dense bits: to push 60,000 scattered rows one by one takes 5 ms.
    RowSet::from_bitmap(&bitmap, within.clone()).to_bitmap()
}

/// The rows of `within` that are not in `bitmap`.
pub(crate) fn without(within: &Range<u32>, bitmap: &RoaringBitmap) -> RoaringBitmap {
    let mut rows = RoaringBitmap::new();
    rows.insert_range(within.clone());
    if bitmap.range_cardinality(within.clone()) > 0 {
        // To take thousands of single rows out of one run moves the rest of its list each time.
        rows.remove_run_compression();
        rows -= bitmap;
    }
    rows
}

/// The rows of `within` that are not in `bitmap`, renumbered to begin at 0.
pub(crate) fn complement(bitmap: &RoaringBitmap, within: &Range<u32>) -> RoaringBitmap {
    renumber(without(within, bitmap), within)
}

/// Rows taken out of a bitmap at a time.
const BLOCK: usize = 256;

/// The rows of a bitmap, taken out of it in blocks.
#[derive(Clone)]
pub(crate) struct Blocks<'a> {
    rest: RowBlocks<'a>,
    block: [u32; BLOCK],
    at: usize,
    len: usize,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(bitmap: &'a RoaringBitmap) -> Self {
        Blocks { rest: RowBlocks::new(bitmap, 0), block: [0; BLOCK], at: 0, len: 0 }
    }
}

impl Iterator for Blocks<'_> {
    type Item = u32;

    #[inline(always)]
    fn next(&mut self) -> Option<u32> {
        if self.at == self.len {
            (self.at, self.len) = (0, self.rest.next_into(&mut self.block).len());
            if self.len == 0 {
                return None;
            }
        }
        self.at += 1;
        self.block.get(self.at - 1).copied()
    }
}

/// Runs of rows of a range that are not in a bitmap, ascending, renumbered to begin at 0.
#[derive(Clone)]
pub(crate) struct Gaps<'a> {
    present: Iter<'a>,
    base: u32,
    next: u32,
    end: u32,
}

impl<'a> Gaps<'a> {
    pub(crate) fn new(bitmap: &'a RoaringBitmap, within: &Range<u32>) -> Self {
        Gaps {
            present: bitmap.range(within.clone()),
            base: within.start,
            next: within.start,
            end: within.end,
        }
    }
}

impl Iterator for Gaps<'_> {
    type Item = Range<u32>;

    fn next(&mut self) -> Option<Range<u32>> {
        while self.next < self.end {
            let start = self.next;
            let stop = match self.present.next_range() {
                Some(run) => {
                    // A run never ends at u32::MAX: `end` is an exclusive bound that fits.
                    self.next = run.end() + 1;
                    *run.start()
                }
                None => {
                    self.next = self.end;
                    self.end
                }
            };
            if start < stop {
                return Some(start - self.base..stop - self.base);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn renumbering_agrees_with_sets(
            runs in proptest::collection::vec((0u32..70_000, 1u32..40), 0..60),
            start in 0u32..70_000,
            len in 0u32..70_000,
        ) {
            let within = start..start + len;
            let set: BTreeSet<u32> = runs.iter().flat_map(|&(s, n)| s..s + n).collect();
            let bitmap: RoaringBitmap = set.iter().copied().collect();

            let inside: RoaringBitmap =
                set.iter().filter(|r| within.contains(r)).map(|r| r - start).collect();
            prop_assert_eq!(&renumber(bitmap.clone(), &within), &inside);

            let outside: RoaringBitmap = (0..len).filter(|r| !inside.contains(*r)).collect();
            prop_assert_eq!(&complement(&bitmap, &within), &outside);
            let gaps: Vec<u32> = Gaps::new(&bitmap, &within).flatten().collect();
            prop_assert!(gaps.into_iter().eq(outside.iter()));
        }
    }
}
