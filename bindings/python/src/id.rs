//! Record ids: `int`, `str` and `uuid.UUID`.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyString};
use uuid::Uuid;
use vecstore::RecordId;

use crate::failure::{Failure, Result};
use crate::value;

/// One id, or several.
pub(crate) enum Ids {
    One(RecordId),
    Many(Vec<RecordId>),
}

impl Ids {
    /// What can be iterated and is not a `str` is several.
    pub(crate) fn read(ids: &Bound<'_, PyAny>) -> Result<Self> {
        if ids.is_instance_of::<PyString>() || !ids.hasattr("__iter__")? {
            return Ok(Ids::One(read(ids)?));
        }
        Ok(Ids::Many(read_all(ids)?))
    }
}

/// Ids from anything that can be iterated, except a `str`, whose characters are no ids.
pub(crate) fn read_all(ids: &Bound<'_, PyAny>) -> Result<Vec<RecordId>> {
    value::members(ids, "ids", "a list of ids")?.map(|id| read(&id?)).collect()
}

/// Integers other than `int` count too if they can say which one they are, as those of numpy can.
pub(crate) fn read(id: &Bound<'_, PyAny>) -> Result<RecordId> {
    if let Ok(text) = id.cast::<PyString>() {
        let text = text.to_str().map_err(|e| Failure::invalid(format!("id: {e}")).about("id"))?;
        return Ok(RecordId::from(text));
    }
    let integer =
        id.is_instance_of::<PyInt>() || (id.hasattr("__index__")? && !id.hasattr("__len__")?);
    if integer && !id.is_instance_of::<PyBool>() {
        return id.extract::<u64>().map(RecordId::from).map_err(|_| {
            Failure::invalid(format!("id {id} is not within 0 to {}, use a str", u64::MAX))
                .about("id")
        });
    }
    match id.extract::<Uuid>() {
        Ok(uuid) => Ok(RecordId::from(uuid)),
        Err(_) => Err(Failure::wrong_type(format!(
            "id is {}, expected int, str or uuid.UUID",
            id.get_type().qualname()?
        ))),
    }
}

/// The id with the type it went in with.
pub(crate) fn to_python<'py>(py: Python<'py>, id: &RecordId) -> PyResult<Bound<'py, PyAny>> {
    match id {
        RecordId::U64(n) => Ok(n.into_pyobject(py)?.into_any()),
        RecordId::Uuid(uuid) => uuid.into_pyobject(py),
        RecordId::Str(text) => Ok(PyString::new(py, text).into_any()),
    }
}
