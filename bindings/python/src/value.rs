//! Metadata, parameters and reports: JSON values as Python objects, with their exact types.

use std::fmt;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyIterator, PyList, PyString, PyTuple};
use serde::Serialize;
use serde_json::{Map, Number, Value};
use vecstore::limits;

use crate::failure::{Failure, Result};

/// Where in the arguments a value stands, for messages: `metadata.tags[3]`.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    Root(&'a dyn fmt::Display),
    Field(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Root(root) => root.fmt(f),
            Place::Field(parent, name) => write!(f, "{parent}.{name}"),
            Place::Item(parent, at) => write!(f, "{parent}[{at}]"),
        }
    }
}

impl Place<'_> {
    fn depth(&self) -> usize {
        match self {
            Place::Root(_) => 0,
            Place::Field(parent, _) | Place::Item(parent, _) => parent.depth() + 1,
        }
    }
}

/// A `dict`, or nothing for `None`.
pub(crate) fn read_object(
    object: Option<&Bound<'_, PyAny>>,
    place: Place<'_>,
) -> Result<Map<String, Value>> {
    match object {
        None => Ok(Map::new()),
        Some(object) => match object.cast::<PyDict>() {
            Ok(dict) => read_dict(dict, place),
            Err(_) => Err(Failure::wrong_type(format!(
                "{place}: {} is not a dict",
                object.get_type().qualname()?
            ))),
        },
    }
}

fn read_dict(dict: &Bound<'_, PyDict>, place: Place<'_>) -> Result<Map<String, Value>> {
    let mut fields = Map::new();
    // A copy of the items: whatever a value does while it is read, it cannot change that.
    for item in dict.items() {
        let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
        let Ok(key) = key.cast::<PyString>() else {
            return Err(Failure::wrong_type(format!(
                "{place}: key {} is {}, expected str",
                key.repr()?,
                key.get_type().qualname()?
            )));
        };
        let key = key.to_str().map_err(|e| Failure::invalid(format!("{place}: key: {e}")))?;
        let value = read(&value, Place::Field(&place, key))?;
        fields.insert(key.to_owned(), value);
    }
    Ok(fields)
}

/// Any value that metadata can hold.
pub(crate) fn read(value: &Bound<'_, PyAny>, place: Place<'_>) -> Result<Value> {
    // The engine says the same, but a list that contains itself would never get there.
    if place.depth() > limits::METADATA_DEPTH_MAX {
        return Err(Failure::invalid(format!(
            "{place}: nested deeper than {} levels",
            limits::METADATA_DEPTH_MAX
        )));
    }
    if let Some(scalar) = read_scalar(value, place)? {
        return Ok(scalar);
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        return Ok(Value::Object(read_dict(dict, place)?));
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let items = value.try_iter()?.enumerate();
        let items = items.map(|(at, item)| read(&item?, Place::Item(&place, at)));
        return Ok(Value::Array(items.collect::<Result<_>>()?));
    }
    if let Some(scalar) = numpy_scalar(value)?
        && let Some(scalar) = read_scalar(&scalar, place)?
    {
        return Ok(scalar);
    }
    let how = match value.hasattr("isoformat")? {
        true => ", for example with `.isoformat()`",
        false => "",
    };
    Err(Failure::wrong_type(format!(
        "{place}: {} is not one of bool, int, float, str, None, list and dict; convert it first{how}",
        value.get_type().qualname()?
    )))
}

/// Its members; `expected` says what an argument without any should have been.
pub(crate) fn members<'py>(
    argument: &Bound<'py, PyAny>,
    name: &str,
    expected: &str,
) -> Result<Bound<'py, PyIterator>> {
    let py = argument.py();
    match argument.try_iter() {
        Ok(_) if argument.is_instance_of::<PyString>() => {}
        Err(error) if error.is_instance_of::<PyTypeError>(py) => {}
        members => return Ok(members?),
    }
    let found = argument.get_type().qualname()?;
    Err(Failure::wrong_type(format!("{name} is {found}, expected {expected}")))
}

/// `None` if the value is not a scalar.
fn read_scalar(value: &Bound<'_, PyAny>, place: Place<'_>) -> Result<Option<Value>> {
    if value.is_none() {
        return Ok(Some(Value::Null));
    }
    // Before `int`: a bool is one.
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Some(Value::Bool(flag.is_true())));
    }
    if value.is_instance_of::<PyInt>() {
        let number = value.extract::<i64>().map_err(|_| {
            Failure::invalid(format!(
                "{place}: the integer is not within {} to {}; store it as a str",
                i64::MIN,
                i64::MAX
            ))
        })?;
        return Ok(Some(Value::from(number)));
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        let number = number.value();
        return match Number::from_f64(number) {
            Some(number) => Ok(Some(Value::Number(number))),
            None => Err(Failure::invalid(format!(
                "{place}: {number} is not a finite number; store None instead"
            ))),
        };
    }
    if let Ok(text) = value.cast::<PyString>() {
        let text = text.to_str().map_err(|e| Failure::invalid(format!("{place}: {e}")))?;
        return Ok(Some(Value::from(text)));
    }
    Ok(None)
}

/// The Python scalar in a scalar of numpy, as they come out of arrays and tables.
fn numpy_scalar<'py>(value: &Bound<'py, PyAny>) -> Result<Option<Bound<'py, PyAny>>> {
    let shape = value.getattr_opt("shape")?;
    let scalar =
        shape.is_some_and(|shape| shape.cast_into::<PyTuple>().is_ok_and(|shape| shape.is_empty()));
    match scalar && value.hasattr("item")? {
        true => Ok(Some(value.call_method0("item")?)),
        false => Ok(None),
    }
}

/// The value as a Python object.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(n), _) => n.into_pyobject(py)?.into_any(),
            (None, Some(n)) => n.into_pyobject(py)?.into_any(),
            (None, None) => number.as_f64().into_pyobject(py)?.into_any(),
        },
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(to_python(py, item)?)?;
            }
            list.into_any()
        }
        Value::Object(fields) => object_to_python(py, fields)?.into_any(),
    })
}

/// The object as a `dict`.
pub(crate) fn object_to_python<'py>(
    py: Python<'py>,
    fields: &Map<String, Value>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in fields {
        dict.set_item(name, to_python(py, value)?)?;
    }
    Ok(dict)
}

/// One of the engine's reports as a `dict`; the names are those of its fields.
pub(crate) fn report<'py>(py: Python<'py>, report: &impl Serialize) -> Result<Bound<'py, PyAny>> {
    let value = serde_json::to_value(report).map_err(|e| Failure::invalid(e.to_string()))?;
    Ok(to_python(py, &value)?)
}
