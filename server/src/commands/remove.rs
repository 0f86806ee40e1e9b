//! `vecstore remove`: records by id or by filter.

use clap::{ArgGroup, Args};
use serde::Serialize;

use crate::collection::Target;
use crate::failure::Result;
use crate::ids::IdReading;
use crate::output::Output;
use crate::params::{self, Param};
use crate::units;

/// Remove records, by id or all that satisfy a filter; ids that are not there are no error
///
/// JSON: {"removed": n}
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").args(["id", "filter"]).required(true))]
pub(crate) struct Remove {
    #[command(flatten)]
    target: Target,
    /// Ids: all digits is an integer, a hyphenated UUID is a UUID, anything else is a string
    #[arg(value_name = "ID")]
    id: Vec<String>,
    /// Remove every record whose metadata satisfies this
    #[arg(long = "where", value_name = "EXPRESSION")]
    filter: Option<String>,
    /// Value of $NAME in the filter, as JSON; can be repeated
    #[arg(long, value_name = "NAME=JSON", value_parser = params::parse, requires = "filter")]
    param: Vec<Param>,
    #[command(flatten)]
    ids: IdReading,
}

#[derive(Serialize)]
struct Removed {
    removed: u64,
}

impl Remove {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let ids = self.ids.read_all(&self.id)?;
        let (db, collection) = self.target.open()?;
        let removed = match &self.filter {
            Some(filter) => {
                params::bind(collection.select(filter.as_str()), &self.param).remove()?
            }
            None => collection.remove_many(&ids)?,
        };
        drop(collection);
        db.close()?;
        if out.is_json() {
            return out.json(&Removed { removed });
        }
        writeln!(out, "removed {}", units::counted(removed, "record"))
    }
}
