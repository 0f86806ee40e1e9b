//! Asking for the nearest records.

use std::fmt::{self, Display};
use std::ops::Deref;

use serde_json::Value;
use vecstore_query::{
    ComparedSegment, Effort, ExecutedPlan, FILTER_BYTES_MAX, Filter, Params, Request, SegmentView,
    Stop, compare, run_until,
};
use vecstore_segments::SegmentError;

use crate::collection::Collection;
use crate::options::{CollectionOptions, limits};
use crate::record::{Hit, Include, check_vector};
use crate::state::CollectionState;
use crate::version::Version;
use crate::{Error, ErrorKind, Result};

/// A query in the making; see [`Collection::query`].
#[derive(Clone)]
#[must_use = "a query does nothing until `run` or `explain`"]
pub struct Query<'a> {
    pub(crate) collection: &'a Collection,
    pub(crate) vector: &'a [f32],
    pub(crate) k: usize,
    filter: Option<&'a str>,
    params: Params,
    effort: Option<Effort>,
    contradiction: bool,
    pub(crate) score_threshold: Option<f32>,
    pub(crate) include: Include,
    stop: Option<&'a (dyn Fn() -> bool + Sync)>,
}

impl fmt::Debug for Query<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("collection", &self.collection.name())
            .field("k", &self.k)
            .field("filter", &self.filter)
            .field("effort", &self.effort)
            .finish_non_exhaustive()
    }
}

/// The nearest records, best first.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryResult {
    /// Best first; as many as were asked for, or all that match if those are fewer.
    pub hits: Vec<Hit>,
    /// False if records may be missing because their bytes are damaged.
    pub complete: bool,
}

impl Deref for QueryResult {
    type Target = [Hit];

    fn deref(&self) -> &[Hit] {
        &self.hits
    }
}

impl IntoIterator for QueryResult {
    type Item = Hit;
    type IntoIter = std::vec::IntoIter<Hit>;

    fn into_iter(self) -> Self::IntoIter {
        self.hits.into_iter()
    }
}

impl<'a> Query<'a> {
    pub(crate) fn new(collection: &'a Collection, vector: &'a [f32]) -> Self {
        Query {
            collection,
            vector,
            k: 10,
            filter: None,
            params: Params::new(),
            effort: None,
            contradiction: false,
            score_threshold: None,
            include: Include::default(),
            stop: None,
        }
    }

    /// Number of records wanted. Default 10, at least 1, at most [`limits::K_MAX`].
    pub fn k(mut self, k: usize) -> Self {
        self.k = k;
        self
    }

    /// Only records whose metadata satisfies this, for example `pos = 'n' AND gloss_len < 80`. The
    /// same as JSON is `{"and": [{"field": "pos", "op": "=", "value": "n"}, …]}`; every filter of
    /// this crate may be written so.
    pub fn filter(mut self, filter: &'a str) -> Self {
        self.filter = Some(filter);
        self
    }

    /// The value of `$name` in the filter.
    pub fn bind(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    /// Candidates kept while searching a graph. Default: chosen from what each graph was measured
    /// to do.
    pub fn ef(self, ef: usize) -> Self {
        self.effort(Effort::Ef(ef))
    }

    /// The least effort whose measured recall reaches this, above 0 and at most 1.
    pub fn recall(self, recall: f32) -> Self {
        self.effort(Effort::Recall(recall))
    }

    /// Compares every record on full vectors.
    pub fn exact(self) -> Self {
        self.effort(Effort::Exact)
    }

    fn effort(mut self, effort: Effort) -> Self {
        self.contradiction |= self.effort.is_some_and(|other| other != effort);
        self.effort = Some(effort);
        self
    }

    /// Only records with at least this score, still no more than `k` of them: with
    /// [`limits::K_MAX`] a search for everything near enough. If there are exactly `k` hits there
    /// may be more.
    pub fn score_threshold(mut self, score: f32) -> Self {
        self.score_threshold = Some(score);
        self
    }

    /// What to return of each record. Default: metadata.
    pub fn include(mut self, include: Include) -> Self {
        self.include = include;
        self
    }

    /// Asked again and again while the query runs, between segments and every thousand rows or so of
    /// what takes long: once it says true the query ends with
    /// [`Cancelled`](crate::ErrorKind::Cancelled). For deadlines, and for callers that may go away.
    pub fn stop_when(mut self, stop: &'a (dyn Fn() -> bool + Sync)) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Finds the records.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the vector has the wrong dimension
    /// or is not finite, `k` is 0, the filter cannot be read, or `ef`, `recall` and `exact`
    /// contradict each other.
    pub fn run(self) -> Result<QueryResult> {
        self.explain().map(|(result, _)| result)
    }

    /// Finds the records and tells how: the plan that ran, with estimates and measurements.
    pub fn explain(self) -> Result<(QueryResult, ExecutedPlan)> {
        let shard = self.collection.checked()?;
        let filter = self.check_all(shard)?;
        self.search(self.vector, filter.as_ref(), shard, &shard.version())
    }

    /// Finds the records nearest to a vector that was checked, as of one version.
    pub(crate) fn search(
        &self,
        vector: &[f32],
        filter: Option<&Filter>,
        shard: &CollectionState,
        version: &Version,
    ) -> Result<(QueryResult, ExecutedPlan)> {
        let request = self.request(vector, filter);
        let parts = self.collection.views(version);
        let refs: Vec<&dyn SegmentView> = parts.iter().map(|part| part.as_view()).collect();
        let costs = shard.costs.known();
        let stop = self.stop();
        let answer = run_until(&request, &refs, costs, &|| stop.asked()).map_err(stopped)?;
        let metric = shard.options.metric();
        for hit in &answer.hits {
            parts[hit.view].found(hit.row).prefetch_id();
        }
        let hits = answer
            .hits
            .iter()
            .map(|hit| {
                let found = parts[hit.view].found(hit.row);
                Ok(Hit {
                    id: found.id()?,
                    score: metric.score(hit.distance),
                    distance: hit.distance,
                    metadata: found.metadata(&self.include)?,
                    vector: found.vector(&self.include)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok((QueryResult { hits, complete: answer.complete }, answer.executed))
    }

    /// Executes every strategy that the plan had to choose from, and times each: what
    /// [`explain`](Self::explain) would have chosen, and how much that costs beyond the best.
    pub fn explain_alternatives(self) -> Result<Vec<ComparedSegment>> {
        let shard = self.collection.checked()?;
        let filter = self.check_all(shard)?;
        let request = self.request(self.vector, filter.as_ref());
        let version = shard.version();
        let parts = self.collection.views(&version);
        let refs: Vec<&dyn SegmentView> = parts.iter().map(|part| part.as_view()).collect();
        Ok(compare(&request, &refs, shard.costs.measured())?)
    }

    /// Checks everything but the vector; returns the filter.
    pub(crate) fn check(
        &self,
        shard: &CollectionState,
        what: impl Display,
    ) -> Result<Option<Filter>> {
        self.check_numbers(what)?;
        self.check_results(shard, self.k)?;
        parse_filter(self.filter, &self.params, &shard.options)
    }

    /// Checks everything that was asked for; returns the filter.
    pub(crate) fn check_all(&self, shard: &CollectionState) -> Result<Option<Filter>> {
        let what = format_args!("collection `{}`, query", shard.name);
        check_vector(self.vector, &shard.options, what)?;
        self.check(shard, what)
    }

    /// Whether the answer is still wanted.
    pub(crate) fn stop(&self) -> Stop<'_> {
        match self.stop {
            None => Stop::never(),
            Some(stop) => Stop::new(stop),
        }
    }

    fn request<'r>(&self, vector: &'r [f32], filter: Option<&'r Filter>) -> Request<'r> {
        Request {
            vector,
            k: self.k,
            filter,
            effort: self.effort.unwrap_or_default(),
            score_threshold: self.score_threshold,
        }
    }

    /// Checks that so many records may be asked for.
    pub(crate) fn check_results(&self, shard: &CollectionState, k: usize) -> Result<()> {
        let namespace = self.collection.namespace_name();
        shard.quotas.read().check_results(&shard.name, namespace, k)
    }

    fn check_numbers(&self, what: impl Display) -> Result<()> {
        let invalid = |field: &'static str, problem: String| {
            Err(Error::invalid(format!("{what}: {problem}")).about(field))
        };
        if self.k == 0 || self.k > limits::K_MAX {
            return invalid("k", format!("k is {}, use 1 to {}", self.k, limits::K_MAX));
        }
        if self.contradiction {
            return invalid("ef", "give only one of ef, recall and exact".to_owned());
        }
        if self.score_threshold.is_some_and(f32::is_nan) {
            return invalid("score_threshold", "score_threshold is not a number".to_owned());
        }
        match self.effort {
            Some(Effort::Ef(ef)) if ef == 0 || ef > limits::EF_MAX => {
                invalid("ef", format!("ef is {ef}, use 1 to {}", limits::EF_MAX))
            }
            Some(Effort::Recall(recall)) if !(recall > 0.0 && recall <= 1.0) => {
                invalid("recall", format!("recall is {recall}, use a number above 0 and at most 1"))
            }
            _ => Ok(()),
        }
    }
}

/// What is said of a query that was stopped.
pub(crate) fn stopped(error: SegmentError) -> Error {
    match error {
        SegmentError::Cancelled => Error::new(ErrorKind::Cancelled, "the query was stopped"),
        error => error.into(),
    }
}

/// Reads a filter as a collection means it: an expression, or the same as JSON, which begins with a
/// brace as no expression does. Parameters without a place for them are an error.
pub(crate) fn parse_filter(
    text: Option<&str>,
    params: &Params,
    options: &CollectionOptions,
) -> Result<Option<Filter>> {
    let filter = match (text, params.keys().next()) {
        (Some(text), bound) if text.trim_start().starts_with('{') => {
            if let Some(name) = bound {
                return Err(Error::invalid(format!(
                    "parameter `{name}` is bound, but a filter in JSON has its values in itself"
                )));
            }
            if text.len() > FILTER_BYTES_MAX {
                return Err(Error::invalid(format!(
                    "the filter has {} bytes, at most {FILTER_BYTES_MAX} are allowed",
                    text.len()
                )));
            }
            let json = serde_json::from_str(text)
                .map_err(|error| Error::invalid(format!("the filter is not JSON: {error}")))?;
            Filter::from_json(&json)?
        }
        (Some(text), _) => Filter::parse(text, params)?,
        (None, Some(name)) => {
            return Err(Error::invalid(format!(
                "parameter `{name}` is bound, but there is no filter"
            ))
            .about("params"));
        }
        (None, None) => return Ok(None),
    };
    options.typed(filter).map(Some)
}
