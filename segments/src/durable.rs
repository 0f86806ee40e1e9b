//! Small files that are replaced as a whole.

use std::path::{Path, PathBuf};

use crate::{SegmentError, Vfs};

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
