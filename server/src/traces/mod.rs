//! Traces: what a request took, told to a collector that understands OpenTelemetry.
//!
//! A request is one span, its time with the engine another beneath it. Whether it is told is up to
//! whoever called, by the flag of `traceparent` (W3C Trace Context); of requests that belong to no
//! trace, one of so many begins its own.

mod context;
mod otlp;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::mpsc;

pub(crate) use context::Parent;
pub(crate) use otlp::{Endpoint, Export};

/// Spans that wait to be told. What comes when there are more is dropped, and counted.
const WAITING_MAX: usize = 8192;

/// Where spans go.
#[derive(Debug)]
pub(crate) struct Traces {
    /// None once nothing more is told.
    spans: Mutex<Option<mpsc::Sender<Span>>>,
    random: SystemRandom,
    /// One of so many requests without a parent; 0: none.
    every: u64,
    requests: AtomicU64,
    counts: Arc<Counts>,
}

/// What became of spans.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    /// How many were told, and how many were not.
    pub(crate) fn read(&self) -> [(&'static str, u64); 2] {
        [("exported", self.exported.load(Relaxed)), ("dropped", self.dropped.load(Relaxed))]
    }
}

/// A span that has ended.
#[derive(Debug)]
struct Span {
    trace: [u8; 16],
    id: [u8; 8],
    parent: Option<[u8; 8]>,
    name: &'static str,
    /// Whether it is what a client waited for.
    server: bool,
    started: SystemTime,
    took: Duration,
    /// The kind of the failure.
    failed: Option<&'static str>,
    attributes: Vec<(&'static str, String)>,
}

/// A request that is told.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    traces: Arc<Traces>,
    trace: [u8; 16],
    id: [u8; 8],
    parent: Option<[u8; 8]>,
    started: SystemTime,
    clock: Instant,
}

impl Traces {
    /// The way in, and what sends to `endpoint` what goes in.
    pub(crate) fn to(endpoint: Endpoint, every: u64, counts: Arc<Counts>) -> (Arc<Self>, Export) {
        let (spans, waiting) = mpsc::channel(WAITING_MAX);
        let export = Export::new(endpoint, waiting, Arc::clone(&counts));
        (Arc::new(Traces::new(spans, every, counts)), export)
    }

    fn new(spans: mpsc::Sender<Span>, every: u64, counts: Arc<Counts>) -> Self {
        Traces {
            spans: Mutex::new(Some(spans)),
            random: SystemRandom::new(),
            every,
            requests: AtomicU64::new(0),
            counts,
        }
    }

    /// Nothing more will be told: the export ends when it has sent what there is.
    pub(crate) fn close(&self) {
        drop(self.spans.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// A request begins. None if it is not told.
    pub(crate) fn begin(self: &Arc<Self>, parent: Option<&Parent>) -> Option<Trace> {
        let wanted = match parent {
            Some(parent) => parent.sampled,
            None => {
                self.every > 0 && self.requests.fetch_add(1, Relaxed).is_multiple_of(self.every)
            }
        };
        if !wanted {
            return None;
        }
        Some(Trace {
            traces: Arc::clone(self),
            trace: match parent {
                Some(parent) => parent.trace,
                None => self.random()?,
            },
            id: self.random()?,
            parent: parent.map(|parent| parent.span),
            started: SystemTime::now(),
            clock: Instant::now(),
        })
    }

    fn random<const N: usize>(&self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).ok().map(|()| bytes)
    }

    fn tell(&self, span: Span) {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.as_ref().is_none_or(|spans| spans.try_send(span).is_err()) {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl Trace {
    /// The id of the trace, as `traceparent` has it.
    pub(crate) fn id(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.trace))
    }

    /// The request has ended.
    pub(crate) fn end(
        &self,
        name: &'static str,
        failed: Option<&'static str>,
        attributes: Vec<(&'static str, String)>,
    ) {
        self.traces.tell(Span {
            trace: self.trace,
            id: self.id,
            parent: self.parent,
            name,
            server: true,
            started: self.started,
            took: self.clock.elapsed(),
            failed,
            attributes,
        });
    }

    /// A part of it, from `started` until now.
    pub(crate) fn part(&self, name: &'static str, started: Instant) {
        let Some(id) = self.traces.random() else { return };
        self.traces.tell(Span {
            trace: self.trace,
            id,
            parent: Some(self.id),
            name,
            server: false,
            started: self.started + started.saturating_duration_since(self.clock),
            took: started.elapsed(),
            failed: None,
            attributes: Vec::new(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traces(every: u64) -> (Arc<Traces>, mpsc::Receiver<Span>) {
        let (spans, waiting) = mpsc::channel(2);
        (Arc::new(Traces::new(spans, every, Arc::default())), waiting)
    }

    #[test]
    fn the_caller_decides_about_its_own_traces() {
        let parent = |sampled| Parent { trace: [1; 16], span: [2; 8], sampled };
        let (none, _waiting) = traces(0);
        assert!(none.begin(None).is_none());
        assert!(none.begin(Some(&parent(false))).is_none());
        let trace = none.begin(Some(&parent(true))).unwrap();
        assert_eq!((trace.trace, trace.parent), ([1; 16], Some([2; 8])));
        let (third, _waiting) = traces(3);
        let told: Vec<bool> = (0..6).map(|_| third.begin(None).is_some()).collect();
        assert_eq!(told, [true, false, false, true, false, false]);
        assert!(third.begin(Some(&parent(false))).is_none());
    }

    #[test]
    fn spans_too_many_are_counted() {
        let (traces, mut waiting) = traces(1);
        let trace = traces.begin(None).unwrap();
        trace.part("engine", Instant::now());
        trace.end("query", None, Vec::new());
        trace.end("query", None, Vec::new());
        assert_eq!(traces.counts.read(), [("exported", 0), ("dropped", 1)]);
        let (part, whole) = (waiting.try_recv().unwrap(), waiting.try_recv().unwrap());
        assert_eq!((part.parent, part.trace), (Some(whole.id), whole.trace));
        assert_ne!(part.id, whole.id);
        assert!(part.started >= whole.started && whole.parent.is_none());
    }
}
