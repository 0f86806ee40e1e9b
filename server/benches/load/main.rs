//! The real `vecstore serve` under load, over gRPC on loopback.
//!
//! ```text
//! cargo bench -p vecstore-server --bench load -- [mixed|overload|kill|rate] [--seconds N] [--clients N]
//! ```
//!
//! - `mixed`: clients that query and write durably, four to one; memory over time, times, errors.
//! - `overload`: what the server can answer at most, then four times as many requests as that,
//!   in turns.
//! - `kill`: the same clients while the server is killed again and again; what was acknowledged is
//!   asked for afterwards.
//! - `rate`: queries a second, single, in streams and in batches, beside the library's own batches in
//!   this process, in turns.
//!
//! Without a name all four run. Clients run in this process, on the same cores as the server.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs, unreachable_pub)]

mod client;
mod kill;
mod light;
mod mixed;
mod overload;
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../../tests/serve/process.rs"]
mod process;
mod rate;
mod usage;

/// The client's side of `proto/`.
#[allow(clippy::all, clippy::pedantic)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/client/vecstore.v1.rs"));
}

use std::time::Duration;

/// The server's, so that the library beside it and the clients have the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What was asked for.
struct Asked {
    parts: Vec<String>,
    /// Of each measurement.
    time: Duration,
    clients: usize,
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked { parts: Vec::new(), time: Duration::from_secs(20), clients: 64 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let text = arguments.next().ok_or(format!("{argument} needs a number"))?;
            match text.parse() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(format!("{argument} {text}: not a number above 0")),
            }
        };
        match argument.as_str() {
            // Cargo says so.
            "--bench" => {}
            "--seconds" => asked.time = Duration::from_secs(number()?),
            "--clients" => asked.clients = number()? as usize,
            "mixed" | "overload" | "kill" | "rate" => asked.parts.push(argument),
            _ => return Err(format!("{argument}: use mixed, overload, kill or rate")),
        }
    }
    Ok(asked)
}

fn main() {
    let asked = asked().unwrap_or_else(|wrong| panic!("{wrong}"));
    let wanted = |part: &str| asked.parts.is_empty() || asked.parts.iter().any(|p| p == part);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        if wanted("rate") {
            rate::run(asked.time).await;
        }
        if wanted("mixed") {
            mixed::run(asked.time, asked.clients).await;
        }
        if wanted("overload") {
            overload::run(asked.time, asked.clients).await;
        }
        if wanted("kill") {
            kill::run(asked.time, asked.clients).await;
        }
    });
}
