//! Calls of the operating system fail under the real log: the process says so and ends its writes,
//! what was acknowledged is there, and nothing is half done.
//!
//! `strace` lets the calls of a running writer fail; skipped where there is none or it may not. 24
//! rounds; `VECSTORE_LONG=1` makes 1,000.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use vecstore_tests::process::{Writer, check};
use vecstore_tests::{Random, is_long};

const THREADS: usize = 3;
/// After so many a new database is begun: reading all of a large one takes longer than it shows.
const ROUNDS_A_DATABASE: u64 = 16;
const CALLS: [&str; 8] =
    ["fdatasync", "fsync", "write", "pwrite64", "openat", "rename", "ftruncate", "unlink"];

/// Makes the `at`th such call of each thread of a process fail, and with `for_good` those after it.
fn fail(process: u32, call: &str, at: u64, for_good: bool) -> Result<Child, String> {
    let more = if for_good { "+" } else { "" };
    let mut child = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-p", &process.to_string(), "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:error=EIO:when={at}{more}")])
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("strace: {error}"))?;
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    match said.next() {
        Some(Ok(line)) if line.contains("attached") => {
            std::thread::spawn(move || said.for_each(drop));
            Ok(child)
        }
        other => Err(format!("strace said {other:?}")),
    }
}

#[test]
fn a_call_that_fails_loses_nothing_acknowledged() {
    let seed = std::env::var("VECSTORE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    println!("VECSTORE_SEED={seed}");
    let mut random = Random::new(seed);
    let rounds = if is_long() { 1_000 } else { 24 };
    let mut dir = tempfile::tempdir().unwrap();
    let mut done = vec![0; THREADS];
    let (mut acknowledged, mut in_flight) = (0, 0);
    let mut ended: BTreeMap<&str, u64> = BTreeMap::new();
    for round in 0..rounds {
        if round > 0 && round % ROUNDS_A_DATABASE == 0 {
            dir = tempfile::tempdir().unwrap();
            done.fill(0);
        }
        let call = CALLS[round as usize % CALLS.len()];
        let (at, for_good) = (1 + random.below(12), random.below(2) == 0);
        let place = format!("round {round}, {call} {at}, for good: {for_good}");
        let mut writer = Writer::start(env!("CARGO_BIN_EXE_writer"), dir.path(), &done, None);
        let mut strace = match fail(writer.id(), call, at, for_good) {
            Ok(strace) => strace,
            Err(why) => {
                writer.kill();
                return println!("skipped, calls cannot be made to fail: {why}");
            }
        };
        if let Some(code) = writer.ends_within(Duration::from_millis(600)) {
            assert_eq!(code, Some(0), "{place}: the writer ended otherwise than told");
            *ended.entry(call).or_default() += 1;
        }
        let acked = writer.kill();
        strace.wait().unwrap();
        acknowledged += acked.iter().zip(&done).map(|(a, b)| a - b).sum::<u64>();
        let submitted: Vec<u64> = acked.iter().map(|n| n + 1).collect();
        done = check(dir.path(), &acked, &submitted, &place);
        in_flight += done.iter().zip(&acked).map(|(found, acked)| found - acked).sum::<u64>();
    }
    println!(
        "{rounds} rounds, {acknowledged} acknowledged operations, {in_flight} more had committed; the \
         writer was told and ended after failing {ended:?}"
    );
    for call in ["fdatasync", "write"] {
        assert!(ended.contains_key(call), "no {call} of the log failed: the test shows nothing");
    }
}
