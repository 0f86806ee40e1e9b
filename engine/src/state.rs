//! What all parts of an open database share.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
use vecstore_segments::{FolderLock, Vfs, WriteOptions};

use crate::catalogue::RemovedNamespace;
use crate::commit::{Disk, Done, Pace, Queue, Times, Write};
use crate::costs::MachineCosts;
use crate::kv::{Kv, Space, purge};
use crate::memory::Gauge;
use crate::memtable::Asks;
use crate::options::{CollectionOptions, Durability, Options};
use crate::probe::Probe;
use crate::quota::Quotas;
use crate::scrub::Scrubbed;
use crate::settle::settle;
use crate::store::SegmentStore;
use crate::version::Version;
use crate::{Error, ErrorKind, Result};

/// An open database, seen from inside.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) path: Option<PathBuf>,
    pub(crate) options: Options,
    pub(crate) kv: Box<dyn Kv>,
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) segments: SegmentStore,
    pub(crate) collections: RwLock<BTreeMap<String, Arc<CollectionState>>>,
    pub(crate) queue: Queue<Write, Result<Done>>,
    pub(crate) commit_times: Times,
    /// Held by whoever changes what is committed: the commit leader, and the last step of flush,
    /// optimize, snapshot and restore.
    pub(crate) commit: CommitLock,
    pub(crate) next_segment: AtomicU64,
    /// One compaction of the log at a time.
    pub(crate) compacting: Mutex<()>,
    /// One snapshot or restore at a time.
    pub(crate) snapshots: Mutex<()>,
    pub(crate) background: Signals,
    /// Bytes of all memtables.
    pub(crate) gauge: Arc<Gauge>,
    /// Bytes that writes under way may add to them and to the log.
    pub(crate) reserved: AtomicU64,
    pub(crate) pace: Pace,
    pub(crate) disk: Disk,
    /// What readers want to be made of rows in memory.
    pub(crate) asks: Asks,
    pub(crate) scrubbed: Scrubbed,
    /// Batches of queries that run now; they share the threads.
    pub(crate) batches: AtomicUsize,
    pub(crate) closed: AtomicBool,
    pub(crate) process: u32,
    pub(crate) probe: Probe,
    /// Released last.
    pub(crate) _lock: Option<FolderLock>,
}

/// Counters of the commit leader.
#[derive(Debug)]
pub(crate) struct CommitState {
    pub(crate) seq: u64,
    pub(crate) next_collection: u32,
    /// Why nothing can be committed any more: what is on disk after a failed write is not known
    /// until the database is opened again.
    pub(crate) failed: Option<String>,
}

/// The lock of [`CommitState`]. Whoever panics while he holds it may have left memory and disk apart,
/// so nothing is committed after that.
#[derive(Debug)]
pub(crate) struct CommitLock(Mutex<CommitState>);

/// Holds [`CommitLock`].
pub(crate) struct CommitGuard<'a> {
    state: MutexGuard<'a, CommitState>,
    /// Whether a panic was under way already, which is none of this guard.
    panicking: bool,
}

impl CommitLock {
    pub(crate) fn new(state: CommitState) -> Self {
        CommitLock(Mutex::new(state))
    }

    pub(crate) fn lock(&self) -> CommitGuard<'_> {
        CommitGuard { state: self.0.lock(), panicking: std::thread::panicking() }
    }
}

impl Drop for CommitGuard<'_> {
    fn drop(&mut self) {
        if !self.panicking && std::thread::panicking() {
            self.state.failed.get_or_insert_with(|| "a thread panicked in the middle".to_owned());
        }
    }
}

impl Deref for CommitGuard<'_> {
    type Target = CommitState;

    fn deref(&self) -> &CommitState {
        &self.state
    }
}

impl DerefMut for CommitGuard<'_> {
    fn deref_mut(&mut self) -> &mut CommitState {
        &mut self.state
    }
}

/// Wakes the background threads, and those who wait for them.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    pub(crate) pending: Mutex<Pending>,
    /// There may be work, or the database closes.
    pub(crate) work: Condvar,
    /// A flush or a merge has ended.
    pub(crate) done: Condvar,
}

/// Work that was asked for, counted so that no request is missed.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) requests: u64,
}

impl Signals {
    pub(crate) fn request(&self) {
        self.pending.lock().requests += 1;
        self.work.notify_all();
    }

    pub(crate) fn notify_done(&self) {
        drop(self.pending.lock());
        self.done.notify_all();
    }
}

/// A collection, seen from inside.
#[derive(Debug)]
pub(crate) struct CollectionState {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) options: CollectionOptions,
    version: RwLock<Arc<Version>>,
    pub(crate) quotas: RwLock<Quotas>,
    /// Only used by whoever holds [`State::commit`].
    pub(crate) head: Mutex<Head>,
    /// One flush at a time.
    pub(crate) flushing: Mutex<()>,
    /// One merge at a time.
    pub(crate) merging: Mutex<()>,
    pub(crate) dropped: AtomicBool,
    /// The last failure of background work, until it succeeds again.
    pub(crate) trouble: Mutex<Option<String>>,
    pub(crate) costs: MachineCosts,
}

/// Where the next log frame goes, and which entries of deletions and removals exist.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) next_number: u32,
    pub(crate) tombs: HashMap<u64, Vec<u64>>,
    /// Namespaces that have an entry of their removal.
    pub(crate) removed: BTreeMap<Arc<str>, RemovedNamespace>,
}

impl CollectionState {
    pub(crate) fn new(
        id: u32,
        name: String,
        options: CollectionOptions,
        version: Version,
        head: Head,
    ) -> Self {
        CollectionState {
            id,
            name,
            costs: MachineCosts::new(options.dim()),
            options,
            version: RwLock::new(Arc::new(version)),
            quotas: RwLock::default(),
            head: Mutex::new(head),
            flushing: Mutex::new(()),
            merging: Mutex::new(()),
            dropped: AtomicBool::new(false),
            trouble: Mutex::new(None),
        }
    }

    /// How segments are written.
    pub(crate) fn write_options(&self) -> WriteOptions {
        self.options.write_options(|| *self.costs.measured())
    }

    /// The newest published version.
    pub(crate) fn version(&self) -> Arc<Version> {
        Arc::clone(&self.version.read())
    }

    /// Publishes a version; only whoever holds [`State::commit`] may.
    pub(crate) fn publish(&self, version: Version) {
        let version = Arc::new(version);
        let previous = std::mem::replace(&mut *self.version.write(), version);
        // Dropped outside the lock: it may be the last reader of a large memtable.
        drop(previous);
    }

    /// Fails once the collection was dropped.
    pub(crate) fn check(&self) -> Result<()> {
        if self.dropped.load(Ordering::Acquire) {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("collection `{}` was dropped", self.name),
            ));
        }
        Ok(())
    }
}

impl State {
    /// Fails if the database was closed, or is used in a forked process.
    pub(crate) fn check(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "the database was closed"));
        }
        if std::process::id() != self.process {
            return Err(Error::new(
                ErrorKind::Closed,
                "the database was opened before a fork; open it again in this process",
            ));
        }
        Ok(())
    }

    /// Notes that commit `seq` is on disk.
    pub(crate) fn note(&self, seq: u64) -> Result<()> {
        self.kv.note(seq, self.options.durability != Durability::Sync)
    }

    /// Removes keys that no longer mean anything; see [`purge`].
    pub(crate) fn purge(
        &self,
        space: Space,
        prefix: &[u8],
        dead: &dyn Fn(&[u8]) -> bool,
    ) -> Result<()> {
        let purged = purge(&*self.kv, space, prefix, dead, || settle(self));
        if purged.is_err() {
            // Nothing is committed after a batch that failed, whatever was in it.
            return self.commit.lock().fail(purged);
        }
        purged
    }

    pub(crate) fn all_collections(&self) -> Vec<Arc<CollectionState>> {
        self.collections.read().values().map(Arc::clone).collect()
    }

    pub(crate) fn allocate_segment(&self) -> u64 {
        self.next_segment.fetch_add(1, Ordering::Relaxed)
    }
}

impl CommitState {
    pub(crate) fn check(&self) -> Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(why) => Err(Error::new(
                ErrorKind::Closed,
                format!(
                    "the database takes no more writes after a failed one; open it again ({why})"
                ),
            )),
        }
    }

    /// Remembers a failed commit: nothing may be committed after it.
    pub(crate) fn fail<T>(&mut self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            self.failed = Some(error.to_string());
        }
        result
    }
}
