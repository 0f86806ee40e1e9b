//! Vectors: buffers of `float32` or `float64` such as numpy arrays, or any sequence of numbers.

use std::fmt;

use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyString, PyTuple, PyType};

use crate::failure::{Failure, Result};

/// One vector; `what` begins the error message.
pub(crate) fn read(vector: &Bound<'_, PyAny>, what: &dyn fmt::Display) -> Result<Vec<f32>> {
    match buffer(vector) {
        None => read_sequence(vector, what),
        Some(buffer) => match buffer.shape() {
            [_] => read_buffer(vector.py(), &buffer, what),
            shape => Err(Failure::invalid(format!(
                "{what}: the array has {} dimensions, expected one",
                shape.len()
            ))),
        },
    }
}

/// `count` vectors: an array of two dimensions, or a sequence of vectors.
pub(crate) fn read_all(vectors: &Bound<'_, PyAny>, count: usize) -> Result<Vec<Vec<f32>>> {
    let matches_ids = |number: usize| match number == count {
        true => Ok(()),
        false => Err(Failure::invalid(format!("there are {count} ids and {number} vectors"))),
    };
    if let Some(buffer) = buffer(vectors) {
        let &[rows, dim] = buffer.shape() else {
            return Err(Failure::invalid(format!(
                "vectors: the array has {} dimensions, expected two: (records, components)",
                buffer.dimensions()
            )));
        };
        matches_ids(rows)?;
        let numbers = read_buffer(vectors.py(), &buffer, &"vectors")?;
        return Ok((0..rows).map(|row| numbers[row * dim..(row + 1) * dim].to_vec()).collect());
    }
    check_sequence(vectors, &"vectors")?;
    matches_ids(vectors.len()?)?;
    let mut read_so_far = Vec::new();
    for (at, vector) in vectors.try_iter()?.enumerate() {
        read_so_far.push(read(&vector?, &format_args!("vectors[{at}]"))?);
    }
    // A sequence may have another length than it says.
    matches_ids(read_so_far.len())?;
    Ok(read_so_far)
}

/// The memory of an array; `None` for what has none, and for lists and tuples at once.
fn buffer(object: &Bound<'_, PyAny>) -> Option<PyUntypedBuffer> {
    if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
        return None;
    }
    PyUntypedBuffer::get(object).ok()
}

fn read_buffer(
    py: Python<'_>,
    buffer: &PyUntypedBuffer,
    what: &dyn fmt::Display,
) -> Result<Vec<f32>> {
    // Only the machine's own byte order, whatever the library below makes of the others.
    match buffer.format().to_bytes() {
        b"f" | b"@f" | b"=f" => Ok(buffer.as_typed::<f32>()?.to_vec(py)?),
        b"d" | b"@d" | b"=d" => {
            let doubles = buffer.as_typed::<f64>()?.to_vec(py)?;
            // One that is too large becomes infinite, which the engine refuses.
            Ok(doubles.into_iter().map(|x| x as f32).collect())
        }
        format => Err(Failure::invalid(format!(
            "{what}: the array holds elements of format `{}`, expected float32 or float64; \
             convert it, for example with `.astype(\"float32\")`",
            format.escape_ascii()
        ))),
    }
}

fn check_sequence(object: &Bound<'_, PyAny>, what: &dyn fmt::Display) -> Result<()> {
    let no_vector = object.is_instance_of::<PyString>()
        || object.is_instance_of::<PyBytes>()
        || object.is_instance_of::<PyByteArray>()
        || object.is_instance_of::<PyDict>();
    // Both, so that a set is refused: it has no order.
    if no_vector || !object.hasattr("__getitem__")? || !object.hasattr("__len__")? {
        return Err(Failure::wrong_type(format!(
            "{what}: {} is neither a sequence nor an array of numbers",
            object.get_type().qualname()?
        )));
    }
    Ok(())
}

fn read_sequence(vector: &Bound<'_, PyAny>, what: &dyn fmt::Display) -> Result<Vec<f32>> {
    check_sequence(vector, what)?;
    let mut numbers = Vec::new();
    for (at, number) in vector.try_iter()?.enumerate() {
        let number = number?.extract::<f64>();
        let number =
            number.map_err(|e| Failure::wrong_type(format!("{what}: component {at}: {e}")))?;
        numbers.push(number as f32);
    }
    Ok(numbers)
}

/// An `array.array("f")`: four bytes a component, and numpy reads it without a copy.
pub(crate) fn to_python<'py>(py: Python<'py>, vector: &[f32]) -> PyResult<Bound<'py, PyAny>> {
    static ARRAY: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_ne_bytes()).collect();
    ARRAY.import(py, "array", "array")?.call1(("f", PyBytes::new(py, &bytes)))
}
