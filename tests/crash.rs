//! kill -9 in the middle of everything: what was acknowledged is there, and nothing is half done.
//!
//! Half of the rounds kill the process at a random moment, in the others it ends itself at a named
//! one. 200 rounds; `VECSTORE_LONG=1` makes 5,000, `VECSTORE_KILL_ROUNDS` any other number.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use vecstore::{Database, ErrorKind};
use vecstore_tests::process::{MOMENTS, Writer, check};
use vecstore_tests::{Random, is_long};

const THREADS: usize = 3;
/// After so many a new database is begun: reading all of a large one takes longer than it shows.
const ROUNDS_A_DATABASE: u64 = 16;
const PROGRAM: &str = env!("CARGO_BIN_EXE_writer");

fn rounds() -> u64 {
    let asked = std::env::var("VECSTORE_KILL_ROUNDS").ok().and_then(|n| n.parse().ok());
    asked.unwrap_or(if is_long() { 5_000 } else { 200 })
}

#[test]
fn kill_9_loses_nothing_acknowledged_and_leaves_nothing_half_done() {
    let seed = std::env::var("VECSTORE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    println!("VECSTORE_SEED={seed}");
    let mut random = Random::new(seed);
    let mut dir = tempfile::tempdir().unwrap();
    let mut done = vec![0; THREADS];
    let (mut acknowledged, mut in_flight) = (0, 0);
    let mut deaths: BTreeMap<&str, u64> = MOMENTS.iter().map(|&moment| (moment, 0)).collect();
    for round in 0..rounds() {
        if round > 0 && round % ROUNDS_A_DATABASE == 0 {
            dir = tempfile::tempdir().unwrap();
            done.fill(0);
        }
        let moment = MOMENTS[round as usize / 2 % MOMENTS.len()];
        let die_at = (round % 2 == 1).then(|| format!("{moment}#{}", 1 + random.below(2)));
        let mut writer = Writer::start(PROGRAM, dir.path(), &done, die_at.as_deref());
        if die_at.is_none() {
            std::thread::sleep(Duration::from_millis(random.below(150)));
        } else if writer.ends_within(Duration::from_secs(2)).is_some() {
            *deaths.entry(moment).or_default() += 1;
        }
        let acked = writer.kill();
        acknowledged += acked.iter().zip(&done).map(|(a, b)| a - b).sum::<u64>();
        let submitted: Vec<u64> = acked.iter().map(|n| n + 1).collect();
        let place = format!("round {round}, {}", die_at.as_deref().unwrap_or("at random"));
        done = check(dir.path(), &acked, &submitted, &place);
        in_flight += done.iter().zip(&acked).map(|(found, acked)| found - acked).sum::<u64>();
    }
    println!(
        "{} kills, {acknowledged} acknowledged operations, {in_flight} more had committed; ended at \
         {deaths:?}",
        rounds()
    );
    assert!(acknowledged > rounds(), "the writer hardly wrote: the test shows nothing");
    if rounds() >= 200 {
        let never: Vec<_> = deaths.iter().filter(|(_, times)| **times == 0).collect();
        assert!(never.is_empty(), "the writer never ended at {never:?}");
    }
}

#[test]
fn a_second_process_is_refused_and_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let writer = Writer::start(PROGRAM, dir.path(), &[0], None);
    let error = Database::open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    let message = error.to_string();
    let process = format!("process {}", writer.id());
    assert!(message.contains(&process), "{message}");
    assert!(message.contains("one process at a time"), "{message}");
    writer.kill();
    Database::open(dir.path()).unwrap();
}
