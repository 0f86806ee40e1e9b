//! Where segment files live.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vecstore_segments::{Segment, Vfs};

use crate::version::SegmentFile;
use crate::{Error, Result};

/// The folder of segment files.
#[derive(Debug)]
pub(crate) struct SegmentStore {
    dir: PathBuf,
    vfs: Arc<dyn Vfs>,
}

impl SegmentStore {
    /// Uses `dir`, which is created if it is missing.
    pub(crate) fn open(vfs: Arc<dyn Vfs>, dir: PathBuf) -> Result<Self> {
        vfs.create_dir_all(&dir).map_err(|e| Error::io(dir.display(), e))?;
        Ok(SegmentStore { dir, vfs })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// Opens a segment of the catalogue.
    pub(crate) fn open_segment(&self, file: &str) -> Result<Arc<SegmentFile>> {
        let segment = Segment::open(&*self.vfs, &self.path(file))?;
        Ok(Arc::new(SegmentFile::new(segment, Arc::clone(&self.vfs))))
    }

    /// Removes every file that is none of the given ones: outputs that were never committed, and
    /// inputs that were replaced.
    pub(crate) fn remove_all_but(&self, keep: &BTreeSet<String>) -> Result<()> {
        for name in self.vfs.list(&self.dir).map_err(|e| Error::io(self.dir.display(), e))? {
            if !keep.contains(&name) {
                let path = self.dir.join(name);
                self.vfs.remove_file(&path).map_err(|e| Error::io(path.display(), e))?;
            }
        }
        Ok(())
    }
}
