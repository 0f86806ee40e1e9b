//! A file that vanishes unless it is given its final name.

use std::io;
use std::path::{Path, PathBuf};

use crate::{SegmentError, Vfs, VfsFile};

pub(super) struct TemporaryFile<'a> {
    vfs: &'a dyn Vfs,
    pub(super) file: Box<dyn VfsFile>,
    pub(super) path: PathBuf,
    kept: bool,
}

impl<'a> TemporaryFile<'a> {
    /// Creates `path` in place of what an interrupted writer may have left there.
    pub(super) fn create(vfs: &'a dyn Vfs, path: PathBuf) -> Result<Self, SegmentError> {
        let io = |op| move |e| (op, e);
        let stale = vfs.file_len(&path).map_err(io("stat"));
        let file = stale
            .and_then(|stale| match stale {
                Some(_) => vfs.remove_file(&path).map_err(io("remove")),
                None => Ok(()),
            })
            .and_then(|()| vfs.create(&path).map_err(io("create")))
            .map_err(|(op, e)| SegmentError::io(op, &path, e))?;
        Ok(TemporaryFile { vfs, file, path, kept: false })
    }

    /// Writes `bytes` at `offset`, unless fewer than `keep_free` bytes of the volume would be left; where
    /// the system does not tell what is free that is not heeded.
    pub(super) fn write_at(
        &self,
        offset: u64,
        bytes: &[u8],
        keep_free: u64,
    ) -> Result<(), SegmentError> {
        let room = if keep_free == 0 { Ok(()) } else { self.check_room(bytes, keep_free) };
        let written = room.and_then(|()| self.file.write_at(offset, bytes));
        written.map_err(|e| SegmentError::io("write", &self.path, e))
    }

    fn check_room(&self, bytes: &[u8], keep_free: u64) -> io::Result<()> {
        const MIB: u64 = 1 << 20;
        match self.vfs.free_bytes(&self.path) {
            Ok(free) if free >= keep_free.saturating_add(bytes.len() as u64) => Ok(()),
            Ok(free) => {
                let (free, kept) = (free / MIB, keep_free.div_ceil(MIB));
                let said = format!("{free} MiB are free and {kept} MiB are to stay free");
                Err(io::Error::new(io::ErrorKind::StorageFull, said))
            }
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Renames the file to `name` in its folder `dir` and makes the name durable.
    pub(super) fn keep(mut self, dir: &Path, name: &str) -> Result<(), SegmentError> {
        let path = dir.join(name);
        // A sealed segment is never replaced: ids are not used twice.
        let taken = self.vfs.file_len(&path).map_err(|e| SegmentError::io("stat", &path, e))?;
        if taken.is_some() {
            return Err(SegmentError::io(
                "rename to",
                &path,
                std::io::ErrorKind::AlreadyExists.into(),
            ));
        }
        self.vfs.rename(&self.path, &path).map_err(|e| SegmentError::io("rename to", &path, e))?;
        // From here on the file to remove on failure has its new name.
        self.path = path;
        self.vfs.sync_dir(dir).map_err(|e| SegmentError::io("sync", dir, e))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for TemporaryFile<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // Whoever gets the error that led here learns nothing from a second one; a file that
            // stays is in no manifest and is collected at the next open.
            let _ = self.vfs.remove_file(&self.path);
        }
    }
}
