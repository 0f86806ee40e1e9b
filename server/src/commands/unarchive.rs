//! `vecstore unarchive`: a database of an archive.

use std::path::PathBuf;

use clap::Args;
use vecstore::Database;

use crate::failure::Result;
use crate::output::Output;
use crate::units;

/// Make a database of a file that `vecstore archive` wrote
///
/// A damaged file is refused, with the place, and nothing is left in the folder.
///
/// JSON: {"created_unix_ms", "seq", "collections", "records", "segments", "bytes"}
#[derive(Debug, Args)]
pub(crate) struct Unarchive {
    /// The archive
    file: PathBuf,
    /// Folder of the new database: a new or an empty one
    dir: PathBuf,
}

impl Unarchive {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let info = Database::unarchive(&self.file, &self.dir)?;
        if out.is_json() {
            return out.json(&info);
        }
        writeln!(
            out,
            "unpacked {} in {}, as of {}",
            units::counted(info.records, "record"),
            units::counted(info.collections as u64, "collection"),
            units::utc(info.created_unix_ms)
        )
    }
}
