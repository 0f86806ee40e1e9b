//! `vecstore scroll`: records in the order of their ids, a page at a time.

use clap::Args;
use serde::Serialize;
use vecstore::Cursor;

use crate::collection::Target;
use crate::failure::Result;
use crate::ids::{IdReading, JsonId};
use crate::include::{self, Shown};
use crate::output::Output;
use crate::params::{self, Param};
use crate::records::{self, ShownRecord};
use crate::table::printable;

/// Show a page of records, ascending by id (integers, then UUIDs, then strings) or by a field
///
/// JSON: {"records": [{"id", "metadata", "vector"}], "next": id or null}; hand `next` to --after. With
/// --order-by also "cursor": text or null; hand that to --resume
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  vecstore scroll data docs --order-by gloss_len --descending --limit 20"
)]
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
    #[arg(long, value_name = "ID", conflicts_with_all = ["order_by", "resume"])]
    after: Option<String>,
    /// Order by this field, equal values by id; records without it come last
    #[arg(long, value_name = "FIELD")]
    order_by: Option<String>,
    /// Largest value first
    #[arg(long, requires = "order_by")]
    descending: bool,
    /// Go on where a page ended, in the same order
    #[arg(long, value_name = "CURSOR", value_parser = parse_cursor)]
    resume: Option<Cursor>,
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
    /// Only where it is needed: in the order of ids `next` is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Option<String>>,
}

fn parse_cursor(text: &str) -> std::result::Result<Cursor, String> {
    text.parse().map_err(|error: vecstore::Error| error.to_string())
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
        match &self.order_by {
            Some(field) if self.descending => scroll = scroll.order_by_descending(field),
            Some(field) => scroll = scroll.order_by(field),
            None => {}
        }
        if let Some(cursor) = self.resume {
            scroll = scroll.resume(cursor);
        }
        let page = scroll.run()?;
        db.close()?;
        let cursor = page.cursor.map(|cursor| cursor.to_string());
        let next = page.next;
        let records: Vec<ShownRecord> =
            page.records.into_iter().map(|r| ShownRecord::stored(r, &self.include)).collect();
        if out.is_json() {
            return out.json(&Page {
                records: &records,
                next: next.as_ref().map(JsonId),
                cursor: self.order_by.map(|_| cursor),
            });
        }
        if records.is_empty() {
            return writeln!(out, "no records");
        }
        out.table(&records::table(&records, &self.include), 0)?;
        if let (Some(next), Some(cursor)) = (next, cursor) {
            let note = match self.order_by {
                None => format!("there are more: --after {}", printable(&next.to_string())),
                // Within single quotes only a quote means something.
                Some(_) => format!(
                    "there are more: --resume '{}'",
                    printable(&cursor).replace('\'', "'\\''")
                ),
            };
            let note = out.dimmed(&note);
            writeln!(out, "{note}")?;
        }
        Ok(())
    }
}
