//! Where the engine's blocking calls run: a bounded number at a time, and what waits is bounded by
//! the time it would have to wait.
//!
//! There are three lanes. Reads use the processor, so as many run as there are cores. Writes wait
//! for the disk and for each other (one sync serves all that are queued), so more of them run. A few
//! slots are kept for what tells how the server is, so that it can be asked when it is busy. Before a
//! call is let in, its lane estimates when it would begin: what is already there, each call with
//! the average time of its operation, divided by the slots. A call that would wait too long, or
//! beyond its deadline, is refused at once with the time to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::timeout_at;

use vecstore::ErrorKind;

use super::call::Call;
use super::operation::Operation;
use super::problem::{Kind, Problem, Result};

/// What a call has to do with the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LaneKind {
    /// Uses the processor. Given up when its deadline passes or its caller is gone.
    Read,
    /// Waits for the disk. Once begun it is finished, and answered.
    Write,
    /// Reads numbers and names, not records.
    Inspect,
}

/// Slots for [`LaneKind::Inspect`].
pub(crate) const INSPECT_SLOTS: usize = 2;

/// The lanes.
#[derive(Debug)]
pub(crate) struct Pool {
    read: Arc<Lane>,
    write: Arc<Lane>,
    inspect: Arc<Lane>,
    /// Average time of one item of each operation in microseconds.
    costs: Vec<AtomicU64>,
}

/// What bounds a pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolLimits {
    pub(crate) read_slots: usize,
    pub(crate) write_slots: usize,
    /// Calls that may wait in a lane.
    pub(crate) waiting_max: usize,
    /// How long a call may be expected to wait.
    pub(crate) wait_max: Duration,
}

#[derive(Debug)]
struct Lane {
    slots: Arc<Semaphore>,
    slots_max: usize,
    limits: PoolLimits,
    waiting: AtomicUsize,
    running: AtomicUsize,
    /// Estimated work of all calls that are in, in microseconds.
    backlog_us: AtomicU64,
    refused: AtomicU64,
}

/// Numbers about a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneStats {
    pub(crate) waiting: usize,
    pub(crate) running: usize,
    pub(crate) slots: usize,
    pub(crate) refused: u64,
}

/// Tells a running call that nobody waits for it any more.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    deadline: Instant,
    gone: Arc<AtomicBool>,
}

impl Stop {
    pub(crate) fn asked(&self) -> bool {
        self.gone.load(Relaxed) || Instant::now() >= self.deadline
    }
}

/// Sets [`Stop`] when the future that waits is dropped.
struct Waiter(Arc<AtomicBool>);

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A place in a lane, from admission to the end of the work.
struct Ticket {
    lane: Arc<Lane>,
    cost_us: u64,
    running: bool,
}

impl Ticket {
    fn begin(&mut self) {
        self.running = true;
        self.lane.waiting.fetch_sub(1, Relaxed);
        self.lane.running.fetch_add(1, Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let counter = if self.running { &self.lane.running } else { &self.lane.waiting };
        counter.fetch_sub(1, Relaxed);
        self.lane.backlog_us.fetch_sub(self.cost_us, Relaxed);
    }
}

impl Lane {
    fn new(slots: usize, limits: PoolLimits) -> Arc<Self> {
        Arc::new(Lane {
            slots: Arc::new(Semaphore::new(slots)),
            slots_max: slots,
            limits,
            waiting: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            backlog_us: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    fn admit(self: &Arc<Self>, cost_us: u64, deadline: Instant) -> Result<Ticket> {
        let waiting = self.waiting.fetch_add(1, Relaxed);
        let ahead_us = self.backlog_us.fetch_add(cost_us, Relaxed) / self.slots_max as u64;
        let ticket = Ticket { lane: Arc::clone(self), cost_us, running: false };
        if self.slots.available_permits() > 0 && waiting == 0 {
            return Ok(ticket);
        }
        let wait = Duration::from_micros(ahead_us);
        let left = deadline.saturating_duration_since(Instant::now());
        let why = if waiting >= self.limits.waiting_max {
            format!("{waiting} requests wait already")
        } else if wait > self.limits.wait_max {
            format!("the request would wait for about {} ms", wait.as_millis())
        } else if wait > left {
            format!("the request would wait until its time is up, about {} ms", wait.as_millis())
        } else {
            return Ok(ticket);
        };
        self.refused.fetch_add(1, Relaxed);
        Err(Problem::busy(format!("the server is busy: {why}; try again later"), wait))
    }

    fn stats(&self) -> LaneStats {
        LaneStats {
            waiting: self.waiting.load(Relaxed),
            running: self.running.load(Relaxed),
            slots: self.slots_max,
            refused: self.refused.load(Relaxed),
        }
    }
}

impl Pool {
    pub(crate) fn new(limits: PoolLimits) -> Self {
        Pool {
            read: Lane::new(limits.read_slots, limits),
            write: Lane::new(limits.write_slots, limits),
            inspect: Lane::new(INSPECT_SLOTS, limits),
            costs: Operation::ALL.iter().map(|_| AtomicU64::new(100)).collect(),
        }
    }

    /// The lanes with their names.
    pub(crate) fn stats(&self) -> [(&'static str, LaneStats); 3] {
        [
            ("read", self.read.stats()),
            ("write", self.write.stats()),
            ("inspect", self.inspect.stats()),
        ]
    }

    /// Runs `work` when its turn has come; `items` says how many times the usual work it is.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        call: &Call,
        kind: LaneKind,
        items: usize,
        work: impl FnOnce(&Stop) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let items = items.max(1) as u64;
        let operation = call.operation;
        let cost_us = self.costs[operation.index()].load(Relaxed).saturating_mul(items);
        let lane = match kind {
            LaneKind::Read => &self.read,
            LaneKind::Write => &self.write,
            LaneKind::Inspect => &self.inspect,
        };
        let mut ticket = lane.admit(cost_us, call.deadline)?;
        let deadline = tokio::time::Instant::from_std(call.deadline);
        let slot = timeout_at(deadline, Arc::clone(&lane.slots).acquire_owned())
            .await
            .map_err(|_| deadline_exceeded("before it could begin"))?
            .map_err(|_| Problem::new(Kind::Internal, "the pool is closed"))?;
        // What is ready at once is never timed out above.
        if Instant::now() >= call.deadline {
            return Err(deadline_exceeded("before it could begin"));
        }
        ticket.begin();
        let gone = Arc::new(AtomicBool::new(false));
        let _waiter = Waiter(Arc::clone(&gone));
        let stop = Stop { deadline: call.deadline, gone };
        let pool = Arc::clone(self);
        let span = call.span.clone();
        let running = tokio::task::spawn_blocking(move || {
            let _entered = span.entered();
            let started = Instant::now();
            let result = work(&stop);
            pool.learn(operation, started.elapsed(), items);
            drop((slot, ticket));
            result
        });
        let joined = match kind {
            LaneKind::Write => running.await,
            LaneKind::Read | LaneKind::Inspect => {
                timeout_at(deadline, running).await.map_err(|_| deadline_exceeded(STOPPED))?
            }
        };
        let result = joined.unwrap_or_else(|error| {
            tracing::error!(%error, operation = operation.name(), "an operation panicked");
            Err(Problem::new(
                Kind::Internal,
                "the server failed to handle this request; its log says more",
            ))
        });
        match result {
            // The work saw that the time was up before the timer did.
            Err(problem) if problem.kind == CANCELLED && Instant::now() >= call.deadline => {
                Err(deadline_exceeded(STOPPED))
            }
            result => result,
        }
    }

    /// A moving average: an eighth of each new value.
    fn learn(&self, operation: Operation, took: Duration, items: u64) {
        let cost = &self.costs[operation.index()];
        let one_us = took.as_micros() as u64 / items;
        let old = cost.load(Relaxed);
        cost.store((old - old / 8 + one_us / 8).max(1), Relaxed);
    }
}

const CANCELLED: Kind = Kind::Engine(ErrorKind::Cancelled);

const STOPPED: &str = "while it ran; it was stopped";

fn deadline_exceeded(when: &str) -> Problem {
    Problem::new(Kind::DeadlineExceeded, format!("the time for the request was up {when}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::RequestId;

    fn call(timeout: Duration) -> Call {
        Call {
            operation: Operation::ALL[0],
            deadline: Instant::now() + timeout,
            timeout,
            request_id: RequestId::given("test").unwrap(),
            span: tracing::Span::none(),
            rights: Arc::default(),
            follows: false,
            permit: None,
        }
    }

    /// Work that looks at the clock itself often ends before the timer of the runtime.
    #[tokio::test(flavor = "multi_thread")]
    async fn work_that_stops_at_the_deadline_is_not_called_cancelled() {
        let limits = PoolLimits {
            read_slots: 1,
            write_slots: 1,
            waiting_max: 1,
            wait_max: Duration::from_secs(60),
        };
        let pool = Arc::new(Pool::new(limits));
        for _ in 0..20 {
            let call = call(Duration::from_millis(2));
            let work = |stop: &Stop| -> Result<()> {
                while !stop.asked() {
                    std::hint::spin_loop();
                }
                Err(Problem::new(CANCELLED, "the query was stopped"))
            };
            let problem = pool.run(&call, LaneKind::Read, 1, work).await.unwrap_err();
            assert_eq!(problem.kind, Kind::DeadlineExceeded, "{problem}");
        }
    }
}
