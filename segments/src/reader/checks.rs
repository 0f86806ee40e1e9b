//! Which blocks of a mapped file were checked so far.
//!
//! Every section is divided into blocks of 64 KiB, each with a checksum in the file. A block is
//! checked when something in it is read for the first time; one bit remembers that. Whether two
//! threads check the same block at once does not matter, since the bytes never change; that is
//! also why relaxed loads are enough. What a disk does to them later is for a scrub to find, which
//! takes back that a block is good; see [`BlockChecks::mark_bad`].

use std::ops::{Range, RangeInclusive};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::format::{CHECK_BLOCK, Section};

/// The first block of a section that does not match its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadBlock(pub(crate) usize);

#[derive(Debug)]
pub(crate) struct BlockChecks {
    expected: Box<[u32]>,
    good: Box<[AtomicU64]>,
    bad: Box<[AtomicU64]>,
}

impl BlockChecks {
    pub(crate) fn new(expected: Box<[u32]>) -> Self {
        let words = expected.len().div_ceil(64);
        let bits = || (0..words).map(|_| AtomicU64::new(0)).collect();
        BlockChecks { good: bits(), bad: bits(), expected }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.expected) + size_of_val(&*self.good) + size_of_val(&*self.bad)
    }

    /// The checksums of the file's blocks, in file order.
    pub(crate) fn expected(&self) -> &[u32] {
        &self.expected
    }

    /// Whether the block was found good before.
    #[inline(always)]
    fn is_good(&self, block: usize) -> bool {
        self.good
            .get(block / 64)
            .is_some_and(|word| word.load(Ordering::Relaxed) >> (block % 64) & 1 == 1)
    }

    fn is_bad(&self, block: usize) -> bool {
        self.bad
            .get(block / 64)
            .is_some_and(|word| word.load(Ordering::Relaxed) >> (block % 64) & 1 == 1)
    }

    /// Whether all of these blocks were found good before.
    fn are_good(&self, blocks: Range<usize>) -> bool {
        let mut block = blocks.start;
        while block < blocks.end {
            let in_word = (64 - block % 64).min(blocks.end - block);
            let wanted = u64::MAX >> (64 - in_word) << (block % 64);
            let good = self.good.get(block / 64).map_or(0, |word| word.load(Ordering::Relaxed));
            if good & wanted != wanted {
                return false;
            }
            block += in_word;
        }
        true
    }

    fn first_touch(&self, block: usize, bytes: &[u8]) -> bool {
        if self.is_bad(block) {
            return false;
        }
        let matches = self.expected.get(block) == Some(&crc32fast::hash(bytes));
        let (word, bit) = (block / 64, 1 << (block % 64));
        let (Some(good), Some(bad)) = (self.good.get(word), self.bad.get(word)) else {
            return matches;
        };
        if !matches {
            bad.fetch_or(bit, Ordering::Relaxed);
            return false;
        }
        // In this order, and in the opposite one in `mark_bad`: whichever comes later, the block does
        // not stay a good one.
        good.fetch_or(bit, Ordering::SeqCst);
        if bad.load(Ordering::SeqCst) & bit != 0 {
            good.fetch_and(!bit, Ordering::SeqCst);
            return false;
        }
        true
    }

    /// A block that the disk no longer has: who reads it from now on is told, also if it was found
    /// good before.
    pub(crate) fn mark_bad(&self, block: usize) {
        let (word, bit) = (block / 64, 1 << (block % 64));
        if let (Some(good), Some(bad)) = (self.good.get(word), self.bad.get(word)) {
            bad.fetch_or(bit, Ordering::SeqCst);
            good.fetch_and(!bit, Ordering::SeqCst);
        }
    }
}

/// A section of a mapped file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MappedSection<'a> {
    bytes: &'a [u8],
    first_block: usize,
    checks: &'a BlockChecks,
}

impl<'a> MappedSection<'a> {
    pub(crate) fn new(section: &Section, file: &'a [u8], checks: &'a BlockChecks) -> Self {
        // The contents table was checked against the file's length when the file was opened.
        let start = section.offset as usize;
        let bytes = file.get(start..start + section.len as usize).unwrap_or_default();
        MappedSection { bytes, first_block: section.first_block as usize, checks }
    }

    /// The bytes, for those who call [`check`](Self::check) on what they read of them.
    pub(crate) fn unchecked(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether every block that a range of the section touches was found good before; the cost is a
    /// bit a block, so that a search asks once and not for every row.
    pub(crate) fn is_checked(&self, range: Range<usize>) -> bool {
        let first = self.first_block + range.start / CHECK_BLOCK;
        self.checks.are_good(first..self.first_block + range.end.div_ceil(CHECK_BLOCK))
    }

    /// Checks the blocks that a range (not empty, within the section) touches, unless they were
    /// found good before.
    #[inline(always)]
    pub(crate) fn check(&self, range: Range<usize>) -> Result<(), BadBlock> {
        let first = range.start / CHECK_BLOCK;
        let last = (range.end - 1) / CHECK_BLOCK;
        let good = |block| self.checks.is_good(self.first_block + block);
        // Nearly every row lies in one block or two that were checked long ago.
        if last - first <= 1 && good(first) && good(last) {
            return Ok(());
        }
        self.check_each(first..=last)
    }

    #[cold]
    #[inline(never)]
    fn check_each(&self, blocks: RangeInclusive<usize>) -> Result<(), BadBlock> {
        for block in blocks {
            if !self.checks.is_good(self.first_block + block) && !self.first_touch(block) {
                return Err(BadBlock(block));
            }
        }
        Ok(())
    }

    fn first_touch(&self, block: usize) -> bool {
        let start = block * CHECK_BLOCK;
        let end = self.bytes.len().min(start + CHECK_BLOCK);
        self.checks.first_touch(self.first_block + block, &self.bytes[start..end])
    }

    /// A range of the section, checked.
    pub(crate) fn get(&self, range: Range<usize>) -> Result<&'a [u8], BadBlock> {
        match self.bytes.get(range.clone()) {
            Some([]) => Ok(&[]),
            Some(bytes) => self.check(range).map(|()| bytes),
            None => Err(BadBlock(range.start / CHECK_BLOCK)),
        }
    }

    /// The whole section, checked.
    pub(crate) fn all(&self) -> Result<&'a [u8], BadBlock> {
        self.get(0..self.bytes.len())
    }

    /// The blocks that were found damaged so far.
    pub(crate) fn bad_blocks(&self) -> impl Iterator<Item = usize> {
        (0..self.bytes.len().div_ceil(CHECK_BLOCK))
            .filter(|block| self.checks.is_bad(self.first_block + block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_marked_bad_stays_bad() {
        let expected: Box<[u32]> = vec![crc32fast::hash(b"x"); 70].into();
        let checks = BlockChecks::new(expected);
        for block in [0, 69] {
            assert!(checks.first_touch(block, b"x"));
            assert!(checks.is_good(block));
            checks.mark_bad(block);
            assert!(!checks.is_good(block) && checks.is_bad(block));
            assert!(!checks.first_touch(block, b"x"), "right in memory, lost on the disk");
        }
        assert!(
            checks.first_touch(1, b"x") && checks.first_touch(68, b"x"),
            "others are not touched"
        );
        checks.mark_bad(1000);
    }
}
