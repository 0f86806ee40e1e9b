//! The same question for many vectors at once, on all cores.

use std::sync::OnceLock;

use vecstore_index::Workers;

use crate::collection::Collection;
use crate::query::{Query, QueryResult};
use crate::record::check_vector;
use crate::workers::Threads;
use crate::{Error, Result};

impl Collection {
    /// The records nearest to each of `n` vectors, all as of one moment: `n` results, in order.
    ///
    /// `vectors` holds the vectors one after another, `n * dim` numbers. `with` sets what they
    /// share; it is called once. Runs on as many threads as the database builds segments with
    /// ([`Options::threads`](crate::Options::threads)); each result is what
    /// [`query`](Self::query) gives for its vector.
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
        let shard = self.checked()?;
        let dim = shard.options.dim();
        let what = format!("collection `{}`, query", shard.name);
        if !vectors.len().is_multiple_of(dim) {
            return Err(Error::invalid(format!(
                "{what}: {} numbers are not a whole number of vectors with {dim} components",
                vectors.len()
            )));
        }
        for (row, vector) in vectors.chunks_exact(dim).enumerate() {
            check_vector(vector, &shard.options, format_args!("{what} {row}"))?;
        }
        let query = with(self.query(&[]));
        let filter = query.check(&what)?;
        let version = shard.version();
        let rows = vectors.len() / dim;
        let found: Vec<OnceLock<Result<QueryResult>>> =
            std::iter::repeat_with(OnceLock::new).take(rows).collect();
        Threads(self.threads()).run(rows, &|row| {
            let vector = &vectors[row * dim..(row + 1) * dim];
            found[row].get_or_init(|| {
                let (result, _) = query.search(vector, filter.as_ref(), shard, &version)?;
                Ok(result)
            });
        });
        found.into_iter().filter_map(OnceLock::into_inner).collect()
    }
}
