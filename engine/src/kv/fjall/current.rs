//! The file `CURRENT`: which log folder is in force, and what must be found in it.
//!
//! Six lines of text: format, log folder, the database's id, the lowest commit that the log must
//! have, whether commits are synced one by one (`synced`) or not (`relaxed`), and the crc32 of the
//! lines before. It is only ever replaced as a whole, by a rename, so that one copy is enough.

use std::path::Path;

use vecstore_segments::Vfs;

use crate::{Error, ErrorKind, Result};

const NAME: &str = "CURRENT";
const HEAD: &str = "vecstore database, format 3";
/// The same without what format 3 has of the fields of a collection, which are as by default.
const HEAD_2: &str = "vecstore database, format 2";
const HEAD_OF_ANY: &str = "vecstore database, format ";

/// What `CURRENT` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Current {
    /// The log folder is `kv-<generation>`.
    pub(super) generation: u64,
    /// Told apart from other databases by this, for as long as it lives.
    pub(super) id: u128,
    /// The log must have this commit, or it was emptied or rolled back.
    pub(super) commit: u64,
    /// Commits behind `commit` may be lost in a power cut, in any order.
    pub(super) relaxed: bool,
}

/// Whether `dir` has the file.
pub(super) fn exists(vfs: &dyn Vfs, dir: &Path) -> Result<bool> {
    let path = dir.join(NAME);
    vfs.file_len(&path).map(|len| len.is_some()).map_err(|e| Error::io(path.display(), e))
}

impl Current {
    pub(super) fn read(vfs: &dyn Vfs, dir: &Path) -> Result<Self> {
        let path = dir.join(NAME);
        let read = || {
            let file = vfs.open(&path)?;
            let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX).min(512)];
            file.read_at(0, &mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|e| Error::io(path.display(), e))?;
        let damaged = || {
            Error::new(
                ErrorKind::Corrupt,
                format!("{}: damaged; `repair` finds the log it has to name", path.display()),
            )
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
        let body = checked_body(text).ok_or_else(damaged)?;
        if !body.starts_with(HEAD_OF_ANY) {
            return Err(damaged());
        }
        let (head, rest) = body.split_once('\n').ok_or_else(damaged)?;
        if head != HEAD && head != HEAD_2 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("{}: `{head}` is not of this version of VecStore", path.display()),
            ));
        }
        decode(rest).ok_or_else(damaged)
    }

    /// Replaces the file, durably.
    pub(super) fn write(&self, vfs: &dyn Vfs, dir: &Path) -> Result<()> {
        let durability = if self.relaxed { "relaxed" } else { "synced" };
        let body = format!(
            "{HEAD}\n{}\nid {:032x}\ncommit {}\n{durability}",
            folder(self.generation),
            self.id,
            self.commit
        );
        let text = format!("{body}\n{:08x}\n", crc32fast::hash(body.as_bytes()));
        vecstore_segments::write_file(vfs, &dir.join(NAME), text.as_bytes()).map_err(Error::from)
    }
}

fn checked_body(text: &str) -> Option<&str> {
    let (body, check) = text.strip_suffix('\n')?.rsplit_once('\n')?;
    (format!("{:08x}", crc32fast::hash(body.as_bytes())) == check).then_some(body)
}

fn decode(lines: &str) -> Option<Current> {
    let mut lines = lines.split('\n');
    let current = Current {
        generation: generation_of(lines.next()?)?,
        id: u128::from_str_radix(lines.next()?.strip_prefix("id ")?, 16).ok()?,
        commit: lines.next()?.strip_prefix("commit ")?.parse().ok()?,
        relaxed: match lines.next()? {
            "relaxed" => true,
            "synced" => false,
            _ => return None,
        },
    };
    lines.next().is_none().then_some(current)
}

/// Name of a log folder.
pub(super) fn folder(generation: u64) -> String {
    format!("kv-{generation}")
}

/// The generation of a log folder.
pub(super) fn generation_of(name: &str) -> Option<u64> {
    name.strip_prefix("kv-")?.parse().ok()
}
