//! The memtable: records that are not in a segment yet.
//!
//! One writer appends (the commit leader), any number of readers look at the rows up to the count
//! their [`Version`](crate::version::Version) names. A row never moves and never changes but for
//! `deleted_at`, so readers take no lock; the id map is locked only for the moment of a look-up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{FieldIndex, FormatError};
use vecstore_segments::{Metadata, RecordId};

use crate::hot_fields::{RUN_ROWS, RunFields};
use crate::options::CollectionOptions;
use crate::record::CheckedRecord;
use crate::stats::Usage;
use crate::{Error, ErrorKind, Result};

/// Rows of the first chunk; each further one is twice as large as the one before. Every chunk has
/// whole runs of [`RUN_ROWS`].
const FIRST_CHUNK: usize = 1_024;
const CHUNKS: usize = 22;
const ALIVE: u64 = u64::MAX;

/// Append-only rows in memory.
#[derive(Debug)]
pub(crate) struct Memtable {
    epoch: u32,
    chunks: [OnceLock<Box<[OnceLock<HotRow>]>>; CHUNKS],
    /// Field indices of the runs of rows of each chunk.
    fields: [OnceLock<Box<[RunFields]>>; CHUNKS],
    rows: AtomicUsize,
    bytes: AtomicUsize,
    /// Rows that are alive.
    live: AtomicU64,
    /// The rows of each namespace, so that a small one does not pay for the large ones beside it.
    namespaces: RwLock<HashMap<Arc<str>, Space>>,
    /// The newest row of each id; older ones are reached through [`HotRow::previous`].
    newest: RwLock<HashMap<Box<[u8]>, u32>>,
}

/// What a memtable has of one namespace.
#[derive(Debug, Default)]
struct Space {
    /// Ascending.
    rows: Vec<u32>,
    live: u64,
    bytes: u64,
}

/// One version of a record.
#[derive(Debug)]
pub(crate) struct HotRow {
    pub(crate) namespace: Arc<str>,
    pub(crate) id: RecordId,
    pub(crate) seq: u64,
    pub(crate) vector: Box<[f32]>,
    pub(crate) json: Box<[u8]>,
    /// The commit that replaced or removed this version.
    deleted_at: AtomicU64,
    previous: Option<u32>,
}

/// Where an id stands at some commit, as far as one memtable knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// This table has nothing to say: look in older places.
    Unknown,
    /// The record was here and is gone.
    Deleted,
    /// The record.
    Row(u32),
}

impl HotRow {
    /// Whether this version is the record as of commit `seq`.
    pub(crate) fn visible(&self, seq: u64) -> bool {
        self.seq <= seq && self.deleted_at.load(Ordering::Acquire) > seq
    }

    /// Whether no commit, published or in the making, has replaced or removed this version.
    pub(crate) fn alive(&self) -> bool {
        self.deleted_at.load(Ordering::Acquire) == ALIVE
    }

    fn delete(&self, seq: u64) {
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

/// The key of an id in [`Memtable::newest`].
pub(crate) fn id_key(namespace: &str, id: &RecordId) -> Box<[u8]> {
    let mut key = Vec::with_capacity(namespace.len() + 32);
    key.extend_from_slice(&(namespace.len() as u32).to_le_bytes());
    key.extend_from_slice(namespace.as_bytes());
    id.encode(&mut key);
    key.into()
}

impl Memtable {
    pub(crate) fn new(epoch: u32) -> Self {
        Memtable {
            epoch,
            chunks: [const { OnceLock::new() }; CHUNKS],
            fields: [const { OnceLock::new() }; CHUNKS],
            rows: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            live: AtomicU64::new(0),
            namespaces: RwLock::new(HashMap::new()),
            newest: RwLock::new(HashMap::new()),
        }
    }

    /// The same rows as part of another epoch.
    pub(crate) fn with_epoch(self, epoch: u32) -> Self {
        Memtable { epoch, ..self }
    }

    /// The part of the log that holds these rows.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Rows appended so far, also those of a commit in the making.
    pub(crate) fn rows(&self) -> u32 {
        self.rows.load(Ordering::Acquire) as u32
    }

    /// Bytes held, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A row that a version has made known.
    pub(crate) fn row(&self, row: u32) -> &HotRow {
        let (chunk, slot) = place(row as usize);
        self.chunks[chunk]
            .get()
            .and_then(|rows| rows[slot].get())
            .expect("a version names only rows that were appended before it was published")
    }

    /// The field index of a run of rows, and the rows that are not in it. Every row of the run must
    /// have been made known by a version.
    pub(crate) fn fields(
        &self,
        run: u32,
        options: &CollectionOptions,
    ) -> std::result::Result<(FieldIndex<'_>, &RoaringBitmap), FormatError> {
        let (chunk, slot) = place((run * RUN_ROWS) as usize);
        let runs = self.fields[chunk].get_or_init(|| {
            let runs = (FIRST_CHUNK << chunk) / RUN_ROWS as usize;
            std::iter::repeat_with(RunFields::default).take(runs).collect()
        });
        runs[slot / RUN_ROWS as usize].get(run, options, |row| self.row(row))
    }

    /// Appends a version of a record; only the commit leader may call this.
    pub(crate) fn append(&self, namespace: &Arc<str>, record: CheckedRecord, seq: u64) -> u32 {
        let at = self.rows.load(Ordering::Relaxed);
        let row = at as u32;
        let key = id_key(namespace, &record.id);
        let bytes = record.bytes() + key.len();
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let previous = self.newest.read().get(&key).copied();
        let CheckedRecord { id, vector, json } = record;
        let hot = HotRow {
            namespace: Arc::clone(namespace),
            id,
            seq,
            vector,
            json,
            deleted_at: AtomicU64::new(ALIVE),
            previous,
        };
        let (chunk, slot) = place(at);
        let rows = self.chunks[chunk].get_or_init(|| {
            std::iter::repeat_with(OnceLock::new).take(FIRST_CHUNK << chunk).collect()
        });
        let fresh = rows[slot].set(hot).is_ok();
        debug_assert!(fresh, "one writer appends at a time");
        self.rows.store(at + 1, Ordering::Release);
        self.newest.write().insert(key, row);
        let mut namespaces = self.namespaces.write();
        let space = match namespaces.get_mut(namespace) {
            Some(space) => space,
            None => namespaces.entry(Arc::clone(namespace)).or_default(),
        };
        space.rows.push(row);
        space.live += 1;
        self.live.fetch_add(1, Ordering::Relaxed);
        space.bytes += bytes as u64;
        row
    }

    /// Notes that commit `seq` replaces or removes a row that is alive; only the commit leader may
    /// call this.
    pub(crate) fn delete(&self, hot: &HotRow, seq: u64) {
        hot.delete(seq);
        self.live.fetch_sub(1, Ordering::Relaxed);
        if let Some(space) = self.namespaces.write().get_mut(&hot.namespace) {
            space.live -= 1;
        }
    }

    /// Removes what is alive of a namespace, as commit `seq`; returns how many rows. Only the commit
    /// leader may call this.
    pub(crate) fn delete_namespace(&self, namespace: &str, seq: u64) -> u64 {
        let mut namespaces = self.namespaces.write();
        let Some(space) = namespaces.get_mut(namespace) else { return 0 };
        let alive = space.rows.iter().map(|&row| self.row(row)).filter(|hot| hot.alive());
        alive.for_each(|hot| hot.delete(seq));
        self.live.fetch_sub(space.live, Ordering::Relaxed);
        std::mem::take(&mut space.live)
    }

    /// The first rows of a namespace, ascending: those below `end`.
    pub(crate) fn rows_of(&self, namespace: &str, end: u32) -> Vec<u32> {
        let namespaces = self.namespaces.read();
        let Some(space) = namespaces.get(namespace) else { return Vec::new() };
        space.rows[..space.rows.partition_point(|row| *row < end)].to_vec()
    }

    /// Records of a namespace, or of all, as of the newest commit, one in the making included, and
    /// about the bytes held for them, replaced versions included. For the commit leader.
    pub(crate) fn usage(&self, namespace: Option<&str>) -> Usage {
        let Some(name) = namespace else {
            let records = self.live.load(Ordering::Relaxed);
            return Usage { records, bytes: self.bytes() as u64 };
        };
        let namespaces = self.namespaces.read();
        let space = namespaces.get(name);
        space.map_or_else(Usage::default, |s| Usage { records: s.live, bytes: s.bytes })
    }

    /// Where an id stands as of commit `seq`.
    pub(crate) fn lookup(&self, key: &[u8], seq: u64) -> Lookup {
        let mut next = self.newest.read().get(key).copied();
        while let Some(row) = next {
            let hot = self.row(row);
            if hot.seq <= seq {
                return if hot.visible(seq) { Lookup::Row(row) } else { Lookup::Deleted };
            }
            next = hot.previous;
        }
        Lookup::Unknown
    }

    /// The version of an id that a commit in the making would replace.
    pub(crate) fn alive(&self, key: &[u8]) -> Option<&HotRow> {
        let row = self.newest.read().get(key).copied()?;
        Some(self.row(row)).filter(|hot| hot.alive())
    }
}

/// Chunk and slot of a row: chunk `c` begins at row `FIRST_CHUNK * (2^c - 1)`.
fn place(row: usize) -> (usize, usize) {
    let chunk = (row / FIRST_CHUNK + 1).ilog2() as usize;
    (chunk, row - FIRST_CHUNK * ((1 << chunk) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: u64) -> CheckedRecord {
        CheckedRecord { id: id.into(), vector: [id as f32].into(), json: (*b"{}").into() }
    }

    #[test]
    fn rows_are_placed_without_gaps() {
        let mut expected = (0, 0);
        for row in 0..FIRST_CHUNK * 40 {
            assert_eq!(place(row), expected, "row {row}");
            expected.1 += 1;
            if expected.1 == FIRST_CHUNK << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
    }

    #[test]
    fn each_commit_sees_its_own_version() {
        let table = Memtable::new(1);
        let namespace: Arc<str> = "".into();
        let key = id_key("", &7.into());
        table.append(&namespace, record(7), 10);
        table.delete(table.row(0), 20);
        table.append(&namespace, record(7), 20);
        table.delete(table.row(1), 30);

        assert_eq!(table.lookup(&key, 9), Lookup::Unknown);
        assert_eq!(table.lookup(&key, 10), Lookup::Row(0));
        assert_eq!(table.lookup(&key, 19), Lookup::Row(0));
        assert_eq!(table.lookup(&key, 20), Lookup::Row(1));
        assert_eq!(table.lookup(&key, 30), Lookup::Deleted);
        assert!(table.alive(&key).is_none());
        assert_eq!(table.usage(Some("")).records, 0);
        assert_eq!(table.lookup(&id_key("x", &7.into()), 30), Lookup::Unknown);
    }
}
