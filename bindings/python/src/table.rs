//! Hits as a table: a dict of columns, arrays of numpy, a frame of pandas, Arrow, HTML.

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{
    ArrayRef, Float32Array, RecordBatch, RecordBatchIterator, StringArray, UInt64Array,
};
use arrow_schema::ArrowError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyList};
use vecstore::{Include, RecordId};

use crate::failure::{Failure, Result};
use crate::{id, numbers, value, vector};

/// A hit, and the row of the vector it was found for if there are several.
pub(crate) struct Row<'a> {
    pub(crate) query: Option<u64>,
    pub(crate) hit: &'a vecstore::Hit,
}

/// Whether the rows are those of several queries; without a row it does not matter.
fn numbered(rows: &[Row<'_>]) -> bool {
    rows.first().is_some_and(|row| row.query.is_some())
}

fn list<'py, T: IntoPyObject<'py>>(
    py: Python<'py>,
    rows: &[Row<'_>],
    column: impl Fn(&Row<'_>) -> PyResult<T>,
) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, rows.iter().map(column).collect::<PyResult<Vec<T>>>()?)
}

pub(crate) fn to_dict<'py>(
    py: Python<'py>,
    rows: &[Row<'_>],
    include: &Include,
) -> PyResult<Bound<'py, PyDict>> {
    let columns = PyDict::new(py);
    if numbered(rows) {
        columns.set_item("query", list(py, rows, |row| Ok(row.query))?)?;
    }
    columns.set_item("id", list(py, rows, |row| id::to_python(py, &row.hit.id))?)?;
    columns.set_item("score", list(py, rows, |row| Ok(row.hit.score))?)?;
    columns.set_item("distance", list(py, rows, |row| Ok(row.hit.distance))?)?;
    if include.metadata {
        let metadata = list(py, rows, |row| value::object_to_python(py, &row.hit.metadata))?;
        columns.set_item("metadata", metadata)?;
    }
    if include.vector {
        let vectors = list(py, rows, |row| vector::to_python(py, &row.hit.vector))?;
        columns.set_item("vector", vectors)?;
    }
    Ok(columns)
}

pub(crate) fn to_numpy<'py>(
    py: Python<'py>,
    rows: &[Row<'_>],
    include: &Include,
) -> PyResult<Bound<'py, PyDict>> {
    // It is what was asked for: without it this raises.
    py.import("numpy")?;
    let shape = [rows.len()];
    let columns = PyDict::new(py);
    if numbered(rows) {
        let queries: Vec<u64> = rows.iter().filter_map(|row| row.query).collect();
        columns.set_item("query", numbers::integers(py, &queries, &shape)?)?;
    }
    let ids = match integers(rows) {
        Some(ids) => numbers::integers(py, &ids, &shape)?,
        None => {
            let ids = list(py, rows, |row| id::to_python(py, &row.hit.id))?;
            Some(numbers::objects(py, ids, &shape)?)
        }
    };
    columns.set_item("id", ids)?;
    let floats = |number: fn(&vecstore::Hit) -> f32| -> Vec<f32> {
        rows.iter().map(|row| number(row.hit)).collect()
    };
    columns.set_item("score", numbers::array(py, &floats(|hit| hit.score), &shape)?)?;
    columns.set_item("distance", numbers::array(py, &floats(|hit| hit.distance), &shape)?)?;
    if include.metadata {
        let metadata = list(py, rows, |row| value::object_to_python(py, &row.hit.metadata))?;
        columns.set_item("metadata", numbers::objects(py, metadata, &shape)?)?;
    }
    if include.vector {
        let dim = rows.first().map_or(0, |row| row.hit.vector.len());
        let all: Vec<f32> = rows.iter().flat_map(|row| row.hit.vector.iter().copied()).collect();
        columns.set_item("vector", numbers::array(py, &all, &[rows.len(), dim])?)?;
    }
    Ok(columns)
}

/// The ids, if all are integers.
fn integers(rows: &[Row<'_>]) -> Option<Vec<u64>> {
    let integer = |row: &Row<'_>| match row.hit.id {
        RecordId::U64(id) => Some(id),
        _ => None,
    };
    rows.iter().map(integer).collect()
}

pub(crate) fn to_pandas<'py>(
    py: Python<'py>,
    rows: &[Row<'_>],
    include: &Include,
) -> PyResult<Bound<'py, PyAny>> {
    py.import("pandas")?.getattr("DataFrame")?.call1((to_dict(py, rows, include)?,))
}

/// Something with an Arrow stream and nothing else: polars takes a sequence for rows first.
#[pyclass(frozen)]
struct OnlyArrow(Py<PyAny>);

#[pymethods]
impl OnlyArrow {
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__(
        &self,
        py: Python<'_>,
        requested_schema: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        self.0.call_method1(py, "__arrow_c_stream__", (requested_schema,))
    }
}

pub(crate) fn to_polars<'py>(hits: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let stream = OnlyArrow(hits.clone().unbind());
    hits.py().import("polars")?.getattr("DataFrame")?.call1((stream,))
}

/// A stream of one batch, for whoever takes Arrow.
pub(crate) fn to_arrow<'py>(
    py: Python<'py>,
    rows: &[Row<'_>],
    include: &Include,
) -> Result<Bound<'py, PyCapsule>> {
    let batch = record_batch(rows, include).map_err(|e| Failure::invalid(e.to_string()))?;
    let schema = batch.schema();
    let batches = RecordBatchIterator::new([Ok::<_, ArrowError>(batch)], schema);
    let stream = FFI_ArrowArrayStream::new(Box::new(batches));
    Ok(PyCapsule::new_with_value(py, stream, c"arrow_array_stream")?)
}

fn record_batch(
    rows: &[Row<'_>],
    include: &Include,
) -> std::result::Result<RecordBatch, ArrowError> {
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    if numbered(rows) {
        let queries = UInt64Array::from_iter_values(rows.iter().filter_map(|row| row.query));
        columns.push(("query", Arc::new(queries)));
    }
    columns.push(match integers(rows) {
        Some(ids) => ("id", Arc::new(UInt64Array::from(ids))),
        None => {
            let ids = rows.iter().map(|row| row.hit.id.to_string());
            ("id", Arc::new(StringArray::from_iter_values(ids)))
        }
    });
    let floats = |number: fn(&vecstore::Hit) -> f32| {
        Arc::new(Float32Array::from_iter_values(rows.iter().map(|row| number(row.hit))))
    };
    columns.push(("score", floats(|hit| hit.score)));
    columns.push(("distance", floats(|hit| hit.distance)));
    if include.metadata {
        let json = rows.iter().map(|row| {
            serde_json::to_string(&row.hit.metadata)
                .map_err(|e| ArrowError::ExternalError(Box::new(e)))
        });
        let json = json.collect::<std::result::Result<Vec<String>, _>>()?;
        columns.push(("metadata", Arc::new(StringArray::from_iter_values(json))));
    }
    if include.vector {
        let mut vectors = ListBuilder::new(Float32Builder::new());
        for row in rows {
            vectors.values().append_slice(&row.hit.vector);
            vectors.append(true);
        }
        columns.push(("vector", Arc::new(vectors.finish())));
    }
    RecordBatch::try_from_iter(columns)
}

/// What a notebook shows: the first rows.
pub(crate) fn to_html(py: Python<'_>, rows: &[Row<'_>], include: &Include) -> PyResult<String> {
    const ROWS_SHOWN: usize = 50;
    let mut html = String::from("<table><thead><tr>");
    let mut heads = vec!["id", "score", "distance"];
    if numbered(rows) {
        heads.insert(0, "query");
    }
    if include.metadata {
        heads.push("metadata");
    }
    for head in heads {
        html += &format!("<th>{head}</th>");
    }
    html += "</tr></thead><tbody>";
    for row in rows.iter().take(ROWS_SHOWN) {
        html += "<tr>";
        if let Some(query) = row.query {
            html += &format!("<td>{query}</td>");
        }
        let id = id::to_python(py, &row.hit.id)?.repr()?.to_string();
        html += &format!("<td>{}</td>", escape(&id));
        html += &format!("<td>{:.4}</td><td>{:.4}</td>", row.hit.score, row.hit.distance);
        if include.metadata {
            let metadata = value::object_to_python(py, &row.hit.metadata)?.repr()?.to_string();
            html += &format!("<td>{}</td>", escape(&metadata));
        }
        html += "</tr>";
    }
    html += "</tbody></table>";
    if rows.len() > ROWS_SHOWN {
        html += &format!("<p>{ROWS_SHOWN} of {} hits</p>", rows.len());
    }
    Ok(html)
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
