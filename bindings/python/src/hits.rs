//! What a query gives: `Hits`, and `BatchHits` for many vectors.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyDict, PyList};
use vecstore::RecordId;

use crate::failure::Result;
use crate::include::Included;
use crate::record::Hit;
use crate::table::{self, Row};
use crate::{id, numbers};

/// The records nearest to one vector, best first: a sequence of Hit.
///
/// Each Hit is made when it is first asked for; the conversions need none.
#[pyclass(frozen, sequence, module = "vecstore")]
pub(crate) struct Hits {
    found: Vec<vecstore::Hit>,
    complete: bool,
    include: Included,
    objects: PyOnceLock<Py<PyList>>,
}

impl Hits {
    pub(crate) fn new(mut result: vecstore::QueryResult, include: &Included) -> Self {
        for hit in &mut result.hits {
            include.project(&mut hit.metadata);
        }
        Hits {
            found: result.hits,
            complete: result.complete,
            include: include.clone(),
            objects: PyOnceLock::new(),
        }
    }

    fn objects<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyList>> {
        let list = self.objects.get_or_try_init(py, || {
            let hits = self.found.iter().map(|hit| Hit::new(py, hit, &self.include.read));
            let hits = hits.map(|hit| Bound::new(py, hit?));
            Ok::<_, PyErr>(PyList::new(py, hits.collect::<PyResult<Vec<_>>>()?)?.unbind())
        })?;
        Ok(list.bind(py))
    }

    fn rows(&self) -> Vec<Row<'_>> {
        self.found.iter().map(|hit| Row { query: None, hit }).collect()
    }
}

#[pymethods]
impl Hits {
    /// False if records may be missing because their bytes are damaged.
    #[getter]
    fn complete(&self) -> bool {
        self.complete
    }

    /// The ids, best first: a list.
    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        ids(py, &self.found)
    }

    /// The scores, float32 of shape (len,): an array of numpy, or a memoryview without numpy.
    #[getter]
    fn scores<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let scores: Vec<f32> = self.found.iter().map(|hit| hit.score).collect();
        numbers::array(py, &scores, &[scores.len()])
    }

    /// The distances, float32 of shape (len,): an array of numpy, or a memoryview without numpy.
    #[getter]
    fn distances<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let distances: Vec<f32> = self.found.iter().map(|hit| hit.distance).collect();
        numbers::array(py, &distances, &[distances.len()])
    }

    /// The hits as a dict of columns: id, score, distance, and metadata and vector as included.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        table::to_dict(py, &self.rows(), &self.include.read)
    }

    /// The hits as a dict of arrays of numpy: id (uint64 if all are integers, else object), score
    /// and distance (float32), and as included metadata (object) and vector (float32, (len, dim)).
    fn to_numpy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        table::to_numpy(py, &self.rows(), &self.include.read)
    }

    /// The hits as a pandas.DataFrame with the columns of `to_dict`.
    fn to_pandas<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        table::to_pandas(py, &self.rows(), &self.include.read)
    }

    /// The hits as a polars.DataFrame, through the Arrow interface.
    fn to_polars<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        table::to_polars(slf.as_any())
    }

    /// The Arrow PyCapsule interface: columns id (uint64, or utf8 if not all are integers), score
    /// and distance (float32), metadata (utf8, JSON) and vector (list of float32) as included.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyCapsule>> {
        // Best effort, as the interface says: a consumer casts what it would have otherwise.
        let _ = requested_schema;
        table::to_arrow(py, &self.rows(), &self.include.read)
    }

    /// The place of the first hit that equals a value; ValueError if there is none.
    fn index<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<usize> {
        self.objects(py)?.index(value)
    }

    /// How many hits equal a value.
    fn count<'py>(
        &self,
        py: Python<'py>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.objects(py)?.call_method1("count", (value,))
    }

    fn __len__(&self) -> usize {
        self.found.len()
    }

    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        at: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.objects(py)?.as_any().get_item(at)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.objects(py)?.try_iter()?.into_any())
    }

    fn __eq__(&self, py: Python<'_>, value: &Bound<'_, Self>) -> PyResult<bool> {
        self.objects(py)?.eq(value.get().objects(py)?)
    }

    fn __repr__<'py>(&self, py: Python<'py>) -> PyResult<String> {
        Ok(format!("Hits({})", self.objects(py)?.repr()?))
    }

    pub(crate) fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        table::to_html(py, &self.rows(), &self.include.read)
    }
}

/// What a batch of queries gives: a sequence of Hits, one for each vector.
#[pyclass(frozen, sequence, module = "vecstore")]
pub(crate) struct BatchHits {
    rows: Vec<Py<Hits>>,
    k: usize,
    include: Included,
}

impl BatchHits {
    pub(crate) fn new(
        py: Python<'_>,
        results: Vec<vecstore::QueryResult>,
        k: usize,
        include: Included,
    ) -> PyResult<Self> {
        let rows = results.into_iter().map(|result| Py::new(py, Hits::new(result, &include)));
        Ok(BatchHits { rows: rows.collect::<PyResult<_>>()?, k, include })
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let rows = self.rows.iter().enumerate();
        rows.flat_map(|(query, hits)| {
            hits.get().found.iter().map(move |hit| Row { query: Some(query as u64), hit })
        })
        .collect()
    }

    /// Numbers of shape (queries, k); NaN where a query has fewer hits.
    fn matrix<'py>(
        &self,
        py: Python<'py>,
        number: impl Fn(&vecstore::Hit) -> f32,
    ) -> PyResult<Bound<'py, PyAny>> {
        let width = self.width();
        let mut all = vec![f32::NAN; self.rows.len() * width];
        for (row, hits) in self.rows.iter().enumerate() {
            for (at, hit) in hits.get().found.iter().enumerate() {
                all[row * width + at] = number(hit);
            }
        }
        numbers::array(py, &all, &[self.rows.len(), width])
    }

    /// Columns of the matrices: k, also if there are fewer records.
    fn width(&self) -> usize {
        self.k
    }
}

#[pymethods]
impl BatchHits {
    /// False if records may be missing because their bytes are damaged.
    #[getter]
    fn complete(&self) -> bool {
        self.rows.iter().all(|hits| hits.get().complete)
    }

    /// The ids, shape (queries, k): an array of numpy, uint64 if all are integers and no row is
    /// short, else of objects, None where a query has fewer hits; without numpy a list of lists.
    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let width = self.width();
        let mut integers = Vec::with_capacity(self.rows.len() * width);
        for hits in &self.rows {
            integers.extend(hits.get().found.iter().filter_map(|hit| match hit.id {
                RecordId::U64(id) => Some(id),
                _ => None,
            }));
        }
        let shape = [self.rows.len(), width];
        if integers.len() == self.rows.len() * width
            && let Some(array) = numbers::integers(py, &integers, &shape)?
        {
            return Ok(array);
        }
        let mut all = Vec::with_capacity(self.rows.len());
        for hits in &self.rows {
            let row = ids(py, &hits.get().found)?;
            for _ in row.len()..width {
                row.append(py.None())?;
            }
            all.push(row);
        }
        numbers::objects(py, PyList::new(py, all)?, &shape)
    }

    /// The scores, float32 of shape (queries, k): an array of numpy, or a memoryview without
    /// numpy. NaN where a query has fewer hits.
    #[getter]
    fn scores<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.matrix(py, |hit| hit.score)
    }

    /// The distances, like `scores`.
    #[getter]
    fn distances<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.matrix(py, |hit| hit.distance)
    }

    /// All hits as a dict of columns: query (the row of the vector), and those of `Hits.to_dict`.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        table::to_dict(py, &self.rows(), &self.include.read)
    }

    /// All hits as a dict of arrays of numpy: query, and those of `Hits.to_numpy`.
    fn to_numpy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        table::to_numpy(py, &self.rows(), &self.include.read)
    }

    /// All hits as a pandas.DataFrame with the columns of `to_dict`.
    fn to_pandas<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        table::to_pandas(py, &self.rows(), &self.include.read)
    }

    /// All hits as a polars.DataFrame, through the Arrow interface.
    fn to_polars<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        table::to_polars(slf.as_any())
    }

    /// The Arrow PyCapsule interface: query (uint64), and the columns of Hits.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        table::to_arrow(py, &self.rows(), &self.include.read)
    }

    /// The place of the first Hits that equals a value; ValueError if there is none.
    fn index<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<usize> {
        PyList::new(py, &self.rows)?.index(value)
    }

    /// How many Hits equal a value.
    fn count<'py>(
        &self,
        py: Python<'py>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        PyList::new(py, &self.rows)?.call_method1("count", (value,))
    }

    fn __len__(&self) -> usize {
        self.rows.len()
    }

    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        at: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        PyList::new(py, &self.rows)?.as_any().get_item(at)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyList::new(py, &self.rows)?.try_iter()?.into_any())
    }

    fn __eq__(&self, py: Python<'_>, value: &Bound<'_, Self>) -> PyResult<bool> {
        PyList::new(py, &self.rows)?.eq(PyList::new(py, &value.get().rows)?)
    }

    fn __repr__(&self) -> String {
        format!("BatchHits({} queries, k={})", self.rows.len(), self.k)
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        table::to_html(py, &self.rows(), &self.include.read)
    }
}

fn ids<'py>(py: Python<'py>, hits: &[vecstore::Hit]) -> PyResult<Bound<'py, PyList>> {
    let ids = hits.iter().map(|hit| id::to_python(py, &hit.id));
    PyList::new(py, ids.collect::<PyResult<Vec<_>>>()?)
}
