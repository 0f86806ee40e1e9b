//! The methods of the gRPC interface: a message becomes the JSON that REST has, and the JSON of the
//! answer a message.

mod answers;
mod asks;
mod codec;
mod filter;
mod values;

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use axum::routing::post;
use prost::Message;
use serde_json::Value;
use vecstore::ErrorKind;

use super::fields::Fields;
use super::{Act, Asked, changes, collections, points};
use crate::grpc::status;
use crate::http::{LARGE_BYTES, off_the_worker};
use crate::service::{Call, Kind, Operation as Op, Problem, Result, Service};
use codec::Codec;

/// The generated messages.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/qdrant/qdrant.rs"));
}

/// A message that asks.
trait Ask: Message + Default + 'static {
    /// Its name in the proto file.
    const NAME: &'static str;

    /// The collection, and the body as REST has it.
    fn body(self) -> Result<(String, Value)>;
}

/// A message that answers.
trait Answer: Message + 'static {
    /// Made of the answer as REST has it, and the time it took in seconds.
    fn of(result: Value, time: f64) -> Self;
}

/// Where a method runs.
#[derive(Clone)]
struct Place {
    service: Service,
    request_bytes_max: usize,
}

type Serving = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Serve = fn(Place, Request) -> Serving;

macro_rules! method {
    ($path:literal $operation:ident $ask:ident $act:path => $answer:ident) => {
        (
            concat!("/qdrant.", $path),
            Op::$operation,
            (|place, request| {
                let act: Act = |asked| Box::pin($act(asked));
                Box::pin(serve::<proto::$ask, proto::$answer>(place, act, request))
            }) as Serve,
        )
    };
}

const METHODS: &[(&str, Op, Serve)] = &[
    method!("Qdrant/HealthCheck" Other HealthCheckRequest collections::version => HealthCheckReply),
    method!("Collections/List" ListCollections ListCollectionsRequest collections::list => ListCollectionsResponse),
    method!("Collections/Get" GetCollection GetCollectionInfoRequest collections::get => GetCollectionInfoResponse),
    method!("Collections/CollectionExists" GetCollection CollectionExistsRequest collections::exists => CollectionExistsResponse),
    method!("Collections/Create" CreateCollection CreateCollection collections::create => CollectionOperationResponse),
    method!("Collections/Update" CreateCollection UpdateCollection collections::update => CollectionOperationResponse),
    method!("Collections/Delete" DropCollection DeleteCollection collections::delete => CollectionOperationResponse),
    method!("Points/CreateFieldIndex" CreateCollection CreateFieldIndexCollection collections::create_index => PointsOperationResponse),
    method!("Points/Upsert" Upsert UpsertPoints points::upsert => PointsOperationResponse),
    method!("Points/Get" Get GetPoints points::retrieve => GetResponse),
    method!("Points/Delete" Remove DeletePoints points::delete => PointsOperationResponse),
    method!("Points/SetPayload" Update SetPayloadPoints changes::set => PointsOperationResponse),
    method!("Points/OverwritePayload" Update SetPayloadPoints changes::overwrite => PointsOperationResponse),
    method!("Points/DeletePayload" Update DeletePayloadPoints changes::delete => PointsOperationResponse),
    method!("Points/ClearPayload" Update ClearPayloadPoints changes::clear => PointsOperationResponse),
    method!("Points/Facet" Facet FacetCounts points::facet => FacetResponse),
    method!("Points/Scroll" Scroll ScrollPoints points::scroll => ScrollResponse),
    method!("Points/Count" Count CountPoints points::count => CountResponse),
    method!("Points/Query" Query QueryPoints points::query => QueryResponse),
    method!("Points/QueryBatch" QueryStream QueryBatchPoints points::query_batch => QueryBatchResponse),
    method!("Points/QueryGroups" QueryGroups QueryPointGroups points::query_groups => QueryGroupsResponse),
    method!("Points/Search" Query SearchPoints points::search => SearchResponse),
    method!("Points/SearchBatch" QueryStream SearchBatchPoints points::search_batch => SearchBatchResponse),
    method!("Points/SearchGroups" QueryGroups SearchPointGroups points::search_groups => SearchGroupsResponse),
];

/// The operation of a path; `None` if the path is not Qdrant's.
pub(crate) fn operation(path: &str) -> Option<Op> {
    let known = METHODS.iter().find(|(of, ..)| *of == path);
    match known {
        Some((_, operation, _)) => Some(*operation),
        None => path.starts_with("/qdrant.").then_some(Op::Other),
    }
}

/// What is wrong with a path of Qdrant's that has no method here.
pub(crate) fn refusal(path: &str) -> Option<Problem> {
    let method = path.strip_prefix("/qdrant.")?;
    let known = METHODS.iter().any(|(of, ..)| *of == path);
    let kind = Kind::Engine(ErrorKind::Unsupported);
    let message = || format!("`{method}` is not supported by VecStore's Qdrant interface");
    (!known).then(|| Problem::new(kind, message()))
}

/// The methods, each at its path.
pub(crate) fn router(service: &Service, request_bytes_max: usize) -> Router {
    let place = Place { service: service.clone(), request_bytes_max };
    METHODS.iter().fold(Router::new(), |router, &(path, _, serve)| {
        let place = place.clone();
        router.route(path, post(move |request: Request| serve(place.clone(), request)))
    })
}

async fn serve<M: Ask, A: Answer>(place: Place, act: Act, request: Request) -> Response<Body> {
    let Place { service, request_bytes_max } = place;
    let method = tower::service_fn(move |request: tonic::Request<M>| {
        let service = service.clone();
        async move {
            let answered = answer::<M, A>(service, act, request).await;
            answered.map(tonic::Response::new).map_err(|problem| status(&problem))
        }
    });
    let mut grpc = tonic::server::Grpc::new(Codec::<M, A>::default())
        .max_decoding_message_size(request_bytes_max)
        // An answer has its own limits: `limit`, and the records of a page.
        .max_encoding_message_size(usize::MAX);
    grpc.unary(method, request).await.map(Body::new)
}

async fn answer<M: Ask, A: Answer>(
    service: Service,
    act: Act,
    request: tonic::Request<M>,
) -> Result<A> {
    let started = Instant::now();
    let Some(call) = request.extensions().get::<Call>().cloned() else {
        return Err(Problem::new(Kind::Internal, "the request did not come through the front"));
    };
    let message = request.into_inner();
    let large = message.encoded_len() > LARGE_BYTES;
    let (collection, body) = off_the_worker(large, || message.body())?;
    let may_give_much = call.operation.may_give_much();
    let fields = Fields::new(body, "")?;
    let result = act(Asked { service, call, collection, fields }).await?;
    let time = started.elapsed().as_secs_f64();
    Ok(off_the_worker(may_give_much, || A::of(result, time)))
}
