//! The manifest of a snapshot: what it holds, and the catalogue as it was.
//!
//! Little-endian: magic (8 bytes), version `u32`, then length `u32` and JSON of [`SnapshotInfo`],
//! count `u32` of catalogue entries, each keyspace `u8`, key and value (length `u32` and bytes),
//! and a crc32 over all of that.

use std::path::Path;

use vecstore_segments::Vfs;

use super::SnapshotInfo;
use crate::catalogue::{self, Catalogue};
use crate::kv::{Batch, Kv, MemoryKv, Space};
use crate::{Error, ErrorKind, Result};

/// Its name in the folder of the snapshot.
pub(super) const FILE: &str = "MANIFEST";
const MAGIC: &[u8; 8] = b"VSNAP\r\n\x1a";
const VERSION: u32 = 1;

pub(super) fn encode(info: &SnapshotInfo, batch: &Batch) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(info)
        .map_err(|e| Error::invalid(format!("snapshot `{}`: {e}", info.name)))?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    put_bytes(&mut bytes, &json);
    bytes.extend_from_slice(&(batch.len() as u32).to_le_bytes());
    for (space, key, value) in batch.puts() {
        bytes.push(space as u8);
        put_bytes(&mut bytes, key);
        put_bytes(&mut bytes, value);
    }
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

pub(super) fn read(vfs: &dyn Vfs, dir: &Path) -> Result<(SnapshotInfo, Catalogue)> {
    let path = dir.join(FILE);
    let load = || {
        let file = vfs.open(&path)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX)];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    };
    let bytes = load().map_err(|e| Error::io(path.display(), e))?;
    let (info, entries) = decode(&bytes).ok_or_else(|| {
        Error::new(
            ErrorKind::Corrupt,
            format!("{} is damaged; this snapshot cannot be used", path.display()),
        )
    })?;
    Ok((info, catalogue_of(entries)?))
}

/// The catalogue that `entries` make.
pub(super) fn catalogue_of(entries: Batch) -> Result<Catalogue> {
    let kv = MemoryKv::default();
    kv.commit(entries, true)?;
    catalogue::load(&kv)
}

/// What the bytes of a manifest say; `None` if they are damaged.
pub(super) fn decode(bytes: &[u8]) -> Option<(SnapshotInfo, Batch)> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut rest = body.strip_prefix(MAGIC)?;
    if take_u32(&mut rest)? != VERSION {
        return None;
    }
    let info = serde_json::from_slice(take_bytes(&mut rest)?).ok()?;
    let mut batch = Batch::default();
    for _ in 0..take_u32(&mut rest)? {
        let (&space, tail) = rest.split_first()?;
        rest = tail;
        let space = *Space::ALL.get(usize::from(space))?;
        let key = take_bytes(&mut rest)?.to_vec();
        batch.put(space, key, take_bytes(&mut rest)?.to_vec());
    }
    rest.is_empty().then_some((info, batch))
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (head, tail) = bytes.split_first_chunk::<4>()?;
    *bytes = tail;
    Some(u32::from_le_bytes(*head))
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_u32(bytes)?).ok()?;
    let (head, tail) = bytes.split_at_checked(len)?;
    *bytes = tail;
    Some(head)
}
