//! Recall as it is observed: of some queries the exact answer is computed too, in the background, and
//! what the first answer had of it is counted.
//!
//! The exact answer is one of a moment later, so that a record which was written meanwhile counts as
//! missed. Where the server is busy no sample is taken.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::model::SearchOptions;
use super::search::prepare;
use super::{Call, Operation, Service, target};

/// Which queries are looked at, and what was seen.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// One of so many; 0: none.
    every: u64,
    queries: AtomicU64,
    sampled: AtomicU64,
    found: AtomicU64,
    missed: AtomicU64,
}

/// What was seen since the server started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ObservedRecall {
    pub(crate) sampled: u64,
    pub(crate) found: u64,
    pub(crate) missed: u64,
}

/// A query that was answered.
pub(super) struct Sample {
    pub(super) collection: String,
    pub(super) vector: Vec<f32>,
    pub(super) options: SearchOptions,
    pub(super) k: usize,
    /// Of its hits.
    pub(super) distances: Vec<f32>,
}

impl Observed {
    pub(super) fn one_of(every: u64) -> Self {
        Observed { every, ..Observed::default() }
    }

    /// Whether to look at the next query.
    pub(super) fn wants_next(&self) -> bool {
        self.every > 0 && self.queries.fetch_add(1, Relaxed).is_multiple_of(self.every)
    }

    fn note(&self, found: usize, wanted: usize) {
        self.sampled.fetch_add(1, Relaxed);
        self.found.fetch_add(found as u64, Relaxed);
        self.missed.fetch_add((wanted - found) as u64, Relaxed);
    }

    pub(super) fn read(&self) -> ObservedRecall {
        ObservedRecall {
            sampled: self.sampled.load(Relaxed),
            found: self.found.load(Relaxed),
            missed: self.missed.load(Relaxed),
        }
    }
}

impl Service {
    /// Compares an answer with the exact one.
    pub(super) fn observe(&self, call: &Call, sample: Sample) {
        let mut call = call.next_part();
        // Exact queries say nothing of what others cost, and the caller does not wait for this one.
        (call.operation, call.permit, call.trace) = (Operation::Other, None, None);
        let service = self.clone();
        tokio::spawn(async move {
            let exact = service.read(&call, move |db, stop| {
                let Sample { collection, vector, mut options, k, distances } = sample;
                (options.ef, options.recall, options.exact) = (None, None, Some(true));
                let docs = target(db, &collection, &options.namespace)?;
                let stopped = || stop.asked();
                let query = prepare(docs.query(&vector), &options)
                    .k(k)
                    .include(vecstore::Include::NOTHING)
                    .stop_when(&stopped);
                let exact: Vec<f32> = query.run()?.iter().map(|hit| hit.distance).collect();
                Ok((found(&distances, &exact), exact.len()))
            });
            // No sample of what was refused, or dropped meanwhile.
            if let Ok((found, wanted)) = exact.await {
                service.recall.note(found, wanted);
            }
        });
    }
}

/// How many of the nearest are among the hits; rows as far as the last of them stand for each other.
fn found(distances: &[f32], exact: &[f32]) -> usize {
    let Some(&last) = exact.last() else { return 0 };
    distances.iter().filter(|&&distance| distance <= last).count().min(exact.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_beyond_the_last_exact_one_are_misses() {
        assert_eq!(found(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), 3);
        assert_eq!(found(&[1.0, 3.0, 4.0], &[1.0, 2.0, 3.0]), 2);
        assert_eq!(found(&[1.0], &[1.0, 1.0]), 1);
        assert_eq!(found(&[1.0, 1.0, 1.0], &[1.0, 1.0]), 2);
        assert_eq!(found(&[1.0], &[]), 0);
    }

    #[test]
    fn one_of_so_many_is_looked_at() {
        let observed = Observed::one_of(3);
        let wanted: Vec<bool> = (0..7).map(|_| observed.wants_next()).collect();
        assert_eq!(wanted, [true, false, false, true, false, false, true]);
        assert!(!Observed::default().wants_next());
        observed.note(9, 10);
        let ObservedRecall { sampled, found, missed } = observed.read();
        assert_eq!((sampled, found, missed), (1, 9, 1));
    }
}
