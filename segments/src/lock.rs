//! One process at a time writes to a folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// An advisory lock on a folder, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
    /// The process that took it.
    process: u32,
}

impl Drop for FolderLock {
    /// Gives the lock back. To close the file would not do: a child that was forked a moment ago, to
    /// start another program, has it open too.
    fn drop(&mut self) {
        // The copy in a forked child must not give back what its parent holds.
        if self.process == std::process::id() {
            // Closing the file gives it back as well, if later.
            let _ = self.file.unlock();
        }
    }
}

/// Why a folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("{} is open in {}", path.display(), match pid { Some(pid) => format!("process {pid}"), None => "another process".to_owned() })]
    Held {
        /// The folder.
        path: PathBuf,
        /// The process that holds it, if it could be told.
        pid: Option<u32>,
    },
    /// The lock file could not be opened or written.
    #[error("lock {}: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl FolderLock {
    /// Locks `dir` through the file `LOCK` in it, which holds the process id for others to read.
    pub fn acquire(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join("LOCK");
        let fail = |source| LockError::Io { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Best effort: the holder may be writing it this moment.
                let _ = file.read_to_string(&mut text);
                let pid = text.trim().parse().ok();
                return Err(LockError::Held { path: dir.to_owned(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(fail(source)),
        }
        file.set_len(0).map_err(fail)?;
        file.rewind().map_err(fail)?;
        let process = std::process::id();
        writeln!(file, "{process}").map_err(fail)?;
        Ok(FolderLock { file, process })
    }
}
