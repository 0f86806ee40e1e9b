//! Arrays that go out: of numpy where it can be imported, of the standard library where not.

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyList};

/// numpy, unless it is not installed. One that is broken raises what it raises.
fn numpy(py: Python<'_>) -> PyResult<Option<Bound<'_, PyModule>>> {
    match py.import("numpy") {
        Ok(numpy) => Ok(Some(numpy)),
        Err(error) if error.is_instance_of::<PyImportError>(py) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Numbers in order of their indices, `float32`.
pub(crate) fn array<'py>(
    py: Python<'py>,
    numbers: &[f32],
    shape: &[usize],
) -> PyResult<Bound<'py, PyAny>> {
    let memory = PyByteArray::new(py, bytemuck::cast_slice(numbers));
    if let Some(numpy) = numpy(py)? {
        return numpy.getattr("ndarray")?.call1((shape.to_vec(), "float32", memory));
    }
    let view = py.import("builtins")?.getattr("memoryview")?.call1((memory,))?;
    match numbers.is_empty() {
        // A memoryview has no shape with a zero in it, except that of nothing.
        true => view.call_method1("cast", ("f",)),
        false => view.call_method1("cast", ("f", shape.to_vec())),
    }
}

/// Integers in order of their indices, `uint64`; `None` without numpy.
pub(crate) fn integers<'py>(
    py: Python<'py>,
    numbers: &[u64],
    shape: &[usize],
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(numpy) = numpy(py)? else { return Ok(None) };
    let memory = PyByteArray::new(py, bytemuck::cast_slice(numbers));
    Ok(Some(numpy.getattr("ndarray")?.call1((shape.to_vec(), "uint64", memory))?))
}

/// Lists as an array of objects; the lists without numpy.
pub(crate) fn objects<'py>(
    py: Python<'py>,
    lists: Bound<'py, PyList>,
    shape: &[usize],
) -> PyResult<Bound<'py, PyAny>> {
    let Some(numpy) = numpy(py)? else { return Ok(lists.into_any()) };
    // Made empty and then filled, so that no object is taken for a list of more.
    let array = numpy.getattr("empty")?.call1((shape.to_vec(), "object"))?;
    if shape.iter().all(|&n| n > 0) {
        for (at, member) in lists.iter().enumerate() {
            array.set_item(at, member)?;
        }
    }
    Ok(array)
}
