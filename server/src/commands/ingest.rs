//! Records from a source into a collection, in batches, with progress.

use std::time::Duration;

use vecstore::{Collection, Database, Record};

use crate::failure::{Failure, Result};
use crate::input::Source;
use crate::progress::Progress;
use crate::units;

/// A batch is written when it has reached this, well below what the engine takes at once, even if
/// it has fewer records than it may.
const BATCH_BYTES: usize = 16 << 20;

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ingested {
    /// Records that are committed.
    pub(super) records: u64,
    /// How long writing took; every record is on disk and can be searched.
    pub(super) elapsed: Duration,
    /// How long it took then to seal the memtable into a segment.
    pub(super) flush: Duration,
}

/// Writes every record of the source, then seals what is in memory. `committed` counts the
/// records that are on disk, also if this fails.
pub(super) fn ingest(
    collection: &Collection,
    source: &mut Source<'_>,
    skipped: u64,
    batch_records: usize,
    quiet: bool,
    committed: &mut u64,
) -> Result<Ingested> {
    let dim = collection.settings().dim();
    let total = source.total().map(|n| n.saturating_sub(skipped));
    let mut progress = Progress::start(quiet, "importing", "record", total);
    let mut batch = Batch { records: Vec::new(), bytes: 0 };
    while let Some((record, bytes)) = source.next_record(dim)? {
        batch.records.push(record);
        batch.bytes += bytes;
        if batch.records.len() >= batch_records || batch.bytes >= BATCH_BYTES {
            batch.write(collection, skipped, committed)?;
            progress.set(*committed, source.fraction());
        }
    }
    batch.write(collection, skipped, committed)?;
    let elapsed = progress.elapsed();
    progress.stage("sealing segments", None);
    collection.flush()?;
    Ok(Ingested { records: *committed, elapsed, flush: progress.elapsed() })
}

struct Batch {
    records: Vec<Record>,
    bytes: usize,
}

impl Batch {
    fn write(&mut self, collection: &Collection, skipped: u64, committed: &mut u64) -> Result {
        let records = std::mem::take(&mut self.records);
        let len = records.len() as u64;
        self.bytes = 0;
        let first = skipped + *committed + 1;
        collection.batch_upsert(records).map_err(|e| {
            let last = first + len.saturating_sub(1);
            let (first, last) = (units::count(first), units::count(last));
            Failure::from(e).at(format_args!("records {first} to {last} of the input"))
        })?;
        *committed += len;
        Ok(())
    }
}

/// Closes a database whose collections are not used any more.
pub(super) fn close(db: Database, collection: Collection) -> Result {
    drop(collection);
    Ok(db.close()?)
}
