//! How a query ran: `Plan`, and `Comparison` for what it could have done instead.

use pyo3::prelude::*;
use serde_json::Value;
use vecstore::{ComparedSegment, ExecutedPlan};

use crate::hits::Hits;
use crate::value;

/// The plan that ran, with estimates and measurements; `str` is text to read.
#[pyclass(frozen, module = "vecstore")]
pub(crate) struct Plan {
    text: String,
    json: Value,
    /// What the query found.
    #[pyo3(get)]
    hits: Py<Hits>,
}

impl Plan {
    pub(crate) fn new(plan: &ExecutedPlan, hits: Py<Hits>) -> Self {
        Plan { text: plan.to_string(), json: plan.to_json(), hits }
    }
}

#[pymethods]
impl Plan {
    /// The same as a dict; times end in `_us`, for microseconds.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        value::to_python(py, &self.json)
    }

    fn __str__(&self) -> &str {
        &self.text
    }

    fn __repr__(&self) -> &str {
        &self.text
    }
}

/// What each strategy took on one segment; `str` is text to read.
#[pyclass(frozen, module = "vecstore")]
pub(crate) struct Comparison {
    text: String,
    json: Value,
    /// Time of the chosen strategy as a multiple of the fastest one's; 1 is the best choice.
    #[pyo3(get)]
    regret: f64,
}

impl Comparison {
    pub(crate) fn new(segment: &ComparedSegment) -> Self {
        let (text, json) = (segment.to_string(), segment.to_json());
        Comparison { text, json, regret: segment.regret() }
    }
}

#[pymethods]
impl Comparison {
    /// The same as a dict; times end in `_us`, for microseconds.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        value::to_python(py, &self.json)
    }

    fn __str__(&self) -> &str {
        &self.text
    }

    fn __repr__(&self) -> &str {
        &self.text
    }
}
