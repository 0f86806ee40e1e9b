//! The table of routes.

use axum::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use vecstore::RecordId;

use super::lines;
use super::route::{JSON, NDJSON, PathValues, Route, TEXT, bytes_answer, schema};
use crate::records::ShownRecord;
use crate::serve::Readiness;
use crate::service::model::{
    Count, CreateCollection, Facet, Get, Id, Nothing, Query, QueryBatch, QueryGroups, Record,
    Remove, Removed, Scroll, SetQuota, Update, Upsert, Upserted,
};
use crate::service::{Operation as Op, Problem, Result};

/// Which record, besides its id in the path.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct One {
    #[serde(default)]
    namespace: String,
    /// `metadata`, `metadata.FIELD`, `vector`, separated by commas; without it, both.
    include: Option<String>,
}

/// Whose quota.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct QuotaOf {
    /// The namespace that it binds; without it, all of them together.
    namespace: Option<String>,
}

const COLLECTION: &str = "/v1/collections/{collection}";
const QUOTA: &str = "/v1/collections/{collection}/quota";

/// Every route of `/v1`, and those that concern the server.
pub(super) fn all(readiness: Readiness) -> Vec<Route> {
    let mut routes = collections();
    routes.extend(records());
    routes.extend(tasks_and_snapshots());
    routes.extend(server(readiness));
    routes
}

fn collection(path: &PathValues) -> String {
    path.text("collection")
}

fn collections() -> Vec<Route> {
    vec![
        Route::plain(
            Method::GET,
            "/v1/collections",
            Op::ListCollections,
            "All collections",
            |service, call, _| async move { service.collections(&call).await },
        ),
        Route::json(
            Method::PUT,
            COLLECTION,
            Op::CreateCollection,
            "Create a collection",
            |service, call, path, body: CreateCollection| async move {
                service.create_collection(&call, collection(&path), body).await
            },
        ),
        Route::plain(
            Method::GET,
            COLLECTION,
            Op::GetCollection,
            "A collection",
            |service, call, path| async move { service.collection(&call, collection(&path)).await },
        ),
        Route::plain(
            Method::DELETE,
            COLLECTION,
            Op::DropCollection,
            "Remove a collection with all its records",
            |service, call, path| async move {
                service.drop_collection(&call, collection(&path)).await?;
                Ok(Nothing {})
            },
        ),
        Route::plain(
            Method::GET,
            "/v1/collections/{collection}/namespaces",
            Op::ListNamespaces,
            "Namespaces that have records",
            |service, call, path| async move { service.namespaces(&call, collection(&path)).await },
        ),
        Route::plain(
            Method::DELETE,
            "/v1/collections/{collection}/namespaces/{namespace}",
            Op::RemoveNamespace,
            "Remove all records of a namespace",
            |service, call, path| async move {
                service.remove_namespace(&call, collection(&path), path.text("namespace")).await
            },
        ),
        Route::with_parameters(
            Method::GET,
            QUOTA,
            Op::GetQuota,
            "The quota of a namespace, or of the whole collection; null is no bound",
            |service, call, path, of: QuotaOf| async move {
                service.quota(&call, collection(&path), of.namespace).await
            },
        ),
        Route::json(
            Method::PUT,
            QUOTA,
            Op::SetQuota,
            "Set the quota of a namespace, or of the whole collection",
            |service, call, path, body: SetQuota| async move {
                service.set_quota(&call, collection(&path), body).await
            },
        ),
        Route::plain(
            Method::GET,
            "/v1/collections/{collection}/stats",
            Op::Stats,
            "Numbers about a collection: segments, bytes, fields",
            |service, call, path| async move { service.stats(&call, Some(collection(&path))).await },
        )
        .named("collection_stats"),
    ]
}

fn records() -> Vec<Route> {
    vec![
        Route::json(
            Method::POST,
            "/v1/collections/{collection}/records",
            Op::Upsert,
            "Insert or replace records, all or none; answered when they are durable",
            |service, call, path, body: Upsert| async move {
                service.upsert(&call, collection(&path), body).await
            },
        ),
        Route::with_parameters(
            Method::GET,
            "/v1/collections/{collection}/records/{id}",
            Op::Get,
            "One record; all digits in the path are an integer",
            |service, call, path, one: One| async move {
                let id: RecordId = path.read("id")?;
                let include = match one.include {
                    Some(list) => list.split(',').map(|item| item.trim().to_owned()).collect(),
                    None => vec!["metadata".to_owned(), "vector".to_owned()],
                };
                let missing = format!("collection `{}` has no record `{id}`", collection(&path));
                let get =
                    Get { ids: vec![Id(id)], namespace: one.namespace, include: Some(include) };
                let got = service.get(&call, collection(&path), get).await?;
                let record: Option<ShownRecord> = got.records.into_iter().next().flatten();
                record.ok_or_else(|| Problem::not_found(missing))
            },
        )
        .named("get_one"),
        Route::with_parameters(
            Method::DELETE,
            "/v1/collections/{collection}/records/{id}",
            Op::Remove,
            "Remove one record; `removed` is 0 if there was none",
            |service, call, path, one: lines::Namespace| async move {
                let id: RecordId = path.read("id")?;
                let remove = Remove {
                    ids: Some(vec![Id(id)]),
                    filter: None,
                    params: Default::default(),
                    namespace: one.namespace,
                };
                let removed: Result<Removed> =
                    service.remove(&call, collection(&path), remove).await;
                removed
            },
        )
        .named("remove_one"),
        Route::json(
            Method::POST,
            "/v1/collections/{collection}/records/get",
            Op::Get,
            "Records by their ids",
            |service, call, path, body: Get| async move {
                service.get(&call, collection(&path), body).await
            },
        ),
        Route::json(
            Method::POST,
            "/v1/collections/{collection}/records/remove",
            Op::Remove,
            "Remove records by ids or by filter",
            |service, call, path, body: Remove| async move {
                service.remove(&call, collection(&path), body).await
            },
        ),
        Route::json(
            Method::POST,
            "/v1/collections/{collection}/records/update",
            Op::Update,
            "Change metadata in place, by ids or by filter",
            |service, call, path, body: Update| async move {
                service.update(&call, collection(&path), body).await
            },
        ),
        Route::json(
            Method::POST,
            "/v1/collections/{collection}/records/scroll",
            Op::Scroll,
            "A page of records in the order of their ids, or of a field",
            |service, call, path, body: Scroll| async move {
                service.scroll(&call, collection(&path), body).await
            },
        ),
        Route {
            parameters: Some(schema::<lines::Namespace>),
            takes: Some((NDJSON, schema::<Record>)),
            gives: (JSON, Some(schema::<Upserted>)),
            ..Route::raw(
                Method::POST,
                "/v1/collections/{collection}/records/import",
                Op::UpsertStream,
                "Insert or replace records, one a line, in batches of 1,000",
                lines::import,
            )
        },
        Route {
            takes: Some((JSON, schema::<Scroll>)),
            gives: (NDJSON, Some(schema::<ShownRecord>)),
            ..Route::raw(
                Method::POST,
                "/v1/collections/{collection}/records/export",
                Op::ScrollStream,
                "All records, one a line; `limit` is how many are read at a time",
                lines::export,
            )
        },
        Route::json(
            Method::POST,
            "/v1/collections/{collection}/count",
            Op::Count,
            "Number of records",
            |service, call, path, body: Count| async move {
                service.count(&call, collection(&path), body).await
            },
        ),
        Route::json(
            Method::POST,
            "/v1/collections/{collection}/facet",
            Op::Facet,
            "Values of a field, and how many records have each",
            |service, call, path, body: Facet| async move {
                service.facet(&call, collection(&path), body).await
            },
        ),
        Route::json(
            Method::POST,
            "/v1/collections/{collection}/query",
            Op::Query,
            "The records nearest to a vector",
            |service, call, path, body: Query| async move {
                service.query(&call, collection(&path), body).await
            },
        ),
        Route::json(
            Method::POST,
            "/v1/collections/{collection}/query/groups",
            Op::QueryGroups,
            "The records nearest to a vector, by the values of a field",
            |service, call, path, body: QueryGroups| async move {
                service.query_groups(&call, collection(&path), body).await
            },
        ),
        Route::json(
            Method::POST,
            "/v1/collections/{collection}/query/batch",
            Op::QueryBatch,
            "The records nearest to each of many vectors",
            |service, call, path, body: QueryBatch| async move {
                service.query_batch(&call, collection(&path), body).await
            },
        ),
    ]
}

fn tasks_and_snapshots() -> Vec<Route> {
    vec![
        Route::plain(
            Method::POST,
            "/v1/collections/{collection}/optimize",
            Op::Optimize,
            "Begin to merge the segments of a collection",
            |service, call, path| async move {
                service.optimize(&call, Some(collection(&path))).await
            },
        )
        .named("optimize_collection")
        .status(StatusCode::ACCEPTED),
        Route::plain(
            Method::POST,
            "/v1/optimize",
            Op::Optimize,
            "Begin to merge the segments of every collection",
            |service, call, _| async move { service.optimize(&call, None).await },
        )
        .status(StatusCode::ACCEPTED),
        Route::plain(
            Method::POST,
            "/v1/verify",
            Op::Verify,
            "Begin to read and check every byte of every segment",
            |service, _, _| async move { service.verify() },
        )
        .status(StatusCode::ACCEPTED),
        Route::plain(
            Method::GET,
            "/v1/tasks",
            Op::ListTasks,
            "Running and recent tasks",
            |service, _, _| async move { Ok(service.tasks()) },
        ),
        Route::plain(
            Method::GET,
            "/v1/tasks/{id}",
            Op::GetTask,
            "How far a task is",
            |service, _, path| async move { service.task(path.read("id")?) },
        ),
        Route::plain(
            Method::DELETE,
            "/v1/tasks/{id}",
            Op::CancelTask,
            "Ask a task to stop; it is `cancelled` soon after",
            |service, _, path| async move { service.cancel_task(path.read("id")?) },
        ),
        Route::plain(
            Method::GET,
            "/v1/snapshots",
            Op::ListSnapshots,
            "All snapshots",
            |service, call, _| async move { service.snapshots(&call).await },
        ),
        Route::plain(
            Method::PUT,
            "/v1/snapshots/{snapshot}",
            Op::CreateSnapshot,
            "Keep the database as it is now",
            |service, call, path| async move {
                service.create_snapshot(&call, path.text("snapshot")).await
            },
        ),
        Route::plain(
            Method::POST,
            "/v1/snapshots/{snapshot}/restore",
            Op::RestoreSnapshot,
            "Bring every collection back to what it was; what was written since is gone",
            |service, call, path| async move {
                service.restore_snapshot(&call, path.text("snapshot")).await?;
                Ok(Nothing {})
            },
        ),
        Route::plain(
            Method::DELETE,
            "/v1/snapshots/{snapshot}",
            Op::RemoveSnapshot,
            "Remove a snapshot",
            |service, call, path| async move {
                service.remove_snapshot(&call, path.text("snapshot")).await?;
                Ok(Nothing {})
            },
        ),
        Route::plain(
            Method::GET,
            "/v1/stats",
            Op::Stats,
            "Numbers about the database",
            |service, call, _| async move { service.stats(&call, None).await },
        ),
    ]
}

fn server(readiness: Readiness) -> Vec<Route> {
    let text = |route: Route| Route { gives: (TEXT, None), ..route };
    let metrics = Route::raw(
        Method::GET,
        "/metrics",
        Op::Metrics,
        "Metrics for Prometheus",
        |asked| async move {
            let metrics = asked.front.service.metrics_text(&asked.call).await?;
            Ok(bytes_answer("text/plain; version=0.0.4; charset=utf-8", metrics))
        },
    );
    let live =
        Route::raw(Method::GET, "/livez", Op::Other, "Whether the process answers", |_| async {
            Ok(bytes_answer(TEXT, "live\n"))
        });
    let ready = Route::raw(
        Method::GET,
        "/readyz",
        Op::Other,
        "Whether requests are wanted: 503 while the server ends",
        move |_| {
            let ready = readiness.is_ready();
            async move {
                if ready {
                    return Ok(bytes_answer(TEXT, "ready\n"));
                }
                let mut response = bytes_answer(TEXT, "the server is ending\n");
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                Ok(response)
            }
        },
    );
    vec![text(metrics), text(live).named("live").open(), text(ready).named("ready").open()]
}
