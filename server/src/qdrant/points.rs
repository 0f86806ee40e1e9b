//! Points.

use serde_json::{Map, Value, json};
use vecstore::{Metric, limits};

use super::fields::{self, Fields, point_id, point_ids, unsupported};
use super::payload::Wanted;
use super::{Asked, completed, filter};
use crate::service::model::{Count, Get, Id, Query, Record, Remove, Scroll, Upsert};
use crate::service::{Call, Problem, Result, Service};

pub(super) async fn upsert(asked: Asked) -> Result<Value> {
    let mut fields = asked.fields;
    let records = if let Some(batch) = fields.object("batch")? {
        of_batch(batch)?
    } else {
        let points: Vec<Value> = fields.require("points")?;
        points.into_iter().enumerate().map(of_point).collect::<Result<_>>()?
    };
    fields.finish()?;
    let request = Upsert { records, namespace: String::new() };
    asked.service.upsert(&asked.call, asked.collection, request).await?;
    Ok(completed())
}

fn of_point((at, point): (usize, Value)) -> Result<Record> {
    let mut point = Fields::new(point, &format!("points[{at}]"))?;
    let id: Value = point.require("id")?;
    let id = point_id(&id, &point.place("id"))?;
    let place = point.place("vector");
    let vector = point.require("vector")?;
    let vector = vector_of(vector, &place)?;
    let metadata = point.read::<Map<String, Value>>("payload")?.unwrap_or_default();
    point.finish()?;
    Ok(Record { id, vector, metadata })
}

/// The same points, a list for each part.
fn of_batch(mut batch: Fields) -> Result<Vec<Record>> {
    let ids = point_ids(batch.require("ids")?, "batch.ids")?;
    let vectors = match batch.require::<Value>("vectors")? {
        Value::Object(mut named) if named.len() == 1 && named.contains_key("") => {
            named.remove("").unwrap_or_default()
        }
        Value::Object(_) => return Err(unsupported("batch.vectors")),
        list => list,
    };
    let vectors: Vec<Vec<f32>> = serde_json::from_value(vectors)
        .map_err(|e| Problem::invalid("batch.vectors", format!("batch.vectors: {e}")))?;
    let payloads = batch.read::<Vec<Option<Map<String, Value>>>>("payloads")?;
    batch.finish()?;
    let payloads = payloads.unwrap_or_else(|| vec![None; ids.len()]);
    if ids.len() != vectors.len() || ids.len() != payloads.len() {
        let message = format!(
            "batch: {} ids, {} vectors and {} payloads",
            ids.len(),
            vectors.len(),
            payloads.len()
        );
        return Err(Problem::invalid("batch", message));
    }
    let parts = ids.into_iter().zip(vectors).zip(payloads);
    Ok(parts
        .map(|((id, vector), payload)| Record { id, vector, metadata: payload.unwrap_or_default() })
        .collect())
}

/// A vector, or `{"": vector}`.
fn vector_of(value: Value, place: &str) -> Result<Vec<f32>> {
    let value = match value {
        Value::Object(mut named) if named.len() == 1 && named.contains_key("") => {
            named.remove("").unwrap_or_default()
        }
        Value::Object(_) => return Err(unsupported(place)),
        value => value,
    };
    serde_json::from_value(value).map_err(|e| Problem::invalid(place, format!("{place}: {e}")))
}

pub(super) async fn retrieve(asked: Asked) -> Result<Value> {
    let mut fields = asked.fields;
    let ids = point_ids(fields.require("ids")?, "ids")?;
    let wanted = Wanted::take(&mut fields, true)?;
    fields.finish()?;
    let metric = asked.service.metric(&asked.call, &asked.collection)?;
    let get = Get { ids, namespace: String::new(), include: Some(wanted.include()) };
    let got = asked.service.get(&asked.call, asked.collection, get).await?;
    let found = got.records.into_iter().flatten();
    Ok(found.map(|record| wanted.show(record, metric)).collect())
}

pub(super) async fn delete(asked: Asked) -> Result<Value> {
    let mut fields = asked.fields;
    let ids = fields.read("points")?.map(|ids| point_ids(ids, "points")).transpose()?;
    let given = fields.has("filter");
    let filter = filter::expression(fields.object("filter")?)?;
    fields.finish()?;
    // A filter without conditions holds for every point; without a filter nothing is deleted.
    let filter = filter.or_else(|| given.then(|| EVERYTHING.to_owned()));
    let remove = Remove { ids, filter, params: Map::new(), namespace: String::new() };
    asked.service.remove(&asked.call, asked.collection, remove).await?;
    Ok(completed())
}

/// Holds for every record: two-valued logic makes one of the two true.
const EVERYTHING: &str = "EXISTS x OR NOT EXISTS x";

pub(super) async fn scroll(asked: Asked) -> Result<Value> {
    let mut fields = asked.fields;
    let limit = fields.read::<usize>("limit")?.unwrap_or(10);
    if limit == 0 || limit >= limits::PAGE_RECORDS_MAX {
        let message = format!("limit is {limit}, use 1 to {}", limits::PAGE_RECORDS_MAX - 1);
        return Err(Problem::invalid("limit", message));
    }
    let offset = fields.take("offset").map(|id| point_id(&id, "offset")).transpose()?;
    let filter = filter::expression(fields.object("filter")?)?;
    let wanted = Wanted::take(&mut fields, true)?;
    fields.finish()?;
    let metric = asked.service.metric(&asked.call, &asked.collection)?;
    // The offset is the first of the page, and the one after the page is the next offset.
    let request = Scroll {
        filter,
        limit: Some(limit + 1),
        after: offset.and_then(|id| fields::before(&id.0)).map(Id),
        include: Some(wanted.include()),
        ..Scroll::default()
    };
    let mut page = asked.service.scroll(&asked.call, asked.collection, request).await?;
    let next = (page.records.len() > limit).then(|| page.records.pop()).flatten();
    let next = next.map(|record| Id(record.id));
    let points: Vec<Value> =
        page.records.into_iter().map(|record| wanted.show(record, metric)).collect();
    Ok(json!({"points": points, "next_page_offset": next}))
}

pub(super) async fn count(asked: Asked) -> Result<Value> {
    let mut fields = asked.fields;
    // Every count is exact.
    let _: Option<bool> = fields.read("exact")?;
    let filter = filter::expression(fields.object("filter")?)?;
    fields.finish()?;
    let request = Count { filter, ..Count::default() };
    let counted = asked.service.count(&asked.call, asked.collection, request).await?;
    Ok(json!({ "count": counted.count }))
}

pub(super) async fn query(asked: Asked) -> Result<Value> {
    let Asked { service, call, collection, fields } = asked;
    let points = nearest(&service, &call, &collection, fields, "query").await?;
    Ok(json!({ "points": points }))
}

pub(super) async fn query_batch(asked: Asked) -> Result<Value> {
    let results = batch(asked, "query").await?;
    Ok(results.into_iter().map(|points| json!({ "points": points })).collect())
}

pub(super) async fn search(asked: Asked) -> Result<Value> {
    let Asked { service, call, collection, fields } = asked;
    nearest(&service, &call, &collection, fields, "vector").await
}

pub(super) async fn search_batch(asked: Asked) -> Result<Value> {
    Ok(Value::Array(batch(asked, "vector").await?))
}

async fn batch(asked: Asked, vector: &'static str) -> Result<Vec<Value>> {
    let mut fields = asked.fields;
    let searches: Vec<Value> = fields.require("searches")?;
    fields.finish()?;
    let mut results = Vec::new();
    for (at, search) in searches.into_iter().enumerate() {
        let search = Fields::new(search, &format!("searches[{at}]"))?;
        let one = nearest(&asked.service, &asked.call, &asked.collection, search, vector).await?;
        results.push(one);
    }
    Ok(results)
}

/// The points nearest to the vector in field `name`.
async fn nearest(
    service: &Service,
    call: &Call,
    collection: &str,
    mut fields: Fields,
    name: &'static str,
) -> Result<Value> {
    let place = fields.place(name);
    let (vector, like) = target(fields.require(name)?, &place)?;
    if fields.read::<String>("using")?.is_some_and(|name| !name.is_empty()) {
        return Err(unsupported(&fields.place("using")));
    }
    let limit = fields.read::<usize>("limit")?.unwrap_or(10);
    let offset = fields.read::<usize>("offset")?.unwrap_or(0);
    let threshold = fields.read::<f32>("score_threshold")?;
    let (mut ef, mut exact) = (None, None);
    if let Some(mut params) = fields.object("params")? {
        ef = params.read("hnsw_ef")?;
        exact = params.read("exact")?;
        if params.read::<bool>("indexed_only")? == Some(true) {
            return Err(unsupported(&params.place("indexed_only")));
        }
        params.finish()?;
    }
    let filter = filter::expression(fields.object("filter")?)?;
    let wanted = Wanted::take(&mut fields, false)?;
    fields.finish()?;
    let metric = service.metric(call, collection)?;
    let query = Query {
        vector,
        like,
        explain: false,
        k: Some(limit.saturating_add(offset)),
        filter,
        params: Map::new(),
        // An exact search keeps no candidates.
        ef: ef.filter(|_| exact != Some(true)),
        recall: None,
        exact,
        // There, distances are scores.
        score_threshold: threshold.map(|t| if metric == Metric::Euclidean { -t } else { t }),
        include: Some(wanted.include()),
        namespace: String::new(),
    };
    let answer = service.query(call, collection.to_owned(), query).await?;
    let hits = answer.hits.into_iter().skip(offset);
    Ok(hits.map(|hit| wanted.show(hit, metric)).collect())
}

/// A vector, a point's id, or `{"nearest": one of them}`.
fn target(value: Value, place: &str) -> Result<(Option<Vec<f32>>, Option<Id>)> {
    match value {
        Value::Object(map) => {
            let mut fields = Fields::new(Value::Object(map), place)?;
            let nearest = fields.take("nearest");
            fields.finish()?;
            match nearest {
                Some(Value::Object(_)) | None => Err(unsupported(place)),
                Some(value) => target(value, place),
            }
        }
        Value::Array(_) => Ok((Some(vector_of(value, place)?), None)),
        id => Ok((None, Some(point_id(&id, place)?))),
    }
}
