//! Where parallel work runs is decided by the caller.

use std::sync::OnceLock;

/// Runs tasks, on as many threads as the caller has given.
///
/// Results must not depend on the number of threads: tasks are independent, and each one is run
/// exactly once.
pub trait Workers: Sync {
    /// Number of threads that work at once, at least 1.
    fn threads(&self) -> usize;
    /// Runs `task(0) … task(tasks - 1)`, in any order, and returns when all are done.
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync));
}

/// Everything on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneThread;

impl Workers for OneThread {
    fn threads(&self) -> usize {
        1
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        for i in 0..tasks {
            task(i);
        }
    }
}

/// Runs `task(0) … task(tasks - 1)` and gives their results in order.
pub(crate) fn collect<T: Send + Sync>(
    workers: &dyn Workers,
    tasks: usize,
    task: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let slots: Vec<OnceLock<T>> = (0..tasks).map(|_| OnceLock::new()).collect();
    workers.run(tasks, &|i| {
        slots[i].get_or_init(|| task(i));
    });
    // A task that the workers left out, against their contract, is run here.
    slots
        .into_iter()
        .enumerate()
        .map(|(i, slot)| slot.into_inner().unwrap_or_else(|| task(i)))
        .collect()
}
