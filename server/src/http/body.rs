//! Reading a request: its body within the limits, its JSON with the place of what is wrong.

use axum::body::Body;
use axum::extract::Query;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use vecstore::ErrorKind;

use crate::service::{Call, Kind, Problem, Result};

/// Refuses a body that does not say that it is of this type. A browser sends other types to other
/// origins unasked, so this is also a matter of security.
pub(crate) fn check_type(headers: &HeaderMap, wanted: &str) -> Result<()> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|e| e.as_bytes() != b"identity") {
        let message = format!("the body is encoded as {encoding:?}; send it without");
        return Err(Problem::new(Kind::UnsupportedMediaType, message));
    }
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let message = format!("the body is `{given}`; send `content-type: {wanted}`");
    Err(Problem::new(Kind::UnsupportedMediaType, message))
}

/// The whole body.
pub(crate) async fn read(
    body: Body,
    headers: &HeaderMap,
    call: &Call,
    max: usize,
) -> Result<Bytes> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: usize| bytes > max) {
        return Err(too_large(max));
    }
    let reading = Limited::new(body, max).collect();
    match tokio::time::timeout_at(call.deadline.into(), reading).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(max)),
        Ok(Err(error)) => Err(broken_off(&*error)),
        Err(_) => Err(Problem::new(
            Kind::DeadlineExceeded,
            "the time for the request was up before its body had arrived",
        )),
    }
}

pub(crate) fn broken_off(error: &dyn std::error::Error) -> Problem {
    let message = format!("the body broke off: {error}");
    Problem::new(Kind::Engine(ErrorKind::InvalidArgument), message)
}

pub(crate) fn too_large(max: usize) -> Problem {
    let message = format!("the request has more than {max} bytes, the limit of this server");
    Problem::new(Kind::TooLarge, message)
}

/// Reads JSON; what is wrong is named by its place.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    // A list would do for a structure too, by the order of its fields.
    if bytes.trim_ascii_start().first().is_some_and(|&byte| byte != b'{') {
        let message = "the body is not what is expected: a JSON object";
        return Err(Problem::new(Kind::Engine(ErrorKind::InvalidArgument), message));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let field = (path != ".").then_some(path);
        let inner = error.into_inner();
        let message = match &field {
            Some(field) => format!("{field}: {inner}"),
            None => format!("the body is not what is expected: {inner}"),
        };
        Problem { field, ..Problem::new(Kind::Engine(ErrorKind::InvalidArgument), message) }
    })?;
    deserializer.end().map_err(|error| {
        let message = format!("after the JSON value: {error}");
        Problem::new(Kind::Engine(ErrorKind::InvalidArgument), message)
    })?;
    Ok(value)
}

/// Reads the parameters after the `?`.
pub(crate) fn parameters<T: DeserializeOwned>(uri: &Uri) -> Result<T> {
    Query::try_from_uri(uri).map(|Query(value)| value).map_err(|error| {
        let message = format!("parameters of the address: {error}");
        Problem::new(Kind::Engine(ErrorKind::InvalidArgument), message)
    })
}

/// For a path without parameters.
pub(crate) fn no_parameters(uri: &Uri) -> Result<()> {
    match uri.query() {
        None | Some("") => Ok(()),
        Some(query) => {
            let name = query.split(['=', '&']).next().unwrap_or(query);
            let message = format!("`{name}`: this path takes no parameters after a `?`");
            Err(Problem::invalid(name, message))
        }
    }
}
