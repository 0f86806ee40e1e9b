//! What is asked.

use crate::Filter;

/// How hard to look.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Effort {
    /// The default: an `ef` of at least 64 and 2 k, and more where the segment's own measurements
    /// say that recall needs it.
    #[default]
    Auto,
    /// Candidates kept while searching a graph. Less than k counts as k.
    Ef(usize),
    /// The smallest effort whose measured recall reaches this; 1 or more is the same as `Exact`.
    Recall(f32),
    /// Every matching row is compared on full vectors.
    Exact,
}

/// A query, already checked: `vector` is finite and of the collection's dimension, `k` is at
/// least 1.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The query vector as given.
    pub vector: &'a [f32],
    /// Number of records wanted.
    pub k: usize,
    /// Only records that satisfy this.
    pub filter: Option<&'a Filter>,
    /// How hard to look.
    pub effort: Effort,
    /// Only records with at least this score.
    pub score_threshold: Option<f32>,
}
