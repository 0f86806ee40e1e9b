//! What is asked, as REST has it. Fields that are hints go on by their names, so that one place
//! decides what becomes of them; how long to wait, and for what, is no part of a body there.

use serde_json::{Value, json};

use super::filter::filter;
use super::values::{id, ids, number, object, time, vector, vectors};
use super::{Ask, proto};
use crate::service::{Problem, Result};

/// Messages without a body: the collection of each.
macro_rules! without_body {
    ($($name:ident $collection:expr,)*) => { $(
        impl Ask for proto::$name {
            const NAME: &'static str = stringify!($name);

            fn body(self) -> Result<(String, Value)> {
                let collection: fn(Self) -> String = $collection;
                Ok((collection(self), json!({})))
            }
        }
    )* };
}

without_body! {
    HealthCheckRequest |_| String::new(),
    ListCollectionsRequest |_| String::new(),
    GetCollectionInfoRequest |message| message.collection_name,
    CollectionExistsRequest |message| message.collection_name,
    DeleteCollection |message| message.collection_name,
}

impl Ask for proto::CreateCollection {
    const NAME: &'static str = "CreateCollection";

    fn body(self) -> Result<(String, Value)> {
        use proto::vectors_config::Config;
        let vectors = match self.vectors_config.and_then(|config| config.config) {
            None => Value::Null,
            Some(Config::Params(params)) => vector_params(params),
            Some(Config::ParamsMap(named)) => {
                let named = named.map.into_iter();
                Value::Object(named.map(|(name, params)| (name, vector_params(params))).collect())
            }
        };
        let sparse = self.sparse_vectors_config.map(|config| {
            let names = config.map.into_keys();
            Value::Object(names.map(|name| (name, json!({}))).collect())
        });
        let body = json!({
            "vectors": vectors,
            "sparse_vectors": sparse,
            "hnsw_config": self.hnsw_config.map(hnsw),
            "wal_config": present(self.wal_config),
            "optimizers_config": present(self.optimizers_config),
            "on_disk_payload": self.on_disk_payload,
            "shard_number": self.shard_number,
            "replication_factor": self.replication_factor,
            "write_consistency_factor": self.write_consistency_factor,
        });
        Ok((self.collection_name, body))
    }
}

fn present(hint: Option<proto::Presence>) -> Value {
    hint.map_or(Value::Null, |_| json!({}))
}

fn vector_params(params: proto::VectorParams) -> Value {
    let distance = match proto::Distance::try_from(params.distance) {
        Ok(distance) => json!(distance.as_str_name()),
        Err(_) => json!(params.distance.to_string()),
    };
    let datatype = params.datatype.map(|datatype| match proto::Datatype::try_from(datatype) {
        Ok(proto::Datatype::Default) => Value::Null,
        Ok(datatype) => json!(datatype.as_str_name().to_lowercase()),
        Err(_) => json!(datatype.to_string()),
    });
    json!({
        "size": params.size,
        "distance": distance,
        "hnsw_config": params.hnsw_config.map(hnsw),
        "on_disk": params.on_disk,
        "datatype": datatype,
    })
}

fn hnsw(config: proto::HnswConfigDiff) -> Value {
    json!({
        "m": config.m,
        "ef_construct": config.ef_construct,
        "full_scan_threshold": config.full_scan_threshold,
        "max_indexing_threads": config.max_indexing_threads,
        "payload_m": config.payload_m,
        "on_disk": config.on_disk,
    })
}

impl Ask for proto::UpdateCollection {
    const NAME: &'static str = "UpdateCollection";

    fn body(self) -> Result<(String, Value)> {
        let body = json!({ "optimizers_config": present(self.optimizers_config) });
        Ok((self.collection_name, body))
    }
}

impl Ask for proto::CreateFieldIndexCollection {
    const NAME: &'static str = "CreateFieldIndexCollection";

    fn body(self) -> Result<(String, Value)> {
        use proto::payload_index_params::IndexParams;
        let params = self.field_index_params.and_then(|params| params.index_params);
        let kind = match params {
            Some(IndexParams::KeywordIndexParams(_)) => json!("keyword"),
            Some(IndexParams::IntegerIndexParams(_)) => json!("integer"),
            Some(IndexParams::FloatIndexParams(_)) => json!("float"),
            Some(IndexParams::BoolIndexParams(_)) => json!("bool"),
            Some(IndexParams::DatetimeIndexParams(_)) => json!("datetime"),
            Some(IndexParams::UuidIndexParams(_)) => json!("uuid"),
            // Others are refused before.
            Some(IndexParams::TextIndexParams(_) | IndexParams::GeoIndexParams(_)) | None => {
                match self.field_type.map(|kind| (kind, proto::FieldType::try_from(kind))) {
                    None => Value::Null,
                    Some((_, Ok(kind))) => {
                        json!(kind.as_str_name().trim_start_matches("FieldType").to_lowercase())
                    }
                    Some((kind, Err(_))) => json!(kind.to_string()),
                }
            }
        };
        let body = json!({"field_name": self.field_name, "field_schema": kind});
        Ok((self.collection_name, body))
    }
}

impl Ask for proto::UpsertPoints {
    const NAME: &'static str = "UpsertPoints";

    fn body(self) -> Result<(String, Value)> {
        let point = |(at, point): (usize, proto::PointStruct)| {
            Ok(json!({
                "id": id(point.id),
                "vector": vectors(point.vectors, &format!("points[{at}].vectors"))?,
                "payload": object(point.payload, &format!("points[{at}].payload"))?,
            }))
        };
        let points = self.points.into_iter().enumerate().map(point).collect::<Result<Value>>()?;
        Ok((self.collection_name, json!({ "points": points })))
    }
}

/// `points` or `filter`, beside what else is in the body.
fn selected(selector: Option<proto::PointsSelector>, mut body: Value) -> Result<Value> {
    use proto::points_selector::PointsSelectorOneOf as Of;
    match selector.and_then(|selector| selector.points_selector_one_of) {
        None => {}
        Some(Of::Points(points)) => body["points"] = ids(points.ids),
        Some(Of::Filter(of)) => body["filter"] = filter(Some(of))?,
    }
    Ok(body)
}

impl Ask for proto::DeletePoints {
    const NAME: &'static str = "DeletePoints";

    fn body(self) -> Result<(String, Value)> {
        Ok((self.collection_name, selected(self.points, json!({}))?))
    }
}

impl Ask for proto::SetPayloadPoints {
    const NAME: &'static str = "SetPayloadPoints";

    fn body(self) -> Result<(String, Value)> {
        let payload = object(self.payload, "payload")?;
        Ok((self.collection_name, selected(self.points_selector, json!({ "payload": payload }))?))
    }
}

impl Ask for proto::DeletePayloadPoints {
    const NAME: &'static str = "DeletePayloadPoints";

    fn body(self) -> Result<(String, Value)> {
        Ok((self.collection_name, selected(self.points_selector, json!({ "keys": self.keys }))?))
    }
}

impl Ask for proto::ClearPayloadPoints {
    const NAME: &'static str = "ClearPayloadPoints";

    fn body(self) -> Result<(String, Value)> {
        Ok((self.collection_name, selected(self.points, json!({}))?))
    }
}

fn with_payload(selector: Option<proto::WithPayloadSelector>) -> Value {
    use proto::with_payload_selector::SelectorOptions as Of;
    match selector.and_then(|selector| selector.selector_options) {
        None => Value::Null,
        Some(Of::Enable(wanted)) => json!(wanted),
        Some(Of::Include(only)) => json!({ "include": only.fields }),
        Some(Of::Exclude(without)) => json!({ "exclude": without.fields }),
    }
}

fn with_vectors(selector: Option<proto::WithVectorsSelector>) -> Value {
    use proto::with_vectors_selector::SelectorOptions as Of;
    match selector.and_then(|selector| selector.selector_options) {
        None => Value::Null,
        Some(Of::Enable(wanted)) => json!(wanted),
        Some(Of::Include(only)) => json!(only.names),
    }
}

impl Ask for proto::GetPoints {
    const NAME: &'static str = "GetPoints";

    fn body(self) -> Result<(String, Value)> {
        let body = json!({
            "ids": ids(self.ids),
            "with_payload": with_payload(self.with_payload),
            "with_vector": with_vectors(self.with_vectors),
        });
        Ok((self.collection_name, body))
    }
}

impl Ask for proto::ScrollPoints {
    const NAME: &'static str = "ScrollPoints";

    fn body(self) -> Result<(String, Value)> {
        let body = json!({
            "filter": filter(self.filter)?,
            "offset": id(self.offset),
            "limit": self.limit,
            "order_by": self.order_by.map(order).transpose()?,
            "with_payload": with_payload(self.with_payload),
            "with_vector": with_vectors(self.with_vectors),
        });
        Ok((self.collection_name, body))
    }
}

fn order(by: proto::OrderBy) -> Result<Value> {
    use proto::start_from::Value as From;
    let direction = by.direction.map(|direction| match proto::Direction::try_from(direction) {
        Ok(direction) => direction.as_str_name().to_lowercase(),
        Err(_) => direction.to_string(),
    });
    let place = "order_by.start_from";
    let from = match by.start_from.and_then(|from| from.value) {
        None => Value::Null,
        Some(From::Float(from)) => number(from, place)?,
        Some(From::Integer(from)) => json!(from),
        Some(From::Datetime(from)) => json!(from),
        Some(From::Timestamp(from)) => time(Some(from), place)?,
    };
    Ok(json!({"key": by.key, "direction": direction, "start_from": from}))
}

impl Ask for proto::CountPoints {
    const NAME: &'static str = "CountPoints";

    fn body(self) -> Result<(String, Value)> {
        let body = json!({"filter": filter(self.filter)?, "exact": self.exact});
        Ok((self.collection_name, body))
    }
}

impl Ask for proto::FacetCounts {
    const NAME: &'static str = "FacetCounts";

    fn body(self) -> Result<(String, Value)> {
        let body = json!({
            "key": self.key,
            "filter": filter(self.filter)?,
            "limit": self.limit,
            "exact": self.exact,
        });
        Ok((self.collection_name, body))
    }
}

fn query(query: Option<proto::Query>) -> Result<Value> {
    use proto::query::Variant as Of;
    Ok(match query.and_then(|query| query.variant) {
        Some(Of::Nearest(input)) => near(input)?,
        Some(Of::NearestWithMmr(both)) => {
            let nearest = both.nearest.map(near).transpose()?;
            json!({"nearest": nearest, "mmr": both.mmr.map(diverse).transpose()?})
        }
        // Others are refused before.
        _ => Value::Null,
    })
}

fn diverse(mmr: proto::Mmr) -> Result<Value> {
    let diversity = mmr.diversity.map(|d| number(d.into(), "query.mmr.diversity")).transpose()?;
    Ok(json!({"diversity": diversity, "candidates_limit": mmr.candidates_limit}))
}

fn near(input: proto::VectorInput) -> Result<Value> {
    use proto::vector_input::Variant as Of;
    match input.variant {
        Some(Of::Id(of)) => Ok(id(Some(of))),
        Some(Of::Dense(dense)) => vector(dense.data, "query"),
        // Others are refused before.
        _ => Ok(Value::Null),
    }
}

fn params(params: Option<proto::SearchParams>) -> Value {
    params.map_or(Value::Null, |params| {
        json!({
            "hnsw_ef": params.hnsw_ef,
            "exact": params.exact,
            "indexed_only": params.indexed_only,
        })
    })
}

fn threshold(score: Option<f32>) -> Result<Value> {
    score.map_or(Ok(Value::Null), |score| number(score.into(), "score_threshold"))
}

impl Ask for proto::QueryPoints {
    const NAME: &'static str = "QueryPoints";

    fn body(self) -> Result<(String, Value)> {
        let body = json!({
            "query": query(self.query)?,
            "using": self.using,
            "filter": filter(self.filter)?,
            "params": params(self.params),
            "score_threshold": threshold(self.score_threshold)?,
            "limit": self.limit,
            "offset": self.offset,
            "with_payload": with_payload(self.with_payload),
            "with_vector": with_vectors(self.with_vectors),
        });
        Ok((self.collection_name, body))
    }
}

impl Ask for proto::QueryPointGroups {
    const NAME: &'static str = "QueryPointGroups";

    fn body(self) -> Result<(String, Value)> {
        let body = json!({
            "query": query(self.query)?,
            "using": self.using,
            "filter": filter(self.filter)?,
            "params": params(self.params),
            "score_threshold": threshold(self.score_threshold)?,
            "limit": self.limit,
            "group_by": self.group_by,
            "group_size": self.group_size,
            "with_payload": with_payload(self.with_payload),
            "with_vector": with_vectors(self.with_vectors),
        });
        Ok((self.collection_name, body))
    }
}

impl Ask for proto::SearchPoints {
    const NAME: &'static str = "SearchPoints";

    fn body(self) -> Result<(String, Value)> {
        let body = json!({
            "vector": vector(self.vector, "vector")?,
            "using": self.vector_name,
            "filter": filter(self.filter)?,
            "params": params(self.params),
            "score_threshold": threshold(self.score_threshold)?,
            "limit": self.limit,
            "offset": self.offset,
            "with_payload": with_payload(self.with_payload),
            "with_vector": with_vectors(self.with_vectors),
        });
        Ok((self.collection_name, body))
    }
}

impl Ask for proto::SearchPointGroups {
    const NAME: &'static str = "SearchPointGroups";

    fn body(self) -> Result<(String, Value)> {
        let body = json!({
            "vector": vector(self.vector, "vector")?,
            "using": self.vector_name,
            "filter": filter(self.filter)?,
            "params": params(self.params),
            "score_threshold": threshold(self.score_threshold)?,
            "limit": self.limit,
            "group_by": self.group_by,
            "group_size": self.group_size,
            "with_payload": with_payload(self.with_payload),
            "with_vector": with_vectors(self.with_vectors),
        });
        Ok((self.collection_name, body))
    }
}

/// Searches of one collection, in one message.
fn batch<M: Ask>(collection: String, searches: Vec<M>, name: &str) -> Result<(String, Value)> {
    let one = |(at, search): (usize, M)| {
        let (own, body) = search.body()?;
        if !own.is_empty() && own != collection {
            let place = format!("{name}[{at}].collection_name");
            let message = format!("{place} is `{own}`, the batch is of `{collection}`");
            return Err(Problem::invalid(place, message));
        }
        Ok(body)
    };
    let searches = searches.into_iter().enumerate().map(one).collect::<Result<Value>>()?;
    Ok((collection, json!({ "searches": searches })))
}

impl Ask for proto::QueryBatchPoints {
    const NAME: &'static str = "QueryBatchPoints";

    fn body(self) -> Result<(String, Value)> {
        batch(self.collection_name, self.query_points, "query_points")
    }
}

impl Ask for proto::SearchBatchPoints {
    const NAME: &'static str = "SearchBatchPoints";

    fn body(self) -> Result<(String, Value)> {
        batch(self.collection_name, self.search_points, "search_points")
    }
}
