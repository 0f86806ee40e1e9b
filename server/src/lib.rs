//! `vecstore`: the database on the command line. Parses, runs one command, reports.
//!
//! A library so that fuzz targets reach what the binary is made of; there is nothing else to call.

mod cli;
mod collection;
mod commands;
mod failure;
mod grouped;
mod grpc;
mod http;
mod ids;
mod include;
mod input;
mod output;
mod params;
#[doc(hidden)]
pub mod probe;
mod progress;
mod qdrant;
mod records;
mod serve;
mod service;
mod settings;
mod table;
mod traces;
mod units;
mod vector;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::output::Output;

/// Runs the command that the arguments of the process name.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::report_parse_error(&error, json_was_asked_for()),
    };
    let mut out = Output::stdout(cli.json);
    let result = commands::run(cli.command, &mut out).and_then(|()| out.flush());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // What was printed before the failure comes before its message.
            let _ = out.flush();
            failure.report(cli.json)
        }
    }
}

/// Whether `--json` is among the arguments, for errors that keep them from being parsed.
fn json_was_asked_for() -> bool {
    std::env::args_os().skip(1).take_while(|a| a != "--").any(|a| a == "--json")
}
