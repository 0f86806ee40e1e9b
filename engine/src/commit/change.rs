//! What a group of writes does to one collection: resolve ids, append, mark, log, publish.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use vecstore_index::roaring::RoaringBitmap;
use vecstore_segments::RecordId;

use super::{Done, Operation};
use crate::catalogue::RemovedNamespace;
use crate::kv::Batch;
use crate::log::{self, Position};
use crate::optimize::Size;
use crate::record::CheckedRecord;
use crate::state::CollectionState;
use crate::stats::{Usage, share};
use crate::version::{MemtablePart, Version};
use crate::{Result, catalogue};

/// Deletion entries of a segment before they are written as one.
const TOMBS_MAX: usize = 256;

/// What a group does to one collection.
pub(super) struct Change {
    collection: Arc<CollectionState>,
    version: Arc<Version>,
    next_number: u32,
    /// The smallest segment id that is not in use.
    next_segment: u64,
    deleted: BTreeMap<u64, RoaringBitmap>,
    /// Rows that an entry for their namespace hides, so that they need none of their own.
    hidden: BTreeMap<u64, RoaringBitmap>,
    removed: Vec<(Arc<str>, RemovedNamespace)>,
}

impl Change {
    pub(super) fn new(collection: &Arc<CollectionState>, next_segment: u64) -> Self {
        Change {
            version: collection.version(),
            next_number: collection.head.lock().next_number,
            collection: Arc::clone(collection),
            next_segment,
            deleted: BTreeMap::new(),
            hidden: BTreeMap::new(),
            removed: Vec::new(),
        }
    }

    /// Applies one write to the memtable (nobody sees it yet) and adds it to the batch. All that
    /// can fail comes first, so a failed write has changed nothing.
    pub(super) fn apply(
        &mut self,
        batch: &mut Batch,
        seq: u64,
        namespace: &Arc<str>,
        operation: Operation,
    ) -> Result<Done> {
        let mut skipped = Vec::new();
        let records = match operation {
            Operation::Upsert(records) => {
                let ids = records.iter().map(|record| &record.id);
                let sealed = self.sealed_rows(namespace, ids)?;
                self.check_quota(namespace, &records, &sealed)?;
                let count = records.len() as u64;
                for (record, sealed) in records.into_iter().zip(sealed) {
                    self.upsert(batch, seq, namespace, record, sealed);
                }
                count
            }
            Operation::Remove(ids) => {
                let sealed = self.sealed_rows(namespace, ids.iter())?;
                ids.iter()
                    .zip(sealed)
                    .filter(|(id, sealed)| self.remove(batch, seq, namespace, id, *sealed))
                    .count() as u64
            }
            Operation::RemoveVersions(versions) => {
                let sealed = self.sealed_rows(namespace, versions.iter().map(|(id, _)| id))?;
                let mut removed = 0;
                for ((id, version), sealed) in versions.iter().zip(sealed) {
                    if self.alive_version(namespace, id, sealed)? == Some(*version) {
                        removed += u64::from(self.remove(batch, seq, namespace, id, sealed));
                    }
                }
                removed
            }
            Operation::RemoveNamespace => self.remove_namespace(batch, seq, namespace),
            Operation::ReplaceVersions(records) => {
                let sealed = self.sealed_rows(namespace, records.iter().map(|(r, _)| &r.id))?;
                let mut current = Vec::with_capacity(records.len());
                for ((record, version), sealed) in records.into_iter().zip(sealed) {
                    match self.alive_version(namespace, &record.id, sealed)? {
                        Some(now) if now == version => current.push((record, sealed)),
                        _ => skipped.push(record.id),
                    }
                }
                let count = current.len() as u64;
                for (record, sealed) in current {
                    self.upsert(batch, seq, namespace, record, sealed);
                }
                count
            }
        };
        Ok(Done { seq, records, skipped })
    }

    /// For each id its row in a segment, if that is where the record is.
    fn sealed_rows<'i>(
        &self,
        namespace: &str,
        ids: impl Iterator<Item = &'i RecordId>,
    ) -> Result<Vec<Option<(u64, u32)>>> {
        ids.map(|id| {
            let mut memtables = self.version.memtables.iter();
            if memtables.any(|part| part.table.alive(namespace, id).is_some()) {
                return Ok(None);
            }
            for part in self.version.segments.iter().rev() {
                if let Some(row) = part.file.segment.find(namespace, id)?
                    && !part.deleted.contains(row)
                    && !self.is_deleted(part.id(), row)
                {
                    return Ok(Some((part.id(), row)));
                }
            }
            Ok(None)
        })
        .collect()
    }

    /// Checks that a batch does not bring more new records than are allowed.
    fn check_quota(
        &self,
        namespace: &str,
        records: &[CheckedRecord],
        sealed: &[Option<(u64, u32)>],
    ) -> Result<()> {
        let quotas = self.collection.quotas.read();
        if !quotas.bound_contents(namespace) {
            return Ok(());
        }
        let is_hot = |id: &RecordId| {
            let mut memtables = self.version.memtables.iter();
            memtables.any(|part| part.table.alive(namespace, id).is_some())
        };
        let new: HashSet<&RecordId> = (records.iter().zip(sealed))
            .filter(|(record, sealed)| sealed.is_none() && !is_hot(&record.id))
            .map(|(record, _)| &record.id)
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let bytes = records.iter().map(|record| record.bytes() as u64).sum();
        let more = Usage { records: new.len() as u64, bytes };
        quotas.check_contents(&self.collection.name, namespace, more, |of| self.usage(of))
    }

    /// What a namespace, or the collection, has with the writes of this group so far.
    fn usage(&self, namespace: Option<&str>) -> Usage {
        let mut usage = Usage::default();
        for part in &self.version.memtables {
            let Usage { records, bytes } = part.table.usage(namespace);
            usage.add(records, bytes);
        }
        for part in &self.version.segments {
            let segment = &part.file.segment;
            let rows = match namespace {
                None => 0..segment.rows(),
                Some(name) => match segment.namespace(name) {
                    Some(namespace) => namespace.rows.clone(),
                    None => continue,
                },
            };
            let of_group = [self.deleted.get(&part.id()), self.hidden.get(&part.id())];
            let gone = of_group.into_iter().flatten().chain([&*part.deleted]);
            let gone: u64 = gone.map(|gone| gone.range_cardinality(rows.clone())).sum();
            let live = (rows.len() as u64).saturating_sub(gone);
            usage.add(
                live,
                if namespace.is_some() { share(segment, live) } else { segment.bytes() },
            );
        }
        usage
    }

    fn is_deleted(&self, segment: u64, row: u32) -> bool {
        let has = |rows: Option<&RoaringBitmap>| rows.is_some_and(|rows| rows.contains(row));
        has(self.deleted.get(&segment)) || has(self.hidden.get(&segment))
    }

    /// Hides every row that a namespace has so far. What is logged is one entry, however many they
    /// are: see [`RemovedNamespace`].
    fn remove_namespace(&mut self, batch: &mut Batch, seq: u64, namespace: &Arc<str>) -> u64 {
        let mut records = 0;
        for part in &self.version.memtables {
            records += part.table.delete_namespace(namespace, seq);
        }
        for part in &self.version.segments {
            let Some(rows) = part.file.segment.namespace(namespace) else { continue };
            let mut live = RoaringBitmap::new();
            live.insert_range(rows.rows.clone());
            live -= &*part.deleted;
            for gone in [self.deleted.get(&part.id()), self.hidden.get(&part.id())] {
                gone.into_iter().for_each(|gone| live -= gone);
            }
            records += live.len();
            *self.hidden.entry(part.id()).or_default() |= live;
        }
        if records > 0 {
            let epoch = self.version.active().table.epoch();
            let removed = RemovedNamespace { seq, epoch, next_segment: self.next_segment };
            catalogue::put_removed_namespace(batch, self.collection.id, namespace, &removed);
            // Ids of segments that are being written are known in memory alone: given out again
            // after a crash, the entry would hide what was written behind it.
            catalogue::put_next_segment(batch, self.next_segment);
            self.removed.push((Arc::clone(namespace), removed));
        }
        records
    }

    /// The commit that wrote the record as it is now.
    fn alive_version(
        &self,
        namespace: &str,
        id: &RecordId,
        sealed: Option<(u64, u32)>,
    ) -> Result<Option<u64>> {
        let mut memtables = self.version.memtables.iter();
        let hot = memtables.find_map(|part| part.table.alive(namespace, id));
        if let Some(hot) = hot {
            return Ok(Some(hot.seq));
        }
        match sealed.and_then(|(segment, row)| Some((self.version.segment(segment)?, row))) {
            Some((part, row)) => Ok(Some(part.file.segment.seq(row)?)),
            None => Ok(None),
        }
    }

    fn upsert(
        &mut self,
        batch: &mut Batch,
        seq: u64,
        namespace: &Arc<str>,
        record: CheckedRecord,
        sealed: Option<(u64, u32)>,
    ) {
        self.delete_alive(seq, namespace, &record.id, sealed);
        let at = self.next_position();
        log::append_upsert(batch, at, seq, namespace, &record.id, &record.vector, &record.json);
        self.version.active().table.append(namespace, record, seq);
    }

    fn remove(
        &mut self,
        batch: &mut Batch,
        seq: u64,
        namespace: &str,
        id: &RecordId,
        sealed: Option<(u64, u32)>,
    ) -> bool {
        let deleted = self.delete_alive(seq, namespace, id, sealed);
        if deleted {
            // A removal from a segment would be known by its deletion entry alone; the frame makes
            // the log complete, and is what removes a row that is still in memory.
            let at = self.next_position();
            log::append_remove(batch, at, seq, namespace, id);
        }
        deleted
    }

    /// Deletes the record as it is now, wherever it is; false if there is none.
    fn delete_alive(
        &mut self,
        seq: u64,
        namespace: &str,
        id: &RecordId,
        sealed: Option<(u64, u32)>,
    ) -> bool {
        if self.version.memtables.iter().any(|part| part.table.delete(namespace, id, seq)) {
            return true;
        }
        sealed.is_some_and(|(segment, row)| self.deleted.entry(segment).or_default().insert(row))
    }

    fn next_position(&mut self) -> Position {
        let number = self.next_number;
        self.next_number += 1;
        Position {
            collection: self.collection.id,
            epoch: self.version.active().table.epoch(),
            number,
        }
    }

    /// Adds the deletions to the batch; those of a segment with many entries become one.
    pub(super) fn log_deletions(&self, batch: &mut Batch, seq: u64) {
        let mut head = self.collection.head.lock();
        for (&segment, rows) in &self.deleted {
            let tombs = head.tombs.entry(segment).or_default();
            if tombs.len() < TOMBS_MAX {
                catalogue::put_tomb(batch, self.collection.id, segment, seq, rows);
            } else {
                for &old in &*tombs {
                    catalogue::remove_tomb(batch, self.collection.id, segment, old);
                }
                tombs.clear();
                let before = self.version.segment(segment).map(|part| &*part.deleted);
                let all = before.map_or_else(|| rows.clone(), |before| before | rows);
                catalogue::put_tomb(batch, self.collection.id, segment, seq, &all);
            }
            tombs.push(seq);
        }
    }

    /// Makes the changes visible; true if they leave work for the background: the memtable is full and
    /// was sealed, or a segment has too many deleted rows from now on.
    pub(super) fn publish(self, seq: u64, memtable_bytes_max: usize) -> bool {
        let mut version = Version::clone(&self.version);
        version.seq = seq;
        version.memtables[0].rows = version.memtables[0].table.rows();
        let mut to_rewrite = false;
        for (segment, rows) in self.deleted.into_iter().chain(self.hidden) {
            if let Ok(at) = version.segments.binary_search_by_key(&segment, |part| part.id()) {
                let part = &mut version.segments[at];
                let before = Size::of(part);
                part.deleted = Arc::new(&*part.deleted | rows);
                to_rewrite |=
                    !before.has_too_many_deleted() && Size::of(part).has_too_many_deleted();
            }
        }
        let mut head = self.collection.head.lock();
        head.next_number = self.next_number;
        head.removed.extend(self.removed);
        let full = version.active().table.bytes() >= memtable_bytes_max;
        if full {
            seal(&mut version, &mut head.next_number);
        }
        drop(head);
        self.collection.publish(version);
        full || to_rewrite
    }
}

/// Puts a new memtable in front; the one before waits to become a segment.
pub(crate) fn seal(version: &mut Version, next_number: &mut u32) {
    version.active().table.seal();
    let table = Arc::new(version.active().table.next());
    version.memtables.insert(0, MemtablePart { table, rows: 0 });
    *next_number = 0;
}
