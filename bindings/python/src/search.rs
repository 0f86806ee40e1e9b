//! The arguments that `query` and `explain` share.

use pyo3::prelude::*;
use serde_json::Value;
use vecstore::{Collection, Include, Query};

use crate::failure::{Failure, Result};
use crate::value::{self, Place};
use crate::vector;

/// A query that was read from Python and needs it no more.
pub(crate) struct Search {
    pub(crate) vector: Vec<f32>,
    pub(crate) k: usize,
    pub(crate) filter: Option<String>,
    pub(crate) params: Params,
    pub(crate) ef: Option<usize>,
    pub(crate) recall: Option<f32>,
    pub(crate) exact: bool,
    pub(crate) score_threshold: Option<f32>,
    pub(crate) include: Include,
}

impl Search {
    /// The query, not run yet.
    pub(crate) fn on<'a>(&'a self, collection: &'a Collection) -> Query<'a> {
        let mut query = collection.query(&self.vector).k(self.k).include(self.include.clone());
        if let Some(filter) = &self.filter {
            query = query.filter(filter);
        }
        for (name, value) in &self.params {
            query = query.bind(name, value.clone());
        }
        if let Some(ef) = self.ef {
            query = query.ef(ef);
        }
        if let Some(recall) = self.recall {
            query = query.recall(recall);
        }
        if self.exact {
            query = query.exact();
        }
        if let Some(score) = self.score_threshold {
            query = query.score_threshold(score);
        }
        query
    }
}

/// Values of a filter's `$name` parameters.
pub(crate) type Params = Vec<(String, Value)>;

/// Reads `params`: a `dict` of names, without the `$`, and values.
pub(crate) fn params(params: Option<&Bound<'_, PyAny>>) -> Result<Params> {
    Ok(value::read_object(params, Place::Root(&"params"))?.into_iter().collect())
}

/// The query vector.
pub(crate) fn query_vector(vector: &Bound<'_, PyAny>) -> Result<Vec<f32>> {
    vector::read(vector, &"query vector")
}

/// A number of something; the engine knows which ones are allowed.
pub(crate) fn number(name: &str, number: i64) -> Result<usize> {
    usize::try_from(number)
        .map_err(|_| Failure::invalid(format!("{name} is {number}, it must not be negative")))
}
