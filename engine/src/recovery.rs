//! Bringing a collection back when the database opens: map its segments, replay its log.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use vecstore_segments::Pages;

use crate::catalogue::{CataloguedCollection, RemovedNamespace};
use crate::kv::Kv;
use crate::log::{self, Change, Position};
use crate::memory::Gauge;
use crate::memtable::Memtable;
use crate::record::CheckedRecord;
use crate::state::{CollectionState, Head};
use crate::store::SegmentStore;
use crate::version::{MemtablePart, SegmentPart, Version};
use crate::{Error, ErrorKind, Result};

/// Opens the collection's segments and replays what is not in them. `seq` rises to the newest
/// commit seen.
pub(crate) fn recover(
    kv: &dyn Kv,
    store: &SegmentStore,
    pages: Pages,
    gauge: &Arc<Gauge>,
    id: u32,
    found: CataloguedCollection,
    seq: &mut u64,
) -> Result<CollectionState> {
    let CataloguedCollection { record, flushed_epoch, segments, removed, quotas } = found;
    let mut head = Head::default();
    let mut parts = Vec::with_capacity(segments.len());
    for (segment, entry) in segments {
        let Some(expected) = entry.record else {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("the catalogue has deletions of segment {segment}, but not the segment"),
            ));
        };
        let file = store.open_segment(&expected.file, pages)?;
        let same = expected.id == file.segment.id()
            && expected.rows == file.segment.rows()
            && expected.bytes == file.segment.bytes();
        let (found, options) = (&file.segment, &record.options);
        let shape = (found.dim(), found.precision(), found.codes_kept());
        if !same || shape != (options.dim(), options.vector_precision(), options.kept_codes()) {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "{} is not the file that the catalogue describes; restore a snapshot",
                    file.segment.path().display()
                ),
            ));
        }
        head.tombs.insert(segment, entry.tombs);
        let mut deleted = entry.deleted;
        for (name, _) in removed.iter().filter(|(_, removed)| segment < removed.next_segment) {
            if let Some(hidden) = file.segment.namespace(name) {
                deleted.insert_range(hidden.rows.clone());
            }
        }
        parts.push(SegmentPart { file, deleted: Arc::new(deleted) });
    }
    let table = Memtable::new(flushed_epoch + 1, &record.options, gauge);
    let (table, next_number) = replay(kv, table, id, &removed, &record.options, seq)?;
    head.next_number = next_number;
    head.removed = removed.into_iter().map(|(name, removed)| (name.into(), removed)).collect();
    let rows = table.rows();
    let version = Version {
        seq: *seq,
        memtables: vec![MemtablePart { table: Arc::new(table), rows }],
        segments: parts,
    };
    let state = CollectionState::new(id, record.name, record.options, version, head);
    *state.quotas.write() = quotas;
    Ok(state)
}

/// Fills the memtable that comes after the last segment with all epochs that are not in one. It
/// continues the last of them, so that flushing it covers all.
fn replay(
    kv: &dyn Kv,
    table: Memtable,
    collection: u32,
    removed: &BTreeMap<String, RemovedNamespace>,
    options: &crate::CollectionOptions,
    seq: &mut u64,
) -> Result<(Memtable, u32)> {
    let mut last: Option<Position> = None;
    let mut namespaces: HashMap<String, Arc<str>> = HashMap::new();
    log::replay(kv, collection, table.epoch() - 1, &mut |at, frame| {
        last = Some(at);
        *seq = frame.seq.max(*seq);
        if removed.get(&frame.namespace).is_some_and(|removed| frame.seq <= removed.seq) {
            return Ok(());
        }
        table.delete(&frame.namespace, &frame.id, frame.seq);
        let Change::Upsert { vector, json } = frame.change else { return Ok(()) };
        if vector.len() != options.dim() {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "the log has a vector of {} components where {} are expected; restore a snapshot",
                    vector.len(),
                    options.dim()
                ),
            ));
        }
        let namespace = Arc::clone(
            namespaces.entry(frame.namespace).or_insert_with_key(|name| Arc::from(name.as_str())),
        );
        table.append(&namespace, CheckedRecord { id: frame.id, vector, json }, frame.seq);
        Ok(())
    })?;
    Ok(match last {
        None => (table, 0),
        Some(at) => (table.with_epoch(at.epoch), at.number + 1),
    })
}
