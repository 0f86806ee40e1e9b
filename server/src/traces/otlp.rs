//! The way to a collector: OTLP over gRPC, in batches, in the background.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::transport::{self, Channel};

use super::{Counts, Span};

/// What is used of OTLP's messages, from `proto/otlp.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/otlp/opentelemetry.proto.collector.trace.v1.rs"));
}

use proto::any_value::Value;
use proto::trace_service_client::TraceServiceClient;
use proto::{AnyValue, KeyValue};

/// Spans of one message.
const BATCH_MAX: usize = 512;
/// How long a span waits for others.
const DELAY: Duration = Duration::from_secs(1);
/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two lines of the log about the same trouble.
const QUIET: Duration = Duration::from_secs(60);

/// `SPAN_KIND_INTERNAL` and `SPAN_KIND_SERVER`, `STATUS_CODE_ERROR`.
const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const ERROR: i32 = 2;

/// Where a collector listens: `http://HOST:PORT`.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint(transport::Endpoint);

impl Endpoint {
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not an address such as http://127.0.0.1:4317 (encryption is left to a \
                 collector on this machine)"
            )
        };
        let uri: axum::http::Uri = text.parse().map_err(|_| wrong())?;
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if uri.scheme_str() != Some("http") || uri.port_u16().is_none() || !bare {
            return Err(wrong());
        }
        Ok(Endpoint(Channel::builder(uri).connect_timeout(PATIENCE).timeout(PATIENCE)))
    }

    pub(crate) fn uri(&self) -> String {
        self.0.uri().to_string()
    }
}

/// Sends spans until the way in is closed.
#[derive(Debug)]
pub(crate) struct Export {
    endpoint: Endpoint,
    waiting: mpsc::Receiver<Span>,
    counts: Arc<Counts>,
}

impl Export {
    pub(super) fn new(
        endpoint: Endpoint,
        waiting: mpsc::Receiver<Span>,
        counts: Arc<Counts>,
    ) -> Self {
        Export { endpoint, waiting, counts }
    }

    pub(crate) async fn run(mut self) {
        let mut client = TraceServiceClient::new(self.endpoint.0.connect_lazy());
        let mut told: Option<std::time::Instant> = None;
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while self.waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let fill = async {
                while batch.len() < BATCH_MAX {
                    let room = BATCH_MAX - batch.len();
                    if self.waiting.recv_many(&mut batch, room).await == 0 {
                        return;
                    }
                }
            };
            // It is sent as it is when the time is up.
            let _ = timeout(DELAY, fill).await;
            let count = batch.len() as u64;
            let spans = batch.drain(..).map(message).collect();
            let refused = match timeout(PATIENCE, client.export(request(spans))).await {
                Ok(Ok(answer)) => match answer.into_inner().partial_success {
                    Some(partial) if partial.rejected_spans > 0 => {
                        Some((partial.rejected_spans as u64, partial.error_message))
                    }
                    _ => None,
                },
                Ok(Err(status)) => Some((count, status.to_string())),
                Err(_) => Some((count, "no answer in time".to_owned())),
            };
            let dropped = refused.as_ref().map_or(0, |(spans, _)| *spans.min(&count));
            self.counts.exported.fetch_add(count - dropped, Relaxed);
            self.counts.dropped.fetch_add(dropped, Relaxed);
            if let Some((spans, why)) = refused
                && told.is_none_or(|told| told.elapsed() >= QUIET)
            {
                told = Some(std::time::Instant::now());
                let to = self.endpoint.uri();
                tracing::warn!(spans, %to, why, "traces could not be exported");
            }
        }
    }
}

fn request(spans: Vec<proto::Span>) -> proto::ExportTraceServiceRequest {
    let scope = proto::InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let attributes = vec![
        attribute("service.name", "vecstore".to_owned()),
        attribute("service.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    proto::ExportTraceServiceRequest {
        resource_spans: vec![proto::ResourceSpans {
            resource: Some(proto::Resource { attributes }),
            scope_spans: vec![proto::ScopeSpans { scope: Some(scope), spans }],
        }],
    }
}

fn message(span: Span) -> proto::Span {
    let nanos = |time: SystemTime| {
        time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
    };
    proto::Span {
        trace_id: span.trace.to_vec(),
        span_id: span.id.to_vec(),
        parent_span_id: span.parent.map_or_else(Vec::new, |id| id.to_vec()),
        name: span.name.to_owned(),
        kind: if span.server { SERVER } else { INTERNAL },
        start_time_unix_nano: nanos(span.started),
        end_time_unix_nano: nanos(span.started + span.took),
        attributes: span.attributes.into_iter().map(|(k, v)| attribute(k, v)).collect(),
        status: span.failed.map(|kind| proto::Status { message: kind.to_owned(), code: ERROR }),
    }
}

fn attribute(key: &str, value: String) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(value)) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_checked() {
        assert!(Endpoint::read("http://127.0.0.1:4317").is_ok());
        assert!(Endpoint::read("http://collector.local:4317/").is_ok());
        for wrong in
            ["", "4317", "127.0.0.1:4317", "https://a:4317", "http://a", "http://a:4317/v1/traces"]
        {
            assert!(
                Endpoint::read(wrong).unwrap_err().contains("http://127.0.0.1:4317"),
                "{wrong}"
            );
        }
    }
}
