//! Work that nobody waits for: sealed memtables become segments, segments are merged and scrubbed,
//! rows in memory are linked and indexed, and with periodic durability the log is synced.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::flush::{flush_sealed, gather};
use crate::memtable::Asked;
use crate::optimize::merge_if_worthwhile;
use crate::options::Durability;
use crate::settle::settle_if_due;
use crate::state::{CollectionState, State};
use crate::{Error, ErrorKind, Result, scrub};

/// How long a thread rests after a failure before it tries again.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Sealed memtables become a segment, without anybody who could stop it.
fn flush_waiting(state: &State, collection: &CollectionState) -> Result<bool> {
    gather(state, collection);
    flush_sealed(state, collection, &mut |_| ControlFlow::Continue(()))
}

type Job = fn(&State, &CollectionState) -> Result<bool>;

/// Starts the threads of a database. They end once [`State::closed`] is set, `work` notified, and
/// [`State::asks`] stopped.
pub(crate) fn start(state: &Arc<State>, asked: Asked) -> Result<Vec<JoinHandle<()>>> {
    let flush = |state: Arc<State>| serve(&state, flush_waiting, settle_if_due);
    let mut threads = vec![spawn(state, "vecstore-flush", flush)?];
    threads.push(spawn(state, "vecstore-link", move |_| asked.serve())?);
    if state.options.background_merge {
        let merge = |state: Arc<State>| serve(&state, merge_if_worthwhile, |_| Ok(()));
        threads.push(spawn(state, "vecstore-merge", merge)?);
    }
    let scrub_bytes_per_s = scrub::bytes_per_s(state);
    if scrub_bytes_per_s > 0 {
        let serve = move |state: Arc<State>| scrub::serve(&state, scrub_bytes_per_s);
        threads.push(spawn(state, "vecstore-scrub", serve)?);
    }
    if let Durability::Periodic(interval) = state.options.durability {
        threads.push(spawn(state, "vecstore-sync", move |state| sync(&state, interval))?);
    }
    Ok(threads)
}

fn spawn(
    state: &Arc<State>,
    name: &str,
    work: impl FnOnce(Arc<State>) + Send + 'static,
) -> Result<JoinHandle<()>> {
    let state = Arc::clone(state);
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || work(state))
        .map_err(|e| Error::io("start a background thread", e))
}

/// Does `job` for every collection until there is nothing left, and `then` what is to be done for
/// all of them; waits for the next request.
fn serve(state: &State, job: Job, then: fn(&State) -> Result<()>) {
    loop {
        let seen = state.background.pending.lock().requests;
        let mut failed = false;
        for collection in state.all_collections() {
            failed |= !drain(state, &collection, job);
        }
        // What failed in the log is told by the next write.
        failed |= then(state).is_err_and(|error| error.kind() != ErrorKind::Closed);
        let mut pending = state.background.pending.lock();
        loop {
            if state.closed.load(Ordering::Acquire) {
                return;
            }
            if pending.requests != seen {
                break;
            }
            if !failed {
                state.background.work.wait(&mut pending);
            } else if state.background.work.wait_for(&mut pending, REST_AFTER_FAILURE).timed_out() {
                break;
            }
        }
    }
}

/// Repeats a job while it finds work; false if it failed.
fn drain(state: &State, collection: &CollectionState, job: Job) -> bool {
    loop {
        if state.closed.load(Ordering::Acquire) || collection.dropped.load(Ordering::Acquire) {
            return true;
        }
        match job(state, collection) {
            Ok(true) => *collection.trouble.lock() = None,
            Ok(false) => return true,
            // The database closes, or takes no more writes: nothing to retry.
            Err(error) if error.kind() == ErrorKind::Closed => return true,
            Err(error) => {
                *collection.trouble.lock() = Some(error.to_string());
                return false;
            }
        }
    }
}

fn sync(state: &State, interval: Duration) {
    let mut pending = state.background.pending.lock();
    while !state.closed.load(Ordering::Acquire) {
        // Woken early for other work, it syncs early; that does no harm.
        state.background.work.wait_for(&mut pending, interval);
        parking_lot::MutexGuard::unlocked(&mut pending, || {
            let mut commit = state.commit.lock();
            let synced = state.kv.sync();
            // Reported by the next write.
            let _ = commit.fail(synced);
        });
    }
}
