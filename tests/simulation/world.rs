//! The file system and the log that a database is opened over.
//!
//! The log stands for the real one (fjall), which writes its own files and cannot be watched from
//! here: an append is there when the process ends, and survives a power cut once it was synced.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use vecstore::simulation::{
    Batch, CompactError, Kv, Region, Space, Vfs, VfsFile, Visit, store_error, write_file,
};
use vecstore::{Database, Error, Options, Result};

use super::disk::{Call, Change, Disk, Node};

/// The folder of the database.
pub const ROOT: &str = "/db";
const NOTE: &str = "/db/NOTE";

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The device does not answer (EIO).
    Io,
    /// No space (ENOSPC).
    Full,
    /// Half of a write is done, then there is no space.
    Short,
}

/// Which calls fail.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The first call that fails, counted from 1.
    pub at: u64,
    /// Calls that fail from there on.
    pub calls: u64,
    /// How.
    pub failure: Failure,
}

#[derive(Debug, Default)]
struct Inner {
    disk: Disk,
    /// What was done, if it is written down.
    trace: Option<Vec<Call>>,
    calls: u64,
    failed: u64,
    fault: Option<Fault>,
    /// The log takes nothing more after a failure, as the real one does.
    log_is_closed: bool,
}

/// A machine with one disk; clones share it.
#[derive(Clone, Debug)]
pub struct World {
    inner: Arc<Mutex<Inner>>,
}

impl World {
    /// A machine with this disk.
    pub fn new(disk: Disk) -> Self {
        World { inner: Arc::new(Mutex::new(Inner { disk, ..Inner::default() })) }
    }

    /// From now on every call is written down.
    pub fn record(&self) {
        self.lock().trace = Some(Vec::new());
    }

    /// The calls since [`record`](Self::record).
    pub fn trace(&self) -> Vec<Call> {
        self.lock().trace.clone().unwrap_or_default()
    }

    /// Number of calls in the trace.
    pub fn trace_len(&self) -> usize {
        self.lock().trace.as_ref().map_or(0, Vec::len)
    }

    /// Lets calls fail, counted from now; `None` ends that.
    pub fn set_fault(&self, fault: Option<Fault>) {
        let mut inner = self.lock();
        (inner.calls, inner.failed, inner.fault) = (0, 0, fault);
    }

    /// Calls since [`set_fault`](Self::set_fault), and how many of them failed.
    pub fn calls(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.calls, inner.failed)
    }

    /// The disk as it is now.
    pub fn disk(&self) -> Disk {
        self.lock().disk.clone()
    }

    /// Opens the database on this machine.
    pub fn open(&self, options: &Options) -> Result<Database> {
        self.lock().log_is_closed = false;
        let log = SimLog::open(self)?;
        let files = Arc::new(SimVfs(self.clone()));
        vecstore::simulation::open(Path::new(ROOT), options.clone(), files, Box::new(log))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

impl Inner {
    /// Counts a call, which may be one that fails.
    fn call(&mut self) -> std::result::Result<(), Failure> {
        self.calls += 1;
        match self.fault {
            Some(fault) if (fault.at..fault.at + fault.calls).contains(&self.calls) => {
                self.failed += 1;
                Err(fault.failure)
            }
            _ => Ok(()),
        }
    }

    /// A call that only reads: a full disk does not concern it.
    fn read(&mut self) -> io::Result<()> {
        match self.call() {
            Err(Failure::Io) => Err(Failure::Io.into()),
            Ok(()) => Ok(()),
            Err(Failure::Full | Failure::Short) => {
                self.failed -= 1;
                Ok(())
            }
        }
    }

    fn write(&mut self, call: Call) -> io::Result<()> {
        match (self.call(), call) {
            (Ok(()), call) => {
                self.done(call);
                Ok(())
            }
            (Err(Failure::Short), Call::Write(file, offset, bytes)) => {
                self.done(Call::Write(file, offset, bytes[..bytes.len() / 2].into()));
                Err(Failure::Short.into())
            }
            (Err(failure), Call::SyncFile(file)) => {
                // What could not be written is not tried again by a later sync.
                self.done(Call::Forget(file));
                Err(failure.into())
            }
            (Err(failure), _) => Err(failure.into()),
        }
    }

    fn done(&mut self, call: Call) {
        self.disk.apply(&call);
        if let Some(trace) = &mut self.trace {
            trace.push(call);
        }
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.disk.node(path) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn folder(&self, path: &Path) -> io::Result<()> {
        match self.disk.node(path) {
            Some(Node::Folder) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// A name that can be given to something new.
    fn new_name(&self, path: &Path) -> io::Result<()> {
        self.folder(path.parent().unwrap_or(path))?;
        match self.disk.node(path) {
            None => Ok(()),
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn remove_below(&mut self, folder: &Path) -> io::Result<()> {
        for path in self.disk.children(folder) {
            if self.disk.node(&path) == Some(Node::Folder) {
                self.remove_below(&path)?;
            }
            self.write(Call::Remove(path))?;
        }
        Ok(())
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Io => io::Error::other("simulated failure of the device"),
            Failure::Full | Failure::Short => {
                io::Error::new(io::ErrorKind::StorageFull, "simulated full disk")
            }
        }
    }
}

#[derive(Debug)]
struct SimVfs(World);

#[derive(Debug)]
struct SimFile {
    world: World,
    file: usize,
}

impl SimVfs {
    fn opened(&self, file: usize) -> Box<dyn VfsFile> {
        Box::new(SimFile { world: self.0.clone(), file })
    }
}

impl Vfs for SimVfs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        let mut inner = self.0.lock();
        inner.new_name(path)?;
        let file = inner.disk.next_file();
        inner.write(Call::Create(path.to_owned()))?;
        Ok(self.opened(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        let mut inner = self.0.lock();
        inner.read()?;
        inner.file(path).map(|file| self.opened(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.file(from)?;
        inner.folder(to.parent().unwrap_or(to))?;
        inner.write(Call::Rename(from.to_owned(), to.to_owned()))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.file(from)?;
        inner.new_name(to)?;
        inner.write(Call::Link(from.to_owned(), to.to_owned()))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.file(path)?;
        inner.write(Call::Remove(path.to_owned()))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        let missing: Vec<PathBuf> = path
            .ancestors()
            .take_while(|folder| inner.disk.node(folder).is_none())
            .map(Path::to_owned)
            .collect();
        for folder in missing.into_iter().rev() {
            inner.write(Call::MakeFolder(folder))?;
        }
        inner.folder(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.folder(path)?;
        inner.remove_below(path)?;
        inner.write(Call::Remove(path.to_owned()))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.folder(path)?;
        inner.write(Call::SyncFolder(path.to_owned()))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut inner = self.0.lock();
        inner.read()?;
        inner.folder(path)?;
        let names = inner.disk.children(path);
        Ok(names
            .iter()
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect())
    }

    fn file_len(&self, path: &Path) -> io::Result<Option<u64>> {
        let mut inner = self.0.lock();
        inner.read()?;
        match inner.disk.node(path) {
            Some(Node::File(file)) => Ok(Some(inner.disk.bytes(file).len() as u64)),
            _ => Ok(None),
        }
    }

    fn truncate(&self, _path: &Path, _len: u64) -> io::Result<()> {
        // Only the real log's journals are ever cut.
        Err(io::ErrorKind::Unsupported.into())
    }

    fn stored_bytes(&self, dir: &Path) -> io::Result<u64> {
        let mut inner = self.0.lock();
        inner.read()?;
        inner.folder(dir)?;
        Ok(0)
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        self.0.lock().read()?;
        Ok(1 << 40)
    }
}

impl VfsFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.world.lock().write(Call::Write(self.file, offset as usize, bytes.into()))
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut inner = self.world.lock();
        inner.read()?;
        let found = usize::try_from(offset)
            .ok()
            .and_then(|at| inner.disk.bytes(self.file).get(at..at.checked_add(bytes.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(found);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.world.lock().write(Call::SyncFile(self.file))
    }

    fn len(&self) -> io::Result<u64> {
        let mut inner = self.world.lock();
        inner.read()?;
        Ok(inner.disk.bytes(self.file).len() as u64)
    }

    fn map(&self) -> io::Result<Region> {
        let mut inner = self.world.lock();
        inner.read()?;
        Ok(Region::from(&inner.disk.bytes(self.file)[..]))
    }
}

/// Keyspace and key.
type Key = (u8, Vec<u8>);

/// The log, as far as its promises go.
#[derive(Debug)]
struct SimLog {
    world: World,
    keys: Mutex<BTreeMap<Key, Vec<u8>>>,
    /// Commit and whether later ones are not synced.
    note: Mutex<(u64, bool)>,
}

impl SimLog {
    fn open(world: &World) -> Result<Self> {
        let mut keys = BTreeMap::new();
        for batch in world.disk().log() {
            apply(&mut keys, batch);
        }
        let note = Mutex::new(read_note(world).map_err(|e| store_error("read the note", e))?);
        Ok(SimLog { world: world.clone(), keys: Mutex::new(keys), note })
    }

    fn open_log(&self) -> Result<MutexGuard<'_, Inner>> {
        let inner = self.world.lock();
        if inner.log_is_closed {
            let error = io::Error::other("it failed before");
            return Err(store_error("write the log", error));
        }
        Ok(inner)
    }
}

/// The note is a file that is replaced as a whole, like `CURRENT`.
fn read_note(world: &World) -> io::Result<(u64, bool)> {
    let files = SimVfs(world.clone());
    if files.file_len(Path::new(NOTE))?.is_none() {
        return Ok((0, false));
    }
    let file = files.open(Path::new(NOTE))?;
    let mut bytes = vec![0; file.len()? as usize];
    file.read_at(0, &mut bytes)?;
    let [commit @ .., relaxed] = &bytes[..] else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the note is empty"));
    };
    let commit = commit.try_into().map_err(|_| io::Error::other("the note is cut off"))?;
    Ok((u64::from_le_bytes(commit), *relaxed != 0))
}

fn apply(keys: &mut BTreeMap<Key, Vec<u8>>, batch: &[Change]) {
    for (space, key, value) in batch {
        match value {
            Some(value) => drop(keys.insert((*space, key.clone()), value.clone())),
            None => drop(keys.remove(&(*space, key.clone()))),
        }
    }
}

impl Kv for SimLog {
    fn commit(&self, batch: Batch, durable: bool) -> Result<()> {
        let changes: Arc<[Change]> = batch
            .changes()
            .map(|(space, key, value)| (space as u8, key.to_vec(), value.map(<[u8]>::to_vec)))
            .collect();
        let mut inner = self.open_log()?;
        let mut written = inner.write(Call::Append(Arc::clone(&changes)));
        if durable && written.is_ok() {
            written = inner.write(Call::SyncLog);
        }
        inner.log_is_closed = written.is_err();
        drop(inner);
        written.map_err(|e| store_error("write the log", e))?;
        apply(&mut self.keys.lock(), &changes);
        Ok(())
    }

    fn scan(&self, space: Space, prefix: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        self.world.lock().read().map_err(|e| store_error("read the log", e))?;
        let found: Vec<(Vec<u8>, Vec<u8>)> = self
            .keys
            .lock()
            .range((space as u8, prefix.to_vec())..)
            .take_while(|((of, key), _)| *of == space as u8 && key.starts_with(prefix))
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect();
        found.iter().try_for_each(|(key, value)| visit(key, value))
    }

    fn sync(&self) -> Result<()> {
        let mut inner = self.open_log()?;
        let synced = inner.write(Call::SyncLog);
        inner.log_is_closed = synced.is_err();
        synced.map_err(|e| store_error("sync the log", e))
    }

    fn floor(&self) -> u64 {
        self.note.lock().0
    }

    fn note(&self, commit: u64, relaxed: bool) -> Result<()> {
        let mut note = self.note.lock();
        if note.0 >= commit && note.1 == relaxed {
            return Ok(());
        }
        let next = (note.0.max(commit), relaxed);
        let mut bytes = next.0.to_le_bytes().to_vec();
        bytes.push(u8::from(relaxed));
        write_file(&SimVfs(self.world.clone()), Path::new(NOTE), &bytes).map_err(Error::from)?;
        *note = next;
        Ok(())
    }

    fn relaxed(&self) -> bool {
        self.note.lock().1
    }

    fn bytes(&self) -> Result<u64> {
        Ok(0)
    }

    fn memory_bytes(&self) -> u64 {
        0
    }

    fn prepare_compact(&self) -> Result<()> {
        Ok(())
    }

    fn compact(&self) -> std::result::Result<(), CompactError> {
        Ok(())
    }
}
