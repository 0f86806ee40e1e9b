//! Optimize: several segments become one, dead rows are dropped, disk space is returned.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde::Serialize;
use vecstore_index::roaring::RoaringBitmap;
use vecstore_segments::{MergeSource, Progress, RowSource, Segment, SegmentError, write_segment};

use crate::catalogue::{self, SegmentRecord};
use crate::flush::{flush_all, keep_going};
use crate::kv::{Batch, CompactError};
use crate::state::{CollectionState, State};
use crate::version::{SegmentPart, Version};
use crate::workers::Threads;
use crate::{Error, ErrorKind, Result, stats};

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

/// Who is told how far long work is, and may stop it.
pub(crate) type OnProgress<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

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
    for collection in collections {
        report.add(&optimize_collection(state, collection, progress)?);
    }
    compact_log(state)?;
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
    let _one_at_a_time = collection.merging.lock();
    let segments = collection.version().segments.clone();
    let mut report = OptimizeReport { segments_before: segments.len(), ..Default::default() };
    let nothing_to_gain = match &segments[..] {
        [] => true,
        [only] => only.deleted.is_empty(),
        _ => false,
    };
    if !nothing_to_gain {
        report.rows_dropped = merge(state, collection, segments, progress)?;
    }
    report.segments_after = collection.version().segments.len();
    Ok(report)
}

/// Gives back the space of the log if that is much.
fn compact_log(state: &State) -> Result<()> {
    /// Below this the log is left alone.
    const LOG_BYTES_KEPT: u64 = 1 << 20;
    if state.kv.bytes()? <= LOG_BYTES_KEPT {
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

/// Merges the given segments into one and returns the number of rows dropped. The caller holds
/// `collection.merging`.
///
/// Writers are not held up: deletions that arrive while the new segment is built are translated
/// to its rows in the last step.
fn merge(
    state: &State,
    collection: &CollectionState,
    inputs: Vec<SegmentPart>,
    progress: &mut OnProgress<'_>,
) -> Result<u64> {
    let rows_before: u64 = inputs.iter().map(|part| u64::from(part.file.segment.rows())).sum();
    let sources = inputs
        .iter()
        .map(|part| (Arc::clone(&part.file.segment), Arc::clone(&part.deleted)))
        .collect();
    let source = MergeSource::new(sources)?;
    let file = if source.rows() == 0 {
        None
    } else {
        let id = state.allocate_segment();
        let mut stopped = false;
        let written = write_segment(
            &*state.vfs,
            state.segments.dir(),
            id,
            &source,
            &collection.write_options(),
            &Threads(state.options.threads),
            &mut |now: Progress| {
                keep_going(state, collection)?;
                stopped = progress(now).is_break();
                if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        )
        .map_err(|error| match error {
            SegmentError::Cancelled if stopped => {
                Error::new(ErrorKind::Conflict, "optimize was stopped; nothing was changed")
            }
            error => error.into(),
        })?;
        Some((state.segments.open_segment(&Segment::file_name(id))?, written))
    };

    let mut commit = state.commit.lock();
    commit.check()?;
    let mut next = Version::clone(&collection.version());
    let ids: BTreeSet<u64> = inputs.iter().map(SegmentPart::id).collect();
    let all_there = inputs
        .iter()
        .all(|part| next.segment(part.id()).is_some_and(|now| Arc::ptr_eq(&now.file, &part.file)));
    if !all_there || collection.dropped.load(Ordering::Acquire) {
        // A restore or a drop came between: the segment was made for nothing.
        if let Some((file, _)) = file {
            file.set_replaced();
        }
        return Ok(0);
    }
    let mut batch = Batch::default();
    let mut head = collection.head.lock();
    for &id in &ids {
        let tombs = head.tombs.remove(&id).unwrap_or_default();
        catalogue::remove_segment(&mut batch, collection.id, id, &tombs);
    }
    catalogue::put_next_segment(&mut batch, state.next_segment.load(Ordering::Relaxed));
    let mut output = None;
    if let Some((file, written)) = file {
        let id = file.segment.id();
        let record = SegmentRecord::new(id, written.rows, written.bytes);
        catalogue::put_segment(&mut batch, collection.id, id, &record);
        let deleted = deleted_meanwhile(&inputs, &next, &source);
        if !deleted.is_empty() {
            catalogue::put_tomb(&mut batch, collection.id, id, commit.seq, &deleted);
            head.tombs.insert(id, vec![commit.seq]);
        }
        output = Some(SegmentPart { file, deleted: Arc::new(deleted) });
    }
    drop(head);
    let rows_after = u64::from(source.rows());
    next.segments.retain(|part| !ids.contains(&part.id()));
    if let Some(part) = output {
        next.insert_segment(part);
    }
    let committed = state.kv.commit(batch, true);
    commit.fail(committed)?;
    collection.publish(next);
    drop(commit);
    for part in &inputs {
        part.file.set_replaced();
    }
    state.background.notify_done();
    Ok(rows_before - rows_after)
}

/// Rows of the new segment whose record was deleted while it was built.
fn deleted_meanwhile(inputs: &[SegmentPart], now: &Version, source: &MergeSource) -> RoaringBitmap {
    let mut deleted = RoaringBitmap::new();
    for (number, before) in inputs.iter().enumerate() {
        if let Some(after) = now.segment(before.id()) {
            let since = &*after.deleted - &*before.deleted;
            deleted.extend(since.iter().filter_map(|row| source.new_row(number, row)));
        }
    }
    deleted
}

/// Merges some segments if there is something to gain; false if there is not.
pub(crate) fn merge_if_worthwhile(state: &State, collection: &CollectionState) -> Result<bool> {
    let _one_at_a_time = collection.merging.lock();
    let version = collection.version();
    let sizes: Vec<Size> = version
        .segments
        .iter()
        .map(|part| Size { id: part.id(), live: part.live(), deleted: part.deleted.len() })
        .collect();
    let Some(ids) = choose(&sizes) else { return Ok(false) };
    let inputs = version.segments.iter().filter(|part| ids.contains(&part.id())).cloned().collect();
    drop(version);
    merge(state, collection, inputs, &mut |_| ControlFlow::Continue(()))?;
    Ok(true)
}

/// What the choice of a merge depends on.
#[derive(Clone, Copy, Debug)]
struct Size {
    id: u64,
    live: u64,
    deleted: u64,
}

/// Which segments to merge: those of one size class (a factor of [`TIER_FACTOR`]) once there are
/// [`TIER_SEGMENTS`] of them, smallest class first; else one that has too many deleted rows.
fn choose(segments: &[Size]) -> Option<BTreeSet<u64>> {
    const TIER_SEGMENTS: usize = 4;
    const TIER_FACTOR: u64 = 4;
    const SMALLEST_TIER_ROWS: u64 = 4_096;
    const DELETED_PERCENT_MAX: u64 = 20;
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
        .filter(|segment| {
            let rows = segment.live + segment.deleted;
            segment.deleted * 100 > rows * DELETED_PERCENT_MAX
        })
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
