//! `vecstore archive`: the whole database as one file.

use std::path::PathBuf;

use clap::Args;

use crate::collection;
use crate::failure::Result;
use crate::output::Output;
use crate::units;

/// Write the whole database to one new file, to be kept elsewhere
///
/// `vecstore unarchive` makes a database of it again. Snapshots are not in it.
///
/// JSON: {"created_unix_ms", "seq", "collections", "records", "segments", "bytes"}
#[derive(Debug, Args)]
pub(crate) struct Archive {
    /// Folder of the database
    dir: PathBuf,
    /// The file, which must not exist
    file: PathBuf,
}

impl Archive {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let db = collection::open(&self.dir)?;
        let info = db.archive(&self.file)?;
        db.close()?;
        if out.is_json() {
            return out.json(&info);
        }
        writeln!(
            out,
            "archived {} in {}, {}",
            units::counted(info.records, "record"),
            units::counted(info.collections as u64, "collection"),
            units::bytes(info.bytes)
        )
    }
}
