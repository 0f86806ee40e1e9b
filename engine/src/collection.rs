//! A collection: records of one dimension and metric.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use vecstore_index::Metric;
use vecstore_segments::{Progress, RecordId};

use crate::commit::{Operation, Write, admit, commit};
use crate::database::Handle;
use crate::facet::Facet;
use crate::flush::flush_all;
use crate::optimize::{OptimizeReport, optimize};
use crate::options::{CollectionOptions, limits};
use crate::query::Query;
use crate::record::{CheckedRecord, Include, Record, StoredRecord, check_namespace};
use crate::scroll::Scroll;
use crate::selection::Selection;
use crate::state::{CollectionState, State};
use crate::stats::{self, CollectionStats, NamespaceInfo, Usage};
use crate::version::Version;
use crate::views::{View, views};
use crate::{Error, Result};

/// A handle on one namespace of a collection; cheap to clone, usable from many threads at once.
///
/// A new handle sees the default namespace `""`; [`namespace`](Self::namespace) gives one for
/// another. Reads never wait for writes.
///
/// ```
/// use serde_json::json;
/// use vecstore::{Collection, Database, Metric, Record};
///
/// # fn main() -> vecstore::Result<()> {
/// let db = Database::in_memory()?;
/// let docs = db.create_collection("docs", Collection::options(3, Metric::Cosine))?;
/// docs.upsert(Record::new("a", [1.0, 0.0, 0.0]).metadata(json!({"lang": "en"})))?;
/// docs.upsert(Record::new("b", [0.9, 0.1, 0.0]).metadata(json!({"lang": "de"})))?;
///
/// let hits = docs.query(&[1.0, 0.0, 0.0]).k(1).filter("lang = 'de'").run()?;
/// assert_eq!(hits[0].id, "b".into());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Collection {
    handle: Arc<Handle>,
    shard: Arc<CollectionState>,
    namespace: Arc<str>,
}

impl Collection {
    pub(crate) fn new(handle: Arc<Handle>, shard: Arc<CollectionState>) -> Self {
        Collection { handle, shard, namespace: "".into() }
    }

    /// Settings for a new collection: vectors of `dim` components, compared by `metric`.
    #[must_use]
    pub fn options(dim: usize, metric: Metric) -> CollectionOptions {
        CollectionOptions::new(dim, metric)
    }

    /// The collection's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shard.name
    }

    /// The namespace this handle sees.
    #[must_use]
    pub fn namespace_name(&self) -> &str {
        &self.namespace
    }

    /// The settings it was created with.
    #[must_use]
    pub fn settings(&self) -> &CollectionOptions {
        &self.shard.options
    }

    /// A handle on another namespace; it exists as soon as it has a record. Ids are unique within a
    /// namespace, and a query sees exactly one.
    pub fn namespace(&self, name: &str) -> Result<Collection> {
        check_namespace(name)?;
        Ok(Collection { namespace: name.into(), ..self.clone() })
    }

    /// Every namespace that has records, ascending by name, with their number.
    pub fn namespaces(&self) -> Result<Vec<(String, u64)>> {
        let version = self.checked()?.version();
        let all = stats::namespaces(&version).into_iter();
        Ok(all.map(|(name, usage)| (name, usage.records)).collect())
    }

    /// Every namespace that has records, ascending by name, with their number and bytes.
    pub fn list_namespaces(&self) -> Result<Vec<NamespaceInfo>> {
        let version = self.checked()?.version();
        let all = stats::namespaces(&version).into_iter();
        Ok(all
            .map(|(name, Usage { records, bytes })| NamespaceInfo { name, records, bytes })
            .collect())
    }

    /// Removes a namespace: every record it has, at once and however many they are. Returns how many
    /// those were; 0 if there is no such namespace.
    ///
    /// What is logged is one entry; disk space comes back as segments are merged, and after
    /// [`optimize`](Self::optimize) nothing of the namespace is left on disk but in snapshots.
    /// The name can be used again at once, and has then only what is written from then on.
    ///
    /// ```
    /// # use vecstore::{Collection, Database, Metric, Record};
    /// # fn main() -> vecstore::Result<()> {
    /// # let db = Database::in_memory()?;
    /// # let docs = db.create_collection("docs", Collection::options(1, Metric::Dot))?;
    /// let tenant = docs.namespace("tenant-7")?;
    /// tenant.upsert(Record::new("a", [1.0]))?;
    /// assert_eq!(docs.remove_namespace("tenant-7")?, 1);
    /// assert_eq!(tenant.count(None)?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn remove_namespace(&self, name: &str) -> Result<u64> {
        let done = self.namespace(name)?.write(Operation::RemoveNamespace)?;
        if done.records > 0 {
            // There may be segments worth merging now.
            self.handle.state.background.request();
        }
        Ok(done.records)
    }

    /// The state of an open database and a collection that was not dropped.
    pub(crate) fn checked(&self) -> Result<&Arc<CollectionState>> {
        self.handle.state.check()?;
        self.shard.check()?;
        Ok(&self.shard)
    }

    /// The parts of this handle's namespace.
    pub(crate) fn views<'a>(&'a self, version: &'a Version) -> Vec<View<'a>> {
        views(version, &self.namespace, &self.shard.options, &self.handle.state.asks)
    }

    pub(crate) fn state(&self) -> &State {
        &self.handle.state
    }

    /// Threads that one call may use.
    pub(crate) fn threads(&self) -> usize {
        self.handle.state.options.threads
    }

    /// Batches of queries that run on this database now.
    pub(crate) fn batches(&self) -> &AtomicUsize {
        &self.handle.state.batches
    }

    pub(crate) fn write(&self, operation: Operation) -> Result<crate::commit::Done> {
        let collection = Arc::clone(self.checked()?);
        let state = &self.handle.state;
        let _room = match operation.adds_rows() {
            true => Some(admit(state, &collection, &operation)?),
            false => None,
        };
        let write = Write { collection, namespace: Arc::clone(&self.namespace), operation };
        commit(state, write)
    }

    /// Inserts a record, or replaces the one with its id. Returns the commit's number.
    ///
    /// With the default [`Durability::Sync`](crate::Durability::Sync) the record is on disk when this returns, and
    /// every query that starts afterwards sees it.
    pub fn upsert(&self, record: Record) -> Result<u64> {
        self.batch_upsert(vec![record])
    }

    /// Inserts or replaces many records, all or none: if one is not valid nothing is changed. Of
    /// records with the same id the last one counts. At most [`limits::BATCH_RECORDS_MAX`]
    /// records and [`limits::BATCH_BYTES_MAX`] bytes; an empty batch is fine.
    pub fn batch_upsert(&self, records: Vec<Record>) -> Result<u64> {
        let shard = self.checked()?;
        shard.quotas.read().check_batch(&shard.name, &self.namespace, records.len())?;
        let alone = records.len() == 1;
        self.check_batch(records.len(), "records")?;
        let checked = records
            .into_iter()
            .enumerate()
            .map(|(at, record)| {
                let place = if alone { String::new() } else { format!(", batch position {at}") };
                let what = format!("collection `{}`{place}", shard.name);
                CheckedRecord::check(record, &shard.options, &what)
            })
            .collect::<Result<Vec<_>>>()?;
        let bytes: usize = checked.iter().map(CheckedRecord::bytes).sum();
        if bytes > limits::BATCH_BYTES_MAX {
            return Err(Error::invalid(format!(
                "collection `{}`: the batch has {bytes} bytes, at most {} are allowed; split it",
                shard.name,
                limits::BATCH_BYTES_MAX
            ))
            .about("records"));
        }
        if checked.is_empty() {
            return Ok(shard.version().seq);
        }
        Ok(self.write(Operation::Upsert(checked))?.seq)
    }

    pub(crate) fn check_batch(&self, len: usize, what: &'static str) -> Result<()> {
        if len > limits::BATCH_RECORDS_MAX {
            return Err(Error::invalid(format!(
                "collection `{}`: the batch has {len} {what}, at most {} are allowed; split it",
                self.shard.name,
                limits::BATCH_RECORDS_MAX
            ))
            .about(what));
        }
        Ok(())
    }

    /// The record with an id, with metadata and vector.
    pub fn get(&self, id: impl Into<RecordId>) -> Result<Option<StoredRecord>> {
        Ok(self.get_many(&[id.into()], &Include::ALL)?.pop().flatten())
    }

    /// The records with the given ids, in their order, all as of one moment.
    pub fn get_many(
        &self,
        ids: &[RecordId],
        include: &Include,
    ) -> Result<Vec<Option<StoredRecord>>> {
        let version = self.checked()?.version();
        ids.iter()
            .map(|id| match version.find(&self.namespace, id)? {
                Some(found) => found.record(include).map(Some),
                None => Ok(None),
            })
            .collect()
    }

    /// Removes a record; false if there was none with this id.
    pub fn remove(&self, id: impl Into<RecordId>) -> Result<bool> {
        Ok(self.remove_many(&[id.into()])? == 1)
    }

    /// Removes records, all or none; returns how many there were. At most
    /// [`limits::BATCH_RECORDS_MAX`] ids.
    pub fn remove_many(&self, ids: &[RecordId]) -> Result<u64> {
        self.check_batch(ids.len(), "ids")?;
        Ok(self.write(Operation::Remove(ids.to_vec()))?.records)
    }

    /// The records that satisfy a filter, to be counted, changed or removed; [`Selection::bind`] gives its
    /// parameters their values.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use vecstore::{Collection, Database, Metric, Record};
    /// # fn main() -> vecstore::Result<()> {
    /// # let db = Database::in_memory()?;
    /// # let docs = db.create_collection("docs", Collection::options(1, Metric::Dot))?;
    /// docs.upsert(Record::new("a", [1.0]).metadata(json!({"lang": "en"})))?;
    /// assert_eq!(docs.select("lang = $lang").bind("lang", "en").count()?, 1);
    /// assert_eq!(docs.select("lang IN $langs").bind("langs", vec!["de", "fr"]).remove()?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn select<'a>(&'a self, filter: impl Into<Option<&'a str>>) -> Selection<'a> {
        Selection::new(self, filter.into())
    }

    /// Removes every record that satisfies a filter, as of the moment of the call; returns how
    /// many. A record that is replaced meanwhile stays. Many records go in several commits.
    pub fn remove_where(&self, filter: &str) -> Result<u64> {
        self.select(filter).remove()
    }

    /// Number of records, or of those that satisfy a filter.
    pub fn count(&self, filter: Option<&str>) -> Result<u64> {
        Selection::new(self, filter).count()
    }

    /// Begins a query for the records nearest to `vector`.
    pub fn query<'a>(&'a self, vector: &'a [f32]) -> Query<'a> {
        Query::new(self, vector)
    }

    /// Begins to count the values of a metadata field: `"pos"`, or `"items.price"` for one inside
    /// objects. Exact, as of the moment of the call.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use vecstore::{Collection, Database, Metric, Record};
    /// # fn main() -> vecstore::Result<()> {
    /// # let db = Database::in_memory()?;
    /// # let docs = db.create_collection("docs", Collection::options(1, Metric::Dot))?;
    /// docs.upsert(Record::new("a", [1.0]).metadata(json!({"pos": "n"})))?;
    /// docs.upsert(Record::new("b", [2.0]).metadata(json!({"pos": "n"})))?;
    /// docs.upsert(Record::new("c", [3.0]).metadata(json!({"pos": "v"})))?;
    /// let facet = docs.facet("pos").limit(1).run()?;
    /// assert_eq!((&facet.values[0].value, facet.values[0].count), (&json!("n"), 2));
    /// assert_eq!(facet.distinct, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn facet<'a>(&'a self, field: &'a str) -> Facet<'a> {
        Facet::new(self, field)
    }

    /// Begins to read all records in the order of their ids.
    pub fn scroll(&self) -> Scroll<'_> {
        Scroll::new(self)
    }

    /// Turns everything that is in memory now into segments. Never needed for durability.
    pub fn flush(&self) -> Result<()> {
        self.flush_with(&mut |_| ControlFlow::Continue(()))
    }

    /// Like [`flush`](Self::flush), with progress; `Break` stops it with a
    /// [`Conflict`](crate::ErrorKind::Conflict). What was not sealed stays in memory and in the
    /// log, and is sealed later.
    pub fn flush_with(&self, progress: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<()> {
        flush_all(&self.handle.state, self.checked()?, progress)
    }

    /// Merges all segments into one without dead rows and returns disk space. Reads and writes go
    /// on meanwhile.
    pub fn optimize(&self) -> Result<OptimizeReport> {
        self.optimize_with(&mut |_| ControlFlow::Continue(()))
    }

    /// Like [`optimize`](Self::optimize), with progress; `Break` stops it with a
    /// [`Conflict`](crate::ErrorKind::Conflict) and leaves everything as it was.
    pub fn optimize_with(
        &self,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<OptimizeReport> {
        optimize(&self.handle.state, &[Arc::clone(self.checked()?)], progress)
    }

    /// Numbers about the collection, all namespaces together.
    pub fn stats(&self) -> Result<CollectionStats> {
        stats::collection(self.checked()?)
    }
}
