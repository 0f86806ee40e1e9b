//! A failure as HTTP has it: a status and a body of RFC 9457.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::service::{Kind, Problem, RequestId};

pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request failed (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct ProblemBody<'a> {
    /// Always `about:blank`: `code` tells the kinds apart.
    #[serde(rename = "type")]
    kind: &'a str,
    /// The status in words.
    title: &'a str,
    status: u16,
    /// What is wrong, where, and what to do.
    detail: &'a str,
    /// The kind of the failure, the same one over every protocol.
    code: &'a str,
    /// The field of the request that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// Names the request in the server's log.
    request_id: &'a str,
}

/// The body of an answer, also as a line of a stream that broke off.
pub(super) fn body<'a>(problem: &'a Problem, request_id: &'a RequestId) -> ProblemBody<'a> {
    let (status, _) = problem.kind.codes();
    ProblemBody {
        kind: "about:blank",
        title: match status {
            499 => "Client Closed Request",
            _ => StatusCode::from_u16(status)
                .ok()
                .and_then(|status| status.canonical_reason())
                .unwrap_or("Error"),
        },
        status,
        detail: &problem.message,
        code: problem.kind.name(),
        field: problem.field.as_deref(),
        request_id: request_id.as_str(),
    }
}

pub(super) fn response(problem: &Problem, request_id: &RequestId) -> Response<Body> {
    let body = body(problem, request_id);
    // A structure of texts and a number can always be written.
    let bytes = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() =
        StatusCode::from_u16(body.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if let Some(seconds) = problem.retry_after_s() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.kind == Kind::Unauthenticated {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
