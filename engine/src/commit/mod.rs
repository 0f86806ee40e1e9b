//! Group commit: writers queue up, one of them leads, one batch and one sync serve all.
//!
//! A writer that finds nobody leading leads; the others sleep until their write is done or they
//! are made the next leader. While a leader waits for the disk the next group gathers, so the
//! number of syncs falls as the number of writers grows, and a lone writer waits for nobody.

mod admit;
mod change;
mod disk;
mod group;
mod pace;
mod queue;
mod room;
mod sync;
mod times;

use std::sync::Arc;

use vecstore_segments::RecordId;

pub(crate) use admit::{admit, check_volume};
pub(crate) use change::seal;
pub(crate) use disk::Disk;
pub(crate) use group::commit;
pub(crate) use pace::Pace;
pub(crate) use queue::Queue;
pub(crate) use room::{SEALED_SLOW, batch_bytes_max, memory_is_short, needed_by, settle_at};
pub use times::CommitTimes;
pub(crate) use times::Times;

use crate::record::CheckedRecord;
use crate::state::CollectionState;

/// A checked write.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) collection: Arc<CollectionState>,
    pub(crate) namespace: Arc<str>,
    pub(crate) operation: Operation,
}

/// What a write does; each is all or nothing.
#[derive(Debug)]
pub(crate) enum Operation {
    /// Inserts or replaces; of records with the same id the last one counts.
    Upsert(Vec<CheckedRecord>),
    /// Removes ids.
    Remove(Vec<RecordId>),
    /// Removes ids, but only versions written by the given commit: a record that was replaced since
    /// it was looked at stays.
    RemoveVersions(Vec<(RecordId, u64)>),
    /// Removes every record of the namespace.
    RemoveNamespace,
    /// Replaces records, but only versions written by the given commit; the ids of the others are
    /// told.
    ReplaceVersions(Vec<(CheckedRecord, u64)>),
}

impl Operation {
    /// Whether it fills memory.
    pub(crate) fn adds_rows(&self) -> bool {
        matches!(self, Operation::Upsert(_) | Operation::ReplaceVersions(_))
    }
}

/// What a write did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// The commit.
    pub(crate) seq: u64,
    /// Records written or removed.
    pub(crate) records: u64,
    /// Ids that were left as they are because they are no longer what the write was made from.
    pub(crate) skipped: Vec<RecordId>,
}
