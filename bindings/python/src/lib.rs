//! The Python module `vecstore`: the engine's words, with Python's types around them.
//!
//! Nothing is decided here. A call converts its arguments, lets go of the interpreter lock, calls
//! the engine, and converts the answer. What users read is in the docstrings and in
//! `vecstore.pyi`.

mod collection;
mod database;
mod failure;
mod id;
mod include;
mod record;
mod search;
mod session;
mod value;
mod vector;

use pyo3::prelude::*;

/// An embedded vector database: records (id, vector, metadata) in a folder, and a search for the
/// nearest ones, also under a filter.
///
///     import vecstore
///
///     with vecstore.open("data/") as db:
///         docs = db.create_collection("docs", dim=3, if_not_exists=True)
///         docs.upsert("a1", [0.1, 0.9, 0.2], {"pos": "n", "year": 2021})
///         for hit in docs.query([0.1, 0.9, 0.1], k=5, filter="year < 2023"):
///             print(hit.id, hit.score, hit.metadata)
///
/// Every call may be made from any thread, and lets other threads run while it works. A database
/// that was opened before a fork cannot be used in the child.
///
/// Ids are `int` (0 to 2**64 - 1), `str` (1 to 512 bytes of UTF-8) or `uuid.UUID`, and come back
/// with the type they went in with. So do metadata values: `bool`, `int` (64 bits, signed),
/// `float` (finite), `str`, `None`, `list` and nested `dict`; a tuple comes back as a list.
///
/// Failures are `vecstore.Error` with one subclass for each kind. An argument of a wrong Python
/// type is a `TypeError`.
#[pymodule]
#[pyo3(name = "vecstore")]
fn vecstore_module(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(database::open, module)?)?;
    module.add_class::<database::Database>()?;
    module.add_class::<collection::Collection>()?;
    module.add_class::<record::Record>()?;
    module.add_class::<record::Hit>()?;
    failure::add_exceptions(module)
}
