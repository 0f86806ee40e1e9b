//! `vecstore namespaces`: the tenants of a collection: listed, removed, bounded.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use vecstore::{Collection, Database, NamespaceInfo, Quota};

use crate::collection::{self, Namespace};
use crate::failure::Result;
use crate::output::Output;
use crate::table::{Align, Table};
use crate::units;

/// Namespaces of a collection: list, remove, quotas
#[derive(Debug, Subcommand)]
pub(crate) enum Namespaces {
    /// List the namespaces that have records, by name
    ///
    /// JSON: {"namespaces": [{"name", "records", "bytes"}]}
    #[command(after_help = "Example:\n  vecstore namespaces list data docs")]
    List(Place),
    /// Remove a namespace with all its records
    ///
    /// JSON: {"removed": n}
    #[command(after_help = "Example:\n  vecstore namespaces remove data docs tenant-7")]
    Remove(Remove),
    /// Show or change the quota of a namespace, or with --all that of the whole collection
    ///
    /// JSON: {"records", "bytes", "batch_records", "results"}, only what is bounded
    #[command(
        after_help = "Example:\n  vecstore namespaces quota data docs --namespace tenant-7 --records 10000"
    )]
    Quota(SetQuota),
}

#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Folder of the database
    dir: PathBuf,
    /// Name of the collection
    collection: String,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    place: Place,
    /// Name of the namespace; '' is the default one
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct SetQuota {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    namespace: Namespace,
    /// The quota of all namespaces together
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Records; `none` for no bound
    #[arg(long, value_name = "N", value_parser = parse_bound)]
    records: Option<Bound>,
    /// Bytes; `none` for no bound
    #[arg(long, value_name = "N", value_parser = parse_bound)]
    bytes: Option<Bound>,
    /// Records of one batch; `none` for no bound
    #[arg(long, value_name = "N", value_parser = parse_bound)]
    batch_records: Option<Bound>,
    /// Results of one query; `none` for no bound
    #[arg(long, value_name = "N", value_parser = parse_bound)]
    results: Option<Bound>,
}

/// A bound, or that there is none.
#[derive(Clone, Copy, Debug)]
struct Bound(Option<u64>);

fn parse_bound(text: &str) -> std::result::Result<Bound, String> {
    if text == "none" {
        return Ok(Bound(None));
    }
    text.parse().map(|n| Bound(Some(n))).map_err(|_| "expected a number or `none`".to_owned())
}

#[derive(Serialize)]
struct Listed {
    namespaces: Vec<NamespaceInfo>,
}

#[derive(Serialize)]
struct Removed {
    removed: u64,
}

impl Place {
    fn open(&self) -> Result<(Database, Collection)> {
        let db = collection::open(&self.dir)?;
        let collection = db.collection(&self.collection)?;
        Ok((db, collection))
    }
}

impl Namespaces {
    pub(super) fn run(self, out: &mut Output) -> Result {
        match self {
            Namespaces::List(place) => list(&place, out),
            Namespaces::Remove(remove) => remove.run(out),
            Namespaces::Quota(quota) => quota.run(out),
        }
    }
}

fn list(place: &Place, out: &mut Output) -> Result {
    let (db, collection) = place.open()?;
    let namespaces = collection.list_namespaces()?;
    drop(collection);
    db.close()?;
    if out.is_json() {
        return out.json(&Listed { namespaces });
    }
    let columns = [("records", Align::Right), ("bytes", Align::Right), ("namespace", Align::Left)];
    let mut table = Table::new(&columns, columns.len());
    for NamespaceInfo { name, records, bytes } in &namespaces {
        let name = if name.is_empty() { "(default)".to_owned() } else { name.clone() };
        table.row([units::count(*records), units::bytes(*bytes), name]);
    }
    if !namespaces.is_empty() {
        out.table(&table, 0)?;
    }
    let summary = units::counted(namespaces.len() as u64, "namespace");
    let summary = out.dimmed(&summary);
    writeln!(out, "{summary}")
}

impl Remove {
    fn run(self, out: &mut Output) -> Result {
        let (db, collection) = self.place.open()?;
        let removed = collection.remove_namespace(&self.name)?;
        drop(collection);
        db.close()?;
        if out.is_json() {
            return out.json(&Removed { removed });
        }
        writeln!(out, "removed {}", units::counted(removed, "record"))
    }
}

impl SetQuota {
    fn run(self, out: &mut Output) -> Result {
        let (db, collection) = self.place.open()?;
        let collection = collection.namespace(&self.namespace.name)?;
        let before = if self.all { collection.quota()? } else { collection.namespace_quota()? };
        let count =
            |bound: Option<u64>| bound.map(|bound| usize::try_from(bound).unwrap_or(usize::MAX));
        let mut quota = before.clone();
        if let Some(Bound(records)) = self.records {
            quota.records = records;
        }
        if let Some(Bound(bytes)) = self.bytes {
            quota.bytes = bytes;
        }
        if let Some(Bound(records)) = self.batch_records {
            quota.batch_records = count(records);
        }
        if let Some(Bound(results)) = self.results {
            quota.results = count(results);
        }
        if quota != before {
            let set =
                if self.all { Collection::set_quota } else { Collection::set_namespace_quota };
            set(&collection, quota.clone())?;
        }
        drop(collection);
        db.close()?;
        if out.is_json() {
            return out.json(&quota);
        }
        print(&quota, out)
    }
}

fn print(quota: &Quota, out: &mut Output) -> Result {
    let size = |n: usize| units::count(n as u64);
    for (what, bound) in [
        ("records", quota.records.map(units::count)),
        ("bytes", quota.bytes.map(units::count)),
        ("records of a batch", quota.batch_records.map(size)),
        ("results of a query", quota.results.map(size)),
    ] {
        writeln!(out, "{what:<18}  {}", bound.as_deref().unwrap_or("no bound"))?;
    }
    Ok(())
}
