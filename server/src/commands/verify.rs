//! `vecstore verify`: every byte of every segment, checked.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use vecstore::{ErrorKind, VerifyReport};

use crate::collection;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::Progress;
use crate::table::printable;
use crate::units;

/// Read and check every byte of every segment; exit code 1 if something is damaged
///
/// JSON: {"ok", "segments", "bytes", "problems": [text], "seconds"}
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Folder of the database
    dir: PathBuf,
}

#[derive(Serialize)]
struct Verified<'a> {
    ok: bool,
    #[serde(flatten)]
    report: &'a VerifyReport,
    seconds: f64,
}

impl Verify {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let started = Instant::now();
        let db = collection::open(&self.dir)?;
        let progress = Progress::start(out.is_json(), "verifying", "byte", None);
        let report = db.verify()?;
        drop(progress);
        db.close()?;
        let ok = report.problems.is_empty();
        let elapsed = started.elapsed();
        if out.is_json() {
            out.json(&Verified { ok, report: &report, seconds: elapsed.as_secs_f64() })?;
        } else {
            for problem in &report.problems {
                writeln!(out, "{}", printable(problem))?;
            }
            writeln!(
                out,
                "checked {}, {}, in {}: {}",
                units::counted(report.segments as u64, "segment"),
                units::bytes(report.bytes),
                units::duration(elapsed),
                if ok { "all is well" } else { "there is damage" }
            )?;
        }
        if ok {
            return Ok(());
        }
        let problems = units::counted(report.problems.len() as u64, "damaged place");
        Err(Failure::new(ErrorKind::Corrupt, format!("{}: {problems}", self.dir.display())))
    }
}
