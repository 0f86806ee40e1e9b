//! Where segment files live.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vecstore_segments::{Pages, Segment, Vfs, memory_bytes};

use crate::version::SegmentFile;
use crate::{Error, Result};

/// Segments that take more bytes than this together are read in the usual pages: a query looks at some
/// hundred rows, and each of them would bring two large pages from the disk.
const LARGE_PAGES_MAX: u64 = 1 << 30;

/// The pages for all segments of a database, which take so many bytes: large ones if they will stay in
/// memory once they were read.
pub(crate) fn pages_for(total: u64) -> Pages {
    let fits = || memory_bytes().is_some_and(|memory| total <= memory / 4);
    match total <= LARGE_PAGES_MAX && fits() {
        true => Pages::Large,
        false => Pages::Usual,
    }
}

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
    pub(crate) fn open_segment(&self, file: &str, pages: Pages) -> Result<Arc<SegmentFile>> {
        let segment = Segment::open_in(&*self.vfs, &self.path(file), pages)?;
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_what_will_stay_in_memory_is_read_in_large_pages() {
        assert_eq!(pages_for(1 << 20), Pages::Large);
        assert_eq!(pages_for(LARGE_PAGES_MAX + 1), Pages::Usual);
    }
}
