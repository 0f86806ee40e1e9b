//! Asking for the nearest records.

use std::time::{Duration, Instant};

use vecstore::{Collection, ErrorKind, Query as EngineQuery, limits};

use super::model::{Query, QueryAnswer, QueryAnswers, QueryBatch, QueryGroups, SearchOptions};
use super::recall::Sample;
use super::records::shown;
use super::{Call, Kind, LaneKind, Problem, Result, Service, target};
use crate::grouped::{self, Groups};
use crate::records::ShownRecord;

impl Service {
    pub(crate) async fn query(
        &self,
        call: &Call,
        collection: String,
        mut request: Query,
    ) -> Result<QueryAnswer> {
        let options = request.options();
        let shown = shown(options.include.as_deref())?;
        let slow_query = self.slow_query;
        // What is exact anyway, or cut off by a score, has no recall to be observed.
        let approximate = options.exact != Some(true) && options.score_threshold.is_none();
        let sampled = approximate && self.recall.wants_next();
        let answered = self.read(call, move |db, stop| {
            let docs = target(db, &collection, &options.namespace)?;
            let like = request.like.map(|id| id.0);
            let k = options.k.unwrap_or(DEFAULT_K);
            if like.is_some() && k >= limits::K_MAX {
                let message = format!("with `like`, k can be at most {}", limits::K_MAX - 1);
                return Err(Problem::invalid("k", message));
            }
            let vector = wanted(&docs, request.vector, like.as_ref())?;
            // The record itself takes a place.
            let asked = k + usize::from(like.is_some() && k > 0);
            let stopped = || stop.asked();
            let query = prepare(docs.query(&vector), &options)
                .k(asked)
                .include(shown.include())
                .stop_when(&stopped);
            let started = Instant::now();
            let (result, plan) = query.explain()?;
            log_if_slow(slow_query, started.elapsed(), &collection, &plan);
            let complete = result.complete;
            let distances = || result.iter().map(|hit| hit.distance).collect();
            let sample = sampled.then(|| (distances(), asked));
            let hits = result
                .into_iter()
                .filter(|hit| like.as_ref() != Some(&hit.id))
                .take(k)
                .map(|hit| ShownRecord::hit(hit, &shown))
                .collect();
            let answer = QueryAnswer {
                hits,
                complete,
                plan: request.explain.then(|| plan.to_json()),
                plan_text: request.explain.then(|| plan.to_string()),
            };
            let sample =
                sample.map(|(distances, k)| Sample { collection, vector, options, k, distances });
            Ok((answer, sample))
        });
        let (answer, sample) = answered.await?;
        if let Some(sample) = sample {
            self.observe(call, sample);
        }
        Ok(answer)
    }

    pub(crate) async fn query_groups(
        &self,
        call: &Call,
        collection: String,
        mut request: QueryGroups,
    ) -> Result<Groups> {
        let options = request.options();
        let shown = shown(options.include.as_deref())?;
        self.read(call, move |db, stop| {
            let docs = target(db, &collection, &options.namespace)?;
            let like = request.like.map(|id| id.0);
            let vector = wanted(&docs, request.vector, like.as_ref())?;
            let stopped = || stop.asked();
            let query = prepare(docs.query(&vector), &options)
                .k(options.k.unwrap_or(DEFAULT_K))
                .include(shown.include())
                .stop_when(&stopped);
            let size = request.group_size.unwrap_or(1);
            Ok(grouped::run(query, &request.group_by, size, like.as_ref(), &shown)?)
        })
        .await
    }

    pub(crate) async fn query_batch(
        &self,
        call: &Call,
        collection: String,
        mut request: QueryBatch,
    ) -> Result<QueryAnswers> {
        let options = request.options();
        let shown = shown(options.include.as_deref())?;
        let count = request.vectors.len();
        let most = limits::PAGE_RECORDS_MAX;
        let hits = count.saturating_mul(options.k.unwrap_or(DEFAULT_K));
        if count > most || hits > limits::BATCH_RECORDS_MAX * 16 {
            let message = format!(
                "{count} vectors for {} records each are too many: use at most {most} vectors, and \
                 {} records in all",
                options.k.unwrap_or(DEFAULT_K),
                limits::BATCH_RECORDS_MAX * 16
            );
            return Err(Problem::invalid("vectors", message));
        }
        let db = self.reach(call);
        self.pool
            .run(call, LaneKind::Read, count, move |stop| {
                let docs = target(&db, &collection, &options.namespace)?;
                let dim = docs.settings().dim();
                if let Some((row, vector)) =
                    request.vectors.iter().enumerate().find(|(_, v)| v.len() != dim)
                {
                    let message = format!(
                        "collection `{collection}`, query {row}: vector has {} components, \
                         expected {dim}",
                        vector.len()
                    );
                    return Err(Problem::invalid(format!("vectors[{row}]"), message));
                }
                let vectors = request.vectors.concat();
                let stopped = || stop.asked();
                let results = docs.query_batch(&vectors, |query| {
                    prepare(query, &options)
                        .k(options.k.unwrap_or(DEFAULT_K))
                        .include(shown.include())
                        .stop_when(&stopped)
                })?;
                let answer = |result: vecstore::QueryResult| QueryAnswer {
                    complete: result.complete,
                    hits: result.into_iter().map(|hit| ShownRecord::hit(hit, &shown)).collect(),
                    plan: None,
                    plan_text: None,
                };
                Ok(QueryAnswers { results: results.into_iter().map(answer).collect() })
            })
            .await
    }
}

const DEFAULT_K: usize = 10;

pub(super) fn prepare<'a>(
    mut query: EngineQuery<'a>,
    options: &'a SearchOptions,
) -> EngineQuery<'a> {
    if let Some(filter) = &options.filter {
        query = query.filter(filter);
    }
    for (name, value) in &options.params {
        query = query.bind(name, value.clone());
    }
    if let Some(ef) = options.ef {
        query = query.ef(ef);
    }
    if let Some(recall) = options.recall {
        query = query.recall(recall);
    }
    if options.exact == Some(true) {
        query = query.exact();
    }
    if let Some(score) = options.score_threshold {
        query = query.score_threshold(score);
    }
    query
}

/// The vector that is given, or that of a record.
fn wanted(
    docs: &Collection,
    vector: Option<Vec<f32>>,
    like: Option<&vecstore::RecordId>,
) -> Result<Vec<f32>> {
    match (vector, like) {
        (Some(vector), None) => Ok(vector),
        (None, Some(id)) => vector_of(docs, id),
        (Some(_), Some(_)) => Err(Problem::invalid("like", "give either `vector` or `like`")),
        (None, None) => Err(Problem::invalid("vector", "give `vector` or `like`")),
    }
}

fn vector_of(docs: &Collection, id: &vecstore::RecordId) -> Result<Vec<f32>> {
    match docs.get(id)? {
        Some(record) => Ok(record.vector),
        None => Err(Problem {
            field: Some("like".to_owned()),
            ..Problem::new(
                Kind::Engine(ErrorKind::NotFound),
                format!("collection `{}` has no record `{id}`", docs.name()),
            )
        }),
    }
}

fn log_if_slow(
    slow: Option<Duration>,
    took: Duration,
    collection: &str,
    plan: &vecstore::ExecutedPlan,
) {
    if slow.is_some_and(|slow| took >= slow) {
        let ms = took.as_secs_f64() * 1e3;
        tracing::warn!(collection, ms, plan = %plan.to_json(), "slow query");
    }
}
