//! Which rows a search has seen.

/// A bitset that is emptied at the cost of what was put in, not of its size.
#[derive(Debug, Default)]
pub(super) struct Visited {
    words: Vec<u64>,
    /// Words that are not 0, in the order in which they were first touched.
    dirty: Vec<u32>,
}

impl Visited {
    /// Makes room for rows `0..rows`.
    pub(super) fn reserve(&mut self, rows: u32) {
        let words = (rows as usize).div_ceil(64);
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
    }

    /// Adds a row for which there is room, and says whether it is new.
    #[inline(always)]
    pub(super) fn insert(&mut self, row: u32) -> bool {
        let index = row / 64;
        let word = &mut self.words[index as usize];
        let bit = 1 << (row % 64);
        if *word & bit != 0 {
            return false;
        }
        if *word == 0 {
            self.dirty.push(index);
        }
        *word |= bit;
        true
    }

    pub(super) fn clear(&mut self) {
        for index in self.dirty.drain(..) {
            self.words[index as usize] = 0;
        }
    }
}
