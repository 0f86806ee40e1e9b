//! Asking for the nearest records.

use std::time::{Duration, Instant};

use vecstore::{Collection, ErrorKind, Query as EngineQuery, limits};

use super::model::{Query, QueryAnswer, QueryAnswers, QueryBatch, QueryGroups, SearchOptions};
use super::recall::Sample;
use super::records::shown;
use super::{Call, Kind, LaneKind, Operation, Problem, Reach, Result, Service, Stop, target};
use crate::grouped::{self, Groups};
use crate::include::Shown;
use crate::records::ShownRecord;

impl Service {
    pub(crate) async fn query(
        &self,
        call: &Call,
        collection: String,
        request: Query,
    ) -> Result<QueryAnswer> {
        let asked = self.asked(call, collection, request)?;
        let (answer, sample) =
            self.pool.run(call, LaneKind::Read, 1, move |stop| asked.answer(stop)).await?;
        if let Some(sample) = sample {
            self.observe(call, sample);
        }
        Ok(answer)
    }

    /// Answers queries in one turn, as far as the first that fails. They have the time of the first.
    pub(crate) async fn queries(
        &self,
        requests: Vec<(Call, String, Query)>,
    ) -> Vec<Result<QueryAnswer>> {
        let Some(call) = requests.first().map(|(call, ..)| call.clone()) else { return Vec::new() };
        let mut asked = Vec::with_capacity(requests.len());
        let mut failure = None;
        for (call, collection, request) in requests {
            match self.asked(&call, collection, request) {
                Ok(one) => asked.push(one),
                Err(problem) => {
                    failure = Some(Err(problem));
                    break;
                }
            }
        }
        let count = asked.len();
        let work = move |stop: &Stop| {
            let mut answers = Vec::with_capacity(count);
            for one in asked {
                let answer = one.answer(stop);
                let failed = answer.is_err();
                answers.push(answer);
                if failed {
                    break;
                }
            }
            Ok(answers)
        };
        let answers = match count {
            0 => Vec::new(),
            _ => match self.pool.run(&call, LaneKind::Read, count, work).await {
                Ok(answers) => answers,
                Err(problem) => return vec![Err(problem)],
            },
        };
        let answers = answers.into_iter().map(|answer| {
            let (answer, sample) = answer?;
            if let Some(sample) = sample {
                self.observe(&call, sample);
            }
            Ok(answer)
        });
        let mut answers: Vec<_> = answers.collect();
        if answers.len() == count {
            answers.extend(failure);
        }
        answers
    }

    /// How many queries that wait already may take one turn: others wait for its end.
    pub(crate) fn at_once(&self, operation: Operation) -> usize {
        in_a_turn(self.pool.usual(operation))
    }

    fn asked(&self, call: &Call, collection: String, request: Query) -> Result<Asked> {
        let shown = shown(request.include.as_deref())?;
        // What is exact anyway, or cut off by a score, has no recall to be observed.
        let approximate = request.exact != Some(true) && request.score_threshold.is_none();
        Ok(Asked {
            db: self.reach(call),
            shown,
            sampled: approximate && self.recall.wants_next(),
            slow_query: self.slow_query,
            collection,
            request,
        })
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
/// The work of queries that are answered in one turn.
const TURN: Duration = Duration::from_millis(5);
const TURN_QUERIES_MAX: usize = 32;

/// How many queries that take so long each are answered in one turn.
fn in_a_turn(cost: Duration) -> usize {
    ((TURN.as_micros() / cost.as_micros().max(1)) as usize).clamp(1, TURN_QUERIES_MAX)
}

/// A query that can be answered where blocking calls run.
struct Asked {
    db: Reach,
    collection: String,
    request: Query,
    shown: Shown,
    sampled: bool,
    slow_query: Option<Duration>,
}

impl Asked {
    fn answer(self, stop: &Stop) -> Result<(QueryAnswer, Option<Sample>)> {
        let Asked { db, collection, mut request, shown, sampled, slow_query } = self;
        let options = request.options();
        let docs = target(&db, &collection, &options.namespace)?;
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
        let sample = sampled.then(|| result.iter().map(|hit| hit.distance).collect());
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
            sample.map(|distances| Sample { collection, vector, options, k: asked, distances });
        Ok((answer, sample))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_queries_take_a_turn_together_and_long_ones_alone() {
        for (cost_us, count) in [(0, 32), (20, 32), (200, 25), (2_000, 2), (2_600, 1), (90_000, 1)]
        {
            assert_eq!(in_a_turn(Duration::from_micros(cost_us)), count, "{cost_us} µs");
        }
    }
}
