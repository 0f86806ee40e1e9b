//! The operations of the server, without any protocol: request → engine → answer.
//!
//! Every method takes its turn in the [`Pool`], so nothing here blocks an async worker.

mod call;
mod collections;
mod metrics;
pub(crate) mod model;
mod operation;
mod pool;
mod problem;
mod records;
mod search;
mod tasks;

use std::sync::Arc;
use std::time::{Duration, Instant};

use vecstore::{Collection, Database, Stats};

pub(crate) use call::{Call, Protocol, RequestId};
pub(crate) use metrics::Metrics;
pub(crate) use operation::{Operation, Right};
pub(crate) use pool::{INSPECT_SLOTS, PoolLimits};
use pool::{LaneKind, Pool, Stop};
pub(crate) use problem::{Kind, Problem, Result};
use tasks::{Job, TaskList};

/// The database and what surrounds it in a server; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    db: Database,
    pool: Arc<Pool>,
    tasks: Arc<TaskList>,
    pub(crate) metrics: Arc<Metrics>,
    /// Queries that take longer are logged with their plan.
    slow_query: Option<Duration>,
}

impl Service {
    pub(crate) fn new(db: Database, limits: PoolLimits, slow_query: Option<Duration>) -> Self {
        Service {
            db,
            pool: Arc::new(Pool::new(limits)),
            tasks: Arc::default(),
            metrics: Arc::default(),
            slow_query,
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        call: &Call,
        work: impl FnOnce(&Database, &Stop) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let db = self.db.clone();
        self.pool.run(call, LaneKind::Read, 1, move |stop| work(&db, stop)).await
    }

    async fn inspect<T: Send + 'static>(
        &self,
        call: &Call,
        work: impl FnOnce(&Database) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let db = self.db.clone();
        self.pool.run(call, LaneKind::Inspect, 1, move |_| work(&db)).await
    }

    async fn write<T: Send + 'static>(
        &self,
        call: &Call,
        items: usize,
        work: impl FnOnce(&Database) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let db = self.db.clone();
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
                None => serde_json::to_value(db.stats()?),
            };
            stats.map_err(|e| Problem::new(Kind::Internal, e.to_string()))
        })
        .await
    }

    /// The metrics as text.
    pub(crate) async fn metrics_text(&self, call: &Call) -> Result<String> {
        let stats: Stats = self.inspect(call, |db| Ok(db.stats()?)).await?;
        Ok(self.metrics.text(&self.pool.stats(), &stats))
    }

    /// Starts to optimize a collection, or all.
    pub(crate) async fn optimize(
        &self,
        call: &Call,
        collection: Option<String>,
    ) -> Result<model::TaskInfo> {
        let tasks = Arc::clone(&self.tasks);
        self.inspect(call, move |db| {
            if let Some(name) = &collection {
                db.collection(name)?;
            }
            tasks.start(db.clone(), Job::Optimize(collection))
        })
        .await
    }

    /// Starts to read and check every byte.
    pub(crate) fn verify(&self) -> Result<model::TaskInfo> {
        self.tasks.start(self.db.clone(), Job::Verify)
    }

    pub(crate) fn tasks(&self) -> model::Tasks {
        model::Tasks { tasks: self.tasks.list() }
    }

    pub(crate) fn task(&self, id: u64) -> Result<model::TaskInfo> {
        self.tasks.get(id)
    }

    pub(crate) fn cancel_task(&self, id: u64) -> Result<model::TaskInfo> {
        self.tasks.cancel(id)
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
fn target(db: &Database, collection: &str, namespace: &str) -> Result<Collection> {
    Ok(db.collection(collection)?.namespace(namespace)?)
}
