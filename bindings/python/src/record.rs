//! What comes out: `Record` and `Hit`.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use vecstore::{Include, StoredRecord};

use crate::{id, value, vector};

/// A record that was read: `id`, `seq`, and `metadata` and `vector` as included.
#[pyclass(frozen, get_all, module = "vecstore")]
pub(crate) struct Record {
    /// As it was given: int, str or uuid.UUID.
    id: Py<PyAny>,
    /// The number of the commit that wrote it.
    seq: u64,
    /// A dict; None if it was not included.
    metadata: Option<Py<PyAny>>,
    /// array.array("f") of dim components, as they were given; None if it was not included.
    vector: Option<Py<PyAny>>,
}

/// A record found by a query: `id`, `score`, `distance`, and `metadata` and `vector` as included.
#[pyclass(frozen, get_all, module = "vecstore")]
pub(crate) struct Hit {
    /// As it was given: int, str or uuid.UUID.
    id: Py<PyAny>,
    /// Higher is better: cosine similarity, inner product, or minus the Euclidean distance.
    score: f32,
    /// Smaller is nearer: 1 - cosine similarity, minus the inner product, or the Euclidean
    /// distance.
    distance: f32,
    /// A dict; None if it was not included.
    metadata: Option<Py<PyAny>>,
    /// array.array("f") of dim components, as they were given; None if it was not included.
    vector: Option<Py<PyAny>>,
}

/// Metadata and vector as Python objects, as far as they were asked for.
type Included = (Option<Py<PyAny>>, Option<Py<PyAny>>);

fn included(
    py: Python<'_>,
    metadata: &vecstore::Metadata,
    components: &[f32],
    include: &Include,
) -> PyResult<Included> {
    let metadata = match include.metadata {
        true => Some(value::object_to_python(py, metadata)?.into_any().unbind()),
        false => None,
    };
    let vector = match include.vector {
        true => Some(vector::to_python(py, components)?.unbind()),
        false => None,
    };
    Ok((metadata, vector))
}

/// Whether both are there and equal, or neither is there.
fn equal(py: Python<'_>, a: &Option<Py<PyAny>>, b: &Option<Py<PyAny>>) -> PyResult<bool> {
    match (a, b) {
        (Some(a), Some(b)) => a.bind(py).eq(b),
        (a, b) => Ok(a.is_none() && b.is_none()),
    }
}

/// `, metadata={…}, vector=<384 floats>`, as far as they are there.
fn describe(
    py: Python<'_>,
    metadata: &Option<Py<PyAny>>,
    vector: &Option<Py<PyAny>>,
) -> PyResult<String> {
    let mut text = String::new();
    if let Some(metadata) = metadata {
        text += &format!(", metadata={}", metadata.bind(py).repr()?);
    }
    if let Some(vector) = vector {
        text += &format!(", vector=<{} floats>", vector.bind(py).len()?);
    }
    Ok(text)
}

impl Record {
    pub(crate) fn new(py: Python<'_>, record: &StoredRecord, include: &Include) -> PyResult<Self> {
        let (metadata, vector) = included(py, &record.metadata, &record.vector, include)?;
        let id = id::to_python(py, &record.id)?.unbind();
        Ok(Record { id, seq: record.seq, metadata, vector })
    }
}

#[pymethods]
impl Record {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let rest = describe(py, &self.metadata, &self.vector)?;
        Ok(format!("Record(id={}{rest})", self.id.bind(py).repr()?))
    }

    fn __eq__(&self, py: Python<'_>, value: &Bound<'_, Self>) -> PyResult<bool> {
        let Record { id, seq, metadata, vector } = value.get();
        Ok(self.seq == *seq
            && self.id.bind(py).eq(id)?
            && equal(py, &self.metadata, metadata)?
            && equal(py, &self.vector, vector)?)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.metadata)
    }
}

impl Hit {
    pub(crate) fn new(py: Python<'_>, hit: &vecstore::Hit, include: &Include) -> PyResult<Self> {
        let (metadata, vector) = included(py, &hit.metadata, &hit.vector, include)?;
        Ok(Hit {
            id: id::to_python(py, &hit.id)?.unbind(),
            score: hit.score,
            distance: hit.distance,
            metadata,
            vector,
        })
    }
}

#[pymethods]
impl Hit {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Hit { score, distance, .. } = self;
        let rest = describe(py, &self.metadata, &self.vector)?;
        let id = self.id.bind(py).repr()?;
        Ok(format!("Hit(id={id}, score={score:?}, distance={distance:?}{rest})"))
    }

    fn __eq__(&self, py: Python<'_>, value: &Bound<'_, Self>) -> PyResult<bool> {
        let Hit { id, score, distance, metadata, vector } = value.get();
        Ok(self.score == *score
            && self.distance == *distance
            && self.id.bind(py).eq(id)?
            && equal(py, &self.metadata, metadata)?
            && equal(py, &self.vector, vector)?)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.metadata)
    }
}
