//! Threads for building segments and for many queries at once.

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
        let work = || do_tasks(&next, tasks, task);
        std::thread::scope(|scope| {
            for _ in 1..self.threads().min(tasks) {
                scope.spawn(work);
            }
            work();
        });
    }
}

/// The same on threads that let others have the cores, those of readers and writers, as long as
/// nobody waits for the result.
///
/// Only the tasks give way. The thread that hands them out keeps its priority, as it takes locks
/// that writers wait for.
pub(crate) struct Patient<'a> {
    pub(crate) threads: usize,
    /// Asked before each run.
    pub(crate) is_waited_for: &'a (dyn Fn() -> bool + Sync),
}

impl Workers for Patient<'_> {
    fn threads(&self) -> usize {
        self.threads.max(1)
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        if !CAN_GIVE_WAY || (self.is_waited_for)() {
            return Threads(self.threads).run(tasks, task);
        }
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.threads().min(tasks) {
                scope.spawn(|| {
                    give_way();
                    do_tasks(&next, tasks, task);
                });
            }
        });
    }
}

/// Does tasks that nobody else has taken until there are none.
fn do_tasks(next: &AtomicUsize, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
    loop {
        let mine = next.fetch_add(1, Ordering::Relaxed);
        if mine >= tasks {
            break;
        }
        task(mine);
    }
}

/// Elsewhere a priority is that of the whole process.
const CAN_GIVE_WAY: bool = cfg!(target_os = "linux");

/// Lowers the priority of the calling thread for as long as it lives.
fn give_way() {
    /// A tenth of the time of a thread that has not given way, where both want the same core.
    #[cfg(target_os = "linux")]
    const NICE: i32 = 10;
    // Where this is forbidden the work competes as it would elsewhere.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICE);
}
