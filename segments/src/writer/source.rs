//! Where rows come from.

use crate::{RecordId, SegmentError};

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
}
