//! Why a call failed, and the exception that tells it.

use std::error::Error;
use std::fmt::Display;
use std::io;

use pyo3::exceptions::{
    PyException, PyKeyError, PyOSError, PyRuntimeWarning, PyTypeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};
use vecstore::ErrorKind;

/// Result of everything that is called from Python.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The engine refused, or would have.
    Vecstore {
        kind: ErrorKind,
        message: String,
        /// What the operating system said, if it was that.
        errno: Option<i32>,
        /// The argument that is wrong, if it is one alone.
        field: Option<&'static str>,
    },
    /// A Python object raised an exception, or has a type that does not fit.
    Python(PyErr),
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Failure::Vecstore { kind, message: message.into(), errno: None, field: None }
    }

    /// A value that is not allowed.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Failure::new(ErrorKind::InvalidArgument, message)
    }

    /// Names the argument that is wrong, unless that is known more closely.
    pub(crate) fn about(mut self, argument: &'static str) -> Self {
        if let Failure::Vecstore { field, .. } = &mut self {
            field.get_or_insert(argument);
        }
        self
    }

    /// What the operating system said about something.
    pub(crate) fn io(what: &impl Display, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull => ErrorKind::DiskFull,
            _ => ErrorKind::Io,
        };
        let message = format!("{what}: {error}");
        Failure::Vecstore { kind, message, errno: errno(error), field: None }
    }

    /// A Python type that does not fit.
    pub(crate) fn wrong_type(message: impl Into<String>) -> Self {
        Failure::Python(PyTypeError::new_err(message.into()))
    }
}

impl From<vecstore::Error> for Failure {
    fn from(error: vecstore::Error) -> Self {
        Failure::Vecstore {
            kind: error.kind(),
            message: error.to_string(),
            errno: error.source().and_then(errno),
            field: error.field(),
        }
    }
}

/// The number that the operating system gave, if it was it that refused.
fn errno(error: &(dyn Error + 'static)) -> Option<i32> {
    match error.downcast_ref::<io::Error>() {
        // What it holds counts as what it is, and not as its source.
        Some(error) => error.raw_os_error().or_else(|| errno(error.get_ref()?)),
        None => errno(error.source()?),
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Failure::Python(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Python(error) => error,
            Failure::Vecstore { kind, message, errno, field } => Python::attach(|py| {
                let raised = raised(py, kind, &message, errno, field);
                raised.unwrap_or_else(|while_raising| while_raising)
            }),
        }
    }
}

fn raised(
    py: Python<'_>,
    kind: ErrorKind,
    message: &str,
    errno: Option<i32>,
    field: Option<&str>,
) -> PyResult<PyErr> {
    let class = exceptions(py)?.class(kind).bind(py);
    let error = class.call1((message,))?;
    if class.is_subclass_of::<PyOSError>()? {
        // Set afterwards: as an argument it would change the message.
        error.setattr("errno", errno)?;
    }
    if field.is_some() {
        error.setattr("field", field)?;
    }
    Ok(PyErr::from_value(error))
}

/// The class of the warning that a query gives if records may be missing from its answer.
pub(crate) fn incomplete_warning(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    Ok(exceptions(py)?.incomplete.bind(py).as_any())
}

/// A kind of failure, the name of its class, and the class of Python's own that it also is.
type Kind = (ErrorKind, &'static str, Option<fn(Python<'_>) -> Bound<'_, PyType>>, &'static str);

const KINDS: [Kind; 12] = [
    (
        ErrorKind::InvalidArgument,
        "InvalidArgumentError",
        Some(|py| py.get_type::<PyValueError>()),
        "The request is wrong; the same request will fail again. Nothing was changed.",
    ),
    (
        ErrorKind::NotFound,
        "NotFoundError",
        Some(|py| py.get_type::<PyKeyError>()),
        "The collection or snapshot does not exist.",
    ),
    (
        ErrorKind::AlreadyExists,
        "AlreadyExistsError",
        None,
        "The collection or snapshot exists already.",
    ),
    (
        ErrorKind::Conflict,
        "ConflictError",
        None,
        "The request contradicts the state of the database.",
    ),
    (
        ErrorKind::Busy,
        "BusyError",
        None,
        "Too much work is pending, or the database is open elsewhere; try again later.",
    ),
    (
        ErrorKind::QuotaExceeded,
        "QuotaExceededError",
        None,
        "A namespace or collection would hold more, or a call ask for more, than its quota allows.",
    ),
    (
        ErrorKind::DiskFull,
        "DiskFullError",
        Some(|py| py.get_type::<PyOSError>()),
        "The volume is full.",
    ),
    (ErrorKind::Corrupt, "CorruptError", None, "Stored bytes are damaged."),
    (
        ErrorKind::Io,
        "IoError",
        Some(|py| py.get_type::<PyOSError>()),
        "The operating system refused; `errno` is its number.",
    ),
    (
        ErrorKind::Closed,
        "ClosedError",
        None,
        "The database was closed, was opened before a fork, or gave up after a failed write.",
    ),
    (ErrorKind::Cancelled, "CancelledError", None, "The call was told to stop."),
    (
        ErrorKind::Unsupported,
        "UnsupportedError",
        None,
        "The database was written by a newer version.",
    ),
];

struct Exceptions {
    base: Py<PyType>,
    kinds: Vec<(ErrorKind, Py<PyType>)>,
    incomplete: Py<PyType>,
}

impl Exceptions {
    fn class(&self, kind: ErrorKind) -> &Py<PyType> {
        self.kinds.iter().find(|(of, _)| *of == kind).map_or(&self.base, |(_, class)| class)
    }
}

fn exceptions(py: Python<'_>) -> PyResult<&Exceptions> {
    static EXCEPTIONS: PyOnceLock<Exceptions> = PyOnceLock::new();
    EXCEPTIONS.get_or_try_init(py, || {
        let exception = py.get_type::<PyException>();
        let base = class(py, "Error", &[&exception], "Base class of all failures; `field` names the argument that is wrong, if it is one alone.")?;
        // `KeyError` shows the message as a literal, in quotes; a sentence is not a key.
        base.setattr("__str__", exception.getattr("__str__")?)?;
        base.setattr("field", py.None())?;
        let mut kinds = Vec::with_capacity(KINDS.len());
        for (kind, name, also, doc) in KINDS {
            let also = also.map(|class| class(py));
            let bases: Vec<_> = std::iter::once(&base).chain(&also).collect();
            kinds.push((kind, class(py, name, &bases, doc)?.unbind()));
        }
        let warning = py.get_type::<PyRuntimeWarning>();
        let doc = "Records may be missing from an answer because their bytes are damaged.";
        let incomplete = class(py, "IncompleteWarning", &[&warning], doc)?.unbind();
        Ok(Exceptions { base: base.unbind(), kinds, incomplete })
    })
}

fn class<'py>(
    py: Python<'py>,
    name: &str,
    bases: &[&Bound<'py, PyType>],
    doc: &str,
) -> PyResult<Bound<'py, PyType>> {
    let body = PyDict::new(py);
    body.set_item("__module__", "vecstore")?;
    body.set_item("__doc__", doc)?;
    let class = py.get_type::<PyType>().call1((name, PyTuple::new(py, bases)?, body))?;
    Ok(class.cast_into()?)
}

/// Adds every exception class to the module.
pub(crate) fn add_exceptions(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let exceptions = exceptions(module.py())?;
    module.add("Error", &exceptions.base)?;
    for ((_, name, ..), (_, class)) in KINDS.iter().zip(&exceptions.kinds) {
        module.add(*name, class)?;
    }
    module.add("IncompleteWarning", &exceptions.incomplete)
}
