//! What a database holds in memory, counted as it grows and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::state::{CollectionState, State};

/// Bytes that a database holds. What is in the making is not in them: a segment that is built, a batch
/// on its way, an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Records that are not in a segment yet, with the map of their ids; also those that a reader
    /// still holds after they came into one.
    pub memtable_rows: u64,
    /// Their graphs.
    pub memtable_graphs: u64,
    /// Their field indices.
    pub memtable_fields: u64,
    /// What the log has not moved to its tables yet, and its cache.
    pub log: u64,
    /// What is read of segments once and kept: names, checksums, upper layers of graphs, leaves.
    pub segment_heads: u64,
    /// Rows of segments in the orders that scrolls asked for last.
    pub segment_orders: u64,
    /// Which rows of segments are deleted.
    pub deletions: u64,
    /// Segment files of a database in memory.
    pub segment_files: u64,
    /// All of the above.
    pub total: u64,
    /// Segment files on disk, which are mapped: the system keeps in memory what is used of them, and
    /// drops it when it needs the space. Not in `total`.
    pub mapped: u64,
}

/// What a memtable holds memory for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Use {
    Rows,
    Graphs,
    Fields,
    /// Not held yet: what it takes to make a segment of the rows, and for their lists to grow.
    Later,
}

/// Bytes by use.
#[derive(Debug, Default)]
struct Uses([AtomicU64; 4]);

impl Uses {
    fn get(&self, of: Use) -> u64 {
        self.0[of as usize].load(Ordering::Relaxed)
    }

    fn add(&self, to: Use, bytes: u64) {
        self.0[to as usize].fetch_add(bytes, Ordering::Relaxed);
    }

    fn all(&self) -> u64 {
        self.0.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum()
    }
}

/// Bytes of all memtables of a database.
#[derive(Debug)]
pub(crate) struct Gauge {
    uses: Uses,
    /// From here on nothing is made of rows that can be done without.
    optional_max: u64,
}

impl Gauge {
    /// `limit` is that of the database, if it has one.
    pub(crate) fn new(limit: Option<u64>) -> Self {
        let optional_max = limit.map_or(u64::MAX, |limit| limit / 2);
        Gauge { uses: Uses::default(), optional_max }
    }

    /// Bytes that are held, and those that will be.
    pub(crate) fn all(&self) -> u64 {
        self.uses.all()
    }
}

/// One memtable's part of a [`Gauge`], given back when it goes.
#[derive(Debug)]
pub(crate) struct Held {
    gauge: Arc<Gauge>,
    own: Uses,
}

impl Held {
    pub(crate) fn new(gauge: &Arc<Gauge>) -> Self {
        Held { gauge: Arc::clone(gauge), own: Uses::default() }
    }

    pub(crate) fn gauge(&self) -> &Arc<Gauge> {
        &self.gauge
    }

    pub(crate) fn add(&self, to: Use, bytes: usize) {
        self.own.add(to, bytes as u64);
        self.gauge.uses.add(to, bytes as u64);
    }

    /// As [`Gauge::all`], of this memtable.
    pub(crate) fn all(&self) -> u64 {
        self.own.all()
    }

    /// Whether there is room for what rows can do without: links, and indices of their fields.
    pub(crate) fn has_room(&self) -> bool {
        self.gauge.all() < self.gauge.optional_max
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for (all, own) in self.gauge.uses.0.iter().zip(&self.own.0) {
            all.fetch_sub(own.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

/// What an allocation takes: its size is kept beside it, and all are multiples of 16.
pub(crate) fn allocated(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + 8).next_multiple_of(16).max(32) }
}

/// What a hash map takes that has room for `capacity` entries: of eight places seven are used at most,
/// and each has a byte of its own.
pub(crate) fn map_bytes<K, V>(capacity: usize) -> usize {
    let places = match capacity {
        0 => return 0,
        1..4 => 4,
        _ => (capacity * 8 / 7).next_power_of_two(),
    };
    allocated(places * (size_of::<(K, V)>() + 1) + 16)
}

/// Bytes of all segment files that the database reads.
pub(crate) fn segment_bytes(state: &State) -> u64 {
    let bytes_of = |collection: &CollectionState| {
        collection.version().segments.iter().map(|part| part.file.segment.bytes()).sum::<u64>()
    };
    state.all_collections().iter().map(|collection| bytes_of(collection)).sum()
}

/// What is held now.
pub(crate) fn memory(state: &State) -> Memory {
    let uses = &state.gauge.uses;
    let mut memory = Memory {
        memtable_rows: uses.get(Use::Rows),
        memtable_graphs: uses.get(Use::Graphs),
        memtable_fields: uses.get(Use::Fields),
        log: state.kv.memory_bytes(),
        ..Memory::default()
    };
    for collection in state.all_collections() {
        for part in &collection.version().segments {
            let segment = &part.file.segment;
            memory.deletions += deleted_bytes(&part.deleted) as u64;
            memory.segment_heads += segment.heap_bytes() as u64;
            memory.segment_orders += part.file.orders.heap_bytes() as u64;
            let files = match state.path {
                Some(_) => &mut memory.mapped,
                None => &mut memory.segment_files,
            };
            *files += segment.bytes();
        }
    }
    memory.total = memory.memtable_rows
        + memory.memtable_graphs
        + memory.memtable_fields
        + memory.log
        + memory.segment_heads
        + memory.segment_orders
        + memory.deletions
        + memory.segment_files;
    memory
}

/// A bitmap's containers: lists of at most 4,096 values, or one bit for each of 65,536.
fn deleted_bytes(deleted: &vecstore_index::roaring::RoaringBitmap) -> usize {
    let stats = deleted.statistics();
    (stats.n_bytes_array_containers + stats.n_bytes_bitset_containers) as usize
        + stats.n_containers as usize * 48
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memtable_gives_back_what_it_held() {
        let gauge = Arc::new(Gauge::new(Some(100)));
        let (one, other) = (Held::new(&gauge), Held::new(&gauge));
        one.add(Use::Rows, 30);
        other.add(Use::Rows, 10);
        other.add(Use::Later, 20);
        assert_eq!((gauge.all(), one.all(), other.all(), one.has_room()), (60, 30, 30, false));
        drop(other);
        assert_eq!((gauge.all(), gauge.uses.get(Use::Rows), one.has_room()), (30, 30, true));
    }

    #[test]
    fn small_allocations_take_more_than_they_ask_for() {
        assert_eq!([0, 1, 24, 25, 40, 41].map(allocated), [0, 32, 32, 48, 48, 64]);
        assert_eq!(
            [0, 3, 7, 14, 28].map(map_bytes::<u32, u32>),
            [
                0,
                allocated(4 * 9 + 16),
                allocated(8 * 9 + 16),
                allocated(16 * 9 + 16),
                allocated(32 * 9 + 16)
            ]
        );
    }
}
