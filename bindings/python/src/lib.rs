//! The Python module `vecstore._native`: the engine's words, with Python's types around them.
//!
//! Nothing is decided here. A call converts its arguments, lets go of the interpreter lock, calls
//! the engine, and converts the answer. What users read is in the docstrings and in
//! `_native.pyi`.

mod collection;
mod database;
mod failure;
mod hits;
mod id;
mod include;
mod ingest;
mod metadata;
mod numbers;
mod record;
mod scroll;
mod search;
mod session;
mod table;
mod value;
mod vector;
mod watch;

use pyo3::prelude::*;

/// What `vecstore` is made of; import that.
#[pymodule]
#[pyo3(name = "_native")]
fn vecstore_module(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(database::open, module)?)?;
    module.add_class::<database::Database>()?;
    module.add_class::<collection::Collection>()?;
    module.add_class::<record::Record>()?;
    module.add_class::<record::Hit>()?;
    module.add_class::<hits::Hits>()?;
    module.add_class::<hits::BatchHits>()?;
    module.add_class::<scroll::Scroll>()?;
    failure::add_exceptions(module)
}
