//! Numbers about a database, and the check of all its bytes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Serialize, Serializer};
use vecstore_segments::Segment;

use crate::memory::{Memory, memory};
use crate::scrub::ScrubStats;
use crate::state::{CollectionState, State};
use crate::version::Version;
use crate::{Result, scrub, snapshot};

/// Numbers about a database.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// Its folder; `None` in memory.
    #[serde(serialize_with = "path_text")]
    pub path: Option<PathBuf>,
    /// The newest commit.
    pub seq: u64,
    /// Each collection, ascending by name.
    pub collections: Vec<CollectionStats>,
    /// Bytes of all segment files.
    pub segment_bytes: u64,
    /// Bytes of the log and the catalogue.
    pub log_bytes: u64,
    /// What was cut off the log when the database was opened: a commit that was not written to
    /// its end.
    pub log_recovery: Option<String>,
    /// What it holds in memory.
    pub memory: Memory,
    /// Number of snapshots.
    pub snapshots: usize,
    /// What the scrub has done.
    pub scrub: ScrubStats,
    /// The instruction set the distance kernels use here.
    pub kernels: &'static str,
}

/// Numbers about a collection, all namespaces together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CollectionStats {
    /// Its name.
    pub name: String,
    /// Components of a vector.
    pub dim: usize,
    /// The metric.
    pub metric: String,
    /// What vectors are stored in.
    pub precision: String,
    /// Which codes segments keep of them.
    pub codes: String,
    /// Records.
    pub records: u64,
    /// Namespaces that have records.
    pub namespaces: u64,
    /// Records that are not in a segment yet.
    pub memtable_records: u64,
    /// Bytes held for them, replaced versions included.
    pub memtable_bytes: u64,
    /// Each segment, ascending by id.
    pub segments: Vec<SegmentStats>,
    /// The last failure of background work, if it has not succeeded since.
    pub trouble: Option<String>,
}

impl CollectionStats {
    /// Bytes of the segments that `optimize` would write anew: all of them if they are several, or if
    /// one has rows of records that were replaced or removed.
    #[must_use]
    pub fn merge_debt_bytes(&self) -> u64 {
        match &self.segments[..] {
            [only] if only.deleted == 0 => 0,
            segments => segments.iter().map(|segment| segment.bytes).sum(),
        }
    }
}

/// Numbers about a segment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SegmentStats {
    /// Its id; also its file name.
    pub id: u64,
    /// Rows, deleted ones included.
    pub rows: u64,
    /// Rows whose record was replaced or removed.
    pub deleted: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of each section.
    pub sections: BTreeMap<String, u64>,
    /// What the index of each namespace that has one is, how it came about, and why it is of its
    /// kind: `clusters; 24.1 µs a query, graph 96.0 µs`, `graph, merged from 2`, `graph, rebuilt:
    /// recall 0.930 below 0.950 at ef 64`.
    pub indexes: BTreeMap<String, String>,
    /// Each indexed metadata field, ascending by path; none if their index is damaged.
    pub fields: Vec<FieldStats>,
    /// Derived sections that were found damaged and are not used.
    pub degraded: Vec<String>,
    /// Sections that cannot be made again, or the head, of which damage was found; records may be
    /// lost. What does not concern records goes when the segment is written anew.
    pub damage: Vec<String>,
}

/// Numbers about the index of one metadata field in a segment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldStats {
    /// Names joined by dots.
    pub path: String,
    /// Whether the collection indexes it; if not, only `bytes` says something of it.
    pub indexed: bool,
    /// Bytes of the file.
    pub bytes: u64,
    /// Distinct strings; `None` if there are too many, or too long ones, to be indexed.
    pub strings: Option<u64>,
    /// Distinct numbers.
    pub numbers: u64,
    /// Distinct points in time among the strings.
    pub dates: u64,
}

/// A namespace of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamespaceInfo {
    /// Its name; `""` is the default one.
    pub name: String,
    /// Its records.
    pub records: u64,
    /// About the bytes it takes: its share of each segment file, by rows, and its records that are not
    /// in one yet.
    pub bytes: u64,
}

/// What [`Database::verify`](crate::Database::verify) found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Segments read.
    pub segments: usize,
    /// Bytes read and checked.
    pub bytes: u64,
    /// One line for each damaged place; empty if all is well.
    pub problems: Vec<String>,
}

/// Paths are text in JSON, whatever their bytes are.
fn path_text<S: Serializer>(
    path: &Option<PathBuf>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.to_string_lossy()).serialize(serializer)
}

pub(crate) fn database(state: &State) -> Result<Stats> {
    let collections = state
        .all_collections()
        .iter()
        .map(|shard| collection(shard))
        .collect::<Result<Vec<_>>>()?;
    Ok(Stats {
        path: state.path.clone(),
        seq: state.commit.lock().seq,
        segment_bytes: collections.iter().flat_map(|c| &c.segments).map(|s| s.bytes).sum(),
        log_bytes: state.kv.bytes()?,
        log_recovery: state.kv.recovery().map(str::to_owned),
        memory: memory(state),
        snapshots: snapshot::list(state)?.len(),
        scrub: scrub::stats(state),
        kernels: vecstore_index::kernel_name(),
        collections,
    })
}

/// Bytes of segments and log.
pub(crate) fn disk_bytes(state: &State) -> Result<u64> {
    let segments: u64 = state
        .all_collections()
        .iter()
        .flat_map(|shard| shard.version().segments.clone())
        .map(|part| part.file.segment.bytes())
        .sum();
    Ok(segments + state.kv.bytes()?)
}

pub(crate) fn collection(shard: &CollectionState) -> Result<CollectionStats> {
    let version = shard.version();
    let memtable_records: u64 = (version.memtables.iter())
        .flat_map(|part| part.table.namespaces())
        .map(|namespace| u64::from(namespace.live(version.seq)))
        .sum();
    let namespaces = namespaces(&version);
    Ok(CollectionStats {
        name: shard.name.clone(),
        dim: shard.options.dim(),
        metric: shard.options.metric().name().to_owned(),
        precision: shard.options.vector_precision().name().to_owned(),
        codes: shard.options.kept_codes().name().to_owned(),
        records: namespaces.values().map(|usage| usage.records).sum(),
        namespaces: namespaces.len() as u64,
        memtable_records,
        memtable_bytes: version.memtables.iter().map(|part| part.table.bytes() as u64).sum(),
        segments: version
            .segments
            .iter()
            .map(|part| SegmentStats {
                id: part.id(),
                rows: u64::from(part.file.segment.rows()),
                deleted: part.deleted.len(),
                bytes: part.file.segment.bytes(),
                sections: part
                    .file
                    .segment
                    .section_bytes()
                    .into_iter()
                    .map(|(name, bytes)| (name.to_owned(), bytes))
                    .collect(),
                indexes: indexes(&part.file.segment),
                fields: fields(&part.file.segment),
                degraded: part.file.segment.degraded(),
                damage: part.file.segment.damage(),
            })
            .collect(),
        trouble: shard.trouble.lock().clone(),
    })
}

/// What the indexes of a segment are; nothing if that cannot be read, which makes the segment
/// a degraded one.
pub(crate) fn indexes(segment: &Segment) -> BTreeMap<String, String> {
    let indexes = segment.indexes().unwrap_or_default();
    indexes.into_iter().map(|(name, index)| (name.to_owned(), index.to_string())).collect()
}

fn fields(segment: &Segment) -> Vec<FieldStats> {
    // What is damaged is told by `degraded`.
    let summaries = segment.fields().ok().and_then(|fields| fields.fields().ok());
    summaries
        .unwrap_or_default()
        .into_iter()
        .map(|field| FieldStats {
            path: field.path,
            indexed: field.indexed,
            bytes: field.bytes,
            strings: field.strings,
            numbers: field.numbers,
            dates: field.dates,
        })
        .collect()
}

/// Records and bytes of a namespace, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Usage {
    pub(crate) fn add(&mut self, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
    }
}

/// The bytes of so many of a segment's rows.
pub(crate) fn share(segment: &Segment, rows: u64) -> u64 {
    let share = u128::from(segment.bytes()) * u128::from(rows);
    // No more than the file has.
    (share / u128::from(segment.rows().max(1))) as u64
}

/// Every namespace that has records, by name.
pub(crate) fn namespaces(version: &Version) -> BTreeMap<String, Usage> {
    let mut all: BTreeMap<String, Usage> = BTreeMap::new();
    for part in &version.memtables {
        for namespace in part.table.namespaces() {
            for (_, hot) in namespace.visible_rows(version.seq) {
                match all.get_mut(&**namespace.name()) {
                    Some(usage) => usage.add(1, hot.bytes()),
                    None => {
                        all.entry(namespace.name().to_string()).or_default().add(1, hot.bytes());
                    }
                }
            }
        }
    }
    for part in &version.segments {
        for namespace in part.file.segment.namespaces() {
            let live = part.live_in(namespace);
            if live > 0 {
                let usage = all.entry(namespace.name.clone()).or_default();
                usage.add(live, share(&part.file.segment, live));
            }
        }
    }
    all
}

pub(crate) fn verify(state: &State) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    for shard in state.all_collections() {
        let version = shard.version();
        for part in &version.segments {
            let found = part.file.segment.verify(&*state.vfs)?;
            report.segments += 1;
            report.bytes += found.bytes;
            let place = part.file.segment.path().display().to_string();
            report.problems.extend(found.problems.iter().map(|p| format!("{place}: {p}")));
        }
    }
    Ok(report)
}
