//! The arguments that `query`, `query_batch` and `explain` share.

use pyo3::prelude::*;
use pyo3::types::PyString;
use vecstore::Query;

use crate::failure::{Failure, Result};
use crate::include::Included;
use crate::value::{self, Place};

/// A query without its vector, that was read from Python and needs it no more.
pub(crate) struct Search {
    pub(crate) k: usize,
    filter: Option<String>,
    params: Params,
    ef: Option<usize>,
    recall: Option<f32>,
    exact: bool,
    score_threshold: Option<f32>,
    pub(crate) include: Included,
}

impl Search {
    /// Reads the arguments, in the order that Python has them in.
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    pub(crate) fn read(
        k: i64,
        filter: Option<&Bound<'_, PyAny>>,
        params: Option<&Bound<'_, PyAny>>,
        ef: Option<i64>,
        recall: Option<f32>,
        exact: bool,
        score_threshold: Option<f32>,
        include: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self> {
        Ok(Search {
            k: number("k", k)?,
            filter: self::filter(filter)?,
            params: self::params(params)?,
            ef: ef.map(|ef| number("ef", ef)).transpose()?,
            recall,
            exact,
            score_threshold,
            include: Included::new(include)?,
        })
    }

    /// Sets all of it in a query.
    pub(crate) fn on<'a>(&'a self, query: Query<'a>) -> Query<'a> {
        let mut query = query.k(self.k).include(self.include.read.clone());
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
pub(crate) type Params = vecstore::Params;

/// Reads `params`: a `dict` of names, without the `$`, and values.
pub(crate) fn params(params: Option<&Bound<'_, PyAny>>) -> Result<Params> {
    let read = value::read_object(params, Place::Root(&"params"));
    let read = read.map_err(|e| e.about("params"))?;
    if let Some(name) = read.keys().find(|name| name.starts_with('$')) {
        let plain = name.trim_start_matches('$');
        let message = format!("params: `{name}` must be named `{plain}`: the $ is the filter's");
        return Err(Failure::invalid(message).about("params"));
    }
    Ok(read.into_iter().collect())
}

/// The text of a filter: a `str`, or what `vecstore.F` makes.
pub(crate) fn filter(filter: Option<&Bound<'_, PyAny>>) -> Result<Option<String>> {
    let Some(filter) = filter.filter(|filter| !filter.is_none()) else { return Ok(None) };
    filter_text(filter).map(Some)
}

/// Like [`filter`], where there must be one.
pub(crate) fn filter_text(filter: &Bound<'_, PyAny>) -> Result<String> {
    let text = match filter.cast::<PyString>() {
        Ok(text) => text.clone(),
        Err(_) => match filter.getattr_opt("__vecstore_filter__")? {
            Some(text) => text.call0()?.cast_into().map_err(PyErr::from)?,
            None => {
                return Err(Failure::wrong_type(format!(
                    "filter is {}, expected str or an expression that begins with vecstore.F",
                    filter.get_type().qualname()?
                )));
            }
        },
    };
    let text =
        text.to_str().map_err(|e| Failure::invalid(format!("filter: {e}")).about("filter"))?;
    Ok(text.to_owned())
}

/// A number of something; the engine knows which ones are allowed.
pub(crate) fn number(name: &'static str, number: i64) -> Result<usize> {
    usize::try_from(number).map_err(|_| {
        Failure::invalid(format!("{name} is {number}, it must not be negative")).about(name)
    })
}
