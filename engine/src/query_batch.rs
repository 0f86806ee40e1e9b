//! The same question for many vectors at once, on all cores.

use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use vecstore_index::Workers;

use crate::collection::Collection;
use crate::query::{Query, QueryResult};
use crate::record::check_vector;
use crate::workers::Threads;
use crate::{Error, ErrorKind, Result};

impl Collection {
    /// The records nearest to each of `n` vectors, all as of one moment: `n` results, in order.
    ///
    /// `vectors` holds the vectors one after another, `n * dim` numbers. `with` sets what they
    /// share; it is called once. Runs on as many threads as the database builds segments with
    /// ([`Options::threads`](crate::Options::threads)), divided by the batches that run already; each
    /// result is what [`query`](Self::query) gives for its vector.
    ///
    /// ```
    /// use vecstore::{Collection, Database, Metric, Record};
    ///
    /// # fn main() -> vecstore::Result<()> {
    /// let db = Database::in_memory()?;
    /// let docs = db.create_collection("docs", Collection::options(2, Metric::Dot))?;
    /// docs.batch_upsert(vec![Record::new(1, [1.0, 0.0]), Record::new(2, [0.0, 1.0])])?;
    ///
    /// let results = docs.query_batch(&[1.0, 0.0, 0.0, 1.0], |query| query.k(1))?;
    /// assert_eq!(results[1][0].id, 2.into());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Query::run`]; a message about a vector names its row. If `vectors` is not a whole
    /// number of vectors: [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn query_batch<'a>(
        &'a self,
        vectors: &'a [f32],
        with: impl FnOnce(Query<'a>) -> Query<'a>,
    ) -> Result<Vec<QueryResult>> {
        self.query_batch_with(vectors, with, &mut |_| ControlFlow::Continue(()))
    }

    /// Like [`query_batch`](Self::query_batch), with progress: the number of vectors that are done,
    /// told now and then from the calling thread. `Break` stops it with a
    /// [`Conflict`](ErrorKind::Conflict) as soon as the queries that run then are over.
    pub fn query_batch_with<'a>(
        &'a self,
        vectors: &'a [f32],
        with: impl FnOnce(Query<'a>) -> Query<'a>,
        progress: &mut (dyn FnMut(usize) -> ControlFlow<()> + Send),
    ) -> Result<Vec<QueryResult>> {
        let shard = self.checked()?;
        let dim = shard.options.dim();
        let what = format!("collection `{}`, query", shard.name);
        if !vectors.len().is_multiple_of(dim) {
            return Err(Error::invalid(format!(
                "{what}: {} numbers are not a whole number of vectors with {dim} components",
                vectors.len()
            ))
            .about("vectors"));
        }
        for (row, vector) in vectors.chunks_exact(dim).enumerate() {
            check_vector(vector, &shard.options, format_args!("{what} {row}"))?;
        }
        let query = with(self.query(&[]));
        let filter = query.check(shard, &what)?;
        let version = shard.version();
        let rows = vectors.len() / dim;
        let found: Vec<OnceLock<Result<QueryResult>>> =
            std::iter::repeat_with(OnceLock::new).take(rows).collect();
        let (caller, progress) = (std::thread::current().id(), Mutex::new(progress));
        let (done, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        let running = Running::begin(self.batches());
        Threads(running.share(self.threads())).run(rows, &|row| {
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            let vector = &vectors[row * dim..(row + 1) * dim];
            found[row].get_or_init(|| {
                let (result, _) = query.search(vector, filter.as_ref(), shard, &version)?;
                Ok(result)
            });
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if std::thread::current().id() == caller && (*progress.lock())(done).is_break() {
                stopped.store(true, Ordering::Relaxed);
            }
        });
        if stopped.into_inner() {
            return Err(Error::new(ErrorKind::Conflict, format!("{what}: the batch was stopped")));
        }
        found.into_iter().filter_map(OnceLock::into_inner).collect()
    }
}

/// A batch that runs, until this is dropped.
struct Running<'a> {
    batches: &'a AtomicUsize,
    /// Those that run, this one among them.
    together: usize,
}

impl<'a> Running<'a> {
    fn begin(batches: &'a AtomicUsize) -> Self {
        Running { batches, together: batches.fetch_add(1, Ordering::Relaxed) + 1 }
    }

    /// The threads left for this batch: more than there are cores only take turns, and each has to be
    /// started.
    fn share(&self, threads: usize) -> usize {
        (threads / self.together).max(1)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.batches.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_that_run_together_share_the_threads() {
        let batches = AtomicUsize::new(0);
        let first = Running::begin(&batches);
        assert_eq!(first.share(4), 4);
        let (second, third) = (Running::begin(&batches), Running::begin(&batches));
        assert_eq!((second.share(4), third.share(4), third.share(2)), (2, 1, 1));
        drop((first, second, third));
        assert_eq!(Running::begin(&batches).share(4), 4);
    }
}
