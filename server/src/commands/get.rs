//! `vecstore get`: records by id.

use clap::Args;
use serde::Serialize;
use vecstore::{ErrorKind, RecordId};

use crate::collection::Target;
use crate::failure::{Failure, Result};
use crate::ids::{IdReading, JsonId};
use crate::include::{self, Shown};
use crate::output::Output;
use crate::records::{self, ShownRecord};
use crate::table::printable;

/// Show records by id; fails with exit code 1 if one of them is not there
///
/// JSON: {"records": [{"id", "metadata", "vector"}], "missing": [id]}
#[derive(Debug, Args)]
pub(crate) struct Get {
    #[command(flatten)]
    target: Target,
    /// Ids: all digits is an integer, a hyphenated UUID is a UUID, anything else is a string
    #[arg(required = true, value_name = "ID")]
    id: Vec<String>,
    /// What to show: metadata, metadata.FIELD, vector, separated by commas; or none
    #[arg(long, value_name = "LIST", default_value = Shown::DEFAULT, value_parser = include::parse)]
    include: Shown,
    #[command(flatten)]
    ids: IdReading,
}

#[derive(Serialize)]
struct Found<'a> {
    records: &'a [ShownRecord],
    missing: Vec<JsonId<'a>>,
}

impl Get {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let ids = self.ids.read_all(&self.id)?;
        let (db, collection) = self.target.open()?;
        let (mut found, mut missing): (Vec<ShownRecord>, Vec<&RecordId>) = (Vec::new(), Vec::new());
        for (id, record) in ids.iter().zip(collection.get_many(&ids, &self.include.include())?) {
            match record {
                Some(record) => found.push(ShownRecord::stored(record, &self.include)),
                None => missing.push(id),
            }
        }
        drop(collection);
        db.close()?;
        if out.is_json() {
            let missing = missing.iter().map(|id| JsonId(id)).collect();
            out.json(&Found { records: &found, missing })?;
        } else if let [record] = &found[..] {
            for line in records::lines(record) {
                writeln!(out, "{line}")?;
            }
        } else if !found.is_empty() {
            out.table(&records::table(&found, &self.include), 0)?;
        }
        if missing.is_empty() {
            return Ok(());
        }
        let names: Vec<String> =
            missing.iter().map(|id| format!("`{}`", printable(&id.to_string()))).collect();
        let noun = if names.len() == 1 { "record" } else { "records" };
        let collection = &self.target.collection;
        Err(Failure::new(
            ErrorKind::NotFound,
            format!("collection `{collection}` has no {noun} {}", names.join(", ")),
        ))
    }
}
