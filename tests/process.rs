//! The process that writes until it is killed (`writer.rs`), seen from the test that kills it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vecstore::Database;

use crate::{Contents, everything, history};

/// Named moments at which a writer may end itself.
pub const MOMENTS: [&str; 7] = [
    "install: built",
    "install: locked",
    "install: committed",
    "install: published",
    "install: cleaned",
    "snapshot: linked",
    "snapshot: manifest written",
];

/// A running writer.
#[derive(Debug)]
pub struct Writer {
    child: Child,
    /// For each thread the operations that were acknowledged, as far as they were read.
    acknowledged: Arc<Vec<AtomicU64>>,
    reader: JoinHandle<()>,
}

impl Writer {
    /// Starts `program` on the folder `dir` and waits until it has opened the database; thread `i`
    /// goes on with operation `first[i]`. With `die_at` it ends itself there: `MOMENT#TIMES`, which
    /// may be before it says that it has opened, as what the log held is flushed at once.
    pub fn start(program: &str, dir: &Path, first: &[u64], die_at: Option<&str>) -> Writer {
        let mut command = Command::new(program);
        command.arg(dir).args(first.iter().map(u64::to_string)).stdout(Stdio::piped());
        if let Some(die_at) = die_at {
            command.env("VECSTORE_DIE_AT", die_at);
        }
        let mut child = command.spawn().expect("the writer");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let opened = lines.next().and_then(Result::ok);
        // By a signal, without a code: an error or a panic ends with one.
        let mut died = || child.wait().expect("wait").code().is_none();
        let came_so_far = match opened.as_deref() {
            None => die_at.is_some() && died(),
            Some(said) => said == "open",
        };
        assert!(came_so_far, "the writer could not open the database");
        let acknowledged: Arc<Vec<AtomicU64>> =
            Arc::new(first.iter().map(|&n| AtomicU64::new(n)).collect());
        let counters = Arc::clone(&acknowledged);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The last line may be cut off; then it was not received and does not count.
                let Some((thread, n)) = line.split_once(' ') else { continue };
                if let (Ok(thread), Ok(n)) = (thread.parse::<usize>(), n.parse::<u64>()) {
                    let before = counters[thread].fetch_max(n + 1, Ordering::AcqRel);
                    assert!(n <= before, "operation {n} of thread {thread} without the one before");
                }
            }
        });
        Writer { child, acknowledged, reader }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// For each thread the operations that were acknowledged so far.
    pub fn acknowledged(&self) -> Vec<u64> {
        self.acknowledged.iter().map(|n| n.load(Ordering::Acquire)).collect()
    }

    /// Waits until it ends itself, but not longer; its exit code if it did, which a signal leaves
    /// none of.
    pub fn ends_within(&mut self, time: Duration) -> Option<Option<i32>> {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return Some(status.code());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        None
    }

    /// Kills it, reads what it said to the end, and returns for each thread the acknowledged
    /// operations.
    pub fn kill(mut self) -> Vec<u64> {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
        self.reader.join().expect("its output was in order");
        self.acknowledged.iter().map(|n| n.load(Ordering::Acquire)).collect()
    }
}

/// Opens the database and compares it with the histories: each thread's namespace holds what
/// `acknowledged` operations wrote, or up to `submitted` ones. Returns how many it holds.
///
/// # Panics
/// If it does not, or does not open, or a segment is damaged.
pub fn check(dir: &Path, acknowledged: &[u64], submitted: &[u64], place: &str) -> Vec<u64> {
    let db = Database::open(dir).unwrap_or_else(|error| panic!("{place}: does not open: {error}"));
    let problems = db.verify().expect("verify").problems;
    assert_eq!(problems, Vec::<String>::new(), "{place}");
    let Ok(docs) = db.collection("docs") else {
        assert!(acknowledged.iter().all(|&n| n == 0), "{place}: the collection is gone");
        return acknowledged.to_vec();
    };
    acknowledged
        .iter()
        .zip(submitted)
        .enumerate()
        .map(|(thread, (&acknowledged, &submitted))| {
            let docs = docs.namespace(&history::namespace(thread)).expect("a namespace");
            let found = everything(&docs).expect("a scroll");
            // An operation that was not acknowledged may have happened, as a whole.
            (acknowledged..=submitted)
                .find(|&n| history::contents_after(thread, n) == found)
                .unwrap_or_else(|| {
                    let leaves = |n: &u64| history::contents_after(thread, *n) == found;
                    let others = (0..acknowledged).rev().chain(submitted + 1..submitted + 100);
                    panic!(
                        "{place}, thread {thread}: the database holds what none of the first \
                         {acknowledged} to {submitted} operations leave: {}; other operations that \
                         leave it: {:?}",
                        difference(&history::contents_after(thread, acknowledged), &found),
                        { others }.find(leaves),
                    )
                })
        })
        .collect()
}

/// Ids that are missing, that should not be there, and that have another record.
fn difference(expected: &Contents, found: &Contents) -> String {
    let ids = |in_one: &Contents, other: &Contents| -> Vec<String> {
        in_one.keys().filter(|id| !other.contains_key(id)).map(ToString::to_string).collect()
    };
    let changed: Vec<String> = expected
        .iter()
        .filter(|(id, record)| found.get(id).is_some_and(|found| found != *record))
        .map(|(id, _)| id.to_string())
        .collect();
    format!(
        "missing {:?}, too many {:?}, another record {changed:?}",
        ids(expected, found),
        ids(found, expected)
    )
}
