//! Which rows a search has seen.

use super::filled::Filled;

/// A bitset that is emptied at the cost of what was put in, not of its size.
#[derive(Debug, Default)]
pub(super) struct Visited {
    words: Vec<u64>,
    /// Words that are not 0, in the order in which they were first touched.
    dirty: Filled<u32>,
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

    /// Adds rows for which there is room, and leaves those that are new in `fresh`.
    ///
    /// Without a branch on what was seen: about half of the rows were, and nothing tells which.
    #[inline(always)]
    pub(super) fn insert_all(&mut self, rows: &[u32], fresh: &mut Filled<u32>) {
        fresh.clear();
        let (mut new, mut touched) = (0, self.dirty.len());
        let dirty = self.dirty.with_room_for(rows.len());
        let kept = fresh.with_room_for(rows.len());
        for &row in rows {
            let index = row / 64;
            let word = &mut self.words[index as usize];
            let bit = 1 << (row % 64);
            dirty[touched] = index;
            touched += usize::from(*word == 0);
            kept[new] = row;
            new += usize::from(*word & bit == 0);
            *word |= bit;
        }
        self.dirty.end_at(touched);
        fresh.end_at(new);
    }

    pub(super) fn clear(&mut self) {
        for &index in &*self.dirty {
            self.words[index as usize] = 0;
        }
        self.dirty.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn many_at_once_are_as_one_by_one(
            lists in prop::collection::vec(prop::collection::vec(0u32..300, 0..40), 0..10),
        ) {
            let (mut fast, mut slow) = (Visited::default(), Visited::default());
            fast.reserve(300);
            slow.reserve(300);
            let mut fresh = Filled::default();
            fresh.push(7);
            for rows in &lists {
                fast.insert_all(rows, &mut fresh);
                let expected: Vec<u32> =
                    rows.iter().copied().filter(|&row| slow.insert(row)).collect();
                prop_assert_eq!(&*fresh, &*expected);
            }
            prop_assert_eq!(&*fast.dirty, &*slow.dirty);
            fast.clear();
            prop_assert!(fast.words.iter().all(|&word| word == 0));
        }
    }
}
