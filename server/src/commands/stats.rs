//! `vecstore stats`: what is in a database, and where its bytes are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use vecstore::{CollectionStats, Stats as DatabaseStats};

use crate::collection;
use crate::failure::Result;
use crate::output::Output;
use crate::table::{Align, Table, printable};
use crate::units;

/// Namespaces listed for a person; `--json` has them all.
const NAMESPACES_SHOWN: usize = 20;

/// Show what is in a database: collections, segments, bytes; with COLLECTION also its namespaces
///
/// JSON: {"path", "seq", "collections": [{"name", "dim", "metric", "precision", "codes", "records",
/// "namespaces", "memtable_records", "memtable_bytes", "segments": [{"id", "rows", "deleted", "bytes",
/// "sections": {name: bytes}, "indexes": {namespace: what it is}, "fields": [{"path", "indexed",
/// "bytes", "strings", "numbers", "dates"}], "degraded": [line], "damage": [line]}], "trouble"}],
/// "segment_bytes", "log_bytes", "log_recovery", "memory": {kind: bytes}, "snapshots", "scrub": {what it
/// has done in this process}, "kernels", "namespaces": [{"namespace", "records"}]}; the last only with COLLECTION
#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Folder of the database
    dir: PathBuf,
    /// Only this collection [default: all]
    collection: Option<String>,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    database: DatabaseStats,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespaces: Option<Vec<NamespaceRecords>>,
}

#[derive(Serialize)]
struct NamespaceRecords {
    namespace: String,
    records: u64,
}

impl Stats {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let db = collection::open(&self.dir)?;
        let mut database = db.stats()?;
        let mut namespaces = None;
        if let Some(name) = &self.collection {
            let found = db.collection(name)?.namespaces()?;
            database.collections.retain(|c| c.name == *name);
            namespaces = Some(
                found
                    .into_iter()
                    .map(|(namespace, records)| NamespaceRecords { namespace, records })
                    .collect(),
            );
        }
        db.close()?;
        let report = Report { database, namespaces };
        if out.is_json() {
            return out.json(&report);
        }
        print_database(&report.database, out)?;
        for stats in &report.database.collections {
            print_collection(stats, out)?;
        }
        report.namespaces.map_or(Ok(()), |namespaces| print_namespaces(namespaces, out))
    }
}

fn print_database(stats: &DatabaseStats, out: &mut Output) -> Result {
    let path = stats.path.as_ref().map_or("in memory".to_owned(), |p| p.display().to_string());
    out.heading(&path)?;
    writeln!(
        out,
        "  {} in segments, {} of log, {}, commit {}, {} kernels",
        units::bytes(stats.segment_bytes),
        units::bytes(stats.log_bytes),
        units::counted(stats.snapshots as u64, "snapshot"),
        units::count(stats.seq),
        stats.kernels
    )?;
    writeln!(
        out,
        "  {} of memory: {} for records in no segment, {} for the log, {} for segments",
        units::bytes(stats.memory.total),
        units::bytes(
            stats.memory.memtable_rows
                + stats.memory.memtable_graphs
                + stats.memory.memtable_fields
        ),
        units::bytes(stats.memory.log),
        units::bytes(
            stats.memory.segment_heads
                + stats.memory.segment_orders
                + stats.memory.deletions
                + stats.memory.segment_files
        )
    )?;
    if let Some(cut) = &stats.log_recovery {
        writeln!(out, "  {}", printable(cut))?;
    }
    if stats.collections.is_empty() {
        writeln!(out, "  no collections")?;
    }
    Ok(())
}

fn print_collection(stats: &CollectionStats, out: &mut Output) -> Result {
    writeln!(out)?;
    out.heading(&stats.name)?;
    writeln!(
        out,
        "  {} in {}, {} components of {}, {}, codes {}",
        units::counted(stats.records, "record"),
        units::counted(stats.namespaces, "namespace"),
        stats.dim,
        stats.precision,
        stats.metric,
        stats.codes
    )?;
    writeln!(
        out,
        "  in memory: {}, {}",
        units::counted(stats.memtable_records, "record"),
        units::bytes(stats.memtable_bytes)
    )?;
    if let Some(trouble) = &stats.trouble {
        writeln!(out, "  trouble: {}", printable(trouble))?;
    }
    if stats.segments.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(
        &[
            ("segment", Align::Right),
            ("rows", Align::Right),
            ("deleted", Align::Right),
            ("size", Align::Right),
            ("damaged", Align::Left),
        ],
        4,
    );
    let mut sections: BTreeMap<&str, u64> = BTreeMap::new();
    for segment in &stats.segments {
        table.row([
            segment.id.to_string(),
            units::count(segment.rows),
            units::count(segment.deleted),
            units::bytes(segment.bytes),
            [&segment.damage[..], &segment.degraded].concat().join(", "),
        ]);
        for (name, bytes) in &segment.sections {
            *sections.entry(name).or_default() += bytes;
        }
    }
    out.table(&table, 2)?;
    writeln!(out)?;
    let total: u64 = stats.segments.iter().map(|segment| segment.bytes).sum();
    let padding = total.saturating_sub(sections.values().sum());
    sections.insert("header and padding", padding);
    sections.retain(|_, bytes| *bytes > 0);
    let mut table =
        Table::new(&[("section", Align::Left), ("size", Align::Right), ("share", Align::Right)], 3);
    let mut sections: Vec<_> = sections.into_iter().collect();
    sections.sort_by_key(|&(name, bytes)| (std::cmp::Reverse(bytes), name));
    for (name, bytes) in sections {
        let share = 100.0 * bytes as f64 / total.max(1) as f64;
        table.row([name.to_owned(), units::bytes(bytes), format!("{share:.1} %")]);
    }
    out.table(&table, 2)
}

fn print_namespaces(mut namespaces: Vec<NamespaceRecords>, out: &mut Output) -> Result {
    if namespaces.iter().all(|n| n.namespace.is_empty()) {
        return Ok(());
    }
    writeln!(out)?;
    namespaces.sort_by(|a, b| (b.records, &a.namespace).cmp(&(a.records, &b.namespace)));
    let more = namespaces.len().saturating_sub(NAMESPACES_SHOWN);
    let mut table = Table::new(&[("namespace", Align::Left), ("records", Align::Right)], 2);
    for NamespaceRecords { namespace, records } in namespaces.into_iter().take(NAMESPACES_SHOWN) {
        let name = if namespace.is_empty() { "\"\" (default)".to_owned() } else { namespace };
        table.row([name, units::count(records)]);
    }
    out.table(&table, 2)?;
    if more > 0 {
        writeln!(out, "  and {} with fewer records (--json lists all)", units::count(more as u64))?;
    }
    Ok(())
}
