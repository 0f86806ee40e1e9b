//! `vecstore facet`: how many records have each value of a field.

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::collection::Target;
use crate::failure::Result;
use crate::output::Output;
use crate::params::{self, Param};
use crate::records::cell;
use crate::table::{Align, Table};
use crate::units;

/// Count the values of a metadata field
///
/// JSON: {"values": [{"value", "count"}], "distinct": n}; most records first
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vecstore facet data docs pos --filter 'gloss_len < 80'")]
pub(crate) struct Facet {
    #[command(flatten)]
    target: Target,
    /// The field; dots lead into objects
    #[arg(value_name = "FIELD")]
    field: String,
    /// Only records whose metadata satisfies this: "gloss_len < 80", or a filter as JSON
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    /// Value of $NAME in the filter, as JSON; can be repeated
    #[arg(long, value_name = "NAME=JSON", value_parser = params::parse, requires = "filter")]
    param: Vec<Param>,
    /// Values shown
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
}

#[derive(Serialize)]
struct Counted<'a> {
    values: Vec<ValueCount<'a>>,
    distinct: u64,
}

#[derive(Serialize)]
struct ValueCount<'a> {
    value: &'a Value,
    count: u64,
}

impl Facet {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let (db, collection) = self.target.open()?;
        let mut facet = collection.facet(&self.field).limit(self.limit);
        if let Some(filter) = &self.filter {
            facet = facet.filter(filter);
        }
        for param in &self.param {
            facet = facet.bind(&param.name, param.value.clone());
        }
        let found = facet.run()?;
        drop(collection);
        db.close()?;
        if out.is_json() {
            let values = found.values.iter();
            let values = values.map(|v| ValueCount { value: &v.value, count: v.count }).collect();
            return out.json(&Counted { values, distinct: found.distinct });
        }
        let mut table = Table::new(&[("records", Align::Right), ("value", Align::Left)], 2);
        for value in &found.values {
            table.row([units::count(value.count), cell(&value.value)]);
        }
        if !found.values.is_empty() {
            out.table(&table, 0)?;
        }
        let summary = units::counted(found.distinct, "different value");
        let summary = out.dimmed(&summary);
        writeln!(out, "{summary}")
    }
}
