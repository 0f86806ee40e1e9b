//! The commands and what is common to them.

use clap::{Parser, Subcommand};

use crate::commands;

/// An embedded vector database: collections of records with a vector and metadata, searched by
/// nearness and filtered by expressions.
///
/// DIR is the folder of a database; one process at a time can open it.
///
/// IDs are typed as they are: all digits is an integer id, a hyphenated UUID is a UUID, anything
/// else is a string. `--string-ids` makes every ID a string.
///
/// Exit codes: 0 success, 1 the operation failed, 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "vecstore", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// Print one JSON value instead of text; errors become {"error":{"kind":…,"message":…}} on
    /// standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(commands::demo::Demo),
    Create(commands::create::Create),
    Import(commands::import::Import),
    Query(commands::query::Query),
    Get(commands::get::Get),
    Remove(commands::remove::Remove),
    Count(commands::count::Count),
    Scroll(commands::scroll::Scroll),
    Facet(commands::facet::Facet),
    Update(commands::update::Update),
    #[command(subcommand)]
    Namespaces(commands::namespaces::Namespaces),
    Stats(commands::stats::Stats),
    Optimize(commands::optimize::Optimize),
    #[command(subcommand)]
    Snapshot(commands::snapshot::Snapshot),
    Archive(commands::archive::Archive),
    Unarchive(commands::unarchive::Unarchive),
    Verify(commands::verify::Verify),
    Repair(commands::repair::Repair),
    Export(commands::export::Export),
    Serve(commands::serve::Serve),
    Config(commands::config::Config),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
