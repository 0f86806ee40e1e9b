//! Settling the log: what only a journal has is moved to tables, all keyspaces as of the same commit.
//!
//! It is done before rows that a segment has are removed from the log: else their removal could reach
//! a table while the entry of the segment is in the journal alone, and `repair` of a damaged journal
//! would find neither. And it is done when journals have grown, which it makes superfluous.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::Result;
use crate::commit::settle_at;
use crate::kv::Kv;
use crate::state::State;

/// Settles the log as of a moment after this was called; false if it did not come to that, because
/// the database closes or the store has given up.
pub(crate) fn settle(state: &State) -> Result<bool> {
    // What is moved must not be replaced as a whole meanwhile.
    let _no_compaction = state.compacting.lock();
    if !settle_once(state)? {
        return Ok(false);
    }
    // A journal that ended in the middle of it is kept for what came behind.
    Ok(!state.kv.has_old_journals() || settle_once(state)?)
}

/// The same if it is time.
pub(crate) fn settle_if_due(state: &State) -> Result<()> {
    // With a limit of memory, also what the log keeps of it.
    let limit = state.options.memory_limit.map_or(u64::MAX, settle_at);
    let is_due = state.kv.is_settling_due(state.disk.is_short()) || state.kv.buffer_bytes() > limit;
    if is_due { settle(state).map(drop) } else { Ok(()) }
}

fn settle_once(state: &State) -> Result<bool> {
    let commit = state.commit.lock();
    commit.check()?;
    state.kv.settle()?;
    drop(commit);
    Ok(wait(&*state.kv, &|| state.closed.load(Ordering::Acquire)))
}

/// Waits until what [`Kv::settle`] began is done; false if it was stopped, or takes so long that the
/// store must have given up, as the next commit will say.
pub(crate) fn wait(kv: &dyn Kv, stopped: &dyn Fn() -> bool) -> bool {
    const WAIT_MAX: Duration = Duration::from_secs(30);
    const LOOK_AGAIN: Duration = Duration::from_millis(2);
    let began = Instant::now();
    while !kv.is_settled() {
        if stopped() || began.elapsed() > WAIT_MAX {
            return false;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    true
}
