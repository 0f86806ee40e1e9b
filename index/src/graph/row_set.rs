//! Sets of rows, tested once for every visited row.

use std::ops::Range;

use roaring::RoaringBitmap;

use crate::RowBlocks;
use crate::fields::{BLOCK_WORDS, add_container, visit_containers};

/// A set of rows as a dense bitset, for one test per visited row.
#[derive(Clone, Debug)]
pub struct RowSet {
    words: Vec<u64>,
}

impl RowSet {
    /// Rows `start..end` of `bitmap`, renumbered to begin at 0.
    #[must_use]
    pub fn from_bitmap(bitmap: &RoaringBitmap, rows: Range<u32>) -> Self {
        let len = rows.len().div_ceil(64);
        let is_whole = rows.start == 0 && bitmap.max().is_none_or(|last| last < rows.end);
        let mut words = if is_whole { blocks_of(bitmap) } else { words_of_part(bitmap, rows) };
        words.resize(len, 0);
        RowSet { words }
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

    /// Number of rows in the set, counted.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Whether the set has no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }
}

/// The words of all rows, up to the end of the last block that has one.
///
/// Where many rows match, a bitmap holds them as bits too; its serialised form is the only way to get
/// at those, and takes a fifth of the time of taking the rows out one by one.
fn blocks_of(bitmap: &RoaringBitmap) -> Vec<u64> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    bitmap.serialize_into(&mut bytes).expect("writing to memory does not fail");
    let mut blocks: Vec<[u64; BLOCK_WORDS]> = Vec::new();
    visit_containers(&bytes, "rows", &mut |key, container| {
        blocks.resize(usize::from(key) + 1, [0; BLOCK_WORDS]);
        if let Some(block) = blocks.last_mut() {
            add_container(block, &container);
        }
    })
    .expect("what a bitmap writes can be read");
    blocks.into_flattened()
}

/// The words of some rows, renumbered to begin at 0.
fn words_of_part(bitmap: &RoaringBitmap, rows: Range<u32>) -> Vec<u64> {
    let mut words = vec![0u64; rows.len().div_ceil(64)];
    if rows.is_empty() {
        return words;
    }
    let mut all = RowBlocks::new(bitmap, rows.start);
    let mut block = [0u32; 512];
    loop {
        let taken = all.next_into(&mut block);
        let inside = taken.partition_point(|&row| row < rows.end);
        for row in &taken[..inside] {
            let row = row - rows.start;
            words[row as usize / 64] |= 1 << (row % 64);
        }
        if inside == 0 || inside < taken.len() {
            return words;
        }
    }
}
