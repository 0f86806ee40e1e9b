//! The paths of the REST interface: the body is JSON already.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, Method, Response, StatusCode};
use axum::routing::{MethodFilter, on};
use serde_json::{Value, json};

use super::fields::{self, Fields};
use super::{Act, Asked, BARE, changes, collections, points};
use crate::http::{JSON, body, bytes_answer, off_the_worker};
use crate::serve::{Access, Front};
use crate::service::{Operation as Op, Problem, Protocol};

macro_rules! route {
    ($method:ident $path:literal $operation:ident $act:path) => {
        (Method::$method, $path, Op::$operation, (|asked| Box::pin($act(asked))) as Act)
    };
}

const ROUTES: &[(Method, &str, Op, Act)] = &[
    route!(GET "/" Other collections::version),
    route!(GET "/collections" ListCollections collections::list),
    route!(GET "/collections/{collection}" GetCollection collections::get),
    route!(PUT "/collections/{collection}" CreateCollection collections::create),
    route!(PATCH "/collections/{collection}" CreateCollection collections::update),
    route!(DELETE "/collections/{collection}" DropCollection collections::delete),
    route!(GET "/collections/{collection}/exists" GetCollection collections::exists),
    route!(PUT "/collections/{collection}/index" CreateCollection collections::create_index),
    route!(PUT "/collections/{collection}/points" Upsert points::upsert),
    route!(POST "/collections/{collection}/points" Get points::retrieve),
    route!(POST "/collections/{collection}/points/delete" Remove points::delete),
    route!(POST "/collections/{collection}/points/payload" Update changes::set),
    route!(PUT "/collections/{collection}/points/payload" Update changes::overwrite),
    route!(POST "/collections/{collection}/points/payload/delete" Update changes::delete),
    route!(POST "/collections/{collection}/points/payload/clear" Update changes::clear),
    route!(POST "/collections/{collection}/facet" Facet points::facet),
    route!(POST "/collections/{collection}/points/scroll" Scroll points::scroll),
    route!(POST "/collections/{collection}/points/count" Count points::count),
    route!(POST "/collections/{collection}/points/query" Query points::query),
    route!(POST "/collections/{collection}/points/query/batch" QueryStream points::query_batch),
    route!(POST "/collections/{collection}/points/query/groups" QueryGroups points::query_groups),
    route!(POST "/collections/{collection}/points/search/groups" QueryGroups points::search_groups),
    route!(POST "/collections/{collection}/points/search" Query points::search),
    route!(POST "/collections/{collection}/points/search/batch" QueryStream points::search_batch),
];

/// Parameters after a `?` that every route takes; a write is always waited for, and reads see it.
const PARAMETERS: [&str; 4] = ["wait", "ordering", "consistency", "timeout"];

/// The routes.
pub(crate) fn router(front: &Arc<Front>) -> Router {
    let mut router = Router::new();
    for (method, path, operation, act) in ROUTES {
        let (front, operation, act) = (Arc::clone(front), *operation, *act);
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        let handler = move |values: std::result::Result<RawPathParams, RawPathParamsRejection>,
                            request: Request| {
            let front = Arc::clone(&front);
            async move { serve(&front, operation, act, values, request).await }
        };
        router = router.route(path, on(filter, handler));
    }
    router
}

async fn serve(
    front: &Front,
    operation: Op,
    act: Act,
    values: std::result::Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response<Body> {
    let started = Instant::now();
    let _in_flight = front.service.metrics.begin(Protocol::Qdrant);
    let (head, body) = request.into_parts();
    let mut guarded = front.guard(
        Protocol::Qdrant,
        operation,
        Access::Keyed,
        &head.uri,
        &head.headers,
        &head.extensions,
    );
    let done = async {
        if let Some(problem) = guarded.refused.take() {
            return Err(problem);
        }
        let values = values.map_err(|e| Problem::invalid("path", e.to_string()))?;
        let collection = values.iter().find(|(name, _)| *name == "collection");
        let names = head.uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty());
        let mut names = names.map(|pair| pair.split('=').next().unwrap_or(pair));
        if let Some(name) = names.find(|name| !PARAMETERS.contains(name)) {
            return Err(fields::unsupported(name));
        }
        let max = front.request_bytes_max;
        let body = front.metered(&guarded.call, body);
        let bytes = body::read(body, &head.headers, &guarded.call, max).await?;
        let large = bytes.len() > crate::http::LARGE_BYTES;
        let fields = if bytes.is_empty() {
            Fields::none()
        } else {
            body::check_type(&head.headers, JSON)?;
            Fields::new(off_the_worker(large, || body::parse(&bytes))?, "")?
        };
        drop(bytes);
        act(Asked {
            service: front.service.clone(),
            call: guarded.call.clone(),
            collection: collection.map(|(_, name)| name.to_owned()).unwrap_or_default(),
            fields,
        })
        .await
    };
    let done = done.await;
    let time = started.elapsed().as_secs_f64();
    let (outcome, mut response) = match done {
        // A few routes answer without the envelope.
        Ok(Value::Object(mut map)) if map.contains_key(BARE) => {
            (Ok(()), written(&map.remove(BARE).unwrap_or_default()))
        }
        Ok(result) => {
            let answer = json!({"result": result, "status": "ok", "time": time});
            (Ok(()), off_the_worker(operation.may_give_much(), || written(&answer)))
        }
        Err(problem) => (Err(problem.kind), failed(&problem, time)),
    };
    front.finish(Protocol::Qdrant, &guarded, outcome, &mut response);
    response
}

fn written(answer: &Value) -> Response<Body> {
    bytes_answer(JSON, answer.to_string())
}

fn failed(problem: &Problem, time: f64) -> Response<Body> {
    let body = json!({"status": {"error": problem.message}, "time": time, "result": null});
    let mut response = written(&body);
    let (status, _) = problem.kind.codes();
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(seconds) = problem.retry_after_s() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
