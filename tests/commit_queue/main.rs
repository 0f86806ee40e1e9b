//! The commit queue in every order of its threads that chance finds: each writer comes back with the
//! outcome of its own write, one leads at a time, and a leader that panics leaves nobody behind. A
//! writer that nobody wakes is a deadlock, which the scheduler reports with the order that led there.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "../../engine/src/commit/queue.rs"]
mod queue;
mod sync;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;
use vecstore_tests::is_long;

use queue::Queue;
use sync::Mutex;

/// A write: who made it, and its number.
type Write = (u32, u32);

#[derive(Debug, PartialEq)]
enum Outcome {
    Done(Write),
    Lost,
}

/// Writers that write one after the other, and the number of the write whose leader panics.
fn run(writers: u32, writes: u32, bytes: usize, panics_at: Option<Write>) {
    let queue: Arc<Queue<Write, Outcome>> = Arc::default();
    let leading = Arc::new(AtomicBool::new(false));
    let committed: Arc<Mutex<Vec<Write>>> = Arc::new(Mutex::new(Vec::new()));
    let threads: Vec<_> = (0..writers)
        .map(|writer| {
            let (queue, leading) = (Arc::clone(&queue), Arc::clone(&leading));
            let committed = Arc::clone(&committed);
            thread::spawn(move || {
                let mut lost = 0;
                for number in 0..writes {
                    let commit = |group: Vec<Write>| {
                        assert!(!leading.swap(true, Ordering::SeqCst), "two lead");
                        thread::yield_now();
                        let panics = panics_at.is_some_and(|at| group.contains(&at));
                        assert!(leading.swap(false, Ordering::SeqCst), "two lead");
                        if panics {
                            // Without the hook that prints it.
                            resume_unwind(Box::new("planted"));
                        }
                        committed.lock().extend(&group);
                        group.into_iter().map(Outcome::Done).collect()
                    };
                    let write = (writer, number);
                    let submit = || queue.submit(write, bytes, commit, || Outcome::Lost);
                    match catch_unwind(AssertUnwindSafe(submit)) {
                        Ok(Outcome::Done(done)) => assert_eq!(done, write, "another's outcome"),
                        Ok(Outcome::Lost) => lost += 1,
                        Err(panic) => {
                            // What the scheduler stops a run with is not for this test.
                            if panic.downcast_ref::<&str>() != Some(&"planted") {
                                resume_unwind(panic);
                            }
                            lost += 1;
                        }
                    }
                }
                lost
            })
        })
        .collect();
    let lost: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    let committed = committed.lock();
    assert_eq!(committed.len() as u32 + lost, writers * writes, "a write twice or never");
    assert_eq!(lost == 0, panics_at.is_none(), "{lost} lost");
    for writer in 0..writers {
        let own: Vec<u32> = committed.iter().filter(|w| w.0 == writer).map(|w| w.1).collect();
        assert!(own.is_sorted(), "out of order: {own:?}");
    }
}

fn check(name: &str, run: impl Fn() + Send + Sync + Copy + 'static) {
    let orders = if is_long() { 200_000 } else { 5_000 };
    shuttle::check_random(run, orders);
    // Few changes of thread, but at the worst of places.
    shuttle::check_pct(run, orders, 3);
    println!("{name}: {} orders", 2 * orders);
}

#[test]
fn everyone_is_served() {
    check("three writers, one group", || run(3, 2, 1, None));
    // Two to a group: writers stay behind and one of them must be made to lead.
    check("four writers, groups of two", || run(4, 1, 2 << 20, None));
    check("three writers, groups of one", || run(3, 2, 4 << 20, None));
}

#[test]
fn a_leader_that_panics_leaves_nobody_behind() {
    check("a panic in the first group", || run(3, 2, 1, Some((0, 0))));
    check("a panic later, groups of two", || run(4, 1, 2 << 20, Some((3, 0))));
}
