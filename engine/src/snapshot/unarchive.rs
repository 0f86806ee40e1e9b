//! Making a database of an archive.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vecstore_segments::{Segment, Vfs, VfsFile};

use super::archive::{ArchiveInfo, MAGIC, VERSION, block_crc, blocks, segments};
use super::manifest;
use crate::catalogue::{SegmentRecord, put_segment};
use crate::kv::{Batch, FjallKv, Space};
use crate::{Error, ErrorKind, Result};

/// An archive, and how far it is read.
pub(crate) struct Archive {
    file: Box<dyn VfsFile>,
    path: PathBuf,
    at: u64,
    len: u64,
}

/// Stricter than for a new database: what looks like the rest of an old one may be all of it.
fn check_empty(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    let names = vfs.list(dir).map_err(|e| Error::io(dir.display(), e))?;
    match names.iter().find(|name| *name != "LOCK") {
        None => Ok(()),
        Some(name) => Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "{} is not empty (it holds `{name}`); an archive is unpacked into a new or empty \
                 folder",
                dir.display()
            ),
        )),
    }
}

/// Removes what a failed attempt has made. The attempt's failure is the one to report.
fn clear(vfs: &dyn Vfs, dir: &Path) {
    for name in vfs.list(dir).unwrap_or_default() {
        if name != "LOCK" {
            let _ = vfs.remove_dir_all(&dir.join(name));
        }
    }
}

fn make(vfs: &Arc<dyn Vfs>, mut archive: Archive, dir: &Path) -> Result<ArchiveInfo> {
    let manifest = archive.manifest()?;
    let damaged = || archive.damaged(20, "its manifest");
    let (info, entries) = manifest::decode(&manifest).ok_or_else(damaged)?;
    let mut contents = Batch::default();
    for (space, key, value) in entries.puts() {
        if space != Space::Segments {
            contents.put(space, key.to_vec(), value.to_vec());
        }
    }
    let catalogue = manifest::catalogue_of(entries)?;
    let seg = dir.join("seg");
    vfs.create_dir_all(&seg).map_err(|e| Error::io(seg.display(), e))?;
    for record in segments(&catalogue) {
        archive.unpack_segment(&**vfs, record, &seg)?;
    }
    if archive.at != archive.len {
        return Err(archive.damaged(archive.at, "there is more behind its end"));
    }
    for (&collection, found) in &catalogue.collections {
        for record in found.segments.values().filter_map(|segment| segment.record.as_ref()) {
            put_segment(&mut contents, collection, record.id, record);
        }
    }
    vfs.sync_dir(&seg).map_err(|e| Error::io(seg.display(), e))?;
    // Last: with this the folder is a database.
    drop(FjallKv::create(Arc::clone(vfs), dir, contents, catalogue.seq)?);
    Ok(ArchiveInfo::new(info, archive.len))
}

impl Archive {
    pub(crate) fn open(vfs: &dyn Vfs, path: &Path) -> Result<Self> {
        let file = vfs.open(path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => {
                Error::new(ErrorKind::NotFound, format!("there is no file {}", path.display()))
            }
            _ => Error::io(path.display(), e),
        })?;
        let len = file.len().map_err(|e| Error::io(path.display(), e))?;
        Ok(Archive { file, path: path.to_owned(), at: 0, len })
    }

    /// Makes a database in the empty folder `dir`, whose lock the caller holds.
    pub(crate) fn unpack(self, vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<ArchiveInfo> {
        check_empty(&**vfs, dir)?;
        let made = make(vfs, self, dir);
        if made.is_err() && matches!(FjallKv::exists(&**vfs, dir), Ok(false)) {
            clear(&**vfs, dir);
        }
        made
    }

    fn manifest(&mut self) -> Result<Vec<u8>> {
        let mut head = [0; 20];
        self.take(&mut head, "its head")?;
        let (body, crc) = head.split_at(16);
        let u32_at =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if !body.starts_with(MAGIC) {
            return Err(self.damaged(0, "it does not begin as an archive of VecStore does"));
        }
        if crc32fast::hash(body).to_le_bytes() != crc {
            return Err(self.damaged(0, "its head"));
        }
        if u32_at(8) != VERSION {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{}: archives of format {} are not of this version of VecStore, which reads \
                     format {VERSION}",
                    self.path.display(),
                    u32_at(8)
                ),
            ));
        }
        let len = u32_at(12);
        if u64::from(len) > self.len - self.at {
            return Err(self.damaged(self.len, "it is cut off in its manifest"));
        }
        let mut manifest = vec![0; len as usize];
        self.take(&mut manifest, "its manifest")?;
        Ok(manifest)
    }

    /// Writes a segment to the folder `seg`, durably.
    fn unpack_segment(&mut self, vfs: &dyn Vfs, record: &SegmentRecord, seg: &Path) -> Result<()> {
        let what = format!("segment {}", record.id);
        let target = seg.join(Segment::file_name(record.id));
        let io = |e| Error::io(target.display(), e);
        let out = vfs.create(&target).map_err(io)?;
        for (offset, len) in blocks(record.bytes) {
            let begin = self.at;
            let mut block = vec![0; len];
            let mut crc = [0; 4];
            self.take(&mut block, &what)?;
            self.take(&mut crc, &what)?;
            if block_crc(record.id, offset, &block).to_le_bytes() != crc {
                return Err(self.damaged(begin, &what));
            }
            out.write_at(offset, &block).map_err(io)?;
        }
        out.seal().map_err(io)?;
        out.sync().map_err(io)?;
        Segment::open(vfs, &target)?;
        Ok(())
    }

    fn take(&mut self, bytes: &mut [u8], what: &str) -> Result<()> {
        let end = self.at.saturating_add(bytes.len() as u64);
        if end > self.len {
            return Err(self.damaged(self.len, &format!("it is cut off in {what}")));
        }
        let read = self.file.read_at(self.at, bytes);
        read.map_err(|e| Error::io(self.path.display(), e))?;
        self.at = end;
        Ok(())
    }

    fn damaged(&self, at: u64, what: &str) -> Error {
        Error::new(
            ErrorKind::Corrupt,
            format!(
                "{}: damaged at byte {at}: {what}; use another copy of the archive",
                self.path.display()
            ),
        )
    }
}
