//! Files in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use super::region::AlignedBytes;
use super::{Region, Vfs, VfsFile};

/// Files in memory, for databases without a folder and for tests. Clones share the same files.
///
/// A map shares the file's memory; a write while a map is held copies the file first, so that a
/// [`Region`] never changes.
#[derive(Clone, Debug, Default)]
pub struct MemVfs {
    tree: Arc<RwLock<Tree>>,
}

#[derive(Debug, Default)]
struct Tree {
    files: BTreeMap<PathBuf, Content>,
    folders: BTreeSet<PathBuf>,
}

/// The bytes behind one or several names.
type Content = Arc<RwLock<Arc<AlignedBytes>>>;

impl Tree {
    /// The root and the current folder always exist.
    fn has_folder(&self, path: &Path) -> bool {
        path.parent().is_none() || path == Path::new("") || self.folders.contains(path)
    }

    fn parent_exists(&self, path: &Path) -> io::Result<()> {
        if path.parent().is_some_and(|folder| self.has_folder(folder)) {
            Ok(())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn name_is_free(&self, path: &Path) -> io::Result<()> {
        self.parent_exists(path)?;
        if self.files.contains_key(path) || self.has_folder(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(())
    }

    fn file(&self, path: &Path) -> io::Result<&Content> {
        self.files.get(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Vfs for MemVfs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        let mut tree = self.tree.write();
        tree.name_is_free(path)?;
        let content = Content::default();
        tree.files.insert(path.to_owned(), Arc::clone(&content));
        Ok(Box::new(MemFile { content, writable: true }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        let content = Arc::clone(self.tree.read().file(path)?);
        Ok(Box::new(MemFile { content, writable: false }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.tree.write();
        let content = Arc::clone(tree.file(from)?);
        tree.parent_exists(to)?;
        if tree.has_folder(to) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        tree.files.remove(from);
        tree.files.insert(to.to_owned(), content);
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.tree.write();
        let content = Arc::clone(tree.file(from)?);
        tree.name_is_free(to)?;
        tree.files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        match self.tree.write().files.remove(path) {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree.write();
        if path.ancestors().any(|folder| tree.files.contains_key(folder)) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        tree.folders.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree.write();
        if !tree.has_folder(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        tree.files.retain(|file, _| !file.starts_with(path));
        tree.folders.retain(|folder| !folder.starts_with(path));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.tree.read().has_folder(path) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let tree = self.tree.read();
        if !tree.has_folder(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut names: Vec<String> = tree
            .files
            .keys()
            .chain(&tree.folders)
            .filter(|entry| entry.parent() == Some(path))
            .filter_map(|entry| entry.file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn file_len(&self, path: &Path) -> io::Result<Option<u64>> {
        Ok(self.tree.read().files.get(path).map(|content| content.read().len() as u64))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let content = Arc::clone(self.tree.read().file(path)?);
        let mut content = content.write();
        Arc::make_mut(&mut content).truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }

    fn stored_bytes(&self, dir: &Path) -> io::Result<u64> {
        let tree = self.tree.read();
        if !tree.has_folder(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let below = tree.files.iter().filter(|(file, _)| file.starts_with(dir));
        Ok(below.map(|(_, content)| content.read().len() as u64).sum())
    }

    /// Memory has no volume to ask; the answer is the most that an allocation can have.
    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(isize::MAX as u64)
    }
}

#[derive(Debug)]
struct MemFile {
    content: Content,
    writable: bool,
}

impl VfsFile for MemFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let offset = usize::try_from(offset)
            .ok()
            .filter(|o| o.checked_add(bytes.len()).is_some_and(|end| end <= isize::MAX as usize))
            .ok_or(io::ErrorKind::FileTooLarge)?;
        let mut content = self.content.write();
        Arc::make_mut(&mut content).write_at(offset, bytes);
        Ok(())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let content = self.content.read();
        let found = usize::try_from(offset)
            .ok()
            .and_then(|start| content.as_slice().get(start..start.checked_add(bytes.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(found);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.content.read().len() as u64)
    }

    fn seal(&self) -> io::Result<()> {
        // Not while it is mapped: that would take a copy.
        if let Some(content) = Arc::get_mut(&mut self.content.write()) {
            content.shrink();
        }
        Ok(())
    }

    fn map(&self) -> io::Result<Region> {
        Ok(Region::memory(Arc::clone(&self.content.read())))
    }
}
