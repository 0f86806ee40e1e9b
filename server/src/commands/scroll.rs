//! `vecstore scroll`: records in the order of their ids, a page at a time.

use clap::Args;
use serde::Serialize;

use crate::collection::Target;
use crate::failure::Result;
use crate::ids::{IdReading, JsonId};
use crate::include::{self, Shown};
use crate::output::Output;
use crate::params::{self, Param};
use crate::records::{self, ShownRecord};
use crate::table::printable;

/// Show a page of records, ascending by id: integers, then UUIDs, then strings
///
/// JSON: {"records": [{"id", "metadata", "vector"}], "next": id or null}; hand `next` to --after
#[derive(Debug, Args)]
pub(crate) struct Scroll {
    #[command(flatten)]
    target: Target,
    /// Only records whose metadata satisfies this: "pos = 'n' AND gloss_len < 80"
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    /// Value of $NAME in the filter, as JSON; can be repeated
    #[arg(long, value_name = "NAME=JSON", value_parser = params::parse)]
    param: Vec<Param>,
    /// Records of the page
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Only records after this ID
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// What to show: metadata, metadata.FIELD, vector, separated by commas; or none
    #[arg(long, value_name = "LIST", default_value = Shown::DEFAULT, value_parser = include::parse)]
    include: Shown,
    #[command(flatten)]
    ids: IdReading,
}

#[derive(Serialize)]
struct Page<'a> {
    records: &'a [ShownRecord],
    next: Option<JsonId<'a>>,
}

impl Scroll {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let after = self.after.as_deref().map(|id| self.ids.read(id)).transpose()?;
        let (db, collection) = self.target.open()?;
        let mut scroll = collection.scroll().limit(self.limit).include(self.include.include());
        if let Some(filter) = &self.filter {
            scroll = scroll.filter(filter);
        }
        for param in &self.param {
            scroll = scroll.bind(&param.name, param.value.clone());
        }
        if let Some(after) = after {
            scroll = scroll.after(after);
        }
        let page = scroll.run()?;
        db.close()?;
        let next = page.next;
        let records: Vec<ShownRecord> =
            page.records.into_iter().map(|r| ShownRecord::stored(r, &self.include)).collect();
        if out.is_json() {
            return out.json(&Page { records: &records, next: next.as_ref().map(JsonId) });
        }
        if records.is_empty() {
            return writeln!(out, "no records");
        }
        out.table(&records::table(&records, &self.include), 0)?;
        if let Some(next) = next {
            let note = format!("there are more: --after {}", printable(&next.to_string()));
            let note = out.dimmed(&note);
            writeln!(out, "{note}")?;
        }
        Ok(())
    }
}
