//! gRPC `vecstore.v1`: translation between the messages of `proto/` and the service. On the same
//! port, behind the same front, is what [`qdrant`] has of Qdrant's.

mod convert;
mod methods;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::Response;
use axum::middleware::{Next, from_fn};
use tonic::service::Routes;

use crate::failure::{Failure, Result};
use crate::qdrant;
use crate::serve::{Access, Front, Readiness};
use crate::service::{Kind, Operation, Problem, Protocol};
use methods::Methods;

/// The generated messages and service.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/server/vecstore.v1.rs"));
}

/// The description of the interface, for the reflection service.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
/// How soon the health service notices that the server ends.
const HEALTH_INTERVAL: Duration = Duration::from_millis(50);

/// Trailers of an error.
const KIND: &str = "vecstore-kind";
const FIELD: &str = "vecstore-field";

/// The services, behind the front.
pub(crate) fn router(front: Arc<Front>, readiness: Readiness) -> Result<Router> {
    let bytes_max = front.request_bytes_max;
    let methods = proto::vec_store_server::VecStoreServer::new(Methods::new(front.service.clone()))
        .max_decoding_message_size(bytes_max)
        // An answer has its own limits: `k`, and the records of a page.
        .max_encoding_message_size(usize::MAX);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let described =
        |e: tonic_reflection::server::Error| Failure::invalid(format!("reflection: {e}"));
    let (reporter, health) = tonic_health::server::health_reporter();
    tokio::spawn(async move {
        let mut told = None;
        loop {
            let ready = readiness.is_ready();
            if told != Some(ready) {
                told = Some(ready);
                let status = match ready {
                    true => tonic_health::ServingStatus::Serving,
                    false => tonic_health::ServingStatus::NotServing,
                };
                reporter.set_service_status("", status).await;
                reporter.set_service_status("vecstore.v1.VecStore", status).await;
            }
            tokio::time::sleep(HEALTH_INTERVAL).await;
        }
    });
    let routes = Routes::new(methods)
        .add_service(health)
        .add_service(reflection().build_v1().map_err(described)?)
        .add_service(reflection().build_v1alpha().map_err(described)?);
    let qdrant = qdrant::grpc::router(&front.service, bytes_max);
    Ok(routes.into_axum_router().merge(qdrant).layer(from_fn(move |request, next| {
        let front = Arc::clone(&front);
        async move { guard(&front, request, next).await }
    })))
}

async fn guard(front: &Front, mut request: Request, next: Next) -> Response<axum::body::Body> {
    let path = request.uri().path();
    let (protocol, operation) = match qdrant::grpc::operation(path) {
        Some(operation) => (Protocol::QdrantGrpc, operation),
        None => {
            let method = path.strip_prefix("/vecstore.v1.VecStore/");
            let operation = method.and_then(Operation::of_method).unwrap_or(Operation::Other);
            (Protocol::Grpc, operation)
        }
    };
    let _in_flight = front.service.metrics.begin(protocol);
    let access = match path.strip_prefix("/grpc.health.v1.Health/") {
        Some(_) => Access::Open,
        None => Access::Keyed,
    };
    let (uri, headers) = (request.uri(), request.headers());
    let mut guarded = front.guard(protocol, operation, access, uri, headers, request.extensions());
    let refused = guarded.refused.take().or_else(|| qdrant::grpc::refusal(path));
    let (outcome, mut response) = match refused {
        Some(problem) => (Err(problem.kind), status(&problem).into_http()),
        None => {
            request.extensions_mut().insert(guarded.call.clone());
            let request = request.map(|body| front.metered(&guarded.call, body));
            let response = next.run(request).await;
            // A failure before the first message of an answer is in its head.
            let kind =
                response.headers().get(KIND).and_then(|name| Kind::of_name(name.to_str().ok()?));
            (kind.map_or(Ok(()), Err), response)
        }
    };
    front.finish(protocol, &guarded, outcome, &mut response);
    response
}

/// A failure as gRPC has it.
pub(crate) fn status(problem: &Problem) -> tonic::Status {
    let (_, code) = problem.kind.codes();
    let mut status = tonic::Status::new(code, &problem.message);
    let metadata = status.metadata_mut();
    metadata.insert(KIND, tonic::metadata::MetadataValue::from_static(problem.kind.name()));
    if let Some(field) = problem.field.as_deref().and_then(|field| field.parse().ok()) {
        metadata.insert(FIELD, field);
    }
    if let Some(seconds) = problem.retry_after_s() {
        metadata.insert("retry-after", seconds.into());
    }
    status
}
