//! What the demo did, for programs.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;
use vecstore::OptimizeReport;

use super::measure::Measured;
use crate::records::ShownRecord;

/// The whole demo.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    /// The database, if it was kept.
    pub(super) path: Option<PathBuf>,
    pub(super) ingest: Option<Ingest>,
    pub(super) queries: Vec<Answered>,
    pub(super) filtered: Vec<Answered>,
    pub(super) plan: Option<Value>,
    pub(super) writes: Option<Writes>,
    pub(super) optimize: Option<OptimizeReport>,
    pub(super) reopen: Option<Reopen>,
    pub(super) measured: Vec<Measured>,
}

/// What came in, and how fast.
#[derive(Debug, Serialize)]
pub(super) struct Ingest {
    pub(super) records: u64,
    pub(super) seconds: f64,
    pub(super) records_per_second: f64,
    pub(super) flush_seconds: f64,
}

/// A query and its hits.
#[derive(Debug, Serialize)]
pub(super) struct Answered {
    pub(super) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) filter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) matches: Option<u64>,
    pub(super) hits: Vec<ShownRecord>,
}

/// What an update and the removals did.
#[derive(Debug, Serialize)]
pub(super) struct Writes {
    pub(super) updated: u64,
    pub(super) removed: u64,
    pub(super) records: u64,
}

/// Closing and opening again.
#[derive(Debug, Serialize)]
pub(super) struct Reopen {
    pub(super) seconds: f64,
    pub(super) same_answers: bool,
}
