//! `vecstore repair`: a damaged log, cut before the damage.

use std::path::PathBuf;

use clap::Args;
use vecstore::Database;

use crate::failure::Result;
use crate::output::Output;
use crate::table::printable;
use crate::units;

/// Make a database with a damaged log open again, without what lies behind the damage
///
/// For a database that other commands refuse as damaged. Copy the folder first: what is cut off is
/// gone. A database that is not damaged stays as it is.
///
/// JSON: {"batches_kept", "batches_dropped", "bytes_dropped", "place": text or null, "seq"}
#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// Folder of the database
    dir: PathBuf,
}

impl Repair {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let report = Database::repair(&self.dir)?;
        if out.is_json() {
            return out.json(&report);
        }
        match &report.place {
            None => writeln!(
                out,
                "the log is whole, up to commit {}; batches: {}",
                units::count(report.seq),
                units::count(report.batches_kept)
            ),
            Some(place) => writeln!(
                out,
                "cut at {}; batches kept: {}, up to commit {}; batches dropped: {}, {}",
                printable(place),
                units::count(report.batches_kept),
                units::count(report.seq),
                units::count(report.batches_dropped),
                units::bytes(report.bytes_dropped)
            ),
        }
    }
}
