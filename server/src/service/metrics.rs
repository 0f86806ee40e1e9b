//! Counters of the server, as Prometheus reads them: text, base units, labels from fixed lists.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vecstore::{CommitTimes, Memory, ScrubStats, Stats};

use super::call::Protocol;
use super::limits::Reason;
use super::operation::Operation;
use super::pool::LaneStats;
use super::recall::ObservedRecall;
use crate::traces::Counts;

/// Upper bounds of the buckets of a latency, in microseconds.
const BOUNDS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    5_000_000, 30_000_000,
];

type Labels = (Protocol, Operation);

/// Counts requests.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// By protocol, operation and outcome: `ok` or the kind of the error.
    requests: Mutex<BTreeMap<(Labels, &'static str), u64>>,
    latencies: Mutex<BTreeMap<Labels, Latency>>,
    in_flight: [AtomicU64; Protocol::ALL.len()],
    connections: AtomicU64,
    /// Spans for a collector.
    pub(crate) traces: Arc<Counts>,
}

/// What others have counted.
pub(super) struct Told<'a> {
    pub(super) lanes: &'a [(&'static str, LaneStats)],
    pub(super) limited: &'a [(&'static str, [(Reason, u64); Reason::ALL.len()])],
    pub(super) recall: ObservedRecall,
    pub(super) commits: &'a CommitTimes,
    pub(super) stats: &'a Stats,
}

#[derive(Clone, Debug, Default)]
struct Latency {
    buckets: [u64; BOUNDS_US.len()],
    count: u64,
    sum_us: u64,
}

/// Counts a request as in flight while it lives.
pub(crate) struct InFlight<'a>(&'a AtomicU64);

impl<'a> InFlight<'a> {
    fn new(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Relaxed);
        InFlight(counter)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    pub(crate) fn begin(&self, protocol: Protocol) -> InFlight<'_> {
        InFlight::new(&self.in_flight[protocol as usize])
    }

    /// A connection, until what this gives is dropped.
    pub(crate) fn connection(&self) -> InFlight<'_> {
        InFlight::new(&self.connections)
    }

    /// Notes a finished request.
    pub(crate) fn finish(
        &self,
        protocol: Protocol,
        operation: Operation,
        outcome: &'static str,
        took: Duration,
    ) {
        let labels = (protocol, operation);
        let poisoned = PoisonError::into_inner;
        *self.requests.lock().unwrap_or_else(poisoned).entry((labels, outcome)).or_default() += 1;
        let took_us = took.as_micros() as u64;
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let latency = latencies.entry(labels).or_default();
        latency.count += 1;
        latency.sum_us += took_us;
        for (bucket, bound) in latency.buckets.iter_mut().zip(BOUNDS_US) {
            *bucket += u64::from(took_us <= bound);
        }
    }

    /// Everything as text.
    pub(super) fn text(&self, told: &Told<'_>) -> String {
        let Told { lanes, limited, recall, commits, stats } = *told;
        let mut out = String::new();
        let seconds = |us: u64| us as f64 / 1e6;
        family(&mut out, "vecstore_build_info", "gauge", "The version that runs.");
        line(
            &mut out,
            "vecstore_build_info",
            &[("version", env!("CARGO_PKG_VERSION")), ("kernels", stats.kernels)],
            1,
        );

        family(&mut out, "vecstore_requests_total", "counter", "Requests answered.");
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (((protocol, operation), outcome), count) in requests {
            line(
                &mut out,
                "vecstore_requests_total",
                &[
                    ("protocol", protocol.name()),
                    ("operation", operation.name()),
                    ("outcome", outcome),
                ],
                count,
            );
        }
        let name = "vecstore_request_duration_seconds";
        family(&mut out, name, "histogram", "From the head of a request to that of its answer.");
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for ((protocol, operation), latency) in latencies {
            let labels = [("protocol", protocol.name()), ("operation", operation.name())];
            let buckets = BOUNDS_US.iter().map(|&us| seconds(us)).zip(latency.buckets);
            histogram(&mut out, name, &labels, buckets, latency.count, seconds(latency.sum_us));
        }
        family(&mut out, "vecstore_requests_in_flight", "gauge", "Requests being answered.");
        for protocol in Protocol::ALL {
            let count = self.in_flight[protocol as usize].load(Relaxed);
            let labels = [("protocol", protocol.name())];
            line(&mut out, "vecstore_requests_in_flight", &labels, count);
        }
        let gauge = |out: &mut String, name: &str, help: &str, value: u64| {
            family(out, name, "gauge", help);
            line(out, name, &[], value);
        };
        let connections = self.connections.load(Relaxed);
        gauge(&mut out, "vecstore_connections", "Open connections.", connections);

        type OfLane = fn(&LaneStats) -> u64;
        let of_lanes: [(&str, &str, &str, OfLane); 4] = [
            ("vecstore_pool_waiting", "gauge", "Calls that wait for a slot.", |l| l.waiting as u64),
            ("vecstore_pool_running", "gauge", "Calls that run.", |l| l.running as u64),
            ("vecstore_pool_slots", "gauge", "Calls that can run at a time.", |l| l.slots as u64),
            ("vecstore_pool_refused_total", "counter", "Calls refused as busy.", |l| l.refused),
        ];
        for (name, kind, help, value) in of_lanes {
            family(&mut out, name, kind, help);
            for (lane, stats) in lanes {
                line(&mut out, name, &[("lane", lane)], value(stats));
            }
        }

        let name = "vecstore_limited_total";
        family(
            &mut out,
            name,
            "counter",
            "Requests refused as over the limit of a client or namespace.",
        );
        for (scope, refused) in limited {
            for (reason, count) in refused {
                line(&mut out, name, &[("scope", scope), ("limit", reason.name())], count);
            }
        }

        let name = "vecstore_recall_sampled_queries_total";
        family(&mut out, name, "counter", "Queries that were answered again exactly.");
        line(&mut out, name, &[], recall.sampled);
        let name = "vecstore_recall_hits_total";
        family(&mut out, name, "counter", "Hits of exact answers, and whether they were found.");
        line(&mut out, name, &[("found", "true")], recall.found);
        line(&mut out, name, &[("found", "false")], recall.missed);

        let name = "vecstore_trace_spans_total";
        family(&mut out, name, "counter", "Spans for the collector, and what became of them.");
        for (outcome, count) in self.traces.read() {
            line(&mut out, name, &[("outcome", outcome)], count);
        }

        let name = "vecstore_commit_duration_seconds";
        let help = "Groups of writes, from their first look at the records until they are visible.";
        family(&mut out, name, "histogram", help);
        let buckets = commits.within.iter().map(|(bound, count)| (bound.as_secs_f64(), *count));
        histogram(&mut out, name, &[], buckets, commits.count, commits.total.as_secs_f64());

        let collections = &stats.collections;
        let segments = || collections.iter().flat_map(|collection| &collection.segments);
        let count = collections.len() as u64;
        gauge(&mut out, "vecstore_collections", "Collections.", count);
        let records = collections.iter().map(|c| c.records).sum();
        gauge(&mut out, "vecstore_records", "Records.", records);
        let memtable_records = collections.iter().map(|c| c.memtable_records).sum();
        let name = "vecstore_memtable_records";
        gauge(&mut out, name, "Records that are not in a segment yet.", memtable_records);
        gauge(&mut out, "vecstore_segments", "Segments.", segments().count() as u64);
        let rows = segments().map(|s| s.rows).sum();
        gauge(&mut out, "vecstore_segment_rows", "Rows of segments, dead ones too.", rows);
        let dead = segments().map(|s| s.deleted).sum();
        let name = "vecstore_segment_rows_dead";
        gauge(&mut out, name, "Rows whose record was replaced or removed.", dead);
        let degraded = segments().filter(|s| !s.degraded.is_empty()).count() as u64;
        let name = "vecstore_segments_degraded";
        gauge(&mut out, name, "Segments with damaged parts that are not used.", degraded);
        let damaged = segments().filter(|s| !s.damage.is_empty()).count() as u64;
        let name = "vecstore_segments_damaged";
        gauge(&mut out, name, "Segments of which records may be lost.", damaged);
        let debt = collections.iter().map(|c| c.merge_debt_bytes()).sum();
        let name = "vecstore_merge_debt_bytes";
        gauge(&mut out, name, "Bytes of segments that optimize would write anew.", debt);
        gauge(&mut out, "vecstore_commit_seq", "The newest commit.", stats.seq);
        gauge(&mut out, "vecstore_snapshots", "Snapshots.", stats.snapshots as u64);
        scrub(&mut out, &stats.scrub);
        family(&mut out, "vecstore_bytes", "gauge", "Bytes held, by what they are for.");
        let memtable = collections.iter().map(|c| c.memtable_bytes).sum();
        let kinds =
            [("segment", stats.segment_bytes), ("log", stats.log_bytes), ("memtable", memtable)];
        for (kind, bytes) in kinds {
            line(&mut out, "vecstore_bytes", &[("kind", kind)], bytes);
        }
        memory(&mut out, &stats.memory);
        out
    }
}

/// What is held in memory.
fn memory(out: &mut String, memory: &Memory) {
    let name = "vecstore_memory_bytes";
    family(out, name, "gauge", "Bytes held in memory, by what they are for.");
    let kinds = [
        ("memtable_rows", memory.memtable_rows),
        ("memtable_graphs", memory.memtable_graphs),
        ("memtable_fields", memory.memtable_fields),
        ("log", memory.log),
        ("segment_heads", memory.segment_heads),
        ("segment_orders", memory.segment_orders),
        ("deletions", memory.deletions),
        ("segment_files", memory.segment_files),
    ];
    for (kind, bytes) in kinds {
        line(out, name, &[("kind", kind)], bytes);
    }
    let name = "vecstore_mapped_bytes";
    family(out, name, "gauge", "Bytes of segment files, of which the system keeps what is used.");
    line(out, name, &[], memory.mapped);
}

/// What the scrub has done.
fn scrub(out: &mut String, stats: &ScrubStats) {
    let counters = [
        ("vecstore_scrub_bytes_total", "Bytes of segments compared again.", stats.bytes),
        (
            "vecstore_scrub_cached_bytes_total",
            "Those of them that could not be read past the system's cache.",
            stats.cached_bytes,
        ),
        (
            "vecstore_scrub_damaged_total",
            "Damaged places found; one that stays, in each pass.",
            stats.damaged,
        ),
        ("vecstore_scrub_passes_total", "Passes over all segments.", stats.passes),
    ];
    for (name, help, value) in counters {
        family(out, name, "counter", help);
        line(out, name, &[], value);
    }
    let gauge = |out: &mut String, name: &str, help: &str, value: f64| {
        family(out, name, "gauge", help);
        line(out, name, &[], value);
    };
    if let (Some(ended), Some(took)) = (stats.last_pass_unix_ms, stats.last_pass_seconds) {
        let name = "vecstore_scrub_last_pass_timestamp_seconds";
        gauge(out, name, "When the last pass ended.", ended as f64 / 1e3);
        let name = "vecstore_scrub_last_pass_duration_seconds";
        gauge(out, name, "How long it took.", took);
    }
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a `String` does not fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

/// The lines of a histogram: how many values are within each bound, and all.
fn histogram(
    out: &mut String,
    name: &str,
    labels: &[(&str, &str)],
    buckets: impl Iterator<Item = (f64, u64)>,
    count: u64,
    sum: f64,
) {
    let all = buckets.map(|(bound, count)| (bound.to_string(), count));
    for (bound, count) in all.chain([("+Inf".to_owned(), count)]) {
        let le = [labels, &[("le", bound.as_str())]].concat();
        line(out, &format!("{name}_bucket"), &le, count);
    }
    line(out, &format!("{name}_sum"), labels, sum);
    line(out, &format!("{name}_count"), labels, count);
}

fn line(out: &mut String, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
    let labels: Vec<String> =
        labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    let labels =
        if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let _ = writeln!(out, "{name}{labels} {value}");
}
