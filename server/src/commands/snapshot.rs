//! `vecstore snapshot`: states of the database to come back to.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use vecstore::SnapshotInfo;

use crate::collection;
use crate::failure::Result;
use crate::output::Output;
use crate::table::{Align, Table};
use crate::units;

/// Snapshots: states of the whole database to come back to
#[derive(Debug, Subcommand)]
pub(crate) enum Snapshot {
    /// Keep the state of now under a name
    ///
    /// JSON: {"name", "created_unix_ms", "seq", "records", "segments", "bytes"}
    Create(Named),
    /// List the snapshots, oldest first
    ///
    /// JSON: {"snapshots": [as of create]}
    List(Database),
    /// Bring the whole database back to a snapshot; what was written since is gone
    ///
    /// JSON: {"restored": name, "records": n}
    Restore(Named),
    /// Remove a snapshot; the database stays as it is
    ///
    /// JSON: {"removed": name}
    Remove(Named),
}

#[derive(Debug, Args)]
pub(crate) struct Database {
    /// Folder of the database
    dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    #[command(flatten)]
    database: Database,
    /// Name of the snapshot: letters, digits, `.`, `_` and `-`
    name: String,
}

#[derive(Serialize)]
struct Listed {
    snapshots: Vec<SnapshotInfo>,
}

#[derive(Serialize)]
struct Restored<'a> {
    restored: &'a str,
    records: u64,
}

#[derive(Serialize)]
struct Removed<'a> {
    removed: &'a str,
}

impl Snapshot {
    pub(super) fn run(self, out: &mut Output) -> Result {
        match self {
            Snapshot::Create(Named { database, name }) => create(&database, &name, out),
            Snapshot::List(database) => list(&database, out),
            Snapshot::Restore(Named { database, name }) => restore(&database, &name, out),
            Snapshot::Remove(Named { database, name }) => remove(&database, &name, out),
        }
    }
}

fn create(database: &Database, name: &str, out: &mut Output) -> Result {
    let db = collection::open(&database.dir)?;
    let info = db.create_snapshot(name)?;
    db.close()?;
    if out.is_json() {
        return out.json(&info);
    }
    writeln!(
        out,
        "created snapshot `{name}`: {} in {}, {}",
        units::counted(info.records, "record"),
        units::counted(info.segments as u64, "segment"),
        units::bytes(info.bytes)
    )
}

fn list(database: &Database, out: &mut Output) -> Result {
    let db = collection::open(&database.dir)?;
    let mut snapshots = db.list_snapshots()?;
    db.close()?;
    snapshots.sort_by(|a, b| (a.created_unix_ms, &a.name).cmp(&(b.created_unix_ms, &b.name)));
    if out.is_json() {
        return out.json(&Listed { snapshots });
    }
    if snapshots.is_empty() {
        return writeln!(out, "no snapshots");
    }
    let mut table = Table::new(
        &[
            ("name", Align::Left),
            ("created", Align::Left),
            ("records", Align::Right),
            ("segments", Align::Right),
            ("size", Align::Right),
        ],
        5,
    );
    for info in snapshots {
        table.row([
            info.name,
            units::utc(info.created_unix_ms),
            units::count(info.records),
            units::count(info.segments as u64),
            units::bytes(info.bytes),
        ]);
    }
    out.table(&table, 0)
}

fn restore(database: &Database, name: &str, out: &mut Output) -> Result {
    let db = collection::open(&database.dir)?;
    db.restore_snapshot(name)?;
    let records = db.stats()?.collections.iter().map(|c| c.records).sum();
    db.close()?;
    if out.is_json() {
        return out.json(&Restored { restored: name, records });
    }
    writeln!(out, "restored snapshot `{name}`: {}", units::counted(records, "record"))
}

fn remove(database: &Database, name: &str, out: &mut Output) -> Result {
    let db = collection::open(&database.dir)?;
    db.remove_snapshot(name)?;
    db.close()?;
    if out.is_json() {
        return out.json(&Removed { removed: name });
    }
    writeln!(out, "removed snapshot `{name}`")
}
