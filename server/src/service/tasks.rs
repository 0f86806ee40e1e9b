//! Work that takes longer than a request: it runs on a thread of its own, tells how far it is, and
//! can be stopped.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use vecstore::{Database, ErrorKind, Progress, Stage};

use super::model::{TaskInfo, TaskState};
use super::problem::{Kind, Problem, Result};

/// Tasks that run at a time; they share the processor and each other's disk.
const RUNNING_MAX: usize = 4;
/// Finished tasks that are remembered.
const FINISHED_MAX: usize = 100;

/// The tasks of a server.
#[derive(Debug, Default)]
pub(crate) struct TaskList {
    tasks: Mutex<BTreeMap<u64, Task>>,
    ended: Condvar,
}

#[derive(Debug)]
struct Task {
    info: TaskInfo,
    started: Instant,
    cancel: Arc<AtomicBool>,
}

/// What a task does.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    /// Of one collection, or of all.
    Optimize(Option<String>),
    Verify,
}

impl Job {
    fn kind(&self) -> &'static str {
        match self {
            Job::Optimize(_) => "optimize",
            Job::Verify => "verify",
        }
    }
}

impl TaskList {
    /// Starts a task.
    pub(crate) fn start(self: &Arc<Self>, db: Database, job: Job) -> Result<TaskInfo> {
        let collection = match &job {
            Job::Optimize(collection) => collection.clone(),
            Job::Verify => None,
        };
        let mut tasks = self.lock();
        let running = || tasks.values().filter(|task| task.info.state == TaskState::Running);
        if let Some(same) =
            running().find(|t| t.info.kind == job.kind() && t.info.collection == collection)
        {
            return Err(Problem::new(
                Kind::Engine(ErrorKind::Conflict),
                format!("task {} does this already", same.info.id),
            ));
        }
        if running().count() >= RUNNING_MAX {
            let message = format!("{RUNNING_MAX} tasks are running already");
            return Err(Problem::busy(message, Duration::from_secs(10)));
        }
        let id = tasks.last_key_value().map_or(1, |(id, _)| id + 1);
        let cancel = Arc::new(AtomicBool::new(false));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let info = TaskInfo {
            id,
            kind: job.kind(),
            collection,
            state: TaskState::Running,
            stage: None,
            done: 0,
            total: 0,
            started_unix_ms: now.as_millis() as u64,
            seconds: 0.0,
            report: None,
            error: None,
        };
        let task =
            Task { info: info.clone(), started: Instant::now(), cancel: Arc::clone(&cancel) };
        let list = Arc::clone(self);
        std::thread::Builder::new()
            .name(format!("vecstore-{}", job.kind()))
            .spawn(move || {
                // A panic must not leave a task that runs for ever.
                let run = || list.run(id, &db, &job, &cancel);
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
                list.end(
                    id,
                    result.unwrap_or_else(|_| {
                        Err(Problem::new(Kind::Internal, "the task panicked; the log says more"))
                    }),
                );
            })
            .map_err(|e| Problem::new(Kind::Internal, format!("start a thread: {e}")))?;
        tasks.insert(id, task);
        Ok(info)
    }

    fn run(&self, id: u64, db: &Database, job: &Job, cancel: &AtomicBool) -> Result<Value> {
        let progress = &mut |now: Progress| {
            self.note(id, now);
            if cancel.load(Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let report = match job {
            Job::Optimize(Some(name)) => {
                serde_json::to_value(db.collection(name)?.optimize_with(progress)?)
            }
            Job::Optimize(None) => serde_json::to_value(db.optimize_with(progress)?),
            Job::Verify => serde_json::to_value(db.verify()?),
        };
        report.map_err(|e| Problem::new(Kind::Internal, e.to_string()))
    }

    fn note(&self, id: u64, now: Progress) {
        if let Some(task) = self.lock().get_mut(&id) {
            task.info.stage = Some(match now.stage {
                Stage::Rows => "rows",
                Stage::Graph => "graph",
                Stage::Verify => "verify",
            });
            task.info.done = now.done;
            task.info.total = now.total;
        }
    }

    fn end(&self, id: u64, result: Result<Value>) {
        let mut tasks = self.lock();
        if let Some(task) = tasks.get_mut(&id) {
            task.info.seconds = task.started.elapsed().as_secs_f64();
            task.info.stage = None;
            match result {
                Ok(report) => {
                    task.info.state = TaskState::Done;
                    task.info.report = Some(report);
                }
                Err(_) if task.cancel.load(Relaxed) => task.info.state = TaskState::Cancelled,
                Err(problem) => {
                    tracing::error!(task = id, error = %problem, "a task failed");
                    task.info.state = TaskState::Failed;
                    task.info.error = Some(problem.message);
                }
            }
        }
        let finished: Vec<u64> = tasks
            .iter()
            .filter(|(_, task)| task.info.state != TaskState::Running)
            .map(|(&id, _)| id)
            .collect();
        for id in finished.iter().take(finished.len().saturating_sub(FINISHED_MAX)) {
            tasks.remove(id);
        }
        drop(tasks);
        self.ended.notify_all();
    }

    pub(crate) fn list(&self) -> Vec<TaskInfo> {
        self.lock().values().map(Task::info).collect()
    }

    pub(crate) fn get(&self, id: u64) -> Result<TaskInfo> {
        self.lock().get(&id).map(Task::info).ok_or_else(|| no_such_task(id))
    }

    /// Asks a task to stop. One that has ended stays as it is.
    pub(crate) fn cancel(&self, id: u64) -> Result<TaskInfo> {
        let tasks = self.lock();
        let task = tasks.get(&id).ok_or_else(|| no_such_task(id))?;
        if task.info.kind == "verify" && task.info.state == TaskState::Running {
            return Err(Problem::new(
                Kind::Engine(ErrorKind::Unsupported),
                "a verify can't be stopped; it only reads",
            ));
        }
        task.cancel.store(true, Relaxed);
        Ok(task.info())
    }

    /// Asks all tasks to stop and waits for them, at most until `deadline`.
    pub(crate) fn stop(&self, deadline: Instant) {
        let mut tasks = self.lock();
        for task in tasks.values() {
            task.cancel.store(true, Relaxed);
        }
        while tasks.values().any(|task| task.info.state == TaskState::Running) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.ended.wait_timeout(tasks, left);
            tasks = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task {
    fn info(&self) -> TaskInfo {
        let mut info = self.info.clone();
        if info.state == TaskState::Running {
            info.seconds = self.started.elapsed().as_secs_f64();
        }
        info
    }
}

pub(super) fn no_such_task(id: u64) -> Problem {
    Problem::not_found(format!("there is no task {id}; the last {FINISHED_MAX} are remembered"))
}
