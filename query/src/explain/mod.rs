//! The plan that ran, with estimates and actuals, as text and as JSON.

mod json;
mod text;

use crate::{Effort, SegmentPlan, Strategy, Unreadable};

/// One view's part of an executed plan.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutedSegment {
    /// Index of the view.
    pub view: usize,
    /// The plan.
    pub plan: SegmentPlan,
    /// The strategy that gave the candidates: the plan's, unless `fallback` says why not.
    pub ran: Strategy,
    /// Rows whose metadata was read to evaluate the filter.
    pub rows_read: u64,
    /// Microseconds spent on the filter.
    pub filter_us: f64,
    /// Microseconds spent searching.
    pub search_us: f64,
    /// Distances computed, in strategies that were given up too.
    pub distances: u64,
    /// Candidates handed on.
    pub candidates: u64,
    /// Why the planned strategy was left, if it was.
    pub fallback: Option<String>,
    /// Derived sections that are damaged and were not used.
    pub degraded: Vec<String>,
    /// Rows that were left out because their own bytes are damaged.
    pub unreadable: Unreadable,
}

/// What ran.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutedPlan {
    /// Canonical text of the filter.
    pub filter: Option<String>,
    /// Score below which records were left out.
    pub score_threshold: Option<f32>,
    /// Records wanted.
    pub k: usize,
    /// How hard to look.
    pub effort: Effort,
    /// Approximate candidates that get an exact distance, at most.
    pub rerank: usize,
    /// What each view did, in the order of the plan.
    pub segments: Vec<ExecutedSegment>,
    /// Candidates that got an exact distance.
    pub reranked: u64,
    /// Microseconds of reranking and merging.
    pub rerank_us: f64,
    /// Microseconds in all.
    pub total_us: f64,
    /// Records returned.
    pub hits: u64,
    /// Whether these are all that were asked for; see [`Answer::complete`](crate::Answer).
    pub complete: bool,
}

impl ExecutedPlan {
    /// The same as JSON. Field names are stable; times end in `_us`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        json::plan(self)
    }
}

impl std::fmt::Display for ExecutedPlan {
    /// A tree of a few lines a segment, for a person to read.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        text::write(self, f)
    }
}

impl ExecutedSegment {
    /// Share of the live rows that match, 0 to 1.
    #[must_use]
    pub fn selectivity(&self) -> f64 {
        if self.plan.live == 0 {
            return 0.0;
        }
        self.plan.matching as f64 / f64::from(self.plan.live)
    }
}
