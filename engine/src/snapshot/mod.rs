//! Snapshots: the database as it was, kept under a name.
//!
//! A snapshot is a folder `snapshots/<name>/` with a hard link to each segment and, written last,
//! a `MANIFEST` with the catalogue. A folder without a manifest is an unfinished one and is removed
//! at the next open. Restoring links the segments back under new file names (somebody may still
//! read the files that bear the old ones) and replaces the catalogue in one commit.
//!
//! An archive is the same as one file that can be taken elsewhere: `archive` writes it, `unarchive`
//! makes a database of it.

mod archive;
mod create;
mod manifest;
mod restore;
mod unarchive;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vecstore_segments::Vfs;

pub use archive::ArchiveInfo;
pub(crate) use archive::archive;
pub(crate) use create::create;
pub(crate) use restore::restore;
pub(crate) use unarchive::Archive;

use crate::record::check_name;
use crate::state::State;
use crate::{Error, ErrorKind, Result};

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds since 1970 UTC.
    pub created_unix_ms: u64,
    /// The newest commit in it.
    pub seq: u64,
    /// Collections in it.
    pub collections: usize,
    /// Records in it.
    pub records: u64,
    /// Segments in it.
    pub segments: usize,
    /// Bytes of its segments; shared with the database as long as that has them too.
    pub bytes: u64,
}

pub(crate) fn list(state: &State) -> Result<Vec<SnapshotInfo>> {
    let parent = snapshots_dir(state);
    let mut all = Vec::new();
    for name in names(&*state.vfs, &parent)? {
        let dir = parent.join(&name);
        if exists(&*state.vfs, &dir)? {
            all.push(manifest::read(&*state.vfs, &dir)?.0);
        }
    }
    Ok(all)
}

pub(crate) fn remove(state: &State, name: &str) -> Result<()> {
    check_name("snapshot", name)?;
    let _one_at_a_time = state.snapshots.lock();
    let dir = existing(state, name)?;
    let manifest = dir.join(manifest::FILE);
    state.vfs.remove_file(&manifest).map_err(|e| Error::io(manifest.display(), e))?;
    // Before the segments go: a snapshot that a power cut brings back must be whole.
    state.vfs.sync_dir(&dir).map_err(|e| Error::io(dir.display(), e))?;
    state.vfs.remove_dir_all(&dir).map_err(|e| Error::io(dir.display(), e))
}

/// Removes snapshots that were not finished, or not removed to the end.
pub(crate) fn remove_unfinished(vfs: &dyn Vfs, root: &Path) -> Result<()> {
    let parent = root.join("snapshots");
    vfs.create_dir_all(&parent).map_err(|e| Error::io(parent.display(), e))?;
    for name in names(vfs, &parent)? {
        let dir = parent.join(name);
        if !exists(vfs, &dir)? {
            vfs.remove_dir_all(&dir).map_err(|e| Error::io(dir.display(), e))?;
        }
    }
    Ok(())
}

fn snapshots_dir(state: &State) -> PathBuf {
    state.path.as_deref().unwrap_or(Path::new("")).join("snapshots")
}

fn folder(state: &State, name: &str) -> PathBuf {
    snapshots_dir(state).join(name)
}

fn existing(state: &State, name: &str) -> Result<PathBuf> {
    let dir = folder(state, name);
    if exists(&*state.vfs, &dir)? {
        return Ok(dir);
    }
    let all: Vec<String> = list(state)?.iter().map(|s| format!("`{}`", s.name)).collect();
    let there_are = match all.len() {
        0 => "the database has none".to_owned(),
        _ => format!("there are: {}", all.join(", ")),
    };
    Err(Error::new(ErrorKind::NotFound, format!("there is no snapshot `{name}`; {there_are}")))
}

fn exists(vfs: &dyn Vfs, dir: &Path) -> Result<bool> {
    let manifest = dir.join(manifest::FILE);
    let len = vfs.file_len(&manifest).map_err(|e| Error::io(manifest.display(), e))?;
    Ok(len.is_some())
}

fn names(vfs: &dyn Vfs, parent: &Path) -> Result<Vec<String>> {
    vfs.list(parent).map_err(|e| Error::io(parent.display(), e))
}
