//! Flush: a sealed memtable becomes a segment.

use std::sync::Arc;
use std::time::Instant;

use vecstore_index::roaring::RoaringBitmap;
use vecstore_segments::RowSource;

use crate::commit::seal;
use crate::install::{Inputs, OnProgress, install, wait_for};
use crate::kv::{Batch, Space};
use crate::log::Position;
use crate::memtable::{Memtable, MemtableSource};
use crate::state::{CollectionState, CommitState, Head, State};
use crate::version::Version;
use crate::{Result, catalogue};

/// Has a memtable made a segment before it is full, if it is still the one that is written to; false if
/// it is not.
pub(crate) fn seal_early(state: &State, collection: &CollectionState, epoch: u32) -> bool {
    let commit = state.commit.lock();
    let is_active = collection.version().active().table.epoch() == epoch;
    is_active && seal_active(&commit, collection) > epoch
}

/// Seals the memtable that is written to, if anything was written; returns the epoch that is written to from
/// now on.
fn seal_active(_commit: &CommitState, collection: &CollectionState) -> u32 {
    let mut version = Version::clone(&collection.version());
    let mut head = collection.head.lock();
    // Removals alone leave frames too.
    let has_frames = head.next_number > 0;
    if has_frames {
        seal(&mut version, &mut head.next_number);
    }
    drop(head);
    let epoch = version.active().table.epoch();
    if has_frames {
        collection.publish(version);
    }
    epoch
}

const STOPPED: &str =
    "the flush was stopped; what is not in a segment stays in memory and in the log";

/// A sealed memtable that becomes a segment.
struct SealedMemtable {
    table: Arc<Memtable>,
    source: MemtableSource,
}

impl Inputs for SealedMemtable {
    fn rows(&self) -> &dyn RowSource {
        &self.source
    }

    fn bytes(&self) -> u64 {
        self.table.bytes() as u64
    }

    fn stopped(&self) -> &'static str {
        STOPPED
    }

    fn are_in(&self, version: &Version) -> bool {
        version.memtables.last().is_some_and(|last| Arc::ptr_eq(&last.table, &self.table))
    }

    fn deleted_meanwhile(&self, _now: &Version) -> RoaringBitmap {
        self.source.deleted_since()
    }

    fn take_out(&self, collection: u32, version: &mut Version, _: &mut Head, batch: &mut Batch) {
        catalogue::put_flushed_epoch(batch, collection, self.table.epoch());
        version.memtables.pop();
    }

    fn clean(&self, state: &State, collection: &CollectionState, seq: u64) -> Result<()> {
        state.background.notify_done();
        state.background.request();
        state.note(seq)?;
        // The frames mean nothing any more.
        let flushed =
            |key: &[u8]| Position::from_key(key).is_some_and(|at| at.epoch <= self.table.epoch());
        state.purge(Space::Hot, &collection.id.to_be_bytes(), &flushed)
    }
}

/// Turns the oldest sealed memtable into a segment; false if there is none.
pub(crate) fn flush_oldest(
    state: &State,
    collection: &CollectionState,
    progress: &mut OnProgress<'_>,
) -> Result<bool> {
    let _one_at_a_time = wait_for(&collection.flushing, STOPPED, progress)?;
    let version = collection.version();
    let [_, .., part] = &version.memtables[..] else { return Ok(false) };
    let inputs = SealedMemtable {
        table: Arc::clone(&part.table),
        source: MemtableSource::new(&version, part),
    };
    drop(version);
    let (bytes, began) = (inputs.table.bytes() as u64, Instant::now());
    install(state, collection, &inputs, progress)?;
    state.pace.note_flush(bytes, began.elapsed());
    // With the last hold on it the memory goes that writers may wait for.
    drop(inputs);
    state.background.notify_done();
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
    let epoch = seal_active(&state.commit.lock(), collection);
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
