//! kill -9 in the middle of everything: what was acknowledged is there, and nothing is half done.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use vecstore::{Database, ErrorKind};
use vecstore_tests::{Random, everything, history};

const THREADS: usize = 3;

/// Rounds: 100, or `VECSTORE_KILL_ROUNDS`.
fn rounds() -> u64 {
    std::env::var("VECSTORE_KILL_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(100)
}

struct Writer {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Writer {
    /// Starts the process and waits until it has opened the database.
    fn start(dir: &Path, first: &[u64]) -> Writer {
        let mut child = Command::new(env!("CARGO_BIN_EXE_writer"))
            .arg(dir)
            .args(first.iter().map(u64::to_string))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let opened = lines.next().and_then(Result::ok);
        assert_eq!(opened.as_deref(), Some("open"), "the writer could not open the database");
        Writer { child, lines }
    }

    /// Kills the process and returns for each thread the number of acknowledged operations.
    fn kill(mut self, first: &[u64]) -> Vec<u64> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut done = first.to_vec();
        for line in self.lines.map_while(Result::ok) {
            // The last line may be cut off; then it was not received and does not count.
            let Some((thread, n)) = line.split_once(' ') else { continue };
            if let (Ok(thread), Ok(n)) = (thread.parse::<usize>(), n.parse::<u64>()) {
                assert!(
                    n <= done[thread],
                    "operation {n} of thread {thread} without the one before"
                );
                done[thread] = done[thread].max(n + 1);
            }
        }
        done
    }
}

#[test]
fn kill_9_loses_nothing_acknowledged_and_leaves_nothing_half_done() {
    let seed = std::env::var("VECSTORE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    println!("VECSTORE_SEED={seed}");
    let mut random = Random::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut done = vec![0; THREADS];
    let (mut acknowledged, mut in_flight) = (0, 0);
    for round in 0..rounds() {
        let writer = Writer::start(dir.path(), &done);
        std::thread::sleep(Duration::from_millis(random.below(150)));
        let before = done.clone();
        let acked = writer.kill(&done);
        acknowledged += acked.iter().zip(&before).map(|(a, b)| a - b).sum::<u64>();

        let db = Database::open(dir.path())
            .unwrap_or_else(|error| panic!("round {round}: does not open: {error}"));
        assert_eq!(db.verify().unwrap().problems, Vec::<String>::new(), "round {round}");
        if let Ok(docs) = db.collection("docs") {
            for thread in 0..THREADS {
                let docs = docs.namespace(&history::namespace(thread)).unwrap();
                let found = everything(&docs).unwrap();
                // The operation that was not acknowledged may have happened, as a whole.
                let after = [acked[thread], acked[thread] + 1]
                    .into_iter()
                    .find(|&n| history::contents_after(thread, n) == found);
                done[thread] = after.unwrap_or_else(|| {
                    panic!(
                        "round {round}, thread {thread}: after {} acknowledged operations the \
                         database holds neither what they wrote nor that and the next one",
                        acked[thread]
                    )
                });
                in_flight += done[thread] - acked[thread];
            }
        } else {
            assert_eq!(acked, vec![0; THREADS], "round {round}: the collection is gone");
        }
    }
    println!(
        "{} kills, {acknowledged} acknowledged operations, {in_flight} more had committed",
        rounds()
    );
    assert!(acknowledged > rounds(), "the writer hardly wrote: the test shows nothing");
}

#[test]
fn a_second_process_is_refused_and_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let writer = Writer::start(dir.path(), &[0]);
    let error = Database::open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    let message = error.to_string();
    let process = format!("process {}", writer.child.id());
    assert!(message.contains(&process), "{message}");
    assert!(message.contains("one process at a time"), "{message}");
    writer.kill(&[0]);
    Database::open(dir.path()).unwrap();
}
