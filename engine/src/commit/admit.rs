//! What a write of records needs before it is queued: room in memory, and the part of the volume that
//! records leave free.

use std::io;

use super::Operation;
use super::room::{self, Reserved};
use crate::state::{CollectionState, State};
use crate::{Error, ErrorKind, Result};

/// Lets records in that there is room for, on the volume and in memory; that in memory is theirs for as
/// long as what is returned.
pub(crate) fn admit<'a>(
    state: &'a State,
    collection: &CollectionState,
    operation: &Operation,
) -> Result<Reserved<'a>> {
    check_volume(state, state.options.disk_reserve_bytes)?;
    room::take(state, collection, operation)
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
