//! How much of the disk is taken beyond what live records need. Where it is much, writers are slowed
//! down until merges have given space back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::state::{CollectionState, State};
use crate::stats::{disk_bytes, share};

/// What is known of the space that a database takes.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// Bytes of segments that are being built, once they are complete.
    in_the_making: AtomicU64,
    /// When to look again; nobody waits for another who looks.
    next_look: Mutex<Option<Instant>>,
    /// What the last look gave, as bits.
    fill: AtomicU64,
}

/// A segment that is being built; for as long as its inputs are there too.
#[derive(Debug)]
pub(crate) struct InTheMaking<'a> {
    disk: &'a Disk,
    bytes: u64,
}

impl Drop for InTheMaking<'_> {
    fn drop(&mut self) {
        self.disk.in_the_making.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Disk {
    /// Whether writers are slowed down for its sake.
    pub(crate) fn is_short(&self) -> bool {
        f64::from_bits(self.fill.load(Ordering::Relaxed)) > 0.0
    }

    /// Counts a segment that is going to be built, of about so many bytes.
    pub(crate) fn make(&self, bytes: u64) -> InTheMaking<'_> {
        self.in_the_making.fetch_add(bytes, Ordering::Relaxed);
        InTheMaking { disk: self, bytes }
    }

    /// How much slower writers go for the sake of the disk, as [`Pace`](super::Pace) understands it.
    /// None are where no merge would give space back.
    pub(super) fn fill(&self, state: &State) -> f64 {
        const LOOK_EVERY: Duration = Duration::from_millis(20);
        if state.path.is_none() || !state.options.background_merge {
            return 0.0;
        }
        let now = Instant::now();
        if let Some(mut next) = self.next_look.try_lock()
            && next.is_none_or(|next| next <= now)
        {
            // What cannot be read is left as it was: the write that is to come tells of it.
            if let Ok(total) = disk_bytes(state) {
                let live = state.all_collections().iter().map(|c| live_bytes(c)).sum();
                let total = total + self.in_the_making.load(Ordering::Relaxed);
                self.fill.store(fill(total, live).to_bits(), Ordering::Relaxed);
            }
            // With many collections a look takes a while.
            *next = Some(Instant::now() + LOOK_EVERY.max(now.elapsed() * 50));
        }
        f64::from_bits(self.fill.load(Ordering::Relaxed))
    }
}

/// Bytes that the live records of a collection would take if all were in segments.
fn live_bytes(collection: &CollectionState) -> u64 {
    let version = collection.version();
    let (mut rows, mut bytes) = (0, 0);
    for part in &version.segments {
        rows += part.live();
        bytes += share(&part.file.segment, part.live());
    }
    if rows == 0 {
        return version.memtables.iter().map(|part| part.table.bytes() as u64).sum();
    }
    let namespaces = version.memtables.iter().flat_map(|part| part.table.namespaces());
    let hot: u64 = namespaces.map(|namespace| u64::from(namespace.live(version.seq))).sum();
    bytes + (u128::from(bytes) * u128::from(hot) / u128::from(rows)) as u64
}

/// 0 up to 1.9 times the live bytes, 4 at 2.15, 16 at 2.4. A merge of nearly everything takes twice the
/// live bytes; what is flushed meanwhile comes on top. Small databases may take more, as the log alone
/// takes up to some 130 MiB before the store gives back a journal.
fn fill(total: u64, live: u64) -> f64 {
    const LOG_BYTES: u64 = 192 << 20;
    let from = (live / 10 * 19).max(live / 10 * 15 + LOG_BYTES);
    let beyond = total.saturating_sub(from) as f64 / (live / 4).max(1) as f64;
    let part = beyond.min(2.0);
    4.0 * part * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_are_slowed_down_where_about_twice_the_live_bytes_are_taken() {
        const GIB: u64 = 1 << 30;
        for (total, expected) in
            [(0.0, 0.0), (1.3, 0.0), (1.9, 0.0), (2.0, 0.64), (2.15, 4.0), (2.4, 16.0), (9.0, 16.0)]
        {
            let found = fill((total * GIB as f64) as u64, GIB);
            assert!((found - expected).abs() < 0.01, "{total}: {found}");
        }
    }

    #[test]
    fn a_small_database_has_room_for_its_log() {
        const MIB: u64 = 1 << 20;
        assert_eq!(fill(192 * MIB, 0), 0.0);
        assert_eq!(fill(193 * MIB, 0), 16.0);
        assert_eq!(fill(342 * MIB, 100 * MIB), 0.0);
        assert_eq!(fill(367 * MIB, 100 * MIB), 4.0);
    }
}
