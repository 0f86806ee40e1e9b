//! The best few of many.

/// Keeps the `keep` smallest of the values it is shown, at a constant cost each.
///
/// Values are gathered in a buffer of twice the size; when that is full, the larger half is thrown
/// away and bounds what is let in from then on.
#[derive(Debug)]
pub(super) struct Best {
    keep: usize,
    bound: u64,
    values: Vec<u64>,
}

impl Best {
    pub(super) fn new(keep: usize) -> Self {
        Best { keep, bound: u64::MAX, values: Vec::new() }
    }

    #[inline(always)]
    pub(super) fn offer(&mut self, value: u64) {
        if value < self.bound {
            self.values.push(value);
            if self.values.len() >= self.keep.saturating_mul(2) {
                self.shrink();
            }
        }
    }

    /// Only called when more than `keep` values are held, and `keep` is not 0.
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
    pub(super) fn into_sorted(mut self) -> Vec<u64> {
        self.values.sort_unstable();
        self.values.truncate(self.keep);
        self.values
    }
}
