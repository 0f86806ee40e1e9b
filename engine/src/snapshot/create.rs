//! Making a snapshot.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use vecstore_segments::{RowSource, Segment, write_file, write_segment};

use super::{SnapshotInfo, exists, folder, manifest, snapshots_dir};
use crate::catalogue::{self, CollectionRecord, SegmentRecord};
use crate::flush::flush_all;
use crate::install::keep_going;
use crate::kv::Batch;
use crate::memtable::MemtableSource;
use crate::record::check_name;
use crate::state::{CollectionState, State};
use crate::version::Version;
use crate::workers::Threads;
use crate::{Error, ErrorKind, Result};

pub(crate) fn create(state: &State, name: &str) -> Result<SnapshotInfo> {
    check_name("snapshot", name)?;
    let _one_at_a_time = state.snapshots.lock();
    let dir = folder(state, name);
    if exists(&*state.vfs, &dir)? {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            format!("snapshot `{name}` exists already"),
        ));
    }
    let made = make(state, name, &dir);
    if made.is_err() {
        // The first failure is the one to report; a leftover is removed at the next open.
        let _ = state.vfs.remove_dir_all(&dir);
    }
    made
}

fn make(state: &State, name: &str, dir: &Path) -> Result<SnapshotInfo> {
    let vfs = &*state.vfs;
    let (info, batch) = gather(state, name, dir)?;
    state.probe.reached("snapshot: linked");
    write_file(vfs, &dir.join(manifest::FILE), &manifest::encode(&info, &batch)?)?;
    state.probe.reached("snapshot: manifest written");
    let parent = snapshots_dir(state);
    vfs.sync_dir(&parent).map_err(|e| Error::io(parent.display(), e))?;
    Ok(info)
}

/// Links the segments of this moment into the new folder `dir`, and says what belongs to them. The
/// folder has no manifest yet: after a crash the next open removes it.
pub(super) fn gather(state: &State, name: &str, dir: &Path) -> Result<(SnapshotInfo, Batch)> {
    // Not for consistency, only so that little is left to write below.
    for shard in state.all_collections() {
        flush_all(state, &shard, &mut |_| ControlFlow::Continue(()))?;
    }
    let vfs = &*state.vfs;
    vfs.create_dir_all(dir).map_err(|e| Error::io(dir.display(), e))?;
    // Pins one moment: segment files stay while a version has them.
    let (seq, next_collection, pinned) = {
        let commit = state.commit.lock();
        let pinned: Vec<_> =
            state.all_collections().into_iter().map(|shard| (shard.version(), shard)).collect();
        (commit.seq, commit.next_collection, pinned)
    };
    let mut info = SnapshotInfo {
        name: name.to_owned(),
        created_unix_ms: now_unix_ms(),
        seq,
        collections: pinned.len(),
        records: 0,
        segments: 0,
        bytes: 0,
    };
    let mut batch = Batch::default();
    for (version, shard) in &pinned {
        let record = CollectionRecord { name: shard.name.clone(), options: shard.options.clone() };
        catalogue::put_collection(&mut batch, shard.id, &record);
        catalogue::put_quotas(&mut batch, shard.id, &shard.quotas.read());
        for part in &version.segments {
            let segment = &part.file.segment;
            let id = segment.id();
            let link = dir.join(Segment::file_name(id));
            vfs.hard_link(segment.path(), &link).map_err(|e| Error::io(link.display(), e))?;
            let record = SegmentRecord::new(id, segment.rows(), segment.bytes());
            catalogue::put_segment(&mut batch, shard.id, id, &record);
            if !part.deleted.is_empty() {
                catalogue::put_tomb(&mut batch, shard.id, id, seq, &part.deleted);
            }
            info.add(part.live(), &record);
        }
        for record in write_memtables(state, shard, version, dir)? {
            catalogue::put_segment(&mut batch, shard.id, record.id, &record);
            info.add(u64::from(record.rows), &record);
        }
    }
    catalogue::put_seq(&mut batch, seq);
    catalogue::put_next_collection(&mut batch, next_collection);
    catalogue::put_next_segment(&mut batch, state.next_segment.load(Ordering::Relaxed));
    vfs.sync_dir(dir).map_err(|e| Error::io(dir.display(), e))?;
    Ok((info, batch))
}

impl SnapshotInfo {
    fn add(&mut self, records: u64, segment: &SegmentRecord) {
        self.records += records;
        self.segments += 1;
        self.bytes += segment.bytes;
    }
}

/// Writes what was in memory at that moment as segments of the snapshot.
fn write_memtables(
    state: &State,
    shard: &CollectionState,
    version: &Version,
    dir: &Path,
) -> Result<Vec<SegmentRecord>> {
    let mut records = Vec::new();
    for part in &version.memtables {
        let source = MemtableSource::new(version, std::slice::from_ref(part));
        if source.rows() == 0 {
            continue;
        }
        let id = reserve_segment(state)?;
        let written = write_segment(
            &*state.vfs,
            dir,
            id,
            &source,
            &shard.write_options(),
            &Threads(state.options.threads),
            &mut |_| keep_going(state, shard),
        )?;
        records.push(SegmentRecord::new(id, written.rows, written.bytes));
    }
    Ok(records)
}

/// A segment id that will not be given out again, even after a crash.
pub(super) fn reserve_segment(state: &State) -> Result<u64> {
    let id = state.allocate_segment();
    let mut commit = state.commit.lock();
    commit.check()?;
    let mut batch = Batch::default();
    catalogue::put_next_segment(&mut batch, state.next_segment.load(Ordering::Relaxed));
    let committed = state.kv.commit(batch, true);
    commit.fail(committed)?;
    Ok(id)
}

fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
