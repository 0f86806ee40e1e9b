//! The store on disk: fjall, pinned to one version, used narrowly.
//!
//! What is relied on: plain keyspaces, batches that are atomic across keyspaces and durable before
//! they are visible, and snapshots (direct reads of a keyspace see half-applied batches). What is
//! not used: key-value separation, ingestion, `clear`, transactions.
//!
//! fjall lives in `kv-<generation>/`; the file `CURRENT` names the generation in force. A new
//! generation is written beside the old one and takes over by renaming `CURRENT`, which is how a
//! half-created store is told from a complete one, and how the space of an old journal (64 MiB
//! at a time otherwise) is given back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::{KeyspaceCreateOptions, PersistMode, Readable};
use parking_lot::{Mutex, RwLock};
use vecstore_segments::Vfs;

use super::{Batch, CompactError, Kv, Space, Visit};
use crate::error::io_kind;
use crate::{Error, ErrorKind, Result};

const CURRENT: &str = "CURRENT";
const CURRENT_HEAD: &str = "vecstore database, format 1";
const BLOCK_CACHE_BYTES: u64 = 8 << 20;
const HOT_TABLE_BYTES: u64 = 16 << 20;
const SMALL_TABLE_BYTES: u64 = 4 << 20;
const JOURNALS_BYTES_MAX: u64 = 128 << 20;

/// fjall in a folder.
#[derive(Debug)]
pub(crate) struct FjallKv {
    dir: PathBuf,
    vfs: Arc<dyn Vfs>,
    current: RwLock<Arc<Generation>>,
    /// An empty store that is to take over.
    next: Mutex<Option<Generation>>,
}

/// One fjall database and its keyspaces, in the order of [`Space::ALL`].
struct Generation {
    number: u64,
    database: fjall::Database,
    spaces: [fjall::Keyspace; 4],
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Generation({})", self.number)
    }
}

impl FjallKv {
    /// Whether `dir` holds a complete store.
    pub(crate) fn exists(vfs: &dyn Vfs, dir: &Path) -> Result<bool> {
        let current = dir.join(CURRENT);
        vfs.file_len(&current).map(|len| len.is_some()).map_err(|e| Error::io(current.display(), e))
    }

    /// Opens the store in `dir`, or creates it. The caller holds the folder's lock.
    pub(crate) fn open(vfs: Arc<dyn Vfs>, dir: &Path) -> Result<Self> {
        let in_force =
            if Self::exists(&*vfs, dir)? { Some(read_current(&*vfs, dir)?) } else { None };
        for name in vfs.list(dir).map_err(|e| Error::io(dir.display(), e))? {
            let leftover = generation_of(&name).is_some_and(|n| Some(n) != in_force);
            if leftover {
                let path = dir.join(&name);
                vfs.remove_dir_all(&path).map_err(|e| Error::io(path.display(), e))?;
            }
        }
        let generation = match in_force {
            Some(number) => Generation::open(dir, number)?,
            None => {
                let first = Generation::open(dir, 1)?;
                write_current(&*vfs, dir, 1)?;
                first
            }
        };
        Ok(FjallKv {
            dir: dir.to_owned(),
            vfs,
            current: RwLock::new(Arc::new(generation)),
            next: Mutex::new(None),
        })
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
            .max_journaling_size(JOURNALS_BYTES_MAX)
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
        Ok(Generation { number, database, spaces })
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
        write.commit().map_err(|e| store_error("write the log", dir, e))
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

    fn bytes(&self) -> Result<u64> {
        // Not `disk_space()`: it counts the 64 MiB that a journal reserves but does not use.
        let dir = self.dir.join(folder(self.generation().number));
        self.vfs.stored_bytes(&dir).map_err(|e| Error::io(dir.display(), e))
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
        write_current(&*self.vfs, &self.dir, next.number).map_err(CompactError::Unknown)?;
        let previous = std::mem::replace(&mut *current, Arc::new(next));
        drop(current);
        let leftover = self.dir.join(folder(previous.number));
        drop(previous);
        // Removed at the next open if not now.
        let _ = self.vfs.remove_dir_all(&leftover);
        Ok(())
    }
}

fn folder(generation: u64) -> String {
    format!("kv-{generation}")
}

fn generation_of(name: &str) -> Option<u64> {
    name.strip_prefix("kv-")?.parse().ok()
}

fn read_current(vfs: &dyn Vfs, dir: &Path) -> Result<u64> {
    let path = dir.join(CURRENT);
    let read = || {
        let file = vfs.open(&path)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX).min(256)];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|e| Error::io(path.display(), e))?;
    let damaged = || {
        Error::new(
            ErrorKind::Corrupt,
            format!("{}: damaged; it must name the log folder in force", path.display()),
        )
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
    let (body, check) = text.trim_end().rsplit_once('\n').ok_or_else(damaged)?;
    if format!("{:08x}", crc32fast::hash(body.as_bytes())) != check {
        return Err(damaged());
    }
    let (head, name) = body.split_once('\n').ok_or_else(damaged)?;
    if head != CURRENT_HEAD {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("{}: `{head}` was written by a newer version of VecStore", path.display()),
        ));
    }
    generation_of(name).ok_or_else(damaged)
}

fn write_current(vfs: &dyn Vfs, dir: &Path, generation: u64) -> Result<()> {
    let body = format!("{CURRENT_HEAD}\n{}", folder(generation));
    let text = format!("{body}\n{:08x}\n", crc32fast::hash(body.as_bytes()));
    let path = dir.join(CURRENT);
    vecstore_segments::write_file(vfs, &path, text.as_bytes()).map_err(Error::from)
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
