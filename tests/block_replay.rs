//! Power cuts at the level of the disk: the database, its store included, runs on ext4 over a device
//! whose writes and flushes are written down. For moments in between, the disk is made as a power cut may
//! leave it: all that was written before the last flush, and of what came behind it any part, reordered
//! and torn at sectors. Each is mounted (ext4 replays its journal), opened, and compared with what had
//! been acknowledged by then.
//!
//! Skipped, with the reason, where it cannot be mounted. 60 states; `VECSTORE_LONG=1` makes 2,400,
//! `VECSTORE_STATES` any other number.

#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vecstore_tests::block_device::{Disk, Event, Part, Recorder, ShownDisk};
use vecstore_tests::process::{Writer, check};
use vecstore_tests::volume::{Volume, make_ext4};
use vecstore_tests::{Random, is_long};

const DISK_BYTES: u64 = 512 << 20;
const THREADS: usize = 3;
/// Moments that are taken from one record.
const STATES_A_RECORD: u64 = 30;
/// How a file system may be mounted: what is in files goes before its metadata, or in any order.
const MOUNTS: [&str; 2] = ["data=ordered", "data=writeback"];

/// What a writer did to a disk: the disk before, what was done, and after how many events how many
/// operations of each thread had been acknowledged.
struct Record {
    before: Disk,
    events: Vec<Event>,
    acknowledged: Vec<(usize, Vec<u64>)>,
}

/// Lets a writer write for some time to a new file system on a recorded disk.
fn record(mount: &str, time: Duration) -> Result<Record, String> {
    let recorder = Recorder::new(Disk::new(DISK_BYTES));
    let shown = ShownDisk::new(Arc::clone(&recorder))?;
    make_ext4(&shown.path())?;
    let mut volume = Volume::of_image(&shown.path(), mount)?;
    // All that was done so far was flushed, as far as anybody can tell.
    let (before, _) = recorder.take();
    let dir = volume.path().join("db");
    let writer = Writer::start(env!("CARGO_BIN_EXE_writer"), &dir, &[0; THREADS], None);
    let began = Instant::now();
    let mut acknowledged = vec![(0, vec![0; THREADS])];
    while began.elapsed() < time {
        std::thread::sleep(Duration::from_micros(200));
        // In this order: what was acknowledged by then was so at the latest when these events had
        // happened.
        let now = writer.acknowledged();
        acknowledged.push((recorder.len(), now));
    }
    let last = writer.kill();
    let (_, events) = recorder.take();
    // Between the last look and the end it went on writing.
    acknowledged.push((events.len(), last));
    volume.unmount()?;
    Ok(Record { before, events, acknowledged })
}

impl Record {
    /// The operations of each thread that had been acknowledged before event `at`.
    fn acknowledged_at(&self, at: usize) -> &[u64] {
        let later = self.acknowledged.partition_point(|(events, _)| *events <= at);
        &self.acknowledged[later - 1].1
    }

    /// Moments to cut the power, ascending: behind a write.
    fn moments(&self, count: u64, random: &mut Random) -> Vec<usize> {
        let writes: Vec<usize> = (0..self.events.len())
            .filter(|&at| matches!(self.events[at], Event::Write(..)))
            .map(|at| at + 1)
            .collect();
        let mut moments: Vec<usize> =
            (0..count).map(|_| writes[random.below(writes.len() as u64) as usize]).collect();
        moments.sort_unstable();
        moments
    }
}

/// Mounts a disk as it was left, opens the database and compares it; how many operations it holds.
fn look(disk: Disk, mount: &str, record: &Record, at: usize, place: &str) -> Vec<u64> {
    let shown = ShownDisk::new(Recorder::new(disk)).unwrap();
    let volume = Volume::of_image(&shown.path(), mount)
        .unwrap_or_else(|error| panic!("{place}: ext4 does not mount: {error}"));
    let acknowledged = record.acknowledged_at(at);
    // Whatever was submitted later cannot be there, but which one was is not known to the operation.
    let submitted: Vec<u64> =
        record.acknowledged[record.acknowledged.len() - 1].1.iter().map(|n| n + 2).collect();
    check(&volume.path().join("db"), acknowledged, &submitted, place)
}

#[test]
fn whatever_the_disk_leaves_nothing_acknowledged_is_lost() {
    let seed = std::env::var("VECSTORE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    println!("VECSTORE_SEED={seed}");
    let mut random = Random::new(seed);
    let asked = std::env::var("VECSTORE_STATES").ok().and_then(|n| n.parse().ok());
    let states = asked.unwrap_or(if is_long() { 2_400 } else { 60 });
    let (mut seen, mut events, mut flushes) = (0_u64, 0, 0);
    let (mut acknowledged, mut more) = (0, 0);
    let mut parts: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0.. {
        if seen >= states {
            break;
        }
        let mount = MOUNTS[round % MOUNTS.len()];
        let record = match record(mount, Duration::from_millis(300 + random.below(900))) {
            Ok(record) => record,
            Err(why) if round == 0 => return println!("skipped, no disk to record: {why}"),
            Err(why) => panic!("round {round}: {why}"),
        };
        events += record.events.len();
        flushes += record.events.iter().filter(|event| matches!(event, Event::Flush)).count();
        let mut durable = record.before.clone();
        let mut done = 0;
        for at in record.moments(STATES_A_RECORD.min(states - seen), &mut random) {
            let is_flush = |event: &Event| matches!(event, Event::Flush);
            let flushed =
                record.events[..at].iter().rposition(is_flush).map_or(0, |flush| flush + 1);
            durable.apply(&record.events[done..flushed]);
            done = flushed;
            let part = Part::ALL[seen as usize % Part::ALL.len()];
            let mut disk = durable.clone();
            disk.apply_part(&record.events[flushed..at], part, &mut random);
            let place = format!(
                "seed {seed}, round {round} ({mount}), event {at} of {}, {} since the last flush, \
                 {part:?} of them",
                record.events.len(),
                at - flushed
            );
            let before = record.acknowledged_at(at);
            let found = look(disk, mount, &record, at, &place);
            acknowledged += before.iter().sum::<u64>();
            more += found.iter().zip(before).map(|(found, before)| found - before).sum::<u64>();
            *parts.entry(format!("{part:?}")).or_default() += 1;
            seen += 1;
        }
    }
    println!(
        "{seen} states of {events} writes and flushes ({flushes} flushes); {acknowledged} acknowledged \
         operations in them, {more} more were there; of what was not flushed: {parts:?}"
    );
    assert!(acknowledged > states, "the writer hardly wrote: the test shows nothing");
}
