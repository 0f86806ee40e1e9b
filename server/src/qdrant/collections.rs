//! Collections.

use serde_json::{Value, json};
use vecstore::ErrorKind;

use super::fields::{Fields, unsupported};
use super::{Asked, BARE, completed, is_kind};
use crate::service::model::CreateCollection;
use crate::service::{Problem, Result};

/// The version of Qdrant's interface this was written by; clients compare it with their own.
const COMPATIBLE_WITH: &str = "1.20.0";

pub(super) async fn version(asked: Asked) -> Result<Value> {
    asked.fields.finish()?;
    let title = concat!("VecStore ", env!("CARGO_PKG_VERSION"), ", Qdrant interface");
    Ok(json!({ BARE: {"title": title, "version": COMPATIBLE_WITH} }))
}

pub(super) async fn list(asked: Asked) -> Result<Value> {
    let all = asked.service.collections(&asked.call).await?.collections;
    let names: Vec<Value> = all.iter().map(|c| json!({ "name": c.name })).collect();
    Ok(json!({ "collections": names }))
}

pub(super) async fn create(asked: Asked) -> Result<Value> {
    let mut fields = asked.fields;
    fields.ignore(&["optimizers_config", "wal_config", "on_disk_payload"]);
    for copies in ["shard_number", "replication_factor", "write_consistency_factor"] {
        if fields.read::<u64>(copies)?.is_some_and(|n| n != 1) {
            return Err(unsupported(copies));
        }
    }
    // Clients name it where there are none.
    if let Some(sparse) = fields.object("sparse_vectors")? {
        sparse.finish()?;
    }
    let mut options = Hnsw::default();
    options.take(&mut fields)?;
    let mut vectors = fields
        .object("vectors")?
        .ok_or_else(|| Problem::invalid("vectors", "vectors is missing"))?;
    // The default vector is the one without a name.
    if let Some(default) = vectors.object("")? {
        vectors.finish()?;
        vectors = default;
    }
    options.take(&mut vectors)?;
    vectors.ignore(&["on_disk"]);
    let precision: Option<String> = vectors.read("datatype")?;
    if !matches!(precision.as_deref(), None | Some("float32" | "float16")) {
        return Err(unsupported("vectors.datatype"));
    }
    if !vectors.has("size") {
        // A name that is not the default one.
        vectors.finish()?;
        return Err(Problem::invalid("vectors", "vectors: `size` is missing"));
    }
    let dim = vectors.require("size")?;
    let distance: String = vectors.require("distance")?;
    let metric = match distance.as_str() {
        "Cosine" => "cosine",
        "Dot" => "dot",
        "Euclid" => "euclidean",
        _ => return Err(unsupported(&format!("vectors.distance: {distance}"))),
    };
    vectors.finish()?;
    fields.finish()?;
    let request = CreateCollection {
        dim,
        metric: metric.to_owned(),
        m: options.m,
        ef_construction: options.ef_construct,
        index: None,
        precision,
        codes: None,
        unindexed: Vec::new(),
        dates: Vec::new(),
        fields_max: None,
        strings_max: None,
        string_bytes_max: None,
        if_not_exists: false,
    };
    let name = asked.collection.clone();
    match asked.service.create_collection(&asked.call, asked.collection, request).await {
        Ok(_) => Ok(json!(true)),
        // Clients look for these words.
        Err(problem) if is_kind(&problem, ErrorKind::AlreadyExists) => Err(Problem {
            message: format!("Wrong input: Collection `{name}` already exists!"),
            ..problem
        }),
        Err(problem) => Err(problem),
    }
}

#[derive(Default)]
struct Hnsw {
    m: Option<usize>,
    ef_construct: Option<usize>,
}

impl Hnsw {
    fn take(&mut self, fields: &mut Fields) -> Result<()> {
        let Some(mut config) = fields.object("hnsw_config")? else { return Ok(()) };
        self.m = config.read("m")?.or(self.m);
        self.ef_construct = config.read("ef_construct")?.or(self.ef_construct);
        config.ignore(&["full_scan_threshold", "max_indexing_threads", "on_disk", "payload_m"]);
        config.finish()
    }
}

pub(super) async fn update(asked: Asked) -> Result<Value> {
    let mut fields = asked.fields;
    fields.ignore(&["optimizers_config"]);
    fields.finish()?;
    asked.service.collection(&asked.call, asked.collection).await?;
    Ok(json!(true))
}

pub(super) async fn delete(asked: Asked) -> Result<Value> {
    match asked.service.drop_collection(&asked.call, asked.collection).await {
        Ok(()) => Ok(json!(true)),
        Err(problem) if is_kind(&problem, ErrorKind::NotFound) => Ok(json!(false)),
        Err(problem) => Err(problem),
    }
}

pub(super) async fn exists(asked: Asked) -> Result<Value> {
    match asked.service.collection(&asked.call, asked.collection).await {
        Ok(_) => Ok(json!({ "exists": true })),
        Err(problem) if is_kind(&problem, ErrorKind::NotFound) => Ok(json!({ "exists": false })),
        Err(problem) => Err(problem),
    }
}

pub(super) async fn get(asked: Asked) -> Result<Value> {
    let info = asked.service.collection(&asked.call, asked.collection.clone()).await?;
    let stats = asked.service.stats(&asked.call, Some(asked.collection)).await?;
    let trouble = &stats["trouble"];
    let distance = match info.metric.as_str() {
        "cosine" => "Cosine",
        "dot" => "Dot",
        _ => "Euclid",
    };
    let mut vectors = json!({"size": info.dim, "distance": distance});
    if info.precision == "f16" {
        vectors["datatype"] = json!("float16");
    }
    Ok(json!({
        "status": if trouble.is_null() { "green" } else { "red" },
        "optimizer_status": if trouble.is_null() { json!("ok") } else { json!({"error": trouble}) },
        // A record is searchable when its write is answered.
        "points_count": info.records,
        "indexed_vectors_count": info.records,
        "segments_count": stats["segments"].as_array().map_or(0, Vec::len),
        "payload_schema": {},
        "config": {
            "params": {
                "vectors": vectors,
                "shard_number": 1,
                "replication_factor": 1,
                "write_consistency_factor": 1,
                "on_disk_payload": true,
            },
            "hnsw_config": {
                "m": info.m,
                "ef_construct": info.ef_construction,
                "full_scan_threshold": 0,
            },
            "optimizer_config": {
                "deleted_threshold": 0.2,
                "vacuum_min_vector_number": 0,
                "default_segment_number": 0,
                "flush_interval_sec": 0,
            },
            "wal_config": {"wal_capacity_mb": 0, "wal_segments_ahead": 0},
        },
    }))
}

/// Every field is indexed as it is; an index of words is not.
pub(super) async fn create_index(asked: Asked) -> Result<Value> {
    let mut fields = asked.fields;
    let _: String = fields.require("field_name")?;
    let kind = match fields.take("field_schema") {
        Some(Value::Object(mut params)) => params.remove("type"),
        kind => kind,
    };
    let known = ["keyword", "integer", "float", "bool", "datetime", "uuid"];
    match kind {
        Some(Value::String(kind)) if !known.contains(&kind.as_str()) => {
            return Err(unsupported(&format!("field_schema: {kind}")));
        }
        None | Some(Value::String(_)) => {}
        Some(_) => return Err(unsupported("field_schema")),
    }
    fields.finish()?;
    asked.service.collection(&asked.call, asked.collection).await?;
    Ok(completed())
}
