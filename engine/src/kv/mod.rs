//! The ordered key-value store behind the log and the catalogue: one atomic batch is the single
//! commit point of the database.
//!
//! Two implementations: [`FjallKv`] on disk, [`MemoryKv`] for databases without a folder. The
//! meaning of keys and values is not known here; see `log` and `catalogue`.

mod fjall;
mod memory;

use std::fmt::Debug;

pub(crate) use self::fjall::{FjallKv, ID_KEY};
pub use memory::MemoryKv;

use crate::{Error, Result};

/// The four fixed keyspaces, shared by all collections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Collections, counters.
    Meta,
    /// Segment manifest records.
    Segments,
    /// Records that are not in a segment yet.
    Hot,
    /// Deletions of rows in segments.
    Tombs,
}

impl Space {
    /// All of them.
    pub const ALL: [Space; 4] = [Space::Meta, Space::Segments, Space::Hot, Space::Tombs];

    fn name(self) -> &'static str {
        match self {
            Space::Meta => "meta",
            Space::Segments => "seg",
            Space::Hot => "hot",
            Space::Tombs => "tomb",
        }
    }
}

/// Changes that take effect together or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    changes: Vec<(Space, Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    pub(crate) fn put(&mut self, space: Space, key: Vec<u8>, value: Vec<u8>) {
        self.changes.push((space, key, Some(value)));
    }

    pub(crate) fn remove(&mut self, space: Space, key: Vec<u8>) {
        self.changes.push((space, key, None));
    }

    /// The keys and values that are set, in the order they were added.
    pub(crate) fn puts(&self) -> impl Iterator<Item = (Space, &[u8], &[u8])> {
        self.changes
            .iter()
            .filter_map(|(space, key, value)| Some((*space, &key[..], value.as_deref()?)))
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Bytes of keys and values, and about what a store adds to each.
    fn bytes(&self) -> u64 {
        const ADDED: usize = 64;
        let bytes = |(_, key, value): &(Space, Vec<u8>, Option<Vec<u8>>)| {
            (ADDED + key.len() + value.as_ref().map_or(0, Vec::len)) as u64
        };
        self.changes.iter().map(bytes).sum()
    }

    /// Each change, in the order they were added: keyspace, key, and the value that is set or
    /// `None` if the key is removed.
    pub fn changes(&self) -> impl Iterator<Item = (Space, &[u8], Option<&[u8]>)> {
        self.changes.iter().map(|(space, key, value)| (*space, &key[..], value.as_deref()))
    }
}

/// Called with each key and value of a scan, ascending by key.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'a;

/// An ordered store of byte strings with atomic batches.
///
/// After an error from `commit` the state is unknown until the database is opened again: the
/// caller must not commit any more.
pub trait Kv: Send + Sync + Debug {
    /// Applies a batch; with `durable` it survives a power cut when this returns.
    fn commit(&self, batch: Batch, durable: bool) -> Result<()>;
    /// Visits all keys that begin with `prefix`.
    fn scan(&self, space: Space, prefix: &[u8], visit: &mut Visit<'_>) -> Result<()>;
    /// Makes everything committed so far survive a power cut.
    fn sync(&self) -> Result<()>;
    /// The commit noted last: what is loaded must have it.
    fn floor(&self) -> u64 {
        0
    }
    /// Notes, durably and outside the store itself, that it has `commit` and everything before on
    /// disk, so that a store that was emptied or rolled back is told when it is opened. With
    /// `relaxed` later commits are not synced one by one.
    fn note(&self, _commit: u64, _relaxed: bool) -> Result<()> {
        Ok(())
    }
    /// Whether commits were not synced one by one, as noted last.
    fn relaxed(&self) -> bool {
        false
    }
    /// What had to be cut off when the store was opened, if anything.
    fn recovery(&self) -> Option<&str> {
        None
    }
    /// Bytes on disk (in memory for a store without a disk).
    fn bytes(&self) -> Result<u64>;
    /// Begins to move everything to where it no longer depends on a journal. What comes of a journal
    /// that is damaged later is then as of now or later in all keyspaces. No commit may run meanwhile
    /// but `purge`.
    fn settle(&self) -> Result<()> {
        Ok(())
    }
    /// Whether that has been done.
    fn is_settled(&self) -> bool {
        true
    }
    /// Whether journals are kept for what is not settled, besides the one that is written to.
    fn has_old_journals(&self) -> bool {
        false
    }
    /// Whether so much was written since the last [`settle`](Self::settle) that it is time.
    /// `is_short`: the disk is, so that sooner is better.
    fn is_settling_due(&self, _is_short: bool) -> bool {
        false
    }
    /// Bytes held in memory, as far as the store tells.
    fn memory_bytes(&self) -> u64;
    /// Those of them that [`settle`](Self::settle) makes less; what it moves itself may stay until the
    /// next time.
    fn buffer_bytes(&self) -> u64 {
        0
    }
    /// Does what can be done of [`compact`](Self::compact) while commits go on.
    fn prepare_compact(&self) -> Result<()>;
    /// Gives back the disk space of everything that was removed. No commit may run meanwhile.
    fn compact(&self) -> std::result::Result<(), CompactError>;
}

/// A compaction that failed.
#[derive(Debug)]
pub enum CompactError {
    /// The store is as it was.
    Unchanged(Error),
    /// Whether the old or the new store is in force is known when the database is opened again: the
    /// caller must not commit any more.
    Unknown(Error),
}

/// Removes the keys under `prefix` for which `dead` holds, in small batches that do not hold others
/// up. Not atomic: for keys that no longer mean anything. Why they do not is settled before they go
/// ([`settle`](crate::settle)); if `settle` gives false they stay.
pub(crate) fn purge(
    kv: &dyn Kv,
    space: Space,
    prefix: &[u8],
    dead: &dyn Fn(&[u8]) -> bool,
    settle: impl FnOnce() -> Result<bool>,
) -> Result<()> {
    const KEYS_A_BATCH: usize = 1_000;
    let mut keys = Vec::new();
    kv.scan(space, prefix, &mut |key, _| {
        if dead(key) {
            keys.push(key.to_vec());
        }
        Ok(())
    })?;
    if keys.is_empty() || !settle()? {
        return Ok(());
    }
    for some in keys.chunks(KEYS_A_BATCH) {
        let mut batch = Batch::default();
        for key in some {
            batch.remove(space, key.clone());
        }
        // Durable, though nobody waits for it: with two batches on their way to the disk, a power
        // cut could leave the second without the first, which nothing tells from damage.
        kv.commit(batch, true)?;
    }
    Ok(())
}
