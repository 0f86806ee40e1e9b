//! Power cuts on a real file system: ext4 on a loop device stops writing in the middle of
//! everything, its own journal included, and is mounted again.
//!
//! Skipped, with the reason, where it cannot be mounted. 25 cuts; `VECSTORE_LONG=1` makes 1,000.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::time::Duration;

use vecstore_tests::process::{Writer, check};
use vecstore_tests::volume::Volume;
use vecstore_tests::{Random, is_long};

const THREADS: usize = 3;
/// After so many a new database is begun: reading all of a large one takes longer than it shows.
const CUTS_A_DATABASE: u64 = 16;

#[test]
fn a_power_cut_loses_nothing_acknowledged() {
    let mut volume = match Volume::ext4(512 << 20) {
        Ok(volume) => volume,
        Err(why) => return println!("skipped, no volume to cut the power of: {why}"),
    };
    let seed = std::env::var("VECSTORE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    println!("VECSTORE_SEED={seed}");
    let mut random = Random::new(seed);
    let cuts = if is_long() { 1_000 } else { 25 };
    let dir = volume.path().join("db");
    let mut done = vec![0; THREADS];
    let (mut acknowledged, mut in_flight) = (0, 0);
    for cut in 0..cuts {
        if cut > 0 && cut % CUTS_A_DATABASE == 0 {
            std::fs::remove_dir_all(&dir).unwrap();
            done.fill(0);
        }
        let writer = Writer::start(env!("CARGO_BIN_EXE_writer"), &dir, &done, None);
        std::thread::sleep(Duration::from_millis(random.below(300)));
        // What was read after the cut may have been acknowledged by a disk that was already gone.
        let before = writer.acknowledged();
        if let Err(why) = volume.cut_power() {
            return println!("skipped, the power cannot be cut: {why}");
        }
        let after = writer.kill();
        volume.power_up().unwrap();
        acknowledged += before.iter().zip(&done).map(|(now, then)| now - then).sum::<u64>();
        let submitted: Vec<u64> = after.iter().map(|n| n + 1).collect();
        done = check(&dir, &before, &submitted, &format!("cut {cut}"));
        in_flight += done.iter().zip(&before).map(|(found, acked)| found - acked).sum::<u64>();
    }
    println!(
        "{cuts} power cuts, {acknowledged} acknowledged operations, {in_flight} more were there"
    );
    assert!(acknowledged > cuts, "the writer hardly wrote: the test shows nothing");
}
