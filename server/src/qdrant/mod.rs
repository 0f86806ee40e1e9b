//! Qdrant's interface, the part that its Python client, LangChain, LlamaIndex and VectorDBBench
//! use, translated to the service: over REST and over gRPC. Nothing here knows the engine, and
//! nothing else knows Qdrant.
//!
//! - A request is JSON as REST has it, and so is an answer: [`grpc`] makes the one of its messages and
//!   its messages of the other, so every rule is stated once.
//! - What is not supported is refused by its name. Hints about where and when to work
//!   (`optimizers_config`, `wal_config`, `on_disk`, `payload_m`) are accepted: VecStore decides that itself, and
//!   no answer depends on it.
//! - Paths of a filter reach into arrays without `[]`, and `1` equals `1.0`, as everywhere in
//!   VecStore; of an array of dates, two elements may satisfy the two ends of an open range.
//! - Of an array, a scroll by a field counts the value that comes first, and dates are ordered as text;
//!   a point makes a group of each string or integer it has, whatever else is in the array.
//! - Every field is indexed; creating a payload index does nothing.

mod changes;
mod collections;
mod fields;
mod filter;
pub(crate) mod grpc;
mod mmr;
mod payload;
mod points;
mod rest;

use std::future::Future;
use std::pin::Pin;

use serde_json::{Value, json};

use crate::service::{Call, Kind, Problem, Result, Service};
use fields::Fields;

pub(crate) use rest::router;

/// A request to one route or method.
struct Asked {
    service: Service,
    call: Call,
    collection: String,
    fields: Fields,
}

type Answering = Pin<Box<dyn Future<Output = Result<Value>> + Send>>;
type Act = fn(Asked) -> Answering;

/// Marks an answer that has no envelope over REST.
const BARE: &str = "\0bare";

/// What a write answers.
fn completed() -> Value {
    json!({"operation_id": 0, "status": "completed"})
}

fn is_kind(problem: &Problem, kind: vecstore::ErrorKind) -> bool {
    problem.kind == Kind::Engine(kind)
}
