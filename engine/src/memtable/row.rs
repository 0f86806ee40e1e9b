//! One version of a record in memory.

use std::sync::atomic::{AtomicU64, Ordering};

use vecstore_segments::{Metadata, RecordId};

use crate::record::CheckedRecord;
use crate::{Error, ErrorKind, Result};

const ALIVE: u64 = u64::MAX;

/// One version of a record.
#[derive(Debug)]
pub(crate) struct HotRow {
    pub(crate) id: RecordId,
    pub(crate) seq: u64,
    pub(crate) vector: Box<[f32]>,
    pub(crate) json: Box<[u8]>,
    /// The commit that replaced or removed this version.
    deleted_at: AtomicU64,
    /// The row of the version before.
    pub(super) previous: Option<u32>,
}

/// Where an id stands at some commit, as far as one memtable knows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lookup<'a> {
    /// This table has nothing to say: look in older places.
    Unknown,
    /// The record was here and is gone.
    Deleted,
    /// The record.
    Row(&'a HotRow),
}

impl HotRow {
    pub(super) fn new(record: CheckedRecord, seq: u64, previous: Option<u32>) -> Self {
        let CheckedRecord { id, vector, json } = record;
        HotRow { id, seq, vector, json, deleted_at: AtomicU64::new(ALIVE), previous }
    }

    /// Whether this version is the record as of commit `seq`.
    pub(crate) fn visible(&self, seq: u64) -> bool {
        self.seq <= seq && self.deleted_at.load(Ordering::Acquire) > seq
    }

    /// Whether no commit, published or in the making, has replaced or removed this version.
    pub(crate) fn alive(&self) -> bool {
        self.deleted_at.load(Ordering::Acquire) == ALIVE
    }

    pub(super) fn delete(&self, seq: u64) {
        self.deleted_at.store(seq, Ordering::Release);
    }

    /// Bytes of vector and metadata.
    pub(crate) fn bytes(&self) -> u64 {
        (self.vector.len() * 4 + self.json.len()) as u64
    }

    pub(crate) fn metadata(&self) -> Result<Metadata> {
        serde_json::from_slice(&self.json).map_err(|e| {
            let message = format!("record `{}`: its metadata cannot be read: {e}", self.id);
            Error::caused(ErrorKind::Corrupt, message, e)
        })
    }
}
