//! The rows of one namespace in a memtable.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;
use vecstore_index::AppendOnly;
use vecstore_segments::RecordId;

use super::fields::HotFields;
use super::graph::HotGraph;
use super::row::{HotRow, Lookup};
use crate::memory::{allocated, map_bytes};
use crate::record::CheckedRecord;
use crate::stats::Usage;

/// The rows of one namespace, numbered from 0, and what was made of them in the background.
#[derive(Debug)]
pub(crate) struct HotNamespace {
    name: Arc<str>,
    rows: AppendOnly<HotRow>,
    /// The newest row of each id, by its encoded form; older ones are reached through
    /// [`HotRow::previous`].
    newest: RwLock<HashMap<Box<[u8]>, u32>>,
    deaths: AppendOnly<Death>,
    bytes: AtomicU64,
    pub(super) fields: HotFields,
    pub(super) graph: HotGraph,
    /// Whether the background has this namespace on its list.
    pub(super) listed: AtomicBool,
}

/// What a row takes.
pub(super) struct Appended {
    /// Its record, about: what memtables are sealed by and quotas count.
    pub(super) bytes: usize,
    /// All that is held for it.
    pub(super) held: usize,
}

impl HotNamespace {
    /// What may come to be held for a row until it is in a segment: lists that grow do so by as much
    /// as they have.
    pub(super) const ROW_GROWTH: usize = size_of::<HotRow>() + 2 * size_of::<(Box<[u8]>, u32)>();
}

/// A row that was replaced or removed. They come in the order of their commits.
#[derive(Debug)]
struct Death {
    row: u32,
    seq: u64,
}

impl HotNamespace {
    pub(super) fn new(name: Arc<str>) -> Self {
        HotNamespace {
            name,
            rows: AppendOnly::default(),
            newest: RwLock::default(),
            deaths: AppendOnly::default(),
            bytes: AtomicU64::new(0),
            fields: HotFields::default(),
            graph: HotGraph::default(),
            listed: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// A row that was appended.
    pub(crate) fn row(&self, row: u32) -> &HotRow {
        self.rows.get(row as usize).expect("rows are named only once they were appended")
    }

    pub(super) fn get(&self, row: u32) -> Option<&HotRow> {
        self.rows.get(row as usize)
    }

    /// Rows appended as of commit `seq`, dead ones included.
    pub(super) fn rows(&self, seq: u64) -> u32 {
        self.rows.partition_point(|hot| hot.seq <= seq) as u32
    }

    /// How many of them are dead as of that commit.
    fn dead(&self, seq: u64) -> usize {
        self.deaths.partition_point(|death| death.seq <= seq)
    }

    /// Records as of commit `seq`.
    pub(crate) fn live(&self, seq: u64) -> u32 {
        // In this order: what comes between is of a later commit, and counts in neither.
        let rows = self.rows(seq);
        rows - self.dead(seq) as u32
    }

    /// The rows that are dead as of commit `seq`.
    pub(super) fn dead_rows(&self, seq: u64) -> impl Iterator<Item = u32> {
        self.deaths.iter_to(self.dead(seq)).map(|death| death.row)
    }

    /// The rows that are records as of commit `seq`.
    pub(crate) fn visible_rows(&self, seq: u64) -> impl Iterator<Item = (u32, &HotRow)> {
        let all = self.rows.iter_to(self.rows(seq) as usize);
        (0..).zip(all).filter(move |(_, hot)| hot.visible(seq))
    }

    /// Appends a version of a record.
    pub(super) fn append(&self, record: CheckedRecord, seq: u64) -> Appended {
        let key = encoded(&record.id);
        let bytes = record.bytes() + key.len();
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let before = self.rows.heap_bytes();
        let mut held = record.heap_bytes();
        let previous = self.newest.read().get(&key).copied();
        let row = self.rows.push(HotRow::new(record, seq, previous)) as u32;
        let mut newest = self.newest.write();
        let room = newest.capacity();
        held += if previous.is_none() { allocated(key.len()) } else { 0 };
        newest.insert(key, row);
        if newest.capacity() > room {
            held += map_bytes::<Box<[u8]>, u32>(newest.capacity());
            held -= map_bytes::<Box<[u8]>, u32>(room);
        }
        Appended { bytes, held: held + self.rows.heap_bytes() - before }
    }

    pub(super) fn lookup(&self, id: &RecordId, seq: u64) -> Lookup<'_> {
        let mut next = self.newest.read().get(&encoded(id)).copied();
        while let Some(row) = next {
            let hot = self.row(row);
            if hot.seq <= seq {
                return if hot.visible(seq) { Lookup::Row(hot) } else { Lookup::Deleted };
            }
            next = hot.previous;
        }
        Lookup::Unknown
    }

    pub(super) fn alive(&self, id: &RecordId) -> Option<&HotRow> {
        self.alive_row(id).map(|(_, hot)| hot)
    }

    fn alive_row(&self, id: &RecordId) -> Option<(u32, &HotRow)> {
        let row = self.newest.read().get(&encoded(id)).copied()?;
        Some((row, self.row(row))).filter(|(_, hot)| hot.alive())
    }

    /// Deletes the version that is alive; gives the bytes that this takes, or `None` if there is none.
    pub(super) fn delete(&self, id: &RecordId, seq: u64) -> Option<usize> {
        let (row, hot) = self.alive_row(id)?;
        let before = self.deaths.heap_bytes();
        hot.delete(seq);
        self.deaths.push(Death { row, seq });
        Some(self.deaths.heap_bytes() - before)
    }

    /// Deletes every row that is alive; gives how many, and the bytes that this takes.
    pub(super) fn delete_all(&self, seq: u64) -> (u64, usize) {
        let before = self.deaths.heap_bytes();
        let mut deleted = 0;
        for (row, hot) in (0..).zip(self.rows.iter_to(usize::MAX)).filter(|(_, hot)| hot.alive()) {
            hot.delete(seq);
            self.deaths.push(Death { row, seq });
            deleted += 1;
        }
        (deleted, self.deaths.heap_bytes() - before)
    }

    /// Records as of the newest commit, one in the making included, and about the bytes held for
    /// them, replaced versions included. For the commit leader.
    pub(super) fn usage(&self) -> Usage {
        let records = (self.rows.len() - self.deaths.len()) as u64;
        Usage { records, bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// Marks the namespace as listed; false if it was.
    pub(super) fn list(&self) -> bool {
        // Together with `unlist`: whoever finds it listed has asked before the background looks
        // for the last time at what was asked.
        !self.listed.swap(true, Ordering::AcqRel)
    }

    pub(super) fn unlist(&self) {
        // A swap and not a store, to see what was asked before a `list` that came too late.
        self.listed.swap(false, Ordering::AcqRel);
    }
}

fn encoded(id: &RecordId) -> Box<[u8]> {
    let mut key = Vec::with_capacity(32);
    id.encode(&mut key);
    key.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: u64) -> CheckedRecord {
        CheckedRecord { id: id.into(), vector: [id as f32].into(), json: (*b"{}").into() }
    }

    #[test]
    fn each_commit_sees_its_own_version() {
        let rows = HotNamespace::new("".into());
        let id = RecordId::from(7);
        rows.append(record(7), 10);
        assert!(rows.delete(&id, 20).is_some());
        rows.append(record(7), 20);
        assert!(rows.delete(&id, 30).is_some());
        assert!(rows.delete(&id, 40).is_none());

        let found = |seq| match rows.lookup(&id, seq) {
            Lookup::Unknown => "unknown".to_owned(),
            Lookup::Deleted => "deleted".to_owned(),
            Lookup::Row(hot) => format!("of {}", hot.seq),
        };
        let numbers = |seq| (rows.rows(seq), rows.live(seq));
        assert_eq!((found(9).as_str(), numbers(9)), ("unknown", (0, 0)));
        assert_eq!((found(10).as_str(), numbers(10)), ("of 10", (1, 1)));
        assert_eq!((found(19).as_str(), numbers(19)), ("of 10", (1, 1)));
        assert_eq!((found(20).as_str(), numbers(20)), ("of 20", (2, 1)));
        assert_eq!((found(30).as_str(), numbers(30)), ("deleted", (2, 0)));
        assert!(rows.alive(&id).is_none());
        assert!(rows.dead_rows(20).eq([0]) && rows.dead_rows(30).eq([0, 1]));
        assert!(rows.visible_rows(20).map(|(row, _)| row).eq([1]));
    }
}
