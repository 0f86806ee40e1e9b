//! The operations of the server, without any protocol: request → engine → answer.
//!
//! Every method takes its turn in the [`Pool`], so nothing here blocks an async worker.

mod call;
mod collections;
mod limits;
mod metrics;
pub(crate) mod model;
mod operation;
mod pool;
mod problem;
mod recall;
mod records;
mod rights;
mod search;
mod tasks;
mod threads;

use std::sync::Arc;
use std::time::{Duration, Instant};

use vecstore::{Collection, CommitTimes, Database, Stats};

pub(crate) use call::{Call, Protocol, RequestId};
pub(crate) use limits::{Allowance, Limiter, Permit};
pub(crate) use metrics::Metrics;
use metrics::Told;
pub(crate) use operation::{Operation, Right};
pub(crate) use pool::PoolLimits;
use pool::{LaneKind, Pool, Stop};
pub(crate) use problem::{Kind, Problem, Result};
use recall::Observed;
use rights::Reach;
pub(crate) use rights::Rights;
use tasks::{Job, TaskList};

/// The database and what surrounds it in a server; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    db: Database,
    pool: Arc<Pool>,
    tasks: Arc<TaskList>,
    pub(crate) metrics: Arc<Metrics>,
    /// Of one client each; the front asks it.
    pub(crate) clients: Arc<Limiter>,
    /// Of one namespace each.
    namespaces: Arc<Limiter>,
    /// Queries that take longer are logged with their plan.
    slow_query: Option<Duration>,
    recall: Arc<Observed>,
}

impl Service {
    pub(crate) fn new(
        db: Database,
        limits: PoolLimits,
        clients: Allowance,
        namespaces: Allowance,
        slow_query: Option<Duration>,
        recall_sample_every: u64,
    ) -> Self {
        Service {
            db,
            pool: Arc::new(Pool::new(limits)),
            tasks: Arc::default(),
            metrics: Arc::default(),
            clients: Limiter::new("client", clients),
            namespaces: Limiter::new("namespace", namespaces),
            slow_query,
            recall: Arc::new(Observed::one_of(recall_sample_every)),
        }
    }

    /// Refuses what would not get its turn in time.
    pub(crate) fn check_turn(&self, operation: Operation, deadline: Instant) -> Result<()> {
        self.pool.check(operation, deadline)
    }

    fn reach(&self, call: &Call) -> Reach {
        Reach::new(&self.db, &self.namespaces, call)
    }

    async fn read<T: Send + 'static>(
        &self,
        call: &Call,
        work: impl FnOnce(&Reach, &Stop) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let db = self.reach(call);
        self.pool.run(call, LaneKind::Read, 1, move |stop| work(&db, stop)).await
    }

    async fn inspect<T: Send + 'static>(
        &self,
        call: &Call,
        work: impl FnOnce(&Reach) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let db = self.reach(call);
        self.pool.run(call, LaneKind::Inspect, 1, move |_| work(&db)).await
    }

    async fn write<T: Send + 'static>(
        &self,
        call: &Call,
        items: usize,
        work: impl FnOnce(&Reach) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let db = self.reach(call);
        self.pool.run(call, LaneKind::Write, items, move |_| work(&db)).await
    }

    /// Numbers about the database, or a collection.
    pub(crate) async fn stats(
        &self,
        call: &Call,
        collection: Option<String>,
    ) -> Result<serde_json::Value> {
        self.inspect(call, move |db| {
            let stats = match collection {
                Some(name) => serde_json::to_value(db.collection(&name)?.stats()?),
                None => serde_json::to_value(db.whole()?.stats()?),
            };
            stats.map_err(|e| Problem::new(Kind::Internal, e.to_string()))
        })
        .await
    }

    /// The metrics as text.
    pub(crate) async fn metrics_text(&self, call: &Call) -> Result<String> {
        let (stats, commits): (Stats, CommitTimes) = self
            .inspect(call, |db| {
                let db = db.whole()?;
                Ok((db.stats()?, db.commit_times()?))
            })
            .await?;
        Ok(self.metrics.text(&Told {
            lanes: &self.pool.stats(),
            limited: &[
                ("client", self.clients.refused()),
                ("namespace", self.namespaces.refused()),
            ],
            recall: self.recall.read(),
            commits: &commits,
            stats: &stats,
        }))
    }

    /// Starts to optimize a collection, or all.
    pub(crate) async fn optimize(
        &self,
        call: &Call,
        collection: Option<String>,
    ) -> Result<model::TaskInfo> {
        let tasks = Arc::clone(&self.tasks);
        self.inspect(call, move |db| {
            tasks.start(db.for_task(collection.as_deref())?, Job::Optimize(collection))
        })
        .await
    }

    /// Starts to read and check every byte.
    pub(crate) fn verify(&self, call: &Call) -> Result<model::TaskInfo> {
        self.tasks.start(self.reach(call).for_task(None)?, Job::Verify)
    }

    /// The tasks on what the caller may use.
    pub(crate) fn tasks(&self, call: &Call) -> model::Tasks {
        let reach = self.reach(call);
        let mut tasks = self.tasks.list();
        tasks.retain(|task| reach.sees(task.collection.as_deref()));
        model::Tasks { tasks }
    }

    pub(crate) fn task(&self, call: &Call, id: u64) -> Result<model::TaskInfo> {
        self.seen_task(&self.reach(call), id)
    }

    pub(crate) fn cancel_task(&self, call: &Call, id: u64) -> Result<model::TaskInfo> {
        let reach = self.reach(call);
        reach.check(self.seen_task(&reach, id)?.collection.as_deref())?;
        self.tasks.cancel(id)
    }

    /// A task on what is not to be seen is as good as none.
    fn seen_task(&self, reach: &Reach, id: u64) -> Result<model::TaskInfo> {
        let task = self.tasks.get(id)?;
        if reach.sees(task.collection.as_deref()) { Ok(task) } else { Err(tasks::no_such_task(id)) }
    }

    /// Stops tasks, seals what is in memory (as far as there is time; what is not sealed is in the
    /// log), and closes the database. Blocks.
    pub(crate) fn close(&self, deadline: Instant) -> Result<()> {
        use std::ops::ControlFlow;
        self.tasks.stop(deadline);
        let flushed = self.db.flush_with(&mut |_| {
            if Instant::now() >= deadline {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        if let Err(error) = flushed {
            tracing::warn!(%error, "not everything in memory was sealed; it is in the log");
        }
        Ok(self.db.clone().close()?)
    }
}

/// A namespace of a collection.
fn target(db: &Reach, collection: &str, namespace: &str) -> Result<Collection> {
    db.namespace(collection, namespace)
}
