//! Flush: a sealed memtable becomes a segment.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use vecstore_index::roaring::RoaringBitmap;
use vecstore_segments::{Progress, RecordId, RowSource, Segment, SegmentError, write_segment};

use crate::catalogue::{self, SegmentRecord};
use crate::commit::seal;
use crate::kv::{Batch, Space, purge};
use crate::log::Position;
use crate::memtable::{HotRow, Memtable};
use crate::optimize::OnProgress;
use crate::state::{CollectionState, State};
use crate::version::{SegmentPart, Version};
use crate::workers::Threads;
use crate::{Error, ErrorKind, Result, version};

/// Rows of a memtable in the order of a segment.
#[derive(Debug)]
pub(crate) struct MemtableSource {
    table: Arc<Memtable>,
    rows: Vec<u32>,
}

impl MemtableSource {
    /// The records of `part` as of `version`, by namespace.
    pub(crate) fn new(version: &Version, part: &version::MemtablePart) -> Self {
        let mut rows: Vec<u32> = version.visible_rows(part).map(|(row, _)| row).collect();
        let table = Arc::clone(&part.table);
        rows.sort_by(|&a, &b| table.row(a).namespace.cmp(&table.row(b).namespace));
        MemtableSource { table, rows }
    }

    fn hot(&self, row: u32) -> &HotRow {
        self.table.row(self.rows[row as usize])
    }

    /// Rows that were replaced or removed since the source was made.
    fn deleted_since(&self) -> RoaringBitmap {
        (0..self.rows()).filter(|&row| !self.hot(row).alive()).collect()
    }
}

impl RowSource for MemtableSource {
    fn rows(&self) -> u32 {
        self.rows.len() as u32
    }

    fn namespace(&self, row: u32) -> std::result::Result<&str, SegmentError> {
        Ok(&self.hot(row).namespace)
    }

    fn id(&self, row: u32) -> std::result::Result<RecordId, SegmentError> {
        Ok(self.hot(row).id.clone())
    }

    fn seq(&self, row: u32) -> u64 {
        self.hot(row).seq
    }

    fn vector(&self, row: u32, vector: &mut [f32]) -> std::result::Result<(), SegmentError> {
        vector.copy_from_slice(&self.hot(row).vector);
        Ok(())
    }

    fn metadata(&self, row: u32, json: &mut Vec<u8>) -> std::result::Result<(), SegmentError> {
        json.extend_from_slice(&self.hot(row).json);
        Ok(())
    }
}

/// Seals the memtable that is written to, if it has rows; returns the epoch that is written to from
/// now on.
fn seal_active(state: &State, collection: &CollectionState) -> u32 {
    let _commit = state.commit.lock();
    let mut version = Version::clone(&collection.version());
    let has_rows = version.active().rows > 0;
    if has_rows {
        seal(&mut version, &mut collection.head.lock().next_number);
    }
    let epoch = version.active().table.epoch();
    if has_rows {
        collection.publish(version);
    }
    epoch
}

/// Turns the oldest sealed memtable into a segment; false if there is none.
pub(crate) fn flush_oldest(
    state: &State,
    collection: &CollectionState,
    progress: &mut OnProgress<'_>,
) -> Result<bool> {
    let _one_at_a_time = collection.flushing.lock();
    let version = collection.version();
    let [_, .., part] = &version.memtables[..] else { return Ok(false) };
    let source = MemtableSource::new(&version, part);
    let file = if source.rows() == 0 {
        None
    } else {
        let id = state.allocate_segment();
        let mut stopped = false;
        let written = write_segment(
            &*state.vfs,
            state.segments.dir(),
            id,
            &source,
            &collection.write_options(),
            &Threads(state.options.threads),
            &mut |now: Progress| {
                keep_going(state, collection)?;
                stopped = progress(now).is_break();
                if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        )
        .map_err(|error| match error {
            SegmentError::Cancelled if stopped => Error::new(
                ErrorKind::Conflict,
                "the flush was stopped; what is not in a segment stays in memory and in the log",
            ),
            error => error.into(),
        })?;
        Some((state.segments.open_segment(&Segment::file_name(id))?, written))
    };

    let mut commit = state.commit.lock();
    commit.check()?;
    let mut next = Version::clone(&collection.version());
    let still_there =
        next.memtables.last().is_some_and(|last| Arc::ptr_eq(&last.table, &part.table));
    if !still_there || collection.dropped.load(Ordering::Acquire) {
        // A restore or a drop came between: the segment was made for nothing.
        if let Some((file, _)) = file {
            file.set_replaced();
        }
        return Ok(true);
    }
    let epoch = part.table.epoch();
    let mut batch = Batch::default();
    catalogue::put_flushed_epoch(&mut batch, collection.id, epoch);
    catalogue::put_next_segment(&mut batch, state.next_segment.load(Ordering::Relaxed));
    next.memtables.pop();
    let mut head = collection.head.lock();
    if let Some((file, written)) = file {
        let id = file.segment.id();
        let record = SegmentRecord::new(id, written.rows, written.bytes);
        catalogue::put_segment(&mut batch, collection.id, id, &record);
        let deleted = source.deleted_since();
        if !deleted.is_empty() {
            catalogue::put_tomb(&mut batch, collection.id, id, commit.seq, &deleted);
            head.tombs.insert(id, vec![commit.seq]);
        }
        next.insert_segment(SegmentPart { file, deleted: Arc::new(deleted) });
    }
    drop(head);
    let committed = state.kv.commit(batch, true);
    commit.fail(committed)?;
    collection.publish(next);
    let seq = commit.seq;
    drop(commit);
    state.background.notify_done();
    state.background.request();
    state.note(seq)?;
    drop((source, version));

    // The frames mean nothing any more; if this fails they are removed at the next open.
    let flushed = |key: &[u8]| Position::from_key(key).is_some_and(|at| at.epoch <= epoch);
    purge(&*state.kv, Space::Hot, &collection.id.to_be_bytes(), &flushed)?;
    Ok(true)
}

/// Turns everything that is in memory now into segments; what is written meanwhile may wait.
pub(crate) fn flush_all(
    state: &State,
    collection: &CollectionState,
    progress: &mut OnProgress<'_>,
) -> Result<()> {
    state.check()?;
    collection.check()?;
    let epoch = seal_active(state, collection);
    let is_pending = || {
        let oldest = collection.version().memtables.last().map(|part| part.table.epoch());
        oldest.is_some_and(|oldest| oldest < epoch)
    };
    while is_pending() {
        flush_oldest(state, collection, progress)?;
        collection.check()?;
    }
    Ok(())
}

/// Stops long work when the database closes or the collection is gone.
pub(crate) fn keep_going(state: &State, collection: &CollectionState) -> ControlFlow<()> {
    let stop = state.closed.load(Ordering::Acquire) || collection.dropped.load(Ordering::Acquire);
    if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
