//! Where rows come from.

use std::ops::Range;

use vecstore_index::{Calibration, Rows};

use crate::{IndexChoice, IndexKind, RecordId, SegmentError};

/// Where the rows of a new segment come from: a memtable, or a merge of segments.
///
/// Rows are in the order of the new segment: namespaces ascending by bytes, each contiguous. The
/// writer reads a source several times and in any order.
pub trait RowSource: Sync {
    /// Number of rows.
    fn rows(&self) -> u32;
    /// Namespace of a row.
    fn namespace(&self, row: u32) -> Result<&str, SegmentError>;
    /// Id of a row.
    fn id(&self, row: u32) -> Result<RecordId, SegmentError>;
    /// Commit sequence number of a row.
    fn seq(&self, row: u32) -> u64;
    /// Writes a row's vector as the user gave it.
    fn vector(&self, row: u32, vector: &mut [f32]) -> Result<(), SegmentError>;
    /// Writes a row's metadata as JSON text (an object), in place of what `json` holds.
    fn metadata(&self, row: u32, json: &mut Vec<u8>) -> Result<(), SegmentError>;
    /// Graphs over some of the rows `rows`, which are those of one namespace, from which their graph
    /// can be merged; an error where there is one that is damaged. None by default.
    fn graphs(&self, _rows: Range<u32>) -> Vec<Result<LentGraph<'_>, SegmentError>> {
        Vec::new()
    }
    /// Of which kind the indexes are over some of the rows `rows`, or over rows that they come to lie
    /// beside, damaged ones left out. None by default.
    fn choices(&self, _rows: Range<u32>) -> Vec<LentChoice> {
        Vec::new()
    }
}

/// An index that a source knows of: of which kind it is, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LentChoice {
    /// How many rows it is over.
    pub rows: u32,
    /// Its kind.
    pub kind: IndexKind,
    /// Why it is of this kind.
    pub choice: IndexChoice,
}

/// A graph that a source has for some of its rows.
pub struct LentGraph<'a> {
    /// Base layer.
    pub links: Box<dyn Rows<u32> + 'a>,
    /// For each row of the graph its number among the rows asked for, or
    /// [`NO_ROW`](vecstore_index::NO_ROW) if it is none of them.
    pub new_rows: Vec<u32>,
    /// What the graph was measured to do.
    pub calibration: &'a Calibration,
}

impl std::fmt::Debug for LentGraph<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LentGraph").field("rows", &self.new_rows.len()).finish_non_exhaustive()
    }
}
