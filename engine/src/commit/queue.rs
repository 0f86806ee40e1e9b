//! Who leads, and what a group is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::change::Change;
use super::times::Times;
use super::{Done, Operation, Write};
use crate::kv::Batch;
use crate::options::Durability;
use crate::record::CheckedRecord;
use crate::state::State;
use crate::{Error, Result, catalogue};

/// Writers that wait.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    pub(crate) times: Times,
}

#[derive(Debug, Default)]
struct Waiting {
    tickets: Vec<Arc<Ticket>>,
    leading: bool,
}

#[derive(Debug)]
struct Ticket {
    bytes: usize,
    state: Mutex<TicketState>,
    changed: Condvar,
}

#[derive(Debug)]
enum TicketState {
    Waiting(Write),
    /// This writer is to lead the next group.
    Leader(Write),
    /// The leader has taken the write.
    Taken,
    Done(Result<Done>),
}

/// A group takes no more writes once it has this many bytes.
const GROUP_BYTES_MAX: usize = 4 << 20;

/// Commits a write together with others that wait, and returns when it is durable and visible.
pub(crate) fn commit(state: &State, write: Write) -> Result<Done> {
    let bytes = match &write.operation {
        Operation::Upsert(records) => records.iter().map(CheckedRecord::bytes).sum(),
        Operation::Remove(ids) => ids.len() * 64,
        Operation::RemoveVersions(ids) => ids.len() * 64,
        Operation::RemoveNamespace => 64,
        Operation::ReplaceVersions(records) => records.iter().map(|(r, _)| r.bytes()).sum(),
    };
    let ticket = Arc::new(Ticket {
        bytes,
        state: Mutex::new(TicketState::Waiting(write)),
        changed: Condvar::new(),
    });
    let leads = {
        let mut waiting = state.queue.waiting.lock();
        waiting.tickets.push(Arc::clone(&ticket));
        !std::mem::replace(&mut waiting.leading, true)
    };
    if !leads {
        let mut mine = ticket.state.lock();
        loop {
            match &*mine {
                TicketState::Waiting(_) | TicketState::Taken => ticket.changed.wait(&mut mine),
                TicketState::Leader(_) => break,
                TicketState::Done(_) => return take_result(&mut mine),
            }
        }
    }
    lead(state);
    take_result(&mut ticket.state.lock())
}

fn take_result(state: &mut TicketState) -> Result<Done> {
    match std::mem::replace(state, TicketState::Taken) {
        TicketState::Done(result) => result,
        _ => unreachable!("a leader finishes every write of its group, its own first"),
    }
}

/// Commits the writes that wait and hands the lead on.
fn lead(state: &State) {
    let group = take_group(&mut state.queue.waiting.lock().tickets);
    let writes: Vec<Write> = group
        .iter()
        .map(|ticket| match std::mem::replace(&mut *ticket.state.lock(), TicketState::Taken) {
            TicketState::Waiting(write) | TicketState::Leader(write) => write,
            _ => unreachable!("a queued write has not been taken"),
        })
        .collect();
    let results = commit_group(state, writes);
    for (ticket, result) in group.iter().zip(results) {
        *ticket.state.lock() = TicketState::Done(result);
        ticket.changed.notify_one();
    }
    let mut waiting = state.queue.waiting.lock();
    match waiting.tickets.first() {
        None => waiting.leading = false,
        Some(next) => {
            let mut next_state = next.state.lock();
            if let TicketState::Waiting(write) =
                std::mem::replace(&mut *next_state, TicketState::Taken)
            {
                *next_state = TicketState::Leader(write);
            }
            next.changed.notify_one();
        }
    }
}

/// The first writes that wait, up to the size limit and at least one.
fn take_group(tickets: &mut Vec<Arc<Ticket>>) -> Vec<Arc<Ticket>> {
    let mut bytes = 0;
    let fit = tickets
        .iter()
        .take_while(|ticket| {
            bytes += ticket.bytes;
            bytes <= GROUP_BYTES_MAX
        })
        .count();
    tickets.drain(..fit.max(1).min(tickets.len())).collect()
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
    let durable = state.options.durability == Durability::Sync;
    let committed = state.kv.commit(batch, durable);
    if let Err(error) = commit.fail(committed) {
        let message = error.to_string();
        let refuse = |_| Err(Error::new(error.kind(), message.clone()));
        return results.into_iter().map(|result| result.and_then(refuse)).collect();
    }
    let mut sealed = false;
    for (_, change) in changes {
        sealed |= change.publish(commit.seq, state.options.memtable_bytes_max);
    }
    state.queue.times.note(started.elapsed());
    drop(commit);
    if sealed {
        state.background.request();
    }
    results
}
