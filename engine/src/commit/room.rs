//! Room in memory for the records of a write. Where there is little, writers are slowed down; where
//! there is none, they wait.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use super::Operation;
use crate::flush::seal_early;
use crate::record::CheckedRecord;
use crate::state::{CollectionState, State};
use crate::{Error, ErrorKind, Result};

/// Sealed memtables of a collection that may wait before writers are slowed down …
pub(crate) const SEALED_SLOW: usize = 3;
/// … and before they wait.
const SEALED_MAX: usize = SEALED_SLOW + 1;
/// A collection that is dropped, a log that is closed and memory that a reader gives back tell nobody
/// who waits here.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Bytes that a write may add to what is held, kept for it until it is done.
#[derive(Debug)]
pub(crate) struct Reserved<'a> {
    all: &'a AtomicU64,
    bytes: u64,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What stands in the way of a write.
enum Full {
    /// So many memtables of the collection are no segments yet.
    Sealed(usize),
    /// So many bytes would be held, and so many are allowed.
    Memory(u64, u64),
}

/// Takes the room that a write needs: at once where there is enough, after a pause where little is
/// left, and where there is none when it comes free.
///
/// # Errors
/// [`Busy`](ErrorKind::Busy) after `busy_timeout`,
/// [`InvalidArgument`](ErrorKind::InvalidArgument) if the write would never fit.
pub(super) fn take<'a>(
    state: &'a State,
    collection: &CollectionState,
    operation: &Operation,
) -> Result<Reserved<'a>> {
    let bytes = needed(operation);
    if let Some(max) = batch_bytes_max(state).filter(|max| bytes > *max) {
        return Err(Error::invalid(format!(
            "collection `{}`: the batch takes about {bytes} bytes in memory, at most {max} are allowed \
             (a quarter of `memory_limit`); split it",
            collection.name,
        ))
        .about("records"));
    }
    let mut started = None;
    loop {
        let full = match try_take(state, collection, bytes) {
            Ok((reserved, fill)) => {
                let wait = state.pace.wait(bytes, fill).min(state.options.busy_timeout);
                if !wait.is_zero() {
                    std::thread::sleep(wait);
                }
                return Ok(reserved);
            }
            Err(full) => full,
        };
        state.check()?;
        collection.check()?;
        state.commit.lock().check()?;
        let waited = started.get_or_insert_with(Instant::now).elapsed();
        let Some(left) = state.options.busy_timeout.checked_sub(waited) else {
            return Err(busy(collection, &full));
        };
        let mut pending = state.background.pending.lock();
        state.background.done.wait_for(&mut pending, left.min(LOOK_AGAIN));
        drop::<MutexGuard<'_, _>>(pending);
    }
}

/// Room for so many bytes, and how much of what is left for a backlog is taken.
fn try_take<'a>(
    state: &'a State,
    collection: &CollectionState,
    bytes: u64,
) -> std::result::Result<(Reserved<'a>, f64), Full> {
    let version = collection.version();
    let sealed = version.memtables.len() - 1;
    if sealed >= SEALED_MAX {
        return Err(Full::Sealed(sealed));
    }
    let mut fill = match sealed {
        // All of them may be on their way at once, and give back nothing before they are there.
        SEALED_SLOW => {
            let full = version.active().table.bytes() as f64;
            full / state.options.memtable_bytes_max as f64 * SEALED_SLOW as f64
        }
        _ => 0.0,
    };
    let before = state.reserved.fetch_add(bytes, Ordering::Relaxed);
    let reserved = Reserved { all: &state.reserved, bytes };
    if let Some(max) = state.options.memory_limit {
        let used = held(state) + before + bytes;
        if is_short(used, max) {
            relieve(state, max, used > max);
        }
        if used > max {
            return Err(Full::Memory(used, max));
        }
        let slow = max / 4 * 3;
        fill = fill.max(used.saturating_sub(slow) as f64 / (max - slow) as f64);
    }
    Ok((reserved, fill.max(state.disk.fill(state))))
}

/// Bytes held for records.
fn held(state: &State) -> u64 {
    state.gauge.all() + state.kv.memory_bytes()
}

/// Whether so much is held that memtables are made segments for the sake of memory.
fn is_short(used: u64, memory_limit: u64) -> bool {
    used > memory_limit / 2
}

/// Whether memory is short, if there is a limit.
pub(crate) fn memory_is_short(state: &State) -> bool {
    state.options.memory_limit.is_some_and(|max| is_short(held(state), max))
}

/// Has the largest memtables made segments before they are full, and the log's buffers emptied.
/// `pressed`: also those that are hardly worth one.
fn relieve(state: &State, max: u64, pressed: bool) {
    let mut sealed = 0;
    let mut active: Vec<(u64, u32, Arc<CollectionState>)> = Vec::new();
    for collection in state.all_collections() {
        let version = collection.version();
        let held = |part: &crate::version::MemtablePart| part.table.held().all();
        sealed += version.memtables[1..].iter().map(held).sum::<u64>();
        if version.memtables.len() <= SEALED_MAX {
            let table = version.active();
            active.push((held(table), table.table.epoch(), collection));
        }
    }
    active.sort_unstable_by_key(|(bytes, ..)| Reverse(*bytes));
    let mut work = state.kv.buffer_bytes() > settle_at(max);
    for (bytes, epoch, collection) in active {
        let is_worth_it = bytes >= max / 32 || (pressed && bytes > 0);
        // A part that is on its way: more at a time would only be smaller segments.
        if sealed >= max / 8 || !is_worth_it {
            break;
        }
        work |= seal_early(state, &collection, epoch);
        sealed += bytes;
    }
    if work {
        state.background.request();
    }
}

/// The bytes that the log holds at which they are moved to where it needs no memory.
pub(crate) fn settle_at(memory_limit: u64) -> u64 {
    memory_limit / 8
}

/// The most that one write may take; `None` without a limit.
pub(crate) fn batch_bytes_max(state: &State) -> Option<u64> {
    state.options.memory_limit.map(|limit| limit / 4)
}

/// What a write takes until it is in memtable and log, about.
fn needed(operation: &Operation) -> u64 {
    match operation {
        Operation::Upsert(records) => records.iter().map(needed_by).sum(),
        Operation::ReplaceVersions(records) => {
            records.iter().map(|(record, _)| needed_by(record)).sum()
        }
        Operation::Remove(_) | Operation::RemoveVersions(_) | Operation::RemoveNamespace => 0,
    }
}

/// The same of one record: itself, and two copies on its way to the log, with their places.
pub(crate) fn needed_by(record: &CheckedRecord) -> u64 {
    const PLACES: usize = 512;
    (record.heap_bytes() * 3 + PLACES) as u64
}

fn busy(collection: &CollectionState, full: &Full) -> Error {
    const MIB: u64 = 1 << 20;
    let name = &collection.name;
    let what = match full {
        Full::Sealed(waiting) => format!(
            "collection `{name}`: records arrive faster than segments are built ({waiting} memtables \
             wait); try again later"
        ),
        Full::Memory(used, max) => format!(
            "collection `{name}`: with this write {} MiB of memory would be held for records that are \
             in no segment yet, {} MiB are allowed (`memory_limit`); try again when segments have been \
             built",
            used.div_ceil(MIB),
            max / MIB,
        ),
    };
    let trouble = collection.trouble.lock().clone();
    let trouble = trouble.map_or_else(String::new, |t| format!(" (the last attempt failed: {t})"));
    Error::new(ErrorKind::Busy, what + &trouble)
}
