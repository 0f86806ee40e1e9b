//! Optimize: several segments become one, dead rows are dropped, disk space is returned.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use vecstore_index::roaring::RoaringBitmap;
use vecstore_segments::{MergeSource, RowSource};

use crate::catalogue::RemovedNamespace;
use crate::commit::check_volume;
use crate::flush::flush_all;
use crate::install::{Inputs, OnProgress, install, wait_for};
use crate::kv::{Batch, CompactError};
use crate::state::{CollectionState, Head, State};
use crate::version::{SegmentPart, Version};
use crate::{Result, catalogue, stats};

/// What an optimize did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OptimizeReport {
    /// Segments before.
    pub segments_before: usize,
    /// Segments after.
    pub segments_after: usize,
    /// Rows of replaced and removed records that were dropped.
    pub rows_dropped: u64,
    /// Bytes on disk before: segments and log.
    pub bytes_before: u64,
    /// Bytes on disk after.
    pub bytes_after: u64,
    /// How long it took.
    pub seconds: f64,
}

impl OptimizeReport {
    pub(crate) fn add(&mut self, other: &OptimizeReport) {
        self.segments_before += other.segments_before;
        self.segments_after += other.segments_after;
        self.rows_dropped += other.rows_dropped;
    }
}

/// Flushes the collections, merges the segments of each into one without deleted rows, and gives back
/// the space of the log.
pub(crate) fn optimize(
    state: &State,
    collections: &[Arc<CollectionState>],
    progress: &mut OnProgress<'_>,
) -> Result<OptimizeReport> {
    let started = Instant::now();
    let mut report =
        OptimizeReport { bytes_before: stats::disk_bytes(state)?, ..Default::default() };
    let mut forgotten = false;
    for collection in collections {
        report.add(&optimize_collection(state, collection, progress)?);
        forgotten |= forget_removed_namespaces(state, collection)?;
    }
    compact_log(state, forgotten)?;
    report.bytes_after = stats::disk_bytes(state)?;
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

fn optimize_collection(
    state: &State,
    collection: &CollectionState,
    progress: &mut OnProgress<'_>,
) -> Result<OptimizeReport> {
    flush_all(state, collection, progress)?;
    let _one_at_a_time = wait_for(&collection.merging, STOPPED, progress)?;
    let segments = collection.version().segments.clone();
    let mut report = OptimizeReport { segments_before: segments.len(), ..Default::default() };
    let nothing_to_gain = match &segments[..] {
        [] => true,
        [only] => only.deleted.is_empty() && !is_to_be_made_again(only),
        _ => false,
    };
    if !nothing_to_gain {
        report.rows_dropped = merge(state, collection, segments, progress)?;
    }
    report.segments_after = collection.version().segments.len();
    Ok(report)
}

/// Whether parts of a segment are known to be damaged that can be made again from the rest.
fn is_to_be_made_again(part: &SegmentPart) -> bool {
    let segment = &part.file.segment;
    let damaged = !segment.degraded().is_empty() || !segment.damage().is_empty();
    damaged && !segment.has_lost_rows()
}

/// Drops the entries of removed namespaces of which nothing is left; whether there were any.
fn forget_removed_namespaces(state: &State, collection: &CollectionState) -> Result<bool> {
    let mut commit = state.commit.lock();
    commit.check()?;
    collection.check()?;
    let version = collection.version();
    let mut head = collection.head.lock();
    let active = version.active().table.epoch();
    let nothing_logged = head.next_number == 0;
    let is_gone = |name: &str, removed: &RemovedNamespace| {
        let mut segments = version.segments.iter().map(|part| &part.file.segment);
        // An epoch that begins only now has no frame that is older than the removal.
        let is_later = |epoch: u32| epoch > removed.epoch || (epoch == active && nothing_logged);
        version.memtables.iter().all(|part| is_later(part.table.epoch()))
            && segments.all(|s| s.id() >= removed.next_segment || s.namespace(name).is_none())
    };
    let gone: Vec<Arc<str>> = (head.removed.iter())
        .filter(|(name, removed)| is_gone(name, removed))
        .map(|(name, _)| Arc::clone(name))
        .collect();
    if gone.is_empty() {
        return Ok(false);
    }
    let mut batch = Batch::default();
    for name in &gone {
        catalogue::forget_removed_namespace(&mut batch, collection.id, name);
        head.removed.remove(name);
    }
    let committed = state.kv.commit(batch, true);
    commit.fail(committed)?;
    Ok(true)
}

/// Gives back the space of the log if that is much, or, `whatever` it is, so that nothing is left in
/// it of what was removed.
fn compact_log(state: &State, whatever: bool) -> Result<()> {
    /// Below this the log is left alone.
    const LOG_BYTES_KEPT: u64 = 1 << 20;
    if !whatever && state.kv.bytes()? <= LOG_BYTES_KEPT {
        return Ok(());
    }
    let _one_at_a_time = state.compacting.lock();
    state.kv.prepare_compact()?;
    let mut commit = state.commit.lock();
    commit.check()?;
    match state.kv.compact() {
        Ok(()) => Ok(()),
        Err(CompactError::Unchanged(error)) => Err(error),
        Err(CompactError::Unknown(error)) => commit.fail(Err(error)),
    }
}

const STOPPED: &str = "optimize was stopped; nothing was changed";

/// Segments that become one.
struct MergeInputs {
    parts: Vec<SegmentPart>,
    source: MergeSource,
}

impl Inputs for MergeInputs {
    fn rows(&self) -> &dyn RowSource {
        &self.source
    }

    fn bytes(&self) -> u64 {
        merge_bytes(&self.parts)
    }

    fn keep_free(&self, state: &State) -> u64 {
        kept_free(state)
    }

    fn stopped(&self) -> &'static str {
        STOPPED
    }

    fn are_in(&self, version: &Version) -> bool {
        self.parts.iter().all(|part| {
            version.segment(part.id()).is_some_and(|now| Arc::ptr_eq(&now.file, &part.file))
        })
    }

    fn deleted_meanwhile(&self, now: &Version) -> RoaringBitmap {
        let mut deleted = RoaringBitmap::new();
        for (number, before) in self.parts.iter().enumerate() {
            if let Some(after) = now.segment(before.id()) {
                let since = &*after.deleted - &*before.deleted;
                deleted.extend(since.iter().filter_map(|row| self.source.new_row(number, row)));
            }
        }
        deleted
    }

    fn take_out(&self, collection: u32, version: &mut Version, head: &mut Head, batch: &mut Batch) {
        let ids: BTreeSet<u64> = self.parts.iter().map(SegmentPart::id).collect();
        for &id in &ids {
            let tombs = head.tombs.remove(&id).unwrap_or_default();
            catalogue::remove_segment(batch, collection, id, &tombs);
        }
        version.segments.retain(|part| !ids.contains(&part.id()));
    }

    fn clean(&self, state: &State, _collection: &CollectionState, _seq: u64) -> Result<()> {
        self.parts.iter().for_each(|part| part.file.set_replaced());
        state.background.notify_done();
        Ok(())
    }
}

/// Merges the given segments into one and returns the number of rows dropped. The caller holds
/// `collection.merging`.
fn merge(
    state: &State,
    collection: &CollectionState,
    parts: Vec<SegmentPart>,
    progress: &mut OnProgress<'_>,
) -> Result<u64> {
    check_volume(state, merge_bytes(&parts) + kept_free(state))?;
    let rows_before: u64 = parts.iter().map(|part| u64::from(part.file.segment.rows())).sum();
    let sources = parts
        .iter()
        .map(|part| (Arc::clone(&part.file.segment), Arc::clone(&part.deleted)))
        .collect();
    let inputs = MergeInputs { source: MergeSource::new(sources)?, parts };
    let installed = install(state, collection, &inputs, progress)?;
    Ok(if installed { rows_before - u64::from(inputs.source.rows()) } else { 0 })
}

/// Bytes that a merge leaves free, for the log and for flushes beside it: if they come to need them before it
/// ends, it is the merge that is given up.
fn kept_free(state: &State) -> u64 {
    state.options.disk_reserve_bytes / 2
}

/// What the merged segment will take, about: the live part of the others and a tenth.
fn merge_bytes(parts: &[SegmentPart]) -> u64 {
    let live = |part: &SegmentPart| {
        let rows = u64::from(part.file.segment.rows()).max(1);
        u128::from(part.file.segment.bytes()) * u128::from(part.live()) / u128::from(rows)
    };
    (parts.iter().map(live).sum::<u128>() * 11 / 10) as u64
}

/// Merges some segments if there is something to gain; false if there is not.
pub(crate) fn merge_if_worthwhile(state: &State, collection: &CollectionState) -> Result<bool> {
    let _one_at_a_time = collection.merging.lock();
    let version = collection.version();
    let sizes: Vec<Size> = version.segments.iter().map(Size::of).collect();
    let damaged = version.segments.iter().find(|part| part.file.take_rewrite());
    let damaged = damaged.map(|part| BTreeSet::from([part.id()]));
    let Some(ids) = damaged.or_else(|| choose(&sizes)) else { return Ok(false) };
    let inputs = version.segments.iter().filter(|part| ids.contains(&part.id())).cloned().collect();
    drop(version);
    merge(state, collection, inputs, &mut |_| ControlFlow::Continue(()))?;
    Ok(true)
}

/// What the choice of a merge depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    id: u64,
    live: u64,
    deleted: u64,
}

impl Size {
    pub(crate) fn of(part: &SegmentPart) -> Self {
        Size { id: part.id(), live: part.live(), deleted: part.deleted.len() }
    }

    /// Whether the segment is to be rewritten for the sake of the space that its deleted rows take.
    pub(crate) fn has_too_many_deleted(self) -> bool {
        const DELETED_PERCENT_MAX: u64 = 20;
        self.deleted * 100 > (self.live + self.deleted) * DELETED_PERCENT_MAX
    }
}

/// Which segments to merge: those of one size class (a factor of [`TIER_FACTOR`]) once there are
/// [`TIER_SEGMENTS`] of them, smallest class first; else one that has too many deleted rows.
fn choose(segments: &[Size]) -> Option<BTreeSet<u64>> {
    const TIER_SEGMENTS: usize = 4;
    const TIER_FACTOR: u64 = 4;
    const SMALLEST_TIER_ROWS: u64 = 4_096;
    const ROWS_MAX: u64 = 4_000_000;

    let tier = |live: u64| (live / SMALLEST_TIER_ROWS).max(1).ilog(TIER_FACTOR);
    let mut tiers: Vec<Vec<Size>> = Vec::new();
    for segment in segments.iter().filter(|segment| segment.live < ROWS_MAX) {
        let tier = tier(segment.live) as usize;
        if tiers.len() <= tier {
            tiers.resize_with(tier + 1, Vec::new);
        }
        tiers[tier].push(*segment);
    }
    let crowded = tiers.iter().find(|tier| tier.len() >= TIER_SEGMENTS);
    if let Some(tier) = crowded {
        return Some(tier.iter().map(|segment| segment.id).collect());
    }
    segments
        .iter()
        .filter(|segment| segment.has_too_many_deleted())
        .max_by_key(|segment| segment.deleted)
        .map(|segment| BTreeSet::from([segment.id]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_are_chosen_by_size_and_by_deletions() {
        let check = |sizes: &[(u64, u64)], expected: Option<&[u64]>| {
            let segments: Vec<Size> = sizes
                .iter()
                .zip(1..)
                .map(|(&(live, deleted), id)| Size { id, live, deleted })
                .collect();
            let expected = expected.map(|ids| ids.iter().copied().collect());
            assert_eq!(choose(&segments), expected, "{sizes:?}");
        };
        check(&[], None);
        check(&[(10, 0), (10, 0), (10, 0)], None);
        check(&[(10, 0), (10, 0), (10, 0), (10, 0)], Some(&[1, 2, 3, 4]));
        check(&[(20_000, 0), (20_000, 0), (9, 0), (20_000, 0), (20_000, 0)], Some(&[1, 2, 4, 5]));
        check(&[(100_000, 0), (20_000, 0), (9, 0), (20_000, 0), (20_000, 0)], None);
        check(&[(80, 20)], None);
        check(&[(79, 21)], Some(&[1]));
        check(&[(79, 21), (10, 90)], Some(&[2]));
        check(&[(0, 1)], Some(&[1]));
        check(&[(5_000_000, 0); 5], None);
    }
}
