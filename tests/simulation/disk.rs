//! What a power cut may leave of a sequence of calls.
//!
//! A file's bytes are durable once it was synced, a name once its folder was. Whatever was not
//! synced may be there, or not, or in part: names and contents independently, sectors of 512 bytes
//! in any order. The log is a list of batches; those behind the last sync may be missing from its
//! end.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Random;

const SECTOR: usize = 512;

/// Keyspace, key, and value or removal.
pub type Change = (u8, Vec<u8>, Option<Vec<u8>>);

/// A call that changes something, as it was made.
#[derive(Clone, Debug)]
pub enum Call {
    /// A new empty file.
    Create(PathBuf),
    /// Bytes of a file, by its number, at an offset.
    Write(usize, usize, Arc<[u8]>),
    /// A file, by its number, is made durable.
    SyncFile(usize),
    /// What a file, by its number, has not durable yet never will be: a sync of it failed.
    Forget(usize),
    /// Another name for a file, replacing the target.
    Rename(PathBuf, PathBuf),
    /// A second name of a file.
    Link(PathBuf, PathBuf),
    /// A file or an empty folder goes.
    Remove(PathBuf),
    /// A new folder.
    MakeFolder(PathBuf),
    /// The names in a folder are made durable.
    SyncFolder(PathBuf),
    /// A batch at the end of the log.
    Append(Arc<[Change]>),
    /// The log is made durable.
    SyncLog,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// A file, by its number.
    File(usize),
    /// A folder.
    Folder,
}

#[derive(Clone, Debug, Default)]
struct File {
    now: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    /// Since the last sync: offset and bytes.
    pending: Vec<(usize, Arc<[u8]>)>,
}

/// A change of names that may not have reached the disk.
#[derive(Clone, Debug)]
enum Naming {
    Set(PathBuf, Node),
    Unset(PathBuf),
    /// Both at once.
    Move(PathBuf, PathBuf, Node),
}

/// The disk as a running process sees it, and what of that is durable.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: Vec<File>,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    pending_names: Vec<Naming>,
    log: Vec<Arc<[Change]>>,
    log_synced: usize,
}

/// Which part of what was not synced survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survives {
    /// Nothing.
    Nothing,
    /// Everything, as after the end of a process.
    Everything,
    /// Names and the log, but no contents.
    Names,
    /// Names, but neither contents nor the log.
    NamesOnly,
    /// Contents and the log, but no names.
    Contents,
    /// The log alone.
    Log,
    /// Everything, but the last write of each file is cut at a sector, or at four kilobytes.
    Torn,
    /// By chance, each name, sector and batch of its own; of names only a sequence's beginning, as
    /// a file system with a journal has it.
    InOrder,
    /// By chance, in any order.
    AnyOrder,
}

impl Survives {
    /// One of each.
    pub const ALL: [Survives; 9] = [
        Survives::Nothing,
        Survives::Everything,
        Survives::Names,
        Survives::NamesOnly,
        Survives::Contents,
        Survives::Log,
        Survives::Torn,
        Survives::InOrder,
        Survives::AnyOrder,
    ];
}

impl Disk {
    /// A disk with one folder, which is durable.
    pub fn new(folder: &Path) -> Self {
        let names: BTreeMap<PathBuf, Node> =
            folder.ancestors().map(|path| (path.to_owned(), Node::Folder)).collect();
        Disk { durable_names: names.clone(), names, ..Disk::default() }
    }

    /// What a name stands for.
    pub fn node(&self, path: &Path) -> Option<Node> {
        self.names.get(path).copied()
    }

    /// Names directly below a folder.
    pub fn children(&self, folder: &Path) -> Vec<PathBuf> {
        self.names.keys().filter(|path| path.parent() == Some(folder)).cloned().collect()
    }

    /// The bytes of a file.
    pub fn bytes(&self, file: usize) -> &Arc<Vec<u8>> {
        &self.files[file].now
    }

    /// Number of the file that the next [`Call::Create`] makes.
    pub fn next_file(&self) -> usize {
        self.files.len()
    }

    /// The batches of the log.
    pub fn log(&self) -> &[Arc<[Change]>] {
        &self.log
    }

    /// Batches of the log that a crash cannot take.
    pub fn log_synced(&self) -> usize {
        self.log_synced
    }

    /// Does what a call did. The caller has checked that it can.
    pub fn apply(&mut self, call: &Call) {
        match call {
            Call::Create(path) => {
                self.files.push(File::default());
                self.name(Naming::Set(path.clone(), Node::File(self.files.len() - 1)));
            }
            Call::Write(file, offset, bytes) => {
                let file = &mut self.files[*file];
                put(Arc::make_mut(&mut file.now), *offset, bytes);
                file.pending.push((*offset, Arc::clone(bytes)));
            }
            Call::SyncFile(file) => {
                let file = &mut self.files[*file];
                let durable = Arc::make_mut(&mut file.durable);
                file.pending.drain(..).for_each(|(offset, bytes)| put(durable, offset, &bytes));
            }
            Call::Forget(file) => self.files[*file].pending.clear(),
            Call::Rename(from, to) => {
                let node = self.names[from];
                self.name(Naming::Move(from.clone(), to.clone(), node));
            }
            Call::Link(from, to) => self.name(Naming::Set(to.clone(), self.names[from])),
            Call::Remove(path) => self.name(Naming::Unset(path.clone())),
            Call::MakeFolder(path) => self.name(Naming::Set(path.clone(), Node::Folder)),
            Call::SyncFolder(folder) => {
                let pending = std::mem::take(&mut self.pending_names);
                let (synced, rest): (Vec<Naming>, Vec<Naming>) =
                    pending.into_iter().partition(|naming| naming.folder() == Some(folder));
                self.pending_names = rest;
                synced.iter().for_each(|naming| naming.apply(&mut self.durable_names));
            }
            Call::Append(batch) => self.log.push(Arc::clone(batch)),
            Call::SyncLog => self.log_synced = self.log.len(),
        }
    }

    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.pending_names.push(naming);
    }

    /// The disk after a crash: what is there then is durable.
    pub fn crash(&self, survives: Survives, random: &mut Random) -> Disk {
        use Survives::{
            AnyOrder, Contents, Everything, InOrder, Log, Names, NamesOnly, Nothing, Torn,
        };
        let mut names = self.durable_names.clone();
        match survives {
            Nothing | Contents | Log => {}
            Everything | Names | NamesOnly | Torn => {
                self.pending_names.iter().for_each(|naming| naming.apply(&mut names));
            }
            InOrder => {
                let kept = random.below(self.pending_names.len() as u64 + 1) as usize;
                self.pending_names[..kept].iter().for_each(|naming| naming.apply(&mut names));
            }
            AnyOrder => self
                .pending_names
                .iter()
                .filter(|_| random.below(2) == 0)
                .for_each(|naming| naming.apply(&mut names)),
        }
        // What is in a folder that is not there is not there.
        let reachable = |path: &Path| {
            path.ancestors().skip(1).all(|folder| names.get(folder) == Some(&Node::Folder))
        };
        let names: BTreeMap<PathBuf, Node> = names
            .iter()
            .filter(|(path, _)| reachable(path))
            .map(|(path, node)| (path.clone(), *node))
            .collect();
        let files = self
            .files
            .iter()
            .map(|file| {
                let now = match survives {
                    _ if file.pending.is_empty() => Arc::clone(&file.durable),
                    Nothing | Names | NamesOnly | Log => Arc::clone(&file.durable),
                    Everything | Contents => file.with(file.pending.len()),
                    Torn => file.torn(random),
                    InOrder | AnyOrder => file.by_chance(random),
                };
                File { durable: Arc::clone(&now), now, pending: Vec::new() }
            })
            .collect();
        let unsynced = (self.log.len() - self.log_synced) as u64;
        let batches = match survives {
            Nothing | NamesOnly => self.log_synced,
            Everything | Names | Contents | Log => self.log.len(),
            Torn | InOrder | AnyOrder => self.log_synced + random.below(unsynced + 1) as usize,
        };
        Disk {
            files,
            durable_names: names.clone(),
            names,
            pending_names: Vec::new(),
            log: self.log[..batches].to_vec(),
            log_synced: batches,
        }
    }

    /// Tells states apart.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (path, node) in &self.names {
            path.hash(&mut hasher);
            match node {
                Node::File(file) => self.files[*file].now.hash(&mut hasher),
                Node::Folder => 0_u8.hash(&mut hasher),
            }
        }
        self.log.len().hash(&mut hasher);
        hasher.finish()
    }
}

impl File {
    /// The durable bytes and the first `n` writes since.
    fn with(&self, n: usize) -> Arc<Vec<u8>> {
        let mut bytes = Vec::clone(&self.durable);
        self.pending[..n].iter().for_each(|(offset, written)| put(&mut bytes, *offset, written));
        Arc::new(bytes)
    }

    fn torn(&self, random: &mut Random) -> Arc<Vec<u8>> {
        let (last, before) = (&self.pending[self.pending.len() - 1], self.pending.len() - 1);
        let mut bytes = self.with(before);
        let unit = if random.below(2) == 0 { SECTOR } else { 8 * SECTOR };
        // Sectors are those of the file, not those of the write.
        let first = last.0.next_multiple_of(unit) - last.0;
        let units = last.1.len().saturating_sub(first) / unit + 1;
        let cut = (first + random.below(units as u64) as usize * unit).min(last.1.len());
        put(Arc::make_mut(&mut bytes), last.0, &last.1[..cut]);
        bytes
    }

    /// Each sector as it was at some moment since the last sync.
    fn by_chance(&self, random: &mut Random) -> Arc<Vec<u8>> {
        let mut bytes = Vec::clone(&self.durable);
        for (offset, written) in &self.pending {
            let mut at = 0;
            while at < written.len() {
                let end = ((offset + at + 1).next_multiple_of(SECTOR) - offset).min(written.len());
                if random.below(4) != 0 {
                    put(&mut bytes, offset + at, &written[at..end]);
                }
                at = end;
            }
        }
        Arc::new(bytes)
    }
}

impl Naming {
    fn folder(&self) -> Option<&Path> {
        let (Naming::Set(path, _) | Naming::Unset(path) | Naming::Move(_, path, _)) = self;
        path.parent()
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Naming::Set(path, node) => drop(names.insert(path.clone(), *node)),
            Naming::Unset(path) => drop(names.remove(path)),
            Naming::Move(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(written);
}
