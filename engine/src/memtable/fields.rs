//! Field indices of a memtable, so that a filter does not parse the JSON of every row again.
//!
//! They are made in the background, once a filter was used: to index a run takes longer than to match
//! its rows one by one. A filter uses those that are there and reads the other rows.

use std::ops::Range;

use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{AppendOnly, FieldIndex, FormatError};
use vecstore_segments::index_metadata;

use super::asks::Wanted;
use super::namespace::HotNamespace;
use crate::memory::allocated;
use crate::options::CollectionOptions;

/// Rows of one index. Few, because the rows after the last whole run are matched one by one, at
/// about 2 µs each; not fewer, because every index costs some 10 µs a question.
const RUN_ROWS: u32 = 1_024;

/// The field indices of whole runs of rows, in order.
#[derive(Debug, Default)]
pub(super) struct HotFields {
    runs: AppendOnly<Run>,
    /// Rows that a filter has looked at.
    pub(super) wanted: Wanted,
}

/// The field index of one run of rows; it takes about as many bytes as the JSON. It never changes,
/// as rows never do.
#[derive(Debug)]
struct Run {
    bytes: Vec<u8>,
    /// Rows whose metadata can't be read; they are not in the index.
    unread: RoaringBitmap,
}

/// An index that is there.
pub(super) struct RunFields<'a> {
    /// The rows it is of.
    pub(super) rows: Range<u32>,
    /// The index, and the rows that are not in it.
    pub(super) index: Result<(FieldIndex<'a>, &'a RoaringBitmap), FormatError>,
}

impl HotFields {
    /// The indices of runs that end at row `end` or before it.
    pub(super) fn of_runs(&self, end: u32) -> impl Iterator<Item = RunFields<'_>> {
        let runs = self.runs.iter_to((end / RUN_ROWS) as usize);
        (0..).zip(runs).map(|(number, run)| RunFields {
            rows: number * RUN_ROWS..(number + 1) * RUN_ROWS,
            index: FieldIndex::open(&run.bytes).map(|index| (index, &run.unread)),
        })
    }

    /// Notes that a filter looks at the rows before `end`; true if there is an index to be made.
    pub(super) fn want(&self, end: u32) -> bool {
        self.wanted.raise(end / RUN_ROWS * RUN_ROWS) && self.is_behind()
    }

    /// Whether an index was asked for that is not there.
    pub(super) fn is_behind(&self) -> bool {
        self.indexed_rows() < self.wanted.rows()
    }

    fn indexed_rows(&self) -> u32 {
        self.runs.len() as u32 * RUN_ROWS
    }

    /// Makes the next index, of rows that are there; gives the bytes that it takes. One thread at a
    /// time.
    pub(super) fn advance(&self, rows: &HotNamespace, options: &CollectionOptions) -> usize {
        let mut builder = options.field_index();
        let mut unread = RoaringBitmap::new();
        let first = self.indexed_rows();
        for row in first..first + RUN_ROWS {
            match rows.row(row).metadata() {
                Ok(metadata) => index_metadata(&mut builder, row, &metadata),
                Err(_) => drop(unread.insert(row)),
            }
        }
        let before = self.runs.heap_bytes();
        let bytes = builder.finish();
        let held = allocated(bytes.capacity()) + unread.serialized_size();
        self.runs.push(Run { bytes, unread });
        held + self.runs.heap_bytes() - before
    }
}
