//! `vecstore update`: metadata by id or by filter.

use clap::{ArgGroup, Args};
use serde::Serialize;
use serde_json::Value;

use crate::collection::Target;
use crate::failure::Result;
use crate::ids::IdReading;
use crate::output::Output;
use crate::params::{self, Param};
use crate::units;

/// Change the metadata of records, by id or of all that satisfy a filter; vectors stay
///
/// JSON: {"updated": n}
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("which").args(["id", "filter"]).required(true),
    after_help = "Example:\n  vecstore update data docs --where \"pos = 'v'\" --set '{\"seen\": true, \"draft\": null}'"
)]
pub(crate) struct Update {
    #[command(flatten)]
    target: Target,
    /// Ids: all digits is an integer, a hyphenated UUID is a UUID, anything else is a string
    #[arg(value_name = "ID")]
    id: Vec<String>,
    /// Change every record whose metadata satisfies this
    #[arg(long = "where", value_name = "EXPRESSION")]
    filter: Option<String>,
    /// Value of $NAME in the filter, as JSON; can be repeated
    #[arg(long, value_name = "NAME=JSON", value_parser = params::parse, requires = "filter")]
    param: Vec<Param>,
    /// What to change, as a JSON merge patch (RFC 7396): null removes a field, an object is merged
    /// into the one that is there, anything else replaces
    #[arg(long, value_name = "JSON", value_parser = parse_patch)]
    set: Value,
    #[command(flatten)]
    ids: IdReading,
}

#[derive(Serialize)]
struct Updated {
    updated: u64,
}

fn parse_patch(text: &str) -> std::result::Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(patch @ Value::Object(_)) => Ok(patch),
        Ok(_) => Err("expected a JSON object".to_owned()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

impl Update {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let ids = self.ids.read_all(&self.id)?;
        let (db, collection) = self.target.open()?;
        let updated = match &self.filter {
            Some(filter) => {
                params::bind(collection.select(filter.as_str()), &self.param).update(self.set)?
            }
            None => collection.update_many(&ids, self.set)?,
        };
        drop(collection);
        db.close()?;
        if out.is_json() {
            return out.json(&Updated { updated });
        }
        writeln!(out, "updated {}", units::counted(updated, "record"))
    }
}
