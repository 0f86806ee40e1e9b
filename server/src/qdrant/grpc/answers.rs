//! What is answered, of the JSON that REST gives.

use serde_json::Value;

use super::values::{id_message, object_message, vectors_message};
use super::{Answer, proto};
use crate::qdrant::BARE;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The elements of a list.
fn each<T>(list: Value, of: impl Fn(Value) -> T) -> Vec<T> {
    match list {
        Value::Array(items) => items.into_iter().map(of).collect(),
        _ => Vec::new(),
    }
}

impl Answer for proto::HealthCheckReply {
    fn of(result: Value, _: f64) -> Self {
        let told = &result[BARE];
        proto::HealthCheckReply {
            title: text(&told["title"]),
            version: text(&told["version"]),
            commit: None,
        }
    }
}

impl Answer for proto::ListCollectionsResponse {
    fn of(mut result: Value, time: f64) -> Self {
        let named = |one: Value| proto::CollectionDescription { name: text(&one["name"]) };
        proto::ListCollectionsResponse {
            collections: each(result["collections"].take(), named),
            time,
        }
    }
}

impl Answer for proto::CollectionOperationResponse {
    fn of(result: Value, time: f64) -> Self {
        proto::CollectionOperationResponse { result: result == true, time }
    }
}

impl Answer for proto::CollectionExistsResponse {
    fn of(result: Value, time: f64) -> Self {
        let exists = proto::CollectionExists { exists: result["exists"] == true };
        proto::CollectionExistsResponse { result: Some(exists), time }
    }
}

impl Answer for proto::GetCollectionInfoResponse {
    fn of(result: Value, time: f64) -> Self {
        let (params, hnsw) = (&result["config"]["params"], &result["config"]["hnsw_config"]);
        let optimizer = &result["config"]["optimizer_config"];
        let wal = &result["config"]["wal_config"];
        let few = |value: &Value| value.as_u64().and_then(|n| n.try_into().ok());
        let distance = text(&params["vectors"]["distance"]);
        let distance = proto::Distance::from_str_name(&distance).unwrap_or_default();
        let vectors = proto::VectorParams {
            size: params["vectors"]["size"].as_u64().unwrap_or_default(),
            distance: distance.into(),
            datatype: params["vectors"]["datatype"]
                .as_str()
                .map(|_| proto::Datatype::Float16.into()),
            ..Default::default()
        };
        let config = proto::vectors_config::Config::Params(vectors);
        let status = match result["status"].as_str() {
            Some("green") => proto::CollectionStatus::Green,
            _ => proto::CollectionStatus::Red,
        };
        let info = proto::CollectionInfo {
            status: status.into(),
            optimizer_status: Some(proto::OptimizerStatus {
                ok: result["optimizer_status"] == "ok",
                error: text(&result["optimizer_status"]["error"]),
            }),
            segments_count: result["segments_count"].as_u64().unwrap_or_default(),
            points_count: result["points_count"].as_u64(),
            indexed_vectors_count: result["indexed_vectors_count"].as_u64(),
            config: Some(proto::CollectionConfig {
                params: Some(proto::CollectionParams {
                    shard_number: few(&params["shard_number"]).unwrap_or_default(),
                    on_disk_payload: params["on_disk_payload"] == true,
                    vectors_config: Some(proto::VectorsConfig { config: Some(config) }),
                    replication_factor: few(&params["replication_factor"]),
                    write_consistency_factor: few(&params["write_consistency_factor"]),
                }),
                hnsw_config: Some(proto::HnswConfigDiff {
                    m: hnsw["m"].as_u64(),
                    ef_construct: hnsw["ef_construct"].as_u64(),
                    full_scan_threshold: hnsw["full_scan_threshold"].as_u64(),
                    ..Default::default()
                }),
                optimizer_config: Some(proto::OptimizersConfig {
                    deleted_threshold: optimizer["deleted_threshold"].as_f64(),
                    vacuum_min_vector_number: optimizer["vacuum_min_vector_number"].as_u64(),
                    default_segment_number: optimizer["default_segment_number"].as_u64(),
                    flush_interval_sec: optimizer["flush_interval_sec"].as_u64(),
                }),
                wal_config: Some(proto::WalConfig {
                    wal_capacity_mb: wal["wal_capacity_mb"].as_u64(),
                    wal_segments_ahead: wal["wal_segments_ahead"].as_u64(),
                }),
            }),
        };
        proto::GetCollectionInfoResponse { result: Some(info), time }
    }
}

impl Answer for proto::PointsOperationResponse {
    fn of(result: Value, time: f64) -> Self {
        let update = proto::UpdateResult {
            operation_id: result["operation_id"].as_u64(),
            // A write is answered when it is done.
            status: proto::UpdateStatus::Completed.into(),
        };
        proto::PointsOperationResponse { result: Some(update), time }
    }
}

fn retrieved(mut point: Value) -> proto::RetrievedPoint {
    proto::RetrievedPoint {
        id: id_message(&point["id"]),
        payload: object_message(point["payload"].take()),
        vectors: vectors_message(point["vector"].take()),
    }
}

fn scored(mut point: Value) -> proto::ScoredPoint {
    proto::ScoredPoint {
        id: id_message(&point["id"]),
        payload: object_message(point["payload"].take()),
        score: point["score"].as_f64().unwrap_or_default() as f32,
        version: point["version"].as_u64().unwrap_or_default(),
        vectors: vectors_message(point["vector"].take()),
    }
}

impl Answer for proto::GetResponse {
    fn of(result: Value, time: f64) -> Self {
        proto::GetResponse { result: each(result, retrieved), time }
    }
}

impl Answer for proto::ScrollResponse {
    fn of(mut result: Value, time: f64) -> Self {
        proto::ScrollResponse {
            next_page_offset: id_message(&result["next_page_offset"]),
            result: each(result["points"].take(), retrieved),
            time,
        }
    }
}

impl Answer for proto::CountResponse {
    fn of(result: Value, time: f64) -> Self {
        let count = proto::CountResult { count: result["count"].as_u64().unwrap_or_default() };
        proto::CountResponse { result: Some(count), time }
    }
}

impl Answer for proto::FacetResponse {
    fn of(mut result: Value, time: f64) -> Self {
        use proto::facet_value::Variant;
        let hit = |hit: Value| {
            let variant = match &hit["value"] {
                Value::Bool(truth) => Some(Variant::BoolValue(*truth)),
                Value::String(text) => Some(Variant::StringValue(text.clone())),
                other => other.as_i64().map(Variant::IntegerValue),
            };
            let count = hit["count"].as_u64().unwrap_or_default();
            proto::FacetHit { value: Some(proto::FacetValue { variant }), count }
        };
        proto::FacetResponse { hits: each(result["hits"].take(), hit), time }
    }
}

impl Answer for proto::SearchResponse {
    fn of(result: Value, time: f64) -> Self {
        proto::SearchResponse { result: each(result, scored), time }
    }
}

impl Answer for proto::QueryResponse {
    fn of(mut result: Value, time: f64) -> Self {
        proto::QueryResponse { result: each(result["points"].take(), scored), time }
    }
}

impl Answer for proto::SearchBatchResponse {
    fn of(result: Value, time: f64) -> Self {
        let one = |hits| proto::BatchResult { result: each(hits, scored) };
        proto::SearchBatchResponse { result: each(result, one), time }
    }
}

impl Answer for proto::QueryBatchResponse {
    fn of(result: Value, time: f64) -> Self {
        let one =
            |mut one: Value| proto::BatchResult { result: each(one["points"].take(), scored) };
        proto::QueryBatchResponse { result: each(result, one), time }
    }
}

fn groups(mut result: Value) -> proto::GroupsResult {
    use proto::group_id::Kind;
    let group = |mut group: Value| {
        let kind = match &group["id"] {
            Value::String(text) => Some(Kind::StringValue(text.clone())),
            other => other.as_i64().map(Kind::IntegerValue),
        };
        let id = Some(proto::GroupId { kind });
        proto::PointGroup { id, hits: each(group["hits"].take(), scored) }
    };
    proto::GroupsResult { groups: each(result["groups"].take(), group) }
}

impl Answer for proto::SearchGroupsResponse {
    fn of(result: Value, time: f64) -> Self {
        proto::SearchGroupsResponse { result: Some(groups(result)), time }
    }
}

impl Answer for proto::QueryGroupsResponse {
    fn of(result: Value, time: f64) -> Self {
        proto::QueryGroupsResponse { result: Some(groups(result)), time }
    }
}
