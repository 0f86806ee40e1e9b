//! Threads for building segments.

use std::sync::atomic::{AtomicUsize, Ordering};

use vecstore_index::Workers;

/// Runs tasks on up to `n` threads that live as long as the call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Threads(pub(crate) usize);

impl Workers for Threads {
    fn threads(&self) -> usize {
        self.0.max(1)
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let mine = next.fetch_add(1, Ordering::Relaxed);
                if mine >= tasks {
                    break;
                }
                task(mine);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads().min(tasks) {
                scope.spawn(work);
            }
            work();
        });
    }
}
