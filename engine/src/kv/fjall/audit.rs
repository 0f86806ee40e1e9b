//! The journals of a fjall folder, examined before fjall opens it: what may be cut, and what must
//! be refused.

use std::io;
use std::path::{Path, PathBuf};

use vecstore_segments::{Vfs, VfsFile};

use super::journal::{self, Rest, Walk};
use crate::{Error, ErrorKind, Result};

/// The journals of a folder, oldest first; never empty.
#[derive(Debug)]
pub(super) struct Audit {
    journals: Vec<Journal>,
}

#[derive(Debug)]
struct Journal {
    path: PathBuf,
    len: u64,
    walk: Walk,
}

/// Where the whole batches end, if something follows them.
struct Place<'a> {
    /// Which journal.
    number: usize,
    journal: &'a Journal,
}

/// What a repair keeps and drops.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Cut {
    pub(crate) kept: u64,
    pub(crate) dropped: u64,
    pub(crate) dropped_bytes: u64,
    pub(crate) place: Option<String>,
}

impl Audit {
    /// Reads all journals of the folder `dir`.
    pub(super) fn read(vfs: &dyn Vfs, dir: &Path) -> Result<Self> {
        let numbers = journal_numbers(vfs, dir)?;
        check_keyspaces(vfs, dir)?;
        let mut journals: Vec<Journal> = Vec::with_capacity(numbers.len());
        for number in numbers {
            let path = dir.join(format!("{number}.jnl"));
            let after = journals.last().and_then(|journal| journal.walk.seqno);
            let read = || {
                let file = vfs.open(&path)?;
                let len = file.len()?;
                let data_len = data_len(&*file)?;
                let walk = journal::walk(
                    &mut |offset, bytes| file.read_at(offset, bytes),
                    data_len,
                    len,
                    after,
                )?;
                Ok((len, walk))
            };
            let (len, walk) = read().map_err(|e| Error::io(path.display(), e))?;
            journals.push(Journal { path, len, walk });
        }
        Ok(Audit { journals })
    }

    /// The first place at which something is not as it should be.
    fn first_flaw(&self) -> Option<Place<'_>> {
        let number = self.journals.iter().position(|j| j.walk.rest != Rest::Nothing)?;
        Some(Place { number, journal: &self.journals[number] })
    }

    /// The last commit before the first flaw, if the journals tell.
    fn commit(&self) -> Option<u64> {
        let whole = self.first_flaw().map_or(self.journals.len(), |flaw| flaw.number + 1);
        self.journals[..whole].iter().rev().find_map(|journal| journal.walk.commit)
    }

    /// Makes the journals such that fjall reads all of them: cuts off a batch that was not written
    /// to its end, and says so.
    ///
    /// With `relaxed` commits were not synced one by one, so that a power cut may have left any
    /// of them from `floor` on.
    ///
    /// # Errors
    /// `Corrupt` for everything else, naming file and offset.
    pub(super) fn mend(&self, vfs: &dyn Vfs, relaxed: bool, floor: u64) -> Result<Option<String>> {
        let Some(Place { number, journal }) = self.first_flaw() else { return Ok(None) };
        let Journal { path, walk, .. } = journal;
        let is_last = number + 1 == self.journals.len();
        let may_be_lost = relaxed && self.commit().is_none_or(|commit| commit >= floor);
        let note = match walk.rest {
            Rest::Torn { bytes } if is_last => format!(
                "{}: the last batch was not written to its end; it was not acknowledged, and its \
                 {bytes} bytes after byte {} were cut off",
                path.display(),
                walk.end
            ),
            Rest::Damaged { .. } if is_last && may_be_lost => format!(
                "{}: commits that were not synced yet are lost; what followed byte {} was cut off",
                path.display(),
                walk.end
            ),
            _ => return Err(self.refusal(number, journal)),
        };
        truncate(vfs, path, walk.end)?;
        Ok(Some(note))
    }

    fn refusal(&self, number: usize, journal: &Journal) -> Error {
        let (why, here) = match journal.walk.rest {
            Rest::Damaged { why, batches_after } => (why, batches_after),
            _ => ("a journal that was complete ends in the middle of a batch", 0),
        };
        let later: u64 = self.journals[number + 1..].iter().map(|j| j.walk.batches).sum();
        Error::new(
            ErrorKind::Corrupt,
            format!(
                "{}: the log is damaged at byte {}: {why} ({} whole batches lie before it and {} \
                 behind it); put the file back from a backup, or use `repair`, which keeps what \
                 lies before",
                journal.path.display(),
                journal.walk.end,
                self.batches_before(number),
                here + later
            ),
        )
    }

    fn batches_before(&self, number: usize) -> u64 {
        self.journals[..=number].iter().map(|journal| journal.walk.batches).sum()
    }

    /// Drops everything from the first flaw on.
    pub(super) fn cut(&self, vfs: &dyn Vfs) -> Result<Cut> {
        let Some(Place { number, journal }) = self.first_flaw() else {
            return Ok(Cut {
                kept: self.batches_before(self.journals.len() - 1),
                ..Cut::default()
            });
        };
        let mut cut = Cut {
            kept: self.batches_before(number),
            dropped: 1,
            dropped_bytes: journal.len - journal.walk.end,
            place: Some(format!("{}, byte {}", journal.path.display(), journal.walk.end)),
        };
        match journal.walk.rest {
            Rest::Torn { bytes } => cut.dropped_bytes = bytes as u64,
            Rest::Damaged { batches_after, .. } => cut.dropped += batches_after,
            Rest::Nothing => {}
        }
        // Newest first: a crash in between leaves no gap in the numbers.
        for later in self.journals[number + 1..].iter().rev() {
            cut.dropped += later.walk.batches;
            cut.dropped_bytes += later.walk.end;
            vfs.remove_file(&later.path).map_err(|e| Error::io(later.path.display(), e))?;
        }
        truncate(vfs, &journal.path, journal.walk.end)?;
        let dir = journal.path.parent().unwrap_or(Path::new("."));
        vfs.sync_dir(dir).map_err(|e| Error::io(dir.display(), e))?;
        Ok(cut)
    }
}

fn truncate(vfs: &dyn Vfs, path: &Path, end: u64) -> Result<()> {
    vfs.truncate(path, end).map_err(|e| Error::io(path.display(), e))
}

/// Numbers of the journals, ascending.
fn journal_numbers(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<u64>> {
    let lost = |what: String| {
        Error::new(
            ErrorKind::Corrupt,
            format!(
                "{}: {what}, and with it what was written to it; put it back from a backup",
                dir.display()
            ),
        )
    };
    let names = vfs.list(dir).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => lost("the folder of the log is missing".to_owned()),
        _ => Error::io(dir.display(), error),
    })?;
    let mut numbers: Vec<u64> =
        names.iter().filter_map(|name| name.strip_suffix(".jnl")?.parse().ok()).collect();
    numbers.sort_unstable();
    if numbers.is_empty() {
        return Err(lost("the journal is missing".to_owned()));
    }
    // Journals are removed oldest first.
    match numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
        None => Ok(numbers),
        Some(pair) => Err(lost(format!("journal {}.jnl is missing", pair[0] + 1))),
    }
}

/// fjall ends the process over a folder of keyspaces that it did not name.
fn check_keyspaces(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    let folder = dir.join("keyspaces");
    let names = vfs.list(&folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::new(
            ErrorKind::Corrupt,
            format!("{}: a folder of the log is missing; restore a backup", folder.display()),
        ),
        _ => Error::io(folder.display(), error),
    })?;
    for name in names {
        let path = folder.join(&name);
        let is_file = vfs.file_len(&path).map_err(|e| Error::io(path.display(), e))?.is_some();
        if !is_file && name.parse::<u64>().is_err() {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("{}: only the log may have folders there; move it away", path.display()),
            ));
        }
    }
    Ok(())
}

/// Where the last byte of a file that is not zero ends.
fn data_len(file: &dyn VfsFile) -> io::Result<u64> {
    const PIECE_BYTES: u64 = 1 << 16;
    let mut end = 0;
    // A new journal is one large hole with some bytes in front.
    while let Some(range) = file.data_range(end)? {
        end = range.end;
    }
    let mut bytes = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(PIECE_BYTES);
        bytes.resize((end - start) as usize, 0);
        file.read_at(start, &mut bytes)?;
        if let Some(last) = bytes.iter().rposition(|&byte| byte != 0) {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
