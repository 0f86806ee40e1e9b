//! Threads for one kind of blocking work: a bounded number, each started when there is work for one
//! more.
//!
//! A thread that has finished takes what waits next by itself. Where work always waits, no time passes
//! between one job and the next for somebody else to be woken and hand it over.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The threads, and what waits for one of them.
pub(super) struct Threads {
    name: &'static str,
    threads_max: usize,
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Threads {
    pub(super) fn new(name: &'static str, threads_max: usize) -> Arc<Self> {
        let (state, ready) = (Mutex::default(), Condvar::new());
        Arc::new(Threads { name, threads_max, state, ready })
    }

    /// Runs a job after those that wait already.
    ///
    /// # Errors
    /// If there is no thread, and none can be started.
    pub(super) fn run(self: &Arc<Self>, job: Job) -> io::Result<()> {
        let mut state = self.lock();
        if state.jobs.len() >= state.idle && state.threads < self.threads_max {
            match self.start() {
                Ok(()) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(error),
                // It waits for one of those there are.
                Err(error) => tracing::warn!(%error, "no further thread could be started"),
            }
        }
        state.jobs.push_back(job);
        let wake = state.idle > 0;
        drop(state);
        if wake {
            self.ready.notify_one();
        }
        Ok(())
    }

    fn start(self: &Arc<Self>) -> io::Result<()> {
        let threads = Arc::clone(self);
        let builder = std::thread::Builder::new().name(format!("vecstore-{}", self.name));
        builder.spawn(move || threads.work()).map(drop)
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // Whoever waits for its answer sees that there is none.
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.lock();
            } else if state.closed {
                return;
            } else {
                state.idle += 1;
                state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    /// The threads end when nothing waits any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads")
            .field("name", &self.name)
            .field("threads_max", &self.threads_max)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn as_many_run_as_there_are_threads_and_a_panic_ends_none() {
        let threads = Threads::new("test", 2);
        let (told, heard) = channel();
        let (go, wait) = channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        threads.run(Box::new(|| panic!("a job of this test"))).unwrap();
        for number in 0..4 {
            let (told, wait) = (told.clone(), Arc::clone(&wait));
            let job = move || {
                told.send(number).unwrap();
                // The other one that runs waits for the lock.
                wait.lock().unwrap().recv().unwrap();
            };
            threads.run(Box::new(job)).unwrap();
        }
        let patience = Duration::from_secs(30);
        let mut seen = vec![heard.recv_timeout(patience).unwrap()];
        seen.push(heard.recv_timeout(patience).unwrap());
        assert!(heard.recv_timeout(Duration::from_millis(50)).is_err(), "a third runs");
        for _ in 0..4 {
            go.send(()).unwrap();
        }
        seen.push(heard.recv_timeout(patience).unwrap());
        seen.push(heard.recv_timeout(patience).unwrap());
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3]);
        threads.close();
        while Arc::strong_count(&threads) > 1 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
