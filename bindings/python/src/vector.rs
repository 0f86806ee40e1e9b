//! Vectors: buffers of `float16`, `float32` or `float64` such as numpy arrays, or sequences of
//! numbers.
//!
//! Components are stored as `float32`: a `float16` exactly, a `float64` or another number rounded
//! to the nearest.

use std::ffi::CStr;
use std::fmt;

use half::f16;
use pyo3::buffer::{Element, PyBuffer, PyUntypedBuffer};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyString, PyTuple, PyType};

use crate::failure::{Failure, Result};

/// One vector; `what` begins the error message.
pub(crate) fn read(vector: &Bound<'_, PyAny>, what: &dyn fmt::Display) -> Result<Vec<f32>> {
    read_from(buffer(vector), vector, what)
}

fn read_from(
    buffer: Option<PyUntypedBuffer>,
    vector: &Bound<'_, PyAny>,
    what: &dyn fmt::Display,
) -> Result<Vec<f32>> {
    match buffer {
        None => read_sequence(vector, what),
        Some(buffer) => match buffer.shape() {
            [_] => Elements::new(buffer, what)?.to_vec(vector.py()),
            shape => Err(Failure::invalid(format!(
                "{what}: the array has shape {}, expected (components,)",
                tuple(shape)
            ))
            .about("vector")),
        },
    }
}

/// What a query is asked with.
pub(crate) enum Asked {
    /// One vector.
    One(Vec<f32>),
    /// Any number of vectors, one after another.
    Many(Vec<f32>),
}

impl Asked {
    /// An array of two dimensions, or a list or tuple of lists, tuples and arrays, is many. `dim` is
    /// asked for many only.
    pub(crate) fn read(
        vectors: &Bound<'_, PyAny>,
        dim: impl FnOnce() -> Result<usize>,
    ) -> Result<Self> {
        let buffer = buffer(vectors);
        let many = match &buffer {
            Some(buffer) => buffer.dimensions() == 2,
            None => match vectors.is_instance_of::<PyList>() || vectors.is_instance_of::<PyTuple>()
            {
                true if vectors.len()? > 0 => holds_numbers(&vectors.get_item(0)?),
                _ => false,
            },
        };
        match many {
            true => Ok(Asked::Many(read_many(vectors, dim()?)?)),
            // An array says what it is at some cost, so it is asked once.
            false => Ok(Asked::One(read_from(buffer, vectors, &"query vector")?)),
        }
    }
}

/// An array of shape `(rows, dim)` or a sequence of vectors: the numbers, row after row.
pub(crate) fn read_many(vectors: &Bound<'_, PyAny>, dim: usize) -> Result<Vec<f32>> {
    let what = "query vectors";
    let source = Vectors::new(vectors, &what)?;
    let rows = source.rows();
    let wrong = |found| {
        Failure::invalid(format!("{what}: a vector has {found} components, expected {dim}"))
            .about("vector")
    };
    if let Vectors::Memory { elements, dim: found, .. } = &source {
        return match *found == dim {
            // An array without rows may be of any width, and asks nothing.
            _ if rows == 0 => Ok(Vec::new()),
            true => elements.to_vec(vectors.py()),
            false => Err(wrong(*found)),
        };
    }
    let mut numbers = Vec::with_capacity(rows * dim);
    for row in 0..rows {
        let vector = source.row(row)?;
        if vector.len() != dim {
            return Err(wrong(vector.len()));
        }
        numbers.extend(vector);
    }
    Ok(numbers)
}

/// Whether a member of a list is itself a vector.
fn holds_numbers(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyList>()
        || object.is_instance_of::<PyTuple>()
        || buffer(object).is_some_and(|buffer| buffer.dimensions() == 1)
}

/// Vectors that are read one by one, so that each is copied once.
pub(crate) enum Vectors<'py> {
    /// An array of two dimensions whose rows lie one after another.
    Memory { elements: Elements, rows: usize, dim: usize },
    /// An array that does not: its numbers, put in order.
    Packed { numbers: Vec<f32>, rows: usize, dim: usize },
    /// Anything with a length and members.
    Sequence { vectors: Bound<'py, PyAny>, rows: usize, what: String },
}

impl<'py> Vectors<'py> {
    /// An array of two dimensions, or a sequence of vectors.
    pub(crate) fn new(vectors: &Bound<'py, PyAny>, what: &dyn fmt::Display) -> Result<Self> {
        let Some(buffer) = buffer(vectors) else {
            check_sequence(vectors, what)?;
            let rows = vectors.len()?;
            return Ok(Vectors::Sequence {
                vectors: vectors.clone(),
                rows,
                what: what.to_string(),
            });
        };
        let &[rows, dim] = buffer.shape() else {
            return Err(Failure::invalid(format!(
                "{what}: the array has shape {}, expected (records, components)",
                tuple(buffer.shape())
            ))
            .about("vectors"));
        };
        let in_order = buffer.is_c_contiguous();
        let elements = Elements::new(buffer, what)?;
        match in_order {
            true => Ok(Vectors::Memory { elements, rows, dim }),
            false => Ok(Vectors::Packed { numbers: elements.to_vec(vectors.py())?, rows, dim }),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        match self {
            Vectors::Memory { rows, .. }
            | Vectors::Packed { rows, .. }
            | Vectors::Sequence { rows, .. } => *rows,
        }
    }

    /// The vector of a row below [`rows`](Self::rows).
    pub(crate) fn row(&self, row: usize) -> Result<Vec<f32>> {
        match self {
            Vectors::Memory { elements, dim, .. } => elements.range(row * *dim, *dim),
            Vectors::Packed { numbers, dim, .. } => {
                Ok(numbers[row * *dim..(row + 1) * *dim].to_vec())
            }
            Vectors::Sequence { vectors, what, .. } => {
                read(&vectors.get_item(row)?, &format_args!("{what}[{row}]"))
            }
        }
    }
}

/// The memory of an array; `None` for what has none, and for lists and tuples at once.
fn buffer(object: &Bound<'_, PyAny>) -> Option<PyUntypedBuffer> {
    if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
        return None;
    }
    PyUntypedBuffer::get(object).ok()
}

/// The bits of a `float16`.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Half(u16);

// SAFETY: format `e` is an IEEE 754 half, two bytes in the machine's order, which `Half` is; every
// pattern of bits is one. Size and alignment are checked by whoever asks.
unsafe impl Element for Half {
    fn is_compatible_format(format: &CStr) -> bool {
        matches!(format.to_bytes(), b"e" | b"@e" | b"=e")
    }
}

/// The memory of an array of floats.
pub(crate) struct Elements {
    buffer: PyUntypedBuffer,
    float: Float,
}

#[derive(Clone, Copy)]
enum Float {
    F16,
    F32,
    F64,
}

impl Elements {
    fn new(buffer: PyUntypedBuffer, what: &dyn fmt::Display) -> Result<Self> {
        // Only the machine's own byte order, whatever the library below makes of the others.
        let float = match buffer.format().to_bytes() {
            b"e" | b"@e" | b"=e" => Float::F16,
            b"f" | b"@f" | b"=f" => Float::F32,
            b"d" | b"@d" | b"=d" => Float::F64,
            format => {
                return Err(Failure::invalid(format!(
                    "{what}: the array holds elements of format `{}`, expected float16, float32 or \
                     float64; convert it, for example with `.astype(\"float32\")`",
                    format.escape_ascii()
                ))
                .about("vector"));
            }
        };
        Ok(Elements { buffer, float })
    }

    /// All elements in the order of their indices.
    fn to_vec(&self, py: Python<'_>) -> Result<Vec<f32>> {
        if self.buffer.is_c_contiguous() {
            return self.range(0, self.buffer.item_count());
        }
        Ok(match self.float {
            Float::F16 => {
                self.buffer.as_typed::<Half>()?.to_vec(py)?.into_iter().map(from_half).collect()
            }
            Float::F32 => self.buffer.as_typed::<f32>()?.to_vec(py)?,
            Float::F64 => {
                self.buffer.as_typed::<f64>()?.to_vec(py)?.into_iter().map(from_double).collect()
            }
        })
    }

    /// Some elements of an array whose elements lie one after another.
    fn range(&self, from: usize, len: usize) -> Result<Vec<f32>> {
        fn part<T: Element>(
            buffer: &PyBuffer<T>,
            from: usize,
            len: usize,
            convert: impl Fn(T) -> f32,
        ) -> Result<Vec<f32>> {
            let changed = || Failure::invalid("the array changed while it was read");
            let all = buffer.as_slice_ptr().ok_or_else(changed)?;
            if from.checked_add(len).is_none_or(|end| end > all.len()) {
                return Err(changed());
            }
            // SAFETY: `from + len` is within the buffer.
            let first = unsafe { all.cast::<T>().add(from) };
            // SAFETY: the buffer keeps its memory in place as long as it lives; `from + len` is
            // within it; its elements are aligned `T`s, for which every pattern of bits is one.
            let element = |at: usize| unsafe { first.add(at).read() };
            Ok((0..len).map(|at| convert(element(at))).collect())
        }
        match self.float {
            Float::F16 => part(self.buffer.as_typed::<Half>()?, from, len, from_half),
            Float::F32 => part(self.buffer.as_typed::<f32>()?, from, len, |x| x),
            Float::F64 => part(self.buffer.as_typed::<f64>()?, from, len, from_double),
        }
    }
}

fn from_half(bits: Half) -> f32 {
    f16::from_bits(bits.0).to_f32()
}

/// One that is too large becomes infinite, which the engine refuses.
fn from_double(x: f64) -> f32 {
    x as f32
}

/// A shape as Python writes it.
fn tuple(shape: &[usize]) -> String {
    match shape {
        [only] => format!("({only},)"),
        many => format!("({})", many.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
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
        let number = number?;
        let component = match number.extract::<f64>() {
            Ok(component) => component,
            Err(error) if error.is_instance_of::<PyTypeError>(vector.py()) => {
                let found = number.get_type().qualname()?;
                return Err(Failure::wrong_type(format!(
                    "{what}: component {at} is {found}, expected a number"
                )));
            }
            Err(error) => return Err(error.into()),
        };
        numbers.push(component as f32);
    }
    Ok(numbers)
}

/// An `array.array("f")`: four bytes a component, and numpy reads it without a copy.
pub(crate) fn to_python<'py>(py: Python<'py>, vector: &[f32]) -> PyResult<Bound<'py, PyAny>> {
    static ARRAY: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let bytes = PyBytes::new(py, bytemuck::cast_slice(vector));
    ARRAY.import(py, "array", "array")?.call1(("f", bytes))
}
