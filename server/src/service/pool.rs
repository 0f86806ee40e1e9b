//! Where the engine's blocking calls run: a bounded number at a time, and what waits is bounded by
//! the time it would have to wait.
//!
//! There are three lanes. Reads use the processor, so as many run as there are cores. Writes wait
//! for the disk and for each other (one sync serves all that are queued), so more of them run. A few
//! slots are kept for what tells how the server is, so that it can be asked when it is busy. Before a
//! call is let in, its lane estimates when it would begin: what is already there, each call with
//! the average time of its operation, divided by the slots, and corrected by how much longer than
//! that the last ones really waited (the slots share the cores with everything else). A call that
//! would wait too long, or beyond its deadline, is refused at once with the time to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout_at;

use vecstore::ErrorKind;

use super::call::Call;
use super::operation::Operation;
use super::problem::{Kind, Problem, Result};
use super::threads::Threads;

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
const INSPECT_SLOTS: usize = 2;

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
    threads: Arc<Threads>,
    slots_max: usize,
    limits: PoolLimits,
    waiting: AtomicUsize,
    running: AtomicUsize,
    /// Estimated work of all calls that are in, in microseconds.
    backlog_us: AtomicU64,
    /// How long calls wait for each [`STRETCH_ONE`] microseconds that were estimated.
    stretch: AtomicU64,
    refused: AtomicU64,
}

/// The stretch of an estimate that is right.
const STRETCH_ONE: u64 = 1 << 10;
/// Shorter waits say little about longer ones.
const STRETCH_FROM_US: u64 = 1_000;

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
    ticket: Arc<Ticket>,
}

impl Stop {
    pub(crate) fn asked(&self) -> bool {
        self.ticket.gone.load(Relaxed) || Instant::now() >= self.deadline
    }
}

/// Gives up when the future that waits is dropped.
struct Waiter(Arc<Ticket>);

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.gone.store(true, Relaxed);
        self.0.give_up();
    }
}

/// A place in a lane, from admission to the end of the work. Its thread begins it, or whoever waits
/// gives it up: one of the two, once.
#[derive(Debug)]
struct Ticket {
    lane: Arc<Lane>,
    cost_us: u64,
    admitted: Instant,
    /// The wait that was estimated, before it is stretched.
    ahead_us: u64,
    state: AtomicU8,
    /// Whether nobody waits for it.
    gone: AtomicBool,
}

const WAITING: u8 = 0;
const RUNNING: u8 = 1;
const ENDED: u8 = 2;

impl Ticket {
    /// Whether it can begin: it was not given up.
    fn begin(&self) -> bool {
        if !self.change(WAITING, RUNNING) {
            return false;
        }
        self.lane.waiting.fetch_sub(1, Relaxed);
        self.lane.running.fetch_add(1, Relaxed);
        if self.ahead_us >= STRETCH_FROM_US {
            self.lane.learn(self.admitted.elapsed(), self.ahead_us);
        }
        true
    }

    /// Whether it will never begin.
    fn give_up(&self) -> bool {
        let waited = self.change(WAITING, ENDED);
        if waited {
            self.lane.waiting.fetch_sub(1, Relaxed);
            self.lane.backlog_us.fetch_sub(self.cost_us, Relaxed);
        }
        waited
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Relaxed, Relaxed).is_ok()
    }
}

/// Work that has begun; it ends when this is dropped, by a panic too.
struct Running<'a>(&'a Ticket);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.0.change(RUNNING, ENDED) {
            self.0.lane.running.fetch_sub(1, Relaxed);
            self.0.lane.backlog_us.fetch_sub(self.0.cost_us, Relaxed);
        }
    }
}

impl Lane {
    fn new(name: &'static str, slots: usize, limits: PoolLimits) -> Arc<Self> {
        Arc::new(Lane {
            threads: Threads::new(name, slots),
            slots_max: slots,
            limits,
            waiting: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            backlog_us: AtomicU64::new(0),
            stretch: AtomicU64::new(STRETCH_ONE),
            refused: AtomicU64::new(0),
        })
    }

    fn admit(self: &Arc<Self>, cost_us: u64, deadline: Instant) -> Result<Arc<Ticket>> {
        let waiting = self.waiting.fetch_add(1, Relaxed);
        let ahead_us = self.backlog_us.fetch_add(cost_us, Relaxed) / self.slots_max as u64;
        let admitted = Instant::now();
        let ticket = Arc::new(Ticket {
            lane: Arc::clone(self),
            cost_us,
            admitted,
            ahead_us,
            state: AtomicU8::new(WAITING),
            gone: AtomicBool::new(false),
        });
        match self.refusal(waiting, ahead_us, admitted, deadline) {
            None => Ok(ticket),
            Some(problem) => {
                ticket.give_up();
                Err(problem)
            }
        }
    }

    /// Refuses what [`admit`](Self::admit) would, and lets nothing in.
    fn check(&self, deadline: Instant) -> Result<()> {
        let ahead_us = self.backlog_us.load(Relaxed) / self.slots_max as u64;
        match self.refusal(self.waiting.load(Relaxed), ahead_us, Instant::now(), deadline) {
            None => Ok(()),
            Some(problem) => Err(problem),
        }
    }

    /// Why a call that finds this much before it is not let in.
    fn refusal(
        &self,
        waiting: usize,
        ahead_us: u64,
        now: Instant,
        deadline: Instant,
    ) -> Option<Problem> {
        if self.running.load(Relaxed) < self.slots_max && waiting == 0 {
            return None;
        }
        let stretched_us = ahead_us.saturating_mul(self.stretch.load(Relaxed)) / STRETCH_ONE;
        let wait = Duration::from_micros(stretched_us);
        let why = if waiting >= self.limits.waiting_max {
            format!("{waiting} requests wait already")
        } else if wait > self.limits.wait_max {
            format!("the request would wait for about {} ms", wait.as_millis())
        } else if wait > deadline.saturating_duration_since(now) {
            format!("the request would wait until its time is up, about {} ms", wait.as_millis())
        } else {
            return None;
        };
        self.refused.fetch_add(1, Relaxed);
        Some(Problem::busy(format!("the server is busy: {why}; try again later"), wait))
    }

    /// Notes how long somebody waited: a moving average, a sixteenth of each new value.
    fn learn(&self, waited: Duration, ahead_us: u64) {
        let seen = (waited.as_micros() as u64).saturating_mul(STRETCH_ONE) / ahead_us;
        // A moment in which nothing ran must not close the lane for long.
        let seen = seen.clamp(STRETCH_ONE / 4, STRETCH_ONE * 8);
        let old = self.stretch.load(Relaxed);
        self.stretch.store(old - old / 16 + seen / 16, Relaxed);
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
            read: Lane::new("read", limits.read_slots, limits),
            write: Lane::new("write", limits.write_slots, limits),
            inspect: Lane::new("inspect", INSPECT_SLOTS, limits),
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

    /// The average time of an operation.
    pub(crate) fn usual(&self, operation: Operation) -> Duration {
        Duration::from_micros(self.costs[operation.index()].load(Relaxed))
    }

    /// Whether a call that reads may come in at all. Asked before its body is read, as what can't be
    /// answered should cost little.
    pub(crate) fn check(&self, operation: Operation, deadline: Instant) -> Result<()> {
        if operation.is_read() { self.read.check(deadline) } else { Ok(()) }
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
        let ticket = lane.admit(cost_us, call.deadline)?;
        let _waiter = Waiter(Arc::clone(&ticket));
        let (answer, mut answered) = oneshot::channel();
        let job = {
            let (pool, ticket) = (Arc::clone(self), Arc::clone(&ticket));
            let (span, deadline, trace) = (call.span.clone(), call.deadline, call.trace.clone());
            move || {
                if !ticket.begin() {
                    return;
                }
                let running = Running(&ticket);
                let _entered = span.entered();
                let started = Instant::now();
                let result = if started >= deadline {
                    Err(deadline_exceeded(BEFORE))
                } else {
                    let result = work(&Stop { deadline, ticket: Arc::clone(&ticket) });
                    pool.learn(operation, started.elapsed(), items);
                    if let Some(trace) = trace {
                        trace.part("engine", started);
                    }
                    result
                };
                drop(running);
                // Nobody may want it any more.
                let _ = answer.send(result);
            }
        };
        lane.threads
            .run(Box::new(job))
            .map_err(|e| Problem::new(Kind::Internal, format!("start a thread: {e}")))?;
        let joined = match timeout_at(call.deadline.into(), &mut answered).await {
            Ok(joined) => joined,
            Err(_) if ticket.give_up() => return Err(deadline_exceeded(BEFORE)),
            Err(_) if kind == LaneKind::Write => answered.await,
            Err(_) => return Err(deadline_exceeded(STOPPED)),
        };
        let result = joined.unwrap_or_else(|_| {
            tracing::error!(operation = operation.name(), "an operation panicked");
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

impl Drop for Pool {
    fn drop(&mut self) {
        for lane in [&self.read, &self.write, &self.inspect] {
            lane.threads.close();
        }
    }
}

const CANCELLED: Kind = Kind::Engine(ErrorKind::Cancelled);

const BEFORE: &str = "before it could begin";
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
            trace: None,
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

    fn limits(waiting_max: usize, wait_max: Duration) -> PoolLimits {
        PoolLimits { read_slots: 1, write_slots: 1, waiting_max, wait_max }
    }

    /// Holds the only slot of the writes until told to go on.
    fn hold(pool: &Arc<Pool>) -> std::sync::mpsc::Sender<()> {
        let (go, wait) = std::sync::mpsc::channel();
        let (began, begun) = std::sync::mpsc::channel();
        let pool = Arc::clone(pool);
        tokio::spawn(async move {
            let work = move |_: &Stop| -> Result<()> {
                began.send(()).unwrap();
                wait.recv().map_err(|_| Problem::not_found("nobody"))
            };
            pool.run(&call(Duration::from_secs(60)), LaneKind::Write, 1, work).await
        });
        begun.recv().unwrap();
        go
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_given_up_while_it_waits_never_begins() {
        let pool = Arc::new(Pool::new(limits(8, Duration::from_secs(60))));
        let go = hold(&pool);
        let ran = Arc::new(AtomicUsize::new(0));
        let count = |by: usize| {
            let ran = Arc::clone(&ran);
            move |_: &Stop| -> Result<usize> { Ok(ran.fetch_add(by, Relaxed)) }
        };
        let late = pool.run(&call(Duration::from_millis(20)), LaneKind::Write, 1, count(1)).await;
        assert_eq!(late.unwrap_err().kind, Kind::DeadlineExceeded);
        let patient = call(Duration::from_secs(60));
        let gone = pool.run(&patient, LaneKind::Write, 1, count(10));
        assert!(tokio::time::timeout(Duration::from_millis(20), gone).await.is_err());
        let [_, (_, write), _] = pool.stats();
        assert_eq!((write.waiting, write.running), (0, 1));
        go.send(()).unwrap();
        pool.run(&patient, LaneKind::Write, 1, count(100)).await.unwrap();
        assert_eq!(ran.load(Relaxed), 100);
        let left: u64 = pool.write.backlog_us.load(Relaxed);
        assert_eq!((left, pool.write.running.load(Relaxed)), (0, 0));
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_and_leaves_the_slot() {
        let pool = Arc::new(Pool::new(limits(1, Duration::from_secs(60))));
        let patient = call(Duration::from_secs(60));
        let broken = |_: &Stop| -> Result<()> { panic!("an operation of this test") };
        let answer = pool.run(&patient, LaneKind::Read, 1, broken).await;
        assert_eq!(answer.unwrap_err().kind, Kind::Internal);
        let [(_, read), ..] = pool.stats();
        assert_eq!((read.waiting, read.running), (0, 0));
        let answer = pool.run(&patient, LaneKind::Read, 1, |_| Ok(7)).await;
        assert_eq!(answer.unwrap(), 7);
    }

    #[test]
    fn estimates_follow_what_was_waited() {
        let lane = Lane::new("test", 2, limits(100, Duration::from_secs(1)));
        let far = Instant::now() + Duration::from_secs(60);
        // Work for two seconds in two slots.
        lane.backlog_us.store(1_000_000, Relaxed);
        lane.waiting.store(1, Relaxed);
        assert!(lane.admit(1, far).is_ok());
        for _ in 0..40 {
            lane.learn(Duration::from_secs(3), 1_000_000);
        }
        let refused = lane.admit(1, far).unwrap_err();
        assert_eq!(refused.kind, Kind::Engine(ErrorKind::Busy));
        let wait = refused.retry_after.unwrap();
        assert!((1_300..1_700).contains(&wait.as_millis()), "{wait:?}");
        assert_eq!(lane.waiting.load(Relaxed), 2, "who is refused does not wait");
        for _ in 0..40 {
            lane.learn(Duration::from_millis(500), 1_000_000);
        }
        assert!(lane.admit(1, far).is_ok());
    }
}
