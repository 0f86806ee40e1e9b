//! What a group is: writes that share one batch and one sync.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::change::Change;
use super::{Done, Operation, Write};
use crate::kv::Batch;
use crate::options::Durability;
use crate::record::CheckedRecord;
use crate::state::State;
use crate::{Error, ErrorKind, Result, catalogue};

const APPLIED: &str = "commit: applied";
const COMMITTED: &str = "commit: committed";

/// Commits a write together with others that wait, and returns when it is durable and visible.
pub(crate) fn commit(state: &State, write: Write) -> Result<Done> {
    let bytes = bytes(&write.operation);
    state.queue.submit(write, bytes, |writes| commit_group(state, writes), lost)
}

/// About the bytes that an operation adds to a batch.
fn bytes(operation: &Operation) -> usize {
    match operation {
        Operation::Upsert(records) => records.iter().map(CheckedRecord::bytes).sum(),
        Operation::Remove(ids) => ids.len() * 64,
        Operation::RemoveVersions(ids) => ids.len() * 64,
        Operation::RemoveNamespace => 64,
        Operation::ReplaceVersions(records) => records.iter().map(|(r, _)| r.bytes()).sum(),
    }
}

/// What a write is told whose leader panicked.
fn lost() -> Result<Done> {
    Err(Error::new(
        ErrorKind::Closed,
        "the thread that committed this write together with its own panicked; open the database \
         again to see whether the write is in it",
    ))
}

fn commit_group(state: &State, writes: Vec<Write>) -> Vec<Result<Done>> {
    let mut commit = state.commit.lock();
    if let Err(error) = commit.check() {
        let message = error.to_string();
        return writes.iter().map(|_| Err(Error::new(error.kind(), message.clone()))).collect();
    }
    let started = Instant::now();
    let before = commit.seq;
    // Under the commit lock: what is in a version has a smaller id.
    let next_segment = state.next_segment.load(Ordering::Acquire);
    let mut batch = Batch::default();
    let mut changes: BTreeMap<u32, Change> = BTreeMap::new();
    let results: Vec<Result<Done>> = writes
        .into_iter()
        .map(|write| {
            write.collection.check()?;
            let change = changes
                .entry(write.collection.id)
                .or_insert_with(|| Change::new(&write.collection, next_segment));
            let seq = commit.seq + 1;
            let done = change.apply(&mut batch, seq, &write.namespace, write.operation)?;
            commit.seq = seq;
            Ok(done)
        })
        .collect();
    if batch.len() == 0 {
        // Nothing changed: no number is used up that the log does not have.
        commit.seq = before;
        let unchanged = |done| Done { seq: before, ..done };
        return results.into_iter().map(|result| result.map(unchanged)).collect();
    }
    for change in changes.values() {
        change.log_deletions(&mut batch, commit.seq);
    }
    catalogue::put_seq(&mut batch, commit.seq);
    state.probe.reached(APPLIED);
    let durable = state.options.durability == Durability::Sync;
    let committed = state.kv.commit(batch, durable);
    if let Err(error) = commit.fail(committed) {
        let message = error.to_string();
        let refuse = |_| Err(Error::new(error.kind(), message.clone()));
        return results.into_iter().map(|result| result.and_then(refuse)).collect();
    }
    state.probe.reached(COMMITTED);
    let mut is_work_left = false;
    for (_, change) in changes {
        is_work_left |= change.publish(commit.seq, state.options.memtable_bytes_max);
    }
    state.commit_times.note(started.elapsed());
    drop(commit);
    if is_work_left || state.kv.is_settling_due(state.disk.is_short()) {
        state.background.request();
    }
    results
}
