//! HTTP/JSON under `/v1`: the operations of the service, one route each.
//!
//! [`ui`] is a page for people, which asks the same routes.
//!
//! [`route::Route`] is the one description of a route: the router and the OpenAPI document are both
//! made from the table in [`routes`], so neither can say what the other does not.

pub(crate) mod body;
mod lines;
mod openapi;
mod problem;
mod route;
mod routes;
mod ui;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::Response;

pub(crate) use route::{JSON, LARGE_BYTES, bytes_answer, off_the_worker};

use crate::qdrant;
use crate::serve::{Access, Front, Readiness};
use crate::service::{Kind, Operation, Problem, Protocol};

/// Every path that HTTP answers: these routes, and Qdrant's.
pub(crate) fn router(front: Arc<Front>, readiness: Readiness) -> Router {
    let mut routes = routes::all(readiness);
    routes.push(openapi::route(&routes));
    routes.extend(ui::routes());
    let mut router = qdrant::router(&front);
    for route in routes {
        router = route.add_to(router, &front);
    }
    let (unknown, other_method) = (Arc::clone(&front), front);
    router
        .fallback(move |request| {
            refuse(Arc::clone(&unknown), request, |path| {
                Problem::not_found(format!("there is nothing at {path}; see /openapi.json"))
            })
        })
        .method_not_allowed_fallback(move |request| {
            refuse(Arc::clone(&other_method), request, |path| {
                let message = format!("{path} has other methods than this; see /openapi.json");
                Problem::new(Kind::MethodNotAllowed, message)
            })
        })
}

async fn refuse(
    front: Arc<Front>,
    request: Request,
    why: fn(&str) -> Problem,
) -> Response<axum::body::Body> {
    let (uri, headers) = (request.uri(), request.headers());
    let extensions = request.extensions();
    let guarded =
        front.guard(Protocol::Http, Operation::Other, Access::Open, uri, headers, extensions);
    let problem = why(uri.path());
    let mut response = problem::response(&problem, &guarded.call.request_id);
    front.finish(Protocol::Http, &guarded, Err(problem.kind), &mut response);
    response
}
