//! What a grouped query gives: `Groups`, a sequence of `Group`.

use pyo3::prelude::*;
use pyo3::types::PyList;
use vecstore::{GroupedResult, QueryResult};

use crate::hits::Hits;
use crate::include::Included;
use crate::{table, value};

/// The records of one value of a field, as far as they were asked for.
#[pyclass(frozen, get_all, module = "vecstore")]
pub(crate) struct Group {
    /// The value: a bool, int, float, str or None.
    value: Py<PyAny>,
    /// Its nearest records, best first: Hits.
    hits: Py<Hits>,
}

#[pymethods]
impl Group {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (value, hits) = (self.value.bind(py).repr()?, self.hits.bind(py).repr()?);
        Ok(format!("Group(value={value}, hits={hits})"))
    }

    fn __eq__(&self, py: Python<'_>, value: &Bound<'_, Self>) -> PyResult<bool> {
        let other = value.get();
        Ok(self.value.bind(py).eq(&other.value)? && self.hits.bind(py).eq(&other.hits)?)
    }
}

/// The groups with the nearest records, the one with the best hit first: a sequence of Group.
#[pyclass(frozen, sequence, module = "vecstore")]
pub(crate) struct Groups {
    groups: Py<PyList>,
    /// False if records may be missing because their bytes are damaged.
    #[pyo3(get)]
    complete: bool,
    /// What was done to find them, in order: a list of str.
    #[pyo3(get)]
    steps: Vec<String>,
}

impl Groups {
    pub(crate) fn new(py: Python<'_>, found: GroupedResult, include: &Included) -> PyResult<Self> {
        let GroupedResult { groups, complete, steps } = found;
        let groups = groups.into_iter().map(|group| {
            let hits = Hits::new(QueryResult { hits: group.hits, complete }, include);
            let value = value::to_python(py, &group.value)?.unbind();
            Bound::new(py, Group { value, hits: Py::new(py, hits)? })
        });
        let groups = PyList::new(py, groups.collect::<PyResult<Vec<_>>>()?)?.unbind();
        Ok(Groups { groups, complete, steps })
    }
}

#[pymethods]
impl Groups {
    /// The place of the first Group that equals a value; ValueError if there is none.
    fn index(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<usize> {
        self.groups.bind(py).index(value)
    }

    /// How many groups equal a value.
    fn count<'py>(
        &self,
        py: Python<'py>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.groups.bind(py).call_method1("count", (value,))
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.groups.bind(py).len()
    }

    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        at: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.groups.bind(py).as_any().get_item(at)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.groups.bind(py).try_iter()?.into_any())
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let mut html = String::new();
        for group in self.groups.bind(py) {
            let Group { value, hits } = group.cast::<Group>()?.get();
            html += &format!("<p>{}</p>", table::escape(&value.bind(py).repr()?.to_string()));
            html += &hits.get()._repr_html_(py)?;
        }
        Ok(html)
    }

    fn __eq__(&self, py: Python<'_>, value: &Bound<'_, Self>) -> PyResult<bool> {
        self.groups.bind(py).eq(&value.get().groups)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Groups({})", self.groups.bind(py).repr()?))
    }
}
