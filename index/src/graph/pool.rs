//! The candidates of a search, in one sorted array.

/// The nearest rows found so far, at most `ef`, and which of them have not been expanded.
///
/// An entry is one integer: key, then row, then a bit that is set once the row's links were read.
/// So entries sort nearest first with ties by row, and the bit changes no order because a row is
/// never in the pool twice.
#[derive(Debug, Default)]
pub(super) struct Pool {
    entries: Vec<u64>,
    ef: usize,
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

impl Pool {
    /// Empties the pool and sets its size.
    pub(super) fn start(&mut self, ef: usize) {
        self.entries.clear();
        self.ef = ef;
        self.next = 0;
    }

    /// Puts a row in that is not in the pool, if it is near enough.
    #[inline(always)]
    pub(super) fn insert(&mut self, entry: u64) {
        if self.entries.len() >= self.ef {
            match self.entries.last() {
                Some(&last) if entry < last => self.entries.pop(),
                _ => return,
            };
        }
        let position = self.entries.partition_point(|&other| other < entry);
        self.entries.insert(position, entry);
        self.next = self.next.min(position);
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

    /// The row that [`expand`](Pool::expand) gives next, if no nearer one comes in.
    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u32> {
        self.entries.get(self.next).map(|&entry| row_of(entry))
    }

    /// The worst entry of a full pool: what is not less than this cannot come in.
    #[inline(always)]
    pub(super) fn bound(&self) -> Option<u64> {
        if self.entries.len() < self.ef { None } else { self.entries.last().copied() }
    }

    /// Key and row of every entry, nearest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.entries.iter().map(|&entry| (key_of(entry), row_of(entry)))
    }
}
