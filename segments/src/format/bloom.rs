//! A split-block bloom filter: one 32-byte block a key, one bit in each of its eight words
//! (Putze, Sanders & Singler 2007; the variant that Apache Parquet specifies).
//!
//! With 12 bits a key about 1 of 200 absent keys passes.

pub(crate) const BLOOM_BLOCK_BYTES: usize = 32;
const BITS_PER_KEY: usize = 12;
const SALTS: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// The block of a key in a filter of `blocks` blocks.
pub(crate) fn bloom_block(hash: u64, blocks: usize) -> usize {
    (((hash >> 32) * blocks as u64) >> 32) as usize
}

/// Whether a key may be in the filter, of which `block` is the key's block.
pub(crate) fn bloom_contains(block: &[u8; BLOOM_BLOCK_BYTES], hash: u64) -> bool {
    block
        .as_chunks::<4>()
        .0
        .iter()
        .zip(SALTS)
        .all(|(word, salt)| u32::from_le_bytes(*word) & bit(hash, salt) != 0)
}

fn bit(hash: u64, salt: u32) -> u32 {
    1 << ((hash as u32).wrapping_mul(salt) >> 27)
}

/// Builds the filter of a known number of keys.
#[derive(Debug)]
pub(crate) struct BloomBuilder {
    blocks: Vec<[u32; 8]>,
}

impl BloomBuilder {
    pub(crate) fn new(keys: usize) -> Self {
        let blocks = (keys * BITS_PER_KEY).div_ceil(8 * BLOOM_BLOCK_BYTES).max(1);
        BloomBuilder { blocks: vec![[0; 8]; blocks] }
    }

    pub(crate) fn insert(&mut self, hash: u64) {
        let block = bloom_block(hash, self.blocks.len());
        for (word, salt) in self.blocks[block].iter_mut().zip(SALTS) {
            *word |= bit(hash, salt);
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_every_key_and_few_others() {
        let mut bloom = BloomBuilder::new(10_000);
        let key = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) ^ i << 40;
        (0..10_000).for_each(|i| bloom.insert(key(i)));
        let (blocks, _) = bloom.bytes().as_chunks::<BLOOM_BLOCK_BYTES>();
        let has = |hash| bloom_contains(&blocks[bloom_block(hash, blocks.len())], hash);
        assert!((0..10_000).all(|i| has(key(i))));
        let false_hits = (10_000..110_000).filter(|i| has(key(*i))).count();
        assert!(false_hits < 2_000, "{false_hits} of 100000");
    }
}
