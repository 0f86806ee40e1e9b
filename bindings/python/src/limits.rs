//! `vecstore.limits`: what holds for every record and request.

use pyo3::prelude::*;
use vecstore::{CollectionOptions, limits};

/// Limits that hold for every record and request; exceeding one is an InvalidArgumentError.
#[pyclass(frozen, name = "limits", module = "vecstore")]
pub(crate) struct Limits;

#[pymethods]
impl Limits {
    #[classattr]
    const DIM_MAX: usize = CollectionOptions::DIM_MAX;
    #[classattr]
    const METADATA_BYTES_MAX: usize = limits::METADATA_BYTES_MAX;
    #[classattr]
    const METADATA_DEPTH_MAX: usize = limits::METADATA_DEPTH_MAX;
    #[classattr]
    const NAME_BYTES_MAX: usize = limits::NAME_BYTES_MAX;
    #[classattr]
    const BATCH_RECORDS_MAX: usize = limits::BATCH_RECORDS_MAX;
    #[classattr]
    const BATCH_BYTES_MAX: usize = limits::BATCH_BYTES_MAX;
    #[classattr]
    const K_MAX: usize = limits::K_MAX;
    #[classattr]
    const EF_MAX: usize = limits::EF_MAX;
    #[classattr]
    const PAGE_RECORDS_MAX: usize = limits::PAGE_RECORDS_MAX;
}
