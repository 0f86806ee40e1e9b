//! Flush: sealed memtables become a segment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vecstore_index::roaring::RoaringBitmap;
use vecstore_segments::RowSource;

use crate::commit::{SEALED_SLOW, memory_is_short, seal};
use crate::install::{Inputs, OnProgress, install, keep_going, wait_for};
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

/// Sealed memtables that become one segment.
struct SealedMemtables {
    /// The newest first, as in a version.
    tables: Vec<Arc<Memtable>>,
    source: MemtableSource,
}

impl SealedMemtables {
    /// Log frames up to this epoch are of these memtables, or of older ones.
    fn epoch(&self) -> u32 {
        self.tables.first().map_or(0, |newest| newest.epoch())
    }
}

impl Inputs for SealedMemtables {
    fn rows(&self) -> &dyn RowSource {
        &self.source
    }

    fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes() as u64).sum()
    }

    fn keep_free(&self, _: &State) -> u64 {
        // What the reserve is for.
        0
    }

    fn stopped(&self) -> &'static str {
        STOPPED
    }

    fn are_in(&self, version: &Version) -> bool {
        let Some(first) = version.memtables.len().checked_sub(self.tables.len()) else {
            return false;
        };
        let mut oldest = version.memtables[first..].iter().zip(&self.tables);
        oldest.all(|(part, table)| Arc::ptr_eq(&part.table, table))
    }

    fn deleted_meanwhile(&self, _now: &Version) -> RoaringBitmap {
        self.source.deleted_since()
    }

    fn take_out(&self, collection: u32, version: &mut Version, _: &mut Head, batch: &mut Batch) {
        catalogue::put_flushed_epoch(batch, collection, self.epoch());
        version.memtables.truncate(version.memtables.len() - self.tables.len());
    }

    fn clean(&self, state: &State, collection: &CollectionState, seq: u64) -> Result<()> {
        state.background.notify_done();
        state.background.request();
        state.note(seq)?;
        // The frames mean nothing any more.
        let flushed =
            |key: &[u8]| Position::from_key(key).is_some_and(|at| at.epoch <= self.epoch());
        state.purge(Space::Hot, &collection.id.to_be_bytes(), &flushed)
    }
}

/// Turns the sealed memtables into a segment; false if there are none.
///
/// All that wait become one: a graph over all of them is built in less time than one over each and
/// then theirs merged (50,000 × 384 rows in 2.9 s instead of 3.9).
pub(crate) fn flush_sealed(
    state: &State,
    collection: &CollectionState,
    progress: &mut OnProgress<'_>,
) -> Result<bool> {
    let _one_at_a_time = wait_for(&collection.flushing, STOPPED, progress)?;
    let version = collection.version();
    let [_, sealed @ ..] = &version.memtables[..] else { return Ok(false) };
    if sealed.is_empty() {
        return Ok(false);
    }
    let inputs = SealedMemtables {
        tables: sealed.iter().map(|part| Arc::clone(&part.table)).collect(),
        source: MemtableSource::new(&version, sealed),
    };
    drop(version);
    let (bytes, began) = (inputs.bytes(), Instant::now());
    install(state, collection, &inputs, progress)?;
    state.pace.note_flush(bytes, began.elapsed());
    // With the last hold on them the memory goes that writers may wait for.
    drop(inputs);
    state.background.notify_done();
    Ok(true)
}

/// Waits while it can be expected that another memtable is sealed soon, to be flushed with those that are;
/// not where their memory is wanted.
pub(crate) fn gather(state: &State, collection: &CollectionState) {
    let background = &state.background;
    while keep_going(state, collection).is_continue() {
        let seen = background.pending.lock().requests;
        let version = collection.version();
        let sealed = &version.memtables[1..];
        let Some((began, filled)) = sealed.first().and_then(|newest| newest.table.filled()) else {
            return;
        };
        if sealed.len() >= SEALED_SLOW || memory_is_short(state) {
            return;
        }
        let bytes = sealed.iter().map(|part| part.table.bytes() as u64).sum();
        drop(version);
        let Some(until) = worth_waiting(began, filled, state.pace.flush_takes(bytes)) else {
            return;
        };
        let mut pending = background.pending.lock();
        if pending.requests == seen && background.work.wait_until(&mut pending, until).timed_out() {
            return;
        }
    }
}

/// Until when to wait for the next memtable, if the last one filled from `began` to `filled`: for half as
/// long again, if that is short beside the flush.
fn worth_waiting(began: Instant, filled: Instant, flush: Duration) -> Option<Instant> {
    let wait = (filled - began) * 3 / 2;
    (wait <= flush / 2).then(|| filled + wait)
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
        flush_sealed(state, collection, progress)?;
        collection.check()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_memtable_is_waited_for_if_they_come_faster_than_they_are_flushed() {
        let (began, ms) = (Instant::now(), Duration::from_millis);
        let until = |filled_ms, flush_ms| {
            let until = worth_waiting(began, began + ms(filled_ms), ms(flush_ms))?;
            Some((until - began).as_millis())
        };
        assert_eq!(until(100, 1_000), Some(250));
        assert_eq!(until(332, 1_000), Some(830));
        assert_eq!(until(334, 1_000), None, "half as long as the flush at most");
        assert_eq!(until(4_000, 1_000), None);
        assert_eq!(until(0, 0), Some(0));
    }
}
