//! Small files that are replaced as a whole, and folders that stay.

use std::io;
use std::path::{Path, PathBuf};

use crate::{SegmentError, Vfs};

/// Creates a folder and those above it, each of which survives a power cut; fine if it exists.
pub fn create_folder(vfs: &dyn Vfs, path: &Path) -> io::Result<()> {
    let is_missing = |folder: &&Path| {
        let found = vfs.list(folder);
        !folder.as_os_str().is_empty()
            && found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    vfs.create_dir_all(path)?;
    // A name is kept by the folder it is in. From above, so that no folder is kept but its name lost.
    missing.iter().rev().filter_map(|folder| folder.parent()).try_for_each(|f| vfs.sync_dir(f))
}

/// Writes `bytes` to `path` so that after a crash the file is either as it was or complete:
/// temporary name, sync, rename, sync of the folder.
pub fn write_file(vfs: &dyn Vfs, path: &Path, bytes: &[u8]) -> Result<(), SegmentError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let written = replace(vfs, &temporary, path, bytes);
    if written.is_err() {
        // The first failure is the one to report; a leftover is overwritten by the next attempt.
        let _ = vfs.remove_file(&temporary);
    }
    written
}

fn replace(vfs: &dyn Vfs, temporary: &Path, path: &Path, bytes: &[u8]) -> Result<(), SegmentError> {
    let dir = path.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    let io = |op, path: &Path| {
        let path = path.to_owned();
        move |source| SegmentError::Io { op, path, source }
    };
    if vfs.file_len(temporary).map_err(io("examine", temporary))?.is_some() {
        vfs.remove_file(temporary).map_err(io("remove", temporary))?;
    }
    let file = vfs.create(temporary).map_err(io("create", temporary))?;
    file.write_at(0, bytes).map_err(io("write", temporary))?;
    file.sync().map_err(io("sync", temporary))?;
    vfs.rename(temporary, path).map_err(io("rename", temporary))?;
    vfs.sync_dir(&dir).map_err(io("sync", &dir))
}
