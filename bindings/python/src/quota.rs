//! Quotas of collections and namespaces.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use vecstore::Quota;

use crate::failure::Result;
use crate::search::number;

pub(crate) fn read(
    records: Option<i64>,
    bytes: Option<i64>,
    batch_records: Option<i64>,
    results: Option<i64>,
) -> Result<Quota> {
    let bound = |name, most: Option<i64>| most.map(|most| number(name, most)).transpose();
    Ok(Quota {
        records: bound("records", records)?.map(|most| most as u64),
        bytes: bound("bytes", bytes)?.map(|most| most as u64),
        batch_records: bound("batch_records", batch_records)?,
        results: bound("results", results)?,
    })
}

pub(crate) fn to_python<'py>(py: Python<'py>, quota: &Quota) -> PyResult<Bound<'py, PyDict>> {
    let Quota { records, bytes, batch_records, results } = quota;
    let dict = PyDict::new(py);
    dict.set_item("records", records)?;
    dict.set_item("bytes", bytes)?;
    dict.set_item("batch_records", batch_records)?;
    dict.set_item("results", results)?;
    Ok(dict)
}
