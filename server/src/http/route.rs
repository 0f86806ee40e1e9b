//! One route: how it is reached, what it takes and gives, and what it does.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use axum::routing::{MethodFilter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{body, problem};
use crate::serve::{Access, Front};
use crate::service::{Call, Kind, Operation, Problem, Protocol, Result, Service};

pub(crate) const JSON: &str = "application/json";
pub(super) const NDJSON: &str = "application/x-ndjson";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// The schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>>> + Send>>;
pub(super) type Act = Arc<dyn Fn(Asked) -> Answering + Send + Sync>;

/// A route.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) operation: Operation,
    /// Names it in OpenAPI; the operation's name unless two routes have that.
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) access: Access,
    pub(super) parameters: Option<SchemaOf>,
    /// Media type and schema of the body.
    pub(super) takes: Option<(&'static str, SchemaOf)>,
    pub(super) gives: (&'static str, Option<SchemaOf>),
    pub(super) status: StatusCode,
    pub(super) act: Act,
}

/// A request that was let in.
pub(super) struct Asked {
    pub(super) front: Arc<Front>,
    pub(super) call: Call,
    pub(super) path: PathValues,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

/// The values of the `{names}` of a path.
pub(super) struct PathValues(HashMap<String, String>);

impl PathValues {
    /// A part of the path as text.
    pub(super) fn text(&self, name: &'static str) -> String {
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// A part of the path as something else.
    pub(super) fn read<T: FromStr<Err: std::fmt::Display>>(&self, name: &'static str) -> Result<T> {
        let text = self.text(name);
        text.parse().map_err(|e| Problem::invalid(name, format!("`{text}` in the path: {e}")))
    }
}

impl Route {
    /// A route that does all by itself.
    pub(super) fn raw<F>(
        method: Method,
        path: &'static str,
        operation: Operation,
        summary: &'static str,
        act: impl Fn(Asked) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Response<Body>>> + Send + 'static,
    {
        Route {
            method,
            path,
            operation,
            id: operation.name(),
            summary,
            access: Access::Keyed,
            parameters: None,
            takes: None,
            gives: (JSON, None),
            status: StatusCode::OK,
            act: Arc::new(move |asked| Box::pin(act(asked))),
        }
    }

    /// Without a body or parameters.
    pub(super) fn plain<A, F>(
        method: Method,
        path: &'static str,
        operation: Operation,
        summary: &'static str,
        act: impl Fn(Service, Call, PathValues) -> F + Send + Sync + Copy + 'static,
    ) -> Self
    where
        A: Serialize + JsonSchema,
        F: Future<Output = Result<A>> + Send + 'static,
    {
        let raw = move |asked: Asked| async move {
            body::no_parameters(&asked.uri)?;
            answer(&act(asked.front.service.clone(), asked.call, asked.path).await?)
        };
        Route {
            gives: (JSON, Some(schema::<A>)),
            ..Route::raw(method, path, operation, summary, raw)
        }
    }

    /// With a JSON body.
    pub(super) fn json<B, A, F>(
        method: Method,
        path: &'static str,
        operation: Operation,
        summary: &'static str,
        act: impl Fn(Service, Call, PathValues, B) -> F + Send + Sync + Copy + 'static,
    ) -> Self
    where
        B: DeserializeOwned + JsonSchema + Send,
        A: Serialize + JsonSchema,
        F: Future<Output = Result<A>> + Send + 'static,
    {
        let raw = move |asked: Asked| async move {
            body::no_parameters(&asked.uri)?;
            body::check_type(&asked.headers, JSON)?;
            let max = asked.front.request_bytes_max;
            let bytes = body::read(asked.body, &asked.headers, &asked.call, max).await?;
            let large = bytes.len() > LARGE_BYTES || asked.call.operation.may_give_much();
            let parsed = off_the_worker(bytes.len() > LARGE_BYTES, || body::parse(&bytes))?;
            drop(bytes);
            let given = act(asked.front.service.clone(), asked.call, asked.path, parsed).await?;
            off_the_worker(large, || answer(&given))
        };
        Route {
            takes: Some((JSON, schema::<B>)),
            gives: (JSON, Some(schema::<A>)),
            ..Route::raw(method, path, operation, summary, raw)
        }
    }

    /// With parameters after a `?`.
    pub(super) fn with_parameters<P, A, F>(
        method: Method,
        path: &'static str,
        operation: Operation,
        summary: &'static str,
        act: impl Fn(Service, Call, PathValues, P) -> F + Send + Sync + Copy + 'static,
    ) -> Self
    where
        P: DeserializeOwned + JsonSchema + Send,
        A: Serialize + JsonSchema,
        F: Future<Output = Result<A>> + Send + 'static,
    {
        let raw = move |asked: Asked| async move {
            let parameters = body::parameters(&asked.uri)?;
            answer(&act(asked.front.service.clone(), asked.call, asked.path, parameters).await?)
        };
        Route {
            parameters: Some(schema::<P>),
            gives: (JSON, Some(schema::<A>)),
            ..Route::raw(method, path, operation, summary, raw)
        }
    }

    pub(super) fn named(self, id: &'static str) -> Self {
        Route { id, ..self }
    }

    /// For everybody, key or not.
    pub(super) fn open(self) -> Self {
        Route { access: Access::Open, ..self }
    }

    pub(super) fn status(self, status: StatusCode) -> Self {
        Route { status, ..self }
    }

    pub(super) fn add_to(self, router: Router, front: &Arc<Front>) -> Router {
        let front = Arc::clone(front);
        // Every method of the table has a filter.
        let filter = MethodFilter::try_from(self.method.clone()).unwrap_or(MethodFilter::GET);
        let path = self.path;
        let handler = move |values: std::result::Result<RawPathParams, _>, request: Request| {
            let (route, front) = (self.clone(), Arc::clone(&front));
            async move {
                let values = values
                    .map(|values| {
                        let owned = |(k, v): (&str, &str)| (k.to_owned(), v.to_owned());
                        PathValues(values.iter().map(owned).collect())
                    })
                    .map_err(|e: axum::extract::rejection::RawPathParamsRejection| {
                        Problem::invalid("path", e.to_string())
                    });
                route.serve(front, values, request).await
            }
        };
        router.route(path, on(filter, handler))
    }

    async fn serve(
        self,
        front: Arc<Front>,
        values: Result<PathValues>,
        request: Request,
    ) -> Response<Body> {
        let _in_flight = front.service.metrics.begin(Protocol::Http);
        let (head, body) = request.into_parts();
        let mut guarded = front.guard(
            Protocol::Http,
            self.operation,
            self.access,
            &head.uri,
            &head.headers,
            &head.extensions,
        );
        let result = match (guarded.refused.take(), values) {
            (Some(problem), _) | (None, Err(problem)) => Err(problem),
            (None, Ok(path)) => {
                let (uri, headers, call) = (head.uri, head.headers, guarded.call.clone());
                let front = Arc::clone(&front);
                let body = front.metered(&call, body);
                (self.act)(Asked { front, call, path, uri, headers, body }).await
            }
        };
        let (outcome, mut response): (std::result::Result<(), Kind>, _) = match result {
            Ok(mut response) => {
                if response.status() == StatusCode::OK {
                    *response.status_mut() = self.status;
                }
                (Ok(()), response)
            }
            Err(problem) => {
                (Err(problem.kind), problem::response(&problem, &guarded.call.request_id))
            }
        };
        front.finish(Protocol::Http, &guarded, outcome, &mut response);
        response
    }
}

/// JSON that takes longer to read or write than an async worker may be held.
pub(crate) const LARGE_BYTES: usize = 64 << 10;

/// Does work at once; if it is much, the other tasks of this worker move to another first.
pub(crate) fn off_the_worker<T>(much: bool, work: impl FnOnce() -> T) -> T {
    if much { tokio::task::block_in_place(work) } else { work() }
}

/// The schema of `T`.
pub(super) fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// An answer of JSON.
pub(super) fn answer(value: &impl Serialize) -> Result<Response<Body>> {
    let bytes = serde_json::to_vec(value)
        .map_err(|e| Problem::new(Kind::Internal, format!("write the answer: {e}")))?;
    Ok(bytes_answer(JSON, bytes))
}

pub(crate) fn bytes_answer(media_type: &'static str, bytes: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(bytes.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
