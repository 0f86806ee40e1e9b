//! `vecstore optimize`: seal what is in memory, merge segments, give back space.

use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use vecstore::{OptimizeReport, Stage};

use crate::collection;
use crate::failure::Result;
use crate::output::Output;
use crate::progress::Progress;
use crate::units;

/// Merge the segments of each collection into one, drop removed records, give back disk space
///
/// JSON: {"collections": [{"collection", "segments_before", "segments_after", "rows_dropped",
/// "bytes_before", "bytes_after", "seconds"}]}
#[derive(Debug, Args)]
pub(crate) struct Optimize {
    /// Folder of the database
    dir: PathBuf,
    /// Only this collection [default: all]
    collection: Option<String>,
}

#[derive(Serialize)]
struct Optimized {
    collections: Vec<OptimizedCollection>,
}

#[derive(Serialize)]
struct OptimizedCollection {
    collection: String,
    #[serde(flatten)]
    report: OptimizeReport,
}

impl Optimize {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let db = collection::open(&self.dir)?;
        let names = match self.collection {
            Some(name) => vec![name],
            None => db.collections()?,
        };
        let mut collections = Vec::new();
        for name in names {
            let report = run_on(&db.collection(&name)?, out.is_json())?;
            if !out.is_json() {
                writeln!(out, "{name}: {}", describe(&report))?;
            }
            collections.push(OptimizedCollection { collection: name, report });
        }
        db.close()?;
        if out.is_json() {
            return out.json(&Optimized { collections });
        }
        if collections.is_empty() {
            writeln!(out, "there is no collection, nothing to optimize")?;
        }
        Ok(())
    }
}

/// Optimizes a collection and shows the progress.
pub(super) fn run_on(collection: &vecstore::Collection, quiet: bool) -> Result<OptimizeReport> {
    // It waits for what the background has begun, and knows nothing yet.
    let what = |stage, total| match stage {
        Stage::Rows if total == 0 => "waiting for the merge that runs",
        Stage::Rows => "copying rows",
        Stage::Graph => "linking the graph",
        Stage::Verify => "verifying",
    };
    let mut progress = Progress::start(quiet, "optimizing", "row", None);
    Ok(collection.optimize_with(&mut |now| {
        progress.stage(what(now.stage, now.total), (now.total > 0).then_some(now.total));
        progress.set(now.done, None);
        ControlFlow::Continue(())
    })?)
}

/// `3 segments became 1, 12 removed rows dropped, 25.1 MiB became 20.3 MiB, 4.2 s`.
pub(super) fn describe(report: &OptimizeReport) -> String {
    let seconds = std::time::Duration::try_from_secs_f64(report.seconds).unwrap_or_default();
    format!(
        "{} became {}, {} dropped, disk {} became {}, {}",
        units::counted(report.segments_before as u64, "segment"),
        units::count(report.segments_after as u64),
        units::counted(report.rows_dropped, "dead row"),
        units::bytes(report.bytes_before),
        units::bytes(report.bytes_after),
        units::duration(seconds)
    )
}
