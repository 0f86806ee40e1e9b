//! Back-pressure, and the part of the volume that records leave free.

use std::io;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use crate::state::{CollectionState, State};
use crate::{Error, ErrorKind, Result};

/// Lets records in that there is room for, on the volume and in memory.
pub(crate) fn admit(state: &State, collection: &CollectionState) -> Result<()> {
    check_volume(state, state.options.disk_reserve_bytes)?;
    wait_for_room(state, collection)
}

/// Fails if fewer than `needed` bytes are free. Before the volume is full: the log takes nothing
/// more once it has met its end.
pub(crate) fn check_volume(state: &State, needed: u64) -> Result<()> {
    let Some(path) = &state.path else { return Ok(()) };
    let free = match state.vfs.free_bytes(path) {
        Ok(free) => free,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(()),
        Err(error) => return Err(Error::io(path.display(), error)),
    };
    if free >= needed {
        return Ok(());
    }
    const MIB: u64 = 1 << 20;
    Err(Error::new(
        ErrorKind::DiskFull,
        format!(
            "{}: {} MiB are free and {} MiB are needed (`disk_reserve_bytes` are kept for the log \
             and for segments of what was accepted); make space: records can be removed, snapshots \
             too, and `optimize` gives back the space of what was removed",
            path.display(),
            free / MIB,
            needed.div_ceil(MIB)
        ),
    ))
}

/// Waits while more records are in memory than segments can be built for.
fn wait_for_room(state: &State, collection: &CollectionState) -> Result<()> {
    /// Sealed memtables that may wait before writers do.
    const SEALED_MAX: usize = 2;
    /// A collection that is dropped and a log that is closed tell nobody who waits here.
    const LOOK_AGAIN: Duration = Duration::from_millis(50);
    let crowded = || collection.version().memtables.len() > SEALED_MAX;
    if !crowded() {
        return Ok(());
    }
    let started = Instant::now();
    let mut pending = state.background.pending.lock();
    while crowded() {
        // Without `pending`: whoever commits may take long.
        MutexGuard::unlocked(&mut pending, || {
            state.check()?;
            collection.check()?;
            state.commit.lock().check()
        })?;
        let Some(left) = state.options.busy_timeout.checked_sub(started.elapsed()) else {
            let trouble = collection.trouble.lock().clone();
            return Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "collection `{}`: records arrive faster than segments are built; try again later{}",
                    collection.name,
                    trouble
                        .map_or_else(String::new, |t| format!(" (the last attempt failed: {t})"))
                ),
            ));
        };
        state.background.done.wait_for(&mut pending, left.min(LOOK_AGAIN));
    }
    Ok(())
}
