//! Repair: a damaged log is cut before the damage.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use vecstore_segments::Vfs;

use crate::kv::{Batch, FjallKv, Kv, Space};
use crate::{Result, catalogue, log};

/// What [`Database::repair`](crate::Database::repair) kept and dropped. A batch is one commit, or
/// a step of the database's own upkeep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RepairReport {
    /// Batches of the log that are kept.
    pub batches_kept: u64,
    /// Batches that are lost: the damaged one and those behind it.
    pub batches_dropped: u64,
    /// Bytes of the log that were cut off.
    pub bytes_dropped: u64,
    /// Where the damage was; `None` if there was none.
    pub place: Option<String>,
    /// The last commit that is kept.
    pub seq: u64,
}

/// Cuts the log in the folder `path`, whose lock the caller holds.
pub(crate) fn repair(vfs: Arc<dyn Vfs>, path: &Path) -> Result<RepairReport> {
    let cut = FjallKv::repair(&*vfs, path)?;
    let kv = FjallKv::open(vfs, path)?;
    let seq = catalogue::load(&kv)?.seq;
    if cut.place.is_some() {
        drop_commits_after(&kv, seq)?;
    }
    kv.note(seq, false)?;
    Ok(RepairReport {
        batches_kept: cut.kept,
        batches_dropped: cut.dropped,
        bytes_dropped: cut.dropped_bytes,
        place: cut.place,
        seq,
    })
}

/// Removes what the store had moved out of its journal already from commits that were cut off, so
/// that no commit is left in part.
fn drop_commits_after(kv: &dyn Kv, seq: u64) -> Result<()> {
    let mut batch = Batch::default();
    kv.scan(Space::Hot, &[], &mut |key, frame| {
        if log::seq(frame).is_none_or(|of| of > seq) {
            batch.remove(Space::Hot, key.to_vec());
        }
        Ok(())
    })?;
    kv.scan(Space::Tombs, &[], &mut |key, _| {
        if catalogue::tomb_seq(key).is_none_or(|of| of > seq) {
            batch.remove(Space::Tombs, key.to_vec());
        }
        Ok(())
    })?;
    if batch.len() > 0 { kv.commit(batch, true) } else { Ok(()) }
}
