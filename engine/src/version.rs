//! What a reader sees: one immutable list of memtables and segments, as of one commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vecstore_index::roaring::RoaringBitmap;
use vecstore_segments::{NamespaceRows, RecordId, Segment, Vfs};

use crate::Result;
use crate::memtable::{HotRow, Lookup, Memtable};
use crate::scroll::KeptOrders;

/// The state of a collection as of commit `seq`. It never changes; a commit publishes a new one.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) seq: u64,
    /// Newest first; the first one is written to, the others wait to become segments.
    pub(crate) memtables: Vec<MemtablePart>,
    /// Ascending by id.
    pub(crate) segments: Vec<SegmentPart>,
}

/// A memtable and how much of it there is in this version.
#[derive(Clone, Debug)]
pub(crate) struct MemtablePart {
    pub(crate) table: Arc<Memtable>,
    pub(crate) rows: u32,
}

/// A segment and its deleted rows in this version.
#[derive(Clone, Debug)]
pub(crate) struct SegmentPart {
    pub(crate) file: Arc<SegmentFile>,
    pub(crate) deleted: Arc<RoaringBitmap>,
}

/// A segment file that is removed when nobody reads it any more, once it has been replaced.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    pub(crate) segment: Arc<Segment>,
    /// What scrolls sorted of it.
    pub(crate) orders: KeptOrders,
    vfs: Arc<dyn Vfs>,
    replaced: AtomicBool,
    /// Whether its records should be written to a new file, because parts of this one are damaged.
    rewrite: AtomicBool,
}

/// Where a record is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'a> {
    Hot(&'a HotRow),
    Sealed(&'a SegmentPart, u32),
}

impl SegmentFile {
    pub(crate) fn new(segment: Segment, vfs: Arc<dyn Vfs>) -> Self {
        SegmentFile {
            segment: Arc::new(segment),
            orders: KeptOrders::default(),
            vfs,
            replaced: AtomicBool::new(false),
            rewrite: AtomicBool::new(false),
        }
    }

    /// The catalogue does not have this segment (any more): remove the file with its last reader.
    pub(crate) fn set_replaced(&self) {
        self.replaced.store(true, Ordering::Release);
    }

    /// The catalogue has this segment: keep the file.
    pub(crate) fn set_in_use(&self) {
        self.replaced.store(false, Ordering::Release);
    }

    /// Has the next merge write it anew.
    pub(crate) fn ask_for_rewrite(&self) {
        self.rewrite.store(true, Ordering::Release);
    }

    /// Whether that was asked for; once, so that one that fails is not tried for ever.
    pub(crate) fn take_rewrite(&self) -> bool {
        self.rewrite.swap(false, Ordering::AcqRel)
    }
}

impl Drop for SegmentFile {
    fn drop(&mut self) {
        if self.replaced.load(Ordering::Acquire) {
            // If this fails the file is garbage that the next open removes.
            let _ = self.vfs.remove_file(self.segment.path());
        }
    }
}

impl SegmentPart {
    pub(crate) fn id(&self) -> u64 {
        self.file.segment.id()
    }

    pub(crate) fn live(&self) -> u64 {
        u64::from(self.file.segment.rows()) - self.deleted.len()
    }

    /// Live rows of a namespace.
    pub(crate) fn live_in(&self, namespace: &NamespaceRows) -> u64 {
        let rows = &namespace.rows;
        u64::from(rows.end - rows.start) - self.deleted.range_cardinality(rows.clone())
    }
}

impl Version {
    /// One without records, whose memtable is `table`.
    pub(crate) fn empty(seq: u64, table: Memtable) -> Self {
        let table = Arc::new(table);
        Version { seq, memtables: vec![MemtablePart { table, rows: 0 }], segments: Vec::new() }
    }

    /// The memtable that is written to.
    pub(crate) fn active(&self) -> &MemtablePart {
        &self.memtables[0]
    }

    pub(crate) fn segment(&self, id: u64) -> Option<&SegmentPart> {
        self.segments.binary_search_by_key(&id, SegmentPart::id).ok().map(|at| &self.segments[at])
    }

    /// Adds a segment.
    pub(crate) fn insert_segment(&mut self, part: SegmentPart) {
        let at = self.segments.partition_point(|other| other.id() < part.id());
        self.segments.insert(at, part);
    }

    /// The record with an id as of this version.
    pub(crate) fn find(&self, namespace: &str, id: &RecordId) -> Result<Option<Found<'_>>> {
        for part in &self.memtables {
            match part.table.lookup(namespace, id, self.seq) {
                Lookup::Row(hot) => return Ok(Some(Found::Hot(hot))),
                Lookup::Deleted => return Ok(None),
                Lookup::Unknown => {}
            }
        }
        for part in self.segments.iter().rev() {
            if let Some(row) = part.file.segment.find(namespace, id)?
                && !part.deleted.contains(row)
            {
                return Ok(Some(Found::Sealed(part, row)));
            }
        }
        Ok(None)
    }
}
