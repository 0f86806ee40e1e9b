//! Sets of rows, tested once for every visited row.

use std::ops::Range;

use roaring::RoaringBitmap;

use crate::RowBlocks;

/// A set of rows as a dense bitset, for one test per visited row.
#[derive(Clone, Debug)]
pub struct RowSet {
    words: Vec<u64>,
    len: u64,
}

impl RowSet {
    /// Rows `start..end` of `bitmap`, renumbered to begin at 0.
    #[must_use]
    pub fn from_bitmap(bitmap: &RoaringBitmap, rows: Range<u32>) -> Self {
        let mut words = vec![0u64; rows.len().div_ceil(64)];
        let mut len = 0;
        if !rows.is_empty() {
            let mut all = RowBlocks::new(bitmap, rows.start);
            let mut block = [0u32; 512];
            loop {
                let taken = all.next_into(&mut block);
                let inside = taken.partition_point(|&row| row < rows.end);
                for row in &taken[..inside] {
                    let row = row - rows.start;
                    words[row as usize / 64] |= 1 << (row % 64);
                }
                len += inside as u64;
                if inside == 0 || inside < taken.len() {
                    break;
                }
            }
        }
        RowSet { words, len }
    }

    /// The same rows as a bitmap.
    #[must_use]
    pub fn to_bitmap(&self) -> RoaringBitmap {
        let mut bytes = vec![0; 8 * self.words.len()];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(&self.words) {
            *bytes = word.to_le_bytes();
        }
        RoaringBitmap::from_lsb0_bytes(0, &bytes)
    }

    /// Whether the row is in the set.
    #[must_use]
    #[inline(always)]
    pub fn contains(&self, row: u32) -> bool {
        self.words.get(row as usize / 64).is_some_and(|w| w >> (row % 64) & 1 == 1)
    }

    /// Number of rows in the set.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the set has no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
