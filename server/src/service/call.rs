//! One request on its way through the server.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::limits::Permit;
use super::operation::Operation;
use super::problem::Result;
use super::rights::Rights;
use crate::traces::Trace;

/// The language a request was made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    Http,
    Grpc,
    /// HTTP as Qdrant has it.
    Qdrant,
    /// gRPC as Qdrant has it.
    QdrantGrpc,
}

impl Protocol {
    pub(crate) const ALL: [Protocol; 4] =
        [Protocol::Http, Protocol::Grpc, Protocol::Qdrant, Protocol::QdrantGrpc];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::Grpc => "grpc",
            Protocol::Qdrant => "qdrant",
            Protocol::QdrantGrpc => "qdrant_grpc",
        }
    }
}

/// What is known of a request besides its content.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    pub(crate) deadline: Instant,
    /// How long a part of a stream may take.
    pub(crate) timeout: Duration,
    pub(crate) request_id: RequestId,
    pub(crate) span: tracing::Span,
    /// What a collector is told of it.
    pub(crate) trace: Option<Arc<Trace>>,
    /// What the caller may do.
    pub(crate) rights: Arc<Rights>,
    /// Whether this is a later part of what was let in before; it does not count again.
    pub(crate) follows: bool,
    /// The caller's place, if there are limits, as long as any part of the request lives.
    pub(crate) permit: Option<Arc<Permit>>,
}

impl Call {
    /// More work for the same request: it does not count again.
    pub(crate) fn more(&self) -> Call {
        Call { follows: true, ..self.clone() }
    }

    /// The next part of a stream: it has its own time.
    pub(crate) fn next_part(&self) -> Call {
        Call { deadline: Instant::now() + self.timeout, ..self.more() }
    }

    /// The next message of a stream: a request like any other, but for the head.
    pub(crate) fn next_message(&self) -> Result<Call> {
        if let Some(permit) = &self.permit {
            permit.next_message()?;
        }
        Ok(Call { follows: false, ..self.next_part() })
    }
}

/// Names a request in logs and answers: what the client sent as `x-request-id`, or a number of
/// our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    const BYTES_MAX: usize = 64;

    /// What a client sent, if it is fit to be logged.
    pub(crate) fn given(text: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        (!text.is_empty() && text.len() <= Self::BYTES_MAX && text.chars().all(allowed))
            .then(|| RequestId(text.into()))
    }

    /// A new one: the start of the process and a counter, mixed so that they look unrelated
    /// (splitmix64); no two of a process are alike.
    pub(crate) fn new() -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        use std::time::{SystemTime, UNIX_EPOCH};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        static START: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
        let start = *START.get_or_init(|| {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
        });
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut z = start.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        RequestId(format!("{:016x}", z ^ (z >> 31)).into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
