//! `vecstore config`: what `serve` would do, and why.

use clap::Args;

use crate::failure::Result;
use crate::output::Output;
use crate::settings::{self, Flags};
use crate::table::{Align, Table};

/// Show each setting of `serve`, its value and where that comes from
///
/// JSON: [{"name", "value", "origin"}]; origin is `default`, the file, the variable of the
/// environment, or the flag
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(flatten)]
    flags: Flags,
}

impl Config {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let (_, shown) = settings::load(&self.flags, &settings::environment())?;
        if out.is_json() {
            return out.json(&shown);
        }
        let columns = [("setting", Align::Left), ("value", Align::Left), ("from", Align::Left)];
        let mut table = Table::new(&columns, columns.len());
        for setting in shown {
            table.row(vec![setting.name.to_owned(), setting.value, setting.origin]);
        }
        out.table(&table, 0)
    }
}
