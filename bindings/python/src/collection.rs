//! `vecstore.Collection`.

use std::path::PathBuf;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use serde_json::Value;

use crate::export::Export;
use crate::failure::{self, Result};
use crate::groups::Groups;
use crate::hits::{BatchHits, Hits};
use crate::id::{self, Ids};
use crate::include::Included;
use crate::ingest;
use crate::metadata::Source;
use crate::plan::{Comparison, Plan};
use crate::quota;
use crate::record::Record;
use crate::scroll::{self, Next, Scroll};
use crate::search::{Search, filter, filter_text, number, params};
use crate::session::Kept;
use crate::value::{self, Place};
use crate::vector::{self, Asked, Vectors};
use crate::watch::Watch;

/// Records of one dimension and metric; a handle on one namespace of them.
///
/// It comes from `Database.create_collection` or `Database.collection` and sees the default
/// namespace ""; `namespace` gives a handle on another.
#[pyclass(frozen, module = "vecstore")]
pub(crate) struct Collection {
    kept: Kept,
}

impl Collection {
    pub(crate) fn new(kept: Kept) -> Self {
        Collection { kept }
    }

    /// Calls the engine without the interpreter lock.
    fn call<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&vecstore::Collection) -> vecstore::Result<T> + Send,
    ) -> Result<T> {
        py.detach(|| Ok(work(&self.kept.collection()?)?))
    }

    fn many(&self, py: Python<'_>, numbers: &[f32], search: Search) -> Result<BatchHits> {
        let mut watch = Watch::new(py, None)?;
        let all = numbers.len() as u64;
        let found = self.call(py, |docs| {
            let progress = &mut |done| watch.step("queries", done as u64, all);
            docs.query_batch_with(numbers, |query| search.on(query), progress)
        });
        let found = watch.finish(py, found)?;
        warn_incomplete(py, found.iter().all(|result| result.complete))?;
        Ok(BatchHits::new(py, found, search.k, search.include)?)
    }
}

fn warn_incomplete(py: Python<'_>, complete: bool) -> Result<()> {
    if !complete {
        let message = c"records may be missing because their bytes are damaged; see verify()";
        PyErr::warn(py, failure::incomplete_warning(py)?, message, 1)?;
    }
    Ok(())
}

#[pymethods]
impl Collection {
    /// Its name.
    #[getter]
    fn name(&self) -> Result<String> {
        Ok(self.kept.collection()?.name().to_owned())
    }

    /// Components of a vector.
    #[getter]
    fn dim(&self) -> Result<usize> {
        Ok(self.kept.collection()?.settings().dim())
    }

    /// The metric: "cosine", "dot" or "euclidean".
    #[getter]
    fn metric(&self) -> Result<&'static str> {
        Ok(self.kept.collection()?.settings().metric().name())
    }

    /// The settings it was created with, a dict: dim, metric, m, ef_construction, index, precision, codes, schema.
    #[getter]
    fn settings<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        value::report(py, self.kept.collection()?.settings())
    }

    /// The namespace this handle sees.
    #[getter]
    fn namespace_name(&self) -> Result<String> {
        Ok(self.kept.collection()?.namespace_name().to_owned())
    }

    /// A handle on another namespace; it exists as soon as it has a record. Ids are unique within
    /// a namespace, and a query sees exactly one.
    fn namespace(&self, name: &str) -> Result<Collection> {
        Ok(Collection::new(self.kept.keep(self.kept.collection()?.namespace(name)?)?))
    }

    /// The namespaces that have records, and how many each: a dict.
    fn namespaces<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let namespaces = self.call(py, vecstore::Collection::namespaces)?;
        let dict = PyDict::new(py);
        for (name, records) in namespaces {
            dict.set_item(name, records)?;
        }
        Ok(dict)
    }

    /// The namespaces that have records, ascending by name, a dict each: name, records, bytes.
    fn list_namespaces<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        value::report(py, &self.call(py, vecstore::Collection::list_namespaces)?)
    }

    /// Removes a namespace with all its records; returns how many there were.
    fn remove_namespace(&self, py: Python<'_>, name: &str) -> Result<u64> {
        self.call(py, |docs| docs.remove_namespace(name))
    }

    /// The quota of the collection, all namespaces together: a dict with records, bytes,
    /// batch_records and results; None is no bound.
    fn quota<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        Ok(quota::to_python(py, &self.call(py, vecstore::Collection::quota)?)?)
    }

    /// Sets the quota of the collection, all namespaces together, in place of the one there is. It
    /// is durable when this returns; what is there already stays.
    ///
    /// records: how many it may hold. bytes: of segment files and of records in memory.
    /// batch_records: records of one batch_upsert. results: records that one query returns. None is
    /// no bound. A call that exceeds one raises QuotaExceededError and changes nothing.
    #[pyo3(signature = (*, records = None, bytes = None, batch_records = None, results = None))]
    fn set_quota(
        &self,
        py: Python<'_>,
        records: Option<i64>,
        bytes: Option<i64>,
        batch_records: Option<i64>,
        results: Option<i64>,
    ) -> Result<()> {
        let quota = quota::read(records, bytes, batch_records, results)?;
        self.call(py, |docs| docs.set_quota(quota))
    }

    /// The quota of this handle's namespace, a dict like that of `quota`; the quota of the
    /// collection binds it too.
    fn namespace_quota<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        Ok(quota::to_python(py, &self.call(py, vecstore::Collection::namespace_quota)?)?)
    }

    /// Sets the quota of this handle's namespace, with the arguments of `set_quota`. It stays when
    /// the namespace is removed.
    #[pyo3(signature = (*, records = None, bytes = None, batch_records = None, results = None))]
    fn set_namespace_quota(
        &self,
        py: Python<'_>,
        records: Option<i64>,
        bytes: Option<i64>,
        batch_records: Option<i64>,
        results: Option<i64>,
    ) -> Result<()> {
        let quota = quota::read(records, bytes, batch_records, results)?;
        self.call(py, |docs| docs.set_namespace_quota(quota))
    }

    /// Inserts a record, or replaces the one with its id. Returns the number of the commit.
    ///
    /// vector: dim numbers: a sequence, or an array of float16, float32 or
    /// float64; stored as float32. metadata: a dict.
    /// When this returns, the record is on disk, and queries that start afterwards see it.
    #[pyo3(signature = (id, vector, metadata = None))]
    fn upsert(
        &self,
        py: Python<'_>,
        id: &Bound<'_, PyAny>,
        vector: &Bound<'_, PyAny>,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> Result<u64> {
        let record = read_record(id::read(id)?, vector, metadata)?;
        self.call(py, |collection| collection.upsert(record))
    }

    /// Inserts or replaces many records. Returns the number of the last commit.
    ///
    /// ids: n ids. vectors: an array of float16, float32 or float64 with shape (n, dim), or a
    /// sequence of n vectors. metadata: n dicts (or None), or a dict of columns with n values each,
    /// or a table with n rows: a DataFrame, or anything with `__arrow_c_stream__`; a missing cell
    /// is None.
    ///
    /// Up to 16,384 records of together 32 MiB are written all or none. More go in parts of that
    /// size, in order, each all or none: if one fails or Ctrl-C stops it, the parts before it stay,
    /// and the exception has their number of records as `committed`. The part that is being written
    /// when Ctrl-C comes is still written, or not. progress: True for a bar of
    /// tqdm, or a function (stage, done, total) that is called after each part.
    #[pyo3(signature = (ids, vectors, metadata = None, progress = None))]
    fn batch_upsert(
        &self,
        py: Python<'_>,
        ids: &Bound<'_, PyAny>,
        vectors: &Bound<'_, PyAny>,
        metadata: Option<&Bound<'_, PyAny>>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> Result<u64> {
        let ids = id::read_all(ids)?;
        let vectors = Vectors::new(vectors, &"vectors")?;
        let mut metadata = Source::new(metadata)?;
        let mut watch = Watch::new(py, progress)?;
        let collection = self.kept.collection()?;
        let written = ingest::upsert(py, &collection, ids, &vectors, &mut metadata, &mut watch);
        watch.finish(py, written)
    }

    /// The record with an id; None if there is none. For a list of ids, a list of those, as of one
    /// moment. include is that of `query`, except that without it all is included.
    #[pyo3(signature = (id, include = None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        id: &Bound<'py, PyAny>,
        include: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        let include = match include {
            None => Included::ALL,
            Some(_) => Included::new(include)?,
        };
        let (ids, many) = match Ids::read(id)? {
            Ids::One(id) => (vec![id], false),
            Ids::Many(ids) => (ids, true),
        };
        let found = self.call(py, |collection| collection.get_many(&ids, &include.read))?;
        let mut records = Vec::with_capacity(found.len());
        for record in found {
            records.push(match record {
                Some(mut record) => {
                    include.project(&mut record.metadata);
                    Bound::new(py, Record::new(py, &record, &include.read)?)?.into_any()
                }
                None => py.None().into_bound(py),
            });
        }
        match (many, records.pop()) {
            (false, Some(only)) => Ok(only),
            (_, last) => {
                records.extend(last);
                Ok(PyList::new(py, records)?.into_any())
            }
        }
    }

    /// Removes a record: True if it was there, False if not. For a list of ids, removes all of
    /// them in one commit and returns how many were there.
    fn remove<'py>(&self, py: Python<'py>, id: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
        match Ids::read(id)? {
            Ids::One(id) => {
                let there = self.call(py, |collection| collection.remove(id))?;
                Ok(value::to_python(py, &Value::from(there))?)
            }
            Ids::Many(ids) => {
                let removed = self.call(py, |collection| collection.remove_many(&ids))?;
                Ok(value::to_python(py, &Value::from(removed))?)
            }
        }
    }

    /// Removes every record that satisfies a filter, as of the moment of the call; returns how
    /// many. params: the values of the filter's $names.
    #[pyo3(signature = (filter, params = None))]
    fn remove_where(
        &self,
        py: Python<'_>,
        filter: &Bound<'_, PyAny>,
        params: Option<&Bound<'_, PyAny>>,
    ) -> Result<u64> {
        let (filter, params) = (filter_text(filter)?, self::params(params)?);
        self.call(py, |collection| collection.select(filter.as_str()).bind_all(params).remove())
    }

    /// Changes a record's metadata: each field of the patch, a dict, is set; one that is None is taken
    /// away; a dict inside is a patch of the dict there. True if the record was there, False if
    /// not. For a list of ids, changes all of them and returns how many were there.
    fn update<'py>(
        &self,
        py: Python<'py>,
        id: &Bound<'py, PyAny>,
        patch: &Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyAny>> {
        let patch = read_patch(patch)?;
        let changed = match Ids::read(id)? {
            Ids::One(id) => Value::from(self.call(py, |docs| docs.update(id, patch))?),
            Ids::Many(ids) => Value::from(self.call(py, |docs| docs.update_many(&ids, patch))?),
        };
        Ok(value::to_python(py, &changed)?)
    }

    /// Changes the metadata of every record that satisfies a filter, as `update` does; returns how
    /// many. params: the values of the filter's $names.
    #[pyo3(signature = (filter, patch, params = None))]
    fn update_where(
        &self,
        py: Python<'_>,
        filter: &Bound<'_, PyAny>,
        patch: &Bound<'_, PyAny>,
        params: Option<&Bound<'_, PyAny>>,
    ) -> Result<u64> {
        let (filter, params) = (filter_text(filter)?, self::params(params)?);
        let patch = read_patch(patch)?;
        self.call(py, |docs| docs.select(filter.as_str()).bind_all(params).update(patch))
    }

    /// Number of records, or of those that satisfy a filter. params: the values of its $names.
    #[pyo3(signature = (filter = None, params = None))]
    fn count(
        &self,
        py: Python<'_>,
        filter: Option<&Bound<'_, PyAny>>,
        params: Option<&Bound<'_, PyAny>>,
    ) -> Result<u64> {
        let (filter, params) = (self::filter(filter)?, self::params(params)?);
        self.call(py, |collection| collection.select(filter.as_deref()).bind_all(params).count())
    }

    /// The k records nearest to a vector, best first: Hits, a sequence of Hit. For several
    /// vectors what `query_batch` gives.
    ///
    /// vector: dim numbers: a sequence, or an array of float16, float32 or float64. filter: only
    /// records whose metadata satisfies it, for example "pos = 'n' AND year < $year" or
    /// `vecstore.F("year") < 2021`; params: the values of $names, a dict. At most one of ef
    /// (candidates kept while searching a graph), recall (the least effort that reaches it, above 0
    /// and at most 1) and exact (compare every record); without one the effort is chosen.
    /// score_threshold: only hits with at least this score. include: a list of "metadata",
    /// "metadata.FIELD" (only that field, also "metadata.a.b") and "vector", default ["metadata"].
    ///
    /// Warns with IncompleteWarning if records may be missing because their bytes are damaged.
    #[pyo3(
        signature = (
            vector, k = 10, filter = None, params = None, ef = None, recall = None, exact = false,
            score_threshold = None, include = None
        ),
        text_signature = "($self, vector, k=10, filter=None, params=None, ef=None, recall=None, \
                          exact=False, score_threshold=None, include=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn query(
        &self,
        py: Python<'_>,
        vector: &Bound<'_, PyAny>,
        k: i64,
        filter: Option<&Bound<'_, PyAny>>,
        params: Option<&Bound<'_, PyAny>>,
        ef: Option<i64>,
        recall: Option<f32>,
        exact: bool,
        score_threshold: Option<f32>,
        include: Option<&Bound<'_, PyAny>>,
    ) -> Result<Py<PyAny>> {
        let search = Search::read(k, filter, params, ef, recall, exact, score_threshold, include)?;
        match Asked::read(vector, || self.dim())? {
            Asked::One(vector) => {
                let found = self.call(py, |docs| search.on(docs.query(&vector)).run())?;
                warn_incomplete(py, found.complete)?;
                Ok(Hits::new(found, &search.include).into_py_any(py)?)
            }
            Asked::Many(numbers) => Ok(self.many(py, &numbers, search)?.into_py_any(py)?),
        }
    }

    /// The k records nearest to each of n vectors, as of one moment, on all cores: BatchHits, a
    /// sequence of n Hits.
    ///
    /// vectors: an array of float16, float32 or float64 with shape (n, dim), or a sequence of n
    /// vectors; it is copied once. The other arguments are those of `query`.
    #[pyo3(
        signature = (
            vectors, k = 10, filter = None, params = None, ef = None, recall = None, exact = false,
            score_threshold = None, include = None
        ),
        text_signature = "($self, vectors, k=10, filter=None, params=None, ef=None, recall=None, \
                          exact=False, score_threshold=None, include=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn query_batch(
        &self,
        py: Python<'_>,
        vectors: &Bound<'_, PyAny>,
        k: i64,
        filter: Option<&Bound<'_, PyAny>>,
        params: Option<&Bound<'_, PyAny>>,
        ef: Option<i64>,
        recall: Option<f32>,
        exact: bool,
        score_threshold: Option<f32>,
        include: Option<&Bound<'_, PyAny>>,
    ) -> Result<BatchHits> {
        let search = Search::read(k, filter, params, ef, recall, exact, score_threshold, include)?;
        let numbers = vector::read_many(vectors, self.dim()?)?;
        self.many(py, &numbers, search)
    }

    /// The k groups with the records nearest to a vector, one group for each value of a metadata
    /// field: Groups, a sequence of Group (value, hits), the one with the best hit first.
    ///
    /// group_by: the field ("book", or "book.title" for one inside an object). A record whose field is a
    /// list is in the group of each member; one without the field is in none. group_size: hits of a
    /// group; times k at most 16,384. The other arguments are those of `query`.
    ///
    ///     for group in docs.query_groups(vector, "book", k=3, group_size=2):
    ///         print(group.value, group.hits.ids)
    #[pyo3(
        signature = (
            vector, group_by, k = 10, group_size = 1, filter = None, params = None, ef = None,
            recall = None, exact = false, score_threshold = None, include = None
        ),
        text_signature = "($self, vector, group_by, k=10, group_size=1, filter=None, params=None, \
                          ef=None, recall=None, exact=False, score_threshold=None, include=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn query_groups(
        &self,
        py: Python<'_>,
        vector: &Bound<'_, PyAny>,
        group_by: &str,
        k: i64,
        group_size: i64,
        filter: Option<&Bound<'_, PyAny>>,
        params: Option<&Bound<'_, PyAny>>,
        ef: Option<i64>,
        recall: Option<f32>,
        exact: bool,
        score_threshold: Option<f32>,
        include: Option<&Bound<'_, PyAny>>,
    ) -> Result<Groups> {
        let vector = vector::read(vector, &"query vector")?;
        let search = Search::read(k, filter, params, ef, recall, exact, score_threshold, include)?;
        let size = number("group_size", group_size)?;
        let found = self.call(py, |docs| {
            search.on(docs.query(&vector)).group_by(group_by).group_size(size).run()
        })?;
        warn_incomplete(py, found.complete)?;
        Ok(Groups::new(py, found, &search.include)?)
    }

    /// Runs a query, with the arguments of `query`, and tells how: the Plan that ran, with estimates
    /// and measurements. `print` it; `Plan.hits` is what it found.
    #[pyo3(
        signature = (
            vector, k = 10, filter = None, params = None, ef = None, recall = None, exact = false,
            score_threshold = None, include = None
        ),
        text_signature = "($self, vector, k=10, filter=None, params=None, ef=None, recall=None, \
                          exact=False, score_threshold=None, include=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn explain(
        &self,
        py: Python<'_>,
        vector: &Bound<'_, PyAny>,
        k: i64,
        filter: Option<&Bound<'_, PyAny>>,
        params: Option<&Bound<'_, PyAny>>,
        ef: Option<i64>,
        recall: Option<f32>,
        exact: bool,
        score_threshold: Option<f32>,
        include: Option<&Bound<'_, PyAny>>,
    ) -> Result<Plan> {
        let vector = vector::read(vector, &"query vector")?;
        let search = Search::read(k, filter, params, ef, recall, exact, score_threshold, include)?;
        let (found, plan) = self.call(py, |docs| search.on(docs.query(&vector)).explain())?;
        warn_incomplete(py, found.complete)?;
        Ok(Plan::new(&plan, Py::new(py, Hits::new(found, &search.include))?))
    }

    /// Runs a query, with the arguments of `query`, by every strategy that each segment had to
    /// choose from, and times them: a list of Comparison, one for each segment. Slow, for finding
    /// out why a query is.
    #[pyo3(signature = (
        vector, k = 10, filter = None, params = None, ef = None, recall = None, exact = false,
        score_threshold = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn explain_alternatives(
        &self,
        py: Python<'_>,
        vector: &Bound<'_, PyAny>,
        k: i64,
        filter: Option<&Bound<'_, PyAny>>,
        params: Option<&Bound<'_, PyAny>>,
        ef: Option<i64>,
        recall: Option<f32>,
        exact: bool,
        score_threshold: Option<f32>,
    ) -> Result<Vec<Comparison>> {
        let vector = vector::read(vector, &"query vector")?;
        let search = Search::read(k, filter, params, ef, recall, exact, score_threshold, None)?;
        let compared =
            self.call(py, |docs| search.on(docs.query(&vector)).explain_alternatives())?;
        Ok(compared.iter().map(Comparison::new).collect())
    }

    /// How many records have each value of a metadata field ("pos", or "items.price" for one inside
    /// objects), or those records that satisfy a filter: a dict with "values", a list of (value,
    /// count) with the most frequent `limit` values, most first, and "distinct", the number of
    /// different values in all. A list counts for each of its members once.
    #[pyo3(signature = (field, limit = 10, filter = None, params = None))]
    fn facet<'py>(
        &self,
        py: Python<'py>,
        field: &str,
        limit: i64,
        filter: Option<&Bound<'py, PyAny>>,
        params: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyDict>> {
        let limit = number("limit", limit)?;
        let (filter, params) = (self::filter(filter)?, self::params(params)?);
        let counts = self.call(py, |docs| {
            let mut facet = docs.facet(field).limit(limit);
            if let Some(filter) = &filter {
                facet = facet.filter(filter);
            }
            for (name, value) in params {
                facet = facet.bind(&name, value);
            }
            facet.run()
        })?;
        let values =
            counts.values.iter().map(|of| Ok((value::to_python(py, &of.value)?, of.count)));
        let dict = PyDict::new(py);
        dict.set_item("values", values.collect::<PyResult<Vec<_>>>()?)?;
        dict.set_item("distinct", counts.distinct)?;
        Ok(dict)
    }

    /// All records, or those that satisfy a filter, page by page: an iterator of lists of at most
    /// `limit` records.
    ///
    ///     for page in docs.scroll(limit=1000):
    ///         print(len(page), page[0].id)
    ///
    /// They come ascending by id (integers, then UUIDs, then strings), or by a metadata field: with
    /// order_by="year" ("author.name" for one inside an object) by its value, equal ones by id: false,
    /// true, numbers, strings; with descending the largest first. Records without the field come
    /// last.
    ///
    /// after: only records with an id after this one; `Scroll.after` says where a scroll stands, or
    /// with order_by `Scroll.cursor`, to be handed to resume. params and include are those of
    /// `query`. A mistake in the filter is raised with the first page.
    #[pyo3(signature = (
        filter = None, limit = 100, after = None, params = None, include = None, *,
        order_by = None, descending = false, resume = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn scroll(
        &self,
        filter: Option<&Bound<'_, PyAny>>,
        limit: i64,
        after: Option<&Bound<'_, PyAny>>,
        params: Option<&Bound<'_, PyAny>>,
        include: Option<&Bound<'_, PyAny>>,
        order_by: Option<String>,
        descending: bool,
        resume: Option<&str>,
    ) -> Result<Scroll> {
        let asked = scroll::Asked {
            filter: self::filter(filter)?,
            params: self::params(params)?,
            limit: number("limit", limit)?,
            order_by,
            descending,
            include: Included::new(include)?,
        };
        Scroll::new(self.kept.keep(self.kept.collection()?)?, asked, Next::read(after, resume)?)
    }

    /// Writes all records, or those that satisfy a filter, to a file, as of one moment: a line of JSON
    /// each with id, vector and metadata, ascending by id, as `vecstore import` reads them.
    ///
    /// path: compressed if it ends in .gz. The file appears when it is complete; Ctrl-C leaves none.
    /// vectors: whether the vectors are written. overwrite: whether a file that is there is
    /// replaced, or AlreadyExistsError raised. params are those of `query`, progress that of
    /// `optimize`. Returns a dict: records, bytes (of the file).
    #[pyo3(signature = (
        path, *, vectors = true, filter = None, params = None, overwrite = false, progress = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn export<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        vectors: bool,
        filter: Option<&Bound<'py, PyAny>>,
        params: Option<&Bound<'py, PyAny>>,
        overwrite: bool,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        let (filter, params) = (self::filter(filter)?, self::params(params)?);
        let export = Export { path, vectors, filter, params, overwrite };
        let mut watch = Watch::new(py, progress)?;
        let written = py.detach(|| export.run(&self.kept.collection()?, &mut watch));
        value::report(py, &watch.finish(py, written)?)
    }

    /// Merges all segments into one without dead rows and returns disk space. Reads and writes go
    /// on meanwhile; Ctrl-C stops it and leaves everything as it was. progress: True for a bar of
    /// tqdm, or a function (stage, done, total). Returns what `Database.optimize` does.
    #[pyo3(signature = (progress = None))]
    fn optimize<'py>(
        &self,
        py: Python<'py>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        let mut watch = Watch::new(py, progress)?;
        let done = self.call(py, |docs| docs.optimize_with(&mut |now| watch.engine(now)));
        value::report(py, &watch.finish(py, done)?)
    }

    /// Turns everything that is in memory into segments. Never needed for durability. Ctrl-C stops
    /// it; what is in no segment then stays in memory. progress is that of `optimize`.
    #[pyo3(signature = (progress = None))]
    fn flush(&self, py: Python<'_>, progress: Option<&Bound<'_, PyAny>>) -> Result<()> {
        let mut watch = Watch::new(py, progress)?;
        let done = self.call(py, |docs| docs.flush_with(&mut |now| watch.engine(now)));
        watch.finish(py, done)
    }

    /// Numbers about the collection, all namespaces together, as a dict: name, dim, metric,
    /// records, namespaces, memtable_records, memtable_bytes, segments (a list of dicts: id, rows,
    /// deleted, bytes, sections, indexes, fields, degraded, damage), trouble.
    fn stats<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        value::report(py, &self.call(py, vecstore::Collection::stats)?)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Ok(collection) = self.kept.collection() else {
            return Ok("Collection(closed)".to_owned());
        };
        let quoted = |text| PyString::new(py, text).repr();
        let name = quoted(collection.name())?;
        let namespace = quoted(collection.namespace_name())?;
        let dim = collection.settings().dim();
        let metric = quoted(collection.settings().metric().name())?;
        Ok(format!("Collection({name}, namespace={namespace}, dim={dim}, metric={metric})"))
    }
}

fn read_record(
    id: vecstore::RecordId,
    vector: &Bound<'_, PyAny>,
    metadata: Option<&Bound<'_, PyAny>>,
) -> Result<vecstore::Record> {
    let vector = vector::read(vector, &format_args!("record `{id}`: vector"))?;
    let metadata = read_metadata(metadata, &id)?;
    Ok(vecstore::Record { id, vector, metadata })
}

fn read_patch(patch: &Bound<'_, PyAny>) -> Result<Value> {
    let patch = value::read_object(Some(patch), Place::Root(&"patch"));
    Ok(Value::Object(patch.map_err(|e| e.about("patch"))?))
}

fn read_metadata(metadata: Option<&Bound<'_, PyAny>>, id: &vecstore::RecordId) -> Result<Value> {
    let place = format_args!("record `{id}`: metadata");
    let metadata = value::read_object(metadata, Place::Root(&place));
    Ok(Value::Object(metadata.map_err(|e| e.about("metadata"))?))
}
