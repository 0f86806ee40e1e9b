//! Recall and latency of the held-out queries.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::Serialize;
use vecstore::{Collection, Include, RecordId};

use super::data::Question;
use crate::failure::Result;

const K: usize = 10;

/// What queries under one filter achieved.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measured {
    /// The filter; none means all records.
    pub(super) filter: Option<String>,
    /// Records that satisfy it.
    pub(super) matches: u64,
    /// Share of the 10 nearest records (by exact search) that were found, over all queries.
    pub(super) recall_at_10: f64,
    pub(super) latency_ms: Percentiles,
    pub(super) exact_latency_ms: Percentiles,
}

/// Latency in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
}

impl Percentiles {
    /// Nearest-rank percentiles; zeros if there is nothing.
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100);
            times.get(rank.saturating_sub(1)).map_or(0.0, |t| t.as_secs_f64() * 1e3)
        };
        Percentiles { p50: at(50), p95: at(95), p99: at(99) }
    }
}

/// Runs every question as it comes and exactly, and compares.
pub(super) fn measure(
    collection: &Collection,
    questions: &[Question],
    filter: Option<&str>,
) -> Result<Measured> {
    let (mut found, mut wanted) = (0, 0);
    let (mut times, mut exact_times) = (Vec::new(), Vec::new());
    for question in questions {
        let exact = nearest(collection, question, filter, true, &mut exact_times)?;
        let hits = nearest(collection, question, filter, false, &mut times)?;
        let exact: HashSet<RecordId> = exact.into_iter().collect();
        wanted += exact.len();
        found += hits.iter().filter(|id| exact.contains(*id)).count();
    }
    Ok(Measured {
        filter: filter.map(str::to_owned),
        matches: collection.count(filter)?,
        recall_at_10: if wanted == 0 { 1.0 } else { found as f64 / wanted as f64 },
        latency_ms: Percentiles::of(times),
        exact_latency_ms: Percentiles::of(exact_times),
    })
}

fn nearest(
    collection: &Collection,
    question: &Question,
    filter: Option<&str>,
    exact: bool,
    times: &mut Vec<Duration>,
) -> Result<Vec<RecordId>> {
    let mut query = collection.query(&question.vector).k(K).include(Include::NOTHING);
    if let Some(filter) = filter {
        query = query.filter(filter);
    }
    if exact {
        query = query.exact();
    }
    let started = Instant::now();
    let result = query.run()?;
    times.push(started.elapsed());
    Ok(result.into_iter().map(|hit| hit.id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let times = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(Percentiles::of(times), Percentiles { p50: 100.0, p95: 190.0, p99: 198.0 });
        let one = vec![Duration::from_millis(7)];
        assert_eq!(Percentiles::of(one), Percentiles { p50: 7.0, p95: 7.0, p99: 7.0 });
        assert_eq!(Percentiles::of(Vec::new()), Percentiles { p50: 0.0, p95: 0.0, p99: 0.0 });
    }
}
