//! The Python module `vecstore._native`: the engine's words, with Python's types around them.
//!
//! Nothing is decided here. A call converts its arguments, lets go of the interpreter lock, calls
//! the engine, and converts the answer. What users read is in the docstrings and in
//! `_native.pyi`.

mod collection;
mod database;
mod export;
mod failure;
mod groups;
mod hits;
mod id;
mod include;
mod ingest;
mod limits;
mod metadata;
mod numbers;
mod plan;
mod quota;
mod record;
mod scroll;
mod search;
mod session;
mod table;
mod value;
mod vector;
mod watch;

use pyo3::prelude::*;

/// Metadata is many small pieces, made by one thread and freed by another. With the system's
/// allocator (glibc) the WordNet set as dicts took 1.5 times as long to write as in Rust, with this
/// one as long: `benches/ratios.py`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What `vecstore` is made of; import that.
#[pymodule]
#[pyo3(name = "_native")]
fn vecstore_module(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(database::open, module)?)?;
    module.add_function(wrap_pyfunction!(database::repair, module)?)?;
    module.add_class::<database::Database>()?;
    module.add_class::<collection::Collection>()?;
    module.add_class::<record::Record>()?;
    module.add_class::<record::Hit>()?;
    module.add_class::<hits::Hits>()?;
    module.add_class::<hits::BatchHits>()?;
    module.add_class::<groups::Group>()?;
    module.add_class::<groups::Groups>()?;
    module.add_class::<scroll::Scroll>()?;
    module.add_class::<plan::Plan>()?;
    module.add_class::<plan::Comparison>()?;
    module.add_class::<limits::Limits>()?;
    failure::add_exceptions(module)
}
