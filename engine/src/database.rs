//! Opening a database, and what concerns all its collections.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use vecstore_segments::{FolderLock, LockError, MemVfs, OsVfs, Progress, Vfs, create_folder};

use crate::catalogue::{self, CollectionRecord};
use crate::collection::Collection;
use crate::commit::CommitTimes;
use crate::flush::flush_all;
use crate::kv::{Batch, FjallKv, Kv, MemoryKv, Space, purge};
use crate::log::Position;
use crate::memory::{Gauge, Memory, memory};
use crate::memtable::{Asks, Memtable};
use crate::optimize::{OptimizeReport, optimize};
use crate::options::{CollectionOptions, Durability, Options};
use crate::probe::Probe;
use crate::record::check_name;
use crate::repair::{self, RepairReport};
use crate::snapshot::{self, Archive, ArchiveInfo, SnapshotInfo};
use crate::state::{CollectionState, CommitLock, CommitState, Head, Signals, State};
use crate::stats::{self, Stats, VerifyReport};
use crate::store::{SegmentStore, pages_for};
use crate::version::Version;
use crate::{Error, ErrorKind, Result, background, recovery, settle};

/// An open database: a folder with collections, or the same in memory.
///
/// Cheap to clone, usable from many threads at once. One process at a time can have a folder open.
/// The database closes when the last handle (this, its clones, its collections) is gone.
///
/// ```
/// # fn main() -> vecstore::Result<()> {
/// use vecstore::{Collection, Database, Metric, Record};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("data");
/// let db = Database::open(&path)?;
/// let docs = db.create_collection("docs", Collection::options(2, Metric::Euclidean))?;
/// docs.upsert(Record::new(7, [0.0, 1.0]))?;
/// drop((docs, db));
///
/// let db = Database::open(&path)?;
/// assert!(db.collection("docs")?.get(7)?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Database {
    handle: Arc<Handle>,
}

/// Keeps a database open, and closes it when dropped.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) state: Arc<State>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What a database is opened over.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) lock: Option<FolderLock>,
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) kv: Box<dyn Kv>,
    pub(crate) probe: Probe,
    /// Whether there are threads for work that nobody waits for.
    pub(crate) background: bool,
}

impl Ground {
    pub(crate) fn new(lock: Option<FolderLock>, vfs: Arc<dyn Vfs>, kv: Box<dyn Kv>) -> Self {
        Ground { lock, vfs, kv, probe: Probe::default(), background: true }
    }
}

impl Handle {
    /// Stops the background threads and syncs the log.
    fn close(&self) -> Result<()> {
        if self.state.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.state.background.request();
        self.state.background.notify_done();
        self.state.asks.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            // A background thread that panicked has said so; there is nothing to add here.
            let _ = thread.join();
        }
        let commit = self.state.commit.lock();
        if commit.failed.is_some() {
            return Ok(());
        }
        self.state.kv.sync()?;
        // Only sharpens a later check: on a full volume the note before stays, and stays true.
        let _ = self.state.note(commit.seq);
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if std::process::id() != self.state.process {
            // A forked child has the handles but none of the threads, and the folder is not its own:
            // it must neither sync nor wait, so its copy of the state is never dropped.
            std::mem::forget(Arc::clone(&self.state));
            return;
        }
        // `Database::close` reports this failure; a drop cannot.
        let _ = self.close();
    }
}

impl Database {
    /// Opens the database in the folder `path`, or creates one there.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy) if a process has it open, [`Corrupt`](ErrorKind::Corrupt) if
    /// its catalogue or log is damaged, [`Conflict`](ErrorKind::Conflict) if the folder holds
    /// something else, [`Unsupported`](ErrorKind::Unsupported) if a newer version wrote it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, Options::default())
    }

    /// Like [`open`](Self::open) with settings.
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        Self::open_folder(path.as_ref(), options, true, Arc::new(OsVfs), Probe::default())
    }

    /// Like [`open_with`](Self::open_with), but [`NotFound`](ErrorKind::NotFound) if there is no database.
    pub fn open_existing(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        Self::open_folder(path.as_ref(), options, false, Arc::new(OsVfs), Probe::default())
    }

    /// A database in memory; it is gone when the last handle is.
    pub fn in_memory() -> Result<Self> {
        Self::in_memory_with(Options::default())
    }

    /// Like [`in_memory`](Self::in_memory) with settings; durability means nothing there.
    pub fn in_memory_with(options: Options) -> Result<Self> {
        let vfs = Arc::new(MemVfs::default());
        Self::start(None, options, Ground::new(None, vfs, Box::new(MemoryKv::default())))
    }

    /// Makes a database that does not open, because its log is damaged, open again with what lies
    /// before the damage. What lies behind it is lost; copy the folder first. A database that is
    /// not damaged stays as it is.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no database,
    /// [`Busy`](ErrorKind::Busy) if a process has it open, [`Corrupt`](ErrorKind::Corrupt) if what
    /// is left is no database.
    pub fn repair(path: impl AsRef<Path>) -> Result<RepairReport> {
        let path = path.as_ref();
        if !FjallKv::exists(&OsVfs, path)? {
            return Err(no_database(path));
        }
        let _lock = lock(path)?;
        repair::repair(Arc::new(OsVfs), path)
    }

    pub(crate) fn open_folder(
        path: &Path,
        options: Options,
        create: bool,
        vfs: Arc<dyn Vfs>,
        probe: Probe,
    ) -> Result<Self> {
        options.validate()?;
        let exists = FjallKv::exists(&*vfs, path)?;
        if !exists {
            if !create {
                return Err(no_database(path));
            }
            create_folder(&*vfs, path).map_err(|e| Error::io(path.display(), e))?;
        }
        let lock = lock(path)?;
        if !exists {
            check_empty(&*vfs, path)?;
        }
        let kv = FjallKv::open(Arc::clone(&vfs), path)?;
        let ground = Ground::new(Some(lock), vfs, Box::new(kv));
        Self::start(Some(path), options, Ground { probe, ..ground })
    }

    pub(crate) fn start(path: Option<&Path>, options: Options, ground: Ground) -> Result<Self> {
        options.validate()?;
        let Ground { lock, vfs, kv, probe, background } = ground;
        let root = path.unwrap_or(Path::new(""));
        let segments = SegmentStore::open(Arc::clone(&vfs), root.join("seg"))?;
        let catalogue = catalogue::load(&*kv)?;
        if catalogue.seq < kv.floor() {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "{}: the log ends with commit {}, but commit {} was on disk: it was emptied or \
                     replaced by an older one; put the right one back, or use `repair` to go on \
                     without those commits",
                    root.display(),
                    catalogue.seq,
                    kv.floor()
                ),
            ));
        }
        let pages = pages_for(catalogue.segment_bytes());
        let files: BTreeSet<String> = catalogue
            .collections
            .values()
            .flat_map(|collection| collection.segments.values())
            .filter_map(|segment| Some(segment.record.as_ref()?.file.clone()))
            .collect();
        snapshot::remove_unfinished(&*vfs, root)?;
        // The folders' own names, before anything in them is relied on; also where a process that
        // did not come this far has made them.
        vfs.sync_dir(root).map_err(|e| Error::io(root.display(), e))?;
        segments.remove_all_but(&files)?;
        // A process before this one may have ended between writing a commit and syncing it: what is
        // shown from here on must not go with the next power cut.
        kv.sync()?;
        let gauge = Arc::new(Gauge::new(options.memory_limit));
        let mut seq = catalogue.seq;
        let mut collections = BTreeMap::new();
        let mut flushed = BTreeMap::new();
        for (id, found) in catalogue.collections {
            flushed.insert(id, found.flushed_epoch);
            let collection =
                recovery::recover(&*kv, &segments, pages, &gauge, id, found, &mut seq)?;
            collections.insert(collection.name.clone(), Arc::new(collection));
        }
        // Frames of flushed epochs and of dropped collections, left by a crash.
        let is_left = |key: &[u8]| {
            Position::from_key(key)
                .is_some_and(|at| flushed.get(&at.collection).is_none_or(|&e| at.epoch <= e))
        };
        purge(&*kv, Space::Hot, &[], &is_left, || {
            kv.settle()?;
            Ok(settle::wait(&*kv, &|| false))
        })?;
        let (asks, asked) = Asks::new();
        let state = Arc::new(State {
            path: path.map(Path::to_owned),
            options,
            kv,
            vfs,
            segments,
            collections: RwLock::new(collections),
            queue: Default::default(),
            commit_times: Default::default(),
            commit: CommitLock::new(CommitState {
                seq,
                next_collection: catalogue.next_collection,
                failed: None,
            }),
            next_segment: AtomicU64::new(catalogue.next_segment),
            compacting: Mutex::new(()),
            snapshots: Mutex::new(()),
            background: Signals::default(),
            gauge,
            reserved: AtomicU64::new(0),
            pace: Default::default(),
            disk: Default::default(),
            asks,
            scrubbed: Default::default(),
            batches: Default::default(),
            closed: AtomicBool::new(false),
            process: std::process::id(),
            probe,
            _lock: lock,
        });
        if state.options.durability != Durability::Sync || state.kv.relaxed() {
            // Before the first commit that is not synced; and when the last such time is over.
            state.note(catalogue.seq)?;
        }
        let threads = if background { background::start(&state, asked)? } else { Vec::new() };
        Ok(Database { handle: Arc::new(Handle { state, threads: Mutex::new(threads) }) })
    }

    fn state(&self) -> Result<&Arc<State>> {
        self.handle.state.check()?;
        Ok(&self.handle.state)
    }

    /// Creates a collection.
    ///
    /// # Errors
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if there is one of that name,
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a name or a setting that is not allowed.
    pub fn create_collection(&self, name: &str, options: CollectionOptions) -> Result<Collection> {
        let state = self.state()?;
        check_name("collection", name)?;
        options.validate().map_err(|e| e.at(format_args!("collection `{name}`")))?;
        let mut commit = state.commit.lock();
        commit.check()?;
        if state.collections.read().contains_key(name) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("collection `{name}` exists already"),
            ));
        }
        let id = commit.next_collection;
        let record = CollectionRecord { name: name.to_owned(), options: options.clone() };
        let mut batch = Batch::default();
        catalogue::put_collection(&mut batch, id, &record);
        catalogue::put_next_collection(&mut batch, id + 1);
        catalogue::put_seq(&mut batch, commit.seq + 1);
        let committed = state.kv.commit(batch, true);
        commit.fail(committed)?;
        commit.seq += 1;
        commit.next_collection = id + 1;
        let table = Memtable::new(1, &options, &state.gauge);
        let shard = Arc::new(CollectionState::new(
            id,
            name.to_owned(),
            options,
            Version::empty(commit.seq, table),
            Head::default(),
        ));
        state.collections.write().insert(name.to_owned(), Arc::clone(&shard));
        Ok(Collection::new(Arc::clone(&self.handle), shard))
    }

    /// A collection by name.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), naming the collections there are.
    pub fn collection(&self, name: &str) -> Result<Collection> {
        let state = self.state()?;
        match state.collections.read().get(name) {
            Some(shard) => Ok(Collection::new(Arc::clone(&self.handle), Arc::clone(shard))),
            None => Err(no_such_collection(name, &state.collections.read())),
        }
    }

    /// Names of all collections, ascending.
    pub fn collections(&self) -> Result<Vec<String>> {
        Ok(self.state()?.collections.read().keys().cloned().collect())
    }

    /// Removes a collection with all its records. Handles on it fail from then on.
    pub fn drop_collection(&self, name: &str) -> Result<()> {
        let state = self.state()?;
        let mut commit = state.commit.lock();
        commit.check()?;
        let shard = {
            let collections = state.collections.read();
            let shard = collections.get(name);
            Arc::clone(shard.ok_or_else(|| no_such_collection(name, &collections))?)
        };
        let version = shard.version();
        let mut batch = Batch::default();
        catalogue::remove_collection(&mut batch, shard.id);
        catalogue::remove_quotas(&mut batch, shard.id, &shard.quotas.read());
        catalogue::put_next_segment(&mut batch, state.next_segment.load(Ordering::Relaxed));
        {
            let head = shard.head.lock();
            for name in head.removed.keys() {
                catalogue::forget_removed_namespace(&mut batch, shard.id, name);
            }
            for part in &version.segments {
                let tombs = head.tombs.get(&part.id()).map_or(&[][..], Vec::as_slice);
                catalogue::remove_segment(&mut batch, shard.id, part.id(), tombs);
            }
        }
        catalogue::put_seq(&mut batch, commit.seq + 1);
        let committed = state.kv.commit(batch, true);
        commit.fail(committed)?;
        commit.seq += 1;
        shard.dropped.store(true, Ordering::Release);
        state.collections.write().remove(name);
        shard.publish(Version::empty(commit.seq, version.active().table.next()));
        drop(commit);
        version.segments.iter().for_each(|part| part.file.set_replaced());
        state.purge(Space::Hot, &shard.id.to_be_bytes(), &|_| true)
    }

    /// Turns everything that is in memory now into segments. Never needed for durability.
    pub fn flush(&self) -> Result<()> {
        self.flush_with(&mut |_| ControlFlow::Continue(()))
    }

    /// Like [`flush`](Self::flush), with progress; see [`Collection::flush_with`].
    pub fn flush_with(&self, progress: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<()> {
        let state = self.state()?;
        state.all_collections().iter().try_for_each(|shard| flush_all(state, shard, progress))
    }

    /// Makes every write so far survive a power cut; with [`Durability::Sync`] it already does.
    pub fn sync(&self) -> Result<()> {
        let state = self.state()?;
        if state.options.durability == Durability::Sync {
            return Ok(());
        }
        let mut commit = state.commit.lock();
        commit.check()?;
        let synced = state.kv.sync();
        commit.fail(synced)
    }

    /// Merges the segments of every collection into one each, without dead rows, and returns disk
    /// space. Reads and writes go on meanwhile.
    pub fn optimize(&self) -> Result<OptimizeReport> {
        self.optimize_with(&mut |_| ControlFlow::Continue(()))
    }

    /// Like [`optimize`](Self::optimize), with progress; see [`Collection::optimize_with`].
    pub fn optimize_with(
        &self,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<OptimizeReport> {
        let state = self.state()?;
        optimize(state, &state.all_collections(), progress)
    }

    /// Numbers about the database and each collection.
    pub fn stats(&self) -> Result<Stats> {
        stats::database(self.state()?)
    }

    /// The bytes that the database holds in memory, by what they are for.
    pub fn memory(&self) -> Result<Memory> {
        Ok(memory(self.state()?))
    }

    /// How long commits took since the database was opened.
    pub fn commit_times(&self) -> Result<CommitTimes> {
        Ok(self.state()?.commit_times.read())
    }

    /// Keeps the database as it is now under a name: hard links to its segments and a copy of its
    /// catalogue. Needs no copy of the vectors, and survives `optimize`.
    ///
    /// # Errors
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if there is a snapshot of that name.
    pub fn create_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        snapshot::create(self.state()?, name)
    }

    /// All snapshots, ascending by name.
    pub fn list_snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        snapshot::list(self.state()?)
    }

    /// Brings every collection back to what it was when the snapshot was made; what was written
    /// since is gone. The snapshot stays. Handles on collections stay valid where the collection
    /// is the same one.
    pub fn restore_snapshot(&self, name: &str) -> Result<()> {
        snapshot::restore(self.state()?, name)
    }

    /// Removes a snapshot.
    pub fn remove_snapshot(&self, name: &str) -> Result<()> {
        snapshot::remove(self.state()?, name)
    }

    /// Writes the whole database, as it is now, to one new file, from which
    /// [`unarchive`](Self::unarchive) makes a database again. Reads and writes go on meanwhile.
    /// Snapshots are not in it. `file` has all of it or is not there; until then it is
    /// `<file>.tmp`.
    ///
    /// # Errors
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if there is such a file,
    /// [`Corrupt`](ErrorKind::Corrupt) if a segment is damaged: an archive of it would be no backup.
    pub fn archive(&self, file: impl AsRef<Path>) -> Result<ArchiveInfo> {
        snapshot::archive(self.state()?, file.as_ref())
    }

    /// Makes a database in the folder `path` of an archive, with the same records, settings and
    /// quotas. It exists when all of it is on disk; of an attempt that fails nothing stays but the
    /// folder and its `LOCK`.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such file,
    /// [`Conflict`](ErrorKind::Conflict) if the folder is not empty,
    /// [`Corrupt`](ErrorKind::Corrupt), with the place, if the archive is damaged,
    /// [`Unsupported`](ErrorKind::Unsupported) if a newer version wrote it.
    pub fn unarchive(file: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<ArchiveInfo> {
        let path = path.as_ref();
        let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
        // Before there is a folder: it may not be there.
        let archive = Archive::open(&*vfs, file.as_ref())?;
        create_folder(&*vfs, path).map_err(|e| Error::io(path.display(), e))?;
        let _lock = lock(path)?;
        archive.unpack(&vfs, path)
    }

    /// Reads every byte of every segment and checks it.
    pub fn verify(&self) -> Result<VerifyReport> {
        stats::verify(self.state()?)
    }

    /// Closes the database: stops background work and syncs the log. Handles that are still around
    /// fail from then on; the folder can be opened again when they are gone.
    pub fn close(self) -> Result<()> {
        self.handle.close()
    }
}

fn lock(path: &Path) -> Result<FolderLock> {
    FolderLock::acquire(path).map_err(|error| match error {
        LockError::Held { .. } => Error::caused(
            ErrorKind::Busy,
            format!("{error}; a database can be open in one process at a time"),
            error,
        ),
        LockError::Io { source, .. } => Error::io(path.display(), source),
    })
}

fn no_database(path: &Path) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no database in {}", path.display()))
}

/// A new database is created only in an empty folder.
fn check_empty(vfs: &dyn Vfs, path: &Path) -> Result<()> {
    let ours = |name: &String| {
        // What an interrupted creation leaves.
        matches!(name.as_str(), "LOCK" | "seg" | "snapshots" | "CURRENT.tmp")
            || name.starts_with("kv-")
    };
    let names = vfs.list(path).map_err(|e| Error::io(path.display(), e))?;
    match names.iter().find(|name| !ours(name)) {
        None => Ok(()),
        Some(name) => Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "{} is not a database and not empty (it holds `{name}`); use a new or empty folder",
                path.display()
            ),
        )),
    }
}

fn no_such_collection(name: &str, all: &BTreeMap<String, Arc<CollectionState>>) -> Error {
    let names: Vec<String> = all.keys().take(10).map(|name| format!("`{name}`")).collect();
    let there_are = match names.len() {
        0 => "the database has none".to_owned(),
        _ => format!("there are: {}", names.join(", ")),
    };
    Error::new(ErrorKind::NotFound, format!("there is no collection `{name}`; {there_are}"))
}
