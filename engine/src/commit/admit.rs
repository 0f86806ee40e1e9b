//! Back-pressure.

use std::time::Instant;

use crate::state::{CollectionState, State};
use crate::{Error, ErrorKind, Result};

/// Waits while more records are in memory than segments can be built for.
pub(crate) fn admit(state: &State, collection: &CollectionState) -> Result<()> {
    /// Sealed memtables that may wait before writers do.
    const SEALED_MAX: usize = 2;
    let crowded = || collection.version().memtables.len() > SEALED_MAX;
    if !crowded() {
        return Ok(());
    }
    let deadline = Instant::now() + state.options.busy_timeout;
    let mut pending = state.background.pending.lock();
    while crowded() {
        state.check()?;
        if state.background.done.wait_until(&mut pending, deadline).timed_out() {
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
        }
    }
    Ok(())
}
