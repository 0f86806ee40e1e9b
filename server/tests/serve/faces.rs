//! The same requests to the library, over HTTP and over gRPC, with answers in one form.
//!
//! A request is the JSON that HTTP takes; an answer is the JSON that HTTP gives, with floats as
//! the shortest text of their 32 bits.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};
use tonic::transport::{Channel, Endpoint};
use vecstore::{
    Codes, Collection, CollectionOptions, Database, Include, Precision, RecordId, StoredRecord,
};

use super::http;
use super::proto::{self, vec_store_client::VecStoreClient};

/// A failure: its kind and field.
pub type Failure = (String, Option<String>);

/// A way to use a database.
pub trait Face {
    fn name(&self) -> &'static str;
    fn ask(&self, operation: &str, collection: &str, body: &Value) -> Result<Value, Failure>;
}

fn number(x: f64) -> Value {
    // A message can't tell -0 from 0.
    json!((x as f32 + 0.0).to_string())
}

/// A page; with its cursor where that is needed, which is in the order of a field.
fn paged(body: &Value, records: Vec<Value>, next: Value, cursor: Option<String>) -> Value {
    let mut page = json!({"records": records, "next": next});
    if body["order_by"].is_string() {
        page["cursor"] = json!(cursor);
    }
    page
}

fn list(body: &Value) -> Vec<Value> {
    body.as_array().cloned().unwrap_or_default()
}

fn text(body: &Value) -> String {
    body.as_str().unwrap_or_default().to_owned()
}

fn vector(body: &Value) -> Vec<f32> {
    list(body).iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

// ---- the library

pub struct Embedded(pub Database);

fn id(value: &Value) -> RecordId {
    match value {
        Value::Number(n) => n.as_u64().unwrap().into(),
        Value::String(s) => match s.parse() {
            Ok(id @ RecordId::Uuid(_)) => id,
            _ => s.as_str().into(),
        },
        other => panic!("{other}"),
    }
}

fn id_json(id: &RecordId) -> Value {
    match id {
        RecordId::U64(n) => json!(n),
        other => json!(other.to_string()),
    }
}

fn include(body: &Value) -> Include {
    match body.as_array() {
        None => Include::default(),
        Some(items) => Include {
            metadata: items.contains(&json!("metadata")),
            vector: items.contains(&json!("vector")),
        },
    }
}

fn record_json(record: &StoredRecord, include: &Include) -> Value {
    let mut shown = json!({"id": id_json(&record.id)});
    if include.metadata {
        shown["metadata"] = Value::Object(record.metadata.clone());
    }
    if include.vector {
        shown["vector"] = record.vector.iter().map(|&x| number(x.into())).collect();
    }
    shown
}

fn params(body: &Value) -> Map<String, Value> {
    body["params"].as_object().cloned().unwrap_or_default()
}

impl Embedded {
    fn docs(&self, collection: &str, body: &Value) -> vecstore::Result<Collection> {
        self.0.collection(collection)?.namespace(&text(&body["namespace"]))
    }

    fn run(&self, operation: &str, collection: &str, body: &Value) -> vecstore::Result<Value> {
        let docs = || self.docs(collection, body);
        Ok(match operation {
            "create" => {
                let metric = text(&body["metric"]).parse().unwrap_or(vecstore::Metric::Cosine);
                let mut options =
                    CollectionOptions::new(body["dim"].as_u64().unwrap() as usize, metric);
                if let Some(m) = body["m"].as_u64() {
                    options = options.m(m as usize);
                }
                if let Some(index) = body["index"].as_str() {
                    options = options.index(index.parse()?);
                }
                if let Some(precision) = body["precision"].as_str() {
                    options = options.precision(precision.parse::<Precision>()?);
                }
                if let Some(codes) = body["codes"].as_str() {
                    options = options.codes(codes.parse::<Codes>()?);
                }
                let names = |name: &str| list(&body[name]).iter().map(text).collect::<Vec<_>>();
                options =
                    names("unindexed").iter().fold(options, |options, f| options.unindexed(f));
                options = names("dates").iter().fold(options, |options, f| options.date(f));
                let most = |name: &str| body[name].as_u64().map(|n| n as usize);
                if let Some(most) = most("fields_max") {
                    options = options.fields_max(most);
                }
                if let Some(most) = most("strings_max") {
                    options = options.strings_max(most);
                }
                if let Some(most) = most("string_bytes_max") {
                    options = options.string_bytes_max(most);
                }
                let made = self.0.create_collection(collection, options)?;
                json!({"dim": made.settings().dim(), "metric": made.settings().metric().name()})
            }
            "settings" => {
                let docs = docs()?;
                let settings = docs.settings();
                json!({
                    "index": settings.index_option().name(),
                    "precision": settings.vector_precision().name(),
                    "codes": settings.kept_codes().name(),
                    "unindexed": settings.unindexed_fields().collect::<Vec<_>>(),
                    "dates": settings.date_fields().collect::<Vec<_>>(),
                })
            }
            "quota" => {
                let docs = docs()?;
                let of_all = body["namespace"].is_null();
                json!(if of_all { docs.quota()? } else { docs.namespace_quota()? })
            }
            "set_quota" => {
                let docs = docs()?;
                let quota = serde_json::from_value(body["quota"].clone()).unwrap();
                match body["namespace"].is_null() {
                    true => docs.set_quota(quota)?,
                    false => docs.set_namespace_quota(quota)?,
                }
                json!({})
            }
            "query_groups" => {
                let docs = docs()?;
                let (near, field) = (vector(&body["vector"]), text(&body["group_by"]));
                let filter = text(&body["filter"]);
                let mut query = docs.query(&near).include(include(&body["include"]));
                if body["filter"].is_string() {
                    query = query.filter(&filter);
                }
                for (name, value) in params(body) {
                    query = query.bind(&name, value);
                }
                if let Some(k) = body["k"].as_u64() {
                    query = query.k(k as usize);
                }
                let size = body["group_size"].as_u64().unwrap_or(1) as usize;
                let found = query.group_by(&field).group_size(size).run()?;
                let group = |group: &vecstore::Group| {
                    let hits: Vec<Value> = group.hits.iter().map(|h| id_json(&h.id)).collect();
                    json!({"value": group.value, "hits": hits})
                };
                let groups: Vec<Value> = found.groups.iter().map(group).collect();
                json!({"groups": groups, "complete": found.complete})
            }
            "drop" => {
                self.0.drop_collection(collection)?;
                json!({})
            }
            "list" => json!(self.0.collections()?),
            "upsert" => {
                let records: Vec<vecstore::Record> = list(&body["records"])
                    .iter()
                    .map(|r| {
                        let metadata = r.get("metadata").cloned().unwrap_or_else(|| json!({}));
                        vecstore::Record::new(id(&r["id"]), vector(&r["vector"])).metadata(metadata)
                    })
                    .collect();
                let count = records.len();
                docs()?.batch_upsert(records)?;
                json!({"records": count})
            }
            "get" => {
                let ids: Vec<RecordId> = list(&body["ids"]).iter().map(id).collect();
                let include = include(&body["include"]);
                let found = docs()?.get_many(&ids, &include)?;
                found
                    .iter()
                    .map(|r| r.as_ref().map_or(Value::Null, |r| record_json(r, &include)))
                    .collect()
            }
            "remove" => {
                let docs = docs()?;
                let removed = match body.get("ids") {
                    Some(ids) => docs.remove_many(&list(ids).iter().map(id).collect::<Vec<_>>())?,
                    None => {
                        let filter = text(&body["filter"]);
                        docs.select(filter.as_str()).bind_all(params(body)).remove()?
                    }
                };
                json!({"removed": removed})
            }
            "update" => {
                let docs = docs()?;
                let patch = body["patch"].clone();
                let updated = match body.get("ids") {
                    Some(ids) => {
                        docs.update_many(&list(ids).iter().map(id).collect::<Vec<_>>(), patch)?
                    }
                    None => {
                        let filter = text(&body["filter"]);
                        docs.select(filter.as_str()).bind_all(params(body)).update(patch)?
                    }
                };
                json!({"updated": updated})
            }
            "remove_namespace" => {
                let name = text(&body["namespace"]);
                json!({"removed": self.0.collection(collection)?.remove_namespace(&name)?})
            }
            "count" => {
                let filter = body["filter"].as_str();
                json!({"count": docs()?.select(filter).bind_all(params(body)).count()?})
            }
            "scroll" => {
                let docs = docs()?;
                let include = include(&body["include"]);
                let filter = text(&body["filter"]);
                let mut scroll = docs.scroll().include(include.clone());
                if body["filter"].is_string() {
                    scroll = scroll.filter(&filter);
                }
                if let Some(limit) = body["limit"].as_u64() {
                    scroll = scroll.limit(limit as usize);
                }
                if !body["after"].is_null() {
                    scroll = scroll.after(id(&body["after"]));
                }
                for (name, value) in params(body) {
                    scroll = scroll.bind(&name, value);
                }
                let field = text(&body["order_by"]);
                match (body["order_by"].is_string(), body["descending"] == true) {
                    (true, true) => scroll = scroll.order_by_descending(&field),
                    (true, false) => scroll = scroll.order_by(&field),
                    _ => {}
                }
                if let Some(cursor) = body["resume"].as_str() {
                    scroll = scroll.resume(cursor.parse()?);
                }
                let page = scroll.run()?;
                let records: Vec<Value> =
                    page.records.iter().map(|r| record_json(r, &include)).collect();
                let cursor = page.cursor.map(|cursor| cursor.to_string());
                paged(body, records, json!(page.next.as_ref().map(id_json)), cursor)
            }
            "facet" => {
                let docs = docs()?;
                let field = text(&body["field"]);
                let mut facet = docs.facet(&field);
                if let Some(limit) = body["limit"].as_u64() {
                    facet = facet.limit(limit as usize);
                }
                let counts = facet.run()?;
                let values: Vec<Value> = counts
                    .values
                    .iter()
                    .map(|v| json!({"value": v.value, "count": v.count}))
                    .collect();
                json!({"values": values, "distinct": counts.distinct})
            }
            "query" => {
                let docs = docs()?;
                let include = include(&body["include"]);
                let near = vector(&body["vector"]);
                let filter = text(&body["filter"]);
                let mut query = docs.query(&near).include(include.clone());
                if body["filter"].is_string() {
                    query = query.filter(&filter);
                }
                for (name, value) in params(body) {
                    query = query.bind(&name, value);
                }
                if let Some(k) = body["k"].as_u64() {
                    query = query.k(k as usize);
                }
                if let Some(ef) = body["ef"].as_u64() {
                    query = query.ef(ef as usize);
                }
                if let Some(recall) = body["recall"].as_f64() {
                    query = query.recall(recall as f32);
                }
                if body["exact"] == true {
                    query = query.exact();
                }
                if let Some(score) = body["score_threshold"].as_f64() {
                    query = query.score_threshold(score as f32);
                }
                let result = query.run()?;
                let hits: Vec<Value> = result
                    .iter()
                    .map(|hit| {
                        let stored = StoredRecord {
                            id: hit.id.clone(),
                            vector: hit.vector.clone(),
                            metadata: hit.metadata.clone(),
                            seq: 0,
                        };
                        let mut shown = record_json(&stored, &include);
                        shown["score"] = number(hit.score.into());
                        shown["distance"] = number(hit.distance.into());
                        shown
                    })
                    .collect();
                json!({"hits": hits, "complete": result.complete})
            }
            "namespaces" => {
                let all = self.0.collection(collection)?.namespaces()?;
                all.iter().map(|(name, n)| json!({"name": name, "records": n})).collect()
            }
            "create_snapshot" => {
                let made = self.0.create_snapshot(collection)?;
                json!({"name": made.name, "records": made.records})
            }
            "restore_snapshot" => {
                self.0.restore_snapshot(collection)?;
                json!({})
            }
            "remove_snapshot" => {
                self.0.remove_snapshot(collection)?;
                json!({})
            }
            other => panic!("{other}"),
        })
    }
}

impl Face for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn ask(&self, operation: &str, collection: &str, body: &Value) -> Result<Value, Failure> {
        self.run(operation, collection, body)
            .map_err(|e| (e.kind().name().to_owned(), e.field().map(str::to_owned)))
    }
}

// ---- HTTP

pub struct Http(pub SocketAddr);

/// Floats of vectors, scores and distances become text.
fn shorten(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(map) => {
            for (name, value) in map {
                match (name.as_str(), &mut *value) {
                    ("score" | "distance", Value::Number(n)) => {
                        *value = number(n.as_f64().unwrap())
                    }
                    ("vector", Value::Array(items)) => {
                        items.iter_mut().for_each(|x| *x = number(x.as_f64().unwrap()));
                    }
                    ("metadata", _) => {}
                    (_, value) => shorten(value),
                }
            }
        }
        _ => {}
    }
}

impl Face for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn ask(&self, operation: &str, name: &str, body: &Value) -> Result<Value, Failure> {
        let collection = format!("/v1/collections/{}", name.replace(' ', "%20"));
        let snapshot = format!("/v1/snapshots/{}", name.replace(' ', "%20"));
        let body_given = body;
        let (method, path, body) = match operation {
            "create" => ("PUT", collection, body),
            "drop" => ("DELETE", collection, &Value::Null),
            "settings" => ("GET", collection, &Value::Null),
            "query_groups" => ("POST", collection + "/query/groups", body),
            "set_quota" => ("PUT", collection + "/quota", body),
            "quota" => match body["namespace"].as_str() {
                Some(name) => ("GET", format!("{collection}/quota?namespace={name}"), &Value::Null),
                None => ("GET", collection + "/quota", &Value::Null),
            },
            "list" => ("GET", "/v1/collections".to_owned(), &Value::Null),
            "upsert" => ("POST", collection + "/records", body),
            "remove_namespace" => {
                let name = text(&body["namespace"]).replace('/', "%2F");
                ("DELETE", format!("{collection}/namespaces/{name}"), &Value::Null)
            }
            "get" | "remove" | "update" | "scroll" => {
                ("POST", format!("{collection}/records/{operation}"), body)
            }
            "namespaces" => ("GET", collection + "/namespaces", &Value::Null),
            "create_snapshot" => ("PUT", snapshot, &Value::Null),
            "restore_snapshot" => ("POST", snapshot + "/restore", &Value::Null),
            "remove_snapshot" => ("DELETE", snapshot, &Value::Null),
            _ => ("POST", format!("{collection}/{operation}"), body),
        };
        let answer = http::ask(self.0, method, &path, body);
        let mut json = answer.json();
        if answer.status >= 300 {
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            assert_eq!(json["status"], answer.status);
            assert_eq!(json["request_id"].as_str(), answer.header("x-request-id"));
            let field = json["field"].as_str().map(plain_field);
            return Err((text(&json["code"]), field));
        }
        shorten(&mut json);
        Ok(match operation {
            "create" => {
                let made = &json["collection"];
                json!({"dim": made["dim"], "metric": made["metric"]})
            }
            "list" => list(&json["collections"]).iter().map(|c| c["name"].clone()).collect(),
            "upsert" => json!({"records": json["records"]}),
            "get" => json["records"].clone(),
            "settings" => json!({
                "index": json["index"], "precision": json["precision"], "codes": json["codes"],
                "unindexed": json["unindexed"], "dates": json["dates"],
            }),
            "set_quota" => json!({}),
            "quota" => bounds(&json),
            "query_groups" => {
                let group = |group: &Value| {
                    let hits = list(&group["hits"]).iter().map(|hit| hit["id"].clone()).collect();
                    json!({"value": group["value"], "hits": Value::Array(hits)})
                };
                let groups: Vec<Value> = list(&json["groups"]).iter().map(group).collect();
                json!({"groups": groups, "complete": json["complete"]})
            }
            "scroll" => {
                let cursor = json["cursor"].as_str().map(str::to_owned);
                paged(body_given, list(&json["records"]), json["next"].clone(), cursor)
            }
            "namespaces" => {
                let all = list(&json["namespaces"]);
                assert!(all.iter().all(|n| n["bytes"].as_u64().unwrap() > 0), "{json}");
                let shown = |n: &Value| json!({"name": n["name"], "records": n["records"]});
                all.iter().map(shown).collect()
            }
            "create_snapshot" => json!({"name": json["name"], "records": json["records"]}),
            _ => json,
        })
    }
}

/// What is bounded.
fn bounds(quota: &Value) -> Value {
    let all = quota.as_object().unwrap().iter();
    Value::Object(all.filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect())
}

/// `records[3].vector` is `vector` in the library, which has no list of records in JSON.
fn plain_field(field: &str) -> String {
    field.rsplit('.').next().unwrap_or(field).to_owned()
}

// ---- gRPC

pub struct Grpc {
    runtime: tokio::runtime::Runtime,
    pub channel: Channel,
    pub client: VecStoreClient<Channel>,
}

impl Grpc {
    pub fn connect(to: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{to}")).unwrap();
        let channel = runtime.block_on(endpoint.connect()).expect("a connection");
        Grpc { runtime, client: VecStoreClient::new(channel.clone()), channel }
    }

    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

pub fn id_message(value: &Value) -> proto::RecordId {
    use proto::record_id::Id as Kind;
    let id = match id(value) {
        RecordId::U64(n) => Kind::Number(n),
        RecordId::Uuid(u) => Kind::Uuid(u.to_string()),
        RecordId::Str(s) => Kind::Text(s.into()),
    };
    proto::RecordId { id: Some(id) }
}

fn id_of(message: &Option<proto::RecordId>) -> Value {
    use proto::record_id::Id as Kind;
    match message.as_ref().and_then(|m| m.id.as_ref()) {
        Some(Kind::Number(n)) => json!(n),
        Some(Kind::Uuid(t) | Kind::Text(t)) => json!(t),
        None => Value::Null,
    }
}

fn value_message(value: &Value) -> proto::Value {
    use proto::value::Kind;
    let kind = match value {
        Value::Null => Kind::Null(true),
        Value::Bool(b) => Kind::Boolean(*b),
        Value::Number(n) if n.is_i64() => Kind::Integer(n.as_i64().unwrap()),
        Value::Number(n) => Kind::Number(n.as_f64().unwrap()),
        Value::String(s) => Kind::Text(s.clone()),
        Value::Array(items) => {
            Kind::List(proto::List { items: items.iter().map(value_message).collect() })
        }
        Value::Object(map) => Kind::Object(object_message(map)),
    };
    proto::Value { kind: Some(kind) }
}

pub fn object_message(map: &Map<String, Value>) -> proto::Object {
    proto::Object { fields: map.iter().map(|(k, v)| (k.clone(), value_message(v))).collect() }
}

fn value_of(message: &proto::Value) -> Value {
    use proto::value::Kind;
    match message.kind.as_ref().unwrap() {
        Kind::Null(_) => Value::Null,
        Kind::Boolean(b) => json!(b),
        Kind::Integer(n) => json!(n),
        Kind::Number(n) => json!(n),
        Kind::Text(t) => json!(t),
        Kind::List(list) => list.items.iter().map(value_of).collect(),
        Kind::Object(object) => object_of(object),
    }
}

fn object_of(object: &proto::Object) -> Value {
    Value::Object(object.fields.iter().map(|(k, v)| (k.clone(), value_of(v))).collect())
}

/// Vectors go as floats and as raw bytes in turn.
pub fn vector_message(values: Vec<f32>) -> proto::Vector {
    if values.len().is_multiple_of(2) {
        return proto::Vector { values, raw: Vec::new() };
    }
    proto::Vector { values: Vec::new(), raw: values.iter().flat_map(|x| x.to_le_bytes()).collect() }
}

pub fn record_message(record: &Value) -> proto::Record {
    proto::Record {
        id: Some(id_message(&record["id"])),
        vector: Some(vector_message(vector(&record["vector"]))),
        metadata: record["metadata"].as_object().map(object_message),
    }
}

fn filter_message(body: &Value) -> Option<proto::Filter> {
    let expression = body["filter"].as_str()?.to_owned();
    let params = params(body).iter().map(|(k, v)| (k.clone(), value_message(v))).collect();
    Some(proto::Filter { expression, params })
}

fn include_message(body: &Value) -> Option<proto::Include> {
    let items = body["include"].as_array()?.iter().map(text).collect();
    Some(proto::Include { items })
}

fn stored(id: &Option<proto::RecordId>, metadata: &Option<proto::Object>, vector: &[f32]) -> Value {
    let mut shown = json!({"id": id_of(id)});
    if let Some(metadata) = metadata {
        shown["metadata"] = object_of(metadata);
    }
    if !vector.is_empty() {
        shown["vector"] = vector.iter().map(|&x| number(x.into())).collect();
    }
    shown
}

fn page_parts(page: &proto::ScrollResponse) -> (Vec<Value>, Value) {
    let records = page.records.iter().map(|r| stored(&r.id, &r.metadata, &r.vector)).collect();
    (records, id_of(&page.next))
}

pub fn page_json(page: &proto::ScrollResponse) -> Value {
    let (records, next) = page_parts(page);
    json!({"records": records, "next": next})
}

pub fn answer_json(answer: &proto::QueryResponse) -> Value {
    let hit = |h: &proto::Hit| {
        let mut shown = stored(&h.id, &h.metadata, &h.vector);
        shown["score"] = number(h.score.into());
        shown["distance"] = number(h.distance.into());
        shown
    };
    json!({"hits": answer.hits.iter().map(hit).collect::<Vec<_>>(), "complete": answer.complete})
}

pub fn query_message(collection: &str, body: &Value) -> proto::QueryRequest {
    let small = |name: &str| body[name].as_u64().map(|n| n as u32);
    proto::QueryRequest {
        collection: collection.to_owned(),
        namespace: text(&body["namespace"]),
        vector: body["vector"].is_array().then(|| vector_message(vector(&body["vector"]))),
        like: (!body["like"].is_null()).then(|| id_message(&body["like"])),
        options: Some(proto::SearchOptions {
            k: small("k"),
            filter: filter_message(body),
            ef: small("ef"),
            recall: body["recall"].as_f64().map(|r| r as f32),
            exact: body["exact"].as_bool(),
            score_threshold: body["score_threshold"].as_f64().map(|s| s as f32),
            include: include_message(body),
        }),
        explain: body["explain"] == true,
    }
}

pub fn kind_and_field(status: &tonic::Status) -> Failure {
    let get = |name: &str| status.metadata().get(name).and_then(|v| v.to_str().ok());
    let kind = get("vecstore-kind").unwrap_or_else(|| panic!("{status:?}")).to_owned();
    (kind, get("vecstore-field").map(plain_field))
}

impl Grpc {
    async fn run(&self, operation: &str, name: &str, body: &Value) -> Result<Value, tonic::Status> {
        let mut client = self.client.clone();
        let (collection, namespace) = (name.to_owned(), text(&body["namespace"]));
        let small = |name: &str| body[name].as_u64().map(|n| n as u32);
        Ok(match operation {
            "create" => {
                let request = proto::CreateCollectionRequest {
                    name: collection,
                    dim: small("dim").unwrap(),
                    metric: text(&body["metric"]),
                    m: small("m"),
                    index: text(&body["index"]),
                    precision: text(&body["precision"]),
                    codes: text(&body["codes"]),
                    unindexed: list(&body["unindexed"]).iter().map(text).collect(),
                    dates: list(&body["dates"]).iter().map(text).collect(),
                    fields_max: small("fields_max"),
                    strings_max: small("strings_max"),
                    string_bytes_max: small("string_bytes_max"),
                    ..Default::default()
                };
                let made =
                    client.create_collection(request).await?.into_inner().collection.unwrap();
                json!({"dim": made.dim, "metric": made.metric})
            }
            "settings" => {
                let request = proto::GetCollectionRequest { name: collection };
                let info = client.get_collection(request).await?.into_inner();
                json!({
                    "index": info.index, "precision": info.precision, "codes": info.codes,
                    "unindexed": info.unindexed, "dates": info.dates,
                })
            }
            "quota" => {
                let namespace = body["namespace"].as_str().map(str::to_owned);
                let request = proto::GetQuotaRequest { collection, namespace };
                let quota = client.get_quota(request).await?.into_inner();
                bounds(&json!({
                    "records": quota.records,
                    "bytes": quota.bytes,
                    "batch_records": quota.batch_records,
                    "results": quota.results,
                }))
            }
            "set_quota" => {
                let namespace = body["namespace"].as_str().map(str::to_owned);
                let most = |name: &str| body["quota"][name].as_u64();
                let quota = Some(proto::Quota {
                    records: most("records"),
                    bytes: most("bytes"),
                    batch_records: most("batch_records"),
                    results: most("results"),
                });
                client.set_quota(proto::SetQuotaRequest { collection, namespace, quota }).await?;
                json!({})
            }
            "query_groups" => {
                let proto::QueryRequest { vector, like, options, .. } = query_message(name, body);
                let request = proto::QueryGroupsRequest {
                    collection,
                    namespace,
                    vector,
                    like,
                    options,
                    group_by: text(&body["group_by"]),
                    group_size: small("group_size"),
                };
                let found = client.query_groups(request).await?.into_inner();
                let group = |group: &proto::Group| {
                    let hits: Vec<Value> = group.hits.iter().map(|hit| id_of(&hit.id)).collect();
                    json!({"value": value_of(group.value.as_ref().unwrap()), "hits": hits})
                };
                let groups: Vec<Value> = found.groups.iter().map(group).collect();
                json!({"groups": groups, "complete": found.complete})
            }
            "drop" => {
                client.drop_collection(proto::DropCollectionRequest { name: collection }).await?;
                json!({})
            }
            "list" => {
                let all = client.list_collections(proto::ListCollectionsRequest {}).await?;
                all.into_inner().collections.iter().map(|c| json!(c.name)).collect()
            }
            "upsert" => {
                let records = list(&body["records"]).iter().map(record_message).collect();
                let request = proto::UpsertRequest { collection, namespace, records };
                json!({"records": client.upsert(request).await?.into_inner().records})
            }
            "get" => {
                let request = proto::GetRequest {
                    collection,
                    namespace,
                    ids: list(&body["ids"]).iter().map(id_message).collect(),
                    include: include_message(body),
                };
                let got = client.get(request).await?.into_inner();
                got.records
                    .iter()
                    .map(|place| {
                        let record = place.record.as_ref();
                        record.map_or(Value::Null, |r| stored(&r.id, &r.metadata, &r.vector))
                    })
                    .collect()
            }
            "remove" => {
                let request = proto::RemoveRequest {
                    collection,
                    namespace,
                    ids: list(&body["ids"]).iter().map(id_message).collect(),
                    filter: filter_message(body),
                };
                json!({"removed": client.remove(request).await?.into_inner().removed})
            }
            "update" => {
                let request = proto::UpdateRequest {
                    collection,
                    namespace,
                    ids: list(&body["ids"]).iter().map(id_message).collect(),
                    filter: filter_message(body),
                    patch: body["patch"].as_object().map(object_message),
                };
                json!({"updated": client.update(request).await?.into_inner().updated})
            }
            "remove_namespace" => {
                let request = proto::RemoveNamespaceRequest { collection, namespace };
                json!({"removed": client.remove_namespace(request).await?.into_inner().removed})
            }
            "count" => {
                let filter = filter_message(body);
                let request = proto::CountRequest { collection, namespace, filter };
                json!({"count": client.count(request).await?.into_inner().count})
            }
            "scroll" => {
                let request = proto::ScrollRequest {
                    collection,
                    namespace,
                    filter: filter_message(body),
                    limit: small("limit"),
                    order_by: body["order_by"].as_str().map(str::to_owned),
                    descending: body["descending"] == true,
                    after: (!body["after"].is_null()).then(|| id_message(&body["after"])),
                    resume: body["resume"].as_str().map(str::to_owned),
                    include: include_message(body),
                };
                let page = client.scroll(request).await?.into_inner();
                let (records, next) = page_parts(&page);
                paged(body, records, next, page.cursor)
            }
            "facet" => {
                let request = proto::FacetRequest {
                    collection,
                    namespace,
                    field: text(&body["field"]),
                    filter: filter_message(body),
                    limit: small("limit"),
                };
                let counts = client.facet(request).await?.into_inner();
                let values: Vec<Value> = counts
                    .values
                    .iter()
                    .map(
                        |v| json!({"value": value_of(v.value.as_ref().unwrap()), "count": v.count}),
                    )
                    .collect();
                json!({"values": values, "distinct": counts.distinct})
            }
            "query" => answer_json(&client.query(query_message(name, body)).await?.into_inner()),
            "namespaces" => {
                let request = proto::ListNamespacesRequest { collection };
                let all = client.list_namespaces(request).await?.into_inner().namespaces;
                all.iter().map(|n| json!({"name": n.name, "records": n.records})).collect()
            }
            "create_snapshot" => {
                let request = proto::CreateSnapshotRequest { name: collection };
                let made = client.create_snapshot(request).await?.into_inner();
                json!({"name": made.name, "records": made.records})
            }
            "restore_snapshot" => {
                let request = proto::RestoreSnapshotRequest { name: collection };
                client.restore_snapshot(request).await?;
                json!({})
            }
            "remove_snapshot" => {
                let request = proto::RemoveSnapshotRequest { name: collection };
                client.remove_snapshot(request).await?;
                json!({})
            }
            other => panic!("{other}"),
        })
    }
}

impl Face for Grpc {
    fn name(&self) -> &'static str {
        "grpc"
    }

    fn ask(&self, operation: &str, collection: &str, body: &Value) -> Result<Value, Failure> {
        self.wait(self.run(operation, collection, body)).map_err(|s| kind_and_field(&s))
    }
}
