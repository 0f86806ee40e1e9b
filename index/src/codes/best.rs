//! The best few of many.

/// Keeps the `keep` smallest of the values it is shown, at a constant cost each.
///
/// Values are gathered in a buffer of twice the size; when that is full, the larger half is thrown
/// away and bounds what is let in from then on.
#[derive(Debug)]
pub(crate) struct Best {
    keep: usize,
    bound: u64,
    values: Vec<u64>,
}

impl Best {
    pub(crate) fn new(keep: usize) -> Self {
        Best { keep, bound: u64::MAX, values: Vec::new() }
    }

    /// How many are kept.
    pub(crate) fn keep(&self) -> usize {
        self.keep
    }

    /// A value that is let in is below this one.
    #[inline(always)]
    pub(crate) fn bound(&self) -> u64 {
        self.bound
    }

    /// Brings the bound down to the largest of those kept, if there are so many.
    pub(crate) fn tighten(&mut self) {
        if self.values.len() >= self.keep {
            self.shrink();
        }
    }

    #[inline(always)]
    pub(crate) fn offer(&mut self, value: u64) {
        if value < self.bound {
            self.values.push(value);
            if self.values.len() >= self.keep.saturating_mul(2) {
                self.shrink();
            }
        }
    }

    /// Only called when at least `keep` values are held.
    #[cold]
    fn shrink(&mut self) {
        if self.keep == 0 {
            self.values.clear();
            return;
        }
        let (_, &mut largest, _) = self.values.select_nth_unstable(self.keep - 1);
        self.values.truncate(self.keep);
        self.bound = largest;
    }

    /// The smallest, in ascending order.
    pub(crate) fn into_sorted(mut self) -> Vec<u64> {
        self.values.sort_unstable();
        self.values.truncate(self.keep);
        self.values
    }
}
