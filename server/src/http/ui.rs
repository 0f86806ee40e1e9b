//! The page at `/ui`: files of this binary, which ask `/v1` like any other client.

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method};

use super::route::{Route, bytes_answer};
use crate::service::Operation;

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! file {
    ($kind:expr, $name:literal) => {
        (concat!("/ui/", $name), $kind, include_str!(concat!("ui/", $name)))
    };
}

const FILES: [(&str, &str, &str); 11] = [
    ("/ui", HTML, include_str!("ui/index.html")),
    ("/ui/", HTML, include_str!("ui/index.html")),
    file!(CSS, "style.css"),
    file!(SCRIPT, "app.js"),
    file!(SCRIPT, "api.js"),
    file!(SCRIPT, "dom.js"),
    file!(SCRIPT, "overview.js"),
    file!(SCRIPT, "plan.js"),
    file!(SCRIPT, "query.js"),
    file!(SCRIPT, "records.js"),
    file!(SCRIPT, "server.js"),
];

/// A route a file. They are open: what they show is asked for with the reader's key.
pub(super) fn routes() -> impl Iterator<Item = Route> {
    FILES.into_iter().map(|(path, kind, text)| {
        let act = move |_| async move {
            let mut response = bytes_answer(kind, text);
            for (name, value) in [
                (CONTENT_SECURITY_POLICY, POLICY),
                (X_CONTENT_TYPE_OPTIONS, "nosniff"),
                // The next version of the binary has another page.
                (CACHE_CONTROL, "no-cache"),
            ] {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            Ok(response)
        };
        Route::raw(Method::GET, path, Operation::Other, "A part of the page", act).open()
    })
}
