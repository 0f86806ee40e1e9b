//! Writing an archive: a snapshot as one file.
//!
//! Little-endian: magic (8 bytes), version `u32`, length of the manifest `u32`, crc32 of these 16
//! bytes; the manifest; then each segment of it, by collection and id, as blocks of 1 MiB (the last
//! one shorter), each followed by a crc32. That covers the segment's id (`u64`), the block's place
//! in the segment (`u64`) and the bytes, so that a block at another place is found too. The file
//! ends with the last block.

use std::io;
use std::path::Path;

use serde::Serialize;
use vecstore_segments::{OsVfs, Segment, Vfs, VfsFile};

use super::create::gather;
use super::{SnapshotInfo, folder, manifest};
use crate::catalogue::{Catalogue, SegmentRecord};
use crate::state::State;
use crate::{Error, ErrorKind, Result};

pub(super) const MAGIC: &[u8; 8] = b"VSARC\r\n\x1a";
pub(super) const VERSION: u32 = 1;
/// Bytes of a segment that share a checksum.
pub(super) const BLOCK_BYTES: u64 = 1 << 20;

/// What is in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArchiveInfo {
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
    /// Bytes of the file.
    pub bytes: u64,
}

impl ArchiveInfo {
    pub(super) fn new(info: SnapshotInfo, bytes: u64) -> Self {
        let SnapshotInfo { name: _, created_unix_ms, seq, collections, records, segments, .. } =
            info;
        ArchiveInfo { created_unix_ms, seq, collections, records, segments, bytes }
    }
}

pub(crate) fn archive(state: &State, path: &Path) -> Result<ArchiveInfo> {
    let out = OsVfs;
    if out.file_len(path).map_err(|e| Error::io(path.display(), e))?.is_some() {
        return Err(exists(path, "choose another name"));
    }
    // No name that a user can give, and never the same one twice in a process.
    let dir = folder(state, &format!(".archive-{}", state.allocate_segment()));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    // Not one that is replaced: somebody else may be writing it.
    let file = out.create(&temporary).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => {
            exists(&temporary, "another archive is being written, or one was cut off: remove it")
        }
        _ => Error::io(temporary.display(), e),
    })?;
    let written = write(state, &dir, &*file, &temporary).and_then(|info| {
        let moved = out
            .rename(&temporary, path)
            .and_then(|()| out.sync_dir(path.parent().unwrap_or(Path::new(""))));
        moved.map_err(|e| Error::io(path.display(), e))?;
        Ok(info)
    });
    if written.is_err() {
        // The first failure is the one to report.
        let _ = out.remove_file(&temporary);
    }
    // Links that nobody needs any more; those of a failed attempt are removed at the next open.
    let _ = state.vfs.remove_dir_all(&dir);
    written
}

fn write(state: &State, dir: &Path, file: &dyn VfsFile, path: &Path) -> Result<ArchiveInfo> {
    let (info, entries) = {
        let _one_at_a_time = state.snapshots.lock();
        gather(state, "archive", dir)?
    };
    let manifest = manifest::encode(&info, &entries)?;
    let catalogue = manifest::catalogue_of(entries)?;
    let mut out = Out { file, path, at: 0 };
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&(manifest.len() as u32).to_le_bytes());
    out.put(&head)?;
    out.put(&crc32fast::hash(&head).to_le_bytes())?;
    out.put(&manifest)?;
    for record in segments(&catalogue) {
        put_segment(&*state.vfs, &dir.join(Segment::file_name(record.id)), record, &mut out)?;
    }
    file.sync().map_err(|e| Error::io(path.display(), e))?;
    Ok(ArchiveInfo::new(info, out.at))
}

/// The segments of an archive in the order in which it has them.
pub(super) fn segments(catalogue: &Catalogue) -> impl Iterator<Item = &SegmentRecord> {
    let collections = catalogue.collections.values();
    collections.flat_map(|c| c.segments.values()).filter_map(|segment| segment.record.as_ref())
}

/// The checksum of a block.
pub(super) fn block_crc(segment: u64, offset: u64, bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&segment.to_le_bytes());
    crc.update(&offset.to_le_bytes());
    crc.update(bytes);
    crc.finalize()
}

/// The offset and length of each block of a segment.
pub(super) fn blocks(bytes: u64) -> impl Iterator<Item = (u64, usize)> {
    (0..bytes.div_ceil(BLOCK_BYTES)).map(move |block| {
        let offset = block * BLOCK_BYTES;
        (offset, (bytes - offset).min(BLOCK_BYTES) as usize)
    })
}

fn put_segment(
    vfs: &dyn Vfs,
    path: &Path,
    record: &SegmentRecord,
    out: &mut Out<'_>,
) -> Result<()> {
    // Checksums of its own bytes: else the archive would vouch for damage.
    let found = Segment::open(vfs, path)?.verify(vfs)?;
    if let Some(problem) = found.problems.first() {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "segment {} is damaged ({problem}), so that an archive of it would be no backup; \
                 `verify` lists the damage, `optimize` makes indices again",
                record.id
            ),
        ));
    }
    let file = vfs.open(path).map_err(|e| Error::io(path.display(), e))?;
    let mut block = vec![0; BLOCK_BYTES.min(record.bytes) as usize];
    for (offset, len) in blocks(record.bytes) {
        let bytes = &mut block[..len];
        file.read_at(offset, bytes).map_err(|e| Error::io(path.display(), e))?;
        out.put(bytes)?;
        out.put(&block_crc(record.id, offset, bytes).to_le_bytes())?;
    }
    Ok(())
}

/// The file, and how far it is written.
struct Out<'a> {
    file: &'a dyn VfsFile,
    path: &'a Path,
    at: u64,
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_at(self.at, bytes).map_err(|e| Error::io(self.path.display(), e))?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

fn exists(path: &Path, advice: &str) -> Error {
    Error::new(ErrorKind::AlreadyExists, format!("{} exists already; {advice}", path.display()))
}
