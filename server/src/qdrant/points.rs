//! Points.

use serde_json::{Map, Value, json};
use vecstore::{Metric, limits};

use super::changes::selector;
use super::fields::{self, Fields, point_id, point_ids, unsupported};
use super::mmr::Mmr;
use super::payload::Wanted;
use super::{Asked, completed, filter};
use crate::http::off_the_worker;
use crate::service::model::{
    Count, Facet, Get, Id, Query, QueryGroups, Record, Remove, Scroll, Upsert,
};
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
    let metric = asked.service.metric(&asked.collection)?;
    let get = Get { ids, namespace: String::new(), include: Some(wanted.include()) };
    let got = asked.service.get(&asked.call, asked.collection, get).await?;
    let found = got.records.into_iter().flatten();
    Ok(found.map(|record| wanted.show(record, metric)).collect())
}

pub(super) async fn delete(asked: Asked) -> Result<Value> {
    let mut fields = asked.fields;
    let (ids, filter) = selector(&mut fields)?;
    fields.finish()?;
    let remove = Remove { ids, filter, params: Map::new(), namespace: String::new() };
    asked.service.remove(&asked.call, asked.collection, remove).await?;
    Ok(completed())
}

pub(super) async fn scroll(asked: Asked) -> Result<Value> {
    let mut fields = asked.fields;
    let limit = fields.read::<usize>("limit")?.unwrap_or(10);
    if limit == 0 || limit >= limits::PAGE_RECORDS_MAX {
        let message = format!("limit is {limit}, use 1 to {}", limits::PAGE_RECORDS_MAX - 1);
        return Err(Problem::invalid("limit", message));
    }
    let offset = fields.take("offset").map(|id| point_id(&id, "offset")).transpose()?;
    let filter = filter::expression(fields.object("filter")?)?;
    let order = order(&mut fields)?;
    let wanted = Wanted::take(&mut fields, true)?;
    fields.finish()?;
    let metric = asked.service.metric(&asked.collection)?;
    if let Some(Order { field, descending, within }) = order {
        if offset.is_some() {
            let message = "offset: a point's id is no place in the order of a field";
            return Err(Problem::invalid("offset", message));
        }
        let filter = match filter {
            Some(filter) => format!("({filter}) AND ({within})"),
            None => within,
        };
        let request = Scroll {
            filter: Some(filter),
            limit: Some(limit),
            order_by: Some(field),
            descending,
            include: Some(wanted.include()),
            ..Scroll::default()
        };
        let page = asked.service.scroll(&asked.call, asked.collection, request).await?;
        let points: Vec<Value> =
            page.records.into_iter().map(|record| wanted.show(record, metric)).collect();
        return Ok(json!({"points": points, "next_page_offset": null}));
    }
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

/// The order of a scroll by a field.
struct Order {
    field: String,
    descending: bool,
    /// The points that have a place in it.
    within: String,
}

/// `order_by`: a key, or `{key, direction, start_from}`. Points without a number or a date in the field
/// have no place.
fn order(fields: &mut Fields) -> Result<Option<Order>> {
    let place = fields.place("order_by");
    let mut order = match fields.take("order_by") {
        None => return Ok(None),
        Some(key @ Value::String(_)) => Fields::new(json!({ "key": key }), &place)?,
        Some(order) => Fields::new(order, &place)?,
    };
    let field = filter::plain_field(&mut order, "key")?;
    let descending = match order.read::<String>("direction")?.as_deref() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(unsupported(&order.place("direction"))),
    };
    let within = filter::ordered_from(&field, descending, &mut order)?;
    order.finish()?;
    Ok(Some(Order { field, descending, within }))
}

/// The values of a field and how many points have each: strings, integers and booleans.
pub(super) async fn facet(asked: Asked) -> Result<Value> {
    let mut fields = asked.fields;
    let field = filter::plain_field(&mut fields, "key")?;
    let limit = fields.read::<usize>("limit")?.unwrap_or(10);
    // Every count is exact.
    let _: Option<bool> = fields.read("exact")?;
    let filter = filter::expression(fields.object("filter")?)?;
    fields.finish()?;
    let request = Facet {
        field,
        filter,
        params: Map::new(),
        limit: Some(limits::PAGE_RECORDS_MAX),
        namespace: String::new(),
    };
    let counts = asked.service.facet(&asked.call, asked.collection, request).await?;
    let known = |value: &Value| value.is_string() || value.is_boolean() || value.is_i64();
    let hits: Vec<Value> = (counts.values.into_iter())
        .filter(|counted| known(&counted.value))
        .take(limit)
        .map(|counted| json!({"value": counted.value, "count": counted.count}))
        .collect();
    Ok(json!({ "hits": hits }))
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
    let metric = service.metric(collection)?;
    let Search { vector, like, mmr, limit, effort, score_threshold, filter } =
        search_of(&mut fields, name, metric)?;
    let offset = fields.read::<usize>("offset")?.unwrap_or(0);
    let mut wanted = Wanted::take(&mut fields, false)?;
    fields.finish()?;
    let most = limit.unwrap_or(10).saturating_add(offset);
    let (mut k, shows_vector) = (most, wanted.vector);
    if let Some(mmr) = &mmr {
        k = mmr.candidates.unwrap_or(limit.unwrap_or(10));
        mmr.check(k, most)?;
        wanted.vector = true;
    }
    let query = Query {
        vector,
        like,
        explain: false,
        k: Some(k),
        filter,
        params: Map::new(),
        ef: effort.ef,
        recall: None,
        exact: effort.exact,
        score_threshold,
        include: Some(wanted.include()),
        namespace: String::new(),
    };
    let answer = service.query(call, collection.to_owned(), query).await?;
    wanted.vector = shows_vector;
    let hits = match mmr {
        None => answer.hits,
        Some(mmr) => off_the_worker(true, || mmr.choose(answer.hits, most, metric)),
    };
    let hits = hits.into_iter().skip(offset);
    Ok(hits.map(|hit| wanted.show(hit, metric)).collect())
}

pub(super) async fn query_groups(asked: Asked) -> Result<Value> {
    groups(asked, "query").await
}

pub(super) async fn search_groups(asked: Asked) -> Result<Value> {
    groups(asked, "vector").await
}

/// The points nearest to a vector, by the values of a field: strings and integers.
async fn groups(asked: Asked, name: &'static str) -> Result<Value> {
    let mut fields = asked.fields;
    let metric = asked.service.metric(&asked.collection)?;
    let Search { vector, like, mmr, limit, effort, score_threshold, filter } =
        search_of(&mut fields, name, metric)?;
    if mmr.is_some() {
        return Err(unsupported("query.mmr"));
    }
    let field = filter::plain_field(&mut fields, "group_by")?;
    let size = fields.read::<usize>("group_size")?.unwrap_or(3);
    let wanted = Wanted::take(&mut fields, false)?;
    fields.finish()?;
    let limit = limit.unwrap_or(10);
    // Values that make no group there may take places, so more are asked for if too few are left.
    let most = limits::K_MAX / size.saturating_add(usize::from(like.is_some())).max(1);
    let mut asked_for = limit;
    loop {
        let request = QueryGroups {
            vector: vector.clone(),
            like: like.clone(),
            group_by: field.clone(),
            group_size: Some(size),
            k: Some(asked_for),
            filter: filter.clone(),
            params: Map::new(),
            ef: effort.ef,
            recall: None,
            exact: effort.exact,
            score_threshold,
            include: Some(wanted.include()),
            namespace: String::new(),
        };
        let found =
            asked.service.query_groups(&asked.call, asked.collection.clone(), request).await?;
        let all_seen = found.groups.len() < asked_for;
        let proper = |value: &Value| value.is_string() || value.is_i64();
        let mut groups = found.groups;
        groups.retain(|group| proper(&group.value));
        if groups.len() >= limit || all_seen || asked_for >= most {
            groups.truncate(limit);
            let shown = groups.into_iter().map(|group| {
                let hits: Vec<Value> =
                    group.hits.into_iter().map(|hit| wanted.show(hit, metric)).collect();
                json!({"id": group.value, "hits": hits})
            });
            return Ok(json!({ "groups": shown.collect::<Vec<_>>() }));
        }
        asked_for = asked_for.saturating_mul(4).min(most);
    }
}

/// What a search and a grouped one have in common.
struct Search {
    vector: Option<Vec<f32>>,
    like: Option<Id>,
    mmr: Option<Mmr>,
    limit: Option<usize>,
    effort: Effort,
    score_threshold: Option<f32>,
    filter: Option<String>,
}

struct Effort {
    ef: Option<usize>,
    exact: Option<bool>,
}

/// Takes its fields; the vector is in the one called `name`.
fn search_of(fields: &mut Fields, name: &'static str, metric: Metric) -> Result<Search> {
    let place = fields.place(name);
    let Target { vector, like, mmr } = target(fields.require(name)?, &place)?;
    if fields.read::<String>("using")?.is_some_and(|name| !name.is_empty()) {
        return Err(unsupported(&fields.place("using")));
    }
    let limit = fields.read::<usize>("limit")?;
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
    // An exact search keeps no candidates.
    let effort = Effort { ef: ef.filter(|_| exact != Some(true)), exact };
    // There, distances are scores.
    let score_threshold = threshold.map(|t| if metric == Metric::Euclidean { -t } else { t });
    let filter = filter::expression(fields.object("filter")?)?;
    Ok(Search { vector, like, mmr, limit, effort, score_threshold, filter })
}

/// What a search is near to.
#[derive(Default)]
struct Target {
    vector: Option<Vec<f32>>,
    like: Option<Id>,
    mmr: Option<Mmr>,
}

/// A vector or a point's id, or `{"nearest": one of them, "mmr": …}`.
fn target(value: Value, place: &str) -> Result<Target> {
    match value {
        Value::Object(map) => {
            let mut fields = Fields::new(Value::Object(map), place)?;
            let nearest = fields.take("nearest");
            let mmr_place = fields.place("mmr");
            let mmr = fields.take("mmr").map(|mmr| Mmr::read(mmr, &mmr_place)).transpose()?;
            fields.finish()?;
            match nearest {
                Some(Value::Object(_)) | None => Err(unsupported(place)),
                Some(value) => Ok(Target { mmr, ..target(value, place)? }),
            }
        }
        Value::Array(_) => {
            Ok(Target { vector: Some(vector_of(value, place)?), ..Target::default() })
        }
        id => Ok(Target { like: Some(point_id(&id, place)?), ..Target::default() }),
    }
}
