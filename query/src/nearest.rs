//! The nearest few of many rows.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use vecstore_index::Candidate;

/// Keeps the `keep` nearest candidates it is shown; ties go to the lower row.
pub(crate) struct Nearest {
    keep: usize,
    /// The farthest one kept is on top.
    heap: BinaryHeap<Farthest>,
}

impl Nearest {
    pub(crate) fn new(keep: usize) -> Self {
        Nearest { keep, heap: BinaryHeap::with_capacity(keep.min(1024)) }
    }

    pub(crate) fn push(&mut self, candidate: Candidate) {
        let candidate = Farthest(candidate);
        if self.heap.len() < self.keep {
            self.heap.push(candidate);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
    }

    /// The distance that a further candidate has to be below to be kept; `None` as long as any is.
    pub(crate) fn farthest(&self) -> Option<f32> {
        let full = self.heap.len() >= self.keep;
        self.heap.peek().filter(|_| full).map(|farthest| farthest.0.distance)
    }

    /// Nearest first.
    pub(crate) fn into_sorted(self) -> Vec<Candidate> {
        self.heap.into_sorted_vec().into_iter().map(|f| f.0).collect()
    }
}

/// Orders by distance, then row. `total_cmp` also orders NaN (last), so that the heap stays one
/// whatever the arithmetic gives.
struct Farthest(Candidate);

impl Ord for Farthest {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.distance.total_cmp(&other.0.distance)).then(self.0.row.cmp(&other.0.row))
    }
}

impl PartialOrd for Farthest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Farthest {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Farthest {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keeps_what_a_full_sort_would(
            distances in proptest::collection::vec(0u8..20, 0..200),
            keep in 0usize..30,
        ) {
            let all: Vec<Candidate> = (0u32..)
                .zip(&distances)
                .map(|(row, &d)| Candidate { distance: f32::from(d), row })
                .collect();
            let mut nearest = Nearest::new(keep);
            // Shown backwards, so that ties have to be resolved by row and not by arrival.
            all.iter().rev().for_each(|&c| nearest.push(c));

            let mut sorted = all;
            sorted.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
            sorted.truncate(keep);
            prop_assert_eq!(nearest.into_sorted(), sorted);
        }
    }
}
