//! A door for this project's fuzz targets and their tests: requests to the HTTP interface without a
//! connection. Hidden from the documentation.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;
use vecstore::Database;

use crate::failure::Failure;
use crate::http;
use crate::serve::{Front, Readiness, service};
use crate::settings::{self, Flags};

/// A server of a database in memory, which nothing but this can reach.
#[derive(Debug)]
pub struct Probe {
    runtime: tokio::runtime::Runtime,
    router: axum::Router,
}

/// An answer of a [`Probe`].
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What `content-type` says.
    pub media_type: String,
    /// All of the body.
    pub body: Vec<u8>,
}

impl Probe {
    /// A server with the default settings.
    ///
    /// # Panics
    /// If the process has no threads for it.
    #[must_use]
    pub fn new() -> Self {
        Probe::begin().unwrap_or_else(|failure| panic!("{failure}"))
    }

    fn begin() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|e| Failure::io("start the runtime", &e))?;
        let (settings, _) = settings::load(&Flags::default(), &BTreeMap::new())?;
        let service = service(Database::in_memory()?, &settings);
        let front = Arc::new(Front::open(service, &settings)?);
        let router = http::router(front, Readiness::default());
        Ok(Probe { runtime, router })
    }

    /// The answer to a request; `None` if there is none of this method and path.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str, media_type: &str, body: &[u8]) -> Option<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", media_type)
            .body(Body::from(body.to_vec()))
            .ok()?;
        self.runtime.block_on(async {
            let Ok(response) = self.router.clone().oneshot(request).await;
            let (head, body) = response.into_parts();
            let media_type = head.headers.get("content-type");
            let media_type = media_type.and_then(|value| value.to_str().ok()).unwrap_or("");
            // A stream that breaks off ends the body early.
            let body =
                body.collect().await.map_or_else(|_| Vec::new(), |all| all.to_bytes().into());
            Some(Answer { status: head.status.as_u16(), media_type: media_type.to_owned(), body })
        })
    }
}

impl Default for Probe {
    fn default() -> Self {
        Probe::new()
    }
}
