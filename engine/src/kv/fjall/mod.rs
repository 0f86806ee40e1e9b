//! The store on disk: fjall, pinned to one version, used narrowly.
//!
//! What is relied on: plain keyspaces, batches that are atomic across keyspaces and durable before
//! they are visible, and snapshots (direct reads of a keyspace see half-applied batches). What is
//! not used: key-value separation, ingestion, `clear`, transactions.
//!
//! fjall begins a new journal at 64 MB, and removes an old one when no keyspace needs it any more. By
//! itself it moves each keyspace to tables at another time, and one that is seldom written keeps
//! journals for long. So all are moved together (`settle`), and the catalogue not otherwise.
//!
//! Before fjall opens, its journals are examined (`journal`, `audit`): what it would drop silently
//! is refused.
//!
//! fjall lives in `kv-<generation>/`; the file `CURRENT` names the generation in force. A new
//! generation is written beside the old one and takes over by renaming `CURRENT`, which is how a
//! half-created store is told from a complete one, and how the space of an old journal (64 MiB
//! at a time otherwise) is given back.

mod audit;
mod buffers;
mod current;
mod journal;

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{AbstractTree, KeyspaceCreateOptions, PersistMode, Readable};
use parking_lot::{Mutex, RwLock};
use vecstore_segments::Vfs;

use self::audit::{Audit, Cut};
use self::buffers::Buffers;
use self::current::{Current, folder, generation_of};
use super::{Batch, CompactError, Kv, Space, Visit};
use crate::error::io_kind;
use crate::{Error, ErrorKind, Result};

/// Key of the database's id, which `CURRENT` has too; the catalogue passes it over.
pub(crate) const ID_KEY: &[u8] = b"database";
const BLOCK_CACHE_BYTES: u64 = 8 << 20;
const HOT_TABLE_BYTES: u64 = 16 << 20;
/// More than the catalogue and the deletions write between two times that all is settled.
const SMALL_TABLE_BYTES: u64 = 64 << 20;
/// Written since all was settled, at which it is to be settled again: what fjall takes for a journal.
const UNSETTLED_BYTES_MAX: u64 = 64 << 20;
/// The same where an old journal waits for it.
const UNSETTLED_BYTES_WITH_OLD: u64 = 4 << 20;
/// The same where writers are slowed down because much of the disk is taken.
const UNSETTLED_BYTES_SHORT: u64 = 8 << 20;

/// fjall in a folder.
#[derive(Debug)]
pub(crate) struct FjallKv {
    dir: PathBuf,
    vfs: Arc<dyn Vfs>,
    /// What the file `CURRENT` says.
    said: Mutex<Current>,
    recovery: Option<String>,
    current: RwLock<Arc<Generation>>,
    /// An empty store that is to take over.
    next: Mutex<Option<Generation>>,
    /// Bytes written since all was settled.
    unsettled: AtomicU64,
}

/// One fjall database and its keyspaces, in the order of [`Space::ALL`].
struct Generation {
    number: u64,
    database: fjall::Database,
    spaces: [fjall::Keyspace; 4],
    buffers: Buffers,
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Generation({})", self.number)
    }
}

impl FjallKv {
    /// Whether `dir` holds a complete store.
    pub(crate) fn exists(vfs: &dyn Vfs, dir: &Path) -> Result<bool> {
        current::exists(vfs, dir)
    }

    /// Opens the store in `dir`, or creates it. The caller holds the folder's lock.
    pub(crate) fn open(vfs: Arc<dyn Vfs>, dir: &Path) -> Result<Self> {
        if !Self::exists(&*vfs, dir)? {
            return Self::create(vfs, dir, Batch::default(), 0);
        }
        let said = Current::read(&*vfs, dir)?;
        remove_all_but(&*vfs, dir, Some(said.generation))?;
        let audit = Audit::read(&*vfs, &dir.join(folder(said.generation)))?;
        let recovery = audit.mend(&*vfs, said.relaxed, said.commit)?;
        let generation = Generation::open(dir, said.generation)?;
        generation.check_id(dir, said.id)?;
        Ok(Self::over(vfs, dir, said, recovery, generation))
    }

    /// Creates the store in `dir`, which has none, with `contents`, whose last commit is `commit`.
    /// It exists when all of that is on disk. The caller holds the folder's lock.
    pub(crate) fn create(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        mut contents: Batch,
        commit: u64,
    ) -> Result<Self> {
        remove_all_but(&*vfs, dir, None)?;
        let said = Current { generation: 1, id: new_id(), commit, relaxed: false };
        let first = Generation::open(dir, said.generation)?;
        contents.put(Space::Meta, ID_KEY.to_vec(), said.id.to_le_bytes().to_vec());
        first.commit(dir, contents, true)?;
        // The folder that it names, before the file that names it.
        vfs.sync_dir(dir).map_err(|e| Error::io(dir.display(), e))?;
        said.write(&*vfs, dir)?;
        Ok(Self::over(vfs, dir, said, None, first))
    }

    fn over(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        said: Current,
        recovery: Option<String>,
        generation: Generation,
    ) -> Self {
        FjallKv {
            dir: dir.to_owned(),
            vfs,
            said: Mutex::new(said),
            recovery,
            current: RwLock::new(Arc::new(generation)),
            next: Mutex::new(None),
            // Journals of a process before this one may be there.
            unsettled: AtomicU64::new(UNSETTLED_BYTES_WITH_OLD),
        }
    }

    /// Drops from the store in `dir` what lies behind damage, so that it opens again with what
    /// lies before. The caller holds the folder's lock.
    pub(crate) fn repair(vfs: &dyn Vfs, dir: &Path) -> Result<Cut> {
        let found = match Current::read(vfs, dir) {
            Ok(current) => current,
            Err(error) if error.kind() == ErrorKind::Corrupt => guess_current(vfs, dir)?,
            Err(error) => return Err(error),
        };
        let cut = Audit::read(vfs, &dir.join(folder(found.generation)))?.cut(vfs)?;
        let generation = Generation::open(dir, found.generation)?;
        let id = generation.id(dir)?.unwrap_or_else(new_id);
        let mut batch = Batch::default();
        batch.put(Space::Meta, ID_KEY.to_vec(), id.to_le_bytes().to_vec());
        generation.commit(dir, batch, true)?;
        // Whatever was promised is gone: from here on, what there is.
        Current { id, commit: 0, ..found }.write(vfs, dir)?;
        Ok(cut)
    }

    fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.current.read())
    }
}

impl Generation {
    fn open(dir: &Path, number: u64) -> Result<Self> {
        let path = dir.join(folder(number));
        let fail = |e| store_error("open the log", &path, e);
        let database = fjall::Database::builder(&path)
            .cache_size(BLOCK_CACHE_BYTES)
            // Beyond it fjall would settle one keyspace without the others.
            .max_journaling_size(u64::MAX)
            .worker_threads(1)
            .open()
            .map_err(fail)?;
        let keyspace = |space: Space| {
            let bytes = if space == Space::Hot { HOT_TABLE_BYTES } else { SMALL_TABLE_BYTES };
            database
                .keyspace(space.name(), || {
                    KeyspaceCreateOptions::default().max_memtable_size(bytes)
                })
                .map_err(|e| store_error("open the log", &path, e))
        };
        let [a, b, c, d] = Space::ALL;
        let spaces = [keyspace(a)?, keyspace(b)?, keyspace(c)?, keyspace(d)?];
        let buffers = Buffers::default();
        buffers.look(&spaces);
        Ok(Generation { number, database, spaces, buffers })
    }

    fn id(&self, dir: &Path) -> Result<Option<u128>> {
        let mut id = None;
        self.scan(dir, Space::Meta, ID_KEY, &mut |key, value| {
            if key == ID_KEY {
                id = value.try_into().ok().map(u128::from_le_bytes);
            }
            Ok(())
        })?;
        Ok(id)
    }

    fn check_id(&self, dir: &Path, expected: u128) -> Result<()> {
        if self.id(dir)? == Some(expected) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "{}: this log was emptied, or is that of another database; put the right one back",
                dir.join(folder(self.number)).display()
            ),
        ))
    }

    fn keyspace(&self, space: Space) -> &fjall::Keyspace {
        &self.spaces[space as usize]
    }

    fn commit(&self, dir: &Path, batch: Batch, durable: bool) -> Result<()> {
        let mode = if durable { PersistMode::SyncData } else { PersistMode::Buffer };
        let mut write = self.database.batch().durability(Some(mode));
        for (space, key, value) in batch.changes {
            match value {
                Some(value) => write.insert(self.keyspace(space), key, value),
                None => write.remove(self.keyspace(space), key),
            }
        }
        let committed = write.commit().map_err(|e| store_error("write the log", dir, e));
        self.buffers.look(&self.spaces);
        committed
    }

    /// Copies everything to an empty store and makes it durable.
    fn copy_to(&self, next: &Generation, dir: &Path) -> Result<()> {
        const KEYS_A_BATCH: usize = 1_000;
        for space in Space::ALL {
            let mut batch = Batch::default();
            self.scan(dir, space, &[], &mut |key, value| {
                batch.put(space, key.to_vec(), value.to_vec());
                if batch.len() == KEYS_A_BATCH {
                    next.commit(dir, std::mem::take(&mut batch), false)?;
                }
                Ok(())
            })?;
            next.commit(dir, batch, false)?;
        }
        next.database.persist(PersistMode::SyncAll).map_err(|e| store_error("sync the log", dir, e))
    }

    fn scan(&self, dir: &Path, space: Space, prefix: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        let snapshot = self.database.snapshot();
        for guard in snapshot.prefix(self.keyspace(space), prefix) {
            let (key, value) =
                guard.into_inner().map_err(|e| store_error("read the log", dir, e))?;
            visit(&key, &value)?;
        }
        Ok(())
    }
}

impl Kv for FjallKv {
    fn commit(&self, batch: Batch, durable: bool) -> Result<()> {
        self.unsettled.fetch_add(batch.bytes(), Ordering::Relaxed);
        self.generation().commit(&self.dir, batch, durable)
    }

    fn scan(&self, space: Space, prefix: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        self.generation().scan(&self.dir, space, prefix, visit)
    }

    fn sync(&self) -> Result<()> {
        self.generation()
            .database
            .persist(PersistMode::SyncData)
            .map_err(|e| store_error("sync the log", &self.dir, e))
    }

    fn floor(&self) -> u64 {
        self.said.lock().commit
    }

    fn note(&self, commit: u64, relaxed: bool) -> Result<()> {
        let mut said = self.said.lock();
        if said.commit >= commit && said.relaxed == relaxed {
            return Ok(());
        }
        let next = Current { commit: said.commit.max(commit), relaxed, ..said.clone() };
        next.write(&*self.vfs, &self.dir)?;
        *said = next;
        Ok(())
    }

    fn relaxed(&self) -> bool {
        self.said.lock().relaxed
    }

    fn recovery(&self) -> Option<&str> {
        self.recovery.as_deref()
    }

    fn bytes(&self) -> Result<u64> {
        // Not `disk_space()`: it counts the 64 MiB that a journal reserves but does not use.
        let dir = self.dir.join(folder(self.generation().number));
        self.vfs.stored_bytes(&dir).map_err(|e| Error::io(dir.display(), e))
    }

    fn settle(&self) -> Result<()> {
        self.unsettled.store(0, Ordering::Relaxed);
        let generation = self.generation();
        generation.spaces.iter().try_for_each(|keyspace| {
            let rotated = keyspace.rotate_memtable().map(drop);
            rotated.map_err(|e| store_error("settle the log", &self.dir, e))
        })?;
        generation.buffers.look(&generation.spaces);
        Ok(())
    }

    fn is_settled(&self) -> bool {
        let generation = self.generation();
        generation.spaces.iter().all(|keyspace| keyspace.tree.sealed_memtable_count() == 0)
    }

    fn has_old_journals(&self) -> bool {
        self.generation().database.journal_count() > 1
    }

    fn is_settling_due(&self, is_short: bool) -> bool {
        let unsettled = self.unsettled.load(Ordering::Relaxed);
        unsettled >= if is_short { UNSETTLED_BYTES_SHORT } else { UNSETTLED_BYTES_MAX }
            || (unsettled >= UNSETTLED_BYTES_WITH_OLD && self.has_old_journals())
    }

    fn memory_bytes(&self) -> u64 {
        let generation = self.generation();
        generation.buffers.bytes() + generation.database.cache_size()
    }

    fn buffer_bytes(&self) -> u64 {
        self.generation().buffers.bytes()
    }

    fn prepare_compact(&self) -> Result<()> {
        // Creating a store takes dozens of syncs, which no writer should wait for.
        let mut next = self.next.lock();
        if next.is_none() {
            *next = Some(Generation::open(&self.dir, self.generation().number + 1)?);
        }
        Ok(())
    }

    fn compact(&self) -> std::result::Result<(), CompactError> {
        self.prepare_compact().map_err(CompactError::Unchanged)?;
        let Some(next) = self.next.lock().take() else { return Ok(()) };
        let mut current = self.current.write();
        if let Err(error) = current.copy_to(&next, &self.dir) {
            let leftover = self.dir.join(folder(next.number));
            drop(next);
            // The copy is what failed; what is left of it is removed at the next open.
            let _ = self.vfs.remove_dir_all(&leftover);
            return Err(CompactError::Unchanged(error));
        }
        let mut said = self.said.lock();
        // The folder that it names, before the file that names it.
        self.vfs
            .sync_dir(&self.dir)
            .map_err(|e| CompactError::Unchanged(Error::io(self.dir.display(), e)))?;
        let switched = Current { generation: next.number, ..said.clone() };
        switched.write(&*self.vfs, &self.dir).map_err(CompactError::Unknown)?;
        *said = switched;
        drop(said);
        let previous = std::mem::replace(&mut *current, Arc::new(next));
        drop(current);
        let leftover = self.dir.join(folder(previous.number));
        drop(previous);
        // Removed at the next open if not now.
        let _ = self.vfs.remove_dir_all(&leftover);
        Ok(())
    }
}

/// Removes the log folders that are not in force: what an interrupted creation or compaction left.
fn remove_all_but(vfs: &dyn Vfs, dir: &Path, in_force: Option<u64>) -> Result<()> {
    for name in vfs.list(dir).map_err(|e| Error::io(dir.display(), e))? {
        if generation_of(&name).is_some_and(|n| Some(n) != in_force) {
            let path = dir.join(&name);
            vfs.remove_dir_all(&path).map_err(|e| Error::io(path.display(), e))?;
        }
    }
    Ok(())
}

/// What a damaged `CURRENT` must have named, where only one log folder is there.
fn guess_current(vfs: &dyn Vfs, dir: &Path) -> Result<Current> {
    let names = vfs.list(dir).map_err(|e| Error::io(dir.display(), e))?;
    let found: Vec<u64> = names.iter().filter_map(|name| generation_of(name)).collect();
    match found[..] {
        [generation] => Ok(Current { generation, id: 0, commit: 0, relaxed: false }),
        _ => Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "{}: CURRENT is damaged and there are {} log folders, so that it cannot be told \
                 which was in force; put CURRENT back from a backup",
                dir.display(),
                found.len()
            ),
        )),
    }
}

/// An id that no other database has.
fn new_id() -> u128 {
    // Each of these is keyed by the system's randomness.
    let half = || u128::from(RandomState::new().hash_one(std::process::id()));
    half() << 64 | half()
}

fn store_error(what: &str, dir: &Path, error: fjall::Error) -> Error {
    let kind = match &error {
        fjall::Error::Io(e) | fjall::Error::Storage(fjall::LsmError::Io(e)) => io_kind(e),
        fjall::Error::Poisoned => ErrorKind::Closed,
        fjall::Error::Locked => ErrorKind::Busy,
        fjall::Error::InvalidVersion(_) => ErrorKind::Unsupported,
        _ => ErrorKind::Corrupt,
    };
    Error::caused(kind, format!("could not {what} in {}: {error}", dir.display()), error)
}
