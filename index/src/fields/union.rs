//! The union of many sets of rows.

use roaring::RoaringBitmap;

use super::serialized::{Container, visit_containers};
use crate::{FormatError, RowBlocks};

/// Rows of one block of bits; blocks without rows take no memory.
const BLOCK_ROWS: usize = 1 << 16;

/// Words of a block.
pub(crate) const BLOCK_WORDS: usize = BLOCK_ROWS / 64;

type Block = [u64; BLOCK_WORDS];

/// Collects rows as dense blocks of bits.
///
/// A union of bitmaps of a thousand rows each spends its time on merging sorted arrays again and
/// again; here a row costs one bit that is set.
#[derive(Debug, Default)]
pub struct Union {
    blocks: Vec<Option<Box<Block>>>,
    large: RoaringBitmap,
}

impl Union {
    /// Adds rows; those that ascend are fastest.
    pub fn add(&mut self, rows: &[u32]) {
        for same_block in rows.chunk_by(|a, b| a >> 16 == b >> 16) {
            let words = self.block(same_block[0] as usize / BLOCK_ROWS);
            for row in same_block {
                set(words, *row as u16);
            }
        }
    }

    /// Adds the rows of a bitmap.
    pub fn add_bitmap(&mut self, rows: &RoaringBitmap) {
        /// Rows of a block from which its bitmap is bits as well, so that it is added a word at a
        /// time.
        const DENSE_ROWS: u64 = 4_096;
        let Some(last) = rows.max() else { return };
        if rows.len() / (u64::from(last >> 16) + 1) > DENSE_ROWS {
            self.large |= rows;
            return;
        }
        let mut some = [0; 512];
        let mut rest = RowBlocks::new(rows, 0);
        loop {
            let rows = rest.next_into(&mut some);
            if rows.is_empty() {
                break;
            }
            self.add(rows);
        }
    }

    /// Adds the rows of a serialised bitmap, which errors call `what`.
    pub(super) fn add_serialized(&mut self, bytes: &[u8], what: &str) -> Result<(), FormatError> {
        visit_containers(bytes, what, &mut |key, container| {
            add_container(self.block(usize::from(key)), &container);
        })
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.large.is_empty()
    }

    /// All rows that were added.
    #[must_use]
    pub fn finish(self) -> RoaringBitmap {
        let mut all = self.large;
        let mut bytes = [0; BLOCK_ROWS / 8];
        for (block, words) in self.blocks.iter().enumerate() {
            if let Some(words) = words {
                for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(&words[..]) {
                    *bytes = word.to_le_bytes();
                }
                all |= RoaringBitmap::from_lsb0_bytes((block * BLOCK_ROWS) as u32, &bytes);
            }
        }
        all
    }

    fn block(&mut self, at: usize) -> &mut Block {
        if self.blocks.len() <= at {
            self.blocks.resize(at + 1, None);
        }
        self.blocks[at].get_or_insert_with(|| Box::new([0; BLOCK_WORDS]))
    }
}

/// Sets the bits of a container's rows in their block.
pub(crate) fn add_container(words: &mut Block, container: &Container<'_>) {
    match container {
        Container::Array(rows) => rows.iter().for_each(|row| set(words, u16::from_le_bytes(*row))),
        Container::Bits(bits) => {
            for (word, bits) in words.iter_mut().zip(*bits) {
                *word |= u64::from_le_bytes(*bits);
            }
        }
        Container::Runs(runs) => {
            for &[a, b, c, d] in *runs {
                let (first, more) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
                set_run(words, first.into(), first.saturating_add(more).into());
            }
        }
    }
}

#[inline(always)]
fn set(words: &mut Block, row: u16) {
    words[usize::from(row / 64)] |= 1 << (row % 64);
}

/// Sets the bits from `first` to `last`, both included.
fn set_run(words: &mut Block, first: usize, last: usize) {
    let from_first = u64::MAX << (first % 64);
    let to_last = u64::MAX >> (63 - last % 64);
    let (first, last) = (first / 64, last / 64);
    if first == last {
        words[first] |= from_first & to_last;
    } else {
        words[first] |= from_first;
        words[first + 1..last].fill(u64::MAX);
        words[last] |= to_last;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::serialized::{read_bitmap, write_bitmap};
    use super::*;

    /// Sets of every kind of container, in a few blocks.
    fn set_of_rows() -> impl Strategy<Value = RoaringBitmap> {
        let runs = prop::collection::vec((0u32..5 << 16, 1u32..150_000), 0..4);
        let rows = prop::collection::vec(0u32..5 << 16, 0..300);
        let steps = prop::option::of((0u32..1 << 17, 2u32..7, 0u32..60_000));
        (runs, rows, steps).prop_map(|(runs, rows, steps)| {
            let mut set: RoaringBitmap = rows.into_iter().collect();
            for (start, len) in runs {
                set.insert_range(start..start + len);
            }
            if let Some((start, step, len)) = steps {
                set.extend((start..start + len).step_by(step as usize));
            }
            set
        })
    }

    proptest! {
        #[test]
        fn all_ways_to_add_rows_agree(
            sets in prop::collection::vec((set_of_rows(), any::<bool>()), 1..4),
            cut in 0usize..400,
        ) {
            let (mut union, mut expected) = (Union::default(), RoaringBitmap::new());
            for (rows, serialized) in &sets {
                expected |= rows;
                if !serialized {
                    union.add_bitmap(rows);
                    continue;
                }
                let mut bytes = Vec::new();
                write_bitmap(&mut bytes, rows.clone());
                union.add_serialized(&bytes, "rows").unwrap();
                // Bytes that are cut off are an error, as they are to roaring.
                let cut = &bytes[..cut.min(bytes.len())];
                let read = Union::default().add_serialized(cut, "rows");
                prop_assert_eq!(read.is_ok(), read_bitmap(cut, "rows").is_ok());
            }
            prop_assert_eq!(union.is_empty(), expected.is_empty());
            prop_assert_eq!(union.finish(), expected);
        }
    }
}
