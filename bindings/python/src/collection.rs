//! `vecstore.Collection`.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use serde_json::Value;
use vecstore::Include;

use crate::failure::{self, Failure, Result};
use crate::id::{self, Ids};
use crate::record::{Hit, Record};
use crate::search::{Search, number, params, query_vector};
use crate::session::Kept;
use crate::value::{self, Place};
use crate::{include, vector};

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

    /// Inserts a record, or replaces the one with its id. Returns the number of the commit.
    ///
    /// vector: dim numbers: a sequence, or an array of float32 or float64. metadata: a dict.
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

    /// Inserts or replaces many records, all or none. Returns the number of the commit.
    ///
    /// ids: n ids. vectors: an array of float32 or float64 with shape (n, dim), or a sequence of n
    /// vectors. metadata: a list of n dicts (or None). At most 16,384 records and 64 MiB at once.
    #[pyo3(signature = (ids, vectors, metadata = None))]
    fn batch_upsert(
        &self,
        py: Python<'_>,
        ids: &Bound<'_, PyAny>,
        vectors: &Bound<'_, PyAny>,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> Result<u64> {
        let ids = id::read_all(ids)?;
        let vectors = vector::read_all(vectors, ids.len())?;
        let metadata = read_metadata_list(metadata, &ids)?;
        let records = ids.into_iter().zip(vectors).zip(metadata);
        let records = records
            .map(|((id, vector), metadata)| vecstore::Record { id, vector, metadata })
            .collect();
        self.call(py, |collection| collection.batch_upsert(records))
    }

    /// The record with an id, with metadata and vector; None if there is none. For a list of ids,
    /// a list of those, as of one moment.
    fn get<'py>(&self, py: Python<'py>, id: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
        let (ids, many) = match Ids::read(id)? {
            Ids::One(id) => (vec![id], false),
            Ids::Many(ids) => (ids, true),
        };
        let found = self.call(py, |collection| collection.get_many(&ids, &Include::ALL))?;
        let mut records = Vec::with_capacity(found.len());
        for record in &found {
            records.push(match record {
                Some(record) => Bound::new(py, Record::new(py, record, &Include::ALL)?)?.into_any(),
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
    /// many.
    fn remove_where(&self, py: Python<'_>, filter: &str) -> Result<u64> {
        self.call(py, |collection| collection.remove_where(filter))
    }

    /// Number of records, or of those that satisfy a filter.
    #[pyo3(signature = (filter = None))]
    fn count(&self, py: Python<'_>, filter: Option<&str>) -> Result<u64> {
        self.call(py, |collection| collection.count(filter))
    }

    /// The k records nearest to a vector, best first: a list of Hit.
    ///
    /// vector: dim numbers: a sequence, or an array of float32 or float64. filter: only records
    /// whose metadata satisfies it, for example "pos = 'n' AND year < $year"; params: the values
    /// of $names, a dict. At most one of ef (candidates kept while searching a graph), recall
    /// (the least effort that reaches it, above 0 and at most 1) and exact (compare every record);
    /// without one the effort is chosen. score_threshold: only hits with at least this score.
    /// include: a list of "metadata" and "vector", default ["metadata"].
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
        filter: Option<String>,
        params: Option<&Bound<'_, PyAny>>,
        ef: Option<i64>,
        recall: Option<f32>,
        exact: bool,
        score_threshold: Option<f32>,
        include: Option<&Bound<'_, PyAny>>,
    ) -> Result<Vec<Hit>> {
        let search = Search {
            vector: query_vector(vector)?,
            k: number("k", k)?,
            filter,
            params: self::params(params)?,
            ef: ef.map(|ef| number("ef", ef)).transpose()?,
            recall,
            exact,
            score_threshold,
            include: include::read(include)?,
        };
        let found = self.call(py, |collection| search.on(collection).run())?;
        if !found.complete {
            let message = c"records may be missing because their bytes are damaged; see verify()";
            PyErr::warn(py, failure::incomplete_warning(py)?, message, 1)?;
        }
        Ok(found.iter().map(|hit| Hit::new(py, hit, &search.include)).collect::<PyResult<_>>()?)
    }

    /// Runs a query, with the arguments of `query`, and returns the plan that ran, with estimates
    /// and measurements, as text to read.
    #[pyo3(signature = (
        vector, k = 10, filter = None, params = None, ef = None, recall = None, exact = false,
        score_threshold = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn explain(
        &self,
        py: Python<'_>,
        vector: &Bound<'_, PyAny>,
        k: i64,
        filter: Option<String>,
        params: Option<&Bound<'_, PyAny>>,
        ef: Option<i64>,
        recall: Option<f32>,
        exact: bool,
        score_threshold: Option<f32>,
    ) -> Result<String> {
        let search = Search {
            vector: query_vector(vector)?,
            k: number("k", k)?,
            filter,
            params: self::params(params)?,
            ef: ef.map(|ef| number("ef", ef)).transpose()?,
            recall,
            exact,
            score_threshold,
            include: Include::NOTHING,
        };
        let (_, plan) = self.call(py, |collection| search.on(collection).explain())?;
        Ok(plan.to_string())
    }

    /// One page of records, ascending by id (integers, then UUIDs, then strings), and where the
    /// next one begins: (list of Record, next). Hand `next` to `after`; it is None on the last
    /// page.
    ///
    ///     records, after = docs.scroll()
    ///     while after is not None:
    ///         page, after = docs.scroll(after=after)
    ///         records += page
    #[pyo3(signature = (filter = None, limit = 100, after = None, params = None, include = None))]
    fn scroll<'py>(
        &self,
        py: Python<'py>,
        filter: Option<String>,
        limit: i64,
        after: Option<&Bound<'py, PyAny>>,
        params: Option<&Bound<'py, PyAny>>,
        include: Option<&Bound<'py, PyAny>>,
    ) -> Result<(Vec<Record>, Option<Bound<'py, PyAny>>)> {
        let limit = number("limit", limit)?;
        let after = after.map(id::read).transpose()?;
        let params = self::params(params)?;
        let include = include::read(include)?;
        let page = self.call(py, |collection| {
            let mut scroll = collection.scroll().limit(limit).include(include.clone());
            if let Some(filter) = &filter {
                scroll = scroll.filter(filter);
            }
            for (name, value) in params {
                scroll = scroll.bind(&name, value);
            }
            if let Some(after) = after {
                scroll = scroll.after(after);
            }
            scroll.run()
        })?;
        let records = page.records.iter().map(|record| Record::new(py, record, &include));
        let next = page.next.as_ref().map(|id| id::to_python(py, id)).transpose()?;
        Ok((records.collect::<PyResult<_>>()?, next))
    }

    /// Merges all segments into one without dead rows and returns disk space. Reads and writes go
    /// on meanwhile; Ctrl-C stops it and leaves everything as it was. Returns what
    /// `Database.optimize` does.
    fn optimize<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
        let mut looked = Instant::now();
        let mut raised = None;
        let report = self.call(py, |collection| {
            collection.optimize_with(&mut |_| {
                if looked.elapsed() >= BETWEEN_LOOKS {
                    looked = Instant::now();
                    raised = Python::attach(|py| py.check_signals()).err();
                }
                match raised {
                    Some(_) => ControlFlow::Break(()),
                    None => ControlFlow::Continue(()),
                }
            })
        });
        match raised {
            Some(error) => Err(error.into()),
            None => value::report(py, &report?),
        }
    }

    /// Turns everything that is in memory into segments. Never needed for durability.
    fn flush(&self, py: Python<'_>) -> Result<()> {
        self.call(py, vecstore::Collection::flush)
    }

    /// Numbers about the collection, all namespaces together, as a dict: name, dim, metric,
    /// records, namespaces, memtable_records, memtable_bytes, segments (a list of dicts: id, rows,
    /// deleted, bytes, sections, graphs, degraded), trouble.
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

fn read_metadata(metadata: Option<&Bound<'_, PyAny>>, id: &vecstore::RecordId) -> Result<Value> {
    let place = format_args!("record `{id}`: metadata");
    Ok(Value::Object(value::read_object(metadata, Place::Root(&place))?))
}

/// Metadata of each record of a batch.
fn read_metadata_list(
    metadata: Option<&Bound<'_, PyAny>>,
    ids: &[vecstore::RecordId],
) -> Result<Vec<Value>> {
    let Some(metadata) = metadata else {
        return Ok(vec![Value::Object(serde_json::Map::new()); ids.len()]);
    };
    if metadata.is_instance_of::<PyDict>() {
        return Err(Failure::wrong_type(
            "metadata is a dict, expected a list with one for each id",
        ));
    }
    let mut read = Vec::new();
    let mut given = metadata.try_iter()?;
    for id in ids {
        let Some(metadata) = given.next().transpose()? else { break };
        read.push(read_metadata(Some(&metadata).filter(|m| !m.is_none()), id)?);
    }
    let more = given.next().transpose()?.is_some();
    if more || read.len() != ids.len() {
        let number = if more { "more".to_owned() } else { read.len().to_string() };
        return Err(Failure::invalid(format!("there are {} ids and {number} metadata", ids.len())));
    }
    Ok(read)
}
