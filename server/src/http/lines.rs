//! Many records as lines of JSON: taken in batches as they arrive, given page by page.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::Response;
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use vecstore::ErrorKind;

use super::route::{Asked, NDJSON, answer, bytes_answer, off_the_worker};
use super::{body, problem};
use crate::service::model::{Record, Scroll, Upsert, Upserted};
use crate::service::{Call, Kind, Problem, RequestId, Result, Service};

/// Records of one commit.
const BATCH_RECORDS: usize = 1_000;
/// Bytes of lines at which a batch is full before it has that many.
const BATCH_BYTES: usize = 8 << 20;

/// Where records are imported.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Namespace {
    #[serde(default)]
    pub(super) namespace: String,
}

/// Stores the records of a body of lines, a batch at a time. Each batch is all or nothing; after
/// a failure the batches before it stay, and the message says how many records that are.
pub(super) async fn import(asked: Asked) -> Result<Response<Body>> {
    let Namespace { namespace } = body::parameters(&asked.uri)?;
    body::check_type(&asked.headers, NDJSON)?;
    let collection = asked.path.text("collection");
    let service = asked.front.service.clone();
    service.check_target(&asked.call, collection.clone(), namespace.clone()).await?;
    let mut import = Import {
        service,
        call: asked.call,
        collection,
        namespace,
        batch: Vec::new(),
        batch_bytes: 0,
        line: 0,
        stored: Upserted { seq: 0, records: 0 },
    };
    match import.all(asked.body, asked.front.request_bytes_max).await {
        Ok(()) => answer(&import.stored),
        Err(problem) => {
            let message = match import.stored.records {
                0 => format!("{}; nothing was stored", problem.message),
                stored => format!("{}; the first {stored} records are stored", problem.message),
            };
            Err(Problem { message, ..problem })
        }
    }
}

struct Import {
    service: Service,
    call: Call,
    collection: String,
    namespace: String,
    batch: Vec<Record>,
    batch_bytes: usize,
    line: u64,
    stored: Upserted,
}

impl Import {
    async fn all(&mut self, mut body: Body, line_bytes_max: usize) -> Result<()> {
        let mut pending = BytesMut::new();
        loop {
            let next =
                tokio::time::timeout(self.call.timeout, body.frame()).await.map_err(|_| {
                    Problem::new(Kind::DeadlineExceeded, "the next lines did not arrive in time")
                })?;
            let Some(frame) = next else { break };
            let frame = frame.map_err(|error| body::broken_off(&error))?;
            let Ok(data) = frame.into_data() else { continue };
            let mut searched = pending.len();
            pending.extend_from_slice(&data);
            while let Some(at) = pending[searched..].iter().position(|&byte| byte == b'\n') {
                let line = pending.split_to(searched + at).freeze();
                pending.advance(1);
                searched = 0;
                self.take(&line).await?;
            }
            if pending.len() > line_bytes_max {
                return Err(body::too_large(line_bytes_max));
            }
        }
        self.take(&pending.freeze()).await?;
        self.store().await
    }

    async fn take(&mut self, line: &Bytes) -> Result<()> {
        self.line += 1;
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let record: Record = body::parse(line).map_err(|problem| Problem {
            message: format!("line {}: {}", self.line, problem.message),
            ..problem
        })?;
        self.batch.push(record);
        self.batch_bytes += line.len();
        if self.batch.len() >= BATCH_RECORDS || self.batch_bytes >= BATCH_BYTES {
            self.store().await?;
        }
        Ok(())
    }

    async fn store(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let records = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let upsert = Upsert { records, namespace: self.namespace.clone() };
        let call = self.call.next_part();
        let done = self.service.upsert(&call, self.collection.clone(), upsert).await?;
        self.stored = Upserted { seq: done.seq, records: self.stored.records + done.records };
        Ok(())
    }
}

/// Gives the records of a scroll as lines, page by page, until the end. If that can't be reached,
/// the last line is `{"problem": …}`.
pub(super) async fn export(asked: Asked) -> Result<Response<Body>> {
    body::no_parameters(&asked.uri)?;
    body::check_type(&asked.headers, super::route::JSON)?;
    let max = asked.front.request_bytes_max;
    let bytes = body::read(asked.body, &asked.headers, &asked.call, max).await?;
    let request: Scroll = body::parse(&bytes)?;
    let collection = asked.path.text("collection");
    let mut pages = asked.front.service.pages(&asked.call, collection, request)?;
    // A wrong request is answered with a status, not in the stream.
    let first = pages.next().await?;
    // One page ahead of a reader; a slow one holds no more than that.
    let (lines, receiver) = mpsc::channel::<Bytes>(1);
    let request_id = asked.call.request_id.clone();
    tokio::spawn(async move {
        let mut page = Ok(first);
        loop {
            let (bytes, last) = match &page {
                Ok(Some(page)) => (off_the_worker(true, || page_lines(page, &request_id)), false),
                Ok(None) => return,
                Err(problem) => (problem_line(problem, &request_id), true),
            };
            // The reader is gone if this fails.
            if lines.send(bytes).await.is_err() || last {
                return;
            }
            page = pages.next().await;
        }
    });
    let stream = ReceiverStream::new(receiver).map(Ok::<_, Infallible>);
    Ok(bytes_answer(NDJSON, Body::from_stream(stream)))
}

fn page_lines(page: &crate::service::model::Page, request_id: &RequestId) -> Bytes {
    let mut bytes = Vec::new();
    for record in &page.records {
        if let Err(error) = serde_json::to_writer(&mut bytes, record) {
            let problem = Problem::new(Kind::Engine(ErrorKind::Io), error.to_string());
            return problem_line(&problem, request_id);
        }
        bytes.push(b'\n');
    }
    bytes.into()
}

fn problem_line(problem: &Problem, request_id: &RequestId) -> Bytes {
    let line = serde_json::json!({ "problem": problem::body(problem, request_id) });
    format!("{line}\n").into()
}
