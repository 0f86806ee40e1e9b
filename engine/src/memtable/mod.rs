//! The memtable: records that are not in a segment yet.
//!
//! One writer appends (the commit leader), any number of readers look at the rows as of the commit
//! of their [`Version`](crate::version::Version). A row never moves and never changes but for the
//! commit that deletes it, so readers take no lock; the maps of ids and namespaces are locked only
//! for the moment of a look-up.
//!
//! Rows are kept by namespace ([`HotNamespace`]). What makes searching them fast beyond scanning,
//! field indices and a graph, is made in the background once a reader has [asked](asks) for it.

mod asks;
mod fields;
mod graph;
mod namespace;
mod row;
mod source;
mod view;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::RwLock;
use vecstore_index::AppendOnly;
use vecstore_segments::RecordId;

pub(crate) use asks::{Asked, Asks};
pub(crate) use namespace::HotNamespace;
pub(crate) use row::{HotRow, Lookup};
pub(crate) use source::MemtableSource;
pub(crate) use view::HotView;

use crate::memory::{Gauge, Held, Use, allocated, map_bytes};
use crate::options::CollectionOptions;
use crate::record::CheckedRecord;
use crate::stats::Usage;

/// Append-only rows in memory.
#[derive(Debug)]
pub(crate) struct Memtable {
    epoch: u32,
    namespaces: AppendOnly<HotNamespace>,
    /// Where each namespace is.
    by_name: RwLock<HashMap<Arc<str>, u32>>,
    rows: AtomicUsize,
    /// Rows that were replaced or removed.
    dead: AtomicUsize,
    bytes: AtomicUsize,
    /// When the first row came.
    began: OnceLock<Instant>,
    sealed: OnceLock<Instant>,
    /// What a segment takes in the making, by row.
    flush_row_bytes: usize,
    held: Held,
}

impl Memtable {
    pub(crate) fn new(epoch: u32, options: &CollectionOptions, gauge: &Arc<Gauge>) -> Self {
        Memtable::with(epoch, options.flush_row_bytes(), gauge)
    }

    /// The one that comes after this.
    pub(crate) fn next(&self) -> Self {
        Memtable::with(self.epoch + 1, self.flush_row_bytes, self.held.gauge())
    }

    fn with(epoch: u32, flush_row_bytes: usize, gauge: &Arc<Gauge>) -> Self {
        Memtable {
            epoch,
            flush_row_bytes,
            held: Held::new(gauge),
            namespaces: AppendOnly::default(),
            by_name: RwLock::new(HashMap::new()),
            rows: AtomicUsize::new(0),
            dead: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            began: OnceLock::new(),
            sealed: OnceLock::new(),
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

    /// What it holds in memory.
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    /// No more rows will come: this becomes a segment soon.
    pub(crate) fn seal(&self) {
        // A hint to the background; nothing is read because of it.
        self.sealed.get_or_init(Instant::now);
    }

    /// Whether the rows are about to become a segment.
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.get().is_some()
    }

    /// From when to when rows came, if no more will.
    pub(crate) fn filled(&self) -> Option<(Instant, Instant)> {
        let sealed = *self.sealed.get()?;
        Some((self.began.get().copied().unwrap_or(sealed), sealed))
    }

    /// All namespaces, in the order in which they came.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &HotNamespace> {
        self.namespaces.iter_to(usize::MAX)
    }

    /// A namespace and its number, if it ever had rows here.
    pub(crate) fn namespace(&self, name: &str) -> Option<(u32, &HotNamespace)> {
        let number = self.by_name.read().get(name).copied()?;
        Some((number, self.namespaces.get(number as usize)?))
    }

    /// The namespace with a number.
    pub(crate) fn numbered(&self, number: u32) -> Option<&HotNamespace> {
        self.namespaces.get(number as usize)
    }

    /// Appends a version of a record; only the commit leader may call this.
    pub(crate) fn append(&self, namespace: &Arc<str>, record: CheckedRecord, seq: u64) {
        self.began.get_or_init(Instant::now);
        let (mut bytes, mut held) = (0, 0);
        let rows = match self.namespace(namespace) {
            Some((_, rows)) => rows,
            None => {
                let places = || {
                    self.namespaces.heap_bytes()
                        + map_bytes::<Arc<str>, u32>(self.by_name.read().capacity())
                };
                let before = places();
                let at = self.namespaces.push(HotNamespace::new(Arc::clone(namespace)));
                self.by_name.write().insert(Arc::clone(namespace), at as u32);
                bytes += size_of::<HotNamespace>();
                held += places() - before + allocated(2 * size_of::<usize>() + namespace.len());
                match self.namespaces.get(at) {
                    Some(rows) => rows,
                    None => unreachable!("it was appended"),
                }
            }
        };
        let appended = rows.append(record, seq);
        self.bytes.fetch_add(bytes + appended.bytes, Ordering::Relaxed);
        self.held.add(Use::Rows, held + appended.held);
        self.held.add(Use::Later, self.flush_row_bytes + HotNamespace::ROW_GROWTH);
        self.rows.fetch_add(1, Ordering::Release);
    }

    /// Where an id stands as of commit `seq`.
    pub(crate) fn lookup(&self, namespace: &str, id: &RecordId, seq: u64) -> Lookup<'_> {
        self.namespace(namespace).map_or(Lookup::Unknown, |(_, rows)| rows.lookup(id, seq))
    }

    /// The version of an id that a commit in the making would replace.
    pub(crate) fn alive(&self, namespace: &str, id: &RecordId) -> Option<&HotRow> {
        self.namespace(namespace)?.1.alive(id)
    }

    /// Deletes that version as of commit `seq`; false if there is none. Only the commit leader may
    /// call this.
    pub(crate) fn delete(&self, namespace: &str, id: &RecordId, seq: u64) -> bool {
        let deleted = self.namespace(namespace).and_then(|(_, rows)| rows.delete(id, seq));
        let Some(held) = deleted else { return false };
        self.held.add(Use::Rows, held);
        self.dead.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Removes what is alive of a namespace, as commit `seq`; returns how many rows. Only the commit
    /// leader may call this.
    pub(crate) fn delete_namespace(&self, namespace: &str, seq: u64) -> u64 {
        let found = self.namespace(namespace);
        let (deleted, held) = found.map_or((0, 0), |(_, rows)| rows.delete_all(seq));
        self.held.add(Use::Rows, held);
        self.dead.fetch_add(deleted as usize, Ordering::Relaxed);
        deleted
    }

    /// Records of a namespace, or of all, as of the newest commit, one in the making included, and
    /// about the bytes held for them, replaced versions included. For the commit leader.
    pub(crate) fn usage(&self, namespace: Option<&str>) -> Usage {
        match namespace {
            Some(name) => self.namespace(name).map_or_else(Usage::default, |(_, n)| n.usage()),
            None => {
                let dead = self.dead.load(Ordering::Relaxed) as u64;
                Usage { records: u64::from(self.rows()) - dead, bytes: self.bytes() as u64 }
            }
        }
    }
}
