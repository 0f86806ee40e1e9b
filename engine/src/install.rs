//! Install: a new segment takes the place of what it was made from. The one home of the protocol
//! that flush and merge share.
//!
//! | step | a crash after it leaves |
//! |---|---|
//! | the file is written under a temporary name, synced, read back, renamed, its folder synced | a file that nobody lists: removed at the next open |
//! | [`BUILT`] | the same |
//! | under the commit lock, deletions that arrived meanwhile are translated to its rows: [`LOCKED`] | the same |
//! | one batch: the segment in, its inputs out. The commit point: [`COMMITTED`] | the new state |
//! | the new version is published: [`PUBLISHED`] | the new state |
//! | what the inputs leave behind is removed: [`CLEANED`] | the new state; leftovers mean nothing and go at the next open |

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use vecstore_index::roaring::RoaringBitmap;
use vecstore_segments::{
    Progress, RowSource, Segment, SegmentError, Stage, WriteOptions, Written, write_segment,
};

use crate::catalogue::{self, SegmentRecord};
use crate::kv::Batch;
use crate::memory::segment_bytes;
use crate::state::{CollectionState, Head, State};
use crate::store::pages_for;
use crate::version::{SegmentFile, SegmentPart, Version};
use crate::workers::Threads;
use crate::{Error, ErrorKind, Result};

/// Who is told how far long work is, and may stop it.
pub(crate) type OnProgress<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

pub(crate) const BUILT: &str = "install: built";
pub(crate) const LOCKED: &str = "install: locked";
pub(crate) const COMMITTED: &str = "install: committed";
pub(crate) const PUBLISHED: &str = "install: published";
pub(crate) const CLEANED: &str = "install: cleaned";

/// What a new segment is made from, and takes the place of: a memtable, or segments.
pub(crate) trait Inputs {
    /// The rows of the new segment; none if all were deleted.
    fn rows(&self) -> &dyn RowSource;
    /// About the bytes of the new segment.
    fn bytes(&self) -> u64;
    /// Bytes of the volume to leave free: the new segment is given up before fewer are left.
    fn keep_free(&self, state: &State) -> u64;
    /// What to say to the one who stopped the work.
    fn stopped(&self) -> &'static str;
    /// Whether a version still has all of them; a restore or a drop may have come between.
    fn are_in(&self, version: &Version) -> bool;
    /// Rows of [`rows`](Self::rows) whose record was deleted since they were chosen. The version
    /// has the inputs, and the caller the commit lock.
    fn deleted_meanwhile(&self, now: &Version) -> RoaringBitmap;
    /// Takes the inputs out of the version, and with the batch out of the catalogue.
    fn take_out(&self, collection: u32, version: &mut Version, head: &mut Head, batch: &mut Batch);
    /// Removes what means nothing since commit `seq`. If this fails the next open does it.
    fn clean(&self, state: &State, collection: &CollectionState, seq: u64) -> Result<()>;
}

/// Makes one segment of the inputs and puts it in their place; false if they were gone when it was
/// ready. Readers and writers go on meanwhile, but for the batch that commits it.
///
/// # Errors
/// [`Conflict`](ErrorKind::Conflict) if `progress` stopped it, [`Closed`](ErrorKind::Closed) if the
/// database closed meanwhile; then, and if the file could not be written, nothing was changed.
pub(crate) fn install(
    state: &State,
    collection: &CollectionState,
    inputs: &dyn Inputs,
    progress: &mut OnProgress<'_>,
) -> Result<bool> {
    let _in_the_making = state.disk.make(inputs.bytes());
    let new = build(state, collection, inputs, progress)?;
    state.probe.reached(BUILT);
    let mut commit = state.commit.lock();
    commit.check()?;
    state.probe.reached(LOCKED);
    let now = collection.version();
    if !inputs.are_in(&now) || collection.dropped.load(Ordering::Acquire) {
        return Ok(false);
    }
    let mut next = Version::clone(&now);
    let mut batch = Batch::default();
    let mut head = collection.head.lock();
    inputs.take_out(collection.id, &mut next, &mut head, &mut batch);
    catalogue::put_next_segment(&mut batch, state.next_segment.load(Ordering::Relaxed));
    if let Some((file, written)) = &new {
        let id = file.segment.id();
        let record = SegmentRecord::new(id, written.rows, written.bytes);
        catalogue::put_segment(&mut batch, collection.id, id, &record);
        let deleted = inputs.deleted_meanwhile(&now);
        if !deleted.is_empty() {
            catalogue::put_tomb(&mut batch, collection.id, id, commit.seq, &deleted);
            head.tombs.insert(id, vec![commit.seq]);
        }
        next.insert_segment(SegmentPart { file: Arc::clone(file), deleted: Arc::new(deleted) });
        // From here on the catalogue may have it, also if the commit seems to fail.
        file.set_in_use();
    }
    drop(head);
    let committed = state.kv.commit(batch, true);
    commit.fail(committed)?;
    state.probe.reached(COMMITTED);
    collection.publish(next);
    let seq = commit.seq;
    drop(commit);
    state.probe.reached(PUBLISHED);
    drop(now);
    inputs.clean(state, collection, seq)?;
    state.probe.reached(CLEANED);
    Ok(true)
}

/// The lock, when whoever has it is done, unless `progress` says not to wait on: then a
/// [`Conflict`](ErrorKind::Conflict) that says `stopped`. It is told that nothing is known yet: none
/// of no rows.
pub(crate) fn wait_for<'a>(
    lock: &'a Mutex<()>,
    stopped: &'static str,
    progress: &mut OnProgress<'_>,
) -> Result<MutexGuard<'a, ()>> {
    const BETWEEN_REPORTS: Duration = Duration::from_millis(100);
    loop {
        if let Some(guard) = lock.try_lock_for(BETWEEN_REPORTS) {
            return Ok(guard);
        }
        if progress(Progress { stage: Stage::Rows, done: 0, total: 0 }).is_break() {
            return Err(Error::new(ErrorKind::Conflict, stopped));
        }
    }
}

/// Writes and opens the new segment. Until it is set in use the file goes with its last reader.
fn build(
    state: &State,
    collection: &CollectionState,
    inputs: &dyn Inputs,
    progress: &mut OnProgress<'_>,
) -> Result<Option<(Arc<SegmentFile>, Written)>> {
    if inputs.rows().rows() == 0 {
        return Ok(None);
    }
    let id = state.allocate_segment();
    let options = WriteOptions { keep_free: inputs.keep_free(state), ..collection.write_options() };
    let mut stopped = false;
    let written = write_segment(
        &*state.vfs,
        state.segments.dir(),
        id,
        inputs.rows(),
        &options,
        &Threads(state.options.threads),
        &mut |now: Progress| {
            keep_going(state, collection)?;
            stopped = progress(now).is_break();
            if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    )
    .map_err(|error| match error {
        SegmentError::Cancelled if stopped => Error::new(ErrorKind::Conflict, inputs.stopped()),
        error => error.into(),
    })?;
    let pages = pages_for(segment_bytes(state) + written.bytes);
    let file = state.segments.open_segment(&Segment::file_name(id), pages)?;
    file.set_replaced();
    Ok(Some((file, written)))
}

/// Stops long work when the database closes or the collection is gone.
pub(crate) fn keep_going(state: &State, collection: &CollectionState) -> ControlFlow<()> {
    let stop = state.closed.load(Ordering::Acquire) || collection.dropped.load(Ordering::Acquire);
    if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
