//! How long commits take.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds in microseconds: a sync takes from some tens of them to a good part of a second.
const BOUNDS_US: [u64; 13] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000];

/// How long groups of writes took from their first look at the records to the moment when they were
/// durable and visible, since the database was opened. One group is one batch and one sync, however
/// many writers share it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommitTimes {
    /// Groups.
    pub count: u64,
    /// All their times together.
    pub total: Duration,
    /// For each bound how many took no longer, ascending.
    pub within: Vec<(Duration, u64)>,
}

/// Counts them.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// One more for those beyond the last bound; each group is in one.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    total_us: AtomicU64,
}

impl Times {
    pub(super) fn note(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|&bound| bound < us);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.total_us.fetch_add(us, Relaxed);
    }

    pub(crate) fn read(&self) -> CommitTimes {
        let mut count = 0;
        let mut up_to = |bucket: &AtomicU64| {
            count += bucket.load(Relaxed);
            count
        };
        let bounds = BOUNDS_US.map(Duration::from_micros);
        let within = bounds.into_iter().zip(self.buckets.iter().map(&mut up_to)).collect();
        let total = Duration::from_micros(self.total_us.load(Relaxed));
        let beyond = &self.buckets[BOUNDS_US.len()];
        CommitTimes { count: up_to(beyond), total, within }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_counts_for_every_bound_that_it_is_within() {
        let times = Times::default();
        for us in [1, 50, 51, 700, 60_000_000] {
            times.note(Duration::from_micros(us));
        }
        let read = times.read();
        assert_eq!((read.count, read.total.as_micros()), (5, 60_000_802));
        let within: Vec<u64> = read.within.iter().map(|(_, count)| *count).collect();
        assert_eq!(within, [2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4]);
    }
}
