//! One file a command: its arguments, what it does, what it prints.

pub(crate) mod archive;
pub(crate) mod config;
pub(crate) mod count;
pub(crate) mod create;
pub(crate) mod demo;
pub(crate) mod export;
pub(crate) mod facet;
pub(crate) mod get;
pub(crate) mod import;
mod ingest;
pub(crate) mod namespaces;
pub(crate) mod optimize;
pub(crate) mod query;
pub(crate) mod remove;
pub(crate) mod repair;
mod schema;
pub(crate) mod scroll;
pub(crate) mod serve;
pub(crate) mod snapshot;
pub(crate) mod stats;
pub(crate) mod unarchive;
pub(crate) mod update;
pub(crate) mod verify;

use crate::cli::Command;
use crate::failure::Result;
use crate::output::Output;

/// Runs a command.
pub(crate) fn run(command: Command, out: &mut Output) -> Result {
    match command {
        Command::Demo(demo) => demo.run(out),
        Command::Create(create) => create.run(out),
        Command::Import(import) => import.run(out),
        Command::Query(query) => query.run(out),
        Command::Get(get) => get.run(out),
        Command::Remove(remove) => remove.run(out),
        Command::Count(count) => count.run(out),
        Command::Scroll(scroll) => scroll.run(out),
        Command::Facet(facet) => facet.run(out),
        Command::Update(update) => update.run(out),
        Command::Namespaces(namespaces) => namespaces.run(out),
        Command::Stats(stats) => stats.run(out),
        Command::Optimize(optimize) => optimize.run(out),
        Command::Snapshot(snapshot) => snapshot.run(out),
        Command::Archive(archive) => archive.run(out),
        Command::Unarchive(unarchive) => unarchive.run(out),
        Command::Verify(verify) => verify.run(out),
        Command::Repair(repair) => repair.run(out),
        Command::Export(export) => export.run(out),
        Command::Serve(serve) => serve.run(),
        Command::Config(config) => config.run(out),
    }
}
