//! `vecstore count`: how many records there are.

use clap::Args;
use serde::Serialize;

use crate::collection::Target;
use crate::failure::Result;
use crate::output::Output;
use crate::params::{self, Param};

/// Count the records, or those that satisfy a filter
///
/// JSON: {"count": n}
#[derive(Debug, Args)]
pub(crate) struct Count {
    #[command(flatten)]
    target: Target,
    /// Only records whose metadata satisfies this: "pos = 'n' AND gloss_len < 80"
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    /// Value of $NAME in the filter, as JSON; can be repeated
    #[arg(long, value_name = "NAME=JSON", value_parser = params::parse, requires = "filter")]
    param: Vec<Param>,
}

#[derive(Serialize)]
struct Counted {
    count: u64,
}

impl Count {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let (db, collection) = self.target.open()?;
        let count = match &self.filter {
            Some(filter) => {
                params::bind(collection.select(filter.as_str()), &self.param).count()?
            }
            None => collection.count(None)?,
        };
        drop(collection);
        db.close()?;
        if out.is_json() {
            return out.json(&Counted { count });
        }
        writeln!(out, "{count}")
    }
}
