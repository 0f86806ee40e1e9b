//! Messages to requests and answers to messages.

use serde_json::{Map, Number, Value};
use vecstore::RecordId;

use super::proto;
use crate::grouped::{Groups, ShownGroup};
use crate::records::ShownRecord;
use crate::service::model::{self, Id, Params, SearchOptions};
use crate::service::{Problem, Result};

/// Objects and lists within each other that are read, as deep as metadata may be.
const DEPTH_MAX: usize = vecstore::limits::METADATA_DEPTH_MAX + 1;

pub(super) fn id(id: Option<proto::RecordId>, field: &str) -> Result<Id> {
    use proto::record_id::Id as Kind;
    let id = match id.and_then(|id| id.id) {
        Some(Kind::Number(number)) => RecordId::U64(number),
        Some(Kind::Uuid(text)) => match text.parse() {
            Ok(id @ RecordId::Uuid(_)) => id,
            _ => return Err(Problem::invalid(field, format!("{field}: `{text}` is not a UUID"))),
        },
        Some(Kind::Text(text)) => RecordId::from(text),
        None => return Err(Problem::invalid(field, format!("{field}: the id is missing"))),
    };
    id.validate().map_err(|e| Problem::invalid(field, format!("{field}: {e}")))?;
    Ok(Id(id))
}

pub(super) fn id_message(id: RecordId) -> proto::RecordId {
    use proto::record_id::Id as Kind;
    let id = match id {
        RecordId::U64(number) => Kind::Number(number),
        RecordId::Uuid(uuid) => Kind::Uuid(uuid.to_string()),
        RecordId::Str(text) => Kind::Text(text.into()),
    };
    proto::RecordId { id: Some(id) }
}

pub(super) fn ids(ids: Vec<proto::RecordId>) -> Result<Vec<Id>> {
    let one = |(at, given)| id(Some(given), &format!("ids[{at}]"));
    ids.into_iter().enumerate().map(one).collect()
}

pub(super) fn vector(vector: Option<proto::Vector>, field: &str) -> Result<Vec<f32>> {
    let Some(proto::Vector { values, raw }) = vector else {
        return Err(Problem::invalid(field, format!("{field}: the vector is missing")));
    };
    if raw.is_empty() {
        return Ok(values);
    }
    if !values.is_empty() {
        let message = format!("{field}: give either `values` or `raw`");
        return Err(Problem::invalid(field, message));
    }
    let (whole, rest) = raw.as_chunks::<4>();
    if !rest.is_empty() {
        let message = format!("{field}: {} bytes are not a whole number of floats", raw.len());
        return Err(Problem::invalid(field, message));
    }
    Ok(whole.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
}

fn value(value: proto::Value, field: &str, depth: usize) -> Result<Value> {
    use proto::value::Kind;
    if depth > DEPTH_MAX {
        let message = format!("{field}: nested deeper than {DEPTH_MAX} levels");
        return Err(Problem::invalid(field, message));
    }
    Ok(match value.kind {
        None | Some(Kind::Null(_)) => Value::Null,
        Some(Kind::Boolean(on)) => on.into(),
        Some(Kind::Integer(number)) => number.into(),
        Some(Kind::Number(number)) => Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| Problem::invalid(field, format!("{field}: {number} is not finite")))?,
        Some(Kind::Text(text)) => text.into(),
        Some(Kind::List(list)) => {
            let items = list.items.into_iter();
            Value::Array(
                items.map(|item| self::value(item, field, depth + 1)).collect::<Result<_>>()?,
            )
        }
        Some(Kind::Object(object)) => Value::Object(fields(object.fields, field, depth + 1)?),
    })
}

fn fields(
    fields: std::collections::HashMap<String, proto::Value>,
    field: &str,
    depth: usize,
) -> Result<Map<String, Value>> {
    fields.into_iter().map(|(name, given)| Ok((name, value(given, field, depth)?))).collect()
}

pub(super) fn value_message(value: Value) -> proto::Value {
    use proto::value::Kind;
    let kind = match value {
        Value::Null => Kind::Null(true),
        Value::Bool(on) => Kind::Boolean(on),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Kind::Integer(integer),
            None => Kind::Number(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Kind::Text(text),
        Value::Array(items) => {
            Kind::List(proto::List { items: items.into_iter().map(value_message).collect() })
        }
        Value::Object(map) => Kind::Object(object_message(map)),
    };
    proto::Value { kind: Some(kind) }
}

fn object_message(map: Map<String, Value>) -> proto::Object {
    let fields = map.into_iter().map(|(name, value)| (name, value_message(value))).collect();
    proto::Object { fields }
}

pub(super) fn record(record: proto::Record, at: usize) -> Result<model::Record> {
    let field = |name: &str| format!("records[{at}].{name}");
    Ok(model::Record {
        id: id(record.id, &field("id"))?,
        vector: vector(record.vector, &field("vector"))?,
        metadata: match record.metadata {
            Some(object) => fields(object.fields, &field("metadata"), 1)?,
            None => Map::new(),
        },
    })
}

pub(super) fn object(object: proto::Object, field: &str) -> Result<Map<String, Value>> {
    fields(object.fields, field, 1)
}

/// An expression and its parameters. An empty expression is one, and refused as such.
pub(super) fn filter(filter: Option<proto::Filter>) -> Result<(Option<String>, Params)> {
    match filter {
        None => Ok((None, Params::new())),
        Some(filter) => Ok((Some(filter.expression), fields(filter.params, "params", 1)?)),
    }
}

pub(super) fn include(include: Option<proto::Include>) -> Option<Vec<String>> {
    include.map(|include| include.items)
}

pub(super) fn size(number: Option<u32>) -> Option<usize> {
    number.map(|number| number as usize)
}

pub(super) fn options(
    options: Option<proto::SearchOptions>,
    namespace: String,
) -> Result<SearchOptions> {
    let options = options.unwrap_or_default();
    let (filter, params) = filter(options.filter)?;
    Ok(SearchOptions {
        k: size(options.k),
        filter,
        params,
        ef: size(options.ef),
        recall: options.recall,
        exact: options.exact,
        score_threshold: options.score_threshold,
        include: include(options.include),
        namespace,
    })
}

pub(super) fn stored_message(record: ShownRecord) -> proto::StoredRecord {
    proto::StoredRecord {
        id: Some(id_message(record.id)),
        metadata: record.metadata.map(object_message),
        vector: record.vector.unwrap_or_default(),
    }
}

pub(super) fn hit_message(hit: ShownRecord) -> proto::Hit {
    let (score, distance) = hit.nearness.unwrap_or((f32::NAN, f32::NAN));
    proto::Hit {
        id: Some(id_message(hit.id)),
        score,
        distance,
        metadata: hit.metadata.map(object_message),
        vector: hit.vector.unwrap_or_default(),
    }
}

pub(super) fn answer_message(answer: model::QueryAnswer) -> proto::QueryResponse {
    proto::QueryResponse {
        hits: answer.hits.into_iter().map(hit_message).collect(),
        complete: answer.complete,
        plan: answer.plan.map(|plan| proto::Explanation {
            json: plan.to_string(),
            text: answer.plan_text.unwrap_or_default(),
        }),
    }
}

pub(super) fn page_message(page: model::Page) -> proto::ScrollResponse {
    proto::ScrollResponse {
        records: page.records.into_iter().map(stored_message).collect(),
        next: page.next.map(|id| id_message(id.0)),
        cursor: page.cursor,
    }
}

pub(super) fn collection_message(info: model::CollectionInfo) -> proto::CollectionInfo {
    // Each is bounded far below `u32::MAX` when the collection is created.
    let small = |number: usize| number as u32;
    proto::CollectionInfo {
        name: info.name,
        dim: small(info.dim),
        metric: info.metric,
        m: small(info.m),
        ef_construction: small(info.ef_construction),
        records: info.records,
        index: info.index,
        precision: info.precision,
        codes: info.codes,
        unindexed: info.unindexed,
        dates: info.dates,
    }
}

pub(super) fn quota(quota: proto::Quota) -> model::Quota {
    let size = |number: Option<u64>| number.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    model::Quota {
        records: quota.records,
        bytes: quota.bytes,
        batch_records: size(quota.batch_records),
        results: size(quota.results),
    }
}

pub(super) fn quota_message(quota: model::Quota) -> proto::Quota {
    let count = |number: Option<usize>| number.map(|n| n as u64);
    proto::Quota {
        records: quota.records,
        bytes: quota.bytes,
        batch_records: count(quota.batch_records),
        results: count(quota.results),
    }
}

pub(super) fn groups_message(found: Groups) -> proto::QueryGroupsResponse {
    let group = |group: ShownGroup| proto::Group {
        value: Some(value_message(group.value)),
        hits: group.hits.into_iter().map(hit_message).collect(),
    };
    proto::QueryGroupsResponse {
        groups: found.groups.into_iter().map(group).collect(),
        complete: found.complete,
        steps: found.steps,
    }
}

pub(super) fn task_message(task: model::TaskInfo) -> proto::Task {
    proto::Task {
        id: task.id,
        kind: task.kind.to_owned(),
        collection: task.collection,
        state: task.state.name().to_owned(),
        stage: task.stage.map(str::to_owned),
        done: task.done,
        total: task.total,
        started_unix_ms: task.started_unix_ms,
        seconds: task.seconds,
        report: task.report.map(|report| report.to_string()),
        error: task.error,
    }
}

pub(super) fn snapshot_message(snapshot: model::Snapshot) -> proto::Snapshot {
    proto::Snapshot {
        name: snapshot.name,
        created_unix_ms: snapshot.created_unix_ms,
        seq: snapshot.seq,
        collections: snapshot.collections as u64,
        records: snapshot.records,
        segments: snapshot.segments as u64,
        bytes: snapshot.bytes,
    }
}
