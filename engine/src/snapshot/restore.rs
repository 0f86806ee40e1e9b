//! Going back to a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use vecstore_segments::Segment;

use super::create::reserve_segment;
use super::{existing, manifest};
use crate::catalogue::{self, Catalogue, CataloguedCollection, SegmentRecord};
use crate::kv::{Batch, Space, purge};
use crate::log::Position;
use crate::memory::segment_bytes;
use crate::memtable::Memtable;
use crate::record::check_name;
use crate::settle::wait;
use crate::state::{CollectionState, Head, State};
use crate::store::pages_for;
use crate::version::{SegmentFile, SegmentPart, Version};
use crate::{Error, Result};

pub(crate) fn restore(state: &State, name: &str) -> Result<()> {
    check_name("snapshot", name)?;
    let _one_at_a_time = state.snapshots.lock();
    let dir = existing(state, name)?;
    let (_, catalogue) = manifest::read(&*state.vfs, &dir)?;
    let linked = link_back(state, &dir, &catalogue)?;
    state.probe.reached("restore: linked");

    let mut commit = state.commit.lock();
    commit.check()?;
    let current: BTreeMap<u32, Arc<CollectionState>> =
        state.all_collections().into_iter().map(|shard| (shard.id, shard)).collect();
    // A collection that was dropped since may have left frames that must not come back.
    for id in catalogue.collections.keys().filter(|id| !current.contains_key(id)) {
        let purged = purge(&*state.kv, Space::Hot, &id.to_be_bytes(), &|_| true, || {
            state.kv.settle()?;
            wait(&*state.kv, &|| false);
            // Whether or not: under the restored collection they would mean something.
            Ok(true)
        });
        commit.fail(purged)?;
    }
    let seq = commit.seq + 1;
    let epochs: BTreeMap<u32, u32> =
        current.iter().map(|(&id, shard)| (id, shard.version().active().table.epoch())).collect();
    let mut batch = Batch::default();
    remove_current(&mut batch, &current);
    put_restored(&mut batch, &catalogue, &linked, &epochs);
    catalogue::put_seq(&mut batch, seq);
    let next_collection = commit.next_collection.max(catalogue.next_collection);
    state.next_segment.fetch_max(catalogue.next_segment, Ordering::Relaxed);
    catalogue::put_next_collection(&mut batch, next_collection);
    catalogue::put_next_segment(&mut batch, state.next_segment.load(Ordering::Relaxed));
    // From here on the catalogue may have them, also if the commit seems to fail.
    linked.values().for_each(|(_, file)| file.set_in_use());
    let committed = state.kv.commit(batch, true);
    commit.fail(committed)?;
    state.probe.reached("restore: committed");
    commit.seq = seq;
    commit.next_collection = next_collection;
    publish(state, seq, catalogue, linked, &current, &epochs);
    drop(commit);
    state.background.notify_done();
    for (id, epoch) in epochs {
        let old = |key: &[u8]| Position::from_key(key).is_some_and(|at| at.epoch <= epoch);
        state.purge(Space::Hot, &id.to_be_bytes(), &old)?;
    }
    Ok(())
}

/// A restored segment: its record and the open file.
type Linked = BTreeMap<u64, (SegmentRecord, Arc<SegmentFile>)>;

/// Links the snapshot's segments into the database under names not used before, and opens them.
/// Until the commit they are files that nobody lists.
fn link_back(state: &State, dir: &Path, catalogue: &Catalogue) -> Result<Linked> {
    let token = reserve_segment(state)?;
    let mut linked = Linked::new();
    let pages = pages_for(segment_bytes(state) + catalogue.segment_bytes());
    for collection in catalogue.collections.values() {
        for (&id, entry) in &collection.segments {
            let Some(record) = &entry.record else { continue };
            let from = dir.join(Segment::file_name(id));
            let record = SegmentRecord { file: format!("{id:012}-{token}.seg"), ..record.clone() };
            let to = state.segments.path(&record.file);
            state.vfs.hard_link(&from, &to).map_err(|e| Error::io(from.display(), e))?;
            let file = state.segments.open_segment(&record.file, pages)?;
            // Removed again if the commit below is not reached.
            file.set_replaced();
            linked.insert(id, (record, file));
        }
    }
    let seg = state.segments.dir();
    state.vfs.sync_dir(seg).map_err(|e| Error::io(seg.display(), e))?;
    Ok(linked)
}

fn remove_current(batch: &mut Batch, current: &BTreeMap<u32, Arc<CollectionState>>) {
    for (&id, shard) in current {
        catalogue::remove_collection(batch, id);
        catalogue::remove_quotas(batch, id, &shard.quotas.read());
        let head = shard.head.lock();
        // What the snapshot has of a namespace that was removed since is to be seen again.
        for name in head.removed.keys() {
            catalogue::forget_removed_namespace(batch, id, name);
        }
        for part in &shard.version().segments {
            let tombs = head.tombs.get(&part.id()).map_or(&[][..], Vec::as_slice);
            catalogue::remove_segment(batch, id, part.id(), tombs);
        }
    }
}

fn put_restored(
    batch: &mut Batch,
    catalogue: &Catalogue,
    linked: &Linked,
    epochs: &BTreeMap<u32, u32>,
) {
    for (&id, collection) in &catalogue.collections {
        catalogue::put_collection(batch, id, &collection.record);
        catalogue::put_quotas(batch, id, &collection.quotas);
        // What is in the log now belongs to the state that is replaced.
        catalogue::put_flushed_epoch(batch, id, epochs.get(&id).copied().unwrap_or(0));
        for (&segment, entry) in &collection.segments {
            if let Some((record, _)) = linked.get(&segment) {
                catalogue::put_segment(batch, id, segment, record);
            }
            if !entry.deleted.is_empty() {
                catalogue::put_tomb(batch, id, segment, catalogue.seq, &entry.deleted);
            }
        }
    }
}

fn publish(
    state: &State,
    seq: u64,
    catalogue: Catalogue,
    mut linked: Linked,
    current: &BTreeMap<u32, Arc<CollectionState>>,
    epochs: &BTreeMap<u32, u32>,
) {
    let tomb_seq = catalogue.seq;
    let mut collections = BTreeMap::new();
    let restored: BTreeSet<u32> = catalogue.collections.keys().copied().collect();
    for (id, collection) in catalogue.collections {
        let CataloguedCollection { record, segments, quotas, .. } = collection;
        let epoch = epochs.get(&id).copied().unwrap_or(0) + 1;
        let table = Memtable::new(epoch, &record.options, &state.gauge);
        let mut version = Version::empty(seq, table);
        let mut head = Head::default();
        for (segment, entry) in segments {
            let Some((_, file)) = linked.remove(&segment) else { continue };
            if !entry.deleted.is_empty() {
                head.tombs.insert(segment, vec![tomb_seq]);
            }
            version.insert_segment(SegmentPart { file, deleted: Arc::new(entry.deleted) });
        }
        let shard = match current.get(&id) {
            Some(shard) => {
                let before = shard.version();
                *shard.head.lock() = head;
                shard.publish(version);
                before.segments.iter().for_each(|part| part.file.set_replaced());
                Arc::clone(shard)
            }
            None => Arc::new(CollectionState::new(
                id,
                record.name.clone(),
                record.options,
                version,
                head,
            )),
        };
        *shard.quotas.write() = quotas;
        collections.insert(record.name, shard);
    }
    for (_, shard) in current.iter().filter(|(id, _)| !restored.contains(id)) {
        shard.dropped.store(true, Ordering::Release);
        let before = shard.version();
        shard.publish(Version::empty(seq, before.active().table.next()));
        before.segments.iter().for_each(|part| part.file.set_replaced());
    }
    *state.collections.write() = collections;
}
