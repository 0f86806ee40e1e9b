//! The union of many sets of rows.

use roaring::RoaringBitmap;

/// Rows of one block of bits; blocks without rows take no memory.
const BLOCK_ROWS: usize = 1 << 16;

/// Collects rows as dense blocks of bits.
///
/// A union of bitmaps of a thousand rows each spends its time on merging sorted arrays again and
/// again; here a row costs one bit that is set.
#[derive(Debug, Default)]
pub(super) struct Union {
    blocks: Vec<Option<Box<[u64; BLOCK_ROWS / 64]>>>,
    large: RoaringBitmap,
}

impl Union {
    /// Adds rows; those that ascend are fastest.
    pub(super) fn add(&mut self, rows: &[u32]) {
        for same_block in rows.chunk_by(|a, b| a >> 16 == b >> 16) {
            let block = same_block[0] as usize / BLOCK_ROWS;
            if self.blocks.len() <= block {
                self.blocks.resize(block + 1, None);
            }
            let words = self.blocks[block].get_or_insert_with(|| Box::new([0; BLOCK_ROWS / 64]));
            for row in same_block {
                let row = *row as usize % BLOCK_ROWS;
                words[row / 64] |= 1 << (row % 64);
            }
        }
    }

    /// Adds the rows of a bitmap.
    pub(super) fn add_bitmap(&mut self, rows: &RoaringBitmap) {
        let mut some = [0; 512];
        let mut rest = rows.iter();
        loop {
            let rows = rest.next_many(&mut some);
            if rows.is_empty() {
                break;
            }
            self.add(rows);
        }
    }

    /// Adds the rows of a large bitmap, of which there are few: where both are dense this is a
    /// word at a time.
    pub(super) fn add_large(&mut self, rows: RoaringBitmap) {
        self.large |= rows;
    }

    /// All rows that were added.
    pub(super) fn finish(self) -> RoaringBitmap {
        let mut all = self.large;
        for (block, words) in self.blocks.iter().enumerate() {
            if let Some(words) = words {
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                all |= RoaringBitmap::from_lsb0_bytes((block * BLOCK_ROWS) as u32, &bytes);
            }
        }
        all
    }
}
