//! The candidates of a search, in one sorted array.

use super::{Beam, Gamma};
use crate::codes::Stretch;

/// The nearest rows found so far, as many as a [`Beam`] keeps, and which of them have not been
/// expanded.
///
/// An entry is one integer: key, then row, then a bit that is set once the row's links were read.
/// So entries sort nearest first with ties by row, and the bit changes no order because a row is
/// never in the pool twice.
#[derive(Debug)]
pub(super) struct Pool {
    entries: Vec<u64>,
    beam: Beam,
    /// What is not less than this cannot come in.
    bound: u64,
    /// How far others may be.
    stretch: Stretch,
    /// Key of the last of the rows wanted, if they were found elsewhere.
    found_within: u32,
    /// Every entry before this one has been expanded.
    next: usize,
}

const EXPANDED: u64 = 1;

#[inline(always)]
pub(super) fn pack(key: u32, row: u32) -> u64 {
    u64::from(key) << 32 | u64::from(row) << 1
}

#[inline(always)]
pub(super) fn key_of(entry: u64) -> u32 {
    (entry >> 32) as u32
}

#[inline(always)]
pub(super) fn row_of(entry: u64) -> u32 {
    (entry as u32) >> 1
}

impl Default for Pool {
    fn default() -> Self {
        Pool {
            entries: Vec::new(),
            beam: Beam::fixed(0),
            bound: 0,
            stretch: Stretch::of_squares(Gamma::new(0)),
            found_within: 0,
            next: 0,
        }
    }
}

impl Pool {
    /// Empties the pool and says what it is to keep. Others that are wanted were found elsewhere, the
    /// last of them with the key `found_within`; there is none as far as `u32::MAX`.
    ///
    /// `stretch` is how far in keys the beam's γ is.
    pub(super) fn start(&mut self, beam: Beam, stretch: Stretch, found_within: u32) {
        let Beam { ef, nearest, ef_max, .. } = beam;
        self.entries.clear();
        self.beam = Beam { nearest: nearest.clamp(1, ef.max(1)), ef_max: ef_max.max(ef), ..beam };
        self.bound = if ef == 0 { 0 } else { u64::MAX };
        self.stretch = stretch;
        self.found_within = found_within;
        self.next = 0;
    }

    /// Puts a row in that is not in the pool, if it is near enough.
    #[inline(always)]
    pub(super) fn insert(&mut self, entry: u64) {
        if entry >= self.bound {
            return;
        }
        let position = self.entries.partition_point(|&other| other < entry);
        self.entries.insert(position, entry);
        self.next = self.next.min(position);
        if self.entries.len() >= self.beam.ef {
            self.drop_far();
        }
    }

    /// Drops what is beyond the beam, and lets no more of that in.
    #[inline(always)]
    fn drop_far(&mut self) {
        let Beam { ef, nearest, ef_max, .. } = self.beam;
        self.entries.truncate(ef_max);
        self.bound = self.entries[ef - 1];
        if self.beam.is_fixed() {
            return;
        }
        let last = key_of(self.entries[nearest - 1]);
        // A walk that is still far away looks around as if it were alone, so as not to stay there.
        let is_near = u64::from(last) <= self.stretch.of(self.found_within);
        let within = self.stretch.of(if is_near { last.min(self.found_within) } else { last });
        let within = pack(u32::try_from(within).unwrap_or(u32::MAX), 0);
        if within <= self.bound {
            self.entries.truncate(ef);
            return;
        }
        while let Some(&last) = self.entries.last()
            && last >= within
        {
            self.entries.pop();
        }
        self.bound = match self.entries.last() {
            Some(&last) if self.entries.len() == ef_max => last,
            _ => within,
        };
    }

    /// The nearest row that has not been expanded; it counts as expanded from now on.
    #[inline(always)]
    pub(super) fn expand(&mut self) -> Option<u32> {
        let entry = self.entries.get_mut(self.next)?;
        *entry |= EXPANDED;
        let row = row_of(*entry);
        while self.entries.get(self.next).is_some_and(|&entry| entry & EXPANDED != 0) {
            self.next += 1;
        }
        Some(row)
    }

    /// The row that [`expand`](Pool::expand) gives once `near`, all below the bound, was inserted.
    ///
    /// The nearest that is not expanded stays in the pool: what is inserted beside it is farther, and
    /// drops only what is farther still.
    #[inline(always)]
    pub(super) fn next_among(&self, near: &[u64]) -> Option<u32> {
        let waiting = self.entries.get(self.next);
        waiting.into_iter().chain(near).min().map(|&entry| row_of(entry))
    }

    /// The row that [`expand`](Pool::expand) gives next, if no nearer one comes in.
    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u32> {
        self.entries.get(self.next).map(|&entry| row_of(entry))
    }

    /// What is not less than this cannot come in.
    #[inline(always)]
    pub(super) fn bound(&self) -> u64 {
        self.bound
    }

    /// Key and row of every entry, nearest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.entries.iter().map(|&entry| (key_of(entry), row_of(entry)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_next_row_is_known_before_the_near_ones_are_inserted(
            hops in prop::collection::vec(prop::collection::vec(0_u32..300, 0..12), 1..30),
            ef in 1_usize..20,
            gamma in 0_u32..300,
            ef_max in 1_usize..60,
            found_within in prop_oneof![Just(u32::MAX), 0_u32..300],
        ) {
            let nearest = ef.div_ceil(2);
            let beam = Beam { ef, gamma: Gamma::new(gamma), nearest, ef_max };
            let mut pool = Pool::default();
            pool.start(beam, Stretch::of_squares(beam.gamma), found_within);
            let mut row = 0;
            for keys in hops {
                let mut near: Vec<u64> = Vec::new();
                for key in keys {
                    near.push(pack(key, row));
                    row += 1;
                }
                near.retain(|&entry| entry < pool.bound());
                let next = pool.next_among(&near);
                for &entry in &near {
                    pool.insert(entry);
                }
                prop_assert_eq!(pool.expand(), next);
            }
        }
    }
}
