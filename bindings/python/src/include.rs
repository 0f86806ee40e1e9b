//! `include`: what is returned of each record besides its id.

use pyo3::prelude::*;
use pyo3::types::PyString;
use vecstore::Include;

use crate::failure::{Failure, Result};

/// Reads a list of `"metadata"` and `"vector"`; without one it is `["metadata"]`.
pub(crate) fn read(include: Option<&Bound<'_, PyAny>>) -> Result<Include> {
    let Some(list) = include else {
        return Ok(Include::default());
    };
    let wrong = |what: &Bound<'_, PyAny>| {
        Failure::invalid(format!(
            "include: {} is not a list of \"metadata\" and \"vector\"",
            what.repr().map_or_else(|_| "it".to_owned(), |text| text.to_string())
        ))
    };
    if list.is_instance_of::<PyString>() {
        return Err(wrong(list));
    }
    let mut include = Include::NOTHING;
    for item in list.try_iter()? {
        match item?.cast::<PyString>().map_err(|_| wrong(list))?.to_str()? {
            "metadata" => include.metadata = true,
            "vector" => include.vector = true,
            _ => return Err(wrong(list)),
        }
    }
    Ok(include)
}
